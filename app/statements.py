"""Statements that every message runs, handed to the driver itself.

What SQLAlchemy does for each call (look the statement up, adapt its parameters, wrap its result) takes 25 to 40 µs, and
SQLite the statement itself 2 to 5. Where one message runs twenty of them, that is most of what taking it in costs. So
these are put into words once for each database, by SQLAlchemy and with its types, and from then on only the driver is
between them and the database. They run in the transaction of their session, on its connection. What the session still
holds back is not written first: whoever changes rows through both flushes between.

Everything that is not run once a message at least is better off with ``Session.execute``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import Base

Convert = Callable[[Any], Any]


class Statement:
    """One such statement. Its parameters are named; rows come back as plain tuples.

    Raises what SQLAlchemy would: IntegrityError, OperationalError, … without the parameters, which are people's words.
    """

    def __init__(self, statement: sa.Executable, *, postgresql: sa.Executable | None = None) -> None:
        """``postgresql``: how it is said there, where that is something else."""
        self._said = {"sqlite": statement, "postgresql": statement if postgresql is None else postgresql}
        self._worded: dict[str, _Worded] = {}

    def rows(self, session: Session, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What it finds, or what it returns of what it wrote."""
        connection = session.connection()
        worded = self._in(connection.dialect)
        rows: list[tuple[Any, ...]] = _run(connection, worded, worded.bound(given)).fetchall()
        if worded.results is None:
            return rows
        return [_converted(row, worded.results) for row in rows]

    def row(self, session: Session, given: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first of ``rows``."""
        found = self.rows(session, given)
        return found[0] if found else None

    def run(self, session: Session, given: Mapping[str, Any]) -> int:
        """Do it; how many rows that concerned."""
        connection = session.connection()
        worded = self._in(connection.dialect)
        return cast("int", _run(connection, worded, worded.bound(given)).rowcount)

    def run_all(self, session: Session, given: Iterable[Mapping[str, Any]]) -> None:
        """Do it once for each."""
        connection = session.connection()
        worded = self._in(connection.dialect)
        if several := [worded.bound(one) for one in given]:
            _run(connection, worded, several, is_many=True)

    def _in(self, dialect: sa.Dialect) -> _Worded:
        worded = self._worded.get(dialect.name)
        if worded is None:
            worded = self._worded[dialect.name] = _word(self._said[dialect.name], dialect)
        return worded


def insert(session: Session, row: Base) -> None:
    """Write a new row at once and give it its id, past the unit of work.

    The row stays outside the session, which does not notice what becomes of it later: ``update`` does.
    """
    returned = _insert(type(row)).rows(session, row.__dict__)
    if returned:
        row.id = returned[0][0]  # type: ignore[attr-defined]


def insert_all(session: Session, rows: Sequence[Base]) -> None:
    """The same for several rows of one kind; they get no ids."""
    if rows:
        _insert_silently(type(rows[0])).run_all(session, (row.__dict__ for row in rows))


def update(session: Session, row: Base, *columns: str) -> None:
    """Write these columns of a row that ``insert`` has written."""
    _update(type(row), columns).run(session, row.__dict__)


@dataclass(frozen=True, slots=True)
class _Worded:
    """A statement as one driver takes it, what each parameter is made into first, and each column afterwards."""

    sql: str
    fixed: dict[str, Any]  # what the statement itself says, and the defaults of columns; as the driver takes it
    wanted: tuple[tuple[str, Convert | None], ...]
    order: tuple[str, ...] | None  # where the driver takes parameters by their place
    results: tuple[Convert | None, ...] | None  # None: rows are right as they come

    def bound(self, given: Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        """The parameters for one run; raises KeyError when one is missing."""
        values = self.fixed.copy()
        for name, convert in self.wanted:
            if name in given or name not in values:
                value = given[name]
                values[name] = value if convert is None else convert(value)
        return values if self.order is None else [values[name] for name in self.order]


def _word(statement: sa.Executable, dialect: sa.Dialect) -> _Worded:
    compiled = cast("Any", statement).compile(dialect=dialect)
    binds: dict[str, sa.BindParameter[Any]] = {name: bind for bind, name in compiled.bind_names.items()}
    converts = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in binds.items()}
    said = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
    columns = getattr(statement, "exported_columns", ())
    results = tuple(column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns)
    return _Worded(
        sql=compiled.string,
        fixed={name: _as_is(value, converts[name]) for name, value in said.items()},
        wanted=tuple(converts.items()),
        order=tuple(compiled.positiontup) if compiled.positiontup is not None else None,
        results=results if any(results) else None,
    )


def _as_is(value: object, convert: Convert | None) -> object:
    return value if convert is None or value is None else convert(value)


def _converted(row: tuple[Any, ...], converts: tuple[Convert | None, ...]) -> tuple[Any, ...]:
    return tuple(map(_as_is, row, converts))


def _run(connection: sa.Connection, worded: _Worded, parameters: Any, *, is_many: bool = False) -> Any:
    """The cursor after it; the driver's own errors come out as SQLAlchemy's, so that callers know only those."""
    cursor = connection.connection.cursor()
    try:
        if is_many:
            cursor.executemany(worded.sql, parameters)
        else:
            cursor.execute(worded.sql, parameters)
    except connection.dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(
            worded.sql,
            None,
            error,
            connection.dialect.loaded_dbapi.Error,
            hide_parameters=True,
            dialect=connection.dialect,
        ) from error
    return cursor


def _inserting(kind: type[Base]) -> sa.Insert:
    """Every column but an id that the database gives, with the columns' own defaults."""
    table = cast("sa.Table", kind.__table__)
    columns = [column for column in table.c if column is not table.autoincrement_column]
    return sa.insert(table).values({column.name: _parameter(column) for column in columns})


def _parameter(column: sa.Column[Any]) -> sa.BindParameter[Any]:
    if column.default is None and not column.nullable:
        return sa.bindparam(column.name, type_=column.type)  # has to be given
    return sa.bindparam(column.name, getattr(column.default, "arg", None), type_=column.type)


@cache
def _insert(kind: type[Base]) -> Statement:
    gives = cast("sa.Table", kind.__table__).autoincrement_column
    inserting = _inserting(kind)
    return Statement(inserting if gives is None else inserting.returning(gives))


@cache
def _insert_silently(kind: type[Base]) -> Statement:
    return Statement(_inserting(kind))


@cache
def _update(kind: type[Base], columns: tuple[str, ...]) -> Statement:
    table = cast("sa.Table", kind.__table__)
    is_row = table.c.id == sa.bindparam("id", type_=table.c.id.type)
    return Statement(sa.update(table).where(is_row).values({name: sa.bindparam(name) for name in columns}))
