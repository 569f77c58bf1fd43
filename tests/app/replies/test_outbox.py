"""The outbox with a real mail server: what is accepted, refused, deferred and in doubt."""

from __future__ import annotations

import email
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import Message as Mail

import pytest
import sqlalchemy as sa

from app import leases
from app.cases import clocks
from app.cases.models import Case, Obligation, ObligationKind, ObligationState, Status
from app.channels.models import Account, State
from app.deployment import Deployment
from app.errors import Conflict
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages import threading
from app.messages.models import Conversation, Direction, File, Message
from app.office.models import Office as OfficeRow
from app.office.queries import rules
from app.people.models import Identity
from app.replies import actions, beginning, enclosures, outbox
from app.replies.actions import Words
from app.replies.enclosures import Upload
from app.replies.models import Enclosure, Reply, Sending
from app.replies.recipients import Party, parties
from connectors import Actor, Audience, Host, Item, Kind
from tests import make
from tests.app.program import until
from tests.conftest import Clock
from tests.connectors.email.box import options
from tests.servers.dovecot import Dovecot
from tests.servers.smtp import Smtp

pytestmark = pytest.mark.db


@dataclass
class Office:
    """An office with a real mailbox, and a resident's mail waiting in it."""

    deployment: Deployment
    clock: Clock
    address: str
    resident: str
    staff_id: int
    conversation_id: int
    message_id: int

    def queue(self, text: str = "I have asked the depot.", cc: tuple[Party, ...] = ()) -> int:
        with self.deployment.database.transaction() as session:
            conversation = session.get_one(Conversation, self.conversation_id)
            words = Words(text=text, seen_message_id=self.message_id, cc=cc)
            of = rules(session, conversation.office_id)
            return actions.queue(session, of, conversation, words=words, by=self.staff_id, at=self.clock.at).id

    def enclose(self, *uploads: Upload) -> None:
        with self.deployment.database.transaction() as session:
            conversation, store = session.get_one(Conversation, self.conversation_id), self.deployment.store
            words = Words(text="", seen_message_id=self.message_id)
            given = {"uploads": uploads, "most": 20_000_000, "words": words, "by": self.staff_id, "at": self.clock.at}
            actions.enclose(session, store, conversation, **given)  # type: ignore[arg-type]

    def send(self, reply_id: int) -> None:
        self.clock.advance(seconds=61)
        outbox.send_reply(self.deployment, reply_id)

    def reply(self, reply_id: int) -> Reply:
        with self.deployment.database.reading() as session:
            return session.get_one(Reply, reply_id)

    def case(self) -> Case:
        with self.deployment.database.reading() as session:
            return session.scalars(sa.select(Case)).one()

    def owed(self) -> ObligationState:
        with self.deployment.database.reading() as session:
            return session.scalars(sa.select(Obligation.state).where(Obligation.kind == ObligationKind.REPLY)).one()

    def reconnect(self, **other: str) -> None:
        """Change the account's settings as a person would who mends it."""
        with self.deployment.database.transaction() as session:
            account = session.scalars(sa.select(Account)).one()
            account.options = {**account.options, **other}
            account.credentials_version += 1


@pytest.fixture
def office(deployment: Deployment, dovecot: Dovecot, smtp: Smtp, address: str, clock: Clock) -> Iterator[Office]:
    lent: Host = replace(deployment.host, allowed_hosts=frozenset({"127.0.0.1"}))
    resident = f"hester.{address}"
    given = options(address, dovecot, smtp)
    secret = {"password": given.pop("password")}
    with deployment.database.transaction() as session:
        of = make.office(session)
        account = make.account(
            session, office=of, name=address, options=given, sealed=deployment.sealer.seal(secret), own_ids=[address]
        )
        person = make.person(session, office=of)
        identity = make.identity(session, person=person, external_id=resident, handle=resident, name="Hester")
        case = make.case(session, office=of, person=person)
        conversation = make.conversation(session, case=case, account=account)
        message = make.message(
            session, conversation=conversation, identity_id=identity.id, platform_id="<bin-1@larkrise.example>"
        )
        clocks.received(session, rules(session, of.id), case, conversation, message)
        made = Office(
            replace(deployment, host=lent),
            clock,
            address,
            resident,
            make.staff(session, office=of).id,
            conversation.id,
            message.id,
        )
    yield made
    made.deployment.lines.close()


def arrived(smtp: Smtp, address: str) -> list[Mail]:
    return [email.message_from_bytes(one) for one in smtp.inbox(address, wait=5)]


def test_an_accepted_reply_arrives_once_threads_and_stops_the_clock(office: Office, smtp: Smtp) -> None:
    reply_id = office.queue()

    office.send(reply_id)
    outbox.send_reply(office.deployment, reply_id)  # the job may be run again at any time

    reply, (mail,) = office.reply(reply_id), arrived(smtp, office.resident)
    assert (reply.state, office.owed(), office.case().status) == (
        Sending.SENT,
        ObligationState.MET,
        Status.ANSWERED,
    )
    assert mail["Message-ID"] == reply.platform_id
    assert (mail["In-Reply-To"], mail["References"]) == ("<bin-1@larkrise.example>", "<bin-1@larkrise.example>")
    assert mail["Subject"] == "Re: Brown bin missed again"


def test_nothing_goes_out_before_the_undo_time_is_over(office: Office, smtp: Smtp) -> None:
    reply_id = office.queue()

    again_at = outbox.send_reply(office.deployment, reply_id)

    assert again_at == office.clock.at + timedelta(seconds=60)
    assert (office.reply(reply_id).state, smtp.inbox(office.resident)) == (Sending.QUEUED, [])


def test_an_undone_reply_is_never_sent(office: Office, smtp: Smtp) -> None:
    reply_id = office.queue()
    with office.deployment.database.transaction() as session:
        actions.withdraw(session, session.get_one(Reply, reply_id), by=office.staff_id, at=office.clock.at)

    office.send(reply_id)

    assert (office.reply(reply_id).state, smtp.inbox(office.resident)) == (Sending.WITHDRAWN, [])


def test_no_connection_to_the_database_is_held_while_the_server_is_spoken_to(office: Office) -> None:
    held: list[int] = []
    channel = office.deployment.connectors["email"]

    class Watching:
        manifest = channel.manifest
        read = staticmethod(channel.read)

        def connect(self, given: object, lent: Host) -> object:
            connection = channel.connect(given, lent)  # type: ignore[arg-type]
            send = connection.send

            def watched(prepared: object) -> object:
                held.append(office.deployment.database.in_use())
                return send(prepared)  # type: ignore[arg-type]

            connection.send = watched  # type: ignore[method-assign,assignment]
            return connection

    watching = office.deployment.with_connectors({"email": Watching()})  # type: ignore[dict-item]
    reply_id = office.queue()
    office.clock.advance(seconds=61)

    outbox.send_reply(watching, reply_id)

    assert held == [0]


def test_a_copy_is_filed_in_the_sent_folder_once(office: Office, dovecot: Dovecot) -> None:
    reply_id = office.queue()
    office.send(reply_id)

    outbox.file_copy(office.deployment, reply_id)
    outbox.file_copy(office.deployment, reply_id)

    (copy,) = dovecot.messages(office.address, "Sent")
    assert email.message_from_bytes(copy)["Message-ID"] == office.reply(reply_id).platform_id
    assert office.reply(reply_id).copy_filed_at is not None


def test_a_refused_reply_fails_with_the_servers_reason_and_the_clock_runs_on(office: Office) -> None:
    due_at = office.case().due_at
    with office.deployment.database.transaction() as session:
        identity = session.scalars(sa.select(Identity)).one()
        identity.external_id = identity.handle = "unknown@larkrise.example"
    reply_id = office.queue()

    office.send(reply_id)

    reply, case = office.reply(reply_id), office.case()
    assert reply.state is Sending.FAILED
    assert "unknown@larkrise.example" in reply.trouble
    assert (office.owed(), case.due_at, case.has_failed_reply) == (ObligationState.OPEN, due_at, True)


def test_a_server_that_is_down_is_tried_again_and_heals_by_itself(office: Office, smtp: Smtp) -> None:
    office.reconnect(smtp_port="1")
    reply_id = office.queue()
    office.send(reply_id)
    waiting = office.reply(reply_id)
    assert (waiting.state, waiting.retry_at) == (Sending.QUEUED, office.clock.at + timedelta(minutes=1))

    office.reconnect(smtp_port=str(smtp.starttls_port))
    office.send(reply_id)

    assert office.reply(reply_id).state is Sending.SENT
    assert len(arrived(smtp, office.resident)) == 1


def test_a_worker_that_died_while_sending_leaves_doubt_and_a_person_decides(office: Office, smtp: Smtp) -> None:
    reply_id = office.queue()
    office.send(reply_id)  # it got out …
    with office.deployment.database.transaction() as session:  # … but the worker died before it could say so
        reply = session.get_one(Reply, reply_id)
        sent = session.get_one(Message, reply.message_id)
        clocks.unanswered(session, rules(session, reply.office_id), session.get_one(Case, reply.case_id), sent)
        reply.state, reply.message_id, reply.sent_at = Sending.SENDING, None, None
        leases.take(reply, office.clock.at)
        session.execute(sa.delete(Message).where(Message.id == sent.id))

    assert outbox.send_reply(office.deployment, reply_id) == office.clock.at + leases.TERM
    office.clock.advance(minutes=6)
    outbox.send_reply(office.deployment, reply_id)
    outbox.probe_reply(office.deployment, reply_id)

    assert (office.reply(reply_id).state, office.reply(reply_id).trouble) == (Sending.UNCERTAIN, outbox.ASK_A_PERSON)
    assert len(arrived(smtp, office.resident)) == 1  # never again by guess

    with office.deployment.database.transaction() as session:
        outbox.settle(session, office.deployment, session.get_one(Reply, reply_id), got_out=True, by=office.staff_id)
    assert (office.reply(reply_id).state, office.owed()) == (Sending.SENT, ObligationState.MET)


def test_a_reply_that_never_arrived_restarts_the_clock_with_its_old_date(office: Office) -> None:
    due_at = office.case().due_at
    reply_id = office.queue()
    office.send(reply_id)

    with office.deployment.database.transaction() as session:
        actions.not_delivered(session, session.get_one(Reply, reply_id), by=office.staff_id)

    assert (office.owed(), office.case().due_at, office.case().is_open) == (ObligationState.OPEN, due_at, True)
    with office.deployment.database.transaction() as session, pytest.raises(Conflict):
        actions.try_again(session, session.get_one(Reply, reply_id), by=office.staff_id, at=office.clock.at)


def test_a_reply_that_comes_back_is_owed_again_and_says_why(office: Office) -> None:
    gone = f"gone@{office.address.partition('@')[0]}.example"
    with office.deployment.database.transaction() as session:
        session.execute(sa.update(Identity).values(external_id=gone, handle=gone))
        account = session.scalars(sa.select(Account)).one()
        make.stream(session, account=account)
        account_id, due_at = account.id, session.scalars(sa.select(Case)).one().due_at
    poll_account(office.deployment, account_id)  # which makes the mailbox
    reply_id = office.queue()
    office.send(reply_id)
    assert office.owed() is ObligationState.MET

    def came_back() -> bool:
        poll_account(office.deployment, account_id, everything=True)
        take(office.deployment, account_id)
        return office.reply(reply_id).state is Sending.FAILED

    assert until(came_back)
    assert office.reply(reply_id).trouble.startswith(f"There is no mailbox {gone}.")
    assert (office.owed(), office.case().due_at, office.case().has_failed_reply) == (ObligationState.OPEN, due_at, True)
    with office.deployment.database.reading() as session:
        report = session.scalars(sa.select(Message).where(Message.is_bounce)).one()
        assert (report.conversation_id, report.case_id) == (office.conversation_id, office.case().id)


def test_what_was_sent_stands_in_the_conversation(office: Office) -> None:
    reply_id = office.queue("Dear Hester,\n\nI have asked the depot.")
    office.send(reply_id)

    with office.deployment.database.reading() as session:
        sent = session.scalars(sa.select(Message).where(Message.direction == Direction.OUTBOUND)).one()

    assert (sent.text, sent.reply_id, sent.purpose) == ("Dear Hester,\n\nI have asked the depot.", reply_id, "answer")


def test_doubt_that_is_cleared_up_leaves_no_mark_on_the_list(office: Office) -> None:
    reply_id = office.queue()
    with office.deployment.database.transaction() as session:
        reply = session.get_one(Reply, reply_id)
        reply.state, reply.prepared_sha256 = (
            Sending.SENDING,
            office.deployment.store.put(reply.office_id, b"Subject: x"),
        )
        reply.attempted_at = office.clock.at - timedelta(minutes=5)
    outbox.send_reply(office.deployment, reply_id)
    assert office.case().has_failed_reply

    with office.deployment.database.transaction() as session:
        outbox.settle(session, office.deployment, session.get_one(Reply, reply_id), got_out=True, by=office.staff_id)

    assert (office.reply(reply_id).state, office.case().has_failed_reply) == (Sending.SENT, False)
    assert office.reply(reply_id).sent_at == office.clock.at - timedelta(minutes=5)


def test_a_password_that_cannot_be_opened_is_said_at_the_reply(office: Office) -> None:
    with office.deployment.database.transaction() as session:
        session.scalars(sa.select(Account)).one().sealed = b"sealed with another key"
    reply_id = office.queue()

    office.send(reply_id)

    reply = office.reply(reply_id)
    assert (reply.state, reply.retry_at) == (Sending.QUEUED, office.clock.at + timedelta(minutes=30))
    assert reply.trouble.startswith("The saved password was sealed with another key.")


def test_a_reply_of_a_removed_account_fails_and_is_seen(office: Office) -> None:
    reply_id = office.queue()
    with office.deployment.database.transaction() as session:
        session.scalars(sa.select(Account)).one().state = State.REMOVED

    office.send(reply_id)

    assert (office.reply(reply_id).state, office.case().has_failed_reply) == (Sending.FAILED, True)


@pytest.mark.parametrize(
    ("where", "state"),
    [("connect", Sending.QUEUED), ("prepare", Sending.QUEUED), ("send", Sending.UNCERTAIN)],
)
def test_what_a_channel_does_not_name_never_sends_twice_and_is_never_silent(
    office: Office, where: str, state: Sending
) -> None:
    channel = office.deployment.connectors["email"]

    class Broken:
        manifest, read = channel.manifest, staticmethod(channel.read)

        def connect(self, given: object, lent: Host) -> object:
            if where == "connect":
                raise ZeroDivisionError("hester@larkrise.example")
            connection = channel.connect(given, lent)  # type: ignore[arg-type]
            setattr(connection, where, self._break)
            return connection

        def _break(self, *_: object) -> None:
            raise ZeroDivisionError("hester@larkrise.example")

    reply_id = office.queue()
    office.clock.advance(seconds=61)

    outbox.send_reply(office.deployment.with_connectors({"email": Broken()}), reply_id)  # type: ignore[dict-item]

    reply = office.reply(reply_id)
    assert (reply.state, reply.trouble[:20]) == (state, "Something went wrong")


def test_a_reply_tried_again_after_days_has_a_day_again(office: Office) -> None:
    office.reconnect(smtp_port="1")
    reply_id = office.queue()
    office.clock.advance(days=2)
    office.send(reply_id)
    assert office.reply(reply_id).state is Sending.FAILED

    with office.deployment.database.transaction() as session:
        reply = session.get_one(Reply, reply_id)
        actions.try_again(session, reply, by=office.staff_id, at=office.clock.at)
    outbox.send_reply(office.deployment, reply_id)

    assert office.reply(reply_id).state is Sending.QUEUED


def said(mail: Mail) -> str:
    """The plain words of a mail, in one line."""
    plain = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    body = plain.get_payload(decode=True)
    assert isinstance(body, bytes)
    return " ".join(body.decode().split())


def test_a_mail_bears_the_signature_of_the_role_it_is_sent_in(office: Office, smtp: Smtp) -> None:
    with office.deployment.database.transaction() as session:
        session.scalars(sa.select(OfficeRow)).one().signatures = {
            "councillor": "Cllr Tansy Quillfeather\nMillpond & Ashgrove",
            "party": "The Lantern Party",
        }
    reply_id = office.queue("I have asked the depot.")

    office.send(reply_id)

    (mail,) = arrived(smtp, office.resident)
    assert said(mail).startswith("I have asked the depot. Cllr Tansy Quillfeather Millpond & Ashgrove Ref: ")
    assert said(mail).endswith("Hester Brindlecombe wrote: > The brown bin was missed for the third time.")
    assert office.reply(reply_id).text == "I have asked the depot."


def test_files_go_along_byte_for_byte_and_stand_at_the_message(office: Office, smtp: Smtp) -> None:
    photo = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 2_000
    office.enclose(Upload("bin.jpg", photo), Upload("empty notes.txt", b"Ask the depot."))
    reply_id = office.queue()

    office.send(reply_id)

    (mail,) = arrived(smtp, office.resident)
    files = [part for part in mail.walk() if part.get_filename()]
    assert [(one.get_filename(), one.get_content_type(), one.get_payload(decode=True)) for one in files] == [
        ("bin.jpg", "image/jpeg", photo),
        ("empty notes.txt", "text/plain", b"Ask the depot."),
    ]
    with office.deployment.database.reading() as session:
        rows = session.scalars(sa.select(File).order_by(File.position)).all()
    assert [(one.name, one.size, one.media_type) for one in rows] == [
        ("bin.jpg", len(photo), "image/jpeg"),
        ("empty notes.txt", 14, "text/plain"),
    ]
    assert office.case().has_files


def test_a_file_that_the_store_has_lost_keeps_the_reply_waiting(office: Office, smtp: Smtp) -> None:
    office.enclose(Upload("bin.jpg", b"a picture"))
    reply_id = office.queue()
    with office.deployment.database.reading() as session:
        lost = session.scalars(sa.select(Enclosure)).one()
        office.deployment.store.delete(lost.office_id, lost.sha256)

    office.send(reply_id)

    assert (office.reply(reply_id).state, smtp.inbox(office.resident)) == (Sending.QUEUED, [])


def test_a_mail_too_large_for_the_server_fails_with_its_files_kept(office: Office) -> None:
    office.enclose(Upload("film.mp4", b"x" * 8_000_000))
    reply_id = office.queue()

    office.send(reply_id)

    reply = office.reply(reply_id)
    assert (reply.state, "10 MB" in reply.trouble) == (Sending.FAILED, True)
    with office.deployment.database.transaction() as session:
        draft = actions.withdraw(session, session.get_one(Reply, reply_id), by=office.staff_id, at=office.clock.at)
        assert draft is not None
        assert [one.name for one in enclosures.of_draft(session, draft.id)] == ["film.mp4"]


def test_whoever_gets_a_copy_is_named_in_the_mail(office: Office, smtp: Smtp) -> None:
    colleague = f"ward.{office.address}"
    reply_id = office.queue(cc=parties([f"Ossian Pepperwell <{colleague}>"]))

    office.send(reply_id)

    (one,), (other,) = arrived(smtp, office.resident), arrived(smtp, colleague)
    assert one["Cc"] == other["Cc"] == f"Ossian Pepperwell <{colleague}>"
    with office.deployment.database.reading() as session:
        sent = session.scalars(sa.select(Message).where(Message.direction == Direction.OUTBOUND)).one()
    assert sent.recipients["cc"] == [["Ossian Pepperwell", colleague, colleague]]


def test_the_answer_to_what_we_wrote_first_finds_its_conversation(office: Office, smtp: Smtp) -> None:
    officer = f"roads.{office.address}"
    with office.deployment.database.transaction() as session:
        account = session.scalars(sa.select(Account)).one()
        of, to = rules(session, account.office_id), Party("Roads", officer, officer)
        given = {"to": to, "subject": "Larkrise Close", "by": office.staff_id, "at": office.clock.at}
        conversation = beginning.write_first(session, of, account, **given)  # type: ignore[arg-type]
        words = Words(text="Who looks after it?", seen_message_id=0)
        reply_id = actions.queue(session, of, conversation, words=words, by=office.staff_id, at=office.clock.at).id
        conversation_id, person_id = conversation.id, conversation.person_id

    office.send(reply_id)

    (mail,) = arrived(smtp, officer)
    assert (mail["Subject"], mail["In-Reply-To"]) == ("Larkrise Close", None)
    answer = Item(
        platform_id="<their-answer@roads.example>",
        kind=Kind.MAIL,
        audience=Audience.DIRECT,
        author=Actor(external_id=officer),
        text="We do.",
        reply_text="We do.",
        sent_at=None,
        in_reply_to=mail["Message-ID"],
    )
    with office.deployment.database.reading() as session:
        who = session.scalars(sa.select(Identity).where(Identity.person_id == person_id)).one()
        office_id = session.get_one(Conversation, conversation_id).office_id
        place = threading.place(session, office_id, "email", answer, identity_id=who.id, person_id=person_id)
        assert place.conversation is not None
        assert place.conversation.id == conversation_id
