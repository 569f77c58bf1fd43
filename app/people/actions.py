"""Who somebody is: a new address or handle is a new person, and only a person joins two of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.errors import Conflict, Missing
from app.people.models import Identity, Joined, Person
from app.statements import Statement, insert
from connectors import Actor


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody on a platform and the person they are to the office."""

    identity_id: int
    person_id: int
    name: str  # the person's


_KNOWN: Final = Statement(
    sa.select(Identity.id, Identity.name, Person.id, Person.name)
    .join(Person, Person.id == Identity.person_id)
    .where(
        Identity.office_id == sa.bindparam("office_id"),
        Identity.channel == sa.bindparam("channel"),
        Identity.external_id == sa.bindparam("external_id"),
    )
)


def identify(session: Session, office_id: int, channel: str, actor: Actor, at: datetime) -> Who:
    """Who ``actor`` is to the office.

    One whom it does not know becomes a new person: a name alone, or the same address on another channel, never makes
    two people one (domain.md section 6).
    """
    wanted = {"office_id": office_id, "channel": channel, "external_id": actor.external_id}
    known = _KNOWN.row(session, wanted)
    if known is None:
        return _new(session, office_id, channel, actor, at)
    identity_id, its_name, person_id, name = known
    if actor.name and not its_name:
        name = _learn_name(session, identity_id, actor.name)
    return Who(identity_id, person_id, name)


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


def _new(session: Session, office_id: int, channel: str, actor: Actor, at: datetime) -> Who:
    person = Person(office_id=office_id, name=actor.name or actor.handle or actor.external_id, first_seen_at=at)
    insert(session, person)
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
    insert(session, identity)
    return Who(identity.id, person.id, person.name)


def _learn_name(session: Session, identity_id: int, name: str) -> str:
    """The first name that comes with an address; whatever a person typed meanwhile stays."""
    identity = session.get_one(Identity, identity_id)
    person = session.get_one(Person, identity.person_id)
    identity.name = name
    if person.name in {identity.handle, identity.external_id}:
        person.name = name
    return person.name


def _has_identities(session: Session, person: Person) -> bool:
    return session.scalar(sa.select(Identity.id).where(Identity.person_id == person.id).limit(1)) is not None
