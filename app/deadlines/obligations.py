"""When an answer is due, what moves that date, and what was in time: the rules of the clocks.

An obligation is stored by the caller; here it is the few values a rule needs. The path of one turn::

    clock_starts_at ─▶ due ─┬─▶ earliest       a second message, a merge, a fold, a message found late
                            ├─▶ after_waiting  waited for the constituent, at most 10 working days
                            ├─▶ recomputed     the calendar changed; undo and bounce under today's calendar
                            ├─▶ reopened       a new message on a closed case
                            └─▶ verdict        an answer was accepted ─▶ excused

``leading`` then chooses, among pledge, promise, platform window, external deadline and emergency, the one to show.
Splitting a case and reassigning it change nothing: the values are copied.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from app.deadlines.calendar import Calendar, day_due, end_of_day, local_date

DATE_HEADER_TRUSTED: Final = timedelta(days=5)
EMERGENCY_SPAN: Final = timedelta(minutes=60)
MOST_DAYS_WAITED: Final = 10
PRE_ELECTION_DAYS: Final = 25
# For ordering where nothing is owed: a row is never without a date. Every other date lies before it.
NOTHING_OWED_AT: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """A date that is owed: the last day ``on``, the instant ``at`` from which it is late, and whether it is sure.

    ``provisional`` dates lie beyond the published bank holidays and are counted again when a newer list is read.
    """

    on: date
    at: datetime
    provisional: bool = False


class Verdict(StrEnum):
    """How an obligation that was met will stand in the reports."""

    IN_TIME = "in_time"
    LATE = "late"
    EXCUSED = "excused"  # late when it was met, in time by a holiday that was added afterwards


class Emergency(StrEnum):
    """What needs a person within the hour."""

    THREAT = "threat"
    SAFEGUARDING = "safeguarding"


class Kind(StrEnum):
    """Why a date stands: what ``leading`` chose."""

    PLEDGE = "pledge"
    PROMISE = "promise"
    WINDOW = "window"
    EXTERNAL = "external"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Leading:
    """The date that a case is sorted by and shows.

    ``outranks_pledge`` says that an external deadline comes before what the office pledged or promised (rule 10), even
    where a platform's window ends sooner still.
    """

    kind: Kind
    at: datetime
    outranks_pledge: bool = False

    @property
    def hour_matters(self) -> bool:
        """Said with its hour (rule 1): a window, an external deadline, an emergency; a pledge names the day only."""
        return self.kind in {Kind.WINDOW, Kind.EXTERNAL, Kind.EMERGENCY}


# ── When a clock starts ───────────────────────────────────────────────────────────────────────────────────────────


def clock_starts_at(
    sent_at: datetime | None, arrived_at: datetime | None, fetched_at: datetime, *, is_mail: bool
) -> datetime:
    """The sender's time, never after we fetched it (rule 2).

    A mail's Date header counts when it lies within the 5 days before its server received it, else that arrival does: a
    sender's clock may be years out. A platform stamps the time itself, so there ``sent_at`` counts whatever its age.
    """
    arrived_at = min(arrived_at or fetched_at, fetched_at)
    if sent_at is None:
        return arrived_at
    if is_mail:
        trusted = arrived_at - DATE_HEADER_TRUSTED <= sent_at <= arrived_at
        return sent_at if trusted else arrived_at
    return min(sent_at, fetched_at)


def was_found_late(started_at: datetime, fetched_at: datetime, calendar: Calendar) -> bool:
    """Whether a message lay unfetched for more than a working day, which is then said on its case (rule 2)."""
    return calendar.working_days_between(local_date(started_at), local_date(fetched_at)) > 1


# ── When an answer is due ─────────────────────────────────────────────────────────────────────────────────────────


def due_on(received_on: date, days: int, calendar: Calendar) -> date:
    """The last day for an answer: the day of receipt is day zero, the last day counts (rule 1)."""
    return calendar.add_working_days(received_on, days)


def due(received_at: datetime, days: int, calendar: Calendar, *, not_before: datetime | None = None) -> Due:
    """The pledge's date for an acknowledgement, an answer, an update or an officer.

    ``received_at`` is what ``clock_starts_at`` gave; for an update it is the last accepted message to the resident, for
    an officer the referral. ``not_before`` is when the account was connected: backlog is never due before a date
    counted from there (rule 12).
    """
    received_on = local_date(max(received_at, not_before or received_at))
    return _due(due_on(received_on, days, calendar), calendar)


def _due(on: date, calendar: Calendar) -> Due:
    return Due(on, end_of_day(on), calendar.is_provisional(on))


def promised_at(day: date) -> datetime:
    """When a promise for ``day`` is broken: the end of that day, working day or not."""
    return end_of_day(day)


def emergency_due_at(started_at: datetime) -> datetime:
    """Sixty minutes from the sender's time, at any hour of any day."""
    return started_at + EMERGENCY_SPAN


def pledge_stands_beside(emergency: Emergency) -> bool:
    """Whether the pledge runs as well: beside a safeguarding clock, but a threat's clock stands in its place."""
    return emergency is Emergency.SAFEGUARDING


# ── What moves a date ─────────────────────────────────────────────────────────────────────────────────────────────


def earliest(*dues: Due) -> Due:
    """The one date of several that became one obligation.

    So a second message joins its turn and never moves it, though one that is found late may make the date earlier
    (rule 3); a merge for the same person takes the earliest (rule 8); an answer that bounced folds its turn into the
    one that was opened since, with the older date (rule 4). Raises ValueError for none.
    """
    return min(dues, key=lambda due: due.at)


def reopened(old: Due, new: Due, *, was_answered: bool) -> Due:
    """The date of a case reopened by a message, ``new`` being counted from that message.

    One that was answered owes a new turn; one that was not keeps its date (rule 8).
    """
    return new if was_answered else earliest(old, new)


def recomputed(
    *,
    received_at: datetime,
    days: int,
    old_due_at: datetime,
    calendar: Calendar,
    now: datetime,
    not_before: datetime | None = None,
) -> Due:
    """The date of an open obligation under a changed calendar (rule 9); ``days`` has the days waited in it.

    A holiday that was added moves it later. One that was removed moves it earlier, but never to before the next
    working day, and leaves alone what is due sooner than that. Undo and bounces come back through here as well.
    """
    counted = due(received_at, days, calendar, not_before=not_before)
    if counted.at >= old_due_at:
        return counted
    next_working_day = calendar.add_working_days(local_date(now), 1)
    on = min(day_due(old_due_at), max(counted.on, next_working_day))
    return _due(calendar.add_working_days(on, 0), calendar)


def days_waited(asked_on: date, until_on: date, calendar: Calendar, *, waited_before: int = 0) -> int:
    """The working days a turn waited for the constituent: at most 10 over all its pauses (rule 6)."""
    return min(calendar.working_days_between(asked_on, until_on), max(MOST_DAYS_WAITED - waited_before, 0))


def waiting_until(asked_on: date, calendar: Calendar, *, waited_before: int = 0) -> date:
    """The last day of a pause that nobody ends; after it the clock runs on."""
    return calendar.add_working_days(asked_on, max(MOST_DAYS_WAITED - waited_before, 0))


def after_waiting(due: Due, waited: int, calendar: Calendar) -> Due:
    """``due`` moved by the working days waited."""
    return _due(calendar.add_working_days(due.on, waited), calendar) if waited else due


# ── What was in time ──────────────────────────────────────────────────────────────────────────────────────────────


def is_late(due_at: datetime, now: datetime) -> bool:
    """Late from the instant itself: for a pledge that is the start of the next day."""
    return now >= due_at


def verdict(due_at: datetime, accepted_at: datetime) -> Verdict:
    """How an obligation was met by an answer that the platform accepted at ``accepted_at`` (rule 4)."""
    return Verdict.LATE if is_late(due_at, accepted_at) else Verdict.IN_TIME


def excused(given: Verdict, due_at: datetime, accepted_at: datetime) -> Verdict:
    """A verdict after the calendar changed, ``due_at`` being the date it gives now.

    A verdict stays as it was given, but for a lateness that an added holiday removes (rule 9).
    """
    if given is Verdict.LATE and not is_late(due_at, accepted_at):
        return Verdict.EXCUSED
    return given


# ── What leads ────────────────────────────────────────────────────────────────────────────────────────────────────


def leading(
    now: datetime,
    *,
    pledge_at: datetime | None,
    promised_at: datetime | None = None,
    window_ends_at: datetime | None = None,
    external_at: datetime | None = None,
    emergency_at: datetime | None = None,
) -> Leading | None:
    """The date to sort by and show, or None where nothing is owed.

    An emergency goes first. Else the earliest of the platform's reply window, unless it is over, an external deadline,
    and the promise, which stands in the place of the pledge. The pledge keeps its own verdict all the same.
    """
    owed = [Leading(Kind.PLEDGE, pledge_at)] if pledge_at is not None else []
    if promised_at is not None:
        owed = [Leading(Kind.PROMISE, promised_at)]
    outranks_pledge = external_at is not None and all(external_at <= lead.at for lead in owed)
    if external_at is not None:
        owed.append(Leading(Kind.EXTERNAL, external_at))
    if window_ends_at is not None and window_ends_at > now:
        owed.append(Leading(Kind.WINDOW, window_ends_at))
    if emergency_at is not None:
        owed = [Leading(Kind.EMERGENCY, emergency_at)]
    if not owed:
        return None
    return replace(min(owed, key=lambda lead: lead.at), outranks_pledge=outranks_pledge)


# ── Elections ─────────────────────────────────────────────────────────────────────────────────────────────────────


def pre_election_starts_by(poll_on: date, calendar: Calendar, days: int = PRE_ELECTION_DAYS) -> date:
    """The latest day on which a pre-election period may start: ``days`` working days before the poll.

    Counted as an election timetable is (Local Elections (Principal Areas) (England and Wales) Rules 2006, Schedule 2,
    rule 2): weekends, bank holidays, Good Friday, Christmas Day and Christmas Eve do not count; office closures do.
    """
    christmas_eves = frozenset(date(year, 12, 24) for year in (poll_on.year - 1, poll_on.year))
    return replace(calendar, closures=christmas_eves).subtract_working_days(poll_on, days)
