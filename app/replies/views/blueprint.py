"""The blueprint that they share, the conversation that a page is about, and the way back to it."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.cases import actions as case_actions
from app.cases import queries as cases
from app.messages.models import Conversation
from app.replies import queries
from app.web.guard import actor, local, offices
from app.web.session import session

blueprint = Blueprint("replies", __name__)


def conversation_of(conversation_id: int) -> Conversation:
    """The conversation; whoever writes in it has read its case."""
    conversation = queries.conversation(session, conversation_id, offices())
    case = cases.case(session, conversation.case_id, offices(), to_change=True)
    if case.is_unread:
        case_actions.read(session, case, by=actor().id)
    return conversation


def back(conversation: Conversation, anchor: str = "") -> ResponseReturnValue:
    """The page that the button stood on, else the conversation; at the composer where there is something to mend."""
    given = request.form.get("back", "")
    href = local(given) if given else page_of(conversation)
    return redirect(f"{href.partition('#')[0]}#{anchor}" if anchor else href, 303)


def page_of(conversation: Conversation) -> str:
    """The page of a conversation."""
    return url_for("pages.case", case_id=conversation.case_id, conversation=conversation.id)
