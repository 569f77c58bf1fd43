"""Finding messages by their words, and the cases they belong to.

The index gives the newest messages that hold all the words, a window at a time; only inside a window is anything
ranked (words in the subject first, then newest), and only the cases that a page shows are looked up. So a word that
every message holds costs what a rare one does. A window in which a filter leaves too little is followed by an older,
larger one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case, Status
from app.db import Instant
from app.deadlines.obligations import Emergency
from app.errors import Missing
from app.messages import index
from app.messages.index import Field, Phrase, fold
from app.messages.models import Direction, Message
from app.search.language import Query
from app.staff.models import Staff
from connectors import Audience, Kind

PAGE: Final = 20
WINDOWS: Final = (500, 1_500, 6_000)  # messages; 8,000 in all for one page
_TEXT: Final = 20_000  # characters of a message in which an excerpt is looked for
_BEFORE: Final = 60  # characters of an excerpt before what was found, and in all
_EXCERPT: Final = 220


@dataclass(frozen=True, slots=True)
class Hit:
    """A case and the message of it that fits best. ``excerpt``: pieces of its text, each with "is what was found"."""

    case_id: int
    office_id: int
    reference: str
    subject: str
    contact: str
    channel: str
    kind: Kind
    audience: Audience
    topic: str
    status: Status
    is_open: bool
    rank: int
    due_at: datetime
    emergency: Emergency | None
    owner: str
    message_id: int
    conversation_id: int
    direction: Direction
    author_name: str
    sent_at: datetime
    excerpt: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was found. ``next`` is where the next page starts ("" on the last).

    ``case_id`` is set where the query was the reference of one case: go there. ``looked_back_to`` is set where the page
    is not full although there may be older ones: 8,000 messages with these words (for a phrase on PostgreSQL 2,500)
    were looked through, back to then.
    """

    hits: tuple[Hit, ...] = ()
    next: str = ""
    case_id: int | None = None
    looked_back_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    """Messages below an id, this many; the first ``skip`` cases of them were on the page before."""

    below: int | None = None
    step: int = 0
    skip: int = 0

    @property
    def size(self) -> int:
        return WINDOWS[self.step]


def search(session: Session, offices: Collection[int], query: Query, *, after: str = "", limit: int = PAGE) -> Found:
    """A page of cases with a message that holds what ``query`` asks for. Raises Missing if ``after`` is of no page."""
    if query.reference and not after:
        case_id = referred_to(session, offices, query.reference)
        if case_id is not None:
            return Found(case_id=case_id)
    if query.is_empty or not offices:
        return Found()
    return _looked(session, offices, query, _window(after), limit)


def referred_to(session: Session, offices: Collection[int], reference: str) -> int | None:
    """The case with this reference; None where there is none, or several of different offices."""
    query = sa.select(Case.id).where(Case.reference == reference, Case.office_id.in_(offices)).limit(2)
    found = session.scalars(query).all()
    return found[0] if len(found) == 1 else None


def _looked(session: Session, offices: Collection[int], query: Query, window: _Window, limit: int) -> Found:
    shown: list[int] = []
    seen: set[int] = set()
    going_on: _Window | None = None
    looked_back_to: datetime | None = None
    while going_on is None:
        looked = index.newest(session, offices, query.phrases, below=window.below, limit=window.size)
        ordered = _subject_first(session, offices, query.phrases, looked.ids, limit=window.size)
        wanted = limit - len(shown)
        here = list(islice(_cases(session, offices, query, ordered, seen), window.skip, window.skip + wanted + 1))
        shown += here[:wanted]
        if len(here) > wanted:
            going_on = replace(window, below=window.below or looked.ids[0] + 1, skip=window.skip + wanted)
        elif looked.below is None:
            break
        elif window.step + 1 < len(WINDOWS):
            window = _Window(looked.below, window.step + 1)
        else:
            going_on = _Window(looked.below)
            looked_back_to = _sent_at(session, looked.below)
    return Found(_hits(session, query, shown), _written(going_on) if going_on else "", None, looked_back_to)


def _subject_first(
    session: Session, offices: Collection[int], phrases: Sequence[Phrase], ids: list[int], *, limit: int
) -> list[int]:
    """The ids of a window, newest first, but before all others those whose subject holds every word."""
    anywhere = [replace(phrase, field=Field.SUBJECT) for phrase in phrases if phrase.field is Field.ANYWHERE]
    if not anywhere or not ids:
        return ids
    others = [phrase for phrase in phrases if phrase.field is not Field.ANYWHERE]
    best = index.newest(session, offices, [*anywhere, *others], below=ids[0] + 1, down_to=ids[-1], limit=limit).ids
    first = set(best)
    return [*best, *(one for one in ids if one not in first)]


def _cases(
    session: Session, offices: Collection[int], query: Query, ids: Sequence[int], seen: set[int]
) -> Iterator[int]:
    """The messages that stand for their cases, in order, each case once, as far as the filters let them through."""
    start, size = 0, 2 * PAGE
    while start < len(ids):
        some = ids[start : start + size]
        given = {"messages": some, "offices": list(offices), "since": query.since, "until": query.until}
        fitting = _fitting(query.is_open, bool(query.since), bool(query.until))
        of_case: dict[int, int] = dict(map(tuple, session.execute(fitting, given).all()))
        for message_id in some:
            case_id = of_case.get(message_id)
            if case_id is not None and case_id not in seen:
                seen.add(case_id)
                yield message_id
        start, size = start + size, 4 * size


_CASE = Case.__table__.c
_STAFF = Staff.__table__.c
_MESSAGE = Message.__table__.c
_MESSAGES: Final[sa.BindParameter[Any]] = sa.bindparam("messages", expanding=True)


@cache
def _fitting(is_open: bool | None, since: bool, until: bool) -> sa.Select[Any]:  # noqa: FBT001 - a shape
    """Of some messages those that the filters let through, with their cases."""
    fitting = sa.select(_MESSAGE.id, _MESSAGE.case_id).where(
        _MESSAGE.id.in_(_MESSAGES), _MESSAGE.office_id.in_(sa.bindparam("offices", expanding=True))
    )
    if is_open is not None:
        fitting = fitting.join_from(Message.__table__, Case.__table__, _CASE.id == _MESSAGE.case_id)
        fitting = fitting.where(_CASE.is_open if is_open else sa.not_(_CASE.is_open))
    if since:
        fitting = fitting.where(_MESSAGE.sent_at >= sa.bindparam("since", type_=Instant()))
    if until:
        fitting = fitting.where(_MESSAGE.sent_at < sa.bindparam("until", type_=Instant()))
    return fitting


_HITS: Final = (
    sa.select(
        _CASE.id.label("case_id"),
        *(
            _CASE[name]
            for name in (
                "office_id",
                "reference",
                "subject",
                "contact",
                "channel",
                "kind",
                "audience",
                "topic",
                "status",
            )
        ),
        *(_CASE[name] for name in ("is_open", "rank", "due_at", "emergency")),
        sa.func.coalesce(_STAFF.name, "").label("owner"),
        _MESSAGE.id.label("message_id"),
        *(_MESSAGE[name] for name in ("conversation_id", "direction", "author_name", "sent_at")),
        sa.func.substr(_MESSAGE.text, 1, _TEXT).label("excerpt"),
    )
    .select_from(
        Message.__table__.join(Case.__table__, _CASE.id == _MESSAGE.case_id).outerjoin(
            Staff.__table__, _STAFF.id == _CASE.owner_id
        )
    )
    .where(_MESSAGE.id.in_(_MESSAGES))
)


def _hits(session: Session, query: Query, ids: Sequence[int]) -> tuple[Hit, ...]:
    """What the page shows of messages, in their order."""
    found = session.execute(_HITS, {"messages": list(ids)}).mappings().all() if ids else ()
    words = marker(query.phrases)
    hits = {row["message_id"]: Hit(**{**row, "excerpt": excerpt(row["excerpt"], words)}) for row in found}
    return tuple(hits[message_id] for message_id in ids if message_id in hits)


def _sent_at(session: Session, message_id: int) -> datetime | None:
    return session.scalar(sa.select(Message.sent_at).where(Message.id == message_id))


# ── Where a page starts ───────────────────────────────────────────────────────────────────────────────────────────


def _written(window: _Window) -> str:
    return f"{window.below or 0}.{window.step}.{window.skip}"


def _window(after: str) -> _Window:
    if not after:
        return _Window()
    found = re.fullmatch(r"([1-9]\d{0,17})\.([0-2])\.(\d{1,4})", after)
    if found is None:
        raise Missing
    return _Window(*map(int, found.groups()))


# ── Excerpts ──────────────────────────────────────────────────────────────────────────────────────────────────────


def excerpt(text: str, words: re.Pattern[str] | None) -> tuple[tuple[str, bool], ...]:
    """A piece of ``text`` around the first of the ``words`` (of ``marker``), cut at spaces, what was found marked."""
    first = words.search(text) if words else None
    start = _space_before(text, first.start() - _BEFORE) if first else 0
    end = start + _EXCERPT
    piece = " ".join(text[start:end].split())
    if end < len(text):
        piece = piece.rpartition(" ")[0] + " …"
    if start:
        piece = f"… {piece}"
    if words is None:
        return ((piece, False),) if piece else ()
    return tuple((part, place % 2 == 1) for place, part in enumerate(words.split(piece)) if part)


def _space_before(text: str, place: int) -> int:
    return text.rfind(" ", 0, place) + 1 if place > 0 else 0


def marker(phrases: Sequence[Phrase]) -> re.Pattern[str] | None:
    """Finds the words as they may be written: any letter with any accent, in either case."""
    wanted = [
        "".join(map(_letter, word)) + ("" if phrase.is_beginning and word is phrase.words[-1] else r"(?![^\W_])")
        for phrase in phrases
        if phrase.field in {Field.ANYWHERE, Field.SUBJECT}
        for word in phrase.words
    ]
    return re.compile(rf"((?<![^\W_])(?:{'|'.join(wanted)}))", re.IGNORECASE) if wanted else None


def _letter(letter: str) -> str:
    accented = _accented().get(letter, "")
    return f"[{letter}{accented}]" if accented else re.escape(letter)


@cache
def _accented() -> dict[str, str]:
    """For each Latin letter those that fold to it."""
    found: dict[str, str] = {}
    for letter in map(chr, [*range(0xC0, 0x250), *range(0x1E00, 0x1F00)]):
        if (plain := "".join(fold(letter))) != letter and len(plain) == 1:
            found[plain] = found.get(plain, "") + letter
    return found
