"""How pages write moments and names: "Fri 20 Nov, 17:00" by the clocks of London, relative only up to a day."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date
from flask import Flask
from flask_babel import gettext, ngettext

from app.clock import now
from app.web.wording import language

LONDON: Final = ZoneInfo("Europe/London")
_NAMED_WITHOUT_YEAR: Final = timedelta(days=180)
_ONE_DAY: Final = timedelta(days=1)
_ONE_HOUR: Final = timedelta(hours=1)
_ONE_MINUTE: Final = timedelta(minutes=1)


def day(when: date | datetime) -> str:
    """``Fri 20 Nov``; with its year when it is half a year away or more."""
    return _written(when, "EEE d MMM")


def long_day(when: date | datetime) -> str:
    """``Friday 20 November``; with its year when it is half a year away or more."""
    return _written(when, "EEEE d MMMM")


def moment(when: datetime) -> str:
    """``Fri 20 Nov, 17:00``."""
    return f"{day(when)}, {hour(when)}"


def hour(when: datetime) -> str:
    """``17:00``."""
    return f"{when.astimezone(LONDON):%H:%M}"


def ago(when: datetime) -> str:
    """``5 minutes ago``, up to a day; then the moment itself. The future is always the moment itself."""
    span = now() - when
    if span < timedelta(0) or span >= _ONE_DAY:
        return moment(when)
    if span < _ONE_MINUTE:
        seconds = int(span.total_seconds())
        words = ngettext("%(num)s second ago", "%(num)s seconds ago", seconds) if seconds else gettext("just now")
    elif span < _ONE_HOUR:
        words = ngettext("%(num)s minute ago", "%(num)s minutes ago", span // _ONE_MINUTE)
    else:
        words = ngettext("%(num)s hour ago", "%(num)s hours ago", span // _ONE_HOUR)
    return str(words)


def iso(when: date | datetime) -> str:
    """For the ``datetime`` attribute of a ``time`` element."""
    return when.astimezone(LONDON).isoformat(timespec="minutes") if isinstance(when, datetime) else when.isoformat()


def initials(name: str) -> str:
    """``SR`` for Siân Rees: the first letters of the first and the last word, titles aside."""
    words = [word for word in name.split() if word.rstrip(".").casefold() not in {"cllr", "councillor", "dr", "cyng"}]
    ends = words[:1] + words[1:][-1:]
    return "".join(word[0] for word in ends).upper() or "?"


def install(app: Flask) -> None:
    """Make them filters of the templates of ``app``."""
    for function in FUNCTIONS:
        app.add_template_filter(function)


FUNCTIONS: Final = (day, long_day, moment, hour, ago, iso, initials)


def _written(when: date | datetime, pattern: str) -> str:
    on = when.astimezone(LONDON).date() if isinstance(when, datetime) else when
    today = now().astimezone(LONDON).date()
    return _formatted(on, pattern if abs(on - today) < _NAMED_WITHOUT_YEAR else f"{pattern} y", language())


@lru_cache(maxsize=4096)
def _formatted(on: date, pattern: str, locale: str) -> str:
    """Kept, as the same few days stand on every page."""
    return format_date(on, pattern, locale=locale)
