"""What our forms share: only named fields reach an action, and what an action refuses stands beside its field.

The token against forged requests is checked for the whole application, and written by the macro ``csrf``.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

import wtforms
from flask import request
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are those of 3.2

from app.errors import Invalid
from app.web.errors import sentence

_POSTED: Final = MultiDict[str, Any]()


def choices(*pairs: tuple[object, object]) -> list[Any]:
    """Choices of a field from their values and words, in the form that WTForms wants from 3.3 on."""
    return [SelectChoice(value, words) for value, words in pairs]


class _Blaming:
    """A class, not a generator, so that the checker knows that it swallows."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def __enter__(self) -> None:
        """Nothing to begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if isinstance(error, Invalid):
            self._form.blame(error)
            return True
        return False


class Form(wtforms.Form):
    """A form of what was posted; ``formdata=None`` makes one to be filled in."""

    def __init__(self, formdata: MultiDict[str, Any] | None = _POSTED, obj: object = None, **values: Any) -> None:
        posted: Any = CombinedMultiDict[str, Any]((request.files, request.form)) if formdata is _POSTED else formdata
        super().__init__(posted, obj, **values)

    def blaming(self) -> _Blaming:
        """A block in which what an action refuses is put beside its field; after it the form is shown again."""
        return _Blaming(self)

    def blame(self, problem: Invalid) -> None:
        """Put a problem beside its field, or at the top when it is about the whole form."""
        if problem.field not in self._fields:
            self.form_errors = [*self.form_errors, sentence(problem)]
            return
        field = self._fields[problem.field]
        errors: Sequence[str] = field.errors
        field.errors = [*errors, sentence(problem)]
