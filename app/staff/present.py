"""Whoever is signed in with this browser: finding them, letting them in, letting them go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import flask
from flask import Flask, current_app, g, request, url_for
from flask_babel import gettext, lazy_gettext
from flask_security.utils import login_user
from sqlalchemy.orm import Session

from app.clock import now
from app.staff import actions, queries
from app.staff.actions import Tally
from app.staff.models import Role, Staff
from app.staff.passwords import Passwords
from app.staff.roles import SignedIn
from app.staff.user import User
from app.web import deployment, guard
from app.web.filters import initials
from app.web.permissions import Permission
from app.web.session import note_read, session
from app.web.shell import Desk, Link, Person, Place

_TOKEN: Final = "_user_id"  # noqa: S105 - where Flask-Login looks for it in the signed cookie
_OPEN_COUNT: Final = "postbag_open_count"
OpenCount = Callable[[Session, int, int], int]
_SEEN_AGAIN_AFTER: Final = 60  # seconds: a page is not a write each time

ROLE_WORDS: Final = {
    Role.COUNCILLOR: lazy_gettext("Councillor"),
    Role.CASEWORKER: lazy_gettext("Caseworker"),
    Role.VIEWER: lazy_gettext("Can look, not answer"),
}


def install(app: Flask, *, open_count: OpenCount) -> None:
    """``open_count(session, office_id, staff_id)`` tells how many open cases somebody has: nobody leaves with one."""
    app.extensions[_OPEN_COUNT] = open_count


def open_cases(office_id: int, staff_id: int) -> int:
    """How many open cases somebody has in an office."""
    return cast("OpenCount", current_app.extensions[_OPEN_COUNT])(session, office_id, staff_id)


def load() -> SignedIn | None:
    """Whoever holds the token in the cookie; notes that they were here, once a minute at most."""
    token = flask.session.get(_TOKEN)
    if not isinstance(token, str):
        return None
    at = now()
    found = queries.signed_in(session, token, at)
    if found is not None and (at - found.seen_at).total_seconds() > _SEEN_AGAIN_AFTER:
        sign_in_id = found.sign_in_id
        note_read(lambda own: actions.seen(own, sign_in_id, at))
    return found


def current() -> SignedIn:
    """Whoever is signed in, on a page that is not open to all."""
    return cast("SignedIn", guard.actor())


def sign_in(staff: Staff) -> None:
    """Let somebody in who is known to be who they are."""
    login_user(User(staff.id))


def begin(_app: Flask, user: User, **_how: object) -> None:
    """Flask-Security has let somebody in: a new session under a new token. What the cookie held before is forgotten."""
    token = actions.begin_sign_in(session, user.staff, browser=_browser(), at=now())
    flask.session.clear()
    flask.session[_TOKEN] = token
    g.pop("postbag_actor", None)


def end(_app: Flask, user: User) -> None:
    """Flask-Security lets them go: the session is over."""
    actions.end_sign_in(session, user.id, current().sign_in_id, at=now())
    flask.session.clear()
    g.pop("postbag_actor", None)


def passwords() -> Passwords:
    """Keeping passwords under this deployment's pepper."""
    return Passwords(deployment().keys.passwords)


def key_for(what: str) -> str:
    """What stands for an address or a machine in the rows of attempts."""
    return actions.key_for(deployment().keys.passwords, what)


def address_tally(email: str, purpose: str) -> Tally:
    """Tries are counted under the address that was typed, whether anybody is known by it or not."""
    return Tally(key_hash=key_for(queries.folded(email)), purpose=purpose)


def machine_tally() -> Tally:
    """And under where they came from: an office may sit behind one address."""
    key = key_for(f"machine {request.remote_addr}")
    return Tally(key_hash=key, purpose="machine", most=queries.TRIES_OF_A_MACHINE)


def desk() -> Desk:
    """Who this is and where they may work, for the shell of a page."""
    me = current()
    places = [
        Place(
            name=seat.office,
            place=seat.place,
            href=url_for("staff.choose_office", office_id=seat.office_id),
            current=me.office_id == seat.office_id or len(me.seats) == 1,
        )
        for seat in me.seats
    ]
    everywhere = Place(
        name=gettext("All my offices"), place="", href=url_for("staff.choose_all_offices"), current=me.office_id is None
    )
    return Desk(
        person=Person(
            name=me.name,
            role_words=_role_words(me),
            initials=initials(me.name),
            tint=me.tint,
            href=url_for("staff.settings"),
        ),
        office=next((place for place in places if place.current), everywhere if places else None),
        offices=[everywhere, *places] if len(places) > 1 else places,
        sign_out_href=url_for("staff.sign_out"),
        single_keys_href=url_for("staff.switch_single_keys"),
    )


def footer() -> list[Link]:
    """What stands at the foot of every page."""
    return [(gettext("Help and contact"), url_for("staff.help_page"))]


def _role_words(me: SignedIn) -> str:
    roles = {seat.role for seat in me.seats if me.office_id in {None, seat.office_id}}
    words = [str(ROLE_WORDS[role]) for role in Role if role in roles]
    if me.may(Permission.ADMINISTER):
        words.append(gettext("Administrator"))
    return ", ".join(words)


def _browser() -> str:
    """Enough to know one's own by in a list of sessions: Firefox · Windows."""
    agent = request.user_agent.string
    browsers = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {
        "iPhone": "iPhone",
        "iPad": "iPad",
        "Android": "Android",
        "Windows": "Windows",
        "Mac OS": "Mac",
        "Linux": "Linux",
    }
    browser = next((name for mark, name in browsers.items() if mark in agent), "")
    system = next((name for mark, name in systems.items() if mark in agent), "")
    return " · ".join(part for part in (browser, system) if part)
