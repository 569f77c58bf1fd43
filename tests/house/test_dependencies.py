"""What we import is what ``pyproject.toml`` names, and the other way round."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.house.tree import ROOT, files, imports

OURS = {"app", "connectors", "tests"}
COMES_ALONG = {
    "markupsafe",  # these two are part of Flask's own interface
    "werkzeug",
    "flask-login",  # and this one of Flask-Security's
    "psycopg-pool",  # named as psycopg[pool]
}
NEVER_IMPORTED = {
    "argon2-cffi": "passlib keeps passwords with it",
    "gunicorn": "a command, for many processes (docs/operate.md)",
    "praw": "part of the frame that was agreed; the Reddit channel is built on it",
    "psycopg": "SQLAlchemy finds it by the URL",
}


def test_every_library_we_import_is_named() -> None:
    named = _named("project.dependencies") | _named("dependency-groups.dev") | COMES_ALONG
    assert _imported("app", "connectors", "tests", "migrations") - named == set()


def test_the_office_runs_without_the_checkers() -> None:
    named = _named("project.dependencies") | COMES_ALONG
    assert _imported("app", "connectors", "migrations") - named == set()


def test_every_library_we_name_is_used() -> None:
    used = _imported("app", "connectors", "tests", "migrations") | set(NEVER_IMPORTED)
    assert _named("project.dependencies") - used == set()


def _named(table: str) -> set[str]:
    """Distributions that a list in ``pyproject.toml`` names."""
    where = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for key in table.split("."):
        where = where[key]
    return {_plain(re.split(r"[^\w.-]", line)[0]) for line in where}


def _imported(*folders: str) -> set[str]:
    """Distributions that the code in ``folders`` imports from."""
    modules = {module.split(".")[0] for path in files(*folders) for module in imports(path)}
    owners = packages_distributions()
    return {_plain(owners.get(name, [name])[0]) for name in modules - sys.stdlib_module_names - OURS if name}


def _plain(name: str) -> str:
    """As the package index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()
