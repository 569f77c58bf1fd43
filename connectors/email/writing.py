"""A reply as the bytes that will go out: made once, kept, the same at every attempt."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from typing import Final

from connectors import Actor, Attachment, Draft, Prepared, Refused
from connectors.email import bodies, ids
from connectors.email.settings import ADDRESS

_REFERENCES_MOST: Final = 20
_RE: Final = re.compile(r"^\s*(?:(?:re|ateb|atb|aw|sv|antw)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_ID: Final = re.compile(r"<[!-;=?-~]{3,900}>")
# Ends a header or hides in one: line breaks of every kind, other control characters, marks that turn the direction.
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNFIT_IN_NAME: Final = re.compile(r'[\x00-\x1f\x7f-\x9f/\\"\u2028-\u202e\u2066-\u2069\ud800-\udfff]')
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,100}")
_LINE_MOST: Final = 990  # octets; RFC 5322 section 2.1.1 allows 998


def prepare(draft: Draft, id_key: bytes) -> Prepared:
    """The whole mail; raises Refused where the draft holds something that no header may hold."""
    if not draft.to:
        raise Refused("This reply has no recipient.")
    sender = mailbox(draft.sender)
    to, cc = [mailbox(one) for one in draft.to], [mailbox(one) for one in draft.cc]
    try:
        own_id = ids.message_id(draft.key, sender[1].rpartition("@")[2], id_key)
    except ValueError as error:
        raise Refused("This reply cannot be given a Message-ID.") from error
    answered = [one for one in (draft.in_reply_to,) if _ID.fullmatch(one)]
    references = _references((*draft.references, *answered))
    lines = [
        f"Date: {format_datetime(draft.written_at)}",
        f"Message-ID: {own_id}",
        _people("From", [sender]),
        _people("To", to),
        *([_people("Cc", cc)] if cc else []),
        _words("Subject", subject(draft)),
        *(f"In-Reply-To: {one}" for one in answered),
        *(["References: " + "\r\n ".join(references)] if references else []),
    ]
    payload = "\r\n".join(lines).encode("ascii") + b"\r\n" + _body(draft)
    recipients = list(dict.fromkeys(address for _, address in (*to, *cc)))
    return Prepared(platform_id=own_id, payload=payload, meta={"from": sender[1], "to": recipients})


def subject(draft: Draft) -> str:
    """The subject with exactly one "Re: " where something is answered; raises Refused for a line break and the like."""
    words = _fit(draft.subject, "The subject").strip()
    return f"Re: {_RE.sub('', words)}" if draft.in_reply_to else words


def mailbox(actor: Actor) -> tuple[str, str]:
    """Name and address, fit for a header; raises Refused where the address is none that mail can be sent to."""
    address = actor.handle or actor.external_id
    local, _, domain = address.rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode('ascii')}" if not domain.isascii() else address
    except UnicodeError:
        plain = ""
    if not ADDRESS.fullmatch(plain):
        raise Refused(f"“{_UNFIT.sub(' ', address)}” is not an address that mail can be sent to.")
    return _fit(actor.name, "A name"), plain


def _fit(value: str, what: str) -> str:
    """``value``; raises Refused where it would end its header or read differently from what it is."""
    if _UNFIT.search(value):
        raise Refused(f"{what} holds a character that cannot be sent.")
    return value


def _references(found: Iterable[str]) -> list[str]:
    """The root of the thread and its nearest mails, each once; ids that no mail program understands are left out."""
    every = [one for one in dict.fromkeys(reversed(list(found))) if _ID.fullmatch(one)][::-1]
    return every if len(every) <= _REFERENCES_MOST else [every[0], *every[1 - _REFERENCES_MOST :]]


def _people(name: str, people: list[tuple[str, str]]) -> str:
    return f"{name}: " + ",\r\n ".join(formataddr(one) for one in people)


def _words(name: str, value: str) -> str:
    """A header of words, encoded where it must be and folded."""
    header = Header(value, None if value.isascii() else "utf-8", header_name=name)
    return f"{name}: {header.encode(linesep=chr(13) + chr(10))}"


def _body(draft: Draft) -> bytes:
    """MIME-Version and what follows: the text as it was typed, the same in HTML, and the files."""
    text, markup = bodies.plain(draft), bodies.markup(draft)
    body = EmailMessage(policy=SMTP)
    body.set_content(text, cte=_transfer(text))
    body.add_alternative(markup, subtype="html", cte=_transfer(markup))
    for attachment in draft.attachments:
        maintype, subtype = _media_type(attachment)
        body.add_attachment(attachment.content, maintype=maintype, subtype=subtype, filename=_file_name(attachment))
    return body.as_bytes()


def _transfer(text: str) -> str:
    """As it is where every mail server takes it, readable where most of it is ASCII, base64 otherwise."""
    longest = max(len(line.encode()) for line in text.split("\n"))
    if text.isascii():
        return "7bit" if longest <= _LINE_MOST else "quoted-printable"
    mostly_ascii = sum(map(str.isascii, text)) * 6 > len(text) * 5
    return "quoted-printable" if mostly_ascii else "base64"


def _media_type(attachment: Attachment) -> tuple[str, str]:
    """As declared, unless it is none or would be read as parts of the mail itself."""
    declared = attachment.media_type.lower()
    if not _MEDIA_TYPE.fullmatch(declared) or declared.startswith(("multipart/", "message/")):
        return "application", "octet-stream"
    maintype, _, subtype = declared.partition("/")
    return maintype, subtype


def _file_name(attachment: Attachment) -> str:
    return _UNFIT_IN_NAME.sub("_", attachment.name).strip() or "attachment"
