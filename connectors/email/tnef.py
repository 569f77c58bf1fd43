"""Outlook's winmail.dat (Transport Neutral Encapsulation): the files and the words inside.

Written from [MS-OXTNEF]. tnefparse, the one library there is, was last released in 2021, has no types
and does not unpack the text. What cannot be read ends the reading: what was found before stays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from connectors.email.richtext import expand, from_rtf
from connectors.email.text import decode

_SIGNATURE: Final = 0x223E9F78
_ATTRIBUTE: Final = struct.Struct("<BII")
_TITLE, _BODY, _DATA, _RENDERING, _MESSAGE, _ATTACHMENT, _CODEPAGE = (
    0x00018010,
    0x0002800C,
    0x0006800F,
    0x00069002,
    0x00069003,
    0x00069005,
    0x00069007,
)
_BODY_TEXT, _RTF, _HTML, _CONTENT, _SHORT_NAME, _LONG_NAME, _MEDIA_TYPE, _CONTENT_ID = (
    0x1000,
    0x1009,
    0x1013,
    0x3701,
    0x3704,
    0x3707,
    0x370E,
    0x3712,
)
_SIZES: Final = {2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 4, 20: 8, 64: 8, 72: 16}
_STRING, _UNICODE, _BINARY, _OBJECT = 0x1E, 0x1F, 0x102, 0x0D
_SEVERAL: Final = 0x1000
_NAMED: Final = 0x8000
_PROPERTIES_MOST: Final = 10_000
_FILES_MOST: Final = 500
_RTF_MOST: Final = 4 * 1024 * 1024

Properties = dict[int, bytes | str]


@dataclass(slots=True)
class File:
    """A file in a winmail.dat."""

    name: str = ""
    media_type: str = ""
    content_id: str = ""
    content: bytes = b""


@dataclass(slots=True)
class Winmail:
    """What was found; ``html`` as sent, ``text`` empty where only the HTML says it."""

    text: str = ""
    html: str = ""
    files: list[File] = field(default_factory=list)


def unpack(data: bytes) -> Winmail:
    """What lies in a winmail.dat; empty where it is none. Never fails."""
    found = Winmail()
    codepage = "cp1252"
    for name, value in _attributes(data):
        if name == _CODEPAGE and len(value) >= 4:  # noqa: PLR2004 - an integer
            codepage = f"cp{int.from_bytes(value[:4], 'little')}"
        elif name == _RENDERING and len(found.files) < _FILES_MOST:
            found.files.append(File())
        elif name == _BODY:
            found.text = found.text or decode(value.rstrip(b"\0"), codepage)
        elif name == _MESSAGE:
            _take_message(found, _properties(value, codepage), codepage)
        elif found.files:
            _take_file(found.files[-1], name, value, codepage)
    return found


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    if len(data) < 6 or int.from_bytes(data[:4], "little") != _SIGNATURE:  # noqa: PLR2004 - signature and key
        return
    at = 6
    while at + _ATTRIBUTE.size <= len(data):
        _, name, size = _ATTRIBUTE.unpack_from(data, at)
        at += _ATTRIBUTE.size
        yield name, data[at : at + size]
        at += size + 2  # a checksum, which Outlook itself has been known to get wrong


def _take_message(found: Winmail, properties: Properties, codepage: str) -> None:
    found.text = found.text or _words(properties.get(_BODY_TEXT, ""), codepage)
    html = properties.get(_HTML, "")
    found.html = html if isinstance(html, str) else decode(html, "", is_html=True)
    rtf = properties.get(_RTF)
    if not found.text and not found.html and isinstance(rtf, bytes):
        found.text = from_rtf(expand(rtf))


def _take_file(file: File, name: int, value: bytes, codepage: str) -> None:
    if name == _TITLE:
        file.name = file.name or decode(value.rstrip(b"\0"), codepage)
    elif name == _DATA:
        file.content = value
    elif name == _ATTACHMENT:
        properties = _properties(value, codepage)
        given = properties.get(_LONG_NAME) or file.name or properties.get(_SHORT_NAME, "")
        file.name = _words(given, codepage)
        file.media_type = _words(properties.get(_MEDIA_TYPE, ""), codepage)
        file.content_id = _words(properties.get(_CONTENT_ID, ""), codepage)
        inside = properties.get(_CONTENT, b"")
        if not file.content and isinstance(inside, bytes):
            file.content = inside


def _words(value: bytes | str, codepage: str) -> str:
    return (value if isinstance(value, str) else decode(value, codepage)).rstrip("\0")


def _properties(data: bytes, codepage: str) -> Properties:
    """The message properties (MAPI), by their number; the first value of each."""
    found: Properties = {}
    at = 4
    try:
        for _ in range(min(int.from_bytes(data[:4], "little"), _PROPERTIES_MOST)):
            kind, number = struct.unpack_from("<HH", data, at)
            at += 4
            if number >= _NAMED:
                at = _after_name(data, at)
            value, at = _value(data, at, kind, codepage)
            found.setdefault(number, value)
    except struct.error:
        pass
    return found


def _after_name(data: bytes, at: int) -> int:
    (is_text,) = struct.unpack_from("<I", data, at + 16)
    at += 20
    if not is_text:
        return at + 4
    (size,) = struct.unpack_from("<I", data, at)
    return at + 4 + _padded(size)


def _value(data: bytes, at: int, kind: int, codepage: str) -> tuple[bytes | str, int]:
    plain = kind & ~_SEVERAL
    count = 1
    if kind & _SEVERAL or plain in {_STRING, _UNICODE, _BINARY, _OBJECT}:
        (count,) = struct.unpack_from("<I", data, at)
        at += 4
    first: bytes | None = None
    for _ in range(min(count, _PROPERTIES_MOST)):
        size = _SIZES.get(plain, 4)
        if plain not in _SIZES:
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        first = data[at : at + size] if first is None else first
        at += _padded(size)
    value = first or b""
    if plain == _UNICODE:
        return decode(value, "utf-16-le"), at
    if plain == _STRING:
        return decode(value.rstrip(b"\0"), codepage), at
    return value[16:] if plain == _OBJECT else value, at  # an object begins with the id of its interface


def _padded(size: int) -> int:
    return (size + 3) & ~3
