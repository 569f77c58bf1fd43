"""The five pages of the first run. They can be left at any time: whoever looks after the install finds them again."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.channels import actions as channel_actions
from app.channels import queries as channel_queries
from app.channels.connecting import ways
from app.channels.forms import AccountForm, form_for, parts
from app.channels.signing_in import access_of
from app.clock import now
from app.deadlines.holidays import Nation
from app.errors import Conflict, Invalid, Missing
from app.notices import actions as notice_actions
from app.notices import queries as notice_queries
from app.office import actions as office_actions
from app.office import queries as office_queries
from app.office.forms import PledgeForm
from app.office.models import Office, Track
from app.office.views.settings import example
from app.setup import actions, code
from app.setup.forms import NEITHER, BeginForm, ReplyTimesForm
from app.staff import present
from app.staff import queries as staff_queries
from app.staff.models import Role
from app.web import deployment
from app.web.guard import Permission, actor, allow, open_to_all
from app.web.session import session
from connectors import Manifest

blueprint = Blueprint("setup", __name__, url_prefix="/setup")

_FIRST_CHANNEL = "email"


@blueprint.get("")
@open_to_all("an install that nobody looks after yet is begun here, by whoever is at the machine or has its code")
def start() -> ResponseReturnValue:
    """Step 1, as long as nobody looks after this install."""
    if staff_queries.has_administrator(session):
        return redirect(url_for("staff.sign_in"), 303)
    if not _is_here():
        code.announce(_keys())
    return _begin_page(BeginForm(formdata=None))


@blueprint.post("")
@open_to_all("an install that nobody looks after yet is begun here, by whoever is at the machine or has its code")
def begin() -> ResponseReturnValue:
    """The first administrator and office; signed in at once, they go on."""
    form = BeginForm()
    if form.validate():
        with form.blaming():
            if not _is_here() and not code.fits(_keys(), form.code.data or ""):
                raise Invalid("That is not the code. It stands in the log of the server.", field="code")
            staff, _ = actions.begin(session, present.passwords(), _beginning(form), at=now())
            present.sign_in(staff)
            code.forget(_keys())
            return redirect(url_for(".channel"), 303)
    return _begin_page(form), 422


@blueprint.get("/continue")
@allow(Permission.ADMINISTER)
def resume() -> ResponseReturnValue:
    """Where it was left off: at the first channel as long as there is none."""
    has_channel = bool(channel_queries.accounts(session, [_office().id]))
    return redirect(url_for(".reply_times" if has_channel else ".channel"), 303)


@blueprint.get("/channel")
@allow(Permission.ADMINISTER)
def channel() -> ResponseReturnValue:
    """Step 2: the first mailbox."""
    return _channel_page(_channel_form(_manifest()))


@blueprint.post("/channel")
@allow(Permission.ADMINISTER, fresh=True)
def add_channel() -> ResponseReturnValue:
    """Keep it, sealed, and have it tried."""
    manifest, office = _manifest(), _office()
    form = _channel_form(manifest)
    if form.validate():
        with form.blaming():
            account = channel_actions.add_account(
                session,
                deployment().sealer,
                manifest,
                office_id=office.id,
                options=form.answers(manifest),
                since=form.since_at(now()),
                by=actor().id,
                at=now(),
            )
            return redirect(url_for(".trying", account_id=account.id), 303)
    return _channel_page(form), 422


@blueprint.get("/channel/<int:account_id>")
@allow(Permission.ADMINISTER)
def trying(account_id: int) -> ResponseReturnValue:
    """Step 2: what trying it found; the page looks again by itself."""
    account = channel_queries.account(session, _office().id, account_id)
    possible = ways(deployment(), account)
    access = access_of(session, account_id) if possible else None
    return _page(
        "trying",
        1,
        gettext("Your first mailbox"),
        account=account,
        result=account.check_result,
        access=access,
        ways=possible,
    )


@blueprint.post("/channel/<int:account_id>/start")
@allow(Permission.ADMINISTER)
def start_channel(account_id: int) -> ResponseReturnValue:
    """Connect it, and go on."""
    account = channel_queries.account(session, _office().id, account_id)
    channel_actions.activate(session, account, by=actor().id, at=now())
    return redirect(url_for(".reply_times"), 303)


@blueprint.post("/channel/<int:account_id>/again")
@allow(Permission.ADMINISTER)
def try_again(account_id: int) -> ResponseReturnValue:
    """Try it once more, with the same settings."""
    account = channel_queries.account(session, _office().id, account_id)
    channel_actions.try_again(session, account, by=actor().id)
    return redirect(url_for(".trying", account_id=account.id), 303)


@blueprint.post("/channel/<int:account_id>/discard")
@allow(Permission.ADMINISTER)
def discard_channel(account_id: int) -> ResponseReturnValue:
    """Forget it, and ask again."""
    account = channel_queries.account(session, _office().id, account_id)
    channel_actions.remove(session, account, by=actor().id)
    return redirect(url_for(".channel"), 303)


@blueprint.get("/reply-times")
@allow(Permission.ADMINISTER)
def reply_times() -> ResponseReturnValue:
    """Step 3: what residents are promised."""
    office = _office()
    days = PledgeForm.days_of(office_queries.pledges(session, office.id))
    return _reply_times_page(ReplyTimesForm(formdata=None, obj=office, **days))


@blueprint.post("/reply-times")
@allow(Permission.ADMINISTER)
def promise() -> ResponseReturnValue:
    """Keep the promise, or only show what it would come to."""
    form, office = ReplyTimesForm(), _office()
    if not form.validate():
        return _reply_times_page(form), 422
    if request.form.get("do") == "show":
        return _reply_times_page(form)
    with form.blaming():
        office_actions.set_hours(office, form.hours())
        office_actions.promise(session, office, form.terms(), by=actor().id, at=now())
        return redirect(url_for(".mail"), 303)
    return _reply_times_page(form), 422


@blueprint.get("/mail")
@allow(Permission.ADMINISTER)
def mail() -> ResponseReturnValue:
    """Step 4: mail to staff."""
    last = notice_queries.latest(session, actor().id, notice_actions.TEST)
    return _page("mail", 3, gettext("Mail to your team"), settings=deployment().settings, last=last)


@blueprint.post("/mail")
@allow(Permission.ADMINISTER)
def try_mail() -> ResponseReturnValue:
    """Send oneself a mail."""
    notice_actions.try_mail(session, actor().id, at=now())
    return redirect(url_for(".mail"), 303)


@blueprint.get("/check")
@allow(Permission.ADMINISTER)
def check() -> ResponseReturnValue:
    """Step 5: all of it once more."""
    office = _office()
    return _page(
        "check",
        4,
        gettext("Check and start"),
        accounts=channel_queries.accounts(session, [office.id]),
        pledges={pledge.kind.value: pledge for pledge in office_queries.pledges(session, office.id)},
        has_mail=bool(deployment().settings.mail_host),
    )


@blueprint.post("/check")
@allow(Permission.ADMINISTER)
def finish() -> ResponseReturnValue:
    """Start."""
    office_actions.finish_set_up(session, _office(), by=actor().id, at=now())
    return redirect("/", 303)


# ── What they share ───────────────────────────────────────────────────────────────────────────────────────────────


def _office() -> Office:
    found = office_queries.unfinished(session)
    if found is None:
        raise Conflict("Everything is set up. Change it under Office settings.")
    return found


def _is_here() -> bool:
    return code.is_here(request.remote_addr, request.host, request.headers.get("X-Forwarded-For"))


def _keys() -> Path:
    return deployment().settings.data / "keys"


def _beginning(form: BeginForm) -> actions.Beginning:
    return actions.Beginning(
        name=form.name.data or "",
        email=form.email.data or "",
        password=form.password.data or "",
        role=None if form.what.data == NEITHER else Role(form.what.data),
        office=form.office.data or "",
        place=form.place.data or "",
        nation=Nation(form.nation.data),
        prefix=form.prefix.data or "",
    )


def _manifest() -> Manifest:
    """The channel asked for, mail unless another is named."""
    found = deployment().connectors.get(request.values.get("channel", _FIRST_CHANNEL))
    if found is None:
        raise Missing
    return found.manifest


def _channel_form(manifest: Manifest) -> AccountForm:
    form = form_for(manifest, manifest.kind({manifest.kind_field: request.args.get("kind", "")}))()
    del form.office, form.capacity
    return form


def _begin_page(form: BeginForm) -> str:
    return _page("begin", 0, gettext("Your ward and team"), form=form, needs_code=not _is_here())


def _channel_page(form: AccountForm) -> str:
    manifest = _manifest()
    usual, rare = parts(form)
    tried = channel_queries.accounts(session, [_office().id])
    return _page(
        "channel", 1, gettext("Your first mailbox"), form=form, usual=usual, rare=rare, manifest=manifest, tried=tried
    )


def _reply_times_page(form: ReplyTimesForm) -> str:
    office = _office()
    days = form.other_answer_days.data
    shown = None if days is None or form.errors else example(office, days)
    return _page("reply_times", 2, gettext("How soon will you reply?"), form=form, office=office, example_on=shown)


def _page(name: str, step: int, title: str, **values: object) -> str:
    names = (
        (gettext("Your ward and team"), None),
        (gettext("First mailbox"), "setup.channel"),
        (gettext("Reply times"), "setup.reply_times"),
        (gettext("Mail to your team"), "setup.mail"),
        (gettext("Check and start"), "setup.check"),
    )
    states = ["done" if number < step else "now" if number == step else "" for number in range(len(names))]
    steps = [
        {"words": words, "state": state, "href": url_for(endpoint) if endpoint and step else ""}
        for (words, endpoint), state in zip(names, states, strict=True)
    ]
    return render_template(f"setup/{name}.html", title=title, steps_shown=steps, tracks=list(Track), **values)
