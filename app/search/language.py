"""What may be typed into the search box, and what it means.

Words (all of them, in any order), "phrases", the beginning of a word (pothol*), and filters: ``from:hester``,
``subject:bins``, ``channel:mastodon``, ``is:open``, ``after:2026-03-01``, ``before:1/4/2026``, ``on:2026-03``. A case's
reference goes straight to the case. A filter that is not understood is named and left out, never guessed at.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from app.deadlines.calendar import end_of_day, start_of_day
from app.messages.index import Field, Phrase, fold

MOST_TYPED: Final = 300  # characters; the rest is left out
_MOST_PHRASES: Final = 20

_PART = re.compile(
    r"""
    (?:(?P<filter>[^\W\d_]+):(?!//))?                            # from:  but not https://
    (?: "(?P<phrase>[^"]*)"? | (?P<word>[^\s"]+) )
    """,
    re.VERBOSE,
)
_REFERENCE = re.compile(r"\s*([A-Za-z]{1,4})-(\d\d)-(\d{1,9})\s*")
_DAY = re.compile(r"(?P<year>\d{4})(?:-(?P<month>\d\d?)(?:-(?P<day>\d\d?))?)?")
_UK_DAY = re.compile(r"(?P<day>\d\d?)/(?P<month>\d\d?)/(?P<year>\d{4})")
_FIELDS: Final = {"from": Field.AUTHOR, "subject": Field.SUBJECT}


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for. ``since`` and ``until`` bound when a message was sent; ``not_understood`` is as typed."""

    phrases: tuple[Phrase, ...] = ()
    is_open: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    reference: str = ""
    not_understood: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing to look for."""
        return not self.phrases and self.is_open is None and self.since is None and self.until is None


def parsed(typed: str, channels: Collection[str]) -> Query:
    """What ``typed`` asks for. ``channels`` are the slugs that ``channel:`` may name."""
    typed = typed[:MOST_TYPED]
    if reference := _REFERENCE.fullmatch(typed):
        letters, year, number = reference.groups()
        return Query(reference=f"{letters.upper()}-{year}-{number:0>4}", phrases=(_phrase(typed, Field.ANYWHERE),))
    made = _Making(frozenset(channels))
    for part in _PART.finditer(typed):
        made.take(part)
    return made.query()


def _phrase(text: str, field: Field, *, may_go_on: bool = False) -> Phrase:
    return Phrase(tuple(fold(text)), field, is_beginning=may_go_on and text.endswith("*"))


class _Making:
    """A query while its parts are read one by one."""

    def __init__(self, channels: frozenset[str]) -> None:
        self.channels = channels
        self.phrases: list[Phrase] = []
        self.is_open: bool | None = None
        self.since: datetime | None = None
        self.until: datetime | None = None
        self.not_understood: list[str] = []

    def take(self, part: re.Match[str]) -> None:
        name = (part["filter"] or "").lower()
        text = part["phrase"] if part["phrase"] is not None else part["word"]
        if not name:
            self.look_for(_phrase(text, Field.ANYWHERE, may_go_on=part["word"] is not None))
        elif name in _FIELDS:
            self.look_for(_phrase(text, _FIELDS[name]))
        elif not self.narrow(name, text.strip().lower()):
            self.not_understood.append(part[0])

    def look_for(self, phrase: Phrase) -> None:
        if phrase.words and len(self.phrases) < _MOST_PHRASES:
            self.phrases.append(phrase)

    def narrow(self, name: str, value: str) -> bool:
        """Take a filter that is no word; False where its name or its value says nothing to us."""
        if name == "channel" and value in self.channels:
            self.look_for(_phrase(value, Field.CHANNEL))
            return True
        if name == "is" and value in {"open", "closed"}:
            self.is_open = value == "open"
            return True
        days = _days(value) if name in {"after", "since", "before", "on"} else None
        if days is None:
            return False
        if name in {"after", "since", "on"}:
            self.since = start_of_day(days[0])
        if name == "before":
            self.until = start_of_day(days[0])
        if name == "on":
            self.until = end_of_day(days[1])
        return True

    def query(self) -> Query:
        return Query(tuple(self.phrases), self.is_open, self.since, self.until, "", tuple(self.not_understood))


def _days(value: str) -> tuple[date, date] | None:
    """The first and last day of a day, a month or a year; None where it is none."""
    found = _DAY.fullmatch(value) or _UK_DAY.fullmatch(value)
    if found is None:
        return None
    year, month, day = (int(found[part]) if found[part] else None for part in ("year", "month", "day"))
    try:
        first = date(year or 1, month or 1, day or 1)
        last_month = month or 12
        return first, date(first.year, last_month, day or monthrange(first.year, last_month)[1])
    except ValueError:
        return None
