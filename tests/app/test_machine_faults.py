"""What the machine itself does to mail that is fetched: a full disk, a disk that fails, a database that is locked."""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from app.channels.models import Stream
from app.deployment import Deployment, deploy
from app.errors import Problem
from app.intake.poll import poll_account
from app.intake.take import take
from app.leases import TERM
from app.messages.models import Message, Reading, Sighting
from app.settings import Settings
from tests import make
from tests.conftest import Clock
from tests.connectors.email.box import mail
from tests.servers.dovecot import PASSWORD, Dovecot

MAILS = 30
SUBJECTS = sorted(f"Bin {number}" for number in range(MAILS))


@dataclass(frozen=True)
class Install:
    """An office whose one account is a mailbox full of mail."""

    settings: Settings
    clock: Clock
    account_id: int

    def fetch(self) -> None:
        """Poll and take everything, in an office that was started for it."""
        deployment = deploy(self.settings)
        try:
            poll_account(deployment, self.account_id, everything=True)
            take(deployment, self.account_id)
        finally:
            deployment.close()

    def holds(self) -> tuple[list[str], Counter[Reading], str]:
        """The subjects in the inbox, what became of what was seen, and what is said to be wrong."""
        deployment = deploy(self.settings)
        with deployment.database.reading() as session:
            found = (
                sorted(session.scalars(sa.select(Message.subject))),
                Counter(session.scalars(sa.select(Sighting.state))),
                session.scalars(sa.select(Stream.trouble)).one(),
            )
        deployment.close()
        return found


WHOLE = (SUBJECTS, Counter({Reading.TAKEN: MAILS}), "")


@pytest.fixture
def install(settings: Settings, dovecot: Dovecot, address: str, clock: Clock) -> Install:
    photo = b"A photo. " * 2_000
    dovecot.deliver_all(address, [(mail(one, f"{one}: {photo.decode()}\n"), "INBOX", None) for one in SUBJECTS])
    reaching = settings.model_copy(update={"allow_hosts": frozenset({"127.0.0.1"})})
    deployment = deploy(reaching)
    account_id = _connected(deployment, dovecot, address)
    deployment.close()
    return Install(reaching, clock, account_id)


def _connected(deployment: Deployment, dovecot: Dovecot, address: str) -> int:
    with deployment.database.transaction() as session:
        account = make.account(
            session,
            options={"address": address, "imap_host": dovecot.host, "imap_port": str(dovecot.imaps_port)},
            sealed=deployment.sealer.seal({"password": PASSWORD}),
            own_ids=[address],
        )
        make.stream(session, account=account)
        return account.id


# ── The disk ────────────────────────────────────────────────────────────────────────────────────────────────


def _fetch_with_files_of_at_most(size: int, install: Install) -> None:
    """In a process for which the system cuts every file there: the store's, SQLite's own and its log."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        with suppress(Problem, OSError, sa.exc.SQLAlchemyError):
            install.fetch()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("size", [0, 1_000, 10_000, 40_000, 100_000, 200_000, 400_000])
def test_a_disk_that_takes_no_more_costs_no_mail(install: Install, size: int) -> None:
    _fetch_with_files_of_at_most(size, install)
    install.clock.advance(seconds=TERM.total_seconds() + 1)
    install.fetch()
    assert install.holds() == WHOLE


def test_a_store_without_room_is_said_at_the_account_until_there_is_some(
    install: Install, dovecot: Dovecot, address: str
) -> None:
    install.fetch()
    dovecot.deliver(address, mail("The film", "x" * 70 + "\n" + ("y" * 70 + "\n") * 60_000))
    with _files_of_at_most(2_000_000):
        install.fetch()
        assert "There is no room left" in install.holds()[2]
    install.fetch()
    assert install.holds() == (sorted([*SUBJECTS, "The film"]), Counter({Reading.TAKEN: MAILS + 1}), "")


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_store_that_fails_costs_no_mail(install: Install) -> None:
    store = install.settings.data / "store"
    store.rename(store.with_name("elsewhere"))  # a file system that went away
    store.write_bytes(b"")
    with pytest.raises(OSError, match="store"):
        install.fetch()
    store.unlink()
    store.with_name("elsewhere").rename(store)
    install.clock.advance(seconds=TERM.total_seconds() + 1)
    install.fetch()
    assert install.holds() == WHOLE


# ── The database ────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _locked(install: Install) -> Iterator[sqlite3.Connection]:
    """Somebody else writes, and takes their time."""
    connection = sqlite3.connect(install.settings.data / "postbag.db", isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


def test_a_locked_database_is_waited_for(install: Install) -> None:
    with _locked(install) as connection:
        threading.Timer(2, lambda: connection.execute("ROLLBACK")).start()
        began = time.monotonic()
        install.fetch()
        assert time.monotonic() - began >= 1.5
    assert install.holds() == WHOLE


def test_a_database_locked_for_longer_than_anybody_waits_costs_no_mail(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.db._BUSY_SECONDS", 0.3)
    with _locked(install), pytest.raises(sa.exc.OperationalError, match="locked"):
        install.fetch()
    install.fetch()
    assert install.holds() == WHOLE


def test_a_database_that_is_locked_in_the_middle_of_a_poll_costs_no_mail(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.db._BUSY_SECONDS", 0.3)
    deployment = deploy(install.settings)
    with _locks(install), pytest.raises(sa.exc.OperationalError, match="locked"):
        poll_account(deployment, install.account_id, everything=True, watch=lambda _: time.sleep(0.5))
    deployment.close()
    install.clock.advance(seconds=TERM.total_seconds() + 1)
    install.fetch()
    assert install.holds() == WHOLE


@contextmanager
def _locks(install: Install) -> Iterator[None]:
    """Locked as soon as anything was kept."""
    is_over = threading.Event()

    def lock() -> None:
        while not is_over.wait(0.01):
            if install.holds()[1]:
                with _locked(install):
                    is_over.wait(10)

    thread = threading.Thread(target=lock)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
