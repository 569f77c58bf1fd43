"""An office that is being served, with its people and a real mailbox, and a browser that looks at it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from app.clock import now
from app.db import Database
from app.deployment import deploy
from app.office.models import Office
from app.settings import Settings
from app.staff.models import Role
from app.staff.passwords import Passwords
from tests import make
from tests.app.program import running, until
from tests.servers.account import free_port

PASSWORD = "kettle-lantern-weir"
FLAGS = (
    "--no-sandbox",  # in a container it has no rights of its own to give away
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@dataclass
class Served:
    """An office, its addresses and its database, while the program runs in a process of its own."""

    url: str
    database: Database
    office_id: int

    @staticmethod
    def address(who: str) -> str:
        return f"{who}@fernmoor.example"

    def undo_within(self, seconds: int) -> None:
        """How long a reply waits from now on."""
        with self.database.transaction() as session:
            session.execute(sa.update(Office).values(undo_seconds=seconds))


@dataclass
class Program:
    """Starts the program over what a test has prepared."""

    settings: Settings
    database: Database
    office_id: int
    stack: ExitStack

    def serve(self, **also: str) -> Served:
        """Start it, with other settings ``also``, and wait until it answers."""
        import urllib.request

        url = str(self.settings.public_url).rstrip("/")
        given = {
            "POSTBAG_DATA": str(self.settings.data),
            "POSTBAG_PORT": str(self.settings.port),
            "POSTBAG_PUBLIC_URL": url,
            "POSTBAG_ALLOW_HOSTS": "127.0.0.1",
            **also,
        }
        self.stack.enter_context(running("serve", given=given))

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as answer:  # noqa: S310 - our own address
                    return bool(answer.status == 200)
            except OSError:
                return False

        assert until(answers)
        return Served(url=url, database=self.database, office_id=self.office_id)


@pytest.fixture
def program(tmp_path: Path, sqlite_template: Path) -> Iterator[Program]:
    """An office with a councillor, a caseworker and a viewer, and an administrator beside it; not served yet."""
    port = free_port()
    settings = Settings(data=tmp_path / "data", port=port, public_url=f"http://127.0.0.1:{port}/")
    settings.data.mkdir()
    shutil.copyfile(sqlite_template, settings.database_file)
    deployment = deploy(settings)
    kept = Passwords(deployment.keys.passwords).hash(PASSWORD)
    with deployment.database.transaction() as session:
        office = make.office(session, set_up_at=now(), prefix="MA")
        for who, role in (("tansy", Role.COUNCILLOR), ("bram", Role.CASEWORKER), ("vera", Role.VIEWER)):
            made = make.staff(session, email=Served.address(who), name=f"{who.title()} Oxlip", password=kept)
            make.membership(session, office=office, staff=made, role=role)
        make.staff(session, email=Served.address("juniper"), name="Juniper Slate", password=kept, is_administrator=True)
        office_id = office.id
    with ExitStack() as stack:
        stack.callback(deployment.close)
        yield Program(settings, deployment.database, office_id, stack)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("These tests need Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


Open = Callable[..., BrowserContext]


@pytest.fixture
def window(chromium: Browser) -> Iterator[Open]:
    """``window(width, script=…, theme=…)``: a browser window of its own, with nobody signed in."""
    with ExitStack() as stack:

        def open_window(width: int, *, script: bool = True, theme: str = "light") -> BrowserContext:
            context = chromium.new_context(
                viewport={"width": width, "height": 900 if width > 800 else 844},
                has_touch=width < 800,
                java_script_enabled=script,
                color_scheme="dark" if theme == "dark" else "light",
                locale="en-GB",
                ignore_https_errors=True,  # the sign-in service of the tests has a certificate of its own
                timezone_id="Europe/London",
            )
            context.set_default_timeout(15_000)
            stack.callback(context.close)
            return context

        yield open_window


def sign_in(page: Page, served: Served, who: str) -> None:
    """Type address and password, and arrive at the first page."""
    page.goto(f"{served.url}/sign-in")
    page.get_by_label("Email").fill(served.address(who))
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
