"""Calendar entries and address cards in words, for a mail that says nothing else (RFC 5545, RFC 6350)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

_FOLD: Final = re.compile(r"\r?\n[ \t]")
_LINE: Final = re.compile(r"(?:[\w-]+\.)?([\w-]+)((?:;[^:\"]*(?:\"[^\"]*\"[^:\"]*)*)?):(.*)")
_MOMENT: Final = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?")
_ESCAPED: Final = re.compile(r"\\(.)")
_LINES_MOST: Final = 2_000
_IN_CALENDAR: Final = ("SUMMARY", "DTSTART", "DTEND", "LOCATION", "ORGANIZER", "DESCRIPTION")
_IN_CARD: Final = ("FN", "ORG", "TITLE", "TEL", "EMAIL", "ADR", "NOTE")


def calendar_words(text: str) -> str:
    """What the first event of an invitation is, when and where: a line each."""
    begins = text.upper().find("BEGIN:VEVENT")
    return _words(text[max(0, begins) :], _IN_CALENDAR, until="END:VEVENT")


def card_words(text: str) -> str:
    """Whom a card names and how to reach them: a line each."""
    return _words(text, _IN_CARD, until="")


def _words(text: str, wanted: Iterable[str], *, until: str) -> str:
    found: dict[str, list[str]] = {}
    for line in _FOLD.sub("", text).splitlines()[:_LINES_MOST]:
        if until and line.strip().upper() == until:
            break
        if match := _LINE.fullmatch(line.strip()):
            found.setdefault(match[1].upper(), []).append(_value(match[1].upper(), match[3]))
    return "\n".join(value for name in wanted for value in found.get(name, ()) if value)


def _value(name: str, value: str) -> str:
    if name in {"DTSTART", "DTEND"}:
        return _moment(value)
    if name in {"ORG", "ADR"}:
        value = ", ".join(filter(None, value.split(";")))
    if name == "ORGANIZER":
        value = re.sub(r"(?i)^mailto:", "", value)
    return _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], value).strip()


def _moment(value: str) -> str:
    match = _MOMENT.match(value)
    if not match:
        return value
    try:
        day = datetime.strptime(match[1], "%Y%m%d")  # noqa: DTZ007 - a day on a calendar, in nobody's zone
        time = datetime.strptime(match[2], "%H%M%S").strftime(" %H:%M") if match[2] else ""  # noqa: DTZ007
    except ValueError:
        return value
    return f"{day:%a %d %b %Y}{time}{' UTC' if match[3] else ''}"
