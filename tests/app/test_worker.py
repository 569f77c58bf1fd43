"""The worker: what it does by itself, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from app import jobs
from app.audit.actions import record
from app.audit.models import AuditLine
from app.cases.models import Case, Obligation, ObligationState
from app.channels.models import Heartbeat, State
from app.clock import now
from app.db import Database
from app.deadlines.obligations import Kind as DueKind
from app.deployment import Deployment
from app.errors import Missing
from app.jobs import Kind
from app.jobs.models import Rhythm
from app.jobs.periodic import Recurring, defer_due
from app.messages.models import Reading
from app.office.models import Closure
from app.settings import Settings
from app.worker import HANDLERS, RECURRING, Worker, keep_going, recompute_dates, seal_audit, sweep_store, watch_clocks
from tests import make
from tests.app.jobs.test_engines import is_empty, until, waiting
from tests.conftest import Clock
from tests.house.tree import ROOT

pytestmark = pytest.mark.db

SOON = timedelta(seconds=2)


@pytest.fixture
def worker(deployment: Deployment) -> Iterator[Callable[..., Worker]]:
    begun: list[Worker] = []

    def begin(handlers: dict[Kind, jobs.Handler], recurring: tuple[Recurring, ...] = ()) -> Worker:
        one = Worker(deployment, handlers=handlers, recurring=recurring, lease=SOON)
        one.start()
        begun.append(one)
        return one

    yield begin
    for one in begun:
        one.stop()


def heartbeats(database: Database) -> list[datetime]:
    with database.reading() as session:
        return list(session.scalars(sa.select(Heartbeat.seen_at).order_by(Heartbeat.seen_at)))


def test_a_worker_shows_that_it_lives(database: Database, worker: Callable[..., Worker]) -> None:
    with database.transaction() as session:
        session.add(Heartbeat(worker="long gone", started_at=now() - timedelta(9), seen_at=now() - timedelta(8)))
    worker({})
    assert until(lambda: [now() - at < timedelta(seconds=5) for at in heartbeats(database)] == [True])
    (first,) = heartbeats(database)
    assert until(lambda: heartbeats(database)[0] > first)


def test_what_recurs_is_done_by_itself(database: Database, worker: Callable[..., Worker]) -> None:
    with database.transaction() as session:
        record(session, "close", "case", 1, office_id=1, by=None)
    worker(dict(HANDLERS), RECURRING)

    def is_sealed() -> bool:
        with database.reading() as session:
            return bool(session.scalar(sa.select(AuditLine.seal)))

    assert until(is_sealed)


def test_everything_that_recurs_has_somebody_who_does_it() -> None:
    assert {each.kind for each in RECURRING} <= set(HANDLERS)


def test_what_recurs_is_deferred_once_however_many_workers_look(database: Database) -> None:
    minutely = Recurring(Kind.SEAL_AUDIT, timedelta(minutes=1))
    for _ in range(3):
        defer_due(database, [minutely])
    assert len(waiting(database)) == 1
    with database.reading() as session:
        due_at = session.scalars(sa.select(Rhythm.due_at)).one()
    assert now() < due_at <= now() + timedelta(minutes=1)


def test_what_recurs_keeps_to_its_hour() -> None:
    nightly = Recurring(Kind.SWEEP_STORE, timedelta(days=1), offset=timedelta(hours=3))
    assert nightly.after(datetime(2026, 4, 7, 8, 0, tzinfo=UTC)) == datetime(2026, 4, 8, 3, 0, tzinfo=UTC)
    assert nightly.after(datetime(2026, 4, 7, 2, 59, tzinfo=UTC)) == datetime(2026, 4, 7, 3, 0, tzinfo=UTC)
    assert nightly.after(datetime(2026, 4, 7, 3, 0, tzinfo=UTC)) == datetime(2026, 4, 8, 3, 0, tzinfo=UTC)


def test_whatever_should_wait_waits_after_a_look(deployment: Deployment, database: Database) -> None:
    with database.transaction() as session:
        office = make.office(session)
        polled = make.account(session, office=office)
        make.stream(session, account=polled, next_at=now() + timedelta(hours=1))
        make.account(session, office=office, state=State.REMOVED)
        unread = make.sighting(session, stream=make.stream(session, account=make.account(session, office=office)))
        make.sighting(session, state=Reading.QUARANTINED, stream=make.stream(session, account=polled, key="Junk"))
        reply = make.reply(session, staff=make.staff(session))
    keep_going(deployment, 0)
    keep_going(deployment, 0)
    kinds = _waiting_kinds(database)
    assert (Kind.POLL_ACCOUNT, polled.id) in kinds
    assert (Kind.SEND_REPLY, reply.id) in kinds
    assert [key for kind, key in kinds if kind == Kind.TAKE_SIGHTINGS] == [unread.account_id]


def _waiting_kinds(database: Database) -> list[tuple[str, int]]:
    query = (
        "SELECT kind, key FROM job"
        if database.is_sqlite
        else "SELECT task_name, CAST(args ->> 'key' AS bigint) FROM procrastinate_jobs"
    )
    with database.reading() as session:
        return [(kind, key) for kind, key in session.execute(sa.text(query))]


def test_the_sweep_keeps_whatever_a_row_names(deployment: Deployment, database: Database, settings: Settings) -> None:
    store = deployment.store
    with database.transaction() as session:
        message = make.message(session)
        office_id = message.office_id
        attached, sent, orphan = (store.put(office_id, word) for word in (b"attached", b"sent", b"orphan"))
        make.file(session, message=message, sha256=attached)
        make.reply(session, staff=make.staff(session), office_id=office_id, prepared_sha256=sent)
    sweep_store(deployment, 0)
    assert store.read(office_id, orphan) == b"orphan"  # young: its row may be about to be committed
    _age(database, settings)
    sweep_store(deployment, 0)
    assert (store.read(office_id, attached), store.read(office_id, sent)) == (b"attached", b"sent")
    with pytest.raises(Missing):
        store.read(office_id, orphan)


def _age(database: Database, settings: Settings) -> None:
    """Let all that is in the store be two days older."""
    for path in (settings.data / "store").rglob("*"):
        os.utime(path, (time.time() - 172_800,) * 2)
    with database.transaction() as session:
        session.execute(sa.text("UPDATE blob SET put_at = :then"), {"then": datetime.now(UTC) - timedelta(days=2)})


def test_sealing_uses_the_key_beside_the_database(deployment: Deployment, database: Database) -> None:
    with database.transaction() as session:
        record(session, "close", "case", 1, office_id=1, by=None)
    seal_audit(deployment, 0)
    from app.audit.sealing import verify

    with database.reading() as session:
        assert verify(session, deployment.keys.audit, 1) is None
        assert verify(session, "another", 1) is not None


def test_a_worker_process_ends_cleanly_when_it_is_told_to(database: Database, settings: Settings) -> None:
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    given = {"POSTBAG_DATA": str(settings.data)} | ({"POSTBAG_DATABASE_URL": url} if url else {})
    code = "from app.deployment import deploy\nfrom app.settings import Settings\nfrom app.worker import Worker\n"
    code += "Worker(deploy(Settings())).run()\n"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | given) as process:
        assert until(lambda: bool(heartbeats(database)))
        assert until(lambda: is_empty(database))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_changed_calendar_moves_every_open_date_and_excuses_what_it_made_late(
    deployment: Deployment, clock: Clock
) -> None:
    clock.advance(minutes=1)
    with deployment.database.transaction() as session:
        office = make.office(session)
        message = make.message(session, conversation=make.conversation(session, case=make.case(session, office=office)))
        still_owed = make.obligation(session, message=message, due_at=datetime(2026, 4, 21, 23, tzinfo=UTC)).id
        met_late = make.obligation(
            session,
            message=message,
            state=ObligationState.MET,
            is_late=True,
            due_at=datetime(2026, 4, 21, 23, tzinfo=UTC),
            met_at=datetime(2026, 4, 22, 9, tzinfo=UTC),
        ).id
        session.add(Closure(office_id=office.id, first_on=date(2026, 4, 9), last_on=date(2026, 4, 9), name="Count"))

    recompute_dates(deployment, office.id)

    with deployment.database.reading() as session:
        moved, excused = session.get_one(Obligation, still_owed), session.get_one(Obligation, met_late)
    assert (moved.due_at, excused.due_at) == (
        datetime(2026, 4, 22, 23, tzinfo=UTC),
        datetime(2026, 4, 21, 23, tzinfo=UTC),
    )
    assert (excused.is_late, excused.is_excused) == (True, True)


def test_a_window_that_closes_leaves_the_pledge_to_lead(deployment: Deployment, clock: Clock) -> None:
    with deployment.database.transaction() as session:
        case = make.case(session, due_kind=DueKind.WINDOW, due_at=clock.at + timedelta(hours=1))

    clock.advance(hours=2)
    watch_clocks(deployment, 0)

    with deployment.database.reading() as session:
        assert session.get_one(Case, case.id).due_kind is DueKind.PLEDGE


def test_dates_that_an_older_version_gave_are_worked_out_again(
    deployment: Deployment, database: Database, worker: Callable[..., Worker]
) -> None:
    with database.transaction() as session:
        message = make.message(session)
        make.obligation(session, message=message, calendar="of an older version")

    keep_going(deployment, 0)

    done: list[int] = []
    worker({Kind.RECOMPUTE_DATES: lambda _, office_id: done.append(office_id)})
    assert until(lambda: done == [message.office_id])
