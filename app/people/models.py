"""Rows of people who write to the office."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Joined(StrEnum):
    """How an identity came to a person: never by a name alone."""

    FIRST_SEEN = "first_seen"
    BY_HAND = "by_hand"


class Person(Base):
    """Somebody who writes, or somebody it is about."""

    __tablename__ = "person"
    __table_args__ = (sa.Index("ix_person_office_id_name", "office_id", "name", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    name: Mapped[str]
    first_seen_at: Mapped[datetime]
    postcode: Mapped[str] = mapped_column(default="")
    ward: Mapped[str] = mapped_column(default="")
    language: Mapped[str] = mapped_column(default="")
    remarks: Mapped[str] = mapped_column(default="")
    is_officer: Mapped[bool] = mapped_column(default=False)
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    erased_at: Mapped[datetime | None] = mapped_column(default=None)


class Identity(Base):
    """A handle or address on one channel."""

    __tablename__ = "identity"
    __table_args__ = (
        sa.UniqueConstraint("office_id", "channel", "external_id"),
        sa.Index("ix_identity_person_id", "person_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))
    channel: Mapped[str]
    external_id: Mapped[str]
    handle: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    url: Mapped[str] = mapped_column(default="")
    first_seen_at: Mapped[datetime]
    joined: Mapped[Joined] = mapped_column(default=Joined.FIRST_SEEN)
    joined_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"), default=None)
    joined_at: Mapped[datetime | None] = mapped_column(default=None)
    previous_person_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("person.id"), default=None
    )  # for undoing a join
