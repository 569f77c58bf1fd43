"""Beginning an install: the first administrator and the first office, together or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.deadlines.holidays import Nation
from app.errors import Conflict
from app.office.actions import create_office
from app.office.models import Office
from app.staff import queries
from app.staff.actions import add_member, create_staff
from app.staff.models import Role, Staff
from app.staff.passwords import Passwords


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What the first step asks. ``role`` is the administrator's own in the office; ``None``: no casework for them."""

    name: str
    email: str
    password: str
    role: Role | None
    office: str
    place: str
    nation: Nation
    prefix: str


def begin(session: Session, passwords: Passwords, asked: Beginning, *, at: datetime) -> tuple[Staff, Office]:
    """The first administrator and their office.

    Raises Conflict when somebody looks after this install already, Invalid with the field for what will not do.
    """
    if queries.has_administrator(session):
        raise Conflict("This install has been set up. Sign in.")
    kept = passwords.hash(asked.password, own_words=(asked.name, asked.email, asked.office))
    staff = create_staff(session, email=asked.email, name=asked.name, password=kept, is_administrator=True, at=at)
    office = create_office(
        session, name=asked.office, place=asked.place, prefix=asked.prefix, nation=asked.nation, by=staff.id, at=at
    )
    if asked.role is not None:
        add_member(session, office_id=office.id, staff_id=staff.id, role=asked.role, by=staff.id, at=at)
    return staff, office
