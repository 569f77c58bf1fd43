"""Whom an answer goes to: the known address before a new one, and nobody unseen."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid
from app.messages.models import Conversation, Direction, Message
from app.people.models import Person
from app.replies.recipients import Addressing, Party, addressing, parties, resolve
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db

HESTER = ["Hester", "hester@larkrise.example", "Hester@larkrise.example"]
NEW = ["Hester", "hester@elsewhere.example", "hester@elsewhere.example"]
OSSIAN = ["Ossian", "ossian@fernmoor.example", "ossian@fernmoor.example"]
US = ["Tansy", "cllr@fernmoor.example", "cllr@fernmoor.example"]


@dataclass
class Thread:
    """A conversation with Hester."""

    session: Session
    conversation: Conversation
    person: Person
    identity_id: int

    def she_writes(self, **recipients: list[list[str]]) -> Message:
        return make.message(
            self.session,
            conversation=self.conversation,
            identity_id=self.identity_id,
            author_handle=HESTER[2],
            recipients={"to": [US], **recipients},
        )

    def we_write(self, to: list[str]) -> Message:
        return make.message(
            self.session,
            conversation=self.conversation,
            direction=Direction.OUTBOUND,
            author_handle=US[2],
            recipients={"to": [to], "cc": []},
        )

    def found(self) -> Addressing:
        return addressing(self.session, self.conversation)


@pytest.fixture
def thread(session: Session, clock: Clock) -> Thread:  # noqa: ARG001 - moments are those of the clock
    office = make.office(session)
    account = make.account(session, office=office, own_ids=[US[1]])
    person = make.person(session, office=office)
    identity = make.identity(session, person=person, name=HESTER[0], external_id=HESTER[1], handle=HESTER[2])
    case = make.case(session, office=office, person=person)
    return Thread(session, make.conversation(session, case=case, account=account), person, identity.id)


def test_an_answer_goes_to_whoever_wrote_and_to_nobody_else(thread: Thread) -> None:
    thread.she_writes(to=[US, OSSIAN], cc=[["", "clerk@fernmoor.example", "clerk@fernmoor.example"]])
    found = thread.found()
    assert resolve(found, to="", cc=()) == {"to": [HESTER], "cc": []}
    assert [one.external_id for one in found.others] == ["ossian@fernmoor.example", "clerk@fernmoor.example"]


def test_marks_that_nobody_sees_are_left_out_of_a_typed_address() -> None:
    pasted = "\u202aOssian\u202c <\u202aossian@fernmoor.example\u202c>"  # as Windows copies one out of its contacts
    assert parties([pasted]) == (Party("Ossian", OSSIAN[1], OSSIAN[2]),)


def test_an_unseen_reply_to_is_offered_and_not_used(thread: Thread) -> None:
    thread.she_writes(reply_to=[NEW])
    thread.she_writes(reply_to=[NEW])  # saying it twice proves no more
    found = thread.found()
    assert found.unseen == Party(*NEW)
    assert resolve(found, to="", cc=())["to"] == [HESTER]
    assert resolve(found, to=NEW[1], cc=())["to"] == [NEW]


def test_a_reply_to_that_is_another_address_of_theirs_is_used(thread: Thread) -> None:
    make.identity(thread.session, person=thread.person, name=NEW[0], external_id=NEW[1], handle=NEW[2])
    thread.she_writes(reply_to=[NEW])
    found = thread.found()
    assert found.unseen is None
    assert [one.external_id for one in found.choices] == [NEW[1], HESTER[1]]


def test_a_reply_to_that_we_answered_before_is_used(thread: Thread) -> None:
    thread.she_writes(reply_to=[NEW])
    thread.we_write(NEW)
    thread.she_writes(reply_to=[NEW])
    assert resolve(thread.found(), to="", cc=())["to"] == [NEW]


def test_a_reply_to_of_our_own_is_no_address_of_theirs(thread: Thread) -> None:
    thread.she_writes(reply_to=[US])
    assert resolve(thread.found(), to="", cc=())["to"] == [HESTER]


def test_a_form_of_our_own_is_answered_at_its_visitors_address(thread: Thread) -> None:
    ours = make.identity(thread.session, person=thread.person, name=US[0], external_id=US[1], handle=US[2])
    make.message(
        thread.session,
        conversation=thread.conversation,
        identity_id=ours.id,
        author_handle=US[2],
        recipients={"to": [US], "reply_to": [NEW]},
    )
    found = thread.found()
    assert resolve(found, to="", cc=())["to"] == [NEW]
    assert NEW[1] not in found.seen  # and said to be new


def test_whoever_has_taken_no_part_is_new(thread: Thread) -> None:
    thread.she_writes(cc=[OSSIAN])
    assert {HESTER[1], OSSIAN[1]} <= thread.found().seen
    assert NEW[1] not in thread.found().seen


def test_an_address_that_was_not_offered_is_refused(thread: Thread) -> None:
    thread.she_writes()
    with pytest.raises(Invalid, match="Choose one of the addresses"):
        resolve(thread.found(), to="somebody@else.example", cc=())


def test_copies_are_few_and_each_goes_once(thread: Thread) -> None:
    thread.she_writes()
    twice = parties(["Ossian <ossian@fernmoor.example>, OSSIAN@fernmoor.example", HESTER[2]])
    assert resolve(thread.found(), to="", cc=twice)["cc"] == [OSSIAN]
    with pytest.raises(Invalid, match="no bulk mail"):
        resolve(thread.found(), to="", cc=parties([f"a{number}@b.example" for number in range(21)]))


def test_a_public_conversation_has_no_copies(thread: Thread) -> None:
    thread.she_writes()
    thread.conversation.kind = "comment"  # type: ignore[assignment]
    with pytest.raises(Invalid, match="Nobody else"):
        resolve(thread.found(), to="", cc=parties(["ossian@fernmoor.example"]))


def test_where_nobody_has_written_it_goes_where_we_wrote_before_or_to_their_address(thread: Thread) -> None:
    assert resolve(thread.found(), to="", cc=())["to"] == [HESTER]
    thread.we_write(NEW)
    assert resolve(thread.found(), to="", cc=())["to"] == [NEW]


def test_there_may_be_nobody_to_answer(session: Session) -> None:
    with pytest.raises(Conflict, match="nobody here to answer"):
        resolve(addressing(session, make.conversation(session)), to="", cc=())


@pytest.mark.parametrize(
    "typed",
    [
        "hester",
        "hester@",
        "@larkrise.example",
        "a b@c.example",
        "h@l.example\r\nBcc: x",
        "<>",
        "h@l@m.example",
        "h@local",
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        parties([typed])


def test_a_party_comes_back_from_the_form_as_it_went() -> None:
    party = Party('Llŷr, "Jones"', "llyr@larkrise.example", "Llyr@larkrise.example")
    assert parties([party.written]) == (Party("Llŷr, Jones", "llyr@larkrise.example", "Llyr@larkrise.example"),)
