"""What is forgotten of a person, row by row: words, names, addresses, files. Ids, counts and dates stay.

Where a page shows a name or a text, a dash stands afterwards: it is the same in every language.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.cases.models import Case, Decision, Note
from app.messages import erased, index
from app.messages.models import Conversation, Direction, File, Mention, Message, Partner, Picture, Revision, Sighting
from app.people.models import Identity, Person
from app.replies.models import Draft, Enclosure, Reply, Sending
from app.secrets import keyed_hash

NOTHING: Final = "—"
_MARK: Final = "erased:"  # before the hash that stands where a platform's id stood
_NOT_YET_OUT: Final = (Sending.QUEUED, Sending.FAILED, Sending.UNCERTAIN)


def conversations(person_ids: Collection[int]) -> sa.Select[int]:
    """Those in which the person is answered, and those in which a case of theirs was passed on to somebody else."""
    passed_on = sa.and_(Conversation.case_id.in_(cases(person_ids)), Conversation.partner != Partner.RESIDENT)
    return sa.select(Conversation.id).where(sa.or_(Conversation.person_id.in_(person_ids), passed_on))


def messages(person_ids: Collection[int]) -> sa.Select[int]:
    """What they wrote, what was written to them, and what was passed on of it. What others answered is theirs."""
    answers = sa.and_(Message.conversation_id.in_(conversations(person_ids)), Message.direction == Direction.OUTBOUND)
    return sa.select(Message.id).where(sa.or_(Message.person_id.in_(person_ids), answers))


def cases(person_ids: Collection[int]) -> sa.Select[int]:
    """Those that they asked for."""
    return sa.select(Case.id).where(Case.person_id.in_(person_ids))


def replies(person_ids: Collection[int]) -> sa.Select[int]:
    """What went, or was to go, to them; and on their cases to whomever those were passed on to."""
    in_theirs = Reply.conversation_id.in_(conversations(person_ids))
    return sa.select(Reply.id).where(sa.or_(Reply.person_id.in_(person_ids), in_theirs))


def drafts(person_ids: Collection[int]) -> sa.Select[int]:
    """What is being written to them or passed on of them, or noted about them."""
    to_them = Draft.conversation_id.in_(conversations(person_ids))
    return sa.select(Draft.id).where(sa.or_(to_them, Draft.case_id.in_(cases(person_ids))))


def _enclosures(person_ids: Collection[int]) -> sa.ColumnElement[bool]:
    return sa.or_(Enclosure.reply_id.in_(replies(person_ids)), Enclosure.draft_id.in_(drafts(person_ids)))


def forget(session: Session, key: str, office_id: int, person_ids: Collection[int]) -> tuple[list[str], set[str]]:
    """Forget the person whom these ids stand for; ``key`` is ``Keys.ids``.

    Returns the marks by which their messages stay away, and the hashes of bytes that they named: those that nothing
    else names are the caller's to delete, after the transaction.
    """
    _overwrite(session)
    hashes = _named(session, person_ids)
    marks = _forget_messages(session, key, office_id, person_ids)
    _forget_sightings(session, person_ids)
    _forget_replies(session, person_ids)
    _forget_cases(session, person_ids)
    _forget_who(session, key, office_id, person_ids)
    return marks, hashes


def _overwrite(session: Session) -> None:
    """SQLite leaves what was deleted in pages that it may use again some day: here it writes zeros over it."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(sa.text("PRAGMA secure_delete = ON"))


def _named(session: Session, person_ids: Collection[int]) -> set[str]:
    theirs = messages(person_ids)
    each = (
        sa.select(File.sha256).where(File.message_id.in_(theirs)),
        sa.select(Picture.sha256).where(Picture.message_id.in_(theirs)),
        sa.select(Sighting.sha256).where(Sighting.message_id.in_(theirs)),
        sa.select(Enclosure.sha256).where(_enclosures(person_ids)),
        sa.select(Reply.prepared_sha256).where(Reply.id.in_(replies(person_ids))),
    )
    return {sha256 for query in each for sha256 in session.scalars(query) if sha256}


def _forget_messages(session: Session, key: str, office_id: int, person_ids: Collection[int]) -> list[str]:
    columns = (Message.id, Message.channel, Message.platform_id, Message.fingerprint)
    known = session.execute(sa.select(*columns).where(Message.id.in_(messages(person_ids)))).all()
    marks = [erased.mark(key, office_id, channel, own_id, print_) for _, channel, own_id, print_ in known]
    erased.keep_away(session, office_id, marks)
    index.remove(session, [row.id for row in known])
    _forget_mentions(session, office_id, person_ids, known)
    theirs = messages(person_ids)
    for part in (Revision, File, Picture):
        session.execute(sa.delete(part).where(part.message_id.in_(theirs)))
    inbound = {"author_name": NOTHING, "author_handle": "", "identity_id": None, "url": ""}
    _update(session, Message, sa.and_(Message.id.in_(theirs), Message.direction == Direction.INBOUND), inbound)
    words: dict[str, Any] = {
        "recipients": {"to": [], "cc": [], "reply_to": []},
        "subject": "",
        "text": NOTHING,
        "reply_text": NOTHING,
        "html": "",
        "remote_hosts": [],
        "in_reply_to": "",
        "reply_refs": [],
        "marking": "",
        "fingerprint": "",
    }
    _update(session, Message, Message.id.in_(theirs), words)
    ids = [{"row_id": row.id, "own_id": f"{_MARK}{mark}"} for row, mark in zip(known, marks, strict=True)]
    table = cast("sa.Table", Message.__table__)
    update = sa.update(table).where(table.c.id == sa.bindparam("row_id")).values(platform_id=sa.bindparam("own_id"))
    if ids:
        session.connection().execute(update, ids)
    return marks


def _forget_mentions(session: Session, office_id: int, person_ids: Collection[int], known: Sequence[Any]) -> None:
    """Ids by which mail finds its conversation: one that goes on with what was erased begins a new one."""
    session.execute(sa.delete(Mention).where(Mention.conversation_id.in_(conversations(person_ids))))
    ids = [{"own_channel": row.channel, "own_id": row.platform_id} for row in known]
    table = cast("sa.Table", Mention.__table__)
    of_office = sa.and_(
        table.c.office_id == office_id,
        table.c.channel == sa.bindparam("own_channel"),
        table.c.external_id == sa.bindparam("own_id"),
    )
    if ids:
        session.connection().execute(sa.delete(table).where(of_office), ids)


def _forget_sightings(session: Session, person_ids: Collection[int]) -> None:
    """That something was seen stays, once for each time; what it was does not."""
    theirs = Sighting.message_id.in_(messages(person_ids))
    first = sa.select(sa.func.min(Sighting.id)).where(theirs)
    first = first.group_by(Sighting.account_id, Sighting.stream_id, Sighting.external_id)
    session.execute(sa.delete(Sighting).where(theirs, Sighting.id.not_in(first)))
    _update(session, Sighting, theirs, {"sha256": "", "trouble": ""})


def _forget_replies(session: Session, person_ids: Collection[int]) -> None:
    """What has not gone out goes nowhere any more."""
    theirs = Reply.id.in_(replies(person_ids))
    _update(session, Reply, sa.and_(theirs, Reply.state.in_(_NOT_YET_OUT)), {"state": Sending.WITHDRAWN})
    words = {
        "recipients": {"to": [], "cc": []},
        "subject": "",
        "text": NOTHING,
        "platform_id": "",
        "prepared_sha256": "",
        "prepared_meta": {},
        "trouble": "",
        "url": "",
        "receipt_note": "",
    }
    _update(session, Reply, theirs, words)
    session.execute(sa.delete(Enclosure).where(_enclosures(person_ids)))
    session.execute(sa.delete(Draft).where(Draft.id.in_(drafts(person_ids))))


def _forget_cases(session: Session, person_ids: Collection[int]) -> None:
    theirs = cases(person_ids)
    session.execute(sa.delete(Note).where(Note.case_id.in_(theirs)))
    _update(session, Decision, Decision.case_id.in_(theirs), {"reason": NOTHING})
    words = {
        "subject": NOTHING,
        "contact": NOTHING,
        "topic": "",
        "planning_reference": "",
        "council_reference": "",
        "authority": "",
        "external_what": "",
        "officer": "",
        "has_files": False,
        "has_draft": False,
    }
    _update(session, Case, Case.id.in_(theirs), words)
    talked = sa.select(Conversation.case_id).where(Conversation.id.in_(conversations(person_ids)))
    _update(session, Case, sa.or_(Case.id.in_(theirs), Case.id.in_(talked)), {"snippet": ""})
    words = {"subject": "", "thread_id": "", "context": {}}
    _update(session, Conversation, Conversation.id.in_(conversations(person_ids)), words)


def _forget_who(session: Session, key: str, office_id: int, person_ids: Collection[int]) -> None:
    """Addresses stay as keyed hashes: whoever writes again is somebody new."""
    query = sa.select(Identity.id, Identity.channel, Identity.external_id).where(Identity.person_id.in_(person_ids))
    hidden = [
        {"row_id": row.id, "own_id": _MARK + keyed_hash(key, "identity", office_id, row.channel, row.external_id)}
        for row in session.execute(query)
    ]
    table = cast("sa.Table", Identity.__table__)
    words = {"external_id": sa.bindparam("own_id"), "handle": NOTHING, "name": "", "url": ""}
    if hidden:
        session.connection().execute(sa.update(table).where(table.c.id == sa.bindparam("row_id")).values(words), hidden)
    _update(session, Person, Person.id.in_(person_ids), {"name": NOTHING, "postcode": "", "remarks": ""})


def _update(session: Session, kind: type[Any], condition: sa.ColumnElement[bool], values: dict[str, Any]) -> None:
    session.execute(sa.update(kind).where(condition).values(values).execution_options(synchronize_session=False))
