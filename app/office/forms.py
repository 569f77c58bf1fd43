"""What an office is asked about itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import cast

from flask_babel import lazy_gettext as _
from flask_wtf.file import FileField, FileRequired, FileSize
from wtforms import (
    BooleanField,
    DateField,
    IntegerField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange

from app.deadlines.holidays import Nation
from app.office.actions import MOST_DAYS, MOST_UNDO_SECONDS, Details, Hours, Terms
from app.office.models import Office, Pledge, Track
from app.web.forms import Form, choices

NATIONS = {
    Nation.ENGLAND_AND_WALES: _("England and Wales"),
    Nation.SCOTLAND: _("Scotland"),
    Nation.NORTHERN_IRELAND: _("Northern Ireland"),
}
NATION_CHOICES = choices(*((nation.value, words) for nation, words in NATIONS.items()))
ROLES = ("councillor", "council", "party", "private")  # in which an account speaks
_A_NUMBER = InputRequired(_("Give a number."))
_A_TIME = InputRequired(_("Give a time, such as 07:00."))
_LARGEST_LIST = 2 * 1024 * 1024


class NewOfficeForm(Form):
    """Another office of the install."""

    name = StringField(_("Name of the councillor"), [DataRequired(_("Give the office a name.")), Length(max=120)])
    place = StringField(_("Ward and council"), [Length(max=160)])
    nation = RadioField(_("Bank holidays of"), choices=NATION_CHOICES, default=Nation.ENGLAND_AND_WALES.value)
    prefix = StringField(_("Letters for references"), [DataRequired(_("Two to four letters, such as MA."))])


class HoursForm(Form):
    """When the office may be disturbed."""

    waking_from = TimeField(_("Warnings from"), [_A_TIME])
    waking_until = TimeField(_("until"), [_A_TIME])

    def hours(self) -> Hours:
        """What was typed, for ``actions.set_hours``."""
        return Hours(waking_from=cast("time", self.waking_from.data), waking_until=cast("time", self.waking_until.data))


class DetailsForm(HoursForm):
    """The settings of an office."""

    name = StringField(_("Name of the councillor"), [DataRequired(_("Give the office a name.")), Length(max=120)])
    place = StringField(_("Ward and council"), [Length(max=160)])
    nation = RadioField(_("Bank holidays of"), choices=NATION_CHOICES)
    undo_seconds = IntegerField(_("Time to undo a reply"), [_A_NUMBER, NumberRange(0, MOST_UNDO_SECONDS)])
    signature_councillor = TextAreaField(_("As a councillor"), [Length(max=2000)])
    signature_council = TextAreaField(_("For the council"), [Length(max=2000)])
    signature_party = TextAreaField(_("For the party"), [Length(max=2000)])
    signature_private = TextAreaField(_("Privately"), [Length(max=2000)])
    house_rules = TextAreaField(_("House rules for your pages"), [Length(max=10_000)])
    retention_months = IntegerField(_("Keep closed cases for"), [_A_NUMBER, NumberRange(1, 240)])

    def details(self) -> Details:
        """What was typed, for ``actions.change``."""
        return Details(
            name=self.name.data or "",
            place=self.place.data or "",
            nation=Nation(self.nation.data),
            undo_seconds=self.undo_seconds.data or 0,
            signatures={role: self[f"signature_{role}"].data or "" for role in ROLES},
            house_rules=self.house_rules.data or "",
            retention_months=self.retention_months.data or 0,
            hours=self.hours(),
        )

    @classmethod
    def of(cls, office: Office) -> DetailsForm:
        """Filled with what stands."""
        signatures = {f"signature_{role}": office.signatures.get(role, "") for role in ROLES}
        return cls(formdata=None, obj=office, nation=office.nation.value, **signatures)


class PledgeForm(Form):
    """What is promised, in working days, for each kind of message."""

    public_acknowledge_days = IntegerField(_("Acknowledge within"), [_A_NUMBER, NumberRange(0, MOST_DAYS)])
    public_answer_days = IntegerField(_("Answer within"), [_A_NUMBER, NumberRange(1, MOST_DAYS)])
    direct_acknowledge_days = IntegerField(_("Acknowledge within"), [_A_NUMBER, NumberRange(0, MOST_DAYS)])
    direct_answer_days = IntegerField(_("Answer within"), [_A_NUMBER, NumberRange(1, MOST_DAYS)])
    other_acknowledge_days = IntegerField(_("Acknowledge within"), [_A_NUMBER, NumberRange(0, MOST_DAYS)])
    other_answer_days = IntegerField(_("Answer within"), [_A_NUMBER, NumberRange(1, MOST_DAYS)])

    def terms(self) -> Mapping[Track, Terms]:
        """What was typed, for ``actions.promise``."""
        return {
            track: Terms(
                acknowledge_days=self[f"{track.value}_acknowledge_days"].data,
                answer_days=self[f"{track.value}_answer_days"].data,
            )
            for track in Track
        }

    @classmethod
    def of(cls, pledges: Iterable[Pledge]) -> PledgeForm:
        """Filled with what is promised now."""
        return cls(formdata=None, **cls.days_of(pledges))

    @staticmethod
    def days_of(pledges: Iterable[Pledge]) -> dict[str, int]:
        """What is promised now, by field."""
        days = {}
        for pledge in pledges:
            days[f"{pledge.kind.value}_acknowledge_days"] = pledge.acknowledge_days
            days[f"{pledge.kind.value}_answer_days"] = pledge.answer_days
        return days


class ClosureForm(Form):
    """Days on which the office does not work; ``days`` once it is valid."""

    first_on = DateField(_("First day"), [InputRequired(_("Give the first day."))])
    last_on = DateField(_("Last day"), [InputRequired(_("Give the last day."))])
    closure_name = StringField(_("What for"), [Length(max=80)])

    def days(self) -> tuple[date, date]:
        """The first and the last day."""
        return cast("date", self.first_on.data), cast("date", self.last_on.data)


class HolidaysForm(Form):
    """A published list of bank holidays."""

    file = FileField(
        _("File"), [FileRequired(_("Choose the file.")), FileSize(_LARGEST_LIST, message=_("That file is too large."))]
    )
    nation = SelectField(
        _("Nation of a calendar file"),
        choices=[*choices(("", _("The file is the JSON of all nations"))), *NATION_CHOICES],
    )
    remove = BooleanField(_("Take away days that the file does not name"))


class CorrectionForm(Form):
    """One day, by hand."""

    correction_nation = SelectField(_("Nation"), choices=NATION_CHOICES)
    day_on = DateField(_("Day"), [InputRequired(_("Give the day."))])
    holiday_name = StringField(_("Name"), [Length(max=80)])
    is_holiday = RadioField(
        _("It is"), choices=choices(("yes", _("a bank holiday")), ("no", _("no bank holiday"))), default="yes"
    )

    def day(self) -> date:
        """The day."""
        return cast("date", self.day_on.data)
