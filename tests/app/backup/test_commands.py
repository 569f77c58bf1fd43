"""``backup``, ``backup verify`` and ``restore`` as whoever runs them meets them."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest

from app.deployment import Deployment, make_ready
from app.settings import Settings
from tests import make
from tests.app.backup.conftest import EmptyInstall
from tests.app.program import CommandLine, environment, run


@pytest.fixture
def postbag(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> CommandLine:
    """The commands, over an install with one message in it."""
    make_ready(deployment)
    with deployment.database.transaction() as session:
        message = make.message(session)
        make.file(session, message=message, sha256=deployment.store.put(message.office_id, b"a picture"))
    return CommandLine(deployment.settings, monkeypatch, capsysbinary)


@pytest.fixture
def passphrase(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "passphrase").write_text("correct horse\n")
    return "--passphrase-file", str(tmp_path / "passphrase")


@pytest.mark.db
def test_an_office_is_backed_up_looked_at_and_restored(
    postbag: CommandLine, passphrase: tuple[str, str], tmp_path: Path, empty: EmptyInstall
) -> None:
    file = tmp_path / "office.age"
    made = postbag("backup", file, *passphrase)
    assert (made.status, made.text) == (0, "")
    assert made.error.endswith(f" rows and 1 files are in {file}\n")
    assert postbag.done("backup", "verify", file, *passphrase).text.endswith(" rows and 1 files.\n")
    given = environment(empty("sqlite"))
    done = run("restore", file, *passphrase, given=given)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b" rows and 1 files are restored.\n")
    listed = run("office", "list", given=given)
    assert listed.stdout.split(b"\t")[1] == b"Cllr Tansy Quillfeather"
    again = run("restore", file, *passphrase, given=given)
    assert (again.returncode, again.stdout, again.stderr.count(b"\n")) == (1, b"", 1)
    assert again.stderr.startswith(b"The database is in use: ")


def test_a_backup_for_a_recipient_goes_down_a_pipe(postbag: CommandLine, settings: Settings, tmp_path: Path) -> None:
    assert postbag is not None
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    made = run("backup", "--recipient", identity.to_public(), "-", given=environment(settings))
    assert made.returncode == 0
    read = run("backup", "verify", "-", "--identity", tmp_path / "key", given=environment(settings), typed=made.stdout)
    assert (read.returncode, read.stderr) == (0, b"")


def test_the_wrong_passphrase_is_told_in_a_sentence(
    postbag: CommandLine, passphrase: tuple[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "office.age"
    postbag("backup", file, *passphrase)
    (tmp_path / "other").write_text("battery staple")
    ran = postbag("backup", "verify", file, "--passphrase-file", tmp_path / "other")
    assert (ran.status, ran.text, ran.error) == (1, "", "The passphrase does not open this backup.\n")


def test_an_empty_file_is_no_passphrase(postbag: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for command in (["backup"], ["backup", "verify"]):
        ran = postbag(*command, tmp_path / "office.age", "--passphrase-file", tmp_path / "empty")
        assert (ran.status, ran.error) == (1, f"There is no passphrase in {tmp_path / 'empty'}.\n")


def test_without_anybody_to_ask_a_passphrase_must_be_given(postbag: CommandLine, tmp_path: Path) -> None:
    ran = postbag("backup", tmp_path / "office.age")
    assert (ran.status, ran.error) == (
        1,
        "Nobody is here to ask for the passphrase: give --passphrase-file, or a key.\n",
    )


def test_a_backup_that_cannot_be_written_says_where(postbag: CommandLine, passphrase: tuple[str, str]) -> None:
    ran = postbag("backup", "/nowhere/office.age", *passphrase)
    assert (ran.status, ran.error) == (1, "/nowhere/office.age.part: No such file or directory\n")
