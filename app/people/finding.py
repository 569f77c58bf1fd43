"""Finding somebody by a piece of their name, address or handle."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Missing
from app.people.models import Identity, Person

MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody, with one of the addresses they write from."""

    id: int
    office_id: int
    name: str
    ward: str
    first_seen_at: datetime
    handle: str


def alike(session: Session, offices: Collection[int], typed: str) -> list[Found]:
    """Whoever has every word of ``typed`` in their name or in an address of theirs, by name; the first ``MOST``."""
    words = typed.casefold().split()[:5]
    if not words or not offices:
        return []
    query = (
        sa.select(
            Person.id, Person.office_id, Person.name, Person.ward, Person.first_seen_at, sa.func.min(Identity.handle)
        )
        .join(Identity, Identity.person_id == Person.id)
        .where(Person.office_id.in_(offices), Person.merged_into_id.is_(None), Person.erased_at.is_(None))
        .group_by(Person.id, Person.office_id, Person.name, Person.ward, Person.first_seen_at)
        .order_by(Person.name, Person.id)
        .limit(MOST)
    )
    for word in words:
        in_name = sa.func.lower(Person.name).contains(word, autoescape=True)
        query = query.where(sa.or_(in_name, Identity.external_id.contains(word, autoescape=True)))
    return [Found(*row) for row in session.execute(query)]


def person(session: Session, offices: Collection[int], person_id: int) -> Person:
    """Somebody of one of ``offices``; raises Missing for anybody else's."""
    found = session.get(Person, person_id)
    if found is None or found.office_id not in offices:
        raise Missing
    return found


def identity(session: Session, offices: Collection[int], identity_id: int) -> Identity:
    """An address or handle of one of ``offices``; raises Missing for anybody else's."""
    found = session.get(Identity, identity_id)
    if found is None or found.office_id not in offices:
        raise Missing
    return found
