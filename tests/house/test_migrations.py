"""The tables that the models describe are the tables that the migrations make, on both databases."""

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.settings import Settings
from tests.house.tree import ROOT

CONFIG = Config(toml_file=ROOT / "pyproject.toml")


@pytest.mark.db
def test_models_and_migrations_agree(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBAG_DATABASE_URL", settings.url)
    command.check(CONFIG)


def test_there_is_one_newest_migration() -> None:
    assert len(ScriptDirectory.from_config(CONFIG).get_heads()) == 1
