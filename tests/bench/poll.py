"""What it costs to ask a mailbox that has nothing new: ``./dev bench poll [--mails N]``.

Two mailboxes in a real Dovecot, a small one and a large one, are fetched once; then each is asked again and again.
Commands are those of one poll for each folder (INBOX and Junk), on the kept line and on a new one, without those of
signing in and out. CPU is this process's own, database included: the connector's alone, the whole poll, and what the
job engine beside it takes to claim the poll and to have the next one wait. The least is given beside the median, as
other work on the machine only ever adds. At the end a worker listens (IDLE) and takes in mail as it comes; the server
waits half a second by itself before it tells of any.
"""

from __future__ import annotations

import argparse
import imaplib
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from app import jobs
from app.channels.connecting import line
from app.channels.models import Stream
from app.clock import now
from app.db import migrate
from app.deployment import Deployment, deploy
from app.intake.poll import poll_account
from app.jobs.embedded import EmbeddedEngine
from app.jobs.running import Patience
from app.messages.models import Message
from app.worker import Worker
from connectors import Budget
from tests.bench._taking import Place
from tests.bench.ingest import connected
from tests.mailbox import OFFICE, generate
from tests.servers.dovecot import PASSWORD, Dovecot

SMALL: Final = 100
ROUNDS: Final = 100
NEW_LINES: Final = 5
DELIVERIES: Final = 15
FOLDERS: Final = 2
MOST_CPU: Final = 2.0  # ms for an account, promised
MOST_ON_KEPT, MOST_ON_NEW = 1, 3  # commands for a folder, promised
MOST_SECONDS: Final = 1.0  # from delivery to the inbox, promised
_SIGNING: Final = {"CAPABILITY", "LOGIN", "AUTHENTICATE", "ID", "NAMESPACE", "ENABLE", "LOGOUT"}


@dataclass(frozen=True)
class Spent:
    """CPU milliseconds of one thing that was done many times."""

    median: float
    least: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f})"


@dataclass(frozen=True)
class Asked:
    """What polls with nothing new took: milliseconds, and commands by name."""

    connector: Spent
    poll: Spent
    poll_new: Spent
    job: Spent
    kept: Counter[str]
    new: Counter[str]


@contextmanager
def noted() -> Iterator[Counter[str]]:
    """The IMAP commands that are given meanwhile, those of signing in and out left out."""
    found: Counter[str] = Counter()
    given: Any = imaplib.IMAP4.__dict__["_command"]

    def command(self: imaplib.IMAP4, name: str, *arguments: object) -> object:
        if name not in _SIGNING:
            found[name] += 1
        return given(self, name, *arguments)

    imaplib.IMAP4._command = command  # type: ignore[attr-defined]
    yield found
    imaplib.IMAP4._command = given  # type: ignore[attr-defined]


def asked(mails: int) -> Asked:
    """Fill a mailbox, fetch it, and ask it again and again."""
    with filled(mails) as (_, deployment, account_id):

        def poll() -> None:
            poll_account(deployment, account_id, everything=True)

        def poll_anew() -> None:
            deployment.lines.drop(account_id)
            poll()

        poll()
        with noted() as kept:
            poll()
        with noted() as new:
            poll_anew()
        return Asked(
            connector=_connector(deployment, account_id),
            poll=_spent(poll, ROUNDS),
            poll_new=_spent(poll_anew, NEW_LINES),
            job=_job(deployment, account_id),
            kept=kept,
            new=new,
        )


@contextmanager
def filled(mails: int) -> Iterator[tuple[Dovecot, Deployment, int]]:
    """A mailbox of so many mails, and an office that is about to read it."""
    with Dovecot() as server, tempfile.TemporaryDirectory(prefix="postbag-bench-") as data:
        place = Place(data, "", server.host, server.imaps_port, str(server.ca_file), OFFICE, PASSWORD)
        deliveries, _ = generate(mails, seed=1, size=1_000)
        server.deliver_all(OFFICE, [(one.content, one.folder, one.at) for one in deliveries])
        deployment, account_id = _office(place)
        yield server, deployment, account_id
        deployment.close()


def _office(place: Place) -> tuple[Deployment, int]:
    os.environ["SSL_CERT_FILE"] = place.ca_file
    deployment = deploy(place.settings())
    migrate(deployment.database)
    return deployment, connected(deployment, place)


def _connector(deployment: Deployment, account_id: int) -> Spent:
    """The connector's part: both folders, from the places where they were left."""
    with deployment.database.reading() as session:
        its_line = line(session, deployment, account_id)
        rows = session.execute(sa.select(Stream.key, Stream.cursor).where(Stream.account_id == account_id)).all()

    def ask() -> None:
        for key, cursor in rows:
            with its_line.use(deployment) as connection:
                connection.fetch(key, cursor, Budget())

    return _spent(ask, ROUNDS)


def _job(deployment: Deployment, account_id: int) -> Spent:
    """The engine's part: a job that does nothing, claimed, done, and waiting for its next time, over and over."""
    done = threading.Event()
    turns = iter(range(ROUNDS))

    def turn(_: Deployment, __: int) -> Any:
        if next(turns, None) is None:
            done.set()
            return now() + timedelta(days=1)
        return now()

    handlers = {jobs.Kind.POLL_ACCOUNT: turn}
    engine = EmbeddedEngine(deployment, handlers, threads=1, lease=timedelta(minutes=1), patience=Patience())
    with deployment.database.transaction() as session:
        jobs.defer(session, jobs.Kind.POLL_ACCOUNT, account_id)
    start = time.process_time()
    engine.start()
    done.wait(60)
    each = (time.process_time() - start) * 1_000 / ROUNDS
    engine.stop()
    return Spent(each, each)


def _spent(work: Callable[[], None], rounds: int) -> Spent:
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append((time.process_time() - start) * 1_000)
    return Spent(statistics.median(taken), min(taken))


def visible() -> list[float]:
    """Seconds from a mail's delivery until it is in the inbox, while a worker listens."""
    with filled(1) as (server, deployment, _):
        worker = Worker(deployment)
        worker.start()
        until(lambda: count(deployment) == 1 and is_listened_to(deployment))
        taken = []
        for number in range(DELIVERIES):
            server.deliver(OFFICE, f"From: a@residents.example\r\nSubject: Bin {number}\r\n\r\nBin.".encode())
            start = time.monotonic()
            until(lambda: count(deployment) == 2 + number)  # noqa: B023 - it is called before the next round
            taken.append(time.monotonic() - start)
        worker.stop()
    return taken


def until(holds: Callable[[], bool]) -> None:
    """Come back when it holds, which may take half a minute."""
    deadline = time.monotonic() + 30
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def count(deployment: Deployment) -> int:
    """How many messages are in the inbox."""
    with deployment.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Message)) or 0


def is_listened_to(deployment: Deployment) -> bool:
    """Whether the worker hears of news."""
    with deployment.database.reading() as session:
        return session.scalar(sa.select(Stream.id).where(Stream.listened_until.is_not(None))) is not None


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="dev bench poll", description=__doc__)
    parser.add_argument("--mails", type=int, default=5_000)
    options = parser.parse_args()
    sizes = (SMALL, options.mails)
    found = [asked(mails) for mails in sizes]
    print(f"\n{'nothing new in a mailbox of':40}" + "".join(f"{mails:>16,}" for mails in sizes) + f"{'promised':>12}")
    rows: tuple[tuple[str, list[object], str], ...] = (
        ("CPU ms of a poll, kept line (least)", [one.poll for one in found], f"≤ {MOST_CPU}"),
        ("  of it the connector", [one.connector for one in found], ""),
        ("CPU ms of a poll, new line (least)", [one.poll_new for one in found], ""),
        ("CPU ms of the job engine beside it", [f"{one.job.median:.2f}" for one in found], ""),
        ("commands a folder, kept line", [one.kept.total() / FOLDERS for one in found], f"≤ {MOST_ON_KEPT}"),
        ("commands a folder, new line", [one.new.total() / FOLDERS for one in found], f"≤ {MOST_ON_NEW}"),
    )
    for name, figures, promised in rows:
        print(f"{name:40}" + "".join(f"{figure!s:>16}" for figure in figures) + f"{promised:>12}")
    for name, commands in (("kept line", found[-1].kept), ("new line", found[-1].new)):
        print(f"{name}: " + ", ".join(f"{number} {command}" for command, number in sorted(commands.items())))
    seconds = visible()
    middle = f"{statistics.median(seconds):.2f} (most {max(seconds):.2f})"
    print(f"\n{'seconds from delivery to the inbox':40}{middle:>32}{f'≤ {MOST_SECONDS}':>12}")


if __name__ == "__main__":
    main()
