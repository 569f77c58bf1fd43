"""A large install to measure: 60 offices, 20,000 open cases and as many messages as are asked for, out of one seed.

Rows are written past the ORM (COPY on PostgreSQL), in the order of ids, with every column that the program would have
written and the words as the program's own index folds them. A world is kept in the temporary folder, in
``postbag-bench-…`` under a name that changes with the migrations, so that the second run starts at once.
``./dev bench world [--messages N] [--database sqlite|postgresql]`` makes one beforehand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Self

import psycopg
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from app.db import Base, Database, load_models, migrate
from app.deadlines.chips import BACKLOG, EMERGENCY, EXTERNAL, NORMAL, WAITING
from app.messages.index import entry
from app.settings import Settings
from tests.house.tree import ROOT
from tests.servers.postgres import Postgres

_EDITION = "1"  # another one where the rows below change, so that no world of an older kind is measured
NOW: Final = datetime(2026, 4, 7, 8, 0, tzinfo=UTC)
OFFICES: Final = 60
OPEN_CASES: Final = 20_000
STAFF_OF_OFFICE: Final = 3
LONG_THREAD: Final = 1_000  # messages of one case

_SPAN = timedelta(days=3 * 365)
_FAR = datetime(9999, 1, 1, tzinfo=UTC)
_THREADS = (1, 1, 2, 3, 4, 5, 6, 10)  # messages a case: four on average
_BLOCK = 1_000  # cases that are written to at the same time
_PER_CASE = sum(_THREADS) // len(_THREADS)
_CHANNELS = ("email", "email", "email", "email", "email", "mastodon", "facebook", "reddit")
_PUBLIC = {"mastodon", "reddit"}
_KNOWN: Final = (
    *("the", "a", "to", "of", "and", "in", "is", "it", "we", "you", "for", "on", "have", "not", "this", "that", "our"),
    *("with", "are", "was", "been", "road", "street", "bin", "brown", "missed", "collected", "council", "please"),
    *(
        "help",
        "pothole",
        "outside",
        "school",
        "damp",
        "mould",
        "flat",
        "landlord",
        "boiler",
        "heating",
        "light",
        "lamp",
    ),
    *("bus", "library", "hours", "parking", "permit", "planning", "application", "objection", "noise", "neighbour"),
    *("dog", "park", "path", "flood", "drain", "tree", "hedge"),
)
_VOWELS, _CONSONANTS = "aeiou", "bcdfghlmnprstvw"


@dataclass(frozen=True)
class World:
    """Sizes that follow from how many messages there are."""

    messages: int
    most_open: int = OPEN_CASES

    @property
    def cases(self) -> int:
        return self.messages // _PER_CASE

    @property
    def people(self) -> int:
        return max(self.cases * 2 // 5 // OFFICES, 1) * OFFICES

    @property
    def open_cases(self) -> int:
        return min(self.most_open, self.cases)

    def is_open(self, case: int) -> bool:
        return case > self.cases - self.open_cases

    @property
    def long_case(self) -> int:
        """The case of the first office that most was written to."""
        return self.cases - self.cases % OFFICES


def _dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same world every time is what is wanted


# ── Words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Words:
    """Text with the shape of language: few words everywhere, most words seldom."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        made = {self._word() for _ in range(30_000)} - set(_KNOWN)
        self.vocabulary = [*_KNOWN, *sorted(made, key=lambda word: hashlib.sha256(word.encode()).digest())]
        often = list(accumulate(1 / (place + 3) for place in range(len(self.vocabulary))))
        self.sentences = [
            " ".join(dice.choices(self.vocabulary, cum_weights=often, k=dice.randint(6, 14))) for _ in range(20_000)
        ]

    def _word(self) -> str:
        pairs = self.dice.randint(2, 4)
        return "".join(self.dice.choice(_CONSONANTS) + self.dice.choice(_VOWELS) for _ in range(pairs))

    def subject(self) -> str:
        return " ".join(self.dice.choice(self.sentences).split()[:5]).capitalize()

    def text(self) -> str:
        return ". ".join(self.dice.choices(self.sentences, k=10))


# ── Rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Row = dict[str, Any]


def rows(world: World) -> Iterator[tuple[str, Iterator[Row]]]:
    """Every table with its rows, in an order in which each finds what it refers to."""
    yield "office", _offices()
    yield "staff", _staff()
    yield "membership", _memberships()
    yield "queue", ({"id": office, "office_id": office, "name": "Unassigned", "is_default": True} for office in _each())
    yield "pledge", _pledges()
    yield "account", _accounts()
    yield "person", _people(world)
    yield "identity", _identities(world)
    yield "case", _cases(world)
    yield "conversation", _conversations(world)
    yield "message", _messages(world)
    yield "file", _files(world)
    yield "obligation", _obligations(world)
    yield "note", _notes(world)
    yield "audit_line", _audit(world)


def _each() -> range:
    return range(1, OFFICES + 1)


def _offices() -> Iterator[Row]:
    for office in _each():
        prefix = chr(65 + office // 26) + chr(65 + office % 26)
        yield {
            "id": office,
            "name": f"Cllr {office}",
            "prefix": prefix,
            "nation": "england_and_wales",
            "created_at": NOW - _SPAN,
            "set_up_at": NOW - _SPAN,
        }


def staff_of(office: int) -> range:
    """The ids of an office's people."""
    return range(office * STAFF_OF_OFFICE - STAFF_OF_OFFICE + 1, office * STAFF_OF_OFFICE + 1)


def _staff() -> Iterator[Row]:
    for person in range(1, OFFICES * STAFF_OF_OFFICE + 1):
        yield {
            "id": person,
            "email": f"staff{person}@fernmoor.example",
            "name": f"Bram Oxlip {person}",
            "created_at": NOW - _SPAN,
            "tint": person % 6,
        }


def _memberships() -> Iterator[Row]:
    for office in _each():
        for person in staff_of(office):
            yield {"id": person, "office_id": office, "staff_id": person, "role": "caseworker", "began_at": NOW - _SPAN}


def _pledges() -> Iterator[Row]:
    for office in _each():
        yield {"id": office, "office_id": office, "kind": "other", "version": 1, "valid_from": NOW - _SPAN}


def _accounts() -> Iterator[Row]:
    for office in _each():
        yield {
            "id": office,
            "office_id": office,
            "channel": "email",
            "name": f"cllr{office}@fernmoor.example",
            "state": "active",
            "options": {},
            "created_at": NOW - _SPAN,
            "connected_at": NOW - _SPAN,
        }


def _office_of(number: int) -> int:
    """Cases and people go round the offices in turn."""
    return number % OFFICES + 1


def _people(world: World) -> Iterator[Row]:
    for person in range(1, world.people + 1):
        yield {
            "id": person,
            "office_id": _office_of(person),
            "name": _name(person),
            "first_seen_at": NOW - _SPAN,
            "ward": "Millpond & Ashgrove",
        }


def _name(person: int) -> str:
    first, last = _KNOWN[person % len(_KNOWN)], _KNOWN[person // len(_KNOWN) % len(_KNOWN)]
    return f"{first.capitalize()} {last.capitalize()}{person % 997}"


def _identities(world: World) -> Iterator[Row]:
    for person in range(1, world.people + 1):
        address = f"resident{person}@residents.example"
        yield {
            "id": person,
            "office_id": _office_of(person),
            "person_id": person,
            "channel": "email",
            "external_id": address,
            "handle": address,
            "first_seen_at": NOW - _SPAN,
        }


def person_of(world: World, case: int) -> int:
    """Who wrote: somebody of the case's office."""
    there = world.people // OFFICES
    return (case * 7919 // OFFICES % there) * OFFICES + (case % OFFICES or OFFICES)


def _opened(world: World, case: int) -> datetime:
    return NOW - _SPAN + _SPAN * (case / world.cases)


def _channel(case: int) -> str:
    return _CHANNELS[case * 31 % 97 % len(_CHANNELS)]


def _audience(case: int) -> str:
    return "public" if _channel(case) in _PUBLIC else "direct"


def _cases(world: World) -> Iterator[Row]:
    dice = _dice(1)
    words = Words(dice)
    for case in range(1, world.cases + 1):
        office, opened = _office_of(case), _opened(world, case)
        owner = dice.choice([None, *staff_of(office)])
        yield {
            "id": case,
            "office_id": office,
            "reference": f"{chr(65 + office // 26)}{chr(65 + office % 26)}-{opened.year % 100}-{case:04}",
            "year": opened.year,
            "number": case,
            "subject": words.subject(),
            "owner_id": owner,
            "queue_id": None if owner else office,
            "opened_at": opened,
            "first_received_at": opened,
            "topic": dice.choice(("", "Waste", "Roads", "Housing")),
            "person_id": person_of(world, case),
            "conversation_id": case,
            "channel": _channel(case),
            "kind": "mail",
            "audience": _audience(case),
            "contact": _name(person_of(world, case)),
            "snippet": words.text()[:140],
            "last_at": opened + timedelta(days=dice.random() * 3),
            "last_inbound_at": opened,
            "has_files": dice.random() < 0.2,
            **(_open_case(dice) if world.is_open(case) else _done_case(dice, opened)),
        }


def _open_case(dice: random.Random) -> Row:
    rank = dice.choices((EMERGENCY, EXTERNAL, NORMAL, WAITING, BACKLOG), (1, 5, 160, 20, 14))[0]
    status = "with_constituent" if rank == WAITING else dice.choice(("new", "with_us", "with_us", "with_officer"))
    return {
        "status": status,
        "rank": rank,
        "due_at": NOW.replace(hour=23) + timedelta(days=dice.randint(-4, 20)),
        "is_unread": dice.random() < 0.4,
    }


def _done_case(dice: random.Random, opened: datetime) -> Row:
    closed = dice.random() < 0.7
    return {
        "status": "closed" if closed else "answered",
        "is_open": False,
        "rank": NORMAL,
        "due_at": _FAR,
        "closed_at": opened + timedelta(days=5) if closed else None,
        "outcome": "resolved" if closed else None,
        "is_unread": False,
    }


def _conversations(world: World) -> Iterator[Row]:
    for case in range(1, world.cases + 1):
        office, opened = _office_of(case), _opened(world, case)
        yield {
            "id": case,
            "office_id": office,
            "case_id": case,
            "channel": _channel(case),
            "account_id": office,
            "reply_account_id": office,
            "person_id": person_of(world, case),
            "audience": _audience(case),
            "kind": "mail",
            "subject": "Bins",
            "last_at": opened,
            "last_inbound_at": opened,
        }


def _case_of_messages(world: World) -> Iterator[int]:
    """The case of each message in the order of arrival: a thousand cases at a time talk across one another."""
    dice = _dice(2)
    left = LONG_THREAD if world.messages > 50 * LONG_THREAD else 0
    for start in range(0, world.cases, _BLOCK):
        block = range(start + 1, min(start + _BLOCK, world.cases) + 1)
        some = [case for case in block for _ in range(_THREADS[case % len(_THREADS)])]
        dice.shuffle(some)
        if left and world.long_case in block:
            some[-left:] = [world.long_case] * left
        yield from some


def _messages(world: World) -> Iterator[Row]:
    dice = _dice(3)
    words = Words(dice)
    for message, case in enumerate(_case_of_messages(world), 1):
        office, sent = _office_of(case), NOW - _SPAN + _SPAN * (message / world.messages)
        is_ours = dice.random() < 0.3
        person = person_of(world, case)
        text = words.text()
        yield {
            "id": message,
            "office_id": office,
            "channel": _channel(case),
            "account_id": office,
            "conversation_id": case,
            "case_id": case,
            "person_id": person,
            "identity_id": person,
            "direction": "outbound" if is_ours else "inbound",
            "kind": "mail",
            "audience": _audience(case),
            "platform_id": f"<{message}@residents.example>",
            "fingerprint": f"{message:x}",
            "author_name": f"Cllr {office}" if is_ours else _name(person),
            "author_handle": f"cllr{office}@fernmoor.example" if is_ours else f"resident{person}@residents.example",
            "recipients": {"to": [], "cc": []},
            "subject": words.subject(),
            "text": text,
            "reply_text": text,
            "html": f"<p>{text[:400]}</p>" if message % 2 else "",
            "sent_at": sent,
            "arrived_at": sent,
            "fetched_at": sent,
            "state": "handled",
            "by_id": staff_of(office)[0] if is_ours else None,
        }


def _files(world: World) -> Iterator[Row]:
    for number, message in enumerate(range(7, world.messages - 2 * _BLOCK, 10), 1):
        yield {
            "id": number,
            "office_id": 1,
            "message_id": message,
            "position": 0,
            "name": f"photo{number}.jpg",
            "media_type": "image/jpeg",
            "size": 40_000,
            "sha256": f"{number:064x}",
        }


def _obligations(world: World) -> Iterator[Row]:
    for case in range(1, world.cases + 1):
        opened, is_open = _opened(world, case), world.is_open(case)
        yield {
            "id": case,
            "office_id": _office_of(case),
            "case_id": case,
            "conversation_id": case,
            "person_id": person_of(world, case),
            "message_id": case,
            "pledge_id": _office_of(case),
            "kind": "reply",
            "state": "open" if is_open else "met",
            "received_at": opened,
            "days": 10,
            "due_at": opened + timedelta(days=14),
            "calendar": "bench",
            "met_at": None if is_open else opened + timedelta(days=5),
            "is_late": None if is_open else False,
        }


def _notes(world: World) -> Iterator[Row]:
    for number, case in enumerate(range(1, world.cases + 1, 3), 1):
        yield {
            "id": number,
            "office_id": _office_of(case),
            "case_id": case,
            "by_id": staff_of(_office_of(case))[0],
            "at": _opened(world, case) + timedelta(days=1),
            "text": "Asked the depot; they will look on Friday.",
        }


def _audit(world: World) -> Iterator[Row]:
    verbs = ("open", "assign", "read", "close")
    for case in range(1, world.cases + 1):
        who = staff_of(_office_of(case))[0]
        for number, verb in enumerate(verbs, 1):
            yield {
                "id": (case - 1) * len(verbs) + number,
                "office_id": _office_of(case),
                "at": _opened(world, case) + timedelta(hours=number),
                "actor_id": who if verb != "open" else None,
                "verb": verb,
                "object_kind": "case",
                "object_id": case,
                "facts": {"to": who} if verb == "assign" else {},
                "seal": "sealed" if case < world.cases else f"{number}",
            }


# ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _full(table: sa.Table, given: Iterable[Row], dialect: str) -> Iterator[tuple[Any, ...]]:
    """Rows as the driver takes them, every column in order, the program's own defaults where a row says nothing."""
    convert = _for_sqlite if dialect == "sqlite" else _for_postgresql
    usual = {column.name: convert(_default(column)) for column in table.columns}
    for row in given:
        filled = usual | {name: convert(value) for name, value in row.items()}
        yield tuple(filled.values())


def _default(column: sa.Column[Any]) -> Any:
    if isinstance(column.default, ScalarElementColumnDefault):
        return column.default.arg
    if isinstance(column.type, sa.JSON) and not column.nullable:
        return [] if column.name in {"own_ids", "recovery_codes", "remote_hosts", "reply_refs"} else {}
    return None


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, time):
        return value.strftime("%H:%M:%S.%f")
    return int(value) if isinstance(value, bool) else _for_postgresql(value)


def _for_postgresql(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value


def _words(world: World, dialect: str) -> Iterator[tuple[int, str]]:
    for row in _messages(world):
        author = f"{row['author_name']} {row['author_handle']}"
        yield (
            row["id"],
            entry(
                row["office_id"],
                row["id"],
                dialect,
                subject=row["subject"],
                author=author,
                channel=row["channel"],
                texts=(row["text"],),
            ),
        )


def sqlite_world(messages: int) -> Path:
    """The SQLite file of a world, made unless it is there."""
    path = _folder() / f"{messages}.db"
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".making")
    unfinished.unlink(missing_ok=True)
    print(f"Making a world of {messages:,} messages (once): {path}", flush=True)
    database = Database(f"sqlite:///{unfinished}")
    migrate(database)
    database.close()
    fill_sqlite(unfinished, World(messages))
    unfinished.rename(path)
    return path


def fill_sqlite(path: Path, world: World) -> None:
    """Put a world into a file that has its tables and nothing else."""
    load_models()
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "foreign_keys = OFF"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    for name, given in rows(world):
        table = Base.metadata.tables[name]
        names, marks = ", ".join(f'"{column.name}"' for column in table.columns), ", ".join("?" * len(table.columns))
        insert = f'INSERT INTO "{name}" ({names}) VALUES ({marks})'  # noqa: S608 - our own names
        connection.executemany(insert, _full(table, given, "sqlite"))
    connection.executemany("INSERT INTO search_words (rowid, words) VALUES (?, ?)", _words(world, "sqlite"))
    connection.execute("COMMIT")
    connection.execute("ANALYZE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


class PostgresqlWorld(Postgres):
    """A PostgreSQL with a world in it, made the first time; it stays on the disk. ``world`` is its URL."""

    def __init__(self, messages: int) -> None:
        self.messages = messages
        self._note = _folder() / f"{messages}.postgresql"  # where its cluster lies, and what its database is called

    def __enter__(self) -> Self:
        if self._note.exists():
            folder, self.world = self._note.read_text().splitlines()
            self._folder, self._data = Path(folder), Path(folder) / "data"
            self.start()
            return self
        super().__enter__()
        self.world = self.url()
        database = Database(Settings(database_url=SecretStr(self.world)).url)
        migrate(database)
        database.close()
        print(f"Making a world of {self.messages:,} messages in PostgreSQL (once): {self._folder}", flush=True)
        fill_postgresql(self.world, World(self.messages))
        self._note.parent.mkdir(exist_ok=True)
        self._note.write_text(f"{self._folder}\n{self.world}")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def fill_postgresql(url: str, world: World) -> None:
    """Put a world into a database that has its tables and nothing else."""
    load_models()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # every row refers to one that is there
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute("DROP INDEX ix_search_words_words")
        for name, given in rows(world):
            table = Base.metadata.tables[name]
            columns = [column.name for column in table.columns]
            _copy(connection, name, columns, _full(table, given, "postgresql"))
            connection.execute(_COUNT_ON.format(table=name).encode())
        _copy(connection, "search_words", ["message_id", "words"], _words(world, "postgresql"))
        connection.execute("CREATE INDEX ix_search_words_words ON search_words USING gin (words)")
        connection.execute("VACUUM ANALYZE")


_COUNT_ON: Final = """SELECT setval(pg_get_serial_sequence('"{table}"', 'id'), max(id)) FROM "{table}" """


def _copy(
    connection: psycopg.Connection[Any], table: str, columns: list[str], given: Iterator[tuple[Any, ...]]
) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN'.encode()) as copy:
        for row in given:
            copy.write_row(row)


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"postbag-bench-{_version()}"


def _version() -> str:
    made = hashlib.sha256(_EDITION.encode())
    for path in sorted((ROOT / "migrations" / "versions").glob("*.py")):
        made.update(path.read_bytes())
    return made.hexdigest()[:12]


def main() -> None:
    """Make a world, unless it is there."""
    parser = argparse.ArgumentParser(prog="dev bench world", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    if options.database == "sqlite":
        sqlite_world(options.messages)
    else:
        with PostgresqlWorld(options.messages):
            pass


if __name__ == "__main__":
    main()
