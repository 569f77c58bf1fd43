"""Fetching: what a platform shows is kept as it came, together with the place to go on from.

One account at a time has one poll. Transaction A takes a lease, so that a second worker stays away without a lock being
held; the connector speaks with no transaction open; transaction B keeps one page: its sightings, the new cursor, the
stream's health and the job that reads them, all or nothing. The bytes are in the store, synced, before that. A crash
anywhere repeats a page, which changes nothing (reliability.md section 1).

    lease ─→ fetch ─→ store ─→ sightings + cursor + health ─→ fetch … ─→ nothing left, or something is wrong
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app import jobs
from app.channels import health
from app.channels.connecting import Line, line
from app.channels.models import Account, KnownGap, State, Stream
from app.clock import now
from app.deployment import Deployment
from app.errors import Problem
from app.jobs.running import describe
from app.leases import give_back, is_held, take
from app.messages.models import Reading, Sighting
from app.store import NoRoom
from connectors import (
    AuthExpired,
    Batch,
    Budget,
    ConnectorError,
    Cursor,
    Misconfigured,
    RateLimited,
    Raw,
    Transient,
)

MOST_PAGES = 50  # of a stream in one run; the rest comes in the next, at once
POLLED = (State.ACTIVE, State.NEEDS_YOU)

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """One page is kept: ``new`` sightings among ``seen`` items; ``waiting`` are left, where the platform says."""

    stream: str
    seen: int
    new: int
    waiting: int | None


Watch = Callable[[Progress], None]


@dataclass(kw_only=True, slots=True)
class _Due:
    """A stream to poll, and where it goes on from."""

    id: int
    key: str
    name: str
    cursor: Cursor | None
    is_failing: bool


@dataclass(kw_only=True, slots=True)
class _Poll:
    """A run over one account, from taking the lease to giving it back."""

    deployment: Deployment
    account_id: int
    office_id: int
    line: Line
    since_at: datetime | None
    connected_at: datetime | None
    holder: str  # of the lease
    watch: Watch | None
    most_pages: int | None
    due: list[_Due]


class _TakenOver(Exception):  # noqa: N818 - a finding
    """Somebody else polls this account now, or it was removed: what this run holds is not kept."""


def poll_account(
    deployment: Deployment, account_id: int, *, watch: Watch | None = None, everything: bool = False
) -> datetime | None:
    """Fetch what is there in every stream of the account that is due; when to come again (``None``: never by itself).

    ``everything`` polls all wanted streams now, whatever their time, until nothing is left. No failure of the platform
    is raised: it is written at its streams, where ``app.channels.queries`` finds it.
    """
    poll = _begin(deployment, account_id, watch, everything=everything)
    if isinstance(poll, _Poll):
        try:
            with deployment.leases.kept(Account, account_id, poll.holder):
                _run(poll)
            return _end(poll)
        except _TakenOver:
            return None
        except BaseException:
            _let_go(poll)
            raise
    return poll


def _begin(
    deployment: Deployment, account_id: int, watch: Watch | None, *, everything: bool
) -> _Poll | datetime | None:
    """Transaction A: take the lease and read what the run needs.

    Else when to come again: another poll is under way, or the account cannot be spoken for.
    """
    at = now()
    with deployment.database.transaction() as session:
        account = session.scalar(sa.select(Account).where(Account.id == account_id).with_for_update())
        if account is None or account.state not in POLLED:
            return None
        if is_held(account, at):
            return account.lease_until
        try:
            its_line = line(session, deployment, account_id)
        except Problem as problem:
            health.refused(session, account, Misconfigured(str(problem)), at)
            return _next(session, account_id)
        return _Poll(
            deployment=deployment,
            account_id=account_id,
            office_id=account.office_id,
            line=its_line,
            since_at=account.since_at,
            connected_at=account.connected_at,
            holder=take(account, at),
            watch=watch,
            most_pages=None if everything else MOST_PAGES,
            due=[
                _Due(
                    id=stream.id,
                    key=stream.key,
                    name=stream.name,
                    cursor=stream.cursor,
                    is_failing=stream.failing_since is not None,
                )
                for stream in health.streams(session, account_id)
                if everything or stream.next_at is None or stream.next_at <= at
            ],
        )


def _run(poll: _Poll) -> None:
    """Every stream that is due. A refusal or a limit of the account ends the run; other failures are a stream's own."""
    for due in poll.due:
        error = _walk(poll, due)
        if error is None:
            continue
        at = now()
        with _holding(poll) as (session, account):
            if isinstance(error, AuthExpired | Misconfigured):
                health.refused(session, account, error, at)
            elif isinstance(error, RateLimited):
                health.limited(session, account, error, at)
            else:
                health.failed(session.get_one(Stream, due.id), error, at)
        if isinstance(error, AuthExpired | Misconfigured | RateLimited):
            return


def _walk(poll: _Poll, due: _Due) -> ConnectorError | None:
    """Page after page of one stream until nothing is left; what stopped it, if anything did."""
    pages = 0
    while True:
        page = _fetch(poll, due)
        if isinstance(page, ConnectorError):
            return page
        pages += 1
        is_stuck = page.more and not page.raws and page.cursor == due.cursor
        has_more = page.more and not is_stuck
        try:
            _keep(poll, due, page, is_done=not has_more)
        except NoRoom as problem:
            return Transient(str(problem))
        due.cursor = page.cursor
        if not has_more or pages == poll.most_pages or jobs.is_stopping():
            return None


def _fetch(poll: _Poll, due: _Due) -> Batch | ConnectorError:
    """One page, or why there is none. No transaction is open here."""
    try:
        with poll.line.use(poll.deployment) as connection:
            return connection.fetch(due.key, due.cursor, Budget(since=poll.since_at))
    except ConnectorError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the border of a channel: what it does not name is Transient
        if not due.is_failing:
            _log.exception("channel failed", stream=due.id, error=describe(error), exc_info=False)
        return Transient("Something went wrong while fetching. It is tried again.")


def _keep(poll: _Poll, due: _Due, page: Batch, *, is_done: bool) -> None:
    """Transaction B: the page, the cursor after it, the stream's health, and the job that reads what came."""
    at = now()
    hashes = poll.deployment.store.put_all(poll.office_id, [raw.content for raw in page.raws]) if page.raws else []
    rows = [_sighting(poll, due, raw, sha256, at) for raw, sha256 in zip(page.raws, hashes, strict=True)]
    with _holding(poll) as (session, account):
        health.welcomed(session, account)
        stream = session.get_one(Stream, due.id)
        new = _insert(session, rows)
        stream.cursor = dict(page.cursor)
        health.good(stream, at, waiting=page.waiting, has_items=bool(new), is_done=is_done)
        if page.gap is not None:
            session.add(
                KnownGap(
                    office_id=poll.office_id,
                    stream_id=due.id,
                    since_at=page.gap.since,
                    until_at=page.gap.until,
                    reason=page.gap.reason,
                    found_at=at,
                )
            )
        if new:
            jobs.defer(session, jobs.Kind.TAKE_SIGHTINGS, poll.account_id)
    _forget_spool(page.raws)
    if poll.watch is not None:
        poll.watch(Progress(stream=due.name, seen=len(rows), new=new, waiting=0 if is_done else page.waiting))


def _sighting(poll: _Poll, due: _Due, raw: Raw, sha256: str, at: datetime) -> dict[str, object]:
    """The row of one item, its bytes in the store and synced."""
    arrived_at = raw.arrived_at
    return {
        "office_id": poll.office_id,
        "account_id": poll.account_id,
        "stream_id": due.id,
        "external_id": raw.external_id,
        "size": len(raw.content) if isinstance(raw.content, bytes) else raw.content.stat().st_size,
        "sha256": sha256,
        "arrived_at": arrived_at,
        "fetched_at": at,
        "is_backlog": poll.connected_at is not None and (arrived_at or at) < poll.connected_at,
        "state": Reading.WAITING,
    }


def _insert(session: Session, rows: list[dict[str, object]]) -> int:
    """Insert what is not there yet; how many that were."""
    if not rows:
        return 0
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    query = insert(Sighting).on_conflict_do_nothing().returning(Sighting.id)
    return len(session.execute(query, rows).all())


def _forget_spool(raws: tuple[Raw, ...]) -> None:
    """Large items came in files of their own; they lie in the store now."""
    for raw in raws:
        if isinstance(raw.content, Path):
            raw.content.unlink(missing_ok=True)


@contextmanager
def _holding(poll: _Poll) -> Iterator[tuple[Session, Account]]:
    """A transaction over the account under our lease; raises _TakenOver when it is not ours any more."""
    with poll.deployment.database.transaction() as session:
        account = session.scalar(sa.select(Account).where(Account.id == poll.account_id).with_for_update())
        if account is None or account.lease_by != poll.holder or account.state is State.REMOVED:
            raise _TakenOver
        yield session, account


def _end(poll: _Poll) -> datetime | None:
    """Give the lease back; when the next stream is due."""
    with _holding(poll) as (session, account):
        give_back(account)
        return _next(session, poll.account_id) if account.state in POLLED else None


def _let_go(poll: _Poll) -> None:
    """Give the lease back after a failure of our own, so that the next try need not wait for its end."""
    with poll.deployment.database.transaction() as session:
        session.execute(
            sa.update(Account)
            .where(Account.id == poll.account_id, Account.lease_by == poll.holder)
            .values(lease_by="", lease_until=None)
        )


def _next(session: Session, account_id: int) -> datetime | None:
    times = [stream.next_at or now() for stream in health.streams(session, account_id)]
    return min(times, default=None)
