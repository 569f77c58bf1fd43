"""What goes wrong in a way a person can do something about.

A problem carries one sentence, which is also its key in the catalogues of other languages: named placeholders in the
sentence, values beside it. The web maps each kind to a status and a page in one table (``app.web.errors``).
"""

from __future__ import annotations


class Problem(Exception):  # noqa: N818 - a problem is told to a person, an error to a programmer
    """Something the person who asked for it can act on."""

    def __init__(self, sentence: str, **values: object) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.values = values

    def __str__(self) -> str:
        return self.sentence % self.values if self.values else self.sentence


class Missing(Problem):
    """It is not there, or is somebody else's: both look the same."""

    def __init__(self, sentence: str = "There is nothing here.", **values: object) -> None:
        super().__init__(sentence, **values)


class Forbidden(Problem):
    """The person may see it, but not do this to it."""


class Conflict(Problem):
    """It changed meanwhile, or is in a state in which this cannot be done."""


class Invalid(Problem):
    """What was typed will not do; ``field`` names the form's field ("" for the whole form)."""

    def __init__(self, sentence: str, *, field: str = "", **values: object) -> None:
        super().__init__(sentence, **values)
        self.field = field
