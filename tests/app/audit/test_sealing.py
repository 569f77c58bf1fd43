"""The chain over the audit trail, and what it finds."""

import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.audit.actions import record
from app.audit.models import AuditLine
from app.audit.sealing import Break, What, head, seal, verify
from app.db import Database

pytestmark = pytest.mark.db

KEY = "a key that lies outside the database"


def write(database: Database, count: int, office_id: int = 1) -> list[int]:
    """Lines of an office, each committed by itself; their ids."""
    for number in range(count):
        with database.transaction() as session:
            record(session, "close", "case", number, office_id=office_id, by=3, outcome="resolved", days=number)
    with database.reading() as session:
        return list(
            session.scalars(sa.select(AuditLine.id).where(AuditLine.office_id == office_id).order_by(AuditLine.id))
        )


def found(database: Database, office_id: int = 1, key: str = KEY) -> Break | None:
    with database.reading() as session:
        return verify(session, key, office_id)


def tamper(database: Database, statement: sa.Executable) -> None:
    with database.transaction() as session:
        session.execute(statement)


def test_a_trail_that_nobody_touched_is_whole(database: Database) -> None:
    write(database, 4)
    write(database, 2, office_id=0)
    assert seal(database, KEY) == 6
    write(database, 2)
    assert found(database) is None
    assert seal(database, KEY) == 2
    assert seal(database, KEY) == 0
    assert found(database) is None
    assert found(database, office_id=0) is None
    assert found(database, office_id=99) is None


def test_an_empty_trail_is_whole_and_has_no_head(database: Database) -> None:
    assert seal(database, KEY) == 0
    assert found(database) is None
    with database.reading() as session:
        assert head(session, 1) == (0, "")


def test_a_trail_longer_than_one_batch_is_one_chain(database: Database) -> None:
    with database.transaction() as session:
        for number in range(1200):
            record(session, "see", "case", number, office_id=1, by=3)
    assert seal(database, KEY) == 1200
    assert found(database) is None


@pytest.mark.parametrize(
    "change",
    [
        {"verb": "reopen"},
        {"actor_id": 4},
        {"actor_id": None},
        {"object_id": 77},
        {"facts": {"outcome": "declined", "days": 1}},
        {"seal": ""},
        {"seal": "0" * 128},
    ],
    ids=str,
)
def test_a_changed_line_is_named(database: Database, change: dict[str, object]) -> None:
    ids = write(database, 5)
    seal(database, KEY)
    tamper(database, sa.update(AuditLine).where(AuditLine.id == ids[2]).values(**change))
    assert found(database) == Break(ids[2], What.CHANGED)
    seal(database, KEY)
    assert found(database) == Break(ids[2], What.CHANGED)


def test_a_line_moved_to_another_office_is_missing_in_its_own(database: Database) -> None:
    ids = write(database, 5)
    seal(database, KEY)
    tamper(database, sa.update(AuditLine).where(AuditLine.id == ids[2]).values(office_id=2))
    assert found(database) == Break(ids[3], What.MISSING)
    assert found(database, office_id=2) == Break(ids[2], What.CHANGED)


@pytest.mark.parametrize("which", [0, 2, 3])
def test_a_missing_line_is_seen_at_the_one_after_it(database: Database, which: int) -> None:
    ids = write(database, 5)
    seal(database, KEY)
    tamper(database, sa.delete(AuditLine).where(AuditLine.id == ids[which]))
    assert found(database) == Break(ids[which + 1], What.MISSING)


@pytest.mark.parametrize("forged", ["", "0" * 128])
def test_a_line_slipped_in_later_is_named(database: Database, forged: str) -> None:
    write(database, 3)
    (gap,) = write(database, 1, office_id=2)  # ids are the install's, so that an office's own have gaps
    write(database, 2)
    tamper(database, sa.delete(AuditLine).where(AuditLine.id == gap))
    seal(database, KEY)
    with database.transaction() as session:
        record(session, "close", "case", 9, office_id=1, by=3)
        session.flush()
        slipped = sa.update(AuditLine).where(AuditLine.seal == "").values(id=gap, seal=forged)
        session.execute(slipped.execution_options(synchronize_session=False))
    assert found(database) == Break(gap, What.INSERTED)
    seal(database, KEY)
    assert found(database) == Break(gap, What.INSERTED)


def test_the_last_line_changed_is_named_too(database: Database) -> None:
    ids = write(database, 3)
    seal(database, KEY)
    tamper(database, sa.update(AuditLine).where(AuditLine.id == ids[2]).values(verb="reopen"))
    assert found(database) == Break(ids[2], What.CHANGED)


def test_a_head_that_was_printed_shows_that_the_newest_lines_are_gone(database: Database) -> None:
    ids = write(database, 3)
    seal(database, KEY)
    with database.reading() as session:
        printed = head(session, 1)
    assert printed[0] == ids[2]
    tamper(database, sa.delete(AuditLine).where(AuditLine.id == ids[2]))
    assert found(database) is None
    with database.reading() as session:
        assert head(session, 1) != printed


def test_another_key_opens_nothing(database: Database) -> None:
    ids = write(database, 2)
    seal(database, KEY)
    assert found(database, key="another") == Break(ids[0], What.CHANGED)


def test_a_line_that_is_committed_late_has_its_place_in_the_chain(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite writes one transaction after the other: nothing is committed late")
    write(database, 1)
    late_is_written, may_commit = threading.Event(), threading.Event()

    def late() -> None:
        with database.transaction() as session:
            record(session, "assign", "case", 5, office_id=1, by=3)
            session.flush()
            late_is_written.set()
            may_commit.wait(20)

    writing = threading.Thread(target=late)
    writing.start()
    late_is_written.wait(20)
    write(database, 1)  # has a higher id, and is there before the other one
    sealing = threading.Thread(target=seal, args=(database, KEY))
    sealing.start()
    sealing.join(0.5)
    assert sealing.is_alive()
    write(database, 1)  # nobody is kept waiting meanwhile
    may_commit.set()
    writing.join()
    sealing.join()
    assert found(database) is None
    seal(database, KEY)
    assert found(database) is None
    with database.reading() as session:
        assert head(session, 1)[0] == max(session.scalars(sa.select(AuditLine.id)))


def test_two_sealers_at_once_make_the_same_chain(database: Database) -> None:
    write(database, 60)
    _at_once(lambda: seal(database, KEY), lambda: seal(database, KEY), lambda: write(database, 10) and None)
    seal(database, KEY)
    assert found(database) is None


def _at_once(*works: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
