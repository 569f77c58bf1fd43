"""Questions about people: who they are, and under which names they write."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Missing
from app.people.models import Identity, Person

_MOST_JOINS = 20  # one after the other; more would be a circle


def person(session: Session, office_id: int, person_id: int) -> Person:
    """A person of the office; raises Missing for anybody else's.

    One who was joined to another stands for that other.
    """
    for _ in range(_MOST_JOINS):
        found = session.get(Person, person_id)
        if found is None or found.office_id != office_id:
            raise Missing
        if found.merged_into_id is None:
            return found
        person_id = found.merged_into_id
    raise Missing


def identity(session: Session, office_id: int, identity_id: int) -> Identity:
    """An identity of the office; raises Missing for anybody else's."""
    found = session.get(Identity, identity_id)
    if found is None or found.office_id != office_id:
        raise Missing
    return found


def identities(session: Session, person_id: int) -> list[Identity]:
    """Every address and handle of a person, the one seen first at the top."""
    query = sa.select(Identity).where(Identity.person_id == person_id)
    return list(session.scalars(query.order_by(Identity.first_seen_at, Identity.id)))


def all_ids(session: Session, person_id: int) -> list[int]:
    """The ids under which rows may know a person: their own, and those of whoever was joined to them."""
    joined = sa.select(Person.id).where(Person.id == person_id).cte("joined", recursive=True)
    joined = joined.union(sa.select(Person.id).join(joined, Person.merged_into_id == joined.c.id))
    return list(session.scalars(sa.select(joined.c.id).order_by(joined.c.id)))
