"""What is owed on a case, on both databases: the rules of domain.md section 2 where they touch rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases import actions, clocks
from app.cases.models import (
    Case,
    DecisionKind,
    Obligation,
    ObligationKind,
    ObligationState,
    Outcome,
    Purpose,
    Status,
)
from app.deadlines.chips import BACKLOG, EMERGENCY, EXTERNAL, NORMAL, REOPENED_LATE
from app.deadlines.obligations import NOTHING_OWED_AT, Emergency
from app.deadlines.obligations import Kind as DueKind
from app.errors import Invalid
from app.messages.models import Conversation, Direction, Message
from app.office.models import Closure, Holiday, Office
from app.office.queries import rules
from app.people.models import Person
from connectors import Audience, Kind
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db

THURSDAY = datetime(2026, 4, 2, 8, 12, tzinfo=UTC)  # 2 April 2026, 09:12 in Fernmoor
ACKNOWLEDGE_BY = datetime(2026, 4, 8, 23, tzinfo=UTC)  # Easter between: two working days later is Wed 8, until its end
ANSWER_BY = datetime(2026, 4, 20, 23, tzinfo=UTC)  # ten working days in England and Wales


@dataclass
class Desk:
    """An office at work: messages arrive and answers go out through the real clocks."""

    session: Session
    clock: Clock
    office_id: int
    staff_id: int
    person: Person
    conversation: Conversation

    @property
    def case(self) -> Case:
        return self.session.get_one(Case, self.conversation.case_id)

    def arrives(self, sent_at: datetime, **columns: Any) -> Message:
        message = make.message(self.session, conversation=self.conversation, sent_at=sent_at, **columns)
        self.clock.at = max(self.clock.at, sent_at)
        clocks.received(self.session, rules(self.session, self.office_id), self.case, self.conversation, message)
        return message

    def sends(
        self, sent_at: datetime, purpose: Purpose = Purpose.ANSWER, seen: Message | None = None, **more: Any
    ) -> Message:
        message = make.message(
            self.session,
            conversation=self.conversation,
            sent_at=sent_at,
            direction=Direction.OUTBOUND,
            purpose=purpose.value,
        )
        seen_id = seen.id if seen else message.id
        of = rules(self.session, self.office_id)
        clocks.answered(self.session, of, self.case, message, purpose=purpose, seen_message_id=seen_id, **more)
        return message

    def fails(self, message: Message) -> None:
        message.is_failed = True
        clocks.unanswered(self.session, rules(self.session, self.office_id), self.case, message)

    def recomputes(self) -> int:
        of = rules(self.session, self.office_id)
        moved = actions.recompute(self.session, self.office_id, clocks.outdated(self.session, of), self.clock.at)
        clocks.excuse(self.session, of)
        return moved

    def owed(self, kind: ObligationKind = ObligationKind.REPLY) -> list[tuple[ObligationState, datetime]]:
        self.session.flush()
        query = sa.select(Obligation).where(Obligation.case_id == self.case.id, Obligation.kind == kind)
        return [(one.state, one.due_at) for one in self.session.scalars(query.order_by(Obligation.id))]


@pytest.fixture
def desk(session: Session, clock: Clock) -> Desk:
    clock.at = THURSDAY
    office = make.office(session)
    person = make.person(session, office=office)
    staff = make.staff(session, office=office)
    case = actions.new_case(
        session,
        rules(session, office.id),
        person_id=person.id,
        subject="Brown bin missed again",
        channel="email",
        kind=Kind.MAIL,
        audience=Audience.DIRECT,
        contact=person.name,
        received_at=THURSDAY,
        at=THURSDAY,
    )
    actions.begin(session, case)
    conversation = make.conversation(session, case=case)
    return Desk(session, clock, office.id, staff.id, person, conversation)


def test_a_message_owes_an_acknowledgement_and_an_answer(desk: Desk) -> None:
    desk.arrives(THURSDAY)

    assert desk.owed(ObligationKind.ACKNOWLEDGE) == [(ObligationState.OPEN, ACKNOWLEDGE_BY)]
    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    assert (desk.case.rank, desk.case.due_at, desk.case.is_unread) == (NORMAL, ACKNOWLEDGE_BY, True)


def test_a_second_message_joins_the_turn_and_never_moves_it(desk: Desk) -> None:
    desk.arrives(THURSDAY)

    desk.arrives(THURSDAY + timedelta(days=4))

    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    assert len(desk.owed(ObligationKind.ACKNOWLEDGE)) == 1


def test_a_message_found_late_may_make_the_date_earlier(desk: Desk) -> None:
    desk.arrives(THURSDAY)

    desk.arrives(THURSDAY - timedelta(days=1))

    assert desk.owed() == [(ObligationState.OPEN, datetime(2026, 4, 17, 23, tzinfo=UTC))]


def test_an_automatic_mail_owes_nothing(desk: Desk) -> None:
    desk.arrives(THURSDAY, is_auto=True)

    assert desk.owed() == []
    assert desk.case.due_at == NOTHING_OWED_AT


def test_an_answer_meets_both_and_the_case_leaves_the_inbox(desk: Desk) -> None:
    desk.arrives(THURSDAY)

    desk.sends(THURSDAY + timedelta(days=1))

    assert desk.owed() == [(ObligationState.MET, ANSWER_BY)]
    assert desk.owed(ObligationKind.ACKNOWLEDGE) == [(ObligationState.MET, ACKNOWLEDGE_BY)]
    assert (desk.case.status, desk.case.is_open) == (Status.ANSWERED, False)


def test_an_acknowledgement_ends_only_its_own_clock(desk: Desk) -> None:
    desk.arrives(THURSDAY)

    desk.sends(THURSDAY + timedelta(hours=1), Purpose.ACKNOWLEDGEMENT)

    assert desk.owed(ObligationKind.ACKNOWLEDGE) == [(ObligationState.MET, ACKNOWLEDGE_BY)]
    assert (desk.case.due_at, desk.case.status) == (ANSWER_BY, Status.ACKNOWLEDGED)


def test_a_holding_reply_sorts_the_case_by_its_promise(desk: Desk) -> None:
    desk.arrives(THURSDAY)

    desk.sends(THURSDAY + timedelta(hours=1), Purpose.HOLDING, promised_on=date(2026, 4, 17))

    assert (desk.case.due_at, desk.case.due_kind) == (datetime(2026, 4, 17, 23, tzinfo=UTC), DueKind.PROMISE)
    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]  # the pledge keeps its own verdict


def test_what_crossed_with_the_answer_opens_a_turn(desk: Desk) -> None:
    first = desk.arrives(THURSDAY)
    desk.arrives(THURSDAY + timedelta(days=5))

    desk.sends(THURSDAY + timedelta(days=5, hours=1), seen=first)

    assert desk.owed() == [
        (ObligationState.MET, ANSWER_BY),
        (ObligationState.OPEN, datetime(2026, 4, 21, 23, tzinfo=UTC)),
    ]
    assert desk.case.is_open


def test_an_answer_that_failed_brings_the_old_date_back(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    answer = desk.sends(THURSDAY + timedelta(days=1))

    desk.fails(answer)

    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    assert (desk.case.is_open, desk.case.due_at) == (True, ACKNOWLEDGE_BY)


def test_a_second_accepted_answer_stands_when_the_first_failed(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    first = desk.sends(THURSDAY + timedelta(days=1), stays_open=True)
    desk.sends(THURSDAY + timedelta(days=2))

    desk.fails(first)

    assert desk.owed() == [(ObligationState.MET, ANSWER_BY)]


def test_a_failed_answer_and_a_newer_turn_fold_into_the_older_date(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    answer = desk.sends(THURSDAY + timedelta(days=1))
    desk.arrives(THURSDAY + timedelta(days=5))

    desk.fails(answer)

    assert desk.owed() == [
        (ObligationState.OPEN, ANSWER_BY),
        (ObligationState.FOLDED, datetime(2026, 4, 21, 23, tzinfo=UTC)),
    ]


def test_no_reply_needed_waives_and_its_undo_brings_the_same_date_back(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    decision = actions.decide(
        desk.session,
        desk.case,
        kind=DecisionKind.NO_REPLY_NEEDED,
        reason="Only thanks",
        by=desk.staff_id,
        at=desk.clock.at,
    )
    assert desk.owed() == [(ObligationState.WAIVED, ANSWER_BY)]
    assert (desk.case.status, desk.case.outcome) == (Status.CLOSED, Outcome.NO_REPLY_NEEDED)

    actions.undo_decision(desk.session, decision, by=desk.staff_id, at=desk.clock.at)

    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    assert (desk.case.status, desk.case.is_open) == (Status.NEW, True)


def test_a_message_after_a_waiver_is_a_new_turn(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    actions.decide(
        desk.session, desk.case, kind=DecisionKind.DECLINED, reason="Abuse", by=desk.staff_id, at=desk.clock.at
    )

    desk.arrives(THURSDAY + timedelta(days=5))

    assert desk.owed() == [
        (ObligationState.WAIVED, ANSWER_BY),
        (ObligationState.OPEN, datetime(2026, 4, 21, 23, tzinfo=UTC)),
    ]


def test_a_case_closed_unanswered_reopens_with_its_old_date_and_jumps_the_queue_when_late(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    actions.close(desk.session, desk.case, outcome=Outcome.PASSED_ON, by=desk.staff_id, at=desk.clock.at)
    assert desk.owed() == [(ObligationState.SHELVED, ANSWER_BY)]

    desk.arrives(datetime(2026, 4, 28, 7, 10, tzinfo=UTC))

    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    assert (desk.case.rank, desk.case.due_at) == (REOPENED_LATE, ANSWER_BY)
    assert desk.case.first_received_at == THURSDAY


def test_a_reply_to_an_answered_case_is_a_new_turn_from_the_new_message(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    desk.sends(THURSDAY + timedelta(days=1))

    desk.arrives(datetime(2026, 4, 28, 7, 10, tzinfo=UTC))

    assert desk.owed()[1] == (ObligationState.OPEN, datetime(2026, 5, 13, 23, tzinfo=UTC))  # 4 May is a holiday
    assert (desk.case.status, desk.case.rank) == (Status.WITH_US, NORMAL)


def test_backlog_is_never_due_before_the_dates_counted_from_connecting(desk: Desk) -> None:
    desk.arrives(THURSDAY - timedelta(days=60), is_backlog=True)

    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    assert desk.case.rank == BACKLOG


def test_a_closure_added_later_moves_open_dates_only_and_excuses_a_lateness(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    desk.sends(ANSWER_BY + timedelta(hours=9))  # late by a few hours of Tuesday 21
    desk.arrives(ANSWER_BY + timedelta(days=1))
    closed = Closure(office_id=desk.office_id, first_on=date(2026, 4, 9), last_on=date(2026, 4, 9), name="Count")
    desk.session.add(closed)
    desk.session.flush()

    moved = desk.recomputes()

    met = desk.session.scalars(sa.select(Obligation).where(Obligation.state == ObligationState.MET)).all()
    reply = next(one for one in met if one.kind is ObligationKind.REPLY)
    assert (reply.due_at, reply.is_late, reply.is_excused) == (ANSWER_BY, True, True)
    assert moved == 0  # the open turn began after the closure


def test_a_holiday_added_later_moves_an_open_date(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    office = rules(desk.session, desk.office_id)
    desk.session.add(Holiday(nation=office.nation, day_on=date(2026, 4, 15), name="Jubilee"))
    desk.session.flush()

    assert desk.recomputes() == 1

    assert desk.owed() == [(ObligationState.OPEN, datetime(2026, 4, 21, 23, tzinfo=UTC))]
    assert desk.owed(ObligationKind.ACKNOWLEDGE) == [(ObligationState.OPEN, ACKNOWLEDGE_BY)]


def test_an_emergency_leads_whatever_else_is_owed(desk: Desk) -> None:
    desk.arrives(THURSDAY)

    actions.flag_emergency(desk.session, desk.case, kind=Emergency.SAFEGUARDING, since=THURSDAY, by=desk.staff_id)

    assert (desk.case.rank, desk.case.due_at) == (EMERGENCY, THURSDAY + timedelta(minutes=60))


def test_an_external_deadline_outranks_the_pledge_only_when_it_comes_before_the_answer(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    appeal, hearing = datetime(2026, 4, 10, 11, tzinfo=UTC), datetime(2026, 5, 6, 9, tzinfo=UTC)

    actions.set_external_deadline(desk.session, desk.case, deadline_at=hearing, what="Hearing", by=desk.staff_id)
    assert (desk.case.rank, desk.case.due_at) == (NORMAL, ACKNOWLEDGE_BY)
    actions.set_external_deadline(desk.session, desk.case, deadline_at=appeal, what="Appeal", by=desk.staff_id)

    assert (desk.case.rank, desk.case.due_at, desk.case.due_kind) == (EXTERNAL, appeal, DueKind.EXTERNAL)


# ── What crosses, fails, or comes back ────────────────────────────────────────────────────────────────────────────


def test_a_turn_that_the_writer_had_not_seen_stays_owed_as_it_was(desk: Desk) -> None:
    first = desk.arrives(THURSDAY)
    desk.sends(THURSDAY + timedelta(hours=1), stays_open=True)
    desk.arrives(THURSDAY + timedelta(days=5))

    desk.sends(THURSDAY + timedelta(days=5, hours=1), seen=first)

    assert desk.owed() == [
        (ObligationState.MET, ANSWER_BY),
        (ObligationState.OPEN, datetime(2026, 4, 21, 23, tzinfo=UTC)),
    ]
    assert desk.owed(ObligationKind.ACKNOWLEDGE)[1][0] is ObligationState.OPEN
    assert desk.case.is_open


def test_an_acknowledgement_that_crossed_acknowledges_only_what_its_writer_had_seen(desk: Desk) -> None:
    first = desk.arrives(THURSDAY)
    desk.sends(THURSDAY + timedelta(hours=1), stays_open=True)
    desk.arrives(THURSDAY + timedelta(days=5))

    desk.sends(THURSDAY + timedelta(days=5, hours=1), Purpose.ACKNOWLEDGEMENT, seen=first)

    assert desk.owed(ObligationKind.ACKNOWLEDGE)[1][0] is ObligationState.OPEN


def test_an_answer_that_crossed_does_not_stand_for_the_later_one_that_failed(desk: Desk) -> None:
    first = desk.arrives(THURSDAY)
    second = desk.arrives(THURSDAY + timedelta(days=5))
    desk.sends(THURSDAY + timedelta(days=5, hours=1), seen=first)
    later = desk.sends(THURSDAY + timedelta(days=6), seen=second)

    desk.fails(later)

    assert [state for state, _ in desk.owed()] == [ObligationState.MET, ObligationState.OPEN]
    assert desk.case.is_open


def test_an_answer_accepted_after_its_case_was_closed_meets_what_was_shelved(desk: Desk) -> None:
    message = desk.arrives(THURSDAY)
    actions.close(desk.session, desk.case, outcome=Outcome.ANSWERED, by=desk.staff_id, at=desk.clock.at)

    desk.sends(THURSDAY + timedelta(minutes=1), seen=message)

    assert desk.owed() == [(ObligationState.MET, ANSWER_BY)]
    assert desk.owed(ObligationKind.ACKNOWLEDGE) == [(ObligationState.MET, ACKNOWLEDGE_BY)]
    assert (desk.case.status, desk.case.outcome) == (Status.CLOSED, Outcome.ANSWERED)


def test_an_answer_that_failed_opens_a_case_that_was_closed_meanwhile(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    answer = desk.sends(THURSDAY + timedelta(days=1))
    actions.close(desk.session, desk.case, outcome=Outcome.RESOLVED, by=desk.staff_id, at=desk.clock.at)

    desk.fails(answer)

    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    assert (desk.case.is_open, desk.case.due_at) == (True, ACKNOWLEDGE_BY)


def test_a_call_or_an_officers_answer_meets_what_is_owed_by_a_decision_and_its_undo_takes_it_back(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    decision = actions.decide(
        desk.session,
        desk.case,
        kind=DecisionKind.ANSWERED_ELSEWHERE,
        reason="Rang her",
        by=desk.staff_id,
        at=desk.clock.at,
    )
    assert desk.owed() == [(ObligationState.MET, ANSWER_BY)]

    actions.undo_decision(desk.session, decision, by=desk.staff_id, at=desk.clock.at)

    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]


def test_undoing_a_decision_brings_the_emergency_back_to_the_top(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    actions.flag_emergency(desk.session, desk.case, kind=Emergency.SAFEGUARDING, since=THURSDAY, by=desk.staff_id)
    decision = actions.decide(
        desk.session, desk.case, kind=DecisionKind.DECLINED, reason="By mistake", by=desk.staff_id, at=desk.clock.at
    )

    actions.undo_decision(desk.session, decision, by=desk.staff_id, at=desk.clock.at)

    assert (desk.case.rank, desk.case.due_at) == (EMERGENCY, THURSDAY + timedelta(minutes=60))


def test_a_message_that_reopens_a_case_leaves_behind_what_is_over(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    actions.flag_emergency(desk.session, desk.case, kind=Emergency.THREAT, since=THURSDAY, by=desk.staff_id)
    appeal = datetime(2026, 4, 10, 11, tzinfo=UTC)
    actions.set_external_deadline(desk.session, desk.case, deadline_at=appeal, what="Appeal", by=desk.staff_id)
    desk.sends(THURSDAY + timedelta(days=1))

    desk.arrives(datetime(2026, 4, 28, 7, 10, tzinfo=UTC))

    assert (desk.case.rank, desk.case.due_kind) == (NORMAL, DueKind.PLEDGE)


def test_a_deadline_that_lies_ahead_leads_again_when_its_case_comes_back(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    appeal = datetime(2026, 4, 10, 11, tzinfo=UTC)
    actions.set_external_deadline(desk.session, desk.case, deadline_at=appeal, what="Appeal", by=desk.staff_id)
    desk.sends(THURSDAY + timedelta(days=1))

    desk.arrives(THURSDAY + timedelta(days=5))

    assert (desk.case.rank, desk.case.due_at) == (EXTERNAL, appeal)


def test_two_shelved_turns_come_back_as_one_with_the_older_date(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    desk.session.flush()
    older = desk.session.scalars(sa.select(Obligation).where(Obligation.kind == ObligationKind.REPLY)).one()
    actions.close(desk.session, desk.case, outcome=Outcome.RESOLVED, by=desk.staff_id, at=desk.clock.at)
    newer = make.obligation(
        desk.session,
        message=desk.session.get_one(Message, older.message_id),
        state=ObligationState.SHELVED,
        received_at=THURSDAY + timedelta(days=5),
        due_at=datetime(2026, 4, 21, 23, tzinfo=UTC),
    )
    assert newer.id > older.id

    actions.reopen(desk.session, desk.case, by=desk.staff_id)

    assert [one for one in desk.owed() if one[0] is ObligationState.OPEN] == [(ObligationState.OPEN, ANSWER_BY)]


# ── Backlog, people, dates ────────────────────────────────────────────────────────────────────────────────────────


def test_whoever_writes_again_leaves_the_backlog(desk: Desk) -> None:
    desk.arrives(THURSDAY - timedelta(days=60), is_backlog=True)
    assert desk.case.rank == BACKLOG

    desk.arrives(THURSDAY + timedelta(days=1))

    assert (desk.case.rank, desk.owed()) == (NORMAL, [(ObligationState.OPEN, ANSWER_BY)])


def test_an_older_message_from_the_backlog_makes_nothing_due_before_connecting(desk: Desk) -> None:
    desk.arrives(THURSDAY + timedelta(days=5))

    desk.arrives(THURSDAY - timedelta(days=60), is_backlog=True)

    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    assert desk.case.rank == NORMAL
    assert desk.case.first_received_at == THURSDAY - timedelta(days=60)


def test_an_automatic_mail_does_not_take_a_case_out_of_the_backlog(desk: Desk) -> None:
    desk.case.is_backlog = True

    desk.arrives(THURSDAY, is_auto=True)

    assert desk.case.rank == BACKLOG


def test_an_answer_meets_what_is_owed_to_somebody_who_was_joined_to_another_meanwhile(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    other = make.person(desk.session, office=desk.session.get_one(Office, desk.office_id))

    second = desk.arrives(THURSDAY + timedelta(days=1), person_id=other.id)
    assert desk.owed() == [(ObligationState.OPEN, ANSWER_BY)]
    answer = make.message(
        desk.session,
        conversation=desk.conversation,
        sent_at=THURSDAY + timedelta(days=2),
        direction=Direction.OUTBOUND,
        purpose="answer",
    )
    of = rules(desk.session, desk.office_id)
    clocks.answered(desk.session, of, desk.case, answer, purpose=Purpose.ANSWER, seen_message_id=second.id)

    assert desk.owed() == [(ObligationState.MET, ANSWER_BY)]
    assert not desk.case.is_open


def test_the_pledge_leads_again_when_a_platforms_window_has_closed(desk: Desk) -> None:
    desk.conversation.window_ends_at = THURSDAY + timedelta(days=1)
    desk.arrives(THURSDAY)
    assert (desk.case.due_kind, desk.case.due_at) == (DueKind.WINDOW, THURSDAY + timedelta(days=1))
    at = desk.clock.advance(days=1)

    assert clocks.windows_ended(desk.session, at=at) == 1

    assert (desk.case.due_kind, desk.case.due_at) == (DueKind.PLEDGE, ACKNOWLEDGE_BY)
    assert clocks.windows_ended(desk.session, at=at) == 0


def test_dates_that_an_older_calendar_gave_are_found(desk: Desk) -> None:
    desk.arrives(THURSDAY)
    of = rules(desk.session, desk.office_id)
    assert (clocks.outdated(desk.session, of), clocks.offices_outdated(desk.session)) == ([], [])

    desk.session.execute(sa.update(Obligation).values(calendar="of an older version"))

    assert clocks.outdated(desk.session, of) == [desk.case.id]
    assert clocks.offices_outdated(desk.session) == [desk.office_id]


@pytest.mark.parametrize("day", [date(2026, 4, 1), date(9999, 12, 31)])
def test_nobody_promises_a_day_that_is_over_or_years_away(desk: Desk, day: date) -> None:
    with pytest.raises(Invalid):
        actions.promise(desk.session, desk.case, promised_on=day, reason="x", by=desk.staff_id, at=desk.clock.at)


def test_a_deadline_lies_within_the_calendar(desk: Desk) -> None:
    far = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    with pytest.raises(Invalid):
        actions.set_external_deadline(desk.session, desk.case, deadline_at=far, what="Hearing", by=desk.staff_id)


def test_nobody_who_cannot_sign_in_is_given_a_case(desk: Desk) -> None:
    gone = make.staff(desk.session, office=desk.session.get_one(Office, desk.office_id), active=False)
    with pytest.raises(Invalid):
        actions.assign(desk.session, desk.case, to=gone.id, by=desk.staff_id)


def test_what_is_edited_after_it_was_answered_is_owed_anew(desk: Desk) -> None:
    message = desk.arrives(THURSDAY)
    desk.sends(THURSDAY + timedelta(hours=1))

    of = rules(desk.session, desk.office_id)
    clocks.edited(desk.session, of, desk.case, message, seen_at=THURSDAY + timedelta(days=5))
    clocks.edited(desk.session, of, desk.case, message, seen_at=THURSDAY + timedelta(days=6))

    assert desk.owed() == [
        (ObligationState.MET, ANSWER_BY),
        (ObligationState.OPEN, datetime(2026, 4, 21, 23, tzinfo=UTC)),
    ]
    assert (desk.case.is_open, desk.case.is_unread) == (True, True)


# ── What stands in for a subject ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "heading", "rest"),
    [
        ("The bins were missed again. Third time.", "The bins were missed again.", "Third time."),
        ("Thanks. The crossing is brilliant.", "Thanks. The crossing is brilliant.", ""),
        ("Dear Cllr Quillfeather,\n\nThe lamp is out.\nAgain!", "The lamp is out.", "Again!"),
        (
            "Is Mr. Wexcombe of 26.4 Weir Rd right?\nI hope not.",
            "Is Mr. Wexcombe of 26.4 Weir Rd right?",
            "I hope not.",
        ),
        (
            "there is a crater outside the Co-op on Weir Rd and somebody will come off their bike before long",
            "there is a crater outside the Co-op on Weir Rd and somebody will come off their…",
            "…bike before long",
        ),
        ("x" * 100, "x" * 79 + "…", "…" + "x" * 21),
        ("Hello,", "Hello,", ""),
        ("  \n ", "", ""),
    ],
)
def test_a_short_first_sentence_stands_in_for_a_subject(text: str, heading: str, rest: str) -> None:
    assert clocks.heading(text) == (heading, rest)
