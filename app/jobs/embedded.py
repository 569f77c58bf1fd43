"""The engine beside SQLite: rows of ``job``, claimed by the threads of a worker on the same machine.

A claim is a lease that the worker renews while it lives. After a kill -9 the lease lapses and any worker puts the job
back. Whoever defers in the worker's own process wakes it as the transaction commits; what other processes defer is
noticed within a second.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session, aliased

from app.clock import now
from app.deployment import Deployment
from app.jobs.kinds import Kind
from app.jobs.models import Job
from app.jobs.running import STOPPED, Handler, Outcome, Patience, run, settle

LOOK_AGAIN = 1.0  # seconds
_RUNG = "app.jobs.embedded"
_log = structlog.stdlib.get_logger(__name__)


class _Bell:
    """Wakes the threads that wait for work; a ring between a look and the wait is not lost."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.rings = 0

    def ring(self) -> None:
        with self._changed:
            self.rings += 1
            self._changed.notify_all()

    def wait(self, seen: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.rings != seen, timeout=LOOK_AGAIN)


_bells: weakref.WeakValueDictionary[sa.URL, _Bell] = (
    weakref.WeakValueDictionary()
)  # by database; a worker keeps its own


def put(session: Session, kind: str, key: int, run_at: datetime | None) -> None:
    """See ``jobs.defer``."""
    priority = Kind(kind).priority if kind in set(Kind) else 0
    insert = sqlite.insert(Job).values(kind=kind, key=key, priority=priority, run_at=run_at or now())
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["kind", "key"],
            index_where=sa.text("owner IS NULL"),
            set_={"run_at": sa.func.min(Job.run_at, insert.excluded.run_at)},
        )
    )
    session.info[_RUNG] = True


@event.listens_for(Session, "after_commit")
def _wake(session: Session) -> None:
    if _RUNG in session.info and not session.in_nested_transaction():
        del session.info[_RUNG]
        if (bell := _bells.get(session.get_bind().engine.url)) is not None:
            bell.ring()


@dataclass(frozen=True, slots=True)
class _Claim:
    id: int
    kind: Kind
    key: int


class EmbeddedEngine:
    """Threads that do what is due. ``tend`` is to be called several times within each ``lease``."""

    def __init__(
        self,
        deployment: Deployment,
        handlers: Mapping[Kind, Handler],
        *,
        threads: int,
        lease: timedelta,
        patience: Patience,
    ) -> None:
        self._deployment = deployment
        self._database = deployment.database
        self._handlers = handlers
        self._lease = lease
        self._patience = patience
        self._owner = uuid.uuid4().hex
        self._stop = threading.Event()
        self._bell = _bells.setdefault(self._database.engine.url, _Bell())
        self._threads = [
            threading.Thread(target=self._work, name=f"job-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Begin; comes back at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim nothing more; comes back when what runs has ended."""
        self._stop.set()
        self._bell.ring()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def is_working(self) -> bool:
        """Whether it still looks for work."""
        return all(thread.is_alive() for thread in self._threads)

    def tend(self) -> None:
        """Renew the leases of what runs here, and put back what a worker that died was running."""
        is_running = Job.owner.is_not(None)
        with self._database.reading() as session:
            if session.scalar(sa.select(Job.id).where(is_running).limit(1)) is None:
                return
        with self._database.transaction() as session:
            until = _wall() + self._lease
            session.execute(sa.update(Job).where(Job.owner == self._owner).values(lease_until=until))
            lapsed = sa.delete(Job).where(is_running, Job.lease_until < _wall()).returning(Job.kind, Job.key)
            for kind, key in session.execute(lapsed).all():
                _log.warning("job taken over", job=kind, key=key)
                self._put_back(session, kind, key, STOPPED)

    def _work(self) -> None:
        is_away = False
        while not self._stop.is_set():
            seen = self._bell.rings
            try:
                claim = self._claim()
            except sa.exc.SQLAlchemyError as error:
                if not is_away:
                    _log.error("database away", trouble=type(error).__name__)  # said once, until it is back
                is_away = True
                self._stop.wait(LOOK_AGAIN)
                continue
            if is_away:
                _log.info("database back")
                is_away = False
            if claim is None:
                self._bell.wait(seen)
            else:
                self._do(claim)

    def _claim(self) -> _Claim | None:
        wanted = self._wanted()
        with self._database.reading() as session:  # looking takes no lock; only a find does
            if session.scalar(wanted) is None:
                return None
        with self._database.transaction() as session:
            claim = (
                sa.update(Job)
                .where(Job.id == wanted.scalar_subquery())
                .values(owner=self._owner, lease_until=_wall() + self._lease)
                .returning(Job.id, Job.kind, Job.key)
            )
            found = session.execute(claim).one_or_none()
        return None if found is None else _Claim(found.id, Kind(found.kind), found.key)

    def _wanted(self) -> sa.Select[Any]:
        """The id of what is to be done next."""
        running = aliased(Job)
        same = sa.and_(running.owner.is_not(None), running.kind == Job.kind, running.key == Job.key)
        return (
            sa.select(Job.id)
            .where(Job.owner.is_(None), Job.run_at <= now(), Job.kind.in_([kind.value for kind in self._handlers]))
            .where(~sa.exists().where(same))
            .order_by(Job.priority.desc(), Job.run_at, Job.id)
            .limit(1)
        )

    def _do(self, claim: _Claim) -> None:
        outcome = run(self._deployment, self._handlers[claim.kind], claim.kind, claim.key, self._stop)
        while True:
            try:
                with self._database.transaction() as session:
                    mine = sa.delete(Job).where(Job.id == claim.id, Job.owner == self._owner)
                    session.execute(mine)
                    self._put_back(session, claim.kind, claim.key, outcome)
            except sa.exc.SQLAlchemyError:  # locked, or the disk is full: the work is done, only to say so is not
                if self._stop.wait(LOOK_AGAIN):
                    return  # the lease lapses, and it is done once more
            else:
                return

    def _put_back(self, session: Session, kind: str, key: int, outcome: Outcome) -> None:
        again_at = settle(session, kind, key, outcome, self._patience)
        if again_at is not None:
            put(session, kind, key, again_at)


def _wall() -> datetime:
    return datetime.now(UTC)
