"""What was backed up is what is restored: row for row, byte for byte, from either database into either."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.audit import sealing
from app.backup import rows
from app.backup.restoring import restore, verify
from app.cases.models import Case
from app.clock import now
from app.db import Base, Database, load_models
from app.deployment import Deployment, deploy
from app.errors import Problem
from app.jobs.kinds import Kind
from app.messages import index
from app.messages.models import File, Message
from app.replies.models import Reply, Sending
from app.settings import Settings
from app.staff.models import Staff
from tests import make
from tests.app.backup.conftest import KEY, EmptyInstall, backed_up, contents

pytestmark = pytest.mark.db

# Tables in which a restore changes something on purpose: see app.backup.settling.
CHANGED = {"account", "audit_line", "link", "notice", "reply", "sign_in", "stream"}


def fill(deployment: Deployment) -> int:
    """An office with some of everything; a large object, a picture of a case in a circle; the number of the message."""
    store = deployment.store
    with deployment.database.transaction() as session:
        office = make.office(session)
        staff = make.staff(session, office=office, recovery_codes=["a"])
        sealed = deployment.sealer.seal({"password": "open sesame"})
        account = make.account(session, office=office, sealed=sealed, options={"a": 1.5, "b": None, "ŵ": ["\u2028"]})
        stream = make.stream(session, account=account, cursor={"v": 1, "next": 7}, interval=timedelta(seconds=1.5))
        make.stream(session, account=account, key="Junk", cursor=None)
        case = make.case(session, office=office, subject="Golau stryd\n\tŵ \U0001f4a1 ")
        thread = make.conversation(session, case=case, account=account)
        message = make.message(session, conversation=thread, text="The brown bin was missed.\r\n")
        index.add(session, message, case.reference)
        raw = store.put(office.id, b"raw" * 5)
        large = store.put(office.id, b"0123456789abcdef" * 600_000)
        make.sighting(session, stream=stream, sha256=raw, message_id=message.id)
        make.file(session, message=message, sha256=large)
        sent = make.reply(session, conversation=thread, staff=staff, state=Sending.SENT)
        sent.message_id = make.message(session, conversation=thread, reply_id=sent.id, text="We are on it.").id
        make.obligation(session, message=message)
        make.draft(session, conversation=thread, staff=staff)
        other = make.case(session, office=office, person=None, merged_into_id=case.id)
        case.merged_into_id = None
        assert other.id > case.id
        return message.id


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_row_and_every_byte_comes_back_on_either_database(
    deployment: Deployment, database: Database, empty: EmptyInstall, kind: str
) -> None:
    message_id = fill(deployment)
    target = empty(kind)

    done = restore(target, backed_up(deployment), KEY)

    assert (done.contents.objects, done.contents.lost, done.erased) == (2, [], 0)
    restored = deploy(target)
    before, after = contents(database), contents(restored.database)
    assert {name for name in before if before[name] != after[name]} <= CHANGED
    with restored.database.reading() as session:
        message = session.get_one(Message, message_id)
        assert restored.store.read(message.office_id, _large(before)) == b"0123456789abcdef" * 600_000
        assert index.newest(session, [message.office_id], [index.Phrase(("brown",))], limit=9).ids == [message_id]
    assert restored.keys == deployment.keys
    restored.close()


def _large(rows_of: dict[str, list[tuple[object, ...]]]) -> str:
    [row] = rows_of["file"]
    return next(str(value) for value in row if len(str(value)) == 64)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_only_one_database_can_hold_stops_neither_backup_nor_restore(
    deployment: Deployment, database: Database, empty: EmptyInstall, kind: str
) -> None:
    if not database.is_sqlite:
        return
    with database.transaction() as session:
        make.message(session, text="a\x00b", recipients={"to": [["half \ud83d", "ann@x.example"]]})
    target = empty(kind)
    restore(target, backed_up(deployment), KEY)
    restored = deploy(target)
    with restored.database.reading() as session:
        message = session.scalars(sa.select(Message)).one()
    assert (message.text, message.recipients) == ("a\ufffdb", {"to": [["half \ufffd", "ann@x.example"]]})
    restored.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_next_ids_follow_those_that_were_restored(deployment: Deployment, empty: EmptyInstall, kind: str) -> None:
    message_id = fill(deployment)
    target = empty(kind)
    restore(target, backed_up(deployment), KEY)
    restored = deploy(target)
    with restored.database.transaction() as session:
        assert make.message(session).id > message_id
    restored.close()


def test_sealed_passwords_open_and_the_trail_is_whole(
    deployment: Deployment, database: Database, empty: EmptyInstall
) -> None:
    fill(deployment)
    sealing.seal(database, deployment.keys.audit)
    target = empty("sqlite")
    restore(target, backed_up(deployment), KEY)
    restored = deploy(target)
    with restored.database.reading() as session:
        sealed = session.scalars(sa.select(Base.metadata.tables["account"].c.sealed)).first()
        office_id = session.scalars(sa.select(Case.office_id)).first()
        assert restored.sealer.open(sealed or b"") == {"password": "open sesame"}
        assert sealing.verify(session, restored.keys.audit, office_id or 0) is None
    restored.close()


def test_what_was_about_to_go_out_is_not_sent_by_itself(
    deployment: Deployment, database: Database, empty: EmptyInstall
) -> None:
    fill(deployment)
    with database.transaction() as session:
        staff = session.scalars(sa.select(Staff)).first()
        assert staff is not None
        sha256 = deployment.store.put(session.scalars(sa.select(Case.office_id)).first() or 0, b"a letter")
        make.reply(session, staff=staff, state=Sending.QUEUED)
        make.reply(session, staff=staff, state=Sending.SENDING, prepared_sha256=sha256, lease_by="x", lease_until=now())
    target = empty("sqlite")
    restore(target, backed_up(deployment), KEY)
    restored = deploy(target)
    with restored.database.reading() as session:
        states = session.execute(sa.select(Reply.state, Reply.lease_by).order_by(Reply.id)).all()
        jobs = session.execute(sa.select(Base.metadata.tables["job"].c.kind)).scalars().all()
    assert states == [(Sending.SENT, ""), (Sending.UNCERTAIN, ""), (Sending.UNCERTAIN, "")]
    assert jobs == [Kind.PROBE_REPLY]
    restored.close()


def test_an_install_in_use_is_left_alone(deployment: Deployment, database: Database, settings: Settings) -> None:
    fill(deployment)
    before = contents(database)
    with pytest.raises(Problem, match="The database is in use: there is something in its table"):
        restore(settings, backed_up(deployment), KEY)
    assert contents(database) == before


def test_a_backup_that_is_read_to_its_end_tells_what_it_holds(deployment: Deployment) -> None:
    fill(deployment)
    found = verify(backed_up(deployment), KEY)
    assert (found.objects, found.object_bytes, found.rows["message"]) == (2, 9_600_015, 2)


def test_what_the_store_has_lost_is_named_and_the_rest_is_there(deployment: Deployment, empty: EmptyInstall) -> None:
    fill(deployment)
    with deployment.database.reading() as session:
        office_id, sha256 = session.execute(sa.select(File.office_id, File.sha256)).one()
    deployment.store.delete(office_id, sha256)
    done = restore(empty("sqlite"), backed_up(deployment), KEY)
    assert (done.contents.lost, done.contents.objects) == ([f"{office_id}/{sha256}"], 1)


def test_no_table_is_forgotten() -> None:
    load_models()
    held = {table.name for table in rows.tables()}
    assert set(Base.metadata.tables) - held == set(rows.WORKINGS)
