"""The door of the demonstration: one click, and you are somebody. Only put in where there is no real office."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from app.demonstration.founding import ADMINISTRATOR, BRAM, TANSY
from app.errors import Missing
from app.staff import present, queries
from app.web.guard import open_to_all
from app.web.session import session

blueprint = Blueprint("demonstration", __name__, url_prefix="/demonstration")

_PEOPLE = {"tansy": TANSY, "bram": BRAM, "administrator": ADMINISTRATOR}


@blueprint.get("/")
@open_to_all("the door of the demonstration; a real office does not have it")
def enter() -> ResponseReturnValue:
    """Who somebody would like to be."""
    return render_template("demonstration/enter.html")


@blueprint.post("/<who>")
@open_to_all("the door of the demonstration; a real office does not have it")
def become(who: str) -> ResponseReturnValue:
    """Sign in as one of the people of Fernmoor."""
    staff = queries.by_email(session, _PEOPLE.get(who, ""))
    if staff is None:
        raise Missing
    present.sign_in(staff)
    return redirect(url_for("pages.home"), 303)
