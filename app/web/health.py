"""For whoever runs it: is the process alive, can it work, and how much does it do."""

from __future__ import annotations

import hmac
import time
from typing import Final

import sqlalchemy as sa
from flask import Blueprint, Flask, Response, abort, g, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

from app.web import deployment
from app.web.guard import open_to_all

blueprint = Blueprint("health", __name__)

_ANSWERED: Final = Counter("postbag_requests_total", "Answers by route and status.", ["endpoint", "method", "status"])
_TOOK: Final = Histogram(
    "postbag_request_seconds",
    "How long an answer took.",
    ["endpoint"],
    buckets=(0.005, 0.015, 0.05, 0.15, 0.5, 1.5, 5),
)


@blueprint.get("/health/live")
@open_to_all("a supervisor asks, and learns only that the process answers")
def live() -> ResponseReturnValue:
    """The process answers."""
    return Response("alive\n", mimetype="text/plain")


@blueprint.get("/health/ready")
@open_to_all("a load balancer asks, and learns only whether the database answers")
def ready() -> ResponseReturnValue:
    """The database answers and has its tables; 503 when not."""
    try:
        with deployment().database.reading() as session:
            session.execute(sa.text("SELECT 1 FROM staff WHERE 1 = 0"))
    except sa.exc.SQLAlchemyError:
        return Response("the database does not answer\n", 503, mimetype="text/plain")
    return Response("ready\n", mimetype="text/plain")


@blueprint.get("/metrics")
@open_to_all("a collector asks with a token of its own; without one set the page is closed")
def metrics() -> ResponseReturnValue:
    """Counters for Prometheus, to whoever has the token; otherwise there is no such page."""
    token = deployment().settings.metrics_token
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token is None or not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        abort(404)
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def install(app: Flask) -> None:
    """Count and time every answer of ``app``."""
    app.before_request(_begin)
    app.after_request(_count)
    app.register_blueprint(blueprint)


def _begin() -> None:
    g.postbag_began = time.perf_counter()


def _count(answer: Response) -> Response:
    endpoint = request.endpoint or "none"
    _ANSWERED.labels(endpoint, request.method, str(answer.status_code)).inc()
    if "postbag_began" in g:
        _TOOK.labels(endpoint).observe(time.perf_counter() - g.postbag_began)
    return answer
