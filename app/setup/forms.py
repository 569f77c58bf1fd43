"""What the first run asks."""

from __future__ import annotations

from flask_babel import lazy_gettext as _
from wtforms import EmailField, PasswordField, RadioField, StringField
from wtforms.validators import DataRequired, Length

from app.deadlines.holidays import Nation
from app.office.forms import NATION_CHOICES, HoursForm, PledgeForm
from app.web.forms import Form, choices

COUNCILLOR, CASEWORKER, NEITHER = "councillor", "caseworker", "neither"


class BeginForm(Form):
    """Who looks after this install, and the first office."""

    code = StringField(_("Set-up code"), [Length(max=40)])
    name = StringField(_("Your name"), [DataRequired(_("Give your name.")), Length(max=120)])
    email = EmailField(_("Your email address"), [DataRequired(_("Type your email address.")), Length(max=254)])
    password = PasswordField(_("A password"), [DataRequired(_("Choose a password.")), Length(max=1024)])
    what = RadioField(
        _("You are"),
        choices=choices(
            (COUNCILLOR, _("the councillor")),
            (CASEWORKER, _("a caseworker of the councillor")),
            (NEITHER, _("somebody who looks after Postbag and sees no casework")),
        ),
        default=COUNCILLOR,
    )
    office = StringField(_("Name of the councillor"), [DataRequired(_("Give the office a name.")), Length(max=120)])
    place = StringField(_("Ward and council"), [Length(max=160)])
    nation = RadioField(_("Bank holidays of"), choices=NATION_CHOICES, default=Nation.ENGLAND_AND_WALES.value)
    prefix = StringField(_("Letters for references"), [DataRequired(_("Two to four letters, such as MA."))])


class ReplyTimesForm(HoursForm, PledgeForm):
    """What residents are promised, and when the office may be disturbed."""
