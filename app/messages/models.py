"""Rows of what was said. ``sighting`` is what a platform showed.

``message`` is what was said, once, however often it was seen.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from connectors import Audience, Kind


class Reading(StrEnum):
    """What became of a sighting. waiting → taken | quarantined → (retry) waiting."""

    WAITING = "waiting"
    TAKEN = "taken"
    QUARANTINED = "quarantined"


class Sighting(Base):
    """What a platform showed us, once per content; never changed but for what became of it.

    The bytes are in the store.
    """

    __tablename__ = "sighting"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "stream_id", "external_id", "sha256"),
        sa.Index(
            "ix_sighting_waiting",
            "account_id",
            "id",
            sqlite_where=sa.text("state <> 'taken'"),
            postgresql_where=sa.text("state <> 'taken'"),
        ),
        sa.Index("ix_sighting_message_id", "message_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    stream_id: Mapped[int] = mapped_column(sa.ForeignKey("stream.id"))
    external_id: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int]
    arrived_at: Mapped[datetime | None]
    fetched_at: Mapped[datetime]
    is_backlog: Mapped[bool] = mapped_column(default=False)
    state: Mapped[Reading] = mapped_column(default=Reading.WAITING)
    reader: Mapped[int] = mapped_column(default=0)  # the manifest's reader version that tried last
    trouble: Mapped[str] = mapped_column(default="")
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"), default=None)


class Direction(StrEnum):
    """Whose words."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class MessageState(StrEnum):
    """What a person has done with a message."""

    NEW = "new"
    SEEN = "seen"
    HANDLED = "handled"
    HIDDEN = "hidden"


class Partner(StrEnum):
    """Whom a conversation is with. Answers are owed to residents; of the others the office asks something."""

    RESIDENT = "resident"
    OFFICER = "officer"
    REPRESENTATIVE = "representative"  # of another ward or council, whose matter it is


class Conversation(Base):
    """One thread on one channel and account, with a fixed audience. ``case_id`` says where its next message goes."""

    __tablename__ = "conversation"
    __table_args__ = (
        sa.Index("ix_conversation_case_id", "case_id"),
        sa.Index("ix_conversation_person_id", "person_id", "last_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    case_id: Mapped[int] = mapped_column(sa.ForeignKey("case.id"))
    channel: Mapped[str]
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    reply_account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    person_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))  # whose turn we answer
    audience: Mapped[Audience]
    kind: Mapped[Kind]
    partner: Mapped[Partner] = mapped_column(default=Partner.RESIDENT)
    subject: Mapped[str] = mapped_column(default="")
    thread_id: Mapped[str] = mapped_column(default="")
    context: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    last_at: Mapped[datetime]
    last_inbound_at: Mapped[datetime | None] = mapped_column(default=None)
    last_message_id: Mapped[int] = mapped_column(default=0)
    window_ends_at: Mapped[datetime | None] = mapped_column(default=None)
    # "looks related", never joined by itself
    related_case_id: Mapped[int | None] = mapped_column(sa.ForeignKey("case.id"), default=None)
    joined_from_id: Mapped[int | None] = mapped_column(sa.ForeignKey("case.id"), default=None)  # it can go back there


class Participant(Base):
    """An identity that has taken part in a conversation: only a known participant's known id threads."""

    __tablename__ = "participant"

    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"), primary_key=True)
    identity_id: Mapped[int] = mapped_column(sa.ForeignKey("identity.id"), primary_key=True)


class Mention(Base):
    """A platform id that a conversation knows: of one of its messages, or one that they answer.

    Threading looks here.
    """

    __tablename__ = "mention"

    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"), primary_key=True)


class Message(Base):
    """One thing received or sent; its words are never changed (an edit is a revision beside it)."""

    __tablename__ = "message"
    __table_args__ = (
        sa.UniqueConstraint("office_id", "channel", "platform_id", "fingerprint"),
        sa.Index("ix_message_conversation_id_id", "conversation_id", "id"),
        sa.Index("ix_message_case_id_id", "case_id", "id"),
        sa.Index("ix_message_person_id_id", "person_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    channel: Mapped[str]
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    case_id: Mapped[int] = mapped_column(sa.ForeignKey("case.id"))
    person_id: Mapped[int | None] = mapped_column(sa.ForeignKey("person.id"))
    identity_id: Mapped[int | None] = mapped_column(sa.ForeignKey("identity.id"))
    direction: Mapped[Direction]
    kind: Mapped[Kind]
    audience: Mapped[Audience]
    platform_id: Mapped[str]
    fingerprint: Mapped[str]
    author_name: Mapped[str]
    author_handle: Mapped[str]
    recipients: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)  # {"to": [[name, address]…], …}
    subject: Mapped[str] = mapped_column(default="")
    text: Mapped[str]
    reply_text: Mapped[str]
    html: Mapped[str] = mapped_column(default="")  # sanitised; remote images named in data attributes, not loaded
    remote_hosts: Mapped[list[Any]] = mapped_column(default_factory=list)
    sent_at: Mapped[datetime]  # the sender's time, clamped: domain.md section 2
    arrived_at: Mapped[datetime | None]
    fetched_at: Mapped[datetime]
    url: Mapped[str] = mapped_column(default="")
    in_reply_to: Mapped[str] = mapped_column(default="")
    reply_refs: Mapped[list[Any]] = mapped_column(default_factory=list)
    language: Mapped[str] = mapped_column(default="")
    marking: Mapped[str] = mapped_column(default="")  # of an officer's text: "not for publication"
    capacity: Mapped[str] = mapped_column(default="")  # of ours
    purpose: Mapped[str] = mapped_column(default="")  # of ours: what the answer was for
    state: Mapped[MessageState] = mapped_column(default=MessageState.NEW)
    is_auto: Mapped[bool] = mapped_column(default=False)
    is_bounce: Mapped[bool] = mapped_column(default=False)
    is_failed: Mapped[bool] = mapped_column(default=False)  # ours, accepted, and yet it did not arrive
    is_backlog: Mapped[bool] = mapped_column(default=False)
    reply_id: Mapped[int | None] = mapped_column(sa.ForeignKey("reply.id"), default=None)
    by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("staff.id"), default=None)
    deleted_at: Mapped[datetime | None] = mapped_column(default=None)  # by its author, at the platform: a tombstone


class Revision(Base):
    """Later words of an edited message; the first ones stay."""

    __tablename__ = "revision"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), index=True)
    sighting_id: Mapped[int] = mapped_column(sa.ForeignKey("sighting.id"))
    text: Mapped[str]
    seen_at: Mapped[datetime]


class File(Base):
    """An attachment: its bytes are in the store under ``sha256``. Download only."""

    __tablename__ = "file"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), index=True)
    position: Mapped[int]
    name: Mapped[str]
    media_type: Mapped[str]  # by content, not by what the sender claims
    size: Mapped[int]
    sha256: Mapped[str]
    is_inline: Mapped[bool] = mapped_column(default=False)
    content_id: Mapped[str] = mapped_column(default="")


class Fetching(StrEnum):
    """A remote picture that somebody wants to see."""

    WAITING = "waiting"
    KEPT = "kept"
    REFUSED = "refused"


class Picture(Base):
    """A remote picture of a mail, fetched because a reader asked for it: the bytes are in the store."""

    __tablename__ = "picture"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    office_id: Mapped[int] = mapped_column(sa.ForeignKey("office.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), index=True)
    url: Mapped[str]
    state: Mapped[Fetching] = mapped_column(default=Fetching.WAITING)
    media_type: Mapped[str] = mapped_column(default="")
    size: Mapped[int] = mapped_column(default=0)
    sha256: Mapped[str] = mapped_column(default="")


class ErasedMessage(Base):
    """A message that was erased, known by an HMAC of its ids alone: when it is fetched again, it stays away.

    The office may not be there: a restored backup can be older than an office in which somebody was erased.
    """

    __tablename__ = "erased_message"

    office_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    mark: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
