"""Reading a backup: all of it, to see whether it is whole, or into an empty install on either database.

The rows are one transaction, committed when the manifest has been compared, the keys are in place, and whatever was
erased since the backup was made is erased again: until then the install is empty, and after a failure it still is.
Bytes that were put by then are orphans, which the sweep of the store removes.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import BadGzipFile
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, Final

import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.schema import AddConstraint, DropConstraint

from app import secrets
from app.backup import rows
from app.backup.archive import ABOUT, ERASURES, IN_MEMORY, KEYS, ROWS, STORE, Contents, Member, Reader, Show
from app.backup.envelope import Key, opened
from app.backup.making import FORMAT
from app.backup.settling import index_words, settle
from app.db import Database, migrate, newest_revision
from app.deployment import keys_folder, open_database
from app.errors import Problem
from app.keys.fitting import write
from app.retention import ledger
from app.retention.actions import Repeated, purge, repeat
from app.secrets import Keys
from app.settings import Settings
from app.store import Store, open_store

_AT_ONCE: Final = 64  # objects put together
_HELD: Final = 16 * 1024 * 1024  # bytes of them, at most about this
_NOT_OURS: Final = (ValueError, LookupError, TypeError, EOFError, BadGzipFile, zlib.error, IntegrityError, DataError)
_STORE_TABLES: Final = ("blob", "blob_chunk")  # a restore that failed may have left bytes there


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What a restore has done: what the backup held, and how many people were erased again."""

    contents: Contents
    erased: int


def verify(file: BinaryIO, key: Key, show: Show | None = None) -> Contents:
    """Read a backup to its end: what it holds.

    Raises Problem where ``key`` does not open it or it is of another version, Damaged with the place.
    """
    with opened(file, key) as plain:
        reader = Reader(plain, show)
        for member in reader.members():
            if member.name == ABOUT:
                _readable(json.loads(member.content()))
        return reader.contents


def restore(settings: Settings, file: BinaryIO, key: Key, show: Show | None = None) -> Restored:
    """Fill the empty install that ``settings`` name.

    Raises Problem where it is not empty, or the backup will not do: the install is as empty then as it was.
    """
    database = open_database(settings)
    try:
        _must_be_empty(database)
        with opened(file, key) as plain:
            return _Restore(settings, database, Reader(plain, show)).run()
    finally:
        database.close()


@dataclass(slots=True)
class _Restore:
    """A restore under way."""

    settings: Settings
    database: Database
    reader: Reader
    keys: Keys | None = None
    erasures: str = ""
    rows: Counter[str] = field(default_factory=Counter)  # table → how many were inserted
    waiting: list[tuple[int, str, bytes]] = field(default_factory=list)  # objects to put together

    def run(self) -> Restored:
        members = self.reader.members()
        self._begin(next(members))
        migrate(self.database)
        store = open_store(self.database, self.settings.data)
        with self.database.transaction() as session:
            with _without_references(session):
                for member in members:
                    self._take(session, store, member)
                self._put(store)
            repeated = self._finish(session)
        purge(self.database, store, repeated.hashes)
        return Restored(contents=self.reader.contents, erased=repeated.people)

    def _begin(self, member: Member) -> None:
        """Raises Problem where what comes first does not say that this version can read the rest."""
        if member.name != ABOUT:
            raise Problem("This is not a backup of Postbag.")
        _readable(json.loads(member.content()))

    def _take(self, session: Session, store: Store, member: Member) -> None:
        """Raises Problem where a member is whole, and yet nothing that ``making`` writes: somebody else made it."""
        try:
            self._put_in_place(session, store, member)
        except _NOT_OURS as error:
            raise Problem(
                "The backup has something in %(name)s that does not belong there.", name=member.name
            ) from error

    def _put_in_place(self, session: Session, store: Store, member: Member) -> None:
        if member.name.startswith(STORE):
            self._object(store, member)
        elif member.name.startswith(ROWS):
            table = member.name.split("/")[1]
            self.rows[table] += _load(session, table, member.content())
        elif member.name == KEYS:
            self.keys = self._fitting(member.content().decode())
        elif member.name == ERASURES:
            self.erasures = member.content().decode()

    def _fitting(self, text: str) -> Keys:
        """The backup's keys; raises Problem where others lie in the data folder already."""
        folder = keys_folder(self.settings)
        made = secrets.from_text(text, Path(KEYS))
        if secrets.found(folder) not in {None, made}:
            raise Problem(
                "There are other keys in %(path)s than in the backup. Restore into an empty data folder.",
                path=secrets.key_file(folder),
            )
        return made

    def _object(self, store: Store, member: Member) -> None:
        office_id, sha256 = int(member.name.split("/")[1]), member.name.split("/")[2]
        if member.size > IN_MEMORY:
            with _spooled(self.settings.data, member) as path:
                store.put(office_id, path)
            return
        self.waiting.append((office_id, sha256, member.content()))
        if len(self.waiting) >= _AT_ONCE or sum(len(content) for _, _, content in self.waiting) > _HELD:
            self._put(store)

    def _put(self, store: Store) -> None:
        for office_id in {office_id for office_id, _, _ in self.waiting}:
            store.put_all(office_id, [content for of, _, content in self.waiting if of == office_id])
        self.waiting.clear()

    def _finish(self, session: Session) -> Repeated:
        """What comes after the rows: doubts, erasures, words, keys."""
        if self.keys is None:
            raise Problem("The backup holds no keys.")
        if self.rows != Counter(self.reader.contents.rows):
            raise Problem("The backup does not hold as many rows as it says.")
        _count_on(session)
        settle(session)
        repeated = repeat(session, self.keys.ids, self._every_erasure())
        index_words(session)
        write(session, self.keys)
        secrets.put(keys_folder(self.settings), self.keys)
        return repeated

    def _every_erasure(self) -> list[ledger.Erasure]:
        """Those of the backup, and those that were noted since; the list here holds all of them afterwards."""
        folder = self.settings.erasures_folder
        here = list(ledger.read(ledger.text(folder)))
        missing = [erasure for erasure in ledger.read(self.erasures) if erasure not in here]
        if missing:
            ledger.append(folder, missing)
        return sorted([*here, *missing], key=lambda erasure: erasure.moment)


def _readable(about: dict[str, Any]) -> None:
    """Raises Problem where the backup was made by a version whose tables are others."""
    if about.get("format") != FORMAT or about.get("revision") != newest_revision():
        raise Problem(
            "This backup was made by another version of Postbag (tables %(theirs)s, here %(ours)s). Restore it with "
            "that version, then upgrade.",
            theirs=about.get("revision"),
            ours=newest_revision(),
        )


def _must_be_empty(database: Database) -> None:
    """Raises Problem where the database has a row of anybody's."""
    with database.reading() as session:
        known = set(sa.inspect(session.connection()).get_table_names())
        for table in (*rows.tables(), *rows.left_out()):
            if table.name not in known or table.name in _STORE_TABLES:
                continue
            if session.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                raise Problem(
                    "The database is in use: there is something in its table %(table)s. A backup is restored into "
                    "an empty data folder, or an empty PostgreSQL database.",
                    table=table.name,
                )


def _load(session: Session, name: str, part: bytes) -> int:
    known = {table.name: table for table in rows.tables()}
    if name not in known:
        raise Problem("The backup has rows of a table that is not known here: %(table)s.", table=name)
    return rows.load(session, known[name], part)


@contextmanager
def _without_references(session: Session) -> Iterator[None]:
    """Rows may point to rows that come later; at the end all of it is checked at once, and an error raised."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(sa.text("PRAGMA defer_foreign_keys = ON"))
        yield
        return
    keys = [key for table in rows.tables() for key in table.foreign_key_constraints]
    for key in keys:
        session.execute(DropConstraint(key))
    yield
    for key in keys:
        session.execute(AddConstraint(key))


def _count_on(session: Session) -> None:
    """Give out ids after the highest that was restored. SQLite does so by itself."""
    if session.get_bind().dialect.name == "sqlite":
        return
    for table in rows.tables():
        column = table.autoincrement_column
        if column is not None:
            newest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
            sequence = sa.func.pg_get_serial_sequence(f'"{table.name}"', column.name)
            session.execute(sa.select(sa.func.setval(sequence, newest, sa.false())))


@contextmanager
def _spooled(data: Path, member: Member) -> Iterator[Path]:
    """A large object in a file of its own, for as long as it is put."""
    folder = data / "spool"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / f"restored-{token_hex(8)}"
    try:
        with path.open("xb") as file:
            file.writelines(member.chunks)
        yield path
    finally:
        path.unlink(missing_ok=True)
