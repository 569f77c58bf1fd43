"""The working days of one office, and where its days begin and end.

A day is a day in London for all three nations. An instant is always aware and comes back in UTC.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Final
from zoneinfo import ZoneInfo

from app.deadlines.holidays import KNOWN_UNTIL, ONE_DAY, SATURDAY, SHIPPED, Nation, days_in

LONDON: Final = ZoneInfo("Europe/London")
_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Calendar:
    """Which days count for one office: its nation's bank holidays as corrected, and its own closures.

    ``extra_holidays`` and ``removed_holidays`` correct the list that ships (by hand or from ``holidays.changes``); a
    day in both is a holiday. ``closures`` are the office's own days. ``known_until`` is the last day for which the
    corrections are a published list, where that is later than the list that ships.
    """

    nation: Nation
    extra_holidays: frozenset[date] = frozenset()
    removed_holidays: frozenset[date] = frozenset()
    closures: frozenset[date] = frozenset()
    known_until: date | None = None

    def is_holiday(self, day: date) -> bool:
        """A bank holiday of the nation, closures of the office aside."""
        if day in self.extra_holidays:
            return True
        return day in days_in(self.nation, day.year) and day not in self.removed_holidays

    def is_working_day(self, day: date) -> bool:
        """Neither a weekend, nor a bank holiday, nor a closure."""
        return day.weekday() < SATURDAY and day not in self.closures and not self.is_holiday(day)

    def add_working_days(self, day: date, count: int) -> date:
        """The ``count``-th working day after ``day``, which is day zero whether it is a working day or not.

        Nought gives ``day`` itself, or the next working day where it is none. Raises ValueError below nought.
        """
        return self._counted(day, count, ONE_DAY)

    def subtract_working_days(self, day: date, count: int) -> date:
        """The ``count``-th working day before ``day``; nought gives ``day``, or the working day before it.

        Raises ValueError below nought.
        """
        return self._counted(day, count, -ONE_DAY)

    def _counted(self, day: date, count: int, step: timedelta) -> date:
        if count < 0:
            raise ValueError(f"{count} is less than no working days.")
        if count == 0:
            while not self.is_working_day(day):
                day += step
        for _ in range(count):
            day += step
            while not self.is_working_day(day):
                day += step
        return day

    def working_days_between(self, start: date, end: date) -> int:
        """How many working days there are after ``start`` up to and including ``end``; nought where it is earlier."""
        return sum(self.is_working_day(start + timedelta(days=days)) for days in range(1, (end - start).days + 1))

    def is_provisional(self, day: date) -> bool:
        """Beyond the end of the published holidays: computed, and counted again when a newer list is read."""
        shipped_until = KNOWN_UNTIL[self.nation]
        return day > max(shipped_until, self.known_until or shipped_until)

    @cached_property
    def version(self) -> str:
        """The same for calendars that count alike; another one calls for recomputing what is open (rule 9)."""
        shipped = (holiday.on for holiday in SHIPPED[self.nation])
        kinds = (self.extra_holidays, self.removed_holidays, self.closures, shipped)
        days = (" ".join(day.isoformat() for day in sorted(kind)) for kind in kinds)
        parts = [self.nation.value, str(self.known_until), *days]
        return sha256("\n".join(parts).encode()).hexdigest()[:16]


def local_date(instant: datetime) -> date:
    """The day in London on which ``instant`` falls; raises ValueError when it has no time zone."""
    return local_time(instant).date()


def local_time(instant: datetime) -> datetime:
    """``instant`` by the clocks of London; raises ValueError when it has no time zone."""
    if instant.tzinfo is None:
        raise ValueError("A time without its time zone cannot be placed on a day.")
    return instant.astimezone(LONDON)


def start_of_day(day: date) -> datetime:
    """The first instant of ``day`` in London, in UTC. The clocks change at 01:00 UTC, so midnight is never doubtful."""
    return datetime.combine(day, time(), LONDON).astimezone(UTC)


def end_of_day(day: date) -> datetime:
    """The instant at which ``day`` is over in London, in UTC: the start of the next day, which no longer counts."""
    return start_of_day(day + ONE_DAY)


def day_due(due_at: datetime) -> date:
    """The last day on which something due at ``due_at`` is in time: the inverse of ``end_of_day``."""
    return local_date(due_at - _MOMENT)
