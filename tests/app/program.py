"""The program as whoever runs it meets it: commands with what they print, and processes with addresses and signals."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from app.cli import main
from app.settings import Settings
from tests.connectors.email.box import options
from tests.house.tree import ROOT
from tests.servers.dovecot import Dovecot
from tests.servers.smtp import Smtp

_PATIENCE = 30  # seconds for a process to end by itself


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    output: bytes
    error: str

    @property
    def text(self) -> str:
        return self.output.decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was printed with ``--json``."""
        return [json.loads(line) for line in self.text.splitlines()]


class CommandLine:
    """``python -m app`` in this process: the same way in, the same errors, without a second of starting."""

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[bytes]) -> None:
        for name, value in environment(settings).items():
            patch.setenv(name, value)
        self._patch = patch
        self._captured = captured

    def __call__(self, *words: object, typed: str = "") -> Ran:
        """Run a command with ``typed`` on its standard input."""
        self._captured.readouterr()
        self._patch.setattr(sys, "argv", ["app", *map(str, words)])
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        output, error = self._captured.readouterr()
        return Ran(status, output, error.decode())

    def done(self, *words: object, typed: str = "") -> Ran:
        """The same for a command that must go well."""
        ran = self(*words, typed=typed)
        assert (ran.status, ran.error) == (0, "")
        return ran


def environment(settings: Settings) -> dict[str, str]:
    """The settings as a process finds them; the test servers may be reached."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    given = {"POSTBAG_DATA": str(settings.data), "POSTBAG_ALLOW_HOSTS": "127.0.0.1"}
    return given | ({"POSTBAG_DATABASE_URL": url} if url else {})


def run(*words: object, given: Mapping[str, str], typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "app", *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, env=_clean(given), input=typed, capture_output=True, check=False, timeout=_PATIENCE
    )


@contextmanager
def running(*words: object, given: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until it is told to end, in a process of its own; what is left of it afterwards is killed."""
    command = [sys.executable, "-m", "app", *map(str, words)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=_clean(given),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def end(
    process: subprocess.Popen[bytes], by: signal.Signals = signal.SIGTERM, *, patience: float = _PATIENCE
) -> tuple[int, str]:
    """Tell a process to end: its status, and everything it printed. Raises where it takes longer than ``patience``."""
    process.send_signal(by)
    printed, _ = process.communicate(timeout=patience)
    return process.returncode, printed.decode()


def an_office(given: Mapping[str, str]) -> str:
    """Found an office by the command; its number."""
    return _said(run("office", "add", "Cllr Tansy Quillfeather", "--prefix", "MA", given=given))


def connect(given: Mapping[str, str], office: str, address: str, dovecot: Dovecot, smtp: Smtp) -> int:
    """Connect a mailbox by the command; the account's number."""
    return int(_said(run(*adding(office, address, dovecot, smtp), given=given, typed=b"secret\n")))


def adding(office: str, address: str, dovecot: Dovecot, smtp: Smtp) -> tuple[str, ...]:
    """``account add`` for a mailbox, all of its post; its password is read from standard input."""
    wanted = {key: value for key, value in options(address, dovecot, smtp).items() if key != "password"}
    words = [word for key, value in wanted.items() for word in ("--option", f"{key}={value}")]
    return ("account", "add", "email", "--office", office, "--since", "all", "--secret", "password=-", *words)


def until(holds: Callable[[], bool], seconds: float = _PATIENCE) -> bool:
    """Whether it comes to hold in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def _said(ran: subprocess.CompletedProcess[bytes]) -> str:
    assert (ran.returncode, ran.stderr) == (0, b"")
    return ran.stdout.decode().strip()


def _clean(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("POSTBAG_")} | dict(given)
