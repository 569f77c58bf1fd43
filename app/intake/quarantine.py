"""What could not be read: kept with its bytes, shown with the reason, tried again when somebody says so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.channels.models import Account, Stream
from app.errors import Conflict, Missing
from app.intake.sightings import NO_BYTES
from app.messages.models import Reading, Sighting


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """One item that waits for a person or a newer reader. Its bytes are in the store under ``sha256``.

    That is empty where the platform lists the item and does not hand it out.
    """

    sighting_id: int
    office_id: int
    account_id: int
    channel: str
    account: str
    stream: str
    external_id: str
    sha256: str
    size: int
    arrived_at: datetime | None
    fetched_at: datetime
    trouble: str


def quarantined(session: Session, office_ids: Collection[int], *, limit: int = 100) -> list[Quarantined]:
    """What waits in quarantine, the newest first."""
    query = (
        sa.select(
            Sighting.id.label("sighting_id"),
            Sighting.office_id,
            Sighting.account_id,
            Account.channel,
            Account.name.label("account"),
            Stream.name.label("stream"),
            Sighting.external_id,
            Sighting.sha256,
            Sighting.size,
            Sighting.arrived_at,
            Sighting.fetched_at,
            Sighting.trouble,
        )
        .join(Account, Account.id == Sighting.account_id)
        .join(Stream, Stream.id == Sighting.stream_id)
        .where(*_of(office_ids))
        .order_by(Sighting.id.desc())
        .limit(limit)
    )
    return [Quarantined(**row) for row in session.execute(query).mappings()]


def count(session: Session, office_ids: Collection[int]) -> int:
    """How many items wait in quarantine."""
    query = sa.select(sa.func.count()).select_from(Sighting).join(Account, Account.id == Sighting.account_id)
    return session.scalar(query.where(*_of(office_ids))) or 0


def sighting(session: Session, office_id: int, sighting_id: int) -> Sighting:
    """A sighting of the office; raises Missing for anybody else's."""
    found = session.get(Sighting, sighting_id)
    if found is None or found.office_id != office_id:
        raise Missing
    return found


def one_of(session: Session, office_ids: Collection[int], sighting_id: int) -> Sighting:
    """A sighting of one of these offices; raises Missing for anybody else's."""
    found = session.get(Sighting, sighting_id)
    if found is None or found.office_id not in office_ids:
        raise Missing
    return found


def with_bytes(session: Session, office_ids: Collection[int], sighting_id: int) -> Sighting:
    """A sighting of one of these offices that can be shown; raises Missing for others, and for what was withheld."""
    found = one_of(session, office_ids, sighting_id)
    if found.sha256 == NO_BYTES:
        raise Missing("The server does not hand it out.")
    return found


def retry(session: Session, item: Sighting, *, by: int | None) -> None:
    """Have it read again, or fetched where it was withheld, by a job.

    Raises Conflict when it does not wait in quarantine.
    """
    if item.state is not Reading.QUARANTINED:
        raise Conflict("This does not wait in quarantine.")
    if item.sha256 == NO_BYTES:
        jobs.defer(session, jobs.Kind.FETCH_AGAIN, item.id)
    else:
        item.state = Reading.WAITING
        jobs.defer(session, jobs.Kind.TAKE_SIGHTINGS, item.account_id)
    record(session, "retry", "sighting", item.id, office_id=item.office_id, by=by)


def _of(office_ids: Collection[int]) -> tuple[sa.ColumnElement[bool], ...]:
    # By way of the account: the index of what is not taken begins with it, and is small however much was taken.
    return (
        Account.office_id.in_(office_ids),
        sa.text("sighting.state <> 'taken'"),  # type: ignore[return-value]  # as the index says it
        Sighting.state == Reading.QUARANTINED,
    )
