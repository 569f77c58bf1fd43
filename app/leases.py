"""Leases: this process works on a row, so others stay away, with no lock held and no transaction open.

A lease is a short term in two columns of the row, ``lease_by`` and ``lease_until``, renewed by a thread for as long as
the process lives. After a kill -9 it lapses within a minute and somebody else may take the row; whoever merely stalled
finds another holder's name there and keeps nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from secrets import token_hex
from time import sleep
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Mapped, MappedAsDataclass, mapped_column

from app.clock import now
from app.db import Database

TERM: Final = timedelta(minutes=1)
_RENEWALS: Final = 4  # within a term
_log = structlog.stdlib.get_logger(__name__)


class Leased(MappedAsDataclass, kw_only=True):
    """A row that one process at a time works on: mixed into its class."""

    if TYPE_CHECKING:
        id: Mapped[int]

    lease_by: Mapped[str] = mapped_column(default="")  # the holder; "" for none
    lease_until: Mapped[datetime | None] = mapped_column(default=None)


def new_holder() -> str:
    """A holder's name, good for one lease."""
    return token_hex(8)


def take(row: Leased, at: datetime) -> str:
    """Take a free or lapsed ``row``, which the caller has locked; the holder's name, good for this one time."""
    row.lease_by, row.lease_until = new_holder(), at + TERM
    return row.lease_by


def is_held(row: Leased, at: datetime) -> bool:
    """Whether somebody works on ``row``, or died less than a term ago."""
    return row.lease_until is not None and row.lease_until > at


def give_back(row: Leased) -> None:
    """Nobody works on ``row`` any more."""
    row.lease_by, row.lease_until = "", None


class Leases:
    """The leases that this process holds, and the thread that renews them.

    It ends when it finds none: most are given back within milliseconds, and starting it costs as much as they do.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: set[tuple[type[Leased], int, str]] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def kept(self, model: type[Leased], row_id: int, holder: str) -> Iterator[None]:
        """Renew a lease that was taken, for the length of the block. It is the block's own work to give it back."""
        lease = (model, row_id, holder)
        with self._lock:
            self._held.add(lease)
            if self._thread is None:
                self._thread = threading.Thread(target=self._tend, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(lease)

    def _tend(self) -> None:
        pause = TERM.total_seconds() / _RENEWALS
        while True:
            sleep(pause)
            with self._lock:
                if not self._held:
                    self._thread = None
                    return
                held = list(self._held)
            try:
                self._renew(held)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again while the terms last
                _log.warning("leases not renewed", trouble=type(error).__name__)

    def _renew(self, held: list[tuple[type[Leased], int, str]]) -> None:
        with self._database.transaction() as session:
            for model, row_id, holder in held:
                its_own = sa.update(model).where(model.id == row_id, model.lease_by == holder)
                session.execute(its_own.values(lease_until=now() + TERM))
