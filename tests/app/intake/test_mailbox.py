"""A real mailbox on a real server, through the e-mail channel, into the inbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa

from app.cases.models import Case, Status
from app.channels.models import Account, Stream
from app.deployment import Deployment
from app.intake import quarantine
from app.intake.fetching import retry_now
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages import index
from app.messages.models import File, Message, Reading, Sighting
from app.office.models import Office
from app.store import NoRoom
from tests import make
from tests.conftest import Clock
from tests.mailbox import Truth, generate
from tests.servers.dovecot import PASSWORD, Dovecot


@dataclass
class Mailbox:
    """An office whose one account is a mailbox on Dovecot."""

    deployment: Deployment
    server: Dovecot
    address: str
    office_id: int
    account_id: int

    def deliver(self, subject: str, *, message_id: str = "", answers: str = "", folder: str = "INBOX") -> None:
        headers = [
            "From: Hester Brindlecombe <hester@residents.example>",
            f"To: {self.address}",
            f"Subject: {subject}",
            "Date: Tue, 7 Apr 2026 08:00:00 +0000",
            *([f"Message-ID: {message_id}"] if message_id else []),
            *([f"In-Reply-To: {answers}"] if answers else []),
        ]
        self.server.deliver(self.address, "\r\n".join([*headers, "", f"About {subject}.", ""]).encode(), folder)

    def fetch(self) -> None:
        poll_account(self.deployment, self.account_id, everything=True)
        take(self.deployment, self.account_id)

    def subjects(self) -> list[str]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Case.subject).order_by(Case.id)))

    def trouble(self) -> list[str]:
        with self.deployment.database.reading() as session:
            return list(session.scalars(sa.select(Stream.trouble).where(Stream.trouble != "")))


@pytest.fixture
def mailbox(deployment: Deployment, dovecot: Dovecot, address: str) -> Iterator[Mailbox]:
    """Connected, with nothing fetched yet: inbox and junk."""
    allowed = frozenset({f"{dovecot.host}:{dovecot.imaps_port}"})
    reaching = replace(deployment, host=replace(deployment.host, allowed_hosts=allowed))
    with reaching.database.transaction() as session:
        office = make.office(session)
        account = make.account(
            session,
            office=office,
            options={"address": address, "imap_host": dovecot.host, "imap_port": str(dovecot.imaps_port)},
            sealed=reaching.sealer.seal({"password": PASSWORD}),
            own_ids=[address],
        )
        make.stream(session, account=account)
        make.stream(session, account=account, key="Junk", name="Junk", is_junk=True)
        made = Mailbox(reaching, dovecot, address, office.id, account.id)
    yield made
    reaching.lines.drop(made.account_id)


@pytest.mark.db
def test_mail_in_a_real_mailbox_stands_in_the_inbox(mailbox: Mailbox) -> None:
    mailbox.deliver("Bin", message_id="<1@a>")
    mailbox.deliver("Re: Bin", message_id="<2@a>", answers="<1@a>")
    mailbox.deliver("Lamp")
    mailbox.deliver("Rank boost", folder="Junk")
    mailbox.fetch()
    assert mailbox.subjects() == ["Bin", "Lamp", "Rank boost"]
    assert mailbox.server.flags(mailbox.address) == [(), (), ()]


def test_a_folder_that_is_numbered_anew_doubles_nothing(mailbox: Mailbox) -> None:
    mailbox.deliver("Bin", message_id="<1@a>")
    mailbox.deliver("Lamp")
    mailbox.fetch()
    mailbox.deployment.lines.drop(mailbox.account_id)  # a server whose backup was restored has been stopped
    mailbox.server.renumber(mailbox.address)
    mailbox.deliver("Path")
    mailbox.fetch()
    assert mailbox.subjects() == ["Bin", "Lamp", "Path"]
    assert mailbox.trouble() == []


def test_a_line_that_the_server_has_dropped_is_dialled_again(mailbox: Mailbox) -> None:
    mailbox.deliver("Bin")
    mailbox.fetch()
    mailbox.deliver("Lamp")
    [[kept]] = mailbox.deployment.lines._idle.values()
    kept.connection._imap._client._imap.sock.close()  # type: ignore[attr-defined]
    mailbox.fetch()
    assert mailbox.subjects() == ["Bin", "Lamp"]
    assert mailbox.trouble() == []


def test_a_mail_of_many_megabytes_comes_through_a_file(mailbox: Mailbox) -> None:
    mail = b"From: a@x.example\r\nSubject: Photos\r\nDate: Tue, 7 Apr 2026 08:00:00 +0000\r\n\r\n" + b"x" * 70 + b"\r\n"
    mailbox.server.deliver(mailbox.address, mail + (b"y" * 70 + b"\r\n") * 150_000)
    mailbox.fetch()
    assert mailbox.subjects() == ["Photos"]
    assert list(mailbox.deployment.host.spool.iterdir()) == []


def test_a_large_mail_that_finds_no_room_leaves_no_file_behind(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox.server.deliver(mailbox.address, b"Subject: Photos\r\n\r\n" + (b"y" * 70 + b"\r\n") * 150_000)
    with monkeypatch.context() as patch:
        patch.setattr(type(mailbox.deployment.store), "put_all", _full)
        mailbox.fetch()
    assert list(mailbox.deployment.host.spool.iterdir()) == []
    mailbox.fetch()
    assert mailbox.subjects() == ["Photos"]


def test_a_generated_mailbox_comes_to_exactly_what_is_in_it(mailbox: Mailbox) -> None:
    truth = _filled(mailbox, 400)
    mailbox.fetch()
    assert_exactly(mailbox, truth)


@pytest.mark.slow
@pytest.mark.db
def test_ten_thousand_mails_come_to_exactly_what_is_in_them(mailbox: Mailbox) -> None:
    truth = _filled(mailbox, 10_000)
    mailbox.fetch()
    assert_exactly(mailbox, truth)
    before = _counts(mailbox)
    mailbox.fetch()
    assert _counts(mailbox) == before


def _filled(mailbox: Mailbox, count: int) -> Truth:
    deliveries, truth = generate(count, seed=1)
    mailbox.server.deliver_all(mailbox.address, [(one.content, one.folder, one.at) for one in deliveries])
    return truth


def assert_exactly(mailbox: Mailbox, truth: Truth) -> None:
    """Every mail once, in its thread, with its files, to be found by its word; and nothing else."""
    with mailbox.deployment.database.reading() as session:
        states = session.scalars(sa.select(Sighting.state)).all()
        messages = session.execute(sa.select(Message.id, Message.text, Message.conversation_id)).all()
        files = session.execute(sa.select(File.name, File.sha256)).all()
        found = [
            index.newest(session, [mailbox.office_id], [index.Phrase((mail.word,))], limit=9).ids
            for mail in truth.mails[:100]
        ]
    assert Counter(states) == {Reading.TAKEN: len(truth.mails) + truth.doubles}
    numbers = {mail.word: mail.number for mail in truth.mails}
    read = {numbers[text.split()[0]]: (message_id, conversation_id) for message_id, text, conversation_id in messages}
    assert (len(messages), len(read)) == (len(truth.mails), len(truth.mails))
    threads: dict[int, set[int]] = {}
    for number, (_, conversation_id) in read.items():
        threads.setdefault(conversation_id, set()).add(number)
    assert sorted(map(sorted, threads.values())) == sorted(
        [mail.number for mail in mails] for mails in truth.threads.values()
    )
    assert Counter(tuple(file) for file in files) == Counter((file.name, file.sha256) for file in truth.files)
    for mail, ids in zip(truth.mails, found, strict=False):
        assert read[mail.number][0] in ids


def _counts(mailbox: Mailbox) -> list[int | None]:
    with mailbox.deployment.database.reading() as session:
        return [session.scalar(sa.select(sa.func.count()).select_from(row)) for row in (Sighting, Message, Case, File)]


def test_a_mail_that_is_moved_stands_once(mailbox: Mailbox) -> None:
    mailbox.deliver("Rank boost", message_id="<1@a>", folder="Junk")
    mailbox.fetch()
    with mailbox.server.client(mailbox.address) as own:
        own.select_folder("Junk")
        own.move([1], "INBOX")
    mailbox.fetch()
    assert mailbox.subjects() == ["Rank boost"]
    with mailbox.deployment.database.reading() as session:
        assert session.scalars(sa.select(Case.category)).all() == [""]
        assert session.scalar(sa.select(sa.func.count()).select_from(Sighting)) == 2


def test_a_mail_to_two_accounts_of_an_office_stands_once(mailbox: Mailbox) -> None:
    other = f"ward-{mailbox.address}"
    mailbox.deliver("Bin", message_id="<1@a>")
    (sent,) = mailbox.server.messages(mailbox.address)
    mailbox.server.deliver(other, b"Delivered-To: ward\r\n" + sent)
    with mailbox.deployment.database.transaction() as session:
        first = session.get_one(Account, mailbox.account_id)
        second = make.account(
            session,
            office=session.get_one(Office, mailbox.office_id),
            options={**first.options, "address": other},
            sealed=first.sealed,
            own_ids=[other],
        )
        make.stream(session, account=second)
    mailbox.fetch()
    poll_account(mailbox.deployment, second.id)
    take(mailbox.deployment, second.id)
    mailbox.deployment.lines.drop(second.id)
    assert mailbox.subjects() == ["Bin"]
    with mailbox.deployment.database.reading() as session:
        assert len(session.scalars(sa.select(Sighting.account_id).distinct()).all()) == 2


def test_a_damaged_mail_comes_to_stand_in_quarantine_and_in_nobodys_way(mailbox: Mailbox, clock: Clock) -> None:
    for subject in ("Bin", "Lamp", "Path"):
        mailbox.deliver(subject)
    mailbox.server.withhold(mailbox.address, "Lamp")
    mailbox.fetch()
    assert mailbox.subjects() == ["Bin", "Path"]
    for _ in range(5):
        clock.advance(minutes=12)
        mailbox.fetch()
    with mailbox.deployment.database.reading() as session:
        [held] = quarantine.quarantined(session, [mailbox.office_id])
    assert (held.trouble, mailbox.trouble()) == ("The server lists this mail but does not hand it out.", [])

    mailbox.server.hand_out(mailbox.address)
    assert retry_now(mailbox.deployment, [held.sighting_id]) == 0
    assert mailbox.subjects() == ["Bin", "Path", "Lamp"]


def test_an_answer_in_the_folder_for_sent_mail_stops_the_clock(mailbox: Mailbox) -> None:
    with mailbox.deployment.database.transaction() as session:
        account = session.get_one(Account, mailbox.account_id)
        make.stream(session, account=account, key="Sent", name="Sent", is_ours=True)
    mailbox.deliver("Bin", message_id="<1@a>")
    mailbox.deliver("Lamp", message_id="<2@a>")
    lines = ("From: x@y.example", "To: hester@residents.example", "Subject: Re: Bin", "In-Reply-To: <1@a>", "", "Done.")
    mailbox.server.deliver(mailbox.address, "\r\n".join(lines).encode(), "Sent")
    mailbox.server.deliver(mailbox.address, b"To: friend@elsewhere.example\r\nSubject: Lunch\r\n\r\nAt one?", "Sent")
    mailbox.fetch()
    with mailbox.deployment.database.reading() as session:
        found = session.execute(sa.select(Case.subject, Case.status).order_by(Case.id)).all()
    assert [tuple(row) for row in found] == [("Bin", Status.ANSWERED), ("Lamp", Status.NEW)]


def _full(*_: object) -> list[str]:
    raise NoRoom
