"""The small answer that keeps an open page fresh: counts, what is new, who else is writing. Contract: static/app.js."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from flask import Response, request
from flask_babel import gettext

from app.clock import now
from app.pages import rail, scope
from app.pages.casework import WRITING_FOR
from app.replies import queries as replies
from app.web.guard import actor
from app.web.session import session


def answer(case_id: int | None) -> Response:
    """What script asks for every ten seconds; 304 where nothing has changed since it last asked."""
    badges = scope.badges()
    told: dict[str, Any] = {
        "counts": rail.counts(badges) | {"accounts": rail.troubled()},
        "title": badges.needs_reply,
        "checked": rail.checked(),
        "wait": 10,
    }
    if case_id is not None:
        told["presence"] = _presence(case_id)
    body = json.dumps(told, ensure_ascii=False)
    response = Response(body, mimetype="application/json")
    response.set_etag(sha256(body.encode()).hexdigest()[:20])
    response.make_conditional(request)
    return response


def _presence(case_id: int) -> dict[str, Any] | None:
    """Colleagues who are writing in this case now."""
    writing = replies.writing(session, case_id, scope.offices(), but_not=actor().id, since=now() - WRITING_FOR)
    if not writing:
        return None
    name = writing[0]
    return {
        "words": gettext("%(name)s is writing a reply.", name=name),
        "writing": True,
        "ask": gettext("%(name)s is writing a reply. Send yours anyway?", name=name),
    }
