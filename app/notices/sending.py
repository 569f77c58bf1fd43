"""The jobs that send mail to staff. One step each: read and commit, speak with the server, write down what it said.

A mail may go out twice when a worker dies between the server's yes and our note of it: for a notice that does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app.clock import now
from app.deployment import Deployment
from app.errors import Problem
from app.notices.actions import TEST
from app.notices.models import Notice, NoticeState
from app.notices.post import Undeliverable, post
from app.notices.writing import write
from app.staff.joining import address
from app.staff.models import Link, Staff

_log = structlog.stdlib.get_logger(__name__)


def send_notice(deployment: Deployment, notice_id: int) -> None:
    """Send a notice; raises Problem when it may go better later."""
    with deployment.database.transaction() as session:
        notice = session.get(Notice, notice_id)
        if notice is None or notice.state is NoticeState.SENT:
            return
        staff = session.get_one(Staff, notice.staff_id)
        notice.attempts += 1
        name, to, facts = notice.name, (staff.name, staff.email), dict(notice.facts)
    _send(deployment, notice_id, name, to, facts)


def mail_link(deployment: Deployment, link_id: int) -> None:
    """Mail an invitation or a reset, with a random part made just now; one that nobody may use any more is dropped."""
    with deployment.database.transaction() as session:
        link = session.get(Link, link_id)
        if link is None or link.staff_id is None or link.used_at is not None or link.ends_at <= now():
            return
        staff = session.get_one(Staff, link.staff_id)
        by = session.get(Staff, link.made_by_id) if link.made_by_id else None
        notice = _notice_of(session, link)
        notice.attempts += 1
        session.flush()
        facts = {"href": address(deployment.settings, link), "by": by.name if by else "", "ends_at": link.ends_at}
        notice_id, name, to = notice.id, notice.name, (staff.name, staff.email)
    _send(deployment, notice_id, name, to, facts)


def _notice_of(session: Session, link: Link) -> Notice:
    found = session.scalar(sa.select(Notice).where(Notice.link_id == link.id))
    if found is None:
        found = Notice(name=link.purpose.value, staff_id=link.staff_id or 0, link_id=link.id, made_at=now())
        session.add(found)
    return found


def _send(deployment: Deployment, notice_id: int, name: str, to: tuple[str, str], facts: Mapping[str, Any]) -> None:
    settings = deployment.settings
    if not settings.mail_host:
        _settle(deployment, notice_id, "Mail to staff is not set up here: see POSTBAG_MAIL_HOST.")
        return
    values = {**facts, "name": to[0], "office_href": str(settings.public_url)}
    mail = write(name, sender=settings.mail_from or settings.mail_user, to=to, at=now(), values=values)
    try:
        post(settings, mail)
    except Problem as problem:
        _settle(deployment, notice_id, str(problem))
        if isinstance(problem, Undeliverable) or name == TEST:  # whoever tries it is watching, and tries again
            return
        raise
    _settle(deployment, notice_id, "")


def _settle(deployment: Deployment, notice_id: int, trouble: str) -> None:
    with deployment.database.transaction() as session:
        notice = session.get_one(Notice, notice_id)
        notice.trouble = trouble
        notice.state = NoticeState.FAILED if trouble else NoticeState.SENT
        notice.sent_at = None if trouble else now()
    if trouble:
        _log.warning("notice not sent", notice=notice_id)
