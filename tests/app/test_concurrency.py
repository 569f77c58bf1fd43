"""Two at once, on both databases: nobody overlooks what the other does, nothing is doubled, nobody waits for good."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases import actions as case_actions
from app.cases import clocks
from app.cases.models import Case, Decision, DecisionKind, Obligation, ObligationKind, ObligationState
from app.channels.models import Account
from app.deadlines.holidays import Nation
from app.deployment import Deployment
from app.errors import Conflict
from app.intake.keeping import Fate
from app.intake.take import take
from app.messages import threading
from app.messages.models import Conversation, Message
from app.office.models import Holiday
from app.office.models import Office as OfficeRow
from app.office.queries import rules
from app.replies import actions, joining, outbox
from app.replies.actions import Words
from app.replies.models import Reply, Sending
from app.staff.models import Staff
from connectors import Prepared, Receipt
from tests import make
from tests.app.folder_channel import FolderChannel, Platform
from tests.conftest import Clock

pytestmark = pytest.mark.db

WAIT = 0.3  # seconds in which whoever does not wait for the other would be done
LONG = 30
HESTER = "hester@residents.example"


@dataclass
class Office:
    """A message that waits for its answer, committed."""

    deployment: Deployment
    clock: Clock
    conversation_id: int
    case_id: int
    message_id: int
    staff_id: int
    office_id: int

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self.deployment.database.transaction() as session:
            yield session

    def queue(self, text: str = "I have asked the depot.") -> int:
        with self.transaction() as session:
            conversation = session.get_one(Conversation, self.conversation_id)
            words = Words(text=text, seen_message_id=self.message_id)
            office = rules(session, self.office_id)
            return actions.queue(session, office, conversation, words=words, by=self.staff_id, at=self.clock.at).id

    def arrives(self, session: Session) -> None:
        """A message comes in, as intake takes it."""
        conversation = session.get_one(Conversation, self.conversation_id)
        case = clocks.held(session, self.case_id)
        message = make.message(session, conversation=conversation, sent_at=self.clock.at)
        clocks.received(session, rules(session, self.office_id), case, conversation, message)

    def reply(self, **columns: object) -> int:
        """A reply in the outbox, in whatever state."""
        said = b'{"id": "r1", "author": "cllr", "text": "Thank you."}'
        sha256 = self.deployment.store.put(self.office_id, said)
        with self.transaction() as session:
            conversation = session.get_one(Conversation, self.conversation_id)
            staff = session.get_one(Staff, self.staff_id)
            return make.reply(session, conversation=conversation, staff=staff, prepared_sha256=sha256, **columns).id

    def posted(self, **said: object) -> int:
        """Something that was fetched and waits to be taken; the id of its account."""
        sha256 = self.deployment.store.put(self.office_id, json.dumps(said).encode())
        with self.transaction() as session:
            account = session.get_one(Account, session.get_one(Conversation, self.conversation_id).account_id)
            make.sighting(session, stream=make.stream(session, account=account), sha256=sha256, size=100)
            return account.id

    def case(self) -> Case:
        with self.deployment.database.reading() as session:
            return session.get_one(Case, self.case_id)

    def owed(self) -> list[ObligationState]:
        query = sa.select(Obligation.state).where(Obligation.kind == ObligationKind.REPLY).order_by(Obligation.id)
        with self.deployment.database.reading() as session:
            return list(session.scalars(query))


@pytest.fixture
def office(deployment: Deployment, clock: Clock, tmp_path: Path) -> Office:
    channel = FolderChannel(Platform(tmp_path / "platform"))
    connected = deployment.with_connectors({"folder": channel})
    with connected.database.transaction() as session:
        made = make.office(session)
        account = make.account(
            session, office=made, channel="folder", sealed=connected.sealer.seal({"password": "open sesame"})
        )
        person = make.person(session, office=made)
        identity = make.identity(session, person=person, channel="folder", external_id=HESTER)
        case = make.case(session, office=made, person=person)
        conversation = make.conversation(session, case=case, account=account)
        threading.remember(session, conversation, ["m1"], identity.id)
        message = make.message(session, conversation=conversation, identity_id=identity.id, platform_id="m1")
        clocks.received(session, rules(session, made.id), case, conversation, message)
        staff = make.staff(session, office=made)
        ids = conversation.id, case.id, message.id, staff.id, made.id
    return Office(connected, clock, *ids)


class Beside:
    """Something done in a thread of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.raised: BaseException | None = None
        self.returned: object = None
        self._work = work
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.returned = self._work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is looked at
            self.raised = error

    def is_done(self, within: float = WAIT) -> bool:
        self._thread.join(within)
        return not self._thread.is_alive()

    def end(self) -> object:
        """What it returned; raises what it raised."""
        assert self.is_done(LONG), "it waits for good"
        if self.raised is not None:
            raise self.raised
        return self.returned


def test_a_message_that_comes_in_while_an_answer_is_accepted_stays_owed(office: Office) -> None:
    reply_id = office.reply(state=Sending.SENDING, platform_id="r1")
    receipt = Receipt(platform_id="r1", accepted_at=office.clock.at)

    with office.transaction() as session:
        office.arrives(session)
        session.flush()
        accepting = Beside(lambda: outbox.accepted(office.deployment, reply_id, receipt))
        assert not accepting.is_done()
    accepting.end()

    assert office.owed() == [ObligationState.MET, ObligationState.OPEN]
    assert (office.case().is_open, office.case().is_unread) == (True, True)


def test_an_impatient_second_click_sends_nothing_twice(office: Office) -> None:
    first, second = Beside(office.queue), Beside(office.queue)

    assert first.end() == second.end()


def test_two_who_answer_at_once_do_not_both_answer(office: Office) -> None:
    both = [Beside(lambda: office.queue("I have asked the depot.")), Beside(lambda: office.queue("Ask the council."))]

    refused = [one for one in both if one.is_done(LONG) and isinstance(one.raised, Conflict)]

    assert len(refused) == 1
    with office.deployment.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Reply)) == 1


def test_a_reply_taken_back_while_it_is_prepared_is_not_sent(office: Office) -> None:
    preparing, taken_back = Event(), Event()
    sent: list[Prepared] = []
    channel = office.deployment.connectors["folder"]

    class Slow:
        manifest, read = channel.manifest, staticmethod(channel.read)

        def connect(self, *_: object) -> Slow:
            return self

        def prepare(self, *_: object) -> Prepared:
            preparing.set()
            assert taken_back.wait(LONG)
            return Prepared(platform_id="r1", payload=b"{}")

        def send(self, prepared: Prepared) -> Receipt:
            sent.append(prepared)
            return Receipt(platform_id="r1", accepted_at=office.clock.at)

        def close(self) -> None:
            pass

    slow = office.deployment.with_connectors({"folder": Slow()})  # type: ignore[dict-item]
    reply_id = office.queue()
    office.clock.advance(seconds=61)
    sending = Beside(lambda: outbox.send_reply(slow, reply_id))
    assert preparing.wait(LONG)

    with office.transaction() as session:
        actions.withdraw(session, session.get_one(Reply, reply_id), by=office.staff_id, at=office.clock.at)
    taken_back.set()
    sending.end()

    assert sent == []
    assert office.case().has_draft


def test_a_reply_that_fails_while_another_is_taken_back_still_shows_on_the_list(office: Office) -> None:
    failed_id = office.reply(state=Sending.FAILED)
    sending_id = office.reply(state=Sending.QUEUED)
    with office.transaction() as session:
        session.get_one(Case, office.case_id).has_failed_reply = True

    def take_back() -> None:
        with office.transaction() as session:
            actions.withdraw(session, session.get_one(Reply, failed_id), by=office.staff_id, at=office.clock.at)

    with office.transaction() as session:
        actions.fail(session, session.get_one(Reply, sending_id), "The server knows nobody of that name.")
        session.flush()
        taking_back = Beside(take_back)
        assert not taking_back.is_done()
    taking_back.end()

    assert office.case().has_failed_reply


def test_a_decision_is_undone_once(office: Office) -> None:
    with office.transaction() as session:
        case = clocks.held(session, office.case_id)
        decision_id = case_actions.decide(
            session, case, kind=DecisionKind.DECLINED, reason="x", by=office.staff_id, at=office.clock.at
        ).id

    def undo() -> None:
        with office.transaction() as session:
            decision = session.get_one(Decision, decision_id)
            case_actions.undo_decision(session, decision, by=office.staff_id, at=office.clock.at)

    both = [Beside(undo), Beside(undo)]

    assert [isinstance(one.raised, Conflict) for one in both if one.is_done(LONG)].count(True) == 1
    assert office.owed() == [ObligationState.OPEN]


def test_two_who_change_the_same_cases_in_another_order_both_come_to_an_end(office: Office) -> None:
    with office.transaction() as session:
        other = make.case(session, office=session.get_one(OfficeRow, office.office_id)).id

    def hold(*case_ids: int) -> Callable[[], None]:
        def work() -> None:
            for _ in range(20):
                with office.transaction() as session:
                    for case in clocks.hold(session, case_ids):
                        case.topic += "x"

        return work

    both = [Beside(hold(office.case_id, other)), Beside(hold(other, office.case_id))]
    for one in both:
        one.end()

    assert office.case().topic == "x" * 40


def test_a_calendar_that_changes_while_an_answer_is_accepted_moves_nothing_that_was_met(office: Office) -> None:
    reply_id = office.reply(state=Sending.SENDING, platform_id="r1")
    with office.transaction() as session:
        session.add(Holiday(nation=Nation.ENGLAND_AND_WALES, day_on=date(2026, 4, 9), name="Day"))
        due_at = session.scalars(sa.select(Obligation.due_at).where(Obligation.kind == ObligationKind.REPLY)).one()

    def recompute() -> int:
        with office.transaction() as session:
            return case_actions.recompute(session, office.office_id, [office.case_id], office.clock.at)

    with office.transaction() as session:
        reply = session.get_one(Reply, reply_id)
        outbox._sent(session, office.deployment, reply, Receipt(platform_id="r1", accepted_at=office.clock.at))
        session.flush()
        recomputing = Beside(recompute)
        assert not recomputing.is_done()

    assert recomputing.end() == 0
    with office.deployment.database.reading() as session:
        owed = session.scalars(sa.select(Obligation).where(Obligation.kind == ObligationKind.REPLY)).one()
    assert (owed.state, owed.due_at) == (ObligationState.MET, due_at)
    assert due_at > office.clock.at + timedelta(days=10)


@dataclass
class Elsewhere:
    """Another case of the office, to which the conversation is joined."""

    office: Office
    case_id: int

    def join(self, session: Session) -> None:
        conversation = session.get_one(Conversation, self.office.conversation_id)
        joining.join(session, conversation, session.get_one(Case, self.case_id), by=self.office.staff_id)

    def found(self, kind: type[Message | Reply]) -> int:
        """Where the newest one stands."""
        with self.office.deployment.database.reading() as session:
            return session.scalars(sa.select(kind.case_id).order_by(kind.id.desc()).limit(1)).one()


@pytest.fixture
def elsewhere(office: Office) -> Elsewhere:
    with office.transaction() as session:
        return Elsewhere(office, make.case(session, office=session.get_one(OfficeRow, office.office_id)).id)


def test_an_answer_that_is_sent_while_its_conversation_is_joined_goes_along(elsewhere: Elsewhere) -> None:
    with elsewhere.office.transaction() as session:
        elsewhere.join(session)
        session.flush()
        queueing = Beside(elsewhere.office.queue)
        assert not queueing.is_done()
    queueing.end()

    assert elsewhere.found(Reply) == elsewhere.case_id


def test_a_message_that_comes_in_while_its_conversation_is_joined_goes_along(elsewhere: Elsewhere) -> None:
    account_id = elsewhere.office.posted(id="m2", author=HESTER, text="Still there.", answers="m1")

    with elsewhere.office.transaction() as session:
        elsewhere.join(session)
        session.flush()
        taking = Beside(lambda: take(elsewhere.office.deployment, account_id))
        assert not taking.is_done()

    assert taking.end() == {Fate.MESSAGE: 1}
    assert elsewhere.found(Message) == elsewhere.case_id


def test_a_conversation_that_is_joined_while_an_answer_in_it_is_accepted_takes_it_along(elsewhere: Elsewhere) -> None:
    office = elsewhere.office
    reply_id = office.reply(state=Sending.SENDING, platform_id="r1")

    def join() -> None:
        with office.transaction() as session:
            elsewhere.join(session)

    with office.transaction() as session:
        reply = outbox._held(session, reply_id)
        assert reply is not None
        joining_it = Beside(join)
        assert not joining_it.is_done()
        outbox._sent(session, office.deployment, reply, Receipt(platform_id="r1", accepted_at=office.clock.at))
    joining_it.end()

    assert elsewhere.found(Message) == elsewhere.case_id
    assert office.owed() == [ObligationState.MET]


def test_a_report_that_comes_in_while_its_reply_is_accepted_brings_back_what_it_met(office: Office) -> None:
    reply_id = office.reply(state=Sending.UNCERTAIN, platform_id="r1")
    account_id = office.posted(id="m2", author="mailer-daemon", text="Nobody of that name.", bounced=["r1"])

    with office.transaction() as session:
        reply = outbox._held(session, reply_id)
        assert reply is not None
        outbox._sent(session, office.deployment, reply, Receipt(platform_id="r1", accepted_at=office.clock.at))
        session.flush()
        taking = Beside(lambda: take(office.deployment, account_id))
        assert not taking.is_done()

    assert taking.end() == {Fate.REPORT: 1}
    assert office.owed() == [ObligationState.OPEN]


def test_a_reply_that_came_back_while_it_was_looked_for_stays_failed(office: Office) -> None:
    reply_id = office.reply(state=Sending.UNCERTAIN, platform_id="r1")
    channel = office.deployment.connectors["folder"]

    class Looking:
        manifest, read = channel.manifest, staticmethod(channel.read)

        def connect(self, *_: object) -> Looking:
            return self

        def probe(self, *_: object) -> Receipt:
            with office.transaction() as session:
                actions.came_back(session, session.get_one(Reply, reply_id), "Nobody of that name.", report_id=1)
            return Receipt(platform_id="r1", accepted_at=office.clock.at)

        def close(self) -> None:
            pass

    outbox.probe_reply(office.deployment.with_connectors({"folder": Looking()}), reply_id)  # type: ignore[dict-item]

    with office.deployment.database.reading() as session:
        assert session.get_one(Reply, reply_id).state is Sending.FAILED
    assert office.owed() == [ObligationState.OPEN]
