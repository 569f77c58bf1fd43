"""Deferring work, and giving what is parked another chance."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs import embedded, procrastinate
from app.jobs.kinds import Kind
from app.jobs.models import Setback


def defer(session: Session, kind: Kind, key: int = 0, run_at: datetime | None = None) -> None:
    """Have ``kind`` done for ``key`` at ``run_at`` (now): in the caller's transaction, so that both happen or neither.

    When the same waits already, the earlier time counts. When it runs just now, it will run once more afterwards.
    """
    engine = embedded if session.get_bind().dialect.name == "sqlite" else procrastinate
    engine.put(session, kind, key, run_at)


def retry(session: Session, kind: Kind, key: int) -> None:
    """Try it again now, as often as if it had never failed."""
    session.execute(sa.delete(Setback).where(Setback.kind == kind, Setback.key == key))
    defer(session, kind, key)
