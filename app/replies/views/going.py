"""What can be done with an answer that is on its way, or was."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.clock import now
from app.messages.models import Conversation
from app.replies import actions, outbox, queries
from app.replies.models import Reply
from app.replies.views.blueprint import back, blueprint
from app.web import deployment
from app.web.guard import Permission, actor, allow, offices
from app.web.session import session
from app.web.telling import tell


@blueprint.post("/replies/<int:reply_id>/withdraw")
@allow(Permission.HANDLE_CASES)
def withdraw(reply_id: int) -> ResponseReturnValue:
    """Undo a send, or stop trying: the words are a draft again."""
    reply = queries.reply(session, reply_id, offices())
    actions.withdraw(session, reply, by=actor().id, at=now())
    tell(gettext("It was not sent. Its words are in the draft."))
    return back(_of(reply), "reply")


@blueprint.post("/replies/<int:reply_id>/again")
@allow(Permission.HANDLE_CASES)
def try_again(reply_id: int) -> ResponseReturnValue:
    """Send one that failed once more, as it was."""
    reply = queries.reply(session, reply_id, offices())
    actions.try_again(session, reply, by=actor().id, at=now())
    tell(gettext("We are trying again now."))
    return back(_of(reply))


@blueprint.post("/replies/<int:reply_id>/settle")
@allow(Permission.HANDLE_CASES)
def settle(reply_id: int) -> ResponseReturnValue:
    """Somebody has looked, and says whether an uncertain reply went out."""
    reply = queries.reply(session, reply_id, offices())
    got_out = request.form.get("got_out") == "yes"
    outbox.settle(session, deployment(), reply, got_out=got_out, by=actor().id)
    said = gettext("Kept as sent.") if got_out else gettext("Kept as not sent. You can try again.")
    tell(said)
    return back(_of(reply))


@blueprint.post("/replies/<int:reply_id>/not-delivered")
@allow(Permission.HANDLE_CASES)
def not_delivered(reply_id: int) -> ResponseReturnValue:
    """Somebody has learnt that it never arrived: what it had answered is owed again."""
    reply = queries.reply(session, reply_id, offices())
    actions.not_delivered(session, reply, by=actor().id)
    tell(gettext("The answer is owed again, from the date it was due before."))
    return back(_of(reply))


def _of(reply: Reply) -> Conversation:
    return queries.conversation(session, reply.conversation_id, offices())
