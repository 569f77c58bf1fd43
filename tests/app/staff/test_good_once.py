"""What is good once is used once, however many processes are asked at the same moment; on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from app.db import Database
from app.staff.models import Attempt
from tests.app.conftest import SignIn, World
from tests.app.staff.phone import half_way, turn_on
from tests.app.web.client import Browser
from tests.conftest import Clock

pytestmark = pytest.mark.db

AT_ONCE = 4


def at_once(*tries: Callable[[], TestResponse]) -> list[int]:
    """The answers to requests that are made at the same moment."""
    together, answers = threading.Barrier(len(tries)), []

    def make(one: Callable[[], TestResponse]) -> None:
        together.wait()
        answers.append(one().status_code)

    threads = [threading.Thread(target=make, args=[one]) for one in tries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(tries)
    return answers


def let_in(browsers: list[Browser], code: str) -> int:
    """How many of them a code lets in, when all give it at the same moment."""
    return at_once(*(partial(browser.post, "/sign-in/code", {"code": code}) for browser in browsers)).count(303)


def test_a_code_of_the_phone_lets_in_one_of_several_at_once(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    phone, _ = turn_on(browser, clock)
    assert let_in([half_way(browser, world) for _ in range(AT_ONCE)], phone.code(clock)) == 1


def test_a_recovery_code_lets_in_one_of_several_at_once(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    _, codes = turn_on(browser, clock)
    assert let_in([half_way(browser, world) for _ in range(AT_ONCE)], codes[0]) == 1


def test_tries_at_once_are_counted_one_after_the_other(browser: Browser, world: World, database: Database) -> None:
    for _ in range(9):
        browser.sign_in(world.address("caseworker"), "not the password")
    others = [Browser(browser.client.application) for _ in range(AT_ONCE)]
    at_once(*(partial(other.sign_in, world.address("caseworker"), "not the password") for other in others))
    with database.reading() as session:
        tries = sa.select(sa.func.count()).select_from(Attempt).where(Attempt.purpose == "sign_in")
        assert session.scalar(tries) == 10
