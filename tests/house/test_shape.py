"""Where things may live, and how large they may grow."""

import ast
import shutil
import statistics
import subprocess

import pytest

from tests.house.tree import ROOT, calls, files, functions, imports, length, methods, name, parsed

TOP = {
    ".ci",
    ".gitignore",
    "README.md",
    "app",
    "connectors",
    "dev",
    "docs",
    "migrations",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
    "static",
    "templates",
    "tests",
    "wsgi.py",
}
NAMES_THAT_SAY_NOTHING = {
    "base",
    "common",
    "config",
    "core",
    "helper",
    "helpers",
    "lib",
    "manager",
    "misc",
    "scripts",
    "service",
    "services",
    "shared",
    "util",
    "utils",
}
COMMITS = {"app/db.py", "app/web/session.py"}
SPEAKS_SQL = {"execute", "scalar", "scalars", "query", "add", "add_all", "delete", "flush", "merge", "get_one"}
VIEWS = [path for path in files("app") if path.stem == "views" or path.parent.stem == "views"]


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or not shutil.which("git"), reason="git tells what belongs to the tree"
)
def test_nothing_else_stands_at_the_top_level() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert {path.split("/")[0] for path in listed} - TOP == set()


def test_every_module_has_a_name_that_says_what_is_in_it() -> None:
    paths = files("app", "connectors", "tests", "migrations")
    parts = {part for path in paths for part in path.relative_to(ROOT).with_suffix("").parts}
    assert parts & NAMES_THAT_SAY_NOTHING == set()


def test_every_module_with_code_says_what_it_is_for() -> None:
    silent = [
        name(path) for path in files("app", "connectors") if parsed(path).body and not ast.get_docstring(parsed(path))
    ]
    assert silent == []


def test_a_transaction_is_committed_in_two_places_only() -> None:
    places = {name(path) for path in files("app") for _, called in calls(parsed(path)) if called.endswith(".commit")}
    assert places - COMMITS == set()


def test_connectors_never_import_one_another() -> None:
    guilty = []
    for path in files("connectors"):
        own = path.relative_to(ROOT / "connectors").with_suffix("").parts[0]
        for module in imports(path):
            top, _, rest = module.partition(".")
            other = rest.split(".")[0]
            is_channel = (ROOT / "connectors" / other).is_dir() or (ROOT / "connectors" / f"{other}.py").is_file()
            if top == "connectors" and other and not other.startswith("_") and other != own and is_channel:
                guilty.append(f"{name(path)} imports {module}")
    assert guilty == []


def test_putting_the_application_together_stays_short() -> None:
    assert len((ROOT / "app" / "__init__.py").read_text(encoding="utf-8").splitlines()) < 80


def test_views_are_thin() -> None:
    lengths = sorted(length(view) for path in VIEWS for view in functions(path) if methods(view))
    if len(lengths) >= 2:
        assert statistics.median(lengths) <= 12
        assert statistics.quantiles(lengths, n=10)[-1] <= 25


def test_views_do_not_ask_the_database() -> None:
    guilty = [
        f"{name(path)}:{call.lineno} {called}"
        for path in VIEWS
        for call, called in calls(parsed(path))
        if called.rpartition(".")[0].endswith("session") and called.rpartition(".")[2] in SPEAKS_SQL
    ]
    assert guilty == []


def test_no_page_that_is_only_looked_at_changes_anything() -> None:
    guilty = [
        f"{name(path)}:{call.lineno} {called}"
        for path in VIEWS
        for view in functions(path)
        if methods(view) == {"GET"}
        for call, called in calls(view)
        if "actions" in called.split(".")[:-1]
    ]
    assert guilty == []
