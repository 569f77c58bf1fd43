"""What people who sign in are asked."""

from __future__ import annotations

from flask_babel import lazy_gettext as _
from wtforms import BooleanField, EmailField, PasswordField, RadioField, SelectField, StringField
from wtforms.validators import DataRequired, Length

from app.staff.models import Role
from app.staff.present import ROLE_WORDS
from app.web.forms import Form, choices

_LONGEST = Length(max=1024)


class SignInForm(Form):
    """The first page anybody sees."""

    email = EmailField(_("Email address"), [DataRequired(_("Type your email address.")), _LONGEST])
    password = PasswordField(_("Password"), [DataRequired(_("Type your password.")), _LONGEST])


class CodeForm(Form):
    """The second step."""

    code = StringField(_("Code"), [DataRequired(_("Type the code.")), Length(max=40)])


class ConfirmForm(Form):
    """The password once more, before something that matters."""

    password = PasswordField(_("Password"), [DataRequired(_("Type your password.")), _LONGEST])


class ForgottenForm(Form):
    """Where to send a reset link."""

    email = EmailField(_("Email address"), [DataRequired(_("Type your email address.")), _LONGEST])


class NewPasswordForm(Form):
    """A password of one's own, by a link. Typed once: the field can show it, and a reset is a minute away."""

    password = PasswordField(_("New password"), [DataRequired(_("Choose a password.")), _LONGEST])


class HabitsForm(Form):
    """What somebody likes."""

    name = StringField(_("Your name"), [DataRequired(_("Give the name that colleagues will see.")), Length(max=120)])
    language = RadioField(_("Language"), choices=choices(("en", "English"), ("cy", "Cymraeg")))
    theme = RadioField(
        _("Colours"), choices=choices(("auto", _("As my device says")), ("light", _("Light")), ("dark", _("Dark")))
    )
    single_keys = BooleanField(_("Single keys act on messages: J for the next one, R to reply"))


class InviteForm(Form):
    """Somebody new in an office."""

    name = StringField(_("Name"), [DataRequired(_("Give the name that colleagues will see.")), Length(max=120)])
    email = EmailField(_("Email address"), [DataRequired(_("Type their email address.")), Length(max=254)])
    role = SelectField(
        _("What they do"),
        choices=choices(*((role.value, ROLE_WORDS[role]) for role in Role)),
        default=Role.CASEWORKER.value,
    )


class RoleForm(Form):
    """Another role."""

    role = SelectField(_("Role"), choices=choices(*((role.value, ROLE_WORDS[role]) for role in Role)))
