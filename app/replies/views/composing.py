"""The composer: words, whom they go to, what goes along. Whatever goes wrong, the words stay."""

from __future__ import annotations

from dataclasses import replace

from flask import jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.cases import actions as case_actions
from app.cases import queries as cases
from app.clock import now
from app.errors import Missing, Problem
from app.messages.models import Conversation
from app.office.queries import rules
from app.replies import actions, beginning, enclosures, forms, queries
from app.replies.actions import Words
from app.replies.models import Mode
from app.replies.recipients import addressing
from app.replies.views.blueprint import back, blueprint, conversation_of, page_of
from app.web import deployment
from app.web.errors import sentence
from app.web.filters import hour
from app.web.guard import Permission, actor, allow, offices
from app.web.session import session
from app.web.telling import blame, tell


@blueprint.post("/conversations/<int:conversation_id>/reply")
@allow(Permission.HANDLE_CASES)
def send(conversation_id: int) -> ResponseReturnValue:
    """Put a reply into the outbox. What cannot go keeps its words as a draft, and the page says what is wrong."""
    conversation, words = conversation_of(conversation_id), forms.words()
    office = rules(session, conversation.office_id)
    try:
        words = replace(words, cc=(*words.cc, *forms.added()))
        _enclose(conversation, words)
        reply = actions.queue(session, office, conversation, words=words, by=actor().id, at=now())
    except Problem as problem:
        actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=actor().id, at=now())
        blame(sentence(problem), getattr(problem, "field", ""))
        return back(conversation, "reply")
    undo = url_for("replies.withdraw", reply_id=reply.id)
    said = gettext("It goes out at %(hour)s.", hour=hour(reply.send_at))
    tell(said, undo=undo, fields={"back": request.form.get("back", "")})
    return back(conversation)


@blueprint.post("/conversations/<int:conversation_id>/draft")
@allow(Permission.HANDLE_CASES)
def save_draft(conversation_id: int) -> ResponseReturnValue:
    """Keep what is being written; a script asks this while somebody types."""
    conversation, mode = conversation_of(conversation_id), forms.mode()
    actions.save_draft(session, conversation, mode=mode, words=forms.words(), by=actor().id, at=now())
    return jsonify(words=gettext("Draft saved %(hour)s", hour=hour(now())))


@blueprint.post("/conversations/<int:conversation_id>/discard")
@allow(Permission.HANDLE_CASES)
def discard_draft(conversation_id: int) -> ResponseReturnValue:
    """Throw away what was being written."""
    conversation = conversation_of(conversation_id)
    actions.discard_draft(session, conversation, mode=forms.mode(), by=actor().id)
    if beginning.give_up(session, conversation, by=actor().id, at=now()):
        tell(gettext("The draft is gone, and the case that was begun for it is closed."))
        return redirect("/", 303)
    tell(gettext("The draft is gone."))
    return back(conversation)


@blueprint.post("/conversations/<int:conversation_id>/note")
@allow(Permission.HANDLE_CASES)
def note(conversation_id: int) -> ResponseReturnValue:
    """Keep a note from the composer, and let go of its draft."""
    conversation, words = conversation_of(conversation_id), forms.words()
    case = cases.case(session, conversation.case_id, offices(), to_change=True)
    case_actions.write_note(session, case, text=words.text, by=actor().id, at=now())
    actions.discard_draft(session, conversation, mode=Mode.NOTE, by=actor().id)
    tell(gettext("Your note was kept. It was not sent to anyone."))
    return back(conversation)


@blueprint.post("/conversations/<int:conversation_id>/recipients")
@allow(Permission.HANDLE_CASES)
def address(conversation_id: int) -> ResponseReturnValue:
    """Another address, a copy more or less; what was written so far stays with it."""
    conversation, words = conversation_of(conversation_id), forms.words()
    given, everybody = request.form, addressing(session, conversation).others
    try:
        more = (*forms.added(), *(everybody if "all" in given else ()))
    except Problem as problem:
        more = ()
        blame(sentence(problem), getattr(problem, "field", ""))
    cc = tuple(one for one in (*words.cc, *more) if one.external_id != given.get("drop"))
    words = replace(words, to=given.get("use", words.to), cc=cc)
    actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=actor().id, at=now())
    return back(conversation, "reply")


@blueprint.post("/conversations/<int:conversation_id>/files")
@allow(Permission.HANDLE_CASES)
def enclose(conversation_id: int) -> ResponseReturnValue:
    """Put files to what is being written; what does not fit is named, and the rest stays."""
    conversation, words = conversation_of(conversation_id), forms.words()
    try:
        _enclose(conversation, words)
    except Problem as problem:
        blame(sentence(problem), getattr(problem, "field", ""))
    return back(conversation, "reply")


@blueprint.post("/enclosures/<int:enclosure_id>/remove")
@allow(Permission.HANDLE_CASES)
def remove_file(enclosure_id: int) -> ResponseReturnValue:
    """Take a file off one's own draft; what was written meanwhile stays."""
    found, draft = enclosures.own(session, enclosure_id, actor().id)
    conversation = conversation_of(draft.conversation_id)
    enclosures.remove(session, found)
    if "seen_message_id" in request.form:
        words = forms.words()
        actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=actor().id, at=now())
    return back(conversation, "reply")


@blueprint.post("/conversations/<int:conversation_id>/preview")
@allow(Permission.HANDLE_CASES)
def look(conversation_id: int) -> ResponseReturnValue:
    """Keep what is written, and show it as it will go out."""
    conversation, words = conversation_of(conversation_id), forms.words()
    draft = actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=actor().id, at=now())
    if draft is None:
        blame(gettext("Write your reply first."), "text")
        return back(conversation, "reply")
    return redirect(url_for(".preview", conversation_id=conversation.id, then=request.form.get("then")), 303)


@blueprint.get("/conversations/<int:conversation_id>/preview")
@allow(Permission.HANDLE_CASES)
def preview(conversation_id: int) -> ResponseReturnValue:
    """One's own draft as it will go out: in words, whom it goes to, what stands below, what goes along."""
    conversation = queries.conversation(session, conversation_id, offices())
    draft = queries.draft(session, conversation.id, actor().id, Mode.REPLY)
    if draft is None:
        raise Missing
    desk = queries.desk(
        session, conversation, draft=draft, connectors=deployment().connectors, id_key=deployment().host.id_key
    )
    subject, title = queries.subject_of(conversation), gettext("What goes out")
    here = page_of(conversation)
    return render_template("replies/preview.html", title=title, desk=desk, draft=draft, subject=subject, here=here)


def _enclose(conversation: Conversation, words: Words) -> None:
    """Put what was uploaded to the draft, where anything was; raises Invalid for what does not fit."""
    uploads = forms.uploads()
    if not uploads:
        return
    held = deployment()
    actions.enclose(
        session,
        held.store,
        conversation,
        uploads=uploads,
        most=queries.room_in(session, conversation, held.connectors),
        words=words,
        by=actor().id,
        at=now(),
    )
