"""Watching the accounts: when one stops, the councillors of its office are told by mail, once, in waking hours.

Every page says it too, worked out from the rows alone (``app.pages``); this mail is for whoever is not looking.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.channels.queries import Health, StreamHealth, alarm
from app.clock import now
from app.deadlines.waking import is_waking
from app.deployment import Deployment
from app.notices.actions import notify
from app.notices.models import Notice
from app.office.queries import offices
from app.staff.models import Membership, Role, Staff
from app.web.filters import moment

STOPPED: Final = "stopped"


def watch_health(deployment: Deployment, _: int) -> None:
    """The job: a mail for every account that stopped and of which nobody was told yet (reliability.md section 1.5)."""
    at = now()
    with deployment.database.transaction() as session:
        for office in offices(session):
            if is_waking(at, office.waking_from, office.waking_until):
                _tell(session, str(deployment.settings.public_url), _stopped(session, office.id, at), at)


def _stopped(session: Session, office_id: int, at: datetime) -> list[StreamHealth]:
    """One stream of each account that needs a person, or was tried and not reached for too long."""
    troubled = {
        one.account_id: one
        for one in alarm(session, [office_id], at).streams
        if one.health is Health.NEEDS_YOU or (one.health is Health.LATE and one.trouble)
    }
    return list(troubled.values())


def _tell(session: Session, public_url: str, stopped: Iterable[StreamHealth], at: datetime) -> None:
    for one in stopped:
        about = f"account {one.account_id} since {one.last_good_at or one.since}"
        if session.scalar(sa.select(Notice.id).where(Notice.about == about).limit(1)) is not None:
            continue
        for staff_id in _who_is_told(session, one.office_id):
            notify(
                session,
                STOPPED,
                staff_id,
                about=about,
                at=at,
                account=one.account,
                needs_you=one.health is Health.NEEDS_YOU,
                checked_at=moment(one.last_good_at) if one.last_good_at else "",
                trouble=one.trouble,
                href=f"{public_url.rstrip('/')}/accounts/{one.account_id}",
            )


def _who_is_told(session: Session, office_id: int) -> list[int]:
    """The councillors of the office; where it has none, whoever looks after the install."""
    councillors = sa.select(Membership.staff_id).where(
        Membership.office_id == office_id, Membership.ended_at.is_(None), Membership.role == Role.COUNCILLOR
    )
    administrators = sa.select(Staff.id).where(Staff.is_administrator, Staff.active)
    return list(session.scalars(councillors)) or list(session.scalars(administrators))
