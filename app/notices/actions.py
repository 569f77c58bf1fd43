"""Telling somebody of the office something by mail. The sending itself is a job (``sending``)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.notices.models import Notice

TEST = "test"


def notify(session: Session, name: str, staff_id: int, *, about: str = "", at: datetime, **facts: Any) -> Notice:
    """Have the mail ``templates/mail/<name>`` sent to somebody; ``facts`` are what it says beside their name."""
    notice = Notice(name=name, staff_id=staff_id, about=about, facts=facts, made_at=at)
    session.add(notice)
    session.flush()
    jobs.defer(session, jobs.Kind.SEND_NOTICE, notice.id)
    return notice


def try_mail(session: Session, staff_id: int, *, at: datetime) -> Notice:
    """A mail to oneself, to see whether mail to staff works."""
    notice = notify(session, TEST, staff_id, at=at)
    record(session, "try_mail", "notice", notice.id, office_id=0, by=staff_id)
    return notice
