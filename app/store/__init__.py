"""Where the bytes of messages and attachments lie, keyed by office and SHA-256.

They are on the disk before the row that names them: a put comes back when the bytes would survive a power cut, and only
then does the caller commit its row. What a crash leaves between is an orphan: nothing names it, and the nightly sweep
removes it once it is old.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from app.db import Database
from app.errors import Missing, Problem

CHUNK = 512 * 1024  # bytes held in memory at once, however large the file
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NoRoom(Problem):
    """The disk, or the quota on it, is full. Nothing was kept."""

    def __init__(self) -> None:
        super().__init__(
            "There is no room left where messages are kept. Free some space: fetching then goes on where it stopped."
        )


class Gone(Missing):
    """The bytes that a row names are not in the store: restored from an incomplete backup, or removed by hand."""

    def __init__(self, sha256: str) -> None:
        super().__init__("The contents of %(sha256)s are not in the store.", sha256=sha256)


class Store(Protocol):
    """Both stores pass one contract suite. Hashes are SHA-256 in lower-case hex."""

    def put(self, office_id: int, content: bytes | Path) -> str:
        """Keep ``content`` and return its hash; kept twice it lies there once.

        Raises NoRoom, or OSError when the disk fails.
        """

    def put_all(self, office_id: int, contents: Sequence[bytes | Path]) -> list[str]:
        """Keep several, much faster than one by one; their hashes in the same order. Raises as ``put`` does.

        When it raises, some of them may lie there: orphans, until they are put again.
        """

    def read(self, office_id: int, sha256: str) -> bytes:
        """The whole of it; raises Missing."""

    def open(self, office_id: int, sha256: str) -> Generator[bytes, None, None]:
        """The same in chunks, for large ones; close it when not read to its end.

        Raises Missing at the call, not at the first chunk.
        """

    def size(self, office_id: int, sha256: str) -> int:
        """Its length in bytes; raises Missing."""

    def delete(self, office_id: int, sha256: str) -> None:
        """Remove it; nothing happens when it is not there."""

    def sweep(self, before: datetime, known: Callable[[int], Iterable[str]]) -> int:
        """Remove what was put before ``before`` and is not among ``known(office_id)``; how many that were.

        What is put again meanwhile stays. ``before`` lies further back than any transaction lasts: a day.
        """


def open_store(database: Database, data: Path) -> Store:
    """A folder in ``data`` beside SQLite; rows where several machines share one PostgreSQL."""
    if database.is_sqlite:
        from app.store.folder import FolderStore

        return FolderStore(data / "store")
    from app.store.rows import RowStore

    return RowStore(database)


def is_no_room(error: OSError) -> bool:
    """Whether the disk refused for want of room."""
    return error.errno in _NO_ROOM
