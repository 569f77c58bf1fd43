"""Lines to platforms that are kept open.

Signing in costs more than asking, so a connection outlives the job that dialled it.

One thread at a time holds a connection. It is hung up after an error, when it has been idle, or when the account's
credentials changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from connectors import Connection

IDLE_SECONDS = 25 * 60.0  # IMAP servers may hang up after 30 minutes (RFC 9051 section 5.4)


@dataclass(slots=True)
class _Kept:
    version: int
    connection: Connection
    used_at: float


@dataclass(slots=True)
class Lines:
    """The connections of one process, by account."""

    _idle: dict[int, list[_Kept]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def use(self, account_id: int, version: int, dial: Callable[[], Connection]) -> Iterator[Connection]:
        """A connection for the length of the block.

        ``dial`` makes one where none of this ``version`` of the credentials is kept.
        """
        connection = self._take(account_id, version) or dial()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._keep(account_id, version, connection)

    def drop(self, account_id: int) -> None:
        """Hang up every idle connection of an account."""
        with self._lock:
            dropped = self._idle.pop(account_id, [])
        for kept in dropped:
            kept.connection.close()

    def hang_up_idle(self, older_than: float = IDLE_SECONDS) -> None:
        """Hang up what nobody has used for ``older_than`` seconds."""
        limit = monotonic() - older_than
        with self._lock:
            stale = [kept for idle in self._idle.values() for kept in idle if kept.used_at < limit]
            self._idle = {
                key: fresh
                for key, idle in self._idle.items()
                if (fresh := [kept for kept in idle if kept.used_at >= limit])
            }
        for kept in stale:
            kept.connection.close()

    def close(self) -> None:
        """Hang up everything."""
        self.hang_up_idle(older_than=-1.0)

    def _take(self, account_id: int, version: int) -> Connection | None:
        with self._lock:
            idle = self._idle.pop(account_id, [])
            usable = [kept for kept in idle if kept.version == version]
            taken = usable.pop() if usable else None
            if usable:
                self._idle[account_id] = usable
        for kept in idle:
            if kept.version != version:
                kept.connection.close()
        return taken.connection if taken else None

    def _keep(self, account_id: int, version: int, connection: Connection) -> None:
        with self._lock:
            self._idle.setdefault(account_id, []).append(_Kept(version, connection, monotonic()))
