"""The composer as a person uses it without script: files, copies, other addresses, a preview, writing first."""

from __future__ import annotations

from io import BytesIO

import sqlalchemy as sa

from app.cases.models import Case, Purpose
from app.channels.models import Account
from app.db import Database
from app.deployment import Deployment
from app.messages.models import Conversation, Partner
from app.office.models import Office
from app.replies.models import Draft, Enclosure, Reply
from tests import make
from tests.app import arriving
from tests.app.arriving import Arrived
from tests.app.conftest import SignIn, World
from tests.app.replies.test_views import drafts, follow, replies
from tests.app.web.client import Browser

PHOTO = b"\xff\xd8\xff\xe0 a bin"
WORDS = "Dear Hester,\n\nIt is on its way."


def press(browser: Browser, address: str, came: Arrived, text: str = WORDS, **fields: object) -> None:
    """Press a button of the composer, which sends all that stands in it."""
    given = {"text": text, "seen_message_id": str(came.message_id), "mode": "reply", "purpose": "answer"}
    browser.post(address.format(came.conversation_id), {**given, **fields})
    assert browser.last.status_code == 303
    follow(browser)


def text_of(browser: Browser, selector: str) -> str:
    found = browser.page.css_first(selector)
    assert found is not None, browser.words
    return " ".join(found.text(separator=" ").split())


def written(browser: Browser) -> str:
    area = browser.page.css_first("#body")
    assert area is not None
    return area.text().strip()


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_attached_listed_and_taken_away_and_the_words_stay(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    press(browser, "/conversations/{}/files", came, file=(BytesIO(PHOTO), "bin.jpg"))
    assert "bin.jpg 10 bytes" in text_of(browser, ".enclosed .attachments")
    assert "1 file, 10 bytes of 13.7 MB" in text_of(browser, ".enclosed")
    assert written(browser) == WORDS
    with database.reading() as session:
        (file,) = session.scalars(sa.select(Enclosure)).all()
    answer = browser.get(f"/enclosures/{file.id}")
    assert (answer.data, answer.headers["Content-Disposition"].split(";")[0]) == (PHOTO, "attachment")
    press(browser, f"/enclosures/{file.id}/remove", came, "Dear Hester, again")
    assert browser.page.css_first(".enclosed .attachments") is None
    assert written(browser) == "Dear Hester, again"


def test_files_that_were_chosen_and_not_yet_attached_go_along(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    press(browser, "/conversations/{}/reply", came, file=(BytesIO(PHOTO), "bin.jpg"))
    assert "bin.jpg" in text_of(browser, ".message.ours .attachments")
    with database.reading() as session:
        assert session.scalars(sa.select(Enclosure.reply_id)).all() == [replies(database)[0].id]


def test_a_file_that_is_too_large_is_named_and_the_words_stay(
    database: Database, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    with database.transaction() as session:
        session.scalars(sa.select(Account)).one().check_result = {"largest": 400_000}
    browser = signed_in("caseworker")
    press(browser, "/conversations/{}/reply", came, file=(BytesIO(b"x" * 100_000), "film.mp4"))
    assert replies(database) == []
    assert "“film.mp4” does not fit" in text_of(browser, "#file-error")
    assert written(browser) == WORDS


def test_a_public_answer_offers_no_files_and_no_copies(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    with database.transaction() as session:
        session.get_one(Conversation, came.conversation_id).kind = "comment"  # type: ignore[assignment]
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}")
    assert browser.page.css_first("#file") is None
    assert browser.page.css_first("#add-cc") is None


# ── Recipients ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_copy_is_added_seen_to_be_new_and_taken_away(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    press(browser, "/conversations/{}/recipients", came, add_cc="Ossian <ossian@fernmoor.example>")
    assert text_of(browser, ".party.new").startswith("Ossian ossian@fernmoor.example, new here")
    assert "Hester Brindlecombe and 1 other will see this." in text_of(browser, "#audience")
    assert written(browser) == WORDS
    cc = browser.page.css_first('[name="cc"]')
    assert cc is not None
    copy = str(cc.attributes["value"])
    press(browser, "/conversations/{}/reply", came, cc=copy)
    (reply,) = replies(database)
    assert reply.recipients["cc"] == [["Ossian", "ossian@fernmoor.example", "ossian@fernmoor.example"]]
    assert "Copy to ossian@fernmoor.example" in text_of(browser, ".message.ours")
    browser.post(f"/replies/{reply.id}/withdraw")
    follow(browser)
    assert "ossian@fernmoor.example" in text_of(browser, ".addressed")
    press(browser, "/conversations/{}/recipients", came, drop="ossian@fernmoor.example", cc=copy)
    assert browser.page.css_first(".party.new") is None


def test_what_is_no_address_is_said_at_its_field(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    press(browser, "/conversations/{}/reply", came, add_cc="ossian")
    assert replies(database) == []
    assert "“ossian” is not an email address." in text_of(browser, "#add-cc-error")
    assert written(browser) == WORDS


def test_reply_to_all_fills_the_copies_for_all_to_see(database: Database, world: World, signed_in: SignIn) -> None:
    clerk = ["Clerk", "clerk@fernmoor.example", "clerk@fernmoor.example"]
    came = arriving.mail(database, world.office_id, recipients={"to": [clerk]})
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}")
    assert browser.page.css_first('[name="cc"]') is None
    press(browser, "/conversations/{}/recipients", came, all="1")
    assert "Clerk clerk@fernmoor.example" in text_of(browser, ".party:has(input)")


def test_an_unseen_reply_to_is_shown_beside_the_known_address_and_used_on_demand(
    database: Database, world: World, signed_in: SignIn
) -> None:
    other = ["", "hester@elsewhere.example", "hester@elsewhere.example"]
    came = arriving.mail(database, world.office_id, recipients={"reply_to": [other]})
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}")
    assert "They ask for answers to hester@elsewhere.example" in text_of(browser, ".address-note")
    press(browser, "/conversations/{}/recipients", came, use="hester@elsewhere.example")
    assert browser.page.css_first(".address-note") is None
    press(browser, "/conversations/{}/reply", came, to="hester@elsewhere.example")
    assert replies(database)[0].recipients["to"] == [other]


# ── Before it goes out ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_shows_all_that_goes_out_and_sends_it(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    with database.transaction() as session:
        session.get_one(Office, world.office_id).signatures = {"councillor": "Cllr Tansy\nMillpond"}
    browser = signed_in("caseworker")
    press(browser, "/conversations/{}/files", came, file=(BytesIO(PHOTO), "bin.jpg"))
    assert "Cllr Tansy Millpond" in text_of(browser, ".enclosed .signature")
    press(browser, "/conversations/{}/preview", came, cc="ossian@fernmoor.example", then="open")
    shown = text_of(browser, "main")
    for part in ("Re: Brown bin missed again", "Hester", "ossian@fernmoor.example", "bin.jpg", "Cllr Tansy Millpond"):
        assert part in shown
    form = browser.page.css_first('form[action$="/reply"]')
    assert form is not None
    fields = {str(one.attributes["name"]): one.attributes.get("value") or "" for one in form.css("input")}
    browser.post(f"/conversations/{came.conversation_id}/reply", {**fields})
    (reply,) = replies(database)
    assert (reply.text, reply.stays_open, len(reply.recipients["cc"])) == (WORDS, True, 1)


def test_there_is_nothing_to_preview_without_words(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    press(browser, "/conversations/{}/preview", came, " ")
    assert "Write your reply first." in text_of(browser, "#body-error")


# ── Writing first ─────────────────────────────────────────────────────────────────────────────────────────────────


def account_of(database: Database, world: World) -> int:
    with database.transaction() as session:
        return make.account(session, office=session.get_one(Office, world.office_id)).id


def test_a_new_message_opens_a_case_in_which_it_is_written(database: Database, world: World, signed_in: SignIn) -> None:
    account_id = account_of(database, world)
    browser = signed_in("caseworker")
    browser.get("/")
    link = browser.page.css_first('a[data-key="c"]')
    assert link is not None
    assert link.attributes["href"] == "/write"
    browser.get("/write")
    browser.post("/write", {"account": account_id, "to": "Hester <hester@larkrise.example>", "subject": "Larkrise"})
    follow(browser)
    assert browser.heading == "Larkrise"
    assert "Hester hester@larkrise.example" in text_of(browser, ".addressed")
    assert browser.page.css_first("#purpose") is None
    with database.reading() as session:
        conversation = session.scalars(sa.select(Conversation)).one()
    given = {"text": "Dear Hester,", "seen_message_id": "0", "then": "answered"}
    browser.post(f"/conversations/{conversation.id}/reply", given)
    (reply,) = replies(database)
    assert (reply.subject, reply.purpose) == ("Larkrise", Purpose.MESSAGE)
    follow(browser)
    assert "Dear Hester," in text_of(browser, ".message.ours")


def test_what_is_wrong_with_a_new_message_stands_at_its_field(
    database: Database, world: World, signed_in: SignIn
) -> None:
    account_id = account_of(database, world)
    browser = signed_in("caseworker")
    browser.get("/write")
    browser.post("/write", {"account": account_id, "to": "hester", "subject": "Bin"})
    assert browser.last.status_code == 422
    assert "“hester” is not an email address." in text_of(browser, "#to-error")


def test_somebody_known_is_found_by_name(database: Database, world: World, signed_in: SignIn) -> None:
    came = arriving.mail(database, world.office_id)
    browser = signed_in("caseworker")
    browser.get("/write?q=hester")
    link = browser.page.css_first("main .entries a")
    assert link is not None
    browser.get(str(link.attributes["href"]))
    field = browser.page.css_first("#to")
    assert field is not None
    assert str(field.attributes["value"]).startswith('"Hester Brindlecombe" <hester')
    browser.get(f"/people/{came.person_id}")
    assert browser.page.css_first(f'a[href="/write?person={came.person_id}"]') is not None


def test_without_an_account_to_write_from_the_page_says_so(signed_in: SignIn) -> None:
    browser = signed_in("caseworker")
    browser.get("/write")
    assert "there is nothing to write from" in browser.words


def test_a_case_is_passed_on_with_what_was_ticked(
    database: Database, deployment: Deployment, world: World, signed_in: SignIn
) -> None:
    came = arriving.mail(database, world.office_id)
    with database.transaction() as session:
        message = make.message(session, conversation=session.get_one(Conversation, came.conversation_id))
        sha256 = deployment.store.put(world.office_id, PHOTO)
        file = make.file(session, message=message, sha256=sha256)
        account_id, message_id, file_id = message.account_id, message.id, file.id
    browser = signed_in("caseworker")
    browser.get(f"/cases/{came.case_id}/forward")
    ticked = [one.attributes["value"] for one in browser.page.css('[name="messages"][checked]')]
    assert ticked == [str(message_id)]
    given = {
        "partner": "officer",
        "to": "Roads <roads@brackenshire.example>",
        "account": account_id,
        "subject": "Brown bin",
        "messages": [message_id],
        "files": [file_id],
    }
    browser.post(f"/cases/{came.case_id}/forward", given)
    follow(browser)
    assert "Roads will see this, the resident will not." in text_of(browser, "#audience")
    assert "a resident wrote:" in written(browser)
    assert "bin.jpg" in text_of(browser, ".enclosed .attachments")
    (draft,) = drafts(database)
    browser.post(
        f"/conversations/{draft.conversation_id}/reply",
        {"text": "Please look.\n\n" + draft.text, "seen_message_id": str(message_id)},
    )
    (reply,) = replies(database)
    assert (reply.purpose, reply.recipients["to"][0][1]) == (Purpose.REFERRAL, "roads@brackenshire.example")
    with database.reading() as session:
        conversation = session.get_one(Conversation, reply.conversation_id)
        assert (conversation.partner, conversation.case_id) == (Partner.OFFICER, came.case_id)
        assert session.scalars(sa.select(Draft)).all() == []
        assert session.get_one(Case, came.case_id).person_id == came.person_id
        assert session.scalars(sa.select(Reply.case_id)).all() == [came.case_id]
