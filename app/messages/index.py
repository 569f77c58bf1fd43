"""The words of messages, for finding them again: one way of folding for both databases, so that both find the same.

Every word is stored with its office before it (``o12_bin``), so that a word that is common elsewhere costs nothing and
no search walks another office's words. Words of some fields are stored a second time under the field
(``o12f_hester``), so that "from" and "channel" are words like any other; each message also bears the bare office
(``o12_``), by which all of them are found.

SQLite keeps them in an FTS5 table of its own, PostgreSQL in a ``tsvector`` with a GIN index (migration 0002). FTS5
keeps the text as well: a contentless table (a quarter of the size) forgets a message only when it is told the very same
words again, and what must be erased cannot hang on that. FTS5 gives the newest first by itself. GIN gives all or
nothing, so on PostgreSQL words carry also the part of the index that they are in (``o12.30_bin``: messages from
30 x 32,768 on), and the parts are asked one after the other, newest first, until there is enough.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Database
from app.messages.models import Message
from app.statements import Statement

MOST_WORDS: Final = 16_000  # a tsvector counts positions up to 16,383; a mail of 60 pages has as many words
_PART: Final = 15  # bits: the size of a part of the index on PostgreSQL; its longest answer takes about 5 ms
_MERGED_AT_ONCE: Final = 500  # pages of SQLite's index
_CHANGES: Final = sa.text("SELECT total_changes()")
_MOST_TEXT: Final = 250_000  # characters read for words: a tsvector holds 1 MB, and a mail may hold 30

# A longer word falls into pieces, here and in what is looked for: a phrase. A tsvector refuses very long ones.
_WORD = re.compile(r"[^\W_]{1,40}")
# Scripts that put no space between words: each sign is a word, and a word looked for becomes a phrase.
_SIGN = r"\u0e00-\u0eff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD_OR_SIGN = re.compile(rf"[{_SIGN}]|[^\W_{_SIGN}]{{1,40}}")
_MARK = re.compile(
    r"[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u064b-\u065f\u0670"
    r"\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]"
)


class Field(StrEnum):
    """Where a word stands; the value is what is put between office and word."""

    ANYWHERE = ""
    AUTHOR = "f"
    CHANNEL = "c"
    SUBJECT = "s"


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand one after the other, or one alone. ``is_beginning``: the last one may go on ("pothol*")."""

    words: tuple[str, ...]
    field: Field = Field.ANYWHERE
    is_beginning: bool = False


def fold(text: str) -> list[str]:
    """The words of ``text`` in order, as they are stored and looked for: without case, accents and punctuation."""
    if text.isascii():
        return _WORD.findall(text.lower())
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return _WORD_OR_SIGN.findall(_MARK.sub("", plain))


# ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

_PUT: Final = Statement(
    sa.text("INSERT OR REPLACE INTO search_words (rowid, words) VALUES (:id, :words)"),
    postgresql=sa.text(
        "INSERT INTO search_words (message_id, words) VALUES (:id, CAST(:words AS tsvector)) "
        "ON CONFLICT (message_id) DO UPDATE SET words = excluded.words"
    ),
)
_REMOVE = {
    "sqlite": sa.text("DELETE FROM search_words WHERE rowid = :id"),
    "postgresql": sa.text("DELETE FROM search_words WHERE message_id = :id"),
}


def add(session: Session, message: Message, *more: str) -> None:
    """Make ``message`` findable by its words and by ``more`` (its case's reference, its attachments' names).

    The message has its id. Adding it again replaces what was there: its case has another reference now, or it was
    edited.
    """
    dialect = session.connection().dialect.name
    words = entry(
        message.office_id,
        message.id,
        dialect,
        subject=message.subject,
        author=f"{message.author_name} {message.author_handle}",
        channel=message.channel,
        texts=(message.text, *more),
    )
    _PUT.run(session, {"id": message.id, "words": words})


def remove(session: Session, message_ids: Iterable[int]) -> None:
    """Forget the words of messages; those that are not there are passed over."""
    ids = [{"id": message_id} for message_id in message_ids]
    if ids:
        session.execute(_REMOVE[session.get_bind().dialect.name], ids)


def purge(database: Database) -> None:
    """Have no word of removed messages lie in the index any more: SQLite only marks them, until it merges by itself.

    A little at a time, each a short transaction, so that nobody waits. PostgreSQL's own vacuum does the same.
    """
    if not database.is_sqlite:
        return
    merge = sa.text("INSERT INTO search_words (search_words, rank) VALUES ('merge', :pages)")
    pages = -_MERGED_AT_ONCE  # below zero: all there is into one piece, in as many steps as it takes
    while True:
        with database.transaction() as session:
            before = session.scalar(_CHANGES) or 0
            session.execute(merge, {"pages": pages})
            if (session.scalar(_CHANGES) or 0) - before < 2:  # noqa: PLR2004 - as FTS5 tells that there is nothing left
                return
        pages = _MERGED_AT_ONCE


def entry(
    office_id: int, message_id: int, dialect: str, *, subject: str, author: str, channel: str, texts: Iterable[str]
) -> str:
    """What is stored for a message: its words with their office, for PostgreSQL each with its place."""
    fields = ((Field.SUBJECT, subject), (Field.AUTHOR, author), (Field.CHANNEL, channel))
    groups = [(f"{field}_", fold(text[:_MOST_TEXT])) for field, text in fields]
    # The bare office stands between two texts, so that no phrase reaches from one into the next.
    groups += [("_", ["", *fold(text[:_MOST_TEXT])]) for text in (subject, author, *texts)]
    if dialect == "sqlite":
        return " ".join(_started(f"o{office_id}{field}", words) for field, words in _first(MOST_WORDS, groups))
    start = f"o{office_id}.{message_id >> _PART}"
    every = (f"{start}{field}{word}" for field, words in _first(MOST_WORDS, groups) for word in words)
    return " ".join(f"{word}:{place}" for place, word in enumerate(every, 1))


def _started(start: str, words: list[str]) -> str:
    """Each of them begun with ``start``: joining is many times quicker than beginning them one by one."""
    return start + f" {start}".join(words)


def _first(count: int, groups: Iterable[tuple[str, list[str]]]) -> Iterator[tuple[str, list[str]]]:
    """The groups that are not empty, of all their words the first ``count``."""
    for field, words in groups:
        if words and count > 0:
            yield field, words[:count]
            count -= len(words)


# ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Window:
    """Messages that hold what was asked for, newest first. ``below`` is where older ones begin; None where none are."""

    ids: list[int]
    below: int | None


def newest(
    session: Session,
    offices: Collection[int],
    phrases: Sequence[Phrase],
    *,
    limit: int,
    below: int | None = None,
    down_to: int = 0,
) -> Window:
    """The messages of ``offices`` that hold all of ``phrases`` (none: all messages), at most ``limit``, newest first.

    Ids grow with arrival, so the newest come from the end of the index at once, however many there are. ``below`` goes
    on from the window before; ``down_to`` is the oldest id wanted. On PostgreSQL, where only the words themselves tell
    whether they stand together, at most ``limit`` and at most 1,000 messages with the words of a phrase are looked at,
    and those without the phrase left out.
    """
    if not offices:
        return Window([], None)
    given: dict[str, object] = {"limit": limit, "below": below or _NO_BOUND, "down_to": down_to}
    if session.get_bind().dialect.name == "sqlite":
        given["wanted"] = _either(_fts5(office_id, phrases) for office_id in sorted(offices))
        return _within([*session.scalars(_FTS5, given).all()], limit)
    newest_part = ((below - 1 if below else session.scalar(_NEWEST)) or 0) >> _PART
    parts = range(newest_part, (down_to >> _PART) - 1, -1)
    given["wanted"] = [_tsquery(offices, part, phrases, "&") for part in parts]
    if all(len(phrase.words) == 1 for phrase in phrases):
        return _within([*session.scalars(_TSQUERY, given).all()], limit)
    given |= {"limit": min(limit, _MOST_READ), "together": [_tsquery(offices, part, phrases, "<->") for part in parts]}
    found = session.execute(_TSQUERY_TOGETHER, given).all()
    older = _within([message_id for message_id, _ in found], min(limit, _MOST_READ)).below
    return Window([message_id for message_id, is_together in found if is_together], older)


def _within(ids: list[int], limit: int) -> Window:
    """``ids`` with where older ones begin: where there are as many as were asked for, there may be more."""
    return Window(ids, ids[-1] if len(ids) == limit else None)


_NO_BOUND: Final = 2**62
_MOST_READ: Final = 1_000  # messages of which all words are read for a phrase: about 3 ms
_EVERYTHING: Final = (Phrase(("",)),)
_FTS5: Final = sa.text(
    "SELECT rowid FROM search_words WHERE search_words MATCH :wanted AND rowid < :below AND rowid >= :down_to "
    "ORDER BY rowid DESC LIMIT :limit"
)
_NEWEST: Final = sa.text("SELECT max(message_id) FROM search_words")
# One part after the other, as LATERAL leaves no other way, and no further than LIMIT asks. "+ 0": sorting what GIN
# finds in a part is quick; walking the primary key back to front, which LIMIT makes look cheap, reads every word.
_TSQUERY: Final = sa.text(
    "SELECT found.message_id FROM unnest(CAST(:wanted AS text[])) AS part (wanted), LATERAL ("
    "SELECT message_id FROM search_words WHERE words @@ CAST(part.wanted AS tsquery) "
    "AND message_id + 0 < :below AND message_id + 0 >= :down_to ORDER BY message_id + 0 DESC"
    ") AS found LIMIT :limit"
)
# The same; whether the words stand together is asked only of those that LIMIT lets through.
_TSQUERY_TOGETHER: Final = sa.text(
    "SELECT found.message_id, found.words @@ part.together "
    "FROM unnest(CAST(:wanted AS text[]), CAST(CAST(:together AS text[]) AS tsquery[])) AS part (wanted, together), "
    "LATERAL (SELECT message_id, words FROM search_words WHERE words @@ CAST(part.wanted AS tsquery) "
    "AND message_id + 0 < :below AND message_id + 0 >= :down_to ORDER BY message_id + 0 DESC"
    ") AS found LIMIT :limit"
)


def _either(each: Iterable[str], word: str = "OR") -> str:
    return f" {word} ".join(f"({one})" for one in each)


def _fts5(office_id: int, phrases: Sequence[Phrase]) -> str:
    """All of ``phrases`` in one office, in the language of FTS5."""
    return " AND ".join(
        '"' + " ".join(f"o{office_id}{phrase.field}_{word}" for word in phrase.words) + '"' + "*" * phrase.is_beginning
        for phrase in phrases or _EVERYTHING
    )


def _tsquery(offices: Collection[int], part: int, phrases: Sequence[Phrase], then: str) -> str:
    """All of ``phrases`` in any office, in a part of the index, in the language of PostgreSQL.

    ``then`` stands between two words of a phrase: "&" where both are there, "<->" where one follows the other.
    """
    return _either(
        (
            " & ".join(_one(f"o{office_id}.{part}", phrase, then) for phrase in phrases or _EVERYTHING)
            for office_id in sorted(offices)
        ),
        "|",
    )


def _one(start: str, phrase: Phrase, then: str) -> str:
    words = f" {then} ".join(f"'{start}{phrase.field}_{word}'" for word in phrase.words)
    return f"({words}{':*' * phrase.is_beginning})"
