"""The words for what stands in rows as one of a fixed list: kinds, states, what happened. Filters of the templates.

They are here, not in templates, because lists, notices and the live answer say the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from flask import Blueprint
from flask_babel import gettext, lazy_gettext

from app.cases.models import DecisionKind, Outcome, Purpose, Status
from app.channels.models import Capacity
from app.deadlines.calendar import day_due
from app.deadlines.chips import Group
from app.deadlines.obligations import Emergency
from app.pages.rows import AuditRow, EventRow
from app.staff.models import Role
from app.web.filters import day
from connectors import Audience, Kind


def _(sentence: str, **values: object) -> str:
    """``gettext`` with types."""
    return str(gettext(sentence, **values))


_KB: Final = 1024


# ── Measures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def due_day(due_at: datetime) -> str:
    """The last day of a date that is owed: ``due_at`` is the end of it."""
    return day(day_due(due_at))


def size(count: int) -> str:
    """Bytes as people say them: "1.2 MB"."""
    if count < _KB:
        return _("%(count)d bytes", count=count)
    if count < _KB**2:
        return _("%(count)d KB", count=count // _KB)
    return _("%(count).1f MB", count=count / _KB**2)


# ── Fixed lists ───────────────────────────────────────────────────────────────────────────────────────────────────


def kind(of: Kind, audience: Audience) -> str:
    """What sort of message it is, as a row says it."""
    match of:
        case Kind.MAIL:
            return _("Email")
        case Kind.COMMENT:
            return _("Public comment") if audience is Audience.PUBLIC else _("Comment")
        case Kind.MENTION:
            return _("Public mention") if audience is Audience.PUBLIC else _("Mention")
        case Kind.DIRECT_MESSAGE:
            return _("Direct message")
        case Kind.FORM:
            return _("Web form")
        case Kind.NOTE:
            return _("Logged by hand")


_STATUSES: Final = {
    Status.NEW: lazy_gettext("New"),
    Status.ACKNOWLEDGED: lazy_gettext("Acknowledged"),
    Status.WITH_US: lazy_gettext("With us"),
    Status.WITH_OFFICER: lazy_gettext("With an officer"),
    Status.WITH_CONSTITUENT: lazy_gettext("Waiting for the constituent"),
    Status.ANSWERED: lazy_gettext("Answered"),
    Status.CLOSED: lazy_gettext("Closed"),
}


def status(of: Status) -> str:
    """Where a case stands."""
    return str(_STATUSES[of])


_OUTCOMES: Final = {
    Outcome.RESOLVED: lazy_gettext("Resolved"),
    Outcome.ANSWERED: lazy_gettext("Answered"),
    Outcome.PASSED_ON: lazy_gettext("Passed on"),
    Outcome.NOT_CONSTITUENT: lazy_gettext("Not a constituent"),
    Outcome.NOT_COUNCIL: lazy_gettext("Not for this council"),
    Outcome.NO_REPLY_NEEDED: lazy_gettext("No reply needed"),
    Outcome.DECLINED: lazy_gettext("Declined"),
    Outcome.SPAM: lazy_gettext("Spam"),
}


def outcome(of: Outcome) -> str:
    """How a case ended."""
    return str(_OUTCOMES[of])


_DECISIONS: Final = {
    DecisionKind.NO_REPLY_NEEDED: lazy_gettext("No reply needed"),
    DecisionKind.ANSWERED_ELSEWHERE: lazy_gettext("Answered elsewhere"),
    DecisionKind.NOT_CONSTITUENT: lazy_gettext("Not a constituent"),
    DecisionKind.DECLINED: lazy_gettext("Declined"),
}


def decision(of: DecisionKind) -> str:
    """What was decided instead of answering."""
    return str(_DECISIONS[of])


_PURPOSES: Final = {
    Purpose.ANSWER: lazy_gettext("Answer"),
    Purpose.ACKNOWLEDGEMENT: lazy_gettext("Acknowledgement"),
    Purpose.HOLDING: lazy_gettext("Holding reply"),
    Purpose.MESSAGE: lazy_gettext("Message"),
    Purpose.REFERRAL: lazy_gettext("Forwarded"),
}


def purpose(of: Purpose) -> str:
    """What an answer is for."""
    return str(_PURPOSES[of])


_CAPACITIES: Final = {
    Capacity.COUNCIL: lazy_gettext("for the council"),
    Capacity.COUNCILLOR: lazy_gettext("as a councillor"),
    Capacity.PARTY: lazy_gettext("for the party"),
    Capacity.PRIVATE: lazy_gettext("privately"),
}


def capacity(of: Capacity) -> str:
    """In which role something is said, to go on a sentence: "Sending as …, as a councillor"."""
    return str(_CAPACITIES[of])


_ROLES: Final = {
    Role.COUNCILLOR: lazy_gettext("Councillor"),
    Role.CASEWORKER: lazy_gettext("Caseworker"),
    Role.VIEWER: lazy_gettext("Viewer"),
}


def role(of: Role) -> str:
    """What somebody is in an office."""
    return str(_ROLES[of])


def emergency(of: Emergency) -> str:
    """Why it needs a person within the hour."""
    return _("Threat") if of is Emergency.THREAT else _("Somebody in danger")


_GROUPS: Final = {
    Group.NOW: lazy_gettext("Now"),
    Group.OVERDUE: lazy_gettext("Overdue"),
    Group.TODAY: lazy_gettext("Due today"),
    Group.NEXT_FIVE: lazy_gettext("Due in the next five working days"),
    Group.LATER: lazy_gettext("Later"),
    Group.WAITING: lazy_gettext("Waiting for the constituent"),
    Group.BACKLOG: lazy_gettext("From before Postbag"),
}


def group(of: Group) -> str:
    """A heading of the inbox."""
    return str(_GROUPS[of])


# ── What happened ─────────────────────────────────────────────────────────────────────────────────────────────────


def happened(line: EventRow | AuditRow) -> str:
    """A line of the audit trail as a sentence."""
    by = line.by.name if line.by else _("Postbag")
    to = line.to.name if isinstance(line, EventRow) and line.to else ""
    is_own = line.by is not None and line.facts.get("to") == line.by.id
    return _sentence("take" if line.verb == "assign" and is_own else line.verb, to) % {"by": by, "to": to}


def _sentence(verb: str, to: str) -> str:
    if verb == "assign" and to:
        return _("%(by)s gave this to %(to)s")
    return _SENTENCES[verb]() if verb in _SENTENCES else _("%(by)s: something was done")


_SENTENCES: Final = {
    "open": lambda: _("Arrived"),
    "take": lambda: _("%(by)s took it"),
    "assign": lambda: _("%(by)s gave it to somebody"),
    "hand_back": lambda: _("%(by)s put it back"),
    "release": lambda: _("%(by)s put it back"),
    "note": lambda: _("%(by)s wrote a note"),
    "decide": lambda: _("%(by)s decided that no answer is needed"),
    "undo": lambda: _("%(by)s took a decision back"),
    "close": lambda: _("%(by)s closed it"),
    "reopen": lambda: _("%(by)s reopened it"),
    "emergency": lambda: _("%(by)s marked it as an emergency"),
    "stand_down": lambda: _("%(by)s stood it down: no emergency"),
    "deadline": lambda: _("%(by)s changed the outside deadline"),
    "promise": lambda: _("%(by)s changed the promised date"),
    "topic": lambda: _("%(by)s set the topic"),
    "refer": lambda: _("%(by)s passed it on"),
    "read": lambda: _("%(by)s read it"),
    "unread": lambda: _("%(by)s marked it as unread"),
    "queue": lambda: _("%(by)s pressed send"),
    "withdraw": lambda: _("%(by)s took a reply back before it went out"),
    "sent": lambda: _("A reply went out"),
    "failed": lambda: _("A reply could not be sent"),
    "uncertain": lambda: _("It is not known whether a reply went out"),
    "show_pictures": lambda: _("%(by)s had the pictures of a mail fetched"),
    "settle": lambda: _("%(by)s said what became of a reply"),
    "try_again": lambda: _("%(by)s tried to send a reply again"),
    "came_back": lambda: _("A reply came back: it did not arrive"),
    "not_delivered": lambda: _("%(by)s marked a reply as not delivered"),
    "join": lambda: _("%(by)s joined two people"),
    "unjoin": lambda: _("%(by)s split two people"),
    "join_case": lambda: _("%(by)s joined a conversation from another case"),
    "split_case": lambda: _("%(by)s made a joined conversation a case of its own again"),
    "recompute": lambda: _("The calendar changed and due dates were worked out again"),
    "create": lambda: _("%(by)s began it"),
    "needs_you": lambda: _("The platform refused the sign-in"),
    "healed": lambda: _("The platform lets us in again"),
}

_ICONS: Final = {
    "open": "inbox",
    "assign": "user-check",
    "note": "sticky-note",
    "decide": "check",
    "close": "check-check",
    "sent": "send",
    "queue": "send",
    "topic": "tag",
    "refer": "send",
    "join_case": "merge",
    "split_case": "split",
    "emergency": "siren",
    "deadline": "calendar",
    "promise": "calendar",
    "undo": "undo-2",
    "withdraw": "undo-2",
    "failed": "circle-alert",
    "came_back": "circle-alert",
    "uncertain": "circle-alert",
}


def icon(verb: str) -> str:
    """The sign beside a line of what happened."""
    return _ICONS.get(verb, "history")


_FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "due_day": due_day,
    "size": size,
    "status_words": status,
    "outcome_words": outcome,
    "decision_words": decision,
    "purpose_words": purpose,
    "capacity_words": capacity,
    "role_words": role,
    "emergency_words": emergency,
    "group_words": group,
    "happened": happened,
    "event_icon": icon,
}


def install(blueprint: Blueprint) -> None:
    """Give the words to the templates of the whole application."""
    for name, words in _FILTERS.items():
        blueprint.add_app_template_filter(words, name)
    blueprint.add_app_template_global(kind, "kind_words")
