"""The second step of signing in: a code from an app on the person's phone (RFC 6238), or one of ten recovery codes."""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import sha256
from typing import Final

from passlib.exc import TokenError
from passlib.totp import TOTP

ISSUER: Final = "Postbag"
CODES: Final = 10
_WINDOW: Final = 30  # seconds of a phone's clock being wrong, either way
_ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is read for something else


def new_secret() -> str:
    """A secret to share with a phone, in base32."""
    return str(TOTP.new().base32_key)


def address(secret: str, email: str) -> str:
    """What the QR code holds: an ``otpauth:`` address."""
    return str(TOTP(key=secret).to_uri(label=email, issuer=ISSUER))


def spelt(secret: str) -> str:
    """The secret in groups of four, for whoever types it."""
    return str(TOTP(key=secret).pretty_key(sep=" "))


def counter_of(code: str, secret: str, *, at: datetime, last_counter: int | None) -> int | None:
    """The counter of a right code, to be kept so that it is not good twice; ``None`` for a wrong, old or used one."""
    try:
        match = TOTP(key=secret).match("".join(code.split()), time=at, window=_WINDOW, last_counter=last_counter)
    except TokenError:
        return None
    return int(match.counter)


def new_codes() -> list[str]:
    """Ten recovery codes as they are shown, once."""
    return ["-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3)) for _ in range(CODES)]


def kept(code: str) -> str:
    """A recovery code as it is kept. It is random (59 bits), so that a plain hash will do."""
    plain = "".join(letter for letter in code.casefold() if letter.isalnum())
    return sha256(plain.encode()).hexdigest()
