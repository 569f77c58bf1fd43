"""Connecting accounts and looking after them: forms, and the verbs behind the buttons of their pages."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.channels import actions, queries, signing_in
from app.channels.connecting import ways
from app.channels.forms import AccountForm, form_for, options, parts
from app.channels.models import Account, Capacity
from app.clock import now
from app.errors import Conflict, Missing
from app.office.queries import offices as every_office
from app.office.queries import unfinished
from app.web import deployment
from app.web.forms import choices
from app.web.guard import Permission, actor, allow, current_office, offices
from app.web.session import session
from app.web.telling import tell
from connectors import Manifest, Way

blueprint = Blueprint("channels", __name__)

_BROUGHT = ("state", "code", "error", "error_description")  # RFC 6749 section 4.1.2


# ── Connecting ────────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/accounts/add")
@allow(Permission.MANAGE_ACCOUNTS)
def choose() -> ResponseReturnValue:
    """Every channel there is."""
    return render_template("channels/choose.html", title=gettext("Add a channel"), manifests=_manifests())


@blueprint.get("/accounts/add/<channel>")
@allow(Permission.MANAGE_ACCOUNTS, fresh=True)
def ask(channel: str) -> ResponseReturnValue:
    """What a channel needs to know."""
    manifest = _manifest(channel)
    return _form_page(_new_form(manifest), manifest)


@blueprint.post("/accounts/add/<channel>")
@allow(Permission.MANAGE_ACCOUNTS, fresh=True)
def add(channel: str) -> ResponseReturnValue:
    """Keep the account, sealed, and have it tried."""
    manifest = _manifest(channel)
    form = _new_form(manifest)
    if form.validate():
        with form.blaming():
            account = actions.add_account(
                session,
                deployment().sealer,
                manifest,
                office_id=form.office.data,
                options=form.answers(manifest),
                since=form.since_at(now()),
                capacity=Capacity(form.capacity.data),
                by=actor().id,
                at=now(),
            )
            return _to(account)
    return _form_page(form, manifest), 422


@blueprint.get("/accounts/<int:account_id>/settings")
@allow(Permission.MANAGE_ACCOUNTS, fresh=True)
def ask_again(account_id: int) -> ResponseReturnValue:
    """The settings of an account, to be mended; secrets are never shown."""
    account = _account(account_id)
    manifest = _manifest(account.channel)
    form = form_for(manifest, _kind(manifest, account), keeps_secrets=True)(data=options(account.options))
    return _form_page(form, manifest, account)


@blueprint.post("/accounts/<int:account_id>/settings")
@allow(Permission.MANAGE_ACCOUNTS, fresh=True)
def change(account_id: int) -> ResponseReturnValue:
    """Other settings or a new password; the account keeps its history, and is tried at once."""
    account = _account(account_id)
    manifest = _manifest(account.channel)
    form = form_for(manifest, _kind(manifest, account), keeps_secrets=True)()
    with form.blaming():
        answers = form.answers(manifest)
        actions.change(session, deployment().sealer, manifest, account, options=answers, by=actor().id, at=now())
        tell(gettext("The settings were kept. We are trying them now."))
        return _to(account)
    return _form_page(form, manifest, account), 422


@blueprint.post("/accounts/<int:account_id>/start")
@allow(Permission.MANAGE_ACCOUNTS)
def start(account_id: int) -> ResponseReturnValue:
    """Connect what was tried and found good."""
    account = _account(account_id)
    actions.activate(session, account, by=actor().id, at=now())
    tell(gettext("%(account)s is connected. Its messages are coming in.", account=account.name))
    return _to(account)


@blueprint.post("/accounts/<int:account_id>/again")
@allow(Permission.MANAGE_ACCOUNTS)
def try_again(account_id: int) -> ResponseReturnValue:
    """Try it once more as it is."""
    account = _account(account_id)
    actions.try_again(session, account, by=actor().id)
    return _to(account)


# ── Signing in at the platform's own page ───────────────────────────────────────────────────────────────────────────


@blueprint.post("/accounts/<int:account_id>/sign-in")
@allow(Permission.MANAGE_ACCOUNTS, fresh=True)
def sign_in(account_id: int) -> ResponseReturnValue:
    """Have the platform asked for a code, or for its page."""
    account = _account(account_id)
    possible = ways(deployment(), account)
    if not possible:
        raise Conflict("This account is not signed in on a provider's page.")
    given = request.form.get("way", "")
    way = Way(given) if given in possible else possible[0]
    signing_in.begin(session, account, way, by=actor().id, at=now())
    return _to(account)


@blueprint.post("/accounts/<int:account_id>/sign-in/done")
@allow(Permission.MANAGE_ACCOUNTS)
def look_again(account_id: int) -> ResponseReturnValue:
    """They say that they have done it."""
    account = _account(account_id)
    if signing_in.look_again(session, account):
        tell(gettext("We are asking the provider. If nothing has changed in a few seconds, press again."))
    return _to(account)


@blueprint.get("/" + signing_in.BACK)
@allow(Permission.MANAGE_ACCOUNTS)
def back() -> ResponseReturnValue:
    """Where a platform sends the browser: a page that posts what it brought."""
    answer = {key: request.args[key] for key in _BROUGHT if key in request.args}
    return render_template("channels/back.html", title=gettext("You are back"), answer=answer)


@blueprint.post("/" + signing_in.BACK)
@allow(Permission.MANAGE_ACCOUNTS)
def come_back() -> ResponseReturnValue:
    """Keep what the browser brought, or what somebody pasted from its address bar."""
    pasted = parse_qsl(urlsplit(request.form.get("address", "").strip()).query)
    answer = {key: value for key, value in [*request.form.items(), *pasted] if key in _BROUGHT}
    account_id = signing_in.account_of(answer.get("state", ""))
    if account_id is None:
        raise Conflict("That address is not the one to which the provider has sent you. Copy all of it.")
    account = _account(account_id)
    signing_in.come_back(session, deployment().sealer, account, answer, by=actor().id)
    return _to(account)


# ── Looking after it ──────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.post("/accounts/<int:account_id>/check")
@allow(Permission.MANAGE_ACCOUNTS)
def check(account_id: int) -> ResponseReturnValue:
    """Fetch now."""
    account = _account(account_id)
    actions.check_now(session, account, by=actor().id, at=now())
    tell(gettext("%(account)s is being checked now.", account=account.name))
    return _back(account)


@blueprint.post("/accounts/<int:account_id>/pause")
@allow(Permission.MANAGE_ACCOUNTS)
def pause(account_id: int) -> ResponseReturnValue:
    """Fetch nothing for a while."""
    account = _account(account_id)
    actions.pause(session, account, by=actor().id)
    said = gettext("%(account)s is paused. Nothing is lost: it goes on from where it stopped.", account=account.name)
    tell(said, undo=url_for("channels.resume", account_id=account.id))
    return _back(account)


@blueprint.post("/accounts/<int:account_id>/resume")
@allow(Permission.MANAGE_ACCOUNTS)
def resume(account_id: int) -> ResponseReturnValue:
    """Go on from where it stopped."""
    account = _account(account_id)
    actions.resume(session, account, by=actor().id, at=now())
    tell(gettext("%(account)s is being checked again.", account=account.name))
    return _back(account)


@blueprint.post("/accounts/<int:account_id>/older")
@allow(Permission.MANAGE_ACCOUNTS)
def older(account_id: int) -> ResponseReturnValue:
    """Fetch what arrived before it was connected, too."""
    account = _account(account_id)
    actions.fetch_older(session, account, since=None, by=actor().id, at=now())
    tell(gettext("Older messages are coming in, into “From before Postbag”."))
    return _to(account)


@blueprint.post("/accounts/<int:account_id>/remove")
@allow(Permission.MANAGE_ACCOUNTS, fresh=True)
def remove(account_id: int) -> ResponseReturnValue:
    """Fetch no more, and forget its password."""
    account = _account(account_id)
    actions.remove(session, account, by=actor().id)
    tell(gettext("%(account)s was removed. What came by it stays.", account=account.name))
    return redirect(url_for("pages.accounts"), 303)


@blueprint.post("/gaps/<int:gap_id>/settle")
@allow(Permission.MANAGE_ACCOUNTS)
def settle_gap(gap_id: int) -> ResponseReturnValue:
    """Somebody has looked at what could not be fetched."""
    gap = next((one for one in queries.gaps(session, offices()) if one.id == gap_id), None)
    if gap is None:
        raise Missing
    actions.settle_gap(session, gap, by=actor().id, at=now())
    tell(gettext("The gap is settled."))
    return redirect(url_for("pages.accounts"), 303)


# ── What they share ───────────────────────────────────────────────────────────────────────────────────────────────


def _account(account_id: int) -> Account:
    return queries.one_of(session, offices(), account_id)


def _manifests() -> list[Manifest]:
    return sorted((one.manifest for one in deployment().connectors.values()), key=lambda one: one.name)


def _manifest(channel: str) -> Manifest:
    connector = deployment().connectors.get(channel)
    if connector is None:
        raise Missing
    return connector.manifest


def _kind(manifest: Manifest, account: Account | None = None) -> str:
    """The kind of account that a form is about: the one picked, else what the account is, else the usual one."""
    known = account.options if account else {}
    return manifest.kind({**known, manifest.kind_field: request.args.get("kind", known.get(manifest.kind_field, ""))})


def _new_form(manifest: Manifest) -> AccountForm:
    """The form of a channel, with the offices it may be for; the one chosen in the switcher first."""
    form = form_for(manifest, _kind(manifest))()
    mine = [one for one in every_office(session) if one.id in offices()]
    mine.sort(key=lambda one: one.id != current_office())
    form.office.choices = choices(*((one.id, one.name) for one in mine))
    return form


def _form_page(form: AccountForm, manifest: Manifest, account: Account | None = None) -> str:
    usual, rare = parts(form)
    title = account.name if account else gettext("Add %(channel)s", channel=manifest.name)
    return render_template(
        "channels/form.html", title=title, form=form, usual=usual, rare=rare, manifest=manifest, account=account
    )


def _to(account: Account) -> ResponseReturnValue:
    """The page of the account; within the first run, its step there."""
    office = unfinished(session) if account.connected_at is None else None
    if office is not None and office.id == account.office_id:
        return redirect(url_for("setup.trying", account_id=account.id), 303)
    return redirect(url_for("pages.account", account_id=account.id), 303)


def _back(account: Account) -> ResponseReturnValue:
    """The list when the button stood there, else the account."""
    return redirect(url_for("pages.accounts"), 303) if request.form.get("back") == "list" else _to(account)
