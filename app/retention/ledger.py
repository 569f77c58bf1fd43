"""The list of erasures, outside the database: what a restore of an older backup has to erase again.

A line each, in a file that only grows; ids, moments and keyed hashes, never a name. It is written, and synced, before
the erasure is committed: where a machine dies in between, a restore erases what somebody had asked to erase.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from app.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Erasure:
    """One of them. ``people``: id and the moment it was first seen, so that a restored id is never taken for another.

    ``marks`` are those of the messages, which stay away even where the restored database never had them.
    """

    at: str
    office_id: int
    people: tuple[tuple[int, str], ...]
    marks: tuple[str, ...]

    @property
    def moment(self) -> datetime:
        """When it was."""
        return datetime.fromisoformat(self.at)


def append(folder: Path, erasures: Iterable[Erasure]) -> None:
    """Add to the list; comes back when it would survive a power cut. Raises OSError where it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = "".join(f"{json.dumps(asdict(erasure))}\n" for erasure in erasures)
    descriptor = os.open(_file(folder), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _cut_what_is_not_whole(descriptor)
        left = lines.encode()
        while left:  # a disk that is nearly full takes a part, and says so at the next one only
            left = left[file.write(left) :]
        os.fsync(descriptor)
    _sync(folder)


def text(folder: Path) -> str:
    """The list as it stands in its file; empty where there is none."""
    try:
        return _file(folder).read_text()
    except FileNotFoundError:
        return ""


def read(text: str) -> Iterator[Erasure]:
    """Its lines. One that a power cut left half written was never committed to, and is passed over.

    Raises Problem where a line in between cannot be read: it may be what somebody must not see again.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            given = json.loads(line)
            people = tuple((int(who), str(seen)) for who, seen in given["people"])
            yield Erasure(
                at=str(given["at"]), office_id=int(given["office_id"]), people=people, marks=tuple(given["marks"])
            )
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and not text.endswith("\n"):
                return
            raise Problem("Line %(number)s of the list of erasures cannot be read.", number=number) from error


def _cut_what_is_not_whole(descriptor: int) -> None:
    """A line that a power cut left without its end goes: what it tells of was never committed."""
    size = os.fstat(descriptor).st_size
    end = size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        end -= 1
    if end < size:
        os.ftruncate(descriptor, end)


def _file(folder: Path) -> Path:
    return folder / "erasures.jsonl"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
