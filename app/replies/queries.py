"""Questions about answers on their way out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Missing
from app.messages.models import Conversation
from app.replies.models import Draft, Mode, Reply
from app.staff.models import Staff


def reply(session: Session, reply_id: int, offices: Collection[int]) -> Reply:
    """The reply, held until the transaction ends, if it belongs to one of ``offices``; raises Missing otherwise."""
    found = session.scalar(sa.select(Reply).where(Reply.id == reply_id, Reply.office_id.in_(offices)).with_for_update())
    if found is None:
        raise Missing
    return found


def conversation(session: Session, conversation_id: int, offices: Collection[int]) -> Conversation:
    """The conversation, if it belongs to one of ``offices``; raises Missing otherwise."""
    found = session.scalar(
        sa.select(Conversation).where(Conversation.id == conversation_id, Conversation.office_id.in_(offices))
    )
    if found is None:
        raise Missing
    return found


def draft(session: Session, conversation_id: int, staff_id: int, mode: Mode) -> Draft | None:
    """What ``staff_id`` has begun to write in a conversation."""
    return session.scalar(
        sa.select(Draft).where(Draft.conversation_id == conversation_id, Draft.staff_id == staff_id, Draft.mode == mode)
    )


def writing(session: Session, case_id: int, offices: Collection[int], *, but_not: int, since: datetime) -> list[str]:
    """The names of others who have been writing a reply on a case since a moment, whoever wrote last first."""
    query = sa.select(Staff.name).join(Draft, Draft.staff_id == Staff.id)
    query = query.where(
        Draft.case_id == case_id,
        Draft.office_id.in_(offices),
        Draft.mode == Mode.REPLY,
        Draft.staff_id != but_not,
        Draft.saved_at > since,
    )
    return list(session.scalars(query.order_by(Draft.saved_at.desc())))
