"""Draws the first migration anew from the rows: ``.venv/bin/python -m tests.house.redraw_migration``.

Only before the first release. Afterwards a change of rows is a revision of its own, from an up-to-date database:
``.venv/bin/alembic revision --autogenerate --rev-id 0003 -m "what the office can do now"``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from app.db import Base, Database
from tests.house.tree import ROOT

FIRST = ROOT / "migrations" / "versions" / "0001_first.py"
IS_POSTGRESQL = '    if op.get_bind().dialect.name == "postgresql":\n'
RUN_FILE = '''
def run_file(name: str) -> None:
    """Run a file of SQL as it stands: through the driver itself, as elsewhere every % would be a parameter."""
    connection = op.get_bind().connection.driver_connection
    if connection is not None:
        connection.execute((Path(__file__).parents[1] / name).read_text(encoding="utf-8"))

'''
NO_WAY_BACK = """
def downgrade() -> None:
    raise NotImplementedError("There is nothing before the first migration.")
"""


def main() -> None:
    """Write ``0001_first.py`` anew; later revisions are put aside meanwhile and stay as they are."""
    kept = {path: path.read_text() for path in FIRST.parent.glob("*.py")}
    for path in kept:
        path.unlink()
    try:
        drawn = finished(draw())
    except BaseException:
        drawn = kept.get(FIRST, "")
        raise
    finally:
        for path, text in {**kept, FIRST: drawn}.items():
            path.write_text(text)
    tidy()


def draw() -> str:
    """What Alembic makes of the rows and an empty database."""
    config = Config(toml_file=ROOT / "pyproject.toml", attributes={"alters": False})
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/empty.db")
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.revision(config, "first", autogenerate=True, rev_id="0001")
        database.close()
    return FIRST.read_text()


def finished(text: str) -> str:
    """The same with what no row describes: Procrastinate's tables, and constraints that PostgreSQL wants afterwards."""
    text = text.partition("\ndef downgrade")[0]
    text = "".join(line for line in text.splitlines(keepends=True) if "# ### " not in line)
    text = text.replace(
        '"""first."""', '"""All tables as of the first release."""\n\n# ruff: noqa: PLR0915 - one long list', 1
    )
    text = text.replace("\nimport sqlalchemy as sa", "\nfrom pathlib import Path\n\nimport sqlalchemy as sa", 1)
    start = f'\ndef upgrade() -> None:\n{IS_POSTGRESQL}        run_file("procrastinate.sql")\n'
    text = text.replace("\ndef upgrade() -> None:\n", f"{RUN_FILE}{start}", 1)
    return f"{text.rstrip()}\n{IS_POSTGRESQL}{''.join(afterwards())}\n{NO_WAY_BACK}"


def afterwards() -> list[str]:
    """Foreign keys of tables that point at each other: PostgreSQL takes them once both tables are there."""
    return [
        f"        op.create_foreign_key(op.f({key.name!r}), {table.name!r}, {key.referred_table.name!r}, "
        f"{key.column_keys!r}, {[element.column.name for element in key.elements]!r})\n"
        for table in Base.metadata.sorted_tables
        for key in sorted(table.foreign_key_constraints, key=lambda key: str(key.name))
        if key.use_alter and isinstance(key, sa.ForeignKeyConstraint)
    ]


def tidy() -> None:
    """Have the file look like every other."""
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["format", "--quiet"], ["check", "--fix", "--quiet"], ["format", "--quiet"]):
        subprocess.run([ruff, *arguments, FIRST], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
