"""Connecting an account from its form, and what the pages say of its health."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app.channels.models import Account, State
from app.clock import now
from app.db import Database
from app.deployment import Deployment
from app.messages.models import Reading, Sighting
from app.office.models import Office
from tests import make
from tests.app.conftest import SignIn, World

ANSWERS = {
    "capacity": "councillor",
    "since": "usual",
    "asked_address": "cllr@fernmoor.example",
    "asked_password": "secret",
    "asked_imap_security": "tls",
}
FOUND = {
    "identity": {"external_id": "cllr@fernmoor.example", "name": "Cllr", "handle": "cllr@fernmoor.example", "url": ""},
    "streams": [{"key": "INBOX", "name": "Inbox", "seconds": 60, "is_junk": False, "is_ours": False}],
    "newest": "Brown bin, from Hester",
    "missing": [],
    "warnings": [],
    "ends_at": None,
}


def account(database: Database, world: World, **columns: Any) -> int:
    with database.transaction() as session:
        return make.account(session, office=session.get_one(Office, world.office_id), **columns).id


def state(database: Database, account_id: int) -> State:
    with database.reading() as session:
        return session.get_one(Account, account_id).state


def test_an_account_is_kept_sealed_and_its_page_looks_again(
    database: Database, deployment: Deployment, world: World, signed_in: SignIn
) -> None:
    browser = signed_in("councillor")
    browser.get("/accounts/add/email")
    browser.post("/accounts/add/email", {**ANSWERS, "office": str(world.office_id)})
    with database.reading() as session:
        made = session.scalars(sa.select(Account)).one()
    assert (made.state, made.since_at) == (State.TRYING, now() - timedelta(days=14))
    assert "secret" not in str(made.options)
    assert deployment.sealer.open(made.sealed or b"")["password"] == "secret"
    answer = browser.get(browser.last.location or "")
    assert answer.headers["Refresh"] == "2"
    assert "We are trying this account" in browser.words


def test_what_is_missing_is_said_beside_its_field(world: World, signed_in: SignIn) -> None:
    browser = signed_in("councillor")
    answer = browser.post(
        "/accounts/add/email", {**ANSWERS, "asked_password": "", "office": str(world.office_id), "since": "usual"}
    )
    assert answer.status_code == 422
    error = browser.page.css_first("#asked_password-error")
    assert error is not None
    assert "This is needed." in error.text()
    address = browser.page.css_first("#asked_address")
    assert address is not None
    assert address.attributes["value"] == "cllr@fernmoor.example"


def test_since_a_day_needs_the_day(world: World, signed_in: SignIn) -> None:
    browser = signed_in("councillor")
    answer = browser.post("/accounts/add/email", {**ANSWERS, "since": "day", "office": str(world.office_id)})
    assert answer.status_code == 422
    assert "Write the day from which on to fetch." in browser.words


def test_an_account_is_not_added_to_the_office_next_door(database: Database, world: World, signed_in: SignIn) -> None:
    browser = signed_in("councillor")
    answer = browser.post("/accounts/add/email", {**ANSWERS, "office": str(world.next_door_id)})
    assert answer.status_code == 422
    with database.reading() as session:
        assert session.scalars(sa.select(Account)).all() == []


def test_what_was_found_is_shown_before_it_starts(database: Database, world: World, signed_in: SignIn) -> None:
    account_id = account(database, world, state=State.TRIED, connected_at=None, check_result=FOUND)
    browser = signed_in("councillor")
    browser.get(f"/accounts/{account_id}")
    assert "The newest message we could read: Brown bin, from Hester." in browser.words
    browser.post(f"/accounts/{account_id}/start")
    assert state(database, account_id) is State.ACTIVE
    browser.get(browser.last.location or "")
    assert "Its messages are coming in." in browser.words


def test_why_an_account_was_refused_is_said(database: Database, world: World, signed_in: SignIn) -> None:
    trouble = {"error": "The server does not know this password.", "field": "password", "kind": "auth_expired"}
    account_id = account(database, world, state=State.REFUSED, connected_at=None, check_result=trouble)
    browser = signed_in("councillor")
    browser.get(f"/accounts/{account_id}")
    assert "The server does not know this password." in browser.words
    browser.post(f"/accounts/{account_id}/again")
    assert state(database, account_id) is State.TRYING


def test_a_new_password_is_kept_without_showing_the_old(
    database: Database, deployment: Deployment, world: World, signed_in: SignIn
) -> None:
    options = {"address": "cllr@fernmoor.example", "imap_security": "tls"}
    sealed = deployment.sealer.seal({"password": "old-one", "smtp_password": "kept"})
    account_id = account(database, world, options=options, sealed=sealed)
    browser = signed_in("councillor")
    page = browser.get(f"/accounts/{account_id}/settings").get_data(as_text=True)
    assert "old-one" not in page
    browser.post(f"/accounts/{account_id}/settings", {**ANSWERS, "asked_password": "new-one"})
    with database.reading() as session:
        changed = session.get_one(Account, account_id)
    assert deployment.sealer.open(changed.sealed or b"") == {"password": "new-one", "smtp_password": "kept"}


def test_an_account_is_paused_resumed_checked_and_removed(database: Database, world: World, signed_in: SignIn) -> None:
    account_id = account(database, world)
    browser = signed_in("councillor")
    browser.post(f"/accounts/{account_id}/pause", {"back": "list"})
    assert (browser.last.location, state(database, account_id)) == ("/accounts", State.PAUSED)
    browser.post(f"/accounts/{account_id}/resume")
    browser.post(f"/accounts/{account_id}/check")
    assert state(database, account_id) is State.ACTIVE
    browser.post(f"/accounts/{account_id}/remove")
    assert state(database, account_id) is State.REMOVED
    assert browser.get(f"/accounts/{account_id}").status_code == 404


def test_a_stream_that_fails_says_since_when_why_and_what_comes_next(
    database: Database, world: World, signed_in: SignIn
) -> None:
    with database.transaction() as session:
        made = make.account(session, office=session.get_one(Office, world.office_id))
        make.stream(
            session,
            account=made,
            failing_since=now() - timedelta(minutes=8),
            last_good_at=now() - timedelta(minutes=9),
            caught_up_at=now() - timedelta(minutes=9),
            trouble="The server did not answer.",
            next_at=now() + timedelta(minutes=4),
        )
    browser = signed_in("caseworker")
    browser.get("/accounts")
    assert "Trouble since 08:52" in browser.words
    assert "It answered: “The server did not answer.”" in browser.words
    assert "Nothing is lost: we will catch up from Tue 7 Apr, 08:51. Next try Tue 7 Apr, 09:04." in browser.words


def test_what_could_not_be_read_is_tried_again_and_downloaded(
    database: Database, deployment: Deployment, world: World, signed_in: SignIn
) -> None:
    sha256 = deployment.store.put(world.office_id, b"From: nobody")
    with database.transaction() as session:
        made = make.account(session, office=session.get_one(Office, world.office_id))
        item = make.sighting(
            session,
            stream=make.stream(session, account=made),
            state=Reading.QUARANTINED,
            trouble="Its headers never end.",
            sha256=sha256,
        )
        account_id, sighting_id = made.id, item.id
    browser = signed_in("councillor")
    browser.get(f"/accounts/{account_id}/quarantine")
    assert "Its headers never end." in browser.words
    assert browser.get(f"/sightings/{sighting_id}/raw").data == b"From: nobody"
    browser.post(f"/sightings/{sighting_id}/retry")
    with database.reading() as session:
        assert session.get_one(Sighting, sighting_id).state is Reading.WAITING
