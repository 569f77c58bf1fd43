"""Erasing somebody: nothing they said is left anywhere, and what it counted for stays."""

from __future__ import annotations

import resource
import signal
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit import sealing
from app.cases.models import Case, Decision, DecisionKind, Note, Obligation, Purpose, Status
from app.clock import now
from app.db import Base, Database, load_models
from app.deployment import Deployment
from app.errors import Conflict, Missing, Problem
from app.messages import index
from app.messages.models import Conversation, Direction, Mention, Message, Participant, Partner, Revision, Sighting
from app.office.models import Office
from app.people.models import Identity, Person
from app.replies.models import Enclosure, Reply, Sending
from app.replies.recipients import addressing
from app.retention import ledger
from app.retention.actions import Extent, erase, extent, purge, repeat
from app.store import Gone
from tests import make
from tests.conftest import Clock

pytestmark = pytest.mark.db

SECRET = "zebrafinch"  # stands in every word of theirs


@dataclass(frozen=True)
class Known:
    """Somebody of whom the office knows a great deal, and the ids of it."""

    office_id: int
    person_id: int
    case_id: int
    message_id: int
    hashes: list[str]


def somebody(database: Database, deployment: Deployment, *, is_open: bool = False, **reply: object) -> Known:
    """Every row that may tell of somebody tells of them."""
    store = deployment.store
    with database.transaction() as session:
        office = make.office(session)
        staff = make.staff(session, office=office)
        hashes = [store.put(office.id, f"{SECRET} {what}".encode()) for what in ("raw", "file", "sent", "enclosed")]
        person = make.person(session, office=office, name=f"{SECRET} Ann", remarks=SECRET, postcode=SECRET)
        identity = make.identity(
            session, person=person, external_id=f"{SECRET}@x.example", handle=SECRET, name=SECRET, url=SECRET
        )
        case = make.case(
            session,
            person=person,
            is_open=is_open,
            status=Status.NEW if is_open else Status.CLOSED,
            subject=SECRET,
            snippet=SECRET,
            topic=SECRET,
            planning_reference=SECRET,
            council_reference=SECRET,
            authority=SECRET,
            external_what=SECRET,
            has_files=True,
        )
        thread = make.conversation(session, case=case, thread_id=SECRET, context={"text": SECRET})
        message = make.message(
            session,
            conversation=thread,
            identity_id=identity.id,
            platform_id=f"<{SECRET}@x.example>",
            fingerprint="f" * 64,
            author_name=SECRET,
            author_handle=SECRET,
            recipients={"to": [[SECRET, SECRET, SECRET]]},
            subject=SECRET,
            text=SECRET,
            reply_text=SECRET,
            html=f"<p>{SECRET}</p>",
            url=SECRET,
            in_reply_to=SECRET,
            reply_refs=[SECRET],
        )
        index.add(session, message)
        make.obligation(session, message=message)
        make.file(session, message=message, name=SECRET, sha256=hashes[1])
        stream = make.stream(session, account=make.account(session, office=office))
        seen = make.sighting(session, stream=stream, sha256=hashes[0], message_id=message.id, external_id="1:1")
        make.sighting(session, stream=stream, sha256="a" * 64, message_id=message.id, external_id="1:1")
        session.add(Revision(message_id=message.id, sighting_id=seen.id, text=SECRET, seen_at=now()))
        session.add(Participant(conversation_id=thread.id, identity_id=identity.id))
        session.add(
            Mention(office_id=office.id, channel="email", external_id=f"<{SECRET}@x>", conversation_id=thread.id)
        )
        given = {"state": Sending.SENT, "recipients": {"to": [[SECRET, SECRET, SECRET]], "cc": []}, **reply}
        reply_row = make.reply(
            session,
            conversation=thread,
            staff=staff,
            text=SECRET,
            subject=SECRET,
            prepared_sha256=hashes[2],
            prepared_meta={"to": SECRET},
            **given,
        )
        make.draft(session, conversation=thread, staff=staff, text=SECRET)
        session.add(
            Enclosure(
                office_id=office.id,
                reply_id=reply_row.id,
                name=SECRET,
                media_type="image/png",
                size=1,
                sha256=hashes[3],
            )
        )
        session.add(Note(office_id=office.id, case_id=case.id, by_id=staff.id, at=now(), text=SECRET))
        session.add(
            Decision(
                office_id=office.id,
                case_id=case.id,
                kind=DecisionKind.DECLINED,
                reason=SECRET,
                by_id=staff.id,
                at=now(),
                status_before=Status.NEW,
            )
        )
        return Known(office.id, person.id, case.id, message.id, hashes)


def held(database: Database) -> str:
    """Every value of every row, as text."""
    names = sa.inspect(database.engine).get_table_names()
    with database.reading() as session:
        rows = [session.execute(sa.text(f'SELECT * FROM "{name}"')).all() for name in names]  # noqa: S608 - ours
    return repr(rows)


def test_nothing_that_was_said_or_noted_is_left(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment)
    assert SECRET in held(database)

    taken = erase(deployment, known.office_id, known.person_id, by=None)

    assert taken == Extent(cases=1, messages=1, files=1, notes=1, drafts=1, replies=1, others=0)
    assert SECRET not in held(database)
    for sha256 in known.hashes:
        with pytest.raises(Gone):
            deployment.store.read(known.office_id, sha256)
    assert SECRET not in ledger.text(deployment.settings.erasures_folder)
    kept = [path for path in deployment.settings.data.rglob("*") if path.is_file()]
    assert [path.name for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_what_is_counted_stays_and_the_trail_is_whole(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment)
    key = deployment.keys.audit
    sealing.seal(database, key)
    erase(deployment, known.office_id, known.person_id, by=None)
    sealing.seal(database, key)
    with database.reading() as session:
        kinds: tuple[type[Base], ...] = (Case, Message, Obligation, Reply, Conversation, Person, Identity, Sighting)
        counts = [session.scalar(sa.select(sa.func.count()).select_from(kind)) for kind in kinds]
        assert counts == [1] * len(kinds)
        assert sealing.verify(session, key, known.office_id) is None
        message = session.get_one(Message, known.message_id)
        assert (message.text, message.sent_at) == ("—", message.arrived_at)


def test_bytes_that_somebody_else_sent_too_stay(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment)
    with database.transaction() as session:
        neighbour = make.case(session, person=_person(session, known.office_id))
        other = make.message(session, conversation=make.conversation(session, case=neighbour))
        make.file(session, message=other, sha256=known.hashes[1])
    erase(deployment, known.office_id, known.person_id, by=None)
    assert deployment.store.read(known.office_id, known.hashes[1]) == f"{SECRET} file".encode()


def test_what_was_passed_on_to_an_officer_goes_and_the_answer_is_the_officers(
    database: Database, deployment: Deployment
) -> None:
    known = somebody(database, deployment)
    with database.transaction() as session:
        officer = _person(session, known.office_id)
        thread = make.conversation(
            session,
            case=session.get_one(Case, known.case_id),
            person_id=officer.id,
            partner=Partner.OFFICER,
            subject=SECRET,
        )
        staff = make.staff(session, office=session.get_one(Office, known.office_id))
        passed_on = make.reply(session, conversation=thread, staff=staff, text=SECRET, state=Sending.SENT)
        words = {"direction": Direction.OUTBOUND, "purpose": Purpose.REFERRAL, "person_id": None}
        message = make.message(session, conversation=thread, text=SECRET, reply_id=passed_on.id, **words)
        make.file(session, message=message, name=SECRET)
        make.message(session, conversation=thread, subject="Lamp", text="It is on our list.")

    taken = erase(deployment, known.office_id, known.person_id, by=None)

    assert (taken.messages, taken.replies, taken.files, taken.others) == (2, 2, 2, 1)
    assert SECRET not in held(database)
    assert "It is on our list." in held(database)


def _person(session: Session, office_id: int) -> Person:
    person = Person(office_id=office_id, name="Neighbour", first_seen_at=now())
    session.add(person)
    session.flush()
    return person


# What tells of a person, or hangs on what does, and what becomes of it. A new table belongs here.
FORGOTTEN = {
    "case": "words go",
    "conversation": "words go",
    "decision": "reasons go",
    "draft": "goes",
    "enclosure": "goes",
    "file": "goes",
    "identity": "a keyed hash stays",
    "mention": "goes",
    "message": "words go",
    "note": "goes",
    "obligation": "ids, dates and counts only",
    "participant": "ids only",
    "person": "names go",
    "picture": "goes",
    "reply": "words go",
    "revision": "goes",
    "sighting": "what it was goes",
}


def test_no_table_is_forgotten() -> None:
    load_models()
    tells = {"person", "case", "conversation", "message", "identity", "reply"}
    tables = Base.metadata.tables.values()
    pointing = {table.name for table in tables if tells & {key.column.table.name for key in table.foreign_keys}}
    assert pointing | tells == set(FORGOTTEN)


def test_a_preview_counts_and_changes_nothing(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment)
    before = held(database)
    with database.reading() as session:
        assert extent(session, known.office_id, known.person_id).messages == 1
    assert held(database) == before


def test_an_open_case_is_closed_by_a_person_first(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment, is_open=True)
    with pytest.raises(Conflict, match=r"Close their cases first: [A-Z]+-26-\d{4}\."):
        erase(deployment, known.office_id, known.person_id, by=None)


def test_a_reply_on_its_way_is_waited_for(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment, state=Sending.SENDING)
    with pytest.raises(Conflict, match="going out just now"):
        erase(deployment, known.office_id, known.person_id, by=None)


def test_a_reply_that_begins_to_go_out_meanwhile_is_waited_for(database: Database, deployment: Deployment) -> None:
    if database.is_sqlite:  # has one writer as it is
        return
    known = somebody(database, deployment, state=Sending.QUEUED)
    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as session:
            session.scalars(sa.select(Reply).with_for_update()).one().state = Sending.SENDING
            session.flush()
            erasing = thread.submit(erase, deployment, known.office_id, known.person_id, by=None)
            assert not wait([erasing], timeout=0.5).done
        with pytest.raises(Conflict, match="going out just now"):
            erasing.result()


def test_a_reply_that_has_not_gone_out_goes_nowhere(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment, state=Sending.QUEUED)
    erase(deployment, known.office_id, known.person_id, by=None)
    with database.reading() as session:
        assert session.scalars(sa.select(Reply.state)).one() is Sending.WITHDRAWN


def test_nobody_is_there_to_be_answered_any_more(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment)
    with database.reading() as session:
        thread = session.scalars(sa.select(Conversation)).one()
        assert [one.external_id for one in addressing(session, thread).choices] == [f"{SECRET}@x.example"]
    erase(deployment, known.office_id, known.person_id, by=None)
    with database.reading() as session:
        assert addressing(session, session.scalars(sa.select(Conversation)).one()).choices == ()


def test_nobody_of_another_office_is_erased(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment)
    with pytest.raises(Missing):
        erase(deployment, known.office_id + 1, known.person_id, by=None)


def test_nobody_is_erased_twice(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment)
    erase(deployment, known.office_id, known.person_id, by=None)
    with pytest.raises(Conflict, match="erased already"):
        erase(deployment, known.office_id, known.person_id, by=None)


# ── The list, and doing it again ──────────────────────────────────────────────────────────────────────────────────


def _noted(known: Known, database: Database) -> ledger.Erasure:
    with database.reading() as session:
        seen = session.get_one(Person, known.person_id).first_seen_at
    people = ((known.person_id, seen.isoformat()),)
    return ledger.Erasure(at=now().isoformat(), office_id=known.office_id, people=people, marks=("b" * 64,))


def test_it_is_done_again_to_open_cases_too(database: Database, deployment: Deployment) -> None:
    known = somebody(database, deployment, is_open=True, state=Sending.UNCERTAIN)
    erasure = _noted(known, database)
    with database.transaction() as session:
        repeated = repeat(session, deployment.keys.ids, [erasure])
    purge(database, deployment.store, repeated.hashes)
    assert repeated.people == 1
    assert SECRET not in held(database)
    with database.transaction() as session:
        assert session.get_one(Case, known.case_id).status is Status.CLOSED
        assert repeat(session, deployment.keys.ids, [erasure]).people == 0


def test_an_id_that_is_somebody_elses_by_now_is_not_erased(
    database: Database, deployment: Deployment, clock: Clock
) -> None:
    known = somebody(database, deployment)
    erasure = _noted(known, database)
    with database.transaction() as session:
        session.get_one(Person, known.person_id).first_seen_at = clock.advance(days=1)
    with database.transaction() as session:
        assert repeat(session, deployment.keys.ids, [erasure]).people == 0
    assert SECRET in held(database)


def test_the_list_grows_and_a_line_cut_short_is_passed_over(tmp_path: Path) -> None:
    first = ledger.Erasure(at="2026-04-07T08:00:00+00:00", office_id=1, people=((5, "2026"),), marks=("a",))
    ledger.append(tmp_path, [first])
    with (tmp_path / "erasures.jsonl").open("a") as file:
        file.write('{"at": "2026-04')
    assert list(ledger.read(ledger.text(tmp_path))) == [first]
    ledger.append(tmp_path, [first])
    assert list(ledger.read(ledger.text(tmp_path))) == [first, first]


def test_a_disk_that_is_full_is_told_and_leaves_the_list_as_it_was(tmp_path: Path) -> None:
    first = ledger.Erasure(at="2026-04-07T08:00:00+00:00", office_id=1, people=((5, "2026"),), marks=("a",))
    ledger.append(tmp_path, [first])
    large = ledger.Erasure(at="2026-04-07T08:00:00+00:00", office_id=1, people=((6, "2026"),), marks=("b" * 5000,))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # what is written is cut there, as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            ledger.append(tmp_path, [large])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(ledger.read(ledger.text(tmp_path))) == [first]
    ledger.append(tmp_path, [first])
    assert list(ledger.read(ledger.text(tmp_path))) == [first, first]


def test_a_list_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "erasures.jsonl").write_text("scrambled\n{}\n")
    with pytest.raises(Problem, match="Line 1 of the list of erasures"):
        list(ledger.read(ledger.text(tmp_path)))
