"""What is somebody's own: how pages look, the password, the second step, sessions, which office is shown."""

from __future__ import annotations

import flask
from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_security import views
from flask_security.recovery_codes import mf_recovery_codes

from app.clock import now
from app.errors import Missing
from app.staff import actions, present, queries
from app.staff.forms import HabitsForm
from app.staff.views.asking import SEE_OTHER, asked
from app.staff.views.blueprint import blueprint
from app.web import guard
from app.web.guard import Permission, allow
from app.web.session import session


@blueprint.get("/settings")
@allow(Permission.SIGNED_IN)
def settings() -> ResponseReturnValue:
    """Your settings."""
    me = present.current()
    form = HabitsForm(formdata=None, name=me.name, language=me.language, theme=me.theme, single_keys=me.single_keys)
    return _settings_page(form)


@blueprint.post("/settings")
@allow(Permission.SIGNED_IN)
def save_settings() -> ResponseReturnValue:
    """Keep how pages look."""
    form = HabitsForm()
    if form.validate():
        with form.blaming():
            habits = actions.Habits(
                name=form.name.data or "",
                language=form.language.data,
                theme=form.theme.data,
                single_keys=form.single_keys.data,
            )
            actions.set_habits(session, queries.staff(session, present.current().id), habits)
            flash(gettext("Saved."), "good")
            return redirect(url_for(".settings"), 303)
    return _settings_page(form), 422


@blueprint.post("/settings/keys")
@allow(Permission.SIGNED_IN)
def switch_single_keys() -> ResponseReturnValue:
    """The one switch of the single keys, from the list of them or from the settings."""
    on = request.form.get("on") == "1"
    actions.set_single_keys(queries.staff(session, present.current().id), on=on)
    flash(gettext("Single keys are on.") if on else gettext("Single keys are off."), "good")
    return redirect(guard.local(request.form.get("back", url_for(".settings"))), 303)


@blueprint.get("/settings/password")
@allow(Permission.SIGNED_IN, fresh=True)
def password() -> ResponseReturnValue:
    """Choose another password."""
    return asked(views.change_password)


@blueprint.post("/settings/password")
@allow(Permission.SIGNED_IN, fresh=True)
def change_password() -> ResponseReturnValue:
    """Take the new password; everywhere else they are signed out, and here in again."""
    answer = asked(views.change_password)
    if answer.status_code != SEE_OTHER:
        return answer
    flash(gettext("Your password is changed. Everywhere else you are signed out."), "good")
    return redirect(url_for(".settings"), 303)


@blueprint.get("/settings/two-step")
@allow(Permission.SIGNED_IN, fresh=True)
def two_step() -> ResponseReturnValue:
    """Show a secret to the phone; the cookie carries it, sealed, until the phone has shown that it can."""
    return asked(views.two_factor_setup)


@blueprint.post("/settings/two-step")
@allow(Permission.SIGNED_IN, fresh=True)
def turn_on_two_step() -> ResponseReturnValue:
    """The phone shows a code that fits: from now on one is asked for. The recovery codes are shown, once."""
    if "tf_totp_secret" not in flask.session:
        raise Missing("This page is out of date. Begin again from your settings.")
    answer = asked(views.two_factor_token_validation)
    return make_response(mf_recovery_codes()) if answer.status_code == SEE_OTHER else answer


@blueprint.post("/settings/two-step/off")
@allow(Permission.SIGNED_IN, fresh=True)
def turn_off_two_step() -> ResponseReturnValue:
    """The password alone will do again."""
    me = present.current()
    actions.turn_off_second_step(session, queries.staff(session, me.id), by=me.id, at=now())
    flash(gettext("Signing in takes your password alone again."), "good")
    return redirect(url_for(".settings"), 303)


@blueprint.post("/settings/codes")
@allow(Permission.SIGNED_IN, fresh=True)
def renew_codes() -> ResponseReturnValue:
    """Ten new recovery codes, shown once: not after a redirect, since they are kept nowhere."""
    if queries.staff(session, present.current().id).totp_secret is None:
        raise Missing
    return make_response(mf_recovery_codes())


@blueprint.post("/settings/sign-ins/<int:sign_in_id>/end")
@allow(Permission.SIGNED_IN)
def end_sign_in(sign_in_id: int) -> ResponseReturnValue:
    """Sign out somewhere else."""
    actions.end_sign_in(session, present.current().id, sign_in_id, at=now())
    flash(gettext("Signed out there."), "good")
    return redirect(url_for(".settings"), 303)


@blueprint.post("/settings/sign-ins/end-others")
@allow(Permission.SIGNED_IN)
def end_other_sign_ins() -> ResponseReturnValue:
    """Sign out everywhere but here."""
    me = present.current()
    actions.end_sign_ins(session, me.id, at=now(), but_not=me.sign_in_id)
    flash(gettext("You are signed in here only."), "good")
    return redirect(url_for(".settings"), 303)


@blueprint.post("/offices/<int:office_id>/choose")
@allow(Permission.SIGNED_IN)
def choose_office(office_id: int) -> ResponseReturnValue:
    """Work for one office until told otherwise."""
    me = present.current()
    if office_id not in me.offices:
        raise Missing
    actions.choose_office(session, me.sign_in_id, office_id)
    return redirect("/", 303)


@blueprint.post("/offices/all/choose")
@allow(Permission.SIGNED_IN)
def choose_all_offices() -> ResponseReturnValue:
    """Work for all of one's offices at once."""
    actions.choose_office(session, present.current().sign_in_id, None)
    return redirect("/", 303)


def _settings_page(form: HabitsForm) -> str:
    me = present.current()
    staff = queries.staff(session, me.id)
    return render_template(
        "staff/settings.html",
        title=gettext("Your settings"),
        form=form,
        email=me.email,
        has_second_step=staff.totp_secret is not None,
        codes_left=len(staff.recovery_codes),
        places=queries.places(session, me, now()),
    )
