"""Every failure of a mail server that takes our mail (reliability.md section 2), at every step, with real servers.

Two replies are due; the server fails in one way for two attempts of each, then all is well. What has to hold: each
arrives at most once and none is lost. It is sent; or it failed and says why; or nobody can know, and a person is asked.
What certainly did not leave is tried again by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from email import message_from_bytes

import pytest
import sqlalchemy as sa

from app.cases import clocks
from app.cases.models import Obligation, ObligationKind, ObligationState
from app.deployment import Deployment
from app.leases import TERM
from app.messages.models import Conversation, Direction, Message
from app.office.queries import rules
from app.replies import actions, outbox
from app.replies.actions import Words
from app.replies.models import Reply, Sending
from tests import make
from tests.conftest import Clock
from tests.connectors.email.box import options
from tests.servers.dovecot import Dovecot
from tests.servers.meddling import (
    BODY,
    CUT,
    GREETING,
    Asked,
    ImapMeddler,
    PassOn,
    Piece,
    SmtpMeddler,
    Trick,
    at,
    cut,
    cut_in_answer,
    lose,
    say,
    stall,
)
from tests.servers.smtp import Smtp

REPLIES = 2
ATTEMPTS = 2  # of each that go wrong
SILENCE = 0.4  # seconds after which a server counts as silent here


@dataclass
class Desk:
    """An office whose servers are reached by lines that are meddled with, and replies that are due."""

    deployment: Deployment
    clock: Clock
    mailbox: ImapMeddler
    submission: SmtpMeddler
    server: Smtp
    dovecot: Dovecot
    address: str
    residents: dict[int, str]  # by reply

    def go_wrong(self, trick: Trick) -> None:
        """As often as the program tries it by itself, but no more than ATTEMPTS."""
        self.submission.meddle(trick)
        for _ in range(ATTEMPTS):
            for reply_id in self.residents:
                self.clock.at = outbox.send_reply(self.deployment, reply_id) or self.clock.at
        self.submission.mend()

    def go_on(self) -> None:
        """All jobs of all replies, when the program says so, until none has anything left to do."""
        for reply_id in self.residents:
            for job in (outbox.send_reply, outbox.probe_reply, outbox.file_copy):
                while again_at := job(self.deployment, reply_id):
                    self.clock.at = max(again_at, self.clock.at)

    def replies(self) -> list[Reply]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Reply).order_by(Reply.id)))

    def copies(self) -> list[str]:
        return sorted(str(message_from_bytes(one)["Message-ID"]) for one in self.dovecot.messages(self.address, "Sent"))

    def becomes(self, state: Sending, *, arrived: int) -> None:
        """What became of every reply is ``state``, and all that stands beside it agrees."""
        for reply in self.replies():
            resident = self.residents[reply.id]
            assert (reply.state, bool(reply.lease_by)) == (state, False)
            assert len(self.server.inbox(resident, wait=5 if arrived else 0)) == arrived
            assert (
                self._stands_beside(reply)
                == {
                    Sending.SENT: (ObligationState.MET, 1, ""),
                    Sending.FAILED: (ObligationState.OPEN, 0, reply.trouble or "no reason"),
                    Sending.UNCERTAIN: (ObligationState.OPEN, 0, outbox.ASK_A_PERSON),
                }[state]
            )
        assert self.copies() == (sorted(one.platform_id for one in self.replies()) if state is Sending.SENT else [])

    def _stands_beside(self, reply: Reply) -> tuple[ObligationState, int, str]:
        """What is owed still, how many messages of ours there are, and what is said at the reply."""
        with self.deployment.database.reading() as session:
            owed = sa.select(Obligation.state).where(
                Obligation.case_id == reply.case_id, Obligation.kind == ObligationKind.REPLY
            )
            ours = sa.select(sa.func.count()).where(
                Message.case_id == reply.case_id, Message.direction == Direction.OUTBOUND
            )
            return session.scalars(owed).one(), session.scalar(ours) or 0, reply.trouble


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.email.line.READ_SECONDS", SILENCE)
    monkeypatch.setattr("connectors.email.submission._VERDICT_SECONDS", SILENCE)
    monkeypatch.setattr("app.db._BUSY_SECONDS", 2)


@pytest.fixture
def desk(deployment: Deployment, dovecot: Dovecot, smtp: Smtp, address: str, clock: Clock) -> Iterator[Desk]:
    reaching = replace(deployment, host=replace(deployment.host, allowed_hosts=frozenset({"127.0.0.1"})))
    with ImapMeddler(dovecot, dovecot.imaps_port) as mailbox, SmtpMeddler(dovecot, smtp.tls_port) as submission:
        ports = {"imap_port": str(mailbox.port), "smtp_port": str(submission.port), "smtp_security": "tls"}
        residents = _due(reaching, clock, address, options(address, dovecot, smtp, **ports))
        clock.advance(minutes=2)
        yield Desk(reaching, clock, mailbox, submission, smtp, dovecot, address, residents)
        reaching.lines.close()


def _due(deployment: Deployment, clock: Clock, address: str, given: dict[str, str]) -> dict[int, str]:
    """Residents who have written, and a reply to each: by its id."""
    secret = {"password": given.pop("password")}
    found = {}
    with deployment.database.transaction() as session:
        office = make.office(session)
        by = make.staff(session, office=office).id
        account = make.account(
            session, office=office, options=given, sealed=deployment.sealer.seal(secret), own_ids=[address]
        )
        for number in range(REPLIES):
            resident = f"hester{number}.{address}"
            person = make.person(session, office=office)
            identity = make.identity(session, person=person, external_id=resident, handle=resident)
            case = make.case(session, office=office, person=person)
            conversation: Conversation = make.conversation(session, case=case, account=account)
            message = make.message(session, conversation=conversation, identity_id=identity.id)
            of = rules(session, office.id)
            clocks.received(session, of, case, conversation, message)
            words = Words(text="It is reported.", seen_message_id=message.id)
            found[actions.queue(session, of, conversation, words=words, by=by, at=clock.at).id] = resident
    return found


# ── Before the final dot ────────────────────────────────────────────────────────────────────────────────────

STEPS = (GREETING, "EHLO", "AUTH", "MAIL FROM", "RCPT TO", "DATA")
NOT_NOW: dict[str, Trick] = {
    "cut": cut,
    "answer lost": lose,
    "cut in the answer": cut_in_answer,
    "silent": stall,
    "not now": say(b"451 4.3.0 Try again later"),
    "closing": say(b"421 4.3.2 Shutting down", then=CUT),
    "rubbish": say(b"<html>502 Bad Gateway</html>"),
    "an answer of another kind": say(b"199 half-hearted"),
}
QUICK = [(step, what) for step in STEPS for what in ("answer lost", "not now")]
QUICK += [("MAIL FROM", what) for what in ("cut", "cut in the answer", "silent", "closing", "rubbish")]


@pytest.mark.parametrize(("step", "what"), QUICK)
def test_what_certainly_did_not_leave_is_sent_later_by_itself(desk: Desk, step: str, what: str) -> None:
    desk.go_wrong(at(step, NOT_NOW[what]))
    assert {(one.state, bool(one.trouble)) for one in desk.replies()} == {(Sending.QUEUED, True)}
    desk.go_on()
    desk.becomes(Sending.SENT, arrived=1)


@pytest.mark.slow
@pytest.mark.db
@pytest.mark.parametrize(("step", "what"), [(step, what) for step in STEPS for what in NOT_NOW])
def test_nothing_before_the_dot_loses_or_doubles_a_reply(desk: Desk, step: str, what: str) -> None:
    desk.go_wrong(at(step, NOT_NOW[what]))
    desk.go_on()
    desk.becomes(Sending.SENT, arrived=1)


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "AUTH"])
def test_a_server_that_will_not_have_us_for_now_is_asked_again(desk: Desk, step: str) -> None:
    desk.go_wrong(at(step, say(b"554 5.7.1 You are blocked")))
    assert {(one.state, "You are blocked" in one.trouble) for one in desk.replies()} == {(Sending.QUEUED, True)}
    desk.go_on()
    desk.becomes(Sending.SENT, arrived=1)


@pytest.mark.parametrize("step", ["MAIL FROM", "RCPT TO", "DATA", BODY])
def test_a_mail_that_is_refused_fails_and_says_why(desk: Desk, step: str) -> None:
    desk.go_wrong(at(step, say(b"550 5.7.1 It is not wanted here")))
    desk.go_on()
    desk.becomes(Sending.FAILED, arrived=0)
    assert all("It is not wanted here" in one.trouble for one in desk.replies())


def test_a_goodbye_that_is_not_answered_changes_nothing(desk: Desk) -> None:
    desk.go_wrong(at("QUIT", cut))
    desk.go_on()
    desk.becomes(Sending.SENT, arrived=1)


# ── At the final dot ────────────────────────────────────────────────────────────────────────────────────────

IN_DOUBT: dict[str, tuple[Trick, int]] = {
    "cut before it was heard": (cut, 0),
    "answer lost": (lose, 1),
    "cut in the answer": (lambda _, pass_on: [pass_on()[0][:2], CUT], 1),
    "silent": (stall, 0),
    "rubbish": (say(b"banana"), 0),
    "an answer of another kind": (say(b"199 half-hearted"), 0),
}


@pytest.mark.parametrize(("trick", "arrived"), IN_DOUBT.values(), ids=IN_DOUBT)
def test_without_an_answer_to_the_dot_nothing_is_sent_again_and_a_person_is_asked(
    desk: Desk, trick: Trick, arrived: int
) -> None:
    desk.go_wrong(at(BODY, trick))
    desk.go_on()
    desk.becomes(Sending.UNCERTAIN, arrived=arrived)


def test_a_mail_that_is_put_off_at_the_dot_is_sent_later_by_itself(desk: Desk) -> None:
    desk.go_wrong(at(BODY, say(b"451 4.7.1 You are on our grey list")))
    assert {one.state for one in desk.replies()} == {Sending.QUEUED}
    desk.go_on()
    desk.becomes(Sending.SENT, arrived=1)


def test_where_the_server_files_what_it_sends_doubt_clears_up_by_itself(desk: Desk) -> None:
    desk.go_wrong(at(BODY, lose))
    for resident in desk.residents.values():
        [arrived] = desk.server.inbox(resident, wait=5)
        desk.dovecot.deliver(desk.address, arrived, "Sent")
    desk.mailbox.meddle(say(b"* BYE [UNAVAILABLE] Not just now", then=CUT))
    assert all(outbox.probe_reply(desk.deployment, reply_id) for reply_id in desk.residents)
    desk.mailbox.mend()
    desk.go_on()
    desk.becomes(Sending.SENT, arrived=1)


def test_a_database_that_is_locked_when_the_answer_comes_leaves_doubt_and_no_second_mail(desk: Desk) -> None:
    path = desk.deployment.settings.data / "postbag.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:

        def lock(_: Asked, pass_on: PassOn) -> Sequence[Piece]:
            answer = pass_on()
            other.execute("BEGIN IMMEDIATE")
            return answer

        desk.submission.meddle(at(BODY, lock))
        for reply_id in desk.residents:
            with pytest.raises(sa.exc.OperationalError, match="locked"):
                outbox.send_reply(desk.deployment, reply_id)
            other.execute("ROLLBACK")
    desk.submission.mend()
    desk.clock.advance(seconds=TERM.total_seconds() + 1)
    desk.go_on()
    desk.becomes(Sending.UNCERTAIN, arrived=1)


# ── The copy ────────────────────────────────────────────────────────────────────────────────────────────────

NOT_FILED: dict[str, Trick] = {
    "no room": say(b"TAG NO [OVERQUOTA] Quota exceeded"),
    "no folder": say(b"TAG NO [TRYCREATE] There is no such mailbox"),
    "refused": say(b"TAG NO Not here"),
    "not understood": say(b"TAG BAD What?"),
    "cut": cut,
    "silent": stall,
}


@pytest.mark.parametrize("trick", NOT_FILED.values(), ids=NOT_FILED)
def test_a_copy_that_is_not_taken_changes_nothing_about_the_reply_and_is_filed_later(desk: Desk, trick: Trick) -> None:
    desk.mailbox.meddle(at("APPEND", trick))
    for reply_id in desk.residents:
        outbox.send_reply(desk.deployment, reply_id)
        desk.clock.at = outbox.file_copy(desk.deployment, reply_id) or desk.clock.at
    assert {(one.state, bool(one.receipt_note)) for one in desk.replies()} == {(Sending.SENT, True)}
    desk.mailbox.mend()
    desk.go_on()
    desk.becomes(Sending.SENT, arrived=1)
    assert {one.receipt_note for one in desk.replies()} == {""}


def test_a_copy_whose_filing_was_not_confirmed_lies_there_once(desk: Desk) -> None:
    desk.mailbox.meddle(at("APPEND", lose))
    for reply_id in desk.residents:
        outbox.send_reply(desk.deployment, reply_id)
        outbox.file_copy(desk.deployment, reply_id)
    desk.mailbox.mend()
    desk.go_on()
    desk.becomes(Sending.SENT, arrived=1)
