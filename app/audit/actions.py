"""Writing the audit trail."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app.audit.models import AuditLine
from app.clock import now
from app.statements import insert


def record(
    session: Session, verb: str, kind: str, object_id: int, /, *, office_id: int, by: int | None, **facts: Any
) -> None:
    """Add a line to the trail of ``office_id`` (0: of the install).

    Written in the same transaction as what it tells of.

    ``facts`` are ids, dates in ISO form and words of a fixed list: what people wrote stays out, so that erasing it
    leaves the trail whole.
    """
    insert(
        session,
        AuditLine(
            office_id=office_id, at=now(), actor_id=by, verb=verb, object_kind=kind, object_id=object_id, facts=facts
        ),
    )
