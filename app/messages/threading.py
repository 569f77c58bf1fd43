"""Which conversation a message belongs to: known ids of known participants, and nothing else.

An id alone proves nothing, as anybody who was sent a mail knows its Message-ID; a subject proves less. So a message
joins a conversation when that knows one of its ids, in either order of arrival, and its author has taken part in it. A
known id from a stranger begins a conversation of its own that says what it looks related to (domain.md section 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.messages.models import Conversation, Mention, Message, Participant
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
    others = [one for one in (*known_by(item), *item.bounced) if one != item.platform_id]
    if not (others or item.platform_id):
        return Place()
    found = session.execute(
        _PLACES,
        {
            "office_id": office_id,
            "channel": channel,
            "identity_id": identity_id,
            "own": item.platform_id,
            "others": others,
        },
    ).all()
    for conversation, took_part in found:
        is_known = took_part or conversation.person_id == person_id
        if is_known and conversation.audience is item.audience:
            return Place(conversation=conversation)
    return Place(related_case_id=found[0][0].case_id if found else None)


def _places() -> sa.Select[Conversation, bool]:
    used = sa.exists().where(
        Message.office_id == sa.bindparam("office_id"),
        Message.channel == sa.bindparam("channel"),
        Message.platform_id == sa.bindparam("own"),
    )
    return (
        sa.select(Conversation, Participant.identity_id.is_not(None))
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
            sa.or_(
                Mention.external_id.in_(sa.bindparam("others", expanding=True)),
                sa.and_(Mention.external_id == sa.bindparam("own"), ~used),
            ),
        )
        .order_by(Conversation.id.desc())
    )


_PLACES = _places()  # once: putting it together costs more than running it


def knowing(
    session: Session, office_id: int, channel: str, ids: Iterable[str], *, audience: Audience
) -> Conversation | None:
    """The newest conversation that knows one of these ids, whoever took part: for what we wrote ourselves."""
    return session.scalar(
        sa.select(Conversation)
        .join(Mention, Mention.conversation_id == Conversation.id)
        .where(
            Mention.office_id == office_id,
            Mention.channel == channel,
            Mention.external_id.in_(list(ids)),
            Conversation.audience == audience,
        )
        .order_by(Conversation.id.desc())
        .limit(1)
    )


def remember(session: Session, conversation: Conversation, ids: Iterable[str], identity_id: int | None) -> None:
    """Have ``conversation`` know these ids and, where one is given, this participant."""
    mention, participant = _INSERTS[session.get_bind().dialect.name]
    about = {"office_id": conversation.office_id, "channel": conversation.channel, "conversation_id": conversation.id}
    mentions = [{**about, "external_id": one} for one in ids]
    if mentions:
        session.execute(mention, mentions)
    if identity_id is not None:
        session.execute(participant, {"conversation_id": conversation.id, "identity_id": identity_id})


_INSERTS = {
    name: (
        insert(cast("sa.Table", Mention.__table__)).on_conflict_do_nothing(),
        insert(cast("sa.Table", Participant.__table__)).on_conflict_do_nothing(),
    )
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
