"""Joining two of whom somebody says that they are one, and splitting them again."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.clock import now
from app.errors import Invalid, Missing
from app.people import actions, finding, queries
from app.people.models import Person
from app.web.guard import Permission, actor, allow, offices
from app.web.session import session
from app.web.telling import tell

blueprint = Blueprint("people", __name__)


@blueprint.post("/people/<int:person_id>/join")
@allow(Permission.HANDLE_CASES)
def join(person_id: int) -> ResponseReturnValue:
    """Everything that somebody writes from belongs to another from now on."""
    one, other = _person(person_id), _person(_whole("into"))
    for identity in queries.identities(session, one.id):
        actions.join(session, identity, other, by=actor().id, at=now())
    tell(gettext("%(one)s is %(other)s. You can split them again below.", one=one.name, other=other.name))
    return redirect(url_for("pages.person", person_id=other.id), 303)


@blueprint.post("/identities/<int:identity_id>/split")
@allow(Permission.HANDLE_CASES)
def unjoin(identity_id: int) -> ResponseReturnValue:
    """Take a join back: the address is its former person's again."""
    identity = finding.identity(session, offices(), identity_id)
    former = actions.unjoin(session, identity, by=actor().id)
    tell(gettext("%(handle)s is %(name)s again.", handle=identity.handle, name=former.name))
    return redirect(url_for("pages.person", person_id=former.id), 303)


def _person(person_id: int) -> Person:
    found = finding.person(session, offices(), person_id)
    if found.merged_into_id is not None:
        raise Missing
    return found


def _whole(name: str) -> int:
    try:
        return int(request.form.get(name, ""))
    except ValueError:
        raise Invalid("Choose one from the list.", field=name) from None
