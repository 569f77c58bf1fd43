"""The buttons of a case: what they do, what the next page says, and how it is taken back."""

from __future__ import annotations

from app.cases.models import Case, Outcome, Status
from app.db import Database
from tests.app import arriving
from tests.app.conftest import SignIn, World
from tests.app.web.client import Browser


def case(database: Database, case_id: int) -> Case:
    with database.reading() as session:
        return session.get_one(Case, case_id)


def press_undo(browser: Browser) -> None:
    """Follow the answer to its page, and press Undo there."""
    browser.get(browser.last.location or "/")
    form = next(form for form in browser.page.css("[data-toast] form"))
    fields = {
        node.attributes["name"] or "": node.attributes["value"] or "" for node in form.css('input[type="hidden"]')
    }
    browser.post(form.attributes["action"] or "", fields)


def test_taking_a_case_can_be_undone(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    queue_id = case(database, came.case_id).queue_id
    browser = signed_in("caseworker")
    browser.post(f"/cases/{came.case_id}/take", {"back": "/unassigned"})
    assert browser.last.location == "/unassigned"
    assert case(database, came.case_id).owner_id == world.staff["caseworker"]
    press_undo(browser)
    assert (case(database, came.case_id).owner_id, case(database, came.case_id).queue_id) == (None, queue_id)


def test_a_button_leads_nowhere_else(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.post(f"/cases/{came.case_id}/take", {"back": "https://elsewhere.example/"})
    assert browser.last.location == "/"


def test_whoever_does_something_with_a_case_has_read_it(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    signed_in("caseworker").post(f"/cases/{came.case_id}/topic", {"topic": "Waste"})
    assert not case(database, came.case_id).is_unread
    assert case(database, came.case_id).topic == "Waste"


def test_a_case_is_not_given_to_a_viewer(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    answer = browser.post(f"/cases/{came.case_id}/assign", {"to": str(world.staff["viewer"])})
    assert answer.status_code == 422
    assert case(database, came.case_id).owner_id is None


def test_handing_back_needs_a_word_and_keeps_it(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.post(f"/cases/{came.case_id}/take")
    assert browser.post(f"/cases/{came.case_id}/hand-back", {"reason": " "}).status_code == 422
    browser.post(f"/cases/{came.case_id}/hand-back", {"reason": "I am away."})
    assert case(database, came.case_id).owner_id is None
    browser.get(f"/cases/{came.case_id}")
    assert "I am away." in browser.words


def test_a_decision_closes_leads_on_and_is_taken_back(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    due_at = case(database, came.case_id).due_at
    browser = signed_in("caseworker")
    browser.post(
        f"/cases/{came.case_id}/decide", {"kind": "no_reply_needed", "reason": "Only thanks.", "then": "/unassigned"}
    )
    assert browser.last.location == "/unassigned"
    assert case(database, came.case_id).status is Status.CLOSED
    press_undo(browser)
    assert (case(database, came.case_id).is_open, case(database, came.case_id).due_at) == (True, due_at)


def test_closing_and_reopening_keep_the_date(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    due_at = case(database, came.case_id).due_at
    browser = signed_in("caseworker")
    browser.post(f"/cases/{came.case_id}/close", {"outcome": "resolved"})
    assert case(database, came.case_id).outcome is Outcome.RESOLVED
    press_undo(browser)
    assert case(database, came.case_id).due_at == due_at


def test_a_promise_a_deadline_and_an_emergency_move_the_case(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.post(f"/cases/{came.case_id}/promise", {"promised_on": "2026-04-10", "reason": "Said so on the phone."})
    assert str(case(database, came.case_id).promised_on) == "2026-04-10"
    browser.post(f"/cases/{came.case_id}/deadline", {"on": "2026-04-08", "at": "12:00", "what": "Appeal"})
    assert case(database, came.case_id).due_at.isoformat() == "2026-04-08T11:00:00+00:00"
    browser.post(f"/cases/{came.case_id}/emergency", {"kind": "safeguarding"})
    assert case(database, came.case_id).rank == 0
    browser.post(f"/cases/{came.case_id}/stand-down")
    browser.post(f"/cases/{came.case_id}/deadline", {"on": ""})
    assert case(database, came.case_id).external_at is None


def test_a_case_marked_as_unread_is_so_again(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.post(f"/cases/{came.case_id}/read")
    browser.post(f"/cases/{came.case_id}/unread", {"back": "/"})
    assert case(database, came.case_id).is_unread


def test_many_are_handed_over_at_once_and_put_back(database: Database, world: World, signed_in: SignIn) -> None:
    cases = [arriving.mail(database, world.office_id, f"Letter {number}").case_id for number in range(3)]
    browser = signed_in("caseworker")
    ticked = [str(one) for one in cases[:2]]
    browser.post("/cases/bulk", {"case": ticked, "do": "assign", "to": str(world.staff["councillor"]), "back": "/"})
    assert [case(database, one).owner_id for one in cases] == [
        world.staff["councillor"],
        world.staff["councillor"],
        None,
    ]
    press_undo(browser)
    assert [case(database, one).owner_id for one in cases] == [None, None, None]


def test_what_is_still_owed_is_not_closed_with_the_rest(database: Database, world: World, signed_in: SignIn) -> None:
    owed = arriving.mail(database, world.office_id).case_id
    thanks = arriving.mail(database, world.office_id, "Out of office", is_auto=True).case_id
    browser = signed_in("caseworker")
    browser.post("/cases/bulk", {"case": [str(owed), str(thanks)], "do": "close", "back": "/"})
    assert [case(database, one).is_open for one in (owed, thanks)] == [True, False]
    browser.get("/")
    assert "1 is still owed an answer and stays open" in browser.words


def test_nothing_is_done_where_nothing_was_ticked_or_chosen(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    assert browser.post("/cases/bulk", {"do": "take"}).status_code == 422
    assert browser.post("/cases/bulk", {"case": str(came.case_id), "do": ""}).status_code == 422


def test_one_foreign_case_among_the_ticked_stops_all(database: Database, world: World, signed_in: SignIn) -> None:
    own = arriving.mail(database, world.office_id).case_id
    foreign = arriving.mail(database, world.next_door_id).case_id
    browser = signed_in("caseworker")
    answer = browser.post("/cases/bulk", {"case": [str(own), str(foreign)], "do": "take"})
    assert answer.status_code == 404
    assert case(database, own).owner_id is None
