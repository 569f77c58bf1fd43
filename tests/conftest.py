"""What every test may use.

A migrated database of its own, a clock that stands still, and no network but this machine.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy.orm import Session

from app import clock as app_clock
from app.db import Database, migrate
from app.deployment import Deployment, deploy
from app.settings import Settings
from tests.servers.postgres import Postgres, name_of

pytest_plugins = [name for name in ("tests.servers.fixtures",) if importlib.util.find_spec(name)]

MORNING = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)  # Tuesday, nine o'clock in Fernmoor


# ── Databases ─────────────────────────────────────────────────────────────────────────────────────────────────────


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked ``db`` runs on SQLite, and again on PostgreSQL."""
    if "database_kind" in metafunc.fixturenames and metafunc.definition.get_closest_marker("db"):
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], scope="session")


@pytest.fixture(scope="session")
def database_kind() -> str:
    """Which database a test runs on."""
    return "sqlite"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the whole run; every test has a database of its own in it."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "postbag.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """The name of a migrated PostgreSQL database to copy."""
    url = postgres.url()
    _migrate(url)
    return name_of(url)


def _migrate(url: str) -> None:
    database = Database(Settings(database_url=SecretStr(url)).url)
    migrate(database)
    database.close()


@pytest.fixture
def settings(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an install of its own: data folder, and a database with all tables and no rows."""
    data = tmp_path / "data"
    data.mkdir()
    if database_kind == "sqlite":
        shutil.copyfile(request.getfixturevalue("sqlite_template"), data / "postbag.db")
        yield Settings(data=data)
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.url(request.getfixturevalue("postgres_template"))
    yield Settings(data=data, database_url=SecretStr(url))
    server.drop(url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The install's database."""
    opened = Database(settings.url)
    yield opened
    opened.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A transaction that is undone at the end. On SQLite nobody else can write while a test holds it."""
    with database.session() as opened:
        yield opened


@pytest.fixture
def deployment(settings: Settings) -> Iterator[Deployment]:
    """Everything that a running process holds, over the same database as ``database``."""
    opened = deploy(settings)
    yield opened
    opened.close()


# ── Time ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    """The office's clock in a test: it stands until it is moved."""

    def __init__(self) -> None:
        self.at = MORNING

    def advance(self, **span: float) -> datetime:
        """Move it on: ``advance(hours=2)``."""
        self.at += timedelta(**span)
        return self.at


@pytest.fixture
def clock() -> Iterator[Clock]:
    """``app.clock`` stands at Tuesday 7 April 2026, 09:00 in Fernmoor; set ``clock.at``, or ``advance`` it."""
    standing = Clock()
    app_clock.use(lambda: standing.at)
    yield standing
    app_clock.use(None)


# ── Log ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets up the log for itself: not for the tests after it."""
    yield
    structlog.reset_defaults()


# ── Network ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session", autouse=True)
def _only_this_machine() -> Iterator[None]:
    """No test reaches another machine, and none asks for the address of one."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        _check(self, address)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        _check(self, address)
        return connect_ex(self, address)

    def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
        if host not in {None, "", b""} and not _is_here(host):
            raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is not on this machine")
        return getaddrinfo(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        patch.setattr(socket.socket, "connect_ex", guarded_ex)
        patch.setattr(socket, "getaddrinfo", resolved)
        yield


def _check(opened: socket.socket, address: Any) -> None:
    if opened.family in {socket.AF_INET, socket.AF_INET6} and not _is_here(address[0]):
        raise OSError(f"A test wanted to reach {address!r}.")


def _is_here(host: str | bytes) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False
