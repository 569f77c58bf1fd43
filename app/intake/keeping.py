"""Keeping one item: the transaction that makes a message of what was read, or finds that it is there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.audit.actions import record
from app.cases import clocks, references
from app.cases.actions import begin, new_case
from app.cases.models import Case, Purpose
from app.deadlines.obligations import clock_starts_at
from app.deployment import Deployment
from app.intake import sent
from app.intake.reading import Ready, Waiting
from app.messages import erased, index, threading
from app.messages.models import Conversation, Direction, File, Message, MessageState, Reading, Revision, Sighting
from app.office.queries import Rules
from app.people.actions import Who, identify
from app.replies.actions import came_back, doubt_failure
from app.replies.models import Reply, Sending
from app.statements import Statement, insert, insert_all, update
from connectors import Actor, Audience, Connector, Item, Kind

SUSPECTED_SPAM: Final = "suspected_spam"  # the category of what came into a junk folder: it stays in sight
SUBJECT_MOST: Final = 300


class Fate(StrEnum):
    """What became of one sighting."""

    MESSAGE = "message"  # a new message
    AGAIN = "again"  # one that is there already: another folder, another account
    REVISION = "revision"  # one that is there, in other words
    OURS = "ours"  # what we wrote in the platform's own app, or in another mail program
    PASSED_OVER = "passed over"  # sent mail that is nothing to the office: not kept
    REPORT = "report"  # that what we wrote did not arrive
    ERASED = "erased"  # one that was erased, and stays away
    QUARANTINED = "quarantined"
    LATER = "later"  # the copy of a reply whose own fate is not known yet


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What taking the sightings of one account needs to know throughout."""

    deployment: Deployment
    account_id: int
    office_id: int
    channel: str
    connector: Connector
    rules: Rules
    own_ids: frozenset[str]  # under which the platform knows this office
    junk: frozenset[int]  # ids of streams
    ours: frozenset[int]  # ids of streams that hold what we wrote


@dataclass(frozen=True, kw_only=True, slots=True)
class _Arrival:
    """One item on its way in; ``sent_at`` is when its clock starts."""

    run: Run
    waiting: Waiting
    ready: Ready
    sent_at: datetime

    @property
    def item(self) -> Item:
        return self.ready.item


class TakenElsewhere(Exception):  # noqa: N818 - a finding
    """Another worker took this sighting meanwhile."""


def keep(session: Session, run: Run, waiting: Waiting, ready: Ready) -> Fate:
    """The one transaction of an item; what became of it.

    Raises TakenElsewhere when another worker was first, IntegrityError when one made the same person or message at the
    same moment: then the whole of it is to be done once more.
    """
    item = ready.item
    known_id = _known(session, run, item)
    if known_id is not None:
        return _seen_again(session, run, waiting, item, session.get_one(Message, known_id))
    if _was_erased(session, run, item):
        return _let_go(session, waiting, Fate.ERASED)
    arrival = _Arrival(run=run, waiting=waiting, ready=ready, sent_at=_sent_at(waiting, item))
    if item.bounced and (reply := _came_back(session, run, item)) is not None:
        return Fate.LATER if reply.state is Sending.SENDING else _reported(session, arrival, reply)
    fate = _own(session, arrival)
    if fate is None:
        _received(session, arrival)
    return fate or Fate.MESSAGE


def _own(session: Session, arrival: _Arrival) -> Fate | None:
    """What becomes of what we wrote ourselves; ``None`` for what others did."""
    run, item = arrival.run, arrival.item
    if arrival.waiting.stream_id in run.ours:
        return _sent(session, arrival)
    if item.author.external_id not in run.own_ids:
        return None
    if _is_in_flight(session, run, item):
        return Fate.LATER
    return None if item.fingerprint else _ours(session, arrival)  # a mail's From line proves nothing


def _known(session: Session, run: Run, item: Item) -> int | None:
    known = _KNOWN.row(
        session,
        {
            "office_id": run.office_id,
            "channel": run.channel,
            "platform_id": item.platform_id,
            "fingerprint": item.fingerprint,
        },
    )
    return None if known is None else known[0]


_KNOWN: Final = Statement(
    sa.select(Message.id).where(
        Message.office_id == sa.bindparam("office_id"),
        Message.channel == sa.bindparam("channel"),
        Message.platform_id == sa.bindparam("platform_id"),
        Message.fingerprint == sa.bindparam("fingerprint"),
    )
)
_SIGHTINGS: Final = cast("sa.Table", Sighting.__table__)
_TAKEN: Final = Statement(
    sa.update(_SIGHTINGS)
    .where(_SIGHTINGS.c.id == sa.bindparam("sighting_id"), _SIGHTINGS.c.state == Reading.WAITING)
    .values(state=Reading.TAKEN, trouble="", message_id=sa.bindparam("taken_as"))
)


def _taken(session: Session, waiting: Waiting, message_id: int | None) -> None:
    """The sighting is done with; raises TakenElsewhere when it was already, and then nothing of ours stays."""
    if _TAKEN.run(session, {"sighting_id": waiting.id, "taken_as": message_id}) != 1:
        raise TakenElsewhere


def _let_go(session: Session, waiting: Waiting, fate: Fate) -> Fate:
    """Nothing of it stays: not even the sighting, so that its bytes go with the next sweep of the store.

    Raises TakenElsewhere as ``_taken`` does.
    """
    mine = sa.delete(_SIGHTINGS).where(_SIGHTINGS.c.id == waiting.id, _SIGHTINGS.c.state == Reading.WAITING)
    if session.scalar(mine.returning(_SIGHTINGS.c.id)) is None:
        raise TakenElsewhere
    return fate


# ── Seen before ───────────────────────────────────────────────────────────────────────────────────────────────────


def _seen_again(session: Session, run: Run, waiting: Waiting, item: Item, message: Message) -> Fate:
    """The same message in another folder or account, or the same post in other words."""
    _taken(session, waiting, message.id)
    case = clocks.held(session, message.case_id)
    if case.category == SUSPECTED_SPAM and waiting.stream_id not in run.junk:
        case.category = ""  # its owner, or the mail server, has moved it out of the junk folder
    if item.fingerprint or item.text == _latest_words(session, message):
        return Fate.AGAIN
    session.add(Revision(message_id=message.id, sighting_id=waiting.id, text=item.text, seen_at=waiting.fetched_at))
    if message.direction is Direction.INBOUND:
        clocks.edited(session, run.rules, case, message, seen_at=waiting.fetched_at)
    record(session, "edited", "message", message.id, office_id=run.office_id, by=None, case=case.id)
    return Fate.REVISION


def _latest_words(session: Session, message: Message) -> str:
    query = sa.select(Revision.text).where(Revision.message_id == message.id).order_by(Revision.id.desc()).limit(1)
    latest = session.scalar(query)
    return message.text if latest is None else latest


def _was_erased(session: Session, run: Run, item: Item) -> bool:
    key = run.deployment.keys.ids
    mark = erased.mark(key, run.office_id, run.channel, item.platform_id, item.fingerprint)
    return erased.is_erased(session, run.office_id, mark)


def _is_in_flight(session: Session, run: Run, item: Item) -> bool:
    """Whether this may be the copy of a reply of ours that is not written down as sent yet: it is looked at later."""
    going = sa.select(Reply.id).where(
        Reply.office_id == run.office_id,
        Reply.platform_id == item.platform_id,
        Reply.state.in_([Sending.SENDING, Sending.UNCERTAIN]),
    )
    return bool(item.platform_id) and session.scalar(going.limit(1)) is not None


# ── Reports about what we sent ────────────────────────────────────────────────────────────────────────────────────


def _came_back(session: Session, run: Run, item: Item) -> Reply | None:
    """The reply of ours that a delivery report is about, held: it may just be written down as sent."""
    query = sa.select(Reply).where(Reply.office_id == run.office_id, Reply.platform_id.in_(item.bounced))
    return session.scalars(query.order_by(Reply.id).limit(1).with_for_update()).first()


def _reported(session: Session, arrival: _Arrival, reply: Reply) -> Fate:
    """The report stands with the reply it is about, and what that had answered is owed again (rule 4)."""
    conversation = session.get_one(Conversation, reply.conversation_id)
    case = clocks.held(session, reply.case_id)
    message = _message(arrival)
    message.state = MessageState.HANDLED
    case.has_files = case.has_files or _has_files(arrival)
    _write(session, arrival, message, conversation, case)
    case.is_unread = True
    came_back(session, reply, arrival.item.failure, report_id=message.id)
    return Fate.REPORT


# ── New ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _received(session: Session, arrival: _Arrival) -> None:
    """A message that nobody here has seen: whose it is and where it goes."""
    run, item = arrival.run, arrival.item
    who = identify(session, run.office_id, run.channel, item.author, arrival.waiting.fetched_at)
    place = threading.place(
        session, run.office_id, run.channel, item, identity_id=who.identity_id, person_id=who.person_id
    )
    if place == threading.Place():
        place = _by_reference(session, arrival, who)
    message = _message(arrival)
    message.person_id, message.identity_id = who.person_id, who.identity_id
    if place.conversation is None:
        conversation = _begins(session, arrival, message, who, place.related_case_id)
    else:
        conversation = place.conversation
        _joins(session, arrival, message, who, conversation)
    threading.remember(session, conversation, threading.known_by(item), who.identity_id)


def _by_reference(session: Session, arrival: _Arrival, who: Who) -> threading.Place:
    """Where a message belongs that names no id we know, by the reference that it quotes."""
    run = arrival.run
    meant = references.meant(
        session,
        run.deployment.host.id_key,
        run.office_id,
        run.rules.prefix,
        arrival.item,
        identity_id=who.identity_id,
        person_id=who.person_id,
    )
    if meant is None:
        return threading.Place()
    if meant.is_signed and meant.conversation_id is not None:
        return threading.Place(conversation=session.get_one(Conversation, meant.conversation_id))
    return threading.Place(related_case_id=meant.case_id)


def _begins(
    session: Session, arrival: _Arrival, message: Message, who: Who, related_case_id: int | None
) -> Conversation:
    """A message with which a case begins. All is worked out first, so that every row is written once."""
    case = _new_case(session, arrival, who)
    conversation = _new_conversation(arrival, who, related_case_id)
    owed = clocks.begin(session, arrival.run.rules, case, message, conversation.window_ends_at)
    case.has_files = _has_files(arrival)
    begin(session, case)
    conversation.case_id = case.id
    insert(session, conversation)
    _write(session, arrival, message, conversation, case)
    for one in owed:
        one.case_id, one.conversation_id, one.message_id = case.id, conversation.id, message.id
    insert_all(session, owed)
    case.conversation_id, conversation.last_message_id = conversation.id, message.id
    update(session, case, "conversation_id")
    update(session, conversation, "last_message_id")
    return conversation


def _joins(session: Session, arrival: _Arrival, message: Message, who: Who, conversation: Conversation) -> None:
    """A message that goes on with a conversation."""
    run = arrival.run
    case = clocks.held_of(session, conversation)
    conversation.window_ends_at = _window_ends_at(arrival) or conversation.window_ends_at
    case.has_files = case.has_files or _has_files(arrival)
    if case.person_id == who.person_id:
        case.contact = who.name  # which may have come with this very message
    _write(session, arrival, message, conversation, case)
    clocks.received(session, run.rules, case, conversation, message)
    record(session, "receive", "message", message.id, office_id=run.office_id, by=None, case=case.id)


def _ours(session: Session, arrival: _Arrival) -> Fate:
    """What the councillor wrote in the platform's own app; where it answers nothing, it is no business of ours."""
    run, ids = arrival.run, threading.known_by(arrival.item)
    known = threading.knowing(session, run.office_id, run.channel, ids, audience=arrival.item.audience)
    if not known:
        _taken(session, arrival.waiting, None)
        return Fate.OURS
    return _answered_elsewhere(session, arrival, known[0])


def _sent(session: Session, arrival: _Arrival) -> Fate | None:
    """What becomes of what lies in a folder for sent mail; ``None`` where a resident wrote it. See ``sent``."""
    run, item = arrival.run, arrival.item
    state = sent.state_of_reply(session, run.office_id, item)
    if state in {Sending.SENDING, Sending.UNCERTAIN}:
        return Fate.LATER
    if state is Sending.FAILED:
        doubt_failure(session, run.office_id, item.platform_id)
    found = sent.found(session, run.office_id, run.channel, item) if state is None else None
    if found is None:
        return _let_go(session, arrival.waiting, Fate.PASSED_OVER)
    return None if found.is_residents else _answered_elsewhere(session, arrival, found.conversation)


def _answered_elsewhere(session: Session, arrival: _Arrival, conversation: Conversation) -> Fate:
    """An answer that was given without us. It counts with the platform's time (domain.md section 2, rule 4)."""
    run, ids = arrival.run, threading.known_by(arrival.item)
    case = clocks.held_of(session, conversation)
    message = _message(arrival)
    message.direction, message.state = Direction.OUTBOUND, MessageState.HANDLED
    message.person_id, message.purpose = conversation.person_id, Purpose.ANSWER.value
    seen_message_id = _newest_before(session, conversation, arrival.sent_at)
    case.has_files = case.has_files or _has_files(arrival)
    _write(session, arrival, message, conversation, case)
    threading.remember(session, conversation, ids, None)
    conversation.last_at = max(conversation.last_at, arrival.sent_at)
    conversation.last_message_id = message.id
    clocks.answered(session, run.rules, case, message, purpose=Purpose.ANSWER, seen_message_id=seen_message_id)
    record(session, "answered_elsewhere", "message", message.id, office_id=run.office_id, by=None, case=case.id)
    return Fate.OURS


def _newest_before(session: Session, conversation: Conversation, at: datetime) -> int:
    """The newest message that whoever wrote at that moment can have seen.

    Ids are in the order of fetching. So whatever was fetched after the first one that came too late counts as not
    seen: where it had been seen all the same, a person says so; the other way round it would be missed.
    """
    of_conversation = sa.and_(Message.conversation_id == conversation.id, Message.direction == Direction.INBOUND)
    unseen = sa.select(sa.func.min(Message.id)).where(of_conversation, Message.sent_at > at).scalar_subquery()
    seen = sa.select(sa.func.max(Message.id)).where(of_conversation, sa.or_(unseen.is_(None), Message.id < unseen))
    return session.scalar(seen) or 0


def _window_ends_at(arrival: _Arrival) -> datetime | None:
    """Until when the platform lets us answer in private: counted from the resident's last message."""
    window = arrival.run.connector.manifest.reply_window
    return arrival.sent_at + window if window and arrival.item.audience is Audience.DIRECT else None


def _sent_at(waiting: Waiting, item: Item) -> datetime:
    return clock_starts_at(item.sent_at, waiting.arrived_at, waiting.fetched_at, is_mail=item.kind is Kind.MAIL)


def _new_case(session: Session, arrival: _Arrival, who: Who) -> Case:
    run, waiting, item = arrival.run, arrival.waiting, arrival.item
    return new_case(
        session,
        run.rules,
        person_id=who.person_id,
        subject=item.subject[:SUBJECT_MOST].strip() or clocks.heading(item.reply_text or item.text)[0],
        channel=run.channel,
        kind=item.kind,
        audience=item.audience,
        contact=who.name,
        received_at=arrival.sent_at,
        at=waiting.fetched_at,
        is_backlog=waiting.is_backlog,
        category=SUSPECTED_SPAM if waiting.stream_id in run.junk else "",
    )


def _new_conversation(arrival: _Arrival, who: Who, related_case_id: int | None) -> Conversation:
    run, item = arrival.run, arrival.item
    return Conversation(
        office_id=run.office_id,
        case_id=0,  # which is not written yet
        channel=run.channel,
        account_id=run.account_id,
        reply_account_id=run.account_id,
        person_id=who.person_id,
        audience=item.audience,
        kind=item.kind,
        subject=item.subject[:SUBJECT_MOST],
        thread_id=item.thread_id,
        context=_context(item),
        last_at=arrival.sent_at,
        last_inbound_at=arrival.sent_at,
        window_ends_at=_window_ends_at(arrival),
        related_case_id=related_case_id,
    )


def _context(item: Item) -> dict[str, Any]:
    above = item.context
    if above is None:
        return {}
    return {
        "external_id": above.external_id,
        "author": above.author,
        "text": above.text,
        "url": above.url,
        "sent_at": above.sent_at.isoformat() if above.sent_at else None,
    }


def _message(arrival: _Arrival) -> Message:
    """The row of an inbound message, but for whose it is and where it goes."""
    run, waiting, item, shown = arrival.run, arrival.waiting, arrival.item, arrival.ready.shown
    return Message(
        office_id=run.office_id,
        channel=run.channel,
        account_id=run.account_id,
        conversation_id=0,
        case_id=0,
        person_id=None,
        identity_id=None,
        direction=Direction.INBOUND,
        kind=item.kind,
        audience=item.audience,
        platform_id=item.platform_id,
        fingerprint=item.fingerprint,
        author_name=item.author.name,
        author_handle=item.author.handle,
        recipients={"to": _people(item.to), "cc": _people(item.cc), "reply_to": _people(item.reply_to)},
        subject=item.subject,
        text=item.text,
        reply_text=item.reply_text,
        html=shown.html,
        remote_hosts=list(shown.remote_hosts),
        sent_at=arrival.sent_at,
        arrived_at=waiting.arrived_at,
        fetched_at=waiting.fetched_at,
        url=item.url,
        in_reply_to=item.in_reply_to,
        reply_refs=list(item.references),
        language=item.language,
        is_auto=item.is_auto,
        is_bounce=item.is_bounce,
        is_backlog=waiting.is_backlog,
    )


def _people(actors: Sequence[Actor]) -> list[list[str]]:
    """As replies keep them: name, external id, handle."""
    return [[actor.name, actor.external_id, actor.handle] for actor in actors]


def _has_files(arrival: _Arrival) -> bool:
    """Whether something came that is not shown in the message itself."""
    return not all(file.is_inline for file in arrival.ready.files)


def _write(session: Session, arrival: _Arrival, message: Message, conversation: Conversation, case: Case) -> None:
    """The message in its place, with its files and its words in the index; its sighting is taken."""
    files = arrival.ready.files
    message.conversation_id, message.case_id = conversation.id, case.id
    insert(session, message)
    insert_all(
        session,
        [
            File(
                office_id=message.office_id,
                message_id=message.id,
                position=position,
                name=file.name,
                media_type=file.media_type,
                size=file.size,
                sha256=file.sha256,
                is_inline=file.is_inline,
                content_id=file.content_id,
            )
            for position, file in enumerate(files)
        ],
    )
    index.add(session, message, case.reference, *(file.name for file in files))
    _taken(session, arrival.waiting, message.id)
