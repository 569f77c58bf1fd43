"""The rail of every page: where one can go, how much waits there, and what has to be said about fetching."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from flask import request, url_for
from flask_babel import gettext

from app.channels import queries as channels
from app.channels.queries import Alarm, Health, StreamHealth
from app.clock import now
from app.pages import scope
from app.pages.listing import TITLES, path
from app.pages.queries import View
from app.pages.rows import Badges
from app.web.filters import ago, hour, moment
from app.web.guard import actor
from app.web.permissions import Permission
from app.web.session import session
from app.web.shell import Banner, Item, Rail, Section, place

_LISTS: Final = (
    (View.NEEDS_REPLY, "inbox", "", "g i"),
    (View.OVERDUE, "circle-alert", "bad", ""),
    (View.TODAY, "clock", "warn", "g d"),
    (View.MINE, "user", "", ""),
    (View.UNASSIGNED, "user-plus", "", ""),
    (View.WAITING, "hourglass", "", ""),
    (View.ANSWERED, "check-check", "", ""),
)


def rail() -> Rail:
    """What stands around the pages of whoever is signed in."""
    reads = bool(scope.offices())
    badges = scope.badges() if reads else None
    sections = [Section(title=gettext("Inbox"), items=_lists(badges))] if badges else []
    sections.append(Section(title=gettext("Office"), items=_office()))
    return Rail(
        nav=sections,
        tabs=_tabs(badges),
        banners=banners(alarm()),
        checked_at=checked() if reads else "",
        live_href=live_href() if reads else "",
        search_href=place("pages.search") if reads else "",
        home_href="/" if reads else place("pages.accounts"),
    )


def watched() -> frozenset[int]:
    """The offices whose channels concern the person: those they read, else those they look after."""
    return scope.offices() or actor().offices_with(Permission.VIEW_ACCOUNTS)


def live_href() -> str:
    """Where script asks for what is new; on the page of a case also who is reading it."""
    case_id = (request.view_args or {}).get("case_id") if request.endpoint == "pages.case" else None
    return url_for("pages.live", case=case_id)


def capped(count: int) -> int | str:
    """A count as a badge says it."""
    return count if count <= Badges.most else f"{Badges.most}+"


def counts(badges: Badges) -> dict[str, int | str]:
    """The counts of the rail by the keys under which script finds them."""
    return {view.value: capped(getattr(badges, view.value)) for view, *_ in _LISTS if view is not View.ANSWERED}


# ── Where one can go ──────────────────────────────────────────────────────────────────────────────────────────────


def _lists(badges: Badges) -> Sequence[Item]:
    numbers = counts(badges)
    return [
        Item(
            key=view.value,
            label=str(TITLES[view]),
            href=path(view),
            icon=icon,
            count=numbers.get(view.value),
            tone=tone,
            current=request.path == path(view),
            shortcut=shortcut,
        )
        for view, icon, tone, shortcut in _LISTS
    ]


def _office() -> Sequence[Item]:
    me = actor()
    places = (
        (Permission.READ_CASES, "people", gettext("People"), "pages.people", "users", ""),
        (Permission.READ_CASES, "progress", gettext("How we are doing"), "pages.progress", "chart-column", "g p"),
        (Permission.VIEW_ACCOUNTS, "accounts", gettext("Accounts"), "pages.accounts", "plug", "g a"),
        (Permission.VIEW_AUDIT, "audit", gettext("Audit trail"), "pages.audit", "scroll-text", ""),
        (Permission.MANAGE_OFFICE, "settings", gettext("Office settings"), "office.settings", "settings", ""),
    )
    return [
        Item(
            key=key,
            label=label,
            href=place(endpoint),
            icon=icon,
            count=troubled() if key == "accounts" else None,
            tone="warn" if key == "accounts" else "",
            current=request.path.startswith(place(endpoint)),
            shortcut=shortcut,
        )
        for permission, key, label, endpoint, icon, shortcut in places
        if me.may(permission)
    ]


def _tabs(badges: Badges | None) -> Sequence[Item]:
    """The five places of a phone; the rest is on "More"."""
    more = Item(
        key="more", label=gettext("More"), href=place("pages.more"), icon="menu", current=request.path == "/more"
    )
    if badges is None:
        href = place("pages.accounts")
        return [
            Item(key="accounts", label=gettext("Accounts"), href=href, icon="plug", current=request.path == href),
            more,
        ]
    numbers = counts(badges)
    return [
        Item(
            key="overdue",
            label=gettext("Inbox"),
            href="/",
            icon="inbox",
            count=numbers["overdue"],
            current=request.path == "/",
        ),
        Item(
            key="mine",
            label=gettext("Mine"),
            href=path(View.MINE),
            icon="user",
            count=None,
            current=request.path == path(View.MINE),
        ),
        Item(
            key="search",
            label=gettext("Search"),
            href=place("pages.search"),
            icon="search",
            current=request.path == "/search",
        ),
        Item(
            key="progress",
            label=gettext("Progress"),
            href=place("pages.progress"),
            icon="chart-column",
            current=request.path == "/progress",
        ),
        more,
    ]


# ── What has to be said ───────────────────────────────────────────────────────────────────────────────────────────


def alarm() -> Alarm:
    """What is known about fetching, for everything on the page that says something of it."""
    return scope.once("postbag_alarm", lambda: channels.alarm(session, watched(), now()))


def checked() -> str:
    """When the channels were last looked at: the one that was looked at longest ago, of those that are on time."""
    at = alarm().checked_at
    return str(gettext("Checked %(ago)s.", ago=ago(at))) if at is not None else ""


def troubled() -> int:
    """How many accounts are late or need somebody."""
    return len({one.account_id for one in alarm().streams})


def banners(alarm: Alarm) -> Sequence[Banner]:
    """A worker that is not running, or else every account that is late or needs a person."""
    href = place("pages.accounts") if actor().may(Permission.VIEW_ACCOUNTS) else ""
    if alarm.is_worker_gone:
        return [Banner(text=_worker_gone(alarm.worker_seen_at), tone="bad", href=href, link_text=gettext("Accounts"))]
    by_account = {one.account_id: one for one in reversed(alarm.streams)}
    return [
        Banner(
            text=_late(one),
            tone="bad" if one.health is Health.NEEDS_YOU else "warn",
            href=href,
            link_text=gettext("See why"),
        )
        for one in reversed(by_account.values())
    ]


def _worker_gone(seen_at: datetime | None) -> str:
    if seen_at is None:
        return str(gettext("Nothing is being fetched or sent: the background work is not running."))
    return str(
        gettext(
            "Nothing has been fetched since %(moment)s, and no reply goes out: the background work is not running.",
            moment=moment(seen_at),
        )
    )


def _late(stream: StreamHealth) -> str:
    if stream.health is Health.NEEDS_YOU:
        return str(gettext("%(account)s needs you: the sign-in was refused.", account=stream.account))
    since = hour(stream.since) if stream.since and (now() - stream.since).days < 1 else moment(stream.since or now())
    return str(gettext("%(account)s has not been checked since %(since)s.", account=stream.account, since=since))
