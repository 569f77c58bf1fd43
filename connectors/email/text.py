"""Bytes to words: character sets as senders really use them, encoded headers, and HTML as plain text."""

from __future__ import annotations

import binascii
import codecs
import html as entities
import re
from functools import lru_cache
from typing import Final

# What a label means in practice rather than in the registry, as browsers read it: https://encoding.spec.whatwg.org/#names-and-labels
# A label that stands for an older, smaller set is nearly always used for the larger one.
_MEANT: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
_LABELS: Final = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "x-x-big5": "big5hkscs",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "unicode-1-1-utf-8": "utf-8",
    "unicode": "utf-16",
    "iso-8859-8-i": "iso8859-8",
}
# Codecs that Python counts as text but no mail is written in; some are slow or unescape things.
_NOT_FOR_MAIL: Final = frozenset(
    {"unicode_escape", "raw-unicode-escape", "idna", "punycode", "undefined", "mbcs", "oem"}
)
_ASCII_WITH_ESCAPES: Final = ("iso2022", "hz", "utf-7")  # shifted sets: pure ASCII on the wire, other words inside

_WIDE: Final = ("utf-16", "utf-32")
_MARKS: Final = frozenset({codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE})

# Windows-1252 as browsers have it: the five bytes it leaves open become control characters instead of an error.
_CP1252: Final = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}

_SENSE: Final = 4  # so many characters must be right for one that is wrong
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_MOSTLY: Final = 0.4
_LEAST_TO_GUESS: Final = 24  # bytes
_LOOKED_AT_TO_GUESS: Final = 4096
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_SEARCHED_FOR_META: Final = 4096


@lru_cache(maxsize=256)
def codec(label: str) -> str:
    """The codec that a charset label means in practice; empty where it means none that we know."""
    label = label.strip(" \"'\t").lower()
    label = _LABELS.get(label, label)
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):  # ValueError: a NUL in the label
        return ""
    if name in _NOT_FOR_MAIL or not codecs.lookup(name)._is_text_encoding:  # noqa: SLF001 - the only way to ask
        return ""
    return _MEANT.get(name, name)


def decode(data: bytes, declared: str = "", *, is_html: bool = False) -> str:
    """The words in ``data``: as declared, else UTF-8, else what the HTML itself says, else Windows-1252. Never fails.

    NUL, which no database column takes, and halves of surrogate pairs are taken out.
    """
    name = codec(declared) if declared else ""
    if name.startswith(_WIDE) and b"\0" not in data and data[:2] not in _MARKS:
        name = ""  # said of text in any other set: a line break alone would hold a NUL
    if data.isascii() and not name.startswith(_ASCII_WITH_ESCAPES) and not name.startswith(_WIDE):
        return _clean(data.decode("ascii"))
    # "us-ascii" with eight-bit bytes is a false label: it says nothing.
    false = name == "cp1252" and declared.strip().lower() in {"us-ascii", "ascii"}
    ladder = [name] if name and not false else []
    ladder.append("utf-16" if data[:2] in _MARKS else "utf-8")
    if is_html and (found := _META.search(data[:_SEARCHED_FOR_META])):
        ladder.append(codec(found[1].decode("ascii", "replace")))
    for rung in filter(None, ladder):
        try:
            return _clean(data.decode(rung))
        except (UnicodeError, ValueError):
            continue
    return _clean(_nearly(data, ladder) or _guessed(data) or data.decode("latin-1").translate(_CP1252))


def _nearly(data: bytes, ladder: list[str]) -> str:
    """``data`` as the first of the sets in which all but a few characters make sense; empty where there is none."""
    for rung in filter(None, ladder):
        text = data.decode(rung, "replace")
        bad = text.count("\ufffd")
        if bad * _SENSE < sum(map(len, _BEYOND_ASCII.findall(text))) - bad:
            return text
    return ""


def _guessed(data: bytes) -> str:
    """The last rung, for words that nobody declares and that are mostly not Latin: looked at by their statistics."""
    start = data[:_LOOKED_AT_TO_GUESS]
    if len(_HIGH.findall(start)) < _MOSTLY * len(start) or len(start) < _LEAST_TO_GUESS:
        return ""
    from charset_normalizer import from_bytes

    best = from_bytes(start).best()
    return data.decode(best.encoding, "replace") if best and codec(best.encoding) else ""


def _clean(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "")
    text = text.removeprefix("\ufeff")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


# Headers.

# RFC 2047, read leniently: spaces inside, a language after "*" (RFC 2231 section 5), any number in a row.
_WORD: Final = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?\r\n]*)\?=")
_BETWEEN_WORDS: Final = re.compile(r"(\?=)\s+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")
_FOLD: Final = re.compile(r"\r?\n[ \t]*|\r")


def unfold(value: str) -> str:
    """One header value on one line, without the spaces around it and without control characters."""
    if "\n" in value or "\r" in value:
        value = _FOLD.sub(" ", value)
    value = value.strip()
    return value if value.isprintable() else "".join(c if c.isprintable() or c == "\t" else " " for c in value)


def decode_header(value: str) -> str:
    """A header's value in words: encoded words decoded, those that belong together joined before decoding.

    Senders split a character over two encoded words although they must not; neighbours with the same charset are
    therefore joined as bytes first.
    """
    value = unfold(value)
    if "=?" not in value:
        return value
    pieces: list[str] = []
    run: list[bytes] = []
    charset, end = "", 0
    for word in _WORD.finditer(_BETWEEN_WORDS.sub(r"\1", value)):
        between = word.string[end : word.start()]
        own = word[1].partition("*")[0]
        if run and (between or own.lower() != charset.lower()):
            pieces.append(decode(b"".join(run), charset))
            run = []
        if between:
            pieces.append(between)
        charset, end = own, word.end()
        run.append(_word_bytes(word[2], word[3]))
    if not end:
        return value
    pieces.append(decode(b"".join(run), charset))
    pieces.append(_BETWEEN_WORDS.sub(r"\1", value)[end:])
    return unfold("".join(pieces))


def _word_bytes(encoding: str, payload: str) -> bytes:
    raw = payload.encode("utf-8", "surrogateescape")
    if encoding in "qQ":
        return binascii.a2b_qp(raw.replace(b"_", b" "), header=False)
    return from_base64(raw)


def from_base64(data: bytes | memoryview) -> bytes:
    """Base64 as far as it goes: foreign characters skipped, missing or misplaced padding made good.

    Some senders join pieces that are each padded; decoding stops at the first of them.
    """
    try:
        found = binascii.a2b_base64(data)
    except binascii.Error:
        return _from_broken_base64(bytes(data))
    if len(found) < len(data) // 2 and b"=" in bytes(data[:-4]):
        return _from_broken_base64(bytes(data))
    return found


def _from_broken_base64(data: bytes) -> bytes:
    out = bytearray()
    for piece in re.split(rb"=+", re.sub(rb"[^A-Za-z0-9+/=]", b"", data)):
        kept = piece[:-1] if len(piece) % 4 == 1 else piece
        out += binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))
    return bytes(out)


# HTML.

_PRE: Final = re.compile(r"(<pre\b.*?</pre\s*>)", re.IGNORECASE | re.DOTALL)
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_NOT_WORDS: Final = (
    "head, style, script, title, template, noscript, svg, object, iframe, select, textarea, audio, video"
)
_BLOCKS: Final = (
    "p, div, br, hr, tr, table, ul, ol, dl, dt, dd, h1, h2, h3, h4, h5, h6, pre, "
    "section, article, header, footer, address, center, form, fieldset, figure"
)
_QUOTES_MOST: Final = 20  # in a row
_QUOTE_OPENS, _QUOTE_CLOSES = "\x02", "\x03"
_TAG: Final = re.compile(r"<[^<>]*>")
_NESTS: Final = re.compile(
    r"<(/?)(?:a|b|blockquote|center|div|em|font|i|ol|section|span|strong|table|u|ul)\b", re.IGNORECASE
)
_DEPTH_MOST: Final = 500  # the office shows no HTML that is deeper either; 50,000 took 3 s
_TAGS_MOST: Final = 100_000  # ordinary mails have a few thousand; 600,000 took 2 s and 300 MB to lay out


def from_html(source: str) -> str:
    """The words of an HTML mail as plain text, a line for each block and ``>`` before what is quoted."""
    tags = source.count("<")
    if tags > _TAGS_MOST or (tags > _DEPTH_MOST and _depth(source) > _DEPTH_MOST):
        return _without_tags(source)
    from selectolax.lexbor import LexborHTMLParser

    source = source.replace(_QUOTE_OPENS, "").replace(_QUOTE_CLOSES, "")
    # Split only where the two are balanced: a thousand that never close would be looked for to the end each time.
    lower = source.lower() if "pre" in source or "PRE" in source else ""
    balanced = 0 < lower.count("<pre") <= lower.count("</pre")
    parts = _PRE.split(source) if balanced else [source]
    # White space means nothing in HTML, outside <pre>; the odd parts of the split are the <pre> blocks.
    parts[::2] = [_SPACES.sub(" ", part) for part in parts[::2]]
    tree = LexborHTMLParser("".join(parts))
    root = tree.body
    if root is None:
        return _without_tags(source)
    for node in root.css(_NOT_WORDS):
        node.decompose()
    for node in root.css(_BLOCKS):
        node.insert_before("\n")
        if node.tag not in {"br", "hr"}:
            node.insert_after("\n\n" if node.tag == "p" else "\n")
    for node in root.css("td, th"):
        node.insert_after(" ")
    for node in root.css("li"):
        node.insert_before("\n- ")
    for node in root.css("blockquote"):
        node.insert_before(f"\n{_QUOTE_OPENS}\n")
        node.insert_after(f"\n{_QUOTE_CLOSES}\n")
    return _lay_out(root.text(deep=True))


def _depth(source: str) -> int:
    """How deep the elements of ``source`` lie, of those that must be closed."""
    deepest = now = 0
    for ends in _NESTS.findall(source):
        now += -1 if ends and now else 1 - bool(ends)
        deepest = max(deepest, now)
    return deepest


def _without_tags(source: str) -> str:
    """The words between the tags, as they stand."""
    return entities.unescape(_SPACES.sub(" ", _TAG.sub(" ", source))).strip()


def _lay_out(text: str) -> str:
    """Lines without needless space, at most one empty line in a row, each with a ``>`` for each quotation it is in."""
    lines: list[str] = []
    depth = 0
    for line in text.split("\n"):
        if line == _QUOTE_OPENS:
            depth += 1
        elif line == _QUOTE_CLOSES:
            depth = max(0, depth - 1)
        else:
            words = line.replace("\xa0", " ").strip()
            if words:
                lines.append(f"{'>' * min(depth, _QUOTES_MOST)} {words}" if depth else words)
            elif lines and lines[-1]:
                lines.append("")
    return "\n".join(lines).strip()
