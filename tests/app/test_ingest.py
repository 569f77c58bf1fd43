"""A mailbox whose contents are known, through the commands: exactly what is in it comes out, and once."""

from __future__ import annotations

from collections import Counter

import pytest
import sqlalchemy as sa

from app.channels.models import Account
from app.db import Database
from app.messages.models import File, Message, Reading, Sighting
from app.search.language import parsed
from app.search.queries import search
from app.settings import Settings
from tests.app.program import CommandLine, adding
from tests.mailbox import Truth, generate
from tests.servers.dovecot import Dovecot
from tests.servers.smtp import Smtp


@pytest.fixture
def postbag(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> CommandLine:
    """The commands, over the test's own install."""
    return CommandLine(settings, monkeypatch, capsysbinary)


@pytest.fixture
def connected(postbag: CommandLine, address: str, dovecot: Dovecot, smtp: Smtp) -> str:
    """The address of a mailbox that is connected, with all of its post."""
    office = postbag.done("office", "add", "Cllr Tansy Quillfeather", "--prefix", "MA").text.strip()
    postbag.done(*adding(office, address, dovecot, smtp), typed="secret\n")
    return address


@pytest.mark.db
def test_three_hundred_mails_come_out_as_they_are(
    postbag: CommandLine, connected: str, dovecot: Dovecot, database: Database
) -> None:
    _comes_out_as_it_is(postbag, connected, dovecot, database, 300)


@pytest.mark.slow
@pytest.mark.db
def test_ten_thousand_mails_come_out_as_they_are(
    postbag: CommandLine, connected: str, dovecot: Dovecot, database: Database
) -> None:
    _comes_out_as_it_is(postbag, connected, dovecot, database, 10_000)


def _comes_out_as_it_is(postbag: CommandLine, address: str, dovecot: Dovecot, database: Database, count: int) -> None:
    deliveries, truth = generate(count, seed=7)
    dovecot.deliver_all(address, [(one.content, one.folder, one.at) for one in deliveries])
    fates = f"{truth.doubles} again, {len(truth.mails)} message"
    assert postbag.done("poll").text == f"{count} fetched: {fates}\n"
    _is_exactly(database, truth)
    assert postbag.done("quarantine", "list").text == ""
    assert {flags for folder in ("INBOX", "Junk") for flags in dovecot.flags(address, folder)} == {()}

    before = _held(database)
    with dovecot.listening(address) as said:
        assert postbag.done("poll").text == "0 fetched\n"
    asked = [command for command in said if command not in {"CAPABILITY", "LOGOUT"}]
    assert [command.partition(" (")[0] for command in asked] == [f'STATUS "{one}"' for one in ("INBOX", "Junk", "Sent")]
    assert _held(database) == before


def _is_exactly(database: Database, truth: Truth) -> None:
    """Every mail once, in its thread, with its files, and to be found; nothing else."""
    numbers = {mail.word: mail.number for mail in truth.mails}
    with database.reading() as session:
        rows = session.execute(sa.select(Message.text, Message.conversation_id, Message.case_id, Message.subject)).all()
        files = session.scalars(sa.select(File.sha256)).all()
        states = set(session.scalars(sa.select(Sighting.state)))
        office = session.scalars(sa.select(Account.office_id)).one()
        cases = {numbers[text.split()[0]]: case for text, _, case, _ in rows}
        found = {
            mail.number: search(session, [office], parsed(mail.word, ["email"]), limit=2).hits for mail in truth.mails
        }
    assert states == {Reading.TAKEN}
    assert sorted(numbers[text.split()[0]] for text, *_ in rows) == [mail.number for mail in truth.mails]
    assert {numbers[text.split()[0]]: subject for text, _, _, subject in rows} == {
        mail.number: mail.subject for mail in truth.mails
    }
    threads: dict[int, list[int]] = {}
    for text, conversation_id, *_ in rows:
        threads.setdefault(conversation_id, []).append(numbers[text.split()[0]])
    expected = [[mail.number for mail in mails] for mails in truth.threads.values()]
    assert sorted(sorted(thread) for thread in threads.values()) == sorted(expected)
    assert Counter(files) == Counter(file.sha256 for file in truth.files)
    assert {number: [hit.case_id for hit in hits] for number, hits in found.items()} == {
        number: [case] for number, case in cases.items()
    }


def _held(database: Database) -> dict[str, object]:
    """How many rows every table has, but for what a poll writes down about itself."""
    tables = sa.inspect(database.engine).get_table_names()
    with database.reading() as session:
        return {name: session.scalar(sa.text(f'SELECT count(*) FROM "{name}"')) for name in tables}  # noqa: S608 - ours
