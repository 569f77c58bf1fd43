"""Writing and sending: the composer, its draft, and what can be done with an answer that is on its way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from flask import Blueprint, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.cases import actions as case_actions
from app.cases import queries as cases
from app.cases.models import Case
from app.channels.models import Account
from app.clock import now
from app.errors import Missing, Problem
from app.messages.models import Conversation
from app.office.queries import rules
from app.people import finding
from app.replies import actions, beginning, enclosures, forms, joining, outbox, queries
from app.replies.actions import Words
from app.replies.forms import FirstForm, ReferralForm
from app.replies.models import Mode, Reply
from app.replies.recipients import addressing
from app.web import deployment
from app.web.errors import sentence
from app.web.filters import hour
from app.web.guard import Permission, actor, allow, current_office, local, offices
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
        words = replace(words, cc=(*words.cc, *forms.added()))
        _enclose(conversation, words)
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


# ── Who gets it, and what goes along ──────────────────────────────────────────────────────────────────────────────


@blueprint.post("/conversations/<int:conversation_id>/recipients")
@allow(Permission.HANDLE_CASES)
def address(conversation_id: int) -> ResponseReturnValue:
    """Another address, a copy more or less; what was written so far stays with it."""
    conversation, words = _conversation(conversation_id), forms.words()
    given, everybody = request.form, addressing(session, conversation).others
    try:
        more = (*forms.added(), *(everybody if "all" in given else ()))
    except Problem as problem:
        more = ()
        blame(sentence(problem), getattr(problem, "field", ""))
    cc = tuple(one for one in (*words.cc, *more) if one.external_id != given.get("drop"))
    words = replace(words, to=given.get("use", words.to), cc=cc)
    actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=actor().id, at=now())
    return _back(conversation, "reply")


@blueprint.post("/conversations/<int:conversation_id>/files")
@allow(Permission.HANDLE_CASES)
def enclose(conversation_id: int) -> ResponseReturnValue:
    """Put files to what is being written; what does not fit is named, and the rest stays."""
    conversation, words = _conversation(conversation_id), forms.words()
    try:
        _enclose(conversation, words)
    except Problem as problem:
        blame(sentence(problem), getattr(problem, "field", ""))
    return _back(conversation, "reply")


@blueprint.post("/enclosures/<int:enclosure_id>/remove")
@allow(Permission.HANDLE_CASES)
def remove_file(enclosure_id: int) -> ResponseReturnValue:
    """Take a file off one's own draft; what was written meanwhile stays."""
    found, draft = enclosures.own(session, enclosure_id, actor().id)
    conversation = _conversation(draft.conversation_id)
    enclosures.remove(session, found)
    if "seen_message_id" in request.form:
        words = forms.words()
        actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=actor().id, at=now())
    return _back(conversation, "reply")


@blueprint.post("/conversations/<int:conversation_id>/preview")
@allow(Permission.HANDLE_CASES)
def look(conversation_id: int) -> ResponseReturnValue:
    """Keep what is written, and show it as it will go out."""
    conversation, words = _conversation(conversation_id), forms.words()
    draft = actions.save_draft(session, conversation, mode=Mode.REPLY, words=words, by=actor().id, at=now())
    if draft is None:
        blame(gettext("Write your reply first."), "text")
        return _back(conversation, "reply")
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
    here = _page_of(conversation)
    return render_template("replies/preview.html", title=title, desk=desk, draft=draft, subject=subject, here=here)


# ── Writing first ─────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/write")
@allow(Permission.HANDLE_CASES)
def write() -> ResponseReturnValue:
    """A message to somebody who has not written, or has: whom, from where, about what."""
    return _write_page(FirstForm(formdata=None, to=_address_of(request.args.get("person", type=int))))


@blueprint.post("/write")
@allow(Permission.HANDLE_CASES)
def begin() -> ResponseReturnValue:
    """Open a case for it; the message itself is written there, as any other."""
    form, accounts = FirstForm(), _senders(_here())
    form.offer(accounts)
    if form.validate():
        with form.blaming():
            account = next(one for one in accounts if one.id == form.account.data)
            office, subject = rules(session, account.office_id), form.subject.data or ""
            conversation = beginning.write_first(
                session, office, account, to=form.party(), subject=subject, by=actor().id, at=now()
            )
            return redirect(f"{_page_of(conversation)}#reply", 303)
    return _write_page(form), 422


@blueprint.get("/cases/<int:case_id>/forward")
@allow(Permission.HANDLE_CASES)
def forward(case_id: int) -> ResponseReturnValue:
    """Choose what of a case goes to an officer or another representative: the newest message, until told otherwise."""
    case = cases.case(session, case_id, offices())
    newest = queries.newest_of_theirs(queries.told(session, case.id))
    ticked = [newest.message.id] if newest else []
    subject = f"{case.subject} ({case.reference})"
    return _forward_page(case, ReferralForm(formdata=None, subject=subject, messages=ticked))


@blueprint.post("/cases/<int:case_id>/forward")
@allow(Permission.HANDLE_CASES)
def refer(case_id: int) -> ResponseReturnValue:
    """Put what was ticked into a draft to them; nothing goes out before somebody sends it."""
    case, form = cases.case(session, case_id, offices(), to_change=True), ReferralForm()
    accounts, told = _senders({case.office_id}), queries.told(session, case.id)
    form.offer(accounts)
    form.offer_told(told)
    if form.validate():
        with form.blaming():
            account = next(one for one in accounts if one.id == form.account.data)
            referral = form.referral(told)
            conversation = beginning.refer(session, case, account, referral, by=actor().id, at=now())
            return redirect(f"{_page_of(conversation)}#reply", 303)
    return _forward_page(case, form), 422


# ── What they share ───────────────────────────────────────────────────────────────────────────────────────────────


def _conversation(conversation_id: int) -> Conversation:
    """The conversation; whoever writes in it has read its case."""
    conversation = queries.conversation(session, conversation_id, offices())
    case = cases.case(session, conversation.case_id, offices(), to_change=True)
    if case.is_unread:
        case_actions.read(session, case, by=actor().id)
    return conversation


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


def _here() -> frozenset[int]:
    """The office that was chosen in the switcher, else all in which whoever asks answers."""
    chosen = current_office()
    return frozenset({chosen}) if chosen is not None else offices()


def _senders(of: Collection[int]) -> list[Account]:
    channels = [slug for slug, connector in deployment().connectors.items() if connector.manifest.writes_first]
    return beginning.senders(session, of, channels)


def _address_of(person_id: int | None) -> str:
    """Where somebody is written to first: the address they were first seen with."""
    if person_id is None:
        return ""
    person = finding.person(session, offices(), person_id)
    return queries.address_of(session, person, [one.channel for one in _senders({person.office_id})])


def _write_page(form: FirstForm) -> str:
    typed, accounts = request.args.get("q", "").strip(), _senders(_here())
    form.offer(accounts)
    return render_template(
        "replies/write.html",
        title=gettext("New message"),
        form=form,
        has_accounts=bool(accounts),
        typed=typed,
        found=finding.alike(session, _here(), typed),
    )


def _forward_page(case: Case, form: ReferralForm) -> str:
    told, accounts = queries.told(session, case.id), _senders({case.office_id})
    form.offer(accounts)
    form.offer_told(told)
    title = gettext("Forward %(reference)s", reference=case.reference)
    return render_template(
        "replies/forward.html", title=title, form=form, case=case, told=told, has_accounts=bool(accounts)
    )


def _of(reply: Reply) -> Conversation:
    return queries.conversation(session, reply.conversation_id, offices())


def _back(conversation: Conversation, anchor: str = "") -> ResponseReturnValue:
    """The page that the button stood on, else the conversation; at the composer where there is something to mend."""
    given = request.form.get("back", "")
    href = local(given) if given else _page_of(conversation)
    return redirect(f"{href.partition('#')[0]}#{anchor}" if anchor else href, 303)


def _page_of(conversation: Conversation) -> str:
    return url_for("pages.case", case_id=conversation.case_id, conversation=conversation.id)
