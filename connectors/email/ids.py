"""Message-IDs that only this installation can make, so that an answer to a forged one is not believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OURS: Final = re.compile(r"<([A-Za-z0-9_-]{1,64})\.([a-z2-7]{16})@[^<>@\s]+>")


def message_id(key: str, domain: str, id_key: bytes) -> str:
    """``<key.signature@domain>``; raises ValueError where the key is not letters, digits, ``-`` and ``_``."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key for a Message-ID: {key!r}")
    return f"<{key}.{_signature(key, id_key)}@{domain}>"


def key_of(message_id: str, id_key: bytes) -> str | None:
    """The key of the reply that an id of ours belongs to; ``None`` for any id that we did not make."""
    found = _OURS.fullmatch(message_id)
    if found and hmac.compare_digest(found[2], _signature(found[1], id_key)):
        return found[1]
    return None


def _signature(key: str, id_key: bytes) -> str:
    """80 bits of an HMAC in letters that survive any mail program."""
    whole = hmac.digest(id_key, b"message-id:" + key.encode(), hashlib.sha256)
    return base64.b32encode(whole[:10]).decode().lower()
