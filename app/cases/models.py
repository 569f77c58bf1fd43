"""Rows of casework.

A case carries what a list shows and sorts by, written where a message, an owner or a clock changes it.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.deadlines.obligations import Emergency
from app.deadlines.obligations import Kind as DueKind
from connectors import Audience, Kind


class Status(StrEnum):
    """new → acknowledged → with us | officer | constituent → answered → closed; a new message reopens."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    WITH_US = "with_us"
    WITH_OFFICER = "with_officer"
    WITH_CONSTITUENT = "with_constituent"
    ANSWERED = "answered"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a case ended."""

    RESOLVED = "resolved"
    ANSWERED = "answered"
    PASSED_ON = "passed_on"
    NOT_CONSTITUENT = "not_constituent"
    NOT_COUNCIL = "not_council"
    NO_REPLY_NEEDED = "no_reply_needed"
    DECLINED = "declined"
    SPAM = "spam"


def _open(name: str, *columns: str) -> sa.Index:
    """An index over open cases only: about 0.6 MB at a million messages (performance.md section 2).

    SQLite uses it only where the query says the very same (``Case.is_open`` is spelt "is_open = 1" there), and answers
    from it alone only where it holds that column too.
    """
    return sa.Index(name, *columns, "is_open", sqlite_where=sa.text("is_open = 1"), postgresql_where=sa.text("is_open"))


# What lists are narrowed by and badges count: with them an index answers alone.
_NARROWED_BY = ("owner_id", "queue_id", "is_unread", "audience", "status")


class Case(Base):
    """One matter. Exactly one owner or one queue; open means that it stands in the inbox."""

    __tablename__ = "case"
    __table_args__ = (
        sa.CheckConstraint("(owner_id IS NULL) <> (queue_id IS NULL)", name="one_owner_or_queue"),
        sa.UniqueConstraint("office_id", "year", "number"),
        sa.UniqueConstraint("reference", "office_id"),
        _open("ix_case_due", "office_id", "rank", "due_at", "id", "channel", *_NARROWED_BY),
        _open("ix_case_owner_due", "office_id", "owner_id", "rank", "due_at", "id"),
        _open("ix_case_queue_due", "office_id", "queue_id", "rank", "due_at", "id"),
        _open("ix_case_channel_due", "office_id", "channel", "rank", "due_at", "id", *_NARROWED_BY),
        sa.Index("ix_case_status_last", "office_id", "status", "last_at", "id"),
        sa.Index("ix_case_person", "person_id", "last_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    reference: Mapped[str]  # MA-26-0147
    year: Mapped[int]
    number: Mapped[int]
    subject: Mapped[str]
    status: Mapped[Status] = mapped_column(default=Status.NEW)
    is_open: Mapped[bool] = mapped_column(default=True)
    owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"), default=None)
    queue_id: Mapped[int | None] = mapped_column(sa.ForeignKey("queue.id"), default=None)
    opened_at: Mapped[datetime]
    first_received_at: Mapped[datetime]
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[Outcome | None] = mapped_column(default=None)

    # what it is about
    topic: Mapped[str] = mapped_column(default="")
    category: Mapped[str] = mapped_column(default="")
    planning_reference: Mapped[str] = mapped_column(default="")
    council_reference: Mapped[str] = mapped_column(default="")
    language: Mapped[str] = mapped_column(default="")
    ward: Mapped[str] = mapped_column(default="")
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))  # the requester
    subject_person_id: Mapped[int | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    authority: Mapped[str] = mapped_column(default="")
    is_special_category: Mapped[bool] = mapped_column(default=False)
    is_restricted: Mapped[bool] = mapped_column(default=False)

    # its clock: the most urgent of what is owed
    rank: Mapped[int]
    due_at: Mapped[datetime]  # a far date where nothing is owed, so that lists sort without a special case
    due_kind: Mapped[DueKind] = mapped_column(default=DueKind.PLEDGE)  # why that date leads
    emergency: Mapped[Emergency | None] = mapped_column(default=None)
    emergency_at: Mapped[datetime | None] = mapped_column(default=None)
    external_at: Mapped[datetime | None] = mapped_column(default=None)  # appeal, hearing, press
    external_what: Mapped[str] = mapped_column(default="")
    promised_on: Mapped[date | None] = mapped_column(default=None)
    snoozed_until: Mapped[datetime | None] = mapped_column(default=None)
    waiting_since: Mapped[datetime | None] = mapped_column(default=None)  # for the constituent: the clock pauses
    waiting_until: Mapped[datetime | None] = mapped_column(default=None)
    officer: Mapped[str] = mapped_column(default="")
    officer_since: Mapped[datetime | None] = mapped_column(default=None)  # the second clock: never stops the resident's
    officer_due_at: Mapped[datetime | None] = mapped_column(default=None)
    is_backlog: Mapped[bool] = mapped_column(default=False)
    is_reopened_late: Mapped[bool] = mapped_column(default=False)

    # what a row of a list shows
    conversation_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("conversation.id", use_alter=True), default=None
    )  # the most urgent
    channel: Mapped[str]
    kind: Mapped[Kind]
    audience: Mapped[Audience]
    contact: Mapped[str]
    snippet: Mapped[str]
    last_at: Mapped[datetime]
    last_inbound_at: Mapped[datetime | None]
    is_unread: Mapped[bool] = mapped_column(default=True)
    has_files: Mapped[bool] = mapped_column(default=False)
    has_draft: Mapped[bool] = mapped_column(default=False)
    has_failed_reply: Mapped[bool] = mapped_column(default=False)
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("case.id"), default=None)


class Purpose(StrEnum):
    """What is sent for: it decides which clocks that stops (domain.md section 2, "What meets it").

    ``MESSAGE``: we write first. ``REFERRAL``: an officer is asked, or another representative told; it starts a clock of
    its own and never stops the resident's (rule 6).
    """

    ANSWER = "answer"
    ACKNOWLEDGEMENT = "acknowledgement"
    HOLDING = "holding"
    MESSAGE = "message"
    REFERRAL = "referral"


class ObligationKind(StrEnum):
    """What is owed."""

    ACKNOWLEDGE = "acknowledge"
    REPLY = "reply"


class ObligationState(StrEnum):
    """open → met | waived | shelved | folded; met and shelved → open again, with the old date."""

    OPEN = "open"
    MET = "met"
    WAIVED = "waived"
    SHELVED = "shelved"  # its case was closed without an answer; a new message brings it back
    FOLDED = "folded"  # two open turns of one person became one, with the older date


class Obligation(Base):
    """An answer that is owed: one ``reply`` per person, case and turn, and an acknowledgement beside it."""

    __tablename__ = "obligation"
    __table_args__ = (
        sa.Index(
            "uq_obligation_open",
            "case_id",
            "person_id",
            "kind",
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        ),
        sa.Index("ix_obligation_case_id", "case_id"),
        sa.Index("ix_obligation_met_by_id", "met_by_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    case_id: Mapped[int] = mapped_column(sa.ForeignKey("case.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"))  # that opened the turn
    pledge_id: Mapped[int] = mapped_column(sa.ForeignKey("pledge.id"))
    kind: Mapped[ObligationKind]
    state: Mapped[ObligationState] = mapped_column(default=ObligationState.OPEN)
    received_at: Mapped[datetime]
    not_before_at: Mapped[datetime | None] = mapped_column(default=None)  # backlog: counted from the day of connecting
    days: Mapped[int]
    due_at: Mapped[datetime]
    calendar: Mapped[str]  # version of the calendar that gave due_at
    is_provisional: Mapped[bool] = mapped_column(default=False)
    is_backlog: Mapped[bool] = mapped_column(default=False)
    chasers: Mapped[int] = mapped_column(default=0)
    paused_days: Mapped[int] = mapped_column(default=0)
    met_at: Mapped[datetime | None] = mapped_column(default=None)
    met_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"), default=None)
    is_late: Mapped[bool | None] = mapped_column(default=None)  # the verdict; NULL while open
    is_excused: Mapped[bool] = mapped_column(default=False)
    decision_id: Mapped[int | None] = mapped_column(sa.ForeignKey("decision.id"), default=None)


class DecisionKind(StrEnum):
    """What a person decided instead of answering."""

    NO_REPLY_NEEDED = "no_reply_needed"
    NOT_CONSTITUENT = "not_constituent"
    DECLINED = "declined"
    ANSWERED_ELSEWHERE = "answered_elsewhere"


class Decision(Base):
    """A decision with its reason; undone, never deleted."""

    __tablename__ = "decision"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    case_id: Mapped[int] = mapped_column(sa.ForeignKey("case.id"), index=True)
    kind: Mapped[DecisionKind]
    reason: Mapped[str]
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    at: Mapped[datetime]
    status_before: Mapped[Status]
    undone_at: Mapped[datetime | None] = mapped_column(default=None)
    undone_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"), default=None)


class Note(Base):
    """Words of the office to itself. They can be disclosed, and the page says so."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    case_id: Mapped[int] = mapped_column(sa.ForeignKey("case.id"), index=True)
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("staff.id"))
    at: Mapped[datetime]
    text: Mapped[str]
