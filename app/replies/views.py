"""Writing and sending: the composer, its draft, and what can be done with an answer that is on its way."""

from __future__ import annotations

from flask import Blueprint, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.cases import actions as case_actions
from app.cases import queries as cases
from app.clock import now
from app.errors import Problem
from app.messages.models import Conversation
from app.office.queries import rules
from app.replies import actions, forms, joining, outbox, queries
from app.replies.models import Mode, Reply
from app.web import deployment
from app.web.errors import sentence
from app.web.filters import hour
from app.web.guard import Permission, actor, allow, local, offices
from app.web.session import session
from app.web.telling import blame, tell

blueprint = Blueprint("replies", __name__)


@blueprint.post("/conversations/<int:conversation_id>/reply")
@allow(Permission.HANDLE_CASES)
def send(conversation_id: int) -> ResponseReturnValue:
    """Put a reply into the outbox. What cannot go keeps its words as a draft, and the page says what is wrong."""
    conversation, words = _conversation(conversation_id), forms.words()
    office = rules(session, conversation.office_id)
    try:
        reply = actions.queue(session, office, conversation, words=words, by=actor().id, at=now())
    except Problem as problem:
        actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=actor().id, at=now())
        blame(sentence(problem), getattr(problem, "field", ""))
        return _back(conversation, "reply")
    undo = url_for("replies.withdraw", reply_id=reply.id)
    said = gettext("Your reply goes out at %(hour)s.", hour=hour(reply.send_at))
    tell(said, undo=undo, fields={"back": request.form.get("back", "")})
    return _back(conversation)


@blueprint.post("/conversations/<int:conversation_id>/draft")
@allow(Permission.HANDLE_CASES)
def save_draft(conversation_id: int) -> ResponseReturnValue:
    """Keep what is being written; a script asks this while somebody types."""
    conversation, mode = _conversation(conversation_id), forms.mode()
    actions.save_draft(session, conversation, mode=mode, words=forms.words(), by=actor().id, at=now())
    return jsonify(words=gettext("Draft saved %(hour)s", hour=hour(now())))


@blueprint.post("/conversations/<int:conversation_id>/discard")
@allow(Permission.HANDLE_CASES)
def discard_draft(conversation_id: int) -> ResponseReturnValue:
    """Throw away what was being written."""
    conversation = _conversation(conversation_id)
    actions.discard_draft(session, conversation, mode=forms.mode(), by=actor().id)
    tell(gettext("The draft is gone."))
    return _back(conversation)


@blueprint.post("/conversations/<int:conversation_id>/note")
@allow(Permission.HANDLE_CASES)
def note(conversation_id: int) -> ResponseReturnValue:
    """Keep a note from the composer, and let go of its draft."""
    conversation, words = _conversation(conversation_id), forms.words()
    case = cases.case(session, conversation.case_id, offices(), to_change=True)
    case_actions.write_note(session, case, text=words.text, by=actor().id, at=now())
    actions.discard_draft(session, conversation, mode=Mode.NOTE, by=actor().id)
    tell(gettext("Your note was kept. It was not sent to anyone."))
    return _back(conversation)


@blueprint.post("/replies/<int:reply_id>/withdraw")
@allow(Permission.HANDLE_CASES)
def withdraw(reply_id: int) -> ResponseReturnValue:
    """Undo a send, or stop trying: the words are a draft again."""
    reply = queries.reply(session, reply_id, offices())
    actions.withdraw(session, reply, by=actor().id, at=now())
    tell(gettext("Your reply was not sent. Its words are in the draft."))
    return _back(_of(reply), "reply")


@blueprint.post("/replies/<int:reply_id>/again")
@allow(Permission.HANDLE_CASES)
def try_again(reply_id: int) -> ResponseReturnValue:
    """Send one that failed once more, as it was."""
    reply = queries.reply(session, reply_id, offices())
    actions.try_again(session, reply, by=actor().id, at=now())
    tell(gettext("We are trying again now."))
    return _back(_of(reply))


@blueprint.post("/replies/<int:reply_id>/settle")
@allow(Permission.HANDLE_CASES)
def settle(reply_id: int) -> ResponseReturnValue:
    """Somebody has looked, and says whether an uncertain reply went out."""
    reply = queries.reply(session, reply_id, offices())
    got_out = request.form.get("got_out") == "yes"
    outbox.settle(session, deployment(), reply, got_out=got_out, by=actor().id)
    said = gettext("Kept as sent.") if got_out else gettext("Kept as not sent. You can try again.")
    tell(said)
    return _back(_of(reply))


@blueprint.post("/replies/<int:reply_id>/not-delivered")
@allow(Permission.HANDLE_CASES)
def not_delivered(reply_id: int) -> ResponseReturnValue:
    """Somebody has learnt that it never arrived: what it had answered is owed again."""
    reply = queries.reply(session, reply_id, offices())
    actions.not_delivered(session, reply, by=actor().id)
    tell(gettext("The answer is owed again, from the date it was due before."))
    return _back(_of(reply))


@blueprint.post("/conversations/<int:conversation_id>/join")
@allow(Permission.HANDLE_CASES)
def join(conversation_id: int) -> ResponseReturnValue:
    """Have it go on in another case, named by its reference."""
    conversation = _conversation(conversation_id)
    try:
        into = joining.by_reference(session, conversation.office_id, request.form.get("reference", ""))
        joining.join(session, conversation, into, by=actor().id)
    except Problem as problem:
        blame(sentence(problem), getattr(problem, "field", ""))
        return redirect(url_for("pages.change", case_id=conversation.case_id, _anchor="join"), 303)
    said = gettext("It goes on in %(reference)s.", reference=into.reference)
    tell(said, undo=url_for("replies.split_off", conversation_id=conversation.id))
    return redirect(_page_of(conversation), 303)


@blueprint.post("/conversations/<int:conversation_id>/split-off")
@allow(Permission.HANDLE_CASES)
def split_off(conversation_id: int) -> ResponseReturnValue:
    """Take it back to the case that it was joined from."""
    conversation = _conversation(conversation_id)
    joining.split_off(session, conversation, by=actor().id)
    tell(gettext("It is a case of its own again."))
    return redirect(_page_of(conversation), 303)


@blueprint.post("/conversations/<int:conversation_id>/unrelated")
@allow(Permission.HANDLE_CASES)
def unrelated(conversation_id: int) -> ResponseReturnValue:
    """It only looked as if it belonged to another case."""
    conversation = _conversation(conversation_id)
    conversation.related_case_id = None
    tell(gettext("It stays a case of its own."))
    return _back(conversation)


def _conversation(conversation_id: int) -> Conversation:
    """The conversation; whoever writes in it has read its case."""
    conversation = queries.conversation(session, conversation_id, offices())
    case = cases.case(session, conversation.case_id, offices(), to_change=True)
    if case.is_unread:
        case_actions.read(session, case, by=actor().id)
    return conversation


def _of(reply: Reply) -> Conversation:
    return queries.conversation(session, reply.conversation_id, offices())


def _back(conversation: Conversation, anchor: str = "") -> ResponseReturnValue:
    """The page that the button stood on, else the conversation; at the composer where there is something to mend."""
    given = request.form.get("back", "")
    href = local(given) if given else _page_of(conversation)
    return redirect(f"{href.partition('#')[0]}#{anchor}" if anchor else href, 303)


def _page_of(conversation: Conversation) -> str:
    return url_for("pages.case", case_id=conversation.case_id, conversation=conversation.id)
