"""What it costs to take a mailbox in: ``./dev bench ingest [--mails N] [--size BYTES] [--attachment MB] …``.

Generated mails lie in a real Dovecot. A process of its own fetches them, keeps them, reads them and commits them one by
one, searchable. Beside it stands the bare limit of the same run: fetch, parse, insert, index and commit with no
application around it. CPU and memory are those of the two processes and of whatever they start, the server's own are
not counted. With 50,000 mails it shows whether memory stays flat. At the end one mail with a large attachment comes.

ext4 without a journal takes up to 0.7 ms to make a file where many were just deleted; TMPDIR leads elsewhere.
"""

from __future__ import annotations

import argparse
import email
import hashlib
import json
import os
import resource
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.message import Message as Mail
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from imapclient import IMAPClient
from pydantic import SecretStr

from app.cases.models import Case
from app.channels.models import Stream
from app.db import migrate
from app.deployment import Deployment, deploy
from app.intake.keeping import Fate
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages.index import entry
from app.messages.models import File, Message, Reading, Sighting
from app.settings import Settings
from tests import make
from tests.mailbox import OFFICE, Truth, generate
from tests.servers.dovecot import PASSWORD, Dovecot
from tests.servers.postgres import Postgres

PER_CPU_SECOND: Final = 600  # mails, promised where the bare limit is 1,150
OF_BARE: Final = 0.52  # which is this
MOST_MEMORY: Final = 150  # MB, promised
MOST_FOR_A_LARGE_ONE: Final = 60  # MB more, promised for an attachment of 25 MB
EARLY: Final = 10_000  # mails taken, after which memory is to stay as it is
LARGE: Final = "large@fernmoor.example"  # a mailbox with one mail
_BATCH: Final = 100


@dataclass(frozen=True)
class Place:
    """Where a process finds its mailbox and its database."""

    data: str
    database: str
    host: str
    port: int
    ca_file: str
    has_large: bool = False

    def settings(self) -> Settings:
        """The settings of an install there."""
        return Settings(
            data=Path(self.data),
            database_url=SecretStr(self.database) if self.database else None,
            allow_hosts=frozenset({f"{self.host}:{self.port}"}),
        )


def connected(deployment: Deployment, place: Place, address: str = OFFICE) -> int:
    """An office whose account is the mailbox; the account's id."""
    with deployment.database.transaction() as session:
        account = make.account(
            session,
            office=make.office(session, prefix="MA" if address == OFFICE else "LA"),
            options={"address": address, "imap_host": place.host, "imap_port": str(place.port)},
            sealed=deployment.sealer.seal({"password": PASSWORD}),
            own_ids=[address],
        )
        make.stream(session, account=account)
        make.stream(session, account=account, key="Junk", name="Junk", is_junk=True)
        return account.id


# ── The two that are measured, each in a process of its own ───────────────────────────────────────────────────────


def postbag(place: Place) -> dict[str, Any]:
    """Fetch and take everything; what it took and what came of it."""
    deployment = deploy(place.settings())
    migrate(deployment.database)
    account_id = connected(deployment, place)
    start = _cpu()
    poll_account(deployment, account_id, everything=True)
    fetched = _cpu()
    memory = _Memory()
    take(deployment, account_id, watch=memory.watch)
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
    if not place.has_large:
        return {}
    account_id = connected(deployment, place, LARGE)
    before = _memory("VmHWM")
    poll_account(deployment, account_id, everything=True)
    fates = take(deployment, account_id)
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
        client.login(OFFICE, PASSWORD)
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


def _child(name: str, place: Place) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.ingest", "--child", name, json.dumps(place.__dict__)]
    environment = {**os.environ, "SSL_CERT_FILE": place.ca_file}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# ── The run ───────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def places(database: str, *, has_large: bool) -> Iterator[tuple[Dovecot, Place]]:
    """A mail server, and where an install beside it lives."""
    with Dovecot() as server, tempfile.TemporaryDirectory(prefix="postbag-bench-") as data:
        place = Place(data, "", server.host, server.imaps_port, str(server.ca_file), has_large)
        if database == "sqlite":
            yield server, place
            return
        with Postgres() as postgres:
            yield server, replace(place, database=postgres.url())


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="dev bench ingest", description=__doc__)
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=37_000, help="bytes of a mail on average")
    parser.add_argument("--attachment", type=int, default=25, help="MB of the one large attachment, 0 for none")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, place = options.child
        print(json.dumps(_MEASURED[name](Place(**json.loads(place)))))
        return
    with places(options.database, has_large=options.attachment > 0) as (server, place):
        print(f"Writing {options.mails:,} mails of {options.size:,} bytes into Dovecot …", flush=True)
        deliveries, truth = generate(options.mails, seed=1, size=options.size)
        server.deliver_all(OFFICE, [(one.content, one.folder, one.at) for one in deliveries])
        size = sum(len(one.content) for one in deliveries) / len(deliveries)
        del deliveries
        if place.has_large:
            server.deliver(LARGE, _with_attachment(options.attachment))
        limit, ours = _child("bare", place), _child("postbag", place)
    print(f"\n{options.mails:,} mails of {size / 1_000:.1f} kB; {options.database}")
    _print(options.mails, truth, limit, ours)


def _with_attachment(size: int) -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.org", LARGE, "The whole report"
    mail.set_content("It is attached.\n")
    mail.add_attachment(os.urandom(size * 1_000_000), maintype="application", subtype="pdf", filename="report.pdf")
    return mail.as_bytes()


def _print(mails: int, truth: Truth, limit: dict[str, Any], ours: dict[str, Any]) -> None:
    print(f"{'':34}{'here':>10}{'bare':>10}{'promised':>10}")
    per_second = f"{mails / ours['cpu']:.0f}", f"{mails / limit['cpu']:.0f}", f"≥ {PER_CPU_SECOND}"
    print(f"{'mails per CPU second':34}" + "".join(f"{figure:>10}" for figure in per_second))
    each = f"{1_000 * ours['cpu'] / mails:.2f}", f"{1_000 * limit['cpu'] / mails:.2f}"
    print(f"{'CPU per mail, ms':34}" + "".join(f"{figure:>10}" for figure in each))
    print(f"{'  of it fetching and keeping':34}{1_000 * ours['fetching'] / mails:10.2f}")
    print(f"{'  of it reading and filing':34}{1_000 * ours['taking'] / mails:10.2f}")
    print(f"{'part of the bare limit':34}{limit['cpu'] / ours['cpu']:10.2f}{1:10}{f'≥ {OF_BARE}':>10}")
    print(f"{'peak memory, MB':34}{ours['memory']:10.0f}{limit['memory']:10.0f}{f'≤ {MOST_MEMORY}':>10}")
    if ours["early"] is not None:
        print(f"{f'  in use after {EARLY:,}':34}{ours['early']:10.0f}")
        print(f"{f'  in use after {mails:,}':34}{ours['late']:10.0f}{'':10}{'the same':>10}")
    if "large" in ours:
        print(f"{'  more for a large attachment':34}{ours['large']:10.0f}{'':10}{f'≤ {MOST_FOR_A_LARGE_ONE}':>10}")
    for name, here, wanted in (
        ("different mails", ours["message"], len(truth.mails)),
        ("threads", ours["case"], len(truth.threads)),
        ("files", ours["file"], len(truth.files)),
        ("left unread", ours["unread"], 0),
    ):
        print(f"{name:34}{here:10,}{'':10}{f'= {wanted:,}':>10}")


if __name__ == "__main__":
    main()
