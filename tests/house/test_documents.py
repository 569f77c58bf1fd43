"""Whatever somebody can set, type or connect has its place in docs."""

from collections.abc import Iterator

import click

from app.cli import commands
from app.settings import Settings
from connectors import all_connectors
from tests.house.tree import ROOT

OPERATE = ROOT / "docs" / "operate.md"


def test_every_setting_is_explained() -> None:
    text = OPERATE.read_text(encoding="utf-8")
    assert [field for field in Settings.model_fields if f"`POSTBAG_{field.upper()}`" not in text] == []


def test_no_setting_is_explained_that_is_not_there() -> None:
    rows = [line for line in OPERATE.read_text(encoding="utf-8").splitlines() if line.startswith("| `POSTBAG_")]
    explained = {row.split("`")[1].removeprefix("POSTBAG_").lower() for row in rows}
    assert explained - set(Settings.model_fields) == set()


def test_every_command_is_explained() -> None:
    text = OPERATE.read_text(encoding="utf-8")
    assert [command for command in _commands(commands) if f"| `{command}` |" not in text] == []


def _commands(group: click.Group, path: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path}{name} ")
        elif not command.hidden:
            yield f"{path}{name}"


def test_every_channel_has_its_page() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "channels").glob("*.md")}
    assert set(all_connectors()) - pages == set()


def test_every_channel_has_its_test() -> None:
    tests = {path.parent.name for path in (ROOT / "tests" / "connectors").glob("*/test_*.py")}
    assert set(all_connectors()) - tests == set()


def test_every_document_a_document_points_to_is_there() -> None:
    broken = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for part in page.read_text(encoding="utf-8").split("](")[1:]:
            target = part.split(")")[0].split("#")[0]
            if target and "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
