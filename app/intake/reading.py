"""From the bytes in the store to an item that can be kept: read, made safe, its files put away. No transaction is open.

Pure but for the store, so that it can be done again after an upgrade. A size guard stands before the reader, which
works in a process of its own (``app.messages.apart``) and bounds what it looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Final

from app.deployment import Deployment
from app.messages.apart import reading
from app.messages.reader import Found
from app.messages.sanitise import Clean
from connectors import Connector, Item, Raw, Unreadable

LARGEST: Final = 200 * 1024 * 1024  # bytes of one raw item; a larger one is kept and not read
IN_MEMORY: Final = 1024 * 1024  # larger ones are read from a file of the spool folder


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sighting to take."""

    id: int
    stream_id: int
    external_id: str
    sha256: str
    size: int
    arrived_at: datetime | None
    fetched_at: datetime
    is_backlog: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A file of a message, its bytes in the store."""

    name: str
    media_type: str
    size: int
    sha256: str
    is_inline: bool
    content_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """An item that only has to be written down: its strings can be stored, its HTML can be shown."""

    item: Item
    shown: Clean
    files: tuple[Kept, ...]


def read(deployment: Deployment, connector: Connector, office_id: int, waiting: Waiting) -> Ready:
    """What a sighting says.

    Raises Unreadable, Missing when its bytes are gone, NoRoom, OSError.
    """
    if waiting.size > LARGEST:
        raise Unreadable(f"This is larger than {LARGEST // 1024 // 1024} MB.")
    spool = deployment.host.spool
    with _raw(deployment, office_id, waiting) as raw, reading(connector.read, raw, spool) as result:
        said = result.said
        hashes = deployment.store.put_all(office_id, result.contents) if result.contents else []
    item = _with_author(said.item, waiting.sha256)
    return Ready(item=item, shown=said.shown, files=tuple(map(_kept, said.files, hashes)))


@contextmanager
def _raw(deployment: Deployment, office_id: int, waiting: Waiting) -> Iterator[Raw]:
    """The bytes as the connector wants them: in memory, or in a file while they are large."""
    if waiting.size <= IN_MEMORY:
        yield Raw(
            external_id=waiting.external_id,
            content=deployment.store.read(office_id, waiting.sha256),
            arrived_at=waiting.arrived_at,
        )
        return
    path = deployment.host.spool / f"raw-{token_hex(8)}"
    try:
        with path.open("xb") as file:
            file.writelines(deployment.store.open(office_id, waiting.sha256))
        yield Raw(external_id=waiting.external_id, content=path, arrived_at=waiting.arrived_at)
    finally:
        path.unlink(missing_ok=True)


def _kept(file: Found, sha256: str) -> Kept:
    return Kept(
        name=file.name,
        media_type=file.media_type,
        size=file.size,
        sha256=sha256,
        is_inline=file.is_inline,
        content_id=file.content_id,
    )


def _with_author(item: Item, sha256: str) -> Item:
    """Who names nobody as its author is somebody of its own: not everybody without a name is one person."""
    if item.author.external_id:
        return item
    return replace(item, author=replace(item.author, external_id=f"unknown:{sha256[:32]}"))


def sweep_spool(spool: Path, before: datetime) -> int:
    """Remove what a process left in the spool folder that was killed over a large item; how many files that were."""
    removed = 0
    for path in spool.iterdir():
        with suppress(FileNotFoundError):  # its own process was quicker
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
                removed += 1
    return removed
