"""Rows of answers on their way out."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.cases.models import Purpose
from app.channels.models import Capacity
from app.db import Base
from app.leases import Leased
from connectors import Audience


class Mode(StrEnum):
    """What is being written."""

    REPLY = "reply"
    NOTE = "note"


class Draft(Base):
    """Words being written.

    One per person, conversation and mode, so that a draft never turns up in the wrong conversation.
    """

    __tablename__ = "draft"
    __table_args__ = (
        sa.UniqueConstraint("conversation_id", "staff_id", "mode"),
        sa.Index("ix_draft_staff_id", "staff_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    case_id: Mapped[int] = mapped_column(sa.ForeignKey("case.id"), index=True)
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    mode: Mapped[Mode]
    text: Mapped[str]
    purpose: Mapped[Purpose] = mapped_column(default=Purpose.ANSWER)
    promised_on: Mapped[date | None] = mapped_column(default=None)
    seen_message_id: Mapped[int] = mapped_column(default=0)  # the newest message the writer had before them
    recipients: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)  # only where others than usual were chosen
    saved_at: Mapped[datetime]


class Enclosure(Base):
    """A file that goes with a reply: the draft's until that is sent, the reply's from then on. Its bytes are stored."""

    __tablename__ = "enclosure"
    __table_args__ = (sa.CheckConstraint("(draft_id IS NULL) <> (reply_id IS NULL)", name="one_draft_or_reply"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    draft_id: Mapped[int | None] = mapped_column(sa.ForeignKey("draft.id"), index=True, default=None)
    reply_id: Mapped[int | None] = mapped_column(sa.ForeignKey("reply.id"), index=True, default=None)
    name: Mapped[str]
    media_type: Mapped[str]  # by content
    size: Mapped[int]
    sha256: Mapped[str]


class Sending(StrEnum):
    """queued → sending → sent | failed | uncertain; queued → withdrawn.

    Failed, uncertain → queued | withdrawn | sent, by a person or a probe.
    """

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    WITHDRAWN = "withdrawn"


class Reply(Leased, Base):
    """A row of the outbox. ``prepared`` is fixed before the first attempt: every attempt is the same to the byte.

    Leased by the attempt that is under way.
    """

    __tablename__ = "reply"
    __table_args__ = (
        sa.Index("ix_reply_case_id", "case_id"),
        sa.Index(
            "ix_reply_going",
            "state",
            "send_at",
            sqlite_where=sa.text("state IN ('queued', 'sending')"),
            postgresql_where=sa.text("state IN ('queued', 'sending')"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    case_id: Mapped[int] = mapped_column(sa.ForeignKey("case.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    key: Mapped[str] = mapped_column(unique=True)  # ours: idempotency keys and Message-IDs come from it
    capacity: Mapped[Capacity]
    audience: Mapped[Audience]
    purpose: Mapped[Purpose]
    promised_on: Mapped[date | None] = mapped_column(default=None)
    stays_open: Mapped[bool] = mapped_column(default=False)  # the case stays in the inbox although this answers it
    recipients: Mapped[dict[str, Any]]  # {"to": [[name, external id, handle]…], "cc": …}
    subject: Mapped[str]
    text: Mapped[str]
    language: Mapped[str] = mapped_column(default="")
    seen_message_id: Mapped[int]  # the newest message it answers
    state: Mapped[Sending] = mapped_column(default=Sending.QUEUED)
    queued_at: Mapped[datetime]
    send_at: Mapped[datetime]
    platform_id: Mapped[str] = mapped_column(default="")
    prepared_sha256: Mapped[str] = mapped_column(default="")
    prepared_meta: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    attempts: Mapped[int] = mapped_column(default=0)
    attempted_at: Mapped[datetime | None] = mapped_column(default=None)  # the last time
    trouble: Mapped[str] = mapped_column(default="")
    retry_at: Mapped[datetime | None] = mapped_column(default=None)
    sent_at: Mapped[datetime | None] = mapped_column(default=None)
    url: Mapped[str] = mapped_column(default="")
    receipt_note: Mapped[str] = mapped_column(default="")
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id", use_alter=True), default=None)
    copy_filed_at: Mapped[datetime | None] = mapped_column(default=None)
