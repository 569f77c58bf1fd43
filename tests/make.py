"""Builders: one row each, with what a test does not care about filled in.

Each adds to the session, flushes and returns it. ``make.message(session)`` alone makes the office, account, person,
case and conversation that it needs; ``make.message(session, conversation=…)`` takes them from there. Any column can be
given by its name.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case, Obligation, ObligationKind
from app.channels.models import Account, State, Stream
from app.clock import now
from app.db import Base
from app.deadlines.holidays import Nation
from app.messages.models import Conversation, Direction, File, Message, Sighting
from app.office.models import Office, Pledge, Queue, Track
from app.people.models import Identity, Person
from app.replies.models import Draft, Enclosure, Mode, Reply
from app.staff.models import Membership, Role, Staff
from connectors import Audience, Kind

Row = TypeVar("Row", bound=Base)

_numbers = itertools.count(1)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def office(session: Session, **columns: Any) -> Office:
    """An office with its default queue and the pledges of domain.md section 2."""
    number = next(_numbers)
    made = _add(
        session,
        Office,
        columns,
        name="Cllr Tansy Quillfeather",
        place="Millpond & Ashgrove, Fernmoor",
        prefix=_LETTERS[number // 676 % 26] + _LETTERS[number // 26 % 26] + _LETTERS[number % 26],
        nation=Nation.ENGLAND_AND_WALES,
        created_at=now(),
    )
    queue(session, office=made, name="Unassigned", is_default=True)
    for track in Track:
        session.add(Pledge(office_id=made.id, kind=track, version=1, valid_from=made.created_at))
    session.flush()
    return made


def queue(session: Session, *, office: Office, **columns: Any) -> Queue:
    """A queue."""
    return _add(session, Queue, columns, office_id=office.id, name=f"Queue {next(_numbers)}")


def staff(session: Session, *, office: Office | None = None, role: Role = Role.CASEWORKER, **columns: Any) -> Staff:
    """Somebody who signs in; a member of ``office`` where one is given."""
    number = next(_numbers)
    made = _add(
        session, Staff, columns, email=f"bram{number}@fernmoor.example", name=f"Bram Oxlip {number}", created_at=now()
    )
    if office is not None:
        membership(session, office=office, staff=made, role=role)
    return made


def membership(session: Session, *, office: Office, staff: Staff, **columns: Any) -> Membership:
    """Somebody's role in an office."""
    return _add(
        session, Membership, columns, office_id=office.id, staff_id=staff.id, role=Role.CASEWORKER, began_at=now()
    )


def account(session: Session, *, office: Office | None = None, **columns: Any) -> Account:
    """A connected mailbox."""
    of = office or _an_office(session)
    return _add(
        session,
        Account,
        columns,
        office_id=of.id,
        channel="email",
        name=f"cllr{next(_numbers)}@fernmoor.example",
        state=State.ACTIVE,
        options={},
        created_at=now(),
        connected_at=now(),
    )


def stream(session: Session, *, account: Account | None = None, **columns: Any) -> Stream:
    """A folder of an account."""
    of = account or _an_account(session)
    return _add(
        session,
        Stream,
        columns,
        account_id=of.id,
        office_id=of.office_id,
        key="INBOX",
        name="Inbox",
        interval=timedelta(minutes=1),
        added_at=now(),
    )


def person(session: Session, *, office: Office | None = None, **columns: Any) -> Person:
    """A resident."""
    of = office or _an_office(session)
    return _add(session, Person, columns, office_id=of.id, name="Hester Brindlecombe", first_seen_at=now())


def identity(session: Session, *, person: Person, **columns: Any) -> Identity:
    """An address of theirs."""
    address = f"hester{next(_numbers)}@residents.example"
    return _add(
        session,
        Identity,
        columns,
        office_id=person.office_id,
        person_id=person.id,
        channel="email",
        external_id=address,
        handle=address,
        first_seen_at=now(),
    )


def case(session: Session, *, office: Office | None = None, person: Person | None = None, **columns: Any) -> Case:
    """An open case in the default queue, or of ``owner_id``; it owes nothing yet."""
    of = office or (session.get_one(Office, person.office_id) if person else _an_office(session))
    who = person or _a_person(session, office=of)
    number = next(_numbers)
    if "owner_id" not in columns and "queue_id" not in columns:
        columns["queue_id"] = default_queue(session, of).id
    return _add(
        session,
        Case,
        columns,
        office_id=of.id,
        reference=f"{of.prefix}-26-{number:04}",
        year=2026,
        number=number,
        subject="Brown bin missed again",
        opened_at=now(),
        first_received_at=now(),
        person_id=who.id,
        rank=9,
        due_at=now() + timedelta(days=14),
        channel="email",
        kind=Kind.MAIL,
        audience=Audience.DIRECT,
        contact=who.name,
        snippet="The brown bin was missed for the third time.",
        last_at=now(),
        last_inbound_at=now(),
    )


def conversation(
    session: Session, *, case: Case | None = None, account: Account | None = None, **columns: Any
) -> Conversation:
    """A thread of mail on a case."""
    of = case or _a_case(session)
    line = account or _an_account(session, office=session.get_one(Office, of.office_id))
    made = _add(
        session,
        Conversation,
        columns,
        office_id=of.office_id,
        case_id=of.id,
        channel=line.channel,
        account_id=line.id,
        reply_account_id=line.id,
        person_id=of.person_id,
        audience=Audience.DIRECT,
        kind=Kind.MAIL,
        subject=of.subject,
        last_at=now(),
    )
    if of.conversation_id is None:
        of.conversation_id = made.id
        session.flush()
    return made


def message(session: Session, *, conversation: Conversation | None = None, **columns: Any) -> Message:
    """A mail that came in."""
    of = conversation or _a_conversation(session)
    sent_at: datetime = columns.get("sent_at") or now()
    made = _add(
        session,
        Message,
        columns,
        office_id=of.office_id,
        channel=of.channel,
        account_id=of.account_id,
        conversation_id=of.id,
        case_id=of.case_id,
        person_id=of.person_id,
        identity_id=None,
        direction=Direction.INBOUND,
        kind=of.kind,
        audience=of.audience,
        platform_id=f"<{next(_numbers)}@residents.example>",
        fingerprint="",
        author_name="Hester Brindlecombe",
        author_handle="hester@residents.example",
        subject=of.subject,
        text="The brown bin was missed for the third time.",
        reply_text="The brown bin was missed for the third time.",
        sent_at=sent_at,
        arrived_at=sent_at,
        fetched_at=sent_at,
    )
    of.last_at, of.last_message_id = sent_at, made.id
    if made.direction is Direction.INBOUND:
        of.last_inbound_at = sent_at
    session.flush()
    return made


def file(session: Session, *, message: Message, **columns: Any) -> File:
    """An attachment; its bytes are not in the store."""
    return _add(
        session,
        File,
        columns,
        office_id=message.office_id,
        message_id=message.id,
        position=0,
        name="bin.jpg",
        media_type="image/jpeg",
        size=3,
        sha256="0" * 64,
    )


def sighting(session: Session, *, stream: Stream | None = None, **columns: Any) -> Sighting:
    """Something fetched and not yet read; its bytes are not in the store."""
    of = stream or _a_stream(session)
    number = next(_numbers)
    return _add(
        session,
        Sighting,
        columns,
        office_id=of.office_id,
        account_id=of.account_id,
        stream_id=of.id,
        external_id=f"1:{number}",
        sha256=f"{number:064x}",
        size=3,
        arrived_at=now(),
        fetched_at=now(),
    )


def obligation(session: Session, *, message: Message, **columns: Any) -> Obligation:
    """An answer that is owed for a message, in ten working days."""
    pledge = session.scalars(
        sa.select(Pledge).where(Pledge.office_id == message.office_id, Pledge.kind == Track.OTHER)
    ).one()
    return _add(
        session,
        Obligation,
        columns,
        office_id=message.office_id,
        case_id=message.case_id,
        conversation_id=message.conversation_id,
        person_id=message.person_id,
        message_id=message.id,
        pledge_id=pledge.id,
        kind=ObligationKind.REPLY,
        received_at=message.sent_at,
        days=10,
        due_at=message.sent_at + timedelta(days=14),
        calendar="test",
    )


def draft(session: Session, *, conversation: Conversation, staff: Staff, **columns: Any) -> Draft:
    """Words being written."""
    return _add(
        session,
        Draft,
        columns,
        office_id=conversation.office_id,
        case_id=conversation.case_id,
        conversation_id=conversation.id,
        staff_id=staff.id,
        mode=Mode.REPLY,
        text="Thank you for telling me.",
        seen_message_id=conversation.last_message_id,
        saved_at=now(),
    )


def enclosure(session: Session, *, draft: Draft, **columns: Any) -> Enclosure:
    """A file that goes with it; its bytes are not in the store."""
    return _add(
        session,
        Enclosure,
        columns,
        office_id=draft.office_id,
        draft_id=draft.id,
        name="plan.pdf",
        media_type="application/pdf",
        size=3,
        sha256="0" * 64,
    )


def reply(session: Session, *, conversation: Conversation | None = None, staff: Staff, **columns: Any) -> Reply:
    """An answer that waits to go out."""
    of = conversation or _a_conversation(session)
    account_row = session.get_one(Account, of.reply_account_id)
    return _add(
        session,
        Reply,
        columns,
        office_id=of.office_id,
        case_id=of.case_id,
        conversation_id=of.id,
        account_id=of.reply_account_id,
        person_id=of.person_id,
        by_id=staff.id,
        key=f"key-{next(_numbers)}",
        capacity=account_row.capacity,
        audience=of.audience,
        purpose="answer",
        recipients={"to": [["Hester Brindlecombe", "hester@residents.example", "hester@residents.example"]], "cc": []},
        subject=f"Re: {of.subject}",
        text="Thank you for telling me.",
        seen_message_id=of.last_message_id,
        queued_at=now(),
        send_at=now(),
    )


def default_queue(session: Session, office: Office) -> Queue:
    """The queue in which what nobody has waits."""
    return session.scalars(sa.select(Queue).where(Queue.office_id == office.id, Queue.is_default)).one()


# The same builders where a parameter has taken the name.
_an_office, _an_account, _a_stream, _a_person, _a_case, _a_conversation = (
    office,
    account,
    stream,
    person,
    case,
    conversation,
)


def _add(session: Session, sort: type[Row], given: dict[str, Any], **usual: Any) -> Row:
    row = sort(**{**usual, **given})
    session.add(row)
    session.flush()
    return row
