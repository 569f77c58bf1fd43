"""A mail that has come in, as intake would leave it: message, person, case and what is owed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.cases import clocks
from app.cases.models import Case
from app.clock import now
from app.db import Database
from app.messages import index
from app.messages.models import Conversation
from app.office.models import Office
from app.office.queries import rules
from tests import make


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """The ids of what came in."""

    case_id: int
    reference: str
    conversation_id: int
    message_id: int
    person_id: int


def mail(database: Database, office_id: int, subject: str = "Brown bin missed again", **columns: Any) -> Arrived:
    """A first mail of a new person; ``columns`` are the message's."""
    with database.transaction() as session:
        office = session.get_one(Office, office_id)
        person = make.person(session, office=office, name=columns.get("author_name", "Hester Brindlecombe"))
        identity = make.identity(session, person=person)
        case = make.case(session, office=office, person=person, subject=subject)
        conversation = make.conversation(session, case=case)
        return _arrived(session, case, conversation, identity_id=identity.id, author_handle=identity.handle, **columns)


def another(database: Database, first: Arrived, text: str, sent_at: datetime | None = None) -> int:
    """One more mail of the same person on the same case; its id."""
    with database.transaction() as session:
        conversation = session.get_one(Conversation, first.conversation_id)
        case = session.get_one(Case, first.case_id)
        return _arrived(session, case, conversation, text=text, reply_text=text, sent_at=sent_at or now()).message_id


def _arrived(session: Session, case: Case, conversation: Conversation, **columns: Any) -> Arrived:
    message = make.message(session, conversation=conversation, **columns)
    clocks.received(session, rules(session, case.office_id), case, conversation, message)
    index.add(session, message)
    return Arrived(
        case_id=case.id,
        reference=case.reference,
        conversation_id=conversation.id,
        message_id=message.id,
        person_id=case.person_id,
    )
