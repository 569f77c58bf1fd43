"""How a date is said beside a case, and where the case stands in the inbox. The words themselves are in the templates.

The inbox is ordered by the stored ``(rank, due_at, id)``. Its headings follow from rank, date and the time now, and
cut that order into groups that lie next to one another.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from app.deadlines.calendar import Calendar, day_due, end_of_day, local_date, local_time
from app.deadlines.holidays import ONE_DAY
from app.deadlines.obligations import NOTHING_OWED_AT, Kind, Leading, is_late

EMERGENCY: Final = 0
EXTERNAL: Final = 1
REOPENED_LATE: Final = 2
NORMAL: Final = 3
WAITING: Final = 4
BACKLOG: Final = 5

ONE_HOUR: Final = timedelta(hours=1)
YEAR_IS_PLAIN: Final = timedelta(days=180)  # a day further away than this is named with its year
NEXT_DAYS: Final = 5  # the heading "Due in the next five working days"


# ── Order and groups ──────────────────────────────────────────────────────────────────────────────────────────────


def rank_of(
    lead: Leading | None, *, is_reopened_late: bool = False, is_waiting: bool = False, is_backlog: bool = False
) -> int:
    """The rank to store with a case: the first that fits, in the order of the constants but waiting before normal.

    ``is_waiting`` means for the constituent; while an officer is awaited the resident's clock runs on (rule 6).
    """
    if lead is not None and lead.kind is Kind.EMERGENCY:
        return EMERGENCY
    if lead is not None and lead.outranks_pledge:
        return EXTERNAL
    if is_reopened_late:
        return REOPENED_LATE
    if is_waiting:
        return WAITING
    return BACKLOG if is_backlog else NORMAL


class Group(StrEnum):
    """A heading of the inbox, in the order of the page."""

    NOW = "now"
    OVERDUE = "overdue"
    TODAY = "today"
    NEXT_FIVE = "next_five"
    LATER = "later"
    WAITING = "waiting"
    BACKLOG = "backlog"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the groups of rank ``NORMAL`` end, each including its instant; also for counting them in SQL."""

    overdue: datetime
    today: datetime
    next_five: datetime


def bounds(now: datetime, calendar: Calendar) -> Bounds:
    """The bounds at ``now``: one call serves a whole page."""
    today = local_date(now)
    return Bounds(now, end_of_day(today), end_of_day(calendar.add_working_days(today, NEXT_DAYS)))


def group_within(rank: int, due_at: datetime, at: Bounds) -> Group:
    """The heading of a row, by bounds that were worked out once."""
    if rank <= REOPENED_LATE:
        return Group.NOW
    if rank != NORMAL:
        return Group.WAITING if rank == WAITING else Group.BACKLOG
    if due_at <= at.overdue:
        return Group.OVERDUE
    if due_at <= at.today:
        return Group.TODAY
    return Group.NEXT_FIVE if due_at <= at.next_five else Group.LATER


def group_of(rank: int, due_at: datetime, now: datetime, calendar: Calendar) -> Group:
    """The heading under which a row stands."""
    return group_within(rank, due_at, bounds(now, calendar))


# ── The chip ──────────────────────────────────────────────────────────────────────────────────────────────────────


class State(StrEnum):
    """The look of a chip: icon and colour."""

    OVERDUE = "overdue"
    TODAY = "today"
    LATER = "later"
    PROMISED = "promised"  # later, by a promise; when its day has come it is TODAY or OVERDUE like any other
    WAITING = "waiting"
    ANSWERED = "answered"
    NOTHING = "nothing"  # open, and nothing is owed


@dataclass(frozen=True, slots=True)
class Chip:
    """The parts of a chip; what does not apply is None, nought or False.

    ``on`` is the day to name (with its year where ``needs_year``), ``at`` the London time to add where the hour
    matters. An overdue one is said in ``days_overdue``, and in ``hours_overdue`` where that is nought (both nought: for
    less than an hour).
    """

    state: State
    on: date | None = None
    at: datetime | None = None
    days_overdue: int = 0
    hours_overdue: int = 0
    is_tomorrow: bool = False
    needs_year: bool = False
    is_promise: bool = False
    is_provisional: bool = False


def chip(
    due_at: datetime,
    now: datetime,
    *,
    hour_matters: bool = False,
    is_promise: bool = False,
    is_provisional: bool = False,
    waiting_until: date | None = None,
    answered_at: datetime | None = None,
) -> Chip:
    """What the chip of a case says at ``now``.

    ``answered_at`` says it is answered; ``waiting_until`` that the constituent is awaited up to that day, which counts
    while it lasts. ``hour_matters`` is ``Leading.hour_matters``; a deadline that is the end of a day has no hour.
    """
    today = local_date(now)
    if answered_at is not None:
        return _naming(local_date(answered_at), today, State.ANSWERED)
    if waiting_until is not None and waiting_until >= today:
        return _naming(waiting_until, today, State.WAITING)
    if due_at >= NOTHING_OWED_AT:
        return Chip(State.NOTHING)
    on = day_due(due_at)
    at = local_time(due_at) if hour_matters and due_at != end_of_day(on) else None
    named = _naming(on, today, _state(due_at, now, is_promise=is_promise))
    named = replace(named, at=at, is_promise=is_promise, is_provisional=is_provisional)
    if named.state is not State.OVERDUE:
        return named
    hours = 0 if at is None else (now - due_at) // ONE_HOUR
    return replace(named, days_overdue=(today - on).days, hours_overdue=hours)


def _naming(on: date, today: date, state: State) -> Chip:
    return Chip(state, on, is_tomorrow=on == today + ONE_DAY, needs_year=abs(on - today) > YEAR_IS_PLAIN)


def _state(due_at: datetime, now: datetime, *, is_promise: bool) -> State:
    if is_late(due_at, now):
        return State.OVERDUE
    if day_due(due_at) == local_date(now):
        return State.TODAY
    return State.PROMISED if is_promise else State.LATER
