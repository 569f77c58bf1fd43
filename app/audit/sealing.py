"""The chain over the audit trail: a job seals what was written, ``verify`` finds what was changed since.

A seal has two halves, each an HMAC-SHA256 under a key that lies outside the database. The first is over the line
itself, the second over the first and the seal before it in the office: so a line that was changed is told from one that
is missing.

    line 7  seal = own(7) + link(own(7), seal of 5)
    line 5  seal = own(5) + link(own(5), seal of 4)

What the chain alone cannot show is that its newest lines are gone, or were unsealed and sealed anew: compare ``head``
with one that was printed before.
"""

from __future__ import annotations

import hmac
import json
import time
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.models import AuditLine
from app.db import Database

_AT_ONCE = 500  # lines of one office in one transaction
_HALF = 64  # hex digits of SHA-256
_PATIENCE = 10.0  # seconds to wait for transactions under way; then the next run seals
_LOOK_AGAIN = 0.05


class What(StrEnum):
    """What happened to a line."""

    CHANGED = "changed"
    INSERTED = "inserted"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain of an office breaks first. MISSING: something that stood before line ``line_id`` is not there."""

    line_id: int
    what: What


def seal(database: Database, key: str) -> int:
    """Seal what is not sealed yet, in every office; how many lines that were."""
    newest = _newest_that_nobody_overtakes(database)
    with database.reading() as session:
        unsealed = sa.select(AuditLine.office_id).distinct().where(AuditLine.seal == sa.text("''"))
        offices = session.scalars(unsealed).all()
    return sum(_seal_office(database, key, office_id, newest) for office_id in offices)


def verify(session: Session, key: str, office_id: int) -> Break | None:
    """The first break in the chain of an office (0: of the install), or ``None``. Lines not sealed yet are in order."""
    previous = ""
    suspects: list[sa.Row[Any]] = []  # own half wrong, or none: the next good line tells what happened to them
    with _lines(session, office_id) as lines:
        for line in lines:
            own, link = line.seal[:_HALF], line.seal[_HALF:]
            if not hmac.compare_digest(own, _own(key, line)):
                suspects.append(line)
                continue
            follows = hmac.compare_digest(link, _link(key, own, previous))
            if suspects:
                return Break(suspects[0].id, What.INSERTED if follows else What.CHANGED)
            if not follows:
                return Break(line.id, What.MISSING)
            previous = line.seal
    sealed = any(line.seal for line in suspects)  # at the end: without a seal they only wait for one
    return Break(suspects[0].id, What.CHANGED) if sealed else None


def head(session: Session, office_id: int) -> tuple[int, str]:
    """The newest sealed line of an office and its seal, to be printed where nobody can change it.

    (0, "") before the first.
    """
    sealed = sa.select(AuditLine.id, AuditLine.seal).where(AuditLine.office_id == office_id, AuditLine.seal != "")
    found = session.execute(sealed.order_by(AuditLine.id.desc()).limit(1)).one_or_none()
    return (0, "") if found is None else (found.id, found.seal)


def _seal_office(database: Database, key: str, office_id: int, newest: int) -> int:
    """Seal in the order of ids. What stands unsealed before a sealed line was slipped in: ``verify`` names it."""
    sealed = 0
    while True:
        with database.transaction() as session:
            last_id, previous = head(session, office_id)
            due = sa.select(AuditLine).where(AuditLine.office_id == office_id, AuditLine.id > last_id)
            due = due.where(AuditLine.id <= newest).order_by(AuditLine.id).limit(_AT_ONCE)
            lines = session.scalars(due).all()
            for line in lines:
                own = _own(key, line)
                line.seal = previous = own + _link(key, own, previous)
        sealed += len(lines)
        if len(lines) < _AT_ONCE:
            return sealed


def _newest_that_nobody_overtakes(database: Database) -> int:
    """The newest id below which no line can appear any more.

    SQLite writes one transaction after the other, so that ids come in the order of commits. On PostgreSQL a line may
    get its id early and be committed late. But whoever inserts holds ROW EXCLUSIVE on the table from before the id is
    drawn until the end of the transaction: so note the newest id, note who holds that lock, and wait until all of them
    have let go. Nobody is kept waiting by this.
    """
    newest_id = sa.select(sa.func.coalesce(sa.func.max(AuditLine.id), 0))
    if database.is_sqlite:
        with database.reading() as session:
            return session.scalar(newest_id) or 0
    with database.reading() as session:
        newest = session.scalar(newest_id) or 0
        writing = _writing(session)
    deadline = time.monotonic() + _PATIENCE
    while writing:
        if time.monotonic() > deadline:
            return 0
        time.sleep(_LOOK_AGAIN)
        with database.reading() as session:
            writing &= _writing(session)
    return newest


def _writing(session: Session) -> set[str]:
    """The transactions that have written, or are about to write, to the trail."""
    holders = sa.text("""
        SELECT virtualtransaction FROM pg_locks
        WHERE locktype = 'relation' AND relation = 'audit_line'::regclass AND mode = 'RowExclusiveLock' AND granted
    """)
    return set(session.scalars(holders))


def _lines(session: Session, office_id: int) -> sa.Result[Any]:
    columns = AuditLine.__table__.columns
    query = sa.select(*columns).where(AuditLine.office_id == office_id).order_by(AuditLine.id)
    return session.execute(query.execution_options(yield_per=_AT_ONCE))


def _own(key: str, line: AuditLine | sa.Row[Any]) -> str:
    at = line.at.astimezone(UTC).isoformat(timespec="microseconds")
    words = [line.id, line.office_id, at, line.actor_id, line.verb, line.object_kind, line.object_id, line.facts]
    return _hmac(key, "line", json.dumps(words, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def _link(key: str, own: str, previous: str) -> str:
    return _hmac(key, "link", own, previous)


def _hmac(key: str, *words: str) -> str:
    return hmac.digest(key.encode(), "\0".join(words).encode(), "sha256").hex()
