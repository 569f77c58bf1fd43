"""Questions about work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.models import Setback


@dataclass(frozen=True, kw_only=True, slots=True)
class Parked:
    """A job that is not tried again by itself. ``kind`` is a ``Kind``, or a word that this version no longer knows."""

    kind: str
    key: int
    failures: int
    first_at: datetime
    parked_at: datetime
    trouble: str


def parked(session: Session) -> list[Parked]:
    """What has failed too often, longest first."""
    rows = session.scalars(sa.select(Setback).where(Setback.parked_at.is_not(None)).order_by(Setback.parked_at))
    return [
        Parked(
            kind=row.kind,
            key=row.key,
            failures=row.failures,
            first_at=row.first_at,
            parked_at=row.parked_at or row.last_at,
            trouble=row.trouble,
        )
        for row in rows
    ]
