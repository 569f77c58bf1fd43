"""The first run, from an empty install to the inbox."""

import re

import pytest
from flask import Flask

from app.channels.models import Account, State
from app.db import Database
from app.deployment import Deployment
from app.jobs.models import Job
from app.office.models import Office
from app.setup import code
from app.staff import queries
from app.staff.models import Role
from tests.app.web.client import Browser
from tests.conftest import Clock

BEGINNING = {
    "name": "Tansy Quillfeather",
    "email": "tansy@fernmoor.example",
    "password": "kettle-lantern-weir",
    "what": "councillor",
    "office": "Cllr Tansy Quillfeather",
    "place": "Millpond & Ashgrove, Fernmoor",
    "nation": "england_and_wales",
    "prefix": "MA",
}
MAILBOX = {
    "asked_address": "cllr@fernmoor.example",
    "asked_password": "secret",
    "asked_imap_host": "imap.fernmoor.example",
    "asked_smtp_host": "smtp.fernmoor.example",
    "since": "usual",
    "channel": "email",
}
DAYS = {f"{track}_{what}_days": "2" for track in ("public", "direct", "other") for what in ("acknowledge", "answer")}
DAYS |= {"waking_from": "07:00", "waking_until": "22:00"}


def begun(app: Flask, **given: str) -> Browser:
    browser = Browser(app)
    browser.get("/setup")
    assert browser.post("/setup", BEGINNING | given).location == "/setup/channel"
    return browser


def test_an_empty_install_begins_with_the_set_up(browser: Browser) -> None:
    assert browser.get("/").location == "/sign-in"
    assert browser.get("/sign-in").location == "/setup"
    browser.get("/setup")
    assert browser.heading == "Your ward and team"


def test_the_first_step_makes_administrator_and_office_and_signs_in(app: Flask, database: Database) -> None:
    browser = begun(app)
    browser.get("/setup/channel")
    assert browser.heading == "Your first mailbox"
    with database.reading() as session:
        tansy = queries.by_email(session, "tansy@fernmoor.example")
        office = session.query(Office).one()
        assert tansy is not None
        assert tansy.is_administrator
        assert [seat.role for seat in queries.team(session, office.id)] == [Role.COUNCILLOR]


def test_somebody_who_only_looks_after_it_has_no_seat(app: Flask, database: Database) -> None:
    begun(app, what="neither")
    with database.reading() as session:
        assert queries.team(session, session.query(Office).one().id) == []


def test_what_will_not_do_is_said_beside_its_field_and_nothing_is_made(browser: Browser, database: Database) -> None:
    browser.get("/setup")
    assert browser.post("/setup", BEGINNING | {"prefix": "12"}).status_code == 422
    error = browser.page.css_first("#prefix-error")
    assert error is not None
    assert "Two to four letters, such as MA." in error.text()
    with database.reading() as session:
        assert not queries.has_administrator(session)


def test_the_set_up_is_closed_once_somebody_looks_after_the_install(app: Flask) -> None:
    begun(app)
    stranger = Browser(app)
    assert stranger.get("/setup").location == "/sign-in"
    stranger.get("/sign-in")
    assert stranger.post("/setup", BEGINNING | {"email": "eve@evil.example", "prefix": "EV"}).status_code == 409


def test_from_another_machine_the_set_up_wants_the_code_from_the_log(app: Flask, deployment: Deployment) -> None:
    far = Browser(app, address="192.0.2.7")
    far.get("/setup")
    assert far.post("/setup", BEGINNING | {"code": "AAAA-AAAA-AAAA"}).status_code == 422
    assert "That is not the code." in far.words
    path = deployment.settings.data / "keys" / "setup-code"
    assert path.stat().st_mode & 0o777 == 0o600
    assert far.post("/setup", BEGINNING | {"code": path.read_text().lower()}).status_code == 303
    assert not path.exists()


def test_no_code_was_ever_made_that_an_empty_one_could_fit(deployment: Deployment) -> None:
    assert not code.fits(deployment.settings.data / "keys", "")


@pytest.mark.parametrize(
    ("remote", "host", "forwarded", "is_here"),
    [
        ("127.0.0.1", "127.0.0.1:8000", None, True),
        ("127.0.0.1", "localhost:8000", None, True),
        ("::1", "[::1]:8000", None, True),
        ("127.0.0.1", "postbag.fernmoor.example", None, False),
        ("127.0.0.1", "127.0.0.1:8000", "192.0.2.7", False),
        ("192.0.2.7", "127.0.0.1:8000", None, False),
        (None, "127.0.0.1:8000", None, False),
    ],
)
def test_only_the_machine_itself_goes_without_the_code(
    remote: str | None, host: str, forwarded: str | None, *, is_here: bool
) -> None:
    assert code.is_here(remote, host, forwarded) is is_here


def test_a_mailbox_is_tried_by_a_job_whose_page_looks_again(app: Flask, database: Database) -> None:
    browser = begun(app)
    browser.get("/setup/channel")
    answer = browser.post("/setup/channel", MAILBOX)
    assert answer.location is not None
    assert re.fullmatch(r"/setup/channel/\d+", answer.location)
    browser.get(answer.location)
    trying = browser.page.css_first("#trying")
    assert trying is not None
    assert trying.attributes["data-refresh"] == "2"
    with database.reading() as session:
        assert session.query(Job).filter_by(kind="try_account").count() == 1
        account = session.query(Account).one()
    assert account.sealed is not None
    assert b"secret" not in account.sealed


def test_a_mailbox_found_good_is_connected_and_the_next_step_comes(app: Flask, database: Database) -> None:
    browser = begun(app)
    browser.get("/setup/channel")
    path = browser.post("/setup/channel", MAILBOX).location or ""
    with database.transaction() as session:
        account = session.query(Account).one()
        account.state = State.TRIED
        account.check_result = {
            "identity": {"external_id": "cllr@fernmoor.example", "name": "Cllr", "handle": "", "url": ""},
            "streams": [{"key": "INBOX", "name": "Inbox", "seconds": 60, "is_junk": False, "is_ours": False}],
            "newest": "Brown bin, from Hester",
            "missing": [],
            "warnings": [],
            "ends_at": None,
        }
    browser.get(path)
    assert "The newest message we could read: Brown bin, from Hester." in browser.words
    assert browser.post(f"{path}/start").location == "/setup/reply-times"


def test_a_mailbox_that_was_refused_says_why(app: Flask, database: Database) -> None:
    browser = begun(app)
    browser.get("/setup/channel")
    path = browser.post("/setup/channel", MAILBOX).location or ""
    with database.transaction() as session:
        account = session.query(Account).one()
        account.state, account.check_result = (
            State.REFUSED,
            {"error": "The password was not taken.", "field": "password"},
        )
    browser.get(path)
    assert "The password was not taken." in browser.words
    assert browser.post(f"{path}/discard").location == "/setup/channel"
    browser.get("/setup/channel")
    assert browser.heading == "Your first mailbox"


def test_the_promise_shows_its_date_before_it_is_kept(app: Flask, clock: Clock) -> None:
    browser = begun(app)
    browser.get("/setup/reply-times")
    assert "A mail that arrives now would be due Tuesday 21 April." in browser.words
    browser.post("/setup/reply-times", DAYS | {"other_answer_days": "3", "do": "show"})
    assert "A mail that arrives now would be due Friday 10 April." in browser.words
    browser.get("/setup/reply-times")
    assert "A mail that arrives now would be due Tuesday 21 April." in browser.words
    assert clock.at.day == 7


def test_the_whole_of_it_ends_at_the_inbox_and_is_not_asked_again(app: Flask) -> None:
    browser = begun(app)
    browser.get("/setup/reply-times")
    assert browser.post("/setup/reply-times", DAYS).location == "/setup/mail"
    browser.get("/setup/mail")
    assert "Mail to staff is not set up." in browser.words
    browser.get("/setup/check")
    assert "answered within 2 working days" in browser.words
    assert browser.post("/setup/check").location == "/"
    assert browser.get("/").status_code == 200
    assert browser.get("/setup/check").status_code == 409


def test_what_was_left_off_is_taken_up_at_the_next_sign_in(app: Flask) -> None:
    begun(app)
    later = Browser(app)
    assert later.sign_in("tansy@fernmoor.example").location == "/setup/continue"
    assert later.get("/setup/continue").location == "/setup/channel"
