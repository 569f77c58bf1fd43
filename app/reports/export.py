"""Everything held for an office, as JSON lines: for a hand-over, and so that nobody is locked in."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Base
from app.errors import Missing
from app.office.models import Office
from app.staff.models import Membership, Staff
from app.store import Store

_SEALED = frozenset({"sealed", "password", "token_hash", "fs_uniquifier"})  # never leave, not even sealed
_WORKINGS = frozenset({"blob", "blob_chunk", "search_entry", "sign_in", "mention"})  # bytes, indexes, sessions
_AT_A_TIME = 500


def rows(session: Session, office_id: int) -> Iterator[dict[str, Any]]:
    """Every row of the office, one mapping each: ``{"table": …, column: value …}``; moments in ISO 8601, UTC.

    Attachments and original messages are named by ``sha256``; ``files`` has their bytes. Raises Missing for no such
    office.
    """
    if session.get(Office, office_id) is None:
        raise Missing("There is no office %(office)s.", office=office_id)
    yield from _table(session, Base.metadata.tables["office"], sa.column("id") == office_id)
    members = sa.select(Membership.staff_id).where(Membership.office_id == office_id)
    people = sa.select(Staff.id, Staff.email, Staff.name).where(Staff.id.in_(members)).order_by(Staff.id)
    for row in session.execute(people):
        yield {"table": "staff", **row._mapping}  # noqa: SLF001 - SQLAlchemy's public name for it
    for table in Base.metadata.sorted_tables:
        if "office_id" in table.c and table.name not in _WORKINGS:
            yield from _table(session, table, table.c.office_id == office_id)


def files(session: Session, store: Store, office_id: int, folder: Path) -> Iterator[Path]:
    """Write the bytes of every original message and attachment of the office into ``folder``, each under its hash."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("sighting", "file"):
        table = Base.metadata.tables[name]
        hashes = session.scalars(sa.select(table.c.sha256).where(table.c.office_id == office_id).distinct())
        for sha256 in hashes:
            path = folder / sha256
            if not path.exists():
                path.write_bytes(store.read(office_id, sha256))
                yield path


def _table(session: Session, table: sa.Table, condition: sa.ColumnElement[bool]) -> Iterator[dict[str, Any]]:
    columns = [column for column in table.c if column.name not in _SEALED]
    query = sa.select(*columns).where(condition).order_by(*table.primary_key.columns)
    for row in session.execute(query.execution_options(yield_per=_AT_A_TIME)):
        yield {"table": table.name, **{column.name: _plain(value) for column, value in zip(columns, row, strict=True)}}


def _plain(value: Any) -> Any:
    """``value`` as JSON has it."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    return value.hex() if isinstance(value, bytes) else value
