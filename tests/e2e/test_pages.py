"""Every page in both themes, from a small phone to a desk: axe finds nothing, nothing scrolls sideways or complains.

With POSTBAG_SCREENSHOTS set to a folder, each page is also photographed there.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from sqlalchemy.orm import Session

from app.cases import actions
from app.cases.models import Case, Outcome
from app.channels.models import State
from app.clock import now
from app.messages.models import Conversation, Message, Reading
from app.office.models import Office
from app.replies.models import Sending
from app.staff.queries import by_email
from tests import make
from tests.app import arriving
from tests.e2e.conftest import Open, Program, Served, sign_in

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
FOUND = {
    "identity": {"external_id": "c@fernmoor.example", "name": "", "handle": "c@fernmoor.example", "url": ""},
    "streams": [{"key": "INBOX", "name": "Inbox", "seconds": 60, "is_junk": False, "is_ours": False}],
    "newest": "Brown bin, from Hester",
    "missing": [],
    "warnings": ["The folder for sent mail is not there yet."],
    "ends_at": None,
}

PAGES = (
    "/",
    "/overdue",
    "/mine",
    "/answered",
    "/?channel=pigeon",
    "/cases/1",
    "/cases/1?mode=note",
    "/cases/2",
    "/cases/4",
    "/cases/1/change",
    "/cases/1/forward",
    "/conversations/4/preview",
    "/write?q=hester",
    "/messages/1/original",
    "/people",
    "/people?q=nobody",
    "/people/1",
    "/people/1/join?q=hester",
    "/search?q=bin",
    "/search?q=pigeon:post",
    "/accounts",
    "/accounts/1",
    "/accounts/2",
    "/accounts/3",
    "/accounts/4",
    "/accounts/1/quarantine",
    "/accounts/add",
    "/accounts/add/email",
    "/audit",
    "/progress",
    "/more",
    "/cases/999",
)


def prepare(program: Program) -> None:
    """A mail with everything on it, answers in every state, and accounts in most."""
    with program.database.transaction() as session:
        office = session.get_one(Office, program.office_id)
        writer = by_email(session, Served.address("bram"))
        assert writer is not None
        whole = make.account(session, office=office, since_at=now() - timedelta(days=14))
        stream = make.stream(session, account=whole, last_good_at=now(), caught_up_at=now())
        make.sighting(session, stream=stream, state=Reading.QUARANTINED, trouble="Its headers never end.")
        refused = make.account(session, office=office, state=State.NEEDS_YOU, first_refused_at=now())
        make.stream(session, account=refused, trouble="The server does not know this password.", failing_since=now())
        make.account(session, office=office, state=State.TRIED, connected_at=None, check_result=FOUND)
        result = {"error": "The server does not know this password.", "field": "", "kind": "auth_expired"}
        make.account(session, office=office, state=State.REFUSED, connected_at=None, check_result=result)
        writer_id = writer.id
    for number in range(12):
        arriving.mail(
            program.database,
            program.office_id,
            f"Brown bin {number}",
            sent_at=now() - timedelta(days=2 * number),
            html="<h1>Hello</h1><p>It was missed.</p>",
            remote_hosts=["pixel.example"],
            text="It was missed. See https://fernmoor.example/bins\n\n> We will look into it.",
            reply_text="It was missed. See https://fernmoor.example/bins",
        )
    with program.database.transaction() as session:
        first, second, third = (session.get_one(Case, number) for number in (1, 2, 3))
        actions.take(session, first, by=writer_id)
        actions.write_note(session, first, text="Rang the depot.", by=writer_id, at=now())
        actions.set_external_deadline(
            session, first, deadline_at=now() + timedelta(hours=3), what="Appeal", by=writer_id
        )
        conversation = make.conversation(session, case=second, audience="public", kind="comment")
        staff = make.staff(session, name="Odette Farthingale")
        for state in (Sending.FAILED, Sending.UNCERTAIN, Sending.SENDING):
            make.reply(session, conversation=conversation, staff=staff, state=state, trouble="The line was cut.")
        second.conversation_id = conversation.id
        begin_an_answer(session)
        actions.close(session, third, outcome=Outcome.RESOLVED, by=writer_id, at=now())


def begin_an_answer(session: Session) -> None:
    """A draft with files and a copy, to a mail that asks for answers elsewhere."""
    asked, clerk = "hester@elsewhere.example", "clerk@fernmoor.example"
    last = session.get_one(Message, 4)
    last.recipients = {"to": [["", clerk, clerk]], "reply_to": [["", asked, asked]]}
    writer = by_email(session, Served.address("tansy"))
    assert writer is not None
    copies = [["Ossian", "ossian@fernmoor.example", "ossian@fernmoor.example"]]
    conversation = session.get_one(Conversation, last.conversation_id)
    draft = make.draft(session, conversation=conversation, staff=writer, recipients={"to": "", "cc": copies})
    make.enclosure(session, draft=draft, name="bin.jpg", media_type="image/jpeg", size=1_200_000)
    make.enclosure(session, draft=draft, name="a plan of every street of the ward with a rather long name.pdf")
    session.get_one(Office, last.office_id).signatures = {"councillor": "Cllr Tansy Quillfeather\nMillpond"}


def complaints(page: Page) -> list[str]:
    """What axe finds on the page that is open, and whether it scrolls sideways."""
    found = [
        f"{one['id']}: {one['help']} {[node['html'][:120] for node in one['nodes'][:2]]}"
        for one in Axe().run(page, options=RULES).response["violations"]
    ]
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append("scrolls sideways")
    return found


def photograph(page: Page, path: str, width: int, theme: str) -> None:
    """Keep a picture where somebody asked for pictures."""
    folder = os.environ.get("POSTBAG_SCREENSHOTS")
    if folder:
        name = re.sub(r"\W+", "-", path).strip("-") or "inbox"
        page.screenshot(path=Path(folder) / f"{name}-{width}-{theme}.png")


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_nothing_is_found_on_any_page_at_any_width(program: Program, window: Open, theme: str) -> None:
    prepare(program)
    served = program.serve()
    wrong = [one for width in (1440, 390, 320) for one in looked_at(window(width, theme=theme), served, width, theme)]
    assert wrong == []


def looked_at(context: BrowserContext, served: Served, width: int, theme: str) -> list[str]:
    """What is wrong with any page in one window."""
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "404" not in message.text:
            wrong.append(f"{page.url}: {message.text}")

    page = context.new_page()
    sign_in(page, served, "tansy")
    page.on("console", heard)
    for path in PAGES:
        page.goto(f"{served.url}{path}")
        photograph(page, path, width, theme)
        wrong += [f"{path} at {width}: {one}" for one in complaints(page)]
    return wrong


def test_keys_take_a_message_and_stand_on_the_next(program: Program, window: Open) -> None:
    prepare(program)
    served = program.serve()
    page = window(1440).new_page()
    sign_in(page, served, "bram")
    page.goto(f"{served.url}/unassigned")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Brown bin 11")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", level=1)).to_have_text("Brown bin 10")
    page.keyboard.press("i")
    expect(page.locator("p", has_text="is with you now")).to_be_visible()
    page.keyboard.press("z")
    expect(page.locator("p", has_text="Everything is with whom it was before.")).to_be_visible()


def test_a_new_message_is_typed_at_once_and_a_wrong_address_mended_at_once(program: Program, window: Open) -> None:
    prepare(program)
    served = program.serve()
    page = window(1440).new_page()
    sign_in(page, served, "bram")
    page.keyboard.press("c")
    page.get_by_label("To", exact=True).fill("hester@larkrise.example")
    page.get_by_label("Subject").fill("Street party")
    page.get_by_label("Subject").press("Enter")
    expect(page.get_by_label("Your message")).to_be_focused()
    page.keyboard.type("Will you come?")
    page.get_by_text("Add a copy (Cc)").click()
    page.get_by_label("Address of whoever gets a copy").fill("nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Address of whoever gets a copy")).to_be_focused()
    expect(page.get_by_label("Your message")).to_have_value("Will you come?")


def test_words_are_saved_while_they_are_typed(program: Program, window: Open) -> None:
    prepare(program)
    served = program.serve()
    page = window(1440).new_page()
    sign_in(page, served, "bram")
    page.goto(f"{served.url}/cases/1")
    page.get_by_label("Your reply").fill("Dear Hester,")
    expect(page.get_by_text(re.compile("^Draft saved"))).to_be_visible()
    page.reload()
    expect(page.get_by_label("Your reply")).to_have_value("Dear Hester,")


@pytest.mark.parametrize(("event", "name"), [("drop", "map.txt"), ("paste", "image.png")])
def test_a_file_is_dropped_on_the_words_or_pasted_into_them(
    program: Program, window: Open, event: str, name: str
) -> None:
    prepare(program)
    served = program.serve()
    page = window(1440).new_page()
    sign_in(page, served, "bram")
    page.goto(f"{served.url}/cases/1")
    page.get_by_label("Your reply").fill("Dear Hester,")
    page.evaluate(
        """([kind, name]) => {
          const data = new DataTransfer();
          data.items.add(new File(["a file"], name));
          const given = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
          const made = kind === "drop" ? new DragEvent(kind, given) : new ClipboardEvent(kind, given);
          document.querySelector("#body").dispatchEvent(made);
        }""",
        [event, name],
    )
    expect(page.locator(".enclosed .attachment", has_text=name)).to_be_visible()
    expect(page.get_by_label("Your reply")).to_have_value("Dear Hester,")
    page.reload()
    expect(page.locator(".enclosed .attachment", has_text=name)).to_be_visible()
    expect(page.get_by_label("Your reply")).to_have_value("Dear Hester,")
