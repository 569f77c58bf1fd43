"""Odd and hostile mails out of a seed: what is odd but can be read, what is damaged, and what is made to hurt.

``odd`` mails hold a word that must not be lost and sometimes a file; nothing is promised of ``damaged`` ones but that
reading them ends; ``extremes`` are the ones that break readers.
"""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.mailbox import generate

_HEAD = (
    b"From: Hester <hester@larkrise.example>\nTo: cllr@fernmoor.example\nSubject: Brown bin\n"
    b"Date: Thu, 02 Apr 2026 16:20:00 +0100\nMessage-ID: <%d@larkrise.example>\n"
)
_CHARSETS = ("utf-8", "us-ascii", "iso-8859-1", "windows-1252", "gb2312", "koi8-r", "x-made-up", "", '"', "unicode")
_LINES = (
    *(b"", b"t\xc5\xb7", b"caf\xe9", b"\x80\x92\xff", b"\xc3", "路灯".encode("gbk")),
    *(b"\x00\x01", b"a" * 3_000, b"> x", b"--"),
)  # fmt: skip


@dataclass(frozen=True)
class Odd:
    """A mail and what must be found in its text; ``file`` is the content of the file it carries, if it does."""

    kind: str
    content: bytes
    word: str = ""
    file: bytes | None = None


def odd(seed: int, each: int) -> Iterator[Odd]:
    """``each`` mails of every kind that real programs get wrong."""
    draw = random.Random(seed)  # noqa: S311 - the same mails every time are the point
    for number in range(each):
        for kind in _KINDS:
            word = f"kestrel{seed}x{number:04d}"
            made = kind(draw, word)
            content, file = made if isinstance(made, tuple) else (made, None)
            ends = draw.choice((b"\n", b"\r\n"))
            content = (_HEAD % number + content).replace(b"\r\n", b"\n").replace(b"\n", ends)
            yield Odd(kind.__name__.strip("_"), content, word, file)


def damaged(seed: int, count: int) -> Iterator[Odd]:
    """Good mails after an accident."""
    draw = random.Random(seed)  # noqa: S311
    mails = [delivery.content for delivery in generate(60, seed=seed, size=6_000)[0]]
    mails += [one.content for one in odd(seed, 2)]
    for _ in range(count):
        content = bytearray(draw.choice(mails))
        for _ in range(draw.randrange(1, 8)):
            draw.choice(_ACCIDENTS)(draw, content)
        yield Odd("damaged", bytes(content))


def extremes() -> Iterator[tuple[str, bytes]]:
    """Mails of less than a few megabytes that are made to hurt."""
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1_000))
    yield "50,000 quotes in From", b"From: " + b'"' * 50_000 + b"\n\nx"
    yield "escaped quotes in From", b"From: " + b'"\\' * 30_000 + b"\n\nx"
    yield "1,000 parentheses", b"From: " + b"(" * 1_000 + b"a" + b")" * 1_000 + b" <a@b.example>\n\nx"
    yield "angle brackets", b"From: " + b"<" * 50_000 + b"\n\nx"
    yield "1,000 nested parts", nested + b"\nx"
    yield "1,000 nested mails", b"Content-Type: message/rfc822\n\n" * 1_000 + b"\nx"
    yield "8,000 RFC 2231 parameters", b"Content-Type: text/plain" + b"".join(b";\n a*%d=x" % n for n in range(8_000))
    yield "8,000 broken parameters", b"Content-Type: text/plain" + b'; a*0*="' * 8_000 + b"\n\nx"
    yield "20,000 headers", b"".join(b"X-%d: y\n" % n for n in range(20_000)) + b"\nx"
    yield "20,000 lines of one header", b"X: y\n" + b" z\n" * 20_000 + b"\nx"
    yield "10,000 recipients", b"To: " + b",\n ".join(b"R <a%d@b.example>" % n for n in range(10_000)) + b"\n\nx"
    yield "encoded words", b"Subject: " + b"=?utf-8?q?" * 20_000 + b"\n\nx"
    yield "encoded words that are whole", b"Subject: " + b"=?utf-8?q?a?= " * 8_000 + b"\n\nx"
    yield "50,000 parts", b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 50_000
    yield "almost delimiters", b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b-\n" * 200_000
    yield "guessed delimiters", b"Content-Type: multipart/mixed\n\n" + b"\n--b " * 200_000
    yield "deep HTML", b"Content-Type: text/html\n\n" + b"<div>" * 200_000 + b"x"
    yield "deep quotations", b"Content-Type: text/html\n\n" + b"<blockquote>" * 50_000 + b"x"
    yield "deep tables", b"Content-Type: text/html\n\n" + b"<table><tr><td>" * 30_000 + b"x"
    yield "pre", b"Content-Type: text/html\n\n" + b"<pre" * 100_000 + b"x"
    yield "attributes", b"Content-Type: text/html\n\n<p " + b"a=b " * 100_000 + b">x"
    yield "attributions", b"Subject: Re: x\n\n" + b"On 1 Jan 2026 at 10:00, a <a@b> " * 50_000
    yield "beginnings of attributions", b"Subject: Re: x\n\n" + b"On\n" * 100_000
    yield "header blocks", b"Subject: Re: x\n\n" + b"From: x\n" * 50_000
    yield "quoted lines", b"Subject: Re: x\n\n" + b">" * 300_000 + b"\n> x" * 100_000
    yield "spaces", b"Subject: Re: x\n\n" + b" " * 500_000 + b"\n" + b"\t \n" * 100_000
    yield "one date of parentheses", b"Date: " + b"(" * 60_000 + b"\n\nx"
    yield "armour", b"Subject: x\n\n" + b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: x\n\n" * 20_000
    yield "references", b"References: " + b"<a@b> " * 50_000 + b"\n\nx"
    yield "base64 of padding", b"Content-Transfer-Encoding: base64\n\n" + b"QQ==" * 200_000
    yield "calendar", b"Content-Type: text/calendar\n\nBEGIN:VEVENT\n" + b'X;a="' * 100_000
    yield "calendar of folds", b"Content-Type: text/calendar\n\nBEGIN:VEVENT\nSUMMARY:a" + b"\n b" * 200_000
    yield "rich text", _winmail(b"{" * 200_000)
    yield "rich text that repeats itself", _winmail(b"\xff" + b"\x0c\xfe" * 100_000, kind=b"LZFu")
    yield "signatures in signatures", _signature(b"\x24\x80" * 200_000)
    yield "zeros", bytes(1_000_000)
    yield "line breaks", b"\n" * 1_000_000


# ── Odd, and to be read all the same ────────────────────────────────────────────────────────────────────────

Made = bytes | tuple[bytes, bytes]


def _text(draw: random.Random, word: str) -> bytes:
    lines = [draw.choice(_LINES) for _ in range(draw.randrange(4))]
    return b"\n".join([word.encode(), *lines]) + b"\n"


def _plain(draw: random.Random, word: str) -> bytes:
    return b"Content-Type: text/plain\n\n" + _text(draw, word)


def _file(draw: random.Random) -> tuple[bytes, bytes]:
    data = draw.randbytes(draw.randrange(1, 400))
    head = b"Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n"
    return head + base64.encodebytes(data), data


def _several(boundary: bytes, *parts: bytes, said: bytes | None = None, end: bytes = b"--") -> bytes:
    named = boundary if said is None else said
    head = (
        b'Content-Type: multipart/mixed; boundary="' + named + b'"\n\n'
        if named
        else b"Content-Type: multipart/mixed\n\n"
    )
    return head + b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts) + b"--" + boundary + end + b"\n"


def _a_charset_that_lies(draw: random.Random, word: str) -> bytes:
    return b"Content-Type: text/plain; charset=" + draw.choice(_CHARSETS).encode() + b"\n\n" + _text(draw, word)


def _a_page_that_lies(draw: random.Random, word: str) -> bytes:
    meta = draw.choice((b"", b"<meta charset=windows-1251>", b"<meta charset=nonsense>", b"<!-- ", b"<title>"))
    meta = meta + b"</title>" if meta == b"<title>" else meta + b"-->" if meta == b"<!-- " else meta
    return (
        b"Content-Type: text/html; charset="
        + draw.choice(_CHARSETS).encode()
        + b"\n\n"
        + meta
        + b"<p>"
        + _text(draw, word)
    )


def _a_content_type_of_its_own(draw: random.Random, word: str) -> bytes:
    types = (
        b"text/plain (as it were); charset=utf-8", b"text/plain charset=utf-8", b"TEXT", b"text/plain;;;", b"", b";",
        b"text/plain; charset", b'text/plain; charset="utf-8', b"Text/Plain; name=", b"text/plain; =x; charset=utf-8"
    )  # fmt: skip
    return b"Content-Type: " + draw.choice(types) + b"\n\n" + _text(draw, word)


def _boundary(draw: random.Random) -> bytes:
    letters = b"abcXYZ0129'()+_,-./:=? "
    return bytes(draw.choices(letters, k=draw.randrange(1, 69))).strip(b" -'") + b"x"


def _an_odd_boundary(draw: random.Random, word: str) -> Made:
    part, data = _file(draw)
    return _several(_boundary(draw), _plain(draw, word), part), data


def _a_boundary_never_closed(draw: random.Random, word: str) -> Made:
    part, data = _file(draw)
    return _several(b"b", part, _plain(draw, word), end=draw.choice((b"x", b"-", b" --"))), data


def _a_missing_or_false_boundary(draw: random.Random, word: str) -> Made:
    part, data = _file(draw)
    return _several(_boundary(draw), _plain(draw, word), part, said=draw.choice((b"", b"other", b"b b"))), data


def _a_boundary_closed_early(draw: random.Random, word: str) -> Made:
    part, data = _file(draw)
    return _several(b"b", _plain(draw, word)) + b"--b\n" + part + b"--b--\n", data


def _parts_in_parts(draw: random.Random, word: str) -> bytes:
    inner = _plain(draw, word)
    for level in range(draw.choice((1, 5, 30, 48, 60, 200))):
        inner = _several(b"level%d" % level, inner)
    return inner


def _base64_with_dirt(draw: random.Random, word: str) -> bytes:
    encoded = bytearray(base64.b64encode(_text(draw, word)).rstrip(draw.choice((b"=", b""))))
    for _ in range(draw.randrange(6)):
        encoded[draw.randrange(len(encoded)) : 0] = draw.choice((b"\n", b" ", b"!", b"\n \n", b"-"))
    return b"Content-Transfer-Encoding: base64\n\n" + bytes(encoded)


def _quoted_printable_with_dirt(draw: random.Random, word: str) -> bytes:
    encoded = binascii.b2a_qp(_text(draw, word)) + draw.choice((b"", b"=", b"=\n", b"=ZZ", b"=c", b"= \n"))
    return b"Content-Transfer-Encoding: Quoted-Printable \n\n" + encoded


def _an_encoding_unheard_of(draw: random.Random, word: str) -> bytes:
    name = draw.choice((b"7-bit", b"8 bit", b"none", b"", b"utf-8", b'"', b"binary; x"))
    return b"Content-Transfer-Encoding: " + name + b"\n\n" + _text(draw, word)


def _headers_of_dirt(draw: random.Random, word: str) -> bytes:
    names = (b"From", b"To", b"Subject", b"Date", b"References", b"Message-ID", b"Reply-To", b"X-Odd", b"Content-ID")
    lines = [draw.choice(names) + b": " + draw.randbytes(draw.randrange(300)) for _ in range(draw.randrange(1, 9))]
    return b"".join(line.replace(b"\n", b"").replace(b"\r", b"") + b"\n" for line in lines) + b"\n" + _text(draw, word)


def _words_encoded_wrongly(draw: random.Random, word: str) -> bytes:
    bits = (
        b"=?",
        b"?=",
        b"utf-8",
        b"?q?",
        b"?b?",
        b"?B?",
        b"=C3",
        b"=A9",
        b"w6k=",
        b" ",
        b"\n ",
        b"_",
        b"?",
        b"\xe9",
        b"x",
    )
    value = b"".join(draw.choices(bits, k=draw.randrange(1, 40)))
    return b"Subject: " + value + b"\nCc: " + value + b" <a@b.example>\n\n" + _text(draw, word)


def _parameters_encoded_wrongly(draw: random.Random, word: str) -> Made:
    bits = (
        b"*",
        b"0",
        b"1",
        b"=",
        b"'",
        b"''",
        b'"',
        b";",
        b" ",
        b"%C3",
        b"%A9",
        b"%",
        b"utf-8",
        b"name",
        b"\n ",
        b"x",
    )
    value = b"".join(draw.choices(bits, k=draw.randrange(1, 40)))
    data = draw.randbytes(50)
    part = b"Content-Type: image/png; name" + value + b"\nContent-Disposition: attachment; filename" + value
    part += b"\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)
    return _several(b"b", _plain(draw, word), part), data


def _a_time_that_never_was(draw: random.Random, word: str) -> bytes:
    bits = (
        b"Thu,",
        b"99",
        b"Apr",
        b"2026",
        b"0",
        b"24:61",
        b"+9999",
        b"-0000",
        b"(",
        b"GMT",
        b"31 Feb",
        b"12:00:00",
        b"-1",
    )
    return b"Date: " + b" ".join(draw.choices(bits, k=draw.randrange(1, 9))) + b"\n\n" + _text(draw, word)


def _many_files(draw: random.Random, word: str) -> Made:
    part, data = _file(draw)
    return _several(b"b", _plain(draw, word), *[part] * draw.choice((2, 40, 300))), data


def _winmail_of_dirt(draw: random.Random, word: str) -> bytes:
    data = bytearray(bytes.fromhex("789f3e220100") + draw.randbytes(400))
    data[6:15] = (
        bytes([draw.choice((1, 2))])
        + draw.choice((0x00069003, 0x00069005, 0x00018010)).to_bytes(4, "little")
        + b"\xff\x01\0\0"
    )
    part = b"Content-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)
    return _several(b"b", _plain(draw, word), part)


def _a_seal_of_dirt(draw: random.Random, word: str) -> bytes:
    data = b"\x30\x82\x01\x90\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" + draw.randbytes(60)
    data += b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0" + draw.randbytes(300)
    part = b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)
    return _several(b"b", _plain(draw, word), part)


_KINDS: tuple[Callable[[random.Random, str], Made], ...] = (
    _a_charset_that_lies,
    _a_page_that_lies,
    _a_content_type_of_its_own,
    _an_odd_boundary,
    _a_boundary_never_closed,
    _a_missing_or_false_boundary,
    _a_boundary_closed_early,
    _parts_in_parts,
    _base64_with_dirt,
    _quoted_printable_with_dirt,
    _an_encoding_unheard_of,
    _headers_of_dirt,
    _words_encoded_wrongly,
    _parameters_encoded_wrongly,
    _a_time_that_never_was,
    _many_files,
    _winmail_of_dirt,
    _a_seal_of_dirt,
)


# ── Accidents ───────────────────────────────────────────────────────────────────────────────────────────────


def _flip(draw: random.Random, content: bytearray) -> None:
    for _ in range(draw.randrange(1, 30)):
        if content:
            content[draw.randrange(len(content))] = draw.randrange(256)


def _lose(draw: random.Random, content: bytearray) -> None:
    at = draw.randrange(len(content) + 1)
    del content[at : at + draw.randrange(2_000)]


def _repeat(draw: random.Random, content: bytearray) -> None:
    at = draw.randrange(len(content) + 1)
    content[at:at] = content[at : at + draw.randrange(2_000)]


def _stop(draw: random.Random, content: bytearray) -> None:
    del content[draw.randrange(len(content) + 1) :]


def _insert(draw: random.Random, content: bytearray) -> None:
    at = draw.randrange(len(content) + 1)
    content[at:at] = draw.choice(
        (b"\0" * 50, b"\n\n", b"\r", b"\n--", b'"' * 100, b"=?", b"<" * 50, b"\xff" * 20, b"Content-")
    )


_ACCIDENTS = (_flip, _lose, _repeat, _stop, _insert)


def _winmail(rtf: bytes, kind: bytes = b"MELA") -> bytes:
    packed = (len(rtf) + 12).to_bytes(4, "little") + (10_000_000).to_bytes(4, "little") + kind + bytes(4) + rtf
    padded = packed + bytes(-len(packed) % 4)
    value = b"\1\0\0\0" + b"\x02\x01\x09\x10" + b"\1\0\0\0" + len(packed).to_bytes(4, "little") + padded
    data = bytes.fromhex("789f3e220100") + b"\1\x03\x90\x06\0" + len(value).to_bytes(4, "little") + value + b"\0\0"
    return b"Content-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)


def _signature(content: bytes) -> bytes:
    data = b"\x30\x80" + bytes.fromhex("06092a864886f70d010702a080308006092a864886f70d010701a080") + content
    return b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)
