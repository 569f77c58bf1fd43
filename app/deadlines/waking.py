"""When a person may be warned: in waking hours, 07:00 to 22:00 in London (rule 11). An emergency does not wait."""

from datetime import UTC, datetime, time
from typing import Final

from app.deadlines.calendar import LONDON, local_time
from app.deadlines.holidays import ONE_DAY

WAKING_FROM: Final = time(7)
WAKING_UNTIL: Final = time(22)


def is_waking(instant: datetime, begins: time = WAKING_FROM, ends: time = WAKING_UNTIL) -> bool:
    """Within waking hours, on any day of the week; the hour at which they end is night."""
    return begins <= local_time(instant).time() < ends


def next_waking_moment(instant: datetime) -> datetime:
    """``instant`` when people are awake, else the next 07:00 in London; in UTC."""
    local = local_time(instant)
    if is_waking(instant):
        return instant.astimezone(UTC)
    morning_on = local.date() if local.time() < WAKING_FROM else local.date() + ONE_DAY
    return datetime.combine(morning_on, WAKING_FROM, LONDON).astimezone(UTC)
