"""What pages cost in a large install: ``./dev bench pages [--messages N] [--database sqlite|postgresql]``.

Every page goes through the whole application, signed in, in this process: routing, session, membership, banner, badges,
template. CPU is the median of this process's own time; SQL is what the statements of the page take when they are run
again by the driver alone, rows fetched. Each figure stands beside what was promised; nothing here fails.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from pydantic import SecretStr
from sqlalchemy import event
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import clock, create_app
from app.db import Database
from app.deployment import deploy
from app.settings import Settings
from app.staff.actions import begin_sign_in
from app.staff.models import Staff
from tests.bench.world import NOW, PostgresqlWorld, World, sqlite_world

BASE: Final = 100_000  # what growth is measured against
ME: Final = 1  # a caseworker of office 1
MOST_GROWTH: Final = 1.5


@dataclass(frozen=True)
class Page:
    """A page to measure, and what was promised for it (0: nothing in particular)."""

    name: str
    address: str
    cpu: float = 0
    sql: float = 0
    statements: int = 0


@dataclass(frozen=True)
class Cost:
    """What a page took, in milliseconds."""

    cpu: float
    sql: float
    statements: int
    size: int


def pages(world: World) -> list[Page]:
    """What is measured, with what docs promise: a list 4 ms, its SQL 1 ms in 8 statements; a search 10 ms."""
    return [
        _list("inbox", "/"),
        _list("inbox, unread", "/?unread=1"),
        _list("inbox, one channel", "/?channel=email"),
        *(_list(view, f"/{view}") for view in ("overdue", "mine", "unassigned", "waiting", "answered", "closed")),
        Page("a case", f"/cases/{world.long_case - 60}"),
        Page("a case of 1,000 messages", f"/cases/{world.long_case}"),
        Page("people", "/people"),
        Page("a person", "/people/60"),
        _search("a word in every message", "the"),
        _search("two words", "missed+bin"),
        _search("a phrase", "%22brown+bin%22"),
        _search("a beginning", "poth*"),
        _search("closed cases", "bin+is:closed"),
        _search("nothing", "zzzz"),
        Page("live counts", "/live"),
    ]


def _list(name: str, address: str) -> Page:
    return Page(name, address, cpu=4, sql=1, statements=8)


def _search(name: str, typed: str) -> Page:
    return Page(f"search: {name}", f"/search?q={typed}", cpu=10)


class Office:
    """The application over one world, with somebody signed in."""

    def __init__(self, settings: Settings) -> None:
        self.deployment = deploy(settings)
        self.app = create_app(deployment=self.deployment)
        with self.deployment.database.transaction() as session:
            token = begin_sign_in(session, session.get_one(Staff, ME), browser="bench", at=NOW)
        self.cookie = _cookie(self.app, {"_user_id": token})

    def get(self, address: str) -> int:
        """Ask for a page, and keep the cookie as a browser does; its size. Raises RuntimeError if there is no page."""
        headers = [("Cookie", self.cookie), ("Purpose", "prefetch")]
        environ = EnvironBuilder(path=address, headers=headers).get_environ()
        body, status, answered = run_wsgi_app(self.app, environ)
        size = sum(map(len, body))
        if not status.startswith("200"):
            raise RuntimeError(f"{address} answered {status}")
        self.cookie = answered.get("Set-Cookie", self.cookie).partition(";")[0]
        return size

    def cost(self, address: str, rounds: int) -> Cost:
        """What a page takes, once it was asked for before."""
        self.get(address)
        with _noted(self.deployment.database) as statements:
            size = self.get(address)
        cpu = statistics.median(_timed(lambda: self.get(address), time.process_time, rounds))
        return Cost(cpu, self._sql(statements, rounds), len(statements), size)

    def _sql(self, statements: list[tuple[str, Any]], rounds: int) -> float:
        connection = self.deployment.database.reader.raw_connection()
        cursor = connection.cursor()

        def again() -> None:
            for statement, parameters in statements:
                cursor.execute(statement, parameters)
                cursor.fetchall()

        again()
        taken = statistics.median(_timed(again, time.perf_counter, rounds))
        connection.close()
        return taken


def _cookie(app: Flask, values: dict[str, str]) -> str:
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    if serializer is None:
        raise RuntimeError("The application has no key to sign its cookie with.")
    return f"{app.config['SESSION_COOKIE_NAME']}={serializer.dumps(values)}"


def _timed(work: Callable[[], object], watch: Callable[[], float], rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        start = watch()
        work()
        yield (watch() - start) * 1_000


@contextmanager
def _noted(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The SELECTs that are run meanwhile."""
    found: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if "SELECT" in statement:
            found.append((statement, parameters))

    engines = {database.reader, database.engine} if database.is_sqlite else {database.engine}  # one hears both there
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def measured(messages: int, database: str, rounds: int) -> dict[str, Cost]:
    """The cost of every page in a world of so many messages."""
    with tempfile.TemporaryDirectory() as data:  # keys and spool of this run; the world stays where it is
        if database == "sqlite":
            return _costs(Path(data), f"sqlite:///{sqlite_world(messages)}", World(messages), rounds)
        with PostgresqlWorld(messages) as server:
            return _costs(Path(data), server.world, World(messages), rounds)


def _costs(data: Path, url: str, world: World, rounds: int) -> dict[str, Cost]:
    office = Office(Settings(data=data, database_url=SecretStr(url)))
    found = {page.name: office.cost(page.address, rounds) for page in pages(world)}
    office.deployment.close()
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="dev bench pages", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    clock.use(lambda: NOW)
    small = measured(BASE, options.database, options.rounds) if options.messages > BASE else {}
    large = measured(options.messages, options.database, options.rounds)
    open_cases = World(options.messages).open_cases
    print(f"\n{options.messages:,} messages, 60 offices, {open_cases:,} open cases; {options.database}")
    titles = ("CPU ms", "limit", "SQL ms", "limit", "stmts", "limit", "kB", "growth", "limit")
    print(f"{'page':34}" + "".join(f"{title:>8}" for title in titles))
    for page in pages(World(options.messages)):
        cost = large[page.name]
        growth = f"{cost.cpu / small[page.name].cpu:.2f}" if small else ""
        figures: list[object] = [f"{cost.cpu:.2f}", page.cpu or "", f"{cost.sql:.2f}", page.sql or ""]
        figures += [cost.statements, page.statements or "", f"{cost.size / 1_000:.0f}", growth, MOST_GROWTH]
        print(f"{page.name:34}" + "".join(f"{figure!s:>8}" for figure in figures))


if __name__ == "__main__":
    main()
