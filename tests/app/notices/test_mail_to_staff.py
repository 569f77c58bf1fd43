"""Mail to staff, to a real server."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from pydantic import SecretStr

from app.clock import now
from app.db import Database
from app.deployment import Deployment, deploy
from app.errors import Problem
from app.notices.actions import notify
from app.notices.models import Notice, NoticeState
from app.notices.sending import mail_link, send_notice
from app.notices.writing import write
from app.settings import Settings
from app.staff.models import Link, Staff
from tests.app.conftest import SignIn, World
from tests.app.notices.conftest import Post
from tests.app.web.client import Browser
from tests.servers.smtp import Smtp

STOPPED: dict[str, Any] = {
    "account": "cllr@fernmoor.example",
    "needs_you": True,
    "checked_at": "",
    "trouble": "",
    "href": "http://127.0.0.1:8000/accounts/1",
}


def last_link(database: Database) -> int:
    with database.reading() as session:
        return session.scalars(sa.select(Link.id).order_by(Link.id.desc())).first() or 0


def last_notice(database: Database) -> Notice:
    with database.reading() as session:
        return session.scalars(sa.select(Notice).order_by(Notice.id.desc())).first() or pytest.fail("no notice")


def test_a_reset_link_comes_by_mail_and_works(
    app: Flask, world: World, database: Database, deployment: Deployment, post: Post
) -> None:
    browser = Browser(app)
    browser.get("/forgotten")
    browser.post("/forgotten", {"email": world.address("caseworker")})
    mail_link(deployment, last_link(database))
    (mail,) = post.wait()
    assert (mail["To"], mail["From"]) == (
        "Caseworker Oxlip <caseworker@fernmoor.example>",
        "Postbag <postbag@fernmoor.example>",
    )
    assert (mail["Subject"], mail["Auto-Submitted"]) == ("A new password for Postbag", "auto-generated")
    found = re.search(r"http://127\.0\.0\.1:8000(/reset/\S+)", mail.get_content())
    assert found
    browser.get(found[1])
    assert browser.post(found[1], {"password": "a lamp by the weir"}).status_code == 303


def test_an_invitation_comes_by_mail_and_names_who_invited(
    signed_in: SignIn, world: World, database: Database, deployment: Deployment, post: Post
) -> None:
    browser = signed_in("councillor")
    browser.get(f"/offices/{world.office_id}/team")
    given = {"name": "Pip Marram", "email": "pip@fernmoor.example", "role": "viewer"}
    assert browser.post(f"/offices/{world.office_id}/team", given).status_code == 303
    mail_link(deployment, last_link(database))
    text = post.wait()[0].get_content()
    assert "Councillor Oxlip has invited you to Postbag" in text
    assert "until Thu 9 Apr, 09:00" in text


def test_nothing_is_mailed_to_an_address_that_nobody_has(
    app: Flask, world: World, database: Database, deployment: Deployment, post: Post
) -> None:
    browser = Browser(app)
    browser.get("/forgotten")
    browser.post("/forgotten", {"email": world.address("nobody")})
    mail_link(deployment, last_link(database))
    assert post.mails == []


def test_the_test_mail_says_that_the_server_took_it(
    signed_in: SignIn, database: Database, deployment: Deployment, post: Post
) -> None:
    browser = signed_in("administrator")
    browser.get("/administration/mail")
    browser.post("/administration/mail")
    browser.get("/administration/mail")
    state = browser.page.css_first("#last-try")
    assert state is not None
    assert state.attributes["data-refresh"] == "2"
    send_notice(deployment, last_notice(database).id)
    browser.get("/administration/mail")
    assert "The server took a mail to you just now." in browser.words
    assert [mail["Subject"] for mail in post.wait()] == ["Mail from Postbag works"]


def test_a_server_that_does_not_answer_is_said_on_the_page(
    signed_in: SignIn, database: Database, silent: Deployment
) -> None:
    browser = signed_in("administrator")
    browser.get("/administration/mail")
    browser.post("/administration/mail")
    send_notice(silent, last_notice(database).id)
    browser.get("/administration/mail")
    assert f"localhost does not answer on port {silent.settings.mail_port}." in browser.words


def test_what_may_go_better_later_is_tried_again(
    world: World, database: Database, silent: Deployment, deployment: Deployment, post: Post
) -> None:
    with database.transaction() as session:
        notice = notify(session, "stopped", world.staff["caseworker"], at=now(), **STOPPED)
    with pytest.raises(Problem):
        send_notice(silent, notice.id)
    assert last_notice(database).state is NoticeState.FAILED
    send_notice(deployment, notice.id)
    assert (last_notice(database).state, last_notice(database).attempts, last_notice(database).trouble) == (
        NoticeState.SENT,
        2,
        "",
    )
    send_notice(deployment, notice.id)
    assert len(post.wait()) == 1


@pytest.mark.parametrize(("name", "again"), [("unknown", False), ("busy", True)])
def test_a_refusal_for_good_is_not_tried_again(
    world: World, database: Database, deployment: Deployment, name: str, *, again: bool
) -> None:
    with database.transaction() as session:
        session.get_one(Staff, world.staff["caseworker"]).email = f"{name}@fernmoor.example"
        notice = notify(session, "stopped", world.staff["caseworker"], at=now(), **STOPPED)
    if again:
        with pytest.raises(Problem):
            send_notice(deployment, notice.id)
    else:
        send_notice(deployment, notice.id)
    assert last_notice(database).trouble.startswith(
        "The mail server answered: 4" if again else "The mail server answered: 5"
    )


def test_a_name_cannot_add_a_header_of_its_own() -> None:
    mail = write(
        "test",
        sender="postbag@fernmoor.example",
        to=("Bram\r\nBcc: everybody@evil.example", "bram@fernmoor.example"),
        at=datetime(2026, 4, 7, tzinfo=UTC) + timedelta(0),
        values={"name": "Bram", "office_href": "http://127.0.0.1:8000/"},
    )
    assert mail["Bcc"] is None
    assert mail["To"].addresses[0].addr_spec == "bram@fernmoor.example"


def test_a_plain_line_is_never_taken_for_a_protected_one(
    world: World, database: Database, settings: Settings, post: Post
) -> None:
    with Smtp(tls=False) as plain:
        careful = deploy(settings.model_copy(update={"mail_port": plain.starttls_port}))
        with database.transaction() as session:
            notice = notify(session, "stopped", world.staff["caseworker"], at=now(), **STOPPED)
        with pytest.raises(Problem, match="does not offer"):
            send_notice(careful, notice.id)
        careful.close()
        assert plain.everything() == []
    assert post.mails == []


def test_a_certificate_that_nobody_vouches_for_is_refused(world: World, database: Database, settings: Settings) -> None:
    with Smtp() as stranger:
        careful = deploy(settings.model_copy(update={"mail_port": stranger.starttls_port}))
        with database.transaction() as session:
            notice = notify(session, "stopped", world.staff["caseworker"], at=now(), **STOPPED)
        with pytest.raises(Problem, match="certificate of localhost could not be checked"):
            send_notice(careful, notice.id)
        careful.close()


def test_a_wrong_password_of_the_install_is_named(world: World, database: Database, settings: Settings) -> None:
    wrong = deploy(settings.model_copy(update={"mail_password": SecretStr("not it")}))
    with database.transaction() as session:
        notice = notify(session, "stopped", world.staff["caseworker"], at=now(), **STOPPED)
    with pytest.raises(Problem, match="POSTBAG_MAIL_USER"):
        send_notice(wrong, notice.id)
    wrong.close()
