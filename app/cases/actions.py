"""What people do with a case, and how one begins. Every verb writes its audit line.

What it means for the clock is in ``clocks``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.cases import clocks
from app.cases.models import (
    Case,
    Decision,
    DecisionKind,
    Note,
    Obligation,
    ObligationState,
    Outcome,
    Status,
)
from app.clock import now
from app.deadlines.chips import NORMAL
from app.deadlines.obligations import NOTHING_OWED_AT, Emergency, is_late
from app.errors import Conflict, Invalid, Missing
from app.messages.models import Message, MessageState
from app.office.models import Queue
from app.office.queries import Rules, rules
from app.staff.models import Membership, Role, Staff
from app.statements import insert
from connectors import Audience, Kind

LONDON = ZoneInfo("Europe/London")
_FARTHEST = timedelta(days=731)

_NUMBER = sa.text(
    "INSERT INTO numbering (office_id, year, last) VALUES (:office_id, :year, 1) "
    "ON CONFLICT (office_id, year) DO UPDATE SET last = numbering.last + 1 RETURNING last"
)


def new_case(
    session: Session,
    rules: Rules,
    *,
    person_id: int,
    subject: str,
    channel: str,
    kind: Kind,
    audience: Audience,
    contact: str,
    received_at: datetime,
    at: datetime,
    is_backlog: bool = False,
    category: str = "",
) -> Case:
    """A new case in the office's default queue, with a reference that can be read over the telephone.

    It is not written down yet, so that what its first message owes can be worked out before; ``begin`` does.
    """
    year = at.astimezone(LONDON).year
    count = session.execute(_NUMBER, {"office_id": rules.office_id, "year": year}).scalar_one()
    return Case(
        office_id=rules.office_id,
        reference=f"{rules.prefix}-{year % 100:02d}-{count:04d}",
        year=year,
        number=count,
        subject=subject,
        queue_id=rules.queue_id,
        opened_at=at,
        first_received_at=received_at,
        person_id=person_id,
        category=category,
        rank=NORMAL,
        due_at=NOTHING_OWED_AT,
        is_backlog=is_backlog,
        channel=channel,
        kind=kind,
        audience=audience,
        contact=contact,
        snippet="",
        last_at=received_at,
        last_inbound_at=None,
    )


def begin(session: Session, case: Case, *, by: int | None = None) -> None:
    """Write a case down for the first time, by a message or ``by`` somebody who writes first.

    It has its id then; the session does not hold it.
    """
    insert(session, case)
    record(session, "open" if by is None else "create", "case", case.id, office_id=case.office_id, by=by)


def take(session: Session, case: Case, *, by: int) -> None:
    """Whoever asks has it from now on."""
    assign(session, case, to=by, by=by)


def assign(session: Session, case: Case, *, to: int, by: int) -> None:
    """Give the case to a member of its office who can work on it.

    Raises Invalid for anybody else, Conflict when it was joined to another case.
    """
    role = session.scalar(
        sa.select(Membership.role)
        .join(Staff, Staff.id == Membership.staff_id)
        .where(
            Membership.office_id == case.office_id,
            Membership.staff_id == to,
            Membership.ended_at.is_(None),
            Staff.active,
        )
    )
    if role is None or role is Role.VIEWER:
        raise Invalid("Only a councillor or caseworker of this office can have a case.", field="to")
    _must_not_be_merged(case)
    before = _holder(case)
    case.owner_id, case.queue_id = to, None
    if case.status in {Status.NEW, Status.ACKNOWLEDGED}:
        case.status = Status.WITH_US
    record(session, "assign", "case", case.id, office_id=case.office_id, by=by, to=to, **before)


def hand_back(session: Session, case: Case, *, reason: str, by: int, at: datetime, queue_id: int | None = None) -> None:
    """Put the case into a queue (the office's default one) with a word to whoever takes it next, kept as a note."""
    if not reason.strip():
        raise Invalid("Say why, so that whoever takes it next knows.", field="reason")
    queue = sa.select(Queue.id).where(Queue.office_id == case.office_id)
    found = session.scalar(queue.where(Queue.id == queue_id) if queue_id else queue.where(Queue.is_default))
    if found is None:
        raise Missing
    before = _holder(case)
    case.owner_id, case.queue_id = None, found
    write_note(session, case, text=reason, by=by, at=at)
    record(session, "hand_back", "case", case.id, office_id=case.office_id, by=by, queue=found, **before)


def release(session: Session, case: Case, *, queue_id: int, by: int) -> None:
    """Undo a take: the case goes back to the queue it came from."""
    if session.scalar(sa.select(Queue.id).where(Queue.office_id == case.office_id, Queue.id == queue_id)) is None:
        raise Missing
    before = _holder(case)
    case.owner_id, case.queue_id = None, queue_id
    record(session, "release", "case", case.id, office_id=case.office_id, by=by, queue=queue_id, **before)


def write_note(session: Session, case: Case, *, text: str, by: int, at: datetime) -> Note:
    """Words of the office to itself; raises Invalid when there are none."""
    text = text.strip()
    if not text:
        raise Invalid("Write something first.", field="text")
    note = Note(office_id=case.office_id, case_id=case.id, by_id=by, at=at, text=text)
    session.add(note)
    session.flush()
    record(session, "note", "case", case.id, office_id=case.office_id, by=by, note=note.id)
    return note


def decide(session: Session, case: Case, *, kind: DecisionKind, reason: str, by: int, at: datetime) -> Decision:
    """Nothing will be answered, and a person says why: what is owed is waived and the case closes.

    "Answered elsewhere" meets it instead. ``undo_decision`` takes it back.
    """
    reason = reason.strip()
    if not reason:
        raise Invalid("Say in a few words why no reply is needed.", field="reason")
    _must_be_open(case)
    decision = Decision(
        office_id=case.office_id, case_id=case.id, kind=kind, reason=reason, by_id=by, at=at, status_before=case.status
    )
    session.add(decision)
    session.flush()
    for owed in clocks.open_obligations(session, case):
        owed.decision_id = decision.id
        if kind is DecisionKind.ANSWERED_ELSEWHERE:  # a call, or an officer's own answer: it counts, by this decision
            owed.state, owed.met_at, owed.is_late = ObligationState.MET, at, is_late(owed.due_at, at)
        else:
            owed.state = ObligationState.WAIVED
    _end(case, _OUTCOMES[kind], at)
    clocks.lead(session, case)
    record(session, "decide", "case", case.id, office_id=case.office_id, by=by, decision=decision.id, kind=kind.value)
    return decision


_OUTCOMES = {
    DecisionKind.NO_REPLY_NEEDED: Outcome.NO_REPLY_NEEDED,
    DecisionKind.NOT_CONSTITUENT: Outcome.NOT_CONSTITUENT,
    DecisionKind.DECLINED: Outcome.DECLINED,
    DecisionKind.ANSWERED_ELSEWHERE: Outcome.ANSWERED,
}


def undo_decision(session: Session, decision: Decision, *, by: int, at: datetime) -> Case:
    """Take a decision back: what it waived is owed again, from the same date (rule 7).

    Raises Conflict when that was done already.
    """
    case = clocks.held(session, decision.case_id)
    session.refresh(decision)
    if decision.undone_at is not None:
        raise Conflict("This was undone already.")
    decision.undone_at, decision.undone_by_id = at, by
    of_it = sa.select(Obligation).where(
        Obligation.decision_id == decision.id,
        Obligation.state.in_([ObligationState.WAIVED, ObligationState.MET]),
    )
    for owed in session.scalars(of_it.order_by(Obligation.id)).all():
        clocks.bring_back(session, rules(session, case.office_id), owed)
    if not case.is_open:
        case.is_open, case.status, case.closed_at, case.outcome = True, decision.status_before, None, None
    clocks.lead(session, case)
    record(session, "undo", "case", case.id, office_id=case.office_id, by=by, decision=decision.id)
    return case


def close(session: Session, case: Case, *, outcome: Outcome, by: int, at: datetime) -> None:
    """Finish a case. What is still owed is shelved, not met: a new message brings it back with its old date (rule 8).

    Raises Conflict when the case is closed already.
    """
    if case.status is Status.CLOSED:
        raise Conflict("This case is closed already.")
    clocks.shelve(session, case)
    _end(case, outcome, at)
    clocks.lead(session, case)
    record(session, "close", "case", case.id, office_id=case.office_id, by=by, outcome=outcome.value)


def reopen(session: Session, case: Case, *, by: int) -> None:
    """A person opens a closed or answered case again; what was shelved is owed again.

    Raises Conflict when it is open already.
    """
    if case.is_open:
        raise Conflict("This case is open already.")
    clocks.reopen(session, rules(session, case.office_id), case)
    record(session, "reopen", "case", case.id, office_id=case.office_id, by=by)


def flag_emergency(session: Session, case: Case, *, kind: Emergency, since: datetime, by: int) -> None:
    """To the top within the hour: a threat, or somebody in danger."""
    _must_be_open(case)
    case.emergency, case.emergency_at = kind, since
    clocks.lead(session, case)
    record(session, "emergency", "case", case.id, office_id=case.office_id, by=by, kind=kind.value)


def stand_down(session: Session, case: Case, *, by: int) -> None:
    """It is no emergency, or no longer one: the pledge's date leads again."""
    case.emergency = case.emergency_at = None
    clocks.lead(session, case)
    record(session, "stand_down", "case", case.id, office_id=case.office_id, by=by)


def set_external_deadline(session: Session, case: Case, *, deadline_at: datetime | None, what: str, by: int) -> None:
    """A dated fact that outranks the pledge: an appeal, a hearing, a newspaper's hour (rule 10).

    ``None`` takes it away. Raises Invalid for one that is years away.
    """
    if deadline_at is not None and abs(deadline_at - now()) > _FARTHEST:
        raise Invalid("Choose a day within two years.", field="on")
    case.external_at, case.external_what = deadline_at, what.strip() if deadline_at else ""
    clocks.lead(session, case)
    record(
        session,
        "deadline",
        "case",
        case.id,
        office_id=case.office_id,
        by=by,
        deadline=deadline_at and deadline_at.isoformat(),
    )


def promise(session: Session, case: Case, *, promised_on: date | None, reason: str, by: int, at: datetime) -> None:
    """Change by hand the date the case sorts by, with a reason that is kept as a note.

    The pledge's date is never overwritten.
    """
    if promised_on is not None:
        check_promise(promised_on, at)
        write_note(session, case, text=reason, by=by, at=at)
    case.promised_on = promised_on
    clocks.lead(session, case)
    record(
        session, "promise", "case", case.id, office_id=case.office_id, by=by, on=promised_on and promised_on.isoformat()
    )


def check_promise(promised_on: date, at: datetime) -> None:
    """Raises Invalid for a day on which nobody can promise anything: it is over, or years away."""
    today = at.astimezone(LONDON).date()
    if promised_on < today:
        raise Invalid("Promise a day that is still to come.", field="promised_on")
    if promised_on > today + _FARTHEST:
        raise Invalid("Choose a day within two years.", field="promised_on")


def set_topic(session: Session, case: Case, *, topic: str, by: int) -> None:
    """What it is about, in the office's own word."""
    case.topic = topic.strip()[:40]
    record(session, "topic", "case", case.id, office_id=case.office_id, by=by)


def read(session: Session, case: Case, *, by: int) -> None:
    """Somebody has looked at it: no longer unread."""
    case.is_unread = False
    session.execute(
        sa.update(Message)
        .where(Message.case_id == case.id, Message.state == MessageState.NEW)
        .values(state=MessageState.SEEN)
        .execution_options(synchronize_session=False)
    )
    record(session, "read", "case", case.id, office_id=case.office_id, by=by)


def mark_unread(session: Session, case: Case, *, by: int) -> None:
    """As if nobody had looked."""
    case.is_unread = True
    record(session, "unread", "case", case.id, office_id=case.office_id, by=by)


def recompute(session: Session, office_id: int, case_ids: Collection[int], at: datetime) -> int:
    """The office's calendar changed: dates of open obligations of these cases anew, each move in the audit trail.

    Returns how many moved (rule 9).
    """
    moved = clocks.recompute(session, rules(session, office_id), case_ids, at=at)
    for obligation_id, (old, new) in moved.items():
        facts = {"old": old.isoformat(), "new": new.isoformat()}
        record(session, "recompute", "obligation", obligation_id, office_id=office_id, by=None, **facts)
    return len(moved)


def _end(case: Case, outcome: Outcome, at: datetime) -> None:
    """What stood at its clock (emergency, deadline, promise) stays: undoing brings it back."""
    case.status, case.is_open, case.closed_at, case.outcome = Status.CLOSED, False, at, outcome
    case.is_unread = False


def _must_be_open(case: Case) -> None:
    if not case.is_open:
        raise Conflict("This case is closed. Reopen it first.")


def _must_not_be_merged(case: Case) -> None:
    if case.merged_into_id is not None:
        raise Conflict("This case was joined to another one.")


def _holder(case: Case) -> dict[str, int | None]:
    return {"from_owner": case.owner_id, "from_queue": case.queue_id}
