"""Who may come in: every route says whom it lets in, or the application does not start.

    @blueprint.post("/cases/<int:case_id>/close")
    @allow(Permission.HANDLE_CASES)
    def close(case_id: int) -> ResponseReturnValue:
        case = queries.case(session, case_id, offices())

``offices()`` are those in which whoever asks holds the permission of the route; queries take them, so that what belongs
to somebody else looks as if it were not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from flask import Flask, current_app, g, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.clock import now
from app.errors import Forbidden
from app.web.permissions import Actor, Permission
from app.web.session import SAFE

__all__ = ["Actor", "Permission", "actor", "allow", "check", "current_office", "install", "offices", "open_to_all"]

View = TypeVar("View", bound=Callable[..., Any])

FRESH_TO_LOOK: Final = timedelta(minutes=15)
FRESH_TO_CHANGE: Final = timedelta(minutes=60)  # whoever opened the form in time can fill it in at leisure
_RULE: Final = "postbag_guard"
_NO: Final = "Your part in this office does not include that. Ask the councillor, or whoever looks after Postbag."


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom a route lets in: holders of ``permission``, or everybody for a ``reason``."""

    permission: Permission | None
    fresh: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Doors:
    load: Callable[[], Actor | None]
    sign_in: str
    confirm: str
    rules: dict[str, Rule]


def allow(permission: Permission, *, fresh: bool = False) -> Callable[[View], View]:
    """Let in whoever holds ``permission`` in some office. ``fresh``: only shortly after the password was given."""
    return _declare(Rule(permission, fresh=fresh))


def open_to_all(reason: str) -> Callable[[View], View]:
    """Let everybody in, signed in or not, for a reason."""
    return _declare(Rule(None, reason=reason))


def _declare(rule: Rule) -> Callable[[View], View]:
    def declare(view: View) -> View:
        view.__dict__[_RULE] = rule
        return view

    return declare


def install(app: Flask, *, load: Callable[[], Actor | None], sign_in: str, confirm: str) -> None:
    """Stand at the door of ``app``. ``load`` finds who asks; the endpoints are where to sign in, and to confirm it."""
    app.extensions[_RULE] = _Doors(load, sign_in, confirm, {})
    app.before_request(_admit)
    app.jinja_env.globals["may"] = may


def check(app: Flask) -> None:
    """Read the rule of every route; raises RuntimeError naming those that have none."""
    rules = {name: view.__dict__.get(_RULE) for name, view in app.view_functions.items()}
    silent = sorted(name for name, rule in rules.items() if rule is None)
    if silent:
        raise RuntimeError(f"these routes do not say whom they let in: {', '.join(silent)}")
    _doors(app).rules.update({name: rule for name, rule in rules.items() if rule is not None})


def rules(app: Flask) -> dict[str, Rule]:
    """The rule of every endpoint."""
    return dict(_doors(app).rules)


def someone() -> Actor | None:
    """Whoever is signed in, or nobody."""
    if "postbag_actor" not in g:
        g.postbag_actor = _doors(current_app).load()
    return cast("Actor | None", g.postbag_actor)


def actor() -> Actor:
    """Whoever is signed in; raises RuntimeError on a page that is open to all, where nobody may be."""
    found = someone()
    if found is None:
        raise RuntimeError("this page is open to all: ask someone() instead")
    return found


def may(permission: str) -> bool:
    """Whether whoever is signed in holds a permission anywhere: for links that are shown to some only."""
    return actor().may(Permission(permission))


def offices() -> frozenset[int]:
    """The offices in which whoever asks holds the permission of this route."""
    permission = _rule().permission
    if permission is None:
        raise RuntimeError("this page is open to all: it belongs to no office")
    return actor().offices_with(permission)


def current_office() -> int | None:
    """The office chosen in the switcher, if this route's permission is held in it; ``None``: all of ``offices()``."""
    chosen = actor().office_id
    return chosen if chosen in offices() else None


def local(path: str) -> str:
    """``path`` when it leads to a page of our own, else the first page: no link to us sends anybody elsewhere."""
    parts = urlsplit(path.replace("\\", "/"))
    own = path.startswith("/") and not parts.scheme and not parts.netloc and not path.startswith(("//", "/\\"))
    return path if own and path.isprintable() else "/"


def _admit() -> ResponseReturnValue | None:
    if request.endpoint is None:
        return None  # no such page: said the same way to everybody
    rule = _rule()
    if rule.permission is None:
        return None
    found = someone()
    if found is None:
        return _ask(_doors(current_app).sign_in)
    if not found.may(rule.permission):
        raise Forbidden(_NO)
    if rule.fresh and now() - found.fresh_at > (FRESH_TO_LOOK if request.method in SAFE else FRESH_TO_CHANGE):
        return _ask(_doors(current_app).confirm)
    return None


def _ask(endpoint: str) -> ResponseReturnValue:
    """Send them to a page that asks who they are, and back afterwards; a script is told plainly."""
    if request.accept_mimetypes.best == "application/json":
        return jsonify(problem="signed out"), 401
    path = request.full_path.rstrip("?") if request.method in SAFE else urlsplit(request.referrer or "/").path
    return redirect(url_for(endpoint, next=None if path == "/" else path), 303)


def _rule() -> Rule:
    return _doors(current_app).rules[request.endpoint or ""]


def _doors(app: Flask) -> _Doors:
    return cast("_Doors", app.extensions[_RULE])
