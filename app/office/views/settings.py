"""The settings of one office: itself, what it promises, when it is closed."""

from __future__ import annotations

from datetime import date

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.clock import now
from app.deadlines.calendar import local_date
from app.deadlines.obligations import due
from app.office import actions, queries
from app.office.forms import ClosureForm, DetailsForm, PledgeForm
from app.office.models import Office, Track
from app.office.views.blueprint import blueprint, office_of
from app.web.guard import Permission, actor, allow, current_office, offices
from app.web.session import session


@blueprint.get("/office")
@allow(Permission.MANAGE_OFFICE)
def settings() -> ResponseReturnValue:
    """The settings of the office one works for, or the list to choose from."""
    chosen = current_office()
    if chosen is None and len(offices()) == 1:
        (chosen,) = offices()
    if chosen is None:
        return redirect(url_for(".offices"), 303)
    return redirect(url_for(".office", office_id=chosen), 303)


@blueprint.get("/offices/<int:office_id>/settings")
@allow(Permission.MANAGE_OFFICE)
def office(office_id: int) -> ResponseReturnValue:
    """The settings of an office."""
    return _page(office_of(office_id))


@blueprint.post("/offices/<int:office_id>/settings")
@allow(Permission.MANAGE_OFFICE)
def save(office_id: int) -> ResponseReturnValue:
    """Keep the office itself."""
    of, form = office_of(office_id), DetailsForm()
    if form.validate():
        with form.blaming():
            actions.change(session, of, form.details(), by=actor().id)
            return _saved(of)
    return _page(of, details=form), 422


@blueprint.post("/offices/<int:office_id>/pledge")
@allow(Permission.MANAGE_OFFICE)
def promise(office_id: int) -> ResponseReturnValue:
    """Promise something else from now on; what is open keeps its date."""
    of, form = office_of(office_id), PledgeForm()
    if form.validate():
        with form.blaming():
            actions.promise(session, of, form.terms(), by=actor().id, at=now())
            return _saved(of)
    return _page(of, pledge=form), 422


@blueprint.post("/offices/<int:office_id>/closures")
@allow(Permission.MANAGE_OFFICE)
def close_on(office_id: int) -> ResponseReturnValue:
    """Add days on which the office does not work."""
    of, form = office_of(office_id), ClosureForm()
    if form.validate():
        with form.blaming():
            first_on, last_on = form.days()
            name = form.closure_name.data or ""
            actions.close_on(session, of, first_on=first_on, last_on=last_on, name=name, by=actor().id)
            flash(gettext("Saved. Dates of what is open are worked out again now."), "good")
            return redirect(url_for(".office", office_id=of.id), 303)
    return _page(of, closure=form), 422


@blueprint.post("/offices/<int:office_id>/closures/<int:closure_id>/remove")
@allow(Permission.MANAGE_OFFICE)
def open_after_all(office_id: int, closure_id: int) -> ResponseReturnValue:
    """Take a closure back."""
    of = office_of(office_id)
    actions.open_after_all(session, queries.closure(session, of.id, closure_id), by=actor().id)
    flash(gettext("Removed. Dates of what is open are worked out again now."), "good")
    return redirect(url_for(".office", office_id=of.id), 303)


def example(of: Office, answer_days: int) -> date:
    """When an answer to a message that comes in now would be due."""
    return due(now(), answer_days, queries.calendar(session, of.id)).on


def _saved(of: Office) -> ResponseReturnValue:
    flash(gettext("Saved."), "good")
    return redirect(url_for(".office", office_id=of.id), 303)


def _page(
    of: Office,
    *,
    details: DetailsForm | None = None,
    pledge: PledgeForm | None = None,
    closure: ClosureForm | None = None,
) -> str:
    pledges = queries.pledges(session, of.id)
    answer_days = next(one.answer_days for one in pledges if one.kind is Track.OTHER)
    return render_template(
        "office/settings.html",
        title=gettext("Office settings"),
        office=of,
        details=details or DetailsForm.of(of),
        pledge=pledge or PledgeForm.of(pledges),
        closure=closure or ClosureForm(formdata=None),
        wrong=details or pledge or closure,
        closures=queries.closures(session, of.id, since=local_date(now())),
        example_on=example(of, answer_days),
    )
