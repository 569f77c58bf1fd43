"""A folder for sent mail: answers that were given in another program, and a councillor's own post, which is not ours.

What lies there was sent by the account's owner: the folder is the proof, where a From line proves nothing. It is kept
only when it goes to somebody who wrote in the conversation that it answers. So a letter passed on to an officer, or one
that a resident wrote and somebody dragged there, stops no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.messages import threading
from app.messages.models import Conversation, Direction, Message, Partner
from app.people.models import Identity
from app.replies.models import Reply, Sending
from connectors import Item


@dataclass(frozen=True, slots=True)
class Found:
    """The conversation that a mail goes on with, and whether it is a resident's own rather than an answer."""

    conversation: Conversation
    is_residents: bool


def state_of_reply(session: Session, office_id: int, item: Item) -> Sending | None:
    """How the reply of ours stands that this is the copy of, by its Message-ID; ``None`` where it is none."""
    if not item.platform_id:
        return None
    return session.scalar(_REPLY, {"office_id": office_id, "platform_id": item.platform_id})


def found(session: Session, office_id: int, channel: str, item: Item) -> Found | None:
    """What a mail in the folder goes on with; ``None`` where it is nothing to the office.

    Several conversations may know the mail that it answers, as anybody begins one who names that: it goes on with the
    one in which those wrote whom it is addressed to, before those who have a copy. What a program wrote by itself, such
    as a note of absence, answers nobody.
    """
    ids = [one for one in threading.known_by(item) if one != item.platform_id]
    knowing = threading.knowing(session, office_id, channel, ids, audience=item.audience) if ids else ()
    wrote = [(one, _residents(session, one)) for one in knowing if one.partner is Partner.RESIDENT]
    theirs = _first(wrote, {item.author.external_id})
    if theirs is not None:
        return Found(theirs, is_residents=True)
    to, cc = ({one.external_id for one in people} for people in (item.to, item.cc))
    answered = None if item.is_auto else _first(wrote, to) or _first(wrote, cc)
    return None if answered is None else Found(answered, is_residents=False)


def _first(wrote: Iterable[tuple[Conversation, set[str]]], addresses: set[str]) -> Conversation | None:
    """The first conversation in which one of these has written."""
    return next((conversation for conversation, residents in wrote if residents & addresses), None)


def _residents(session: Session, conversation: Conversation) -> set[str]:
    """The addresses of everybody who wrote in a conversation, and those to which they wanted the answer."""
    rows = session.execute(_WROTE, {"of": conversation.id}).all()
    asked_for = {one[1] for row in rows for one in row.recipients.get("reply_to", ())}
    return {row.external_id for row in rows} | asked_for


_REPLY: Final = sa.select(Reply.state).where(
    Reply.office_id == sa.bindparam("office_id"), Reply.platform_id == sa.bindparam("platform_id")
)
_WROTE: Final = (
    sa.select(Identity.external_id, Message.recipients)
    .join(Identity, Identity.id == Message.identity_id)
    .where(Message.conversation_id == sa.bindparam("of"), Message.direction == Direction.INBOUND)
)
