"""Writing first: a case of one's own, and passing a case on to an officer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases import clocks
from app.cases.models import Case, Obligation, ObligationState, Purpose, Status
from app.channels.models import Account, Capacity, State
from app.errors import Invalid
from app.messages.models import Conversation, Direction, Message, Partner
from app.office.queries import Rules, rules
from app.people.models import Person
from app.replies import actions, beginning, enclosures, queries
from app.replies.actions import Words
from app.replies.beginning import Referral
from app.replies.models import Mode
from app.replies.recipients import Party
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db

HESTER = Party("Hester", "hester@larkrise.example", "Hester@larkrise.example")
OFFICER = Party("Odd Jobs", "roads@brackenshire.example", "roads@brackenshire.example")


@dataclass
class Office:
    """An office with a mail account."""

    session: Session
    rules: Rules
    account: Account
    by: int
    at: datetime

    def writes(self, to: Party = HESTER, subject: str = "Larkrise Close") -> Conversation:
        return beginning.write_first(
            self.session, self.rules, self.account, to=to, subject=subject, by=self.by, at=self.at
        )

    def case(self, conversation: Conversation) -> Case:
        return clocks.held(self.session, conversation.case_id)

    def sends(self, conversation: Conversation) -> Message:
        """What is written in a conversation was accepted by the mail server."""
        case = self.case(conversation)
        words = Words(text="Dear all,", seen_message_id=conversation.last_message_id or 10**6)
        reply = actions.queue(self.session, self.rules, conversation, words=words, by=self.by, at=self.at)
        message = make.message(
            self.session, conversation=conversation, direction=Direction.OUTBOUND, purpose=reply.purpose.value
        )
        reply.state = "sent"  # type: ignore[assignment]
        if reply.purpose is Purpose.REFERRAL:
            clocks.referred(self.session, self.rules, case, conversation, message)
        else:
            seen = reply.seen_message_id
            clocks.answered(self.session, self.rules, case, message, purpose=reply.purpose, seen_message_id=seen)
        return message

    def hears(self, conversation: Conversation, text: str = "Will be done.", **columns: object) -> Message:
        message = make.message(self.session, conversation=conversation, text=text, reply_text=text, **columns)
        clocks.received(self.session, self.rules, self.case(conversation), conversation, message)
        return message

    def owed(self, case: Case) -> list[ObligationState]:
        return list(self.session.scalars(sa.select(Obligation.state).where(Obligation.case_id == case.id)))


@pytest.fixture
def office(session: Session, clock: Clock) -> Office:
    made = make.office(session)
    account = make.account(session, office=made, own_ids=["cllr@fernmoor.example"])
    return Office(session, rules(session, made.id), account, make.staff(session, office=made).id, clock.at)


# ── To somebody ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_opens_a_case_of_whoever_writes_on_which_nothing_is_owed(office: Office) -> None:
    conversation = office.writes()
    case = office.case(conversation)
    assert (case.owner_id, case.queue_id, case.status, case.is_open) == (office.by, None, Status.WITH_US, True)
    assert (case.subject, case.contact, case.conversation_id) == ("Larkrise Close", "Hester", conversation.id)
    assert office.owed(case) == []


def test_the_message_is_no_answer_and_its_subject_has_no_re(office: Office) -> None:
    conversation = office.writes()
    words = Words(text="Dear Hester,", seen_message_id=0, purpose=Purpose.HOLDING)
    reply = actions.queue(office.session, office.rules, conversation, words=words, by=office.by, at=office.at)
    assert (reply.purpose, reply.subject) == (Purpose.MESSAGE, "Larkrise Close")
    assert reply.recipients == {"to": [["Hester", "hester@larkrise.example", "Hester@larkrise.example"]], "cc": []}


def test_once_it_went_out_the_case_is_done_until_somebody_answers(office: Office) -> None:
    conversation = office.writes()
    office.sends(conversation)
    case = office.case(conversation)
    assert (case.status, case.is_open, case.snippet) == (
        Status.ANSWERED,
        False,
        "The brown bin was missed for the third time.",
    )
    office.hears(conversation)
    case = office.case(conversation)
    assert (case.status, case.is_open) == (Status.WITH_US, True)
    assert office.owed(case) == [ObligationState.OPEN, ObligationState.OPEN]


def test_somebody_who_is_known_is_not_made_twice(office: Office) -> None:
    assert office.writes().person_id == office.writes().person_id


@pytest.mark.parametrize(
    ("to", "subject", "field"),
    [(HESTER, " ", "subject"), (Party("", "cllr@fernmoor.example", "cllr@fernmoor.example"), "Bin", "to")],
)
def test_nobody_writes_without_a_subject_or_to_their_own_office(
    office: Office, to: Party, subject: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        office.writes(to, subject)
    assert refused.value.field == field


def test_only_accounts_that_speak_as_councillor_or_council_write_first(office: Office) -> None:
    party = make.account(office.session, office=None, capacity=Capacity.PARTY)
    party.office_id = office.rules.office_id
    make.account(office.session, state=State.PAUSED).office_id = office.rules.office_id
    found = beginning.senders(office.session, [office.rules.office_id], ["email"])
    assert [one.id for one in found] == [office.account.id]
    assert beginning.senders(office.session, [office.rules.office_id], ["mastodon"]) == []


# ── To an officer ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Matter:
    """A mail with two messages and a file, and what is passed on of it."""

    case: Case
    conversation: Conversation
    messages: list[Message]

    def referral(self, **other: object) -> Referral:
        usual: dict[str, object] = {
            "partner": Partner.OFFICER,
            "to": OFFICER,
            "subject": "Brown bin (MA-26-0001)",
            "messages": self.messages[-1:],
            "files": [],
            "is_named": False,
        }
        return Referral(**{**usual, **other})  # type: ignore[arg-type]


@pytest.fixture
def matter(office: Office) -> Matter:
    session = office.session
    person = make.person(session, office=None)
    person.office_id = office.rules.office_id
    identity = make.identity(session, person=person)
    case = make.case(session, person=person, owner_id=office.by)
    conversation = make.conversation(session, case=case, account=office.account)
    at = datetime(2026, 4, 2, 15, 20, tzinfo=UTC)
    messages = [
        make.message(
            session, conversation=conversation, identity_id=identity.id, text=text, reply_text=text, sent_at=at
        )
        for text in ("My number is 01632 960 123.", "The bin was missed.\n\nAgain.")
    ]
    for one in messages:
        clocks.received(session, office.rules, case, conversation, one)
    return Matter(case, conversation, messages)


def test_only_what_was_ticked_stands_in_the_draft(office: Office, matter: Matter) -> None:
    file = make.file(office.session, message=matter.messages[0])
    referral = matter.referral(files=[file])
    conversation = beginning.refer(office.session, matter.case, office.account, referral, by=office.by, at=office.at)
    draft = queries.draft(office.session, conversation.id, office.by, Mode.REPLY)
    assert draft is not None
    assert draft.text == "\n\nOn Thu 2 Apr 2026 at 16:20, a resident wrote:\n> The bin was missed.\n>\n> Again."
    assert [one.name for one in enclosures.of_draft(office.session, draft.id)] == ["bin.jpg"]
    assert (conversation.case_id, conversation.partner) == (matter.case.id, Partner.OFFICER)


def test_the_resident_is_named_where_that_was_ticked(office: Office, matter: Matter) -> None:
    referral = matter.referral(is_named=True)
    conversation = beginning.refer(office.session, matter.case, office.account, referral, by=office.by, at=office.at)
    draft = queries.draft(office.session, conversation.id, office.by, Mode.REPLY)
    assert draft is not None
    assert "Hester Brindlecombe <hester@residents.example> wrote:" in draft.text


def test_an_officer_who_is_asked_has_a_clock_and_the_resident_keeps_theirs(office: Office, matter: Matter) -> None:
    due_at = clocks.held(office.session, matter.case.id).due_at
    conversation = beginning.refer(
        office.session, matter.case, office.account, matter.referral(), by=office.by, at=office.at
    )
    office.sends(conversation)
    case = office.case(conversation)
    assert (case.status, case.officer, case.officer_since) == (Status.WITH_OFFICER, "Odd Jobs", office.at)
    assert str(case.officer_due_at) == "2026-04-21 23:00:00+00:00"  # ten working days, to the end of the day in London
    assert (case.due_at, case.is_open) == (due_at, True)
    assert ObligationState.MET not in office.owed(case)


def test_asked_again_the_officer_keeps_the_date(office: Office, matter: Matter, clock: Clock) -> None:
    conversation = beginning.refer(
        office.session, matter.case, office.account, matter.referral(), by=office.by, at=office.at
    )
    office.sends(conversation)
    clock.advance(hours=30)
    office.sends(conversation)
    assert office.case(conversation).officer_since == office.at


def test_the_officers_answer_comes_into_the_case_and_replaces_nobody(office: Office, matter: Matter) -> None:
    conversation = beginning.refer(
        office.session, matter.case, office.account, matter.referral(), by=office.by, at=office.at
    )
    office.sends(conversation)
    before = office.owed(matter.case)
    office.hears(conversation)
    case = office.case(conversation)
    assert (case.status, case.officer_since, case.officer_due_at) == (Status.WITH_US, None, None)
    assert (case.person_id, case.conversation_id) == (matter.conversation.person_id, matter.conversation.id)
    assert case.is_unread
    assert office.owed(case) == before


def test_an_officer_who_is_away_is_awaited_all_the_same(office: Office, matter: Matter) -> None:
    conversation = beginning.refer(
        office.session, matter.case, office.account, matter.referral(), by=office.by, at=office.at
    )
    office.sends(conversation)
    office.hears(conversation, is_auto=True)
    assert office.case(conversation).status is Status.WITH_OFFICER


def test_a_referral_that_did_not_arrive_awaits_nobody(office: Office, matter: Matter) -> None:
    conversation = beginning.refer(
        office.session, matter.case, office.account, matter.referral(), by=office.by, at=office.at
    )
    message = office.sends(conversation)
    clocks.unanswered(office.session, office.rules, office.case(conversation), message)
    case = office.case(conversation)
    assert (case.status, case.officer_since) == (Status.WITH_US, None)


def test_an_officers_answer_opens_a_case_again(office: Office, matter: Matter) -> None:
    conversation = beginning.refer(
        office.session, matter.case, office.account, matter.referral(), by=office.by, at=office.at
    )
    office.sends(conversation)
    case = office.case(conversation)
    case.is_open, case.status = False, Status.CLOSED
    office.hears(conversation)
    assert office.case(conversation).is_open


def test_another_representative_is_told_without_a_clock(office: Office, matter: Matter) -> None:
    referral = matter.referral(partner=Partner.REPRESENTATIVE)
    conversation = beginning.refer(office.session, matter.case, office.account, referral, by=office.by, at=office.at)
    office.sends(conversation)
    assert office.case(conversation).officer_since is None


def test_the_resident_is_no_officer(office: Office, matter: Matter) -> None:
    own = queries.address_of(office.session, office.session.get_one(Person, matter.conversation.person_id), ["email"])
    handle = own.rpartition("<")[2].rstrip(">")
    with pytest.raises(Invalid, match="who the case is about"):
        beginning.refer(
            office.session,
            matter.case,
            office.account,
            matter.referral(to=Party("", handle, handle)),
            by=office.by,
            at=office.at,
        )


def test_a_message_that_is_given_up_leaves_no_open_case(office: Office) -> None:
    conversation = office.writes()
    actions.save_draft(
        office.session,
        conversation,
        mode=Mode.REPLY,
        words=Words(text="Dear", seen_message_id=0),
        by=office.by,
        at=office.at,
    )
    assert not beginning.give_up(office.session, conversation, by=office.by, at=office.at)  # the draft is in it

    actions.discard_draft(office.session, conversation, mode=Mode.REPLY, by=office.by)
    assert beginning.give_up(office.session, conversation, by=office.by, at=office.at)
    assert (office.case(conversation).is_open, office.case(conversation).status) == (False, Status.CLOSED)


def test_a_case_in_which_something_was_said_is_not_given_up(office: Office) -> None:
    conversation = office.writes()
    office.sends(conversation)
    assert not beginning.give_up(office.session, conversation, by=office.by, at=office.at)
