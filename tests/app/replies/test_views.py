"""The composer: whatever goes wrong, the words stay."""

from __future__ import annotations

import sqlalchemy as sa

from app.cases import clocks
from app.cases.models import Case
from app.clock import now
from app.db import Database
from app.messages.models import Conversation, Direction, Message
from app.office.queries import rules
from app.replies.models import Draft, Mode, Reply, Sending
from tests import make
from tests.app import arriving
from tests.app.arriving import Arrived
from tests.app.cases.test_views import press_undo
from tests.app.conftest import SignIn, World
from tests.app.web.client import Browser


def send(browser: Browser, came: Arrived, text: str = "Dear Hester,\r\n\r\nIt is on its way.", **fields: str) -> None:
    browser.get(f"/cases/{came.case_id}")
    seen = browser.page.css_first('#reply [name="seen_message_id"]')
    assert seen is not None
    browser.post(
        f"/conversations/{came.conversation_id}/reply",
        {"text": text, "seen_message_id": seen.attributes["value"], "purpose": "answer", **fields},
    )


def replies(database: Database) -> list[Reply]:
    with database.reading() as session:
        return list(session.scalars(sa.select(Reply).order_by(Reply.id)))


def drafts(database: Database) -> list[Draft]:
    with database.reading() as session:
        return list(session.scalars(sa.select(Draft).order_by(Draft.id)))


def follow(browser: Browser) -> None:
    browser.get((browser.last.location or "/").partition("#")[0])


def test_a_reply_waits_a_minute_and_says_so(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    send(browser, came)
    (reply,) = replies(database)
    assert (reply.state, reply.text) == (Sending.QUEUED, "Dear Hester,\n\nIt is on its way.")
    follow(browser)
    assert "It goes out at 09:01." in browser.words
    assert "Sending at 09:01" in browser.words


def test_undo_gives_the_words_back_as_a_draft(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    send(browser, came)
    press_undo(browser)
    assert [one.state for one in replies(database)] == [Sending.WITHDRAWN]
    follow(browser)
    area = browser.page.css_first("#body")
    assert area is not None
    assert area.text() == "Dear Hester,\n\nIt is on its way."


def test_a_thread_that_moved_on_shows_what_is_new_above_the_kept_words(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}")
    arriving.another(database, came, "It has been collected now.")
    browser.post(
        f"/conversations/{came.conversation_id}/reply",
        {"text": "It is on its way.", "seen_message_id": str(came.message_id), "purpose": "answer"},
    )
    assert replies(database) == []
    follow(browser)
    newer = browser.page.css_first(".newer")
    assert newer is not None
    assert "It has been collected now." in newer.text()
    area = browser.page.css_first("#body")
    assert area is not None
    assert area.text() == "It is on its way."
    send(browser, came, "Good to hear.")
    assert [one.text for one in replies(database)] == ["Good to hear."]


def test_nothing_is_sent_without_words(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    send(browser, came, " ")
    follow(browser)
    error = browser.page.css_first("#body-error")
    assert error is not None
    assert "Write your reply first." in error.text()


def test_a_holding_reply_needs_its_day_and_keeps_the_words(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    send(browser, came, "I will ask.", purpose="holding")
    assert replies(database) == []
    follow(browser)
    assert "A holding reply needs the day by which you will answer." in browser.words
    assert [one.text for one in drafts(database)] == ["I will ask."]
    send(browser, came, "I will ask.", purpose="holding", promised_on="2026-04-17")
    assert [str(one.promised_on) for one in replies(database)] == ["2026-04-17"]


def test_a_draft_is_kept_while_somebody_writes(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    answer = browser.post(
        f"/conversations/{came.conversation_id}/draft",
        {"text": "Dear Hester", "seen_message_id": str(came.message_id), "mode": "reply"},
    )
    assert answer.json == {"words": "Draft saved 09:00"}
    browser.post(
        f"/conversations/{came.conversation_id}/discard", {"mode": "reply", "seen_message_id": str(came.message_id)}
    )
    assert drafts(database) == []


def test_a_note_is_kept_and_its_draft_let_go(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    fields = {"text": "Rang them twice.", "seen_message_id": str(came.message_id), "mode": Mode.NOTE.value}
    browser.post(f"/conversations/{came.conversation_id}/draft", fields)
    browser.post(f"/conversations/{came.conversation_id}/note", fields)
    assert drafts(database) == []
    follow(browser)
    note = browser.page.css_first(".message.note")
    assert note is not None
    assert "Rang them twice." in note.text()


def test_a_failed_reply_is_tried_again_or_taken_back(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    send(browser, came)
    (reply,) = replies(database)
    with database.transaction() as session:
        row = session.get_one(Reply, reply.id)
        row.state, row.trouble = Sending.FAILED, "Nobody of that name."
    browser.get(f"/cases/{came.case_id}")
    assert "Not sent. Nobody of that name." in browser.words
    browser.post(f"/replies/{reply.id}/again")
    assert [one.state for one in replies(database)] == [Sending.QUEUED]
    browser.post(f"/replies/{reply.id}/withdraw")
    assert [one.text for one in drafts(database)] == ["Dear Hester,\n\nIt is on its way."]


def test_a_person_says_that_an_uncertain_reply_did_not_go_out(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    send(browser, came)
    (reply,) = replies(database)
    with database.transaction() as session:
        row = session.get_one(Reply, reply.id)
        row.state, row.trouble = Sending.UNCERTAIN, "The line broke."
    browser.post(f"/replies/{reply.id}/settle", {"got_out": "no"})
    assert [one.state for one in replies(database)] == [Sending.FAILED]


def went_out(database: Database, reply_id: int) -> None:
    """The platform accepted the reply, which stands in the thread now."""
    with database.transaction() as session:
        reply = session.get_one(Reply, reply_id)
        conversation = session.get_one(Conversation, reply.conversation_id)
        sent = make.message(session, conversation=conversation, direction=Direction.OUTBOUND, reply_id=reply.id)
        reply.state, reply.message_id, reply.sent_at = Sending.SENT, sent.id, now()
        case, seen = session.get_one(Case, reply.case_id), reply.seen_message_id
        own = rules(session, reply.office_id)
        clocks.answered(session, own, case, sent, purpose=reply.purpose, seen_message_id=seen)


def test_a_reply_that_never_arrived_is_owed_again(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    send(browser, came)
    (reply,) = replies(database)
    went_out(database, reply.id)
    address = f"/replies/{reply.id}/not-delivered"
    browser.get(f"/cases/{came.case_id}")
    assert "from the date it was due before" in browser.words
    assert browser.page.css_first(f'form[action="{address}"]') is not None
    browser.post(address)
    assert [one.state for one in replies(database)] == [Sending.FAILED]
    with database.reading() as session:
        assert session.scalars(sa.select(Message.is_failed).where(Message.reply_id == reply.id)).all() == [True]
    follow(browser)
    assert "The answer is owed again" in browser.words
    assert browser.page.css_first(f'form[action="{address}"]') is None


def test_whoever_only_looks_cannot_say_that_a_reply_did_not_arrive(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    send(signed_in("caseworker"), came)
    (reply,) = replies(database)
    went_out(database, reply.id)
    browser = signed_in("viewer")
    browser.get(f"/cases/{came.case_id}")
    assert "It did not arrive" not in browser.words


def test_an_account_that_is_paused_sends_nothing_and_keeps_the_words(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}")
    with database.transaction() as session:
        account = make.account(session, state="paused", name="cllr@fernmoor.example")
        session.execute(sa.text("UPDATE conversation SET reply_account_id = :id"), {"id": account.id})
    send(browser, came, "Hello")
    follow(browser)
    assert "cllr@fernmoor.example is not connected, so nothing can be sent with it." in browser.words
    assert [one.text for one in drafts(database)] == ["Hello"]


def test_a_reference_that_no_case_has_is_told_beside_its_field(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.post(f"/conversations/{came.conversation_id}/join", {"reference": "MA-26-9999"})
    field = f"join-reference-{came.conversation_id}"
    assert (browser.last.location or "").endswith(f"/cases/{came.case_id}/change#{field}")
    follow(browser)
    said = browser.page.css_first(f"#{field}-error")
    assert said is not None
    assert "There is no case MA-26-9999 in this office." in said.text()
