"""The second step of signing in, with a phone that works as RFC 6238 says."""

from tests.app.conftest import SignIn, World
from tests.app.staff.phone import half_way, turn_on
from tests.app.web.client import PASSWORD, Browser
from tests.conftest import Clock


def test_a_code_from_the_phone_lets_in_after_the_password(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    phone, _ = turn_on(browser, clock)
    fresh = half_way(browser, world)
    assert fresh.get("/settings").status_code == 303
    fresh.get("/sign-in/code")
    assert fresh.post("/sign-in/code", {"code": phone.code(clock)}).location == "/"
    assert fresh.get("/settings").status_code == 200


def test_a_code_is_good_once(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    phone, _ = turn_on(browser, clock)
    code = phone.code(clock)
    assert half_way(browser, world).post("/sign-in/code", {"code": code}).status_code == 303
    assert half_way(browser, world).post("/sign-in/code", {"code": code}).status_code == 422


def test_a_wrong_code_keeps_the_second_step_off(signed_in: SignIn) -> None:
    browser = signed_in("caseworker")
    browser.get("/settings/two-step")
    assert browser.post("/settings/two-step", {"code": "000000"}).status_code == 422
    browser.get("/settings")
    assert "Set up two steps" in browser.words


def test_a_recovery_code_lets_in_once(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    _, codes = turn_on(browser, clock)
    assert len(codes) == 10
    written_otherwise = codes[0].upper().replace("-", " ")
    assert half_way(browser, world).post("/sign-in/code", {"code": written_otherwise}).status_code == 303
    assert half_way(browser, world).post("/sign-in/code", {"code": codes[0]}).status_code == 422


def test_ten_wrong_codes_lock_the_second_step(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    phone, _ = turn_on(browser, clock)
    fresh = half_way(browser, world)
    for _ in range(10):
        fresh.post("/sign-in/code", {"code": "000000"})
    fresh.post("/sign-in/code", {"code": phone.code(clock)})
    assert "That was tried too often." in fresh.words


def test_the_first_step_counts_for_five_minutes_only(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    phone, _ = turn_on(browser, clock)
    fresh = half_way(browser, world)
    clock.advance(minutes=6)
    assert fresh.post("/sign-in/code", {"code": phone.code(clock)}).location == "/sign-in"


def test_an_administrator_helps_who_lost_the_phone(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    turn_on(browser, clock)
    administrator = signed_in("administrator")
    administrator.get("/administration/people")
    administrator.post(f"/administration/people/{world.staff['caseworker']}/two-step/off")
    assert browser.get("/settings").status_code == 303
    assert Browser(browser.client.application).sign_in(world.address("caseworker"), PASSWORD).location == "/"


def test_new_recovery_codes_replace_the_old_ones(signed_in: SignIn, world: World, clock: Clock) -> None:
    browser = signed_in("caseworker")
    _, old = turn_on(browser, clock)
    browser.get("/settings")
    browser.post("/settings/codes")
    assert "Your recovery codes" in browser.words
    assert half_way(browser, world).post("/sign-in/code", {"code": old[3]}).status_code == 422
