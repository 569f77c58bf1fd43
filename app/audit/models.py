"""The row of the audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class AuditLine(Base):
    """One thing done or seen. ``facts`` holds ids, dates and words of a fixed list, never what anybody wrote.

    ``seal`` chains the line to the one before it in its office (0: of the install), by an HMAC whose key is outside the
    database; a job adds it, in the order of ids, so that writing a line costs nothing and waits for nobody.
    """

    __tablename__ = "audit_line"
    __table_args__ = (
        sa.Index("ix_audit_line_office_id_id", "office_id", "id"),
        sa.Index("ix_audit_line_object", "object_kind", "object_id", "id"),
        sa.Index(
            "ix_audit_line_unsealed",
            "office_id",
            "id",
            sqlite_where=sa.text("seal = ''"),
            postgresql_where=sa.text("seal = ''"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int]  # 0: of the install
    at: Mapped[datetime]
    actor_id: Mapped[int | None]  # NULL: the program itself
    verb: Mapped[str]
    object_kind: Mapped[str]
    object_id: Mapped[int]
    facts: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    seal: Mapped[str] = mapped_column(default="", repr=False)
