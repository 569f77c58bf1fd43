"""Everything held for an office, as JSON lines: for a hand-over, and so that nobody is locked in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Base, Database, load_models
from app.errors import Missing
from app.office.models import Office
from app.staff.models import Membership, Staff
from app.store import Gone, Store
from app.store.references import named

_SEALED = frozenset({"sealed", "password", "token_hash"})  # never leave, not even sealed
_WORKINGS = frozenset(
    {"access", "blob", "blob_chunk", "search_entry", "sign_in", "mention"}
)  # bytes, indexes, sessions
_PARTS = {"participant": "conversation", "revision": "message"}  # rows of no office themselves, and whose they are
_AT_A_TIME = 500


def rows(session: Session, office_id: int) -> Iterator[dict[str, Any]]:
    """Every row of the office, one mapping each: ``{"table": …, column: value …}``; moments in ISO 8601, UTC.

    Attachments and original messages are named by ``sha256``; ``files`` has their bytes. Raises Missing for no such
    office.
    """
    load_models()
    if session.get(Office, office_id) is None:
        raise Missing("There is no office %(office)s.", office=office_id)
    yield from _table(session, Base.metadata.tables["office"], sa.column("id") == office_id)
    members = sa.select(Membership.staff_id).where(Membership.office_id == office_id)
    people = sa.select(Staff.id, Staff.email, Staff.name).where(Staff.id.in_(members)).order_by(Staff.id)
    for row in session.execute(people):
        yield {"table": "staff", **row._mapping}  # noqa: SLF001 - SQLAlchemy's public name for it
    for table in Base.metadata.sorted_tables:
        if table.name in _PARTS:
            whole = Base.metadata.tables[_PARTS[table.name]]
            ids = sa.select(whole.c.id).where(whole.c.office_id == office_id)
            yield from _table(session, table, table.c[f"{whole.name}_id"].in_(ids))
        elif "office_id" in table.c and table.name not in _WORKINGS:
            yield from _table(session, table, table.c.office_id == office_id)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the bytes: how many files there are now, and the hashes of those that the store has lost."""

    count: int
    lost: tuple[str, ...]


def files(database: Database, store: Store, office_id: int, folder: Path) -> Written:
    """Write every original message, attachment and sent reply of the office into ``folder``, each under its hash.

    What lies there already is not written again, so that a run that was stopped can go on.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    hashes = sorted({sha256 for sha256 in named(database, office_id) if sha256})
    lost = [sha256 for sha256 in hashes if not _written(store, office_id, sha256, folder / sha256)]
    return Written(len(hashes) - len(lost), tuple(lost))


def _written(store: Store, office_id: int, sha256: str, path: Path) -> bool:
    """Whether ``path`` holds the bytes now; it is there whole, or not at all."""
    if path.exists():
        return True
    try:
        chunks = store.open(office_id, sha256)
    except Gone:
        return False
    unfinished = path.with_name(f".{path.name}")
    with closing(chunks), unfinished.open("wb") as file:
        file.writelines(chunks)
    unfinished.replace(path)
    return True


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
