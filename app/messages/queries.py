"""Questions about messages that are not made for one page."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Missing
from app.messages.models import File, Message, Sighting


def original(session: Session, message_id: int) -> tuple[int, str]:
    """Office and hash under which the store has a message as the platform showed it first; raises Missing."""
    seen = sa.select(Sighting.office_id, Sighting.sha256).where(Sighting.message_id == message_id)
    seen = seen.where(Sighting.sha256 != "")  # what was erased has no bytes
    found = session.execute(seen.order_by(Sighting.id).limit(1)).first()
    if found is None:
        raise Missing("There is no message %(message)s that a platform showed.", message=message_id)
    return found[0], found[1]


def message(session: Session, message_id: int, offices: Collection[int]) -> Message:
    """The message, if it belongs to one of ``offices``; raises Missing otherwise."""
    found = session.scalar(sa.select(Message).where(Message.id == message_id, Message.office_id.in_(offices)))
    if found is None:
        raise Missing
    return found


def file(session: Session, file_id: int, offices: Collection[int]) -> File:
    """The attachment, if it belongs to one of ``offices``; raises Missing otherwise."""
    found = session.scalar(sa.select(File).where(File.id == file_id, File.office_id.in_(offices)))
    if found is None:
        raise Missing
    return found


def inline_files(session: Session, message_id: int) -> list[File]:
    """The pictures that a mail shows inside its text, by their Content-ID."""
    query = sa.select(File).where(File.message_id == message_id, File.content_id != "")
    return list(session.scalars(query.order_by(File.position)))
