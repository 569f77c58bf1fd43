"""Rows of work that is due.

On PostgreSQL Procrastinate's own tables hold what waits and runs; the rest is the same on both databases.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Job(Base):
    """Something that waits, or runs: then a worker is its ``owner`` until ``lease_until``."""

    __tablename__ = "job"
    __table_args__ = (
        sa.Index(
            "uq_job_waiting",
            "kind",
            "key",
            unique=True,
            sqlite_where=sa.text("owner IS NULL"),
            postgresql_where=sa.text("owner IS NULL"),
        ),
        sa.Index(
            "uq_job_running",
            "kind",
            "key",
            unique=True,
            sqlite_where=sa.text("owner IS NOT NULL"),
            postgresql_where=sa.text("owner IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    kind: Mapped[str]
    key: Mapped[int]
    priority: Mapped[int]
    run_at: Mapped[datetime]
    owner: Mapped[str | None] = mapped_column(default=None)
    lease_until: Mapped[datetime | None] = mapped_column(
        default=None
    )  # by the wall clock, also where the office's differs


class Setback(Base):
    """A job that has failed since it last went well. Parked: tried so often that a person should look."""

    __tablename__ = "setback"

    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    failures: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    trouble: Mapped[str]  # a sentence, or the kind of error and where it arose; never what anybody wrote
    parked_at: Mapped[datetime | None] = mapped_column(default=None)


class Rhythm(Base):
    """When something that recurs is due next; whoever moves this on defers it."""

    __tablename__ = "rhythm"

    kind: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]
