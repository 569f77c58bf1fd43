"""A phone that works as RFC 6238 says, and the way to the second step of signing in."""

from __future__ import annotations

import re

from passlib.totp import TOTP
from selectolax.lexbor import LexborHTMLParser

from tests.app.conftest import World
from tests.app.web.client import Browser
from tests.conftest import Clock


class Phone:
    """An authenticator app, with the secret that the page shows."""

    def __init__(self, page: LexborHTMLParser) -> None:
        shown = page.css_first("p code.secret")
        assert shown is not None
        self._totp = TOTP(key=shown.text())
        self.secret = str(self._totp.base32_key)

    def code(self, clock: Clock) -> str:
        """What it shows now."""
        return str(self._totp.generate(time=clock.at).token)


def turn_on(browser: Browser, clock: Clock) -> tuple[Phone, list[str]]:
    """Set up the second step of whoever is signed in: their phone, and their recovery codes."""
    browser.get("/settings/two-step")
    phone = Phone(browser.page)
    assert browser.post("/settings/two-step", {"code": phone.code(clock)}).status_code == 200
    codes = re.findall(r"[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}", browser.words)
    clock.advance(seconds=31)  # a code is good once, so the next one is wanted
    return phone, codes


def half_way(browser: Browser, world: World) -> Browser:
    """Another browser of theirs, with the password given."""
    fresh = Browser(browser.client.application)
    answer = fresh.sign_in(world.address("caseworker"))
    assert answer.location == "/sign-in/code"
    fresh.get("/sign-in/code")
    return fresh
