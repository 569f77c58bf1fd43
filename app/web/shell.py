"""What stands around every page: ``chrome`` behind sign-in, ``bare`` in front of it (templates/layout.html, bare.html).

Both are put together when a template first looks at them, so that a page without them pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final

from flask import Flask, request, url_for
from flask_babel import gettext

from app.web import deployment
from app.web.guard import actor, someone

PRODUCT: Final = "Postbag"
LANGUAGES: Final = ("en", "cy")

Link = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One place to go; ``key`` names its live count. ``tone``: "", "warn", "bad"."""

    key: str
    label: str
    href: str
    icon: str
    count: int | str | None = None
    tone: str = ""
    current: bool = False
    shortcut: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Some places under a heading, which may be empty."""

    title: str
    items: Sequence[Item]


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """What must be said on every page: a worker that is not running, a channel that has stopped."""

    text: str
    tone: str = "info"
    href: str = ""
    link_text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rail:
    """What ``app.pages.rail`` knows: where one can go from here, what waits there, what has to be said."""

    nav: Sequence[Section]
    tabs: Sequence[Item] = ()
    banners: Sequence[Banner] = ()
    checked_at: str = ""
    live_href: str = ""
    search_href: str = ""
    home_href: str = "/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Whoever is signed in, for the foot of the rail."""

    name: str
    role_words: str
    initials: str
    tint: int
    href: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An office in the switcher."""

    name: str
    place: str
    href: str
    current: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What ``app.staff`` knows: who this is and where they may work."""

    person: Person
    office: Place | None
    offices: Sequence[Place]
    sign_out_href: str
    single_keys_href: str


@dataclass
class Chrome:
    """The shell of a page behind sign-in; each part is asked for once, when it is looked at."""

    _rail: Callable[[], Rail]
    _desk: Callable[[], Desk]
    product: str = PRODUCT
    demo: str = ""
    help: Sequence[Link] = field(default_factory=tuple)

    @cached_property
    def rail(self) -> Rail:
        """Where one can go."""
        return self._rail()

    @cached_property
    def desk(self) -> Desk:
        """Who this is."""
        return self._desk()

    @property
    def theme(self) -> str:
        """What the person chose, "" for what their system says."""
        return "" if actor().theme == "auto" else actor().theme

    @property
    def language(self) -> str:
        """``en`` or ``cy``."""
        return actor().language

    @property
    def single_keys(self) -> bool:
        """Whether single keys act."""
        return actor().single_keys

    def __getattr__(self, name: str) -> Any:
        """The parts of ``rail`` and ``desk`` under the names that layout.html uses."""
        if name.startswith("_"):
            raise AttributeError(name)
        part = self.rail if name in Rail.__slots__ else self.desk
        return getattr(part, name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bare:
    """The shell of a page in front of sign-in."""

    product: str
    council: str
    demo: str
    language: str
    theme: str
    footer: Sequence[Link]


def language() -> str:
    """The language of this page: the person's, else what they chose before signing in, else English."""
    found = someone()
    chosen = found.language if found is not None else request.cookies.get("language", "")
    return chosen if chosen in LANGUAGES else LANGUAGES[0]


def install(
    app: Flask, *, rail: Callable[[], Rail], desk: Callable[[], Desk], footer: Callable[[], Sequence[Link]]
) -> None:
    """Give every template of ``app`` its ``chrome`` and ``bare``; ``footer`` stands at the foot of either."""

    def variables() -> dict[str, object]:
        links = footer()
        return {"chrome": Chrome(rail, desk, demo=_demo(), help=links), "bare": _bare(links)}

    app.context_processor(variables)


def place(endpoint: str) -> str:
    """The address of a page that takes nothing. A page leads to a dozen of them, and they never change."""
    return _place(endpoint, request.script_root)


@lru_cache(maxsize=256)
def _place(endpoint: str, _root: str) -> str:
    return url_for(endpoint)


def _bare(footer: Sequence[Link]) -> Bare:
    found = someone()
    theme = "" if found is None or found.theme == "auto" else found.theme
    return Bare(product=PRODUCT, council="", demo=_demo(), language=language(), theme=theme, footer=footer)


def _demo() -> str:
    if not deployment().settings.demonstration:
        return ""
    words = gettext("This is a demonstration. Everybody in it is invented, and nothing leaves this computer.")
    return str(words)
