"""Signed and encrypted mail: the words where they can be read, and what it is where they cannot.

Nothing is verified or opened with a key: a signature that nobody here checks proves nothing, and is shown as a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

SMIME: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")  # 1.2.840.113549.1.7.2, RFC 5652
_DATA: Final = bytes.fromhex("06092a864886f70d010701")
_OCTETS, _OCTETS_IN_PIECES = b"\x04", b"\x24"

ENCRYPTED: Final = "[This mail is encrypted. It can only be opened by a program that holds the key.]"

_BEGINS: Final = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE: Final = "\n-----BEGIN PGP SIGNATURE-----"
_ENDS: Final = "-----END PGP SIGNATURE-----"
_ARMOUR_HEADERS: Final = re.compile(r"[ \t]*\n(?:[A-Za-z]{1,30}: [^\n]{0,200}\n){0,10}\n")
_DASHED: Final = re.compile(r"^- (?=-|From )", re.MULTILINE)


def without_armour(text: str) -> str:
    """``text`` without the lines that PGP puts around words it signs in the open (RFC 9580 section 7)."""
    kept: list[str] = []
    at = 0
    while (begins := text.find(_BEGINS, at)) != -1:
        head = _ARMOUR_HEADERS.match(text, begins + len(_BEGINS))
        signature = text.find(_SIGNATURE, begins)
        if signature == -1:
            break
        words = text[head.end() : signature] if head else text[begins:signature]
        kept += [text[at:begins], _DASHED.sub("", words)]
        ends = text.find(_ENDS, signature)
        at = len(text) if ends == -1 else ends + len(_ENDS)
    return "".join([*kept, text[at:]])


def signed_content(data: bytes) -> bytes:
    """The mail inside an opaque signature (S/MIME signed-data); empty where there is none to be seen."""
    if _SIGNED_DATA not in data[:64]:
        return b""
    at = data.find(_DATA, data.find(_SIGNED_DATA))
    if at == -1:
        return b""
    at += len(_DATA)
    if data[at : at + 1] != b"\xa0":  # [0] EXPLICIT: the content; without it the signature stands beside
        return b""
    start, _ = _length(data, at + 1)
    return b"".join(_octets(data, start))


def _octets(data: bytes, at: int) -> Iterator[bytes]:
    """The pieces of an OCTET STRING at ``at``: one, or several as BER allows them and Outlook writes them."""
    while (tag := data[at : at + 1]) in {_OCTETS, _OCTETS_IN_PIECES}:
        start, end = _length(data, at + 1)
        if tag == _OCTETS:
            yield data[start:end]
        at = end if tag == _OCTETS else start  # what comes in pieces is stepped into


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where a value begins and ends whose length stands at ``at``; to the end where none is said."""
    first = data[at] if at < len(data) else 0
    if first < 0x80:  # noqa: PLR2004 - the short form
        return at + 1, min(at + 1 + first, len(data))
    size = first & 0x7F
    if not size:
        return at + 1, len(data)
    start = at + 1 + size
    return start, min(start + int.from_bytes(data[at + 1 : start][:8], "big"), len(data))
