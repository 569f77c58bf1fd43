"""Frozen rows made for pages: all that a template may look at, and nothing that asks the database again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, NamedTuple

from app.cases.models import DecisionKind, ObligationKind, ObligationState, Outcome, Purpose, Status
from app.channels.models import Capacity
from app.deadlines.chips import Group
from app.deadlines.obligations import Emergency
from app.deadlines.obligations import Kind as DueKind
from app.messages.models import Direction, MessageState, Partner
from app.people.models import Joined
from app.replies.models import Mode, Sending
from connectors import Audience, Kind


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of the office, as a name beside something."""

    id: int
    name: str
    tint: int


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class CaseRow(NamedTuple):
    """A row of a list of cases: what a list shows. ``owner`` is None while it waits in a queue.

    A tuple, as what the database gives is one: a page makes fifty, each in a fifth of the time of a frozen class.
    """

    id: int
    reference: str
    subject: str
    snippet: str
    contact: str
    channel: str
    kind: Kind
    audience: Audience
    topic: str
    status: Status
    is_open: bool
    rank: int
    due_at: datetime
    due_kind: DueKind
    emergency: Emergency | None
    waiting_until: datetime | None
    officer_since: datetime | None
    last_at: datetime
    closed_at: datetime | None
    outcome: Outcome | None
    is_unread: bool
    has_draft: bool
    has_failed_reply: bool
    owner: Member | None


@dataclass(frozen=True, slots=True)
class CaseList:
    """A page of a list. ``next`` is where the next page starts, "" on the last; hand it back as ``after``."""

    rows: tuple[CaseRow, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Badges:
    """Exact counts over the open cases; ``most`` is where a badge stops counting aloud ("999+")."""

    most: ClassVar[int] = 999

    needs_reply: int
    overdue: int
    today: int
    mine: int
    unassigned: int
    waiting: int
    unread: int
    public: int
    private: int
    groups: Mapping[Group, int]
    channels: Mapping[str, int]  # only those that have any
    offices: Mapping[int, int]


# ── A case ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CaseHead:
    """The case itself, as its page shows it."""

    id: int
    office_id: int
    reference: str
    subject: str
    status: Status
    is_open: bool
    owner_id: int | None
    queue_id: int | None
    opened_at: datetime
    first_received_at: datetime
    closed_at: datetime | None
    outcome: Outcome | None
    topic: str
    category: str
    planning_reference: str
    council_reference: str
    language: str
    ward: str
    person_id: int
    subject_person_id: int | None
    authority: str
    is_special_category: bool
    is_restricted: bool
    rank: int
    due_at: datetime
    due_kind: DueKind
    emergency: Emergency | None
    emergency_at: datetime | None
    external_at: datetime | None
    external_what: str
    promised_on: date | None
    snoozed_until: datetime | None
    waiting_since: datetime | None
    waiting_until: datetime | None
    officer: str
    officer_since: datetime | None
    officer_due_at: datetime | None
    is_backlog: bool
    is_reopened_late: bool
    conversation_id: int | None
    channel: str
    kind: Kind
    audience: Audience
    contact: str
    last_at: datetime
    last_inbound_at: datetime | None
    is_unread: bool
    has_draft: bool
    has_failed_reply: bool
    merged_into_id: int | None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """Somebody who writes."""

    id: int
    office_id: int
    name: str
    first_seen_at: datetime
    postcode: str
    ward: str
    language: str
    remarks: str
    is_officer: bool
    merged_into_id: int | None
    erased_at: datetime | None


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """One of the names somebody is known by; ``joined_by`` says who put it to this person."""

    id: int
    channel: str
    external_id: str
    handle: str
    name: str
    url: str
    first_seen_at: datetime
    joined: Joined
    joined_at: datetime | None
    joined_by: Member | None


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """One thread of a case. ``account`` is where it came in, ``reply_account`` where an answer goes out."""

    id: int
    channel: str
    account_id: int
    account: str
    reply_account_id: int
    reply_account: str
    reply_channel: str
    capacity: Capacity  # of the account an answer goes out from
    person_id: int
    person: str
    audience: Audience
    kind: Kind
    partner: Partner
    subject: str
    context: Mapping[str, Any]
    last_at: datetime
    last_inbound_at: datetime | None
    last_message_id: int
    window_ends_at: datetime | None
    related_case_id: int | None
    joined_from_id: int | None


@dataclass(frozen=True, slots=True)
class FileRow:
    """An attachment."""

    id: int
    message_id: int
    name: str
    media_type: str
    size: int
    is_inline: bool


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """Later words of an edited message."""

    message_id: int
    text: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of the thread. ``text`` and ``reply_text`` are cut at ``queries.LONGEST_TEXT`` (``is_cut``).

    ``by`` is who of the office wrote it, where it is ours; ``reply_id`` is what it was sent as, where we sent it.
    """

    what: ClassVar[str] = "message"

    id: int
    conversation_id: int
    channel: str
    direction: Direction
    kind: Kind
    audience: Audience
    author_name: str
    author_handle: str
    recipients: Mapping[str, Any]
    subject: str
    text: str
    reply_text: str
    has_html: bool
    at: datetime  # when its sender sent it
    arrived_at: datetime | None
    fetched_at: datetime
    url: str
    language: str
    marking: str
    capacity: str
    purpose: str
    state: MessageState
    is_auto: bool
    is_bounce: bool
    is_failed: bool
    is_backlog: bool
    reply_id: int | None
    deleted_at: datetime | None
    by: Member | None
    is_cut: bool
    files: tuple[FileRow, ...]
    revisions: tuple[RevisionRow, ...]


@dataclass(frozen=True, slots=True)
class NoteRow:
    """Words of the office to itself."""

    what: ClassVar[str] = "note"

    id: int
    at: datetime
    text: str
    by: Member | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to the case, from the audit trail; the words for ``verb`` are the template's.

    ``to`` and ``before`` are the people that ``facts`` name as ``to`` and ``owner`` (who has it now, who had it).
    """

    what: ClassVar[str] = "event"

    id: int
    at: datetime
    verb: str
    facts: Mapping[str, Any]
    by: Member | None
    to: Member | None
    before: Member | None


@dataclass(frozen=True, slots=True)
class EnclosureRow:
    """A file that goes with an answer."""

    id: int
    reply_id: int
    name: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """An answer on its way out. What was sent is a message; what was withdrawn is gone."""

    what: ClassVar[str] = "reply"

    id: int
    conversation_id: int
    at: datetime  # when it was queued
    state: Sending
    capacity: Capacity
    audience: Audience
    purpose: Purpose
    promised_on: date | None
    recipients: Mapping[str, Any]
    subject: str
    text: str
    send_at: datetime
    attempts: int
    trouble: str
    retry_at: datetime | None
    by: Member | None
    files: tuple[EnclosureRow, ...]


@dataclass(frozen=True, slots=True)
class DraftRow:
    """Words somebody is writing. Only the writer's own are shown; of others' it is said that there are some."""

    id: int
    conversation_id: int
    mode: Mode
    text: str
    purpose: Purpose
    promised_on: date | None
    seen_message_id: int
    saved_at: datetime
    by: Member | None


@dataclass(frozen=True, slots=True)
class ObligationRow:
    """An answer that is or was owed."""

    id: int
    conversation_id: int
    person_id: int
    kind: ObligationKind
    state: ObligationState
    received_at: datetime
    days: int
    due_at: datetime
    is_provisional: bool
    is_backlog: bool
    chasers: int
    met_at: datetime | None
    is_late: bool | None
    is_excused: bool


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """What a person decided instead of answering."""

    id: int
    kind: DecisionKind
    reason: str
    at: datetime
    undone_at: datetime | None
    by: Member | None
    undone_by: Member | None


Entry = MessageRow | NoteRow | EventRow | ReplyRow


@dataclass(frozen=True, slots=True)
class CasePage:
    """Everything the page of a case shows.

    ``thread`` holds messages, notes, events and answers on their way out, oldest first; ``earlier`` is the message to
    go back from (hand it back as ``before``), None where the thread begins. ``newest_message_id`` is the newest message
    on this page, which a reply written here has seen. ``conversation`` is the one the page was asked for, else the most
    urgent; None while a case has none.
    """

    case: CaseHead
    office: str
    owner: Member | None
    queue: str
    person: PersonRow
    subject_person: str
    identities: tuple[IdentityRow, ...]
    conversation: ConversationRow | None
    conversations: tuple[ConversationRow, ...]
    thread: tuple[Entry, ...]
    earlier: int | None
    newest_message_id: int
    drafts: tuple[DraftRow, ...]
    obligations: tuple[ObligationRow, ...]
    decisions: tuple[DecisionRow, ...]
    history: tuple[EventRow, ...]
    other_cases: tuple[CaseRow, ...]


# ── Other pages ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class PersonPage:
    """Everything the page of a person shows; ``cases`` newest first."""

    person: PersonRow
    office: str
    identities: tuple[IdentityRow, ...]
    cases: CaseList


@dataclass(frozen=True, slots=True)
class PersonInList:
    """A row of the list of people."""

    id: int
    office_id: int
    name: str
    ward: str
    first_seen_at: datetime


@dataclass(frozen=True, slots=True)
class PeopleList:
    """A page of people by name."""

    rows: tuple[PersonInList, ...]
    next: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A line of the audit trail; ``reference`` is that of the case it speaks of, where it does."""

    id: int
    office_id: int
    at: datetime
    verb: str
    object_kind: str
    object_id: int
    facts: Mapping[str, Any]
    is_sealed: bool
    reference: str
    by: Member | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of the audit trail, newest first."""

    rows: tuple[AuditRow, ...]
    next: str
