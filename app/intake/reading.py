"""From the bytes in the store to an item that can be kept: read, made safe, its files put away. No transaction is open.

Pure but for the store, so that it can be done again after an upgrade. A size guard stands before the reader; the reader
itself bounds what it looks at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from secrets import token_hex
from typing import Final

from app.deployment import Deployment
from app.messages.sanitise import Clean, media_type, sanitise
from connectors import Actor, Attachment, Connector, Context, Item, Raw, Unreadable

LARGEST: Final = 200 * 1024 * 1024  # bytes of one raw item; a larger one is kept and not read
IN_MEMORY: Final = 8 * 1024 * 1024  # larger ones are read from a file of the spool folder
ID_MOST: Final = 500  # bytes: an index entry of PostgreSQL holds 2,700
PEOPLE_MOST: Final = 500  # addressees that are kept with a message; the rest stand in its original


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

    Raises Unreadable, Missing when its bytes are gone, NoRoom; and whatever else a hostile item makes a reader raise.
    """
    if waiting.size > LARGEST:
        raise Unreadable(f"This is larger than {LARGEST // 1024 // 1024} MB.")
    with _raw(deployment, office_id, waiting) as raw:
        item = connector.read(raw)
    hashes = deployment.store.put_all(office_id, [one.content for one in item.attachments]) if item.attachments else []
    files = tuple(map(_kept, item.attachments, hashes))
    item = _with_author(_storable(replace(item, attachments=())), waiting.sha256)
    return Ready(item=item, shown=sanitise(item.html) if item.html else Clean(html=""), files=files)


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
    path = deployment.host.spool / f"read-{token_hex(8)}"
    try:
        with path.open("xb") as file:
            file.writelines(deployment.store.open(office_id, waiting.sha256))
        yield Raw(external_id=waiting.external_id, content=path, arrived_at=waiting.arrived_at)
    finally:
        path.unlink(missing_ok=True)


def _kept(attachment: Attachment, sha256: str) -> Kept:
    return Kept(
        name=_text(attachment.name),
        media_type=media_type(attachment.content),
        size=len(attachment.content),
        sha256=sha256,
        is_inline=attachment.inline,
        content_id=_text(attachment.content_id),
    )


def _with_author(item: Item, sha256: str) -> Item:
    """Who names nobody as its author is somebody of its own: not everybody without a name is one person."""
    if item.author.external_id:
        return item
    return replace(item, author=replace(item.author, external_id=f"unknown:{sha256[:32]}"))


# What both databases can store.


def _storable(item: Item) -> Item:
    return replace(
        item,
        platform_id=_id(item.platform_id),
        author=_actor(item.author),
        to=_actors(item.to),
        cc=_actors(item.cc),
        reply_to=_actors(item.reply_to),
        subject=_text(item.subject),
        text=_text(item.text),
        reply_text=_text(item.reply_text),
        html=_text(item.html),
        in_reply_to=_id(item.in_reply_to),
        references=tuple(map(_id, item.references)),
        thread_id=_id(item.thread_id),
        context=_context(item.context) if item.context else None,
        url=_text(item.url),
        language=_text(item.language),
        bounced=tuple(map(_id, item.bounced)),
    )


def _actors(actors: tuple[Actor, ...]) -> tuple[Actor, ...]:
    return tuple(map(_actor, actors[:PEOPLE_MOST]))


def _actor(actor: Actor) -> Actor:
    return Actor(
        external_id=_id(actor.external_id), name=_text(actor.name), handle=_text(actor.handle), url=_text(actor.url)
    )


def _context(context: Context) -> Context:
    return replace(
        context,
        external_id=_id(context.external_id),
        author=_text(context.author),
        text=_text(context.text),
        url=_text(context.url),
    )


def _id(name: str) -> str:
    """A platform's id, or the hash of one that no index holds: both ends of a thread come to the same."""
    name = _text(name)
    whole = name.encode()
    return name if len(whole) <= ID_MOST else f"sha256:{hashlib.sha256(whole).hexdigest()}"


def _text(text: str) -> str:
    """``text`` without what PostgreSQL refuses: NUL, and halves of a surrogate pair from a broken charset."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
