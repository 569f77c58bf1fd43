"""The compressed rich text of Outlook as words ([MS-OXRTFCP]): layout is left out, and nothing in it is run."""

from __future__ import annotations

import re
import struct
from typing import Final

from connectors.email.text import decode

# [MS-OXRTFCP] 2.1.2.1: what the dictionary holds before the first byte.
_DICTIONARY: Final = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_WINDOW: Final = 4096
_PACKED, _PLAIN = 0x75465A4C, 0x414C454D
_HEADER: Final = struct.Struct("<IIII")
_MOST: Final = 4 * 1024 * 1024

_TOKEN: Final = re.compile(
    rb"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-z])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
_NOT_SHOWN: Final = frozenset(
    {b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"header", b"footer", b"object"}
)
_WORDS: Final = {b"par": "\n", b"line": "\n", b"tab": "\t", b"cell": "\t", b"row": "\n"}
_SYMBOLS: Final = {b"\\": "\\", b"{": "{", b"}": "}", b"~": "\xa0", b"\n": "\n"}


def expand(data: bytes) -> bytes:
    """Compressed rich text (LZFu) as rich text, as far as it goes."""
    if len(data) < _HEADER.size:
        return b""
    _, size, kind, _ = _HEADER.unpack_from(data)
    if kind == _PLAIN:
        return data[_HEADER.size : _HEADER.size + size]
    return _unpacked(data, min(size, _MOST)) if kind == _PACKED else b""


def _unpacked(data: bytes, size: int) -> bytes:
    """Runs of eight, each a byte or a reference to what came before, as a byte of flags tells."""
    out = bytearray(_DICTIONARY)
    begins, most = len(out), len(out) + size
    at = _HEADER.size
    while at < len(data) and len(out) < most:
        flags = data[at]
        at += 1
        for bit in range(8):
            if not flags >> bit & 1:
                out += data[at : at + 1]
                at += 1
                continue
            pair = int.from_bytes(data[at : at + 2], "big")
            at += 2
            distance = (len(out) - (pair >> 4)) % _WINDOW
            if not 0 < distance <= len(out):  # the end, or nonsense
                return bytes(out[begins:most])
            for _ in range((pair & 15) + 2):
                out.append(out[-distance])
    return bytes(out[begins:most])


def from_rtf(source: bytes) -> str:
    """The words of rich text."""
    pieces: list[str] = []
    silent = [False]  # for each group that is open
    stand_in = 0  # characters that follow a Unicode one for those who do not know it
    for match in _TOKEN.finditer(source):
        word, number, byte, symbol, brace, plain = match.groups()
        if brace == b"{":
            silent.append(silent[-1])
        elif brace:
            del silent[max(1, len(silent) - 1) :]
        elif word in _NOT_SHOWN or symbol == b"*":
            silent[-1] = True
        elif not silent[-1]:
            text = _text(word, number, byte, symbol, plain)
            pieces.append(text[stand_in:] if byte or plain else text)
            stand_in = int(word == b"u" and bool(number))
    return decode("".join(pieces).encode("utf-16", "surrogatepass"), "utf-16").strip()


def _text(word: bytes, number: bytes, byte: bytes, symbol: bytes, plain: bytes) -> str:
    if word == b"u" and number:
        return chr(int(number) % 0x10000)
    if word:
        return _WORDS.get(word, "")
    if byte:
        return decode(bytes([int(byte, 16)]))
    return _SYMBOLS.get(symbol, "") if symbol else decode(plain or b"")
