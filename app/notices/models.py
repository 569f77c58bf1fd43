"""The row of a mail to somebody of the office."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class NoticeState(StrEnum):
    """queued → sent | failed; failed → sent when a later try goes through."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class Notice(Base):
    """A mail to somebody of the office. ``name`` is its template in templates/mail, ``facts`` what that says.

    The secret part of a link is not among the facts: it is made when the mail is written and kept nowhere. ``about``
    names what a warning speaks of, so that it is sent once.
    """

    __tablename__ = "notice"
    __table_args__ = (
        sa.Index("ix_notice_staff_id_made_at", "staff_id", "made_at"),
        sa.Index("ix_notice_about", "about"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    link_id: Mapped[int | None] = mapped_column(sa.ForeignKey("link.id"), unique=True, default=None)
    about: Mapped[str] = mapped_column(default="")
    facts: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    made_at: Mapped[datetime]
    state: Mapped[NoticeState] = mapped_column(default=NoticeState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    trouble: Mapped[str] = mapped_column(default="")  # what the server answered, in a sentence
    sent_at: Mapped[datetime | None] = mapped_column(default=None)
