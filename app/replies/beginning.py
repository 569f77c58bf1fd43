"""Writing first: to somebody who has not written, or about a case to an officer or another representative.

Both begin a conversation with a draft in it, so that files, copies, undo and everything else are those of any reply.
Answers thread into that conversation. Only an account in which the office speaks for the council or as a councillor can
begin one: a party's account never reaches the people of a case (domain.md section 1).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases import actions as case_actions
from app.cases import clocks
from app.cases.models import Case, Note, Outcome, Purpose, Status
from app.channels.models import Account, Capacity, State
from app.errors import Conflict, Invalid
from app.messages.models import Conversation, Direction, File, Message, Partner
from app.office.queries import Rules
from app.people.actions import Who, identify
from app.replies import actions, enclosures
from app.replies.actions import Words
from app.replies.models import Draft, Mode, Reply, Sending
from app.replies.recipients import Party
from connectors import Actor, Audience, Kind

SUBJECT_MOST: Final = 500
_LONDON: Final = ZoneInfo("Europe/London")
_SPEAKS: Final = (Capacity.COUNCIL, Capacity.COUNCILLOR)


@dataclass(frozen=True, kw_only=True, slots=True)
class Referral:
    """What of a case is passed on. Nothing goes but what is named here; ``is_named``: with who wrote it."""

    partner: Partner
    to: Party
    subject: str
    messages: Sequence[Message]
    files: Sequence[File]
    is_named: bool


def senders(session: Session, offices: Collection[int], channels: Collection[str]) -> list[Account]:
    """The connected accounts on ``channels`` by which an office can write first."""
    query = sa.select(Account).where(
        Account.office_id.in_(offices),
        Account.channel.in_(channels),
        Account.capacity.in_(_SPEAKS),
        Account.state.in_([State.ACTIVE, State.NEEDS_YOU]),
    )
    return list(session.scalars(query.order_by(Account.office_id, Account.id)))


def write_first(
    session: Session, rules: Rules, account: Account, *, to: Party, subject: str, by: int, at: datetime
) -> Conversation:
    """A case of whoever writes, on which nothing is owed, with a conversation to write in.

    Raises Invalid for a message to one of the office's own addresses, or without a subject.
    """
    _check(session, account, to, subject)
    who = identify(session, rules.office_id, account.channel, _actor(to), at)
    case = case_actions.new_case(
        session,
        rules,
        person_id=who.person_id,
        subject=subject.strip()[:SUBJECT_MOST],
        channel=account.channel,
        kind=Kind.MAIL,
        audience=Audience.DIRECT,
        contact=who.name,
        received_at=at,
        at=at,
    )
    case.owner_id, case.queue_id, case.status, case.is_unread = by, None, Status.WITH_US, False
    case_actions.begin(session, case, by=by)
    conversation = _conversation(session, account, case, who, partner=Partner.RESIDENT, subject=case.subject, at=at)
    session.get_one(Case, case.id).conversation_id = conversation.id
    session.flush()
    return conversation


def give_up(session: Session, conversation: Conversation, *, by: int, at: datetime) -> bool:
    """Whoever wrote first does not want to after all: a case in which nothing was said or sent is closed.

    ``False`` where there is something in it, and it stays as it is.
    """
    case = clocks.held_of(session, conversation)
    said = sa.exists().where(Message.case_id == case.id)
    sending = sa.exists().where(Reply.case_id == case.id, Reply.state != Sending.WITHDRAWN)
    kept = [sa.exists().where(one.case_id == case.id) for one in (Note, Draft)]
    if not case.is_open or session.scalar(sa.select(sa.or_(said, sending, *kept))):
        return False
    case_actions.close(session, case, outcome=Outcome.RESOLVED, by=by, at=at)
    return True


def refer(session: Session, case: Case, account: Account, referral: Referral, *, by: int, at: datetime) -> Conversation:
    """A conversation about ``case``, which the caller holds, with an officer or another representative.

    What is passed on stands in a draft, where whoever sends it sees it word for word and can take things out. Raises
    Invalid as ``write_first`` does, and for the person of the case, Conflict when the case was joined to another one.
    """
    if case.merged_into_id is not None:
        raise Conflict("This case was joined to another one.")
    _check(session, account, referral.to, referral.subject)
    who = identify(session, case.office_id, account.channel, _actor(referral.to), at)
    if who.person_id == case.person_id:
        raise Invalid("This is who the case is about. Answer them in the case itself.", field="to")
    conversation = _conversation(
        session, account, case, who, partner=referral.partner, subject=referral.subject.strip()[:SUBJECT_MOST], at=at
    )
    words = Words(text=_passed_on(referral), purpose=Purpose.REFERRAL, seen_message_id=_newest(session, case))
    draft = actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=by, at=at)
    if draft is not None:
        enclosures.borrow(session, draft, referral.files)
    return conversation


def _check(session: Session, account: Account, to: Party, subject: str) -> None:
    if not subject.strip():
        raise Invalid("Give it a subject.", field="subject")
    own = session.scalars(sa.select(Account.own_ids).where(Account.office_id == account.office_id))
    if any(to.external_id in some for some in own):
        raise Invalid("This is an address of your own office.", field="to")


def _conversation(
    session: Session, account: Account, case: Case, who: Who, *, partner: Partner, subject: str, at: datetime
) -> Conversation:
    conversation = Conversation(
        office_id=case.office_id,
        case_id=case.id,
        channel=account.channel,
        account_id=account.id,
        reply_account_id=account.id,
        person_id=who.person_id,
        audience=Audience.DIRECT,
        kind=Kind.MAIL,
        partner=partner,
        subject=subject,
        last_at=at,
    )
    session.add(conversation)
    session.flush()
    return conversation


def _actor(party: Party) -> Actor:
    return Actor(external_id=party.external_id, name=party.name, handle=party.handle)


def _newest(session: Session, case: Case) -> int:
    return session.scalar(sa.select(sa.func.max(Message.id)).where(Message.case_id == case.id)) or 0


def _passed_on(referral: Referral) -> str:
    """The chosen messages as they are quoted, with room for one's own words above them."""
    return "".join(f"\n\n{_quoted(one, is_named=referral.is_named)}" for one in referral.messages) or "\n"


def _quoted(message: Message, *, is_named: bool) -> str:
    at = message.sent_at.astimezone(_LONDON)
    who = _author(message, is_named=is_named)
    lines = (message.reply_text or message.text).strip().split("\n")
    quoted = "\n".join(f"> {line}".rstrip() for line in lines)
    return f"On {at:%a} {at.day} {at:%b %Y} at {at:%H:%M}, {who} wrote:\n{quoted}"


def _author(message: Message, *, is_named: bool) -> str:
    if message.direction is Direction.OUTBOUND:
        return "we"
    if not is_named:
        return "a resident"
    return f"{message.author_name} <{message.author_handle}>" if message.author_name else message.author_handle
