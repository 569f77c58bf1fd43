"""Making a backup while everybody works: one state of the database, and the bytes that its rows name.

A reader holds that state for as long as it takes (a transaction of its own on both databases); writers go on. The
bytes of the store never change, and what nothing names is swept only after a day: so they may be read afterwards.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.backup import rows
from app.backup.archive import ABOUT, ERASURES, IN_MEMORY, KEYS, ROWS, STORE, Contents, Show, Writer
from app.backup.envelope import Lock, check, sealed
from app.clock import now
from app.deployment import Deployment
from app.errors import Problem
from app.retention import ledger
from app.secrets import as_text
from app.store import Gone, Store, is_no_room
from app.store.references import named_anywhere

FORMAT: Final = 1


def make_file(deployment: Deployment, path: Path, lock: Lock, show: Show | None = None) -> Contents:
    """Make a backup at ``path``, readable by its owner alone; it is there whole, or as it was before.

    Raises Problem where there is no room for it, OSError where it cannot be written.
    """
    check(lock)
    part = path.with_name(f"{path.name}.part")
    try:
        with _private(part) as file:
            contents = make(deployment, file, lock, show)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if is_no_room(error):
            raise Problem("There is no room for the backup at %(path)s. Nothing was kept of it.", path=path) from error
        raise
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)
    return contents


def make(deployment: Deployment, file: BinaryIO, lock: Lock, show: Show | None = None) -> Contents:
    """Write a backup to ``file``: what it holds. ``lost`` names what the store has not as it should be."""
    with sealed(file, lock) as plain, deployment.database.reading() as session:
        writer = Writer(plain)
        writer.add(ABOUT, _about(session).encode())
        writer.add(KEYS, as_text(deployment.keys).encode())
        _rows(session, writer, show)
        _objects(session, deployment.store, writer, show)
        # Last, so that it holds every erasure that was done while the backup was made.
        writer.add(ERASURES, ledger.text(deployment.settings.erasures_folder).encode())
        writer.finish()
    return writer.contents


def _about(session: Session) -> str:
    return json.dumps(
        {
            "format": FORMAT,
            "revision": session.scalar(sa.text("SELECT version_num FROM alembic_version")),
            "made_at": now().isoformat(),
            "database": session.get_bind().dialect.name,
        }
    )


def _rows(session: Session, writer: Writer, show: Show | None) -> None:
    done = 0
    for table in rows.tables():
        count = 0
        for number, (several, part) in enumerate(rows.dump(session, table)):
            writer.add(f"{ROWS}{table.name}/{number:06}.jsonl.gz", part)
            count += several
            done += several
            if show is not None:
                show(done)
        writer.contents.rows[table.name] = count


def _objects(session: Session, store: Store, writer: Writer, show: Show | None) -> None:
    done = sum(writer.contents.rows.values())
    for office_id, sha256 in named_anywhere(session):
        _object(store, office_id, sha256, writer)
        done += 1
        if show is not None:
            show(done)


def _object(store: Store, office_id: int, sha256: str, writer: Writer) -> None:
    """One of them; where it is not what its name says it is left out, and told. Large ones are read twice for that."""
    name = f"{STORE}{office_id}/{sha256}"
    try:
        size = store.size(office_id, sha256)
        if size <= IN_MEMORY:
            content = store.read(office_id, sha256)
            is_whole = hashlib.sha256(content).hexdigest() == sha256
            if is_whole:
                writer.add(name, content)
        else:
            is_whole = _hash(store, office_id, sha256) == sha256
            if is_whole:
                with contextlib.closing(store.open(office_id, sha256)) as chunks:
                    writer.add_chunks(name, size, chunks)
    except Gone:
        is_whole = False
    if not is_whole:
        writer.contents.lost.append(name.removeprefix(STORE))


def _hash(store: Store, office_id: int, sha256: str) -> str:
    digest = hashlib.sha256()
    with contextlib.closing(store.open(office_id, sha256)) as chunks:
        for chunk in chunks:
            digest.update(chunk)
    return digest.hexdigest()


def total(deployment: Deployment) -> int:
    """About how many rows and objects a backup will hold, for a bar that shows how far it is."""
    with deployment.database.reading() as session:
        counts = [session.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in rows.tables()]
        return sum(counts) + sum(1 for _ in named_anywhere(session))


@contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    """A new file that nobody else can read. What a run that was killed left there goes."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
