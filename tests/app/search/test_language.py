"""What may be typed into the search box."""

from datetime import UTC, datetime

import pytest

from app.messages.index import Field, Phrase
from app.search.language import Query, parsed

CHANNELS = ["email", "mastodon"]


@pytest.mark.parametrize(
    ("typed", "phrases"),
    [
        ("missed BIN", (Phrase(("missed",)), Phrase(("bin",)))),
        ('"Brown bin" again', (Phrase(("brown", "bin")), Phrase(("again",)))),
        ("pothol*", (Phrase(("pothol",), is_beginning=True),)),
        ("O'Brien", (Phrase(("o", "brien")),)),
        ("hester@residents.example", (Phrase(("hester", "residents", "example")),)),
        ("from:hester", (Phrase(("hester",), Field.AUTHOR),)),
        ('from:"Hester B"', (Phrase(("hester", "b"), Field.AUTHOR),)),
        ("subject:bins", (Phrase(("bins",), Field.SUBJECT),)),
        ("channel:Mastodon", (Phrase(("mastodon",), Field.CHANNEL),)),
        ("at 10:30", (Phrase(("at",)), Phrase(("10", "30")))),
        ("https://fernmoor.example/x", (Phrase(("https", "fernmoor", "example", "x")),)),
        ('"never closed', (Phrase(("never", "closed")),)),
        ("Re: bins", (Phrase(("re",)), Phrase(("bins",)))),
        ('* - ! ""', ()),
        ("", ()),
    ],
)
def test_words_phrases_and_filters_that_are_words(typed: str, phrases: tuple[Phrase, ...]) -> None:
    assert parsed(typed, CHANNELS) == Query(phrases=phrases)


@pytest.mark.parametrize(
    ("typed", "since", "until"),
    [
        ("after:2026-03-01", datetime(2026, 3, 1, tzinfo=UTC), None),
        ("since:1/4/2026", datetime(2026, 3, 31, 23, tzinfo=UTC), None),
        ("before:2026-04", None, datetime(2026, 3, 31, 23, tzinfo=UTC)),
        ("on:2026-02", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        ("on:2024", datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)),
        ("on:2026-04-07", datetime(2026, 4, 6, 23, tzinfo=UTC), datetime(2026, 4, 7, 23, tzinfo=UTC)),
    ],
)
def test_dates_are_days_in_london(typed: str, since: datetime | None, until: datetime | None) -> None:
    assert parsed(typed, CHANNELS) == Query(since=since, until=until)


def test_open_and_closed_are_told_apart() -> None:
    assert parsed("is:open", CHANNELS) == Query(is_open=True)
    assert parsed("is:closed", CHANNELS) == Query(is_open=False)


def test_the_reference_of_a_case_is_known_however_it_is_typed() -> None:
    assert parsed(" ma-26-0147 ", CHANNELS).reference == "MA-26-0147"
    assert parsed("MA-26-147", CHANNELS).reference == "MA-26-0147"
    assert parsed("MA-26-0147 bins", CHANNELS).reference == ""


@pytest.mark.parametrize("filter_word", ["is:odd", "colour:red", "channel:fax", "on:2026-13", "after:yesterday"])
def test_a_filter_that_is_not_understood_is_named_and_left_out(filter_word: str) -> None:
    assert parsed(f"bins {filter_word}", CHANNELS) == Query(phrases=(Phrase(("bins",)),), not_understood=(filter_word,))


def test_a_query_asks_for_something_or_is_empty() -> None:
    assert parsed("colour:red", CHANNELS).is_empty
    assert not parsed("is:open", CHANNELS).is_empty
    assert not parsed("bins", CHANNELS).is_empty


def test_a_page_of_text_in_the_box_is_cut() -> None:
    assert len(parsed("word " * 10_000, CHANNELS).phrases) == 20
