"""Which mails no person wrote: automatic answers, lists, and reports that a mail of ours did not arrive."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from connectors.email.addresses import actors
from connectors.email.failures import failure
from connectors.email.structure import Buffer, Headers, Part, first, structured
from connectors.email.text import decode, decode_header

# RFC 3834 section 5 for Auto-Submitted; RFC 2369 and 2919 for lists; the others are what senders do instead.
# List-Unsubscribe alone is no list: campaign sites put it on the letters that residents send through them.
_LIST_HEADERS: Final = ("list-id", "list-post")
_AUTOMATIC_HEADERS: Final = (
    "x-autoreply",
    "x-autorespond",
    "x-auto-reply-from",
    "x-mail-autoreply",
    "x-failed-recipients",
)
_PRECEDENCE: Final = frozenset({"bulk", "junk", "list", "auto_reply", "auto-reply"})
_AUTOMATIC_SUBJECT: Final = re.compile(
    r"^\s*(?:automatic reply|auto(?:matic)?[- ]?reply|auto[- ]?response|out of (?:the )?office|ateb awtomatig|"
    r"allan o'r swyddfa)\b",
    re.IGNORECASE,
)
_POSTMASTERS: Final = re.compile(r"^(?:mailer-daemon|postmaster|mail-daemon|mdaemon)@?", re.IGNORECASE)
_FAILED_SUBJECT: Final = re.compile(
    r"undeliver|delivery (?:status|failure|has failed)|mail delivery failed|failure notice|returned mail|"
    r"delivery notification|not delivered",
    re.IGNORECASE,
)
_FAILED: Final = re.compile(rb"^Action:[ \t]*failed\b", re.IGNORECASE | re.MULTILINE)
_OUR_ID: Final = re.compile(rb"^Message-ID:\s*(<[^<>\s]{1,998}>)", re.IGNORECASE | re.MULTILINE)
_LOOKED_AT: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the headers and the machine-readable parts say.

    ``bounced``: Message-IDs of mails that did not arrive, ``failure`` why.
    """

    is_auto: bool
    is_bounce: bool
    bounced: tuple[str, ...] = ()
    failure: str = ""


def report(headers: Headers, leaves: list[Part], content: Buffer) -> Report:
    """Whether a machine wrote this mail, and whether it reports a failed delivery."""
    failed = _failed(headers, leaves, content)
    return Report(
        is_auto=failed or _is_auto(headers, leaves),
        is_bounce=failed,
        bounced=_bounced(headers, leaves, content) if failed else (),
        failure=failure(leaves, content) if failed else "",
    )


def disposition(part: Part) -> tuple[str, dict[str, str]]:
    """How a part wants to be shown, and the parameters beside it."""
    value = first(part.headers, "content-disposition")
    return structured(value) if value else ("", {})


def _is_auto(headers: Headers, leaves: list[Part]) -> bool:
    submitted = first(headers, "auto-submitted").partition(";")[0].strip().lower()
    return (
        submitted not in {"", "no"}
        or first(headers, "precedence").strip().lower() in _PRECEDENCE
        or any(name in headers for name in (*_LIST_HEADERS, *_AUTOMATIC_HEADERS))
        or first(headers, "return-path").strip() == "<>"
        or bool(_AUTOMATIC_SUBJECT.match(decode_header(first(headers, "subject"))))
        or any(leaf.media_type == "message/delivery-status" for leaf in leaves)
    )


def _failed(headers: Headers, leaves: list[Part], content: Buffer) -> bool:
    """Whether this reports a failure: in the standard form (RFC 3464; a delay is none), or as older servers do."""
    statuses = [leaf for leaf in leaves if leaf.media_type == "message/delivery-status"]
    if statuses:
        return any(_FAILED.search(leaf.body(content)[:_LOOKED_AT]) for leaf in statuses)
    if "x-failed-recipients" in headers:
        return True
    senders = actors(first(headers, "from"))
    from_postmaster = bool(senders) and bool(_POSTMASTERS.match(senders[0].external_id))
    return from_postmaster and bool(_FAILED_SUBJECT.search(decode_header(first(headers, "subject"))))


def _bounced(headers: Headers, leaves: list[Part], content: Buffer) -> tuple[str, ...]:
    """The ids of what came back: from the copy that is returned, else from what the report says it answers."""
    copies = [leaf for leaf in leaves if leaf.media_type in {"message/rfc822", "text/rfc822-headers", "message/global"}]
    found: list[str] = []
    for leaf in copies or [leaf for leaf in leaves if leaf.media_type == "text/plain"]:
        found += [decode(one) for one in _OUR_ID.findall(leaf.body(content)[:_LOOKED_AT])[:1]]
    if not found:
        found = re.findall(r"<[^<>\s]{1,998}>", first(headers, "in-reply-to") + first(headers, "references"))
    return tuple(dict.fromkeys(found))
