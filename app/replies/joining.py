"""Joining a conversation to another case, with its drafts and its answers on their way; and back."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases import clocks, joining
from app.cases.models import Case
from app.errors import Invalid
from app.messages.models import Conversation
from app.office.queries import rules
from app.replies.actions import mark_drafts, mark_failures
from app.replies.models import Draft, Reply


def join(session: Session, conversation: Conversation, into: Case, *, by: int) -> None:
    """Have ``conversation`` go on in the case ``into``; raises as ``cases.joining.join`` does."""
    left_id = conversation.case_id
    _hold_replies(session, conversation)
    joining.join(session, rules(session, conversation.office_id), conversation, into, by=by)
    _follow(session, conversation, left_id)


def split_off(session: Session, conversation: Conversation, *, by: int) -> None:
    """Take ``conversation`` back to the case that it was joined from; raises as ``cases.joining.split_off`` does."""
    left_id = conversation.case_id
    _hold_replies(session, conversation)
    joining.split_off(session, rules(session, conversation.office_id), conversation, by=by)
    _follow(session, conversation, left_id)


def by_reference(session: Session, office_id: int, reference: str) -> Case:
    """The case of that reference, as somebody typed it; raises Invalid for none."""
    typed = reference.strip().upper()
    found = session.scalar(sa.select(Case).where(Case.office_id == office_id, Case.reference == typed))
    if found is None:
        raise Invalid("There is no case %(reference)s in this office.", field="reference", reference=typed)
    return found


def _hold_replies(session: Session, conversation: Conversation) -> None:
    """Before the cases, as whoever writes down what became of a reply holds that first and its case then."""
    replies = sa.select(Reply.id).where(Reply.conversation_id == conversation.id).order_by(Reply.id)
    session.execute(replies.with_for_update())


def _follow(session: Session, conversation: Conversation, left_id: int) -> None:
    for row in (Draft, Reply):
        session.execute(
            sa.update(row)
            .where(row.conversation_id == conversation.id)
            .values(case_id=conversation.case_id)
            .execution_options(synchronize_session="fetch")
        )
    for case in clocks.hold(session, [left_id, conversation.case_id]):
        mark_drafts(session, case)
        mark_failures(session, case)
