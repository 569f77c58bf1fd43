"""What an office takes with it: every row that is its own, nothing of its neighbours, and no secret."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.clock import now
from app.db import Base, Database, load_models
from app.deployment import Deployment
from app.errors import Missing
from app.messages.models import Conversation, Participant, Revision
from app.office.models import Office
from app.reports import export
from app.settings import Settings
from tests import make
from tests.app.program import an_office, environment, run

pytestmark = pytest.mark.db

# What is no office's own, and why. A new table belongs into this list or into the export.
NOT_EXPORTED = {
    "access": "keys to the accounts",
    "attempt": "tries to sign in",
    "blob": "the bytes, which `files` writes",
    "blob_chunk": "the bytes, which `files` writes",
    "heartbeat": "of workers",
    "holiday": "of the nations",
    "holiday_list": "of the nations",
    "job": "what waits to be done",
    "key_print": "of the install",
    "link": "keys to the door",
    "mention": "an index over what messages say themselves",
    "notice": "mail to staff",
    "rhythm": "when what recurs is due",
    "setback": "jobs that failed",
    "sign_in": "sessions",
}


def _words(session: Session, office: Office, text: str) -> None:
    """A case with a message, its edit, a reply and a draft; each says ``text``."""
    staff = make.staff(session, office=office)
    person = make.person(session, office=office)
    case = make.case(session, person=person)
    message = make.message(session, conversation=make.conversation(session, case=case), text=text)
    conversation = session.get_one(Conversation, message.conversation_id)
    seen = make.sighting(session, stream=make.stream(session, account=make.account(session, office=office)))
    session.add(Revision(message_id=message.id, sighting_id=seen.id, text=f"{text}, edited", seen_at=now()))
    identity = make.identity(session, person=person)
    session.add(Participant(conversation_id=conversation.id, identity_id=identity.id))
    make.reply(session, conversation=conversation, staff=staff, text=f"{text}, answered")
    make.draft(session, conversation=conversation, staff=staff, text=f"{text}, drafted")
    record(session, "read", "case", case.id, office_id=office.id, by=staff.id)
    session.flush()


def test_every_word_of_the_office_and_none_of_the_neighbours_is_exported(session: Session) -> None:
    own, other = make.office(session), make.office(session)
    _words(session, own, "Ours")
    _words(session, other, "Theirs")
    written = [json.loads(json.dumps(row)) for row in export.rows(session, own.id)]
    texts = {row["text"] for row in written if "text" in row}
    assert {"Ours", "Ours, edited", "Ours, answered", "Ours, drafted"} <= texts
    assert "Theirs" not in json.dumps(written)
    assert {row["office_id"] for row in written if row.get("office_id") is not None} == {own.id}
    assert {"participant", "revision", "audit_line"} <= {row["table"] for row in written}


def test_no_table_is_forgotten() -> None:
    load_models()
    exported = {"office", "staff", *export._PARTS}
    exported |= {
        table.name
        for table in Base.metadata.sorted_tables
        if "office_id" in table.c and table.name not in export._WORKINGS
    }
    assert set(Base.metadata.tables) - exported == set(NOT_EXPORTED)


def test_values_are_written_as_every_program_reads_them(session: Session) -> None:
    office = make.office(session, created_at=datetime(2026, 4, 7, 8, 0, tzinfo=UTC))
    make.stream(session, account=make.account(session, office=office))
    rows = list(export.rows(session, office.id))
    [row] = [row for row in rows if row["table"] == "office"]
    assert (row["created_at"], row["nation"]) == ("2026-04-07T08:00:00+00:00", "england_and_wales")
    [stream] = [row for row in rows if row["table"] == "stream"]
    assert stream["interval"] == 60.0


def test_an_office_that_is_not_there_has_nothing_to_export(session: Session) -> None:
    with pytest.raises(Missing, match="There is no office 77"):
        list(export.rows(session, 77))


def test_files_are_written_once_whole_and_what_is_lost_is_named(
    deployment: Deployment, database: Database, tmp_path: Path
) -> None:
    with database.transaction() as session:
        message = make.message(session)
        office_id = message.office_id
        kept = deployment.store.put(office_id, b"a picture")
        sent = deployment.store.put(office_id, b"a reply as it went")
        lost = hashlib.sha256(b"gone").hexdigest()
        make.file(session, message=message, sha256=kept)
        make.file(session, message=message, sha256=lost, position=1)
        make.reply(session, office_id=office_id, staff=make.staff(session), prepared_sha256=sent)
    folder = tmp_path / "files"
    first = export.files(database, deployment.store, office_id, folder)
    assert first == export.Written(2, (lost,))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        kept: b"a picture",
        sent: b"a reply as it went",
    }
    assert export.files(database, deployment.store, office_id, folder) == first


def test_a_process_that_does_nothing_else_exports_as_much(settings: Settings, database: Database) -> None:
    given = environment(settings)
    office_id = int(an_office(given))
    with database.transaction() as session:
        _words(session, session.get_one(Office, office_id), "Ours")
    ran = run("export", "--office", office_id, given=given)
    assert (ran.returncode, ran.stderr) == (0, b"")
    tables = {json.loads(line)["table"] for line in ran.stdout.decode().splitlines()}
    assert {"office", "staff", "case", "conversation", "message", "revision", "reply", "audit_line"} <= tables
