"""The store as a folder: ``<office>/<first two of the hash>/<hash>``.

Written beside, synced, then renamed into place.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from io import FileIO
from pathlib import Path

from app.store import CHUNK, Gone, NoRoom, is_no_room

_UNFINISHED = ".new-"
_AT_ONCE = 4


class FolderStore:
    """One folder of one machine; any number of threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = folder / ".lock"
        self._lock.touch(mode=0o600)
        self._synced: set[Path] = set()  # folders of which this process knows that they survive a power cut
        # Kept, as to start threads for the two files of a mail costs as much as to write them; none starts unused.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store")

    def put(self, office_id: int, content: bytes | Path) -> str:
        """See ``Store``."""
        try:
            return self._put(office_id, content)
        except OSError as error:
            if is_no_room(error):
                raise NoRoom from error
            raise

    def put_all(self, office_id: int, contents: Sequence[bytes | Path]) -> list[str]:
        """See ``Store``. The disk syncs together what it is asked to sync at once."""
        if len(contents) < 2:  # noqa: PLR2004 - nothing to do at once
            return [self.put(office_id, content) for content in contents]
        return list(self._threads.map(lambda content: self.put(office_id, content), contents))

    def _put(self, office_id: int, content: bytes | Path) -> str:
        if isinstance(content, bytes):
            sha256 = hashlib.sha256(content).hexdigest()
            if self._is_there(office_id, sha256):
                return sha256
        office = self._folder / f"{office_id:d}"
        self._make(office)
        new = office / f"{_UNFINISHED}{secrets.token_hex(8)}"
        try:
            sha256 = _write(new, content)
            path = self._path(office_id, sha256)
            self._make(path.parent)
            with self._held(fcntl.LOCK_SH) if path.exists() else contextlib.nullcontext():
                new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        return sha256

    def read(self, office_id: int, sha256: str) -> bytes:
        """See ``Store``."""
        try:
            return self._path(office_id, sha256).read_bytes()
        except FileNotFoundError as error:
            raise Gone(sha256) from error

    def open(self, office_id: int, sha256: str) -> Generator[bytes, None, None]:
        """See ``Store``."""
        try:
            file = self._path(office_id, sha256).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise Gone(sha256) from error
        chunks = _chunks(file)
        next(chunks)  # from here on closing it closes the file, whether anybody has read a chunk or not
        return chunks

    def size(self, office_id: int, sha256: str) -> int:
        """See ``Store``."""
        try:
            return self._path(office_id, sha256).stat().st_size
        except FileNotFoundError as error:
            raise Gone(sha256) from error

    def delete(self, office_id: int, sha256: str) -> None:
        """See ``Store``."""
        self._path(office_id, sha256).unlink(missing_ok=True)

    def sweep(self, before: datetime, known: Callable[[int], Iterable[str]]) -> int:
        """See ``Store``. Unfinished files of processes that were killed go too."""
        moment = before.timestamp()
        removed = 0
        for office in sorted(path for path in self._folder.iterdir() if path.name.isdecimal()):
            old = {path.name: path for path in _older(office, moment)}
            if any(not name.startswith(_UNFINISHED) for name in old):
                for sha256 in known(int(office.name)):
                    old.pop(sha256, None)
            removed += sum(self._remove_if_older(path, moment) for path in old.values())
        return removed

    def _is_there(self, office_id: int, sha256: str) -> bool:
        """Whether it lies there already; its age starts anew, so that a sweep under way lets it be."""
        path = self._path(office_id, sha256)
        if not path.exists():
            return False
        with self._held(fcntl.LOCK_SH):
            try:
                os.utime(path)
            except FileNotFoundError:
                return False
        _sync_folder(path.parent)  # whoever put it may have died, or be waiting, before this
        return True

    def _remove_if_older(self, path: Path, moment: float) -> bool:
        with self._held(fcntl.LOCK_EX):
            try:
                if path.stat().st_mtime >= moment:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def _make(self, folder: Path) -> None:
        """Make a folder that survives a power cut; whoever else made it may not have come to that yet."""
        if folder not in self._synced:
            folder.mkdir(exist_ok=True, mode=0o700)
            _sync_folder(folder.parent)
            self._synced.add(folder)

    @contextlib.contextmanager
    def _held(self, how: int) -> Iterator[None]:
        """A put shares this lock; the sweep takes it alone for each file between its last look and the removal."""
        descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _path(self, office_id: int, sha256: str) -> Path:
        name = f"{int(sha256, 16):064x}"  # nothing but a hash becomes a path
        return self._folder / f"{office_id:d}" / name[:2] / name


def _write(path: Path, content: bytes | Path) -> str:
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with _reading(content) as chunks:
            for chunk in chunks:
                digest.update(chunk)
                _write_all(descriptor, chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def _write_all(descriptor: int, chunk: bytes) -> None:
    """A full disk first takes a part, and says so only at the next write."""
    left = memoryview(chunk)
    while left:
        left = left[os.write(descriptor, left) :]


@contextlib.contextmanager
def _reading(content: bytes | Path) -> Iterator[Iterator[bytes]]:
    if isinstance(content, bytes):
        yield iter((content,))
    else:
        with content.open("rb", buffering=0) as file:
            yield iter(lambda: file.read(CHUNK) or b"", b"")


def _chunks(file: FileIO) -> Generator[bytes, None, None]:
    with file:
        yield b""
        while chunk := file.read(CHUNK):
            yield chunk


def _older(office: Path, moment: float) -> Iterator[Path]:
    for path in office.iterdir():
        if path.is_dir():
            yield from (file for file in path.iterdir() if file.stat().st_mtime < moment)
        elif path.stat().st_mtime < moment:
            yield path


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
