"""What a request looks at: the offices whose casework it shows, where the day's groups end, how much waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from flask import g

from app.clock import now
from app.deadlines import chips
from app.deadlines.chips import Bounds
from app.office.queries import calendar
from app.pages import queries
from app.pages.rows import Badges
from app.web import deployment
from app.web.guard import actor
from app.web.permissions import Permission
from app.web.session import session

Found = TypeVar("Found")


def offices() -> frozenset[int]:
    """The offices whose cases the person reads: the one chosen in the switcher, else all of theirs."""
    return once("postbag_offices", _offices)


def _offices() -> frozenset[int]:
    own = actor().offices_with(Permission.READ_CASES)
    chosen = actor().office_id
    return frozenset({chosen}) if chosen in own else own


def bounds() -> Bounds:
    """Where the groups of the inbox end now, by the working days of the office; of several, of the first."""
    return once("postbag_bounds", lambda: chips.bounds(now(), calendar(session, min(offices()))))


def badges() -> Badges:
    """How much waits, by list, heading and channel."""
    return once("postbag_badges", lambda: queries.badges(session, offices(), staff_id=actor().id, at=bounds()))


def channels() -> Mapping[str, str]:
    """The names of the channels that are installed, by slug."""
    return once(
        "postbag_channels",
        lambda: {slug: connector.manifest.name for slug, connector in deployment().connectors.items()},
    )


def once(name: str, find: Callable[[], Found]) -> Found:
    """What ``find`` gives, asked once a request under ``name``."""
    if name not in g:
        setattr(g, name, find())
    return cast("Found", g.get(name))
