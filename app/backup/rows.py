"""Rows in a form that belongs to neither database: a JSON object a line, read back by the types of the columns."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Base, Instant, load_models

PART: Final = 1024 * 1024  # bytes of rows in one member
_AT_A_TIME: Final = 100  # rows: a message may have 30 MB
_INSERTED_AT_ONCE: Final = 500
_QUICKLY: Final = 1  # how hard to pack
_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")  # no character at all, and half of one

# What a backup leaves out, and why. A new table belongs into this list, or is in the backup.
WORKINGS: Final = {
    "blob": "the bytes themselves stand in the backup",
    "blob_chunk": "the bytes themselves stand in the backup",
    "heartbeat": "of workers that are not there any more",
    "job": "made anew from the rows: see app.worker.keep_going",
    "key_print": "made anew from the keys",
    "rhythm": "all that recurs is due after a restore",
}


def tables() -> list[sa.Table]:
    """What a backup holds, each table after those that it points to, but for circles."""
    load_models()
    return [table for table in Base.metadata.sorted_tables if table.name not in WORKINGS]


def left_out() -> list[sa.Table]:
    """What it does not hold."""
    load_models()
    return [Base.metadata.tables[name] for name in WORKINGS]


def dump(session: Session, table: sa.Table) -> Iterator[tuple[int, bytes]]:
    """All rows of a table in parts of about a megabyte: how many rows, and the part, packed."""
    query = sa.select(*table.columns).order_by(*table.primary_key.columns)
    lines: list[bytes] = []  # in ASCII: half a character, which JSON can hold, has no other form
    size = 0
    names = [column.name for column in table.columns]
    for row in session.execute(query.execution_options(yield_per=_AT_A_TIME)):
        values = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        lines.append(json.dumps(values, separators=(",", ":")).encode())
        size += len(lines[-1])
        if size >= PART:
            yield len(lines), _packed(lines)
            lines, size = [], 0
    if lines:
        yield len(lines), _packed(lines)


def load(session: Session, table: sa.Table, part: bytes) -> int:
    """Insert the rows of a part; how many. Raises ValueError, LookupError or TypeError where it is none."""
    rows = [_row(table, json.loads(line)) for line in gzip.decompress(part).splitlines()]
    insert = sa.insert(table)
    for first in range(0, len(rows), _INSERTED_AT_ONCE):
        session.execute(insert, rows[first : first + _INSERTED_AT_ONCE])
    return len(rows)


def _packed(lines: Iterable[bytes]) -> bytes:
    return gzip.compress(b"\n".join(lines), _QUICKLY, mtime=0)


def _row(table: sa.Table, values: Mapping[str, Any]) -> dict[str, Any]:
    return {column.name: _value(column.type, values[column.name]) for column in table.columns}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _value(kind: sa.types.TypeEngine[Any], plain: Any) -> Any:
    """What ``_plain`` made ``plain`` of, for a column of this kind."""
    if plain is None:
        return sa.null() if isinstance(kind, sa.JSON) else None  # None would be JSON's own null
    if isinstance(kind, sa.Enum) and kind.enum_class is not None:
        return kind.enum_class(plain)
    read = next((how for of, how in _READ if isinstance(kind, of)), None)
    return _fit(plain) if read is None else read(plain)


def _fit(plain: Any) -> Any:
    """Words as both databases hold them: SQLite takes some that PostgreSQL refuses, and no row must stop a restore."""
    if isinstance(plain, str):
        return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", plain)
    if isinstance(plain, list):
        return [_fit(one) for one in plain]
    return {_fit(name): _fit(one) for name, one in plain.items()} if isinstance(plain, dict) else plain


_READ: Final[tuple[tuple[type[sa.types.TypeEngine[Any]], Callable[[Any], Any]], ...]] = (
    (Instant, datetime.fromisoformat),
    (sa.Interval, lambda plain: timedelta(microseconds=plain)),
    (sa.Date, date.fromisoformat),
    (sa.Time, time.fromisoformat),
    (sa.LargeBinary, base64.b64decode),
)
