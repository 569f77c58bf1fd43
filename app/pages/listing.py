"""A list of cases as its page shows it: headings, rows, filters. Beside a conversation stands the same list.

The list somebody came from travels in the address of a case (``in``, and its filters), so that the pane beside it, the
way back and "next" are of that list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode

from flask_babel import gettext, lazy_gettext
from werkzeug.datastructures import MultiDict

from app.cases.models import Outcome, Status
from app.deadlines.calendar import local_date
from app.deadlines.chips import Bounds, Chip, Group, State, chip
from app.deadlines.obligations import Kind as DueKind
from app.pages import queries, words
from app.pages.queries import Filter, View
from app.pages.rows import Badges, CaseHead, CaseList, CaseRow, Member
from app.web.filters import day, initials
from connectors import Audience, Kind

TITLES: Final = {
    View.NEEDS_REPLY: lazy_gettext("Needs a reply"),
    View.OVERDUE: lazy_gettext("Overdue"),
    View.TODAY: lazy_gettext("Due today"),
    View.MINE: lazy_gettext("Assigned to me"),
    View.UNASSIGNED: lazy_gettext("Unassigned"),
    View.WAITING: lazy_gettext("Waiting"),
    View.ANSWERED: lazy_gettext("Answered"),
    View.CLOSED: lazy_gettext("Closed"),
}


# ── Which list ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The list that an address names; ``unknown`` are words of it that mean nothing here."""

    filter: Filter
    after: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def query(self) -> dict[str, str]:
        """The filters, as they stand in an address."""
        chosen = self.filter
        given = {
            "channel": chosen.channel,
            "audience": chosen.audience.value if chosen.audience else "",
            "unread": "1" if chosen.is_unread else "",
        }
        return {key: value for key, value in given.items() if value}

    @property
    def trail(self) -> str:
        """What is put behind the address of a case so that it knows its list; "" for the inbox as it is."""
        view = {"in": self.filter.view.value} if self.filter.view is not View.NEEDS_REPLY else {}
        given = view | self.query | ({"after": self.after} if self.after else {})
        return f"?{urlencode(given)}" if given else ""

    @property
    def href(self) -> str:
        """The address of the list itself."""
        given = self.query | ({"after": self.after} if self.after else {})
        return path(self.filter.view) + (f"?{urlencode(given)}" if given else "")


def path(view: View) -> str:
    """Where a list lives."""
    return "/" if view is View.NEEDS_REPLY else f"/{view.value}"


def wanted(view: str, args: MultiDict[str, str], channels: Iterable[str]) -> Wanted:
    """What the address asks for. A filter that is not understood is left out, and named in ``unknown``."""
    unknown = []
    channel = args.get("channel", "")
    if channel and channel not in set(channels):
        unknown.append(channel)
        channel = ""
    audience = args.get("audience", "")
    if audience and audience not in set(Audience):
        unknown.append(audience)
        audience = ""
    return Wanted(
        filter=Filter(
            view=View(view) if view in set(View) else View.NEEDS_REPLY,
            channel=channel,
            audience=Audience(audience) if audience else None,
            is_unread=args.get("unread") == "1",
        ),
        after=args.get("after", ""),
        unknown=tuple(unknown),
    )


# ── Rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has a case, as a row shows it."""

    id: int
    name: str
    initials: str
    tint: int


class Row(NamedTuple):
    """A row, ready for the macro ``case_rows``. Rows of one page with the same ``due`` have the same chip and words."""

    id: int
    href: str
    channel: str
    channel_name: str
    kind: str
    person: str
    subject: str
    snippet: str
    topic: str
    owner: Owner | None
    due: int
    chip: Chip
    done_words: str
    with_officer: str
    unread: bool
    has_draft: bool
    has_failed: bool
    take_care: bool
    selected: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Rows under a heading; none over lists of what is done. ``count`` is of all there are, where that is known."""

    group: Group | None
    count: int | None
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterLink:
    """A way to narrow the list."""

    words: str
    href: str
    count: int | None
    current: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Everything a list shows. ``more`` is the address of the next page, "" on the last."""

    wanted: Wanted
    title: str
    total: int | None
    sections: tuple[Section, ...]
    filters: tuple[FilterLink, ...]
    more: str

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not self.sections

    def next_to(self, case_id: int) -> int | None:
        """The case after ``case_id`` in this list, where it is on the page."""
        ids = [row.id for section in self.sections for row in section.rows]
        rest = ids[ids.index(case_id) + 1 :] if case_id in ids else []
        return rest[0] if rest else None


def listing(
    found: CaseList,
    asked: Wanted,
    *,
    badges: Badges,
    at: Bounds,
    channels: Mapping[str, str],
    selected: int | None = None,
) -> Listing:
    """``found`` as the list that was ``asked`` for; ``channels`` are their names by slug."""
    view = asked.filter.view
    is_done = view in queries.DONE
    groups: list[tuple[Group | None, list[CaseRow]]] = (
        [(None, list(found.rows))] if is_done and found.rows else [*queries.grouped(found.rows, at)]
    )
    is_whole = view is View.NEEDS_REPLY and not asked.query
    drawer = Drawer(at.overdue, channels, trail=asked.trail, selected=selected)
    return Listing(
        wanted=asked,
        title=str(TITLES[view]),
        total=_total(view, badges) if not asked.query else None,
        sections=tuple(
            Section(
                group=group,
                count=badges.groups.get(group) if is_whole and group else None,
                rows=tuple(map(drawer.row, rows)),
            )
            for group, rows in groups
        ),
        filters=() if is_done else _filters(asked, badges, channels),
        more=f"{path(view)}?{urlencode(asked.query | {'after': found.next})}" if found.next else "",
    )


class Drawer:
    """Makes rows of a page; what several of them share (a kind, a date, an owner) is put into words once."""

    def __init__(
        self, at: datetime, channels: Mapping[str, str], *, trail: str = "", selected: int | None = None
    ) -> None:
        self._at, self._channels, self._trail, self._selected = at, channels, trail, selected
        self._kinds: dict[tuple[Kind, Audience], str] = {}
        self._dues: dict[tuple[object, ...], tuple[int, Chip, str]] = {}
        self._seen: dict[object, int] = {}
        self._owners: dict[int, Owner] = {}

    def row(self, case: CaseRow) -> Row:
        """A case as a row of a list."""
        due, chip, done = self._due(case)
        return Row(
            id=case.id,
            href=f"/cases/{case.id}{self._trail}",
            channel=case.channel,
            channel_name=self._channels.get(case.channel, case.channel),
            kind=self._kind(case),
            person=case.contact,
            subject=case.subject or gettext("(no subject)"),
            snippet=case.snippet,
            topic=case.topic,
            owner=self._owner(case.owner) if case.owner else None,
            due=due,
            chip=chip,
            done_words=done,
            with_officer=_with_officer(case),
            unread=case.is_unread,
            has_draft=case.has_draft,
            has_failed=case.has_failed_reply,
            take_care=case.emergency is not None,
            selected=case.id == self._selected,
        )

    def _kind(self, case: CaseRow) -> str:
        key = (case.kind, case.audience)
        if key not in self._kinds:
            self._kinds[key] = words.kind(*key)
        return self._kinds[key]

    def _due(self, case: CaseRow) -> tuple[int, Chip, str]:
        key: tuple[object, ...] = (case.due_at, case.due_kind, case.status, case.waiting_until)
        key = key if case.is_open else (case.closed_at or case.last_at, case.status, case.outcome)
        if key not in self._dues:
            chip, done = chip_of(case, self._at), "" if case.is_open else done_words(case)
            shown = (chip.state, done) if done else chip
            self._dues[key] = (self._seen.setdefault(shown, len(self._seen)), chip, done)
        return self._dues[key]

    def _owner(self, owner: Member) -> Owner:
        if owner.id not in self._owners:
            self._owners[owner.id] = Owner(owner.id, owner.name, initials(owner.name), owner.tint)
        return self._owners[owner.id]


def chip_of(case: CaseRow | CaseHead, at: datetime) -> Chip:
    """What the chip of a case says at ``at``. What was closed without an answer is done all the same."""
    if not case.is_open:
        return Chip(State.ANSWERED, local_date(case.closed_at or case.last_at))
    return chip(
        case.due_at,
        at,
        hour_matters=case.due_kind in {DueKind.WINDOW, DueKind.EXTERNAL, DueKind.EMERGENCY},
        is_promise=case.due_kind is DueKind.PROMISE,
        waiting_until=local_date(case.waiting_until)
        if case.status is Status.WITH_CONSTITUENT and case.waiting_until
        else None,
    )


def done_words(case: CaseRow | CaseHead) -> str:
    """How a case that is not open ended."""
    if case.status is Status.CLOSED:
        return words.outcome(case.outcome or Outcome.RESOLVED)
    return words.status(case.status)


def _with_officer(case: CaseRow) -> str:
    if case.officer_since is None:
        return ""
    return str(gettext("With officer since %(day)s", day=day(case.officer_since)))


def _total(view: View, badges: Badges) -> int | None:
    return None if view in queries.DONE else int(getattr(badges, view.value))


def _filters(asked: Wanted, badges: Badges, channels: Mapping[str, str]) -> tuple[FilterLink, ...]:
    """The ways to narrow a list. What they would leave is counted only in the inbox itself."""
    view = asked.filter.view
    is_inbox = view is View.NEEDS_REPLY

    def link(name: str, count: int, **query: str) -> FilterLink:
        href = path(view) + (f"?{urlencode(query)}" if query else "")
        return FilterLink(words=name, href=href, count=count if is_inbox else None, current=asked.query == query)

    links = [
        link(gettext("All"), badges.needs_reply),
        link(gettext("Unread"), badges.unread, unread="1"),
        link(gettext("Public"), badges.public, audience="public"),
        link(gettext("Private"), badges.private, audience="direct"),
    ]
    some = badges.channels if len(badges.channels) > 1 else {}
    links += [link(channels.get(slug, slug), count, channel=slug) for slug, count in sorted(some.items())]
    return tuple(links)
