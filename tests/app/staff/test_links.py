"""Invitations and resets: random, kept as a hash, good once, for a while."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask

from app.clock import now
from app.db import Database
from app.deployment import Deployment
from app.jobs.models import Job
from app.staff import actions, queries
from app.staff.joining import address
from app.staff.models import Link, Purpose
from tests.app.conftest import SignIn, World
from tests.app.web.client import Browser
from tests.conftest import Clock


def reset_path(database: Database, deployment: Deployment, world: World) -> str:
    with database.transaction() as session:
        staff = queries.staff(session, world.staff["caseworker"])
        link = actions.reset_link(session, staff, by=world.staff["administrator"], at=now())
        return address(deployment.settings, link).removeprefix("http://127.0.0.1:8000")


def invited(signed_in: SignIn, world: World) -> str:
    """What the page shows after inviting Pip, where mail is not set up."""
    browser = signed_in("councillor")
    browser.get(f"/offices/{world.office_id}/team")
    browser.post(
        f"/offices/{world.office_id}/team",
        {"name": "Pip Marram", "email": "pip@fernmoor.example", "role": "caseworker"},
    )
    found = re.search(r"http://127\.0\.0\.1:8000(/join/\S+)", browser.words)
    assert found
    return found[1]


def test_who_is_invited_chooses_a_password_and_signs_in(app: Flask, signed_in: SignIn, world: World) -> None:
    path, browser = invited(signed_in, world), Browser(app)
    browser.get(path)
    assert browser.heading == "Welcome to Postbag"
    assert browser.post(path, {"password": "a lamp by the weir"}).status_code == 303
    assert browser.sign_in("pip@fernmoor.example", "a lamp by the weir").location == "/"


def test_an_invitation_is_good_once(app: Flask, signed_in: SignIn, world: World) -> None:
    path, browser = invited(signed_in, world), Browser(app)
    browser.get(path)
    browser.post(path, {"password": "a lamp by the weir"})
    assert browser.get(path).status_code == 404
    assert browser.post(path, {"password": "another lamp altogether"}).status_code == 404


def test_an_invitation_holds_for_forty_eight_hours(app: Flask, signed_in: SignIn, world: World, clock: Clock) -> None:
    path, browser = invited(signed_in, world), Browser(app)
    clock.advance(hours=47, minutes=59)
    assert browser.get(path).status_code == 200
    clock.advance(minutes=1)
    assert browser.get(path).status_code == 404


def test_a_second_invitation_ends_the_first(app: Flask, signed_in: SignIn, world: World, database: Database) -> None:
    first = invited(signed_in, world)
    with database.reading() as session:
        pip = queries.by_email(session, "pip@fernmoor.example")
        assert pip is not None
        (seat,) = [one for one in queries.team(session, world.office_id) if one.staff_id == pip.id]
    councillor = signed_in("councillor")
    councillor.get(f"/offices/{world.office_id}/team")
    councillor.post(f"/offices/{world.office_id}/team/{seat.membership_id}/invitation")
    second = re.search(r"/join/\S+", councillor.words)
    browser = Browser(app)
    assert browser.get(first).status_code == 404
    assert second
    assert browser.get(second[0]).status_code == 200


def test_a_password_too_easily_guessed_leaves_the_link_good(app: Flask, signed_in: SignIn, world: World) -> None:
    path, browser = invited(signed_in, world), Browser(app)
    browser.get(path)
    assert browser.post(path, {"password": "pip marram 2026"}).status_code == 422
    assert "That is too easily guessed." in browser.words
    assert browser.post(path, {"password": "a lamp by the weir"}).status_code == 303


def test_a_reset_signs_out_everywhere(
    signed_in: SignIn, world: World, database: Database, deployment: Deployment
) -> None:
    elsewhere = signed_in("caseworker")
    browser = Browser(elsewhere.client.application)
    path = reset_path(database, deployment, world)
    browser.get(path)
    assert browser.post(path, {"password": "a lamp by the weir"}).location == "/sign-in"
    assert elsewhere.get("/settings").status_code == 303


def test_a_reset_holds_for_an_hour(
    browser: Browser, world: World, database: Database, deployment: Deployment, clock: Clock
) -> None:
    path = reset_path(database, deployment, world)
    clock.advance(minutes=59)
    assert browser.get(path).status_code == 200
    clock.advance(minutes=1)
    assert browser.get(path).status_code == 404


def test_a_reset_link_is_no_invitation(app: Flask, world: World, database: Database, deployment: Deployment) -> None:
    path = reset_path(database, deployment, world)
    assert Browser(app).get(path.replace("/reset/", "/join/")).status_code == 404


@pytest.mark.parametrize("who", ["caseworker", "nobody"])
def test_asking_for_a_reset_is_answered_alike_whether_anybody_is_known(
    app: Flask, world: World, database: Database, who: str
) -> None:
    browser = Browser(app)
    browser.get("/sign-in")
    answer = browser.post("/forgotten", {"email": world.address(who)})
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    browser.get("/sign-in")
    assert "If that address is known here, a link is on its way." in browser.words
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Link)) == 1
        assert session.scalar(sa.select(sa.func.count()).select_from(Job)) == 1


def test_a_fourth_reset_within_the_hour_is_not_sent(app: Flask, world: World, database: Database, clock: Clock) -> None:
    browser = Browser(app)
    browser.get("/sign-in")
    for _ in range(4):
        browser.post("/forgotten", {"email": world.address("caseworker")})
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Link)) == 3
    clock.advance(minutes=61)
    browser.post("/forgotten", {"email": world.address("caseworker")})
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Link)) == 4


def test_no_link_can_be_read_from_the_database(world: World, database: Database, deployment: Deployment) -> None:
    path = reset_path(database, deployment, world)
    with database.reading() as session:
        (link,) = session.scalars(sa.select(Link).where(Link.purpose == Purpose.RESET))
    assert path.rpartition("/")[2] not in {link.token_hash, None}
    assert len(link.token_hash or "") == 64
