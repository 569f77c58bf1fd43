"""Who somebody is, and who says so."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.clock import now
from app.errors import Conflict, Missing
from app.office.models import Office
from app.people import actions, queries
from app.people.actions import Who
from app.people.models import Joined
from connectors import Actor
from tests import make

pytestmark = [pytest.mark.db, pytest.mark.usefixtures("clock")]


def known_as(session: Session, office: Office, address: str, *, channel: str = "email", **shown: str) -> Who:
    return actions.identify(session, office.id, channel, Actor(external_id=address, **shown), now())


def test_a_new_address_is_a_new_person(session: Session) -> None:
    office = make.office(session)
    who = known_as(session, office, "ann@x.example", name="Ann", handle="Ann@X.example")
    identity = queries.identity(session, office.id, who.identity_id)
    assert (who.name, identity.handle, identity.joined) == ("Ann", "Ann@X.example", Joined.FIRST_SEEN)
    assert identity.person_id == who.person_id


def test_a_known_address_is_the_same_person_under_whatever_name(session: Session) -> None:
    office = make.office(session)
    first = known_as(session, office, "ann@x.example", name="Ann")
    assert known_as(session, office, "ann@x.example", name="Mrs Smith") == first


def test_the_same_name_never_makes_two_people_one(session: Session) -> None:
    office = make.office(session)
    one = known_as(session, office, "a@x.example", name="Ann Lee")
    two = known_as(session, office, "b@x.example", name="Ann Lee")
    three = known_as(session, office, "a@x.example", name="Ann Lee", channel="reddit")
    assert len({one.person_id, two.person_id, three.person_id}) == 3


def test_offices_do_not_know_each_others_people(session: Session) -> None:
    one = known_as(session, make.office(session), "ann@x.example", name="Ann")
    two = known_as(session, make.office(session), "ann@x.example", name="Ann")
    assert one.person_id != two.person_id


def test_a_name_that_comes_later_is_learned_unless_somebody_wrote_one(session: Session) -> None:
    office = make.office(session)
    assert known_as(session, office, "a@x.example").name == "a@x.example"
    assert known_as(session, office, "a@x.example", name="Ann").name == "Ann"
    written = known_as(session, office, "b@x.example")
    queries.person(session, office.id, written.person_id).name = "Bob of Weir Road"
    assert known_as(session, office, "b@x.example", name="Bob").name == "Bob of Weir Road"


def test_joined_identities_are_one_person_until_the_join_is_taken_back(session: Session) -> None:
    office = make.office(session)
    clerk = make.staff(session, office=office)
    person, other = make.person(session, office=office), make.person(session, office=office, name="@rollo_t")
    kept, moved = make.identity(session, person=person), make.identity(session, person=other)
    actions.join(session, moved, person, by=clerk.id, at=now())
    session.flush()
    assert queries.identities(session, person.id) == [kept, moved]
    assert queries.person(session, office.id, other.id) is person
    assert queries.all_ids(session, person.id) == [person.id, other.id]
    assert actions.unjoin(session, moved, by=clerk.id) is other
    session.flush()
    assert (moved.person_id, moved.joined, moved.joined_by_id) == (other.id, Joined.FIRST_SEEN, None)
    assert queries.person(session, office.id, other.id) is other
    assert queries.all_ids(session, person.id) == [person.id]


def test_a_person_who_keeps_another_address_goes_on_by_themselves(session: Session) -> None:
    office = make.office(session)
    clerk = make.staff(session, office=office)
    person, other = make.person(session, office=office), make.person(session, office=office)
    make.identity(session, person=other)
    actions.join(session, make.identity(session, person=other), person, by=clerk.id, at=now())
    session.flush()
    assert queries.person(session, office.id, other.id) is other


def test_nobody_is_joined_twice_or_across_offices(session: Session) -> None:
    office = make.office(session)
    clerk = make.staff(session, office=office)
    person = make.person(session, office=office)
    identity = make.identity(session, person=person)
    with pytest.raises(Conflict):
        actions.join(session, identity, person, by=clerk.id, at=now())
    with pytest.raises(Conflict):
        actions.unjoin(session, identity, by=clerk.id)
    with pytest.raises(Missing):
        actions.join(session, identity, make.person(session), by=clerk.id, at=now())


def test_a_person_of_another_office_looks_missing(session: Session) -> None:
    office, person = make.office(session), make.person(session)
    identity = make.identity(session, person=person)
    with pytest.raises(Missing):
        queries.person(session, office.id, person.id)
    with pytest.raises(Missing):
        queries.identity(session, office.id, identity.id)
    assert queries.identity(session, person.office_id, identity.id) is identity
    assert session.scalar(sa.select(sa.func.count()).select_from(type(person))) == 1
