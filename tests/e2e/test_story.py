"""The main job on real servers, as people do it: a mail is taken, answered, taken back, sent again, and it threads."""

from __future__ import annotations

import email
import re
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from email.utils import format_datetime

import pytest
from playwright.sync_api import Page, expect

from app.clock import now
from tests.connectors.email.box import options
from tests.e2e.conftest import Open, Program, Served, sign_in
from tests.servers.dovecot import Dovecot
from tests.servers.smtp import Smtp

pytestmark = pytest.mark.browser

PHOTO = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 200
PATIENCE = 30_000  # milliseconds for background work


@dataclass
class Sight:
    """A page in a window, and whether script runs there."""

    page: Page
    script: bool


@pytest.fixture(
    params=[(1440, True), (390, True), (1440, False), (390, False)], ids=lambda sight: f"{sight[0]}-{sight[1]}"
)
def sight(request: pytest.FixtureRequest, window: Open) -> Sight:
    """A desk and a phone, with and without script."""
    width, script = request.param
    return Sight(window(width, script=script).new_page(), script)


def test_a_mail_is_answered_and_the_answer_threads(
    program: Program, sight: Sight, dovecot: Dovecot, smtp: Smtp, address: str
) -> None:
    page, resident = sight.page, address.replace("cllr", "hester")
    dovecot.deliver(address, _mail(resident, address))
    served = program.serve()
    sign_in(page, served, "tansy")
    _connect(page, served, options(address, dovecot, smtp))
    _open_from_the_inbox(page, served)
    _take(page)
    _attach(page, "bin.jpg", PHOTO, script=sight.script)
    _send(page, "Dear Hester,\n\nI have asked the depot.")
    expect(page.locator("p", has_text="It goes out at")).to_be_visible()
    page.locator(".message.ours").get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Your reply")).to_have_value("Dear Hester,\n\nI have asked the depot.")
    served.undo_within(1)
    page.get_by_role("button", name=re.compile("^Send reply")).click()
    (sent,) = smtp.inbox(resident, wait=PATIENCE / 1000)
    answer = email.message_from_bytes(sent, policy=default)
    assert isinstance(answer, EmailMessage)
    assert answer["In-Reply-To"] == f"<bin-{resident}>"
    assert f"<bin-{resident}>" in answer["References"]
    assert answer["Subject"] == "Re: Brown bin missed again"
    body = answer.get_body(("plain",))
    assert body is not None
    assert body.get_content().startswith("Dear Hester,")
    assert "> It was missed for the third time." in body.get_content()
    assert [(one.get_filename(), one.get_content()) for one in answer.iter_attachments()] == [("bin.jpg", PHOTO)]
    _until_answered(page)


def _mail(resident: str, address: str) -> bytes:
    made = EmailMessage()
    made["From"] = f"Hester Brindlecombe <{resident}>"
    made["To"] = address
    made["Date"] = format_datetime(now())
    made["Subject"] = "Brown bin missed again"
    made["Message-ID"] = f"<bin-{resident}>"
    made.set_content("Good morning,\n\nIt was missed for the third time.\n")
    return made.as_bytes()


def _connect(page: Page, served: Served, given: dict[str, str]) -> None:
    """Add the mailbox by its form, see it tried, and start it."""
    page.goto(f"{served.url}/accounts/add/email")
    page.get_by_text("More settings, mostly left alone").click()
    for key, value in given.items():
        field = page.locator(f"#asked_{key}")
        if key.endswith("_security"):
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="It works")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("p", has_text="Its messages are coming in.")).to_be_visible()


def _open_from_the_inbox(page: Page, served: Served) -> None:
    link = page.get_by_role("link", name=re.compile("Brown bin missed again"))
    for _ in range(60):
        page.goto(f"{served.url}/unassigned")
        if link.count():
            break
        page.wait_for_timeout(500)
    link.click()
    expect(page.get_by_role("heading", level=1, name="Brown bin missed again")).to_be_visible()
    expect(page.get_by_text("It was missed for the third time.").last).to_be_visible()


def _take(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Take it")).first.click()
    expect(page.locator("p", has_text="is with you now")).to_be_visible()


def _attach(page: Page, name: str, content: bytes, *, script: bool) -> None:
    """Choose a file; script puts it there at once, without script a button does."""
    page.locator("summary", has_text="Attach").click()
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": content})
    if not script:
        page.locator("#enclose").click()
    expect(page.locator(".enclosed .attachment", has_text=name)).to_be_visible()


def _send(page: Page, words: str) -> None:
    page.get_by_label("Your reply").fill(words)
    page.get_by_role("button", name=re.compile("^Send reply")).click()


def _until_answered(page: Page) -> None:
    """The clock has stopped: the page says so once the answer is out."""
    answered = page.locator(".due-big", has_text="Answered")
    for _ in range(60):
        page.reload()
        if answered.count():
            break
        page.wait_for_timeout(500)
    expect(answered).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Done .* in time$")).last).to_be_visible()
