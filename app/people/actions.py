"""Who somebody is: a new address or handle is a new person, and only a person joins two of them."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.errors import Conflict, Missing
from app.people.models import Identity, Joined, Person
from connectors import Actor


def identify(session: Session, office_id: int, channel: str, actor: Actor, at: datetime) -> tuple[Identity, Person]:
    """Who ``actor`` is to the office, with ids.

    One whom it does not know becomes a new person: a name alone, or the same address on another channel, never makes
    two people one (domain.md section 6).
    """
    known = session.execute(
        sa.select(Identity, Person)
        .join(Person, Person.id == Identity.person_id)
        .where(Identity.office_id == office_id, Identity.channel == channel, Identity.external_id == actor.external_id)
    ).one_or_none()
    if known is not None:
        identity, person = known
        if actor.name and not identity.name:
            _learn_name(identity, person, actor.name)
        return identity, person
    return _new(session, office_id, channel, actor, at)


def join(session: Session, identity: Identity, person: Person, *, by: int, at: datetime) -> None:
    """Somebody says that ``identity`` is ``person`` too. ``unjoin`` takes it back.

    Where that leaves nobody behind its former person, the former person stands for the new one from now on, so that
    what they wrote before is found under both. Raises Missing across offices, Conflict when it is joined already.
    """
    if person.office_id != identity.office_id:
        raise Missing
    if identity.person_id == person.id:
        raise Conflict("These two are joined already.")
    before = session.get_one(Person, identity.person_id)
    identity.previous_person_id, identity.person_id = before.id, person.id
    identity.joined, identity.joined_by_id, identity.joined_at = Joined.BY_HAND, by, at
    session.flush()
    if not _has_identities(session, before):
        before.merged_into_id = person.id
    person.merged_into_id = None
    record(
        session,
        "join",
        "identity",
        identity.id,
        office_id=identity.office_id,
        by=by,
        person=person.id,
        before=before.id,
    )


def unjoin(session: Session, identity: Identity, *, by: int) -> Person:
    """Take a join back: the identity is its former person's again. Raises Conflict where nobody had joined it."""
    if identity.previous_person_id is None:
        raise Conflict("This was not joined by anybody.")
    before, former = identity.person_id, session.get_one(Person, identity.previous_person_id)
    identity.person_id, identity.previous_person_id = former.id, None
    identity.joined, identity.joined_by_id, identity.joined_at = Joined.FIRST_SEEN, None, None
    former.merged_into_id = None
    record(
        session, "unjoin", "identity", identity.id, office_id=identity.office_id, by=by, person=former.id, before=before
    )
    return former


def _new(session: Session, office_id: int, channel: str, actor: Actor, at: datetime) -> tuple[Identity, Person]:
    person = Person(office_id=office_id, name=actor.name or actor.handle or actor.external_id, first_seen_at=at)
    session.add(person)
    session.flush()
    identity = Identity(
        office_id=office_id,
        person_id=person.id,
        channel=channel,
        external_id=actor.external_id,
        handle=actor.handle or actor.external_id,
        name=actor.name,
        url=actor.url,
        first_seen_at=at,
    )
    session.add(identity)
    session.flush()
    return identity, person


def _learn_name(identity: Identity, person: Person, name: str) -> None:
    """The first name that comes with an address; whatever a person typed meanwhile stays."""
    if person.name in {identity.handle, identity.external_id}:
        person.name = name
    identity.name = name


def _has_identities(session: Session, person: Person) -> bool:
    return session.scalar(sa.select(Identity.id).where(Identity.person_id == person.id).limit(1)) is not None
