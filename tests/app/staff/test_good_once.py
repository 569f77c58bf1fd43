"""What is good once is used once, however many processes are asked at the same moment; on both databases."""

from __future__ import annotations

import threading

import pytest

from tests.app.conftest import SignIn, World
from tests.app.staff.phone import half_way, turn_on
from tests.app.web.client import Browser
from tests.conftest import Clock

pytestmark = pytest.mark.db

AT_ONCE = 4


def let_in(browsers: list[Browser], code: str) -> int:
    """How many of them a code lets in, when all give it at the same moment."""
    together, answers = threading.Barrier(len(browsers)), []

    def give(browser: Browser) -> None:
        together.wait()
        answers.append(browser.post("/sign-in/code", {"code": code}).status_code)

    threads = [threading.Thread(target=give, args=[browser]) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(browsers)
    return answers.count(303)


def test_a_code_of_the_phone_lets_in_one_of_several_at_once(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    phone, _ = turn_on(browser, clock)
    assert let_in([half_way(browser, world) for _ in range(AT_ONCE)], phone.code(clock)) == 1


def test_a_recovery_code_lets_in_one_of_several_at_once(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    _, codes = turn_on(browser, clock)
    assert let_in([half_way(browser, world) for _ in range(AT_ONCE)], codes[0]) == 1
