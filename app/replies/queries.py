"""Questions about answers on their way out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases import references
from app.cases.models import Case
from app.channels.models import Account
from app.errors import Missing
from app.messages.models import Conversation, Direction, File, Message
from app.office.models import Office
from app.people.models import Identity, Person
from app.replies import enclosures
from app.replies.models import Draft, Enclosure, Mode, Reply
from app.replies.recipients import Addressing, Party, addressing, kept
from app.staff.models import Staff
from connectors import Connector, Kind

_OFFERED = 50  # messages that can be passed on; older ones are copied by hand


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What a writer has before them beside the words: whom it goes to, what goes along, what stands below.

    ``to`` is the chosen address, folded, "" for the usual one. ``room`` is for files, in bytes; 0: none can be sent.
    """

    conversation: Conversation
    sender: str
    addressing: Addressing
    to: str
    cc: tuple[Party, ...]
    files: tuple[Enclosure, ...]
    room: int
    signature: str
    has_draft: bool

    @property
    def size(self) -> int:
        """Of the files together, in bytes."""
        return sum(one.size for one in self.files)

    @property
    def first(self) -> Party | None:
        """Whom it goes to; None where there is nobody."""
        return self.addressing.chosen(self.to) or self.addressing.chosen("")

    def is_new(self, party: Party) -> bool:
        """Whether somebody has taken no part in what was said so far."""
        return bool(self.conversation.last_message_id) and party.external_id not in self.addressing.seen


def reply(session: Session, reply_id: int, offices: Collection[int]) -> Reply:
    """The reply, held until the transaction ends, if it belongs to one of ``offices``; raises Missing otherwise."""
    found = session.scalar(sa.select(Reply).where(Reply.id == reply_id, Reply.office_id.in_(offices)).with_for_update())
    if found is None:
        raise Missing
    return found


def conversation(session: Session, conversation_id: int, offices: Collection[int]) -> Conversation:
    """The conversation, if it belongs to one of ``offices``; raises Missing otherwise."""
    found = session.get(Conversation, conversation_id)
    if found is None or found.office_id not in offices:
        raise Missing
    return found


def draft(session: Session, conversation_id: int, staff_id: int, mode: Mode) -> Draft | None:
    """What ``staff_id`` has begun to write in a conversation."""
    return session.scalar(_DRAFT, {"conversation_id": conversation_id, "staff_id": staff_id, "mode": mode})


_DRAFT = sa.select(Draft).where(
    Draft.conversation_id == sa.bindparam("conversation_id"),
    Draft.staff_id == sa.bindparam("staff_id"),
    Draft.mode == sa.bindparam("mode"),
)


def desk(
    session: Session,
    conversation: Conversation,
    *,
    draft: Draft | None,
    connectors: Mapping[str, Connector],
    id_key: bytes,
) -> Desk:
    """What stands around the words of ``draft``, or of one that is only begun, in a conversation.

    ``id_key`` signs the reference that stands below a mail.
    """
    account = session.get_one(Account, conversation.reply_account_id)
    chosen = draft.recipients if draft else {}
    is_mail = conversation.kind is Kind.MAIL
    return Desk(
        conversation=conversation,
        sender=account.display_name or account.name,
        addressing=addressing(session, conversation),
        to=chosen.get("to", ""),
        cc=kept(chosen.get("cc", ())),
        files=tuple(enclosures.of_draft(session, draft.id)) if draft else (),
        room=room(account, connectors) if is_mail else 0,
        signature=below(session, id_key, conversation.case_id, account.capacity) if is_mail else "",
        has_draft=draft is not None,
    )


def subject_of(conversation: Conversation) -> str:
    """The subject of what is written in a conversation: an answer's, "Re: " once, where somebody wrote to us in it."""
    subject = conversation.subject.strip()
    if conversation.last_inbound_at is None or subject[:3].casefold() == "re:":
        return subject
    return f"Re: {subject}".strip()


def address_of(session: Session, person: Person, channels: Collection[str]) -> str:
    """The oldest address of somebody on one of these channels, as mail programs write it; "" where there is none."""
    query = sa.select(Identity).where(Identity.person_id == person.id, Identity.channel.in_(channels))
    found = session.scalars(query.order_by(Identity.first_seen_at, Identity.id).limit(1)).first()
    return Party(person.name, found.external_id, found.handle).written if found else ""


def room(account: Account, connectors: Mapping[str, Connector]) -> int:
    """How many bytes of files go with one message of an account, by what its server said when it was tried."""
    connector = connectors.get(account.channel)
    usual = connector.manifest.largest if connector else 0
    return enclosures.room(account.check_result.get("largest") or usual) if usual else 0


def room_in(session: Session, conversation: Conversation, connectors: Mapping[str, Connector]) -> int:
    """The same for an answer in a conversation."""
    if conversation.kind is not Kind.MAIL:
        return 0
    return room(session.get_one(Account, conversation.reply_account_id), connectors)


@dataclass(frozen=True, slots=True)
class Told:
    """A message that can be passed on, with its files."""

    message: Message
    files: tuple[File, ...]


def told(session: Session, case_id: int) -> list[Told]:
    """What was said on a case, both ways, the newest first."""
    query = sa.select(Message).where(Message.case_id == case_id, Message.deleted_at.is_(None))
    messages = session.scalars(query.order_by(Message.id.desc()).limit(_OFFERED)).all()
    files = session.scalars(
        sa.select(File).where(File.message_id.in_([one.id for one in messages]), File.is_inline.is_(False))
    ).all()
    return [Told(one, tuple(file for file in files if file.message_id == one.id)) for one in messages]


def newest_of_theirs(messages: Iterable[Told]) -> Told | None:
    """The newest of those that came in."""
    return next((one for one in messages if one.message.direction is Direction.INBOUND), None)


def below(session: Session, id_key: bytes, case_id: int, role: str) -> str:
    """What stands below a mail of a case: the office's signature for the role, and the reference to come back by."""
    of = session.execute(_BELOW, {"case_id": case_id}).one()
    own = of.signatures.get(role, "")
    reference = f"Ref: {references.written(id_key, of.office_id, of.reference)}"
    return f"{own}\n\n{reference}" if own else reference


_BELOW = (
    sa.select(Case.office_id, Case.reference, Office.signatures)
    .join(Office, Office.id == Case.office_id)
    .where(Case.id == sa.bindparam("case_id"))
)


def writing(session: Session, case_id: int, offices: Collection[int], *, but_not: int, since: datetime) -> list[str]:
    """The names of others who have been writing a reply on a case since a moment, whoever wrote last first."""
    query = sa.select(Staff.name).join(Draft, Draft.staff_id == Staff.id)
    query = query.where(
        Draft.case_id == case_id,
        Draft.office_id.in_(offices),
        Draft.mode == Mode.REPLY,
        Draft.staff_id != but_not,
        Draft.saved_at > since,
    )
    return list(session.scalars(query.order_by(Draft.saved_at.desc())))
