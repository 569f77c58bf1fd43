"""A throw-away PostgreSQL: a cluster of its own in a temporary folder.

Reached by a socket in that folder, never synced to the disk.
"""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from tests.servers import account

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "log_min_messages": "fatal",
    "timezone": "Europe/London",  # not UTC, so that a forgotten time zone shows
}
_PORT = 5432  # names the socket only
_READY = 30  # seconds


class Postgres:
    """A cluster for the length of a ``with``; its databases are the caller's to drop, or go with it."""

    def __enter__(self) -> Self:
        self._folder = account.folder()
        data = self._folder / "data"
        arguments = ["-D", str(data), "-U", "postbag", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        initdb = account.start([_binary("initdb"), *arguments], cwd=self._folder)
        if initdb.wait():
            raise RuntimeError(self._output())
        self._data = data
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        account.remove(self._folder)

    def start(self) -> None:
        """Start it; comes back when it answers."""
        options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        command = [_binary("postgres"), "-D", str(self._data), "-k", str(self._folder), "-p", str(_PORT), *options]
        self._server = account.start(command, cwd=self._folder)
        self._wait()

    def stop(self) -> None:
        """Stop it at once: whoever is connected is cut off."""
        self._server.send_signal(2)  # SIGINT: fast shutdown
        try:
            self._server.wait(_READY)
        except subprocess.TimeoutExpired:
            account.stop(self._server)

    def url(self, template: str = "template0") -> str:
        """The URL of a new database, empty or a copy of another one that nobody is connected to."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name_of(url))))

    def _execute(self, query: sql.Composed) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(query)

    def _url(self, name: str) -> str:
        return f"postgresql://postbag@/{name}?host={self._folder}&port={_PORT}"

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY
        while True:
            try:
                psycopg.connect(self._url("postgres")).close()
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self._output()) from None
                time.sleep(0.05)
            else:
                return

    def _output(self) -> str:
        return (self._folder / "output").read_text(errors="replace")


def name_of(url: str) -> str:
    """The database's name in one of our URLs."""
    return url.partition("@/")[2].partition("?")[0]


def _binary(name: str) -> str:
    """Debian keeps them out of the PATH: the newest version there is."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        raise RuntimeError(f"The tests need {name}: apt-get install postgresql")
    return path
