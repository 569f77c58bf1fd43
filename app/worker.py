"""Every kind of background work and who does it, and the worker that has it done."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog

from app import jobs
from app.audit import sealing
from app.cases import clocks
from app.cases.actions import recompute
from app.channels.models import Account, Heartbeat, Stream
from app.channels.signing_in import sign_in, under_way
from app.channels.trying import try_account
from app.clock import now
from app.deployment import Deployment
from app.intake.again import fetch_again
from app.intake.listening import Listening
from app.intake.poll import POLLED, poll_account
from app.intake.reading import sweep_spool
from app.intake.take import take_sightings
from app.jobs import Handler, Kind
from app.jobs.engine import LEASE, open_engine
from app.jobs.periodic import Recurring, defer_due
from app.jobs.running import describe
from app.messages.models import Reading, Sighting
from app.messages.pictures import fetch_pictures
from app.notices.sending import mail_link, send_notice
from app.notices.watching import watch_health
from app.office.queries import rules
from app.replies.models import Reply, Sending
from app.replies.outbox import file_copy, probe_reply, send_reply
from app.store.references import named

_BEATS = 4  # heartbeats within a lease
_FORGET_AFTER = timedelta(days=7)  # heartbeats of workers that are no more
_RECOMPUTED_AT_ONCE = 100  # cases
_ORPHANED_AFTER = timedelta(days=1)  # longer than any transaction between putting bytes and naming them
_log = structlog.stdlib.get_logger(__name__)


# ── Work that belongs to no one domain ──────────────────────────────────────────────────────────────────────


def recompute_dates(deployment: Deployment, office_id: int) -> None:
    """The calendar of an office changed: its open dates anew, a few cases at a time, so that nobody is kept waiting."""
    with deployment.database.reading() as session:
        case_ids = clocks.outdated(session, rules(session, office_id))
    for first in range(0, len(case_ids), _RECOMPUTED_AT_ONCE):
        with deployment.database.transaction() as session:
            recompute(session, office_id, case_ids[first : first + _RECOMPUTED_AT_ONCE], now())
    with deployment.database.transaction() as session:
        clocks.excuse(session, rules(session, office_id))


def watch_clocks(deployment: Deployment, _: int) -> None:
    """What becomes otherwise by time alone: a platform's window for answers closes, and the pledge leads again."""
    with deployment.database.transaction() as session:
        clocks.windows_ended(session, at=now())


def seal_audit(deployment: Deployment, _: int) -> None:
    """Seal the trail of every office."""
    sealing.seal(deployment.database, deployment.keys.audit)


def sweep_store(deployment: Deployment, _: int) -> None:
    """Remove bytes that nothing names, and what was left half done. Age counts by the wall clock, as the disk does."""
    before = datetime.now(UTC) - _ORPHANED_AFTER
    removed = deployment.store.sweep(before, lambda office_id: named(deployment.database, office_id))
    _log.info("store swept", removed=removed, left_half_done=sweep_spool(deployment.host.spool, before))


def keep_going(deployment: Deployment, _: int) -> None:
    """Have everything wait that should: after a restored backup, or a parked job, nothing stands still for good."""
    next_at = sa.func.min(Stream.next_at)
    polls = sa.select(Account.id, next_at).outerjoin(Stream, sa.and_(Stream.account_id == Account.id, Stream.is_wanted))
    polls = polls.where(Account.state.in_(POLLED)).group_by(Account.id)
    unread = sa.select(Sighting.account_id).where(Sighting.state == Reading.WAITING).distinct()
    going = sa.select(Reply.id, Reply.retry_at, Reply.send_at).where(Reply.state.in_([Sending.QUEUED, Sending.SENDING]))
    with deployment.database.transaction() as session:
        for account_id, at in session.execute(polls).all():
            jobs.defer(session, Kind.POLL_ACCOUNT, account_id, at)
        for account_id in under_way(session):
            jobs.defer(session, Kind.SIGN_IN, account_id)
        for account_id in session.scalars(unread).all():
            jobs.defer(session, Kind.TAKE_SIGHTINGS, account_id)
        for reply_id, retry_at, send_at in session.execute(going).all():
            jobs.defer(session, Kind.SEND_REPLY, reply_id, retry_at or send_at)
        for office_id in clocks.offices_outdated(session):
            jobs.defer(session, Kind.RECOMPUTE_DATES, office_id)


HANDLERS: Mapping[Kind, Handler] = {
    Kind.TRY_ACCOUNT: try_account,
    Kind.SIGN_IN: sign_in,
    Kind.POLL_ACCOUNT: poll_account,
    Kind.TAKE_SIGHTINGS: take_sightings,
    Kind.FETCH_AGAIN: fetch_again,
    Kind.SEND_REPLY: send_reply,
    Kind.PROBE_REPLY: probe_reply,
    Kind.FILE_COPY: file_copy,
    Kind.FETCH_PICTURES: fetch_pictures,
    Kind.RECOMPUTE_DATES: recompute_dates,
    Kind.WATCH_CLOCKS: watch_clocks,
    Kind.SEND_NOTICE: send_notice,
    Kind.MAIL_LINK: mail_link,
    Kind.WATCH_HEALTH: watch_health,
    Kind.SEAL_AUDIT: seal_audit,
    Kind.SWEEP_STORE: sweep_store,
    Kind.KEEP_GOING: keep_going,
}
RECURRING = (
    Recurring(Kind.WATCH_CLOCKS, timedelta(minutes=1)),
    Recurring(Kind.SEAL_AUDIT, timedelta(minutes=1)),
    Recurring(Kind.WATCH_HEALTH, timedelta(minutes=1)),
    Recurring(Kind.KEEP_GOING, timedelta(minutes=10)),
    Recurring(Kind.SWEEP_STORE, timedelta(days=1), offset=timedelta(hours=3)),
)


# ── The worker ──────────────────────────────────────────────────────────────────────────────────────────────


class Worker:
    """Does what is due: ``start`` and ``stop`` beside a web server, ``run`` in a process of its own.

    A thread of its own writes the heartbeat that every page looks at, keeps the leases, defers what recurs, hangs up
    lines that have been idle and has the accounts listened to that tell of news.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        handlers: Mapping[Kind, Handler] = HANDLERS,
        recurring: Sequence[Recurring] = RECURRING,
        lease: timedelta = LEASE,
    ) -> None:
        self._deployment = deployment
        self._engine = open_engine(deployment, handlers, threads=deployment.settings.workers, lease=lease)
        self._listening = Listening(deployment)
        self._recurring = recurring
        self._pause = lease.total_seconds() / _BEATS
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._started_at = now()
        self._stop = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="worker", daemon=True)

    def start(self) -> None:
        """Begin; comes back at once. The tables are there already."""
        self._engine.start()
        self._tending.start()
        _log.info("worker started", worker=self._name)

    def stop(self) -> None:
        """Claim nothing more, and come back when what is being done has ended. The rest waits for the next start."""
        self._engine.stop()  # its leases are kept meanwhile
        self._stop.set()
        if self._tending.is_alive():
            self._tending.join()
        self._listening.stop()
        _log.info("worker stopped", worker=self._name)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked.set())
        self.start()
        asked.wait()
        self.stop()

    def _tend(self) -> None:
        is_away = False
        while True:
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - the outer loop of the worker: it beats on whatever happens
                if not is_away:
                    _log.error("heart does not beat", trouble=describe(error))  # said once, until it does again
                is_away = True
            else:
                is_away = False
            if self._stop.wait(self._pause):
                return

    def _beat(self) -> None:
        if self._engine.is_working():
            self._show_life()
        self._engine.tend()
        defer_due(self._deployment.database, self._recurring)
        self._deployment.lines.hang_up_idle()
        self._listening.follow()

    def _show_life(self) -> None:
        at = now()
        with self._deployment.database.transaction() as session:
            session.merge(Heartbeat(worker=self._name, started_at=self._started_at, seen_at=at))
            session.execute(sa.delete(Heartbeat).where(Heartbeat.seen_at < at - _FORGET_AFTER))
