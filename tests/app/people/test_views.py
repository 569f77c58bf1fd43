"""Joining two of whom somebody says that they are one, on the pages of people."""

from __future__ import annotations

from app.db import Database
from tests.app import arriving
from tests.app.conftest import SignIn, World


def test_two_people_are_joined_and_split_again(database: Database, world: World, signed_in: SignIn) -> None:
    one = arriving.mail(database, world.office_id, author_name="Perpetua L.")
    other = arriving.mail(database, world.office_id, author_name="Perpetua Lindmoor")
    browser = signed_in("caseworker")
    browser.get(f"/people/{one.person_id}/join?q=lindmoor")
    assert "Join with Perpetua Lindmoor" in browser.words
    browser.post(f"/people/{one.person_id}/join", {"into": str(other.person_id)})
    browser.get(browser.last.location or "")
    assert browser.heading == "Perpetua Lindmoor"
    assert "Joined by Caseworker Oxlip, Tue 7 Apr" in browser.words
    split = browser.page.css_first('form[action$="/split"]')
    assert split is not None
    browser.post(split.attributes["action"] or "")
    browser.get(browser.last.location or "")
    assert browser.heading == "Perpetua L."


def test_who_was_joined_leads_to_who_they_are(database: Database, world: World, signed_in: SignIn) -> None:
    one = arriving.mail(database, world.office_id, author_name="Perpetua L.")
    other = arriving.mail(database, world.office_id, author_name="Perpetua Lindmoor")
    browser = signed_in("caseworker")
    browser.post(f"/people/{one.person_id}/join", {"into": str(other.person_id)})
    assert browser.get(f"/people/{one.person_id}").location == f"/people/{other.person_id}"


def test_nobody_is_joined_across_offices(database: Database, world: World, signed_in: SignIn) -> None:
    one = arriving.mail(database, world.office_id)
    foreign = arriving.mail(database, world.next_door_id)
    browser = signed_in("caseworker")
    answer = browser.post(f"/people/{one.person_id}/join", {"into": str(foreign.person_id)})
    assert answer.status_code == 404


def test_people_are_found_by_a_piece_of_their_name(database: Database, world: World, signed_in: SignIn) -> None:
    arriving.mail(database, world.office_id, author_name="Hester Brindlecombe")
    arriving.mail(database, world.office_id, author_name="Cuthbert Mossgrove")
    browser = signed_in("caseworker")
    browser.get("/people?q=moss cuth")
    assert [node.text(strip=True) for node in browser.page.css(".account b a")] == ["Cuthbert Mossgrove"]
