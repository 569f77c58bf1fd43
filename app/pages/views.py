"""The pages that show several domains: the lists, a case, people, the audit trail, search, how we are doing."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.cases import queries as cases
from app.channels import queries as channel_queries
from app.channels.connecting import ways
from app.channels.models import State
from app.channels.signing_in import access_of
from app.clock import now
from app.errors import Missing
from app.intake import quarantine as quarantining
from app.messages import pictures, sanitise
from app.messages import queries as messages
from app.messages.models import Fetching
from app.messages.sanitise import trackers
from app.office.queries import offices as every_office
from app.pages import accounts as showing
from app.pages import casework, originals, queries, scope, words
from app.pages import live as live_answer
from app.pages import progress as progressing
from app.pages.listing import Drawer, Listing, listing, wanted
from app.pages.queries import View
from app.pages.related import related
from app.pages.rows import CasePage
from app.people.finding import alike
from app.replies import enclosures
from app.replies import queries as replies
from app.replies.models import Mode
from app.replies.queries import Desk
from app.search import queries as searching
from app.search.language import parsed
from app.web import deployment
from app.web.guard import Permission, actor, allow, current_office, offices
from app.web.session import note_read, session
from app.web.telling import tell

blueprint = Blueprint("pages", __name__)

words.install(blueprint)
blueprint.add_app_template_filter(sanitise.safe_links, "linked")


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/")
@allow(Permission.SIGNED_IN)
def home() -> ResponseReturnValue:
    """What needs a reply, soonest first; whoever reads no cases is led to the accounts."""
    if not scope.offices():
        return redirect(url_for("pages.accounts"), 303)
    return _list_page(View.NEEDS_REPLY)


@blueprint.get("/<any(overdue, today, mine, unassigned, waiting, answered, closed):view>")
@allow(Permission.READ_CASES)
def inbox(view: str) -> ResponseReturnValue:
    """One of the other lists."""
    return _list_page(View(view))


def _list_page(view: View) -> ResponseReturnValue:
    here = _listing(view)
    can_handle = scope.offices() <= actor().offices_with(Permission.HANDLE_CASES)
    return render_template(
        "pages/inbox.html",
        title=here.title,
        here=here,
        can_handle=can_handle,
        people=_choices(min(scope.offices())) if can_handle and len(scope.offices()) == 1 else [],
        badges=scope.badges(),
    )


def _choices(office_id: int, owner_id: int | None = None) -> list[casework.Choice]:
    return casework.assignable(cases.colleagues(session, office_id), owner_id=owner_id, me=actor().id)


def _listing(view: View, selected: int | None = None) -> Listing:
    """The list that the address names."""
    channels, at = scope.channels(), scope.bounds()
    asked = wanted(view, request.args, channels)
    found = queries.inbox(session, scope.offices(), asked.filter, staff_id=actor().id, at=at, after=asked.after)
    return listing(found, asked, badges=scope.badges(), at=at, channels=channels, selected=selected)


# ── A case ────────────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/cases/<int:case_id>")
@allow(Permission.READ_CASES)
def case(case_id: int) -> ResponseReturnValue:
    """A case: its thread, what can be written, what is owed."""
    args = request.args
    conversation_id, before = args.get("conversation", type=int), args.get("before", type=int)
    page = queries.case_page(session, offices(), case_id, conversation_id=conversation_id, before=before)
    if page.case.merged_into_id is not None:
        return redirect(url_for(".case", case_id=page.case.merged_into_id), 303)
    can_handle = page.case.office_id in actor().offices_with(Permission.HANDLE_CASES)
    if page.case.is_unread and can_handle and request.headers.get("Purpose") != "prefetch":
        note_read(partial(casework.read, case_id=case_id, offices=offices(), by=actor().id))
    return render_template(
        "pages/case.html",
        title=page.case.subject or gettext("(no subject)"),
        page=page,
        here=_listing(View(args.get("in", "")) if args.get("in") in set(View) else View.NEEDS_REPLY, case_id),
        clock=casework.clock(page, now()),
        composer=_composer(page) if can_handle else None,
        can_handle=can_handle,
        related=related(session, page, offices()) if can_handle else None,
        assignable=_choices(page.case.office_id, page.case.owner_id) if can_handle else [],
        me=actor().id,
    )


def _composer(page: CasePage) -> casework.Composer | None:
    mode = Mode.NOTE if request.args.get("mode") == "note" else Mode.REPLY
    channel = page.conversation.reply_channel if page.conversation else ""
    connector = deployment().connectors.get(channel)
    manifest = connector.manifest if connector else None
    desk = _desk(page.conversation.id) if page.conversation and mode is Mode.REPLY else None
    return casework.composer(page, mode=mode, staff_id=actor().id, manifest=manifest, desk=desk, at=now())


def _desk(conversation_id: int) -> Desk:
    """What stands around a reply in a conversation."""
    conversation = replies.conversation(session, conversation_id, offices())
    draft = replies.draft(session, conversation_id, actor().id, Mode.REPLY)
    return replies.desk(
        session, conversation, draft=draft, connectors=deployment().connectors, id_key=deployment().host.id_key
    )


@blueprint.get("/cases/<int:case_id>/change")
@allow(Permission.HANDLE_CASES)
def change(case_id: int) -> ResponseReturnValue:
    """What takes a word or a date: handing back, a promise, a deadline, a topic, an emergency."""
    page = queries.case_page(session, offices(), case_id, limit=1)
    title = gettext("Change %(reference)s", reference=page.case.reference)
    return render_template("cases/change.html", title=title, page=page, clock=casework.clock(page, now()))


# ── What came, as it came ─────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/files/<int:file_id>")
@allow(Permission.READ_CASES)
def file(file_id: int) -> ResponseReturnValue:
    """An attachment: to be kept, never to be shown."""
    found = messages.file(session, file_id, offices())
    return originals.attachment(found.office_id, found.sha256, found.name, found.media_type)


@blueprint.get("/enclosures/<int:enclosure_id>")
@allow(Permission.READ_CASES)
def enclosure(enclosure_id: int) -> ResponseReturnValue:
    """A file that goes with a reply, or will: to be kept, never to be shown."""
    found = enclosures.enclosure(session, enclosure_id, offices())
    return originals.attachment(found.office_id, found.sha256, found.name, found.media_type)


@blueprint.get("/messages/<int:message_id>/raw")
@allow(Permission.READ_CASES)
def raw(message_id: int) -> ResponseReturnValue:
    """A message byte for byte as the platform showed it."""
    found = messages.message(session, message_id, offices())
    office_id, sha256 = messages.original(session, found.id)
    return originals.attachment(office_id, sha256, f"message-{found.id}.eml", "application/octet-stream")


@blueprint.get("/messages/<int:message_id>/original")
@allow(Permission.READ_CASES)
def original(message_id: int) -> ResponseReturnValue:
    """The page around a message in its own dress: who sent it, and which hosts its pictures would come from."""
    found = messages.message(session, message_id, offices())
    title = gettext("The original of “%(subject)s”", subject=found.subject or gettext("(no subject)"))
    asked, counters = pictures.asked(session, found.id), trackers(found.html)
    return render_template(
        "pages/original.html",
        title=title,
        message=found,
        remote=pictures.wanted(found),
        hosts=[host for host in found.remote_hosts if host not in counters] or found.remote_hosts,
        trackers=counters,
        waiting=[one for one in asked if one.state is Fetching.WAITING],
        kept=[one for one in asked if one.state is Fetching.KEPT],
        is_asked=bool(asked),
    )


@blueprint.get("/messages/<int:message_id>/frame")
@allow(Permission.READ_CASES)
def frame(message_id: int) -> ResponseReturnValue:
    """The message itself, in a frame that runs nothing and loads nothing."""
    found = messages.message(session, message_id, offices())
    kept = [one for one in pictures.asked(session, found.id) if one.state is Fetching.KEPT]
    return originals.frame(found, messages.inline_files(session, found.id), kept)


@blueprint.post("/messages/<int:message_id>/pictures")
@allow(Permission.READ_CASES)
def show_pictures(message_id: int) -> ResponseReturnValue:
    """Have the remote pictures of a mail fetched, for all who read it."""
    found = messages.message(session, message_id, offices())
    pictures.ask(session, found, by=actor().id)
    return redirect(url_for(".original", message_id=message_id), 303)


# ── People ────────────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/people")
@allow(Permission.READ_CASES)
def people() -> ResponseReturnValue:
    """Everybody who writes, by name; or those whose name or address holds what was typed."""
    typed = request.args.get("q", "").strip()
    page = queries.people(session, scope.offices(), after=request.args.get("after", ""))
    found = alike(session, scope.offices(), typed) if typed else page.rows
    more = url_for("pages.people", after=page.next) if page.next and not typed else ""
    return render_template("people/list.html", title=gettext("People"), found=found, typed=typed, more=more)


@blueprint.get("/people/<int:person_id>")
@allow(Permission.READ_CASES)
def person(person_id: int) -> ResponseReturnValue:
    """Somebody: the names they write under, and their cases."""
    page = queries.person_page(session, offices(), person_id, after=request.args.get("after", ""))
    if page.person.merged_into_id is not None:
        return redirect(url_for("pages.person", person_id=page.person.merged_into_id), 303)
    drawer = Drawer(now(), scope.channels())
    return render_template(
        "people/person.html",
        title=page.person.name,
        page=page,
        rows=[drawer.row(one) for one in page.cases.rows],
        channels=scope.channels(),
        can_handle=page.person.office_id in actor().offices_with(Permission.HANDLE_CASES),
        more=url_for("pages.person", person_id=person_id, after=page.cases.next) if page.cases.next else "",
    )


@blueprint.get("/people/<int:person_id>/join")
@allow(Permission.HANDLE_CASES)
def join(person_id: int) -> ResponseReturnValue:
    """Choose who somebody is too: never by itself, never by a name alone."""
    page = queries.person_page(session, offices(), person_id)
    typed = request.args.get("q", "").strip()
    found = alike(session, {page.person.office_id}, typed or page.person.name)
    return render_template(
        "people/join.html",
        title=gettext("Is %(name)s somebody you know already?", name=page.person.name),
        page=page,
        typed=typed,
        alike=[one for one in found if one.id != person_id],
        channels=scope.channels(),
    )


# ── Finding, watching, counting ───────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/search")
@allow(Permission.READ_CASES)
def search() -> ResponseReturnValue:
    """Cases with a message that holds what was typed; a reference leads to its case."""
    typed, channels = request.args.get("q", "").strip(), scope.channels()
    asked = parsed(typed, channels)
    found = searching.search(session, scope.offices(), asked, after=request.args.get("after", ""))
    if found.case_id is not None:
        return redirect(url_for("pages.case", case_id=found.case_id), 303)
    title = gettext("Search: %(words)s", words=typed) if typed else gettext("Search")
    more = url_for("pages.search", q=typed, after=found.next) if found.next else ""
    return render_template(
        "search/results.html", title=title, typed=typed, asked=asked, found=found, channels=channels, more=more
    )


@blueprint.get("/audit")
@allow(Permission.VIEW_AUDIT)
def audit() -> ResponseReturnValue:
    """Who did, saw or sent what, newest first."""
    chosen = current_office()
    watched = frozenset({chosen}) if chosen is not None else offices()
    page = queries.audit_page(session, watched, after=request.args.get("after", ""))
    more = url_for("pages.audit", after=page.next) if page.next else ""
    return render_template("audit/trail.html", title=gettext("Audit trail"), page=page, more=more)


@blueprint.get("/progress")
@allow(Permission.READ_CASES)
def progress() -> ResponseReturnValue:
    """How we are doing: what is late, what is due, and how much of the last four weeks was on time."""
    since = now() - progressing.SPAN
    answers = progressing.answers(session, scope.offices(), since=since)
    return render_template(
        "pages/progress.html",
        title=gettext("How we are doing"),
        badges=scope.badges(),
        answers=answers,
        channels=scope.channels(),
        since=since,
    )


@blueprint.get("/more")
@allow(Permission.SIGNED_IN)
def more() -> ResponseReturnValue:
    """The rest of the navigation, for a phone."""
    return render_template("pages/more.html", title=gettext("More"))


@blueprint.get("/live")
@allow(Permission.READ_CASES)
def live() -> ResponseReturnValue:
    """What is new, for a page that is open."""
    return live_answer.answer(request.args.get("case", type=int))


# ── Accounts ──────────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/accounts")
@allow(Permission.VIEW_ACCOUNTS)
def accounts() -> ResponseReturnValue:
    """Where messages come from, and whether they do."""
    return render_template(
        "channels/accounts.html",
        title=gettext("Accounts"),
        cards=_cards(),
        can_add=bool(actor().offices_with(Permission.MANAGE_ACCOUNTS)),
        several=len(offices()) > 1,
    )


@blueprint.get("/accounts/<int:account_id>")
@allow(Permission.VIEW_ACCOUNTS)
def account(account_id: int) -> ResponseReturnValue:
    """One account: being tried, found good or refused, or connected with its streams."""
    card = next((one for one in _cards() if one.account.id == account_id), None)
    if card is None:
        raise Missing
    possible = ways(deployment(), card.account)
    access = access_of(session, account_id) if possible else None
    answer = make_response(
        render_template("channels/account.html", title=card.account.name, card=card, access=access, ways=possible)
    )
    if card.account.state is State.TRYING or (access is not None and access.is_moving):
        answer.headers["Refresh"] = str(showing.TRYING_AGAIN)
    return answer


def _cards() -> list[showing.Card]:
    return showing.cards(
        session,
        offices(),
        at=now(),
        names=dict(scope.channels()),
        offices_by_id={one.id: one.name for one in every_office(session)},
        manages=actor().offices_with(Permission.MANAGE_ACCOUNTS),
    )


# ── What could not be read ────────────────────────────────────────────────────────────────────────────────────────


@blueprint.get("/accounts/<int:account_id>/quarantine")
@allow(Permission.VIEW_ACCOUNTS)
def quarantine(account_id: int) -> ResponseReturnValue:
    """Items that defeated the reader: kept as they came, to be tried again."""
    account = channel_queries.one_of(session, offices(), account_id)
    items = quarantining.quarantined(session, {account.office_id})
    return render_template(
        "channels/quarantine.html",
        title=gettext("What could not be read"),
        account=account,
        items=[one for one in items if one.account_id == account.id],
        can_read=account.office_id in actor().offices_with(Permission.READ_CASES),
        can_retry=account.office_id in actor().offices_with(Permission.MANAGE_ACCOUNTS),
    )


@blueprint.post("/sightings/<int:sighting_id>/retry")
@allow(Permission.MANAGE_ACCOUNTS)
def retry(sighting_id: int) -> ResponseReturnValue:
    """Have an item read once more."""
    item = quarantining.one_of(session, offices(), sighting_id)
    quarantining.retry(session, item, by=actor().id)
    tell(gettext("It is being read again. If that fails it comes back here."))
    return redirect(url_for("pages.quarantine", account_id=item.account_id), 303)


@blueprint.get("/sightings/<int:sighting_id>/raw")
@allow(Permission.READ_CASES)
def sighting(sighting_id: int) -> ResponseReturnValue:
    """An item byte for byte."""
    item = quarantining.with_bytes(session, offices(), sighting_id)
    return originals.attachment(item.office_id, item.sha256, f"item-{item.id}.eml", "application/octet-stream")
