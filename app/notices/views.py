"""Whether mail to staff works: a page with a button, which refreshes itself until the server has answered."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.clock import now
from app.notices import actions, queries
from app.web import deployment
from app.web.guard import Permission, actor, allow
from app.web.session import session

blueprint = Blueprint("notices", __name__)


@blueprint.get("/administration/mail")
@allow(Permission.ADMINISTER)
def mail() -> ResponseReturnValue:
    """How mail to staff is set up, and what became of the last try."""
    return render_template(
        "office/mail.html",
        title=gettext("Mail to staff"),
        settings=deployment().settings,
        last=queries.latest(session, actor().id, actions.TEST),
    )


@blueprint.post("/administration/mail")
@allow(Permission.ADMINISTER)
def try_mail() -> ResponseReturnValue:
    """Send oneself a mail."""
    actions.try_mail(session, actor().id, at=now())
    return redirect(url_for(".mail"), 303)
