"""What the composer sends, read and checked."""

from __future__ import annotations

from flask import request

from app.cases import forms
from app.cases.models import Purpose
from app.errors import Invalid
from app.replies.actions import Words
from app.replies.models import Mode


def words() -> Words:
    """What was written; raises Invalid for a purpose or a day that is none."""
    return Words(
        text=request.form.get("text", "").replace("\r\n", "\n"),
        purpose=forms.choice("purpose", Purpose) if request.form.get("purpose") else Purpose.ANSWER,
        promised_on=forms.day("promised_on"),
        seen_message_id=forms.whole("seen_message_id"),
        stays_open=request.form.get("then") == "open",
    )


def mode() -> Mode:
    """What is being written; raises Invalid for anything else."""
    given = request.form.get("mode", Mode.REPLY.value)
    if given not in set(Mode):
        raise Invalid("Choose one from the list.", field="mode")
    return Mode(given)
