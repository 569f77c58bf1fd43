"""A mail as the standard library cuts it: the second opinion on one whose structure is in doubt.

Slower, without limits of its own, and at a loss with a thousand nested parts: so only for mails of a moderate size, and
whatever it raises counts as no opinion.
"""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from typing import Final

from connectors.email.structure import Buffer, Headers, Part, head, structured

LARGEST: Final = 2 * 1024 * 1024
_PARTS_MOST: Final = 1_000


def parts(content: Buffer) -> tuple[Headers, list[Part]] | None:
    """Headers and leaves as :func:`structure.parts` gives them; ``None`` where there is no second opinion."""
    if len(content) > LARGEST:
        return None
    try:
        whole = BytesParser(policy=compat32).parsebytes(content[:])
        leaves = [_leaf(part) for part in _leaves(whole)]
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError):  # all of them seen on hostile mail
        return None
    return head(content, 0, len(content))[0], leaves


def _leaves(whole: Message) -> list[Message]:
    found: list[Message] = []
    waiting = [whole]
    while waiting and len(found) < _PARTS_MOST:
        part = waiting.pop()
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            waiting += [one for one in reversed(inner) if isinstance(one, Message)]
        else:
            found.append(part)
    return found


def _leaf(part: Message) -> Part:
    headers: Headers = {}
    for name, value in part.items():
        headers.setdefault(name.lower(), []).append(str(value).strip())
    media_type, parameters = structured(headers.get("content-type", [""])[0], part.get_default_type())
    if media_type.startswith("multipart/") or "/" not in media_type:
        media_type = "text/plain"
    return Part(headers, media_type, parameters, 0, 0, data=_data(part))


def _data(part: Message) -> bytes:
    if part.get_content_maintype() == "message" and part.is_multipart():
        inner = part.get_payload()
        return (
            b"\n".join(one.as_bytes() for one in inner if isinstance(one, Message)) if isinstance(inner, list) else b""
        )
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
