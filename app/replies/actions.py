"""Writing and sending answers, as far as a person goes: what happens after that is in ``outbox``."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.cases import clocks
from app.cases.actions import check_promise
from app.cases.models import Case, Purpose
from app.channels.models import Account, Capacity, State
from app.errors import Conflict, Invalid
from app.leases import give_back
from app.messages.models import Conversation, Direction, Message, Partner
from app.office.queries import Rules
from app.office.queries import rules as rules_of
from app.replies import enclosures
from app.replies.enclosures import Upload
from app.replies.models import Draft, Mode, Reply, Sending
from app.replies.queries import subject_of
from app.replies.recipients import Party, addressing, kept, resolve
from app.store import Store

MOST_CHARACTERS = 100_000  # of any reply; a channel's own limit is lower and is said in its own count


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What somebody wrote, and what they had before them when they did.

    ``seen_message_id`` is the newest message on their page. ``to`` is the chosen address, folded, "" for the usual one;
    ``cc`` are those who get a copy.
    """

    text: str
    purpose: Purpose = Purpose.ANSWER
    promised_on: date | None = None
    seen_message_id: int
    subject: str = ""
    stays_open: bool = False
    to: str = ""
    cc: tuple[Party, ...] = ()


class Moved(Conflict):
    """The thread moved on while the reply was written.

    ``newer`` are the messages the writer has not seen, oldest first.
    """

    def __init__(self, newer: Sequence[Message]) -> None:
        super().__init__(
            "Something new came in while you were writing. Read it, then send or change your reply."
            if any(message.direction is Direction.INBOUND for message in newer)
            else "Somebody has answered while you were writing. Read it, then send or change your reply."
        )
        self.newer = tuple(newer)


def save_draft(
    session: Session, conversation: Conversation, *, mode: Mode, words: Words, by: int, at: datetime
) -> Draft | None:
    """Keep what is being written; nothing left of it means no draft. One per person, conversation and mode."""
    case = clocks.held_of(session, conversation)
    draft = _draft(session, conversation, mode, by)
    has_files = draft is not None and bool(enclosures.of_draft(session, draft.id))
    if not (words.text.strip() or words.to or words.cc or has_files):
        discard_draft(session, conversation, mode=mode, by=by)
        return None
    draft = draft or _new_draft(session, conversation, mode=mode, by=by, at=at)
    _write(draft, words, at)
    session.flush()
    mark_drafts(session, case)
    return draft


def enclose(
    session: Session,
    store: Store,
    conversation: Conversation,
    *,
    uploads: Sequence[Upload],
    most: int,
    words: Words,
    by: int,
    at: datetime,
) -> Draft:
    """Put files to a reply that is being written, whose words are kept with them.

    Raises Invalid for a file that does not fit into the ``most`` bytes that can go along; those that do are kept.
    """
    case = clocks.held_of(session, conversation)
    draft = _draft(session, conversation, Mode.REPLY, by)
    draft = draft or _new_draft(session, conversation, mode=Mode.REPLY, by=by, at=at)
    _write(draft, words, at)
    session.flush()
    try:
        enclosures.add(session, store, draft, uploads, most=most)
    finally:
        mark_drafts(session, case)
    return draft


def discard_draft(session: Session, conversation: Conversation, *, mode: Mode, by: int) -> None:
    """Throw away what was being written."""
    case = clocks.held_of(session, conversation)
    draft = _draft(session, conversation, mode, by)
    if draft is not None:
        enclosures.drop(session, draft)
        session.delete(draft)
        session.flush()
    mark_drafts(session, case)


def queue(session: Session, rules: Rules, conversation: Conversation, *, words: Words, by: int, at: datetime) -> Reply:
    """Put a reply into the outbox; it goes out after the office's undo time.

    Its key is fixed here, before anything is sent. The very same reply, sent twice by an impatient click, is one.

    Raises Invalid for what cannot be sent, Moved when the case holds messages that the writer has not seen (the text
    stays as their draft), Conflict when another reply is on its way in the conversation or the account cannot send.
    """
    words = replace(words, purpose=_purpose(conversation, words.purpose))
    text = words.text.strip()
    if not text:
        raise Invalid("Write your reply first.", field="text")
    if len(text) > MOST_CHARACTERS:
        raise Invalid("This is too long to send: %(most)s characters at most.", field="text", most=MOST_CHARACTERS)
    _check_promise(words, at)
    clocks.held_of(session, conversation)  # what comes in from here on was not there when this was submitted
    going = _going(session, conversation)
    if going is not None:
        if going.state is Sending.QUEUED and (going.by_id, going.text, going.purpose) == (by, text, words.purpose):
            return going
        raise Conflict(
            "It is not known whether the last reply here went out. Say which first."
            if going.state is Sending.UNCERTAIN
            else "Another reply is on its way here. Take it back, or wait until it has gone out."
        )
    newer = newer_messages(session, conversation.case_id, words.seen_message_id)
    if newer:
        raise Moved(newer)
    account = session.get_one(Account, conversation.reply_account_id)
    if account.state in {State.REMOVED, State.PAUSED}:
        raise Conflict("%(account)s is not connected, so nothing can be sent with it.", account=account.name)
    recipients = resolve(addressing(session, conversation), to=words.to, cc=words.cc)
    reply = Reply(
        office_id=conversation.office_id,
        case_id=conversation.case_id,
        conversation_id=conversation.id,
        account_id=account.id,
        person_id=conversation.person_id,
        by_id=by,
        key=secrets.token_urlsafe(18),
        capacity=Capacity(account.capacity),
        audience=conversation.audience,
        purpose=words.purpose,
        promised_on=words.promised_on if words.purpose is Purpose.HOLDING else None,
        stays_open=words.stays_open,
        recipients=recipients,
        subject=words.subject.strip() or subject_of(conversation),
        text=text,
        seen_message_id=min(words.seen_message_id, _newest(session, conversation.case_id)),
        queued_at=at,
        send_at=at + timedelta(seconds=rules.undo_seconds),
    )
    session.add(reply)
    session.flush()
    draft = _draft(session, conversation, Mode.REPLY, by)
    if draft is not None:
        enclosures.send_along(session, draft, reply)
    discard_draft(session, conversation, mode=Mode.REPLY, by=by)
    jobs.defer(session, jobs.Kind.SEND_REPLY, reply.id, reply.send_at)
    record(
        session,
        "queue",
        "reply",
        reply.id,
        office_id=reply.office_id,
        by=by,
        case=reply.case_id,
        purpose=reply.purpose.value,
    )
    return reply


def withdraw(session: Session, reply: Reply, *, by: int, at: datetime) -> Draft | None:
    """Undo a send, or stop trying: the text goes back to its writer as a draft. Raises Conflict when it is too late.

    A reply that may have got out (sending, uncertain) cannot be withdrawn: that is decided with ``settle``.
    """
    if reply.state not in {Sending.QUEUED, Sending.FAILED}:
        raise Conflict(
            "It is too late: this reply is on its way."
            if reply.state is Sending.SENDING
            else "This reply cannot be taken back."
        )
    case = clocks.held(session, reply.case_id)
    reply.state, reply.retry_at = Sending.WITHDRAWN, None
    conversation = session.get_one(Conversation, reply.conversation_id)
    standing = _draft(session, conversation, Mode.REPLY, reply.by_id)
    words = Words(
        text=f"{reply.text}\n\n{standing.text}" if standing is not None and standing.text else reply.text,
        purpose=reply.purpose,
        promised_on=reply.promised_on,
        seen_message_id=reply.seen_message_id,
        to=_other_than_usual(session, conversation, reply),
        cc=kept(reply.recipients.get("cc", ())),
    )
    mark_failures(session, case)
    record(session, "withdraw", "reply", reply.id, office_id=reply.office_id, by=by, case=reply.case_id)
    draft = save_draft(session, conversation, mode=Mode.REPLY, words=words, by=reply.by_id, at=at)
    if draft is not None:
        enclosures.give_back(session, reply, draft)
    return draft


def try_again(session: Session, reply: Reply, *, by: int, at: datetime) -> None:
    """Send a failed reply once more, as it was: it certainly did not get out. Raises Conflict in any other state."""
    if reply.state not in {Sending.FAILED, Sending.QUEUED} or reply.message_id is not None:
        raise Conflict("Only a reply that never left can be tried again. Go back to the draft to send it anew.")
    reply.state, reply.send_at, reply.retry_at, reply.attempts = Sending.QUEUED, at, None, 0
    mark_failures(session, clocks.held(session, reply.case_id))
    jobs.defer(session, jobs.Kind.SEND_REPLY, reply.id, at)
    record(session, "try_again", "reply", reply.id, office_id=reply.office_id, by=by, case=reply.case_id)


def newer_messages(session: Session, case_id: int, seen_message_id: int) -> list[Message]:
    """What stands on the case after the newest message somebody had seen, oldest first.

    An answer that a colleague has given meanwhile is as new to them as another mail.
    """
    query = sa.select(Message).where(Message.case_id == case_id, Message.id > seen_message_id)
    return list(session.scalars(query.order_by(Message.id)))


def not_delivered(session: Session, reply: Reply, *, by: int) -> None:
    """A person learnt that a sent reply never arrived.

    Whatever it had met is owed again, from the old date (rule 4).
    """
    if reply.state is not Sending.SENT or reply.message_id is None:
        raise Conflict("This reply was not sent.")
    fail(session, reply, "Marked as not delivered.")
    record(session, "not_delivered", "reply", reply.id, office_id=reply.office_id, by=by, case=reply.case_id)


def came_back(session: Session, reply: Reply, why: str, *, report_id: int) -> None:
    """A delivery report says that a reply did not arrive, and ``why``: what it had met is owed again (rule 4).

    Where it came back from somebody who only had a copy, it has arrived at the resident, and that is only noted. One
    that is known not to have arrived stays as it is.
    """
    if reply.state not in {Sending.SENT, Sending.UNCERTAIN}:
        return
    if _is_of_a_copy(reply, why):
        reply.receipt_note = why
        return
    fail(session, reply, why or "It came back: the mail server of the addressee did not take it.")
    record(
        session,
        "came_back",
        "reply",
        reply.id,
        office_id=reply.office_id,
        by=None,
        case=reply.case_id,
        report=report_id,
    )


def doubt_failure(session: Session, office_id: int, platform_id: str) -> None:
    """The copy of a reply lies in Sent that is said not to have gone out: it is looked at once more, not sent again.

    One that went out and came back has its copy there by right.
    """
    query = sa.select(Reply).where(
        Reply.office_id == office_id, Reply.platform_id == platform_id, Reply.message_id.is_(None)
    )
    reply = session.scalars(query.with_for_update()).first()
    if reply is not None and reply.state is Sending.FAILED:
        reply.state, reply.trouble = Sending.UNCERTAIN, "A copy of it lies in the folder for sent mail."
        jobs.defer(session, jobs.Kind.PROBE_REPLY, reply.id)


def _is_of_a_copy(reply: Reply, why: str) -> bool:
    to, cc = ([handle for _, _, handle in reply.recipients.get(name) or ()] for name in ("to", "cc"))
    return any(one in why for one in cc) and not any(one in why for one in to)


def fail(session: Session, reply: Reply, why: str) -> None:
    """The reply did not arrive, or will not.

    Shown at the reply and on the list, its clocks running with their old dates; a case that was closed meanwhile is
    open again, so that somebody sees it.
    """
    case = clocks.held(session, reply.case_id)
    reply.state, reply.trouble, reply.retry_at = Sending.FAILED, why, None
    give_back(reply)
    office = rules_of(session, case.office_id)
    if reply.message_id is None:
        clocks.reopen(session, office, case)
    else:
        message = session.get_one(Message, reply.message_id)
        message.is_failed = True
        session.flush()
        clocks.unanswered(session, office, case, message)
    mark_failures(session, case)


def mark_failures(session: Session, case: Case) -> None:
    """Write on the case, which the caller holds, whether one of its replies needs somebody."""
    session.flush()
    failed = sa.exists().where(Reply.case_id == case.id, Reply.state.in_([Sending.FAILED, Sending.UNCERTAIN]))
    case.has_failed_reply = session.scalar(sa.select(failed)) or False


def _purpose(conversation: Conversation, given: Purpose) -> Purpose:
    """What a message is for, where that is not the writer's to choose: nobody is answered who has not written."""
    if conversation.partner is not Partner.RESIDENT:
        return Purpose.REFERRAL
    if conversation.last_inbound_at is None:
        return Purpose.MESSAGE
    return Purpose.ANSWER if given in {Purpose.MESSAGE, Purpose.REFERRAL} else given


def _other_than_usual(session: Session, conversation: Conversation, reply: Reply) -> str:
    """The address a reply was to go to, folded; "" where that is the usual one."""
    usual = addressing(session, conversation).chosen("")
    to: str = reply.recipients["to"][0][1]
    return "" if usual is not None and usual.external_id == to else to


def _new_draft(session: Session, conversation: Conversation, *, mode: Mode, by: int, at: datetime) -> Draft:
    draft = Draft(
        office_id=conversation.office_id,
        case_id=conversation.case_id,
        conversation_id=conversation.id,
        staff_id=by,
        mode=mode,
        text="",
        saved_at=at,
    )
    session.add(draft)
    return draft


def _write(draft: Draft, words: Words, at: datetime) -> None:
    draft.text, draft.purpose, draft.promised_on = words.text[:MOST_CHARACTERS], words.purpose, words.promised_on
    draft.seen_message_id, draft.saved_at = words.seen_message_id, at
    others = {"to": words.to, "cc": [one.row() for one in words.cc]}
    draft.recipients = others if words.to or words.cc else {}


def _draft(session: Session, conversation: Conversation, mode: Mode, by: int) -> Draft | None:
    return session.scalar(
        sa.select(Draft).where(Draft.conversation_id == conversation.id, Draft.staff_id == by, Draft.mode == mode)
    )


def _going(session: Session, conversation: Conversation) -> Reply | None:
    """The reply that is on its way in the conversation, or may have got out."""
    on_its_way = Reply.state.in_([Sending.QUEUED, Sending.SENDING, Sending.UNCERTAIN])
    # By way of the case, which has an index.
    query = sa.select(Reply).where(
        Reply.case_id == conversation.case_id, Reply.conversation_id == conversation.id, on_its_way
    )
    return session.scalar(query.order_by(Reply.id).limit(1))


def _newest(session: Session, case_id: int) -> int:
    return session.scalar(sa.select(sa.func.max(Message.id)).where(Message.case_id == case_id)) or 0


def _check_promise(words: Words, at: datetime) -> None:
    if words.purpose is not Purpose.HOLDING:
        return
    if words.promised_on is None:
        raise Invalid("A holding reply needs the day by which you will answer.", field="promised_on")
    check_promise(words.promised_on, at)


def mark_drafts(session: Session, case: Case) -> None:
    """Write on the case, which the caller holds, whether somebody is writing an answer."""
    session.flush()
    drafts = sa.exists().where(Draft.case_id == case.id, Draft.mode == Mode.REPLY)
    case.has_draft = session.scalar(sa.select(drafts)) or False
