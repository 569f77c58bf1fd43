"""Questions about mail to staff."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Missing
from app.notices.models import Notice


def notice(session: Session, notice_id: int, staff_id: int) -> Notice:
    """A notice to this person; raises Missing for anybody else's."""
    found = session.scalar(sa.select(Notice).where(Notice.id == notice_id, Notice.staff_id == staff_id))
    if found is None:
        raise Missing
    return found


def latest(session: Session, staff_id: int, name: str) -> Notice | None:
    """The last notice of one kind to this person."""
    query = sa.select(Notice).where(Notice.staff_id == staff_id, Notice.name == name)
    return session.scalar(query.order_by(Notice.id.desc()).limit(1))
