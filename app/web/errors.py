"""What goes wrong, as a page: one table from the kind of problem to its status and its heading."""

from __future__ import annotations

from typing import Final

import structlog
from flask import Flask, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from app.errors import Conflict, Forbidden, Invalid, Missing, Problem

# The first that fits. The heading says what happened; the sentence below it what to do.
STATUSES: Final = (
    (Missing, 404, lazy_gettext("There is nothing here")),
    (Forbidden, 403, lazy_gettext("That is not yours to do")),
    (Conflict, 409, lazy_gettext("That cannot be done now")),
    (Invalid, 422, lazy_gettext("Please check what you wrote")),
    (Problem, 400, lazy_gettext("That did not work")),
)

_HTTP: Final = {
    401: lazy_gettext("Sign in first."),
    403: lazy_gettext("Your part in this office does not include that."),
    404: lazy_gettext("The address may be wrong, or what was here is gone, or it belongs to another office."),
    405: lazy_gettext("This page cannot be used in that way. Go back and use its buttons."),
    413: lazy_gettext("That is larger than Postbag takes. Send less at once."),
    429: lazy_gettext("That was too often. Wait a minute and try again."),
    503: lazy_gettext("Postbag cannot reach its database just now. Nothing is lost. Try again in a minute."),
}

_log = structlog.stdlib.get_logger(__name__)


def sentence(problem: Problem) -> str:
    """What a problem says, in the reader's language."""
    return str(gettext(problem.sentence, **problem.values))


def install(app: Flask) -> None:
    """Answer every problem and error of ``app`` with a page, or with JSON where a script asked."""
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(CSRFError, _stale)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _problem(problem: Problem) -> ResponseReturnValue:
    status, heading = next((status, heading) for kind, status, heading in STATUSES if isinstance(problem, kind))
    said = sentence(problem)
    default = isinstance(problem, Missing) and problem.sentence == Missing().sentence
    return _page(status, str(heading), str(_HTTP[404]) if default else said)


def _stale(_error: CSRFError) -> ResponseReturnValue:
    said = gettext(
        "Nothing was changed. The page was open for a long time, or you signed in again meanwhile. "
        "Go back, load it again, and repeat what you did."
    )
    return _page(400, gettext("This page is out of date"), said)


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    status = error.code or 500
    heading = {404: gettext("There is nothing here"), 413: gettext("That is too large")}.get(status)
    return _page(
        status, heading or gettext("That did not work"), str(_HTTP.get(status, gettext("Go back and try again.")))
    )


def _unexpected(error: Exception) -> ResponseReturnValue:
    g.setdefault("postbag_actor", None)  # who it is may be the very question that failed
    _log.error("request failed", endpoint=request.endpoint, kind=type(error).__name__, exc_info=error)
    said = gettext(
        "This is a mistake in Postbag, and it has been written down. Nothing you see elsewhere is lost. "
        "Try again; if it happens again, tell whoever looks after Postbag when it was."
    )
    return _page(500, gettext("Something went wrong here"), said)


def _page(status: int, heading: str, said: str) -> ResponseReturnValue:
    if request.accept_mimetypes.best == "application/json":
        return jsonify(problem=said), status
    return render_template("errors/problem.html", title=heading, said=said, status=status), status
