"""Rows of connected accounts."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.leases import Leased
from connectors import Way


class Capacity(StrEnum):
    """In which role something is said.

    It decides whether the Code of Conduct applies and who the data controller is.
    """

    COUNCIL = "council"
    COUNCILLOR = "councillor"
    PARTY = "party"
    PRIVATE = "private"


class State(StrEnum):
    """Where an account stands. trying (→ signing_in → trying) → tried | refused (before it is saved); active ⇄ paused.

    Active → needs_you → active; → removed.
    """

    SIGNING_IN = "signing_in"  # a person has to sign in at the platform's page first
    TRYING = "trying"
    TRIED = "tried"
    REFUSED = "refused"
    ACTIVE = "active"
    PAUSED = "paused"
    NEEDS_YOU = "needs_you"
    REMOVED = "removed"


class Account(Leased, Base):
    """One account at one platform. ``options`` are what the form asked; its secrets are in ``sealed``, apart.

    Leased by the poll that is under way.
    """

    __tablename__ = "account"
    __table_args__ = (sa.Index("ix_account_office_id_state", "office_id", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    channel: Mapped[str]
    name: Mapped[str]  # as people call it: the address, the page's name
    display_name: Mapped[str] = mapped_column(default="")  # as it signs what it sends
    capacity: Mapped[Capacity] = mapped_column(default=Capacity.COUNCILLOR)
    state: Mapped[State] = mapped_column(default=State.TRYING)
    options: Mapped[dict[str, Any]]
    sealed: Mapped[bytes | None] = mapped_column(default=None, repr=False)
    own_ids: Mapped[list[Any]] = mapped_column(default_factory=list)  # external ids under which the platform knows us
    since_at: Mapped[datetime | None] = mapped_column(
        default=None
    )  # nothing that arrived earlier was fetched; NULL: all
    created_at: Mapped[datetime]
    connected_at: Mapped[datetime | None] = mapped_column(default=None)
    checked_at: Mapped[datetime | None] = mapped_column(default=None)
    check_result: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    first_refused_at: Mapped[datetime | None] = mapped_column(
        default=None
    )  # three strikes over an hour before "needs you"
    refusals: Mapped[int] = mapped_column(default=0)
    credentials_version: Mapped[int] = mapped_column(default=1)  # a kept connection with an older one is hung up


class Step(StrEnum):
    """How far a person's sign-in at the platform has come: see ``app.channels.signing_in``."""

    ASKED = "asked"
    WAITING = "waiting"
    ANSWERED = "answered"
    GIVEN = "given"
    FAILED = "failed"


class Access(Leased, Base):
    """A person's sign-in at the platform's own page, for one account: what they are asked, and the tokens it gave.

    The lease is of whoever renews the tokens.
    """

    __tablename__ = "access"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), unique=True)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    step: Mapped[Step] = mapped_column(default=Step.ASKED)
    way: Mapped[Way]
    turn: Mapped[int] = mapped_column(default=0)  # a job of an earlier one keeps nothing
    began_at: Mapped[datetime]
    url: Mapped[str] = mapped_column(default="")
    code: Mapped[str] = mapped_column(default="")
    ends_at: Mapped[datetime | None] = mapped_column(default=None)
    interval: Mapped[timedelta] = mapped_column(sa.Interval(native=False), default=timedelta(0))
    next_at: Mapped[datetime | None] = mapped_column(default=None)
    trouble: Mapped[str] = mapped_column(default="")
    asking: Mapped[bytes | None] = mapped_column(default=None, repr=False)  # sealed: what the platform wants back
    sealed: Mapped[bytes | None] = mapped_column(default=None, repr=False)  # the tokens
    given_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def is_moving(self) -> bool:
        """Whether a job is about to take the next step, with nothing for the person to do meanwhile."""
        return self.step in {Step.ASKED, Step.ANSWERED}


class Stream(Base):
    """One thing polled in an account, with the cursor that neither misses nor doubles, and its health."""

    __tablename__ = "stream"
    __table_args__ = (sa.UniqueConstraint("account_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"), index=True)
    key: Mapped[str]
    name: Mapped[str]
    interval: Mapped[timedelta] = mapped_column(sa.Interval(native=False))
    is_junk: Mapped[bool] = mapped_column(default=False)
    is_ours: Mapped[bool] = mapped_column(default=False)  # what the account's owner wrote lies there
    is_wanted: Mapped[bool] = mapped_column(default=True)
    cursor: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    added_at: Mapped[datetime]
    caught_up_at: Mapped[datetime | None] = mapped_column(default=None)  # the last time nothing was left to fetch
    last_good_at: Mapped[datetime | None] = mapped_column(default=None)
    last_item_at: Mapped[datetime | None] = mapped_column(default=None)
    next_at: Mapped[datetime | None] = mapped_column(default=None)
    listened_until: Mapped[datetime | None] = mapped_column(default=None)  # a worker hears of news as it comes
    failing_since: Mapped[datetime | None] = mapped_column(default=None)
    failures: Mapped[int] = mapped_column(default=0)
    trouble: Mapped[str] = mapped_column(default="")  # what the platform answered, in a sentence
    trouble_kind: Mapped[str] = mapped_column(default="")
    waiting: Mapped[int | None] = mapped_column(default=None)


class KnownGap(Base):
    """A stretch that a walk could not cover: stands until a person has looked at it."""

    __tablename__ = "gap"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    stream_id: Mapped[int] = mapped_column(sa.ForeignKey("stream.id"), index=True)
    since_at: Mapped[datetime | None]
    until_at: Mapped[datetime | None]
    reason: Mapped[str]
    found_at: Mapped[datetime]
    settled_at: Mapped[datetime | None] = mapped_column(default=None)


class Heartbeat(Base):
    """A worker is alive: written every few seconds, read by every page."""

    __tablename__ = "heartbeat"

    worker: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
