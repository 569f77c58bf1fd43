"""Rows of people who sign in."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Role(StrEnum):
    """What somebody is in an office."""

    COUNCILLOR = "councillor"
    CASEWORKER = "caseworker"
    VIEWER = "viewer"


class Staff(Base):
    """Somebody who signs in. ``is_administrator`` is a flag of the install: alone it shows no casework.

    Without a ``password`` the invitation has not been taken up. With a ``totp_secret`` signing in takes a second step;
    ``totp_counter`` is the last code used, so that none is good twice. Secret and ``recovery_codes`` are sealed.
    """

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    email: Mapped[str] = mapped_column(unique=True)  # folded
    name: Mapped[str]
    created_at: Mapped[datetime]
    password: Mapped[str | None] = mapped_column(default=None, repr=False)
    active: Mapped[bool] = mapped_column(default=True)
    is_administrator: Mapped[bool] = mapped_column(default=False)
    totp_secret: Mapped[str | None] = mapped_column(default=None, repr=False)
    totp_counter: Mapped[int | None] = mapped_column(default=None, repr=False)
    recovery_codes: Mapped[list[Any]] = mapped_column(default_factory=list, repr=False)
    language: Mapped[str] = mapped_column(default="en")
    theme: Mapped[str] = mapped_column(default="auto")  # auto, light, dark
    single_keys: Mapped[bool] = mapped_column(default=True)
    tint: Mapped[int] = mapped_column(default=0)  # which of the six avatar tints
    away_until: Mapped[datetime | None] = mapped_column(default=None)


class Membership(Base):
    """Somebody's role in an office. It ends; it is not deleted, so that history keeps its names."""

    __tablename__ = "membership"
    __table_args__ = (
        sa.Index(
            "uq_membership_now",
            "office_id",
            "staff_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
        sa.Index("ix_membership_staff_id", "staff_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    role: Mapped[Role]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


class SignIn(Base):
    """A session: idle 30 minutes, 20 hours at most, listed, ended one by one or all at once."""

    __tablename__ = "sign_in"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    staff_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True, repr=False)
    office_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("office.id"), default=None
    )  # chosen in the switcher; NULL: all
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    fresh_at: Mapped[datetime]  # when the password was last given
    browser: Mapped[str] = mapped_column(default="")
    ended_at: Mapped[datetime | None] = mapped_column(default=None)


class Attempt(Base):
    """A try at signing in or at a reset; rows, so that limits hold over several processes.

    ``key_hash`` stands for the address typed or the machine it came from, whether or not anybody is known by it.
    """

    __tablename__ = "attempt"
    __table_args__ = (sa.Index("ix_attempt_key_hash_made_at", "key_hash", "made_at"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    key_hash: Mapped[str]
    purpose: Mapped[str]
    made_at: Mapped[datetime]
    succeeded: Mapped[bool]


class Purpose(StrEnum):
    """What a link that was sent to somebody is good for."""

    INVITATION = "invitation"
    RESET = "reset"


class Link(Base):
    """A link sent to somebody: random, kept as a hash, good once; an invitation for 48 hours, a reset for one.

    The random part is made when the mail is written (or the page that shows it), and never kept: until then there is no
    ``token_hash``. A reset that was asked for an unknown address has no ``staff_id`` and is dropped by the job that
    would have mailed it, so that asking takes as long for either.
    """

    __tablename__ = "link"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    purpose: Mapped[Purpose]
    token_hash: Mapped[str | None] = mapped_column(unique=True, default=None, repr=False)
    staff_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"), index=True)
    made_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    made_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"), default=None)
    used_at: Mapped[datetime | None] = mapped_column(default=None)
