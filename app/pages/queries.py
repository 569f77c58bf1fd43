"""Questions of the pages that show several domains: lists of cases, badges, a case, a person, the audit trail.

Lists and badges read the case row alone; it carries what they show and sort by (performance.md section 2). Each list
goes on from the last row of the page before, never by counting from the start. Each of several offices is walked in its
index and the walks are merged, so that nothing is sorted and the cost does not grow with what is not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from app.audit.models import AuditLine
from app.cases.models import Case, Decision, Note, Obligation, Status
from app.channels.models import Account
from app.db import Base, Instant
from app.deadlines.chips import BACKLOG, NORMAL, REOPENED_LATE, WAITING, Bounds, Group, group_within
from app.errors import Missing
from app.messages.models import Conversation, File, Message, Revision
from app.office.models import Office, Queue
from app.pages.rows import (
    AuditPage,
    AuditRow,
    Badges,
    CaseHead,
    CaseList,
    CasePage,
    CaseRow,
    ConversationRow,
    DecisionRow,
    DraftRow,
    Entry,
    EventRow,
    FileRow,
    IdentityRow,
    Member,
    MessageRow,
    NoteRow,
    ObligationRow,
    PeopleList,
    PersonInList,
    PersonPage,
    PersonRow,
    ReplyRow,
    RevisionRow,
)
from app.people.models import Identity, Person
from app.replies.models import Draft, Reply, Sending
from app.staff.models import Membership, Staff
from connectors import Audience

PAGE: Final = 50
THREAD: Final = 50  # messages of a case on one page
LONGEST_TEXT: Final = 60_000  # characters of a message on a page; the rest is in the original

_Row = TypeVar("_Row")
_OfMessage = TypeVar("_OfMessage", FileRow, RevisionRow)

# Lists and badges stand on every page: without the ORM's own bookkeeping they cost a quarter less.
_CASE = Case.__table__.c
_STAFF = Staff.__table__.c


# ── Lists of cases ────────────────────────────────────────────────────────────────────────────────────────────────


class View(StrEnum):
    """The lists of the rail. The first six hold open cases by rank and due date, the last two by their last message."""

    NEEDS_REPLY = "needs_reply"
    OVERDUE = "overdue"
    TODAY = "today"
    MINE = "mine"
    UNASSIGNED = "unassigned"
    WAITING = "waiting"
    ANSWERED = "answered"
    CLOSED = "closed"


DONE: Final = {View.ANSWERED: Status.ANSWERED, View.CLOSED: Status.CLOSED}
_ELSEWHERE: Final = (Status.WITH_OFFICER, Status.WITH_CONSTITUENT)


@dataclass(frozen=True, slots=True)
class Filter:
    """A list, and by what it is narrowed further. Lists of what is done are not narrowed: search does that."""

    view: View = View.NEEDS_REPLY
    channel: str = ""
    audience: Audience | None = None
    is_unread: bool = False
    queue_id: int | None = None


def inbox(
    session: Session,
    offices: Collection[int],
    wanted: Filter,
    *,
    staff_id: int,
    at: Bounds,
    after: str = "",
    limit: int = PAGE,
) -> CaseList:
    """A page of a list, over one or several offices, in one statement. Raises Missing when ``after`` is not of a list.

    ``staff_id`` is whose "mine" it is; ``at`` are the bounds of the inbox's groups now.
    """
    if wanted.view in DONE:
        return _newest(session, [_done(office, DONE[wanted.view]) for office in sorted(offices)], after, limit)
    start = _parsed(after, 3)
    conditions = _narrowed(wanted, staff_id, at)
    if start:
        here = sa.tuple_(_CASE.rank, _CASE.due_at, _CASE.id)
        conditions.append(here > (start[0], _moment(start[1]), start[2]))
    keys = sa.select(_CASE.rank, _CASE.due_at, _CASE.id)
    arms = [keys.where(_CASE.office_id == office, _CASE.is_open, *conditions) for office in sorted(offices)]
    return _page(session, arms, "rank, due_at, id", limit, key=lambda row: (row.rank, row.due_at, row.id))


def _narrowed(wanted: Filter, staff_id: int, at: Bounds) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = list(_of_view(wanted.view, staff_id, at))
    if wanted.channel:
        conditions.append(_CASE.channel == wanted.channel)
    if wanted.audience:
        conditions.append(_CASE.audience == wanted.audience)
    if wanted.is_unread:
        conditions.append(_CASE.is_unread)
    if wanted.queue_id:
        conditions.append(_CASE.queue_id == wanted.queue_id)
    return conditions


def _of_view(view: View, staff_id: int, at: Bounds) -> Sequence[sa.ColumnElement[bool]]:
    match view:
        case View.OVERDUE:
            return (_is_due(), _CASE.due_at <= at.overdue)
        case View.TODAY:
            return (_is_due(), _CASE.due_at > at.overdue, _CASE.due_at <= at.today)
        case View.MINE:
            return (_CASE.owner_id == staff_id,)
        case View.UNASSIGNED:
            return (_CASE.owner_id.is_(None),)
        case View.WAITING:
            return (_CASE.status.in_(_ELSEWHERE),)
        case _:
            return ()


def _is_due() -> sa.ColumnElement[bool]:
    """Emergencies, deadlines and what is owed; not what waits for the constituent, nor what was there before us."""
    condition: sa.ColumnElement[bool] = _CASE.rank <= NORMAL
    return condition


def _done(office_id: int, status: Status) -> sa.Select[Any]:
    return sa.select(_CASE.last_at, _CASE.id).where(_CASE.office_id == office_id, _CASE.status == status)


def _newest(session: Session, arms: list[sa.Select[Any]], after: str, limit: int) -> CaseList:
    """A page of what each of ``arms`` finds, by the last message, newest first."""
    if start := _parsed(after, 2):
        here = sa.tuple_(_CASE.last_at, _CASE.id) < (_moment(start[0]), start[1])
        arms = [arm.where(here) for arm in arms]
    return _page(
        session, arms, "last_at DESC, id DESC", limit, key=lambda row: (row.last_at, row.id), newest_first=True
    )


_LISTED = tuple(one.name for one in fields(CaseRow) if one.name != "owner")


def _page(
    session: Session,
    arms: list[sa.Select[Any]],
    order: str,
    limit: int,
    *,
    key: Callable[[CaseRow], tuple[Any, ...]],
    newest_first: bool = False,
) -> CaseList:
    """The rows that ``arms`` name (one for each index to walk), and where the next page starts.

    The keys come from the indexes alone, in order, one more than a page; only they are looked up in the table. The rows
    are put in order here, as no database promises to keep that of a join.
    """
    if not arms:
        return CaseList((), "")
    walks = arms[0] if len(arms) == 1 else sa.union_all(*arms)
    keys = walks.order_by(sa.text(order)).limit(limit + 1).cte("page")
    query = sa.select(*(_CASE[name] for name in _LISTED), _STAFF.id, _STAFF.name, _STAFF.tint).select_from(
        keys.join(Case.__table__, _CASE.id == keys.c.id).outerjoin(Staff.__table__, _STAFF.id == _CASE.owner_id)
    )
    found = sorted((_case_row(tuple(row)) for row in session.execute(query)), key=key, reverse=newest_first)
    rows = tuple(found[:limit])
    return CaseList(rows, _written(key(rows[-1])) if len(found) > limit else "")


def _case_row(row: tuple[Any, ...]) -> CaseRow:
    """A row of the list: the columns in the order of ``CaseRow``, then the owner's."""
    owner = Member(*row[-3:]) if row[-3] is not None else None
    return CaseRow(*[*row[:-3], owner])


def grouped(rows: Iterable[CaseRow], at: Bounds) -> list[tuple[Group, list[CaseRow]]]:
    """The rows of a page under their headings; how many there are of each in all, the badges know."""
    return [(group, list(some)) for group, some in groupby(rows, lambda row: group_within(row.rank, row.due_at, at))]


# ── Where a page starts ───────────────────────────────────────────────────────────────────────────────────────────

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _written(key: tuple[Any, ...]) -> str:
    """The key of a page's last row, for a link."""
    return ".".join(str((part - _EPOCH) // _MICROSECOND if isinstance(part, datetime) else part) for part in key)


def _parsed(after: str, parts: int) -> tuple[int, ...]:
    """What ``_written`` wrote; () for the first page, Missing for anything else."""
    if not after:
        return ()
    try:
        numbers = tuple(map(int, after.split(".")))
    except ValueError:
        raise Missing from None
    if len(numbers) != parts or any(abs(number) > _HIGHEST for number in numbers):
        raise Missing
    return numbers


_HIGHEST: Final = 2**63 - 1


def _moment(microseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise Missing from None


# ── Badges ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _counts() -> sa.Select[Any]:
    """Every count, by office and channel in the order of the index that covers them all."""
    overdue, today, next_five = (sa.bindparam(name, type_=Instant()) for name in ("overdue", "today", "next_five"))
    due, rank, is_due, is_normal = _CASE.due_at, _CASE.rank, _CASE.rank <= NORMAL, _CASE.rank == NORMAL
    conditions = {
        "overdue": sa.and_(is_due, due <= overdue),
        "today": sa.and_(is_due, due > overdue, due <= today),
        "mine": _CASE.owner_id == sa.bindparam("staff_id", type_=_CASE.owner_id.type),
        "unassigned": _CASE.owner_id.is_(None),
        "waiting": _CASE.status.in_(_ELSEWHERE),
        "unread": _CASE.is_unread,
        "public": _CASE.audience == Audience.PUBLIC,
        "in_now": rank <= REOPENED_LATE,
        "in_overdue": sa.and_(is_normal, due <= overdue),
        "in_today": sa.and_(is_normal, due > overdue, due <= today),
        "in_next_five": sa.and_(is_normal, due > today, due <= next_five),
        "in_waiting": rank == WAITING,
        "in_backlog": rank == BACKLOG,
    }
    counts = [sa.func.count().filter(condition).label(name) for name, condition in conditions.items()]
    return (
        sa.select(_CASE.office_id, _CASE.channel, sa.func.count().label("needs_reply"), *counts)
        .where(_CASE.office_id.in_(sa.bindparam("offices", expanding=True)), _CASE.is_open)
        .group_by(_CASE.office_id, _CASE.channel)
    )


_COUNTS: Final = _counts()


def badges(session: Session, offices: Collection[int], *, staff_id: int, at: Bounds) -> Badges:
    """Exact counts over the open cases of ``offices``, in one statement that an index answers alone."""
    given = {"staff_id": staff_id, "overdue": at.overdue, "today": at.today, "next_five": at.next_five}
    total: Counter[str] = Counter()
    channels: Counter[str] = Counter()
    by_office: Counter[int] = Counter(dict.fromkeys(offices, 0))
    for row in session.execute(_COUNTS, given | {"offices": sorted(offices)}).mappings():
        counts = dict(row)
        office_id, channel = counts.pop("office_id"), counts.pop("channel")
        total.update(counts)
        channels[channel] += counts["needs_reply"]
        by_office[office_id] += counts["needs_reply"]
    groups: dict[Group, int] = {group: total[f"in_{group}"] for group in Group if group is not Group.LATER}
    groups[Group.LATER] = total["needs_reply"] - sum(groups.values())
    return Badges(
        **{name: total[name] for name in _BADGES},
        private=total["needs_reply"] - total["public"],
        groups=groups,
        channels=channels,
        offices=by_office,
    )


_BADGES: Final = ("needs_reply", "overdue", "today", "mine", "unassigned", "waiting", "unread", "public")


# ── A case ────────────────────────────────────────────────────────────────────────────────────────────────────────

_ON_THEIR_WAY: Final = (Sending.QUEUED, Sending.SENDING, Sending.FAILED, Sending.UNCERTAIN)
_UNTOLD: Final = ("open", "read", "unread", "note")  # the thread shows what they tell, or nobody needs it
_MOST_EVENTS: Final = 200
_OTHER_CASES: Final = 10
_Members = Mapping[int | None, Member]


def case_page(
    session: Session,
    offices: Collection[int],
    case_id: int,
    *,
    conversation_id: int | None = None,
    before: int | None = None,
    limit: int = THREAD,
) -> CasePage:
    """Everything the page of a case shows, in the same few statements whatever there is of it.

    The thread is the newest ``limit`` messages of all its conversations, or those before message ``before``, with what
    happened in that time. Raises Missing when the case is not there or not of ``offices``, or the conversation is not
    of the case.
    """
    head = _head(session, offices, case_id)
    case, person = _part(CaseHead, head, "case_"), _part(PersonRow, head, "person_")
    members = _members(session, case.office_id)
    conversations = _conversations(session, case_id)
    messages, earlier = _messages(session, case_id, members, before, limit)
    events = _events(session, case_id, members)
    beside: list[NoteRow | EventRow] = [*_notes(session, case_id, members), *events]
    replies = _replies(session, case_id, members) if before is None else []
    thread: list[Entry] = [*messages, *_of_the_time(session, beside, messages, before, earlier), *replies]
    return CasePage(
        case=case,
        office=head["office"],
        owner=members.get(case.owner_id),
        queue=head["queue"] or "",
        person=person,
        subject_person=head["subject_person"] or "",
        identities=_identities(session, person.id, members),
        conversation=_chosen(conversations, conversation_id, case.conversation_id),
        conversations=conversations,
        thread=tuple(sorted(thread, key=lambda entry: entry.at)),
        earlier=earlier,
        newest_message_id=max((message.id for message in messages), default=0),
        drafts=_drafts(session, case_id, members),
        obligations=_obligations(session, case_id),
        decisions=_decisions(session, case_id, members),
        history=tuple(events),
        other_cases=_newest(session, [_of_person(person.id).where(_CASE.id != case_id)], "", _OTHER_CASES).rows,
    )


def _head(session: Session, offices: Collection[int], case_id: int) -> dict[str, Any]:
    subject = Person.__table__.alias()
    query = (
        sa.select(
            *(column.label(f"case_{column.name}") for column in _columns(Case, CaseHead)),
            *(column.label(f"person_{column.name}") for column in _columns(Person, PersonRow)),
            Office.name.label("office"),
            Queue.name.label("queue"),
            subject.c.name.label("subject_person"),
        )
        .select_from(Case)
        .join(Person, Person.id == Case.person_id)
        .join(Office, Office.id == Case.office_id)
        .outerjoin(Queue, Queue.id == Case.queue_id)
        .outerjoin(subject, subject.c.id == Case.subject_person_id)
        .where(Case.id == case_id, Case.office_id.in_(offices))
    )
    found = session.execute(query).mappings().one_or_none()
    if found is None:
        raise Missing
    return {str(name): value for name, value in found.items()}


def _part(row: type[_Row], found: Mapping[str, Any], start: str) -> _Row:
    """The columns of ``found`` that begin with ``start``, as ``row``."""
    return row(**{name.removeprefix(start): value for name, value in found.items() if name.startswith(start)})


def _members(session: Session, office_id: int) -> _Members:
    """Everybody who is or was of the office, by id: the names beside notes, events and answers."""
    query = sa.select(Staff.id, Staff.name, Staff.tint).join(Membership, Membership.staff_id == Staff.id)
    return {row.id: Member(*row) for row in session.execute(query.where(Membership.office_id == office_id))}


def _conversations(session: Session, case_id: int) -> tuple[ConversationRow, ...]:
    account, reply_account = aliased(Account), aliased(Account)
    joined = {
        "account": account.name,
        "reply_account": reply_account.name,
        "reply_channel": reply_account.channel,
        "capacity": reply_account.capacity,
        "person": Person.name,
    }
    query = (
        sa.select(
            *_columns(Conversation, ConversationRow, *joined),
            *(column.label(name) for name, column in joined.items()),
        )
        .select_from(Conversation)
        .join(account, account.id == Conversation.account_id)
        .join(reply_account, reply_account.id == Conversation.reply_account_id)
        .join(Person, Person.id == Conversation.person_id)
        .where(Conversation.case_id == case_id)
        .order_by(Conversation.id)
    )
    return tuple(ConversationRow(**row) for row in session.execute(query).mappings())


def _chosen(
    conversations: Sequence[ConversationRow], asked_for: int | None, most_urgent: int | None
) -> ConversationRow | None:
    by_id = {conversation.id: conversation for conversation in conversations}
    if asked_for is not None and asked_for not in by_id:
        raise Missing
    newest = max(conversations, key=lambda one: one.last_at, default=None)
    return by_id.get(asked_for or most_urgent or 0, newest)


def _obligations(session: Session, case_id: int) -> tuple[ObligationRow, ...]:
    query = sa.select(*_columns(Obligation, ObligationRow)).where(Obligation.case_id == case_id).order_by(Obligation.id)
    return tuple(ObligationRow(**row) for row in session.execute(query).mappings())


def _decisions(session: Session, case_id: int, members: _Members) -> tuple[DecisionRow, ...]:
    query = sa.select(*_columns(Decision, DecisionRow, "by", "undone_by"), Decision.by_id, Decision.undone_by_id)
    query = query.where(Decision.case_id == case_id).order_by(Decision.id)
    return tuple(DecisionRow(**row) for row in _signed(session, query, members, "by", "undone_by"))


def _drafts(session: Session, case_id: int, members: _Members) -> tuple[DraftRow, ...]:
    query = sa.select(*_columns(Draft, DraftRow, "by"), Draft.staff_id.label("by_id")).where(Draft.case_id == case_id)
    return tuple(DraftRow(**row) for row in _signed(session, query.order_by(Draft.id), members))


# ── The thread of a case ──────────────────────────────────────────────────────────────────────────────────────────


def _messages(
    session: Session, case_id: int, members: _Members, before: int | None, limit: int
) -> tuple[list[MessageRow], int | None]:
    """A page of messages, oldest first, and the one to go back from where there are more."""
    made = {
        "text": sa.func.substr(Message.text, 1, LONGEST_TEXT),
        "reply_text": sa.func.substr(Message.reply_text, 1, LONGEST_TEXT),
        "has_html": Message.html != "",
        "at": Message.sent_at,
    }
    query = sa.select(
        *_columns(Message, MessageRow, *made, "by", "is_cut", "files", "revisions"),
        *(column.label(name) for name, column in made.items()),
        Message.by_id,
    ).where(Message.case_id == case_id)
    if before is not None:
        query = query.where(Message.id < before)
    found = list(_signed(session, query.order_by(Message.id.desc()).limit(limit + 1), members))
    kept = found[:limit]
    ids = [row["id"] for row in kept]
    files = _by_message(session, FileRow, sa.select(*_columns(File, FileRow)).order_by(File.position), File, ids)
    seen = sa.select(*_columns(Revision, RevisionRow)).order_by(Revision.id)
    revisions = _by_message(session, RevisionRow, seen, Revision, ids)
    messages = [
        MessageRow(
            **row,
            is_cut=len(row["text"]) == LONGEST_TEXT,
            files=tuple(files.get(row["id"], ())),
            revisions=tuple(revisions.get(row["id"], ())),
        )
        for row in reversed(kept)
    ]
    return messages, (ids[-1] if len(found) > limit else None)


def _by_message(
    session: Session, kind: type[_OfMessage], query: sa.Select[Any], model: type[File | Revision], ids: list[int]
) -> dict[int, list[_OfMessage]]:
    """What belongs to messages, by message."""
    found: dict[int, list[_OfMessage]] = {}
    for row in session.execute(query.where(model.message_id.in_(ids))).mappings() if ids else ():
        found.setdefault(row["message_id"], []).append(kind(**row))
    return found


def _notes(session: Session, case_id: int, members: _Members) -> list[NoteRow]:
    query = sa.select(*_columns(Note, NoteRow, "by"), Note.by_id).where(Note.case_id == case_id)
    return [NoteRow(**row) for row in _signed(session, query.order_by(Note.id), members)]


def _events(session: Session, case_id: int, members: _Members) -> list[EventRow]:
    """What happened to the case, oldest first: the newest ``_MOST_EVENTS``."""
    query = (
        sa.select(*_columns(AuditLine, EventRow, "by", "to", "before"), AuditLine.actor_id.label("by_id"))
        .where(
            AuditLine.object_kind == "case",
            AuditLine.object_id == case_id,
            AuditLine.verb.not_in(_UNTOLD),
        )
        .order_by(AuditLine.id.desc())
        .limit(_MOST_EVENTS)
    )
    found = [
        EventRow(**row, to=members.get(row["facts"].get("to")), before=members.get(row["facts"].get("from_owner")))
        for row in _signed(session, query, members)
    ]
    return found[::-1]


def _replies(session: Session, case_id: int, members: _Members) -> list[ReplyRow]:
    query = sa.select(*_columns(Reply, ReplyRow, "by", "at"), Reply.queued_at.label("at"), Reply.by_id)
    query = query.where(Reply.case_id == case_id, Reply.state.in_(_ON_THEIR_WAY)).order_by(Reply.id)
    return [ReplyRow(**row) for row in _signed(session, query, members)]


def _of_the_time(
    session: Session,
    beside: Iterable[NoteRow | EventRow],
    messages: Sequence[MessageRow],
    before: int | None,
    earlier: int | None,
) -> list[NoteRow | EventRow]:
    """Those notes and events that fall between the oldest message of this page and the page after it."""
    since = min((message.at for message in messages), default=_EPOCH) if earlier is not None else _EPOCH
    until = session.scalar(sa.select(Message.sent_at).where(Message.id == before)) if before is not None else None
    return [one for one in beside if since <= one.at and (until is None or one.at < until)]


# ── Rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _columns(model: type[Base], row: type[Any], *but: str) -> list[sa.ColumnElement[Any]]:
    """The columns of ``model`` that ``row`` shows under their own names; those named in ``but`` come from elsewhere."""
    table = model.__table__.c
    return [table[one.name] for one in fields(row) if one.name not in but]


def _signed(session: Session, query: sa.Select[Any], members: _Members, *whose: str) -> Iterator[dict[str, Any]]:
    """What ``query`` finds, with the somebody in the place of each ``…_id`` that ``whose`` ("by") names."""
    for found in session.execute(query).mappings():
        row = dict(found)
        for name in whose or ("by",):
            row[name] = members.get(row.pop(f"{name}_id"))
        yield row


# ── A person ──────────────────────────────────────────────────────────────────────────────────────────────────────


def person_page(
    session: Session, offices: Collection[int], person_id: int, *, after: str = "", limit: int = PAGE
) -> PersonPage:
    """A person, the names they are known by, and their cases, newest first. Raises Missing for foreign or absent."""
    query = sa.select(*_columns(Person, PersonRow), Office.name.label("office")).join(
        Office, Office.id == Person.office_id
    )
    found = session.execute(query.where(Person.id == person_id, Person.office_id.in_(offices))).mappings().one_or_none()
    if found is None:
        raise Missing
    row = dict(found)
    office = row.pop("office")
    person = PersonRow(**row)
    return PersonPage(
        person=person,
        office=office,
        identities=_identities(session, person.id, _members(session, person.office_id)),
        cases=_newest(session, [_of_person(person.id)], after, limit),
    )


def _of_person(person_id: int) -> sa.Select[Any]:
    return sa.select(_CASE.last_at, _CASE.id).where(_CASE.person_id == person_id)


def _identities(session: Session, person_id: int, members: _Members) -> tuple[IdentityRow, ...]:
    query = sa.select(*_columns(Identity, IdentityRow, "joined_by"), Identity.joined_by_id)
    query = query.where(Identity.person_id == person_id).order_by(Identity.id)
    return tuple(IdentityRow(**row) for row in _signed(session, query, members, "joined_by"))


def people(session: Session, offices: Collection[int], *, after: str = "", limit: int = PAGE) -> PeopleList:
    """People by name, over one or several offices, without those who turned out to be somebody else or were erased."""
    arms = [
        sa.select(Person.name, Person.id, Person.office_id, Person.ward, Person.first_seen_at).where(
            Person.office_id == office, Person.merged_into_id.is_(None), Person.erased_at.is_(None)
        )
        for office in sorted(offices)
    ]
    if not arms:
        return PeopleList((), "")
    if start := _parsed(after, 1):
        name = session.scalar(sa.select(Person.name).where(Person.id == start[0], Person.office_id.in_(offices)))
        if name is None:
            raise Missing
        arms = [arm.where(sa.tuple_(Person.name, Person.id) > (name, start[0])) for arm in arms]
    walks = arms[0] if len(arms) == 1 else sa.union_all(*arms)
    query = walks.order_by(sa.text("name, id")).limit(limit + 1)
    rows = [PersonInList(**row) for row in session.execute(query).mappings()]
    return PeopleList(tuple(rows[:limit]), _written((rows[limit - 1].id,)) if len(rows) > limit else "")


# ── The audit trail ───────────────────────────────────────────────────────────────────────────────────────────────


def audit_page(session: Session, offices: Collection[int], *, after: str = "", limit: int = PAGE) -> AuditPage:
    """The audit trail of ``offices`` (0: of the install), newest first."""
    line = AuditLine.__table__.c
    arms = [sa.select(line.id).where(line.office_id == office) for office in sorted(offices)]
    if not arms:
        return AuditPage((), "")
    if start := _parsed(after, 1):
        arms = [arm.where(line.id < start[0]) for arm in arms]
    walks = arms[0] if len(arms) == 1 else sa.union_all(*arms)
    keys = walks.order_by(sa.text("id DESC")).limit(limit + 1).cte("page")
    its_case = sa.and_(line.object_kind == "case", _CASE.id == line.object_id)
    query = sa.select(
        *_columns(AuditLine, AuditRow, "is_sealed", "reference", "by"),
        (line.seal != "").label("is_sealed"),
        sa.func.coalesce(_CASE.reference, "").label("reference"),
        _STAFF.id.label("by_id"),
        _STAFF.name.label("by_name"),
        _STAFF.tint.label("by_tint"),
    ).select_from(
        keys.join(AuditLine.__table__, line.id == keys.c.id)
        .outerjoin(Staff.__table__, _STAFF.id == line.actor_id)
        .outerjoin(Case.__table__, its_case)
    )
    rows = sorted((_audit_row(row) for row in session.execute(query).mappings()), key=lambda row: -row.id)
    return AuditPage(tuple(rows[:limit]), _written((rows[limit - 1].id,)) if len(rows) > limit else "")


def _audit_row(found: sa.RowMapping) -> AuditRow:
    row: dict[str, Any] = dict(found)
    by_id, name, tint = row.pop("by_id"), row.pop("by_name"), row.pop("by_tint")
    return AuditRow(**row, by=Member(by_id, name, tint) if by_id is not None else None)
