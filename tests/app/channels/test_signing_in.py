"""An account that is opened at its provider's own page: asked, done, renewed, ended, and begun again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app
from app.channels.models import Access, Account, State, Step, Stream
from app.channels.signing_in import sign_in
from app.channels.tokens import AccountTokens
from app.channels.trying import try_account
from app.clock import now
from app.db import Database
from app.deployment import Deployment
from app.intake.poll import poll_account
from app.jobs.models import Job
from app.office.models import Office
from connectors import AuthExpired, Transient, Way
from tests import make
from tests.app.conftest import World
from tests.app.web.client import Browser
from tests.conftest import Clock
from tests.connectors.email.box import mail
from tests.servers.dovecot import Dovecot
from tests.servers.issuer import Issuer
from tests.servers.smtp import Smtp


@pytest.fixture
def install(deployment: Deployment, issuer: Issuer) -> Deployment:
    """An install whose Microsoft and Google are the issuer, and whose mail servers are on this machine."""
    clients = {"microsoft": issuer.client(), "google": issuer.client("Google"), "oauth": issuer.client("Fernmoor")}
    host = replace(deployment.host, clients=clients, allowed_hosts=frozenset({"127.0.0.1"}))
    return replace(deployment, host=host)


@pytest.fixture
def app(install: Deployment, clock: Clock) -> Flask:  # noqa: ARG001 - the clock stands still under every page
    return create_app(deployment=install)


@pytest.fixture
def servers(dovecot: Dovecot, smtp: Smtp) -> dict[str, str]:
    """The fields of the form that say where this machine's servers are."""
    return {
        "asked_imap_host": "127.0.0.1",
        "asked_imap_port": str(dovecot.imaps_port),
        "asked_imap_security": "tls",
        "asked_smtp_host": "127.0.0.1",
        "asked_smtp_port": str(smtp.starttls_port),
        "asked_smtp_security": "starttls",
    }


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The councillor's browser, the install behind it, and one mailbox at a provider."""

    browser: Browser
    install: Deployment
    world: World
    servers: Mapping[str, str]
    address: str
    issuer: Issuer
    clock: Clock

    def row(self, account_id: int) -> Account:
        with self.install.database.reading() as session:
            return session.get_one(Account, account_id)

    def access(self, account_id: int) -> Access:
        with self.install.database.reading() as session:
            return session.scalars(sa.select(Access).where(Access.account_id == account_id)).one()

    def tokens(self, account_id: int) -> AccountTokens:
        return AccountTokens(self.install, account_id)

    def add(self, kind: str) -> int:
        """The mailbox as the form adds it, tried by the worker: somebody is to sign in now."""
        answer = {"office": str(self.world.office_id), "capacity": "councillor", "since": "usual"}
        fields = {**answer, "asked_address": self.address, **self.servers}
        self.browser.post(f"/accounts/add/email?kind={kind}", fields)
        with self.install.database.reading() as session:
            account_id = session.scalars(sa.select(Account.id)).one()
        try_account(self.install, account_id)
        sign_in(self.install, account_id)
        return account_id

    def connected(self) -> int:
        """The mailbox as it was signed in to a while ago."""
        options = {key.removeprefix("asked_"): value for key, value in self.servers.items()}
        held = {**self.issuer.tokens(self.address), "ends_at": (now() + timedelta(hours=1)).isoformat()}
        kept = {key: str(held[key]) for key in ("access_token", "refresh_token", "ends_at")}
        with self.install.database.transaction() as session:
            made = make.account(
                session,
                office=session.get_one(Office, self.world.office_id),
                name=self.address,
                own_ids=[self.address],
                options={"sign_in": "microsoft", "address": self.address, **options},
            )
            make.stream(session, account=made, key="INBOX", name="Inbox")
            given = Access(account_id=made.id, office_id=made.office_id, way=Way.CODE, step=Step.GIVEN, began_at=now())
            given.sealed = self.install.sealer.seal(kept)
            session.add(given)
            return made.id


@pytest.fixture
def desk(  # noqa: PLR0917 - all that a mailbox at a provider takes
    app: Flask,
    install: Deployment,
    world: World,
    servers: dict[str, str],
    address: str,
    issuer: Issuer,
    clock: Clock,
) -> Desk:
    browser = Browser(app)
    browser.sign_in(world.address("councillor"))
    return Desk(
        browser=browser, install=install, world=world, servers=servers, address=address, issuer=issuer, clock=clock
    )


def submit(browser: Browser, selector: str) -> None:
    """Send a form of the page as it stands."""
    form = browser.page.css_first(selector)
    assert form is not None
    fields = {str(one.attributes["name"]): str(one.attributes["value"]) for one in form.css("input[type=hidden]")}
    browser.post(str(form.attributes["action"]), fields)


# ── Through the pages ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_channels_to_add_name_the_providers_and_ask_no_password_for_them(desk: Desk) -> None:
    desk.browser.get("/accounts/add")
    assert "Microsoft 365 or Outlook" in desk.browser.words
    assert "Google: Workspace or Gmail" in desk.browser.words
    desk.browser.get("/accounts/add/email?kind=microsoft")
    assert desk.browser.page.css_first("#asked_password") is None
    assert desk.browser.page.css_first("#asked_tenant") is not None
    desk.browser.get("/accounts/add/email")
    assert desk.browser.page.css_first("#asked_password") is not None
    assert desk.browser.page.css_first("#asked_tenant") is None


def test_a_mailbox_at_microsoft_is_opened_with_a_code(desk: Desk, dovecot: Dovecot) -> None:
    dovecot.deliver(desk.address, mail("Brown bin"))
    account_id = desk.add("microsoft")
    assert desk.row(account_id).state is State.SIGNING_IN
    code = desk.access(account_id).code
    page = desk.browser.get(f"/accounts/{account_id}")
    assert code in desk.browser.words
    assert f"127.0.0.1:{desk.issuer.port}/device" in desk.browser.words
    assert "Refresh" not in page.headers  # a page that is read is not taken away
    desk.issuer.type_code(code, desk.address)
    desk.browser.post(f"/accounts/{account_id}/sign-in/done")
    assert sign_in(desk.install, account_id) == now() + timedelta(seconds=1)  # the provider's own interval stands
    desk.clock.advance(seconds=1)
    assert sign_in(desk.install, account_id) is None
    assert desk.row(account_id).state is State.TRYING
    desk.browser.post(f"/accounts/{account_id}/sign-in/done")  # pressed when it has just been found out
    desk.browser.get(f"/accounts/{account_id}")
    assert "We are trying this account" in desk.browser.words
    try_account(desk.install, account_id)
    desk.browser.get(f"/accounts/{account_id}")
    assert "The newest message we could read: Brown bin" in desk.browser.words
    desk.browser.post(f"/accounts/{account_id}/start")
    assert desk.row(account_id).state is State.ACTIVE
    assert code not in desk.browser.get(f"/accounts/{account_id}").get_data(as_text=True)


def test_a_mailbox_at_google_is_opened_by_its_page_which_comes_back(desk: Desk) -> None:
    account_id = desk.add("google")
    desk.browser.get(f"/accounts/{account_id}")
    link = desk.browser.page.css_first('a.primary[href*="/authorize"]')
    assert link is not None
    place = desk.issuer.agree(str(link.attributes["href"]))
    assert place.startswith("http://127.0.0.1:8000/accounts/sign-in/back?")
    desk.browser.get(place.removeprefix("http://127.0.0.1:8000"))
    assert desk.access(account_id).step is Step.WAITING  # looking at a page changes nothing
    submit(desk.browser, "form[data-goes-on]")
    assert desk.access(account_id).step is Step.ANSWERED
    assert desk.browser.get(f"/accounts/{account_id}").headers["Refresh"] == "2"
    assert sign_in(desk.install, account_id) is None
    try_account(desk.install, account_id)
    assert desk.row(account_id).state is State.TRIED


def test_an_address_from_a_browser_that_could_not_come_back_is_pasted(desk: Desk) -> None:
    account_id = desk.add("google")
    desk.browser.get(f"/accounts/{account_id}")
    place = desk.issuer.agree(desk.access(account_id).url)
    desk.browser.post("/accounts/sign-in/back", {"address": f" {place} "})
    sign_in(desk.install, account_id)
    assert desk.access(account_id).step is Step.GIVEN


def test_an_answer_to_a_sign_in_that_we_did_not_begin_is_refused(desk: Desk) -> None:
    account_id = desk.add("google")
    for forged in (f"{account_id}-made-up", "nothing", ""):
        assert desk.browser.post("/accounts/sign-in/back", {"state": forged, "code": "theirs"}).status_code == 409
    place = desk.issuer.agree(desk.access(account_id).url)
    desk.browser.post("/accounts/sign-in/back", {"address": place})
    assert desk.browser.post("/accounts/sign-in/back", {"address": place}).status_code == 409  # once
    assert desk.access(account_id).step is Step.ANSWERED


def test_somebody_of_another_office_cannot_answer_a_sign_in(desk: Desk, app: Flask) -> None:
    account_id = desk.add("google")
    stranger = Browser(app)
    stranger.sign_in(desk.world.address("stranger"))
    place = desk.issuer.agree(desk.access(account_id).url)
    assert stranger.post("/accounts/sign-in/back", {"address": place}).status_code == 404
    assert stranger.post(f"/accounts/{account_id}/sign-in").status_code == 404


def test_what_the_provider_refuses_is_said_and_another_way_offered(desk: Desk) -> None:
    desk.issuer.refuses = "wrong tenant"
    account_id = desk.add("microsoft")
    desk.browser.get(f"/accounts/{account_id}")
    assert "Microsoft knows no organisation of that name." in desk.browser.words
    desk.issuer.refuses = ""
    desk.browser.post(f"/accounts/{account_id}/sign-in", {"way": "page"})
    sign_in(desk.install, account_id)
    desk.browser.get(f"/accounts/{account_id}")
    assert desk.browser.page.css_first('a.primary[href*="/authorize"]') is not None


def test_a_provider_that_is_away_is_asked_again_until_the_code_ends(desk: Desk) -> None:
    account_id = desk.add("microsoft")
    desk.issuer.is_down = True
    desk.clock.advance(seconds=1)
    assert sign_in(desk.install, account_id) == now() + timedelta(seconds=10)
    desk.issuer.is_down = False
    desk.clock.advance(minutes=15)
    assert sign_in(desk.install, account_id) is None
    assert desk.access(account_id).trouble == "Nobody has signed in at Microsoft in time. Begin again."


def test_nothing_that_opens_a_mailbox_is_shown_or_kept_in_the_clear(desk: Desk) -> None:
    account_id = desk.add("google")
    desk.browser.post("/accounts/sign-in/back", {"address": desk.issuer.agree(desk.access(account_id).url)})
    sign_in(desk.install, account_id)
    token = desk.tokens(account_id).read()["refresh_token"]
    kept = desk.access(account_id)
    assert token.encode() not in (kept.sealed or b"")
    assert (kept.asking, kept.url, kept.code) == (None, "", "")
    assert token not in desk.browser.get(f"/accounts/{account_id}").get_data(as_text=True)
    assert token not in repr(kept)


# ── Afterwards ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_that_has_ended_is_renewed_by_the_poll_and_nobody_notices(desk: Desk, dovecot: Dovecot) -> None:
    account_id = desk.connected()
    dovecot.deliver(desk.address, mail("Brown bin"))
    before = desk.tokens(account_id).read()
    desk.clock.advance(hours=2)
    desk.issuer.end_access(desk.address)
    poll_account(desk.install, account_id, everything=True)
    with desk.install.database.reading() as session:
        stream = session.scalars(sa.select(Stream).where(Stream.account_id == account_id)).one()
    assert (stream.trouble, stream.last_good_at) == ("", now())
    after = desk.tokens(account_id).read()
    assert after["refresh_token"] != before["refresh_token"]
    assert desk.access(account_id).lease_until is None


def test_consent_that_is_withdrawn_needs_you_and_one_button_signs_in_again(desk: Desk) -> None:
    account_id = desk.connected()
    desk.issuer.withdraw(desk.address)
    for _ in range(3):
        poll_account(desk.install, account_id, everything=True)
        desk.clock.advance(minutes=31)
    assert desk.row(account_id).state is State.NEEDS_YOU
    desk.browser.sign_in(desk.world.address("councillor"))
    desk.browser.get(f"/accounts/{account_id}")
    assert "Microsoft no longer lets Postbag into this account (the consent was withdrawn)" in desk.browser.words
    submit(desk.browser, 'form[action$="/sign-in"]')
    sign_in(desk.install, account_id)
    desk.issuer.type_code(desk.access(account_id).code, desk.address)
    desk.clock.advance(seconds=1)
    sign_in(desk.install, account_id)
    try_account(desk.install, account_id)
    poll_account(desk.install, account_id, everything=True)
    assert desk.row(account_id).state is State.ACTIVE


def test_a_sign_in_begun_anew_leaves_the_tokens_that_hold_until_it_is_done(desk: Desk) -> None:
    account_id = desk.connected()
    desk.browser.post(f"/accounts/{account_id}/sign-in", {"way": "code"})
    sign_in(desk.install, account_id)
    poll_account(desk.install, account_id, everything=True)
    assert desk.row(account_id).refusals == 0
    assert "Sign in on the provider’s own page" in desk.browser.get(f"/accounts/{account_id}").get_data(as_text=True)


def test_settings_that_change_leave_the_tokens(desk: Desk) -> None:
    account_id = desk.connected()
    before = desk.tokens(account_id).read()
    desk.browser.post(
        f"/accounts/{account_id}/settings", {"asked_address": desk.address, "asked_name": "Cllr T", **desk.servers}
    )
    try_account(desk.install, account_id)
    assert desk.row(account_id).check_result["identity"]["name"] == "Cllr T"
    assert desk.tokens(account_id).read() == before


def test_a_mailbox_with_a_password_moves_to_microsoft_and_keeps_its_history(desk: Desk) -> None:
    options = {"sign_in": "password", "address": desk.address}
    with desk.install.database.transaction() as session:
        office = session.get_one(Office, desk.world.office_id)
        sealed = desk.install.sealer.seal({"password": "gone", "smtp_password": ""})
        account_id = make.account(session, office=office, name=desk.address, options=options, sealed=sealed).id
    page = desk.browser.get(f"/accounts/{account_id}/settings")
    assert f"/accounts/{account_id}/settings?kind=microsoft" in page.get_data(as_text=True)
    desk.browser.post(
        f"/accounts/{account_id}/settings?kind=microsoft", {"asked_address": desk.address, **desk.servers}
    )
    try_account(desk.install, account_id)
    sign_in(desk.install, account_id)
    assert (desk.row(account_id).state, desk.access(account_id).step) == (State.ACTIVE, Step.WAITING)
    assert desk.access(account_id).code in desk.browser.get(f"/accounts/{account_id}").get_data(as_text=True)


def test_an_account_that_is_removed_forgets_its_tokens(desk: Desk) -> None:
    account_id = desk.connected()
    desk.browser.post(f"/accounts/{account_id}/remove")
    assert desk.tokens(account_id).read() == {}


# ── Two processes ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_of_two_processes_that_renew_at_once_one_asks_and_both_have_what_it_got(desk: Desk) -> None:
    account_id = desk.connected()
    stale = desk.tokens(account_id).read()
    asked: list[Mapping[str, str]] = []
    in_use: list[int] = []
    is_asking, may_answer = threading.Event(), threading.Event()

    def fetch(held: Mapping[str, str]) -> Mapping[str, str]:
        asked.append(held)
        in_use.append(desk.install.database.in_use())
        is_asking.set()
        may_answer.wait(10)
        return {**held, "access_token": "fresh"}

    got: list[Mapping[str, str]] = []
    threads = [
        threading.Thread(target=lambda: got.append(desk.tokens(account_id).renew(stale, fetch))) for _ in range(2)
    ]
    threads[0].start()
    is_asking.wait(10)
    threads[1].start()
    may_answer.set()
    for thread in threads:
        thread.join(20)
    assert (len(asked), in_use) == (1, [0])
    assert [one["access_token"] for one in got] == ["fresh", "fresh"]


def test_a_renewal_that_fails_lets_the_next_one_try(desk: Desk) -> None:
    account_id = desk.connected()
    tokens = desk.tokens(account_id)
    stale = tokens.read()

    def away(_: Mapping[str, str]) -> Mapping[str, str]:
        raise Transient("away")

    with pytest.raises(Transient, match="away"):
        tokens.renew(stale, away)
    assert tokens.renew(stale, lambda held: {**held, "access_token": "fresh"})["access_token"] == "fresh"


def test_a_renewal_never_overwrites_what_a_person_has_signed_in_meanwhile(desk: Desk) -> None:
    account_id = desk.connected()
    tokens = desk.tokens(account_id)

    def meanwhile(held: Mapping[str, str]) -> Mapping[str, str]:
        with desk.install.database.transaction() as session:
            session.scalars(sa.select(Access)).one().sealed = desk.install.sealer.seal(
                {"access_token": "of the person"}
            )
        return {**held, "access_token": "of the old sign-in"}

    assert tokens.renew(tokens.read(), meanwhile)["access_token"] == "of the person"
    assert tokens.read()["access_token"] == "of the person"


def test_an_account_without_a_sign_in_has_nothing_to_renew(desk: Desk) -> None:
    with pytest.raises(AuthExpired):
        desk.tokens(4711).renew({}, lambda held: held)


def test_a_sign_in_is_known_to_the_worker(desk: Desk, database: Database) -> None:
    from app.worker import HANDLERS

    with database.transaction() as session:
        made = make.account(
            session, office=session.get_one(Office, desk.world.office_id), options={"sign_in": "google"}
        )
    try_account(desk.install, made.id)
    with database.reading() as session:
        kinds: list[Any] = list(session.scalars(sa.select(Job.kind)))
    assert kinds == ["sign_in"]
    assert HANDLERS[kinds[0]] is sign_in


def test_a_sign_in_whose_job_was_lost_goes_on(desk: Desk) -> None:
    from app.worker import keep_going

    account_id = desk.add("google")
    with desk.install.database.transaction() as session:
        session.execute(sa.delete(Job))
    keep_going(desk.install, 0)
    with desk.install.database.reading() as session:
        assert session.execute(sa.select(Job.kind, Job.key)).all() == [("sign_in", account_id)]


# ── In the first run ──────────────────────────────────────────────────────────────────────────────────────────────

BEGINNING = {
    "name": "Tansy Quillfeather",
    "email": "tansy@fernmoor.example",
    "password": "kettle-lantern-weir",
    "what": "councillor",
    "office": "Cllr Tansy Quillfeather",
    "place": "Millpond & Ashgrove, Fernmoor",
    "nation": "england_and_wales",
    "prefix": "MA",
}


def test_the_first_mailbox_is_opened_at_google_without_leaving_the_set_up(
    app: Flask, install: Deployment, servers: dict[str, str], address: str, issuer: Issuer
) -> None:
    browser = Browser(app)
    browser.get("/setup")
    browser.post("/setup", BEGINNING)
    browser.get("/setup/channel?kind=google")
    assert browser.page.css_first("#asked_password") is None
    step = browser.post("/setup/channel?kind=google", {"since": "usual", "asked_address": address, **servers}).location
    assert step is not None
    account_id = int(step.rsplit("/", 1)[-1])
    try_account(install, account_id)
    sign_in(install, account_id)
    browser.get(step)
    link = browser.page.css_first('a.primary[href*="/authorize"]')
    assert link is not None
    browser.get(issuer.agree(str(link.attributes["href"])).removeprefix("http://127.0.0.1:8000"))
    submit(browser, "form[data-goes-on]")
    assert browser.last.location == step
    sign_in(install, account_id)
    try_account(install, account_id)
    browser.get(step)
    assert "It works" in browser.words
    assert browser.post(f"{step}/start").location == "/setup/reply-times"
