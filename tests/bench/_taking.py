"""The two that ``tests.bench.ingest`` measures, each a process of its own that loads nothing else."""

from __future__ import annotations

import email
import hashlib
import json
import os
import resource
import sqlite3
import ssl
import sys
import time
from dataclasses import dataclass
from email.message import Message as Mail
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from imapclient import IMAPClient
from pydantic import SecretStr

from app.cases.models import Case
from app.channels.models import Stream
from app.deployment import Deployment, deploy
from app.intake.keeping import Fate
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages.index import entry
from app.messages.models import File, Message, Reading, Sighting
from app.settings import Settings

EARLY: Final = 10_000  # mails taken, after which memory is to stay as it is
_BATCH: Final = 100


@dataclass(frozen=True)
class Place:
    """Where a process finds its mailbox and its database."""

    data: str
    database: str
    host: str
    port: int
    ca_file: str
    address: str
    password: str
    account_id: int = 0
    large_account_id: int = 0  # that of a mailbox with one large mail, where there is one

    def settings(self) -> Settings:
        """The settings of an install there."""
        return Settings(
            data=Path(self.data),
            database_url=SecretStr(self.database) if self.database else None,
            allow_hosts=frozenset({f"{self.host}:{self.port}"}),
        )


def postbag(place: Place) -> dict[str, Any]:
    """Fetch and take everything; what it took and what came of it."""
    deployment = deploy(place.settings())
    start = _cpu()
    poll_account(deployment, place.account_id, everything=True)
    fetched = _cpu()
    memory = _Memory()
    take(deployment, place.account_id, watch=memory.watch)
    taken = _cpu()
    with deployment.database.reading() as session:
        counts = {
            kind.__tablename__: session.scalar(sa.select(sa.func.count()).select_from(kind))
            for kind in (Sighting, Message, Case, File)
        }
        if trouble := session.scalars(sa.select(Stream.trouble).where(Stream.trouble != "")).first():
            raise RuntimeError(trouble)
        counts["unread"] = session.scalar(
            sa.select(sa.func.count()).select_from(Sighting).where(Sighting.state != Reading.TAKEN)
        )
    found = {"cpu": taken - start, "fetching": fetched - start, "taking": taken - fetched, **counts}
    found |= {"early": memory.early, "late": _memory("VmRSS"), "memory": _memory("VmHWM"), **_large(deployment, place)}
    deployment.close()
    return found


def _large(deployment: Deployment, place: Place) -> dict[str, float]:
    """How much more memory than ever before the large mail takes."""
    if not place.large_account_id:
        return {}
    before = _memory("VmHWM")
    poll_account(deployment, place.large_account_id, everything=True)
    fates = take(deployment, place.large_account_id)
    if fates != {Fate.MESSAGE: 1}:
        raise RuntimeError(str(fates))
    return {"large": _memory("VmHWM") - before}


class _Memory:
    """What is in use when ``EARLY`` mails are taken."""

    early: float | None = None
    _taken = 0

    def watch(self, _: Fate) -> None:
        self._taken += 1
        if self._taken == EARLY:
            self.early = _memory("VmRSS")


def bare(place: Place) -> dict[str, Any]:
    """The same with nothing around it."""
    database = sqlite3.connect(Path(place.data) / "bare.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(
        "CREATE TABLE mail (id INTEGER PRIMARY KEY, sha256 TEXT, sender TEXT, subject TEXT, text TEXT, raw BLOB)"
    )
    database.execute("CREATE VIRTUAL TABLE finding USING fts5 (words, tokenize = \"ascii tokenchars '_'\")")
    start = time.process_time()
    with IMAPClient(place.host, place.port, ssl_context=ssl.create_default_context(cafile=place.ca_file)) as client:
        client._imap.debug = 0
        client.login(place.address, place.password)
        for folder in ("INBOX", "Junk"):
            client.select_folder(folder, readonly=True)
            ids = client.search("ALL")
            for first in range(0, len(ids), _BATCH):
                for found in client.fetch(ids[first : first + _BATCH], ["BODY.PEEK[]"]).values():
                    _insert(database, found[b"BODY[]"])
    taken = time.process_time() - start
    count = database.execute("SELECT count(*) FROM mail").fetchone()[0]
    return {"cpu": taken, "message": count, "memory": _memory("VmHWM")}


def _insert(database: sqlite3.Connection, raw: bytes) -> None:
    mail = email.message_from_bytes(raw)
    sender, subject, text = str(mail["From"]), str(mail["Subject"]), _text(mail)
    words = entry(1, 1, "sqlite", subject=subject, author=sender, channel="email", texts=(text,))
    database.execute("BEGIN IMMEDIATE")
    row = (hashlib.sha256(raw).hexdigest(), sender, subject, text, raw)
    made = database.execute("INSERT INTO mail (sha256, sender, subject, text, raw) VALUES (?, ?, ?, ?, ?)", row)
    database.execute("INSERT INTO finding (rowid, words) VALUES (?, ?)", (made.lastrowid, words))
    database.execute("COMMIT")


def _text(mail: Mail) -> str:
    for part in mail.walk():
        payload = part.get_payload(decode=True)
        if part.get_content_maintype() == "text" and isinstance(payload, bytes):
            return payload.decode("utf-8", "replace")
    return ""


def _children() -> list[Path]:
    """The processes that this one has started, and that live."""
    found = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return [Path("/proc") / pid for pids in found for pid in pids]


def _cpu() -> float:
    """Seconds of CPU of this process and of all that it has started."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for child in _children():
        user, system = (child / "stat").read_text().rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return time.process_time() + ended.ru_utime + ended.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def _memory(what: str) -> float:
    """MB of this process and of those it has started: ``VmRSS`` now, ``VmHWM`` the most of each added up.

    ``getrusage`` would count that of the process it was forked from.
    """
    return sum(
        int(line.split()[1]) / 1_000
        for process in (Path("/proc/self"), *_children())
        for line in (process / "status").read_text().splitlines()
        if line.startswith(f"{what}:")
    )


_MEASURED: Final = {"postbag": postbag, "bare": bare}

if __name__ == "__main__":
    print(json.dumps(_MEASURED[sys.argv[1]](Place(**json.loads(sys.argv[2])))))
