"""The folder for sent mail: answers given in another program stop the clock, the rest is nobody's business here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.cases.models import Case, Obligation, ObligationState, Status
from app.channels.models import Account
from app.intake.poll import poll_account
from app.intake.take import take
from app.jobs import Kind
from app.jobs.models import Job
from app.messages.models import Conversation, Direction, Sighting
from app.replies.models import Reply, Sending
from tests import make
from tests.app.intake.conftest import Desk

OWN = "cllr@fernmoor.example"
HESTER = "hester@residents.example"
MONDAY = "2026-04-06T09:00:00+00:00"
ANSWERED = datetime(2026, 4, 6, 15, 30, tzinfo=UTC)


@pytest.fixture
def office(desk: Desk) -> Desk:
    """An office whose account has a folder for sent mail; Hester has written to it."""
    (desk.platform.root / "sent").mkdir()
    with desk.deployment.database.transaction() as session:
        account = session.get_one(Account, desk.account_id)
        make.stream(session, account=account, key="sent", name="Sent", interval=timedelta(minutes=5), is_ours=True)
    desk.platform.post("<1@r>", author=HESTER, subject="Brown bin", arrived=MONDAY)
    desk.fetch()
    return desk


def file(desk: Desk, name: str, /, **said: Any) -> None:
    """Put a mail into the folder for sent mail, by default an answer to Hester's."""
    mail = {"author": OWN, "to": [HESTER], "answers": "<1@r>", "text": "It is fixed.", "arrived": ANSWERED.isoformat()}
    desk.platform.post(name, stream="sent", **(mail | said))
    desk.fetch()


def owed(desk: Desk) -> set[ObligationState]:
    with desk.deployment.database.reading() as session:
        return set(session.scalars(sa.select(Obligation.state)))


def test_an_answer_that_was_sent_from_another_program_stops_the_clock_at_the_servers_time(office: Desk) -> None:
    file(office, "<2@fernmoor>")
    _, answer = office.messages()
    assert (answer.direction, answer.sent_at) == (Direction.OUTBOUND, ANSWERED)
    assert owed(office) == {ObligationState.MET}
    with office.deployment.database.reading() as session:
        assert session.scalars(sa.select(Case.status)).all() == [Status.ANSWERED]
        assert session.scalars(sa.select(Obligation.met_at)).all()[0] == ANSWERED


def test_an_answer_to_an_answer_is_known_as_well(office: Desk) -> None:
    file(office, "<2@fernmoor>")
    file(office, "<3@fernmoor>", answers="<2@fernmoor>", text="And swept.")
    assert [message.direction for message in office.messages()] == [
        Direction.INBOUND,
        Direction.OUTBOUND,
        Direction.OUTBOUND,
    ]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"answers": "", "to": ["friend@elsewhere.example"]}, id="a letter to a friend"),
        pytest.param({"answers": "<unknown@elsewhere>"}, id="an answer to something else"),
        pytest.param({"to": ["depot@council.example"]}, id="her letter passed on to an officer"),
        pytest.param({"auto": True}, id="a note of absence"),
    ],
)
def test_what_answers_nobody_leaves_no_trace_and_stops_no_clock(office: Desk, said: dict[str, Any]) -> None:
    file(office, "<2@fernmoor>", **said)
    assert [message.author_handle for message in office.messages()] == [HESTER]
    assert [sighting.external_id for sighting in office.sightings()] == ["<1@r>"]
    assert owed(office) == {ObligationState.OPEN}


def test_a_resident_copied_in_is_answered(office: Desk) -> None:
    file(office, "<2@fernmoor>", to=["depot@council.example"], cc=[HESTER])
    assert [message.direction for message in office.messages()][-1] is Direction.OUTBOUND


def test_an_answer_is_found_although_a_stranger_has_named_the_same_mail_since(office: Desk) -> None:
    office.platform.post("<2@d>", author="depot@council.example", answers="<1@r>", text="Who is it?", arrived=MONDAY)
    office.fetch()
    file(office, "<3@fernmoor>")
    asked, stranger, answer = office.messages()
    assert answer.direction is Direction.OUTBOUND
    assert answer.conversation_id == asked.conversation_id != stranger.conversation_id


def test_an_answer_to_a_stranger_who_named_the_same_mail_leaves_the_resident_waiting(office: Desk) -> None:
    office.platform.post("<2@d>", author="depot@council.example", answers="<1@r>", text="Who is it?", arrived=MONDAY)
    office.fetch()
    file(office, "<3@fernmoor>", to=["depot@council.example"])
    asked, stranger, answer = office.messages()
    assert answer.conversation_id == stranger.conversation_id != asked.conversation_id
    assert owed(office) == {ObligationState.OPEN, ObligationState.MET}


def test_a_residents_letter_that_somebody_dragged_there_is_theirs(office: Desk) -> None:
    file(office, "<2@r>", author=HESTER, to=[OWN], text="Still not collected.")
    assert [message.direction for message in office.messages()] == [Direction.INBOUND, Direction.INBOUND]
    assert owed(office) == {ObligationState.OPEN}


def test_the_copy_of_a_reply_of_ours_is_passed_over(office: Desk) -> None:
    _reply(office, "<ours@fernmoor>", Sending.SENT)
    file(office, "<ours@fernmoor>")
    assert len(office.messages()) == 1
    assert len(office.sightings()) == 1


def test_the_copy_of_a_reply_whose_fate_is_not_known_waits_for_it(office: Desk) -> None:
    _reply(office, "<ours@fernmoor>", Sending.UNCERTAIN)
    file(office, "<ours@fernmoor>")
    with office.deployment.database.transaction() as session:
        waiting = session.scalars(sa.select(Sighting.external_id).where(Sighting.message_id.is_(None))).all()
    assert waiting == ["<ours@fernmoor>"]
    assert owed(office) == {ObligationState.OPEN}


def test_a_copy_of_what_is_said_not_to_have_gone_out_has_it_looked_at_once_more(office: Desk) -> None:
    _reply(office, "<ours@fernmoor>", Sending.FAILED)
    file(office, "<ours@fernmoor>")
    with office.deployment.database.reading() as session:
        assert session.scalars(sa.select(Reply.state)).all() == [Sending.UNCERTAIN]
        assert session.scalar(sa.select(Job.id).where(Job.kind == Kind.PROBE_REPLY)) is not None


def test_only_answers_are_asked_of_a_folder_for_sent_mail(office: Desk) -> None:
    office.platform.budgets.clear()
    poll_account(office.deployment, office.account_id, everything=True)
    asked = {stream: budget.answers_only for stream, budget in office.platform.budgets}
    assert asked == {"inbox": False, "junk": False, "sent": True}


@pytest.mark.db
def test_what_is_fetched_again_is_passed_over_again(office: Desk) -> None:
    file(office, "<2@fernmoor>", to=["depot@council.example"])
    with office.deployment.database.transaction() as session:
        session.get_one(Account, office.account_id).since_at = None
        session.execute(sa.text("UPDATE stream SET cursor = NULL"))
    poll_account(office.deployment, office.account_id, everything=True)
    take(office.deployment, office.account_id)
    assert [sighting.external_id for sighting in office.sightings()] == ["<1@r>"]


def _reply(desk: Desk, platform_id: str, state: Sending) -> None:
    with desk.deployment.database.transaction() as session:
        conversation = session.get_one(Conversation, desk.messages()[0].conversation_id)
        make.reply(session, staff=make.staff(session), conversation=conversation, platform_id=platform_id, state=state)
