"""What the buttons of a case send, read and checked. Every reader raises Invalid naming its field."""

from __future__ import annotations

from datetime import date, datetime, time
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from flask import request

from app.errors import Invalid

LONDON = ZoneInfo("Europe/London")
MOST_AT_ONCE = 200  # ticked rows: two pages of a list and more

Word = TypeVar("Word", bound=StrEnum)


def text(name: str) -> str:
    """What was typed, without space around it."""
    return request.form.get(name, "").strip()


def whole(name: str) -> int:
    """A number; raises Invalid for anything else."""
    try:
        return int(request.form.get(name, ""))
    except ValueError:
        raise Invalid("Choose one from the list.", field=name) from None


def choice(name: str, kind: type[Word]) -> Word:
    """One of a fixed list; raises Invalid for anything else."""
    try:
        return kind(request.form.get(name, ""))
    except ValueError:
        raise Invalid("Choose one from the list.", field=name) from None


def day(name: str) -> date | None:
    """A day, or ``None`` where none was given; raises Invalid for what is no day."""
    given = text(name)
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise Invalid("Write the day as in 2026-04-20.", field=name) from None


def moment(day_name: str, hour_name: str) -> datetime | None:
    """A day and an hour by the clocks of London; without an hour the end of the day, without a day ``None``."""
    on = day(day_name)
    if on is None:
        return None
    given = text(hour_name)
    try:
        at = time.fromisoformat(given) if given else time(23, 59)
    except ValueError:
        raise Invalid("Write the hour as in 12:00.", field=hour_name) from None
    return datetime.combine(on, at.replace(tzinfo=None), LONDON)


def ticked() -> list[int]:
    """The cases whose rows were ticked, each once; raises Invalid for none."""
    found = list(dict.fromkeys(number for number in request.form.getlist("case", type=int)))
    if not found:
        raise Invalid("Tick at least one message first.")
    return found[:MOST_AT_ONCE]


def holders(name: str = "before") -> list[tuple[int, str, int]]:
    """Who had which case before a change of many, as ``holding`` wrote it: (case, "u" or "q", id)."""
    found = []
    for part in text(name).split()[:MOST_AT_ONCE]:
        case_id, _, holder = part.partition(":")
        if not (case_id.isdecimal() and holder[:1] in {"u", "q"} and holder[1:].isdecimal()):
            raise Invalid("This cannot be undone any more.")
        found.append((int(case_id), holder[0], int(holder[1:])))
    return found
