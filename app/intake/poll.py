"""Fetching: what a platform shows is kept as it came, together with the place to go on from.

One account at a time has one poll. Transaction A takes a lease, so that a second worker stays away without a lock being
held; the connector speaks with no transaction open; transaction B keeps one page: its sightings, the new cursor, the
stream's health and the job that reads them, all or nothing. The bytes are in the store, synced, before that. A crash
anywhere repeats a page, which changes nothing (reliability.md section 1).

    lease ─→ fetch ─→ store ─→ sightings + cursor + health ─→ fetch … ─→ nothing left, or something is wrong

Most polls find nothing. Such a one writes twice: the lease, and its return together with when each stream was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app import jobs, leases
from app.channels import health
from app.channels.connecting import Line, line_of
from app.channels.models import Account, KnownGap, State, Stream
from app.clock import now
from app.db import Instant
from app.deployment import Deployment
from app.errors import Problem
from app.intake import sightings
from app.jobs.running import describe
from app.store import NoRoom
from connectors import (
    AuthExpired,
    Batch,
    Budget,
    ConnectorError,
    Cursor,
    Misconfigured,
    RateLimited,
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
    """A stream to poll, where it goes on from, and how it stood when this run looked."""

    id: int
    key: str
    name: str
    cursor: Cursor | None
    interval: timedelta
    is_ours: bool
    next_at: datetime | None
    listened_until: datetime | None
    is_failing: bool
    is_at_rest: bool  # nothing was wrong, and nothing left to fetch


@dataclass(kw_only=True, slots=True)
class _Poll:
    """A run over one account, from taking the lease to giving it back."""

    deployment: Deployment
    account_id: int
    office_id: int
    line: Line
    since_at: datetime | None
    connected_at: datetime | None
    is_welcome: bool  # no refusal stands against the account
    holder: str  # of the lease
    watch: Watch | None
    most_pages: int | None
    due: list[_Due]
    at_rest: list[dict[str, Any]] = field(default_factory=list)  # streams in which nothing was new, for the end


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
    at, holder = now(), leases.new_holder()
    with deployment.database.transaction() as session:
        lease = {"of": account_id, "at": at, "holder": holder, "until": at + leases.TERM}
        execute = session.connection().execute  # past the session, which costs as much again
        account = execute(_TAKE, lease).one_or_none()
        if account is None:
            return execute(_HELD, {"of": account_id}).scalar()
        try:
            its_line = line_of(deployment, account)
        except Problem as problem:
            return _refuse(session, account_id, problem, at)
        return _Poll(
            deployment=deployment,
            account_id=account_id,
            office_id=account.office_id,
            line=its_line,
            since_at=account.since_at,
            connected_at=account.connected_at,
            is_welcome=account.state is State.ACTIVE and not account.refusals,
            holder=holder,
            watch=watch,
            most_pages=None if everything else MOST_PAGES,
            due=[
                _due(row)
                for row in execute(_WANTED, {"of": account_id})
                if everything or row.next_at is None or row.next_at <= at
            ],
        )


def _due(row: sa.Row[Any]) -> _Due:
    return _Due(
        id=row.id,
        key=row.key,
        name=row.name,
        cursor=row.cursor,
        interval=row.interval,
        is_ours=row.is_ours,
        next_at=row.next_at,
        listened_until=row.listened_until,
        is_failing=row.failing_since is not None,
        is_at_rest=not row.trouble and not row.waiting,
    )


def _refuse(session: Session, account_id: int, problem: Problem, at: datetime) -> datetime | None:
    account = session.get_one(Account, account_id)
    leases.give_back(account)
    health.refused(session, account, Misconfigured(str(problem)), at)
    session.flush()
    return _next(session, account_id)


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
        if poll.is_welcome and due.is_at_rest and _is_nothing(page, due):
            _rest(poll, due)
            return None
        is_stuck = page.more and not page.raws and page.cursor == due.cursor
        has_more = page.more and not is_stuck
        try:
            _keep(poll, due, page, is_done=not has_more)
        except NoRoom as problem:
            return Transient(str(problem))
        finally:
            sightings.forget_spool(page.raws)
        due.cursor = page.cursor
        if not has_more or pages == poll.most_pages or jobs.is_stopping():
            return None


def _fetch(poll: _Poll, due: _Due) -> Batch | ConnectorError:
    """One page, or why there is none. No transaction is open here."""
    try:
        with poll.line.use(poll.deployment) as connection:
            return connection.fetch(due.key, due.cursor, Budget(since=poll.since_at, answers_only=due.is_ours))
    except ConnectorError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the border of a channel: what it does not name is Transient
        if not due.is_failing:
            _log.exception("channel failed", stream=due.id, error=describe(error), exc_info=False)
        return Transient("Something went wrong while fetching. It is tried again.")


def _is_nothing(page: Batch, due: _Due) -> bool:
    """Whether a page brings nothing that is not written down already."""
    return not (page.raws or page.withheld or page.more or page.gap) and page.cursor == due.cursor


def _rest(poll: _Poll, due: _Due) -> None:
    """Nothing was new: that it was looked at is written when the run ends."""
    poll.at_rest.append(health.at_rest(due.id, due.interval, due.listened_until, due_at=due.next_at, at=now()))
    if poll.watch is not None:
        poll.watch(Progress(stream=due.name, seen=0, new=0, waiting=0))


def _keep(poll: _Poll, due: _Due, page: Batch, *, is_done: bool) -> None:
    """Transaction B: the page, the cursor after it, the stream's health, and the job that reads what came."""
    at = now()
    hashes = poll.deployment.store.put_all(poll.office_id, [raw.content for raw in page.raws]) if page.raws else []
    origin = sightings.Origin(
        office_id=poll.office_id,
        account_id=poll.account_id,
        stream_id=due.id,
        connected_at=poll.connected_at,
    )
    with _holding(poll) as (session, account):
        health.welcomed(session, account)
        stream = session.get_one(Stream, due.id, with_for_update=True)
        new = sightings.keep(session, origin, page.raws, hashes, at)
        sightings.withhold(session, origin, page.withheld, at)
        stream.cursor = dict(page.cursor)
        health.good(stream, at, waiting=page.waiting, has_items=bool(new), is_done=is_done, due_at=due.next_at)
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
    poll.is_welcome, due.next_at = True, stream.next_at
    if poll.watch is not None:
        waiting = 0 if is_done else page.waiting
        poll.watch(Progress(stream=due.name, seen=len(page.raws), new=new, waiting=waiting))


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
    with poll.deployment.database.transaction() as session:
        state = session.connection().execute(_GIVE_BACK, {"of": poll.account_id, "holder": poll.holder}).scalar()
        if state is None or state is State.REMOVED:
            raise _TakenOver
        health.note_rest(session, poll.at_rest)
        return _next(session, poll.account_id) if state in POLLED else None


def _let_go(poll: _Poll) -> None:
    """Give the lease back after a failure of our own, so that the next try need not wait for its end."""
    with poll.deployment.database.transaction() as session:
        session.execute(_GIVE_BACK, {"of": poll.account_id, "holder": poll.holder})


def _next(session: Session, account_id: int) -> datetime | None:
    times = session.connection().execute(_NEXT, {"of": account_id}).scalars()
    return min((at or now() for at in times), default=None)


# Said once, and as statements of Core: most polls find nothing, and putting these together, or loading whole rows as
# objects, would cost several times what running them does.
_ACCOUNTS: Final = cast("sa.Table", Account.__table__)
_STREAMS: Final = cast("sa.Table", Stream.__table__)
_OF_POLLED: Final = sa.and_(_ACCOUNTS.c.id == sa.bindparam("of"), _ACCOUNTS.c.state.in_(POLLED))
_TAKE: Final = (
    sa.update(_ACCOUNTS)
    .where(
        _OF_POLLED,
        sa.or_(_ACCOUNTS.c.lease_until.is_(None), _ACCOUNTS.c.lease_until <= sa.bindparam("at", type_=Instant())),
    )
    .values(lease_by=sa.bindparam("holder"), lease_until=sa.bindparam("until"))
    .returning(*(column for column in _ACCOUNTS.c if column is not _ACCOUNTS.c.check_result))
)
_HELD: Final = sa.select(_ACCOUNTS.c.lease_until).where(_OF_POLLED)
_GIVE_BACK: Final = (
    sa.update(_ACCOUNTS)
    .where(_ACCOUNTS.c.id == sa.bindparam("of"), _ACCOUNTS.c.lease_by == sa.bindparam("holder"))
    .values(lease_by="", lease_until=None)
    .returning(_ACCOUNTS.c.state)
)
_OF_WANTED: Final = sa.and_(_STREAMS.c.account_id == sa.bindparam("of"), _STREAMS.c.is_wanted)
_WANTED: Final = sa.select(_STREAMS).where(_OF_WANTED).order_by(_STREAMS.c.id)
_NEXT: Final = sa.select(_STREAMS.c.next_at).where(_OF_WANTED)
