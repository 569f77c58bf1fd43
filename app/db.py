"""The database: engines, the base of every row, and where a transaction outside a request begins and ends."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast, dataclass_transform

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass, Session, mapped_column

_OTHERS_ARE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_BUSY_SECONDS = 60  # reliability.md section 2: "database locked for a minute" is survived
_MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(sa.types.TypeDecorator[datetime]):
    """A moment: aware in Python, UTC in the database. A naive datetime is a mistake and is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """The moment in UTC; raises ValueError for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"a moment needs a time zone: {value!r}"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(
        self,
        value: datetime | None,
        dialect: sa.Dialect,  # noqa: ARG002 - SQLAlchemy's own signature
    ) -> datetime | None:
        """The moment, aware, whatever the driver made of it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


@dataclass_transform(kw_only_default=True, field_specifiers=(mapped_column,))
class Base(MappedAsDataclass, DeclarativeBase, kw_only=True, repr=False):
    """Every row. Words of a fixed list are stored as they are written, so that a person can read the table.

    A row shows which it is and nothing of what is in it: what people wrote does not get into logs by way of ``repr``.
    """

    metadata = sa.MetaData(naming_convention=_NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration
        datetime: Instant(),
        date: sa.Date(),
        dict[str, Any]: JSON,
        list[Any]: JSON,
        StrEnum: sa.Enum(
            StrEnum, native_enum=False, length=24, values_callable=lambda kind: [word.value for word in kind]
        ),
        int: sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.__dict__.get('id', 'without an id')}>"


class Database:
    """One database, reached two ways: to write, and only to read.

    SQLite: a transaction that may write takes the write lock at its beginning, so that it never fails half-way for want
    of it; readers go on meanwhile (WAL). The reading engine refuses to write on both databases.
    """

    def __init__(self, url: str, *, pool_size: int = 16) -> None:
        self.is_sqlite = url.startswith("sqlite")
        options: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 4,
            "pool_timeout": 30,
            "hide_parameters": True,  # what people wrote does not get into logs by way of an error
        }
        if self.is_sqlite:
            options["connect_args"] = {"timeout": _BUSY_SECONDS}
        else:
            options |= {
                "pool_pre_ping": True,
                # Its compiler takes 7 ms and more for a search that takes half of one; no query of ours runs so long.
                "connect_args": {"options": "-c timezone=UTC -c jit=off", "application_name": "postbag"},
            }
        self.engine = sa.create_engine(url, **options)
        if self.is_sqlite:
            self.reader = sa.create_engine(url, **options)
            _prepare_sqlite(self.engine, begin="BEGIN IMMEDIATE", query_only=False)
            _prepare_sqlite(self.reader, begin="BEGIN", query_only=True)
        else:
            # One state for as long as a reader reads, as on SQLite: what an export or a backup holds belongs together.
            self.reader = self.engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")

    def session(self, *, read_only: bool = False) -> Session:
        """A session that nobody has begun yet.

        Whoever asks for one outside a request wants ``transaction`` or ``reading``.
        """
        return Session(self.reader if read_only else self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One step of a job: committed at the end, or undone when it raises."""
        with self.session() as session:
            yield session
            session.commit()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A look at one state of the database; writing raises."""
        with self.session(read_only=True) as session:
            yield session

    def in_use(self) -> int:
        """How many connections are out of the pools now: none may be while a connector speaks."""
        pools = {self.engine.pool, self.reader.pool}
        return sum(cast("sa.QueuePool", pool).checkedout() for pool in pools)

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()
        self.reader.dispose()


def load_models() -> None:
    """Import the rows of every domain, so that ``Base.metadata`` knows all tables."""
    for package in pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}."):
        if package.ispkg and importlib.util.find_spec(f"{package.name}.models"):
            importlib.import_module(f"{package.name}.models")


def migrate(database: Database) -> None:
    """Make the tables what this version needs. Several processes may start at once: one does it, the others wait."""
    if is_migrated(database):
        return
    from alembic import command  # 12 MB that a process which finds everything done never needs
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_migrated(database: Database) -> bool:
    """Whether the newest migration has run."""
    with database.reader.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return False
        return bool(connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == newest_revision())


def newest_revision() -> str:
    """The version of the tables that this program needs; the files of migrations are numbered."""
    return max(path.name.partition("_")[0] for path in _MIGRATIONS.glob("versions/[0-9]*.py"))


def _prepare_sqlite(engine: sa.Engine, *, begin: str, query_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late: at the first write
        cursor = connection.cursor()
        _use_wal(cursor)
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = FULL")  # what intake and the outbox have said is kept is kept
        # Whoever writes looks up single rows, and is to need the same memory however large the file grows.
        cursor.execute(f"PRAGMA cache_size = {-32_000 if query_only else -16_000}")
        cursor.execute(f"PRAGMA mmap_size = {268_435_456 if query_only else 0}")
        cursor.execute(f"PRAGMA query_only = {int(query_only)}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Have readers and the writer go on side by side. Only a file's very first connection changes anything.

    That change is the one thing for which SQLite does not wait when another connection is busy: so we do.
    """
    deadline = monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Not for a disk that is full or fails. The first byte is the primary code: https://sqlite.org/rescode.html
            if error.sqlite_errorcode & 0xFF not in _OTHERS_ARE_BUSY or monotonic() > deadline:
                raise
            sleep(0.05)
        else:
            return
