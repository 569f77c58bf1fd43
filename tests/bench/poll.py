"""What it costs to ask a mailbox that has nothing new: ``./dev bench poll [--mails N]``.

Two mailboxes in a real Dovecot, a small one and a large one, are fetched once; then each is asked again and again.
Commands are those of one poll for each folder (INBOX and Junk), on the kept line and on a new one, without those of
signing in and out. CPU is this process's own, database included.
"""

from __future__ import annotations

import argparse
import imaplib
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from app.db import migrate
from app.deployment import Deployment, deploy
from app.intake.poll import poll_account
from tests.bench.ingest import connected, places
from tests.mailbox import OFFICE, generate

SMALL: Final = 100
ROUNDS: Final = 50
FOLDERS: Final = 2
MOST_CPU: Final = 2.0  # ms for an account, promised
MOST_ON_KEPT, MOST_ON_NEW = 1, 3  # commands for a folder, promised
_SIGNING: Final = {"CAPABILITY", "LOGIN", "AUTHENTICATE", "ID", "NAMESPACE", "ENABLE", "LOGOUT"}


@dataclass(frozen=True)
class Asked:
    """What polls with nothing new took: milliseconds, and commands by name."""

    cpu: float
    kept: Counter[str]
    new: Counter[str]
    cpu_new: float


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
    with places("sqlite") as (server, place):
        deliveries, _ = generate(mails, seed=1, size=1_000)
        server.deliver_all(OFFICE, [(one.content, one.folder, one.at) for one in deliveries])
        os.environ["SSL_CERT_FILE"] = place.ca_file
        deployment = deploy(place.settings())
        migrate(deployment.database)
        account_id = connected(deployment, place)
        poll_account(deployment, account_id, everything=True)
        on_kept = [_once(deployment, account_id) for _ in range(ROUNDS)]
        on_new = []
        for _ in range(5):
            deployment.lines.drop(account_id)
            on_new.append(_once(deployment, account_id))
        deployment.lines.drop(account_id)
        deployment.close()
    cpu, cpu_new = (statistics.median(taken for taken, _ in some) for some in (on_kept, on_new))
    return Asked(cpu, on_kept[-1][1], on_new[-1][1], cpu_new)


def _once(deployment: Deployment, account_id: int) -> tuple[float, Counter[str]]:
    with noted() as commands:
        start = time.process_time()
        poll_account(deployment, account_id, everything=True)
        return (time.process_time() - start) * 1_000, commands


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="dev bench poll", description=__doc__)
    parser.add_argument("--mails", type=int, default=5_000)
    options = parser.parse_args()
    sizes = (SMALL, options.mails)
    found = [asked(mails) for mails in sizes]
    print(f"\n{'nothing new in a mailbox of':38}" + "".join(f"{mails:>12,}" for mails in sizes) + f"{'promised':>12}")
    for name, figures, promised in (
        ("CPU ms of a poll, kept line", [f"{one.cpu:.2f}" for one in found], f"≤ {MOST_CPU}"),
        ("CPU ms of a poll, new line", [f"{one.cpu_new:.2f}" for one in found], ""),
        ("commands a folder, kept line", [one.kept.total() / FOLDERS for one in found], f"≤ {MOST_ON_KEPT}"),
        ("commands a folder, new line", [one.new.total() / FOLDERS for one in found], f"≤ {MOST_ON_NEW}"),
    ):
        print(f"{name:38}" + "".join(f"{figure:>12}" for figure in figures) + f"{promised:>12}")
    for name, commands in (("kept line", found[-1].kept), ("new line", found[-1].new)):
        print(f"{name}: " + ", ".join(f"{count} {command}" for command, count in sorted(commands.items())))


if __name__ == "__main__":
    main()
