"""Writing, queueing and taking back a reply, on both databases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases import actions as case_actions
from app.cases.models import Case, Outcome, Purpose
from app.channels.models import Account, State
from app.errors import Conflict, Invalid
from app.messages.models import Conversation, Direction, Message
from app.office.queries import Rules, rules
from app.replies import actions, queries
from app.replies.actions import Moved, Words
from app.replies.models import Draft, Mode, Reply, Sending
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db


@dataclass
class Desk:
    """A mail that waits for its answer, and whoever writes it."""

    session: Session
    rules: Rules
    conversation: Conversation
    message: Message
    by: int
    at: datetime

    def words(self, text: str = "I have asked the depot.", **more: object) -> Words:
        return Words(**{"text": text, "seen_message_id": self.message.id, **more})  # type: ignore[arg-type]

    def queue(self, words: Words | None = None) -> Reply:
        return actions.queue(
            self.session, self.rules, self.conversation, words=words or self.words(), by=self.by, at=self.at
        )

    def arrives(self, text: str) -> Message:
        return make.message(
            self.session, conversation=self.conversation, text=text, identity_id=self.message.identity_id
        )

    @property
    def case(self) -> Case:
        return self.session.get_one(Case, self.conversation.case_id)


@pytest.fixture
def desk(session: Session, clock: Clock) -> Desk:
    office = make.office(session)
    staff = make.staff(session, office=office)
    person = make.person(session, office=office)
    identity = make.identity(
        session, person=person, external_id="hester@larkrise.example", handle="Hester@larkrise.example"
    )
    conversation = make.conversation(session, case=make.case(session, office=office, person=person))
    message = make.message(session, conversation=conversation, identity_id=identity.id)
    return Desk(session, rules(session, office.id), conversation, message, staff.id, clock.at)


def test_a_reply_waits_for_its_undo_time_and_goes_to_whoever_wrote(desk: Desk) -> None:
    reply = desk.queue()

    assert (reply.state, reply.send_at) == (Sending.QUEUED, desk.at + timedelta(seconds=60))
    assert reply.recipients["to"] == [["", "hester@larkrise.example", "Hester@larkrise.example"]]
    assert reply.subject == "Re: Brown bin missed again"


def test_sending_uses_the_draft_up(desk: Desk) -> None:
    actions.save_draft(
        desk.session, desk.conversation, mode=Mode.REPLY, words=desk.words("I ha"), by=desk.by, at=desk.at
    )
    assert desk.case.has_draft

    desk.queue()

    assert queries.draft(desk.session, desk.conversation.id, desk.by, Mode.REPLY) is None
    assert not desk.case.has_draft


def test_an_undone_reply_is_a_draft_again_word_for_word(desk: Desk) -> None:
    reply = desk.queue(desk.words("Dear Hester,\n\nlast words"))

    actions.withdraw(desk.session, reply, by=desk.by, at=desk.at)

    draft = queries.draft(desk.session, desk.conversation.id, desk.by, Mode.REPLY)
    assert draft is not None
    assert (reply.state, draft.text) == (Sending.WITHDRAWN, "Dear Hester,\n\nlast words")


def test_undo_keeps_what_was_begun_meanwhile(desk: Desk) -> None:
    reply = desk.queue(desk.words("First."))
    actions.save_draft(
        desk.session, desk.conversation, mode=Mode.REPLY, words=desk.words("P.S."), by=desk.by, at=desk.at
    )

    draft = actions.withdraw(desk.session, reply, by=desk.by, at=desk.at)

    assert draft is not None
    assert draft.text == "First.\n\nP.S."


def test_a_reply_on_its_way_cannot_be_taken_back(desk: Desk) -> None:
    reply = desk.queue()
    reply.state = Sending.SENDING

    with pytest.raises(Conflict, match="too late"):
        actions.withdraw(desk.session, reply, by=desk.by, at=desk.at)


def test_a_thread_that_moved_on_refuses_the_reply_and_shows_what_is_new(desk: Desk) -> None:
    newer = desk.arrives("It has been collected after all.")

    with pytest.raises(Moved) as refused:
        desk.queue()

    assert [message.text for message in refused.value.newer] == ["It has been collected after all."]
    assert desk.session.scalars(sa.select(Reply)).all() == []
    assert desk.queue(desk.words(seen_message_id=newer.id)).state is Sending.QUEUED


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"text": "  \n"}, "text"),
        ({"text": "x" * 100_001}, "text"),
        ({"purpose": Purpose.HOLDING}, "promised_on"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_its_field(desk: Desk, words: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        desk.queue(desk.words(**{"text": "words", **words}))

    assert refused.value.field == field


def test_a_holding_reply_keeps_its_promised_day(desk: Desk) -> None:
    reply = desk.queue(desk.words(purpose=Purpose.HOLDING, promised_on=date(2026, 4, 17)))

    assert reply.promised_on == date(2026, 4, 17)


def test_a_removed_account_sends_nothing(desk: Desk) -> None:
    desk.session.get_one(Account, desk.conversation.reply_account_id).state = State.REMOVED

    with pytest.raises(Conflict, match="not connected"):
        desk.queue()


def test_a_draft_belongs_to_one_person_one_conversation_and_one_mode(desk: Desk) -> None:
    other = make.staff(desk.session).id
    for by, mode, text in [(desk.by, Mode.REPLY, "mine"), (desk.by, Mode.NOTE, "note"), (other, Mode.REPLY, "theirs")]:
        actions.save_draft(desk.session, desk.conversation, mode=mode, words=desk.words(text), by=by, at=desk.at)
    actions.save_draft(
        desk.session, desk.conversation, mode=Mode.REPLY, words=desk.words("mine, more"), by=desk.by, at=desk.at
    )

    texts = desk.session.scalars(sa.select(Draft.text).order_by(Draft.id)).all()

    assert texts == ["mine, more", "note", "theirs"]


def test_an_emptied_draft_is_gone(desk: Desk) -> None:
    actions.save_draft(desk.session, desk.conversation, mode=Mode.REPLY, words=desk.words("x"), by=desk.by, at=desk.at)

    actions.save_draft(desk.session, desk.conversation, mode=Mode.REPLY, words=desk.words(" "), by=desk.by, at=desk.at)

    assert desk.session.scalars(sa.select(Draft)).all() == []
    assert not desk.case.has_draft


@pytest.mark.parametrize(("subject", "answer"), [("Bin", "Re: Bin"), ("RE: Bin", "RE: Bin"), ("", "Re:")])
def test_the_subject_of_an_answer_says_re_once(desk: Desk, subject: str, answer: str) -> None:
    desk.conversation.subject = subject
    assert desk.queue().subject == answer


def test_the_same_reply_submitted_twice_is_one_reply(desk: Desk) -> None:
    assert desk.queue().id == desk.queue().id


def test_another_reply_waits_until_the_first_has_gone_out_or_was_taken_back(desk: Desk) -> None:
    first = desk.queue()
    with pytest.raises(Conflict, match="on its way"):
        desk.queue(desk.words("And one more thing."))
    first.state = Sending.UNCERTAIN
    with pytest.raises(Conflict, match="not known"):
        desk.queue(desk.words("And one more thing."))
    first.state = Sending.WITHDRAWN

    assert desk.queue(desk.words("And one more thing.")).state is Sending.QUEUED


def test_what_a_colleague_has_answered_meanwhile_is_read_first(desk: Desk) -> None:
    words = desk.words()
    make.message(desk.session, conversation=desk.conversation, direction=Direction.OUTBOUND, text="It is reported.")

    with pytest.raises(Moved, match="Somebody has answered") as refused:
        desk.queue(words)

    assert [message.text for message in refused.value.newer] == ["It is reported."]


def test_nobody_has_seen_what_is_not_there_yet(desk: Desk) -> None:
    reply = desk.queue(desk.words("Soon.", seen_message_id=2**40))

    assert reply.seen_message_id == desk.message.id


@pytest.mark.parametrize("day", [date(2026, 4, 6), date(9999, 12, 31)])
def test_a_holding_reply_promises_a_day_that_can_be_kept(desk: Desk, day: date) -> None:
    with pytest.raises(Invalid) as refused:
        desk.queue(desk.words("We are looking into it.", purpose=Purpose.HOLDING, promised_on=day))

    assert refused.value.field == "promised_on"


def test_a_reply_that_fails_on_a_closed_case_opens_it_again(desk: Desk) -> None:
    reply = desk.queue()
    case_actions.close(desk.session, desk.case, outcome=Outcome.RESOLVED, by=desk.by, at=desk.at)

    actions.fail(desk.session, reply, "The server knows nobody of that name.")

    assert (desk.case.is_open, desk.case.has_failed_reply) == (True, True)
