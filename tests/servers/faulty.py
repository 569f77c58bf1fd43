"""A line to a server that breaks where a test wants it to: cut, stalled, or deaf on the way back.

It carries bytes and understands none, so that it works under TLS too. Faults hold for the lines that are open and for
those opened later, until :meth:`Line.mend`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with a line. ``None``: that does not."""

    cut_after: int | None = None  # bytes from the server, then the line is cut
    stall_after: int | None = None  # bytes from the server, then nothing more comes
    cut_sending_after: int | None = None  # bytes to the server, then the line is cut
    lose_answer_after: int | None = (
        None  # bytes to the server; all arrive, but what it answers is lost and the line cut
    )
    refuse: bool = False  # a new line is cut at once


class Line:
    """Listens on ``port`` of 127.0.0.1 and carries what comes to ``target`` and back."""

    host = "127.0.0.1"

    def __init__(self, target: int) -> None:
        self._target = target
        self._fault = Fault()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.taken = 0  # how many lines were opened

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
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

    def fail(self, fault: Fault) -> None:
        self._fault = fault

    def mend(self) -> None:
        self._fault = Fault()

    def cut(self) -> None:
        """Cut every line that is open now."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            if self._fault.refuse:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            deaf = threading.Event()
            self._run(self._carry_out, client, server, deaf)
            self._run(self._carry_back, server, client, deaf)

    def _carry_out(self, client: socket.socket, server: socket.socket, deaf: threading.Event) -> None:
        """From the client to the server."""
        sent = 0
        while data := _received(client):
            fault = self._fault
            sent += len(data)
            if fault.cut_sending_after is not None and sent > fault.cut_sending_after:
                break
            if fault.lose_answer_after is not None and sent > fault.lose_answer_after:
                deaf.set()
            if not _passed_on(server, data):
                break
        _end(server)

    def _carry_back(self, server: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
        """From the server to the client."""
        back = 0
        while data := _received(server):
            fault = self._fault
            if deaf.is_set():
                break
            room = None if fault.cut_after is None else max(0, fault.cut_after - back)
            back += len(data)
            if fault.stall_after is not None and back > fault.stall_after:
                continue
            if not _passed_on(client, data if room is None else data[:room]):
                break
            if room is not None and len(data) > room:
                break
        _end(client)
        client.close()
        _end(server)
        server.close()


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""


def _passed_on(end: socket.socket, data: bytes) -> bool:
    try:
        end.sendall(data)
    except OSError:
        return False
    return True


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
