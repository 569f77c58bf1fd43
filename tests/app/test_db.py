"""The database as the office uses it: transactions, moments, readers that cannot write, locks that last."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.orm import Session

from app.channels.models import Heartbeat
from app.db import Base, Database, load_models, migrate
from app.settings import Settings
from tests import make
from tests.house.tree import ROOT, files
from tests.servers.postgres import Postgres

MOMENT = datetime(2026, 3, 29, 1, 30, 5, 123456, tzinfo=UTC)  # half an hour into British summer time


def beat(name: str, at: datetime = MOMENT) -> Heartbeat:
    return Heartbeat(worker=name, started_at=at, seen_at=at)


def names(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(session.scalars(sa.select(Heartbeat.worker)))


# ── Transactions ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_a_transaction_is_committed_at_its_end(database: Database) -> None:
    with database.transaction() as session:
        session.add(beat("one"))
    assert names(database) == ["one"]
    assert database.in_use() == 0


@pytest.mark.db
def test_a_transaction_that_raises_is_undone(database: Database) -> None:
    def half() -> None:
        with database.transaction() as session:
            session.add(beat("one"))
            session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        half()
    assert names(database) == []
    assert database.in_use() == 0


@pytest.mark.db
def test_part_of_a_transaction_may_fail_and_the_rest_stays(database: Database) -> None:
    with database.transaction() as session:
        session.add(beat("one"))
        session.flush()
        with pytest.raises(sa.exc.IntegrityError), session.begin_nested():
            session.execute(sa.insert(Heartbeat).values(worker="one", started_at=MOMENT, seen_at=MOMENT))
        session.add(beat("two"))
    assert names(database) == ["one", "two"]


@pytest.mark.db
def test_looking_refuses_to_write(database: Database) -> None:
    with database.reading() as session:
        session.add(beat("one"))
        with pytest.raises(sa.exc.DBAPIError, match=r"readonly|read-only"):
            session.flush()
    assert names(database) == []


@pytest.mark.db
def test_whoever_looks_sees_one_state_and_waits_for_nobody(database: Database) -> None:
    with database.transaction() as writing:
        writing.add(beat("one"))
        writing.flush()
        assert names(database) == []
        assert database.in_use() == 1
    assert names(database) == ["one"]


@pytest.mark.db
def test_what_is_written_meanwhile_does_not_show_to_whoever_looks_already(database: Database) -> None:
    seen = sa.select(sa.func.count()).select_from(Heartbeat)
    with database.reading() as session:
        assert session.scalar(seen) == 0
        with database.transaction() as writing:
            writing.add(beat("one"))
        assert session.scalar(seen) == 0
    assert names(database) == ["one"]


@pytest.mark.db
def test_a_connection_that_was_for_looking_can_write_afterwards(database: Database) -> None:
    for name in ("one", "two", "three"):
        assert name not in names(database)
        with database.transaction() as session:
            session.add(beat(name))
    assert names(database) == ["one", "three", "two"]


@pytest.mark.db
def test_foreign_keys_are_kept(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as session:
        session.execute(sa.text("INSERT INTO queue (office_id, name, is_default) VALUES (99, 'Bins', false)"))


@pytest.mark.db
def test_many_threads_share_the_pool(database: Database) -> None:
    def add(number: int) -> None:
        for step in range(5):
            with database.transaction() as session:
                session.add(beat(f"{number:02}-{step}"))
            names(database)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(database)) == 60
    assert database.in_use() == 0


def test_a_locked_database_is_waited_for(database: Database, settings: Settings) -> None:
    other = sqlite3.connect(settings.data / "postbag.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(3, lambda: other.execute("COMMIT")).start()
    began = time.monotonic()
    with database.transaction() as session:
        session.add(beat("one"))
    assert time.monotonic() - began > 2.5
    other.close()
    assert names(database) == ["one"]


@pytest.mark.slow
def test_a_database_that_is_locked_for_most_of_a_minute_is_waited_for(database: Database, settings: Settings) -> None:
    other = sqlite3.connect(settings.data / "postbag.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(50, lambda: other.execute("COMMIT")).start()
    with database.transaction() as session:
        session.add(beat("one"))
    other.close()
    assert names(database) == ["one"]


def test_sqlite_is_told_to_keep_what_it_said_it_kept(database: Database) -> None:
    asked = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 60_000, "query_only": 0}
    with database.transaction() as session:
        assert {name: session.execute(sa.text(f"PRAGMA {name}")).scalar() for name in asked} == asked


# ── Moments ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_a_moment_comes_back_aware_and_in_utc(database: Database) -> None:
    with database.transaction() as session:
        session.add(beat("one", MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))))
    with database.reading() as session:
        found = session.get_one(Heartbeat, "one").seen_at
    assert found == MOMENT
    assert found.isoformat() == "2026-03-29T01:30:05.123456+00:00"


@pytest.mark.db
def test_a_moment_without_a_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="needs a time zone"), database.transaction() as session:
        session.add(beat("one", datetime(2026, 3, 29, 1, 30)))  # noqa: DTZ001 - the mistake itself
    assert names(database) == []


@pytest.mark.db
def test_moments_are_compared_as_moments(database: Database) -> None:
    with database.transaction() as session:
        session.add_all([beat("early", MOMENT - timedelta(seconds=1)), beat("late", MOMENT + timedelta(seconds=1))])
    east = MOMENT.astimezone(timezone(timedelta(hours=9)))
    with database.reading() as session:
        assert session.scalars(sa.select(Heartbeat.worker).where(Heartbeat.seen_at > east)).all() == ["late"]


# ── Migrations ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'postbag.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.url()
    yield Settings(database_url=SecretStr(url)).url
    server.drop(url)


def test_migrating_makes_every_table_and_may_be_repeated(empty: str) -> None:
    database = Database(empty)
    migrate(database)
    migrate(database)
    load_models()
    tables = set(sa.inspect(database.engine).get_table_names())
    assert set(Base.metadata.tables) - tables == set()
    database.close()


def test_processes_that_start_together_migrate_once(empty: str) -> None:
    code = "import sys\nfrom app.db import Database, migrate\nmigrate(Database(sys.argv[1]))\n"
    processes = [subprocess.Popen([sys.executable, "-c", code, empty], cwd=ROOT) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    database = Database(empty)
    assert names(database) == []
    database.close()


def test_looking_at_a_database_that_is_not_there_yet_says_so(empty: str) -> None:
    database = Database(empty)
    with pytest.raises(sa.exc.DBAPIError, match=r"no such table|does not exist"):
        names(database)
    migrate(database)
    assert names(database) == []
    database.close()


def test_loading_the_models_forgets_no_domain() -> None:
    load_models()
    known = {mapper.class_.__module__ for mapper in Base.registry.mappers}
    written = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files("app") if path.stem == "models"}
    assert written - known == set()


def test_the_tables_of_procrastinate_are_those_of_the_installed_version() -> None:
    """When this fails after an upgrade, add a migration with the new files of procrastinate/sql/migrations."""
    installed = resources.files("procrastinate.sql").joinpath("schema.sql").read_text(encoding="utf-8")
    assert (ROOT / "migrations" / "procrastinate.sql").read_text(encoding="utf-8") == installed


def test_a_row_shows_nothing_of_what_is_in_it(session: Session) -> None:
    message = make.message(session, text="The brown bin was missed.")

    assert repr(message) == f"<Message {message.id}>"
