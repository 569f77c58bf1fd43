"""The transaction of a request: begun at the first question, kept when the answer went well, undone otherwise.

A page that is only looked at gets a session that cannot write, on both databases. What such a page leaves behind all
the same (last seen, who is reading) goes through ``note_read``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from flask import Flask, Response, g, request
from sqlalchemy.orm import Session
from werkzeug.local import LocalProxy

from app.web import deployment

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_REFUSED: Final = 400


def _current() -> Session:
    if "postbag_session" not in g:
        g.postbag_session = deployment().database.session(read_only=request.method in SAFE)
    return cast("Session", g.postbag_session)


session: Final = cast("Session", LocalProxy(_current))


def keep() -> None:
    """Keep what was written although the answer is a refusal: a failed try at signing in is itself a fact."""
    g.postbag_keep = True


def note_read(write: Callable[[Session], None]) -> None:
    """One short write of its own beside a page that is only looked at; within a change it is part of that."""
    if request.method not in SAFE:
        write(session)
        return
    with deployment().database.transaction() as own:
        write(own)


def install(app: Flask) -> None:
    """End the transaction of every request of ``app``."""
    app.after_request(_finish)
    app.teardown_request(_close)


def _finish(response: Response) -> Response:
    opened: Session | None = g.get("postbag_session")
    if opened is not None and request.method not in SAFE:
        if response.status_code < _REFUSED or g.get("postbag_keep", False):
            opened.commit()
        else:
            opened.rollback()
    return response


def _close(_error: BaseException | None) -> None:
    opened: Session | None = g.pop("postbag_session", None)
    if opened is not None:
        opened.close()
