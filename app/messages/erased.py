"""What was erased stays away: an erased message is known by a mark alone, and is not taken when it is fetched again.

The mark is an HMAC of the ids by which a message is known, under a key outside the database. It tells nobody which
message it was, and outlives rows: a restore of an older backup brings it back from the list of erasures.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.messages.models import ErasedMessage
from app.secrets import keyed_hash
from app.statements import Statement

_KNOWN: Final = Statement(
    sa.select(sa.literal(1)).where(
        ErasedMessage.office_id == sa.bindparam("office_id"), ErasedMessage.mark == sa.bindparam("mark")
    )
)


def mark(key: str, office_id: int, channel: str, platform_id: str, fingerprint: str) -> str:
    """What the message is known by once it is erased; ``key`` is ``Keys.ids``."""
    return keyed_hash(key, "erased message", office_id, channel, platform_id, fingerprint)


def is_erased(session: Session, office_id: int, mark: str) -> bool:
    """Whether a message of that mark was erased in the office."""
    return _KNOWN.row(session, {"office_id": office_id, "mark": mark}) is not None


def keep_away(session: Session, office_id: int, marks: Iterable[str]) -> None:
    """Have messages of these marks stay away from now on."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    rows = [{"office_id": office_id, "mark": mark} for mark in marks]
    if rows:
        session.execute(insert(ErasedMessage).on_conflict_do_nothing(), rows)
