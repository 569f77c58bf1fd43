"""Questions about accounts: which there are, and how their streams do.

"Late" is worked out here from the rows and the time, so that it is said even when no worker lives to say it
(reliability.md section 1.5).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.channels.models import Account, Heartbeat, KnownGap, State, Stream
from app.db import Instant
from app.errors import Missing

LATE_AFTER: Final = timedelta(minutes=15)
LATE_INTERVALS: Final = 2
WORKER_GONE_AFTER: Final = timedelta(seconds=60)


class Health(StrEnum):
    """How a stream does, best first."""

    OK = "ok"
    PAUSED = "paused"
    FAILING = "failing"  # the last try failed; it is not late yet
    LATE = "late"  # not checked for 15 minutes or two of its intervals, whichever is longer
    NEEDS_YOU = "needs_you"  # nothing but a person can mend it


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamHealth:
    """One stream. ``since``: from when on it is as ``health`` says; for a late one the last time it was checked.

    ``trouble`` is the platform's answer in a sentence, ``trouble_kind`` a word of ``app.channels.health.KINDS``.
    """

    office_id: int
    account_id: int
    stream_id: int
    channel: str
    account: str
    stream: str
    is_junk: bool
    health: Health
    since: datetime | None
    trouble: str
    trouble_kind: str
    next_at: datetime | None
    last_good_at: datetime | None
    caught_up_at: datetime | None
    last_item_at: datetime | None
    waiting: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """What every page says when it must: streams that are late or need a person, and whether any worker lives.

    ``worker_seen_at`` is ``None`` where none ever did. ``checked_at`` is when the stream was checked that was checked
    longest ago of those that are on time.
    """

    streams: tuple[StreamHealth, ...]
    checked_at: datetime | None
    worker_seen_at: datetime | None
    is_worker_gone: bool


def account(session: Session, office_id: int, account_id: int) -> Account:
    """An account of the office; raises Missing for anybody else's and for a removed one."""
    found = session.get(Account, account_id)
    if found is None or found.office_id != office_id or found.state is State.REMOVED:
        raise Missing
    return found


def one_of(session: Session, office_ids: Collection[int], account_id: int) -> Account:
    """An account of one of these offices; raises Missing for anybody else's and for a removed one."""
    found = session.get(Account, account_id)
    if found is None or found.office_id not in office_ids or found.state is State.REMOVED:
        raise Missing
    return found


def accounts(session: Session, office_ids: Collection[int]) -> list[Account]:
    """Every account of these offices that was not removed, in the order in which they were added."""
    query = sa.select(Account).where(Account.office_id.in_(office_ids), Account.state != State.REMOVED)
    return list(session.scalars(query.order_by(Account.office_id, Account.id)))


def streams(session: Session, office_ids: Collection[int], at: datetime) -> list[StreamHealth]:
    """How every stream of these offices does, by account."""
    query = _STREAMS.where(Account.office_id.in_(office_ids), Account.state.in_(_CONNECTED))
    return [_health(row, at) for row in session.execute(query.order_by(Account.id, Stream.id)).mappings()]


def alarm(session: Session, office_ids: Collection[int], at: datetime) -> Alarm:
    """What every page of these offices has to say about fetching: one statement, a few rows at most."""
    given = {"offices": sorted(office_ids), "late": at - LATE_AFTER}
    rows = session.execute(_ALARM, given).mappings().all()
    found = [_health(row, at) for row in rows if row["stream_id"] is not None]
    worker_seen_at: datetime | None = rows[0]["worker_seen_at"]
    return Alarm(
        streams=tuple(one for one in found if one.health in {Health.LATE, Health.NEEDS_YOU}),
        checked_at=rows[0]["checked_at"],
        worker_seen_at=worker_seen_at,
        is_worker_gone=worker_seen_at is None or at - worker_seen_at > WORKER_GONE_AFTER,
    )


def gaps(session: Session, office_ids: Collection[int]) -> list[KnownGap]:
    """What no walk could cover and nobody has looked at, the oldest first."""
    query = sa.select(KnownGap).where(KnownGap.office_id.in_(office_ids), KnownGap.settled_at.is_(None))
    return list(session.scalars(query.order_by(KnownGap.id)))


def gap(session: Session, office_id: int, gap_id: int) -> KnownGap:
    """A gap of the office; raises Missing for anybody else's."""
    found = session.get(KnownGap, gap_id)
    if found is None or found.office_id != office_id:
        raise Missing
    return found


def late_after(interval: timedelta) -> timedelta:
    """How long a stream may go unchecked before everybody is told."""
    return max(LATE_AFTER, LATE_INTERVALS * interval)


_CONNECTED: Final = (State.ACTIVE, State.PAUSED, State.NEEDS_YOU)
_STREAMS: Final = (
    sa.select(
        Account.state,
        Account.first_refused_at,
        Stream.interval,
        Stream.added_at,
        Stream.failing_since,
        Account.office_id,
        Account.id.label("account_id"),
        Stream.id.label("stream_id"),
        Account.channel,
        Account.name.label("account"),
        Stream.name.label("stream"),
        Stream.is_junk,
        Stream.trouble,
        Stream.trouble_kind,
        Stream.next_at,
        Stream.last_good_at,
        Stream.caught_up_at,
        Stream.last_item_at,
        Stream.waiting,
    )
    .join(Stream, Stream.account_id == Account.id)
    .where(Stream.is_wanted)
)


def _alarm() -> sa.Select[Any]:
    """Put together once, as every page asks it."""
    offices: sa.BindParameter[int] = sa.bindparam("offices", expanding=True)
    late = sa.bindparam("late", type_=Instant())
    here = (Account.office_id.in_(offices), Account.state.in_([State.ACTIVE, State.NEEDS_YOU]))
    unchecked = sa.func.coalesce(Stream.last_good_at, Stream.added_at) < late
    troubled = _STREAMS.where(*here, sa.or_(Account.state == State.NEEDS_YOU, unchecked))
    rows = troubled.order_by(Account.id, Stream.id).subquery()
    checked_at = (
        sa.select(sa.func.min(Stream.last_good_at))
        .join(Account, Account.id == Stream.account_id)
        .where(*here, Stream.is_wanted, Stream.last_good_at >= late)
    )
    seen_at = sa.select(sa.func.max(Heartbeat.seen_at))
    once = sa.select(sa.literal(1).label("once")).subquery()
    return sa.select(
        seen_at.scalar_subquery().label("worker_seen_at"), checked_at.scalar_subquery().label("checked_at"), rows
    ).select_from(once.outerjoin(rows, sa.true()))


_ALARM: Final = _alarm()
_JUDGED_BY: Final = ("state", "first_refused_at", "interval", "added_at", "failing_since")


def _health(row: sa.RowMapping, at: datetime) -> StreamHealth:
    state, first_refused_at, interval, added_at, failing_since = (row[name] for name in _JUDGED_BY)
    checked_at: datetime = row["last_good_at"] or added_at
    since: datetime | None
    if state is State.PAUSED:
        found, since = Health.PAUSED, row["last_good_at"]
    elif state is State.NEEDS_YOU:
        found, since = Health.NEEDS_YOU, first_refused_at or failing_since
    elif at - checked_at > late_after(interval):
        found, since = Health.LATE, checked_at
    elif failing_since is not None:
        found, since = Health.FAILING, failing_since
    else:
        found, since = Health.OK, row["last_good_at"]
    shown = {one.name: row[one.name] for one in fields(StreamHealth) if one.name not in {"health", "since"}}
    return StreamHealth(health=found, since=since, **shown)
