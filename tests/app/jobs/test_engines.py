"""What both engines promise."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import jobs
from app.clock import now
from app.db import Database
from app.deployment import Deployment
from app.errors import Problem
from app.jobs import Kind
from app.settings import Settings
from tests.app.jobs.conftest import Ran, Start
from tests.house.tree import ROOT

pytestmark = pytest.mark.db

LONG = 20.0  # seconds after which a test gives up


def defer(database: Database, key: int, *, kind: Kind = Kind.POLL_ACCOUNT, run_at: datetime | None = None) -> None:
    with database.transaction() as session:
        jobs.defer(session, kind, key, run_at)


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def waiting(database: Database) -> list[tuple[int, datetime]]:
    """Keys and times of what waits."""
    table, when, is_waiting = (
        ("job", "run_at", "owner IS NULL")
        if database.is_sqlite
        else ("procrastinate_jobs", "scheduled_at", "status = 'todo'")
    )
    key = "key" if database.is_sqlite else "CAST(args ->> 'key' AS bigint)"
    query = f"SELECT {key}, {when} FROM {table} WHERE {is_waiting} ORDER BY 1"  # noqa: S608 - all ours
    with database.reading() as session:
        rows = session.execute(sa.text(query)).all()
    return [(key, _moment(at)) for key, at in rows]


def _moment(at: datetime | str) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromisoformat(at).replace(tzinfo=UTC)


def is_empty(database: Database) -> bool:
    table = "job" if database.is_sqlite else "procrastinate_jobs"
    with database.reading() as session:
        return session.execute(sa.text(f"SELECT 1 FROM {table} LIMIT 1")).first() is None  # noqa: S608 - all ours


# ── Deferring ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_deferred_is_done_once_it_is_committed(database: Database, start: Start, ran: Ran) -> None:
    start({Kind.POLL_ACCOUNT: ran})
    with database.transaction() as session:
        jobs.defer(session, Kind.POLL_ACCOUNT, 7)
        session.flush()
        time.sleep(0.3)
        assert ran.keys == []
    assert ran.wait(1) == [7]
    assert until(lambda: is_empty(database))


def test_what_was_deferred_in_a_transaction_that_is_undone_is_not_done(
    database: Database, start: Start, ran: Ran
) -> None:
    start({Kind.POLL_ACCOUNT: ran})
    with database.session() as session:
        jobs.defer(session, Kind.POLL_ACCOUNT, 7)
        session.rollback()
    defer(database, 8)
    assert ran.wait(1) == [8]
    assert is_empty(database) or until(lambda: is_empty(database))
    assert ran.keys == [8]


def test_deferring_what_waits_already_keeps_one_and_the_earlier_time(database: Database) -> None:
    soon, later = now() + timedelta(hours=1), now() + timedelta(hours=2)
    defer(database, 1, run_at=soon)
    defer(database, 1, run_at=later)
    defer(database, 2, run_at=later)
    defer(database, 2, run_at=soon)
    found = waiting(database)
    assert [key for key, _ in found] == [1, 2]
    assert all(abs(at - soon) < timedelta(seconds=2) for _, at in found)


def test_deferring_for_now_what_waits_for_later_wakes_a_worker(database: Database, start: Start, ran: Ran) -> None:
    defer(database, 1, run_at=now() + timedelta(hours=1))
    start({Kind.POLL_ACCOUNT: ran})
    defer(database, 1)
    assert ran.wait(1) == [1]
    assert until(lambda: is_empty(database))


def test_a_clash_leaves_the_rest_of_the_transaction_alone(database: Database) -> None:
    with database.transaction() as session:
        jobs.defer(session, Kind.POLL_ACCOUNT, 1)
        jobs.defer(session, Kind.POLL_ACCOUNT, 1)
        jobs.defer(session, Kind.SEND_REPLY, 1)
        session.execute(sa.text("SELECT 1"))
    assert [key for key, _ in waiting(database)] == [1, 1]


def test_nothing_is_done_before_its_time(database: Database, start: Start, ran: Ran) -> None:
    start({Kind.POLL_ACCOUNT: ran})
    due_at = now() + timedelta(seconds=1)
    defer(database, 1, run_at=due_at)
    assert ran.wait(1) == [1]
    assert now() >= due_at - timedelta(milliseconds=50)


def test_a_clock_that_the_demonstration_has_set_back_delays_nothing(
    database: Database, start: Start, ran: Ran, request: pytest.FixtureRequest
) -> None:
    clock = request.getfixturevalue("clock")
    start({Kind.POLL_ACCOUNT: ran})
    defer(database, 1, run_at=clock.at)
    assert ran.wait(1) == [1]


def test_what_somebody_waits_for_goes_first(database: Database, start: Start, ran: Ran) -> None:
    with database.transaction() as session:
        for key in (1, 2, 3):
            jobs.defer(session, Kind.POLL_ACCOUNT, key)
        jobs.defer(session, Kind.SEND_REPLY, 4)
    start({Kind.POLL_ACCOUNT: ran, Kind.SEND_REPLY: ran}, threads=1)
    assert ran.wait(4) == [4, 1, 2, 3]


def test_many_short_jobs_do_not_wait_for_a_look_each(database: Database, start: Start, ran: Ran) -> None:
    start({Kind.POLL_ACCOUNT: ran})
    began = time.monotonic()
    for key in range(10):
        defer(database, key)
        assert ran.wait(key + 1)[key] == key
    assert time.monotonic() - began < 4  # a look a second would take ten


# ── Running ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Slow:
    """A handler that takes as long as the test wants, and knows how many ran at once for one key."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = threading.Semaphore(0)
        self.at_once: Counter[int] = Counter()
        self.most: Counter[int] = Counter()
        self.runs: Counter[int] = Counter()
        self._lock = threading.Lock()

    def __call__(self, _: Deployment, key: int) -> None:
        with self._lock:
            self.runs[key] += 1
            self.at_once[key] += 1
            self.most[key] = max(self.most[key], self.at_once[key])
        self.began.release()
        self.go_on.wait(LONG)
        with self._lock:
            self.at_once[key] -= 1


@pytest.fixture
def slow() -> Iterator[Slow]:
    handler = Slow()
    yield handler
    handler.go_on.set()


def test_what_is_deferred_while_it_runs_runs_once_more_afterwards(database: Database, start: Start, slow: Slow) -> None:
    start({Kind.POLL_ACCOUNT: slow}, threads=3)
    defer(database, 1)
    assert slow.began.acquire(timeout=LONG)
    defer(database, 1)
    defer(database, 1)
    assert not slow.began.acquire(timeout=1.2)
    slow.go_on.set()
    assert until(lambda: is_empty(database))
    assert (slow.runs[1], slow.most[1]) == (2, 1)


def test_different_keys_and_kinds_run_side_by_side(database: Database, start: Start, slow: Slow) -> None:
    start({Kind.POLL_ACCOUNT: slow, Kind.SEND_REPLY: slow}, threads=3)
    defer(database, 1)
    defer(database, 2)
    defer(database, 3, kind=Kind.SEND_REPLY)
    assert all(slow.began.acquire(timeout=LONG) for _ in range(3))


def test_a_time_that_comes_back_is_when_it_runs_again(database: Database, start: Start, ran: Ran) -> None:
    def twice(deployment: Deployment, key: int) -> datetime | None:
        ran(deployment, key)
        return now() + timedelta(milliseconds=200) if len(ran.keys) == 1 else None

    start({Kind.POLL_ACCOUNT: twice})
    defer(database, 5)
    assert ran.wait(2) == [5, 5]
    assert until(lambda: is_empty(database))


def test_a_running_job_outlives_its_lease_many_times(database: Database, start: Start, slow: Slow) -> None:
    start({Kind.POLL_ACCOUNT: slow})
    start({Kind.POLL_ACCOUNT: slow})
    defer(database, 1)
    assert slow.began.acquire(timeout=LONG)
    assert not slow.began.acquire(timeout=5)  # two and a half leases
    slow.go_on.set()
    assert until(lambda: is_empty(database))
    assert slow.runs[1] == 1


def test_stopping_waits_for_what_runs_and_loses_nothing(database: Database, start: Start, slow: Slow, ran: Ran) -> None:
    engine = start({Kind.POLL_ACCOUNT: slow}, threads=1)
    defer(database, 1)
    assert slow.began.acquire(timeout=LONG)
    defer(database, 2)
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    time.sleep(0.3)
    assert stopping.is_alive()
    slow.go_on.set()
    stopping.join(LONG)
    assert not stopping.is_alive()
    assert [key for key, _ in waiting(database)] == [2]
    start({Kind.POLL_ACCOUNT: ran})
    assert ran.wait(1) == [2]


def test_a_long_job_hears_that_it_should_come_to_an_end(database: Database, start: Start) -> None:
    began, heard = threading.Event(), threading.Event()

    def listens(_: Deployment, __: int) -> None:
        began.set()
        if until(jobs.is_stopping):
            heard.set()

    engine = start({Kind.POLL_ACCOUNT: listens})
    defer(database, 1)
    assert began.wait(LONG)
    engine.stop()
    assert heard.is_set()
    assert not jobs.is_stopping()


# ── Failing ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Fails:
    """A handler that raises so many times, and then does its work."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left = times
        self.error = error
        self.runs = 0

    def __call__(self, _: Deployment, __: int) -> None:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise self.error


def test_what_fails_is_tried_again_and_forgotten_once_it_went_well(database: Database, start: Start) -> None:
    handler = Fails(2, ValueError("Dear councillor"))
    start({Kind.POLL_ACCOUNT: handler})
    defer(database, 1)
    assert until(lambda: handler.runs == 3 and is_empty(database))
    with database.reading() as session:
        assert session.scalar(sa.text("SELECT count(*) FROM setback")) == 0


def test_what_fails_too_often_is_parked_and_shown_until_somebody_retries(database: Database, start: Start) -> None:
    handler = Fails(3, Problem("The account is gone."))
    start({Kind.POLL_ACCOUNT: handler})
    defer(database, 9)
    assert until(lambda: bool(_parked(database)) and is_empty(database))
    (parked,) = _parked(database)
    assert (parked.kind, parked.key, parked.failures, parked.trouble) == (
        "poll_account",
        9,
        3,
        "The account is gone.",
    )
    with database.transaction() as session:
        jobs.retry(session, Kind.POLL_ACCOUNT, 9)
    assert _parked(database) == []
    assert until(lambda: handler.runs == 4 and is_empty(database))


def test_trouble_names_our_line_and_never_quotes_the_error(database: Database, start: Start) -> None:
    start({Kind.POLL_ACCOUNT: Fails(99, ValueError("Dear councillor"))})
    defer(database, 1)
    assert until(lambda: bool(_parked(database)))
    assert _parked(database)[0].trouble.startswith("ValueError at tests/app/jobs/test_engines.py:")
    assert "Dear" not in _parked(database)[0].trouble


def _parked(database: Database) -> list[jobs.Parked]:
    with database.reading() as session:
        return jobs.parked(session)


# ── Dying ─────────────────────────────────────────────────────────────────────────────────────────────────────────


WORKER = """
import os, signal, sys, threading, time
from datetime import timedelta
from pathlib import Path
from app.deployment import deploy
from app.jobs import Kind
from app.jobs.engine import open_engine
from app.settings import Settings

record, pause = Path(sys.argv[1]), float(sys.argv[2])

def work(deployment, key):
    with record.open("a") as file:
        file.write(f"began {os.getpid()} {key}\\n")
    time.sleep(pause)
    with record.open("a") as file:
        file.write(f"done {os.getpid()} {key}\\n")

engine = open_engine(deploy(Settings()), {Kind.POLL_ACCOUNT: work}, threads=2, lease=timedelta(seconds=2))
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
engine.start()
print("ready", flush=True)
while not ended.wait(0.5):
    engine.tend()
engine.stop()
"""


@pytest.fixture
def another(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts a worker in a process of its own; it writes down what it begins and what it has done."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    given = {"POSTBAG_DATA": str(settings.data)} | ({"POSTBAG_DATABASE_URL": url} if url else {})
    begun: list[subprocess.Popen[str]] = []

    def begin(pause: float) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", WORKER, str(tmp_path / "record"), str(pause)]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | given, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def record(tmp_path: Path) -> list[list[str]]:
    path = tmp_path / "record"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def keys(tmp_path: Path, what: str) -> list[int]:
    return sorted(int(key) for word, _, key in record(tmp_path) if word == what)


def test_what_a_killed_worker_was_doing_is_taken_over(
    database: Database, start: Start, ran: Ran, another: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    process = another(60)
    defer(database, 1)
    assert until(lambda: keys(tmp_path, "began") == [1])
    process.send_signal(signal.SIGKILL)
    start({Kind.POLL_ACCOUNT: ran})
    assert ran.wait(1) == [1]
    assert until(lambda: is_empty(database))
    time.sleep(1)
    assert ran.keys == [1]


def test_a_job_that_takes_its_worker_with_it_is_parked_in_the_end(database: Database, start: Start, ran: Ran) -> None:
    for _ in range(3):
        _pretend_that_a_worker_died_with(database, 1)
        start({Kind.SEND_REPLY: ran}).tend()
    assert _parked(database)[0].trouble == "The worker stopped in the middle of it."
    assert is_empty(database)


def _pretend_that_a_worker_died_with(database: Database, key: int) -> None:
    defer(database, key)
    claim = (
        "UPDATE job SET owner = 'dead', lease_until = '2000-01-01 00:00:00'"
        if database.is_sqlite
        else "UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL"
    )
    with database.transaction() as session:
        session.execute(sa.text(claim))


def test_of_two_workers_one_is_killed_and_only_what_it_held_is_done_again(
    database: Database, another: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    victim, survivor = another(0.05), another(0.05)
    for key in range(1, 101):
        defer(database, key)
    assert until(lambda: len(keys(tmp_path, "done")) >= 20)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert until(lambda: is_empty(database))
    survivor.terminate()
    assert survivor.wait(LONG) == 0
    began = [int(key) for word, pid, key in record(tmp_path) if word == "began" and int(pid) == victim.pid]
    done = Counter(keys(tmp_path, "done"))
    assert sorted(done) == list(range(1, 101))
    again = {key for key, times in done.items() if times > 1}
    assert again <= set(began[-2:])  # its two threads may have died between the work and saying so: handlers bear that
    assert {int(pid) for word, pid, _ in record(tmp_path) if word == "done"} == {victim.pid, survivor.pid}


def test_a_worker_that_is_asked_to_stop_finishes_and_leaves_the_rest(
    database: Database, another: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    process = another(0.5)
    for key in range(1, 7):
        defer(database, key)
    assert until(lambda: len(keys(tmp_path, "began")) >= 2)
    process.terminate()
    assert process.wait(LONG) == 0
    assert keys(tmp_path, "began") == keys(tmp_path, "done")
    left = [key for key, _ in waiting(database)]
    assert sorted(keys(tmp_path, "done") + left) == [1, 2, 3, 4, 5, 6]
