"""Passwords: which will do, and how they are kept.

Twelve characters or more, nothing that stands first in every guesser's list, no rules of composition (NCSC and NIST
SP 800-63B section 5.1.1.2 advise against them). Kept as argon2id with the parameters OWASP names for it, over an HMAC
whose key is not in the database, so that a copy of the database alone cannot be guessed at.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Final, NewType

from passlib.context import CryptContext

from app.errors import Invalid

PasswordHash = NewType("PasswordHash", str)

SHORTEST: Final = 12
LONGEST: Final = 1024  # a bound on what is hashed, not on what anybody would type
_LOOKALIKES: Final = str.maketrans("013457@$!|", "oleastasil")
_NOT_A_LETTER: Final = re.compile(r"[\W\d_]+")
_FEWEST_DIFFERENT: Final = 5
_SHORTEST_OWN_WORD: Final = 4


# How Flask-Security and we keep passwords. One kept at other costs is kept anew when it is next given.
SCHEME: Final = "argon2"
COSTS: Final = {
    "argon2__type": "ID",
    "argon2__time_cost": 2,
    "argon2__memory_cost": 19 * 1024,
    "argon2__parallelism": 1,
}


class Passwords:
    """Keeps passwords under one pepper, where there is no request: at a command, and with what a link is good for.

    What comes out is what Flask-Security makes of the same password, and is checked by nobody else.
    """

    def __init__(self, pepper: str) -> None:
        self._pepper = pepper.encode()
        self._context = CryptContext([SCHEME], **COSTS)

    def hash(self, password: str, *, own_words: tuple[str, ...] = ()) -> PasswordHash:
        """``password`` as it is kept; raises Invalid (field ``password``) when it is easily guessed.

        ``own_words`` are what everybody knows of the person: name, address, office.
        """
        must_do(password, own_words)
        mixed = hmac.digest(self._pepper, normal(password).encode(), "sha512")
        return PasswordHash(self._context.hash(b64encode(mixed)))


def normal(password: str) -> str:
    """A password as it is compared: the same on a keyboard that sends accents by themselves."""
    return unicodedata.normalize("NFKC", password)


def must_do(password: str, own_words: tuple[str, ...] = ()) -> None:
    """Raise Invalid with what is wrong when ``password`` is too short or easily guessed."""
    if len(normal(password)) < SHORTEST:
        raise Invalid(
            "Use at least %(least)s characters. Three or four unrelated words do well.",
            field="password",
            least=SHORTEST,
        )
    if len(password) > LONGEST:
        raise Invalid("Use at most %(most)s characters.", field="password", most=LONGEST)
    letters = _letters(password)
    if (
        len(set(password)) < _FEWEST_DIFFERENT
        or _is_common(password.casefold(), letters)
        or _is_own(letters, own_words)
    ):
        raise Invalid("That is too easily guessed. Three or four unrelated words do well.", field="password")


def _letters(password: str) -> str:
    """The word behind digits put in place of letters and at the end: "P@ssw0rd2026!" is "password"."""
    return _NOT_A_LETTER.sub("", password.casefold().rstrip("0123456789!?.#*$ ").translate(_LOOKALIKES))


def _is_common(folded: str, letters: str) -> bool:
    words = _common()
    return (
        folded in words
        or letters in words
        or any(letters == word * (len(letters) // len(word)) for word in words if word.isalpha())
    )


def _is_own(letters: str, own_words: tuple[str, ...]) -> bool:
    """Nothing but names everybody knows, in any order."""
    own = {
        part for word in own_words for part in re.split(r"[\W\d_]+", word.casefold()) if len(part) >= _SHORTEST_OWN_WORD
    }
    rest = letters
    for part in sorted(own, key=len, reverse=True):
        rest = rest.replace(part, "")
    return len(rest) < _SHORTEST_OWN_WORD and rest != letters


@cache
def _common() -> frozenset[str]:
    lines = Path(__file__).with_name("common-passwords.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))
