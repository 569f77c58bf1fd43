"""What a delivery report says went wrong, as a sentence for whoever wrote the mail that came back."""

from __future__ import annotations

import re
from typing import Final

from connectors.email.structure import Buffer, Part
from connectors.email.text import decode, unfold

_LOOKED_AT: Final = 64 * 1024
_SAID_MOST: Final = 200
_FIELD: Final = re.compile(rb"^([A-Za-z-]{1,40}):[ \t]*((?:[^\n]*)(?:\n[ \t][^\n]*)*)", re.MULTILINE)
_CODE: Final = re.compile(r"\b[245]\.(\d{1,3})\.(\d{1,3})\b")
# A server's own answer inside a report for people: Exim, qmail, Postfix and Exchange all quote it.
_ANSWER: Final = re.compile(
    r"^.{0,80}?\b((?:5\d\d[ -]#?(?:5\.\d{1,3}\.\d{1,3})?|5\.\d{1,3}\.\d{1,3})[ :-][^\n]{3,400})", re.MULTILINE
)

# RFC 3463, by subject and detail, and by subject alone.
_SENTENCES: Final = {
    "1.2": "There is no such mail domain: %s.",
    "1": "There is no mailbox %s.",
    "2.1": "The mailbox %s is switched off.",
    "2.2": "The mailbox %s is full.",
    "2.3": "This mail is larger than %s takes.",
    "2": "The mailbox %s could not take it.",
    "3.4": "This mail is larger than the mail server of %s takes.",
    "3": "The mail server of %s is in trouble.",
    "4": "The mail server of %s could not be reached.",
    "6": "The mail server of %s could not take a mail of this kind.",
    "7": "The mail server of %s refused it.",
}


def failure(leaves: list[Part], content: Buffer) -> str:
    """The first failure of a delivery report (RFC 3464, or in its own words), the server's answer in brackets."""
    quoted = _quoted(leaves, content)
    for leaf in leaves:
        if leaf.media_type == "message/delivery-status":
            found = _of_status(leaf.body(content)[:_LOOKED_AT], quoted)
            if found:
                return found
    return _sentence("", quoted, quoted) if quoted else ""


def _quoted(leaves: list[Part], content: Buffer) -> str:
    """A server's answer as the report's text for people quotes it; empty where it quotes none."""
    for leaf in leaves:
        if leaf.media_type == "text/plain":
            answer = _ANSWER.search(decode(leaf.body(content)[:_LOOKED_AT]))
            return answer[1] if answer else ""
    return ""


def _of_status(body: bytes, quoted: str) -> str:
    """The first recipient that failed, of the groups of fields that a status has."""
    for group in re.split(rb"\r?\n[ \t]*\r?\n", body):
        fields = {name.lower(): unfold(decode(value)).strip() for name, value in _FIELD.findall(group)}
        if fields.get(b"action", "").lower().startswith("failed"):
            recipient = fields.get(b"original-recipient") or fields.get(b"final-recipient") or ""
            said = fields.get(b"diagnostic-code", "").partition(";")[2].strip() or quoted
            return _sentence(recipient.partition(";")[2].strip(), f"{fields.get(b'status', '')} {said}", said)
    return ""


def _sentence(recipient: str, codes: str, said: str) -> str:
    whom = "".join(letter for letter in recipient[:254] if letter.isprintable())
    words = "".join(letter for letter in " ".join(said.split())[:_SAID_MOST] if letter.isprintable()).rstrip(".")
    sentence = _of_code(codes) % whom if whom else "It did not arrive."
    return f"{sentence} ({words})" if words else sentence


def _of_code(codes: str) -> str:
    """The sentence for the first code that says more than that something is wrong."""
    for subject, detail in _CODE.findall(codes):
        found = _SENTENCES.get(f"{subject}.{detail}") or _SENTENCES.get(subject)
        if found:
            return found
    return "It did not arrive at %s."
