"""Statements past the unit of work: the same words, types and errors as SQLAlchemy's own, on both databases."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audit.models import AuditLine
from app.channels.models import Heartbeat
from app.db import Database
from app.statements import Statement, insert, insert_all, update

pytestmark = pytest.mark.db

MOMENT = datetime(2026, 3, 29, 1, 30, 5, 123456, tzinfo=UTC)
AT = Statement(sa.select(Heartbeat.seen_at).where(Heartbeat.worker == sa.bindparam("worker")))


def line(object_id: int) -> AuditLine:
    return AuditLine(
        office_id=1, at=MOMENT, actor_id=None, verb="open", object_kind="case", object_id=object_id, facts={"a": [1]}
    )


def beat(name: str) -> Heartbeat:
    return Heartbeat(worker=name, started_at=MOMENT, seen_at=MOMENT)


def test_a_row_gets_its_id_and_what_its_columns_say_by_themselves(session: Session) -> None:
    row = line(7)
    insert(session, row)
    found = session.get_one(AuditLine, row.id)
    assert (found.object_id, found.at, found.actor_id, found.facts, found.seal) == (7, MOMENT, None, {"a": [1]}, "")


def test_several_rows_are_written_at_once(session: Session) -> None:
    insert_all(session, [line(1), line(2)])
    insert_all(session, [])
    assert session.scalars(sa.select(AuditLine.object_id).order_by(AuditLine.object_id)).all() == [1, 2]


def test_only_the_named_columns_of_a_row_are_written_again(session: Session) -> None:
    row = line(1)
    insert(session, row)
    row.object_id, row.verb = 9, "close"
    update(session, row, "object_id")
    found = session.get_one(AuditLine, row.id)
    assert (found.object_id, found.verb) == (9, "open")


def test_rows_come_back_in_the_types_of_their_columns(session: Session) -> None:
    session.add(beat("one"))
    session.flush()
    assert AT.rows(session, {"worker": "one"}) == [(MOMENT,)]
    assert AT.row(session, {"worker": "none"}) is None


def test_a_parameter_that_is_missing_is_refused(session: Session) -> None:
    with pytest.raises(KeyError):
        AT.rows(session, {})


def test_what_the_database_refuses_is_said_as_sqlalchemy_says_it(database: Database) -> None:
    def twice() -> None:
        with database.transaction() as session:
            insert_all(session, [beat("a private word"), beat("a private word")])

    with pytest.raises(IntegrityError) as refused:
        twice()
    assert "[SQL: INSERT INTO heartbeat" in str(refused.value)
    assert refused.value.params is None
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Heartbeat)) == 0
