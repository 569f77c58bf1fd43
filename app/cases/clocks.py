"""What is owed on a case: turns open, join, are met, waived, shelved and come back.

A turn is one ``reply`` obligation per person and case, with an ``acknowledge`` beside it. The rules are domain.md
section 2 and its settled readings; the dates are worked out in ``app.deadlines``, which is pure. Whatever changes here
ends in ``lead``, which writes on the case what a list sorts by.

    received → open ──answered────→ met ──unanswered──→ open, old date
                 ├────waived──────→ waived ──undone───→ open, same date
                 └────case closed─→ shelved ──new message─→ open, old date
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case, Obligation, ObligationKind, ObligationState, Purpose, Status
from app.channels.models import Account
from app.clock import now
from app.deadlines import obligations as dates
from app.deadlines.chips import NORMAL, rank_of
from app.messages.models import Conversation, Direction, Message
from app.office.models import Track
from app.office.queries import Rules
from connectors import Audience, Kind

SNIPPET = 160  # characters of a message that a row of the list shows


def received(session: Session, rules: Rules, case: Case, conversation: Conversation, message: Message) -> None:
    """A message came in: its turn opens or joins the open one, a closed case reopens, and the list's row says so.

    Automatic mail and bounces owe nothing and reopen nothing (rule 7).
    """
    _show(case, conversation, message)
    if not (message.is_auto or message.is_bounce):
        _turn(session, rules, case, message)
        if case.status is Status.WITH_CONSTITUENT:
            case.waiting_since = case.waiting_until = None
            case.status = Status.WITH_US
        if not case.is_open:
            _reopen(case)
    lead(session, case)


def begin(
    session: Session, rules: Rules, case: Case, message: Message, window_ends_at: datetime | None
) -> list[Obligation]:
    """``received`` for the message that its case begins with: what it owes, and on the case what a list shows.

    Nothing can be owed on it yet, so nothing is looked up and nothing is written: neither row needs to have its id, and
    the obligations get theirs, and the message's, when they are.
    """
    case.last_at = case.last_inbound_at = message.sent_at
    case.snippet = snippet(message.reply_text or message.text)
    case.is_backlog = message.is_backlog
    owed = [] if message.is_auto or message.is_bounce else _new_turn(session, rules, case, message, ())
    _place(case, owed, [window_ends_at] if window_ends_at is not None and window_ends_at > now() else [], now())
    return owed


def answered(
    session: Session,
    rules: Rules,
    case: Case,
    message: Message,
    *,
    purpose: Purpose,
    seen_message_id: int,
    promised_on: date | None = None,
    stays_open: bool = False,
) -> None:
    """The platform accepted an answer: what it meets is met at ``message.sent_at`` (rules 4 and 5).

    ``seen_message_id`` is the newest message the writer had seen. What the resident wrote after it was not answered by
    this: it opens a turn of its own. ``stays_open`` keeps the case in the inbox although nothing is owed.
    """
    kinds = (
        {ObligationKind.ACKNOWLEDGE}
        if purpose is not Purpose.ANSWER
        else {ObligationKind.ACKNOWLEDGE, ObligationKind.REPLY}
    )
    for owed in _of_person(session, case, message.person_id, ObligationState.OPEN):
        if owed.kind in kinds:
            _meet(owed, message)
    case.last_at = max(case.last_at, message.sent_at)
    if purpose is Purpose.HOLDING:
        case.promised_on = promised_on
    elif purpose is Purpose.ANSWER:
        case.promised_on = None
        case.is_reopened_late = False
    session.flush()
    crossed = _crossed(session, case, message, seen_message_id)
    for late in crossed if purpose is Purpose.ANSWER else ():
        _turn(session, rules, case, late)
    _settle(session, case, purpose=purpose, stays_open=stays_open)
    lead(session, case)


def unanswered(session: Session, rules: Rules, case: Case, message: Message) -> None:
    """An answer did not arrive after all: whatever it had met comes back with its old date (rule 4).

    Unless a second accepted answer stands: then that one meets it, with its own time. Where a newer turn is open by
    now, the two fold into one with the older date.
    """
    for owed in session.scalars(sa.select(Obligation).where(Obligation.met_by_id == message.id)):
        other = _standing_answer(session, owed, but_not=message)
        if other is not None:
            _meet(owed, other)
        else:
            bring_back(session, rules, owed)
    if case.status is Status.ANSWERED:
        _reopen(case)
    lead(session, case)


def bring_back(session: Session, rules: Rules, owed: Obligation) -> None:
    """Open an obligation again with its old date, under today's calendar.

    A newer open one of its person folds into it.
    """
    newer = session.scalar(
        sa.select(Obligation).where(
            Obligation.case_id == owed.case_id,
            Obligation.person_id == owed.person_id,
            Obligation.kind == owed.kind,
            Obligation.state == ObligationState.OPEN,
            Obligation.id != owed.id,
        )
    )
    if newer is not None:
        newer.state = ObligationState.FOLDED
        owed.chasers += newer.chasers + 1
        session.flush()  # one open obligation per person and kind: the index would refuse two, even for a moment
    owed.state = ObligationState.OPEN
    owed.met_at = owed.met_by_id = owed.is_late = owed.decision_id = None
    owed.is_excused = False
    _count_again(rules, owed, now())


def shelve(session: Session, case: Case) -> None:
    """The case is closed with answers owed.

    They wait for a new message, which brings them back with their old date (rule 8).
    """
    for owed in open_obligations(session, case):
        owed.state = ObligationState.SHELVED


def recompute(session: Session, rules: Rules, *, at: datetime) -> dict[int, tuple[datetime, datetime]]:
    """The calendar changed: the date of every open obligation of the office anew (rule 9).

    Returns the old and the new date of each that moved, by its id. Verdicts already given stay, but a lateness that an
    added holiday removes is marked excused.
    """
    moved: dict[int, tuple[datetime, datetime]] = {}
    cases: dict[int, Case] = {}
    mine = sa.select(Obligation, Case).join(Case).where(Obligation.office_id == rules.office_id)
    for owed, case in session.execute(mine.where(Obligation.state == ObligationState.OPEN)):
        old = owed.due_at
        _count_again(rules, owed, at)
        if owed.due_at != old:
            moved[owed.id], cases[case.id] = (old, owed.due_at), case
    for owed, _ in session.execute(mine.where(Obligation.is_late.is_(True), Obligation.is_excused.is_(False))):
        due = dates.due(owed.received_at, owed.days + owed.paused_days, rules.calendar, not_before=owed.not_before_at)
        owed.is_excused = owed.met_at is not None and not dates.is_late(due.at, owed.met_at)
    for case in cases.values():
        lead(session, case)
    return moved


def windows_ended(session: Session, *, at: datetime) -> int:
    """A platform's window closed while nobody answered: the pledge leads again.

    Returns how many cases that concerned.
    """
    query = sa.select(Case).where(Case.is_open, Case.due_kind == dates.Kind.WINDOW, Case.due_at <= at)
    ended = list(session.scalars(query))
    for case in ended:
        lead(session, case)
    return len(ended)


def lead(session: Session, case: Case) -> None:
    """Write on the case the most urgent of what is owed: its rank, its date, and the conversation it is owed in.

    The earliest leads among the pledge, the platform's window and an external deadline; a promise stands instead of the
    pledge (domain.md, "Promise"); emergencies come before all; waiting for the constituent and what was there before
    Postbag come last.
    """
    session.flush()
    owed = open_obligations(session, case)
    windows = [conversation.window_ends_at for conversation in _conversations(session, owed)]
    first = min(owed, key=lambda one: (one.due_at, one.id), default=None)
    if first is not None:
        case.conversation_id = first.conversation_id
    _place(case, owed, [end for end in windows if end is not None and end > now()], now())


def open_obligations(session: Session, case: Case) -> list[Obligation]:
    """What is owed on ``case`` now, soonest first."""
    return list(session.scalars(_OPEN, {"case_id": case.id}))


# Said once: a statement costs more to put together than to run, and every message runs these.
_OPEN = (
    sa.select(Obligation)
    .where(Obligation.case_id == sa.bindparam("case_id"), Obligation.state == ObligationState.OPEN)
    .order_by(Obligation.due_at, Obligation.id)
)
_CONNECTED = sa.select(Account.connected_at).where(Account.id == sa.bindparam("account_id"))
_OF_PERSON = (
    sa.select(Obligation)
    .where(
        Obligation.case_id == sa.bindparam("case_id"),
        Obligation.person_id == sa.bindparam("person_id"),
        Obligation.state == sa.bindparam("state"),
    )
    .order_by(Obligation.id)
)


def _place(case: Case, owed: list[Obligation], windows: list[datetime], at: datetime) -> None:
    if not case.is_open:
        case.rank, case.due_at, case.due_kind = NORMAL, dates.NOTHING_OWED_AT, dates.Kind.PLEDGE
        return
    is_waiting = case.status is Status.WITH_CONSTITUENT
    pledged = min((one.due_at for one in owed), default=None)
    answer = min((one.due_at for one in owed if one.kind is ObligationKind.REPLY), default=None)
    if case.external_at is not None and answer is not None and case.external_at <= answer:
        pledged = answer  # it outranks the pledge to answer, whatever of acknowledging is owed sooner (rule 10)
    leading = dates.leading(
        at,
        pledge_at=case.waiting_until if is_waiting and case.waiting_until else pledged,
        promised_at=dates.promised_at(case.promised_on) if case.promised_on and owed else None,
        window_ends_at=min(windows, default=None) if owed else None,
        external_at=case.external_at,
        emergency_at=dates.emergency_due_at(case.emergency_at) if case.emergency and case.emergency_at else None,
    )
    case.rank = rank_of(
        leading,
        is_reopened_late=case.is_reopened_late and bool(owed),
        is_waiting=is_waiting,
        is_backlog=all(one.is_backlog for one in owed) if owed else case.is_backlog,
    )
    case.due_at, case.due_kind = (leading.at, leading.kind) if leading else (dates.NOTHING_OWED_AT, dates.Kind.PLEDGE)


def _show(case: Case, conversation: Conversation, message: Message) -> None:
    """What the row of a list shows of the newest message."""
    conversation.last_message_id = max(conversation.last_message_id, message.id)
    conversation.last_at = max(conversation.last_at, message.sent_at)
    conversation.last_inbound_at = max(conversation.last_inbound_at or message.sent_at, message.sent_at)
    is_newest = case.last_inbound_at is None or message.sent_at >= case.last_inbound_at
    case.last_at = max(case.last_at, message.sent_at)
    if is_newest:
        case.last_inbound_at = message.sent_at
        case.snippet = snippet(message.reply_text or message.text)
        case.channel, case.kind, case.audience = message.channel, message.kind, message.audience
        case.conversation_id = conversation.id
    case.is_unread = True
    if not message.is_backlog:
        case.is_backlog = False


def snippet(text: str) -> str:
    """The beginning of ``text`` on one line, ``SNIPPET`` characters at most."""
    line = " ".join(text[: 4 * SNIPPET].split())
    return line if len(line) <= SNIPPET else line[: SNIPPET - 1].rstrip() + "…"


def _turn(session: Session, rules: Rules, case: Case, message: Message) -> None:
    """Open the turn that ``message`` begins, or let it join the one that is open or shelved (rules 3 and 8)."""
    standing = _of_person(session, case, message.person_id, ObligationState.OPEN)
    if not any(owed.kind is ObligationKind.REPLY for owed in standing):
        shelved = [
            one
            for one in _of_person(session, case, message.person_id, ObligationState.SHELVED)
            if one.kind is ObligationKind.REPLY
        ]
        if not shelved:
            session.add_all(_new_turn(session, rules, case, message, standing))
            return
        bring_back(session, rules, min(shelved, key=lambda one: one.received_at))
        standing = _of_person(session, case, message.person_id, ObligationState.OPEN)
    for owed in standing:
        _join(rules, owed, message)
    if any(owed.kind is ObligationKind.REPLY and owed.due_at <= message.sent_at for owed in standing):
        case.is_reopened_late = True  # a chaser after the date jumps the queue (rule 8)


def _new_turn(
    session: Session, rules: Rules, case: Case, message: Message, standing: Iterable[Obligation]
) -> list[Obligation]:
    """What the turn that ``message`` opens owes beside what is ``standing``; not written down yet."""
    pledge = rules.pledge(track(message.audience, message.kind))
    days = {ObligationKind.ACKNOWLEDGE: pledge.acknowledge_days, ObligationKind.REPLY: pledge.answer_days}
    not_before_at = _connected_at(session, message) if message.is_backlog else None
    owed = []
    for kind in days.keys() - {one.kind for one in standing}:
        due = dates.due(message.sent_at, days[kind], rules.calendar, not_before=not_before_at)
        owed.append(
            Obligation(
                office_id=case.office_id,
                case_id=case.id or 0,
                conversation_id=message.conversation_id,
                person_id=_person(message),
                message_id=message.id or 0,
                pledge_id=pledge.id,
                kind=kind,
                received_at=message.sent_at,
                not_before_at=not_before_at,
                days=days[kind],
                due_at=due.at,
                calendar=rules.calendar.version,
                is_provisional=due.provisional,
                is_backlog=message.is_backlog,
            )
        )
    return owed


def _connected_at(session: Session, message: Message) -> datetime:
    return session.scalar(_CONNECTED, {"account_id": message.account_id}) or message.fetched_at


def _join(rules: Rules, owed: Obligation, message: Message) -> None:
    """A further message of the turn: counted; its date moves only earlier, when the message was merely found late."""
    if message.sent_at >= owed.received_at:
        owed.chasers += 1
        return
    owed.received_at = message.sent_at
    due = dates.due(message.sent_at, owed.days, rules.calendar, not_before=owed.not_before_at)
    owed.due_at = min(owed.due_at, due.at)


def _count_again(rules: Rules, owed: Obligation, at: datetime) -> None:
    due = dates.recomputed(
        received_at=owed.received_at,
        days=owed.days + owed.paused_days,
        old_due_at=owed.due_at,
        calendar=rules.calendar,
        now=at,
        not_before=owed.not_before_at,
    )
    owed.due_at, owed.calendar, owed.is_provisional = due.at, rules.calendar.version, due.provisional


def _meet(owed: Obligation, message: Message) -> None:
    owed.state = ObligationState.MET
    owed.met_at, owed.met_by_id = message.sent_at, message.id
    owed.is_late = dates.is_late(owed.due_at, message.sent_at)


def _crossed(session: Session, case: Case, message: Message, seen_message_id: int) -> list[Message]:
    query = sa.select(Message).where(
        Message.case_id == case.id,
        Message.id > seen_message_id,
        Message.person_id == message.person_id,
        Message.direction == Direction.INBOUND,
        Message.is_auto.is_(False),
        Message.is_bounce.is_(False),
    )
    return list(session.scalars(query.order_by(Message.id)))


def _standing_answer(session: Session, owed: Obligation, *, but_not: Message) -> Message | None:
    """The first other answer that was accepted after the turn opened and is of a purpose that meets ``owed``."""
    purposes = [Purpose.ANSWER] if owed.kind is ObligationKind.REPLY else list(Purpose)
    query = sa.select(Message).where(
        Message.case_id == owed.case_id,
        Message.person_id == owed.person_id,
        Message.direction == Direction.OUTBOUND,
        Message.purpose.in_(purposes),
        Message.is_failed.is_(False),
        Message.id != but_not.id,
        Message.id > owed.message_id,
    )
    return session.scalar(query.order_by(Message.id).limit(1))


def _settle(session: Session, case: Case, *, purpose: Purpose, stays_open: bool) -> None:
    """What an accepted answer makes of the case's status."""
    still_owed = any(owed.kind is ObligationKind.REPLY for owed in open_obligations(session, case))
    if purpose is Purpose.ANSWER and not still_owed and not stays_open:
        case.status, case.is_open = Status.ANSWERED, False
        case.emergency = None
        case.external_at = None
    elif case.status is Status.NEW:
        case.status = Status.ACKNOWLEDGED


def _reopen(case: Case) -> None:
    case.is_open = True
    case.status = Status.WITH_US
    case.closed_at = case.outcome = None


def _of_person(session: Session, case: Case, person_id: int | None, state: ObligationState) -> list[Obligation]:
    return list(session.scalars(_OF_PERSON, {"case_id": case.id, "person_id": person_id, "state": state}))


def _conversations(session: Session, owed: Iterable[Obligation]) -> list[Conversation]:
    return [session.get_one(Conversation, one) for one in sorted({one.conversation_id for one in owed})]


def _person(message: Message) -> int:
    if message.person_id is None:
        msg = f"message {message.id} came from nobody"
        raise ValueError(msg)
    return message.person_id


def track(audience: Audience, kind: Kind) -> Track:
    """Which pledge a message falls under: public posts, direct messages, or mail and everything else."""
    if audience is Audience.PUBLIC:
        return Track.PUBLIC
    return Track.DIRECT if kind is Kind.DIRECT_MESSAGE else Track.OTHER
