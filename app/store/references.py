"""What of the store is still named.

Every column of every table counts whose name ends in ``sha256``: a new table is never forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from app.db import Base, Database, load_models
from app.store.models import Blob, BlobChunk

_OWN = {Blob.__tablename__, BlobChunk.__tablename__}
_AT_ONCE = 10_000  # rows


def named(database: Database, office_id: int) -> Iterator[str]:
    """The hashes that rows of an office name, some of them several times; read as they are asked for."""
    load_models()
    columns = [
        (table, column)
        for table in Base.metadata.sorted_tables
        if table.name not in _OWN and "office_id" in table.columns
        for column in table.columns
        if column.name.endswith("sha256")
    ]
    with database.reading() as session:
        for table, column in columns:
            query = sa.select(column).where(table.columns.office_id == office_id)
            with session.scalars(query.execution_options(yield_per=_AT_ONCE)) as hashes:
                yield from hashes
