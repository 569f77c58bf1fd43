"""Writing first: to somebody who has not written, or about a case to an officer or another representative."""

from __future__ import annotations

from collections.abc import Collection

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.cases import queries as cases
from app.cases.models import Case
from app.channels.models import Account
from app.clock import now
from app.office.queries import rules
from app.people import finding
from app.replies import beginning, queries
from app.replies.forms import FirstForm, ReferralForm
from app.replies.views.blueprint import blueprint, page_of
from app.web import deployment
from app.web.guard import Permission, actor, allow, current_office, offices
from app.web.session import session


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
            return redirect(f"{page_of(conversation)}#reply", 303)
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
            return redirect(f"{page_of(conversation)}#reply", 303)
    return _forward_page(case, form), 422


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
