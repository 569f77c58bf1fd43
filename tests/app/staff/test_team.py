"""The people of an office, and everybody who can sign in."""

import sqlalchemy as sa

from app.audit.models import AuditLine
from app.clock import now
from app.db import Database
from app.office.models import Office
from app.staff import queries
from app.staff.actions import add_member
from app.staff.models import Membership, Role, Staff
from tests import make
from tests.app.conftest import SignIn, World
from tests.app.web.client import Browser


def seat_of(database: Database, world: World, who: str) -> int:
    with database.reading() as session:
        seats = queries.team(session, world.office_id)
    return next(seat.membership_id for seat in seats if seat.staff_id == world.staff[who])


def team(signed_in: SignIn, world: World) -> tuple[Browser, str]:
    browser, path = signed_in("councillor"), f"/offices/{world.office_id}/team"
    browser.get(path)
    return browser, path


def test_another_role_counts_at_once(signed_in: SignIn, world: World, database: Database) -> None:
    caseworker, (councillor, path) = signed_in("caseworker"), team(signed_in, world)
    seat = seat_of(database, world, "caseworker")
    assert councillor.post(f"{path}/{seat}/role", {"role": "viewer"}).status_code == 303
    assert caseworker.get("/settings").status_code == 303
    caseworker.sign_in(world.address("caseworker"))
    caseworker.get("/settings")
    assert "Can look, not answer" in caseworker.words


def test_whoever_leaves_gives_away_their_cases_first(signed_in: SignIn, world: World, database: Database) -> None:
    with database.transaction() as session:
        office = session.get_one(Office, world.office_id)
        case = make.case(session, office=office, owner_id=world.staff["caseworker"])
    councillor, path = team(signed_in, world)
    seat = seat_of(database, world, "caseworker")
    assert councillor.post(f"{path}/{seat}/end").status_code == 409
    assert "They still have 1 open cases." in councillor.words
    with database.transaction() as session:
        session.merge(case).owner_id = world.staff["councillor"]
    assert councillor.post(f"{path}/{seat}/end").status_code == 303


def test_whoever_has_left_sees_nothing_of_the_office(signed_in: SignIn, world: World, database: Database) -> None:
    councillor, path = team(signed_in, world)
    councillor.post(f"{path}/{seat_of(database, world, 'caseworker')}/end")
    caseworker = signed_in("caseworker")
    assert caseworker.get("/overdue").status_code == 403
    with database.reading() as session:
        assert session.scalar(sa.select(Membership.ended_at).where(Membership.staff_id == world.staff["caseworker"]))


def test_an_office_keeps_its_last_councillor(signed_in: SignIn, world: World, database: Database) -> None:
    councillor, path = team(signed_in, world)
    assert councillor.post(f"{path}/{seat_of(database, world, 'councillor')}/end").status_code == 409
    assert "An office needs its councillor." in councillor.words


def test_somebody_known_is_added_without_an_invitation(signed_in: SignIn, world: World, database: Database) -> None:
    councillor, path = team(signed_in, world)
    given = {"name": "Whoever", "email": world.address("stranger"), "role": "caseworker"}
    assert councillor.post(path, given).status_code == 303
    with database.reading() as session:
        known = session.get_one(Staff, world.staff["stranger"])
        assert known.name == "Stranger Oxlip"
        assert [seat.role for seat in queries.team(session, world.office_id) if seat.staff_id == known.id] == [
            Role.CASEWORKER
        ]


def test_a_mistyped_address_is_refused_beside_its_field(signed_in: SignIn, world: World) -> None:
    councillor, path = team(signed_in, world)
    assert councillor.post(path, {"name": "Pip", "email": "pip at home", "role": "caseworker"}).status_code == 422
    error = councillor.page.css_first("#email-error")
    assert error is not None
    assert "That is not an email address." in error.text()


def test_every_change_of_rights_stands_in_the_trail(signed_in: SignIn, world: World, database: Database) -> None:
    councillor, path = team(signed_in, world)
    seat = seat_of(database, world, "viewer")
    councillor.post(f"{path}/{seat}/role", {"role": "caseworker"})
    councillor.post(f"{path}/{seat}/end")
    with database.reading() as session:
        lines = session.execute(
            sa.select(AuditLine.verb, AuditLine.actor_id, AuditLine.facts)
            .where(AuditLine.office_id == world.office_id, AuditLine.object_kind == "staff")
            .order_by(AuditLine.id)
        ).all()
    assert [tuple(line) for line in lines] == [
        ("change_role", world.staff["councillor"], {"role": "caseworker", "before": "viewer"}),
        ("end_membership", world.staff["councillor"], {"role": "caseworker"}),
    ]


def test_a_blocked_person_is_out_and_can_be_let_in_again(signed_in: SignIn, world: World) -> None:
    caseworker, administrator = signed_in("caseworker"), signed_in("administrator")
    administrator.get("/administration/people")
    administrator.post(f"/administration/people/{world.staff['caseworker']}/block")
    assert caseworker.get("/settings").status_code == 303
    administrator.post(f"/administration/people/{world.staff['caseworker']}/unblock")
    assert caseworker.sign_in(world.address("caseworker")).status_code == 303


def test_the_install_keeps_its_last_administrator(signed_in: SignIn, world: World) -> None:
    administrator = signed_in("administrator")
    administrator.get("/administration/people")
    own = world.staff["administrator"]
    assert administrator.post(f"/administration/people/{own}/block").status_code == 409
    assert administrator.post(f"/administration/people/{own}/administrator/off").status_code == 409


def test_an_administrator_alone_sees_no_casework(signed_in: SignIn) -> None:
    administrator = signed_in("administrator")
    for path in ("/overdue", "/search", "/people", "/audit", "/cases/1"):
        assert administrator.get(path).status_code == 403


def test_a_councillor_who_is_administrator_sees_both(signed_in: SignIn, world: World, database: Database) -> None:
    with database.transaction() as session:
        add_member(
            session,
            office_id=world.office_id,
            staff_id=world.staff["administrator"],
            role=Role.COUNCILLOR,
            by=None,
            at=now(),
        )
    both = signed_in("administrator")
    assert both.get("/overdue").status_code == 200
    assert both.get("/administration/people").status_code == 200
