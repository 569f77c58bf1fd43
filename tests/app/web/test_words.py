"""How pages write moments and names, and where the next page of a list begins."""

from datetime import UTC, date, datetime

import pytest
from flask import Flask

from app.errors import Missing
from app.web.filters import ago, day, hour, initials, iso, long_day, moment
from app.web.paging import after, page, token
from tests.conftest import Clock


@pytest.fixture(autouse=True)
def _in_a_request(app: Flask, clock: Clock) -> object:
    clock.at = datetime(2026, 11, 19, 14, 18, tzinfo=UTC)
    with app.test_request_context():
        yield


def test_a_day_and_a_moment_are_written_short() -> None:
    at = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    assert (day(at), moment(at), hour(at)) == ("Fri 20 Nov", "Fri 20 Nov, 17:00", "17:00")
    assert long_day(at) == "Friday 20 November"


def test_a_day_half_a_year_away_has_its_year() -> None:
    assert day(date(2027, 12, 24)) == "Fri 24 Dec 2027"


def test_a_moment_is_that_of_london() -> None:
    summer = datetime(2026, 8, 31, 23, 30, tzinfo=UTC)
    assert (moment(summer), iso(summer)) == ("Tue 1 Sep, 00:30", "2026-09-01T00:30+01:00")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ((19, 14, 18, 0), "just now"),
        ((19, 14, 17, 20), "40 seconds ago"),
        ((19, 14, 17, 0), "1 minute ago"),
        ((19, 14, 0, 0), "18 minutes ago"),
        ((19, 13, 18, 0), "1 hour ago"),
        ((18, 14, 19, 0), "23 hours ago"),
        ((18, 14, 18, 0), "Wed 18 Nov, 14:18"),
        ((19, 14, 19, 0), "Thu 19 Nov, 14:19"),
    ],
)
def test_time_is_relative_up_to_a_day(at: tuple[int, int, int, int], words: str) -> None:
    on, hours, minutes, seconds = at
    assert ago(datetime(2026, 11, on, hours, minutes, seconds, tzinfo=UTC)) == words


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Siân Rees", "SR"), ("Cllr Tansy Quillfeather", "TQ"), ("Bram", "B"), ("", "?"), ("Dr. Ann van der Berg", "AB")],
)
def test_initials_are_of_the_first_and_last_word(name: str, letters: str) -> None:
    assert initials(name) == letters


def test_a_page_tells_where_the_next_one_begins() -> None:
    at = datetime(2026, 11, 19, tzinfo=UTC)
    first = page([(1, at, 7), (2, at, 8), (3, at, 9)], 2, lambda row: row)
    assert first.rows == ((1, at, 7), (2, at, 8))
    assert after(first.next, int, datetime, int) == (2, at, 8)
    assert page([(1, at, 7)], 2, lambda row: row).next == ""


@pytest.mark.parametrize("given", ["x", "!!!", token(1), token("a", 2, 3), "W10", token(True, "2026-01-01", 1), "é"])
def test_a_token_that_was_tampered_with_leads_nowhere(given: str) -> None:
    with pytest.raises(Missing):
        after(given, int, datetime, int)
