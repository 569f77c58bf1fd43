"""How a date is said, and where a case stands in the inbox."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.deadlines.calendar import LONDON, Calendar, end_of_day
from app.deadlines.chips import (
    BACKLOG,
    EMERGENCY,
    EXTERNAL,
    NORMAL,
    REOPENED_LATE,
    WAITING,
    Bounds,
    Chip,
    Group,
    State,
    bounds,
    chip,
    group_of,
    rank_of,
)
from app.deadlines.holidays import Nation
from app.deadlines.obligations import NOTHING_OWED_AT, Kind, Leading

EW = Calendar(Nation.ENGLAND_AND_WALES)
NOW = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)  # Tue 7 Apr 2026, 09:00 in London

instants = st.datetimes(datetime(2020, 1, 1), datetime(2034, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants it so


def end(month: int, day: int, year: int = 2026) -> datetime:
    return end_of_day(date(year, month, day))


# ── Ranks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_ranks_are_the_numbers_that_are_stored() -> None:
    assert (EMERGENCY, EXTERNAL, REOPENED_LATE, NORMAL, WAITING, BACKLOG) == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("lead", "rank"),
    [
        (None, NORMAL),
        (Leading(Kind.PLEDGE, NOW), NORMAL),
        (Leading(Kind.PROMISE, NOW), NORMAL),
        (Leading(Kind.WINDOW, NOW), NORMAL),
        (Leading(Kind.WINDOW, NOW, outranks_pledge=True), EXTERNAL),
        (Leading(Kind.EXTERNAL, NOW, outranks_pledge=True), EXTERNAL),
        (Leading(Kind.EMERGENCY, NOW), EMERGENCY),
        (Leading(Kind.EMERGENCY, NOW, outranks_pledge=True), EMERGENCY),
    ],
)
def test_a_case_ranks_by_what_leads_it(lead: Leading | None, rank: int) -> None:
    assert rank_of(lead) == rank


def test_an_emergency_or_a_deadline_goes_before_whatever_else_a_case_is() -> None:
    emergency = Leading(Kind.EMERGENCY, NOW)
    deadline = Leading(Kind.EXTERNAL, NOW, outranks_pledge=True)
    assert rank_of(emergency, is_reopened_late=True, is_waiting=True, is_backlog=True) == EMERGENCY
    assert rank_of(deadline, is_reopened_late=True, is_waiting=True, is_backlog=True) == EXTERNAL


def test_a_chaser_on_a_late_case_jumps_the_queue() -> None:
    assert rank_of(Leading(Kind.PLEDGE, NOW), is_reopened_late=True) == REOPENED_LATE


def test_waiting_and_backlog_stand_apart() -> None:
    assert rank_of(Leading(Kind.PLEDGE, NOW), is_waiting=True) == WAITING
    assert rank_of(Leading(Kind.PLEDGE, NOW), is_backlog=True) == BACKLOG
    assert rank_of(Leading(Kind.PLEDGE, NOW), is_waiting=True, is_backlog=True) == WAITING


# ── Groups ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rank", "due_at", "group"),
    [
        (EMERGENCY, NOW - timedelta(days=1), Group.NOW),
        (EXTERNAL, end(6, 1), Group.NOW),
        (REOPENED_LATE, end(3, 30), Group.NOW),
        (NORMAL, end(4, 6), Group.OVERDUE),
        (NORMAL, NOW, Group.OVERDUE),
        (NORMAL, NOW + timedelta(minutes=1), Group.TODAY),
        (NORMAL, end(4, 7), Group.TODAY),
        (NORMAL, end(4, 8), Group.NEXT_FIVE),
        (NORMAL, end(4, 14), Group.NEXT_FIVE),  # the fifth working day, over a weekend
        (NORMAL, end(4, 15), Group.LATER),
        (NORMAL, NOTHING_OWED_AT, Group.LATER),
        (WAITING, end(4, 6), Group.WAITING),
        (BACKLOG, end(4, 6), Group.BACKLOG),
    ],
)
def test_a_row_stands_under_its_heading(rank: int, due_at: datetime, group: Group) -> None:
    assert group_of(rank, due_at, NOW, EW) is group


def test_the_next_five_working_days_leave_out_bank_holidays() -> None:
    thursday = datetime(2026, 4, 2, 8, 0, tzinfo=UTC)
    assert group_of(NORMAL, end(4, 13), thursday, EW) is Group.NEXT_FIVE
    assert group_of(NORMAL, end(4, 14), thursday, EW) is Group.LATER


def test_the_groups_end_where_the_days_end_in_london() -> None:
    assert bounds(NOW, EW) == Bounds(
        overdue=NOW,
        today=datetime(2026, 4, 7, 23, 0, tzinfo=UTC),
        next_five=datetime(2026, 4, 14, 23, 0, tzinfo=UTC),
    )


@settings(deadline=None, derandomize=True)
@given(now=instants, rows=st.lists(st.tuples(st.integers(0, 5), instants), max_size=40))
def test_in_the_order_of_the_list_every_group_is_in_one_piece(now: datetime, rows: list[tuple[int, datetime]]) -> None:
    groups = [group_of(rank, due_at, now, EW) for rank, due_at in sorted(rows)]
    assert groups == sorted(groups, key=list(Group).index)


# ── Chips ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_due_today_names_no_hour() -> None:
    assert chip(end(4, 7), NOW) == Chip(State.TODAY, date(2026, 4, 7))


def test_what_is_due_tomorrow_says_so() -> None:
    assert chip(end(4, 8), NOW) == Chip(State.LATER, date(2026, 4, 8), is_tomorrow=True)


def test_what_is_due_later_names_its_day() -> None:
    assert chip(end(4, 20), NOW) == Chip(State.LATER, date(2026, 4, 20))


def test_what_is_overdue_counts_days_from_the_next_day_on() -> None:
    assert chip(end(4, 6), NOW) == Chip(State.OVERDUE, date(2026, 4, 6), days_overdue=1)
    assert chip(end(3, 30), NOW) == Chip(State.OVERDUE, date(2026, 3, 30), days_overdue=8)


def test_the_last_minute_of_the_day_is_still_today() -> None:
    assert chip(end(4, 7), datetime(2026, 4, 7, 22, 59, tzinfo=UTC)).state is State.TODAY
    assert chip(end(4, 7), datetime(2026, 4, 7, 23, 0, tzinfo=UTC)).state is State.OVERDUE


def test_an_hour_is_shown_by_the_clocks_of_london_where_it_matters() -> None:
    noon = datetime(2026, 4, 7, 11, 0, tzinfo=UTC)
    said = chip(noon, NOW, hour_matters=True)
    assert said == Chip(State.TODAY, date(2026, 4, 7), at=datetime(2026, 4, 7, 12, 0, tzinfo=LONDON))
    assert said.at is not None
    assert said.at.strftime("%H:%M") == "12:00"
    assert chip(noon, NOW) == Chip(State.TODAY, date(2026, 4, 7))


def test_a_deadline_that_is_a_whole_day_has_no_hour() -> None:
    assert chip(end(4, 10), NOW, hour_matters=True) == Chip(State.LATER, date(2026, 4, 10))


def test_a_deadline_of_this_morning_is_overdue_by_hours() -> None:
    five = datetime(2026, 4, 7, 4, 30, tzinfo=UTC)
    said = chip(five, NOW, hour_matters=True)
    assert (said.state, said.days_overdue, said.hours_overdue) == (State.OVERDUE, 0, 3)


def test_a_promise_is_said_until_its_day_has_come() -> None:
    assert chip(end(4, 17), NOW, is_promise=True) == Chip(State.PROMISED, date(2026, 4, 17), is_promise=True)
    assert chip(end(4, 7), NOW, is_promise=True) == Chip(State.TODAY, date(2026, 4, 7), is_promise=True)
    assert chip(end(4, 6), NOW, is_promise=True).state is State.OVERDUE


def test_waiting_for_the_constituent_is_said_while_it_lasts() -> None:
    assert chip(end(4, 6), NOW, waiting_until=date(2026, 4, 7)) == Chip(State.WAITING, date(2026, 4, 7))
    assert chip(end(4, 6), NOW, waiting_until=date(2026, 4, 6)).state is State.OVERDUE


def test_an_answered_case_names_the_day_of_the_answer() -> None:
    said = chip(end(4, 6), NOW, answered_at=datetime(2026, 4, 2, 23, 30, tzinfo=UTC))
    assert said == Chip(State.ANSWERED, date(2026, 4, 3))


def test_a_case_that_owes_nothing_names_no_day() -> None:
    assert chip(NOTHING_OWED_AT, NOW) == Chip(State.NOTHING)


def test_a_far_day_is_named_with_its_year_and_a_near_one_without() -> None:
    new_year_s_eve = datetime(2026, 12, 30, 9, 0, tzinfo=UTC)
    assert not chip(end(1, 4, year=2027), new_year_s_eve).needs_year
    assert chip(end(1, 4, year=2028), new_year_s_eve).needs_year
    assert chip(end(5, 4), new_year_s_eve).needs_year


def test_a_provisional_date_is_marked_as_one() -> None:
    assert chip(end(1, 5, year=2029), NOW, is_provisional=True).is_provisional


@settings(deadline=None, derandomize=True)
@given(due_at=instants, now=instants)
def test_a_chip_and_its_heading_never_contradict_each_other(due_at: datetime, now: datetime) -> None:
    headings = {
        State.OVERDUE: {Group.OVERDUE},
        State.TODAY: {Group.TODAY},
        State.LATER: {Group.NEXT_FIVE, Group.LATER},
    }
    said = chip(due_at, now, hour_matters=True)
    assert group_of(NORMAL, due_at, now, EW) in headings[said.state]
    assert said.days_overdue >= 0
    assert said.hours_overdue >= 0
