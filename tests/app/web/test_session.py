"""The transaction of a request."""

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.typing import ResponseReturnValue

from app.clock import now
from app.db import Database
from app.errors import Conflict
from app.staff.models import Attempt
from app.web.guard import check as check_guard
from app.web.guard import open_to_all
from app.web.session import keep, note_read, session


def a_row() -> Attempt:
    return Attempt(key_hash="k", purpose="test", made_at=now(), succeeded=True)


def look() -> ResponseReturnValue:
    session.add(a_row())
    session.flush()
    return "never"


def note() -> ResponseReturnValue:
    note_read(lambda own: own.add(a_row()))
    return "noted"


def change() -> ResponseReturnValue:
    session.add(a_row())
    return "", 303


def refuse() -> ResponseReturnValue:
    session.add(a_row())
    return "", 422


def refuse_and_keep() -> ResponseReturnValue:
    session.add(a_row())
    keep()
    return "", 422


def fail() -> ResponseReturnValue:
    session.add(a_row())
    session.flush()
    raise Conflict("Somebody was quicker.")


def break_down() -> ResponseReturnValue:
    session.add(a_row())
    session.flush()
    raise ZeroDivisionError


VIEWS = {
    "GET": (look, note),
    "POST": (change, refuse, refuse_and_keep, fail, break_down),
}


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["WTF_CSRF_ENABLED"] = False
    for method, views in VIEWS.items():
        for view in views:
            name = view.__name__
            app.add_url_rule(f"/test/{name}", f"test.{name}", open_to_all("a test")(view), methods=[method])
    check_guard(app)
    return app


def rows(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Attempt)) or 0


def ask(app: Flask, method: str, name: str) -> int:
    return app.test_client().open(f"/test/{name}", method=method, base_url="http://127.0.0.1:8000").status_code


@pytest.mark.db
def test_a_page_that_is_only_looked_at_cannot_write(app: Flask, database: Database) -> None:
    assert ask(app, "GET", "look") == 500
    assert rows(database) == 0


@pytest.mark.db
def test_what_is_noted_beside_a_page_is_kept(app: Flask, database: Database) -> None:
    assert ask(app, "GET", "note") == 200
    assert rows(database) == 1


@pytest.mark.db
@pytest.mark.parametrize(
    ("name", "status", "kept"),
    [("change", 303, 1), ("refuse", 422, 0), ("refuse_and_keep", 422, 1), ("fail", 409, 0), ("break_down", 500, 0)],
)
def test_a_change_is_kept_when_the_answer_went_well(
    app: Flask, database: Database, name: str, status: int, kept: int
) -> None:
    assert ask(app, "POST", name) == status
    assert rows(database) == kept


@pytest.mark.usefixtures("world")
def test_no_connection_is_left_out_of_the_pool(app: Flask, database: Database) -> None:
    for method, views in VIEWS.items():
        for view in views:
            ask(app, method, view.__name__)
    assert database.in_use() == 0
