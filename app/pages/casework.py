"""What the page of a case shows beyond its rows: its clock in words, and what can be written now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from flask_babel import gettext
from sqlalchemy.orm import Session

from app.cases import actions, queries
from app.cases.models import ObligationKind, ObligationState, Purpose
from app.cases.queries import Colleague
from app.deadlines.chips import Chip, State
from app.messages.models import Direction, Partner
from app.pages import words
from app.pages.listing import chip_of
from app.pages.rows import CasePage, ConversationRow, DraftRow, Member, MessageRow, ObligationRow
from app.replies.models import Mode
from app.replies.queries import Desk
from app.web.filters import initials
from connectors import Audience, Count, Limit, Manifest

WRITING_FOR: Final = timedelta(minutes=2)  # a draft saved this recently means that somebody is writing now


# ── The clock ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The date that leads, how much of the time is gone, and the last acknowledgement and answer that were owed."""

    chip: Chip
    tone: str
    percent: int
    received_at: datetime
    acknowledgement: ObligationRow | None
    answer: ObligationRow | None

    @property
    def owes(self) -> bool:
        """Whether anything is still to be answered."""
        return any(one is not None and one.state is ObligationState.OPEN for one in (self.acknowledgement, self.answer))


_TONES: Final = {State.OVERDUE: "bad", State.TODAY: "warn", State.ANSWERED: "good"}


def clock(page: CasePage, at: datetime) -> Clock:
    """The clock of a case as its side panel shows it."""
    answer = _last(page.obligations, ObligationKind.REPLY)
    acknowledgement = _last(page.obligations, ObligationKind.ACKNOWLEDGE)
    shown = chip_of(page.case, at)
    since = answer.received_at if answer else page.case.first_received_at
    return Clock(
        chip=shown,
        tone=_TONES.get(shown.state, ""),
        percent=_gone(since, page.case.due_at, at) if page.case.is_open else 100,
        received_at=since,
        acknowledgement=acknowledgement,
        answer=answer,
    )


def _last(obligations: Sequence[ObligationRow], kind: ObligationKind) -> ObligationRow | None:
    """What is open of a kind, soonest first; else what was owed last."""
    some = [one for one in obligations if one.kind is kind and one.state is not ObligationState.FOLDED]
    still = [one for one in some if one.state is ObligationState.OPEN]
    return min(still, key=lambda one: one.due_at) if still else (some[-1] if some else None)


def _gone(since: datetime, due_at: datetime, at: datetime) -> int:
    whole = max((due_at - since).total_seconds(), 1)
    return round(min(max((at - since).total_seconds() / whole, 0), 1) * 100)


# ── The composer ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class Composer:
    """What is being written. ``newer`` came in after its writer had last looked; ``writing`` is who else writes now."""

    mode: Mode
    conversation: ConversationRow
    text: str
    purpose: Purpose
    promised_on: date | None
    saved_at: datetime | None
    seen_message_id: int
    newer: tuple[MessageRow, ...]
    limit: int | None
    count_by: str
    count: int
    writing: tuple[Member, ...]
    desk: Desk | None

    @property
    def is_asking(self) -> bool:
        """Whether it goes to an officer or another representative."""
        return self.conversation.partner is not Partner.RESIDENT

    @property
    def is_first(self) -> bool:
        """Whether nobody has written to us in this conversation."""
        return self.conversation.last_inbound_at is None

    @property
    def is_public(self) -> bool:
        """Whether anyone can read what is sent."""
        return self.conversation.audience is Audience.PUBLIC


def composer(
    page: CasePage, *, mode: Mode, staff_id: int, manifest: Manifest | None, desk: Desk | None, at: datetime
) -> Composer | None:
    """What ``staff_id`` can write, or has begun to, in the conversation of the page; ``None`` where there is none.

    ``desk`` is what stands around a reply; a note has none.
    """
    conversation = page.conversation
    if conversation is None:
        return None
    here = [one for one in page.drafts if one.conversation_id == conversation.id and one.by is not None]
    own = next((one for one in here if one.by and one.by.id == staff_id and one.mode is mode), None)
    text = own.text if own else ""
    limit = manifest.limit if manifest and mode is Mode.REPLY else None
    return Composer(
        mode=mode,
        conversation=conversation,
        text=text,
        purpose=own.purpose if own else Purpose.ANSWER,
        promised_on=own.promised_on if own else None,
        saved_at=own.saved_at if own else None,
        seen_message_id=page.newest_message_id,
        newer=_newer(page, own) if mode is Mode.REPLY else (),
        limit=limit.most if limit else None,
        count_by=limit.count.value if limit else Count.CHARACTERS.value,
        count=length(text, limit),
        writing=tuple(
            one.by
            for one in here
            if one.by and one.by.id != staff_id and one.mode is Mode.REPLY and at - one.saved_at < WRITING_FOR
        ),
        desk=desk,
    )


def _newer(page: CasePage, draft: DraftRow | None) -> tuple[MessageRow, ...]:
    if draft is None or not draft.seen_message_id:
        return ()
    return tuple(
        entry
        for entry in page.thread
        if isinstance(entry, MessageRow) and entry.direction is Direction.INBOUND and entry.id > draft.seen_message_id
    )


def length(text: str, limit: Limit | None) -> int:
    """How long a platform will find ``text``; script counts again as somebody types."""
    match limit.count if limit else Count.CHARACTERS:
        case Count.BYTES:
            return len(text.encode())
        case Count.GRAPHEMES:
            import regex

            return len(regex.findall(r"\X", text))
        case _:
            return len(text)


# ── Whom it can be given to ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A line of the menu "Assign to"."""

    value: int
    name: str
    initials: str
    tint: int
    note: str
    open_words: str
    current: bool


def assignable(colleagues: Sequence[Colleague], *, owner_id: int | None, me: int) -> list[Choice]:
    """Colleagues as the menu shows them: whoever asks first, the others by name."""
    return [
        Choice(
            value=one.id,
            name=gettext("%(name)s (you)", name=one.name) if one.id == me else one.name,
            initials=initials(one.name),
            tint=one.tint,
            note=words.role(one.role),
            open_words=gettext("%(num)d open", num=one.open_cases),
            current=one.id == owner_id,
        )
        for one in sorted(colleagues, key=lambda one: one.id != me)
    ]


# ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────────────


def read(session: Session, *, case_id: int, offices: Collection[int], by: int) -> None:
    """Somebody has looked at the case: it is no longer unread. For ``web.session.note_read``."""
    case = queries.case(session, case_id, offices, to_change=True)
    if case.is_unread:
        actions.read(session, case, by=by)
