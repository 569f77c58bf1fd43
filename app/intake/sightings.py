"""What a platform showed, written down: sightings with their bytes in the store, and what it did not hand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.messages.models import Reading, Sighting
from connectors import Raw, Withheld

NO_BYTES: Final = ""  # the hash of what was withheld


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where sightings come from."""

    office_id: int
    account_id: int
    stream_id: int
    connected_at: datetime | None


def keep(session: Session, origin: Origin, raws: Sequence[Raw], hashes: Sequence[str], at: datetime) -> int:
    """Write down what is not there yet, its bytes being in the store and synced; how many that were."""
    rows = [_row(origin, raw, sha256, at) for raw, sha256 in zip(raws, hashes, strict=True)]
    return len(_insert(session, rows))


def withhold(session: Session, origin: Origin, withheld: Sequence[Withheld], at: datetime) -> None:
    """Put what the platform lists and does not hand out where people see it: in quarantine, with no bytes."""
    rows = [
        {
            **_places(origin),
            "external_id": one.external_id,
            "size": 0,
            "sha256": NO_BYTES,
            "arrived_at": None,
            "fetched_at": at,
            "is_backlog": False,
            "state": Reading.QUARANTINED,
            "trouble": one.reason,
        }
        for one in withheld
    ]
    for sighting_id in _insert(session, rows):
        record(session, "quarantine", "sighting", sighting_id, office_id=origin.office_id, by=None)


def size(raw: Raw) -> int:
    """How many bytes an item has."""
    return len(raw.content) if isinstance(raw.content, bytes) else raw.content.stat().st_size


def forget_spool(raws: Sequence[Raw]) -> None:
    """Large items came in files of their own; they lie in the store now, or are fetched again."""
    for raw in raws:
        if isinstance(raw.content, Path):
            raw.content.unlink(missing_ok=True)


def _row(origin: Origin, raw: Raw, sha256: str, at: datetime) -> dict[str, object]:
    arrived_at = raw.arrived_at
    return {
        **_places(origin),
        "external_id": raw.external_id,
        "size": size(raw),
        "sha256": sha256,
        "arrived_at": arrived_at,
        "fetched_at": at,
        "is_backlog": origin.connected_at is not None and (arrived_at or at) < origin.connected_at,
        "state": Reading.WAITING,
    }


def _places(origin: Origin) -> dict[str, object]:
    return {"office_id": origin.office_id, "account_id": origin.account_id, "stream_id": origin.stream_id}


def _insert(session: Session, rows: list[dict[str, object]]) -> Sequence[int]:
    """Insert what is not there yet; the ids of that."""
    if not rows:
        return ()
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    query = insert(Sighting).on_conflict_do_nothing().returning(Sighting.id)
    return session.scalars(query, rows).all()
