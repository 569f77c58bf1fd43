"""What Flask-Security could do and must not do here, and what is kept of its secrets."""

import pytest
import sqlalchemy as sa
from flask import Flask

from app.clock import now
from app.db import Database
from app.deployment import Deployment
from app.staff import actions, queries
from app.staff.models import SignIn as Row
from app.staff.models import Staff
from app.staff.passwords import Passwords
from app.staff.user import User
from tests.app.conftest import SignIn, World
from tests.app.staff.phone import Phone, half_way, turn_on
from tests.app.web.client import Browser
from tests.conftest import Clock

HERE = "http://127.0.0.1:8000"


def test_it_has_no_route_of_its_own(app: Flask) -> None:
    assert [name for name in app.view_functions if name.startswith("security.")] == []


@pytest.mark.parametrize(
    "path",
    [
        "/login",
        "/logout",
        "/register",
        "/verify",
        "/change",
        "/reset",
        "/tf-setup",
        "/tf-validate",
        "/tf-rescue",
        "/tf-select",
        "/mf-recovery",
        "/us-signin",
        "/wan-signin",
        "/fs-static/js/webauthn.js",
    ],
)
def test_none_of_its_usual_addresses_is_there(browser: Browser, world: World, path: str) -> None:  # noqa: ARG001
    assert browser.get(path).status_code == 404


def test_signing_in_takes_forms_and_no_json(app: Flask, world: World) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    pair = {"email": world.address("caseworker"), "password": "kettle-lantern-weir"}
    answer = app.test_client().post("/sign-in?include_auth_token", json=pair, base_url=HERE)
    assert answer.status_code == 415


def test_nobody_is_remembered(browser: Browser, world: World) -> None:
    browser.get("/sign-in")
    pair = {"email": world.address("caseworker"), "password": "kettle-lantern-weir", "remember": "y"}
    assert browser.post("/sign-in", pair).status_code == 303
    assert browser.client.get_cookie("remember_token", domain="127.0.0.1") is None


def test_a_token_in_a_header_or_an_address_lets_nobody_in(app: Flask, world: World) -> None:
    with app.test_request_context(base_url=HERE):
        token = User(world.staff["caseworker"]).get_auth_token()
    client = app.test_client()
    for given in ({"headers": {"Authentication-Token": token}}, {"query_string": {"auth_token": token}}):
        assert client.get("/settings", base_url=HERE, **given).status_code == 303


def test_a_picture_is_the_same_whatever_the_cookie_says(signed_in: SignIn) -> None:
    browser = signed_in("caseworker")
    browser.get("/settings")
    sheet = browser.page.css_first('link[rel="stylesheet"]')
    assert sheet is not None
    answer = browser.get(sheet.attributes["href"] or "")
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_whoever_is_blocked_is_answered_like_whoever_is_not_known(
    browser: Browser, world: World, database: Database
) -> None:
    with database.transaction() as session:
        actions.block(session, queries.staff(session, world.staff["caseworker"]), by=1, at=now())
    assert browser.sign_in(world.address("caseworker")).status_code == 422
    assert "The email address and the password do not belong together." in browser.words


def test_a_new_password_comes_with_a_new_token(app: Flask, signed_in: SignIn) -> None:
    browser, thief = signed_in("caseworker"), Browser(app)
    stolen = browser.client.get_cookie("postbag", domain="127.0.0.1")
    assert stolen is not None
    browser.get("/settings/password")
    browser.post("/settings/password", {"new_password": "a lamp by the weir"})
    thief.client.set_cookie("postbag", stolen.value, domain="127.0.0.1")
    assert thief.get("/settings").status_code == 303
    assert browser.get("/settings").status_code == 200


def test_an_easily_guessed_new_password_is_refused_beside_its_field(signed_in: SignIn, database: Database) -> None:
    browser = signed_in("caseworker")
    browser.get("/settings/password")
    assert browser.post("/settings/password", {"new_password": "caseworker oxlip"}).status_code == 422
    assert "That is too easily guessed." in browser.words
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Row).where(Row.ended_at.is_(None))) == 1


def test_the_first_step_ends_with_the_password(
    signed_in: SignIn, world: World, clock: Clock, database: Database, deployment: Deployment
) -> None:
    browser = signed_in("caseworker")
    phone, _ = turn_on(browser, clock)
    fresh = half_way(browser, world)
    with database.transaction() as session:
        staff = queries.staff(session, world.staff["caseworker"])
        passwords = Passwords(deployment.keys.passwords)
        actions.set_password(session, staff, "a lamp by the weir", passwords, by=staff.id, at=now())
    assert fresh.post("/sign-in/code", {"code": phone.code(clock)}).location == "/sign-in"
    assert fresh.get("/settings").status_code == 303


def test_a_wrong_code_leaves_the_secret_in_sight_for_another_try(signed_in: SignIn, clock: Clock) -> None:
    browser = signed_in("caseworker")
    browser.get("/settings/two-step")
    phone = Phone(browser.page)
    assert browser.post("/settings/two-step", {"code": "000000"}).status_code == 422
    assert Phone(browser.page).code(clock) == phone.code(clock)
    assert browser.post("/settings/two-step", {"code": phone.code(clock)}).status_code == 200
    assert "Your recovery codes" in browser.words


@pytest.mark.parametrize("code", ["١٢٣٤٥٦", "12345", "abcdef", "1" * 40])
def test_what_is_no_code_is_refused_as_a_wrong_one(signed_in: SignIn, world: World, clock: Clock, code: str) -> None:
    browser = signed_in("caseworker")
    turn_on(browser, clock)
    fresh = half_way(browser, world)
    assert fresh.post("/sign-in/code", {"code": code}).status_code == 422
    assert "That code does not fit." in fresh.words


def test_neither_the_secret_nor_a_recovery_code_can_be_read_from_the_database(
    signed_in: SignIn, world: World, clock: Clock, database: Database
) -> None:
    browser = signed_in("caseworker")
    phone, codes = turn_on(browser, clock)
    with database.reading() as session:
        staff = session.get_one(Staff, world.staff["caseworker"])
        kept = f"{staff.totp_secret} {staff.recovery_codes}"
    assert phone.secret not in kept
    assert [code for code in codes if code in kept] == []
    assert len(staff.recovery_codes) == 10


def test_a_secret_whose_key_is_gone_fits_no_code(
    signed_in: SignIn, world: World, clock: Clock, database: Database
) -> None:
    browser = signed_in("caseworker")
    phone, codes = turn_on(browser, clock)
    with database.transaction() as session:
        staff = session.get_one(Staff, world.staff["caseworker"])
        staff.totp_secret = (staff.totp_secret or "").replace('"t":"', '"t":"0')
        staff.recovery_codes = [f"x{code}" for code in staff.recovery_codes]
    fresh = half_way(browser, world)
    assert fresh.post("/sign-in/code", {"code": phone.code(clock)}).status_code == 422
    assert fresh.post("/sign-in/code", {"code": codes[0]}).status_code == 422
