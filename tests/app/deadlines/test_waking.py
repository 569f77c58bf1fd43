"""Warnings wait for the morning."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.deadlines.waking import is_waking, next_waking_moment


@pytest.mark.parametrize(
    ("instant", "moment"),
    [
        # Winter: London is UTC.
        (datetime(2026, 1, 15, 6, 59, tzinfo=UTC), datetime(2026, 1, 15, 7, 0, tzinfo=UTC)),
        (datetime(2026, 1, 15, 7, 0, tzinfo=UTC), datetime(2026, 1, 15, 7, 0, tzinfo=UTC)),
        (datetime(2026, 1, 15, 21, 59, tzinfo=UTC), datetime(2026, 1, 15, 21, 59, tzinfo=UTC)),
        (datetime(2026, 1, 15, 22, 0, tzinfo=UTC), datetime(2026, 1, 16, 7, 0, tzinfo=UTC)),
        # Summer: an hour ahead of UTC.
        (datetime(2026, 7, 15, 21, 0, tzinfo=UTC), datetime(2026, 7, 16, 6, 0, tzinfo=UTC)),
        (datetime(2026, 7, 15, 23, 30, tzinfo=UTC), datetime(2026, 7, 16, 6, 0, tzinfo=UTC)),
        # The nights in which the clocks change.
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), datetime(2026, 3, 29, 6, 0, tzinfo=UTC)),
        (datetime(2026, 10, 24, 22, 30, tzinfo=UTC), datetime(2026, 10, 25, 7, 0, tzinfo=UTC)),
    ],
)
def test_a_warning_at_night_waits_for_seven_o_clock(instant: datetime, moment: datetime) -> None:
    assert next_waking_moment(instant) == moment


@settings(deadline=None, derandomize=True)
@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants it so
def test_the_next_waking_moment_is_awake_and_within_nine_hours_or_ten(instant: datetime) -> None:
    moment = next_waking_moment(instant)
    assert is_waking(moment)
    assert 0 <= (moment - instant).total_seconds() <= 10 * 3600
    assert next_waking_moment(moment) == moment
