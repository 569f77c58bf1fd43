"""Three weeks down: how long an office takes to catch up, and how fast its inbox is meanwhile.

``./dev bench catch-up [--mails N] [--database sqlite|postgresql]``. A mailbox that was read before holds thousands of
mails that came since, and a few among them that defeat the reader: empty ones, as a full disk leaves them behind, and
some that need more memory than a reader gets (80 MB here, so that 22 MB of text suffice). A worker in a process of its
own fetches and reads; this process asks for the inbox page all the while, signed in, through the whole application.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from app import create_app, jobs
from app.channels.models import Stream
from app.clock import now
from app.db import migrate
from app.deployment import Deployment, deploy
from app.intake.poll import poll_account
from app.intake.take import take
from app.messages.models import Message, Reading, Sighting
from app.settings import Settings
from app.staff.models import Role
from app.staff.passwords import Passwords
from tests import make
from tests.app.program import environment
from tests.app.web.client import PASSWORD, Browser
from tests.bench.ingest import places
from tests.connectors.email.box import mail
from tests.mailbox import FIRST_DAY, Truth, generate
from tests.servers.dovecot import PASSWORD as MAIL_PASSWORD
from tests.servers.dovecot import Dovecot

MAILS: Final = 5_000
POISON: Final = 20
TOO_LARGE: Final = 4  # of the poison; the others are empty
WITHIN: Final = timedelta(minutes=5)  # "within minutes"
A_CLICK: Final = 15.0  # ms, p95, promised for a click while mail pours in
DOWN: Final = timedelta(weeks=3)
HERE: Final = "http://127.0.0.1:8000"
TANSY: Final = "tansy@fernmoor.example"
_ROOT: Final = Path(__file__).parents[2]
_PATIENCE: Final = 30 * 60.0
_LOOKS: Final = 10  # between two questions whether all is in
_LOOKED: Final = 0.02  # seconds between two pages: somebody who clicks as fast as a hand can
_WORK: Final = """
from app.messages import apart
from app.serving import work
from app.settings import Settings
apart.MOST_MEMORY = 80 * 1024 * 1024
work(Settings())
"""


@dataclass(frozen=True, kw_only=True)
class Behind:
    """An office that was down: what waits for it."""

    deployment: Deployment
    account_id: int
    truth: Truth


@dataclass(frozen=True, kw_only=True)
class CaughtUp:
    """How it went: seconds until everything was in, and for each page its status, wall time and CPU in ms."""

    seconds: float
    pages: tuple[tuple[int, float, float], ...]
    states: Counter[Reading]
    words: Counter[str]  # the first word of each message, which is the mail's own
    is_caught_up: bool

    def wall(self, part: float) -> float:
        return _part([wall for _, wall, _ in self.pages], part)

    def cpu(self, part: float) -> float:
        return _part([cpu for _, _, cpu in self.pages], part)


def _part(figures: list[float], part: float) -> float:
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * part))]


def fall_behind(deployment: Deployment, server: Dovecot, address: str, mails: int) -> Behind:
    """An office that had read its mailbox, then was down for three weeks while ``mails`` mails came."""
    server.deliver(address, mail("Before"))
    with deployment.database.transaction() as session:
        office = make.office(session, set_up_at=now())
        kept = Passwords(deployment.keys.passwords).hash(PASSWORD)
        tansy = make.staff(session, email=TANSY, password=kept, is_administrator=True)
        make.membership(session, office=office, staff=tansy, role=Role.COUNCILLOR)
        account = make.account(
            session,
            office=office,
            options={"address": address, "imap_host": server.host, "imap_port": str(server.imaps_port)},
            sealed=deployment.sealer.seal({"password": MAIL_PASSWORD}),
            own_ids=[address],
            connected_at=FIRST_DAY - timedelta(days=1),
        )
        make.stream(session, account=account)
        make.stream(session, account=account, key="Junk", name="Junk", is_junk=True)
    poll_account(deployment, account.id, everything=True)
    take(deployment, account.id)
    deployment.lines.drop(account.id)
    since = now() - DOWN
    with deployment.database.transaction() as session:
        session.execute(sa.update(Stream).values(last_good_at=since, caught_up_at=since, next_at=since))
        jobs.defer(session, jobs.Kind.POLL_ACCOUNT, account.id, since)
    return Behind(deployment=deployment, account_id=account.id, truth=_pour(server, address, mails))


def _pour(server: Dovecot, address: str, mails: int) -> Truth:
    """Mails with poison among them, one in so many."""
    deliveries, truth = generate(mails - POISON, seed=3, size=20_000)
    wanted = [(one.content, one.folder, one.at) for one in deliveries]
    large = mail("Photos") + "\U0001f4a1 spam\r\n".encode() * 2_000_000
    step = len(wanted) // POISON
    for number in range(POISON):
        server.deliver_all(address, wanted[number * step : (number + 1) * step])
        if number % (POISON // TOO_LARGE) == 0:
            server.deliver(address, large)
        else:
            server.deliver_nothing(address)
    server.deliver_all(address, wanted[POISON * step :])
    return truth


def catch_up(behind: Behind) -> CaughtUp:
    """Start the worker, and ask for the inbox until everything is in."""
    deployment = behind.deployment
    browser = Browser(create_app(deployment=deployment))
    browser.sign_in(TANSY)
    pages = []
    with _working(deployment.settings) as worker:
        began, looks = time.monotonic(), count()
        while worker.poll() is None and time.monotonic() - began < _PATIENCE:
            if next(looks) % _LOOKS == 0 and _is_in(behind):
                break
            pages.append(_look(browser))
            time.sleep(_LOOKED)
        seconds = time.monotonic() - began
    return _found(behind, seconds, tuple(pages))


def _look(browser: Browser) -> tuple[int, float, float]:
    wall, cpu = time.perf_counter(), time.thread_time()
    status = browser.client.get("/", base_url=HERE).status_code
    return status, 1_000 * (time.perf_counter() - wall), 1_000 * (time.thread_time() - cpu)


@contextmanager
def _working(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("POSTBAG_")}
    with subprocess.Popen([sys.executable, "-c", _WORK], cwd=_ROOT, env=given | environment(settings)) as worker:
        try:
            yield worker
        finally:
            worker.terminate()
            worker.wait()


def _is_in(behind: Behind) -> bool:
    """Whether as much was seen as lies there, and nothing waits to be read."""
    expected = 1 + len(behind.truth.mails) + behind.truth.doubles + POISON
    with behind.deployment.database.reading() as session:
        seen = session.scalar(sa.select(sa.func.count()).select_from(Sighting))
        return seen == expected and session.scalar(_WAITING) is None


_WAITING: Final = sa.select(Sighting.id).where(sa.text("state <> 'taken'"), Sighting.state == Reading.WAITING).limit(1)


def _found(behind: Behind, seconds: float, pages: tuple[tuple[int, float, float], ...]) -> CaughtUp:
    with behind.deployment.database.reading() as session:
        streams = session.scalars(sa.select(Stream)).all()
        texts = session.scalars(sa.select(Message.text).where(Message.subject != "Before"))
        return CaughtUp(
            seconds=seconds,
            pages=pages,
            states=Counter(session.scalars(sa.select(Sighting.state))),
            words=Counter(text.split(maxsplit=1)[0] for text in texts),
            is_caught_up=all(one.caught_up_at and one.caught_up_at > now() - WITHIN for one in streams),
        )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="dev bench catch-up", description=__doc__)
    parser.add_argument("--mails", type=int, default=MAILS)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    with places(options.database) as (server, place):
        os.environ["SSL_CERT_FILE"] = place.ca_file
        deployment = deploy(place.settings())
        migrate(deployment.database)
        print(f"Writing {options.mails:,} mails into Dovecot, {POISON} of them poison …", flush=True)
        behind = fall_behind(deployment, server, "cllr@fernmoor.example", options.mails)
        found = catch_up(behind)
        deployment.close()
    print(f"\n{options.mails:,} mails that waited; {options.database}")
    show(found, behind.truth)


def show(found: CaughtUp, truth: Truth) -> None:
    """The figures beside what was promised."""
    walls = [wall for _, wall, _ in found.pages]
    rows = (
        ("minutes until all is in", f"{found.seconds / 60:.1f}", f"≤ {WITHIN.total_seconds() / 60:.0f}"),
        ("mails a second", f"{sum(found.states.values()) / found.seconds:.0f}", ""),
        ("inbox pages meanwhile", f"{len(found.pages):,}", ""),
        ("  answered", f"{sum(status == 200 for status, *_ in found.pages):,}", "all"),
        ("  median, ms", f"{statistics.median(walls):.1f}", ""),
        ("  p95, ms", f"{found.wall(0.95):.1f}", f"≤ {A_CLICK:.0f}"),
        ("  p95 of CPU, ms", f"{found.cpu(0.95):.1f}", ""),
        ("different mails", f"{len(found.words):,}", f"= {len(truth.mails):,}"),
        ("in quarantine", f"{found.states[Reading.QUARANTINED]}", f"= {POISON}"),
    )
    print(f"{'':34}{'here':>10}{'promised':>10}")
    for name, here, promised in rows:
        print(f"{name:34}{here:>10}{promised:>10}")


if __name__ == "__main__":
    main()
