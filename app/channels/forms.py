"""The settings of an account as a form, made from what its channel says it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from flask_babel import gettext, lazy_gettext
from wtforms import DateField, Field, PasswordField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields import EmailField
from wtforms.validators import Optional

from app.channels.actions import usual_since
from app.channels.models import Capacity
from app.errors import Invalid
from app.web.forms import Form, choices
from connectors import Field as Asked
from connectors import FieldKind, Manifest

LONDON = ZoneInfo("Europe/London")


class AccountForm(Form):
    """What every account is asked beside its channel's own fields, which ``form_for`` adds under ``asked_``.

    ``asked`` are the latter, as an account of this ``kind`` has them; the kind itself is chosen before, not here.
    """

    kind: ClassVar[str]
    asked: ClassVar[tuple[Asked, ...]]
    office = SelectField(lazy_gettext("Office"), coerce=int)
    capacity = SelectField(
        lazy_gettext("In which role this account speaks"),
        choices=choices(
            (Capacity.COUNCILLOR.value, lazy_gettext("As a councillor")),
            (Capacity.COUNCIL.value, lazy_gettext("For the council")),
            (Capacity.PARTY.value, lazy_gettext("For the party")),
        ),
    )
    since = RadioField(
        lazy_gettext("How far back to fetch"),
        choices=choices(
            ("usual", lazy_gettext("The last 14 days")),
            ("day", lazy_gettext("Since a day")),
            ("all", lazy_gettext("Everything there is")),
        ),
        default="usual",
    )
    since_on = DateField(lazy_gettext("Since"), validators=[Optional()])

    def since_at(self, at: datetime) -> datetime | None:
        """The moment before which nothing is wanted, ``None`` for everything; raises Invalid without the day."""
        if self.since.data == "all":
            return None
        if self.since.data == "day":
            if self.since_on.data is None:
                raise Invalid("Write the day from which on to fetch.", field="since_on")
            return datetime.combine(self.since_on.data, time.min, LONDON)
        return usual_since(at)

    def answers(self, manifest: Manifest) -> dict[str, str]:
        """What was typed into the channel's own fields, by their keys, and the kind of the account."""
        typed = {one.key: str(self[f"asked_{one.key}"].data or "") for one in self.asked}
        return {**typed, manifest.kind_field: self.kind} if manifest.kind_field else typed

    def blame(self, problem: Invalid) -> None:
        """Put a problem of a channel's own field beside it."""
        if f"asked_{problem.field}" in self:
            problem.field = f"asked_{problem.field}"
        super().blame(problem)


def form_for(manifest: Manifest, kind: str, *, keeps_secrets: bool = False) -> type[AccountForm]:
    """The form of a channel's accounts of that kind. ``keeps_secrets``: a secret that is left empty stays as it was."""
    asked = tuple(one for one in manifest.asked(kind) if one.key != manifest.kind_field)
    own = {f"asked_{one.key}": _field(one, keeps_secrets=keeps_secrets) for one in asked}
    return type("ChannelForm", (AccountForm,), {"kind": kind, "asked": asked, **own})


def options(options: Mapping[str, Any]) -> dict[str, Any]:
    """An account's settings as the form's starting values; secrets are never shown again."""
    return {f"asked_{key}": value for key, value in options.items()}


def parts(form: AccountForm) -> tuple[Sequence[Field], Sequence[Field]]:
    """The channel's fields in two: those everybody fills in, and those that mostly stay as they are."""
    usual = [form[f"asked_{one.key}"] for one in form.asked if not one.advanced]
    rare = [form[f"asked_{one.key}"] for one in form.asked if one.advanced]
    return usual, rare


def _field(asked: Asked, *, keeps_secrets: bool) -> Field:
    is_needed = asked.required and not (keeps_secrets and asked.kind is FieldKind.SECRET)
    settings: dict[str, Any] = {
        "label": asked.label if is_needed else gettext("%(label)s (optional)", label=asked.label),
        "description": _hint(asked, keeps_secrets=keeps_secrets),
        "default": asked.default,
    }
    match asked.kind:
        case FieldKind.SECRET:
            return PasswordField(**settings)
        case FieldKind.EMAIL:
            return EmailField(**settings)
        case FieldKind.LIST:
            return TextAreaField(**settings)
        case FieldKind.CHOICE:
            empty = [] if asked.required or asked.default else [("", gettext("As usual"))]
            return SelectField(**settings, choices=choices(*empty, *asked.choices), validate_choice=False)
        case _:
            return StringField(**settings)


def _hint(asked: Asked, *, keeps_secrets: bool) -> str:
    if keeps_secrets and asked.kind is FieldKind.SECRET:
        return str(gettext("Leave it empty to keep the one that is there."))
    return asked.help
