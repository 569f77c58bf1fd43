"""The program that reads what came, in a process of its own: ``python -m app.messages.reader``.

It is asked and answers over its standard input and output (:class:`Frame`), one item after another, and ends when
nobody asks any more. It knows no settings, no keys and no database, opens no line to anywhere, and holds less memory
than the limit it is started with: whatever a mail does to a reader, it does it here. ``apart`` is the side that asks.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import json
import resource
import select
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any, Final, TypedDict

from app.messages.sanitise import Clean, media_type, sanitise
from connectors import Actor, Attachment, Context, Item, Raw, Unreadable

HOME: Final = Path(__file__).resolve().parents[2]
HEAD: Final = struct.Struct(">IQ")  # lengths of the header and of the body of a frame
IN_FRAME: Final = 1024 * 1024  # bytes of files that an answer carries itself; the others go by way of the spool folder
ID_MOST: Final = 500  # bytes: an index entry of PostgreSQL holds 2,700
PEOPLE_MOST: Final = 500  # addressees that are kept with a message; the rest stand in its original
_IDLE_MOST: Final = 120  # seconds without a question

Read = Callable[[Raw], Item]


# ── What is asked and answered ──────────────────────────────────────────────────────────────────────────────


class Question(TypedDict):
    """Which function reads (``module:name``), and what. The bytes follow, unless they lie at ``path``.

    Files too large for the answer are written beside ``spool``, which is the beginning of a path. ``seconds``: a reader
    that takes longer than this has lost its asker, and ends by itself.
    """

    reader: str
    external_id: str
    arrived_at: str | None
    path: str | None
    spool: str
    seconds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A file of an item, its ``media_type`` by its first bytes. Its own bytes: in the body of the answer, in its turn.

    Else in the spool folder, see :func:`spooled`.
    """

    name: str
    media_type: str
    size: int
    is_inline: bool
    content_id: str
    in_answer: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """An item whose strings can be stored and whose HTML can be shown: its own ``html`` and files are taken out."""

    item: Item
    shown: Clean
    files: tuple[Found, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What was said, or why nothing can be said: ``unreadable`` in the channel's words, else what failed and where."""

    said: Said | None = None
    unreadable: str = ""
    failed: str = ""
    where: str = ""
    errno: int = 0
    no_memory: bool = False


def name_of(read: Read) -> str:
    """A reader as another process finds it; raises TypeError for one that is not a plain function of a module."""
    module, name = getattr(read, "__module__", None), getattr(read, "__qualname__", ".")
    if not module or "." in name or getattr(read, "__self__", None) is not None:
        raise TypeError(f"{read!r} cannot be found by name: a channel's read is a function of its module")
    return f"{module}:{name}"


def spooled(spool: str, number: int) -> Path:
    """Where the ``number``-th file of an item lies that its answer does not carry."""
    return Path(f"{spool}.{number}")


def packed(value: object) -> bytes:
    """A question or an answer as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# ── Reading one ─────────────────────────────────────────────────────────────────────────────────────────────


def answer(question: Question, content: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """An :class:`Answer` as JSON, and the bytes of the files that go with it."""
    try:
        arrived_at, path = question["arrived_at"], question["path"]
        raw = Raw(
            external_id=question["external_id"],
            content=Path(path) if path else content,
            arrived_at=datetime.fromisoformat(arrived_at) if arrived_at else None,
        )
        item = _reader(question["reader"])(raw)
        shown = sanitise(item.html) if item.html else Clean(html="")
        files, contents = _laid_out(item.attachments, question["spool"])
        said = {"item": _storable(item), "shown": {"html": shown.html, "remote_hosts": shown.remote_hosts}}
    except MemoryError:
        return {"no_memory": True}, []
    except Unreadable as problem:
        return {"unreadable": _text(str(problem))}, []
    except OSError as error:
        return {"failed": type(error).__name__, "where": _where(error), "errno": error.errno or 0}, []
    except Exception as error:  # noqa: BLE001 - this process is here for whatever a hostile item makes a reader raise
        return {"failed": type(error).__name__, "where": _where(error)}, []
    return {"said": {**said, "files": files}}, contents


@cache
def _reader(name: str) -> Read:
    module, _, function = name.partition(":")
    found: Read = getattr(importlib.import_module(module), function)
    return found


def _laid_out(attachments: tuple[Attachment, ...], spool: str) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Each file as a :class:`Found`; the bytes of the small ones, the others on the disk."""
    files: list[dict[str, Any]] = []
    contents: list[bytes] = []
    left = IN_FRAME
    for number, one in enumerate(attachments):
        in_answer = len(one.content) <= left
        if in_answer:
            contents.append(one.content)
            left -= len(one.content)
        else:
            spooled(spool, number).write_bytes(one.content)
        files.append(
            {
                "name": _text(one.name),
                "media_type": media_type(one.content),
                "size": len(one.content),
                "is_inline": one.inline,
                "content_id": _text(one.content_id),
                "in_answer": in_answer,
            }
        )
    return files, contents


def _where(error: BaseException) -> str:
    """The line of ours that an error came through; its message may hold somebody's words."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(HOME)]
    return f"{Path(ours[-1].filename).relative_to(HOME)}:{ours[-1].lineno}" if ours else ""


# ── What both databases can store ───────────────────────────────────────────────────────────────────────────

_IDS: Final = frozenset(
    {"platform_id", "external_id", "in_reply_to", "references", "thread_id", "bounced"}
)  # what they hold is looked up
_TAKEN_OUT: Final = frozenset({"html", "attachments"})


def _storable(value: Any, name: str = "") -> Any:
    """An item, or what stands in its field ``name``, as JSON: every string can be stored, every id be looked up."""
    if isinstance(value, str):
        return _id(value) if name in _IDS else _text(value)
    if isinstance(value, tuple):
        return [_storable(one, name) for one in (value[:PEOPLE_MOST] if name in {"to", "cc", "reply_to"} else value)]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Item | Actor | Context):
        return {slot: _storable(getattr(value, slot), slot) for slot in value.__slots__ if slot not in _TAKEN_OUT}
    return value


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


# ── The process ─────────────────────────────────────────────────────────────────────────────────────────────


def main(readers: list[str], most_memory: int) -> None:
    """Answer until nobody asks; ``readers`` are the ones to have ready."""
    for name in readers:
        _reader(name)
    _bound(most_memory)
    asks, answers = FileIO(0, "rb"), FileIO(1, "wb")
    _write(answers, b"{}", [])
    while select.select([asks], [], [], _IDLE_MOST)[0] and (frame := _frame(asks)):
        header, content = frame
        question: Question = json.loads(header)
        signal.alarm(question["seconds"])
        said, contents = answer(question, content)
        _write(answers, packed(said), contents)
        signal.alarm(0)
        if "no_memory" in said:
            return  # what is left of it is not worth going on with


def _bound(most_memory: int) -> None:
    """Less memory than the machine has, no core dump with letters in it, no talking to anybody, first to be killed."""
    resource.setrlimit(resource.RLIMIT_DATA, (most_memory, most_memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends when its asker does, not before
    with contextlib.suppress(OSError):  # not on every system
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    sys.addaudithook(_keep_to_oneself)
    gc.collect()
    gc.freeze()


def _keep_to_oneself(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith(("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "ctypes.")):
        raise PermissionError(f"a reader does not use {event}")


def _frame(asks: FileIO) -> tuple[bytes, bytes] | None:
    """The next question, ``None`` when there will be none."""
    head = _exactly(asks, HEAD.size)
    if head is None:
        return None
    lengths = HEAD.unpack(head)
    header, body = _exactly(asks, lengths[0]), _exactly(asks, lengths[1])
    return None if header is None or body is None else (header, body)


def _exactly(asks: FileIO, size: int) -> bytes | None:
    first = asks.read(size)
    if len(first) == size:
        return first
    whole = bytearray(first)
    while first and len(whole) < size:
        first = asks.read(size - len(whole))
        whole += first
    return bytes(whole) if len(whole) == size else None


def _write(answers: FileIO, header: bytes, contents: list[bytes]) -> None:
    size = sum(map(len, contents))
    for piece in (HEAD.pack(len(header), size) + header, *contents):
        left = memoryview(piece)
        while left:
            left = left[answers.write(left) :]


if __name__ == "__main__":
    main(sys.argv[2:], int(sys.argv[1]))
