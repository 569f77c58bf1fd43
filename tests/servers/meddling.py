"""A line to a mail server in which a test changes what is said: it ends the encryption and understands the dialogue.

Every command comes to the :data:`Trick` of the moment, which passes it on to the real server, or does not, and says
what goes back: bytes as they are, ``CUT``, ``STALL``, or bytes slowly. With no trick all goes through as it is.

:class:`~tests.servers.faulty.Line` is the blind one.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import BinaryIO, Self

from tests.servers.dovecot import Dovecot

GREETING = "GREETING"  # what the server says first, as if it had been asked
BODY = "BODY"  # a mail with its final dot, as if it were a command of SMTP
_LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n$")
_PIECES = 20  # a second


class End(Enum):
    """How a line ends in the middle of an answer."""

    CUT = "cut"
    STALL = "stall"


CUT, STALL = End.CUT, End.STALL


@dataclass(frozen=True)
class Slowly:
    """Bytes that take their time."""

    content: bytes
    per_second: int


Piece = bytes | End | Slowly


@dataclass(frozen=True)
class Asked:
    """A command: ``line`` as it was given, without its tag; ``number`` counts those of one line from 1."""

    line: bytes
    number: int
    tag: bytes = b""

    @property
    def name(self) -> str:
        return self.line.split(maxsplit=1)[0].decode("ascii", "replace").upper() if self.line.strip() else ""

    def has(self, words: str) -> bool:
        return words.encode() in self.line.upper()


PassOn = Callable[[], Sequence[bytes]]  # gives the command to the server; its answer, response by response
Trick = Callable[[Asked, PassOn], Sequence[Piece]]


class _HungUp(Exception):  # noqa: N818 - a finding
    """One of the two ends has gone away, or is sent away."""


@dataclass
class _Ends:
    """The two ends of a line, and what is said there."""

    client_line: ssl.SSLSocket
    server_line: ssl.SSLSocket
    client: BinaryIO = field(init=False)
    server: BinaryIO = field(init=False)

    def __post_init__(self) -> None:
        self.client, self.server = self.client_line.makefile("rb"), self.server_line.makefile("rb")

    def from_client(self, size: int | None = None) -> bytes:
        return _read(self.client, size)

    def from_server(self, size: int | None = None) -> bytes:
        return _read(self.server, size)

    def to_server(self, content: bytes) -> None:
        self.server_line.sendall(content)

    def to_client(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                self.client_line.sendall(piece)
            elif isinstance(piece, Slowly):
                size = max(1, piece.per_second // _PIECES)
                for first in range(0, len(piece.content), size):
                    self.client_line.sendall(piece.content[first : first + size])
                    time.sleep(1 / _PIECES)
            else:
                if piece is STALL:
                    self.client.read()  # until the client has had enough
                raise _HungUp

    def close(self) -> None:
        for end in (self.client, self.server):
            end.close()
        for line in (self.client_line, self.server_line):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()


def _read(end: BinaryIO, size: int | None) -> bytes:
    found = end.readline() if size is None else end.read(size)
    if not found and size != 0:
        raise _HungUp
    return found


class Meddler(ABC):
    """Listens on ``port`` of 127.0.0.1, encrypted from the start, for what speaks to ``target`` in the same way."""

    host = "127.0.0.1"

    def __init__(self, dovecot: Dovecot, target: int) -> None:
        self._target = target
        self._own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._own.load_cert_chain(dovecot.certificate.certificate, dovecot.certificate.key)
        self._theirs = ssl.create_default_context(cafile=str(dovecot.ca_file))
        self._open: list[_Ends] = []
        self._threads: list[threading.Thread] = []
        self._trick: Trick | None = None

    def __enter__(self) -> Self:
        self._listener = socket.create_server((self.host, 0))
        self.port = int(self._listener.getsockname()[1])
        self._run(self._listen)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def meddle(self, trick: Trick) -> None:
        """From the next command on."""
        self._trick = trick

    def mend(self) -> None:
        """All is well again, at the line's next command."""
        self._trick = None

    def cut(self) -> None:
        """Cut every line that is open now."""
        for ends in self._open:
            with contextlib.suppress(OSError):
                ends.client_line.shutdown(socket.SHUT_RDWR)

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self._run(self._carry, line)

    def _carry(self, line: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(line.close)
            stack.enter_context(contextlib.suppress(OSError, _HungUp, ValueError))  # ValueError: closed meanwhile
            onward = socket.create_connection((self.host, self._target))
            stack.callback(onward.close)
            for end in (line, onward):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else every small word waits for 40 ms
            client = self._own.wrap_socket(line, server_side=True)
            ends = _Ends(client, self._theirs.wrap_socket(onward, server_hostname=self.host))
            stack.callback(ends.close)
            self._open.append(ends)
            for asked, pass_on in self._asked(ends):
                trick = self._trick
                ends.to_client(pass_on() if trick is None else trick(asked, pass_on))

    @abstractmethod
    def _asked(self, ends: _Ends) -> Iterator[tuple[Asked, PassOn]]:
        """Each command, and how it is passed on."""


class ImapMeddler(Meddler):
    """Speaks IMAP, but for IDLE, which a trick has to answer by itself."""

    def _asked(self, ends: _Ends) -> Iterator[tuple[Asked, PassOn]]:
        yield Asked(GREETING.encode(), 0), lambda: [ends.from_server()]
        number = 0
        while True:
            line, number = ends.from_client(), number + 1
            tag, _, rest = line.partition(b" ")
            asked = Asked(rest or line, number, tag if rest else b"")
            yield asked, lambda line=line, tag=tag: _imap_answer(ends, line, tag)  # type: ignore[misc]


def _imap_answer(ends: _Ends, line: bytes, tag: bytes) -> Sequence[bytes]:
    """Every response up to the one that ends the command; what the server asks in between is asked the client."""
    found: list[bytes] = []
    ends.to_server(line)
    while True:
        response = _response(ends)
        if response.startswith(b"+"):
            ends.to_client([response])
            literal = _LITERAL.search(line)
            if literal:
                ends.to_server(ends.from_client(int(literal[1])))
            line = ends.from_client()
            ends.to_server(line)
            continue
        found.append(response)
        if response.startswith(tag + b" "):
            return found


def _response(ends: _Ends) -> bytes:
    """One response with its literals."""
    found = line = ends.from_server()
    while literal := _LITERAL.search(line):
        content = ends.from_server(int(literal[1])) if int(literal[1]) else b""
        line = ends.from_server()
        found += content + line
    return found


class SmtpMeddler(Meddler):
    """Speaks SMTP."""

    def _asked(self, ends: _Ends) -> Iterator[tuple[Asked, PassOn]]:
        yield Asked(GREETING.encode(), 0), lambda: _reply(ends)
        number, is_mail = 0, False
        while True:
            line, number = ends.from_client(), number + 1
            if is_mail:
                while not line.endswith(b"\r\n.\r\n"):
                    line += ends.from_client()
            answers: list[bytes] = []

            def pass_on(line: bytes = line, answers: list[bytes] = answers) -> Sequence[bytes]:
                ends.to_server(line)
                answers += _reply(ends)
                return answers

            yield Asked(BODY.encode() if is_mail else line, number), pass_on
            is_mail = bool(answers) and answers[-1].startswith(b"354")


def _reply(ends: _Ends) -> Sequence[bytes]:
    """A reply of one or more lines (RFC 5321 section 4.2.1)."""
    found = [ends.from_server()]
    while found[-1][3:4] == b"-":
        found.append(ends.from_server())
    return found


# Tricks.


def at(words: str, then: Trick) -> Trick:
    """``then`` for the commands that have these words, in capitals; the others go through."""
    return lambda asked, pass_on: then(asked, pass_on) if asked.has(words) else pass_on()


def cut(_: Asked, __: PassOn) -> Sequence[Piece]:
    """The line is cut before the server has heard the command."""
    return [CUT]


def lose(_: Asked, pass_on: PassOn) -> Sequence[Piece]:
    """The server does what it was told, but its answer is lost and the line cut."""
    pass_on()
    return [CUT]


def stall(_: Asked, __: PassOn) -> Sequence[Piece]:
    """No answer comes, and the line stays open."""
    return [STALL]


def cut_in_answer(_: Asked, pass_on: PassOn) -> Sequence[Piece]:
    """The line is cut in the middle of the answer."""
    whole = b"".join(pass_on())
    return [whole[: len(whole) // 2], CUT]


def stall_in_answer(_: Asked, pass_on: PassOn) -> Sequence[Piece]:
    """Nothing more comes after half of the answer."""
    whole = b"".join(pass_on())
    return [whole[: len(whole) // 2], STALL]


def slowly(per_second: int) -> Trick:
    """So many bytes of the answer a second."""
    return lambda _, pass_on: [Slowly(b"".join(pass_on()), per_second)]


def say(answer: bytes, *, then: End | None = None) -> Trick:
    """This instead of asking the server; ``TAG`` stands for the command's tag."""

    def trick(asked: Asked, _: PassOn) -> Sequence[Piece]:
        said = answer.replace(b"TAG", asked.tag or b"*") + b"\r\n"
        return [said] if then is None else [said, then]

    return trick


def change(how: Callable[[list[bytes]], Sequence[bytes]]) -> Trick:
    """The server's answer with its untagged responses changed; the last one, which ends it, stays."""

    def trick(_: Asked, pass_on: PassOn) -> Sequence[Piece]:
        *responses, end = pass_on()
        return [*how(responses), end]

    return trick


def rewrite(pattern: bytes, by: bytes | Callable[[re.Match[bytes]], bytes]) -> Trick:
    """The server's answer with something else in place of whatever matches."""
    return change(lambda responses: [re.sub(pattern, by, one, flags=re.DOTALL) for one in responses])
