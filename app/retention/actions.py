"""Erasing one person of an office, and doing it again after a restore."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.cases import clocks
from app.cases.models import Case, Note, Outcome, Status
from app.clock import now
from app.db import Base, Database
from app.deployment import Deployment
from app.errors import Conflict
from app.messages import erased, index
from app.messages.models import File, Message
from app.people.models import Person
from app.people.queries import all_ids
from app.people.queries import person as find_person
from app.replies.models import Draft, Reply, Sending
from app.retention import ledger
from app.retention.forgetting import cases, drafts, forget, messages, replies
from app.store import Store
from app.store.references import still_named


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How much an erasure takes. ``others``: messages of other people on the same cases, which stay as they are."""

    cases: int
    messages: int
    files: int
    notes: int
    drafts: int
    replies: int
    others: int


def extent(session: Session, office_id: int, person_id: int) -> Extent:
    """What erasing somebody would take. Raises Missing for nobody of the office, Conflict where it cannot be done."""
    return _extent(session, _erasable(session, office_id, person_id))


def erase(deployment: Deployment, office_id: int, person_id: int, *, by: int | None) -> Extent:
    """Erase somebody: what was said by them and to them, who they are, and what was noted about them.

    Counts, dates and cases stay. Raises Missing for nobody of the office; Conflict when they are erased already, when a
    case of theirs is open, and when a reply to them is just going out.
    """
    at = now()
    with deployment.database.transaction() as session:
        _hold_replies(session, office_id, person_id)
        person_ids = _erasable(session, office_id, person_id)
        taken = _extent(session, person_ids)
        people = _people(session, person_ids)
        marks, hashes = _forget(session, deployment.keys.ids, office_id, person_ids, at, by=by)
        entry = ledger.Erasure(at=at.isoformat(), office_id=office_id, people=people, marks=tuple(marks))
        ledger.append(deployment.settings.erasures_folder, [entry])
    purge(deployment.database, deployment.store, {office_id: hashes})
    return taken


def purge(database: Database, store: Store, hashes: Mapping[int, Collection[str]]) -> None:
    """Have nothing of what was erased lie about, once that is committed.

    ``hashes``, by office: the bytes, but for those that something else names. PostgreSQL's vacuum does the rest by
    itself, SQLite is told.
    """
    with database.reading() as session:
        named = {office_id: still_named(session, office_id, of_office) for office_id, of_office in hashes.items()}
    for office_id, of_office in hashes.items():
        for sha256 in sorted(set(of_office) - named[office_id]):
            store.delete(office_id, sha256)
    index.purge(database)
    if database.is_sqlite:
        with closing(database.engine.raw_connection()) as connection:  # no transaction, in which this cannot be done
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeated:
    """What was erased again: how many people, and the bytes, by office, that are for ``purge``."""

    people: int
    hashes: Mapping[int, Collection[str]]


def repeat(session: Session, key: str, erasures: Iterable[ledger.Erasure]) -> Repeated:
    """Erase again whom the list names, in a database that was restored.

    Their cases that are open there are closed: they were closed when the person was erased.
    """
    people = 0
    hashes: dict[int, set[str]] = {}
    for erasure in erasures:
        erased.keep_away(session, erasure.office_id, erasure.marks)
        person_ids = _still_there(session, erasure)
        if person_ids:
            _close(session, person_ids, erasure.moment)
            _, found = _forget(session, key, erasure.office_id, person_ids, erasure.moment, by=None)
            hashes.setdefault(erasure.office_id, set()).update(found)
            people += 1
    return Repeated(people=people, hashes=hashes)


def _erasable(session: Session, office_id: int, person_id: int) -> list[int]:
    """The ids under which the person is known."""
    person = find_person(session, office_id, person_id)
    if person.erased_at is not None:
        raise Conflict("This person was erased already.")
    person_ids = all_ids(session, person.id)
    open_cases = session.scalars(
        sa.select(Case.reference).where(Case.id.in_(cases(person_ids)), Case.is_open).order_by(Case.reference)
    ).all()
    if open_cases:
        raise Conflict("Close their cases first: %(references)s.", references=", ".join(open_cases))
    if session.scalar(_count(Reply, Reply.id.in_(replies(person_ids)), Reply.state == Sending.SENDING)):
        raise Conflict("A reply to them is going out just now. Try again in a few minutes.")
    return person_ids


def _hold_replies(session: Session, office_id: int, person_id: int) -> None:
    """Until the end of the transaction no reply to them begins to go out: PostgreSQL has several writers."""
    person_ids = all_ids(session, find_person(session, office_id, person_id).id)
    session.scalars(sa.select(Reply.id).where(Reply.id.in_(replies(person_ids))).with_for_update()).all()


def _extent(session: Session, person_ids: Sequence[int]) -> Extent:
    theirs, of_cases = messages(person_ids), cases(person_ids)
    counts = {
        "cases": _count(Case, Case.id.in_(of_cases)),
        "messages": _count(Message, Message.id.in_(theirs)),
        "files": _count(File, File.message_id.in_(theirs)),
        "notes": _count(Note, Note.case_id.in_(of_cases)),
        "drafts": _count(Draft, Draft.id.in_(drafts(person_ids))),
        "replies": _count(Reply, Reply.id.in_(replies(person_ids))),
        "others": _count(Message, Message.case_id.in_(of_cases), Message.id.not_in(theirs)),
    }
    return Extent(**{name: session.scalar(query) or 0 for name, query in counts.items()})


def _count(kind: type[Base], *conditions: sa.ColumnElement[bool]) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(kind).where(*conditions)


def _people(session: Session, person_ids: Sequence[int]) -> tuple[tuple[int, str], ...]:
    query = sa.select(Person.id, Person.first_seen_at).where(Person.id.in_(person_ids)).order_by(Person.id)
    return tuple((found, seen.isoformat()) for found, seen in session.execute(query))


def _forget(
    session: Session, key: str, office_id: int, person_ids: Sequence[int], at: datetime, *, by: int | None
) -> tuple[list[str], set[str]]:
    taken = asdict(_extent(session, person_ids))
    marks, hashes = forget(session, key, office_id, person_ids)
    session.execute(
        sa.update(Person)
        .where(Person.id.in_(person_ids))
        .values(erased_at=at)
        .execution_options(synchronize_session=False)
    )
    record(session, "erase", "person", person_ids[-1], office_id=office_id, by=by, people=list(person_ids), **taken)
    return marks, hashes


def _still_there(session: Session, erasure: ledger.Erasure) -> list[int]:
    """Whom of an erasure the restored database holds: the very same, and not erased yet."""
    wanted = {(who, datetime.fromisoformat(seen)) for who, seen in erasure.people}
    query = sa.select(Person.id, Person.first_seen_at).where(
        Person.id.in_([who for who, _ in wanted]),
        Person.office_id == erasure.office_id,
        Person.erased_at.is_(None),
    )
    return sorted(found for found, seen in session.execute(query) if (found, seen) in wanted)


def _close(session: Session, person_ids: Sequence[int], at: datetime) -> None:
    for case in session.scalars(sa.select(Case).where(Case.id.in_(cases(person_ids)), Case.is_open)).all():
        clocks.shelve(session, case)
        case.status, case.is_open, case.closed_at, case.outcome = Status.CLOSED, False, at, Outcome.RESOLVED
        case.is_unread = False
        clocks.lead(session, case)
    session.flush()
