"""The offices of the install: for its administrators, and for who looks after several."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.clock import now
from app.deadlines.holidays import Nation
from app.office import actions, queries
from app.office.forms import NewOfficeForm
from app.office.views.blueprint import blueprint
from app.web.guard import Permission, actor, allow
from app.web.guard import offices as mine
from app.web.session import session


@blueprint.get("/offices")
@allow(Permission.MANAGE_OFFICE)
def offices() -> ResponseReturnValue:
    """The offices one may change."""
    return _page(NewOfficeForm(formdata=None))


@blueprint.post("/offices")
@allow(Permission.ADMINISTER)
def create() -> ResponseReturnValue:
    """Begin another office; its team is invited next."""
    form = NewOfficeForm()
    if form.validate():
        with form.blaming():
            office = actions.create_office(
                session,
                name=form.name.data or "",
                place=form.place.data or "",
                prefix=form.prefix.data or "",
                nation=Nation(form.nation.data),
                by=actor().id,
                at=now(),
            )
            actions.finish_set_up(session, office, by=actor().id, at=now())
            flash(gettext("The office is there. Invite its councillor next."), "good")
            return redirect(url_for("staff.team", office_id=office.id), 303)
    return _page(form), 422


def _page(form: NewOfficeForm) -> str:
    found = [office for office in queries.offices(session) if office.id in mine()]
    may_create = actor().may(Permission.ADMINISTER)
    return render_template(
        "office/offices.html", title=gettext("Offices"), offices=found, form=form, may_create=may_create
    )
