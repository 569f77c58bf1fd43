"""Readers that do what a hostile item makes a reader do; another process finds them here by their names."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

from connectors import Actor, Attachment, Audience, Item, Kind, Raw, Unreadable


def repeats(raw: Raw) -> Item:
    """Says what it was given."""
    return _said(raw.read().decode("utf-8", "surrogateescape"))


def hangs(raw: Raw) -> Item:
    while True:
        time.sleep(len(raw.read()))


def swallows_memory(raw: Raw) -> Item:
    return _said(str(len(bytearray(600 * 1024 * 1024) + raw.read())))


def crashes(raw: Raw) -> Item:
    os.kill(os.getpid(), signal.SIGSEGV)
    return _said(raw.external_id)


def is_killed_once(raw: Raw) -> Item:
    """The first time; ``raw`` names a file that remembers."""
    mark = Path(raw.read().decode())
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return _said("read the second time")


def raises(raw: Raw) -> Item:
    raise ZeroDivisionError(raw.read())


def refuses(raw: Raw) -> Item:
    raise Unreadable(f"This is no {raw.external_id}.")


def fills_the_disk(raw: Raw) -> Item:
    raise OSError(28, raw.external_id)


def babbles(raw: Raw) -> Item:
    os.write(1, b"\xff" * 20)
    return _said(raw.external_id)


def calls_out(raw: Raw) -> Item:
    socket.create_connection(("127.0.0.1", int(raw.read())))
    return _said("")


def looks_around(_: Raw) -> Item:
    return _said(" ".join(f"{name}={value}" for name, value in os.environ.items()))


def says_who_reads(_: Raw) -> Item:
    return _said(str(os.getpid()))


def carries_files(raw: Raw) -> Item:
    """One file for each of the sizes it is given."""
    sizes = map(int, raw.read().split())
    return _said("", *(Attachment(name=f"{size}\0", media_type="x/y", content=b"%PDF" * size) for size in sizes))


def is_not_storable(_: Raw) -> Item:
    return _said("a\0b \ud800", person="p" * 600)


def _said(text: str, *files: Attachment, person: str = "ann@residents.example") -> Item:
    return Item(
        platform_id="<1@a>",
        kind=Kind.MAIL,
        audience=Audience.DIRECT,
        author=Actor(external_id=person),
        text=text,
        reply_text=text,
        html=f"<p onclick='x'>{text}</p>",
        sent_at=None,
        attachments=files,
    )
