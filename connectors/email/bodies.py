"""What a mail says, twice: as plain text, and as HTML that says the same and loads nothing. Pure.

Below the words stands the signature, below that what is answered, as a mail program quotes it: short, and with a line
that says whose words they are.
"""

from __future__ import annotations

import html
import re
from typing import Final
from zoneinfo import ZoneInfo

from connectors import Draft, Quoted

_LONDON: Final = ZoneInfo("Europe/London")
_QUOTED_LINES: Final = 40  # of what is answered; its writer has the rest
_QUOTED_CHARACTERS: Final = 4_000
_CUT: Final = "[…]"
_UNFIT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_BLANK: Final = re.compile(r"\n[^\S\n]*\n+")
_INDENT: Final = re.compile(r"^[ \t]+", re.MULTILINE)
_LINK: Final = re.compile(r"""https?://[^\s<>"]*[^\s<>".,;:!?)\]'’”]""", re.IGNORECASE)


def plain(draft: Draft) -> str:
    """The words as they were typed, then signature and quotation."""
    text = _clean(draft.text)
    if draft.signature:
        text = f"{text.rstrip()}\n\n{_clean(draft.signature).strip()}\n"
    if draft.quoted is None:
        return text
    lines = (f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in _short(draft.quoted).split("\n"))
    return "\n".join([text.rstrip(), "", _attribution(draft.quoted), *lines, ""])


def markup(draft: Draft) -> str:
    """The same as HTML: paragraphs, line breaks and links, nothing else."""
    parts = [_paragraphs(_clean(draft.text))]
    if draft.signature:
        parts.append(_paragraphs(_clean(draft.signature)))
    if draft.quoted is not None:
        quotation = _paragraphs(_short(draft.quoted))
        parts.append(f'{_paragraphs(_attribution(draft.quoted))}\n<blockquote type="cite">\n{quotation}\n</blockquote>')
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"></head>\n<body dir="auto">\n{body}\n</body>\n</html>\n'
    )


def _clean(text: str) -> str:
    """``text`` with the line ends that we use, and without characters that no mail may hold."""
    return _UNFIT.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _short(quoted: Quoted) -> str:
    text = _clean(quoted.text).strip()
    lines = text[:_QUOTED_CHARACTERS].split("\n")[:_QUOTED_LINES]
    kept = "\n".join(lines)
    return kept if kept == text else f"{kept.rstrip()}\n{_CUT}"


def _attribution(quoted: Quoted) -> str:
    """In the form that mail programs fold away: a day with its year, an hour, a name."""
    at = quoted.sent_at.astimezone(_LONDON)
    author = " ".join(_clean(quoted.author).split())
    return f"On {at:%a} {at.day} {at:%b %Y} at {at:%H:%M}, {author} wrote:"


def _paragraphs(text: str) -> str:
    return "\n".join(f'<p dir="auto">{_lines(part)}</p>' for part in _BLANK.split(text.strip("\n")) if part.strip())


def _lines(part: str) -> str:
    return "<br>\n".join(_INDENT.sub(_kept, _linked(line)) for line in part.split("\n"))


def _kept(indent: re.Match[str]) -> str:
    return "&nbsp;" * len(indent.group().expandtabs(4))


def _linked(line: str) -> str:
    """``line`` escaped, its web addresses made links."""
    pieces, at = [], 0
    for found in _LINK.finditer(line):
        address = html.escape(found.group())
        pieces += [html.escape(line[at : found.start()]), f'<a href="{address}">{address}</a>']
        at = found.end()
    return "".join([*pieces, html.escape(line[at:])])
