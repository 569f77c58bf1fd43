"""Every route says whom it lets in; those that let in everybody stand here, each with its reason."""

import pytest
from flask import Flask
from jinja2 import StrictUndefined

from app.settings import Settings
from app.web import guard
from app.web.permissions import Permission

OPEN = {
    "health.live": "a supervisor asks whether the process answers",
    "health.ready": "a load balancer asks whether the database answers",
    "health.metrics": "a collector asks with a token of its own",
    "static": "the look of every page, that of the sign-in too",
    "setup.start": "an install that nobody looks after yet is begun here",
    "setup.begin": "the same; from another machine only with the code in the log",
    "staff.sign_in": "where people sign in",
    "staff.give_password": "where people sign in",
    "staff.code": "the second step, after the first only",
    "staff.give_code": "the second step, after the first only",
    "staff.sign_out": "a session that has ended can still be signed out of",
    "staff.forgotten": "whoever has forgotten the password cannot sign in",
    "staff.ask_for_reset": "whoever has forgotten the password cannot sign in",
    "staff.reset": "the link is the proof",
    "staff.choose_after_reset": "the link is the proof",
    "staff.join": "the link is the proof",
    "staff.choose_after_invitation": "the link is the proof",
    "staff.choose_language": "whoever cannot read the sign-in page cannot sign in",
    "staff.help_page": "whoever cannot sign in needs help most",
}


@pytest.fixture
def app(settings: Settings) -> Flask:
    from app import create_app

    return create_app(settings)


def test_every_route_says_whom_it_lets_in(app: Flask) -> None:
    assert set(app.view_functions) - set(guard.rules(app)) == set()


def test_only_the_routes_named_here_let_in_everybody(app: Flask) -> None:
    open_to_all = {endpoint for endpoint, rule in guard.rules(app).items() if rule.permission is None}
    assert open_to_all == set(OPEN)


def test_a_route_that_lets_in_everybody_says_why(app: Flask) -> None:
    rules = guard.rules(app).items()
    assert [endpoint for endpoint, rule in rules if rule.permission is None and not rule.reason] == []


def test_a_route_is_for_looking_or_for_changing_and_never_both(app: Flask) -> None:
    both = [rule.endpoint for rule in app.url_map.iter_rules() if {"GET", "POST"} <= (rule.methods or set())]
    assert both == []


def test_a_change_is_a_post(app: Flask) -> None:
    methods = {method for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    assert methods - {"GET", "HEAD", "OPTIONS", "POST"} == set()


def test_every_permission_is_asked_for_somewhere(app: Flask) -> None:
    assert set(Permission) - {rule.permission for rule in guard.rules(app).values()} == set()


def test_every_template_can_be_compiled_and_forgives_no_missing_value(app: Flask) -> None:
    assert issubclass(app.jinja_env.undefined, StrictUndefined)
    for template in app.jinja_env.list_templates():
        app.jinja_env.get_template(template)
