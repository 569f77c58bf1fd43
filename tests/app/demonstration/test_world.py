"""The first screen of the demonstration is the one of domain.md section 8."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from app.cases.models import Case, Obligation, ObligationKind
from app.channels.models import Account, Stream
from app.channels.queries import Health, streams
from app.clock import now
from app.deadlines.calendar import Calendar
from app.deadlines.chips import Group, bounds
from app.deadlines.holidays import Nation
from app.intake.quarantine import count
from app.messages.models import File, Message
from app.office.models import Office
from app.pages import queries
from app.pages.queries import Filter
from app.pages.rows import CaseRow
from tests.app.demonstration.conftest import Borough

ENGLAND = Calendar(Nation.ENGLAND_AND_WALES)


def _first_screen(borough: Borough) -> dict[Group, list[CaseRow]]:
    at = bounds(now(), ENGLAND)
    with borough.deployment.database.reading() as session:
        page = queries.inbox(session, [borough.office_id], Filter(), staff_id=0, at=at, limit=500)
    return dict(queries.grouped(page.rows, at))


def test_now_holds_two_emergencies_two_deadlines_and_one_reopened_late(borough: Borough) -> None:
    groups = _first_screen(borough)
    assert list(groups) == [Group.NOW, Group.NEXT_FIVE]
    assert [(row.contact, row.reference) for row in groups[Group.NOW][-1:]] == [("Isolde Crabtree", "MA-26-0098")]
    assert [row.contact for row in groups[Group.NOW]] == [
        "anon@nowhere.example",
        "A. Fenwhistle",
        "Fernmoor Bugle",
        "Rollo Tamblyn",
        "Isolde Crabtree",
    ]


def test_the_rest_is_ordered_by_when_it_is_due(borough: Borough) -> None:
    rows = _first_screen(borough)[Group.NEXT_FIVE]
    assert [row.due_at for row in rows] == sorted(row.due_at for row in rows)
    assert len([row for row in rows if row.subject == "Save Millpond Library"]) == 212
    assert len(rows) == 212 + 22


def test_references_go_on_from_the_last_one_before_easter(borough: Borough) -> None:
    with borough.deployment.database.reading() as session:
        assert borough.case(session, "late-1").reference == "MA-26-0098"
        april = session.scalars(sa.select(Case.number).where(Case.office_id == borough.office_id)).all()
    assert sorted(april)[1] == 147


@pytest.mark.parametrize(
    ("key", "acknowledge_by", "answer_by"),
    [
        ("bins-1", 8, 20),  # Thu 2 April
        ("pothole", 8, 20),  # Good Friday
        ("bins-3", 8, 20),  # Saturday
        ("golau", 8, 20),  # Easter Monday
        ("damp-2", 9, 21),  # Tue 7 April
        ("officer", 9, 21),
    ],
)
def test_what_came_over_easter_is_due_as_the_pledge_says(
    borough: Borough, key: str, acknowledge_by: int, answer_by: int
) -> None:
    with borough.deployment.database.reading() as session:
        of_message = Obligation.message_id == borough.message(session, key).id
        due = {one.kind: one.due_at for one in session.scalars(sa.select(Obligation).where(of_message))}
    assert due[ObligationKind.ACKNOWLEDGE] == datetime(2026, 4, acknowledge_by, 23, tzinfo=UTC)  # midnight in London
    assert due[ObligationKind.REPLY] == datetime(2026, 4, answer_by, 23, tzinfo=UTC)


def test_dates_that_outrank_the_pledge_are_said(borough: Borough) -> None:
    with borough.deployment.database.reading() as session:
        assert borough.case(session, "press").external_at == datetime(2026, 4, 7, 11, 0, tzinfo=UTC)  # noon
        assert borough.case(session, "appeal").external_at == datetime(2026, 4, 10, 16, 0, tzinfo=UTC)
        late = borough.case(session, "late-2")
        assert late.first_received_at == datetime(2026, 3, 16, 10, 5, tzinfo=UTC)
        assert (late.is_reopened_late, late.is_open) == (True, True)
        permits = borough.case(session, "permits").promised_on
    assert (permits and permits.isoformat()) == "2026-04-10"


def test_what_belongs_together_lies_on_one_case(borough: Borough) -> None:
    with borough.deployment.database.reading() as session:
        assert borough.case(session, "late-1").id == borough.case(session, "late-2").id
        assert borough.case(session, "bins-1").id != borough.case(session, "bins-2").id
        assert borough.case(session, "seo").category == "suspected_spam"
        photo = sa.select(File.name).where(File.message_id == borough.message(session, "bins-1").id)
        assert session.scalars(photo).all() == ["larkrise-bins.png"]


def test_everything_came_in_through_the_intake_and_nothing_is_in_trouble(borough: Borough) -> None:
    with borough.deployment.database.reading() as session:
        offices = session.scalars(sa.select(Office.id)).all()
        channels = set(session.scalars(sa.select(Account.channel)))
        assert channels == {"email", "facebook", "reddit", "mastodon", "bluesky", "webform", "manual"}
        assert {one.health for one in streams(session, offices, now())} == {Health.OK}
        assert count(session, offices) == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(Stream)) == 15
        assert session.scalar(sa.select(sa.func.max(Message.sent_at))) < now()  # type: ignore[operator]


def test_nothing_in_it_is_backlog_and_nobody_real_is_named(borough: Borough) -> None:
    with borough.deployment.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Case.is_backlog)) == 0
        handles = session.scalars(sa.select(Message.author_handle).where(Message.author_handle.contains("@"))).all()
    assert [handle for handle in handles if not handle.endswith(".example")] == []
