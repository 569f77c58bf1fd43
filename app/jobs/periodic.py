"""Work that recurs: whoever finds it due defers it, one of all workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.clock import now
from app.db import Database
from app.jobs.actions import defer
from app.jobs.kinds import Kind
from app.jobs.models import Rhythm

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Recurring:
    """``kind`` (with key 0) each ``every``, counted from midnight UTC plus ``offset``. What was missed is done once."""

    kind: Kind
    every: timedelta
    offset: timedelta = timedelta(0)

    def after(self, moment: datetime) -> datetime:
        """The next time that is later than ``moment``."""
        return moment + self.every - (moment - _BEGINNING - self.offset) % self.every


def defer_due(database: Database, recurring: Sequence[Recurring]) -> None:
    """Defer what is due; where several workers find it at once, the first to move it on does."""
    at = now()
    with database.reading() as session:
        known = {rhythm.kind: rhythm.due_at for rhythm in session.scalars(sa.select(Rhythm))}
    due = [each for each in recurring if known.get(each.kind, at) <= at]
    if due:
        with database.transaction() as session:
            for each in due:
                if _moved_on(session, each, at, is_new=each.kind not in known):
                    defer(session, each.kind)


def _moved_on(session: Session, each: Recurring, at: datetime, *, is_new: bool) -> bool:
    if is_new:
        session.execute(_insert_or_ignore(session, each.kind, at))
    is_due = sa.and_(Rhythm.kind == each.kind, Rhythm.due_at <= at)
    moved = sa.update(Rhythm).where(is_due).values(due_at=each.after(at)).returning(Rhythm.kind)
    return session.scalar(moved) is not None


def _insert_or_ignore(session: Session, kind: Kind, at: datetime) -> sa.Executable:
    from sqlalchemy.dialects import postgresql, sqlite

    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    return insert(Rhythm).values(kind=kind.value, due_at=at).on_conflict_do_nothing()
