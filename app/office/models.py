"""Rows of an office: itself, its pledge, its closures, its queues, and the counters behind speakable references."""

from __future__ import annotations

from datetime import date, datetime, time
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.deadlines.holidays import Nation


class Office(Base):
    """The tenant: nothing crosses offices but what a person shares, case by case, with a reason."""

    __tablename__ = "office"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]  # "Cllr Tansy Quillfeather"
    place: Mapped[str] = mapped_column(default="")  # "Millpond & Ashgrove, Fernmoor"
    prefix: Mapped[str]  # of references: "MA" in MA-26-0147
    nation: Mapped[Nation]
    created_at: Mapped[datetime]
    undo_seconds: Mapped[int] = mapped_column(default=60)
    signatures: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)  # below mail, by the role it is sent in
    waking_from: Mapped[time] = mapped_column(default=time(7))
    waking_until: Mapped[time] = mapped_column(default=time(22))
    retention_months: Mapped[int] = mapped_column(default=12)
    house_rules: Mapped[str] = mapped_column(default="")
    set_up_at: Mapped[datetime | None] = mapped_column(default=None)  # the wizard is done


class Track(StrEnum):
    """Which kind of message a pledge speaks of (domain.md section 2: it may differ for these)."""

    PUBLIC = "public"
    DIRECT = "direct"
    OTHER = "other"  # mail and everything else


class Pledge(Base):
    """What the office has promised residents, in working days. Versioned.

    An obligation keeps the pledge it was opened under.
    """

    __tablename__ = "pledge"
    __table_args__ = (sa.UniqueConstraint("office_id", "kind", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    kind: Mapped[Track]
    version: Mapped[int]
    valid_from: Mapped[datetime]
    acknowledge_days: Mapped[int] = mapped_column(default=2)
    answer_days: Mapped[int] = mapped_column(default=10)
    update_days: Mapped[int] = mapped_column(default=10)
    officer_acknowledge_days: Mapped[int] = mapped_column(default=1)
    officer_answer_days: Mapped[int] = mapped_column(default=10)


class Closure(Base):
    """Days on which this office does not work although others do."""

    __tablename__ = "closure"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"), index=True)
    first_on: Mapped[date]
    last_on: Mapped[date]
    name: Mapped[str]


class Holiday(Base):
    """A correction of the holiday table that ships with the program: a day added to a nation's, or taken from it."""

    __tablename__ = "holiday"
    __table_args__ = (sa.UniqueConstraint("nation", "day_on"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    nation: Mapped[Nation]
    day_on: Mapped[date]
    name: Mapped[str]
    is_holiday: Mapped[bool] = mapped_column(default=True)


class HolidayList(Base):
    """The newest published list of a nation's holidays that an administrator has read in: how far it reaches."""

    __tablename__ = "holiday_list"

    nation: Mapped[Nation] = mapped_column(primary_key=True)
    known_until: Mapped[date]
    read_at: Mapped[datetime]


class Queue(Base):
    """Where a case waits that nobody has: every office has "Unassigned"."""

    __tablename__ = "queue"
    __table_args__ = (sa.UniqueConstraint("office_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    name: Mapped[str]
    is_default: Mapped[bool] = mapped_column(default=False)


class Numbering(Base):
    """The last reference given out in a year: counted under the row's lock, so that no two cases share one."""

    __tablename__ = "numbering"

    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"), primary_key=True)
    year: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(default=0)
