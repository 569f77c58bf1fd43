"""Bank holidays of the three nations: the list that ships, the rule beyond its end, and reading newer lists.

England and Wales, Scotland and Northern Ireland have different days, so no list common to all is ever used. The days
that ship were published on https://www.gov.uk/bank-holidays. Outside those years days are computed from the Banking
and Financial Dealings Act 1971 and the usual proclamations; ``KNOWN_UNTIL`` says where that begins.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

SATURDAY: Final = 5
ONE_DAY: Final = timedelta(days=1)
# No nation has had fewer in a year since 1978; a list with fewer for a year adds days and does not replace the year.
FEWEST_IN_A_YEAR: Final = 8


class Nation(StrEnum):
    """A part of the United Kingdom with bank holidays of its own."""

    ENGLAND_AND_WALES = "england_and_wales"
    SCOTLAND = "scotland"
    NORTHERN_IRELAND = "northern_ireland"


@dataclass(frozen=True, slots=True, order=True)
class Holiday:
    """One bank holiday; the title is the publisher's, in the publisher's language."""

    on: date
    title: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a newer list says otherwise than the list that ships.

    ``added`` and ``removed`` are for ``Calendar.extra_holidays`` and ``removed_holidays``, ``known_until`` for the
    field of that name. Show ``removed`` to a person first: an old list lacks days that were proclaimed later, and
    taking it over would unset them.
    """

    added: tuple[Holiday, ...]
    removed: tuple[Holiday, ...]
    known_until: date


# ── The list that ships ───────────────────────────────────────────────────────────────────────────────────────────

_LETTERS: Final = {"E": Nation.ENGLAND_AND_WALES, "S": Nation.SCOTLAND, "N": Nation.NORTHERN_IRELAND}


def _shipped() -> dict[Nation, tuple[Holiday, ...]]:
    found: dict[Nation, list[Holiday]] = {nation: [] for nation in Nation}
    for line in Path(__file__).with_name("bank-holidays.txt").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        on, letters, title = line.split(maxsplit=2)
        for letter in letters.replace("-", ""):
            found[_LETTERS[letter]].append(Holiday(date.fromisoformat(on), title))
    return {nation: tuple(sorted(holidays)) for nation, holidays in found.items()}


SHIPPED: Final[Mapping[Nation, tuple[Holiday, ...]]] = _shipped()
KNOWN_FROM: Final[Mapping[Nation, date]] = {nation: date(days[0].on.year, 1, 1) for nation, days in SHIPPED.items()}
KNOWN_UNTIL: Final[Mapping[Nation, date]] = {nation: date(days[-1].on.year, 12, 31) for nation, days in SHIPPED.items()}


@cache
def holidays_in(nation: Nation, year: int) -> tuple[Holiday, ...]:
    """The bank holidays of one year in order: as published where the year is known, else computed."""
    if KNOWN_FROM[nation].year <= year <= KNOWN_UNTIL[nation].year:
        return tuple(holiday for holiday in SHIPPED[nation] if holiday.on.year == year)
    return _computed(nation, year)


@cache
def days_in(nation: Nation, year: int) -> frozenset[date]:
    """The days of ``holidays_in`` without their names."""
    return frozenset(holiday.on for holiday in holidays_in(nation, year))


# ── The rule beyond its end ───────────────────────────────────────────────────────────────────────────────────────


def easter_sunday(year: int) -> date:
    """Easter of the Gregorian calendar (the algorithm of Meeus, Jones and Butcher)."""
    golden = year % 19
    century, in_century = divmod(year, 100)
    skipped_leap, century_rest = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - skipped_leap - correction + 15) % 30
    leap, leap_rest = divmod(in_century, 4)
    to_sunday = (32 + 2 * century_rest + 2 * leap - epact - leap_rest) % 7
    late = (golden + 11 * epact + 22 * to_sunday) // 451
    month, day = divmod(epact + to_sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _first_monday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=-first.weekday() % 7)


def _last_monday(year: int, month: int) -> date:
    last = date(year, month + 1, 1) - ONE_DAY
    return last - timedelta(days=last.weekday())


def _movable(nation: Nation, year: int) -> list[Holiday]:
    easter = easter_sunday(year)
    summer = _first_monday(year, 8) if nation is Nation.SCOTLAND else _last_monday(year, 8)
    days = [
        Holiday(easter - timedelta(days=2), "Good Friday"),
        Holiday(_first_monday(year, 5), "Early May bank holiday"),
        Holiday(_last_monday(year, 5), "Spring bank holiday"),
        Holiday(summer, "Summer bank holiday"),
    ]
    if nation is not Nation.SCOTLAND:
        days.append(Holiday(easter + ONE_DAY, "Easter Monday"))
    return days


def _fixed(nation: Nation, year: int) -> list[Holiday]:
    days = [
        Holiday(date(year, 1, 1), "New Year\u2019s Day"),
        Holiday(date(year, 12, 25), "Christmas Day"),
        Holiday(date(year, 12, 26), "Boxing Day"),
    ]
    if nation is Nation.SCOTLAND:
        days.append(Holiday(date(year, 1, 2), "2nd January"))
        days.append(Holiday(date(year, 11, 30), "St Andrew\u2019s Day"))
    if nation is Nation.NORTHERN_IRELAND:
        days.append(Holiday(date(year, 3, 17), "St Patrick\u2019s Day"))
        days.append(Holiday(date(year, 7, 12), "Battle of the Boyne (Orangemen\u2019s Day)"))
    return days


def _computed(nation: Nation, year: int) -> tuple[Holiday, ...]:
    """A day at a weekend gives a substitute: the next weekday that is not itself a holiday."""
    fixed = sorted(_fixed(nation, year))
    days = [*_movable(nation, year), *(holiday for holiday in fixed if holiday.on.weekday() < SATURDAY)]
    taken = {holiday.on for holiday in days}
    for holiday in (holiday for holiday in fixed if holiday.on.weekday() >= SATURDAY):
        on = holiday.on
        while on.weekday() >= SATURDAY or on in taken:
            on += ONE_DAY
        taken.add(on)
        days.append(Holiday(on, f"{holiday.title} (substitute day)"))
    return tuple(sorted(days))


# ── Reading newer lists ───────────────────────────────────────────────────────────────────────────────────────────

# The keys of https://www.gov.uk/bank-holidays.json, and those of the Welsh https://www.gov.uk/gwyliau-banc.json.
_DIVISIONS: Final = {
    "england-and-wales": Nation.ENGLAND_AND_WALES,
    "cymru-a-lloegr": Nation.ENGLAND_AND_WALES,
    "scotland": Nation.SCOTLAND,
    "yr-alban": Nation.SCOTLAND,
    "northern-ireland": Nation.NORTHERN_IRELAND,
    "gogledd-iwerddon": Nation.NORTHERN_IRELAND,
}


def read_govuk_json(text: str) -> dict[Nation, tuple[Holiday, ...]]:
    """The holidays of each nation named in a GOV.UK bank-holidays file, in order.

    Takes the file of all nations and the file of one. Raises ValueError with a sentence for the person who chose it.
    """
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ValueError("This is not a JSON file. Download it again from www.gov.uk/bank-holidays.json.") from error
    if not isinstance(content, dict):
        raise _not_govuk()
    divisions = [content] if "division" in content else list(content.values())
    found = dict(_division(division) for division in divisions)
    if not found:
        raise _not_govuk()
    return found


def _not_govuk() -> ValueError:
    return ValueError(
        "This JSON file is not the GOV.UK list of bank holidays: "
        "England and Wales, Scotland and Northern Ireland are not in it."
    )


def _division(division: object) -> tuple[Nation, tuple[Holiday, ...]]:
    match division:
        case {"division": str(name), "events": list(events)} if name in _DIVISIONS:
            if not events:
                raise ValueError(f"The list of bank holidays for {name} is empty.")
            return _DIVISIONS[name], tuple(sorted({_event(event) for event in events}))
    raise _not_govuk()


def _event(event: object) -> Holiday:
    match event:
        case {"date": str(on), "title": str(title)}:
            return Holiday(_iso_day(on), title)
    raise ValueError("A bank holiday in this file has no date or no title.")


def _iso_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"\u201c{text}\u201d is not a date (wanted: 2026-06-15).") from error


def read_ical(text: str) -> tuple[Holiday, ...]:
    """The whole-day events of an iCalendar file (RFC 5545) in order; GOV.UK offers one for each nation.

    An event over several days gives each of them. Cancelled events are left out. Raises ValueError with a sentence
    for the person who chose the file.
    """
    lines = _unfolded(text)
    if not lines or lines[0].upper() != "BEGIN:VCALENDAR" or lines[-1].upper() != "END:VCALENDAR":
        raise ValueError("This is not a whole calendar file (.ics): it does not begin and end with VCALENDAR.")
    found = {holiday for event in _events(lines) for holiday in _days_of(event)}
    if not found:
        raise ValueError("There are no days in this calendar file.")
    return tuple(sorted(found))


def _unfolded(text: str) -> list[str]:
    """The content lines: a line that begins with a blank continues the one before it (RFC 5545 section 3.1)."""
    lines: list[str] = []
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"):
        if line[:1] in {" ", "\t"} and lines:
            lines[-1] += line[1:]
        elif line.strip():
            lines.append(line.strip())
    return lines


def _events(lines: Iterable[str]) -> list[dict[str, str]]:
    """Each VEVENT as property name to value; parts inside an event (alarms) are passed over."""
    found: list[dict[str, str]] = []
    open_parts: list[str] = []
    for line in lines:
        name_and_parameters, _, value = line.partition(":")
        name = name_and_parameters.partition(";")[0].upper()
        if name == "BEGIN":
            open_parts.append(value.upper())
            if value.upper() == "VEVENT":
                found.append({})
        elif name == "END":
            if not open_parts or open_parts.pop() != value.upper():
                raise ValueError("This calendar file is damaged: its parts do not begin and end in turn.")
        elif open_parts and open_parts[-1] == "VEVENT":
            found[-1][name] = value
    return found


def _days_of(event: Mapping[str, str]) -> list[Holiday]:
    title = _unescaped(event.get("SUMMARY", ""))
    if event.get("STATUS", "").upper() == "CANCELLED":
        return []
    if "RRULE" in event or "RDATE" in event:
        raise ValueError(f"\u201c{title}\u201d repeats. A list of holidays must name each day.")
    first = _ical_day(event.get("DTSTART", ""), title)
    # DTEND is the day after the last; a file without it, or with the same day, means one day (RFC 5545 3.6.1).
    after = max(_ical_day(event["DTEND"], title) if "DTEND" in event else first, first + ONE_DAY)
    if after - first > timedelta(days=366):
        raise ValueError(f"\u201c{title}\u201d is longer than a year.")
    return [Holiday(first + timedelta(days=days), title) for days in range((after - first).days)]


def _ical_day(value: str, title: str) -> date:
    if len(value) != len("20260615") or not value.isdecimal():
        raise ValueError(f"\u201c{title}\u201d is not a whole-day event (wanted a day such as 20260615).")
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError as error:
        raise ValueError(f"\u201c{title}\u201d has no possible date: {value}.") from error


def _unescaped(text: str) -> str:
    """Text as RFC 5545 section 3.3.11 writes it, with its line breaks as blanks."""
    return re.sub(r"\\(.)", lambda escape: " " if escape[1] in "nN" else escape[1], text).strip()


def changes(nation: Nation, holidays: Iterable[Holiday]) -> Changes:
    """What ``holidays`` says otherwise than the list that ships for this nation.

    A year with ``FEWEST_IN_A_YEAR`` days or more is taken for a full list, so days it does not name are ``removed``;
    in any other year days are only ``added``. Days at a weekend change nothing and are left out.
    """
    named = {holiday.on: holiday for holiday in holidays if holiday.on.weekday() < SATURDAY}
    years = {on.year for on in named}
    ours = {holiday.on: holiday for year in years for holiday in holidays_in(nation, year)}
    full = {year for year in years if sum(on.year == year for on in named) >= FEWEST_IN_A_YEAR}
    known_until = KNOWN_UNTIL[nation]
    while known_until.year + 1 in full:
        known_until = known_until.replace(year=known_until.year + 1)
    return Changes(
        added=tuple(sorted(named[on] for on in named.keys() - ours.keys())),
        removed=tuple(sorted(ours[on] for on in ours.keys() - named.keys() if on.year in full)),
        known_until=known_until,
    )
