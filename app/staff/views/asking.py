"""What Flask-Security answers, in the manner of our pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Response, abort, make_response, request
from flask.typing import ResponseReturnValue

from app.web.session import SAFE

SEE_OTHER: Final = 303
_FOUND, _WILL_NOT_DO, _FORMS_ONLY = 302, 422, 415


def asked(view: Callable[[], ResponseReturnValue]) -> Response:
    """The answer of one of its views: on to another page with 303, the form again with 422. It takes forms alone."""
    if request.is_json:
        abort(_FORMS_ONLY)
    answer = make_response(view())
    if answer.status_code == _FOUND:
        answer.status_code = SEE_OTHER
    elif request.method not in SAFE:
        answer.status_code = _WILL_NOT_DO
    return answer
