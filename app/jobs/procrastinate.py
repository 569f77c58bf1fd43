"""The engine on PostgreSQL, for any number of machines.

Procrastinate queues, locks, wakes by NOTIFY and notices workers that died.

What is ours, and why (docs/decisions/0002-work-that-is-due.md):

* ``put`` is one INSERT … ON CONFLICT on Procrastinate's own index, in the caller's transaction: a clash of its queueing
  lock would abort that transaction, and keeping the earlier time needs the row anyway.
* A job never fails in Procrastinate's eyes: its own retry runs into the queueing lock when the same was deferred
  meanwhile, and then leaves the job running for ever. ``running.settle`` decides, the same for both engines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app.clock import now
from app.deployment import Deployment
from app.jobs.kinds import Kind
from app.jobs.running import STOPPED, Handler, Outcome, Patience, describe, run, settle

if TYPE_CHECKING:
    from procrastinate import App, JobContext
    from procrastinate.worker import Worker

LOOK_AGAIN = 0.5  # seconds; NOTIFY does not tell of what becomes due, nor of a lock that is free again
_BEATS = 4  # heartbeats within a lease
_log = structlog.stdlib.get_logger(__name__)

_PUT = sa.text("""
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
    VALUES (:kind, :kind, :priority, :lock, :lock, CAST(:args AS jsonb), now() + make_interval(secs => :delay))
    ON CONFLICT (queueing_lock) WHERE status = 'todo'
    DO UPDATE SET scheduled_at = least(procrastinate_jobs.scheduled_at, excluded.scheduled_at)
    RETURNING id, xmax = 0 AS is_new
""")
_WAKE = sa.text("SELECT pg_notify(:channel, :payload)")
# What no living worker runs, or what ended as none of our jobs ends by itself (the database went away under it).
_LOST = sa.text("""
    DELETE FROM procrastinate_jobs AS job
    WHERE status IN ('failed', 'aborted', 'cancelled')
    OR status = 'doing' AND (id = ANY(:dropped) OR NOT EXISTS (
        SELECT FROM procrastinate_workers AS worker
        WHERE worker.id = job.worker_id AND worker.last_heartbeat > now() - make_interval(secs => :lease)
    ))
    RETURNING task_name, CAST(args ->> 'key' AS bigint)
""")
_DEAD = sa.text("SELECT procrastinate_prune_stalled_workers_v1(:lease)")
_MINE = sa.text("SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = :worker")


def put(session: Session, kind: str, key: int, run_at: datetime | None) -> None:
    """See ``jobs.defer``. The database's clock counts, so that workers whose clocks differ agree."""
    delay = max(timedelta(0), run_at - now()) if run_at is not None else timedelta(0)
    row = session.execute(
        _PUT,
        {
            "kind": str(kind),
            "priority": Kind(kind).priority if kind in set(Kind) else 0,
            "lock": f"{kind}:{key}",
            "args": json.dumps({"key": key}),
            "delay": delay.total_seconds(),
        },
    ).one()
    if not row.is_new:  # Procrastinate's trigger tells of new rows only
        payload = json.dumps({"type": "job_inserted", "job_id": row.id})
        session.execute(_WAKE, {"channel": f"procrastinate_queue_v1#{kind}", "payload": payload})


class ProcrastinateEngine:
    """Procrastinate's worker in a thread of its own, our handlers in further threads."""

    def __init__(
        self,
        deployment: Deployment,
        handlers: Mapping[Kind, Handler],
        *,
        threads: int,
        lease: timedelta,
        patience: Patience,
    ) -> None:
        logging.getLogger("procrastinate").setLevel(logging.WARNING)  # below it tells of every job, at length
        self._deployment = deployment
        self._database = deployment.database
        self._handlers = handlers
        self._threads = threads
        self._lease = lease
        self._patience = patience
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="jobs", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._running: set[int] = set()
        self._suspects: set[int] = set()

    def start(self) -> None:
        """Begin; comes back at once."""
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more; comes back when what runs has ended."""
        self._stop.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ask_to_stop)
        if self._thread.is_alive():
            self._thread.join()

    def is_working(self) -> bool:
        """Whether it still looks for work."""
        return self._thread.is_alive()

    def tend(self) -> None:
        """Put back what a worker that died was running, and what this one is said to run but does not."""
        lease = self._lease.total_seconds()
        with self._database.transaction() as session:
            found = session.execute(_LOST, {"lease": lease, "dropped": self._dropped(session)}).all()
            for kind, key in found:
                _log.warning("job taken over", job=kind, key=key)
                self._put_back(session, kind, key, STOPPED)
            session.execute(_DEAD, {"lease": lease * 10})

    def _dropped(self, session: Session) -> list[int]:
        """Jobs that the database says we run, twice in a row, and we do not.

        The line broke before Procrastinate could say that they had ended.
        """
        worker = self._worker
        if worker is None or worker.worker_id is None:
            return []
        said = set(session.scalars(_MINE, {"worker": worker.worker_id}))
        suspects = said - self._running
        dropped = suspects & self._suspects
        self._suspects = suspects - dropped
        return sorted(dropped)

    def _ask_to_stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()  # type: ignore[no-untyped-call]

    def _serve(self) -> None:
        asyncio.run(self._keep_working())

    async def _keep_working(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(self._threads, thread_name_prefix="job"))
        is_away = False
        while not self._stop.is_set():
            try:
                await self._work()
                is_away = False
            except Exception as error:  # noqa: BLE001 - the outer loop of the worker: it goes on once the database is back
                if not is_away:
                    _log.error("database away", trouble=describe(error))  # said once, until it is back
                is_away = True
            if not self._stop.is_set():
                await asyncio.sleep(LOOK_AGAIN)

    async def _work(self) -> None:
        from procrastinate.jobs import DeleteJobCondition
        from procrastinate.worker import Worker

        app = self._app()
        async with app.open_async():
            self._worker = Worker(
                app=app,
                queues=[kind.value for kind in self._handlers],  # a queue a kind: none is claimed that we do not know
                name="postbag",
                concurrency=self._threads,
                fetch_job_polling_interval=LOOK_AGAIN,
                delete_jobs=DeleteJobCondition.SUCCESSFUL,
                install_signal_handlers=False,
                update_heartbeat_interval=self._lease.total_seconds() / _BEATS,
                stalled_worker_timeout=self._lease.total_seconds() * 10,
            )
            if not self._stop.is_set():  # no await from here to run(): a request to stop comes before, or reaches it
                await self._worker.run()  # type: ignore[no-untyped-call]

    def _app(self) -> App:
        from procrastinate import App, PsycopgConnector

        url = self._database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        app = App(
            connector=PsycopgConnector(
                conninfo=url, min_size=1, max_size=3, kwargs={"application_name": "postbag jobs"}
            )
        )
        for kind in self._handlers:
            app.task(name=kind.value, queue=kind.value, pass_context=True)(self._task(kind))
        return app

    def _task(self, kind: Kind) -> Callable[..., None]:
        def task(context: JobContext, *, key: int) -> None:
            job_id = context.job.id or 0
            self._running.add(job_id)
            try:
                self._do(kind, key)
            finally:
                self._running.discard(job_id)

        return task

    def _do(self, kind: Kind, key: int) -> None:
        outcome = run(self._deployment, self._handlers[kind], kind, key, self._stop)
        while True:
            try:
                with self._database.transaction() as session:
                    self._put_back(session, kind, key, outcome)
            except sa.exc.SQLAlchemyError:
                if self._stop.wait(LOOK_AGAIN):
                    raise  # the database is away as we stop: the job is done once more
            else:
                return

    def _put_back(self, session: Session, kind: str, key: int, outcome: Outcome) -> None:
        again_at = settle(session, kind, key, outcome, self._patience)
        if again_at is not None:
            put(session, kind, key, again_at)
