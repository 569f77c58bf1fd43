"""Signing in, in one step or two, and out; a forgotten password; taking up an invitation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import flask
from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_security import views

from app.clock import now
from app.errors import Missing
from app.office.queries import unfinished
from app.staff import actions, present, queries
from app.staff.forms import ForgottenForm, NewPasswordForm
from app.staff.models import Purpose
from app.staff.views.asking import SEE_OTHER, asked
from app.staff.views.blueprint import blueprint
from app.web import deployment, guard
from app.web.guard import Permission, allow, open_to_all
from app.web.session import session
from app.web.shell import LANGUAGES

_HALF_AT: Final = "half_at"
_HALF_HOLDS: Final = timedelta(minutes=5)
_ONE_YEAR: Final = 365 * 24 * 3600


@blueprint.get("/sign-in")
@open_to_all("where people sign in")
def sign_in() -> ResponseReturnValue:
    """The form; whoever is signed in already goes on, and an install without anybody begins with the set-up."""
    if guard.someone() is not None:
        return redirect(guard.local(request.args.get("next", "/")), 303)
    if not queries.has_administrator(session):
        return redirect(url_for("setup.start"), 303)
    return asked(views.login)


@blueprint.post("/sign-in")
@open_to_all("where people sign in")
def give_password() -> ResponseReturnValue:
    """The first step; for some it is the only one."""
    answer = asked(views.login)
    if guard.someone() is not None:
        return _let_in()
    if answer.status_code != SEE_OTHER:
        return answer
    flask.session[_HALF_AT] = now().isoformat()
    return redirect(url_for(".code", next=request.args.get("next")), 303)


@blueprint.get("/sign-in/code")
@open_to_all("the second step of signing in: only after the first")
def code() -> ResponseReturnValue:
    """The form of the second step."""
    return asked(views.two_factor_token_validation) if _is_half_way() else redirect(url_for(".sign_in"), 303)


@blueprint.post("/sign-in/code")
@open_to_all("the second step of signing in: only after the first")
def give_code() -> ResponseReturnValue:
    """The second step."""
    if not _is_half_way():
        return redirect(url_for(".sign_in"), 303)
    answer = asked(views.two_factor_token_validation)
    return answer if guard.someone() is None else _let_in()


@blueprint.post("/sign-out")
@open_to_all("a session that has ended can still be signed out of")
def sign_out() -> ResponseReturnValue:
    """Leave, and have the browser forget what it kept."""
    answer = asked(views.logout)
    flask.session.clear()
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@blueprint.get("/confirm")
@allow(Permission.SIGNED_IN)
def confirm() -> ResponseReturnValue:
    """Before something that matters: the password once more."""
    return asked(views.verify)


@blueprint.post("/confirm")
@allow(Permission.SIGNED_IN)
def give_password_again() -> ResponseReturnValue:
    """The password once more; then on to where they were going."""
    answer = asked(views.verify)
    if answer.status_code != SEE_OTHER:
        return answer
    actions.freshen(session, present.current().sign_in_id, now())
    return redirect(guard.local(request.args.get("next", "/")), 303)


@blueprint.get("/forgotten")
@open_to_all("whoever has forgotten the password cannot sign in")
def forgotten() -> ResponseReturnValue:
    """Ask for a reset link."""
    return _forgotten_page(ForgottenForm(formdata=None))


@blueprint.post("/forgotten")
@open_to_all("whoever has forgotten the password cannot sign in")
def ask_for_reset() -> ResponseReturnValue:
    """The same answer whether anybody is known by the address."""
    form = ForgottenForm()
    if not form.validate():
        return _forgotten_page(form), 422
    email = form.email.data or ""
    actions.ask_for_reset(session, email, present.key_for(queries.folded(email)), at=now())
    flash(gettext("If that address is known here, a link is on its way. It holds for an hour."), "info")
    return redirect(url_for(".sign_in"), 303)


@blueprint.get("/reset/<token>")
@open_to_all("whoever follows a reset link cannot sign in; the link is the proof")
def reset(token: str) -> ResponseReturnValue:
    """Choose a new password."""
    return _link_page(token, Purpose.RESET, NewPasswordForm(formdata=None))


@blueprint.post("/reset/<token>")
@open_to_all("whoever follows a reset link cannot sign in; the link is the proof")
def choose_after_reset(token: str) -> ResponseReturnValue:
    """Take the new password; signing in with it comes next, second step and all."""
    return _follow(token, Purpose.RESET)


@blueprint.get("/join/<token>")
@open_to_all("whoever is invited cannot sign in yet; the link is the proof")
def join(token: str) -> ResponseReturnValue:
    """Take up an invitation: choose a password."""
    return _link_page(token, Purpose.INVITATION, NewPasswordForm(formdata=None))


@blueprint.post("/join/<token>")
@open_to_all("whoever is invited cannot sign in yet; the link is the proof")
def choose_after_invitation(token: str) -> ResponseReturnValue:
    """Take the password; signing in with it comes next."""
    return _follow(token, Purpose.INVITATION)


@blueprint.post("/language/<language>")
@open_to_all("whoever cannot read the sign-in page cannot sign in")
def choose_language(language: str) -> ResponseReturnValue:
    """Another language before signing in, kept by the browser."""
    if language not in LANGUAGES:
        raise Missing
    answer = make_response(redirect(url_for(".sign_in"), 303))
    secure = deployment().settings.is_secure
    answer.set_cookie("language", language, max_age=_ONE_YEAR, httponly=True, samesite="Lax", secure=secure)
    return answer


@blueprint.get("/help")
@open_to_all("whoever cannot sign in needs help most")
def help_page() -> ResponseReturnValue:
    """Where to ask, and how Postbag is used."""
    return render_template("staff/help.html", title=gettext("Help and contact"))


def _let_in() -> ResponseReturnValue:
    """Where they were going; with nowhere to go, whoever looks after the install finishes its set-up first."""
    wanted = guard.local(request.args.get("next", "/"))
    if wanted == "/" and guard.may(Permission.ADMINISTER) and unfinished(session) is not None:
        wanted = url_for("setup.resume")
    return redirect(wanted, 303)


def _is_half_way() -> bool:
    """Whether the password was given in these five minutes; who gave it is kept by Flask-Security."""
    given_at = flask.session.get(_HALF_AT)
    return given_at is not None and now() - datetime.fromisoformat(given_at) <= _HALF_HOLDS


def _follow(token: str, purpose: Purpose) -> ResponseReturnValue:
    link, form = queries.link(session, token, purpose, now()), NewPasswordForm()
    if form.validate():
        with form.blaming():
            actions.follow(session, link, form.password.data or "", present.passwords(), at=now())
            flash(gettext("Your password is set. Sign in with it."), "good")
            return redirect(url_for(".sign_in"), 303)
    return _link_page(token, purpose, form), 422


def _forgotten_page(form: ForgottenForm) -> str:
    has_mail = bool(deployment().settings.mail_host)
    return render_template("staff/forgotten.html", title=gettext("Forgotten password"), form=form, has_mail=has_mail)


def _link_page(token: str, purpose: Purpose, form: NewPasswordForm) -> str:
    link = queries.link(session, token, purpose, now())
    staff = queries.staff(session, link.staff_id or 0)
    title = gettext("Welcome to Postbag") if purpose is Purpose.INVITATION else gettext("Choose a new password")
    return render_template("staff/link.html", title=title, form=form, staff=staff, purpose=purpose.value)
