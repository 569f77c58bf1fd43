"""What the composer and the pages of writing first send, read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask import request
from flask_babel import lazy_gettext as _
from wtforms import BooleanField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.validators import DataRequired, InputRequired, Length

from app.cases import forms
from app.cases.models import Purpose
from app.channels.models import Account
from app.errors import Invalid
from app.messages.models import Partner
from app.replies.actions import Words
from app.replies.beginning import Referral
from app.replies.enclosures import Upload
from app.replies.models import Mode
from app.replies.queries import Told
from app.replies.recipients import Party, parties
from app.web.forms import Form, choices


def words() -> Words:
    """What was written; raises Invalid for a purpose or a day that is none."""
    return Words(
        text=request.form.get("text", "").replace("\r\n", "\n"),
        purpose=forms.choice("purpose", Purpose) if request.form.get("purpose") else Purpose.ANSWER,
        promised_on=forms.day("promised_on"),
        seen_message_id=forms.whole("seen_message_id"),
        stays_open=request.form.get("then") == "open",
        to=request.form.get("to", ""),
        cc=parties(request.form.getlist("cc")),
    )


def added() -> tuple[Party, ...]:
    """Whoever was typed to get a copy too; raises Invalid for what is no address."""
    return parties([request.form.get("add_cc", "")])


def uploads() -> list[Upload]:
    """The files that were chosen; a browser sends an empty part where there are none."""
    found = [one for one in request.files.getlist("file") if one.filename]
    return [Upload(one.filename or "", one.read()) for one in found]


def mode() -> Mode:
    """What is being written; raises Invalid for anything else."""
    given = request.form.get("mode", Mode.REPLY.value)
    if given not in set(Mode):
        raise Invalid("Choose one from the list.", field="mode")
    return Mode(given)


# ── Writing first ─────────────────────────────────────────────────────────────────────────────────────────────────

_ADDRESS = (DataRequired(_("Say whom it goes to.")), Length(max=320))
_SUBJECT = (DataRequired(_("Give it a subject.")), Length(max=500))


class FirstForm(Form):
    """A message to somebody who has not written."""

    account = SelectField(_("From"), coerce=int)
    to = StringField(_("To"), [*_ADDRESS])
    subject = StringField(_("Subject"), [*_SUBJECT])

    def offer(self, accounts: Iterable[Account]) -> None:
        """Let the writer choose among these accounts."""
        self.account.choices = choices(*((one.id, one.name) for one in accounts))

    def party(self) -> Party:
        """Whom it goes to; raises Invalid for what is no address, and for several."""
        found = parties([self.to.data or ""], field="to")
        if len(found) != 1:
            raise Invalid("One address here. The others can get a copy.", field="to")
        return found[0]


class ReferralForm(FirstForm):
    """What of a case is passed on, and to whom."""

    partner = RadioField(
        _("To"),
        [InputRequired(_("Choose one."))],
        choices=choices(
            (Partner.OFFICER.value, _("an officer, whose answer you wait for")),
            (Partner.REPRESENTATIVE.value, _("the representative whose matter it is")),
        ),
        default=Partner.OFFICER.value,
    )
    to = StringField(_("Their address"), [*_ADDRESS])
    messages = SelectMultipleField(_("Messages"), coerce=int)
    files = SelectMultipleField(_("Files"), coerce=int)
    is_named = BooleanField(_("Say who wrote it"))

    def referral(self, told: Sequence[Told]) -> Referral:
        """What was ticked of ``told``, the oldest message first; raises Invalid for what is no address."""
        chosen = [one.message for one in reversed(told) if one.message.id in (self.messages.data or ())]
        files = [file for one in reversed(told) for file in one.files if file.id in (self.files.data or ())]
        return Referral(
            partner=Partner(self.partner.data),
            to=self.party(),
            subject=self.subject.data or "",
            messages=chosen,
            files=files,
            is_named=self.is_named.data,
        )

    def offer_told(self, told: Sequence[Told]) -> None:
        """Let the writer choose among these messages and their files."""
        self.messages.choices = choices(*((one.message.id, one.message.author_name) for one in told))
        self.files.choices = choices(*((file.id, file.name) for one in told for file in one.files))
