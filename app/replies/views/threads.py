"""Where a conversation belongs: joined to another case, and back."""

from __future__ import annotations

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.errors import Problem
from app.replies import joining
from app.replies.views.blueprint import back, blueprint, conversation_of, page_of
from app.web.errors import sentence
from app.web.guard import Permission, actor, allow
from app.web.session import session
from app.web.telling import blame, tell


@blueprint.post("/conversations/<int:conversation_id>/join")
@allow(Permission.HANDLE_CASES)
def join(conversation_id: int) -> ResponseReturnValue:
    """Have it go on in another case, named by its reference."""
    conversation = conversation_of(conversation_id)
    try:
        into = joining.by_reference(session, conversation.office_id, request.form.get("reference", ""))
        joining.join(session, conversation, into, by=actor().id)
    except Problem as problem:
        field = f"join-reference-{conversation.id}"
        blame(sentence(problem), field)
        return redirect(url_for("pages.change", case_id=conversation.case_id, _anchor=field), 303)
    said = gettext("It goes on in %(reference)s.", reference=into.reference)
    tell(said, undo=url_for("replies.split_off", conversation_id=conversation.id))
    return redirect(page_of(conversation), 303)


@blueprint.post("/conversations/<int:conversation_id>/split-off")
@allow(Permission.HANDLE_CASES)
def split_off(conversation_id: int) -> ResponseReturnValue:
    """Take it back to the case that it was joined from."""
    conversation = conversation_of(conversation_id)
    joining.split_off(session, conversation, by=actor().id)
    tell(gettext("It is a case of its own again."))
    return redirect(page_of(conversation), 303)


@blueprint.post("/conversations/<int:conversation_id>/unrelated")
@allow(Permission.HANDLE_CASES)
def unrelated(conversation_id: int) -> ResponseReturnValue:
    """It only looked as if it belonged to another case."""
    conversation = conversation_of(conversation_id)
    conversation.related_case_id = None
    tell(gettext("It stays a case of its own."))
    return back(conversation)
