"""The database goes away while work is being done, and comes back."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app import jobs
from app.db import migrate
from app.deployment import Deployment, deploy
from app.jobs import Kind
from app.jobs.engine import Engine, open_engine
from app.settings import Settings
from tests.app.jobs.test_engines import is_empty, until
from tests.servers.postgres import Postgres


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL of this test's own, to be stopped and started."""
    with Postgres() as own:
        yield own


@pytest.fixture
def deployment(server: Postgres, tmp_path: Path) -> Iterator[Deployment]:
    opened = deploy(Settings(data=tmp_path, database_url=SecretStr(server.url())))
    migrate(opened.database)
    yield opened
    opened.close()


def test_work_goes_on_when_postgresql_was_away(server: Postgres, deployment: Deployment) -> None:
    began, go_on = threading.Semaphore(0), threading.Event()
    ran: list[int] = []

    def work(_: Deployment, key: int) -> datetime | None:
        began.release()
        go_on.wait(60)
        ran.append(key)
        return None

    engine = open_engine(deployment, {Kind.POLL_ACCOUNT: work}, threads=1, lease=timedelta(seconds=2))
    engine.start()
    with deployment.database.transaction() as session:
        jobs.defer(session, Kind.POLL_ACCOUNT, 1)
        jobs.defer(session, Kind.POLL_ACCOUNT, 2)
    assert began.acquire(timeout=20)
    server.stop()
    go_on.set()
    time.sleep(1)
    server.start()
    assert until(lambda: 2 in ran and _is_tended_and_empty(engine, deployment))
    assert ran[0] == 1  # done while the database was away
    assert ran.count(1) <= 2  # once more at most: that it had ended could not be said
    engine.stop()


def _is_tended_and_empty(engine: Engine, deployment: Deployment) -> bool:
    try:
        engine.tend()
        return is_empty(deployment.database)
    except sa.exc.SQLAlchemyError:
        return False
