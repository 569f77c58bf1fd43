"""Remote pictures of a mail: left where they are until a reader asks, then fetched by us once and kept for all.

Pictures that only count readers are never fetched (``sanitise.trackers``). What is fetched is shown from our own store:
no reader's browser ever asks another host (design, "No foreign request").
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.deployment import Deployment
from app.messages.models import Fetching, Message, Picture
from app.messages.sanitise import media_type, pictures
from connectors import ConnectorError, picture

SHOWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
LARGEST: Final = 4 * 1024 * 1024  # bytes of one
MOST: Final = 60  # of one mail


def wanted(message: Message) -> tuple[str, ...]:
    """The addresses of the pictures that a mail would load."""
    return pictures(message.html)[:MOST]


def asked(session: Session, message_id: int) -> list[Picture]:
    """What somebody has asked for already, and what became of it."""
    return list(session.scalars(sa.select(Picture).where(Picture.message_id == message_id).order_by(Picture.id)))


def ask(session: Session, message: Message, *, by: int) -> None:
    """Have the pictures of a mail fetched; those that could not be fetched before are tried once more."""
    session.refresh(message, with_for_update=True)
    known = {one.url: one for one in asked(session, message.id)}
    for url in wanted(message):
        if url not in known:
            session.add(Picture(office_id=message.office_id, message_id=message.id, url=url))
        elif known[url].state is Fetching.REFUSED:
            known[url].state = Fetching.WAITING
    jobs.defer(session, jobs.Kind.FETCH_PICTURES, message.id)
    record(session, "show_pictures", "message", message.id, office_id=message.office_id, by=by, case=message.case_id)


def fetch_pictures(deployment: Deployment, message_id: int) -> None:
    """The job: fetch what waits, one after the other; no transaction is open meanwhile."""
    with deployment.database.reading() as session:
        waiting = [one for one in asked(session, message_id) if one.state is Fetching.WAITING]
    for one in waiting:
        content = _fetched(deployment, one.url)
        kind = media_type(content) if content else ""
        kept: dict[str, object] = {"state": Fetching.REFUSED}
        if kind in SHOWN:
            sha256 = deployment.store.put(one.office_id, content)
            kept = {"state": Fetching.KEPT, "media_type": kind, "size": len(content), "sha256": sha256}
        with deployment.database.transaction() as session:
            session.execute(sa.update(Picture).where(Picture.id == one.id).values(kept))


def _fetched(deployment: Deployment, url: str) -> bytes:
    """The bytes; none where there are none to be had, for whatever reason: the reader can ask again."""
    try:
        return picture(url, deployment.host.allowed_hosts, most=LARGEST)
    except ConnectorError:
        return b""
