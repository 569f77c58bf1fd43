"""What a restored office has to forget, or to doubt: time has passed between the backup and now.

Nobody stays signed in. Nothing is sent that may have gone out since: what was queued or under way becomes uncertain,
and a probe or a person says what became of it. What has to be fetched and done is deferred when a worker starts.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import jobs
from app.audit.actions import record
from app.cases.models import Case
from app.channels.models import Access, Account, State, Stream
from app.clock import now
from app.messages import index
from app.messages.models import File, Message
from app.notices.models import Notice, NoticeState
from app.replies.actions import mark_failures
from app.replies.models import Reply, Sending
from app.staff.models import Link, SignIn

_MAY_HAVE_GONE_OUT = (
    "This was about to go out when the backup was made from which everything was restored, so it may have gone out "
    "since. Look in the sent messages of the account, then say which."
)
_NOT_SENT = "Restored from a backup: it may have been sent before."
_INDEXED_AT_ONCE = 200  # messages


def settle(session: Session) -> None:
    """Everything of the kind, but for the index of words."""
    at = now()
    _update(session, SignIn, SignIn.ended_at.is_(None), {"ended_at": at})
    _update(session, Link, sa.and_(Link.used_at.is_(None), Link.ends_at > at), {"ends_at": at})
    _update(session, Notice, Notice.state == NoticeState.QUEUED, {"state": NoticeState.FAILED, "trouble": _NOT_SENT})
    _give_up_connecting(session)
    _update(session, Account, sa.true(), {"lease_by": "", "lease_until": None})
    _update(session, Stream, sa.true(), {"next_at": at})
    _doubt_replies(session)
    record(session, "restore", "install", 0, office_id=0, by=None)


def index_words(session: Session) -> None:
    """The index of words is made anew: no backup holds it, as every database has its own."""
    last_id = 0
    query = sa.select(Message, Case.reference).join(Case, Case.id == Message.case_id).order_by(Message.id)
    while page := session.execute(query.where(Message.id > last_id).limit(_INDEXED_AT_ONCE)).all():
        names: dict[int, list[str]] = {}
        ids = [message.id for message, _ in page]
        files = sa.select(File.message_id, File.name).where(File.message_id.in_(ids)).order_by(File.id)
        for message_id, name in session.execute(files):
            names.setdefault(message_id, []).append(name)
        for message, reference in page:
            index.add(session, message, reference, *names.get(message.id, ()))
        last_id = ids[-1]
        session.expunge_all()


def _give_up_connecting(session: Session) -> None:
    """Accounts that were just being connected: whoever did so has left the page."""
    begun = Account.state.in_([State.TRYING, State.SIGNING_IN])
    session.execute(sa.delete(Access).where(Access.account_id.in_(sa.select(Account.id).where(begun))))
    _update(session, Account, begun, {"state": State.REMOVED, "sealed": None})


def _doubt_replies(session: Session) -> None:
    going = sa.select(Reply).where(Reply.state.in_([Sending.QUEUED, Sending.SENDING]))
    for reply in session.scalars(going.order_by(Reply.id)).all():
        reply.state, reply.trouble, reply.retry_at = Sending.UNCERTAIN, _MAY_HAVE_GONE_OUT, None
        mark_failures(session, session.get_one(Case, reply.case_id))
    session.flush()
    _update(session, Reply, sa.true(), {"lease_by": "", "lease_until": None})
    unknown = sa.select(Reply.id).where(Reply.state == Sending.UNCERTAIN, Reply.prepared_sha256 != "")
    for reply_id in session.scalars(unknown.order_by(Reply.id)).all():
        jobs.defer(session, jobs.Kind.PROBE_REPLY, reply_id)


def _update(session: Session, kind: type[Any], condition: sa.ColumnElement[bool], values: dict[str, Any]) -> None:
    session.execute(sa.update(kind).where(condition).values(values).execution_options(synchronize_session=False))
