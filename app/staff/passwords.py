"""Passwords: which will do, and how they are kept.

Twelve characters or more, nothing that stands first in every guesser's list, no rules of composition (NCSC and NIST
SP 800-63B section 5.1.1.2 advise against them). Kept as argon2id with the parameters OWASP names for it, over an HMAC
whose key is not in the database, so that a copy of the database alone cannot be guessed at.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final, NewType

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import Invalid

PasswordHash = NewType("PasswordHash", str)

SHORTEST: Final = 12
LONGEST: Final = 1024  # a bound on what is hashed, not on what anybody would type
_LOOKALIKES: Final = str.maketrans("013457@$!|", "oleastasil")
_NOT_A_LETTER: Final = re.compile(r"[\W\d_]+")
_FEWEST_DIFFERENT: Final = 5
_SHORTEST_OWN_WORD: Final = 4


class Passwords:
    """Hashes and checks under one pepper. The same work is done for an account that does not exist."""

    def __init__(self, pepper: str) -> None:
        self._pepper = pepper.encode()
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

    def hash(self, password: str, *, own_words: tuple[str, ...] = ()) -> PasswordHash:
        """``password`` as it is kept; raises Invalid (field ``password``) when it is easily guessed.

        ``own_words`` are what everybody knows of the person: name, address, office.
        """
        must_do(password, own_words)
        return PasswordHash(self._hasher.hash(self._peppered(password)))

    def verify(self, password: str, kept: str | None) -> bool:
        """Whether ``password`` is the one kept; takes as long when there is none."""
        try:
            self._hasher.verify(kept or self._nobody, self._peppered(password))
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    def is_dated(self, kept: str) -> bool:
        """Whether it was kept under weaker parameters than today's."""
        return self._hasher.check_needs_rehash(kept)

    def renew(self, password: str) -> PasswordHash:
        """A password that was just verified, kept under today's parameters."""
        return PasswordHash(self._hasher.hash(self._peppered(password)))

    @property
    def _nobody(self) -> str:
        return _hash_of_nobody(self._hasher)

    def _peppered(self, password: str) -> str:
        normal = unicodedata.normalize("NFKC", password[:LONGEST])
        return hmac.new(self._pepper, normal.encode(), sha256).hexdigest()


@cache
def _hash_of_nobody(hasher: PasswordHasher) -> str:
    return hasher.hash("nobody's")


def must_do(password: str, own_words: tuple[str, ...] = ()) -> None:
    """Raise Invalid with what is wrong when ``password`` is too short or easily guessed."""
    if len(unicodedata.normalize("NFKC", password)) < SHORTEST:
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
