"""Which conversation a message belongs to: known ids of known participants, and nothing else.

An id alone proves nothing, as anybody who was sent a mail knows its Message-ID; a subject proves less. So a message
joins a conversation when that knows one of its ids, in either order of arrival, and its author has taken part in it. A
known id from a stranger begins a conversation of its own that says what it looks related to (domain.md section 3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db import Base
from app.messages.models import Conversation, Mention, Message, Participant
from app.statements import Statement
from connectors import Audience, Item


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message goes: into ``conversation``, or into a new one, which may look related to a case."""

    conversation: Conversation | None = None
    related_case_id: int | None = None


def known_by(item: Item) -> tuple[str, ...]:
    """The ids by which other messages of its conversation may name ``item`` or be named by it, each once."""
    thread = (f"thread:{item.thread_id}",) if item.thread_id else ()
    ids = (item.platform_id, item.in_reply_to, *item.references, *thread)
    return tuple(dict.fromkeys(one for one in ids if one))


def place(session: Session, office_id: int, channel: str, item: Item, *, identity_id: int, person_id: int) -> Place:
    """Where a message of that author goes. The newest fitting conversation wins.

    What was said in private never joins a public conversation, nor the other way round. The message's own id counts
    while it is only known from answers to it: careless programs give one id to many mails.
    """
    ids = list(dict.fromkeys(one for one in (*known_by(item), *item.bounced) if one))
    if not ids:
        return Place()
    given = {"office_id": office_id, "channel": channel, "identity_id": identity_id, "ids": ids}
    found = [_Knowing(*row) for row in _KNOWING.rows(session, given)]
    if any(one.by == item.platform_id for one in found) and _is_used(session, office_id, channel, item.platform_id):
        found = [one for one in found if one.by != item.platform_id]
    for one in found:
        if (one.took_part or one.person_id == person_id) and one.audience is item.audience:
            return Place(conversation=session.get_one(Conversation, one.conversation_id))
    return Place(related_case_id=found[0].case_id if found else None)


@dataclass(frozen=True, slots=True)
class _Knowing:
    """A conversation that knows an id, ``by`` which it was found, and whether the author has taken part in it."""

    conversation_id: int
    person_id: int
    audience: Audience
    case_id: int
    by: str
    took_part: bool


def _knowing(is_one: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            Conversation.id,
            Conversation.person_id,
            Conversation.audience,
            Conversation.case_id,
            Mention.external_id,
            Participant.identity_id.is_not(None),
        )
        .join(Mention, Mention.conversation_id == Conversation.id)
        .outerjoin(
            Participant,
            sa.and_(
                Participant.conversation_id == Conversation.id,
                Participant.identity_id == sa.bindparam("identity_id"),
            ),
        )
        .where(
            Mention.office_id == sa.bindparam("office_id"),
            Mention.channel == sa.bindparam("channel"),
            is_one,
        )
        .order_by(Conversation.id.desc())
    )


_LISTED = sa.func.json_each(sa.bindparam("ids", type_=sa.JSON())).table_valued("value")
_KNOWING: Final = Statement(
    _knowing(Mention.external_id.in_(sa.select(_LISTED.c.value))),
    postgresql=_knowing(Mention.external_id == sa.any_(sa.bindparam("ids", type_=postgresql.ARRAY(sa.String())))),
)
_USING: Final = Statement(
    sa.select(Message.id)
    .where(
        Message.office_id == sa.bindparam("office_id"),
        Message.channel == sa.bindparam("channel"),
        Message.platform_id == sa.bindparam("platform_id"),
    )
    .limit(1)
)


def _is_used(session: Session, office_id: int, channel: str, platform_id: str) -> bool:
    """Whether a message of that id is there already, whatever it says."""
    given = {"office_id": office_id, "channel": channel, "platform_id": platform_id}
    return _USING.row(session, given) is not None


def knowing(
    session: Session, office_id: int, channel: str, ids: Collection[str], *, audience: Audience
) -> Sequence[Conversation]:
    """The conversations that know one of these ids, newest first, whoever took part: for what we wrote ourselves."""
    mentioned = sa.select(Mention.conversation_id).where(
        Mention.office_id == office_id, Mention.channel == channel, Mention.external_id.in_(ids)
    )
    query = sa.select(Conversation).where(Conversation.id.in_(mentioned), Conversation.audience == audience)
    return session.scalars(query.order_by(Conversation.id.desc())).all()


def remember(session: Session, conversation: Conversation, ids: Iterable[str], identity_id: int | None) -> None:
    """Have ``conversation`` know these ids and, where one is given, this participant."""
    about = {"office_id": conversation.office_id, "channel": conversation.channel, "conversation_id": conversation.id}
    _MENTION.run_all(session, [{**about, "external_id": one} for one in ids])
    if identity_id is not None:
        _PARTICIPANT.run(session, {"conversation_id": conversation.id, "identity_id": identity_id})


def _once(kind: type[Base]) -> Statement:
    """Have a row there, whoever wrote it first."""
    table = cast("sa.Table", kind.__table__)
    values = {column.name: sa.bindparam(column.name, type_=column.type) for column in table.c}
    return Statement(
        sqlite.insert(table).values(values).on_conflict_do_nothing(),
        postgresql=postgresql.insert(table).values(values).on_conflict_do_nothing(),
    )


_MENTION: Final = _once(Mention)
_PARTICIPANT: Final = _once(Participant)
