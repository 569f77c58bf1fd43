"""No list, badge, page or search reads a whole table or sorts it: asked of the databases themselves."""

import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.db import Database
from app.deadlines.calendar import Calendar
from app.deadlines.chips import bounds
from app.deadlines.holidays import Nation
from app.pages import queries
from app.pages.queries import Filter, View
from app.search.language import parsed
from app.search.queries import search
from app.settings import Settings
from connectors import Audience
from tests.bench.world import NOW, World, fill_postgresql, fill_sqlite
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.db

WORLD = World(messages=12_000, most_open=1_000)
AT = bounds(NOW, Calendar(Nation.ENGLAND_AND_WALES))
# A handful of rows in any install; the rest grows with what is written.
SMALL = {"office", "staff", "membership", "queue", "account", "pledge"}
EMPTY = {"draft", "reply", "revision", "decision"}  # in this world; looked up by indexes once they hold something

ONE, SEVERAL = [1], [1, 2, 3]
ME = 1

LISTS: dict[str, Filter] = {
    **{view.value: Filter(view) for view in View},
    "channel": Filter(channel="mastodon"),
    "public": Filter(audience=Audience.PUBLIC),
    "unread": Filter(is_unread=True),
    "queue": Filter(queue_id=1),
    "mine, unread, by mail": Filter(View.MINE, channel="email", is_unread=True),
}


@pytest.fixture(scope="module")
def filled(
    request: pytest.FixtureRequest, database_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """A database with a world in it that knows its own statistics."""
    if database_kind == "sqlite":
        path: Path = tmp_path_factory.mktemp("world") / "postbag.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        fill_sqlite(path, WORLD)
        database = Database(f"sqlite:///{path}")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.url(request.getfixturevalue("postgres_template"))
        fill_postgresql(url, WORLD)
        database = Database(Settings(database_url=SecretStr(url)).url)
    yield database
    database.close()


def plans(database: Database, look: Callable[[Session], object]) -> list[str]:
    """How the database goes about each statement of ``look``."""
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(database.reader, "before_cursor_execute", note)
    with database.reading() as session:
        look(session)
    event.remove(database.reader, "before_cursor_execute", note)
    selects = [(statement, parameters) for statement, parameters in asked if "SELECT" in statement]
    with database.reader.connect() as connection:
        if not database.is_sqlite:
            # In so small a world reading or sorting everything would be cheap: where it is left, there is no other way.
            connection.exec_driver_sql("SET enable_sort = off; SET enable_seqscan = off; SET enable_hashagg = off")
        return [_plan(connection, statement, parameters) for statement, parameters in selects]


def _plan(connection: sa.Connection, statement: str, parameters: object) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    found = connection.exec_driver_sql(f"{explain} {statement}", parameters)  # type: ignore[arg-type]
    return "\n".join(str(row[-1]) for row in found)


def scanned(plan: str) -> set[str]:
    """The tables that a plan reads from end to end."""
    found = set(re.findall(r"SCAN (\w+)(?! VIRTUAL)\b", plan)) | set(re.findall(r'Seq Scan on "?(\w+)"?', plan))
    return found - SMALL - EMPTY - {"page"}


def sorts(plan: str) -> bool:
    return "TEMP B-TREE" in plan or "Sort" in plan.replace("Sort Key", "")


@pytest.mark.parametrize("offices", [ONE, SEVERAL], ids=["one office", "several offices"])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_walks_an_index_and_sorts_nothing(filled: Database, name: str, offices: list[int]) -> None:
    with filled.reading() as session:
        first = queries.inbox(session, offices, LISTS[name], staff_id=ME, at=AT, limit=1)
    assert first.rows or "mine" in name
    for after in {"", first.next}:
        look = partial(queries.inbox, offices=offices, wanted=LISTS[name], staff_id=ME, at=AT, after=after)
        (plan,) = plans(filled, look)
        assert (scanned(plan), sorts(plan)) == (set(), False), plan


@pytest.mark.parametrize("offices", [ONE, SEVERAL], ids=["one office", "several offices"])
def test_badges_are_answered_by_an_index_alone(filled: Database, offices: list[int]) -> None:
    (plan,) = plans(filled, lambda session: queries.badges(session, offices, staff_id=ME, at=AT))
    assert "COVERING INDEX" in plan or "Index Only Scan" in plan
    assert (scanned(plan), sorts(plan)) == (set(), False), plan


@pytest.mark.parametrize("name", ["case", "long case", "person", "people", "audit"])
@pytest.mark.parametrize("offices", [ONE, SEVERAL], ids=["one office", "several offices"])
def test_a_page_reads_no_table_from_end_to_end(filled: Database, name: str, offices: list[int]) -> None:
    looks: dict[str, Callable[[Session], object]] = {
        "case": lambda session: queries.case_page(session, offices, 60),
        "long case": lambda session: queries.case_page(session, offices, WORLD.long_case, before=11_990),
        "person": lambda session: queries.person_page(session, offices, 60),
        "people": lambda session: queries.people(session, offices),
        "audit": lambda session: queries.audit_page(session, offices),
    }
    for plan in plans(filled, looks[name]):
        assert scanned(plan) == set(), plan


@pytest.mark.parametrize("name", ["people", "audit"])
@pytest.mark.parametrize("offices", [ONE, SEVERAL], ids=["one office", "several offices"])
def test_people_and_the_audit_trail_are_not_sorted(filled: Database, name: str, offices: list[int]) -> None:
    look: dict[str, Callable[[Session], object]] = {
        "people": lambda session: queries.people(session, offices),
        "audit": lambda session: queries.audit_page(session, offices),
    }
    for plan in plans(filled, look[name]):
        assert not sorts(plan), plan


def test_a_case_takes_as_many_statements_however_long_it_is(filled: Database) -> None:
    short = plans(filled, lambda session: queries.case_page(session, ONE, 60))
    long = plans(filled, lambda session: queries.case_page(session, ONE, WORLD.long_case))
    assert (len(short), len(long)) == (14, 14)


@pytest.mark.parametrize("typed", ["the", "missed bin", '"brown bin"', "poth*", "from:the", "the is:open", "is:closed"])
@pytest.mark.parametrize("offices", [ONE, SEVERAL], ids=["one office", "several offices"])
def test_a_search_reads_only_what_it_finds(filled: Database, typed: str, offices: list[int]) -> None:
    found = plans(filled, lambda session: search(session, offices, parsed(typed, ["email"])))
    assert found
    for plan in found:
        assert scanned(plan) == set(), plan
