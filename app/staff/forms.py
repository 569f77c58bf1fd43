"""What people who sign in are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from flask import current_app
from flask_babel import lazy_gettext as _
from flask_security import (
    ChangePasswordForm,
    LoginForm,
    Security,
    TwoFactorRescueForm,
    TwoFactorSetupForm,
    TwoFactorVerifyCodeForm,
    VerifyForm,
    current_user,
)
from flask_wtf import FlaskForm
from werkzeug.local import LocalProxy
from wtforms import BooleanField, EmailField, Field, HiddenField, PasswordField, RadioField, SelectField, StringField
from wtforms.validators import DataRequired, Length

from app.clock import now
from app.errors import Invalid
from app.staff import actions, present
from app.staff.actions import Tally
from app.staff.models import Role
from app.staff.present import ROLE_WORDS
from app.staff.user import PHONE, User
from app.web.errors import sentence
from app.web.forms import Form, choices
from app.web.session import keep, session

security = cast("Security", LocalProxy(lambda: current_app.extensions["security"]))

_LONGEST = Length(max=1024)


class Counted(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """A form of Flask-Security whose tries are counted; what it says when it refuses is ours."""

    def passes(self, check: Callable[[], bool], *tallies: Tally, refusal: Invalid) -> bool:
        """Whether ``check`` lets it pass. Where not, ``refusal`` (or how long to wait) stands in place of its words."""
        keep()
        try:
            if actions.passes(session, check, *tallies, at=now()):
                return True
        except Invalid as waiting:
            refusal = waiting
        self.refuse(refusal)
        return False

    def refuse(self, problem: Invalid) -> None:
        """Say ``problem``, beside its field where it has one, and nothing else."""
        for field in self:
            field.errors = [sentence(problem)] if field.name == problem.field else []
        self.form_errors = [] if problem.field in self else [sentence(problem)]


class SignInForm(Counted, LoginForm):
    """The first page anybody sees."""

    email = EmailField(_("Email address"), [DataRequired(_("Type your email address.")), _LONGEST])
    password = PasswordField(_("Password"), [DataRequired(_("Type your password.")), _LONGEST])
    remember = submit = None  # type: ignore[assignment]  # nobody is remembered: a session ends when it is not used

    def validate_next(self, field: Field) -> None:
        """Where to go comes from the address, and the view sees to it that it is a page of our own."""

    def validate(self, **kwargs: Any) -> bool:
        """Whether the pair belongs together. Every try is written down, the same whether anybody is known."""
        if not super(LoginForm, self).validate(**kwargs):
            return False
        return self.passes(
            super().validate,
            present.address_tally(self.email.data or "", "sign_in"),
            present.machine_tally(),
            refusal=Invalid("The email address and the password do not belong together. Check both and try again."),
        )


class CodeForm(Counted, TwoFactorVerifyCodeForm):
    """The second step: a code from the phone, or at signing in a recovery code as well."""

    code = StringField(_("Code"), [DataRequired(_("Type the code.")), Length(max=40)])
    submit = None  # type: ignore[assignment]

    def validate(self, **kwargs: Any) -> bool:
        """Whether the code fits; it is used up by that. At signing in every try is written down."""
        if not super(TwoFactorVerifyCodeForm, self).validate(**kwargs):
            return False
        if not self.is_setup:
            return self.passes(
                self._fits,
                present.address_tally(cast("User", self.user).email, "code"),
                refusal=Invalid(
                    "That code does not fit. Type the one your phone shows now, or a recovery code.", field="code"
                ),
            )
        if super().validate(**kwargs):
            return True
        self.refuse(
            Invalid(
                "That code does not fit. Check the clock of your phone, and type the code it shows now.", field="code"
            )
        )
        return False

    def _fits(self) -> bool:
        actions.hold(session, cast("User", self.user).staff)
        return super().validate() or self._is_recovery_code()

    def _is_recovery_code(self) -> bool:
        """However it is written: ``ABCD ef01 2345`` for ``abcd-ef01-2345``."""
        plain = "".join(letter for letter in (self.code.data or "").lower() if letter.isalnum())
        code = "-".join(plain[place : place + 4] for place in range(0, len(plain), 4))
        codes, user = security.mf_recovery_codes_util, cast("User", self.user)
        return codes.check_recovery_code(user, code) and codes.delete_recovery_code(user, code)


class SetUpForm(TwoFactorSetupForm):
    """Setting up the second step: whoever looks at the page has chosen, as there is one kind only."""

    setup = HiddenField(default=PHONE)  # type: ignore[assignment]
    phone = submit = None  # type: ignore[assignment]

    def validate_on_submit(self, extra_validators: Any = None) -> bool:  # noqa: ARG002
        """Always."""
        return True


class RescueForm(TwoFactorRescueForm):
    """What Flask-Security would offer who lost the phone: nothing here, as ``CodeForm`` takes recovery codes."""

    help_setup = RadioField(choices=[])
    submit = None  # type: ignore[assignment]


class ConfirmForm(Counted, VerifyForm):
    """The password once more, before something that matters."""

    password = PasswordField(_("Password"), [DataRequired(_("Type your password.")), _LONGEST])
    submit = None  # type: ignore[assignment]

    def validate_next(self, field: Field) -> None:
        """As at signing in."""

    def validate(self, **kwargs: Any) -> bool:
        """Whether it is theirs. Every try is written down."""
        if not super(VerifyForm, self).validate(**kwargs):
            return False
        return self.passes(
            super().validate,
            present.address_tally(self.user.email, "sign_in"),
            refusal=Invalid("That is not your password.", field="password"),
        )


class ChangeForm(ChangePasswordForm):
    """Another password. The page before has asked for the old one, and the field can show what is typed."""

    password = new_password_confirm = submit = None  # type: ignore[assignment]
    new_password = PasswordField(_("New password"), [DataRequired(_("Choose a password.")), _LONGEST])

    def validate(self, **kwargs: Any) -> bool:
        """Whether it will do."""
        if not super(ChangePasswordForm, self).validate(**kwargs):
            return False
        wrong, kept = security.password_util.validate(self.new_password.data or "", False, user=current_user)
        self.new_password.data, self.new_password.errors = kept, wrong or []
        return wrong is None


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
