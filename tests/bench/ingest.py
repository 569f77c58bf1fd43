"""What it costs to take a mailbox in: ``./dev bench ingest [--mails N] [--size BYTES] [--attachment MB] …``.

Generated mails lie in a real Dovecot. A process of its own fetches them, keeps them, reads them and commits them one by
one, searchable. Beside it stands the bare limit of the same run: fetch, parse, insert, index and commit with no
application around it. CPU and memory are those of the two processes and of whatever they start, the server's own are
not counted. With 50,000 mails it shows whether memory stays flat. At the end one mail with a large attachment comes.

ext4 without a journal takes up to 0.7 ms to make a file where many were just deleted; TMPDIR leads elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from typing import Any, Final

from app.db import migrate
from app.deployment import Deployment, deploy
from tests import make
from tests.bench._taking import EARLY, Place
from tests.mailbox import OFFICE, Truth, generate
from tests.servers.dovecot import PASSWORD, Dovecot
from tests.servers.postgres import Postgres

PER_CPU_SECOND: Final = 600  # mails, promised where the bare limit is 1,150
OF_BARE: Final = 0.52  # which is this
MOST_MEMORY: Final = 150  # MB, promised
MOST_FOR_A_LARGE_ONE: Final = 60  # MB more, promised for an attachment of 25 MB
LARGE: Final = "large@fernmoor.example"  # a mailbox with one mail


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


# ── The run ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _child(name: str, place: Place) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench._taking", name, json.dumps(place.__dict__)]
    environment = {**os.environ, "SSL_CERT_FILE": place.ca_file}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def prepared(place: Place, *, has_large: bool) -> Place:
    """An install with its accounts, so that what is measured does nothing but take in."""
    deployment = deploy(place.settings())
    migrate(deployment.database)
    place = replace(place, account_id=connected(deployment, place))
    if has_large:
        place = replace(place, large_account_id=connected(deployment, place, LARGE))
    deployment.close()
    return place


@contextmanager
def places(database: str) -> Iterator[tuple[Dovecot, Place]]:
    """A mail server, and where an install beside it lives."""
    with Dovecot() as server, tempfile.TemporaryDirectory(prefix="postbag-bench-") as data:
        place = Place(data, "", server.host, server.imaps_port, str(server.ca_file), OFFICE, PASSWORD)
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
    options = parser.parse_args()
    with places(options.database) as (server, place):
        print(f"Writing {options.mails:,} mails of {options.size:,} bytes into Dovecot …", flush=True)
        deliveries, truth = generate(options.mails, seed=1, size=options.size)
        server.deliver_all(OFFICE, [(one.content, one.folder, one.at) for one in deliveries])
        size = sum(len(one.content) for one in deliveries) / len(deliveries)
        del deliveries
        if options.attachment:
            server.deliver(LARGE, _with_attachment(options.attachment))
        ready = prepared(place, has_large=options.attachment > 0)
        limit, ours = _child("bare", ready), _child("postbag", ready)
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
