"""What people see: lists, a case, what came as it came, and what every page has to say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.cases import actions
from app.cases.models import Case
from app.channels.models import Heartbeat, State
from app.clock import now
from app.db import Database
from app.deployment import Deployment
from app.messages import pictures
from app.messages.models import Fetching, Message
from app.messages.sanitise import sanitise
from app.office.models import Office
from app.replies.models import Mode
from tests import make
from tests.app import arriving
from tests.app.conftest import SignIn, World
from tests.conftest import Clock


def is_unread(database: Database, case_id: int) -> bool:
    with database.reading() as session:
        return session.get_one(Case, case_id).is_unread


def beat(database: Database) -> None:
    """A worker lives."""
    with database.transaction() as session:
        session.merge(Heartbeat(worker="one", started_at=now(), seen_at=now()))


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_inbox_is_ordered_by_due_date_under_headings(database: Database, world: World, signed_in: SignIn) -> None:
    arriving.mail(database, world.office_id, "Came today")
    arriving.mail(database, world.office_id, "Came a month ago", sent_at=now() - timedelta(days=30))
    browser = signed_in("caseworker")
    browser.get("/")
    assert [node.text(strip=True) for node in browser.page.css(".row-subject")] == [
        "Unread:Came a month ago",
        "Unread:Came today",
    ]
    assert [node.text(strip=True) for node in browser.page.css(".group-head")] == [
        "Overdue1",
        "Due in the next five working days1",
    ]


def test_a_list_goes_on_where_its_page_ended(database: Database, world: World, signed_in: SignIn) -> None:
    for number in range(53):
        arriving.mail(database, world.office_id, f"Letter {number}", sent_at=now() - timedelta(minutes=number))
    browser = signed_in("caseworker")
    browser.get("/unassigned")
    (older,) = browser.page.css(".pages a")
    browser.get(older.attributes["href"] or "")
    assert len(browser.page.css(".row")) == 3


def test_a_filter_that_is_not_understood_is_named(signed_in: SignIn) -> None:
    browser = signed_in("caseworker")
    browser.get("/?channel=pigeon")
    assert "“pigeon” is not a filter here" in browser.words


def test_an_empty_list_offers_what_nobody_has(database: Database, world: World, signed_in: SignIn) -> None:
    arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.get("/mine")
    assert "You are up to date" in browser.words
    assert "See the 1 unassigned" in browser.words


def test_an_administrator_without_casework_is_led_to_the_accounts(signed_in: SignIn) -> None:
    browser = signed_in("administrator")
    assert browser.get("/").location == "/accounts"
    browser.get("/accounts")
    assert browser.heading == "Accounts"


def test_what_is_next_door_is_in_no_list(database: Database, world: World, signed_in: SignIn) -> None:
    arriving.mail(database, world.next_door_id, "Not ours")
    browser = signed_in("caseworker")
    browser.get("/")
    assert "Not ours" not in browser.words


# ── What every page says ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_does_not_run_is_said_on_every_page(database: Database, signed_in: SignIn, clock: Clock) -> None:
    beat(database)
    browser = signed_in("viewer")
    browser.get("/people")
    assert "not running" not in browser.words
    clock.advance(minutes=2)
    browser.get("/people")
    assert "Nothing has been fetched since Tue 7 Apr, 09:00" in browser.words


def test_a_channel_that_is_late_is_said_on_the_first_page(database: Database, world: World, signed_in: SignIn) -> None:
    beat(database)
    with database.transaction() as session:
        account = make.account(session, office=session.get_one(Office, world.office_id), name="cllr@fernmoor.example")
        make.stream(session, account=account, last_good_at=now() - timedelta(minutes=20))
    browser = signed_in("caseworker")
    browser.get("/")
    assert "cllr@fernmoor.example has not been checked since 08:40." in browser.words


def test_the_last_check_is_in_view(database: Database, world: World, signed_in: SignIn) -> None:
    with database.transaction() as session:
        account = make.account(session, office=session.get_one(Office, world.office_id))
        make.stream(session, account=account, last_good_at=now() - timedelta(seconds=40))
    browser = signed_in("caseworker")
    browser.get("/")
    assert "Checked 40 seconds ago." in browser.words


# ── A case ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_opening_a_case_marks_it_as_read(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    signed_in("caseworker").get(f"/cases/{came.case_id}")
    assert not is_unread(database, came.case_id)


def test_a_page_fetched_ahead_marks_nothing(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    signed_in("caseworker").get(f"/cases/{came.case_id}", headers={"Purpose": "prefetch"})
    assert is_unread(database, came.case_id)


def test_a_viewer_reads_without_leaving_a_mark_or_finding_a_button(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("viewer")
    browser.get(f"/cases/{came.case_id}")
    assert is_unread(database, came.case_id)
    assert browser.page.css_first("main form") is None
    assert "You can look at this office's cases, not answer them." in browser.words


def test_both_clocks_stand_beside_the_case(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}")
    assert "Acknowledgement By Thu 9 Apr, 2 working days" in browser.words
    assert "Answer By Tue 21 Apr, 10 working days" in browser.words


def test_quoted_text_is_folded_and_addresses_are_links(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(
        database,
        world.office_id,
        text="See https://fernmoor.example/bins\n\n> earlier words",
        reply_text="See https://fernmoor.example/bins",
    )
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}")
    (folded,) = browser.page.css(f"#message-{came.message_id} details")
    assert "earlier words" in folded.text()
    link = browser.page.css_first(f"#message-{came.message_id} .message-text a")
    assert link is not None
    assert link.attributes["href"] == "https://fernmoor.example/bins"


def test_markup_in_a_message_is_shown_as_it_was_typed(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id, text="<script>alert(1)</script>", reply_text="<b>loud</b>")
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}")
    message = browser.page.css_first(f"#message-{came.message_id}")
    assert message is not None
    assert "<b>loud</b>" in message.text()
    assert message.css("script, b") == []


def test_a_case_remembers_the_list_it_was_opened_from(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.get("/unassigned")
    link = browser.page.css_first(".row-link")
    assert link is not None
    assert link.attributes["href"] == f"/cases/{came.case_id}?in=unassigned"
    browser.get(f"/cases/{came.case_id}?in=unassigned")
    title = browser.page.css_first(".list-title")
    assert title is not None
    assert title.text(strip=True) == "Unassigned"


def test_who_else_is_writing_is_said(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    signed_in("councillor").post(
        f"/conversations/{came.conversation_id}/draft", {"text": "Dear", "seen_message_id": str(came.message_id)}
    )
    answer = browser.get(f"/live?case={came.case_id}")
    assert answer.json is not None
    assert answer.json["presence"]["words"] == "Councillor Oxlip is writing a reply."


# ── What came, as it came ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_attachment_can_only_be_kept(
    database: Database, deployment: Deployment, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    sha256 = deployment.store.put(world.office_id, b"<script>alert(1)</script>")
    with database.transaction() as session:
        message = session.get_one(Message, came.message_id)
        file_id = make.file(
            session, message=message, name='bin "1"\r\nX: y.html', media_type="text/html", sha256=sha256, size=25
        ).id
    answer = signed_in("caseworker").client.get(f"/files/{file_id}", base_url="http://127.0.0.1:8000")
    assert answer.data == b"<script>alert(1)</script>"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="bin 1X: y.html"')
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_original_is_framed_alone_and_names_the_hosts_it_would_call(
    database: Database, world: World, signed_in: SignIn
) -> None:
    html = '<p>Hello</p><span data-remote="https://pixel.example/1.gif">pixel.example</span><script>1</script>'
    came = arriving.mail(database, world.office_id, html=html, remote_hosts=["pixel.example"])
    browser = signed_in("caseworker")
    browser.get(f"/messages/{came.message_id}/original")
    assert "They would come from: pixel.example." in browser.words
    frame = browser.page.css_first("iframe")
    assert frame is not None
    assert "sandbox" in frame.attributes
    answer = browser.client.get(f"/messages/{came.message_id}/frame", base_url="http://127.0.0.1:8000")
    assert answer.headers["Content-Security-Policy"] == (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    )
    assert b"<script" not in answer.data
    assert b"<p>Hello</p>" in answer.data


def test_pictures_from_elsewhere_are_shown_from_our_own_store_once_somebody_asked(
    database: Database, deployment: Deployment, world: World, signed_in: SignIn
) -> None:
    html = sanitise('<img src="https://news.example/a.png"><img src="https://t.example/p.gif" width="1">').html
    came = arriving.mail(database, world.office_id, html=html, remote_hosts=["news.example", "t.example"])
    browser = signed_in("caseworker")
    browser.get(f"/messages/{came.message_id}/original")
    assert "counts who reads it, by way of t.example" in browser.words

    browser.post(f"/messages/{came.message_id}/pictures")
    browser.get(f"/messages/{came.message_id}/original")
    assert "The pictures are being fetched" in browser.words
    with database.transaction() as session:
        (picture,) = pictures.asked(session, came.message_id)
        picture.state, picture.media_type, picture.size = Fetching.KEPT, "image/png", 8
        picture.sha256 = deployment.store.put(world.office_id, b"\x89PNG\r\n\x1a\n")
    answer = browser.client.get(f"/messages/{came.message_id}/frame", base_url="http://127.0.0.1:8000")
    assert b'<img alt="news.example" src="data:image/png;base64,iVBORw0KGgo=">' in answer.data


# ── Other pages ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_live_answer_is_not_sent_twice(database: Database, world: World, signed_in: SignIn) -> None:
    arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    first = browser.get("/live")
    assert first.json is not None
    assert first.json["counts"]["needs_reply"] == 1
    assert browser.get("/live", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_a_reference_leads_to_its_case(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    answer = signed_in("caseworker").get(f"/search?q={came.reference}")
    assert answer.location == f"/cases/{came.case_id}"


def test_a_word_of_a_message_finds_its_case(database: Database, world: World, signed_in: SignIn) -> None:
    arriving.mail(database, world.office_id, "About bins", text="The crater on Weir Road", reply_text="The crater")
    browser = signed_in("caseworker")
    browser.get("/search?q=crater")
    found = [node.text(strip=True) for node in browser.page.css(".hit b a")]
    assert found == ["About bins"]


def test_the_trail_says_who_did_what(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("councillor")
    browser.post(f"/cases/{came.case_id}/take")
    browser.get("/audit")
    assert "Councillor Oxlip took it" in browser.words


def test_progress_counts_no_answers_it_cannot_judge(signed_in: SignIn) -> None:
    browser = signed_in("caseworker")
    browser.get("/progress")
    assert "Not enough yet" in browser.words


@pytest.mark.parametrize("path", ["/more", "/people", "/people?q=hester", "/accounts", "/closed", "/answered"])
def test_every_other_page_can_be_looked_at(database: Database, world: World, signed_in: SignIn, path: str) -> None:
    arriving.mail(database, world.office_id)
    assert signed_in("caseworker").get(path).status_code == 200


def test_a_case_with_everything_on_it_can_be_looked_at(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    writer = world.staff["caseworker"]
    with database.transaction() as session:
        case = session.get_one(Case, came.case_id)
        actions.write_note(session, case, text="Rang them.", by=writer, at=now())
        actions.set_external_deadline(session, case, deadline_at=now() + timedelta(hours=3), what="Appeal", by=writer)
        conversation = make.conversation(session, case=case, audience="public", kind="comment")
        make.reply(session, conversation=conversation, staff=make.staff(session), state="uncertain", trouble="Cut.")
        make.draft(session, conversation=conversation, staff=make.staff(session), mode=Mode.NOTE)
        make.account(session, office=session.get_one(Office, world.office_id), state=State.NEEDS_YOU)
        conversation_id = conversation.id
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}?conversation={conversation_id}")
    assert "Did it go out?" in browser.words
    assert "Anyone can read this." in browser.words
    browser.get(f"/cases/{came.case_id}?mode=note")
    assert "Notes can be disclosed" in browser.words
    browser.get(f"/cases/{came.case_id}/change")
    assert browser.heading == f"Change {came.reference}"
