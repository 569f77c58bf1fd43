"""What is somebody's own."""

from flask import Flask

from app.db import Database
from app.staff import queries
from tests.app.conftest import SignIn, World
from tests.app.web.client import Browser
from tests.conftest import Clock


def test_how_pages_look_is_kept(signed_in: SignIn) -> None:
    browser = signed_in("caseworker")
    browser.get("/settings")
    browser.post("/settings", {"name": "Bram Oxlip", "language": "cy", "theme": "dark"})
    browser.get("/settings")
    html = browser.page.css_first("html")
    assert html is not None
    assert (html.attributes["lang"], html.attributes["data-theme"]) == ("cy", "dark")
    assert html.attributes["data-single-keys"] == "off"


def test_an_unknown_theme_is_refused_beside_its_field(signed_in: SignIn) -> None:
    browser = signed_in("caseworker")
    browser.get("/settings")
    assert browser.post("/settings", {"name": "Bram", "language": "en", "theme": "pink"}).status_code == 422


def test_the_single_keys_are_switched_off_for_good(signed_in: SignIn, app: Flask, world: World) -> None:
    browser = signed_in("caseworker")
    browser.get("/settings")
    browser.post("/settings/keys", {"on": "0"})
    again = Browser(app)
    again.sign_in(world.address("caseworker"))
    again.get("/settings")
    html = again.page.css_first("html")
    assert html is not None
    assert html.attributes["data-single-keys"] == "off"


def test_a_new_password_signs_out_everywhere_else(signed_in: SignIn, app: Flask, world: World) -> None:
    here, elsewhere = signed_in("caseworker"), signed_in("caseworker")
    here.get("/settings/password")
    assert here.post("/settings/password", {"new_password": "a lamp by the weir"}).status_code == 303
    assert here.get("/settings").status_code == 200
    assert elsewhere.get("/settings").status_code == 303
    assert Browser(app).sign_in(world.address("caseworker"), "a lamp by the weir").status_code == 303


def test_the_password_is_asked_for_again_before_it_is_changed(signed_in: SignIn, clock: Clock) -> None:
    browser = signed_in("caseworker")
    clock.advance(minutes=16)
    assert browser.get("/settings/password").location == "/confirm?next=/settings/password"
    browser.get("/confirm")
    assert browser.post("/confirm", {"password": "not it"}).status_code == 422
    answer = browser.post("/confirm", {"password": "kettle-lantern-weir"}, query_string={"next": "/settings/password"})
    assert answer.location == "/settings/password"
    assert browser.get("/settings/password").status_code == 200


def test_one_place_can_be_signed_out_from_another(signed_in: SignIn, world: World, database: Database) -> None:
    here, there = signed_in("caseworker"), signed_in("caseworker")
    here.get("/settings")
    assert here.words.count("Sign out there") == 1
    action = here.page.css_first('form[action^="/settings/sign-ins/"]')
    assert action is not None
    here.post(action.attributes["action"] or "")
    assert there.get("/settings").status_code == 303
    assert here.get("/settings").status_code == 200
    with database.reading() as session:
        assert queries.staff(session, world.staff["caseworker"]).active


def test_the_switcher_chooses_one_of_several_offices(signed_in: SignIn, world: World, database: Database) -> None:
    from app.clock import now
    from app.staff.actions import add_member
    from app.staff.models import Role

    with database.transaction() as session:
        add_member(
            session,
            office_id=world.next_door_id,
            staff_id=world.staff["caseworker"],
            role=Role.VIEWER,
            by=None,
            at=now(),
        )
    browser = signed_in("caseworker")
    browser.get("/settings")
    assert "All my offices" in browser.words
    browser.post(f"/offices/{world.next_door_id}/choose")
    browser.get("/settings")
    current = browser.page.css_first('.switch [aria-current="true"]')
    assert current is not None
    assert "Cllr Ossian Pepperwell" in current.text()
