"""Reading in a process of its own, so that no item can take the office down with it (reliability.md section 3).

A few long-lived processes (``reader``) are kept, each asked by one thread at a time. One that takes too long, needs too
much memory or crashes is ended, its item is Unreadable, and the next item gets a new process. What comes back from
there is checked like anything else from outside.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from time import monotonic
from typing import IO, Final, cast

import structlog
from pydantic import TypeAdapter, ValidationError

from app.messages.reader import HEAD, HOME, IN_FRAME, Answer, Question, Read, Said, name_of, packed, spooled
from app.store import NoRoom, is_no_room
from connectors import Raw, Unreadable

SECONDS: Final = 10  # for one item; ordinary ones take milliseconds
MOST_MEMORY: Final = 512 * 1024 * 1024  # bytes of one process, beside the files it maps
_TRIES: Final = 2  # of an item in whose reading a process died: it may have been killed for another's sake
_ANSWER_MOST: Final = 64 * 1024 * 1024  # bytes of words; the reader's own limits are far below
_STARTING: Final = 60.0  # seconds, on a machine that has much else to do
_PIPE: Final = 1024 * 1024
_CHUNK: Final = 256 * 1024

_numbers = count(1)
_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What was said, and the bytes of its files in their order: in memory, or in a file of the spool folder."""

    said: Said
    contents: tuple[bytes | Path, ...]


@contextmanager
def reading(read: Read, raw: Raw, spool: Path) -> Iterator[Result]:
    """What ``read`` makes of ``raw``, done elsewhere; files of the result lie in ``spool`` until the context ends.

    Raises Unreadable for whatever the item is to blame for, NoRoom when the disk is full, OSError when no process can
    be started.
    """
    question = Question(
        reader=name_of(read),
        external_id=raw.external_id,
        arrived_at=raw.arrived_at.isoformat() if raw.arrived_at else None,
        path=None if isinstance(raw.content, bytes) else str(raw.content.absolute()),
        spool=f"{spool.absolute()}/read-{os.getpid()}-{next(_numbers)}",
        seconds=2 * SECONDS,
    )
    may_have_left = True
    try:
        answer, body = _asked(question, raw.content if isinstance(raw.content, bytes) else b"")
        said = _said(answer)
        may_have_left = not all(file.in_answer for file in said.files)
        yield Result(said, tuple(_contents(said, body, question["spool"])))
    finally:
        if may_have_left:
            for left in spool.glob(f"{Path(question['spool']).name}.*"):
                left.unlink(missing_ok=True)


def _said(answer: Answer) -> Said:
    if answer.said is not None:
        return answer.said
    if answer.unreadable:
        raise Unreadable(answer.unreadable)
    if answer.no_memory:
        raise Unreadable(f"Reading this needs more memory than {MOST_MEMORY // 1024 // 1024} MB.")
    if is_no_room(OSError(answer.errno, "")):
        raise NoRoom
    _log.warning("item defeats the reader", error=f"{answer.failed} at {answer.where}")
    raise Unreadable(f"Reading it failed ({answer.failed}).")


def _contents(said: Said, body: bytes, spool: str) -> Iterator[bytes | Path]:
    """The bytes of the files, from where the answer says that they lie."""
    at = 0
    for number, file in enumerate(said.files):
        if file.in_answer:
            yield body[at : at + file.size]
            at += file.size
        else:
            yield spooled(spool, number)


# ── The processes ───────────────────────────────────────────────────────────────────────────────────────────


class _Died(Exception):  # noqa: N818 - a finding
    """The process has ended, or talks nonsense."""


class _Process:
    """One reader, used by one thread at a time. Raises OSError when it does not start."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "app.messages.reader", str(MOST_MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what libraries say there may quote a letter
            cwd=HOME,
            env={},  # nothing that is secret, or that changes how Python works
            bufsize=0,
        )
        self._asks, self._answers = (cast("IO[bytes]", end) for end in (self._popen.stdin, self._popen.stdout))
        for end in (self._asks, self._answers):
            os.set_blocking(end.fileno(), False)
            with contextlib.suppress(OSError, AttributeError):  # Linux only, and only while there is some to be had
                fcntl.fcntl(end.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            self._receive(monotonic() + _STARTING)
        except (_Died, TimeoutError):
            self.end()
            raise OSError("The process that reads what arrives does not start.") from None

    @property
    def is_alive(self) -> bool:
        """Whether it waits for a question; after a time without one it has ended."""
        return self._popen.poll() is None

    def ask(self, question: Question, content: bytes) -> tuple[Answer, bytes]:
        """Its answer; raises _Died, or TimeoutError after ``SECONDS``. Then it is to be ended."""
        until = monotonic() + SECONDS
        header = packed(question)
        self._send(HEAD.pack(len(header), len(content)) + header, until)
        self._send(content, until)
        header, body = self._receive(until)
        try:
            return _answers().validate_json(header), body
        except ValidationError:
            raise _Died from None

    def end(self) -> None:
        """End it at once, whatever it does."""
        self._popen.kill()
        self._popen.wait()
        self._let_go()

    def forget(self) -> None:
        """In a process that was forked off: leave it to the process that started it."""
        self._popen.returncode = 0
        self._let_go()

    def _let_go(self) -> None:
        self._asks.close()
        self._answers.close()

    def _send(self, piece: bytes, until: float) -> None:
        left = memoryview(piece)
        while left:
            try:
                left = left[os.write(self._asks.fileno(), left) :]
            except BlockingIOError:
                _wait(self._asks, select.POLLOUT, until)
            except BrokenPipeError:
                raise _Died from None

    def _receive(self, until: float) -> tuple[bytes, bytes]:
        """Header and body of its next frame."""
        found = bytearray()
        size = HEAD.size
        header = body = 0
        while len(found) < size:
            _wait(self._answers, select.POLLIN, until)
            piece = os.read(self._answers.fileno(), _CHUNK)
            if not piece:
                raise _Died
            found += piece
            if size == HEAD.size <= len(found):
                header, body = HEAD.unpack_from(found)
                size += header + body
                if header > _ANSWER_MOST or body > IN_FRAME:
                    raise _Died
        begins = HEAD.size + header
        return bytes(found[HEAD.size : begins]), bytes(found[begins:size])


def _wait(end: IO[bytes], event: int, until: float) -> None:
    poll = select.poll()
    poll.register(end, event)
    if not poll.poll(max(0.0, until - monotonic()) * 1_000):
        raise TimeoutError


@cache
def _answers() -> TypeAdapter[Answer]:
    return TypeAdapter(Answer)


# ── Those that wait for the next item ───────────────────────────────────────────────────────────────────────

_idle: deque[_Process] = deque()


def _asked(question: Question, content: bytes) -> tuple[Answer, bytes]:
    for left in reversed(range(_TRIES)):
        process = _waiting() or _Process()
        is_over = True
        try:
            answer, body = process.ask(question, content)
            is_over = answer.no_memory
        except TimeoutError:
            raise Unreadable(f"Reading this took longer than {SECONDS} seconds.") from None
        except _Died:
            if not left:
                raise Unreadable("Reading this makes the reader crash.") from None
        else:
            return answer, body
        finally:
            if is_over:
                process.end()
            else:
                _idle.append(process)
    raise AssertionError


def _waiting() -> _Process | None:
    while True:
        try:
            process = _idle.pop()
        except IndexError:
            return None
        if process.is_alive:
            return process
        process.end()


def close() -> None:
    """End every process that waits; the next item gets a new one. Happens by itself when this process ends."""
    while process := _waiting():
        process.end()


def _forget() -> None:
    while _idle:
        _idle.pop().forget()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)
