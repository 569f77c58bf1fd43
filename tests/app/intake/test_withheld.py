"""What a platform lists and does not hand out: in sight, fetched again by hand, and in nobody's way."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.audit.models import AuditLine
from app.channels.models import Stream
from app.errors import Missing
from app.intake import quarantine
from app.intake.again import GONE, fetch_again
from app.intake.fetching import retry_now
from app.intake.take import take
from app.jobs import Kind
from app.jobs.models import Job
from app.messages.models import Reading, Sighting
from tests.app.folder_channel import LOCKED
from tests.app.intake.conftest import Desk


@pytest.fixture
def held(desk: Desk) -> int:
    """One item is withheld, another came; the id of the sighting of the former."""
    desk.platform.post("0001", subject="Bin")
    desk.platform.post("0002", subject="Lamp", text="It is dark.")
    desk.platform.lock("0001")
    desk.fetch()
    return _held(desk).id


def _held(desk: Desk) -> Sighting:
    [found] = [one for one in desk.sightings() if one.external_id == "0001"]
    return found


@pytest.mark.db
def test_it_stands_in_quarantine_and_the_rest_goes_on(desk: Desk, held: int) -> None:
    assert desk.subjects() == ["Lamp"]
    with desk.deployment.database.reading() as session:
        [shown] = quarantine.quarantined(session, [desk.office_id])
        assert (shown.sighting_id, shown.trouble, shown.size, shown.sha256) == (held, LOCKED, 0, "")
        assert session.scalars(sa.select(Stream.trouble).where(Stream.trouble != "")).all() == []
        said = session.execute(sa.select(AuditLine.verb, AuditLine.object_id).where(AuditLine.verb == "quarantine"))
        assert [tuple(row) for row in said] == [("quarantine", held)]


def test_it_has_no_bytes_to_show(desk: Desk, held: int) -> None:
    with desk.deployment.database.reading() as session, pytest.raises(Missing):
        quarantine.with_bytes(session, [desk.office_id], held)


def test_a_newer_reader_makes_nothing_of_it(desk: Desk, held: int) -> None:
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Sighting).values(reader=-1))
    assert take(desk.deployment, desk.account_id) == {}
    assert (_held(desk).id, _held(desk).state) == (held, Reading.QUARANTINED)


def test_asking_for_it_has_a_job_fetch_it(desk: Desk, held: int) -> None:
    with desk.deployment.database.transaction() as session:
        quarantine.retry(session, session.get_one(Sighting, held), by=None)
    with desk.deployment.database.reading() as session:
        jobs = session.execute(sa.select(Job.kind, Job.key).where(Job.kind == Kind.FETCH_AGAIN)).all()
    assert [tuple(job) for job in jobs] == [("fetch_again", held)]


@pytest.mark.db
def test_once_it_is_handed_out_it_comes_into_the_inbox(desk: Desk, held: int) -> None:
    desk.platform.unlock("0001")
    fetch_again(desk.deployment, held)
    take(desk.deployment, desk.account_id)
    assert desk.subjects() == ["Lamp", "Bin"]
    assert (_held(desk).state, _held(desk).trouble) == (Reading.TAKEN, "")


def test_while_it_is_not_the_reason_stays(desk: Desk, held: int) -> None:
    fetch_again(desk.deployment, held)
    assert (_held(desk).state, _held(desk).trouble) == (Reading.QUARANTINED, LOCKED)


def test_when_it_is_gone_that_is_said(desk: Desk, held: int) -> None:
    (desk.platform.root / "inbox" / "0001.json").unlink()
    fetch_again(desk.deployment, held)
    assert (_held(desk).state, _held(desk).trouble) == (Reading.QUARANTINED, GONE)


def test_where_a_walk_has_brought_it_meanwhile_it_is_not_doubled(desk: Desk, held: int) -> None:
    desk.platform.unlock("0001")
    with desk.deployment.database.transaction() as session:
        session.execute(sa.update(Stream).values(cursor=None))
    desk.fetch()
    fetch_again(desk.deployment, held)
    assert sorted(desk.subjects()) == ["Bin", "Lamp"]
    assert [one.external_id for one in desk.sightings()] == ["0002", "0001"]


def test_the_command_fetches_it_too(desk: Desk, held: int) -> None:
    assert retry_now(desk.deployment, [held]) == 1
    desk.platform.unlock("0001")
    assert retry_now(desk.deployment, [held]) == 0
    assert desk.subjects() == ["Lamp", "Bin"]
