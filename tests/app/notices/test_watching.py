"""When an account stops, its councillor is told by mail: once, and not at night."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest
import sqlalchemy as sa

from app.channels.models import Account, State, Stream
from app.deployment import Deployment
from app.notices.models import Notice
from app.notices.watching import watch_health
from app.notices.writing import write
from app.office.models import Office
from app.staff.models import Role
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db


@pytest.fixture
def stream_id(deployment: Deployment, clock: Clock) -> int:
    """A mailbox whose password was changed two hours ago, in an office of a councillor and a caseworker."""
    with deployment.database.transaction() as session:
        office = make.office(session)
        make.staff(session, office=office, role=Role.COUNCILLOR, email="tansy@fernmoor.example")
        make.staff(session, office=office, role=Role.CASEWORKER)
        account = make.account(session, office=office, name="cllr@fernmoor.example", state=State.NEEDS_YOU)
        stream = make.stream(
            session,
            account=account,
            last_good_at=clock.at - timedelta(hours=2),
            failing_since=clock.at - timedelta(hours=2),
            trouble="The password was refused.",
        )
        return stream.id


def told(deployment: Deployment) -> list[Notice]:
    with deployment.database.reading() as session:
        return list(session.scalars(sa.select(Notice).order_by(Notice.id)))


def test_the_councillor_is_told_once(deployment: Deployment, stream_id: int) -> None:
    assert stream_id
    watch_health(deployment, 0)
    watch_health(deployment, 0)

    (notice,) = told(deployment)
    mail = write(
        notice.name,
        sender="postbag@fernmoor.example",
        to=("Tansy", "tansy@fernmoor.example"),
        at=notice.made_at,
        values={**notice.facts, "name": "Tansy", "office_href": "http://127.0.0.1/"},
    )
    assert mail["Subject"] == "cllr@fernmoor.example needs you"
    assert "has not been checked since Tue 7 Apr, 07:00" in mail.get_content()
    assert "It answers: The password was refused." in mail.get_content()


def test_nobody_is_woken(deployment: Deployment, stream_id: int, clock: Clock) -> None:
    assert stream_id
    clock.at = datetime.fromisoformat("2026-04-07T23:30:00+01:00")
    watch_health(deployment, 0)
    assert told(deployment) == []

    clock.at = datetime.fromisoformat("2026-04-08T07:00:00+01:00")
    watch_health(deployment, 0)
    assert len(told(deployment)) == 1


def test_an_office_has_its_own_hours(deployment: Deployment, stream_id: int, clock: Clock) -> None:
    assert stream_id
    with deployment.database.transaction() as session:
        session.scalars(sa.select(Office)).one().waking_from = time(10)
    watch_health(deployment, 0)
    assert told(deployment) == []

    clock.advance(hours=1)
    watch_health(deployment, 0)
    assert len(told(deployment)) == 1


def test_a_second_outage_is_told_again(deployment: Deployment, stream_id: int, clock: Clock) -> None:
    watch_health(deployment, 0)
    with deployment.database.transaction() as session:
        session.get_one(Stream, stream_id).last_good_at = clock.advance(hours=1)
    clock.advance(hours=2)

    watch_health(deployment, 0)

    assert len(told(deployment)) == 2


def test_a_healthy_account_is_no_news(deployment: Deployment, stream_id: int, clock: Clock) -> None:
    with deployment.database.transaction() as session:
        stream = session.get_one(Stream, stream_id)
        stream.last_good_at, stream.failing_since, stream.trouble = clock.at, None, ""
        session.get_one(Account, stream.account_id).state = State.ACTIVE

    watch_health(deployment, 0)

    assert told(deployment) == []
