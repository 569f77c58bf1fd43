"""The outbox: a reply goes out at most once per key, and is never silently lost (reliability.md section 1.4).

    queued ─prepare─→ sending ─send─→ sent
       ↑                 │ └──refused──→ failed
       └──nothing left───┘ └──in doubt, or the worker died──→ uncertain
    uncertain ─probe─→ sent | queued | a person is asked

``sending`` is committed before the network is touched, and the thing to be sent is kept before that: every attempt is
the same to the byte. No transaction is open while a connector speaks. Each function here is one job; it may be run
again at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.cases import clocks
from app.cases.models import Case, Purpose
from app.channels.connecting import Line, line
from app.channels.models import Account, State
from app.clock import now
from app.deployment import Deployment
from app.errors import Conflict, Problem
from app.jobs.running import describe
from app.leases import give_back, is_held, take
from app.messages import index
from app.messages.models import Conversation, Direction, File, Mention, Message, MessageState
from app.office.queries import rules
from app.replies import enclosures
from app.replies.actions import fail, mark_failures
from app.replies.models import Enclosure, Reply, Sending
from app.replies.queries import below
from app.replies.recipients import kept
from connectors import (
    Actor,
    Ambiguous,
    Attachment,
    AuthExpired,
    ConnectorError,
    Draft,
    FilesCopies,
    Kind,
    Misconfigured,
    PermissionMissing,
    Prepared,
    Quoted,
    RateLimited,
    Raw,
    Receipt,
    Refused,
    Transient,
)

Said = TypeVar("Said")
_log = structlog.stdlib.get_logger(__name__)

BACK_OFF = (
    timedelta(minutes=1),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
)
GIVE_UP_AFTER = timedelta(
    hours=24
)  # of trying where nothing left the machine; then a person is told that it was not sent
PROBE_AGAIN = timedelta(minutes=2)
COPY_AGAIN = timedelta(minutes=10)


def send_reply(deployment: Deployment, reply_id: int) -> datetime | None:
    """Send a reply that is due. Returns when to look again, or ``None`` when this job has nothing left to do."""
    with deployment.database.transaction() as session:
        reply = _held(session, reply_id)
        if reply is None or reply.state not in {Sending.QUEUED, Sending.SENDING}:
            return None
        if reply.state is Sending.SENDING:
            return _died_while_sending(session, reply)
        due_at = reply.retry_at or reply.send_at
        if due_at > now():
            return due_at
        attempt = _attempt(session, deployment, reply)
        if isinstance(attempt, ConnectorError):
            return _follow(session, reply, attempt)
    return _send(deployment, attempt)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attempt:
    """What sending needs, read in a transaction and used after it has ended."""

    reply_id: int
    office_id: int
    line: Line
    draft: Draft  # without its files, which are large
    files: tuple[Enclosure, ...]
    kept: tuple[str, str, Mapping[str, object]]


def _attempt(session: Session, deployment: Deployment, reply: Reply) -> _Attempt | ConnectorError:
    """What sending ``reply`` needs, or why it cannot even be tried."""
    if session.get_one(Account, reply.account_id).state is State.REMOVED:
        return Refused("The account it was to be sent with was removed.")
    try:
        reply_line = line(session, deployment, reply.account_id)
    except Problem as problem:
        return Misconfigured(str(problem))
    return _Attempt(
        reply_id=reply.id,
        office_id=reply.office_id,
        line=reply_line,
        draft=_draft(session, deployment.host.id_key, reply, reply_line),
        files=tuple(enclosures.of_reply(session, reply.id)),
        kept=(reply.prepared_sha256, reply.platform_id, dict(reply.prepared_meta)),
    )


def _send(deployment: Deployment, attempt: _Attempt) -> datetime | None:
    """Prepare, take the lease, send: one attempt. When to try again."""
    reply_id, holder = attempt.reply_id, None
    try:
        before = _prepared(deployment, attempt.office_id, attempt.kept)
        with attempt.line.use(deployment) as connection:
            draft = attempt.draft if before else replace(attempt.draft, attachments=_files(deployment, attempt))
            prepared = before or _spoken(lambda: connection.prepare(draft), Transient)
            sha256 = deployment.store.put(attempt.office_id, prepared.payload)
            holder = _mark_sending(deployment, reply_id, prepared, sha256)
            if holder is None:
                return None  # withdrawn while it was being prepared
            with deployment.leases.kept(Reply, reply_id, holder):
                receipt = _spoken(lambda: connection.send(prepared), Ambiguous)
    except ConnectorError as error:
        return _not_accepted(deployment, reply_id, error, holder)
    except Problem as problem:  # the store is full, or has lost what an earlier attempt fixed: nothing was sent
        return _not_accepted(deployment, reply_id, Transient(str(problem)), holder)
    accepted(deployment, reply_id, receipt)
    return None


def _files(deployment: Deployment, attempt: _Attempt) -> tuple[Attachment, ...]:
    """The files with their bytes; raises Missing when the store has lost one."""
    return tuple(
        Attachment(
            name=one.name,
            media_type=one.media_type,
            content=deployment.store.read(attempt.office_id, one.sha256),
        )
        for one in attempt.files
    )


def _spoken(say: Callable[[], Said], unknown: type[ConnectorError]) -> Said:
    """What a channel says. Whatever it raises beside the interface's own errors is ``unknown``."""
    try:
        return say()
    except ConnectorError:
        raise
    except Exception as error:
        _log.error("channel failed", error=describe(error))  # its own words may quote a letter
        raise unknown("Something went wrong while sending.") from error


def probe_reply(deployment: Deployment, reply_id: int) -> datetime | None:
    """Find out what became of a reply that may have got out. What the platform cannot say, a person is asked."""
    with deployment.database.reading() as session:
        reply = session.get(Reply, reply_id)
        if reply is None or reply.state is not Sending.UNCERTAIN:
            return None
        reply_line = line(session, deployment, reply.account_id)
        kept = reply.prepared_sha256, reply.platform_id, dict(reply.prepared_meta)
        office_id = reply.office_id
    prepared = _prepared(deployment, office_id, kept)
    if prepared is None:
        return None
    try:
        with reply_line.use(deployment) as connection:
            found = _spoken(lambda: connection.probe(prepared), Transient)
    except ConnectorError:
        return now() + PROBE_AGAIN
    with deployment.database.transaction() as session:
        reply = _held(session, reply_id)
        if reply is None or reply.state is not Sending.UNCERTAIN:
            return None  # a person, or a delivery report, has said meanwhile what became of it
        if isinstance(found, Receipt):
            _sent(session, deployment, reply, found)
        elif found is None:
            _requeue(session, reply)
        else:
            reply.trouble = ASK_A_PERSON
    return None


ASK_A_PERSON = (
    "The line broke at the very moment of sending, so the reply may or may not have gone out. "
    "Look in the sent messages of the account, then say which."
)


def file_copy(deployment: Deployment, reply_id: int) -> datetime | None:
    """Put a copy of a sent reply where the account's owner looks for it.

    That it fails changes nothing about the reply.
    """
    with deployment.database.reading() as session:
        reply = session.get(Reply, reply_id)
        if reply is None or reply.state is not Sending.SENT or reply.copy_filed_at is not None:
            return None
        reply_line = line(session, deployment, reply.account_id)
        kept = reply.prepared_sha256, reply.platform_id, dict(reply.prepared_meta)
        office_id, sent_at = reply.office_id, reply.sent_at
    prepared = _prepared(deployment, office_id, kept)
    if prepared is None:
        return None
    try:
        with reply_line.use(deployment) as connection:
            if not isinstance(connection, FilesCopies):
                return None
            filing = connection
            filed = _spoken(lambda: filing.file_copy(prepared), Transient)
    except ConnectorError as error:
        _note_copy(deployment, reply_id, str(error))
        return now() + COPY_AGAIN if sent_at is not None and now() - sent_at < GIVE_UP_AFTER else None
    _note_copy(deployment, reply_id, "", filed_at=now() if filed else None)
    return None


def settle(session: Session, deployment: Deployment, reply: Reply, *, got_out: bool, by: int) -> None:
    """A person says what became of an uncertain reply. Raises Conflict when that is known by now."""
    if reply.state is not Sending.UNCERTAIN:
        raise Conflict("What became of this reply is known by now.")
    record(session, "settle", "reply", reply.id, office_id=reply.office_id, by=by, case=reply.case_id, got_out=got_out)
    if got_out:
        _sent(
            session,
            deployment,
            reply,
            Receipt(
                platform_id=reply.platform_id,
                accepted_at=reply.attempted_at or reply.send_at,
            ),
        )
    else:
        fail(session, reply, "It did not go out.")


def accepted(deployment: Deployment, reply_id: int, receipt: Receipt) -> None:
    """The platform has it: the message, the clocks and the audit line in one transaction."""
    with deployment.database.transaction() as session:
        reply = _held(session, reply_id)
        if reply is not None and reply.state is not Sending.SENT:
            _sent(session, deployment, reply, receipt)


def _sent(session: Session, deployment: Deployment, reply: Reply, receipt: Receipt) -> None:
    sent_at = min(receipt.accepted_at, now())
    reply.state, reply.sent_at, reply.retry_at = Sending.SENT, sent_at, None
    give_back(reply)
    reply.platform_id, reply.url, reply.receipt_note, reply.trouble = receipt.platform_id, receipt.url, receipt.note, ""
    case = clocks.held(session, reply.case_id)
    message = _message(session, deployment, reply, sent_at)
    reply.message_id = message.id
    names = _send_files_along(session, reply, message, case)
    mark_failures(session, case)
    office = rules(session, reply.office_id)
    if reply.purpose is Purpose.REFERRAL:
        clocks.referred(session, office, case, session.get_one(Conversation, reply.conversation_id), message)
        record(session, "refer", "case", case.id, office_id=case.office_id, by=reply.by_id, person=reply.person_id)
    else:
        clocks.answered(
            session,
            office,
            case,
            message,
            purpose=reply.purpose,
            seen_message_id=reply.seen_message_id,
            promised_on=reply.promised_on,
            stays_open=reply.stays_open,
        )
    index.add(session, message, case.reference, *names)
    jobs.defer(session, jobs.Kind.FILE_COPY, reply.id)
    record(
        session, "sent", "reply", reply.id, office_id=reply.office_id, by=None, case=reply.case_id, message=message.id
    )


def _send_files_along(session: Session, reply: Reply, message: Message, case: Case) -> list[str]:
    """What went with the reply stands at its message; the names of the files."""
    files = enclosures.of_reply(session, reply.id)
    for position, one in enumerate(files):
        session.add(
            File(
                office_id=message.office_id,
                message_id=message.id,
                position=position,
                name=one.name,
                media_type=one.media_type,
                size=one.size,
                sha256=one.sha256,
            )
        )
    case.has_files = case.has_files or bool(files)
    return [one.name for one in files]


def _message(session: Session, deployment: Deployment, reply: Reply, sent_at: datetime) -> Message:
    """The reply as a message of its conversation, with the same key under which a copy of it would come in."""
    conversation = session.get_one(Conversation, reply.conversation_id)
    account = session.get_one(Account, reply.account_id)
    payload = deployment.store.read(reply.office_id, reply.prepared_sha256)
    item = deployment.connectors[account.channel].read(Raw(external_id="", content=payload))
    message = Message(
        office_id=reply.office_id,
        channel=account.channel,
        account_id=account.id,
        conversation_id=conversation.id,
        case_id=reply.case_id,
        person_id=reply.person_id,
        identity_id=None,
        direction=Direction.OUTBOUND,
        kind=conversation.kind,
        audience=reply.audience,
        platform_id=reply.platform_id,
        fingerprint=item.fingerprint,
        author_name=account.name,
        author_handle=account.name,
        recipients=reply.recipients,
        subject=reply.subject,
        text=reply.text,
        reply_text=reply.text,
        sent_at=sent_at,
        arrived_at=None,
        fetched_at=now(),
        url=reply.url,
        in_reply_to=item.in_reply_to,
        reply_refs=list(item.references),
        capacity=reply.capacity.value,
        purpose=reply.purpose.value,
        state=MessageState.HANDLED,
        reply_id=reply.id,
        by_id=reply.by_id,
    )
    session.add(message)
    session.flush()
    conversation.last_message_id, conversation.last_at = message.id, max(conversation.last_at, sent_at)
    if reply.platform_id:
        session.merge(
            Mention(
                office_id=reply.office_id,
                channel=account.channel,
                external_id=reply.platform_id,
                conversation_id=conversation.id,
            )
        )
    return message


def _mark_sending(deployment: Deployment, reply_id: int, prepared: Prepared, sha256: str) -> str | None:
    """Take the lease, without which nothing is sent: its holder; ``None`` where there is nothing to send."""
    with deployment.database.transaction() as session:
        reply = _held(session, reply_id)
        if reply is None or reply.state is not Sending.QUEUED:
            return None
        at = now()
        reply.state, reply.attempted_at, reply.attempts = Sending.SENDING, at, reply.attempts + 1
        reply.platform_id, reply.prepared_sha256, reply.prepared_meta = (
            prepared.platform_id,
            sha256,
            dict(prepared.meta),
        )
        return take(reply, at)


def _not_accepted(deployment: Deployment, reply_id: int, error: ConnectorError, holder: str | None) -> datetime | None:
    """A failure of ``prepare`` (``holder`` is None) or ``send``; when to try again.

    Where our lease has run out and somebody else sends it by now, it is theirs to say what becomes of it.
    """
    with deployment.database.transaction() as session:
        reply = _held(session, reply_id)
        its_state = Sending.QUEUED if holder is None else Sending.SENDING
        if reply is None or reply.state is not its_state or reply.lease_by != (holder or ""):
            return None
        return _follow(session, reply, error)


def _follow(session: Session, reply: Reply, error: ConnectorError) -> datetime | None:
    """What follows from a failure, by its kind; when to try again."""
    if isinstance(error, Ambiguous):
        _in_doubt(session, reply, str(error))
        return None
    if isinstance(error, Refused) or now() - reply.send_at > GIVE_UP_AFTER:
        fail(session, reply, str(error))
        record(session, "failed", "reply", reply.id, office_id=reply.office_id, by=None, case=reply.case_id)
        return None
    reply.state, reply.trouble = Sending.QUEUED, str(error)
    give_back(reply)
    reply.retry_at = _retry_at(error, reply.attempts)
    return reply.retry_at


def _retry_at(error: ConnectorError, attempts: int) -> datetime:
    if isinstance(error, RateLimited):
        return max(error.retry_at, now())
    if isinstance(error, AuthExpired | PermissionMissing | Misconfigured):
        return (
            now() + BACK_OFF[-1]
        )  # a person has to mend the account; meanwhile it is tried seldom and heals by itself
    return now() + BACK_OFF[min(max(attempts, 1), len(BACK_OFF)) - 1]


def _died_while_sending(session: Session, reply: Reply) -> datetime | None:
    """Somebody was sending this. While their lease runs they may still be at it; after it nobody knows."""
    if is_held(reply, now()):
        return reply.lease_until
    _in_doubt(session, reply, "The program stopped while this reply was being sent.")
    return None


def _in_doubt(session: Session, reply: Reply, why: str) -> None:
    case = clocks.held(session, reply.case_id)
    reply.state, reply.trouble = Sending.UNCERTAIN, why
    give_back(reply)
    mark_failures(session, case)
    jobs.defer(session, jobs.Kind.PROBE_REPLY, reply.id)
    record(session, "uncertain", "reply", reply.id, office_id=reply.office_id, by=None, case=reply.case_id)


def _requeue(session: Session, reply: Reply) -> None:
    """It certainly did not get out: back into the queue."""
    case = clocks.held(session, reply.case_id)
    reply.state, reply.retry_at, reply.trouble = Sending.QUEUED, now(), ""
    mark_failures(session, case)
    jobs.defer(session, jobs.Kind.SEND_REPLY, reply.id)


def _note_copy(deployment: Deployment, reply_id: int, note: str, *, filed_at: datetime | None = None) -> None:
    with deployment.database.transaction() as session:
        reply = _held(session, reply_id)
        if reply is not None:
            reply.receipt_note, reply.copy_filed_at = note, filed_at


def _prepared(deployment: Deployment, office_id: int, kept: tuple[str, str, Mapping[str, object]]) -> Prepared | None:
    """What an earlier attempt fixed, if there was one."""
    sha256, platform_id, meta = kept
    if not sha256:
        return None
    return Prepared(platform_id=platform_id, payload=deployment.store.read(office_id, sha256), meta=meta)


def _draft(session: Session, id_key: bytes, reply: Reply, reply_line: Line) -> Draft:
    """The reply as its channel takes it, but for its files."""
    conversation = session.get_one(Conversation, reply.conversation_id)
    is_mail = conversation.kind is Kind.MAIL
    answered = _last(session, reply, Direction.INBOUND)
    before = answered or (_last(session, reply, Direction.OUTBOUND) if is_mail else None)
    return Draft(
        key=reply.key,
        audience=reply.audience,
        sender=reply_line.sender,
        to=_actors(reply.recipients["to"]),
        cc=_actors(reply.recipients.get("cc", ())),
        subject=reply.subject,
        text=reply.text,
        signature=below(session, id_key, reply.case_id, reply.capacity) if is_mail else "",
        quoted=_quoted(answered) if answered is not None and is_mail else None,
        in_reply_to=before.platform_id if before else "",
        references=(*before.reply_refs, before.platform_id) if before and before.platform_id else (),
        thread_id=conversation.thread_id,
        written_at=reply.queued_at,
    )


def _last(session: Session, reply: Reply, direction: Direction) -> Message | None:
    """The newest message of the conversation that its person, or the office, wrote before the reply."""
    query = sa.select(Message).where(
        Message.conversation_id == reply.conversation_id,
        Message.direction == direction,
        Message.person_id == reply.person_id,
        Message.id <= reply.seen_message_id,
    )
    return session.scalar(query.order_by(Message.id.desc()).limit(1))


def _quoted(answered: Message) -> Quoted:
    author = answered.author_name or answered.author_handle
    return Quoted(author=author, sent_at=answered.sent_at, text=answered.reply_text or answered.text)


def _actors(rows: Iterable[Sequence[str]]) -> tuple[Actor, ...]:
    return tuple(Actor(name=one.name, external_id=one.external_id, handle=one.handle) for one in kept(rows))


def _held(session: Session, reply_id: int) -> Reply | None:
    return session.scalar(sa.select(Reply).where(Reply.id == reply_id).with_for_update())
