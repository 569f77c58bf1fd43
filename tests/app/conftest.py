"""An application over the test's own install, two offices, and people of every role who can sign in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask

from app import create_app
from app.clock import now
from app.db import Database
from app.deployment import Deployment
from app.staff.models import Role
from app.staff.passwords import Passwords
from tests import make
from tests.app.web.client import PASSWORD, Browser
from tests.conftest import Clock

SignIn = Callable[[str], Browser]


@dataclass(frozen=True, kw_only=True)
class World:
    """Cllr Quillfeather's office with everybody in it, and one next door. Addresses are by role."""

    office_id: int
    next_door_id: int
    staff: dict[str, int]

    @staticmethod
    def address(who: str) -> str:
        return f"{who}@fernmoor.example"


@pytest.fixture
def app(deployment: Deployment, clock: Clock) -> Flask:  # noqa: ARG001 - the clock stands still under every page
    """The application."""
    return create_app(deployment=deployment)


@pytest.fixture
def world(database: Database, deployment: Deployment, clock: Clock) -> World:  # noqa: ARG001 - moments are those of the clock
    """Two offices and their people, committed. ``administrator`` has no office, ``stranger`` the one next door."""
    kept = Passwords(deployment.keys.passwords).hash(PASSWORD)
    names = {
        "councillor": Role.COUNCILLOR,
        "caseworker": Role.CASEWORKER,
        "viewer": Role.VIEWER,
        "administrator": None,
        "stranger": Role.COUNCILLOR,
    }
    with database.transaction() as session:
        office = make.office(session, set_up_at=now())
        next_door = make.office(session, name="Cllr Ossian Pepperwell", set_up_at=now())
        staff = {}
        for who, role in names.items():
            made = make.staff(
                session,
                email=World.address(who),
                name=f"{who.title()} Oxlip",
                password=kept,
                is_administrator=who == "administrator",
            )
            if role is not None:
                make.membership(session, office=next_door if who == "stranger" else office, staff=made, role=role)
            staff[who] = made.id
        return World(office_id=office.id, next_door_id=next_door.id, staff=staff)


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser in which nobody is signed in."""
    return Browser(app)


@pytest.fixture
def signed_in(app: Flask, world: World) -> SignIn:
    """``signed_in("caseworker")``: a browser of its own for one of the people of ``world``."""

    def enter(who: str) -> Browser:
        found = Browser(app)
        found.sign_in(world.address(who))
        return found

    return enter
