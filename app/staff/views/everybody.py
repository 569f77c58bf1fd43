"""Everybody who can sign in to this install: for its administrators."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.clock import now
from app.staff import actions, present, queries
from app.staff.joining import address
from app.staff.views.blueprint import blueprint
from app.web import deployment
from app.web.guard import Permission, allow
from app.web.session import session


@blueprint.get("/administration/people")
@allow(Permission.ADMINISTER)
def everybody() -> ResponseReturnValue:
    """Everybody, with their offices."""
    return _page()


@blueprint.post("/administration/people/<int:staff_id>/block")
@allow(Permission.ADMINISTER, fresh=True)
def block(staff_id: int) -> ResponseReturnValue:
    """Somebody can no longer sign in, from this moment."""
    actions.block(session, queries.staff(session, staff_id), by=present.current().id, at=now())
    return _back(gettext("They can no longer sign in, and are signed out everywhere."))


@blueprint.post("/administration/people/<int:staff_id>/unblock")
@allow(Permission.ADMINISTER, fresh=True)
def unblock(staff_id: int) -> ResponseReturnValue:
    """Somebody can sign in again."""
    actions.unblock(session, queries.staff(session, staff_id), by=present.current().id)
    return _back(gettext("They can sign in again."))


@blueprint.post("/administration/people/<int:staff_id>/administrator/<any(on, off):state>")
@allow(Permission.ADMINISTER, fresh=True)
def set_administrator(staff_id: int, state: str) -> ResponseReturnValue:
    """Give somebody the install to look after, or take it from them."""
    staff = queries.staff(session, staff_id)
    actions.set_administrator(session, staff, is_administrator=state == "on", by=present.current().id, at=now())
    return _back(gettext("Saved. They sign in again."))


@blueprint.post("/administration/people/<int:staff_id>/two-step/off")
@allow(Permission.ADMINISTER, fresh=True)
def help_with_second_step(staff_id: int) -> ResponseReturnValue:
    """Somebody has lost the phone and the recovery codes."""
    staff = queries.staff(session, staff_id)
    actions.turn_off_second_step(session, staff, by=present.current().id, at=now())
    return _back(gettext("They sign in with their password alone, and should set up the second step again."))


@blueprint.post("/administration/people/<int:staff_id>/reset")
@allow(Permission.ADMINISTER, fresh=True)
def make_reset(staff_id: int) -> ResponseReturnValue:
    """A link for who has forgotten the password: shown once, to be handed on where mail cannot."""
    staff = queries.staff(session, staff_id)
    link = actions.reset_link(session, staff, by=present.current().id, at=now())
    return _page(shown=(staff.name, address(deployment().settings, link)))


def _page(shown: tuple[str, str] | None = None) -> str:
    return render_template(
        "staff/everybody.html",
        title=gettext("People who sign in"),
        people=queries.everybody(session),
        me_id=present.current().id,
        shown=shown,
    )


def _back(said: str) -> ResponseReturnValue:
    flash(said, "good")
    return redirect(url_for(".everybody"), 303)
