"""Two cases that turn out to be one, and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from app.cases.models import Case, Obligation, ObligationState, Status
from app.clock import now
from app.db import Database
from app.errors import Conflict, Invalid
from app.messages.models import Conversation
from app.replies import joining
from app.replies.models import Draft, Reply, Sending
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db


@dataclass
class Desk:
    """Hester's case about her bin, and a mail that looks like a second one."""

    database: Database
    clock: Clock
    by: int
    bin_id: int
    other_id: int
    conversation_id: int

    def case(self, case_id: int) -> Case:
        with self.database.reading() as session:
            return session.get_one(Case, case_id)

    def owed(self, case_id: int) -> list[tuple[ObligationState, datetime]]:
        with self.database.reading() as session:
            query = sa.select(Obligation).where(Obligation.case_id == case_id).order_by(Obligation.id)
            return [(one.state, one.due_at) for one in session.scalars(query)]

    def join(self) -> None:
        with self.database.transaction() as session:
            joining.join(
                session,
                session.get_one(Conversation, self.conversation_id),
                session.get_one(Case, self.bin_id),
                by=self.by,
            )

    def split_off(self) -> None:
        with self.database.transaction() as session:
            joining.split_off(session, session.get_one(Conversation, self.conversation_id), by=self.by)


def desk(database: Database, clock: Clock, *, is_same_person: bool) -> Desk:
    with database.transaction() as session:
        office = make.office(session)
        staff = make.staff(session, office=office)
        hester = make.person(session, office=office)
        other = hester if is_same_person else make.person(session, office=office, name="Cuthbert Mossgrove")
        bin_case = make.case(session, person=hester)
        account = make.account(session, office=office)
        made = make.obligation(
            session,
            message=make.message(session, conversation=make.conversation(session, case=bin_case, account=account)),
        )
        bin_case.due_at = made.due_at
        clock.advance(minutes=60)
        second = make.case(session, person=other, subject="The bin again")
        thread = make.conversation(session, case=second, account=account)
        message = make.message(
            session, conversation=thread, text="It is the same bin.", reply_text="It is the same bin."
        )
        second.due_at = make.obligation(session, message=message, due_at=now() + timedelta(days=5)).due_at
        make.draft(session, conversation=thread, staff=staff)
        make.reply(session, conversation=thread, staff=staff, state=Sending.FAILED)
        return Desk(database, clock, staff.id, bin_case.id, second.id, thread.id)


def test_a_joined_conversation_brings_its_words_and_what_is_owed(database: Database, clock: Clock) -> None:
    of = desk(database, clock, is_same_person=False)
    of.join()

    into, left = of.case(of.bin_id), of.case(of.other_id)
    assert (into.snippet, into.has_draft, into.has_failed_reply) == ("It is the same bin.", True, True)
    assert (left.is_open, left.merged_into_id, left.has_draft) == (False, of.bin_id, False)
    assert [state for state, _ in of.owed(of.bin_id)] == [ObligationState.OPEN, ObligationState.OPEN]  # one each
    assert into.due_at == min(due for _, due in of.owed(of.bin_id))
    with database.reading() as session:
        assert set(session.scalars(sa.select(Draft.case_id))) == {of.bin_id}
        assert set(session.scalars(sa.select(Reply.case_id))) == {of.bin_id}


def test_one_persons_two_turns_become_one_with_the_earlier_date(database: Database, clock: Clock) -> None:
    of = desk(database, clock, is_same_person=True)
    earlier = min(of.owed(of.bin_id)[0][1], of.owed(of.other_id)[0][1])
    of.join()

    assert [one for one in of.owed(of.bin_id) if one[0] is ObligationState.OPEN] == [(ObligationState.OPEN, earlier)]
    assert of.case(of.bin_id).due_at == earlier


@pytest.mark.parametrize("is_same_person", [True, False])
def test_going_back_makes_two_cases_again_each_owing_its_answer(
    database: Database, clock: Clock, *, is_same_person: bool
) -> None:
    of = desk(database, clock, is_same_person=is_same_person)
    of.join()
    of.split_off()

    assert (of.case(of.bin_id).snippet, of.case(of.bin_id).has_draft) == (
        "The brown bin was missed for the third time.",
        False,
    )
    back = of.case(of.other_id)
    assert (back.is_open, back.merged_into_id, back.status, back.has_draft) == (True, None, Status.NEW, True)
    assert [state for state, _ in of.owed(of.other_id)] == [ObligationState.OPEN]
    assert [state for state, _ in of.owed(of.bin_id)] == [ObligationState.OPEN]


def test_joining_to_a_closed_case_opens_it(database: Database, clock: Clock) -> None:
    of = desk(database, clock, is_same_person=True)
    with database.transaction() as session:
        closed = session.get_one(Case, of.bin_id)
        closed.is_open, closed.status = False, Status.CLOSED
        session.execute(
            sa.update(Obligation).where(Obligation.case_id == closed.id).values(state=ObligationState.SHELVED)
        )
    of.join()
    assert of.case(of.bin_id).is_open
    assert [state for state, _ in of.owed(of.bin_id)].count(ObligationState.OPEN) == 1


def test_what_cannot_be_joined_says_why(database: Database, clock: Clock) -> None:
    of = desk(database, clock, is_same_person=True)
    of.join()
    with pytest.raises(Conflict, match="belongs to this case already"):
        of.join()
    with database.transaction() as session, pytest.raises(Invalid, match="no case MA-26-9999"):
        joining.by_reference(session, session.get_one(Case, of.bin_id).office_id, " ma-26-9999")
    with database.transaction() as session:
        thread = make.conversation(session, case=make.case(session, person=make.person(session)))
        joined = session.get_one(Case, of.other_id)
        with pytest.raises(Conflict, match="joined to another one"):
            joining.join(session, thread, joined, by=of.by)
