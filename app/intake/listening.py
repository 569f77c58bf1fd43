"""Listening: where a platform tells of news as it comes, a poll is due at once instead of at its next turn.

    follow ─→ one thread an account: connect ─→ wait ─heard─→ the stream is due now, and its poll waits
                                        ↑ └─ the line died: back off ─┘

What is heard is only a hint: the poll decides what is new, under its lease, and comes every five minutes however quiet
it is (``health.WHILE_LISTENED``). So whatever goes wrong here costs minutes and never a message.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice
from time import monotonic
from typing import Final, cast

import sqlalchemy as sa
import structlog

from app import jobs
from app.channels import health
from app.channels.connecting import line
from app.channels.models import Account, State, Stream
from app.clock import now
from app.db import Database, Instant
from app.deployment import Deployment
from app.errors import Problem
from app.jobs.running import describe
from connectors import AuthExpired, ConnectorError, Listens, Misconfigured, PermissionMissing

MOST_ACCOUNTS: Final = 200  # of one process, each a thread and a line for every folder; those beyond are polled
WAIT_SECONDS: Final = 2.0  # at a time, so that stopping takes no longer
STOP_SECONDS: Final = 5.0  # a thread that dials a server which does not answer is left behind
TERM: Final = timedelta(seconds=90)  # for which a stream counts as listened to; renewed well before
_RENEW: Final = TERM / 3

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """An account to listen to. With other credentials, or other streams, it is another one."""

    account_id: int
    version: int
    streams: Mapping[str, int]  # ids by key


class Listening:
    """The listeners of this process. ``follow`` is called every few seconds, by one thread."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._listeners: dict[int, _Listener] = {}
        self._renew_at: datetime | None = None

    def follow(self) -> None:
        """Listen to the accounts that are to be listened to now, and say so for whoever polls them."""
        wanted = self._wanted()
        for account_id, listener in list(self._listeners.items()):
            if listener.wanted != wanted.get(account_id):
                listener.ask_to_stop()
                del self._listeners[account_id]
        for account_id, one in wanted.items():
            if account_id not in self._listeners:
                self._listeners[account_id] = _Listener(self._deployment, one)
        self._renew()

    def stop(self) -> None:
        """Hang up, and let other workers listen; comes back within seconds."""
        for listener in self._listeners.values():
            listener.ask_to_stop()
        until = monotonic() + STOP_SECONDS
        for listener in self._listeners.values():
            listener.join(until - monotonic())
        say(self._deployment.database, self._heard(), None)
        self._listeners.clear()

    def _wanted(self) -> dict[int, Wanted]:
        """The accounts in which letters are waited for, but for what another worker listens to."""
        own = [one for listener in self._listeners.values() for one in listener.wanted.streams.values()]
        with self._deployment.database.reading() as session:
            rows = session.execute(_LISTENABLE, {"at": now(), "own": own}).all()
        accounts = groupby(rows, key=lambda row: (row.account_id, row.credentials_version))
        return {
            account_id: Wanted(account_id=account_id, version=version, streams={row.key: row.stream_id for row in of})
            for (account_id, version), of in islice(accounts, MOST_ACCOUNTS)
        }

    def _heard(self) -> list[int]:
        return [one for listener in self._listeners.values() for one in listener.heard]

    def _renew(self) -> None:
        at = now()
        if self._renew_at is None or self._renew_at <= at:
            say(self._deployment.database, self._heard(), at + TERM)
            self._renew_at = at + _RENEW


class _Listener:
    """The thread that waits for one account. ``heard`` are the ids of the streams that it hears of just now."""

    def __init__(self, deployment: Deployment, wanted: Wanted) -> None:
        self.wanted = wanted
        self.heard: tuple[int, ...] = ()
        self._deployment = deployment
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"listener-{wanted.account_id}", daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """End within seconds."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Comes back when it has ended, after ``seconds`` at the latest."""
        self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 - the outer loop of a thread: whatever happens, it goes on
                if not isinstance(error, ConnectorError | Problem):
                    _log.warning("listening failed", account=self.wanted.account_id, error=describe(error))
                failures = 1 if self.heard else failures + 1
                self._lost()
                self._stop.wait(_pause(error, failures).total_seconds())
            else:
                return

    def _listen(self) -> None:
        """Wait until asked to stop, with no transaction open; raises where the line dies.

        Comes back at once from a channel that does not tell of news.
        """
        with self._deployment.database.reading() as session:
            its_line = line(session, self._deployment, self.wanted.account_id)
        with closing(its_line.dial(self._deployment)) as connection:
            while isinstance(connection, Listens) and not self._stop.is_set():
                keys = connection.wait(self.wanted.streams.keys(), WAIT_SECONDS)
                if not self.heard:
                    self.heard = tuple(self.wanted.streams.values())
                    say(self._deployment.database, self.heard, now() + TERM)
                hint(self._deployment.database, self.wanted.account_id, [self.wanted.streams[key] for key in keys])

    def _lost(self) -> None:
        """Nothing is heard any more: polled now, and at the usual pace until the line is back."""
        heard, self.heard = self.heard, ()
        try:
            say(self._deployment.database, heard, None)
            hint(self._deployment.database, self.wanted.account_id, heard)
        except sa.exc.SQLAlchemyError as error:
            _log.warning("listening not given up", account=self.wanted.account_id, error=describe(error))  # it lapses


def _pause(error: Exception, failures: int) -> timedelta:
    """How long to let a platform alone that cannot be listened to."""
    is_refusal = isinstance(error, AuthExpired | Misconfigured | PermissionMissing | Problem)
    pause = health.WHEN_REFUSED if is_refusal else health.back_off(failures)
    return pause * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load


def hint(database: Database, account_id: int, stream_ids: Collection[int]) -> None:
    """There may be something new in these streams of an account: have them polled now.

    One that the platform has limited waits for the moment that it named all the same.
    """
    if not stream_ids:
        return
    with database.transaction() as session:
        session.execute(_DUE_NOW, {"ids": list(stream_ids), "at": now()})
        jobs.defer(session, jobs.Kind.POLL_ACCOUNT, account_id)


def say(database: Database, stream_ids: Collection[int], until: datetime | None) -> None:
    """Say to all workers that these streams are listened to ``until`` then, or no more."""
    if stream_ids:
        with database.transaction() as session:
            session.execute(_LISTENED, {"ids": list(stream_ids), "until": until})


_STREAMS: Final = cast("sa.Table", Stream.__table__)
_THESE: Final = _STREAMS.c.id.in_(sa.bindparam("ids", expanding=True))
_LISTENED: Final = sa.update(_STREAMS).where(_THESE).values(listened_until=sa.bindparam("until"))
_DUE_NOW: Final = (
    sa.update(_STREAMS).where(_THESE, _STREAMS.c.trouble_kind != "rate_limited").values(next_at=sa.bindparam("at"))
)
# Letters are waited for; what lies in a junk folder, or was sent, has time until its turn.
_LISTENABLE: Final = (
    sa.select(Account.id.label("account_id"), Account.credentials_version, Stream.id.label("stream_id"), Stream.key)
    .join(Stream, Stream.account_id == Account.id)
    .where(
        Account.state == State.ACTIVE,
        Stream.is_wanted,
        ~Stream.is_junk,
        ~Stream.is_ours,
        sa.or_(
            Stream.listened_until.is_(None),
            Stream.listened_until <= sa.bindparam("at", type_=Instant()),
            Stream.id.in_(sa.bindparam("own", expanding=True)),
        ),
    )
    .order_by(Account.id, Stream.id)
)
