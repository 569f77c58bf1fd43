"""A mailbox is opened on its provider's own page: with script at a desk, without on a phone."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.connectors.email.box import options
from tests.e2e.conftest import Open, Program, Served, sign_in
from tests.servers.dovecot import Dovecot
from tests.servers.issuer import Issuer
from tests.servers.smtp import Smtp

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Look:
    """A page, and whether it has script; without, it is loaded again until something shows."""

    page: Page
    script: bool

    def until(self, shown: Locator) -> None:
        for _ in range(60):
            if shown.count():
                break
            self.page.wait_for_timeout(500)
            if not self.script:
                self.page.reload()
        expect(shown).to_be_visible()


@pytest.fixture(params=[(1440, True), (390, False)], ids=lambda sight: f"{sight[0]}-{sight[1]}")
def look(request: pytest.FixtureRequest, window: Open) -> Look:
    """A desk with script, a phone without."""
    width, script = request.param
    return Look(window(width, script=script).new_page(), script)


@pytest.fixture
def served(program: Program, issuer: Issuer) -> Served:
    """An office whose administrator has registered it with the issuer."""
    client = issuer.client("Fernmoor")
    return program.serve(
        POSTBAG_OAUTH_NAME=client.name,
        POSTBAG_OAUTH_CLIENT_ID=client.id,
        POSTBAG_OAUTH_AUTHORIZE_URL=client.authorize_url,
        POSTBAG_OAUTH_TOKEN_URL=client.token_url,
        POSTBAG_OAUTH_DEVICE_URL=client.device_url,
        POSTBAG_OAUTH_SCOPE=client.scope,
    )


def test_a_mailbox_is_opened_by_the_providers_page_which_comes_back(
    look: Look, served: Served, address: str, dovecot: Dovecot, smtp: Smtp
) -> None:
    page = look.page
    _add(page, served, options(address, dovecot, smtp))
    look.until(page.get_by_role("link", name="Go to the sign-in page"))
    page.get_by_role("link", name="Go to the sign-in page").click()
    if not look.script:
        page.get_by_role("button", name="Go on").click()
    look.until(page.get_by_role("heading", name="It works"))


def test_a_mailbox_is_opened_with_a_code(  # noqa: PLR0917 - a browser, an office and three servers
    look: Look, served: Served, address: str, issuer: Issuer, dovecot: Dovecot, smtp: Smtp
) -> None:
    page = look.page
    _add(page, served, options(address, dovecot, smtp))
    look.until(page.get_by_role("button", name="With a code instead"))
    page.get_by_role("button", name="With a code instead").click()
    look.until(page.locator("#sign-in-code"))
    code = page.locator("#sign-in-code").inner_text()
    if look.script:
        assert Axe().run(page).response["violations"] == []
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == code
    issuer.type_code(code, address)
    page.get_by_role("button", name="I have done it").click()
    look.until(page.get_by_role("heading", name="It works"))


def _add(page: Page, served: Served, given: dict[str, str]) -> None:
    """Pick the provider, and type the address and where its servers are."""
    sign_in(page, served, "tansy")
    page.goto(f"{served.url}/accounts/add")
    page.get_by_role("link", name="Another provider's sign-in page").click()
    expect(page.get_by_label("Password", exact=True)).to_have_count(0)
    page.get_by_text("More settings, mostly left alone").click()
    for key, value in given.items():
        field = page.locator(f"#asked_{key}")
        if key.endswith("_security"):
            field.select_option(value)
        elif key != "password":
            field.fill(value)
    page.get_by_role("button", name="Try it").click()
    page.wait_for_url(re.compile(r"/accounts/\d+$"))
