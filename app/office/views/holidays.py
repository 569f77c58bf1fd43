"""The bank holidays that all offices keep: reading a newer list, correcting one day. For administrators."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from app.clock import now
from app.deadlines.calendar import local_date
from app.deadlines.holidays import Changes, Nation
from app.errors import Invalid
from app.office import actions, queries
from app.office.forms import NATIONS, CorrectionForm, HolidaysForm
from app.office.views.blueprint import blueprint
from app.web.filters import day
from app.web.guard import Permission, actor, allow
from app.web.session import session


@blueprint.get("/administration/holidays")
@allow(Permission.ADMINISTER)
def holidays() -> ResponseReturnValue:
    """What counts as a bank holiday."""
    return _page(HolidaysForm(formdata=None), CorrectionForm(formdata=None))


@blueprint.post("/administration/holidays")
@allow(Permission.ADMINISTER)
def read_holidays() -> ResponseReturnValue:
    """Read a published list in."""
    form = HolidaysForm()
    if form.validate():
        with form.blaming():
            changes = actions.read_holidays(
                session,
                _text(form.file.data.read()),
                nation=Nation(form.nation.data) if form.nation.data else None,
                remove=form.remove.data,
                by=actor().id,
                at=now(),
            )
            _tell(changes, removed=form.remove.data)
            return redirect(url_for(".holidays"), 303)
    return _page(form, CorrectionForm(formdata=None)), 422


@blueprint.post("/administration/holidays/days")
@allow(Permission.ADMINISTER)
def correct() -> ResponseReturnValue:
    """Add one day, or take one away."""
    form = CorrectionForm()
    if form.validate():
        with form.blaming():
            actions.correct_holiday(
                session,
                nation=Nation(form.correction_nation.data),
                day_on=form.day(),
                name=form.holiday_name.data or "",
                is_holiday=form.is_holiday.data == "yes",
                by=actor().id,
            )
            flash(gettext("Saved. Dates of what is open are worked out again now."), "good")
            return redirect(url_for(".holidays"), 303)
    return _page(HolidaysForm(formdata=None), form), 422


@blueprint.post("/administration/holidays/days/<int:holiday_id>/forget")
@allow(Permission.ADMINISTER)
def forget(holiday_id: int) -> ResponseReturnValue:
    """Go back to the list that ships, for one day."""
    actions.forget_correction(session, holiday_id, by=actor().id)
    flash(gettext("Removed. Dates of what is open are worked out again now."), "good")
    return redirect(url_for(".holidays"), 303)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid("This is not a text file.", field="file") from error


def _tell(changes: dict[Nation, Changes], *, removed: bool) -> None:
    """Say for each nation how far the list reaches, what it added, and what it lacks."""
    for nation, changed in changes.items():
        added = ", ".join(day(holiday.on) for holiday in changed.added) or gettext("nothing")
        said = gettext(
            "%(nation)s: known until %(until)s. Added: %(added)s.",
            nation=NATIONS[nation],
            until=day(changed.known_until),
            added=added,
        )
        flash(said, "good")
        if changed.removed and not removed:
            lacked = ", ".join(day(holiday.on) for holiday in changed.removed)
            flash(
                gettext(
                    "%(nation)s: the file does not name %(lacked)s. These days stay.",
                    nation=NATIONS[nation],
                    lacked=lacked,
                ),
                "warn",
            )


def _page(form: HolidaysForm, correction: CorrectionForm) -> str:
    return render_template(
        "office/holidays.html",
        title=gettext("Bank holidays"),
        form=form,
        correction=correction,
        nations=[
            (str(words), queries.coming_holidays(session, nation, local_date(now())))
            for nation, words in NATIONS.items()
        ],
        corrections=[(str(NATIONS[one.nation]), one) for one in queries.corrections(session)],
    )
