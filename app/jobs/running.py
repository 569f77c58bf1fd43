"""One run of one job, the same for both engines.

What the handler said, what becomes of the job, and when it is tried again.
"""

from __future__ import annotations

import random
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session
from structlog.contextvars import bound_contextvars

from app.clock import now
from app.deployment import Deployment
from app.errors import Problem
from app.jobs.kinds import Kind
from app.jobs.models import Setback

Handler = Callable[[Deployment, int], datetime | None]
"""Does the work for the row ``key`` in transactions of its own; a time that comes back is when to run again."""

_HOME = Path(__file__).resolve().parents[2]
_STOPPED = "The worker stopped in the middle of it."
_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)
_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long to wait after a failure (twice as long after each, give or take a quarter) and how often to try.

    With these numbers it is tried for about twenty minutes before it is parked.
    """

    first: timedelta = timedelta(seconds=10)
    most: timedelta = timedelta(hours=1)
    tries: int = 8

    def wait(self, failures: int) -> timedelta:
        """The pause after the ``failures``-th failure."""
        whole: timedelta = min(self.first * 2 ** min(failures - 1, 20), self.most)
        jitter: float = random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
        return whole * jitter


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a run ended: ``trouble`` is empty when it went well."""

    again_at: datetime | None = None
    trouble: str = ""
    at_once: bool = False


STOPPED = Outcome(trouble=_STOPPED, at_once=True)


def is_stopping() -> bool:
    """Whether the worker that runs this very job has been asked to stop.

    A long job looks now and then, and returns at its next good place with the time to go on.
    """
    stop = _stop.get()
    return stop is not None and stop.is_set()


def run(deployment: Deployment, handler: Handler, kind: Kind, key: int, stop: threading.Event) -> Outcome:
    """Call the handler. Whatever it raises is an outcome: a job never brings its worker down."""
    with bound_contextvars(job=kind.value, key=key), _stoppable(stop):
        try:
            return Outcome(again_at=handler(deployment, key))
        except Exception as error:  # noqa: BLE001 - the outer loop of the worker, the one place where this may stand
            trouble = describe(error)
            _log.error(
                "job failed", trouble=trouble, stack="".join(traceback.format_tb(error.__traceback__))
            )  # no message: it may quote a letter
            return Outcome(trouble=trouble)


@contextmanager
def _stoppable(stop: threading.Event) -> Iterator[None]:
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def describe(error: BaseException) -> str:
    """The sentence of a problem; of anything else its kind and the line of ours that it came through.

    Its own message may hold somebody's words.
    """
    if isinstance(error, Problem):
        return str(error)
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(_HOME)]
    where = f" at {Path(ours[-1].filename).relative_to(_HOME)}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{where}"


def settle(session: Session, kind: str, key: int, outcome: Outcome, patience: Patience) -> datetime | None:
    """Write down how a run ended; when it is to run again (``None``: not by itself)."""
    if outcome.trouble:
        return _fail(session, kind, key, outcome, patience)
    session.execute(sa.delete(Setback).where(Setback.kind == kind, Setback.key == key))
    return outcome.again_at


def _fail(session: Session, kind: str, key: int, outcome: Outcome, patience: Patience) -> datetime | None:
    at = now()
    setback = session.get(Setback, (kind, key), with_for_update=True)
    if setback is None:
        setback = Setback(kind=kind, key=key, failures=0, first_at=at, last_at=at, trouble="")
        session.add(setback)
    setback.failures += 1
    setback.last_at = at
    setback.trouble = outcome.trouble
    setback.parked_at = at if setback.failures >= patience.tries else None
    session.flush()
    if setback.parked_at is not None:
        _log.error("job parked", job=kind, key=key, failures=setback.failures, trouble=setback.trouble)
        return None
    is_first = setback.failures <= 2  # noqa: PLR2004 - a worker may be restarted twice in a row; a third time the job is suspect
    return at if outcome.at_once and is_first else at + patience.wait(setback.failures)
