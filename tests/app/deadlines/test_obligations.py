"""The rules of the clocks, by the numbers of the rules they test."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.deadlines.calendar import Calendar, end_of_day, local_date
from app.deadlines.holidays import Nation
from app.deadlines.obligations import (
    NOTHING_OWED_AT,
    Due,
    Emergency,
    Kind,
    Leading,
    Verdict,
    after_waiting,
    clock_starts_at,
    days_waited,
    due,
    due_on,
    earliest,
    emergency_due_at,
    excused,
    is_late,
    leading,
    pledge_stands_beside,
    pre_election_starts_by,
    promised_at,
    recomputed,
    reopened,
    verdict,
    waiting_until,
    was_found_late,
)

EW = Calendar(Nation.ENGLAND_AND_WALES)
SCOTLAND = Calendar(Nation.SCOTLAND)
NI = Calendar(Nation.NORTHERN_IRELAND)

NOW = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)  # Tue 7 Apr 2026, 09:00 in London

days = st.dates(date(2019, 1, 1), date(2034, 12, 31))
some_days = st.frozensets(days, max_size=5)
calendars = st.builds(Calendar, st.sampled_from(Nation), some_days, some_days, some_days)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2034, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants it so


def utc(month: int, day: int, hour: int = 12, minute: int = 0, *, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def due_by(day: date, calendar: Calendar = EW) -> Due:
    return Due(day, end_of_day(day), calendar.is_provisional(day))


# ── Rule 1: working days, day of receipt is day zero, the last day counts ─────────────────────────────────────────


@pytest.mark.parametrize(
    ("received_on", "days", "calendar", "on"),
    [
        (date(2026, 4, 2), 10, EW, date(2026, 4, 20)),
        (date(2026, 4, 2), 10, NI, date(2026, 4, 20)),
        (date(2026, 4, 2), 10, SCOTLAND, date(2026, 4, 17)),
        (date(2026, 12, 30), 2, EW, date(2027, 1, 4)),
        (date(2026, 12, 30), 2, SCOTLAND, date(2027, 1, 5)),
        *[(date(2026, 4, day), 2, EW, date(2026, 4, 8)) for day in (2, 3, 4, 5, 6)],
        *[(date(2026, 4, day), 10, EW, date(2026, 4, 20)) for day in (2, 3, 4, 5, 6)],
        (date(2026, 4, 7), 2, EW, date(2026, 4, 9)),
        (date(2026, 4, 7), 10, EW, date(2026, 4, 21)),
        (date(2026, 3, 16), 10, EW, date(2026, 3, 30)),
    ],
)
def test_an_answer_is_due_on_the_day_that_was_worked_out_by_hand(
    received_on: date, days: int, calendar: Calendar, on: date
) -> None:
    assert due_on(received_on, days, calendar) == on


def test_a_date_is_the_end_of_its_day_in_london() -> None:
    assert due(utc(4, 2, 15, 20), 10, EW) == Due(date(2026, 4, 20), utc(4, 20, 23), provisional=False)


def test_a_message_just_after_midnight_in_london_belongs_to_the_new_day() -> None:
    assert due(utc(4, 6, 22, 59), 2, EW).on == date(2026, 4, 8)
    assert due(utc(4, 6, 23, 0), 2, EW).on == date(2026, 4, 9)


def test_a_date_across_the_change_of_the_clocks_is_still_the_end_of_a_day() -> None:
    assert due(utc(3, 26), 2, EW) == Due(date(2026, 3, 30), utc(3, 30, 23))
    assert due(utc(10, 22), 2, EW) == Due(date(2026, 10, 26), utc(10, 27, 0))


def test_an_answer_is_late_only_from_the_next_day() -> None:
    at = due(utc(4, 2), 10, EW).at
    assert not is_late(at, utc(4, 20, 22, 59))
    assert is_late(at, utc(4, 20, 23, 0))  # 00:00 of the 21st in London


def test_a_closure_of_the_office_moves_the_date() -> None:
    closed = replace(EW, closures=frozenset({date(2026, 4, 8)}))
    assert due_on(date(2026, 4, 7), 2, closed) == date(2026, 4, 10)


def test_a_date_beyond_the_published_holidays_is_provisional() -> None:
    assert due(utc(12, 20, year=2028), 10, EW) == Due(date(2029, 1, 8), utc(1, 9, 0, year=2029), provisional=True)
    assert not due(utc(12, 1, year=2028), 10, EW).provisional


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, received_at=instants, count=st.integers(0, 40))
def test_nothing_is_due_on_a_day_nobody_works(calendar: Calendar, received_at: datetime, count: int) -> None:
    found = due(received_at, count, calendar)
    assert calendar.is_working_day(found.on)
    assert found.at == end_of_day(found.on)
    assert found.at > received_at


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, first=instants, second=instants, count=st.integers(0, 40))
def test_dates_come_in_the_order_of_receipt(calendar: Calendar, first: datetime, second: datetime, count: int) -> None:
    earlier, later = sorted((first, second))
    assert due(earlier, count, calendar).at <= due(later, count, calendar).at


# ── Rule 2: the sender's time ─────────────────────────────────────────────────────────────────────────────────────

ARRIVED, FETCHED = utc(4, 7, 7, 0), utc(4, 7, 7, 5)


@pytest.mark.parametrize(
    ("sent_at", "starts_at"),
    [
        (utc(4, 7, 6, 59), utc(4, 7, 6, 59)),
        (utc(4, 2, 7, 0), utc(4, 2, 7, 0)),  # five days to the minute
        (utc(4, 2, 6, 59), ARRIVED),  # older than that: the sender's clock is wrong
        (utc(4, 7, 7, 1), ARRIVED),  # after it arrived: so is this one
        (utc(1, 1, year=1970), ARRIVED),
        (utc(1, 1, year=2038), ARRIVED),
        (None, ARRIVED),
    ],
)
def test_a_mail_counts_from_its_date_header_when_that_can_be_right(
    sent_at: datetime | None, starts_at: datetime
) -> None:
    assert clock_starts_at(sent_at, ARRIVED, FETCHED, is_mail=True) == starts_at


def test_a_mail_is_never_later_than_when_it_was_fetched() -> None:
    assert clock_starts_at(utc(4, 7, 9), utc(4, 7, 10), FETCHED, is_mail=True) == FETCHED


def test_a_mail_without_an_arrival_counts_from_its_date_or_the_fetch() -> None:
    assert clock_starts_at(utc(4, 6), None, FETCHED, is_mail=True) == utc(4, 6)
    assert clock_starts_at(None, None, FETCHED, is_mail=True) == FETCHED


def test_a_post_counts_from_the_time_of_its_platform_whatever_its_age() -> None:
    assert clock_starts_at(utc(1, 1, year=2020), ARRIVED, FETCHED, is_mail=False) == utc(1, 1, year=2020)
    assert clock_starts_at(utc(4, 7, 7, 3), ARRIVED, FETCHED, is_mail=False) == utc(4, 7, 7, 3)


def test_a_post_from_the_future_counts_from_the_fetch() -> None:
    assert clock_starts_at(utc(4, 8), None, FETCHED, is_mail=False) == FETCHED


def test_a_post_without_a_time_counts_from_its_arrival() -> None:
    assert clock_starts_at(None, ARRIVED, FETCHED, is_mail=False) == ARRIVED
    assert clock_starts_at(None, None, FETCHED, is_mail=False) == FETCHED


@settings(deadline=None, derandomize=True)
@given(sent=st.none() | instants, arrived=st.none() | instants, fetched=instants, is_mail=st.booleans())
def test_no_clock_starts_after_the_fetch(
    sent: datetime | None, arrived: datetime | None, fetched: datetime, *, is_mail: bool
) -> None:
    assert clock_starts_at(sent, arrived, fetched, is_mail=is_mail) <= fetched


def test_more_than_a_working_day_between_sending_and_fetching_is_said() -> None:
    assert not was_found_late(utc(4, 2), utc(4, 7), EW)  # over Easter: one working day
    assert was_found_late(utc(4, 2), utc(4, 8), EW)


# ── Rules 3, 4 and 8: one date from several ───────────────────────────────────────────────────────────────────────


def test_a_second_message_joins_its_turn_and_never_moves_it() -> None:
    assert earliest(due_by(date(2026, 4, 20)), due_by(date(2026, 4, 21))) == due_by(date(2026, 4, 20))


def test_a_message_that_is_found_late_makes_the_date_earlier() -> None:
    assert earliest(due_by(date(2026, 4, 20)), due_by(date(2026, 4, 15))) == due_by(date(2026, 4, 15))


def test_two_open_turns_fold_into_one_with_the_older_date() -> None:
    dues = [due_by(date(2026, 4, day)) for day in (21, 15, 20)]
    assert earliest(*dues) == due_by(date(2026, 4, 15))


def test_an_unanswered_case_keeps_its_date_when_it_is_reopened() -> None:
    old, new = due_by(date(2026, 3, 30)), due_by(date(2026, 4, 21))
    assert reopened(old, new, was_answered=False) == old


def test_an_answered_case_owes_a_new_turn_when_it_is_reopened() -> None:
    old, new = due_by(date(2026, 3, 30)), due_by(date(2026, 4, 21))
    assert reopened(old, new, was_answered=True) == new


# ── Rule 4: verdicts ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_on_the_last_day_is_in_time_and_one_after_it_late() -> None:
    assert verdict(end_of_day(date(2026, 4, 20)), utc(4, 20, 22, 59)) is Verdict.IN_TIME
    assert verdict(end_of_day(date(2026, 4, 20)), utc(4, 20, 23, 0)) is Verdict.LATE


# ── Rule 5: promises; the same hour ───────────────────────────────────────────────────────────────────────────────


def test_a_promise_is_broken_when_its_day_is_over() -> None:
    assert promised_at(date(2026, 4, 17)) == utc(4, 17, 23)
    assert promised_at(date(2026, 4, 18)) == utc(4, 18, 23)  # a Saturday, if that is what was promised


def test_an_emergency_is_due_within_the_hour_at_night_too() -> None:
    assert emergency_due_at(utc(4, 5, 22, 52)) == utc(4, 5, 23, 52)
    assert emergency_due_at(utc(3, 29, 0, 30)) == utc(3, 29, 1, 30)  # as the clocks change


def test_a_threat_stands_instead_of_the_pledge_and_safeguarding_beside_it() -> None:
    assert not pledge_stands_beside(Emergency.THREAT)
    assert pledge_stands_beside(Emergency.SAFEGUARDING)


# ── Rule 6: waiting for the constituent ───────────────────────────────────────────────────────────────────────────


def test_waiting_moves_the_date_by_the_working_days_waited() -> None:
    waited = days_waited(date(2026, 4, 8), date(2026, 4, 13), EW)
    assert waited == 3
    assert after_waiting(due_by(date(2026, 4, 20)), waited, EW) == due_by(date(2026, 4, 23))


def test_waiting_counts_ten_working_days_at_most() -> None:
    assert waiting_until(date(2026, 4, 8), EW) == date(2026, 4, 22)
    assert days_waited(date(2026, 4, 8), date(2026, 4, 22), EW) == 10
    assert days_waited(date(2026, 4, 8), date(2026, 6, 1), EW) == 10


def test_a_second_pause_has_only_what_the_first_left() -> None:
    assert waiting_until(date(2026, 4, 8), EW, waited_before=7) == date(2026, 4, 13)
    assert days_waited(date(2026, 4, 8), date(2026, 6, 1), EW, waited_before=7) == 3
    assert days_waited(date(2026, 4, 8), date(2026, 6, 1), EW, waited_before=10) == 0


def test_an_answer_on_the_same_day_moves_nothing() -> None:
    waited = days_waited(date(2026, 4, 8), date(2026, 4, 8), EW)
    assert after_waiting(due_by(date(2026, 4, 20)), waited, EW) == due_by(date(2026, 4, 20))


@settings(deadline=None, derandomize=True)
@given(calendar=calendars, received_at=instants, count=st.integers(1, 20), waited=st.integers(0, 10))
def test_a_date_moved_by_waiting_is_the_date_counted_with_the_days_waited(
    calendar: Calendar, received_at: datetime, count: int, waited: int
) -> None:
    moved = after_waiting(due(received_at, count, calendar), waited, calendar)
    assert moved == due(received_at, count + waited, calendar)


# ── Rule 9: the calendar changes ──────────────────────────────────────────────────────────────────────────────────


def test_a_holiday_added_moves_an_open_date_later() -> None:
    more = replace(EW, extra_holidays=frozenset({date(2026, 4, 15)}))
    found = recomputed(received_at=utc(4, 2), days=10, old_due_at=end_of_day(date(2026, 4, 20)), calendar=more, now=NOW)
    assert found == due_by(date(2026, 4, 21))


def test_a_holiday_added_after_the_date_had_passed_moves_it_too() -> None:
    more = replace(EW, extra_holidays=frozenset({date(2026, 4, 15)}))
    old_due_at = end_of_day(date(2026, 4, 20))
    found = recomputed(received_at=utc(4, 2), days=10, old_due_at=old_due_at, calendar=more, now=utc(4, 21))
    assert found == due_by(date(2026, 4, 21))


def test_a_holiday_removed_moves_an_open_date_earlier() -> None:
    fewer = replace(EW, removed_holidays=frozenset({date(2026, 4, 6)}))
    old_due_at = end_of_day(date(2026, 4, 20))
    found = recomputed(received_at=utc(4, 2), days=10, old_due_at=old_due_at, calendar=fewer, now=NOW)
    assert found == due_by(date(2026, 4, 17))


@pytest.mark.parametrize(
    ("now", "on"),
    [
        (utc(4, 15), date(2026, 4, 17)),
        (utc(4, 16), date(2026, 4, 17)),
        (utc(4, 17), date(2026, 4, 20)),  # Friday: the next working day is Monday, and that was its date
        (utc(4, 20), date(2026, 4, 20)),  # due today stays due today
        (utc(4, 23), date(2026, 4, 20)),  # what was late stays late by as much
    ],
)
def test_a_holiday_removed_never_moves_a_date_to_before_the_next_working_day(now: datetime, on: date) -> None:
    fewer = replace(EW, removed_holidays=frozenset({date(2026, 4, 6)}))
    found = recomputed(
        received_at=utc(4, 2), days=10, old_due_at=end_of_day(date(2026, 4, 20)), calendar=fewer, now=now
    )
    assert found == due_by(on)


def test_two_holidays_removed_stop_at_the_next_working_day() -> None:
    fewer = replace(EW, removed_holidays=frozenset({date(2026, 4, 3), date(2026, 4, 6)}))
    old_due_at = end_of_day(date(2026, 4, 20))
    found = recomputed(received_at=utc(4, 2), days=10, old_due_at=old_due_at, calendar=fewer, now=utc(4, 16))
    assert found == due_by(date(2026, 4, 17))  # counted anew it would be today, the 16th


def test_a_provisional_date_becomes_sure_when_its_year_is_imported() -> None:
    known = replace(EW, known_until=date(2029, 12, 31))
    old = due(utc(12, 20, year=2028), 10, EW)
    now = utc(12, 21, year=2028)
    found = recomputed(received_at=utc(12, 20, year=2028), days=10, old_due_at=old.at, calendar=known, now=now)
    assert found == replace(old, provisional=False)


@settings(deadline=None, derandomize=True)
@given(before=calendars, after=calendars, received_at=instants, waited=st.integers(0, 40), count=st.integers(1, 20))
def test_a_recomputed_date_is_worked_and_never_earlier_than_fair(
    before: Calendar, after: Calendar, received_at: datetime, waited: int, count: int
) -> None:
    old = due(received_at, count, before)
    now = received_at + timedelta(days=waited)
    found = recomputed(received_at=received_at, days=count, old_due_at=old.at, calendar=after, now=now)
    assert after.is_working_day(found.on)
    assert found.on >= min(old.on, after.add_working_days(local_date(now), 1))
    assert found.on >= due(received_at, count, after).on
    again = recomputed(received_at=received_at, days=count, old_due_at=found.at, calendar=after, now=now)
    assert again == found


def test_a_lateness_that_a_holiday_removes_is_excused() -> None:
    assert excused(Verdict.LATE, end_of_day(date(2026, 4, 21)), utc(4, 21, 12)) is Verdict.EXCUSED
    assert excused(Verdict.LATE, end_of_day(date(2026, 4, 21)), utc(4, 22, 12)) is Verdict.LATE


def test_a_verdict_in_time_stays_when_a_holiday_is_removed() -> None:
    assert excused(Verdict.IN_TIME, end_of_day(date(2026, 4, 17)), utc(4, 20, 12)) is Verdict.IN_TIME
    assert excused(Verdict.EXCUSED, end_of_day(date(2026, 4, 17)), utc(4, 20, 12)) is Verdict.EXCUSED


# ── Rule 10 and the windows: what leads ───────────────────────────────────────────────────────────────────────────

PLEDGE = end_of_day(date(2026, 4, 20))


def test_the_pledge_leads_where_there_is_nothing_else() -> None:
    assert leading(NOW, pledge_at=PLEDGE) == Leading(Kind.PLEDGE, PLEDGE)
    assert leading(NOW, pledge_at=None) is None


def test_a_promise_stands_in_the_place_of_the_pledge() -> None:
    later = end_of_day(date(2026, 4, 30))
    assert leading(NOW, pledge_at=PLEDGE, promised_at=later) == Leading(Kind.PROMISE, later)


def test_an_external_deadline_before_the_pledge_outranks_it() -> None:
    appeal = end_of_day(date(2026, 4, 10))
    assert leading(NOW, pledge_at=PLEDGE, external_at=appeal) == Leading(Kind.EXTERNAL, appeal, outranks_pledge=True)


def test_an_external_deadline_after_the_pledge_waits_its_turn() -> None:
    hearing = end_of_day(date(2026, 6, 1))
    assert leading(NOW, pledge_at=PLEDGE, external_at=hearing) == Leading(Kind.PLEDGE, PLEDGE)
    assert leading(NOW, pledge_at=None, external_at=hearing) == Leading(Kind.EXTERNAL, hearing, outranks_pledge=True)


def test_the_window_of_a_platform_leads_until_it_is_over() -> None:
    window = utc(4, 8, 7)
    assert leading(NOW, pledge_at=PLEDGE, window_ends_at=window) == Leading(Kind.WINDOW, window)
    assert leading(window, pledge_at=PLEDGE, window_ends_at=window) == Leading(Kind.PLEDGE, PLEDGE)


def test_a_window_that_ends_sooner_does_not_hide_an_external_deadline() -> None:
    noon, window = utc(4, 7, 11), utc(4, 7, 10)
    found = leading(NOW, pledge_at=PLEDGE, external_at=noon, window_ends_at=window)
    assert found == Leading(Kind.WINDOW, window, outranks_pledge=True)


def test_an_emergency_leads_before_everything() -> None:
    hour = utc(4, 7, 8, 30)
    found = leading(NOW, pledge_at=PLEDGE, window_ends_at=utc(4, 7, 8, 10), emergency_at=hour)
    assert found == Leading(Kind.EMERGENCY, hour)


def test_the_hour_matters_for_all_but_pledge_and_promise() -> None:
    assert {kind for kind in Kind if Leading(kind, NOW).hour_matters} == {Kind.WINDOW, Kind.EXTERNAL, Kind.EMERGENCY}


def test_what_owes_nothing_sorts_after_every_date() -> None:
    assert due(utc(1, 1, year=2199), 40, EW).at < NOTHING_OWED_AT


# ── Rule 12: from before the account was connected ────────────────────────────────────────────────────────────────


def test_backlog_is_never_due_before_a_date_counted_from_the_connection() -> None:
    assert due(utc(3, 1), 10, EW, not_before=utc(4, 7)) == due_by(date(2026, 4, 21))


def test_what_came_after_the_connection_counts_from_its_own_day() -> None:
    assert due(utc(4, 9), 10, EW, not_before=utc(4, 7)) == due_by(date(2026, 4, 23))


# ── Elections ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_pre_election_period_before_the_polls_of_may_2024() -> None:
    assert pre_election_starts_by(date(2024, 5, 2), EW) == date(2024, 3, 26)
    assert pre_election_starts_by(date(2024, 5, 2), EW, 30) == date(2024, 3, 19)


def test_a_closure_of_the_office_does_not_lengthen_the_pre_election_period() -> None:
    closed = replace(EW, closures=frozenset({date(2024, 4, 2), date(2024, 4, 3)}))
    assert pre_election_starts_by(date(2024, 5, 2), closed) == date(2024, 3, 26)


def test_christmas_eve_is_no_day_of_an_election_timetable() -> None:
    poll_on = date(2025, 1, 9)
    assert EW.subtract_working_days(poll_on, 12) == date(2024, 12, 19)
    assert pre_election_starts_by(poll_on, EW, 12) == date(2024, 12, 18)
