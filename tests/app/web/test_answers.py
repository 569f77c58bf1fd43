"""What every answer says about itself, and what goes wrong as a page."""

import gzip
import logging

import pytest
from flask import Flask
from pydantic import AnyHttpUrl, SecretStr

from app import create_app
from app.deployment import Deployment, deploy
from app.settings import Settings
from app.web import guard
from app.web.setting_up import flask_app
from tests.app.conftest import SignIn
from tests.app.web.client import Browser


def test_the_content_policy_is_that_of_the_design(browser: Browser) -> None:
    answer = browser.get("/help")
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; frame-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types page"
    )


@pytest.mark.parametrize("path", ["/help", "/no-such-page", "/sign-in", "/health/live"])
def test_every_answer_carries_its_safeguards(browser: Browser, path: str) -> None:
    headers = browser.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in headers


def test_over_https_the_cookie_is_bound_and_the_browser_told_to_stay(settings: Settings) -> None:
    secure = settings.model_copy(update={"public_url": AnyHttpUrl("https://postbag.fernmoor.example/")})
    client = create_app(secure).test_client()
    answer = client.get("/sign-in", base_url="https://postbag.fernmoor.example", follow_redirects=True)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-postbag=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))


def test_another_host_is_not_answered(browser: Browser) -> None:
    answer = browser.client.get("/help", base_url="http://evil.example")
    assert answer.status_code == 400


def test_a_proxy_is_believed_only_where_the_settings_name_it(settings: Settings) -> None:
    forwarded = {"X-Forwarded-Host": "postbag.fernmoor.example", "X-Forwarded-Proto": "https"}
    public = settings.model_copy(update={"public_url": AnyHttpUrl("https://postbag.fernmoor.example/")})
    plain = create_app(public).test_client().get("/help", base_url="http://10.0.0.1", headers=forwarded)
    behind = public.model_copy(update={"trusted_proxies": 1})
    believed = create_app(behind).test_client().get("/help", base_url="http://10.0.0.1", headers=forwarded)
    assert (plain.status_code, believed.status_code) == (400, 200)


def test_a_page_that_is_not_there_says_so_to_everybody_alike(browser: Browser, signed_in: SignIn) -> None:
    assert browser.get("/no-such-page").status_code == 404
    outside = browser.words
    inside = signed_in("caseworker")
    assert inside.get("/no-such-page").status_code == 404
    assert (browser.heading, inside.words) == ("There is nothing here", outside)


def test_a_page_of_an_office_asks_who_it_is_first(browser: Browser) -> None:
    assert browser.get("/cases/1").location == "/sign-in?next=/cases/1"
    assert browser.get("/cases/1", headers={"Accept": "application/json"}).json == {"problem": "signed out"}
    assert browser.last.status_code == 401


def test_a_mistake_of_ours_is_a_page_and_a_line_in_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> str:
        raise ZeroDivisionError

    app.add_url_rule("/broken", "broken", guard.open_to_all("a test")(broken))
    guard.check(app)
    browser = Browser(app)
    with caplog.at_level(logging.ERROR):
        assert browser.get("/broken").status_code == 500
    assert browser.heading == "Something went wrong here"


def test_a_route_that_does_not_say_whom_it_lets_in_stops_the_start(deployment: Deployment) -> None:
    app = flask_app(deployment)
    guard.install(app, load=lambda: None, sign_in="", confirm="")
    app.add_url_rule("/open", "forgotten_rule", lambda: "")
    with pytest.raises(RuntimeError, match="forgotten_rule"):
        guard.check(app)


def test_too_large_a_request_is_refused(browser: Browser) -> None:
    browser.get("/setup")
    answer = browser.post("/setup", {"name": "x" * 3_000_000})
    assert answer.status_code == 413


# ── The look ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.db
def test_a_character_that_no_database_keeps_is_refused_in_a_sentence(browser: Browser) -> None:
    typed = browser.post("/sign-in", {"email": "a\0b@fernmoor.example", "password": "x"})
    asked = browser.client.get("/search?q=bin%00", base_url="http://127.0.0.1:8000")
    for answer in (typed, asked):
        assert (answer.status_code, "a character that cannot be kept" in answer.get_data(as_text=True)) == (422, True)


def test_the_style_sheet_is_kept_for_ever_under_its_own_name(browser: Browser) -> None:
    browser.get("/help")
    link = browser.page.css_first('link[rel="stylesheet"]')
    assert link is not None
    answer = browser.get(link.attributes["href"] or "")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.content_type == "text/css; charset=utf-8"


def test_an_old_name_is_not_answered_with_new_content(browser: Browser) -> None:
    assert browser.get("/static/app.000000000000.css").status_code == 404


def test_a_plain_name_is_checked_again_each_time(browser: Browser) -> None:
    answer = browser.get("/static/favicon.svg")
    assert answer.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
    again = browser.get("/static/favicon.svg", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_a_file_outside_the_folder_is_out_of_reach(browser: Browser) -> None:
    for path in ("/static/../app/secrets.py", "/static/%2e%2e/wsgi.py", "/static/..%2fwsgi.py"):
        assert browser.get(path).status_code == 404


def test_the_look_is_packed_for_browsers_that_unpack(browser: Browser) -> None:
    plain = browser.get("/static/app.css").data
    packed = browser.get("/static/app.css", headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain


# ── For whoever runs it ───────────────────────────────────────────────────────────────────────────────────────────


def test_health_is_told_to_anybody_under_any_name(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/health/live", base_url="http://10.0.0.1:8000").status_code == 200
    assert client.get("/health/ready", base_url="http://10.0.0.1:8000").data == b"ready\n"


def test_without_its_tables_it_is_not_ready(tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = deploy(Settings(data=tmp_path_factory.mktemp("empty")))
    answer = create_app(deployment=empty).test_client().get("/health/ready")
    empty.close()
    assert answer.status_code == 503


def test_metrics_are_for_whoever_has_the_token(settings: Settings) -> None:
    open_page = settings.model_copy(update={"metrics_token": SecretStr("a-token")})
    client = create_app(open_page).test_client()
    base_url = "http://127.0.0.1:8000"
    client.get("/health/live", base_url=base_url)
    assert client.get("/metrics", base_url=base_url).status_code == 404
    assert client.get("/metrics", base_url=base_url, headers={"Authorization": "Bearer another"}).status_code == 404
    answer = client.get("/metrics", base_url=base_url, headers={"Authorization": "Bearer a-token"})
    assert 'postbag_requests_total{endpoint="health.live",method="GET",status="200"}' in answer.get_data(as_text=True)
