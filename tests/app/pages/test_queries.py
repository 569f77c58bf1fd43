"""The lists, badges and pages over cases: what they hold, in which order, and what is nobody's business."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.cases.models import Case, Decision, DecisionKind, Note, Status
from app.deadlines.calendar import Calendar
from app.deadlines.chips import BACKLOG, EMERGENCY, EXTERNAL, NORMAL, REOPENED_LATE, WAITING, Group, bounds
from app.deadlines.holidays import Nation
from app.errors import Missing
from app.messages.models import Direction, Revision
from app.office.models import Office
from app.pages import queries
from app.pages.queries import Filter, View
from app.pages.rows import CasePage, MessageRow
from app.people.models import Person
from app.replies.models import Sending
from connectors import Audience
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db

NOW = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)  # a Tuesday, 09:00 in London
AT = bounds(NOW, Calendar(Nation.ENGLAND_AND_WALES))
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _now(clock: Clock) -> None:
    clock.at = NOW


@pytest.fixture
def office(session: Session) -> Office:
    return make.office(session)


@pytest.fixture
def cases(session: Session, office: Office) -> Callable[..., Case]:
    """Makes a case of the office: its subject, its rank and how long it has."""

    def made(subject: str, rank: int = NORMAL, left: timedelta = 7 * DAY, **columns: Any) -> Case:
        columns.setdefault("office", office)
        return make.case(session, subject=subject, rank=rank, due_at=NOW + left, **columns)

    return made


def listed(session: Session, office: Office, wanted: Filter, staff_id: int = 0) -> list[str]:
    page = queries.inbox(session, [office.id], wanted, staff_id=staff_id, at=AT)
    return [row.subject for row in page.rows]


def messages(page: CasePage) -> list[MessageRow]:
    return [entry for entry in page.thread if isinstance(entry, MessageRow)]


def test_the_inbox_is_ordered_by_what_is_most_urgent(
    session: Session, office: Office, cases: Callable[..., Case]
) -> None:
    cases("From before", BACKLOG, -2 * DAY)
    cases("Later", NORMAL, 30 * DAY)
    cases("Waiting", WAITING, DAY)
    cases("Overdue", NORMAL, -DAY)
    cases("Late again", REOPENED_LATE, 2 * DAY)
    cases("Appeal", EXTERNAL, 3 * DAY)
    cases("Threat", EMERGENCY, HOUR)
    cases("Closed", NORMAL, -DAY, is_open=False, status=Status.CLOSED)
    assert listed(session, office, Filter()) == [
        "Threat",
        "Appeal",
        "Late again",
        "Overdue",
        "Later",
        "Waiting",
        "From before",
    ]


def test_each_list_of_the_rail_holds_its_own_cases(
    session: Session, office: Office, cases: Callable[..., Case]
) -> None:
    tansy = make.staff(session, office=office)
    cases("Overdue", left=-HOUR)
    cases("Today", left=HOUR, owner_id=tansy.id)
    cases("Tomorrow", left=DAY, owner_id=make.staff(session, office=office).id)
    cases("Officer", left=3 * DAY, status=Status.WITH_OFFICER, owner_id=tansy.id)
    cases("Constituent", WAITING, HOUR, status=Status.WITH_CONSTITUENT)
    cases("Answered", is_open=False, status=Status.ANSWERED)
    cases("Closed", is_open=False, status=Status.CLOSED, owner_id=tansy.id)
    assert {view: listed(session, office, Filter(view), tansy.id) for view in View} == {
        View.NEEDS_REPLY: ["Overdue", "Today", "Tomorrow", "Officer", "Constituent"],
        View.OVERDUE: ["Overdue"],
        View.TODAY: ["Today"],
        View.MINE: ["Today", "Officer"],
        View.UNASSIGNED: ["Overdue", "Constituent"],
        View.WAITING: ["Officer", "Constituent"],
        View.ANSWERED: ["Answered"],
        View.CLOSED: ["Closed"],
    }


def test_a_list_is_narrowed_by_channel_audience_unread_and_queue(
    session: Session, office: Office, cases: Callable[..., Case]
) -> None:
    planning = make.queue(session, office=office)
    cases("Mail")
    cases("Post", channel="mastodon", audience=Audience.PUBLIC, is_unread=False)
    cases("Flats", queue_id=planning.id, is_unread=False)
    assert listed(session, office, Filter(channel="mastodon")) == ["Post"]
    assert listed(session, office, Filter(audience=Audience.DIRECT)) == ["Mail", "Flats"]
    assert listed(session, office, Filter(is_unread=True)) == ["Mail"]
    assert listed(session, office, Filter(queue_id=planning.id)) == ["Flats"]


def test_what_is_done_comes_newest_first(session: Session, office: Office, cases: Callable[..., Case]) -> None:
    for days in (3, 1, 2):
        cases(f"{days} days ago", is_open=False, status=Status.ANSWERED, last_at=NOW - days * DAY)
    assert listed(session, office, Filter(View.ANSWERED)) == ["1 days ago", "2 days ago", "3 days ago"]


@pytest.mark.parametrize("view", [View.NEEDS_REPLY, View.ANSWERED])
def test_pages_of_a_list_join_without_a_gap_or_a_double(
    session: Session, office: Office, cases: Callable[..., Case], view: View
) -> None:
    other = make.office(session)
    done = {"is_open": False, "status": Status.ANSWERED} if view is View.ANSWERED else {}
    for number in range(7):
        cases(f"{number}", office=[office, other][number % 2], last_at=NOW, **done)
    seen: list[str] = []
    after = ""
    for size in (3, 3, 1):
        page = queries.inbox(session, [office.id, other.id], Filter(view), staff_id=0, at=AT, after=after, limit=3)
        assert len(page.rows) == size
        seen += [row.subject for row in page.rows]
        after = page.next
    assert after == ""
    assert sorted(seen) == ["0", "1", "2", "3", "4", "5", "6"]


def test_several_offices_are_merged_in_due_order(session: Session, office: Office, cases: Callable[..., Case]) -> None:
    other, foreign = make.office(session), make.office(session)
    cases("Third", left=3 * DAY)
    cases("First", left=1 * DAY)
    cases("Second", left=2 * DAY, office=other)
    cases("Foreign", left=HOUR, office=foreign)
    page = queries.inbox(session, [office.id, other.id], Filter(), staff_id=0, at=AT)
    assert [row.subject for row in page.rows] == ["First", "Second", "Third"]


def test_somebody_of_no_office_sees_nothing(session: Session, cases: Callable[..., Case]) -> None:
    cases("Bins")
    assert queries.inbox(session, [], Filter(), staff_id=0, at=AT).rows == ()
    assert queries.badges(session, [], staff_id=0, at=AT).needs_reply == 0
    assert queries.people(session, []).rows == ()
    assert queries.audit_page(session, []).rows == ()


@pytest.mark.parametrize("after", ["x", "1", "1.2.3.4", "99999999999999999999.1.1", "3.999999999999999999.1"])
def test_a_page_that_no_list_has_is_missing(session: Session, office: Office, after: str) -> None:
    with pytest.raises(Missing):
        queries.inbox(session, [office.id], Filter(), staff_id=0, at=AT, after=after)


def test_a_row_of_the_inbox_names_its_owner(session: Session, office: Office, cases: Callable[..., Case]) -> None:
    bram = make.staff(session, office=office, name="Bram Oxlip", tint=2)
    cases("Bins", owner_id=bram.id)
    cases("Flats", left=8 * DAY)
    bins, flats = queries.inbox(session, [office.id], Filter(), staff_id=0, at=AT).rows
    assert bins.owner is not None
    assert (bins.owner.name, bins.owner.tint, flats.owner) == ("Bram Oxlip", 2, None)


def test_rows_stand_under_the_headings_of_the_inbox(
    session: Session, office: Office, cases: Callable[..., Case]
) -> None:
    for rank, left in ((EMERGENCY, HOUR), (NORMAL, -HOUR), (NORMAL, HOUR), (NORMAL, 5 * DAY), (NORMAL, 40 * DAY)):
        cases("Bins", rank, left)
    page = queries.inbox(session, [office.id], Filter(), staff_id=0, at=AT)
    assert [(group, len(rows)) for group, rows in queries.grouped(page.rows, AT)] == [
        (Group.NOW, 1),
        (Group.OVERDUE, 1),
        (Group.TODAY, 1),
        (Group.NEXT_FIVE, 1),
        (Group.LATER, 1),
    ]


def test_badges_count_the_open_cases_exactly(session: Session, office: Office, cases: Callable[..., Case]) -> None:
    tansy, other = make.staff(session, office=office), make.office(session)
    cases("Threat", EMERGENCY, -HOUR)
    cases("Overdue", left=-DAY, owner_id=tansy.id, is_unread=False)
    cases("Today", left=HOUR, channel="mastodon", audience=Audience.PUBLIC)
    cases("Friday", left=3 * DAY, office=other)
    cases("May", left=40 * DAY, status=Status.WITH_OFFICER, owner_id=tansy.id)
    cases("Waiting", WAITING, -HOUR, status=Status.WITH_CONSTITUENT)
    cases("From before", BACKLOG, -DAY)
    cases("Closed", is_open=False, status=Status.CLOSED, owner_id=tansy.id)
    cases("Foreign", office=make.office(session))
    found = queries.badges(session, [office.id, other.id], staff_id=tansy.id, at=AT)
    assert (found.needs_reply, found.overdue, found.today, found.mine) == (7, 2, 1, 2)
    assert (found.unassigned, found.waiting, found.unread, found.public, found.private) == (5, 2, 6, 1, 6)
    assert found.groups == {
        Group.NOW: 1,
        Group.OVERDUE: 1,
        Group.TODAY: 1,
        Group.NEXT_FIVE: 1,
        Group.LATER: 1,
        Group.WAITING: 1,
        Group.BACKLOG: 1,
    }
    assert found.channels == {"email": 6, "mastodon": 1}
    assert found.offices == {office.id: 6, other.id: 1}


def test_a_case_shows_all_that_was_said_and_done_in_order(session: Session, office: Office) -> None:
    bram = make.staff(session, office=office, name="Bram Oxlip")
    case = make.case(session, office=office, owner_id=bram.id)
    first = make.conversation(session, case=case)
    second = make.conversation(session, case=case, account=make.account(session, office=office, channel="mastodon"))
    mail = make.message(session, conversation=first, text="Bins!", html="<p>Bins!</p>", sent_at=NOW - 5 * HOUR)
    make.file(session, message=mail, name="bin.jpg")
    make.message(session, conversation=second, text="Bins, as I said", sent_at=NOW - HOUR)
    answer = {"direction": Direction.OUTBOUND, "by_id": bram.id, "sent_at": NOW - 2 * HOUR}
    make.message(session, conversation=first, text="I have asked.", **answer)
    session.add(Note(office_id=office.id, case_id=case.id, by_id=bram.id, at=NOW - 3 * HOUR, text="Third time."))
    record(session, "assign", "case", case.id, office_id=office.id, by=bram.id, to=bram.id)
    record(session, "read", "case", case.id, office_id=office.id, by=bram.id)
    make.reply(session, conversation=second, staff=bram, text="Again.", queued_at=NOW + HOUR, state=Sending.FAILED)
    make.reply(session, conversation=first, staff=bram, text="Sent.", state=Sending.SENT)
    session.flush()

    page = queries.case_page(session, [office.id], case.id)

    assert [(entry.what, getattr(entry, "text", "")) for entry in page.thread] == [
        ("message", "Bins!"),
        ("note", "Third time."),
        ("message", "I have asked."),
        ("message", "Bins, as I said"),
        ("event", ""),
        ("reply", "Again."),
    ]
    mine = [entry.by.name for entry in page.thread if entry.by is not None]
    assert mine == ["Bram Oxlip", "Bram Oxlip", "Bram Oxlip", "Bram Oxlip"]
    shown = messages(page)[0]
    assert (shown.has_html, [file.name for file in shown.files]) == (True, ["bin.jpg"])
    (event,) = page.history
    assert (event.verb, event.to and event.to.name) == ("assign", "Bram Oxlip")
    assert [one.channel for one in page.conversations] == ["email", "mastodon"]
    assert page.earlier is None
    assert page.owner is not None
    assert page.owner.name == "Bram Oxlip"


def test_a_case_opens_at_the_conversation_that_is_asked_for(session: Session, office: Office) -> None:
    case = make.case(session, office=office)
    first, second = make.conversation(session, case=case), make.conversation(session, case=case)
    foreign = make.conversation(session, case=make.case(session, office=office))
    urgent = queries.case_page(session, [office.id], case.id).conversation
    asked = queries.case_page(session, [office.id], case.id, conversation_id=second.id).conversation
    assert urgent is not None
    assert asked is not None
    assert (urgent.id, asked.id) == (first.id, second.id)
    with pytest.raises(Missing):
        queries.case_page(session, [office.id], case.id, conversation_id=foreign.id)


def test_a_case_shows_drafts_what_is_owed_and_what_was_decided(session: Session, office: Office) -> None:
    bram, tansy = make.staff(session, office=office, name="Bram"), make.staff(session, office=office, name="Tansy")
    case = make.case(session, office=office, subject_person_id=make.person(session, office=office, name="Edith").id)
    conversation = make.conversation(session, case=case)
    message = make.message(session, conversation=conversation)
    make.obligation(session, message=message)
    make.draft(session, conversation=conversation, staff=bram)
    make.identity(session, person=_person(session, case))
    session.add(
        Decision(
            office_id=office.id,
            case_id=case.id,
            kind=DecisionKind.DECLINED,
            reason="Not ours.",
            by_id=bram.id,
            at=NOW,
            status_before=Status.NEW,
            undone_at=NOW,
            undone_by_id=tansy.id,
        )
    )
    other = make.case(session, office=office, person=_person(session, case), subject="Speed bumps", is_open=False)
    session.flush()

    page = queries.case_page(session, [office.id], case.id)

    assert [draft.by and draft.by.name for draft in page.drafts] == ["Bram"]
    assert [(one.received_at, one.days) for one in page.obligations] == [(NOW, 10)]
    (decision,) = page.decisions
    assert (decision.reason, decision.by and decision.by.name) == ("Not ours.", "Bram")
    assert decision.undone_by is not None
    assert decision.undone_by.name == "Tansy"
    assert (page.subject_person, page.queue, page.person.name) == ("Edith", "Unassigned", "Hester Brindlecombe")
    assert len(page.identities) == 1
    assert [(row.id, row.subject) for row in page.other_cases] == [(other.id, "Speed bumps")]


def _person(session: Session, case: Case) -> Person:
    return session.get_one(Person, case.person_id)


def test_a_long_thread_is_read_back_page_by_page(session: Session, office: Office) -> None:
    bram = make.staff(session, office=office)
    case = make.case(session, office=office)
    conversation = make.conversation(session, case=case)
    for number in range(5):
        make.message(session, conversation=conversation, text=f"{number}", sent_at=NOW + number * HOUR)
        at = NOW + (number + 0.5) * HOUR
        session.add(Note(office_id=office.id, case_id=case.id, by_id=bram.id, at=at, text=f"after {number}"))
    session.flush()
    pages: list[list[str]] = []
    before = None
    for _ in range(3):
        page = queries.case_page(session, [office.id], case.id, before=before, limit=2)
        pages.append([getattr(entry, "text", "") for entry in page.thread])
        before = page.earlier
    assert before is None
    assert pages == [["3", "after 3", "4", "after 4"], ["1", "after 1", "2", "after 2"], ["0", "after 0"]]


def test_an_edited_message_shows_its_later_words(session: Session, office: Office) -> None:
    case = make.case(session, office=office)
    message = make.message(session, conversation=make.conversation(session, case=case))
    seen = make.sighting(session)
    session.add(Revision(message_id=message.id, sighting_id=seen.id, text="Sorry, blue bin.", seen_at=NOW))
    session.flush()
    (shown,) = messages(queries.case_page(session, [office.id], case.id))
    assert [revision.text for revision in shown.revisions] == ["Sorry, blue bin."]


def test_a_text_of_book_length_is_cut_for_the_page(session: Session, office: Office) -> None:
    case = make.case(session, office=office)
    make.message(session, conversation=make.conversation(session, case=case), text="x" * (queries.LONGEST_TEXT + 1))
    (shown,) = messages(queries.case_page(session, [office.id], case.id))
    assert (shown.is_cut, len(shown.text)) == (True, queries.LONGEST_TEXT)


def test_what_is_foreign_looks_like_what_is_absent(session: Session, office: Office) -> None:
    foreign = make.case(session, office=make.office(session))
    for look in (
        lambda: queries.case_page(session, [office.id], foreign.id),
        lambda: queries.case_page(session, [office.id], 10**9),
        lambda: queries.person_page(session, [office.id], foreign.person_id),
        lambda: queries.person_page(session, [office.id], 10**9),
        lambda: queries.people(session, [office.id], after=str(foreign.person_id)),
    ):
        with pytest.raises(Missing):
            look()


def test_a_person_shows_names_and_cases_newest_first(session: Session, office: Office) -> None:
    bram = make.staff(session, office=office, name="Bram")
    hester = make.person(session, office=office)
    make.identity(session, person=hester, handle="hester@residents.example", joined_by_id=bram.id)
    for subject, days in (("Bins", 3), ("Flats", 1), ("Lamps", 2)):
        make.case(session, office=office, person=hester, subject=subject, last_at=NOW - days * DAY, is_open=False)
    page = queries.person_page(session, [office.id], hester.id, limit=2)
    assert [(one.handle, one.joined_by and one.joined_by.name) for one in page.identities] == [
        ("hester@residents.example", "Bram")
    ]
    assert [row.subject for row in page.cases.rows] == ["Flats", "Lamps"]
    rest = queries.person_page(session, [office.id], hester.id, after=page.cases.next, limit=2)
    assert ([row.subject for row in rest.cases.rows], rest.cases.next) == (["Bins"], "")


def test_people_are_listed_by_name_without_those_merged_or_erased(session: Session, office: Office) -> None:
    other = make.office(session)
    zoe = make.person(session, office=office, name="Zoe")
    make.person(session, office=other, name="Ann")
    make.person(session, office=office, name="Kev")
    make.person(session, office=office, name="Kev B", merged_into_id=zoe.id)
    make.person(session, office=office, name="", erased_at=NOW)
    first = queries.people(session, [office.id, other.id], limit=2)
    rest = queries.people(session, [office.id, other.id], after=first.next, limit=2)
    assert [row.name for row in first.rows + rest.rows] == ["Ann", "Kev", "Zoe"]
    assert rest.next == ""


def test_the_audit_trail_is_read_newest_first(session: Session, office: Office) -> None:
    bram = make.staff(session, office=office, name="Bram")
    case = make.case(session, office=office)
    for verb in ("open", "assign", "close"):
        record(session, verb, "case", case.id, office_id=office.id, by=bram.id)
    record(session, "close", "case", case.id, office_id=make.office(session).id, by=None)
    record(session, "create", "staff", bram.id, office_id=0, by=None)
    session.flush()
    first = queries.audit_page(session, [0, office.id], limit=2)
    rest = queries.audit_page(session, [0, office.id], after=first.next, limit=2)
    assert [(row.verb, row.reference, row.by and row.by.name) for row in first.rows + rest.rows] == [
        ("create", "", None),
        ("close", case.reference, "Bram"),
        ("assign", case.reference, "Bram"),
        ("open", case.reference, "Bram"),
    ]
    assert rest.next == ""
