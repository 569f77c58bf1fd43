"""References that come back in a mail: a number anybody may quote, and a token that only we can have written.

Below every mail that goes out stands "MA-26-0147/k7q2xw". Where a mail program has lost the thread (a new mail, an
answer from another address), the token still says which case was meant. It lets nobody in by itself: who took part in
the case joins it, anybody else is only said to look related, and a number without its token never does more than that
(domain.md section 3).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case
from app.messages.models import Conversation, Participant
from connectors import Item

_WRITTEN: Final = re.compile(r"(?<![\w-])([A-Z]{2,4}-\d{2}-\d{4,6})(?:/([a-z2-7]{6}))?(?![\w-])")
_LOOKED_AT: Final = 200_000  # characters of a mail; what it quotes stands at its end, or above a short answer
_MOST: Final = 5  # references of one mail


@dataclass(frozen=True, slots=True)
class Meant:
    """The case that a mail names, and the conversation there that its author has taken part in, if any.

    ``is_signed``: the token proves that the reference came from a mail of ours.
    """

    case_id: int
    is_signed: bool
    conversation_id: int | None


def written(id_key: bytes, office_id: int, reference: str) -> str:
    """A reference as it stands below a mail."""
    return f"{reference}/{_token(id_key, office_id, reference)}"


def meant(
    session: Session, id_key: bytes, office_id: int, prefix: str, item: Item, *, identity_id: int, person_id: int
) -> Meant | None:
    """The case of the office that ``item`` names; a signed reference goes before one that is only quoted."""
    named = list(_named(prefix, item))
    if not named:
        return None
    signed = [one for one, token in named if token and hmac.compare_digest(token, _token(id_key, office_id, one))]
    for reference in dict.fromkeys((*signed, *(one for one, _ in named))):
        query = sa.select(Case.id).where(Case.office_id == office_id, Case.reference == reference)
        case_id = session.scalar(query)
        if case_id is not None:
            case_id = standing(session, case_id)
            of_author = _conversation(session, case_id, item, identity_id, person_id)
            return Meant(case_id, reference in signed, of_author)
    return None


def standing(session: Session, case_id: int) -> int:
    """The case itself, or the one that it was joined to, however often."""
    query = sa.select(Case.merged_into_id).where(Case.id == sa.bindparam("case_id"))
    while (joined_to := session.scalar(query, {"case_id": case_id})) is not None:
        case_id = joined_to
    return case_id


def _named(prefix: str, item: Item) -> Iterator[tuple[str, str]]:
    for text in (item.subject, item.text[:_LOOKED_AT]):
        if f"{prefix}-" in text:
            yield from [(found[1], found[2] or "") for found in _WRITTEN.finditer(text)][:_MOST]


def _conversation(session: Session, case_id: int, item: Item, identity_id: int, person_id: int) -> int | None:
    took_part = sa.exists().where(
        Participant.conversation_id == Conversation.id, Participant.identity_id == identity_id
    )
    return session.scalar(
        sa.select(Conversation.id)
        .where(
            Conversation.case_id == case_id,
            Conversation.kind == item.kind,
            Conversation.audience == item.audience,
            sa.or_(took_part, Conversation.person_id == person_id),
        )
        .order_by(Conversation.last_at.desc(), Conversation.id.desc())
        .limit(1)
    )


def _token(id_key: bytes, office_id: int, reference: str) -> str:
    """Thirty bits of an HMAC: enough where every guess is a mail that a person sees."""
    whole = hmac.digest(id_key, f"reference:{office_id}:{reference}".encode(), hashlib.sha256)
    return base64.b32encode(whole[:5]).decode().lower()[:6]
