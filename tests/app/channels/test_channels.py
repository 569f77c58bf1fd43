"""Connecting accounts, and how their streams are said to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.channels import actions, queries
from app.channels.models import Account, Heartbeat, KnownGap, State, Stream
from app.channels.queries import Health
from app.channels.trying import try_account
from app.clock import now
from app.deployment import Deployment
from app.errors import Conflict, Invalid, Missing
from app.jobs.models import Job
from app.office.models import Office
from tests import make
from tests.app.folder_channel import FolderChannel, Platform
from tests.conftest import Clock

TUESDAY = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)
ANSWERS = {"path": " /srv/post ", "password": "open sesame", "unknown": "x"}


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path / "platform")


@pytest.fixture
def channel(platform: Platform) -> FolderChannel:
    return FolderChannel(platform)


@pytest.fixture
def install(deployment: Deployment, channel: FolderChannel, clock: Clock) -> Deployment:  # noqa: ARG001 - it stands
    return deployment.with_connectors({"folder": channel})


@pytest.fixture
def office_id(install: Deployment) -> int:
    with install.database.transaction() as session:
        return make.office(session).id


def add(install: Deployment, channel: FolderChannel, office_id: int, **answers: str) -> int:
    """An account as the form adds it."""
    with install.database.transaction() as session:
        return actions.add_account(
            session,
            install.sealer,
            channel.manifest,
            office_id=office_id,
            options={**ANSWERS, **answers},
            since=actions.usual_since(now()),
            by=None,
            at=now(),
        ).id


def connected(install: Deployment, channel: FolderChannel, office_id: int) -> int:
    account_id = add(install, channel, office_id)
    try_account(install, account_id)
    with install.database.transaction() as session:
        actions.activate(session, session.get_one(Account, account_id), by=None, at=now())
    return account_id


def seen(install: Deployment, account_id: int) -> Account:
    with install.database.reading() as session:
        return session.get_one(Account, account_id)


def jobs(install: Deployment) -> list[str]:
    with install.database.reading() as session:
        return list(session.scalars(sa.select(Job.kind).order_by(Job.id)))


# ── Connecting ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_secrets_are_sealed_apart_and_nothing_else_is_kept(
    install: Deployment, channel: FolderChannel, office_id: int
) -> None:
    account = seen(install, add(install, channel, office_id))
    assert account.options == {"path": "/srv/post", "note": ""}
    assert account.sealed is not None
    assert b"sesame" not in account.sealed
    assert install.sealer.open(account.sealed) == {"password": "open sesame"}
    assert (account.state, account.name) == (State.TRYING, "/srv/post")
    assert account.since_at == datetime(2026, 3, 24, 8, 0, tzinfo=UTC)
    assert jobs(install) == ["try_account"]


@pytest.mark.parametrize(
    ("answers", "field"), [({"path": " "}, "path"), ({"password": ""}, "password"), ({"note": "a\nb"}, "note")]
)
def test_an_answer_that_will_not_do_names_its_field(
    install: Deployment, channel: FolderChannel, office_id: int, answers: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid) as raised:
        add(install, channel, office_id, **answers)
    assert raised.value.field == field


@pytest.mark.db
def test_an_account_that_is_tried_says_what_was_found(
    install: Deployment, channel: FolderChannel, office_id: int, platform: Platform
) -> None:
    account_id = add(install, channel, office_id)
    in_use: list[int] = []
    platform.while_speaking = lambda: in_use.append(install.database.in_use())
    assert try_account(install, account_id) is None
    account = seen(install, account_id)
    assert account.state is State.TRIED
    assert account.check_result["newest"] == "Brown bin, from Hester"
    assert account.check_result["warnings"] == ["Nothing can be sent from a folder."]
    assert [stream["key"] for stream in account.check_result["streams"]] == ["inbox", "junk"]
    assert (account.name, account.display_name) == ("cllr", "Cllr Quillfeather")
    assert in_use == [0]


def test_an_account_that_is_refused_says_why(install: Deployment, channel: FolderChannel, office_id: int) -> None:
    account_id = add(install, channel, office_id, password="wrong")
    try_account(install, account_id)
    account = seen(install, account_id)
    assert account.state is State.REFUSED
    assert account.check_result == {
        "error": "The folder does not know this password.",
        "field": "",
        "kind": "auth_expired",
    }
    with install.database.transaction() as session, pytest.raises(Conflict):
        actions.activate(session, session.get_one(Account, account_id), by=None, at=now())


def test_other_settings_are_tried_anew(install: Deployment, channel: FolderChannel, office_id: int) -> None:
    account_id = add(install, channel, office_id, password="wrong")
    try_account(install, account_id)
    change(install, channel, account_id, password="open sesame")
    assert seen(install, account_id).state is State.TRYING
    try_account(install, account_id)
    assert seen(install, account_id).state is State.TRIED


def change(install: Deployment, channel: FolderChannel, account_id: int, **answers: str) -> None:
    with install.database.transaction() as session:
        actions.change(
            session,
            install.sealer,
            channel.manifest,
            session.get_one(Account, account_id),
            options={"path": "/srv/post", "password": "", **answers},
            by=None,
            at=now(),
        )


@pytest.mark.db
def test_an_account_that_was_found_good_is_polled_once_it_is_connected(
    install: Deployment, channel: FolderChannel, office_id: int
) -> None:
    account_id = connected(install, channel, office_id)
    account = seen(install, account_id)
    assert (account.state, account.connected_at) == (State.ACTIVE, TUESDAY)
    assert account.own_ids == ["cllr@fernmoor.example"]
    with install.database.reading() as session:
        streams = session.execute(sa.select(Stream.key, Stream.interval, Stream.is_junk).order_by(Stream.id)).all()
    assert [tuple(stream) for stream in streams] == [
        ("inbox", timedelta(minutes=5), False),
        ("junk", timedelta(minutes=10), True),
    ]


def test_the_same_account_is_not_connected_twice(install: Deployment, channel: FolderChannel, office_id: int) -> None:
    connected(install, channel, office_id)
    with pytest.raises(Conflict, match="cllr is connected already"):
        connected(install, channel, office_id)


# ── Afterwards ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_password_keeps_the_row_the_cursor_and_the_history(
    install: Deployment, channel: FolderChannel, office_id: int
) -> None:
    account_id = connected(install, channel, office_id)
    with install.database.transaction() as session:
        session.execute(sa.update(Stream).values(cursor={"last": "0042"}))
        session.execute(sa.update(Account).values(state=State.NEEDS_YOU, refusals=3, first_refused_at=now()))
    change(install, channel, account_id, password="open sesame")
    account = seen(install, account_id)
    assert (account.credentials_version, account.refusals, account.connected_at) == (2, 0, TUESDAY)
    with install.database.reading() as session:
        assert session.scalars(sa.select(Stream.cursor)).all() == [{"last": "0042"}] * 2
    try_account(install, account_id)
    assert seen(install, account_id).state is State.NEEDS_YOU  # until a poll goes well


def test_a_secret_that_is_left_empty_stays(install: Deployment, channel: FolderChannel, office_id: int) -> None:
    account_id = connected(install, channel, office_id)
    change(install, channel, account_id, path="/srv/other")
    account = seen(install, account_id)
    assert account.options["path"] == "/srv/other"
    assert account.sealed is not None
    assert install.sealer.open(account.sealed) == {"password": "open sesame"}


def test_pausing_and_resuming_fetch_from_where_it_stopped(
    install: Deployment, channel: FolderChannel, office_id: int, clock: Clock
) -> None:
    account_id = connected(install, channel, office_id)
    with install.database.transaction() as session:
        actions.pause(session, session.get_one(Account, account_id), by=None)
        session.execute(sa.update(Stream).values(cursor={"last": "0042"}))
    clock.advance(days=20)
    with install.database.transaction() as session:
        actions.resume(session, session.get_one(Account, account_id), by=None, at=now())
        with pytest.raises(Conflict):
            actions.resume(session, session.get_one(Account, account_id), by=None, at=now())
    with install.database.reading() as session:
        rows = session.execute(sa.select(Stream.next_at, Stream.cursor)).all()
    assert [tuple(row) for row in rows] == [(clock.at, {"last": "0042"})] * 2


def test_checking_now_respects_a_limit_of_the_platform(
    install: Deployment, channel: FolderChannel, office_id: int, clock: Clock
) -> None:
    account_id = connected(install, channel, office_id)
    later = clock.at + timedelta(hours=1)
    with install.database.transaction() as session:
        session.execute(sa.update(Stream).values(next_at=later))
        session.execute(sa.update(Stream).where(Stream.key == "junk").values(trouble_kind="rate_limited"))
        actions.check_now(session, session.get_one(Account, account_id), by=None, at=clock.at)
    with install.database.reading() as session:
        times = session.scalars(sa.select(Stream.next_at).order_by(Stream.key)).all()
    assert times == [clock.at, later]


def test_a_removed_account_forgets_its_secret_and_looks_missing(
    install: Deployment, channel: FolderChannel, office_id: int
) -> None:
    account_id = connected(install, channel, office_id)
    with install.database.transaction() as session:
        actions.remove(session, session.get_one(Account, account_id), by=None)
    assert (seen(install, account_id).sealed, seen(install, account_id).state) == (None, State.REMOVED)
    with install.database.reading() as session:
        assert queries.accounts(session, [office_id]) == []
        with pytest.raises(Missing):
            queries.account(session, office_id, account_id)


def test_older_post_is_fetched_when_somebody_asks(install: Deployment, channel: FolderChannel, office_id: int) -> None:
    account_id = connected(install, channel, office_id)
    with install.database.transaction() as session:
        session.execute(sa.update(Stream).values(cursor={"last": "0042"}))
        account = session.get_one(Account, account_id)
        with pytest.raises(Conflict):
            actions.fetch_older(session, account, since=now(), by=None, at=now())
        actions.fetch_older(session, account, since=None, by=None, at=now())
    assert seen(install, account_id).since_at is None
    with install.database.reading() as session:
        assert session.scalars(sa.select(Stream.cursor)).all() == [None, None]


def test_an_account_of_another_office_looks_missing(session: Session) -> None:
    account, stranger = make.account(session), make.office(session)
    assert queries.account(session, account.office_id, account.id) is account
    with pytest.raises(Missing):
        queries.account(session, stranger.id, account.id)


@pytest.mark.usefixtures("clock")
def test_a_gap_stands_until_somebody_has_looked(session: Session) -> None:
    stream = make.stream(session)
    gap = KnownGap(
        office_id=stream.office_id, stream_id=stream.id, since_at=None, until_at=None, reason="Cleared", found_at=now()
    )
    session.add(gap)
    session.flush()
    assert queries.gaps(session, [stream.office_id]) == [gap]
    actions.settle_gap(session, queries.gap(session, stream.office_id, gap.id), by=None, at=now())
    assert queries.gaps(session, [stream.office_id]) == []


# ── Health ────────────────────────────────────────────────────────────────────────────────────────────────────────


def health(session: Session, office: Office, at: datetime) -> list[tuple[Health, datetime | None]]:
    session.flush()
    return [(one.health, one.since) for one in queries.streams(session, [office.id], at)]


@pytest.mark.db
@pytest.mark.usefixtures("clock")
def test_a_stream_is_late_after_15_minutes_or_two_of_its_intervals(session: Session) -> None:
    office = make.office(session)
    account = make.account(session, office=office)
    make.stream(session, account=account, key="a", interval=timedelta(minutes=1), last_good_at=TUESDAY)
    make.stream(session, account=account, key="b", interval=timedelta(minutes=10), last_good_at=TUESDAY)
    ok, late = (Health.OK, TUESDAY), (Health.LATE, TUESDAY)
    assert health(session, office, TUESDAY + timedelta(minutes=15)) == [ok, ok]
    assert health(session, office, TUESDAY + timedelta(minutes=15, seconds=1)) == [late, ok]
    assert health(session, office, TUESDAY + timedelta(minutes=20, seconds=1)) == [late, late]


@pytest.mark.db
@pytest.mark.usefixtures("clock")
def test_health_says_what_is_wrong_and_since_when(session: Session) -> None:
    office = make.office(session)
    minute = timedelta(minutes=1)
    failing = make.account(session, office=office)
    make.stream(
        session, account=failing, last_good_at=TUESDAY, failing_since=TUESDAY + minute, trouble="The line broke."
    )
    refused = make.account(session, office=office, state=State.NEEDS_YOU, first_refused_at=TUESDAY - 90 * minute)
    make.stream(session, account=refused, last_good_at=TUESDAY - 91 * minute)
    paused = make.account(session, office=office, state=State.PAUSED)
    make.stream(session, account=paused, last_good_at=TUESDAY - timedelta(days=2))
    make.stream(session, account=make.account(session, office=office, state=State.REMOVED))
    assert health(session, office, TUESDAY + 2 * minute) == [
        (Health.FAILING, TUESDAY + minute),
        (Health.NEEDS_YOU, TUESDAY - 90 * minute),
        (Health.PAUSED, TUESDAY - timedelta(days=2)),
    ]
    assert queries.streams(session, [office.id], TUESDAY)[0].trouble == "The line broke."


@pytest.mark.db
@pytest.mark.usefixtures("clock")
def test_every_page_is_told_of_late_streams_and_of_a_missing_worker_in_one_statement(session: Session) -> None:
    office, other = make.office(session), make.office(session)
    make.stream(session, account=make.account(session, office=office), last_good_at=TUESDAY - timedelta(hours=1))
    make.stream(session, account=make.account(session, office=office), last_good_at=TUESDAY, name="Fine")
    make.stream(session, account=make.account(session, office=other), last_good_at=TUESDAY - timedelta(hours=1))
    asked: list[str] = []
    sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *given: asked.append(given[2]))
    told = queries.alarm(session, [office.id], TUESDAY)
    assert len(asked) == 1
    assert [(one.health, one.stream, one.since) for one in told.streams] == [
        (Health.LATE, "Inbox", TUESDAY - timedelta(hours=1))
    ]
    assert (told.worker_seen_at, told.is_worker_gone) == (None, True)


@pytest.mark.db
@pytest.mark.usefixtures("clock")
def test_a_worker_that_was_seen_within_a_minute_lives(session: Session) -> None:
    office = make.office(session)
    session.add(Heartbeat(worker="w", started_at=TUESDAY, seen_at=TUESDAY))
    session.flush()
    lives = queries.alarm(session, [office.id], TUESDAY + timedelta(seconds=60))
    assert (lives.streams, lives.worker_seen_at, lives.is_worker_gone) == ((), TUESDAY, False)
    assert queries.alarm(session, [office.id], TUESDAY + timedelta(seconds=61)).is_worker_gone
