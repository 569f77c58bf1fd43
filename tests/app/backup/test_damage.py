"""Backups that are damaged, cut short, closed to whoever asks, or of another version: each says what is the matter."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from app.backup import making
from app.backup.archive import ABOUT, MANIFEST, Writer
from app.backup.envelope import Damaged, Key, Lock, opened, sealed
from app.backup.making import make, make_file
from app.backup.restoring import restore, verify
from app.db import Database
from app.deployment import Deployment
from app.errors import Invalid, Problem
from app.secrets import as_text
from tests import make as rows
from tests.app.backup.conftest import KEY, LOCK, EmptyInstall, backed_up


@pytest.fixture
def large(deployment: Deployment) -> bytes:
    """A backup with an object of two megabytes that begins about 100 kB in; its bytes do not pack."""
    with deployment.database.transaction() as session:
        message = rows.message(session)
        sha256 = deployment.store.put(message.office_id, bytes(range(256)) * 8_000)
        rows.file(session, message=message, sha256=sha256)
    return backed_up(deployment).getvalue()


def flipped(content: bytes, at: int) -> io.BytesIO:
    return io.BytesIO(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_a_flipped_byte_is_named_with_what_it_stands_in(large: bytes) -> None:
    with pytest.raises(Damaged, match=r"in store/1/[0-9a-f]{64}\. It cannot be restored") as found:
        verify(flipped(large, 1_000_000), KEY)
    assert 1_000_000 <= found.value.at <= 1_000_000 + 200_000


@pytest.mark.parametrize("left", [100, 700_000, 1_999_000])
def test_a_backup_that_was_cut_short_is_told(large: bytes, left: int) -> None:
    with pytest.raises(Problem):
        verify(io.BytesIO(large[:left]), KEY)


def test_an_archive_without_its_manifest_is_not_whole() -> None:
    file = io.BytesIO()
    with sealed(file, LOCK) as plain, tarfile.open(fileobj=plain, mode="w|") as tar:
        tar.addfile(tarfile.TarInfo("keys.json"))
    file.seek(0)
    with pytest.raises(Damaged, match="in what should be its end"):
        verify(file, KEY)


def made_elsewhere(deployment: Deployment, *members: tuple[str, bytes], after: bool = False) -> io.BytesIO:
    """A file that any age program can make of ``members``, as a backup is made: whole, and closed for us."""
    file = io.BytesIO()
    with sealed(file, LOCK) as plain, deployment.database.reading() as session:
        writer = Writer(plain)
        given = [(ABOUT, making._about(session).encode()), *members]
        for name, content in given[:-1] if after else given:
            writer.add(name, content)
        manifest = json.dumps(writer.contents.as_json()).encode()
        writer.add(MANIFEST, manifest)
        if after:
            writer.add(*given[-1])
        writer._tar.close()
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("store/x/y", b"x"),
        ("store/1", b"x"),
        ("rows", b"x"),
        ("rows/office/1", b"not packed"),
        ("rows/office/1", gzip.compress(b"x")[:-8]),
        ("rows/office/1", gzip.compress(b"[1]")),
        ("rows/office/1", gzip.compress(b'{"id": "one"}')),
        ("rows/nothing/1", gzip.compress(b"")),
        ("keys.json", b"[]"),
        ("../../keys.json", b"x"),
    ],
)
def test_what_was_not_made_by_a_backup_is_refused_in_a_sentence(
    deployment: Deployment, empty: EmptyInstall, name: str, content: bytes
) -> None:
    target = empty("sqlite")
    with pytest.raises(Problem):
        restore(target, made_elsewhere(deployment, (name, content)), KEY)
    assert sorted(path.name for path in target.data.parent.rglob("keys.json")) == ["keys.json"]  # the first install's
    assert not (target.data / "keys").exists()


def test_what_comes_after_the_manifest_is_not_taken(deployment: Deployment, empty: EmptyInstall) -> None:
    keys = as_text(deployment.keys).encode()
    with pytest.raises(Problem, match="The backup holds no keys"):
        restore(empty("sqlite"), made_elsewhere(deployment, ("keys.json", keys), after=True), KEY)


@pytest.mark.parametrize("manifest", [b"[]", b"1", b"{}"])
def test_a_manifest_that_is_none_is_called_damaged(manifest: bytes) -> None:
    file = io.BytesIO()
    with sealed(file, LOCK) as plain:
        writer = Writer(plain)
        writer.add(MANIFEST, manifest)
        writer._tar.close()
    file.seek(0)
    with pytest.raises(Damaged, match=r"in manifest\.json"):
        verify(file, KEY)


def test_a_backup_that_fails_half_way_leaves_the_install_as_empty_as_before(large: bytes, empty: EmptyInstall) -> None:
    target = empty("sqlite")
    with pytest.raises(Damaged):
        restore(target, flipped(large, len(large) - 5_000), KEY)
    assert not (target.data / "keys" / "keys.json").exists()
    restore(target, io.BytesIO(large), KEY)


def test_the_wrong_passphrase_opens_nothing(deployment: Deployment, empty: EmptyInstall) -> None:
    file = io.BytesIO()
    make(deployment, file, Lock(passphrase="correct horse"))
    file.seek(0)
    with pytest.raises(Problem, match=r"^The passphrase does not open this backup\.$"):
        verify(file, Key(passphrase="battery staple"))
    file.seek(0)
    restore(empty("sqlite"), file, Key(passphrase="correct horse"))


def test_somebody_elses_key_opens_nothing(large: bytes) -> None:
    import pyrage

    with pytest.raises(Problem, match="This key does not open the backup"):
        verify(io.BytesIO(large), Key(identities=(str(pyrage.x25519.Identity.generate()),)))


@pytest.mark.parametrize("key", [KEY, Key(passphrase="x")])
def test_what_is_no_backup_is_called_so(key: Key) -> None:
    with pytest.raises(Problem, match="This is not a backup"):
        verify(io.BytesIO(b"From: ann@x.example\n" * 100), key)


def test_a_recipient_that_is_none_is_refused_before_anything_is_written(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="A recipient is a public key of age"):
        make_file(deployment, tmp_path / "backup", Lock(recipients=("ann@x.example",)))
    assert list(tmp_path.glob("backup*")) == []


def test_a_backup_of_another_version_is_not_restored(
    deployment: Deployment, empty: EmptyInstall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "FORMAT", 2)
    with pytest.raises(Problem, match="made by another version of Postbag"):
        restore(empty("sqlite"), backed_up(deployment), KEY)


def test_the_file_is_its_owners_alone_and_nothing_is_left_beside_it(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "backup.part").write_text("of a run that was killed")
    make_file(deployment, tmp_path / "backup", LOCK)
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("backup*")] == ["backup"]


def test_no_word_stands_in_it_in_the_clear(deployment: Deployment, database: Database) -> None:
    with database.transaction() as session:
        rows.message(session, text="zebrafinch" * 100)
    content = backed_up(deployment).getvalue()
    assert b"zebrafinch" not in content
    with opened(io.BytesIO(content), KEY) as plain:
        assert plain.read(10) == b"about.json"
