"""What a search finds, in which order, and what it never shows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.errors import Missing
from app.messages import index
from app.messages.models import Message
from app.office.models import Office
from app.search import queries
from app.search.language import parsed
from app.search.queries import excerpt, marker, search
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db

NOW = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)
CHANNELS = ["email", "mastodon"]
Written = Callable[..., Message]


@pytest.fixture(autouse=True)
def _now(clock: Clock) -> None:
    clock.at = NOW


@pytest.fixture
def office(session: Session) -> Office:
    return make.office(session)


@pytest.fixture
def written(session: Session, office: Office) -> Written:
    """A message in a case of its own (or in ``case``), with its words in the index."""

    def made(text: str, subject: str = "Hello", case: Any = None, channel: str = "email", **columns: Any) -> Message:
        where = columns.pop("office", office)
        of = case or make.case(session, office=where, channel=channel, **columns.pop("in_case", {}))
        line = make.account(session, office=where, channel=channel)
        conversation = make.conversation(session, case=of, account=line)
        message = make.message(session, conversation=conversation, text=text, subject=subject, **columns)
        index.add(session, message, of.reference)
        return message

    return made


def found(session: Session, office: Office, typed: str, **more: Any) -> list[int]:
    return [hit.message_id for hit in search(session, [office.id], parsed(typed, CHANNELS), **more).hits]


def test_every_word_must_be_there(session: Session, office: Office, written: Written) -> None:
    both = written("The brown bin was missed")
    written("The brown dog was missed")
    assert found(session, office, "missed bin") == [both.id]


def test_a_phrase_stands_together(session: Session, office: Office, written: Written) -> None:
    together = written("The brown bin was missed")
    written("The bin by the brown door")
    assert found(session, office, '"brown bin"') == [together.id]


def test_a_phrase_does_not_reach_from_the_subject_into_the_text(
    session: Session, office: Office, written: Written
) -> None:
    written("bin collection", subject="brown")
    assert found(session, office, '"brown bin"') == []


def test_case_accents_and_scripts_do_not_stand_in_the_way(session: Session, office: Office, written: Written) -> None:
    welsh = written("Mae'r TŶ yn llaith, meddai O’Brien o’r Straße")
    chinese = written("我们家门口的路灯坏了")
    assert found(session, office, "ty") == [welsh.id]
    assert found(session, office, "o'brien STRASSE") == [welsh.id]
    assert found(session, office, "路灯") == [chinese.id]
    assert found(session, office, "灯路") == []


def test_the_beginning_of_a_word_finds_it(session: Session, office: Office, written: Written) -> None:
    holes = written("Potholes everywhere")
    assert found(session, office, "pothole") == []
    assert found(session, office, "pothol*") == [holes.id]


def test_sender_channel_subject_and_reference_are_found(session: Session, office: Office, written: Written) -> None:
    rollo = written("Bins", author_name="Rollo", author_handle="@rollo_t", channel="mastodon", subject="Refused")
    written("Rollo says: bins, refused, mastodon")
    reference = search(session, [office.id], parsed("bins", CHANNELS)).hits[-1].reference
    assert found(session, office, "from:rollo") == [rollo.id]
    assert found(session, office, "from:rollo_t") == [rollo.id]
    assert found(session, office, "channel:mastodon") == [rollo.id]
    assert found(session, office, "subject:refused") == [rollo.id]
    assert len(found(session, office, f"bins {reference}")) == 1


def test_a_word_in_the_subject_comes_first_then_the_newest(session: Session, office: Office, written: Written) -> None:
    subject = written("See above", subject="Bins")
    older, newer = written("About bins"), written("Bins again")
    assert found(session, office, "bins") == [subject.id, newer.id, older.id]


def test_a_case_is_shown_once_however_often_it_holds_the_word(
    session: Session, office: Office, written: Written
) -> None:
    case = make.case(session, office=office)
    said = [written("Bins", case=case).id for _ in range(3)]
    assert found(session, office, "bins") == said[-1:]


def test_filters_narrow_what_is_found(session: Session, office: Office, written: Written) -> None:
    closed = written("Bins", in_case={"is_open": False}, sent_at=NOW - timedelta(days=40))
    still_open = written("Bins")
    assert found(session, office, "bins is:closed") == [closed.id]
    assert found(session, office, "bins is:open") == [still_open.id]
    assert found(session, office, "is:open") == [still_open.id]
    assert found(session, office, "bins before:2026-03-01") == [closed.id]
    assert found(session, office, "bins on:2026-04-07") == [still_open.id]


def test_no_other_office_is_ever_found(session: Session, office: Office, written: Written) -> None:
    other = make.office(session)
    foreign = written("Bins", office=other)
    own = written("Bins")
    assert found(session, office, "bins") == [own.id]
    both = search(session, [office.id, other.id], parsed("bins", CHANNELS))
    assert {hit.message_id for hit in both.hits} == {own.id, foreign.id}
    assert search(session, [], parsed("bins", CHANNELS)).hits == ()


def test_a_reference_goes_straight_to_its_case(session: Session, office: Office) -> None:
    case = make.case(session, office=office, reference="MA-26-0147")
    assert search(session, [office.id], parsed("ma-26-147", CHANNELS)).case_id == case.id
    foreign = make.office(session)
    assert search(session, [foreign.id], parsed("MA-26-0147", CHANNELS)).case_id is None


def test_a_reference_that_two_offices_use_is_searched_for(session: Session, office: Office, written: Written) -> None:
    other = make.office(session)
    make.case(session, office=office, reference="MA-26-0147")
    quoting = written("About MA-26-0147", case=make.case(session, office=other, reference="MA-26-0147"), office=other)
    result = search(session, [office.id, other.id], parsed("MA-26-0147", CHANNELS))
    assert (result.case_id, [hit.message_id for hit in result.hits]) == (None, [quoting.id])


def test_pages_of_a_search_join_without_a_gap_or_a_double(
    session: Session, office: Office, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "WINDOWS", (4, 2, 3))
    all_of_them = [written("Bins", subject="Bins" if number % 3 else "Hello").id for number in range(11)]
    seen: list[int] = []
    after = ""
    for _ in range(20):
        page = search(session, [office.id], parsed("bins", CHANNELS), after=after, limit=2)
        seen += [hit.message_id for hit in page.hits]
        after = page.next
        if not after:
            break
    assert sorted(seen) == all_of_them


def test_words_are_found_in_every_part_of_the_index_newest_first(
    session: Session, office: Office, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_PART", 1)  # two messages a part
    ids = [written("The brown bin").id for _ in range(7)]
    other = written("The brown dog").id
    words, phrase = parsed("brown bin", CHANNELS).phrases, parsed('"brown bin"', CHANNELS).phrases
    assert index.newest(session, [office.id], phrase, limit=9) == index.Window(ids[::-1], None)
    assert index.newest(session, [office.id], words, limit=4) == index.Window(ids[:2:-1], ids[3])
    assert index.newest(session, [office.id], words, below=ids[4], limit=2) == index.Window([ids[3], ids[2]], ids[2])
    assert index.newest(session, [office.id], (), down_to=ids[5], limit=9).ids == [other, ids[6], ids[5]]


def test_a_phrase_is_found_behind_messages_that_hold_its_words_apart(
    session: Session, office: Office, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_PART", 1)  # two messages a part
    monkeypatch.setattr(index, "_MOST_READ", 3)
    oldest = written("The brown bin")
    for _ in range(4):
        written("A bin, and it is brown")
    newest = written("Our brown bin")
    assert found(session, office, '"brown bin"') == [newest.id, oldest.id]


def test_a_filter_that_leaves_little_is_looked_for_further_back_and_it_says_how_far(
    session: Session, office: Office, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "WINDOWS", (2, 2, 2))
    oldest = written("Bins", in_case={"is_open": False}, sent_at=NOW - timedelta(days=9))
    for days in range(7, 0, -1):
        written("Bins", sent_at=NOW - timedelta(days=days))
    page = search(session, [office.id], parsed("bins is:closed", CHANNELS))
    assert (page.hits, page.looked_back_to) == ((), NOW - timedelta(days=6))
    rest = search(session, [office.id], parsed("bins is:closed", CHANNELS), after=page.next)
    assert ([hit.message_id for hit in rest.hits], rest.next) == ([oldest.id], "")


@pytest.mark.parametrize("after", ["x", "1", "0.0.0", "1.3.0", "-1.0.0", "1.0.99999"])
def test_a_page_that_no_search_has_is_missing(session: Session, office: Office, after: str) -> None:
    with pytest.raises(Missing):
        search(session, [office.id], parsed("bins", CHANNELS), after=after)


def test_a_message_that_is_removed_is_found_no_more(session: Session, office: Office, written: Written) -> None:
    gone, kept = written("Bins"), written("Bins")
    index.remove(session, [gone.id, 10**9])
    assert found(session, office, "bins") == [kept.id]
    assert found(session, office, "from:hester") == [kept.id]


def test_a_message_added_again_is_found_by_its_new_words_only(
    session: Session, office: Office, written: Written
) -> None:
    message = written("Brown bin")
    message.text = "Blue bin"
    index.add(session, message, "MA-26-0200", "photo of bin.jpg")
    assert found(session, office, "brown") == []
    assert found(session, office, "blue photo MA-26-0200") == [message.id]


def test_a_message_the_length_of_a_book_is_kept_within_bounds(
    session: Session, office: Office, written: Written
) -> None:
    words = " ".join(f"wort{number}" for number in range(100_000))
    book = written(f"{words} {'x' * 1_000_000} end", subject="A book")
    assert found(session, office, "book wort15000") == [book.id]
    assert found(session, office, "end") == []


def test_an_excerpt_shows_what_was_found_where_it_stands() -> None:
    text = "Dear councillor, " + "nothing of note. " * 20 + "The Tŷ is damp and the BIN was missed. " + "More. " * 50
    pieces = excerpt(text, marker(parsed("ty bin", CHANNELS).phrases))
    assert [piece for piece, is_found in pieces if is_found] == ["Tŷ", "BIN"]
    shown = "".join(piece for piece, _ in pieces)
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown) < 240


def test_an_excerpt_marks_whole_words_only() -> None:
    assert excerpt("Robin saw a bin", marker(parsed("bin", CHANNELS).phrases)) == (
        ("Robin saw a ", False),
        ("bin", True),
    )
    assert excerpt("Nothing", marker(parsed("from:x", CHANNELS).phrases)) == (("Nothing", False),)
    assert excerpt("", marker(parsed("bin", CHANNELS).phrases)) == ()
