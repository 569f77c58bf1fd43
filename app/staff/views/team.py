"""The people of one office: who belongs to it, as what, and who leaves."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.clock import now
from app.errors import Missing
from app.office import queries as offices_queries
from app.office.models import Office
from app.staff import actions, present, queries
from app.staff.forms import InviteForm, RoleForm
from app.staff.joining import address
from app.staff.models import Link, Role
from app.staff.views.blueprint import blueprint
from app.web import deployment
from app.web.guard import Permission, allow, offices
from app.web.session import session


@blueprint.get("/offices/<int:office_id>/team")
@allow(Permission.MANAGE_OFFICE)
def team(office_id: int) -> ResponseReturnValue:
    """The people of an office."""
    return _team_page(_office(office_id), InviteForm(formdata=None))


@blueprint.post("/offices/<int:office_id>/team")
@allow(Permission.MANAGE_OFFICE)
def invite(office_id: int) -> ResponseReturnValue:
    """Bring somebody in. Without mail the link is shown, once, for whoever invites to hand on."""
    office, form = _office(office_id), InviteForm()
    if form.validate():
        with form.blaming():
            staff, link = actions.invite(
                session,
                office,
                email=form.email.data or "",
                name=form.name.data or "",
                role=Role(form.role.data),
                by=present.current().id,
                at=now(),
            )
            return _hand_over(office, staff.name, link)
    return _team_page(office, form), 422


@blueprint.post("/offices/<int:office_id>/team/<int:membership_id>/invitation")
@allow(Permission.MANAGE_OFFICE)
def invite_again(office_id: int, membership_id: int) -> ResponseReturnValue:
    """A new invitation in place of the last one."""
    office = _office(office_id)
    seat = queries.membership(session, membership_id, {office.id})
    staff = queries.staff(session, seat.staff_id)
    return _hand_over(office, staff.name, actions.invitation(session, staff, by=present.current().id, at=now()))


@blueprint.post("/offices/<int:office_id>/team/<int:membership_id>/role")
@allow(Permission.MANAGE_OFFICE)
def change_role(office_id: int, membership_id: int) -> ResponseReturnValue:
    """Another role."""
    form = RoleForm()
    seat = queries.membership(session, membership_id, {_office(office_id).id})
    if not form.validate():
        raise Missing
    open_cases = present.open_cases(office_id, seat.staff_id)
    actions.change_role(session, seat, Role(form.role.data), open_cases=open_cases, by=present.current().id, at=now())
    flash(gettext("Saved. They sign in again and find their new role."), "good")
    return redirect(url_for(".team", office_id=office_id), 303)


@blueprint.post("/offices/<int:office_id>/team/<int:membership_id>/end")
@allow(Permission.MANAGE_OFFICE)
def end_membership(office_id: int, membership_id: int) -> ResponseReturnValue:
    """Somebody leaves the office."""
    seat = queries.membership(session, membership_id, {_office(office_id).id})
    open_cases = present.open_cases(office_id, seat.staff_id)
    actions.end_membership(session, seat, open_cases=open_cases, by=present.current().id, at=now())
    flash(gettext("They no longer belong to this office. What they wrote keeps their name."), "good")
    return redirect(url_for(".team", office_id=office_id), 303)


def _office(office_id: int) -> Office:
    if office_id not in offices():
        raise Missing
    return offices_queries.office(session, office_id)


def _hand_over(office: Office, name: str, link: Link | None) -> ResponseReturnValue:
    if link is not None and not deployment().settings.mail_host:
        return _team_page(office, InviteForm(formdata=None), shown=(name, address(deployment().settings, link)))
    if link is not None:
        actions.mail_link(session, link)
        flash(gettext("%(name)s will find an invitation in their mail. It holds for 48 hours.", name=name), "good")
    else:
        flash(gettext("%(name)s belongs to this office now.", name=name), "good")
    return redirect(url_for(".team", office_id=office.id), 303)


def _team_page(office: Office, form: InviteForm, shown: tuple[str, str] | None = None) -> str:
    return render_template(
        "staff/team.html",
        title=gettext("Team"),
        office=office,
        form=form,
        roles=[(role.value, str(words)) for role, words in present.ROLE_WORDS.items()],
        members=queries.team(session, office.id),
        shown=shown,
        me_id=present.current().id,
    )
