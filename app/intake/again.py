"""Fetching again what a platform listed and did not hand out, once somebody says so: a job for one sighting."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import jobs
from app.channels.connecting import Line, line
from app.channels.models import Account, Stream
from app.deployment import Deployment
from app.errors import Problem
from app.intake.sightings import NO_BYTES, forget_spool, size
from app.messages.models import Reading, Sighting
from connectors import ConnectorError, FetchesAgain, Raw

GONE = "It is no longer in the mailbox."
NOT_HERE = "This channel cannot fetch one message by itself."


def fetch_again(deployment: Deployment, sighting_id: int) -> datetime | None:
    """The job: fetch one withheld item and have it read, or write down why it is still not there."""
    with deployment.database.reading() as session:
        sighting = session.get(Sighting, sighting_id)
        if sighting is None or not _is_withheld(sighting):
            return None
        stream = session.get_one(Stream, sighting.stream_id)
        try:
            its_line: Line | Problem = line(session, deployment, sighting.account_id)
        except Problem as problem:
            its_line = problem
    raw = its_line if isinstance(its_line, Problem) else _fetched(deployment, its_line, stream.key, sighting)
    if isinstance(raw, Raw):
        _keep(deployment, sighting, raw)
    else:
        _note(deployment, sighting_id, str(raw))
    return None


def _fetched(deployment: Deployment, its_line: Line, stream: str, sighting: Sighting) -> Raw | ConnectorError | str:
    """The item, or why there is none. No transaction is open here."""
    try:
        with its_line.use(deployment) as connection:
            if not isinstance(connection, FetchesAgain):
                return NOT_HERE
            return connection.again(stream, sighting.external_id) or GONE
    except ConnectorError as error:
        return error


def _keep(deployment: Deployment, sighting: Sighting, raw: Raw) -> None:
    try:
        [sha256] = deployment.store.put_all(sighting.office_id, [raw.content])
        with deployment.database.transaction() as session:
            held = session.get(Sighting, sighting.id, with_for_update=True)
            if held is not None and _is_withheld(held):
                _complete(session, held, raw, sha256)
    finally:
        forget_spool([raw])


def _complete(session: Session, held: Sighting, raw: Raw, sha256: str) -> None:
    same = sa.select(Sighting.id).where(
        Sighting.account_id == held.account_id,
        Sighting.stream_id == held.stream_id,
        Sighting.external_id == held.external_id,
        Sighting.sha256 == sha256,
    )
    if session.scalar(same) is not None:
        session.delete(held)  # a walk from the folder's start has brought it meanwhile
        return
    connected_at = session.get_one(Account, held.account_id).connected_at
    arrived_at = raw.arrived_at or held.fetched_at
    held.sha256, held.size, held.arrived_at = sha256, size(raw), raw.arrived_at
    held.is_backlog = connected_at is not None and arrived_at < connected_at
    held.state, held.trouble = Reading.WAITING, ""
    jobs.defer(session, jobs.Kind.TAKE_SIGHTINGS, held.account_id)


def _note(deployment: Deployment, sighting_id: int, trouble: str) -> None:
    with deployment.database.transaction() as session:
        session.execute(
            sa.update(Sighting)
            .where(Sighting.id == sighting_id, Sighting.state == Reading.QUARANTINED, Sighting.sha256 == NO_BYTES)
            .values(trouble=trouble)
        )


def _is_withheld(sighting: Sighting) -> bool:
    return sighting.state is Reading.QUARANTINED and sighting.sha256 == NO_BYTES
