"""A mail as an :class:`~connectors.Item`: pure, so that it can be read again after an upgrade."""

from __future__ import annotations

import hashlib
import html
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote

from connectors import Actor, Attachment, Audience, Item, Kind, Raw, Unreadable
from connectors.email import automatic, entries, quotes, sealed, standard
from connectors.email.addresses import actors
from connectors.email.structure import Buffer, Headers, Part, first, in_doubt, parts
from connectors.email.text import decode, decode_header, from_html, unfold
from connectors.email.unpacking import unpacked

TEXT_MOST: Final = 2 * 1024 * 1024  # bytes of all text parts; what is longer is cut and comes whole as an attachment
REFERENCES_MOST: Final = 100
ID_MOST: Final = 900
_ID: Final = re.compile(r"<[^<>]{1,998}>")
_SUMMER: Final = re.compile(r"\bBST\b")  # which RFC 5322 does not know, and British programs write all the same
_EARLIEST, _LATEST = 1990, 2100
_EXTENSIONS: Final = {
    "application/pdf": ".pdf",
    "application/pgp-encrypted": ".asc",
    "application/pgp-signature": ".asc",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
    "application/x-pkcs7-signature": ".p7s",
    "application/zip": ".zip",
    "audio/mpeg": ".mp3",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "message/delivery-status": ".txt",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/rfc822-headers": ".txt",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "video/mp4": ".mp4",
}
_NOT_IN_A_NAME: Final = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')
_NAME_MOST: Final = 200


def read(raw: Raw) -> Item:
    """What a mail says; raises Unreadable where there is nothing to read."""
    with _opened(raw) as content:
        if not len(content):
            raise Unreadable("This mail is empty.")
        headers, leaves = _leaves(content)
        body = _Body(content)
        for leaf in leaves:
            body.take(leaf)
        return _item(headers, body, automatic.report(headers, leaves, content))


def _leaves(content: Buffer) -> tuple[Headers, list[Part]]:
    """The parts of a mail: cut by us, and where that is in doubt by the standard library, if that is in none."""
    headers, leaves = parts(content)
    if in_doubt(leaves) and (second := standard.parts(content)) and not in_doubt(second[1]):
        headers, leaves = second
    return headers, unpacked(leaves, content)


@contextmanager
def _opened(raw: Raw) -> Iterator[Buffer]:
    """The mail's bytes; those of a spool file stay on the disk."""
    if isinstance(raw.content, bytes):
        yield raw.content
    elif raw.content.stat().st_size == 0:
        yield b""
    else:
        with raw.content.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _item(headers: Headers, body: _Body, report: automatic.Report) -> Item:
    subject = decode_header(first(headers, "subject"))
    text, source = body.text(), body.html()
    attachments = body.attachments(source)
    author = next(iter(actors(first(headers, "from")) or actors(first(headers, "sender"))), Actor(external_id=""))
    sent_at = date(first(headers, "date"))
    in_reply_to = next(iter(ids(headers, "in-reply-to")), "")
    references = ids(headers, "references")
    reply = quotes.is_reply(subject, answers=bool(in_reply_to or references))
    return Item(
        platform_id=message_id(first(headers, "message-id")),
        fingerprint=fingerprint(author, sent_at, subject, text, attachments),
        kind=Kind.MAIL,
        audience=Audience.DIRECT,
        author=author,
        to=everyone(headers, "to"),
        cc=everyone(headers, "cc"),
        reply_to=everyone(headers, "reply-to"),
        subject=subject,
        text=text,
        reply_text=quotes.fold(text, reply=reply),
        html=source,
        sent_at=sent_at,
        in_reply_to=in_reply_to,
        references=_few(references),
        attachments=attachments,
        is_auto=report.is_auto,
        is_bounce=report.is_bounce,
        bounced=report.bounced,
        failure=report.failure,
    )


# The body.


class _Body:
    """What the parts of a mail come to: words, HTML and files, in the order of the mail."""

    def __init__(self, content: Buffer) -> None:
        self._content = content
        self._words: list[tuple[int, bool, str]] = []  # which alternatives, whether HTML, the words
        self._files: list[tuple[Part, bytes, str]] = []  # part, bytes, disposition
        self._room = TEXT_MOST

    def take(self, part: Part) -> None:
        """Take one part as words or as a file."""
        disposition, parameters = automatic.disposition(part)
        named = bool(parameters.get("filename")) or (bool(part.parameters.get("name")) and bool(self._words))
        data = part.body(self._content)
        if part.media_type not in {"text/plain", "text/html"} or disposition == "attachment" or named:
            self._files.append((part, data, disposition))
            return
        if len(data) > self._room:
            self._files.append((part, data, "attachment"))
            data = data[: self._room]
        self._room -= len(data)
        is_html = part.media_type == "text/html"
        text = decode(data, part.parameters.get("charset", ""), is_html=is_html)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        self._words.append((part.alternatives, is_html, text if is_html else sealed.without_armour(text)))

    def text(self) -> str:
        """The words as plain text, or what a mail without words has instead of them."""
        return self.own_words() or self._instead()

    def _instead(self) -> str:
        """What the first file says that can be read: an entry, a card, a mail inside the mail; or that it is sealed."""
        for part, data, _ in self._files:
            kind = part.media_type
            if kind in sealed.SMIME or kind == "application/pgp-encrypted":
                return sealed.ENCRYPTED
            charset = part.parameters.get("charset", "")
            if kind == "text/calendar":
                return entries.calendar_words(decode(data[:TEXT_MOST], charset))
            if kind in {"text/vcard", "text/x-vcard", "text/directory"}:
                return entries.card_words(decode(data[:TEXT_MOST], charset))
            if kind in {"message/rfc822", "message/global"}:
                return _forwarded(data)
        return ""

    def own_words(self) -> str:
        """Of alternatives the plain one, unless it is blank."""
        pieces = []
        for group, is_html, text in self._words:
            if not is_html:
                pieces.append(text.strip())
            elif not group or not any(
                other == group and not html and words.strip() for other, html, words in self._words
            ):
                pieces.append(from_html(text))
        return "\n\n".join(filter(None, pieces))

    def html(self) -> str:
        """The HTML as sent, with the plain parts that stand beside it; empty where there is none."""
        if not any(is_html for _, is_html, _ in self._words):
            return ""
        with_html = {group for group, is_html, _ in self._words if is_html and group}
        pieces = []
        for group, is_html, text in self._words:
            if is_html:
                pieces.append(text)
            elif group not in with_html and text.strip():
                pieces.append(f"<pre>{html.escape(text)}</pre>")
        return "\n".join(pieces)

    def attachments(self, source: str) -> tuple[Attachment, ...]:
        """The files; ``inline`` where the sender says so or the HTML shows it by its content id."""
        found = []
        for number, (part, data, disposition) in enumerate(self._files, start=1):
            content_id = unfold(first(part.headers, "content-id")).strip("<> ")
            shown = bool(content_id) and (f"cid:{content_id}" in source or f"cid:{quote(content_id)}" in source)
            found.append(
                Attachment(
                    name=_name(part, number, data),
                    media_type=part.media_type,
                    content=data,
                    inline=shown or disposition == "inline",
                    content_id=content_id,
                )
            )
        return tuple(found)


def _name(part: Part, number: int, data: bytes) -> str:
    """What a file is called: as the sender says, without folders and without characters that no disk takes."""
    given = automatic.disposition(part)[1].get("filename") or part.parameters.get("name", "")
    if not given and part.media_type == "message/rfc822":
        given = _subject(data)
    given = _NOT_IN_A_NAME.sub("", given.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, extension = given.rpartition(".")
    if len(given) > _NAME_MOST:
        given = f"{stem[:_NAME_MOST]}{dot}{extension[:20]}" if dot else given[:_NAME_MOST]
    return given or f"attachment-{number}{_EXTENSIONS.get(part.media_type, '')}"


def _forwarded(data: bytes) -> str:
    """A mail inside a mail in words: whose it is, what it is about, and what it says, one level deep."""
    headers, leaves = parts(data)
    inside = _Body(data)
    for leaf in leaves:
        inside.take(leaf)
    lines = [decode_header(first(headers, name)) for name in ("from", "subject")]
    return "\n".join([*filter(None, lines), "", inside.own_words()]).strip()


def _subject(data: bytes) -> str:
    """The subject of a mail inside a mail, as the name of a file; empty where it has none."""
    headers, _ = parts(data[: 64 * 1024])
    subject = decode_header(first(headers, "subject")).replace("/", "-").replace("\\", "-")
    return f"{subject[:100]}.eml" if subject else ""


# Headers.


def everyone(headers: Headers, name: str) -> tuple[Actor, ...]:
    """All whom the headers of that name list."""
    return tuple(actor for value in headers.get(name, ()) for actor in actors(value))


def message_id(value: str) -> str:
    """The Message-ID as the sender made it, angle brackets and case included, white space taken out."""
    found = _ID.search(value)
    return "".join(unfold(found[0] if found else value).split())[:ID_MOST]


def ids(headers: Headers, name: str) -> tuple[str, ...]:
    """The Message-IDs that a header lists, each once."""
    value = " ".join(headers.get(name, ()))
    found = _ID.findall(value) or [word for word in value.split() if "@" in word]
    return tuple(dict.fromkeys("".join(one.split())[:ID_MOST] for one in found))


def _few(references: tuple[str, ...]) -> tuple[str, ...]:
    """The first and the last references: the root of the thread and what stands nearest."""
    return references if len(references) <= REFERENCES_MOST else (references[0], *references[1 - REFERENCES_MOST :])


def date(value: str) -> datetime | None:
    """A Date header as an aware moment; ``None`` where it says none, or one that cannot be."""
    if not value:
        return None
    try:
        found = parsedate_to_datetime(_SUMMER.sub("+0100", unfold(value)[:100]))
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        year = found.astimezone(UTC).year
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return found if _EARLIEST <= year < _LATEST else None


def fingerprint(
    author: Actor, sent_at: datetime | None, subject: str, text: str, attachments: tuple[Attachment, ...]
) -> str:
    """A short hash of what the sender made and no server on the way changes.

    The same mail in two folders or two accounts has one; another mail that wrongly uses the same Message-ID another.
    """
    whole = hashlib.blake2b(digest_size=16)
    moment = sent_at.astimezone(UTC).isoformat() if sent_at else ""
    for piece in (author.external_id, moment, " ".join(subject.split()), " ".join(text.split())):
        whole.update(piece.encode())
        whole.update(b"\0")
    for attachment in attachments:
        whole.update(hashlib.blake2b(attachment.content, digest_size=16).digest())
    return whole.hexdigest()
