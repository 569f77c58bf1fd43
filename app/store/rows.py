"""The store as rows of the shared PostgreSQL: every machine sees the same, and one backup holds everything.

Each put is a transaction of its own, committed before the caller's: where that is undone, the bytes are an orphan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from app.db import Database
from app.store import CHUNK, Gone, NoRoom
from app.store.models import Blob, BlobChunk

_DISK_FULL = "53100"  # PostgreSQL, appendix A: disk_full
_OF_THE_WHOLE = sa.literal_column("(xmax = 0)", sa.Boolean())  # the row is new, not one that was there


class RowStore:
    """Any number of machines, threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, office_id: int, content: bytes | Path) -> str:
        """See ``Store``."""
        return self.put_all(office_id, [content])[0]

    def put_all(self, office_id: int, contents: Sequence[bytes | Path]) -> list[str]:
        """See ``Store``. One transaction, in the order of hashes, so that two at once never wait for each other."""
        measured = [_measure(content) for content in contents]
        try:
            with self._database.transaction() as session:
                for (sha256, size), content in sorted(zip(measured, contents, strict=True), key=lambda pair: pair[0]):
                    if _claim(session, office_id, sha256, size):
                        _write(session, office_id, sha256, content)
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == _DISK_FULL:
                raise NoRoom from error
            raise
        return [sha256 for sha256, _ in measured]

    def read(self, office_id: int, sha256: str) -> bytes:
        """See ``Store``."""
        return b"".join(self.open(office_id, sha256))

    def open(self, office_id: int, sha256: str) -> Generator[bytes, None, None]:
        """See ``Store``. Each chunk is a look of its own: no connection is held while a slow reader takes its time."""
        size = self.size(office_id, sha256)
        return (self._chunk(office_id, sha256, position) for position in range(-(-size // CHUNK)))

    def size(self, office_id: int, sha256: str) -> int:
        """See ``Store``."""
        with self._database.reading() as session:
            size = session.scalar(sa.select(Blob.size).where(_is(Blob, office_id, sha256)))
        if size is None:
            raise Gone(sha256)
        return size

    def delete(self, office_id: int, sha256: str) -> None:
        """See ``Store``."""
        with self._database.transaction() as session:
            session.execute(sa.delete(Blob).where(_is(Blob, office_id, sha256)))

    def sweep(self, before: datetime, known: Callable[[int], Iterable[str]]) -> int:
        """See ``Store``."""
        with self._database.reading() as session:
            offices = session.scalars(sa.select(Blob.office_id).distinct().where(Blob.put_at < before)).all()
        return sum(self._sweep(office_id, before, known) for office_id in offices)

    def _sweep(self, office_id: int, before: datetime, known: Callable[[int], Iterable[str]]) -> int:
        is_old = sa.and_(Blob.office_id == office_id, Blob.put_at < before)
        with self._database.reading() as session:
            orphans = set(session.scalars(sa.select(Blob.sha256).where(is_old)))
        orphans.difference_update(known(office_id))
        removed = 0
        for sha256 in orphans:
            with self._database.transaction() as session:
                gone = session.scalar(sa.delete(Blob).where(is_old, Blob.sha256 == sha256).returning(sa.literal(1)))
                removed += gone or 0
        return removed

    def _chunk(self, office_id: int, sha256: str, position: int) -> bytes:
        with self._database.reading() as session:
            where = sa.and_(_is(BlobChunk, office_id, sha256), BlobChunk.position == position)
            chunk = session.scalar(sa.select(BlobChunk.content).where(where))
        if chunk is None:
            raise Gone(sha256)
        return chunk


def _claim(session: Session, office_id: int, sha256: str, size: int) -> bool:
    """Whether the chunks are still to be written. Waits for whoever is putting, or sweeping, the same now."""
    put_at = datetime.now(UTC)
    insert = postgresql.insert(Blob).values(office_id=office_id, sha256=sha256, size=size, put_at=put_at)
    upsert = insert.on_conflict_do_update(index_elements=["office_id", "sha256"], set_={"put_at": put_at})
    return bool(session.scalar(upsert.returning(_OF_THE_WHOLE)))


def _write(session: Session, office_id: int, sha256: str, content: bytes | Path) -> None:
    for position, chunk in enumerate(_chunks(content)):
        row = {"office_id": office_id, "sha256": sha256, "position": position, "content": chunk}
        session.execute(sa.insert(BlobChunk), row)


def _is(kind: type[Blob | BlobChunk], office_id: int, sha256: str) -> sa.ColumnElement[bool]:
    return sa.and_(kind.office_id == office_id, kind.sha256 == sha256)


def _measure(content: bytes | Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    for chunk in _chunks(content):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield from (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
        return
    with content.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            yield chunk
