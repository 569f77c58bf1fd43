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
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

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
    EnclosureRow,
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
from app.replies.models import Draft, Enclosure, Reply, Sending
from app.staff.models import Membership, Staff
from connectors import Audience

PAGE: Final = 50
THREAD: Final = 50  # messages of a case on one page
LONGEST_TEXT: Final = 60_000  # characters of a message on a page; the rest is in the original

_Row = TypeVar("_Row")
_OfMessage = TypeVar("_OfMessage", FileRow, RevisionRow)

# Statements are put together once, over tables and not classes: the ORM's own work takes longer than the database's.
# So does fetching row by row: what is found is asked for with ``all``.
_CASE = Case.__table__.c
_STAFF = Staff.__table__.c
_PERSON = Person.__table__.c
_OFFICE = Office.__table__.c
_QUEUE = Queue.__table__.c
_LINE = AuditLine.__table__.c
_OFFICES: Final[sa.BindParameter[Any]] = sa.bindparam("offices", expanding=True)

_Given = Mapping[str, Any]
_Members = Mapping[int | None, Member]


def _columns(model: type[Base], row: type[Any], *but: str) -> list[sa.ColumnElement[Any]]:
    """The columns of ``model`` that ``row`` shows under their own names; those named in ``but`` come from elsewhere."""
    table = model.__table__.c
    return [table[one.name] for one in fields(row) if one.name not in but]


def _of_case(model: type[Base], columns: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    """What belongs to a case, in the order in which it came."""
    table = model.__table__.c
    return sa.select(*columns).where(table.case_id == sa.bindparam("case_id")).order_by(table.id)


def _signed(
    session: Session, statement: sa.Select[Any], given: _Given, members: _Members, *whose: str
) -> Iterator[dict[str, Any]]:
    """What ``statement`` finds, with the somebody in the place of each ``…_id`` that ``whose`` ("by") names."""
    for found in session.execute(statement, given).mappings().all():
        row: dict[str, Any] = dict(found)
        for name in whose or ("by",):
            row[name] = members.get(row.pop(f"{name}_id"))
        yield row


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


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
    if not offices:
        return CaseList((), "")
    given: dict[str, Any] = {f"office_{number}": office for number, office in enumerate(sorted(offices))}
    if wanted.view in DONE:
        given["status"] = DONE[wanted.view]
        return _newest(session, _done_list(_dialect(session), len(offices), bool(after)), given, after, limit)
    narrowed = {"channel": wanted.channel, "audience": wanted.audience, "queue_id": wanted.queue_id}
    names: list[str] = [wanted.view, *(name for name, value in narrowed.items() if value)]
    if wanted.is_unread:
        names.append("unread")
    given |= narrowed | {"staff_id": staff_id, "overdue": at.overdue, "today": at.today}
    if start := _parsed(after, 3):
        given |= {"rank": start[0], "due_at": _moment(start[1]), "id": start[2]}
    statement = _open_list(_dialect(session), len(offices), tuple(names), bool(after))
    return _page(session, statement, given, limit, key=lambda row: (row.rank, row.due_at, row.id))


def _newest(session: Session, statement: sa.Select[Any], given: _Given, after: str, limit: int) -> CaseList:
    """A page of a list by the last message, newest first."""
    if start := _parsed(after, 2):
        given = {**given, "last_at": _moment(start[0]), "id": start[1]}
    return _page(session, statement, given, limit, key=lambda row: (row.last_at, row.id), newest_first=True)


def _page(
    session: Session,
    statement: sa.Select[Any],
    given: _Given,
    limit: int,
    *,
    key: Callable[[CaseRow], tuple[Any, ...]],
    newest_first: bool = False,
) -> CaseList:
    """The rows that ``statement`` finds, at most ``limit``, and where the next page starts.

    They are put in order here: no database promises to keep the order of the keys when it looks up their rows.
    """
    found = [_case_row(row) for row in session.execute(statement, {**given, "most": limit + 1}).all()]
    found.sort(key=key, reverse=newest_first)
    rows = tuple(found[:limit])
    return CaseList(rows, _written(key(rows[-1])) if len(found) > limit else "")


def _case_row(row: Sequence[Any]) -> CaseRow:
    """A row of the list: the columns in the order of ``CaseRow``, then the owner's."""
    *columns, owner_id, name, tint = row
    return CaseRow._make((*columns, None if owner_id is None else Member(owner_id, name, tint)))


def grouped(rows: Iterable[CaseRow], at: Bounds) -> list[tuple[Group, list[CaseRow]]]:
    """The rows of a page under their headings; how many there are of each in all, the badges know."""
    return [(group, list(some)) for group, some in groupby(rows, lambda row: group_within(row.rank, row.due_at, at))]


# ── The statements of the lists, one for each shape ───────────────────────────────────────────────────────────────

_ELSEWHERE: Final = (Status.WITH_OFFICER, Status.WITH_CONSTITUENT)
_OVERDUE, _TODAY = sa.bindparam("overdue", type_=Instant()), sa.bindparam("today", type_=Instant())
# Emergencies, deadlines and what is owed; not what waits for the constituent, nor what was there before us.
_IS_DUE: Final = _CASE.rank <= NORMAL
_CONDITIONS: Final[Mapping[str, sa.ColumnElement[bool]]] = {
    View.NEEDS_REPLY: sa.true(),
    View.OVERDUE: sa.and_(_IS_DUE, _CASE.due_at <= _OVERDUE),
    View.TODAY: sa.and_(_IS_DUE, _CASE.due_at > _OVERDUE, _CASE.due_at <= _TODAY),
    View.MINE: _CASE.owner_id == sa.bindparam("staff_id"),
    View.UNASSIGNED: _CASE.owner_id.is_(None),
    View.WAITING: _CASE.status.in_(_ELSEWHERE),
    "channel": _CASE.channel == sa.bindparam("channel"),
    "audience": _CASE.audience == sa.bindparam("audience"),
    "queue_id": _CASE.queue_id == sa.bindparam("queue_id"),
    "unread": _CASE.is_unread,
}


@lru_cache(maxsize=256)
def _open_list(dialect: str, offices: int, conditions: tuple[str, ...], goes_on: bool) -> sa.Select[Any]:  # noqa: FBT001 - a shape
    here = sa.tuple_(_CASE.rank, _CASE.due_at, _CASE.id)
    there = sa.tuple_(
        *(sa.bindparam(column.name, type_=column.type) for column in (_CASE.rank, _CASE.due_at, _CASE.id))
    )
    walk = sa.select(_CASE.rank, _CASE.due_at, _CASE.id).where(_CASE.is_open, *map(_CONDITIONS.__getitem__, conditions))
    return _looked_up(_of_each(offices, walk.where(here > there) if goes_on else walk), "rank, due_at, id", dialect)


@lru_cache(maxsize=64)
def _done_list(dialect: str, offices: int, goes_on: bool) -> sa.Select[Any]:  # noqa: FBT001 - a shape
    walk = sa.select(_CASE.last_at, _CASE.id).where(_CASE.status == sa.bindparam("status"))
    return _looked_up(_of_each(offices, _going_on(walk) if goes_on else walk), "last_at DESC, id DESC", dialect)


@lru_cache(maxsize=4)
def _list_of_person(dialect: str, goes_on: bool) -> sa.Select[Any]:  # noqa: FBT001 - a shape
    walk = sa.select(_CASE.last_at, _CASE.id).where(
        _CASE.person_id == sa.bindparam("person_id"), _CASE.id != sa.bindparam("but_id")
    )
    return _looked_up([_going_on(walk) if goes_on else walk], "last_at DESC, id DESC", dialect)


def _going_on(walk: sa.Select[Any]) -> sa.Select[Any]:
    there = sa.tuple_(*(sa.bindparam(column.name, type_=column.type) for column in (_CASE.last_at, _CASE.id)))
    return walk.where(sa.tuple_(_CASE.last_at, _CASE.id) < there)


def _of_each(offices: int, walk: sa.Select[Any]) -> list[sa.Select[Any]]:
    return [walk.where(_CASE.office_id == sa.bindparam(f"office_{number}")) for number in range(offices)]


_MOST: Final[sa.BindParameter[Any]] = sa.bindparam("most")


def _merged(
    walks: Sequence[sa.Select[*tuple[Any, ...]]], order: str, dialect: str
) -> sa.Select[Any] | sa.CompoundSelect[Any]:
    """What several walks find, in order and at most ``most``.

    SQLite merges the arms of a UNION by their indexes. PostgreSQL does so only where each arm is ordered in itself.
    """
    by = sa.text(order)
    if len(walks) == 1:
        return walks[0].order_by(by).limit(_MOST)
    arms = walks if dialect == "sqlite" else [walk.order_by(by).limit(_MOST) for walk in walks]
    return sa.union_all(*arms).order_by(by).limit(_MOST)


def _looked_up(walks: list[sa.Select[Any]], order: str, dialect: str) -> sa.Select[Any]:
    """The keys from the indexes alone, one index for each walk, in order; only those of the page are looked up."""
    keys = _merged(walks, order, dialect).cte("page")
    columns = [_CASE[name] for name in CaseRow._fields if name != "owner"]
    return sa.select(*columns, _STAFF.id, _STAFF.name, _STAFF.tint).select_from(
        keys.join(Case.__table__, _CASE.id == keys.c.id).outerjoin(Staff.__table__, _STAFF.id == _CASE.owner_id)
    )


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
    due, rank, is_normal = _CASE.due_at, _CASE.rank, _CASE.rank == NORMAL
    next_five = sa.bindparam("next_five", type_=Instant())
    views = (View.OVERDUE, View.TODAY, View.MINE, View.UNASSIGNED, View.WAITING)
    conditions: dict[str, sa.ColumnElement[bool]] = {
        **{view.value: _CONDITIONS[view] for view in views},
        "unread": _CASE.is_unread,
        "public": _CASE.audience == Audience.PUBLIC,
        "in_now": rank <= REOPENED_LATE,
        "in_overdue": sa.and_(is_normal, due <= _OVERDUE),
        "in_today": sa.and_(is_normal, due > _OVERDUE, due <= _TODAY),
        "in_next_five": sa.and_(is_normal, due > _TODAY, due <= next_five),
        "in_waiting": rank == WAITING,
        "in_backlog": rank == BACKLOG,
    }
    counts = [sa.func.count().filter(condition).label(name) for name, condition in conditions.items()]
    return (
        sa.select(_CASE.office_id, _CASE.channel, sa.func.count().label("needs_reply"), *counts)
        .where(_CASE.office_id.in_(_OFFICES), _CASE.is_open)
        .group_by(_CASE.office_id, _CASE.channel)
    )


_COUNTS: Final = _counts()


def badges(session: Session, offices: Collection[int], *, staff_id: int, at: Bounds) -> Badges:
    """Exact counts over the open cases of ``offices``, in one statement that an index answers alone."""
    given = {"staff_id": staff_id, "overdue": at.overdue, "today": at.today, "next_five": at.next_five}
    total: Counter[str] = Counter()
    channels: Counter[str] = Counter()
    by_office: Counter[int] = Counter(dict.fromkeys(offices, 0))
    found = session.execute(_COUNTS, given | {"offices": sorted(offices)})
    names = tuple(found.keys())[2:]
    for office_id, channel, *counts in found.all():
        total.update(dict(zip(names, counts, strict=True)))
        channels[channel] += counts[0]
        by_office[office_id] += counts[0]
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
        other_cases=_cases_of(session, person.id, but=case_id, limit=_OTHER_CASES).rows,
    )


_SUBJECT = Person.__table__.alias()
_HEAD: Final = (
    sa.select(
        *(column.label(f"case_{column.name}") for column in _columns(Case, CaseHead)),
        *(column.label(f"person_{column.name}") for column in _columns(Person, PersonRow)),
        _OFFICE.name.label("office"),
        _QUEUE.name.label("queue"),
        _SUBJECT.c.name.label("subject_person"),
    )
    .select_from(
        Case.__table__.join(Person.__table__, _PERSON.id == _CASE.person_id)
        .join(Office.__table__, _OFFICE.id == _CASE.office_id)
        .outerjoin(Queue.__table__, _QUEUE.id == _CASE.queue_id)
        .outerjoin(_SUBJECT, _SUBJECT.c.id == _CASE.subject_person_id)
    )
    .where(_CASE.id == sa.bindparam("case_id"), _CASE.office_id.in_(_OFFICES))
)


def _head(session: Session, offices: Collection[int], case_id: int) -> dict[str, Any]:
    found = session.execute(_HEAD, {"case_id": case_id, "offices": list(offices)}).mappings().one_or_none()
    if found is None:
        raise Missing
    return {str(name): value for name, value in found.items()}


def _part(row: type[_Row], found: Mapping[str, Any], start: str) -> _Row:
    """The columns of ``found`` that begin with ``start``, as ``row``."""
    return row(**{name.removeprefix(start): value for name, value in found.items() if name.startswith(start)})


_MEMBERS: Final = (
    sa.select(_STAFF.id, _STAFF.name, _STAFF.tint)
    .join_from(Staff.__table__, Membership.__table__, Membership.__table__.c.staff_id == _STAFF.id)
    .where(Membership.__table__.c.office_id == sa.bindparam("office_id"))
)


def _members(session: Session, office_id: int) -> _Members:
    """Everybody who is or was of the office, by id: the names beside notes, events and answers."""
    return {row.id: Member(*row) for row in session.execute(_MEMBERS, {"office_id": office_id}).all()}


def _conversation_rows() -> sa.Select[Any]:
    conversation = Conversation.__table__.c
    account, reply_account = Account.__table__.alias(), Account.__table__.alias()
    joined = {
        "account": account.c.name,
        "reply_account": reply_account.c.name,
        "reply_channel": reply_account.c.channel,
        "capacity": reply_account.c.capacity,
        "person": _PERSON.name,
    }
    return (
        sa.select(
            *_columns(Conversation, ConversationRow, *joined),
            *(column.label(name) for name, column in joined.items()),
        )
        .select_from(
            Conversation.__table__.join(account, account.c.id == conversation.account_id)
            .join(reply_account, reply_account.c.id == conversation.reply_account_id)
            .join(Person.__table__, _PERSON.id == conversation.person_id)
        )
        .where(conversation.case_id == sa.bindparam("case_id"))
        .order_by(conversation.id)
    )


_CONVERSATIONS: Final = _conversation_rows()


def _conversations(session: Session, case_id: int) -> tuple[ConversationRow, ...]:
    found = session.execute(_CONVERSATIONS, {"case_id": case_id}).mappings().all()
    return tuple(ConversationRow(**row) for row in found)


def _chosen(
    conversations: Sequence[ConversationRow], asked_for: int | None, most_urgent: int | None
) -> ConversationRow | None:
    by_id = {conversation.id: conversation for conversation in conversations}
    if asked_for is not None and conversations and asked_for not in by_id:
        raise Missing
    newest = max(conversations, key=lambda one: one.last_at, default=None)
    return by_id.get(asked_for or most_urgent or 0, newest)


_OBLIGATIONS: Final = _of_case(Obligation, _columns(Obligation, ObligationRow))
_DECIDED = Decision.__table__.c
_DECISIONS: Final = _of_case(
    Decision, [*_columns(Decision, DecisionRow, "by", "undone_by"), _DECIDED.by_id, _DECIDED.undone_by_id]
)
_DRAFTS: Final = _of_case(Draft, [*_columns(Draft, DraftRow, "by"), Draft.__table__.c.staff_id.label("by_id")])


def _obligations(session: Session, case_id: int) -> tuple[ObligationRow, ...]:
    return tuple(ObligationRow(**row) for row in session.execute(_OBLIGATIONS, {"case_id": case_id}).mappings().all())


def _decisions(session: Session, case_id: int, members: _Members) -> tuple[DecisionRow, ...]:
    found = _signed(session, _DECISIONS, {"case_id": case_id}, members, "by", "undone_by")
    return tuple(DecisionRow(**row) for row in found)


def _drafts(session: Session, case_id: int, members: _Members) -> tuple[DraftRow, ...]:
    return tuple(DraftRow(**row) for row in _signed(session, _DRAFTS, {"case_id": case_id}, members))


# ── The thread of a case ──────────────────────────────────────────────────────────────────────────────────────────


def _message_rows() -> sa.Select[Any]:
    message = Message.__table__.c
    made = {
        "text": sa.func.substr(message.text, 1, LONGEST_TEXT),
        "reply_text": sa.func.substr(message.reply_text, 1, LONGEST_TEXT),
        "has_html": message.html != "",
        "at": message.sent_at,
    }
    columns = [
        *_columns(Message, MessageRow, *made, "by", "is_cut", "files", "revisions"),
        *(column.label(name) for name, column in made.items()),
        message.by_id,
    ]
    return (
        sa.select(*columns)
        .where(message.case_id == sa.bindparam("case_id"), message.id < sa.bindparam("before"))
        .order_by(message.id.desc())
        .limit(sa.bindparam("most"))
    )


_MESSAGES: Final = _message_rows()
_FILES: Final = (
    sa.select(*_columns(File, FileRow))
    .where(File.__table__.c.message_id.in_(sa.bindparam("messages", expanding=True)))
    .order_by(File.__table__.c.id)
)
_REVISIONS: Final = (
    sa.select(*_columns(Revision, RevisionRow))
    .where(Revision.__table__.c.message_id.in_(sa.bindparam("messages", expanding=True)))
    .order_by(Revision.__table__.c.id)
)


def _messages(
    session: Session, case_id: int, members: _Members, before: int | None, limit: int
) -> tuple[list[MessageRow], int | None]:
    """A page of messages, oldest first, and the one to go back from where there are more."""
    given = {"case_id": case_id, "before": _HIGHEST if before is None else before, "most": limit + 1}
    found = list(_signed(session, _MESSAGES, given, members))
    kept = found[:limit]
    ids = [row["id"] for row in kept]
    files, revisions = _by_message(session, FileRow, _FILES, ids), _by_message(session, RevisionRow, _REVISIONS, ids)
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
    session: Session, kind: type[_OfMessage], statement: sa.Select[Any], ids: list[int]
) -> dict[int, list[_OfMessage]]:
    """What belongs to messages, by message."""
    found: dict[int, list[_OfMessage]] = {}
    for row in session.execute(statement, {"messages": ids}).mappings().all() if ids else ():
        found.setdefault(row["message_id"], []).append(kind(**row))
    return found


_NOTES: Final = _of_case(Note, [*_columns(Note, NoteRow, "by"), Note.__table__.c.by_id])
_SENDING = Reply.__table__.c
_REPLIES: Final = _of_case(
    Reply, [*_columns(Reply, ReplyRow, "by", "at", "files"), _SENDING.queued_at.label("at"), _SENDING.by_id]
).where(_SENDING.state.in_(_ON_THEIR_WAY))
_ENCLOSED: Final = (
    sa.select(*_columns(Enclosure, EnclosureRow))
    .where(Enclosure.__table__.c.reply_id.in_(sa.bindparam("replies", expanding=True)))
    .order_by(Enclosure.__table__.c.id)
)
_EVENTS: Final = (
    sa.select(*_columns(AuditLine, EventRow, "by", "to", "before"), _LINE.actor_id.label("by_id"))
    .where(_LINE.object_kind == "case", _LINE.object_id == sa.bindparam("case_id"), _LINE.verb.not_in(_UNTOLD))
    .order_by(_LINE.id.desc())
    .limit(_MOST_EVENTS)
)


def _notes(session: Session, case_id: int, members: _Members) -> list[NoteRow]:
    return [NoteRow(**row) for row in _signed(session, _NOTES, {"case_id": case_id}, members)]


def _replies(session: Session, case_id: int, members: _Members) -> list[ReplyRow]:
    found = list(_signed(session, _REPLIES, {"case_id": case_id}, members))
    files: dict[int, list[EnclosureRow]] = {}
    for row in session.execute(_ENCLOSED, {"replies": [one["id"] for one in found]}).mappings() if found else ():
        files.setdefault(row["reply_id"], []).append(EnclosureRow(**row))
    return [ReplyRow(**row, files=tuple(files.get(row["id"], ()))) for row in found]


def _events(session: Session, case_id: int, members: _Members) -> list[EventRow]:
    """What happened to the case, oldest first: the newest ``_MOST_EVENTS``."""
    found = [
        EventRow(**row, to=members.get(row["facts"].get("to")), before=members.get(row["facts"].get("from_owner")))
        for row in _signed(session, _EVENTS, {"case_id": case_id}, members)
    ]
    return found[::-1]


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


# ── A person ──────────────────────────────────────────────────────────────────────────────────────────────────────


_PERSON_PAGE: Final = (
    sa.select(*_columns(Person, PersonRow), _OFFICE.name.label("office"))
    .join_from(Person.__table__, Office.__table__, _OFFICE.id == _PERSON.office_id)
    .where(_PERSON.id == sa.bindparam("person_id"), _PERSON.office_id.in_(_OFFICES))
)
_KNOWN_AS = Identity.__table__.c
_IDENTITIES: Final = (
    sa.select(*_columns(Identity, IdentityRow, "joined_by"), _KNOWN_AS.joined_by_id)
    .where(_KNOWN_AS.person_id == sa.bindparam("person_id"))
    .order_by(_KNOWN_AS.id)
)


def person_page(
    session: Session, offices: Collection[int], person_id: int, *, after: str = "", limit: int = PAGE
) -> PersonPage:
    """A person, the names they are known by, and their cases, newest first. Raises Missing for foreign or absent."""
    given = {"person_id": person_id, "offices": list(offices)}
    found = session.execute(_PERSON_PAGE, given).mappings().one_or_none()
    if found is None:
        raise Missing
    row: dict[str, Any] = dict(found)
    office = row.pop("office")
    person = PersonRow(**row)
    return PersonPage(
        person=person,
        office=office,
        identities=_identities(session, person.id, _members(session, person.office_id)),
        cases=_cases_of(session, person.id, after=after, limit=limit),
    )


def _cases_of(session: Session, person_id: int, *, after: str = "", but: int = 0, limit: int) -> CaseList:
    return _newest(
        session, _list_of_person(_dialect(session), bool(after)), {"person_id": person_id, "but_id": but}, after, limit
    )


def _identities(session: Session, person_id: int, members: _Members) -> tuple[IdentityRow, ...]:
    found = _signed(session, _IDENTITIES, {"person_id": person_id}, members, "joined_by")
    return tuple(IdentityRow(**row) for row in found)


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
    query = _merged(arms, "name, id", _dialect(session))
    rows = [PersonInList(**row) for row in session.execute(query, {"most": limit + 1}).mappings()]
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
    keys = _merged(arms, "id DESC", _dialect(session)).cte("page")
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
    rows = sorted(
        (_audit_row(row) for row in session.execute(query, {"most": limit + 1}).mappings()), key=lambda row: -row.id
    )
    return AuditPage(tuple(rows[:limit]), _written((rows[limit - 1].id,)) if len(rows) > limit else "")


def _audit_row(found: sa.RowMapping) -> AuditRow:
    row: dict[str, Any] = dict(found)
    by_id, name, tint = row.pop("by_id"), row.pop("by_name"), row.pop("by_tint")
    return AuditRow(**row, by=Member(by_id, name, tint) if by_id is not None else None)
