"""How Alembic reaches the database and reads the rows.

The program hands over its own connection (``app.db.migrate``); the ``alembic`` command takes the URL of the settings.
Everything is one transaction on both databases: an upgrade happens wholly or not at all.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from alembic import context

from app.db import Base, Database, Instant, load_models
from app.settings import Settings

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext

_LOCK = 0x706F7374  # "post": one process migrates a PostgreSQL, the others wait
_OTHERS = ("procrastinate_", "search_")  # made by SQL of their own in a migration, not by rows


def _is_ours(name: str | None, kind: str, _parents: MutableMapping[Any, Any]) -> bool:
    return kind != "table" or name is None or not name.startswith(_OTHERS)


def _spell(kind: str, value: object, autogen: AutogenContext) -> str | Literal[False]:
    """Migrations outlive the program's own types: they spell what the database has."""
    if kind == "type" and isinstance(value, Instant):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(value, sa.Enum):
        return f"sa.String(length={value.length})"
    if kind == "type" and isinstance(value, sa.BigInteger):
        return 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'
    if kind == "type" and isinstance(value, sa.Interval):
        return f"sa.Interval(native={value.native})"
    if kind == "type" and isinstance(value, sa.JSON):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def _migrate(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=_is_ours,
        render_item=_spell,
        render_as_batch=context.config.attributes.get("alters", True),  # SQLite cannot alter a table: it is made anew
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        context.run_migrations()


load_models()
if (given := context.config.attributes.get("connection")) is not None:
    _migrate(given)
else:
    database = Database(Settings().url)
    with database.engine.begin() as own:
        _migrate(own)
    database.close()
