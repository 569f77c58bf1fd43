"""Questions about people who sign in: who this is, who belongs to an office, where somebody is signed in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Missing
from app.office.models import Office
from app.staff.models import Attempt, Link, Membership, Purpose, Role, SignIn, Staff
from app.staff.roles import Seat, SignedIn

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=20)
TRIES = 10
TRIES_OF_A_MACHINE = 100  # an office may sit behind one address
_WITHIN = timedelta(hours=24)
_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(minutes=15)  # a stranger who knows an address keeps its owner out for no longer


def hashed(token: str) -> str:
    """A random token as it is kept."""
    return sha256(token.encode()).hexdigest()


def folded(email: str) -> str:
    """An address as it is compared."""
    return email.strip().casefold()


def signed_in(session: Session, token: str, at: datetime) -> SignedIn | None:
    """Whoever holds the session ``token``, in one statement; ``None`` when it has ended or they are blocked."""
    given = {"token_hash": hashed(token), "idle_since": at - IDLE, "began_after": at - LONGEST}
    rows: Sequence[Any] = session.execute(_SIGNED_IN, given).all()
    if not rows:
        return None
    me = rows[0]
    seats = tuple(
        Seat(office_id=row.office_id, office=row.office, place=row.place, role=row.role)
        for row in rows
        if row.office_id is not None
    )
    return SignedIn(
        id=me.id,
        name=me.name,
        email=me.email,
        language=me.language,
        theme=me.theme,
        single_keys=me.single_keys,
        tint=me.tint,
        is_administrator=me.is_administrator,
        sign_in_id=me.sign_in_id,
        office_id=me.chosen_id if me.chosen_id in {seat.office_id for seat in seats} else None,
        fresh_at=me.fresh_at,
        seen_at=me.seen_at,
        seats=seats,
        all_offices=_every_office(session) if me.is_administrator else frozenset(),
    )


def _signed_in() -> sa.Select[Any]:
    """Put together once, as every page asks it, and over tables: a row of each class takes longer than the answer."""
    sign_in, staff, seat, office = (kind.__table__ for kind in (SignIn, Staff, Membership, Office))
    shown = ("id", "name", "email", "language", "theme", "single_keys", "tint", "is_administrator")
    return (
        sa.select(
            *(staff.c[name] for name in shown),
            *(sign_in.c.id.label("sign_in_id"), sign_in.c.office_id.label("chosen_id")),
            *(sign_in.c.fresh_at, sign_in.c.seen_at, seat.c.role),
            *(office.c.id.label("office_id"), office.c.name.label("office"), office.c.place),
        )
        .select_from(
            sign_in.join(staff, staff.c.id == sign_in.c.staff_id)
            .outerjoin(seat, sa.and_(seat.c.staff_id == staff.c.id, seat.c.ended_at.is_(None)))
            .outerjoin(office, office.c.id == seat.c.office_id)
        )
        .where(
            sign_in.c.token_hash == sa.bindparam("token_hash"),
            sign_in.c.ended_at.is_(None),
            sign_in.c.seen_at > sa.bindparam("idle_since"),
            sign_in.c.began_at > sa.bindparam("began_after"),
            staff.c.active,
        )
        .order_by(office.c.name, office.c.id)
    )


_SIGNED_IN: Final = _signed_in()


def staff(session: Session, staff_id: int) -> Staff:
    """Somebody by id; raises Missing when there is nobody."""
    found = session.get(Staff, staff_id)
    if found is None:
        raise Missing
    return found


def by_email(session: Session, email: str) -> Staff | None:
    """Somebody by address, however it is written."""
    return session.scalar(sa.select(Staff).where(Staff.email == folded(email)))


def has_administrator(session: Session) -> bool:
    """Whether anybody looks after this install yet; until then the first-run wizard is open."""
    return session.scalar(sa.select(Staff.id).where(Staff.is_administrator, Staff.active).limit(1)) is not None


def administrators(session: Session) -> int:
    """How many people look after this install."""
    query = sa.select(sa.func.count()).select_from(Staff)
    return session.scalar(query.where(Staff.is_administrator, Staff.active)) or 0


def wait_until(session: Session, key_hash: str, purpose: str, at: datetime, *, tries: int = TRIES) -> datetime | None:
    """Until when nothing is tried for a key: a minute after ``tries`` failures in a row, then doubling."""
    last_good = sa.select(sa.func.max(Attempt.id)).where(
        Attempt.key_hash == key_hash, Attempt.purpose == purpose, Attempt.succeeded
    )
    failures, last_at = session.execute(
        sa.select(sa.func.count(), sa.func.max(Attempt.made_at)).where(
            Attempt.key_hash == key_hash,
            Attempt.purpose == purpose,
            Attempt.made_at > at - _WITHIN,
            Attempt.succeeded.is_(False),
            Attempt.id > sa.func.coalesce(last_good.scalar_subquery(), 0),
        )
    ).one()
    if failures < tries:
        return None
    until: datetime = last_at + min(_FIRST_WAIT * 2 ** min(failures - tries, 10), _LONGEST_WAIT)
    return until if until > at else None


def tries_since(session: Session, key_hash: str, purpose: str, since: datetime) -> int:
    """How often something was asked for under a key."""
    query = sa.select(sa.func.count()).select_from(Attempt)
    return (
        session.scalar(query.where(Attempt.key_hash == key_hash, Attempt.purpose == purpose, Attempt.made_at > since))
        or 0
    )


def link(session: Session, token: str, purpose: Purpose, at: datetime) -> Link:
    """The link somebody followed; raises Missing when it was used, is too old, or never was."""
    found = session.scalar(
        sa.select(Link)
        .join(Staff, Staff.id == Link.staff_id)
        .where(
            Link.token_hash == hashed(token),
            Link.purpose == purpose,
            Link.used_at.is_(None),
            Link.ends_at > at,
            Staff.active,
        )
    )
    if found is None:
        raise Missing("This link has been used or is too old. Ask for a new one.")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where somebody is signed in."""

    id: int
    browser: str
    began_at: datetime
    seen_at: datetime
    is_this: bool


def places(session: Session, actor: SignedIn, at: datetime) -> list[Place]:
    """Where the person is signed in now, this place first, then the latest."""
    query = sa.select(SignIn).where(
        SignIn.staff_id == actor.id,
        SignIn.ended_at.is_(None),
        SignIn.seen_at > at - IDLE,
        SignIn.began_at > at - LONGEST,
    )
    found = [
        Place(
            id=one.id,
            browser=one.browser,
            began_at=one.began_at,
            seen_at=one.seen_at,
            is_this=one.id == actor.sign_in_id,
        )
        for one in session.scalars(query.order_by(SignIn.seen_at.desc(), SignIn.id.desc()))
    ]
    return sorted(found, key=lambda place: not place.is_this)


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One line of an office's team. ``has_joined`` is False while the invitation lies."""

    membership_id: int
    staff_id: int
    name: str
    email: str
    role: Role
    tint: int
    active: bool
    has_joined: bool
    has_second_step: bool
    is_administrator: bool
    away_until: datetime | None


def team(session: Session, office_id: int) -> list[Member]:
    """The people of an office by name."""
    query = (
        sa.select(Membership, Staff)
        .join(Staff, Staff.id == Membership.staff_id)
        .where(Membership.office_id == office_id, Membership.ended_at.is_(None))
        .order_by(Staff.name, Staff.id)
    )
    return [
        Member(
            membership_id=seat.id,
            staff_id=one.id,
            name=one.name,
            email=one.email,
            role=seat.role,
            tint=one.tint,
            active=one.active,
            has_joined=one.password is not None,
            has_second_step=one.totp_secret is not None,
            is_administrator=one.is_administrator,
            away_until=one.away_until,
        )
        for seat, one in session.execute(query)
    ]


def membership(session: Session, membership_id: int, offices: Collection[int]) -> Membership:
    """A present seat in one of ``offices``; raises Missing otherwise."""
    found = session.scalar(
        sa.select(Membership).where(
            Membership.id == membership_id, Membership.office_id.in_(offices), Membership.ended_at.is_(None)
        )
    )
    if found is None:
        raise Missing
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """One line of the administrators' list of everybody."""

    id: int
    name: str
    email: str
    active: bool
    has_joined: bool
    has_second_step: bool
    is_administrator: bool
    offices: tuple[str, ...]


def everybody(session: Session) -> list[Known]:
    """Everybody who can sign in to this install, with their offices, by name."""
    seats: dict[int, list[str]] = {}
    query = (
        sa.select(Membership.staff_id, Office.name)
        .join(Office, Office.id == Membership.office_id)
        .where(Membership.ended_at.is_(None))
        .order_by(Office.name)
    )
    for staff_id, office in session.execute(query):
        seats.setdefault(staff_id, []).append(office)
    return [
        Known(
            id=one.id,
            name=one.name,
            email=one.email,
            active=one.active,
            has_joined=one.password is not None,
            has_second_step=one.totp_secret is not None,
            is_administrator=one.is_administrator,
            offices=tuple(seats.get(one.id, ())),
        )
        for one in session.scalars(sa.select(Staff).order_by(Staff.name, Staff.id))
    ]


def _every_office(session: Session) -> frozenset[int]:
    return frozenset(session.scalars(sa.select(Office.id)))
