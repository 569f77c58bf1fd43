"""The tables that the models describe are the tables that the migrations make, on both databases."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.house.tree import ROOT, files
from tests.servers.postgres import Postgres

CONFIG = Config(toml_file=ROOT / "pyproject.toml")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'postbag.db'}"
    else:
        with Postgres() as postgres:
            yield postgres.url()


def test_models_and_migrations_agree(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in files("app"):
        if path.stem == "models":  # all of them, so that none is forgotten by whoever lists them
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    monkeypatch.setenv("POSTBAG_DATA", str(tmp_path))
    monkeypatch.setenv("POSTBAG_DATABASE_URL", url)
    command.upgrade(CONFIG, "head")
    command.check(CONFIG)


def test_there_is_one_newest_migration() -> None:
    assert len(ScriptDirectory.from_config(CONFIG).get_heads()) == 1
