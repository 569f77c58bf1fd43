"""Backups as they are made and needed: mail pours in meanwhile, disks fill, and the mailbox has gone on since."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.backup.restoring import restore
from app.clock import now
from app.db import Base, Database
from app.deployment import Deployment, deploy, make_ready
from app.messages.erased import is_erased
from app.messages.models import Conversation, File, Message, Sighting
from app.retention import ledger
from app.settings import Settings
from app.staff.models import SignIn
from app.store import Gone
from app.worker import keep_going
from tests import make
from tests.app.backup.conftest import KEY, EmptyInstall, backed_up
from tests.app.program import environment
from tests.app.retention.test_fetched_again import Box, box
from tests.house.tree import ROOT

__all__ = ["box"]


@pytest.mark.db
def test_a_backup_made_while_mail_pours_in_is_one_state(
    deployment: Deployment, database: Database, empty: EmptyInstall
) -> None:
    """Each transaction writes a message with its file: half of one would show."""
    stop = threading.Event()

    def pour() -> None:
        with database.transaction() as session:
            thread = make.conversation(session).id
        while not stop.is_set():
            with database.transaction() as session:
                conversation = session.get_one(Conversation, thread)
                message = make.message(session, conversation=conversation)
                sha256 = deployment.store.put(message.office_id, f"file of {message.id}".encode())
                make.file(session, message=message, sha256=sha256)

    pouring = threading.Thread(target=pour)
    pouring.start()
    try:
        files = [backed_up(deployment) for _ in range(4)]
    finally:
        stop.set()
        pouring.join()
    for file in files[1:]:
        restored = deploy(_restored(empty, file))
        with restored.database.reading() as session:
            messages = session.scalar(sa.select(sa.func.count()).select_from(Message))
            hashes = session.execute(sa.select(File.office_id, File.sha256)).all()
        assert messages == len(hashes)
        assert all(restored.store.size(office_id, sha256) for office_id, sha256 in hashes)
        restored.close()


def _restored(empty: EmptyInstall, file: io.BytesIO) -> Settings:
    target = empty("sqlite")
    restore(target, file, KEY)
    return target


def test_a_full_disk_is_told_in_a_sentence_and_leaves_no_half_of_a_backup(
    deployment: Deployment, tmp_path: Path
) -> None:
    make_ready(deployment)
    with deployment.database.transaction() as session:
        message = make.message(session)
        sha256 = deployment.store.put(message.office_id, bytes(range(256)) * 8_000)
        make.file(session, message=message, sha256=sha256)
    (tmp_path / "backup").write_text("the one of yesterday")
    (tmp_path / "passphrase").write_text("correct horse\n")
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "app",
            "backup",
            str(tmp_path / "backup"),
            "--passphrase-file",
            str(tmp_path / "passphrase"),
        ],
        cwd=ROOT,
        env=environment(deployment.settings),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        capture_output=True,
        check=False,
        timeout=60,
    )
    sentence = f"There is no room for the backup at {tmp_path / 'backup'}. Nothing was kept of it.\n"
    assert (ran.returncode, ran.stdout, ran.stderr.decode()) == (1, b"", sentence)
    assert (tmp_path / "backup").read_text() == "the one of yesterday"
    assert not (tmp_path / "backup.part").exists()


# ── The mailbox has gone on ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_fetching_goes_on_from_the_cursor_of_the_backup_and_doubles_nothing(
    box: Box, empty: EmptyInstall, database_kind: str
) -> None:
    box.deliver("Ann <ann@x.example>", "Bin")
    box.fetch()
    file = backed_up(box.deployment)
    box.deliver("Bob <bob@x.example>", "Lamp")
    box.fetch()
    again = _going_on(box, empty(database_kind), file)
    assert again.texts() == ["Bin.", "Lamp."]
    again.fetch()
    assert again.texts() == ["Bin.", "Lamp."]
    again.deployment.close()


@pytest.mark.db
def test_whoever_was_erased_since_is_erased_again_and_stays_away(
    box: Box, empty: EmptyInstall, database_kind: str
) -> None:
    box.deliver("Ann <ann@x.example>", "Bin")
    box.fetch()
    with box.deployment.database.reading() as session:
        raw = session.scalars(sa.select(Sighting.sha256)).one()
    file = backed_up(box.deployment)
    box.deliver("Ann <ann@x.example>", "Tree")  # in no backup, and still in the mailbox
    box.deliver("Bob <bob@x.example>", "Lamp")
    box.fetch()
    box.erase("Ann")
    again = _going_on(box, empty(database_kind), file)
    assert again.texts() == ["—", "Lamp."]
    with again.deployment.database.reading() as session:
        hashes = session.scalars(sa.select(Sighting.sha256).order_by(Sighting.id)).all()
    assert (len(hashes), hashes[0]) == (2, "")
    with pytest.raises(Gone):
        again.deployment.store.size(box.office_id, raw)
    again.deployment.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_erasure_in_an_office_that_came_later_does_not_stop_a_restore(
    deployment: Deployment, empty: EmptyInstall, kind: str
) -> None:
    target = empty(kind)
    later = ledger.Erasure(at=now().isoformat(), office_id=77, people=((1, now().isoformat()),), marks=("a" * 64,))
    ledger.append(target.erasures_folder, [later])
    assert restore(target, backed_up(deployment), KEY).erased == 0
    restored = deploy(target)
    with restored.database.reading() as session:
        assert is_erased(session, 77, "a" * 64)
    restored.close()


def _going_on(box: Box, install: Settings, file: io.BytesIO) -> Box:
    """The office restored from ``file``; the list of erasures is where it was. It has fetched once."""
    target = install.model_copy(update={"erasures": box.deployment.settings.erasures_folder})
    restore(target, file, KEY)
    opened = deploy(target)
    allowed = replace(opened, host=replace(opened.host, allowed_hosts=box.deployment.host.allowed_hosts))
    again = replace(box, deployment=allowed)
    again.fetch()
    return again


@pytest.mark.db
def test_polls_are_due_and_nobody_is_signed_in(deployment: Deployment, database: Database, empty: EmptyInstall) -> None:
    with database.transaction() as session:
        stream = make.stream(session)
        staff = make.staff(session)
        session.add(SignIn(staff_id=staff.id, token_hash="x", began_at=now(), seen_at=now(), fresh_at=now()))
        account_id = stream.account_id
    restored = deploy(_restored(empty, backed_up(deployment)))
    keep_going(restored, 0)
    with restored.database.reading() as session:
        assert session.scalars(sa.select(SignIn.ended_at)).one() is not None
        job = Base.metadata.tables["job"]
        assert session.execute(sa.select(job.c.kind, job.c.key)).all() == [("poll_account", account_id)]
    restored.close()
