"""Signing in and out: what a person at a browser meets."""

import statistics
import time

import pytest
import sqlalchemy as sa
from flask import Flask

from app.clock import now
from app.db import Database
from app.staff.models import Attempt, SignIn, Staff
from tests.app.conftest import SignIn as SignInWith
from tests.app.conftest import World
from tests.app.web.client import Browser
from tests.conftest import Clock


def test_the_right_password_lets_in(browser: Browser, world: World) -> None:
    answer = browser.sign_in(world.address("caseworker"))
    assert (answer.status_code, answer.location) == (303, "/")
    assert browser.get("/settings").status_code == 200
    assert browser.heading == "Your settings"


def test_an_address_is_the_same_in_capitals(browser: Browser, world: World) -> None:
    assert browser.sign_in(f"  {world.address('CaseWorker').title()} ").status_code == 303


def test_a_page_comes_after_signing_in_and_not_another_site(browser: Browser, world: World) -> None:
    assert browser.get("/settings").location == "/sign-in?next=/settings"
    for wanted, comes in (
        ("/settings", "/settings"),
        ("//evil.example/x", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
    ):
        fresh = Browser(browser.client.application)
        fresh.get("/sign-in")
        data = {"email": world.address("caseworker"), "password": "kettle-lantern-weir"}
        answer = fresh.post("/sign-in", data, query_string={"next": wanted})
        assert answer.location == comes


@pytest.mark.parametrize("who", ["caseworker", "nobody"])
def test_a_wrong_password_is_answered_alike_whether_anybody_is_known(browser: Browser, world: World, who: str) -> None:
    answer = browser.sign_in(world.address(who), "not the password")
    assert answer.status_code == 422
    assert "The email address and the password do not belong together." in browser.words


def test_a_wrong_password_takes_as_long_whether_anybody_is_known(browser: Browser, world: World) -> None:
    def took(who: str) -> float:
        browser.get("/sign-in")
        began = time.perf_counter()
        browser.post("/sign-in", {"email": world.address(who), "password": "not the password"})
        return time.perf_counter() - began

    took("warm-up")
    known = [took("caseworker") for _ in range(7)]
    unknown = [took(f"nobody{number}") for number in range(7)]
    assert 0.5 < statistics.median(known) / statistics.median(unknown) < 2


def test_ten_wrong_passwords_lock_with_growing_waits(browser: Browser, world: World, clock: Clock) -> None:
    for _ in range(10):
        browser.sign_in(world.address("caseworker"), "not the password")
    assert browser.sign_in(world.address("caseworker")).status_code == 422
    assert "Try again in 1 min" in browser.words
    clock.advance(seconds=61)
    browser.sign_in(world.address("caseworker"), "not the password")
    browser.sign_in(world.address("caseworker"))
    assert "Try again in 2 min" in browser.words
    clock.advance(seconds=121)
    assert browser.sign_in(world.address("caseworker")).status_code == 303


def test_an_unknown_address_locks_in_the_same_way(browser: Browser, world: World) -> None:
    for _ in range(11):
        browser.sign_in(world.address("nobody"), "not the password")
    assert "Try again in 1 min" in browser.words


def test_one_machine_cannot_try_many_addresses_for_ever(browser: Browser, world: World, database: Database) -> None:
    with database.transaction() as session:
        browser.sign_in(world.address("nobody"), "not the password")
        machine = session.scalar(sa.select(Attempt.key_hash).where(Attempt.purpose == "machine"))
    with database.transaction() as session:
        for _ in range(100):
            session.add(Attempt(key_hash=machine or "", purpose="machine", made_at=now(), succeeded=False))
    assert browser.sign_in(world.address("caseworker")).status_code == 422


def test_who_tried_what_cannot_be_read_from_the_rows(browser: Browser, world: World, database: Database) -> None:
    browser.sign_in(world.address("caseworker"), "not the password")
    with database.reading() as session:
        keys = session.scalars(sa.select(Attempt.key_hash)).all()
    assert [len(key) for key in keys] == [64, 64]


def test_a_session_ends_after_half_an_hour_without_use(signed_in: SignInWith, clock: Clock) -> None:
    browser = signed_in("caseworker")
    clock.advance(minutes=29)
    assert browser.get("/settings").status_code == 200
    clock.advance(minutes=29)
    assert browser.get("/settings").status_code == 200
    clock.advance(minutes=31)
    assert browser.get("/settings").status_code == 303


def test_a_session_ends_after_twenty_hours_however_busy(signed_in: SignInWith, clock: Clock) -> None:
    browser = signed_in("caseworker")
    for _ in range(59):
        clock.advance(minutes=20)
        assert browser.get("/settings").status_code == 200
    clock.advance(minutes=21)
    assert browser.get("/settings").status_code == 303


def test_signing_out_ends_the_session_and_clears_the_browser(signed_in: SignInWith, database: Database) -> None:
    browser = signed_in("caseworker")
    browser.get("/settings")
    answer = browser.post("/sign-out")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert browser.get("/settings").status_code == 303
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(SignIn).where(SignIn.ended_at.is_(None))) == 0


def test_a_stolen_cookie_is_worth_nothing_after_signing_out(app: Flask, signed_in: SignInWith) -> None:
    browser, thief = signed_in("caseworker"), Browser(app)
    stolen = browser.client.get_cookie("postbag", domain="127.0.0.1")
    assert stolen is not None
    browser.get("/settings")
    browser.post("/sign-out")
    thief.client.set_cookie("postbag", stolen.value, domain="127.0.0.1")
    assert thief.get("/settings").status_code == 303


def test_the_token_in_the_database_lets_nobody_in(app: Flask, signed_in: SignInWith, database: Database) -> None:
    signed_in("caseworker")
    thief = Browser(app)
    with database.reading() as session:
        kept = session.scalar(sa.select(SignIn.token_hash))
    with thief.client.session_transaction() as cookie:
        cookie["token"] = kept
    assert thief.get("/settings").status_code == 303


def test_a_blocked_person_is_out_at_once(signed_in: SignInWith, world: World, database: Database) -> None:
    browser = signed_in("caseworker")
    with database.transaction() as session:
        session.get_one(Staff, world.staff["caseworker"]).active = False
    assert browser.get("/settings").status_code == 303
    assert browser.sign_in(world.address("caseworker")).status_code == 422


def test_a_form_without_its_token_changes_nothing(signed_in: SignInWith) -> None:
    browser = signed_in("caseworker")
    answer = browser.client.post("/sign-out", base_url="http://127.0.0.1:8000")
    assert answer.status_code == 400
    assert browser.get("/settings").status_code == 200


@pytest.mark.usefixtures("world")
def test_a_language_can_be_chosen_before_signing_in(browser: Browser) -> None:
    browser.get("/sign-in")
    browser.post("/language/cy")
    browser.get("/sign-in")
    html = browser.page.css_first("html")
    assert html is not None
    assert html.attributes["lang"] == "cy"


def test_what_was_left_empty_is_named_at_the_top_and_counts_as_no_try(
    browser: Browser,
    world: World,  # noqa: ARG001 - with nobody in it, the set-up comes first
    database: Database,
) -> None:
    browser.sign_in("", "")
    summary = browser.page.css_first(".error-summary ul")
    assert summary is not None
    assert summary.text(separator=" ", strip=True) == "Type your email address. Type your password."
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Attempt)) == 0
