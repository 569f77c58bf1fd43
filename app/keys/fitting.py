"""Keys that fit the database: new ones are made for a new database only.

Made anew beside a database in use they would lock everybody out: sealed passwords of channels do not open, no password
of anybody is right any more, no seal of the audit trail is. So whoever lost the file is told before anything starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app import secrets
from app.db import Database
from app.errors import Problem
from app.keys.models import KeyPrint
from app.secrets import Keys, keyed_hash


def fitting(database: Database, folder: Path) -> Keys:
    """The keys in ``folder``, made where the database is new. Raises Problem where they are not those it was used with.

    The tables need not be there yet.
    """
    known = _known(database)
    made = secrets.found(folder)
    if made is None:
        if known:
            raise Problem(
                "The keys of this database are missing: there is no %(path)s. Put it back from a backup, or copy it "
                "from a machine that has it. If it is lost for good, say so: python -m app keys --accept-new",
                path=secrets.key_file(folder),
            )
        return secrets.keys(folder)
    wrong = [name for name, print_ in known.items() if print_ not in _prints(made).get(name, ())]
    if wrong:
        raise Problem(
            "The keys in %(path)s are not those that this database was used with (%(names)s). Put the right file "
            "there. If it is lost for good, say so: python -m app keys --accept-new",
            path=secrets.key_file(folder),
            names=", ".join(sorted(wrong)),
        )
    return made


def note(database: Database, made: Keys) -> None:
    """Have the database know these keys from now on. It was found that they fit, and its tables are there."""
    newest = {name: prints[0] for name, prints in _prints(made).items()}
    if _known(database) != newest:
        with database.transaction() as session:
            write(session, made)


def write(session: Session, made: Keys) -> None:
    """The same, within a transaction."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    for name, prints in _prints(made).items():
        row = insert(KeyPrint).values(name=name, known_by=prints[0])
        session.execute(row.on_conflict_do_update(index_elements=["name"], set_={"known_by": row.excluded.known_by}))


def _known(database: Database) -> dict[str, str]:
    """What is known of the keys; nothing in a new database."""
    with database.reader.connect() as connection:
        if not sa.inspect(connection).has_table(KeyPrint.__tablename__):
            return {}
        return dict(connection.execute(sa.select(KeyPrint.name, KeyPrint.known_by)).all())


def _prints(made: Keys) -> Mapping[str, tuple[str, ...]]:
    """What each key is known by: of those that seal, any that still opens will do."""
    several = {name: value if isinstance(value := getattr(made, name), tuple) else (value,) for name in Keys.__slots__}
    return {name: tuple(keyed_hash(key, "known by", name) for key in keys) for name, keys in several.items()}
