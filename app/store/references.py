"""What of the store is still named.

Every column of every table counts whose name ends in ``sha256``: a new table is never forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Base, Database, load_models
from app.store.models import Blob, BlobChunk

_OWN = {Blob.__tablename__, BlobChunk.__tablename__}
_AT_ONCE = 10_000  # rows


def named(database: Database, office_id: int) -> Iterator[str]:
    """The hashes that rows of an office name, some of them several times; read as they are asked for."""
    with database.reading() as session:
        for table, column in _columns():
            query = sa.select(column).where(table.columns.office_id == office_id, column != "")
            with session.scalars(query.execution_options(yield_per=_AT_ONCE)) as hashes:
                yield from hashes


def named_anywhere(session: Session) -> Iterator[tuple[int, str]]:
    """Office and hash of all that rows name, as ``session`` sees them: each once, in order, read as it is asked for."""
    each = [sa.select(table.columns.office_id, column).where(column != "") for table, column in _columns()]
    query = sa.union(*each).order_by("office_id", sa.literal_column("2"))
    with session.execute(query.execution_options(yield_per=_AT_ONCE)) as rows:
        yield from (tuple(row) for row in rows)


def still_named(session: Session, office_id: int, hashes: Collection[str]) -> set[str]:
    """Which of a few hashes rows of the office name."""
    found: set[str] = set()
    for table, column in _columns():
        query = sa.select(column).where(table.columns.office_id == office_id, column.in_(hashes))
        found.update(session.scalars(query))
    return found


def _columns() -> list[tuple[sa.Table, sa.Column[str]]]:
    load_models()
    return [
        (table, column)
        for table in Base.metadata.sorted_tables
        if table.name not in _OWN and "office_id" in table.columns
        for column in table.columns
        if column.name.endswith("sha256")
    ]
