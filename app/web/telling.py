"""What just happened, for the next page: a sentence, and where it is taken back (see components/notices.html)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from flask import flash


def tell(text: str, *, undo: str = "", fields: Mapping[str, str] | None = None) -> None:
    """Something went well. ``undo``: where a form with these ``fields`` takes it back."""
    said = {"text": text, "undo_href": undo, "undo_fields": dict(fields or {})}
    flash(cast("str", said) if undo else text, "good")


def blame(text: str, field: str) -> None:
    """Something typed will not do; the next page says it at the top, and beside ``field`` of its form."""
    flash(cast("str", {"text": text, "field": field}), "bad")
