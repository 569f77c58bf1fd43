"""A conversation goes on as part of another case, with what is owed in it; and can go back where it came from.

A case whose last conversation left is joined to where that went: it stands in no list, and its page leads on. Its own
status stays as it was, so that it comes back as it left. Each person keeps their own turn; where one person is owed an
answer on both, the earlier date counts, and going back restores both (domain.md section 2, "Merge").
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.cases import clocks
from app.cases.models import Case, Status
from app.errors import Conflict
from app.messages.models import Conversation, Direction, File, Message
from app.office.queries import Rules

_OVER = frozenset({Status.ANSWERED, Status.CLOSED})


def join(session: Session, rules: Rules, conversation: Conversation, into: Case, *, by: int) -> None:
    """Have ``conversation`` go on in the case ``into`` of the same office.

    Raises Conflict where it is there already, or ``into`` was itself joined to another case.
    """
    if into.id == conversation.case_id:
        raise Conflict("It belongs to this case already.")
    if into.merged_into_id is not None:
        raise Conflict("That case was joined to another one. Choose the other one.")
    home_id = conversation.case_id
    _move(session, rules, conversation, into)
    conversation.joined_from_id, conversation.related_case_id = home_id, None
    record(
        session,
        "join_case",
        "case",
        into.id,
        office_id=into.office_id,
        by=by,
        conversation=conversation.id,
        before=home_id,
    )


def split_off(session: Session, rules: Rules, conversation: Conversation, *, by: int) -> Case:
    """Take ``conversation`` back to the case that it was joined from, and return that; Conflict where there is none."""
    if conversation.joined_from_id is None:
        raise Conflict("It was not joined from another case.")
    left_id = conversation.case_id
    home = session.get_one(Case, conversation.joined_from_id)
    _move(session, rules, conversation, home)
    conversation.joined_from_id = None
    record(
        session,
        "split_case",
        "case",
        home.id,
        office_id=home.office_id,
        by=by,
        conversation=conversation.id,
        before=left_id,
    )
    return home


def _move(session: Session, rules: Rules, conversation: Conversation, into: Case) -> None:
    """Messages and obligations go along; both cases show afterwards what is left on them.

    Raises Conflict where somebody else has moved it a moment ago.
    """
    left_id = conversation.case_id
    clocks.hold(session, [left_id, into.id])
    session.refresh(conversation)
    if conversation.case_id != left_id:
        raise Conflict("Somebody has just moved this conversation to another case.")
    left = session.get_one(Case, left_id)
    into.is_unread = into.is_unread or left.is_unread
    clocks.move(session, rules, conversation, into)
    session.execute(
        sa.update(Message)
        .where(Message.conversation_id == conversation.id)
        .values(case_id=into.id)
        .execution_options(synchronize_session="fetch")
    )
    conversation.case_id = into.id
    session.flush()
    _stand(session, rules, left, gone_to=into)
    _stand(session, rules, into, gone_to=None)


def _stand(session: Session, rules: Rules, case: Case, *, gone_to: Case | None) -> None:
    """What a list shows of a case by the conversations that are left; with none, it is joined to ``gone_to``."""
    left = session.scalars(
        sa.select(Conversation).where(Conversation.case_id == case.id).order_by(Conversation.last_at.desc())
    ).first()
    if left is None:
        case.merged_into_id = gone_to.id if gone_to else None
        case.is_open = case.is_unread = False
        clocks.lead(session, case)
        return
    was_joined, case.merged_into_id = case.merged_into_id is not None, None
    if was_joined:
        case.is_open = case.status not in _OVER
    case.conversation_id = left.id
    _show(session, case)
    if not case.is_open and clocks.open_obligations(session, case):
        clocks.reopen(session, rules, case)
    else:
        clocks.lead(session, case)


def _show(session: Session, case: Case) -> None:
    of_case = sa.select(Message).where(Message.case_id == case.id)
    inbound = of_case.where(Message.direction == Direction.INBOUND)
    newest = session.scalars(inbound.order_by(Message.sent_at.desc(), Message.id.desc()).limit(1)).first()
    first = session.scalars(inbound.order_by(Message.sent_at, Message.id).limit(1)).first()
    last_at = session.scalar(sa.select(sa.func.max(Message.sent_at)).where(Message.case_id == case.id))
    case.last_at = last_at or case.last_at
    case.last_inbound_at = newest.sent_at if newest else None
    case.first_received_at = first.sent_at if first else case.first_received_at
    if newest is not None:
        case.snippet = clocks.snippet(newest.reply_text or newest.text)
        case.channel, case.kind, case.audience = newest.channel, newest.kind, newest.audience
    files = sa.exists().where(File.message_id == Message.id, Message.case_id == case.id, File.is_inline.is_(False))
    case.has_files = bool(session.scalar(sa.select(files)))
