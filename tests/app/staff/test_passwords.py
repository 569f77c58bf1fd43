"""Which passwords will do, and how they are kept."""

import contextlib
import hmac
from base64 import b64encode

import pytest
from flask import Flask
from flask_security import verify_password
from hypothesis import given
from hypothesis import strategies as st
from passlib.context import CryptContext

from app.db import Database
from app.deployment import Deployment
from app.errors import Invalid
from app.staff import queries
from app.staff.passwords import Passwords, must_do
from tests.app.conftest import World
from tests.app.web.client import PASSWORD, Browser

OWN = ("Bram Oxlip", "bram.oxlip@fernmoor.example")


@pytest.mark.parametrize(
    "password",
    [
        "kettle-lantern-weir",
        "brecwast cynnar iawn",
        "fjord waltz 71 lamp",
        "xK9vQ2mTn7Lw",
        "            twelve blanks first",
        "Bram’s bicycle is green",
    ],
)
def test_a_password_that_is_hard_to_guess_will_do_whatever_is_in_it(password: str) -> None:
    must_do(password, OWN)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "Password2026!!",
        "P@ssw0rdP@ssw0rd",
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "qwertyuiop123",
        "123456789012",
        "letmein letmein",
        "bramoxlip2026",
        "Oxlip-Bram-Oxlip",
        "fernmoorfernmoor",
        "correct horse battery staple",
        "Liverpool2025!",
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        must_do(password, OWN)
    assert refused.value.field == "password"


def test_a_password_is_kept_as_argon2id() -> None:
    assert Passwords("pepper").hash("kettle-lantern-weir").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_kept_without_a_request_is_known_at_the_page(app: Flask, deployment: Deployment) -> None:
    kept = Passwords(deployment.keys.passwords).hash("kettle-lantern-weir")
    with app.app_context():
        assert verify_password("kettle-lantern-weir", kept)
        assert not verify_password("kettle-lantern-weiR", kept)


def test_without_the_pepper_the_database_alone_is_of_no_use(app: Flask) -> None:
    kept = Passwords("another").hash("kettle-lantern-weir")
    with app.app_context():
        assert not verify_password("kettle-lantern-weir", kept)


def test_one_written_with_combining_marks_is_the_same(
    browser: Browser, world: World, database: Database, deployment: Deployment
) -> None:
    kept = Passwords(deployment.keys.passwords).hash("caff\u00ea lantern weir")
    with database.transaction() as session:
        queries.staff(session, world.staff["caseworker"]).password = kept
    assert browser.sign_in(world.address("caseworker"), "caffe\u0302 lantern weir").status_code == 303


def test_a_password_kept_at_other_costs_is_kept_anew_at_the_next_sign_in(
    browser: Browser, world: World, database: Database, deployment: Deployment
) -> None:
    mixed = hmac.digest(deployment.keys.passwords.encode(), PASSWORD.encode(), "sha512")
    cheap = CryptContext(["argon2"], argon2__type="ID", argon2__time_cost=1, argon2__memory_cost=1024)
    with database.transaction() as session:
        queries.staff(session, world.staff["caseworker"]).password = cheap.hash(b64encode(mixed))
    assert browser.sign_in(world.address("caseworker")).status_code == 303
    with database.reading() as session:
        kept = queries.staff(session, world.staff["caseworker"]).password or ""
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@given(st.text(min_size=1, max_size=40))
def test_no_text_makes_the_check_fail_otherwise_than_by_a_sentence(password: str) -> None:
    with contextlib.suppress(Invalid):
        must_do(password, OWN)
