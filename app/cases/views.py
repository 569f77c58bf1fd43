"""The verbs of a case: each changes it, then shows where it came from, what happened and how to take it back."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext

from app.cases import actions, forms, queries
from app.cases.models import Case, DecisionKind, Outcome
from app.clock import now
from app.deadlines.obligations import Emergency
from app.errors import Conflict, Invalid
from app.web.guard import Permission, actor, allow, local, offices
from app.web.session import session
from app.web.telling import tell

blueprint = Blueprint("cases", __name__)


# ── Who has it ────────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.post("/cases/<int:case_id>/take")
@allow(Permission.HANDLE_CASES)
def take(case_id: int) -> ResponseReturnValue:
    """Whoever asks has it from now on."""
    case = _case(case_id)
    undo = _put_back(case)
    actions.take(session, case, by=actor().id)
    _say(gettext("%(reference)s is with you now.", reference=case.reference), undo)
    return _back(case_id)


@blueprint.post("/cases/<int:case_id>/assign")
@allow(Permission.HANDLE_CASES)
def assign(case_id: int) -> ResponseReturnValue:
    """Give it to a colleague."""
    case = _case(case_id)
    undo = _put_back(case)
    to = forms.whole("to")
    actions.assign(session, case, to=to, by=actor().id)
    name = next(one.name for one in queries.colleagues(session, case.office_id) if one.id == to)
    _say(gettext("%(reference)s is with %(name)s now.", reference=case.reference, name=name), undo)
    return _back(case_id)


@blueprint.post("/cases/<int:case_id>/hand-back")
@allow(Permission.HANDLE_CASES)
def hand_back(case_id: int) -> ResponseReturnValue:
    """Put it back among what nobody has, with a word to whoever takes it next."""
    case = _case(case_id)
    undo = _put_back(case)
    actions.hand_back(session, case, reason=forms.text("reason"), by=actor().id, at=now())
    _say(gettext("%(reference)s is unassigned again. Your reason stands as a note.", reference=case.reference), undo)
    return _back(case_id)


# ── How it ends, and begins again ─────────────────────────────────────────────────────────────────────────────────


@blueprint.post("/cases/<int:case_id>/decide")
@allow(Permission.HANDLE_CASES)
def decide(case_id: int) -> ResponseReturnValue:
    """Nothing will be answered, and why."""
    case = _case(case_id)
    kind, reason = forms.choice("kind", DecisionKind), forms.text("reason")
    decision = actions.decide(session, case, kind=kind, reason=reason, by=actor().id, at=now())
    undo = url_for("cases.undo_decision", decision_id=decision.id)
    _say(gettext("%(reference)s is done: nothing is owed on it.", reference=case.reference), (undo, {}))
    return _onward(case_id)


@blueprint.post("/decisions/<int:decision_id>/undo")
@allow(Permission.HANDLE_CASES)
def undo_decision(decision_id: int) -> ResponseReturnValue:
    """Take a decision back."""
    decision = queries.decision(session, decision_id, offices())
    case = actions.undo_decision(session, decision, by=actor().id, at=now())
    _say(gettext("%(reference)s is open again, due when it was before.", reference=case.reference))
    return _back(case.id)


@blueprint.post("/cases/<int:case_id>/close")
@allow(Permission.HANDLE_CASES)
def close(case_id: int) -> ResponseReturnValue:
    """Finish it."""
    case = _case(case_id)
    actions.close(session, case, outcome=forms.choice("outcome", Outcome), by=actor().id, at=now())
    undo = url_for("cases.reopen", case_id=case_id)
    _say(gettext("%(reference)s is closed.", reference=case.reference), (undo, {}))
    return _onward(case_id)


@blueprint.post("/cases/<int:case_id>/reopen")
@allow(Permission.HANDLE_CASES)
def reopen(case_id: int) -> ResponseReturnValue:
    """Open it again."""
    case = _case(case_id)
    actions.reopen(session, case, by=actor().id)
    _say(gettext("%(reference)s is open again.", reference=case.reference))
    return _back(case_id)


# ── Its dates ─────────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.post("/cases/<int:case_id>/emergency")
@allow(Permission.HANDLE_CASES)
def emergency(case_id: int) -> ResponseReturnValue:
    """To the top, within the hour."""
    case = _case(case_id)
    since = case.last_inbound_at or now()
    actions.flag_emergency(session, case, kind=forms.choice("kind", Emergency), since=since, by=actor().id)
    undo = url_for("cases.stand_down", case_id=case_id)
    _say(gettext("%(reference)s stands at the top of every list.", reference=case.reference), (undo, {}))
    return _back(case_id)


@blueprint.post("/cases/<int:case_id>/stand-down")
@allow(Permission.HANDLE_CASES)
def stand_down(case_id: int) -> ResponseReturnValue:
    """No emergency, or no longer."""
    case = _case(case_id)
    actions.stand_down(session, case, by=actor().id)
    _say(gettext("%(reference)s is no emergency: its usual date counts again.", reference=case.reference))
    return _back(case_id)


@blueprint.post("/cases/<int:case_id>/deadline")
@allow(Permission.HANDLE_CASES)
def deadline(case_id: int) -> ResponseReturnValue:
    """A date that others have set: an appeal, a hearing, a newspaper's hour."""
    case = _case(case_id)
    at, what = forms.moment("on", "at"), forms.text("what")
    actions.set_external_deadline(session, case, deadline_at=at, what=what, by=actor().id)
    _say(gettext("The deadline was kept.") if at else gettext("The deadline was taken away."))
    return _back(case_id)


@blueprint.post("/cases/<int:case_id>/promise")
@allow(Permission.HANDLE_CASES)
def promise(case_id: int) -> ResponseReturnValue:
    """Another day by which it will be answered. The pledge's own date stays in the reports."""
    case = _case(case_id)
    on, reason = forms.day("promised_on"), forms.text("reason")
    actions.promise(session, case, promised_on=on, reason=reason, by=actor().id, at=now())
    _say(gettext("The date was changed.") if on else gettext("The pledge's own date counts again."))
    return _back(case_id)


# ── Small things ──────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.post("/cases/<int:case_id>/topic")
@allow(Permission.HANDLE_CASES)
def topic(case_id: int) -> ResponseReturnValue:
    """What it is about, in the office's own word."""
    case = _case(case_id)
    before = case.topic
    actions.set_topic(session, case, topic=forms.text("topic"), by=actor().id)
    _say(gettext("The topic was changed."), (url_for("cases.topic", case_id=case_id), {"topic": before}))
    return _back(case_id)


@blueprint.post("/cases/<int:case_id>/note")
@allow(Permission.HANDLE_CASES)
def note(case_id: int) -> ResponseReturnValue:
    """Words of the office to itself."""
    case = _case(case_id)
    actions.write_note(session, case, text=forms.text("text"), by=actor().id, at=now())
    _say(gettext("Your note was kept. It was not sent to anyone."))
    return _back(case_id)


@blueprint.post("/cases/<int:case_id>/read")
@allow(Permission.HANDLE_CASES)
def read(case_id: int) -> ResponseReturnValue:
    """Somebody has looked at it."""
    _case(case_id)
    return _back(case_id)


@blueprint.post("/cases/<int:case_id>/unread")
@allow(Permission.HANDLE_CASES)
def unread(case_id: int) -> ResponseReturnValue:
    """As if nobody had looked."""
    case = queries.case(session, case_id, offices(), to_change=True)
    actions.mark_unread(session, case, by=actor().id)
    _say(gettext("%(reference)s is marked as unread.", reference=case.reference))
    return redirect(local(request.form.get("back", "/")), 303)


# ── Many at once ──────────────────────────────────────────────────────────────────────────────────────────────────


@blueprint.post("/cases/bulk")
@allow(Permission.HANDLE_CASES)
def bulk() -> ResponseReturnValue:
    """What a button under the list does with the ticked rows."""
    cases = [queries.case(session, case_id, offices(), to_change=True) for case_id in sorted(forms.ticked())]
    _MANY.get(request.form.get("do", ""), _nothing)(cases)
    return redirect(local(request.form.get("back", "/")), 303)


@blueprint.post("/cases/put-back")
@allow(Permission.HANDLE_CASES)
def put_back() -> ResponseReturnValue:
    """Undo a change of owners: everybody has again what they had."""
    for case_id, kind, holder in sorted(forms.holders()):
        case = queries.case(session, case_id, offices(), to_change=True)
        if kind == "q":
            actions.release(session, case, queue_id=holder, by=actor().id)
        else:
            actions.assign(session, case, to=holder, by=actor().id)
    _say(gettext("Everything is with whom it was before."))
    return redirect(local(request.form.get("back", "/")), 303)


def _take_many(cases: list[Case]) -> None:
    _give(cases, actor().id)


def _assign_many(cases: list[Case]) -> None:
    _give(cases, forms.whole("to"))


def _give(cases: list[Case], to: int) -> None:
    undo = _put_back(*cases)
    for case in cases:
        actions.assign(session, case, to=to, by=actor().id)
    _say(ngettext("%(num)d message was handed over.", "%(num)d messages were handed over.", len(cases)), undo)


def _read_many(cases: list[Case]) -> None:
    for case in cases:
        actions.read(session, case, by=actor().id)
    _say(ngettext("%(num)d message is marked as read.", "%(num)d messages are marked as read.", len(cases)))


def _close_many(cases: list[Case]) -> None:
    """Close those on which nothing is owed; of the others it is said that they stay."""
    closed, owing = queries.parted(session, cases)
    for case in closed:
        actions.close(session, case, outcome=Outcome.RESOLVED, by=actor().id, at=now())
    if closed:
        _say(ngettext("%(num)d case was closed.", "%(num)d cases were closed.", len(closed)))
    if owing:
        said = ngettext(
            "%(num)d is still owed an answer and stays open. Answer it, or open it and say why none is needed.",
            "%(num)d are still owed an answer and stay open. Answer them, or open each and say why none is needed.",
            len(owing),
        )
        flash(said, "warn")


def _nothing(_cases: list[Case]) -> None:
    raise Invalid("Choose what to do with the messages you ticked.", field="do")


_MANY = {"take": _take_many, "assign": _assign_many, "read": _read_many, "close": _close_many}


# ── What they share ───────────────────────────────────────────────────────────────────────────────────────────────


def _case(case_id: int) -> Case:
    """The case, held; whoever does something with it has read it."""
    case = queries.case(session, case_id, offices(), to_change=True)
    if case.is_unread:
        actions.read(session, case, by=actor().id)
    return case


def _put_back(*cases: Case) -> tuple[str, dict[str, str]]:
    """Where and with what a change of owners is undone."""
    return url_for("cases.put_back"), {"before": " ".join(_holding(cases))}


def _holding(cases: Iterable[Case]) -> Iterable[str]:
    for case in cases:
        if case.owner_id is None and case.queue_id is None:
            raise Conflict("This case is with nobody and in no queue.")
        yield f"{case.id}:u{case.owner_id}" if case.owner_id is not None else f"{case.id}:q{case.queue_id}"


def _say(words: str, undo: tuple[str, dict[str, str]] | None = None) -> None:
    """What happened, for the next page, and how to take it back."""
    href, fields = undo or ("", {})
    back = request.form.get("back", "")
    tell(words, undo=href, fields=fields | ({"back": back} if back else {}))


def _back(case_id: int) -> ResponseReturnValue:
    """The page that the button stood on, else the case."""
    given = request.form.get("back", "")
    return redirect(local(given) if given else url_for("pages.case", case_id=case_id), 303)


def _onward(case_id: int) -> ResponseReturnValue:
    """The next case of the list, where there is one; else the page that the button stood on."""
    given = request.form.get("then", "")
    return redirect(local(given), 303) if given else _back(case_id)
