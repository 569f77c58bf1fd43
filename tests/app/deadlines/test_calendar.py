"""Working days, and where a day begins and ends in London."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.deadlines.calendar import Calendar, day_due, end_of_day, local_date, start_of_day
from app.deadlines.holidays import Nation

EW = Calendar(Nation.ENGLAND_AND_WALES)
SCOTLAND = Calendar(Nation.SCOTLAND)
NI = Calendar(Nation.NORTHERN_IRELAND)

days = st.dates(date(2019, 1, 1), date(2034, 12, 31))
some_days = st.frozensets(days, max_size=5)
calendars = st.builds(Calendar, st.sampled_from(Nation), some_days, some_days, some_days)
counts = st.integers(1, 40)


# ── Working days ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("calendar", "on"), [(EW, date(2026, 4, 20)), (NI, date(2026, 4, 20)), (SCOTLAND, date(2026, 4, 17))]
)
def test_ten_working_days_from_the_thursday_before_easter(calendar: Calendar, on: date) -> None:
    assert calendar.add_working_days(date(2026, 4, 2), 10) == on


@pytest.mark.parametrize(("calendar", "on"), [(EW, date(2027, 1, 4)), (SCOTLAND, date(2027, 1, 5))])
def test_two_working_days_over_the_new_year(calendar: Calendar, on: date) -> None:
    assert calendar.add_working_days(date(2026, 12, 30), 2) == on


def test_the_world_cup_holiday_counts_in_scotland_only() -> None:
    friday = date(2026, 6, 12)
    assert SCOTLAND.add_working_days(friday, 1) == date(2026, 6, 16)
    assert EW.add_working_days(friday, 1) == date(2026, 6, 15)
    assert NI.add_working_days(friday, 1) == date(2026, 6, 15)


def test_a_weekend_is_never_a_working_day() -> None:
    assert [EW.is_working_day(date(2026, 11, day)) for day in range(20, 24)] == [True, False, False, True]


def test_a_closure_of_the_office_is_no_working_day_and_no_holiday() -> None:
    closed = replace(EW, closures=frozenset({date(2026, 12, 29)}))
    assert not closed.is_working_day(date(2026, 12, 29))
    assert not closed.is_holiday(date(2026, 12, 29))


def test_a_holiday_may_be_added_and_removed_by_hand() -> None:
    moved = Calendar(Nation.ENGLAND_AND_WALES, frozenset({date(2026, 5, 8)}), frozenset({date(2026, 5, 4)}))
    assert moved.is_working_day(date(2026, 5, 4))
    assert not moved.is_working_day(date(2026, 5, 8))


def test_a_day_both_added_and_removed_is_a_holiday() -> None:
    both = Calendar(Nation.ENGLAND_AND_WALES, frozenset({date(2026, 5, 4)}), frozenset({date(2026, 5, 4)}))
    assert not both.is_working_day(date(2026, 5, 4))


def test_no_working_days_is_the_day_itself_or_the_nearest_working_day() -> None:
    assert EW.add_working_days(date(2026, 4, 2), 0) == date(2026, 4, 2)
    assert EW.add_working_days(date(2026, 4, 3), 0) == date(2026, 4, 7)
    assert EW.subtract_working_days(date(2026, 4, 6), 0) == date(2026, 4, 2)


def test_fewer_than_no_working_days_are_refused() -> None:
    with pytest.raises(ValueError, match="-1 is less than no working days"):
        EW.add_working_days(date(2026, 4, 2), -1)
    with pytest.raises(ValueError, match="-1 is less than no working days"):
        EW.subtract_working_days(date(2026, 4, 2), -1)


def test_working_days_between_leave_out_the_first_and_count_the_last() -> None:
    assert EW.working_days_between(date(2026, 4, 2), date(2026, 4, 20)) == 10
    assert EW.working_days_between(date(2026, 4, 2), date(2026, 4, 6)) == 0
    assert EW.working_days_between(date(2026, 4, 20), date(2026, 4, 20)) == 0
    assert EW.working_days_between(date(2026, 4, 20), date(2026, 4, 2)) == 0


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, day=days, count=st.integers(0, 40))
def test_counting_never_ends_on_a_day_that_is_not_worked(calendar: Calendar, day: date, count: int) -> None:
    assert calendar.is_working_day(calendar.add_working_days(day, count))
    assert calendar.is_working_day(calendar.subtract_working_days(day, count))


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, day=days, count=counts)
def test_counting_back_undoes_counting_on(calendar: Calendar, day: date, count: int) -> None:
    first = calendar.add_working_days(day, 0)
    assert calendar.subtract_working_days(calendar.add_working_days(first, count), count) == first
    assert calendar.working_days_between(day, calendar.add_working_days(day, count)) == count


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, day=days, count=counts)
def test_the_first_day_is_day_zero(calendar: Calendar, day: date, count: int) -> None:
    assert calendar.add_working_days(day, count) > day
    assert calendar.subtract_working_days(day, count) < day


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, first=days, second=days, count=st.integers(0, 40))
def test_what_came_earlier_is_never_due_later(calendar: Calendar, first: date, second: date, count: int) -> None:
    earlier, later = sorted((first, second))
    assert calendar.add_working_days(earlier, count) <= calendar.add_working_days(later, count)


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, day=days, count=counts, more=counts)
def test_counting_in_two_steps_is_counting_at_once(calendar: Calendar, day: date, count: int, more: int) -> None:
    in_steps = calendar.add_working_days(calendar.add_working_days(day, count), more)
    assert in_steps == calendar.add_working_days(day, count + more)


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, day=days, count=st.integers(0, 40), holiday=days)
def test_a_further_holiday_never_makes_a_date_earlier(calendar: Calendar, day: date, count: int, holiday: date) -> None:
    more = replace(calendar, extra_holidays=calendar.extra_holidays | {holiday})
    assert more.add_working_days(day, count) >= calendar.add_working_days(day, count)


# ── The end of the list, and the version ──────────────────────────────────────────────────────────────────────────


def test_a_day_beyond_the_published_years_is_provisional() -> None:
    assert not EW.is_provisional(date(2028, 12, 31))
    assert EW.is_provisional(date(2029, 1, 1))


def test_an_imported_year_is_no_longer_provisional() -> None:
    imported = replace(EW, known_until=date(2029, 12, 31))
    assert not imported.is_provisional(date(2029, 1, 2))
    assert imported.is_provisional(date(2030, 1, 2))


def test_an_old_import_does_not_make_a_shipped_year_provisional() -> None:
    assert not replace(EW, known_until=date(2025, 12, 31)).is_provisional(date(2028, 5, 1))


def test_calendars_with_the_same_days_have_the_same_version() -> None:
    one = Calendar(Nation.SCOTLAND, closures=frozenset([date(2026, 12, 29), date(2026, 12, 30)]))
    other = Calendar(Nation.SCOTLAND, closures=frozenset([date(2026, 12, 30), date(2026, 12, 29)]))
    assert one.version == other.version
    assert len(one.version) == 16


def test_every_difference_gives_another_version() -> None:
    day = frozenset({date(2026, 12, 29)})
    nation = Nation.SCOTLAND
    versions = [
        Calendar(nation).version,
        Calendar(Nation.NORTHERN_IRELAND).version,
        Calendar(nation, extra_holidays=day).version,
        Calendar(nation, removed_holidays=day).version,
        Calendar(nation, closures=day).version,
        Calendar(nation, known_until=date(2029, 12, 31)).version,
    ]
    assert len(set(versions)) == 6


# ── A day in London ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("day", "end"),
    [
        (date(2026, 1, 15), datetime(2026, 1, 16, 0, 0, tzinfo=UTC)),
        (date(2026, 7, 15), datetime(2026, 7, 15, 23, 0, tzinfo=UTC)),
        (date(2026, 3, 28), datetime(2026, 3, 29, 0, 0, tzinfo=UTC)),  # the clocks go forward on the 29th
        (date(2026, 3, 29), datetime(2026, 3, 29, 23, 0, tzinfo=UTC)),  # a day of 23 hours
        (date(2026, 10, 24), datetime(2026, 10, 24, 23, 0, tzinfo=UTC)),  # the clocks go back on the 25th
        (date(2026, 10, 25), datetime(2026, 10, 26, 0, 0, tzinfo=UTC)),  # a day of 25 hours
    ],
)
def test_a_day_ends_at_midnight_in_london(day: date, end: datetime) -> None:
    assert end_of_day(day) == end
    assert end_of_day(day).tzinfo is UTC
    assert start_of_day(day + timedelta(days=1)) == end


def test_a_summer_evening_in_utc_is_the_next_day_in_london() -> None:
    assert local_date(datetime(2026, 6, 30, 23, 30, tzinfo=UTC)) == date(2026, 7, 1)
    assert local_date(datetime(2026, 12, 30, 23, 30, tzinfo=UTC)) == date(2026, 12, 30)


def test_a_time_from_abroad_is_placed_on_its_day_in_london() -> None:
    assert local_date(datetime(2026, 4, 7, 1, 0, tzinfo=timezone(timedelta(hours=5)))) == date(2026, 4, 6)


def test_a_time_without_its_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without its time zone"):
        local_date(datetime(2026, 4, 7, 1, 0))  # noqa: DTZ001 - that is the point


@settings(deadline=None, derandomize=True)
@given(day=days)
def test_the_last_day_in_time_is_the_day_that_was_meant(day: date) -> None:
    assert day_due(end_of_day(day)) == day
    assert local_date(end_of_day(day)) == day + timedelta(days=1)
    assert end_of_day(day) - start_of_day(day) in {timedelta(hours=hours) for hours in (23, 24, 25)}
