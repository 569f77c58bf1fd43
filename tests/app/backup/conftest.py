"""A key pair, an install with something in it, and empty ones on either database to restore into."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app.backup import rows
from app.backup.envelope import Key, Lock
from app.backup.making import make
from app.db import Database
from app.deployment import Deployment
from app.settings import Settings
from tests.servers.postgres import Postgres

EmptyInstall = Callable[[str], Settings]

_IDENTITY = pyrage.x25519.Identity.generate()
LOCK = Lock(recipients=(str(_IDENTITY.to_public()),))
KEY = Key(identities=(str(_IDENTITY),))


def backed_up(deployment: Deployment) -> io.BytesIO:
    """A backup, ready to be read."""
    file = io.BytesIO()
    make(deployment, file, LOCK)
    file.seek(0)
    return file


def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row that a backup holds, by table."""
    with database.reading() as session:
        return {
            table.name: [tuple(row) for row in session.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for table in rows.tables()
        }


@pytest.fixture
def empty(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[EmptyInstall]:
    """``empty("postgresql")``: settings of an install where nothing is, not even tables."""
    made: list[str] = []
    numbers = itertools.count()

    def install(kind: str) -> Settings:
        data = tmp_path / f"empty-{next(numbers)}"
        if kind == "sqlite":
            return Settings(data=data, database_url=None)
        server: Postgres = request.getfixturevalue("postgres")
        made.append(server.url())
        return Settings(data=data, database_url=SecretStr(made[-1]))

    yield install
    for url in made:
        request.getfixturevalue("postgres").drop(url)
