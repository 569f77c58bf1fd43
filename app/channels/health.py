"""What a poll found out about an account and its streams, written down where every page can say it.

    ok ─failure─→ failing (again in 1, 2, 4 … 30 minutes) ─success─→ ok
    refused three times over an hour ─→ the account needs a person; it is tried hourly and heals by itself

The kinds of failure and what follows from each: architecture.md section 6, channels.md section 5.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.channels.models import Account, State, Stream
from app.db import Instant
from connectors import AuthExpired, ConnectorError, Misconfigured, PermissionMissing, RateLimited, Transient

STRIKES = 3
STRIKES_SPAN = timedelta(hours=1)  # an outage of a sign-in server looks just like a changed password
BETWEEN_STRIKES = timedelta(minutes=31)
WHEN_REFUSED = timedelta(hours=1)
BACK_OFF_MOST = timedelta(minutes=30)
WHILE_LISTENED = timedelta(minutes=5)  # channels.md section 5
AFTER_LIMIT = timedelta(seconds=10)  # spread over, after the moment that the platform named

KINDS: dict[type[ConnectorError], str] = {
    AuthExpired: "auth_expired",
    PermissionMissing: "permission_missing",
    RateLimited: "rate_limited",
    Misconfigured: "misconfigured",
    Transient: "transient",
}
_STREAMS: Final = cast("sa.Table", Stream.__table__)
_AT_REST: Final = (
    sa.update(_STREAMS)
    .where(_STREAMS.c.id == sa.bindparam("of"))
    .values(
        last_good_at=sa.bindparam("at"),
        caught_up_at=sa.bindparam("at"),
        next_at=sa.case(
            (
                _STREAMS.c.next_at.is_not_distinct_from(sa.bindparam("due_at", type_=Instant())),
                sa.bindparam("turn_at", type_=Instant()),
            ),
            else_=_STREAMS.c.next_at,
        ),
    )
)

_log = structlog.stdlib.get_logger(__name__)


def streams(session: Session, account_id: int) -> list[Stream]:
    """The streams of an account that are polled, in the order in which they were found."""
    query = sa.select(Stream).where(Stream.account_id == account_id, Stream.is_wanted)
    return list(session.scalars(query.order_by(Stream.id)))


def good(
    stream: Stream, at: datetime, *, waiting: int | None, has_items: bool, is_done: bool, due_at: datetime | None
) -> None:
    """A page came. ``is_done``: nothing is left to fetch, so the stream is caught up until its next turn.

    ``due_at`` is when the poll found it due: where that was moved meanwhile, somebody wants it looked at again.
    """
    if stream.failing_since is not None:
        _log.info("stream is back", stream=stream.id, failures=stream.failures)
    stream.last_good_at = at
    stream.failing_since, stream.failures, stream.trouble, stream.trouble_kind = None, 0, "", ""
    stream.waiting = 0 if is_done else waiting
    if has_items:
        stream.last_item_at = at
    if is_done:
        stream.caught_up_at = at
    if stream.next_at == due_at:
        stream.next_at = _turn(stream.interval, stream.listened_until, at) if is_done else at


def at_rest(
    stream_id: int, interval: timedelta, listened_until: datetime | None, *, due_at: datetime | None, at: datetime
) -> dict[str, Any]:
    """That nothing was new in a stream in which all was well: for ``note_rest``."""
    return {"of": stream_id, "at": at, "due_at": due_at, "turn_at": _turn(interval, listened_until, at)}


def note_rest(session: Session, streams: Sequence[dict[str, Any]]) -> None:
    """Write down that streams were looked at and are caught up: what ``good`` does, in one statement of Core."""
    if streams:
        session.connection().execute(_AT_REST, streams)


def _turn(interval: timedelta, listened_until: datetime | None, at: datetime) -> datetime:
    """When a stream that is caught up is due again; less often where news is heard of as it comes."""
    is_listened_to = listened_until is not None and listened_until > at
    return at + _about(max(interval, WHILE_LISTENED) if is_listened_to else interval)


def welcomed(session: Session, account: Account) -> None:
    """The platform let us in: whatever refusals there were are over."""
    if account.refusals:
        account.refusals, account.first_refused_at = 0, None
    if account.state is State.NEEDS_YOU:
        account.state = State.ACTIVE
        record(session, "healed", "account", account.id, office_id=account.office_id, by=None)


def refused(session: Session, account: Account, error: ConnectorError, at: datetime) -> None:
    """The platform will not have us, or the account's settings cannot be right: one strike more."""
    account.first_refused_at = account.first_refused_at or at
    account.refusals += 1
    is_out = account.refusals >= STRIKES and at - account.first_refused_at >= STRIKES_SPAN
    if is_out and account.state is State.ACTIVE:
        account.state = State.NEEDS_YOU
        record(session, "needs_you", "account", account.id, office_id=account.office_id, by=None)
        jobs.defer(session, jobs.Kind.WATCH_HEALTH)
    again_at = at + _at_least(WHEN_REFUSED if account.state is State.NEEDS_YOU else BETWEEN_STRIKES)
    _fail(streams(session, account.id), error, at, again_at)


def limited(session: Session, account: Account, error: RateLimited, at: datetime) -> None:
    """Too often: nothing more in this account before the moment that the platform named."""
    again_at = max(error.retry_at, at) + AFTER_LIMIT * random.random()  # noqa: S311 - spreads load
    for stream in streams(session, account.id):
        stream.trouble, stream.trouble_kind = str(error), KINDS[RateLimited]
        stream.next_at = max(stream.next_at or again_at, again_at)


def failed(stream: Stream, error: ConnectorError, at: datetime) -> None:
    """This stream did not answer, or may not be read; the others of the account go on."""
    wait = WHEN_REFUSED if isinstance(error, PermissionMissing) else back_off(stream.failures + 1)
    _fail([stream], error, at, at + _about(wait))


def back_off(failures: int) -> timedelta:
    """1, 2, 4 … 30 minutes."""
    return min(timedelta(minutes=2 ** min(failures - 1, 10)), BACK_OFF_MOST)


def _fail(failing: Iterable[Stream], error: ConnectorError, at: datetime, again_at: datetime) -> None:
    for stream in failing:
        if stream.failing_since is None:
            stream.failing_since = at
            _log.warning("stream went away", stream=stream.id, kind=kind(error))
        stream.failures += 1
        stream.trouble, stream.trouble_kind = str(error), kind(error)
        stream.next_at = again_at


def kind(error: ConnectorError) -> str:
    """The word under which a failure is stored."""
    return next((word for its_type, word in KINDS.items() if isinstance(error, its_type)), "transient")


def _about(span: timedelta) -> timedelta:
    return span * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load


def _at_least(span: timedelta) -> timedelta:
    return span * random.uniform(1.0, 1.2)  # noqa: S311 - spreads load
