"""What is owed on a case: turns open, join, are met, waived, shelved and come back.

A turn is one ``reply`` obligation per person and case, with an ``acknowledge`` beside it. The rules are domain.md
section 2 and its settled readings; the dates are worked out in ``app.deadlines``, which is pure. Whatever changes here
ends in ``lead``, which writes on the case what a list sorts by.

    received → open ──answered────→ met ──unanswered──→ open, old date
                 ├────waived──────→ waived ──undone───→ open, same date
                 └────case closed─→ shelved ──new message─→ open, old date
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case, Obligation, ObligationKind, ObligationState, Purpose, Status
from app.channels.models import Account
from app.clock import now
from app.deadlines import obligations as dates
from app.deadlines.chips import NORMAL, rank_of
from app.messages.models import Conversation, Direction, Message, Partner
from app.office.models import Track
from app.office.queries import Rules, calendar
from app.people.models import Person
from connectors import Audience, Kind

_MET_BY = {
    ObligationKind.REPLY: {Purpose.ANSWER},
    ObligationKind.ACKNOWLEDGE: {Purpose.ANSWER, Purpose.HOLDING, Purpose.ACKNOWLEDGEMENT},
}
SNIPPET = 160  # characters of a message that a row of the list shows
HEADING = 80  # characters of it that stand in for a subject
_SALUTATION = re.compile(r"[^\n]{1,60},[^\S\n]*\n\s*")
# A line, or what of it ends a sentence: neither "26.4" nor "Mr." does, nor does the "Thanks." before what it is about.
_SENTENCE = re.compile(r".{16,}?(?:(?<=[^\s.]{4})[.!?…]+(?=\s)|[。！？])|.+")  # noqa: RUF001 - as Chinese and Japanese end theirs


def received(session: Session, rules: Rules, case: Case, conversation: Conversation, message: Message) -> None:
    """A message came in: its turn opens or joins the open one, a closed case reopens, and the list's row says so.

    Automatic mail and bounces owe nothing and reopen nothing (rule 7). What an officer or another representative writes
    owes nothing either: it ends the officer's clock, and has the case looked at again.
    """
    _show(case, conversation, message)
    if conversation.partner is not Partner.RESIDENT:
        _heard_back(session, rules, case, conversation, message)
    elif not (message.is_auto or message.is_bounce):
        _follow_person(session, case, conversation, message)
        if not case.is_open:
            _reopen(case)
            _forget_what_is_over(case, message.sent_at)
        if session.new:
            session.flush()  # a turn that an earlier message of this transaction opened has to be found
        with session.no_autoflush:  # what has changed so far is written once, at the end
            standing = _standing(session, case)
        owed = _turn(session, rules, case, message, standing)
        if case.status is Status.WITH_CONSTITUENT:
            case.waiting_since = case.waiting_until = None
            case.status = Status.WITH_US
        _lead(session, case, owed)
        return
    lead(session, case)


def begin(
    session: Session, rules: Rules, case: Case, message: Message, window_ends_at: datetime | None
) -> list[Obligation]:
    """``received`` for the message that its case begins with: what it owes, and on the case what a list shows.

    Nothing can be owed on it yet, so nothing is looked up and nothing is written: neither row needs to have its id, and
    the obligations get theirs, and the message's, when they are.
    """
    case.last_at = case.last_inbound_at = message.sent_at
    words = message.reply_text or message.text
    case.snippet = snippet(words if message.subject.strip() else heading(words)[1])
    case.is_backlog = message.is_backlog
    owed = [] if message.is_auto or message.is_bounce else _new_turn(session, rules, case, message, ())
    _place(case, owed, [window_ends_at] if window_ends_at is not None and window_ends_at > now() else [], now())
    return owed


def edited(session: Session, rules: Rules, case: Case, message: Message, *, seen_at: datetime) -> None:
    """What somebody had written says something else now: where nothing is owed for it any more, that is a new turn.

    Its clock starts when the edit was seen, as platforms do not say when it was made.
    """
    case.is_unread = True
    if not (message.is_auto or message.is_bounce or _owes_reply(session, case, message.person_id)):
        if not case.is_open:
            _reopen(case)
            _forget_what_is_over(case, seen_at)
        standing = _of_person(session, case, message.person_id, ObligationState.OPEN)
        session.add_all(_new_turn(session, rules, case, message, standing, since=seen_at))
    lead(session, case)


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
    this: a turn that it opened stays owed, and where it had joined the one that is met now, it opens its own.
    ``stays_open`` keeps the case in the inbox although nothing is owed. A case that a person closed meanwhile stays
    closed: what is owed on it is shelved.

    The caller holds the case (``held``): a message that comes in at this moment is either seen here
    or finds everything met.
    """
    standing = _of_person(session, case, message.person_id, ObligationState.OPEN)
    for owed in standing + _of_person(session, case, message.person_id, ObligationState.SHELVED):
        if purpose in _MET_BY[owed.kind] and owed.message_id <= seen_message_id:
            _meet(owed, message)
    case.last_at = max(case.last_at, message.sent_at)
    if case.last_inbound_at is None:
        case.snippet = snippet(message.text)  # nothing came in that a list could show instead
    if purpose is Purpose.HOLDING:
        case.promised_on = promised_on
    elif purpose is Purpose.ANSWER:
        case.promised_on = None
        case.is_reopened_late = False
    session.flush()
    if purpose is Purpose.ANSWER and not _owes_reply(session, case, message.person_id):
        for late in _crossed(session, case, message, seen_message_id):
            _turn(session, rules, case, late, _standing(session, case))
    if case.is_open:
        _settle(session, case, purpose=purpose, stays_open=stays_open)
    else:
        session.flush()
        shelve(session, case)
    lead(session, case)


def referred(session: Session, rules: Rules, case: Case, conversation: Conversation, message: Message) -> None:
    """An officer was asked, and their clock runs beside the resident's, which it never stops (rule 6).

    Asked again while they are awaited, they keep their date. Another representative who was told has none. The case
    stands in the inbox while an officer is awaited, unless a person has closed it.
    """
    case.last_at = max(case.last_at, message.sent_at)
    if conversation.partner is Partner.OFFICER:
        case.officer = session.scalar(sa.select(Person.name).where(Person.id == conversation.person_id)) or ""
        if case.officer_since is None:
            days = rules.pledge(track(case.audience, case.kind)).officer_answer_days
            case.officer_since = message.sent_at
            case.officer_due_at = dates.due(message.sent_at, days, rules.calendar).at
        if case.status not in {Status.CLOSED, Status.WITH_CONSTITUENT}:
            case.is_open, case.status = True, Status.WITH_OFFICER
    lead(session, case)


def unanswered(session: Session, rules: Rules, case: Case, message: Message) -> None:
    """An answer did not arrive after all: whatever it had met comes back with its old date (rule 4).

    Unless a second accepted answer stands: then that one meets it, with its own time. Where a newer turn is open by
    now, the two fold into one with the older date. Of an officer who was not reached nothing is awaited.
    """
    if message.purpose == Purpose.REFERRAL:
        _nobody_awaited(case)
    for owed in session.scalars(sa.select(Obligation).where(Obligation.met_by_id == message.id)).all():
        other = _standing_answer(session, owed, after=message)
        if other is not None:
            _meet(owed, other)
        else:
            bring_back(session, rules, owed)
    reopen(session, rules, case)


def reopen(session: Session, rules: Rules, case: Case) -> None:
    """Into the inbox again, with whatever was shelved when the case was closed."""
    if not case.is_open:
        _reopen(case)
        shelved = sa.select(Obligation).where(
            Obligation.case_id == case.id, Obligation.state == ObligationState.SHELVED
        )
        for owed in session.scalars(shelved.order_by(Obligation.id)).all():
            bring_back(session, rules, owed)
    lead(session, case)


def bring_back(session: Session, rules: Rules, owed: Obligation) -> None:
    """Open an obligation again with its old date, under today's calendar.

    One of its person that is open by now folds into it; the older date counts.
    """
    at = now()
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
        session.flush()  # one open obligation per person and kind: the index would refuse two, even for a moment
    owed.state = ObligationState.OPEN
    owed.met_at = owed.met_by_id = owed.is_late = owed.decision_id = None
    owed.is_excused = False
    _count_again(rules, owed, at)
    if newer is not None:
        _merge(owed, newer)


def _merge(owed: Obligation, folded: Obligation) -> None:
    """Two turns of one person are one from now on: the earlier date, every chaser, backlog only where both are."""
    owed.chasers += folded.chasers + 1
    owed.is_backlog = owed.is_backlog and folded.is_backlog
    if folded.due_at < owed.due_at:
        for name in ("received_at", "not_before_at", "days", "paused_days", "due_at", "calendar", "is_provisional"):
            setattr(owed, name, getattr(folded, name))


def move(session: Session, rules: Rules, conversation: Conversation, into: Case) -> None:
    """What is owed in ``conversation`` is owed on ``into`` from now on; the caller holds both cases.

    A turn of a person who has one there already folds into it, the earlier date counts. One that had folded that way
    before, and is moved out from under it, is a turn of its own again.
    """
    session.flush()
    there = {(one.person_id, one.kind): one for one in open_obligations(session, into)}
    left = sa.select(Obligation).where(Obligation.case_id == conversation.case_id)
    here = session.scalars(left.where(Obligation.conversation_id == conversation.id)).all()
    absorbing = {
        (one.person_id, one.kind)
        for one in session.scalars(left.where(Obligation.state == ObligationState.OPEN)).all()
        if one.conversation_id != conversation.id
    }
    for owed in here:
        key = (owed.person_id, owed.kind)
        if owed.state is ObligationState.FOLDED and key in absorbing and key not in there:
            owed.state = ObligationState.OPEN
            _count_again(rules, owed, now())
            there[key] = owed
        elif owed.state is ObligationState.OPEN and key in there:
            owed.state = ObligationState.FOLDED
            _merge(there[key], owed)
        owed.case_id = into.id
    session.flush()


def shelve(session: Session, case: Case) -> None:
    """The case is closed with answers owed.

    They wait for a new message, which brings them back with their old date (rule 8).
    """
    for owed in open_obligations(session, case):
        owed.state = ObligationState.SHELVED


def outdated(session: Session, rules: Rules) -> list[int]:
    """The cases of the office whose open dates another calendar gave than today's, in the order of their ids."""
    query = sa.select(Obligation.case_id).where(
        Obligation.office_id == rules.office_id,
        Obligation.state == ObligationState.OPEN,
        Obligation.calendar != rules.calendar.version,
    )
    return list(session.scalars(query.distinct().order_by(Obligation.case_id)))


def offices_outdated(session: Session) -> list[int]:
    """The offices with ``outdated`` cases.

    There are some after a message was taken in just as the calendar changed, and after an upgrade that brought newer
    holidays.
    """
    given = sa.select(Obligation.office_id, Obligation.calendar).where(Obligation.state == ObligationState.OPEN)
    found = session.execute(given.distinct()).all()
    versions = {office_id: calendar(session, office_id).version for office_id, _ in found}
    return sorted({office_id for office_id, version in found if version != versions[office_id]})


def recompute(
    session: Session, rules: Rules, case_ids: Collection[int], *, at: datetime
) -> dict[int, tuple[datetime, datetime]]:
    """The calendar changed: the date of every open obligation of these cases anew (rule 9).

    Returns the old and the new date of each that moved, by its id.
    """
    moved: dict[int, tuple[datetime, datetime]] = {}
    for case in hold(session, case_ids):
        owed = open_obligations(session, case)
        before = {one.id: one.due_at for one in owed}
        for one in owed:
            _count_again(rules, one, at)
        changed = {one.id: (before[one.id], one.due_at) for one in owed if one.due_at != before[one.id]}
        if changed:
            lead(session, case)
        moved |= changed
    return moved


def excuse(session: Session, rules: Rules) -> int:
    """Mark each lateness that a holiday added since removes, and return how many (rule 9). Verdicts given stay."""
    late = sa.select(Obligation).where(
        Obligation.office_id == rules.office_id,
        Obligation.state == ObligationState.MET,
        Obligation.is_late.is_(True),
        Obligation.is_excused.is_(False),
    )
    excused = 0
    for owed in session.scalars(late.with_for_update(key_share=True)).all():
        due = dates.due(owed.received_at, owed.days + owed.paused_days, rules.calendar, not_before=owed.not_before_at)
        owed.is_excused = owed.met_at is not None and not dates.is_late(due.at, owed.met_at)
        excused += owed.is_excused
    return excused


def windows_ended(session: Session, *, at: datetime) -> int:
    """A platform's window closed while nobody answered: the pledge leads again.

    Returns how many cases that concerned.
    """
    query = sa.select(Case.id).where(Case.is_open, Case.due_kind == dates.Kind.WINDOW, Case.due_at <= at)
    ended = hold(session, session.scalars(query).all())
    for case in ended:
        lead(session, case)
    return len(ended)


def hold(session: Session, case_ids: Collection[int]) -> list[Case]:
    """These cases as they are now, kept from everybody else until the transaction ends; in the order of their ids.

    Whoever changes what is owed on a case, or what a list shows of it, holds it first and looks at the rest then: so a
    message that comes in, an answer that goes out and a click never overlook one another. Always in the same order, so
    that nobody waits for whom they keep waiting. (SQLite has one writer at a time anyhow.)
    """
    session.flush()
    query = sa.select(Case).where(Case.id.in_(case_ids)).order_by(Case.id)
    fresh = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return list(session.scalars(fresh)) if case_ids else []


def held(session: Session, case_id: int) -> Case:
    """``hold`` for one."""
    return hold(session, [case_id])[0]


def held_of(session: Session, conversation: Conversation) -> Case:
    """``held`` for the case of ``conversation``, which may just have been joined to another."""
    while True:
        case = held(session, conversation.case_id)
        session.refresh(conversation)
        if conversation.case_id == case.id:
            return case


def lead(session: Session, case: Case) -> None:
    """Write on the case the most urgent of what is owed: its rank, its date, and the conversation it is owed in.

    The earliest leads among the pledge, the platform's window and an external deadline; a promise stands instead of the
    pledge (domain.md, "Promise"); emergencies come before all; waiting for the constituent and what was there before
    Postbag come last.
    """
    session.flush()
    _lead(session, case, open_obligations(session, case))


def _lead(session: Session, case: Case, owed: list[Obligation]) -> None:
    """The same where what is owed is known, be it written down or not; of one date the first leads."""
    windows = [conversation.window_ends_at for conversation in _conversations(session, owed)]
    first = min(owed, key=lambda one: one.due_at, default=None)
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
_STANDING = (
    sa.select(Obligation)
    .where(
        Obligation.case_id == sa.bindparam("case_id"),
        Obligation.state.in_([ObligationState.OPEN, ObligationState.SHELVED]),
    )
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
    case.first_received_at = min(case.first_received_at, message.sent_at)
    if is_newest:
        case.last_inbound_at = message.sent_at
        case.snippet = snippet(message.reply_text or message.text)
        if conversation.partner is Partner.RESIDENT:
            case.channel, case.kind, case.audience = message.channel, message.kind, message.audience
            case.conversation_id = conversation.id
    case.is_unread = True
    if not (message.is_backlog or message.is_auto or message.is_bounce):
        case.is_backlog = False


def snippet(text: str) -> str:
    """The beginning of ``text`` on one line, ``SNIPPET`` characters at most."""
    line = " ".join(text[: 4 * SNIPPET].split())
    return line if len(line) <= SNIPPET else line[: SNIPPET - 1].rstrip() + "…"


def heading(text: str) -> tuple[str, str]:
    """What stands in for the subject of a message that has none, and the words that follow it.

    The first sentence or line after the salutation, ``HEADING`` characters at most: a longer one is cut at a word and
    goes on in the rest.
    """
    text = text[: 8 * SNIPPET].strip()
    text = _SALUTATION.sub("", text, count=1) if _SALUTATION.match(text) else text
    found = _SENTENCE.match(text)
    first = " ".join(found.group().split()) if found else ""
    if len(first) <= HEADING:
        return first, text[found.end() :].strip() if found else ""
    cut = first[: HEADING - 1]
    words = cut if first[HEADING - 1] == " " else cut.rpartition(" ")[0] or cut
    rest = " ".join(text.split())[len(words) :].strip()
    return words.rstrip() + "…", f"…{rest}"


def _heard_back(session: Session, rules: Rules, case: Case, conversation: Conversation, message: Message) -> None:
    """An officer's automatic answer says only that they are away: they are awaited all the same."""
    if message.is_auto or message.is_bounce:
        return
    if conversation.partner is Partner.OFFICER:
        _nobody_awaited(case)
    if not case.is_open:
        reopen(session, rules, case)


def _nobody_awaited(case: Case) -> None:
    case.officer_since = case.officer_due_at = None
    if case.status is Status.WITH_OFFICER:
        case.status = Status.WITH_US


def _turn(session: Session, rules: Rules, case: Case, message: Message, standing: list[Obligation]) -> list[Obligation]:
    """Open the turn that ``message`` begins, or let it join the one that is open or shelved (rules 3 and 8).

    ``standing`` is what is open or shelved on the case, soonest first; what is open afterwards comes back.
    """
    theirs = _open_of(standing, message)
    if not any(owed.kind is ObligationKind.REPLY for owed in theirs):
        shelved = [
            one
            for one in standing
            if one.person_id == message.person_id
            and one.kind is ObligationKind.REPLY
            and one.state is ObligationState.SHELVED
        ]
        if not shelved:
            new = _new_turn(session, rules, case, message, theirs)
            session.add_all(new)
            return [one for one in standing if one.state is ObligationState.OPEN] + new
        bring_back(session, rules, min(shelved, key=lambda one: one.received_at))
        standing = _standing(session, case)
        theirs = _open_of(standing, message)
    for owed in theirs:
        _join(session, rules, owed, message)
    if any(owed.kind is ObligationKind.REPLY and owed.due_at <= message.sent_at for owed in theirs):
        case.is_reopened_late = True  # a chaser after the date jumps the queue (rule 8)
    return [one for one in standing if one.state is ObligationState.OPEN]


def _open_of(standing: Iterable[Obligation], message: Message) -> list[Obligation]:
    """What is owed to the author of ``message``."""
    return [one for one in standing if one.person_id == message.person_id and one.state is ObligationState.OPEN]


def _new_turn(
    session: Session,
    rules: Rules,
    case: Case,
    message: Message,
    standing: Iterable[Obligation],
    *,
    since: datetime | None = None,
) -> list[Obligation]:
    """What the turn that ``message`` opens owes beside what is ``standing``; not written down yet.

    Its clock starts when the message was sent, or at ``since``, when it was seen to be edited.
    """
    pledge = rules.pledge(track(message.audience, message.kind))
    days = {ObligationKind.ACKNOWLEDGE: pledge.acknowledge_days, ObligationKind.REPLY: pledge.answer_days}
    is_backlog = message.is_backlog and since is None
    received_at = since or message.sent_at
    not_before_at = _connected_at(session, message) if is_backlog else None
    owed = []
    for kind in days.keys() - {one.kind for one in standing}:
        due = dates.due(received_at, days[kind], rules.calendar, not_before=not_before_at)
        owed.append(
            Obligation(
                office_id=case.office_id,
                case_id=case.id or 0,
                conversation_id=message.conversation_id,
                person_id=_person(message),
                message_id=message.id or 0,
                pledge_id=pledge.id,
                kind=kind,
                received_at=received_at,
                not_before_at=not_before_at,
                days=days[kind],
                due_at=due.at,
                calendar=rules.calendar.version,
                is_provisional=due.provisional,
                is_backlog=is_backlog,
            )
        )
    return owed


def _connected_at(session: Session, message: Message) -> datetime:
    return session.scalar(_CONNECTED, {"account_id": message.account_id}) or message.fetched_at


def _join(session: Session, rules: Rules, owed: Obligation, message: Message) -> None:
    """A further message of the turn: counted; its date moves only earlier, when the message was merely found late.

    Whoever writes again after the account was connected is no longer from before Postbag.
    """
    owed.is_backlog = owed.is_backlog and message.is_backlog
    if message.sent_at >= owed.received_at:
        owed.chasers += 1
        return
    not_before_at = _connected_at(session, message) if message.is_backlog else owed.not_before_at
    due = dates.due(message.sent_at, owed.days + owed.paused_days, rules.calendar, not_before=not_before_at)
    if due.at <= owed.due_at:
        owed.received_at, owed.not_before_at = message.sent_at, not_before_at
        owed.due_at, owed.is_provisional = due.at, due.provisional


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


def _standing_answer(session: Session, owed: Obligation, *, after: Message) -> Message | None:
    """The first answer that was accepted after that one and is of a purpose that meets ``owed``.

    One that was accepted before it and did not meet ``owed`` was written by somebody who had not seen the turn.
    """
    query = sa.select(Message).where(
        Message.case_id == owed.case_id,
        Message.person_id == owed.person_id,
        Message.direction == Direction.OUTBOUND,
        Message.purpose.in_(_MET_BY[owed.kind]),
        Message.is_failed.is_(False),
        Message.id > after.id,
    )
    return session.scalar(query.order_by(Message.id).limit(1))


def _settle(session: Session, case: Case, *, purpose: Purpose, stays_open: bool) -> None:
    """What an accepted answer makes of the case's status."""
    still_owed = any(owed.kind is ObligationKind.REPLY for owed in open_obligations(session, case))
    if purpose in {Purpose.ANSWER, Purpose.MESSAGE} and not still_owed and not stays_open:
        case.status, case.is_open = Status.ANSWERED, False
    elif case.status is Status.NEW:
        case.status = Status.ACKNOWLEDGED


def _reopen(case: Case) -> None:
    case.is_open = True
    case.status = Status.WITH_US
    case.closed_at = case.outcome = None


def _forget_what_is_over(case: Case, at: datetime) -> None:
    """A case comes back with a new message: what its clock stood on before counts only where it lies ahead."""
    case.is_reopened_late = False
    if case.emergency_at is not None and dates.emergency_due_at(case.emergency_at) <= at:
        case.emergency = case.emergency_at = None
    if case.external_at is not None and case.external_at <= at:
        case.external_at, case.external_what = None, ""
    if case.promised_on is not None and dates.promised_at(case.promised_on) <= at:
        case.promised_on = None


def _follow_person(session: Session, case: Case, conversation: Conversation, message: Message) -> None:
    """Somebody said meanwhile that who writes here is another person (or is not): the conversation is theirs now.

    What is owed in it goes with it, for answers in a conversation meet what is owed to its person.
    """
    before, person_id = conversation.person_id, _person(message)
    if before == person_id:
        return
    conversation.person_id = person_id
    theirs = {one.kind: one for one in _of_person(session, case, person_id, ObligationState.OPEN)}
    for owed in _of_person(session, case, before, ObligationState.OPEN):
        if owed.conversation_id != conversation.id:
            continue
        standing = theirs.get(owed.kind)
        if standing is None:
            owed.person_id = person_id
        else:
            owed.state = ObligationState.FOLDED
            _merge(standing, owed)
    for owed in _of_person(session, case, before, ObligationState.SHELVED):
        if owed.conversation_id == conversation.id:
            owed.person_id = person_id
    session.flush()


def _owes_reply(session: Session, case: Case, person_id: int | None) -> bool:
    return any(owed.kind is ObligationKind.REPLY for owed in _of_person(session, case, person_id, ObligationState.OPEN))


def _standing(session: Session, case: Case) -> list[Obligation]:
    """What is open or shelved on ``case``, soonest first."""
    return list(session.scalars(_STANDING, {"case_id": case.id}))


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
