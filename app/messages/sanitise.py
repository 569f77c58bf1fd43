"""Foreign words made safe to look at: the one HTML sanitiser, links in plain text, and what a file really is.

Everything that is shown goes through here: what a mail brought when it is stored, and again in every view
(reliability.md section 4). What comes out loads nothing, runs nothing, covers nothing, and stays the same when it is
put in again. It is shown in a frame of its own, so that its colours and sizes are its own business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape, unescape
from typing import Final
from urllib.parse import urlsplit

import nh3
import puremagic
from markupsafe import Markup

# Beyond these it is shown as text, and the original stays at hand: parsing takes time that grows with the square of the
# depth and of the attributes (100,000 nested <div> took 47 s, 100,000 attributes 2 s).
LONGEST: Final = 1_000_000  # characters of HTML
DEEPEST: Final = 500
_MANY: Final = 4_000
_PASSES: Final = 6
_TINY: Final = {"0", "1", "2", "3"}  # pixels: a picture of this size is there to count readers, not to be seen
# Services that count who opens a mail, by the end of their host's name.
_COUNTERS: Final = re.compile(
    r"(?:^|\.)(?:list-manage\.com|mandrillapp\.com|mcsv\.net|sendgrid\.net|mailgun\.org|sparkpostmail\.com|"
    r"exct\.net|exacttarget\.com|createsend\d*\.com|cmail\d+\.com|rs6\.net|hubspotemail\.net|hubspotlinks\.com|"
    r"klaviyomail\.com|customeriomail\.com|mailtrack\.io|yesware\.com|bananatag\.com|mixmax\.com|getnotify\.com|"
    r"dotdigital-pages\.com|govdelivery\.com|vuture\.net|google-analytics\.com|doubleclick\.net|facebook\.com)$",
    re.IGNORECASE,
)


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


_TAGS: Final = _words("""
    a abbr b bdi bdo blockquote br caption center cite code col colgroup dd del dfn div dl dt em figcaption figure font
    h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strike strong sub sup table tbody
    td tfoot th thead tr tt u ul var wbr
""")
_WITH_CONTENT: Final = _words("script style title iframe noembed noframes math svg template")
_ATTRIBUTES: Final = {
    "*": {"dir", "lang", "title", "align", "style"},
    "a": {"href"},
    "col": {"span", "width"},
    "font": {"color", "face", "size"},
    "hr": {"color", "size", "width"},
    "img": {"alt", "src", "width", "height", "data-cid"},
    "span": {"data-remote", "data-tracker"},
    "ol": {"start", "type"},
    "table": {"bgcolor", "border", "cellpadding", "cellspacing", "width", "height"},
    "td": {"bgcolor", "colspan", "height", "nowrap", "rowspan", "valign", "width"},
    "th": {"bgcolor", "colspan", "height", "nowrap", "rowspan", "valign", "width"},
    "tr": {"bgcolor", "height", "valign"},
}
_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,20}")
_FEW: Final = re.compile(r"[0-9]{1,3}")
_VALUES: Final = {
    "dir": re.compile(r"ltr|rtl|auto", re.IGNORECASE),
    "lang": re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}"),
    "align": re.compile(r"left|right|center|justify", re.IGNORECASE),
    "width": re.compile(r"[0-9]{1,4}%?"),
    "height": re.compile(r"[0-9]{1,4}%?"),
    "start": re.compile(r"[0-9]{1,6}"),
    "colspan": re.compile(r"[0-9]{1,3}"),
    "rowspan": re.compile(r"[0-9]{1,3}"),
    "href": re.compile(r"(?:https?://|mailto:|tel:)\S+", re.IGNORECASE),
    "src": re.compile(
        r"https?://\S+|cid:\S+|data:image/(?:png|jpe?g|gif|webp|bmp|avif);base64,[A-Za-z0-9+/=\s]+", re.IGNORECASE
    ),
    "data-remote": re.compile(r"https?://\S+", re.IGNORECASE),
    "data-tracker": re.compile(r"https?://\S+", re.IGNORECASE),
    "data-cid": re.compile(r"\S+"),
    "bgcolor": _COLOUR,
    "color": _COLOUR,
    "border": _FEW,
    "cellpadding": _FEW,
    "cellspacing": _FEW,
    "span": _FEW,
    "size": re.compile(r"[+-]?[0-9]{1,2}"),
    "face": re.compile(r"[\w ,'-]{1,200}"),
    "type": re.compile(r"[1aAiI]"),
    "nowrap": re.compile(r"(?:nowrap)?", re.IGNORECASE),
    "valign": re.compile(r"top|middle|bottom|baseline", re.IGNORECASE),
}

# What makes a mail look as it was sent. Nothing here places, layers, moves, hides or loads anything.
_STYLES: Final = _words("""
    background-color border border-bottom border-bottom-color border-bottom-style border-bottom-width border-collapse
    border-color border-left border-left-color border-left-style border-left-width border-radius border-right
    border-right-color border-right-style border-right-width border-spacing border-style border-top border-top-color
    border-top-style border-top-width border-width caption-side color direction font-family font-size font-style
    font-variant font-weight letter-spacing line-height list-style-type margin margin-bottom margin-left margin-right
    margin-top max-width min-width padding padding-bottom padding-left padding-right padding-top table-layout
    text-align text-decoration text-decoration-line text-indent text-transform vertical-align white-space width
    word-break word-spacing
""")
_DECLARATION: Final = re.compile(r"\s*([a-z-]{1,40})\s*:\s*(.{1,200}?)\s*", re.IGNORECASE | re.DOTALL)
# Words, numbers without a sign, colours: no url(), no expression(), no escape, no string that could hold either. What
# has matched is not looked at again: a long value costs no more than its length.
_VALUE: Final = re.compile(
    r"""(?>
        (?:rgb|hsl)a?\([0-9.,%/\s]{1,60}\)
      | "[\w\ -]{1,60}" | '[\w\ -]{1,60}'
      | [!]?[A-Za-z][\w-]*
      | \#[0-9A-Fa-f]{3,8}
      | (?:[0-9]{1,4}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})(?:%|[A-Za-z]{1,4})?
      | [,/\s]
    )++""",
    re.VERBOSE,
)
_UNSEEN: Final = re.compile(
    r"(?:font-size|line-height|width|max-width):0*(?:\.0*)?(?:[a-z]+|%)?\s*(?:!important)?", re.IGNORECASE
)


def _attribute(_tag: str, name: str, value: str) -> str | None:
    """The value of an attribute as it may stand, or None."""
    value = " ".join(value.split())
    if name == "style":
        return _style(value)
    allowed = _VALUES.get(name)
    return value if allowed is None or allowed.fullmatch(value) else None


def _style(value: str) -> str | None:
    """The declarations of a style that may stand, in one way of writing, so that cleaning again changes nothing."""
    kept = []
    for declaration in value.split(";"):
        found = _DECLARATION.fullmatch(declaration)
        if found and found[1].lower() in _STYLES and _VALUE.fullmatch(found[2]):
            one = f"{found[1].lower()}:{found[2]}"
            if not _UNSEEN.fullmatch(one):
                kept.append(one)
    return ";".join(kept) or None


_CLEANER: Final = nh3.Cleaner(
    tags=set(_TAGS),
    clean_content_tags=set(_WITH_CONTENT),
    attributes=_ATTRIBUTES,
    attribute_filter=_attribute,
    strip_comments=True,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto", "tel", "cid", "data"},  # which of them where: _VALUES
    url_relative="deny",  # a relative link would lead into this office
)
_BARE: Final = nh3.Cleaner(tags=set(), clean_content_tags=set(_WITH_CONTENT))

# Over what the cleaner wrote, never over what came: there "<" begins a tag or stands inside a quoted value, and
# attributes are always name="value" with &quot; inside.
_IMAGE: Final = re.compile(r'<img(?: [a-z-]+="[^"]*")*>')
_REMOTE: Final = re.compile(r'<span(?: [a-z-]+="[^"]*")*? data-(?:remote|tracker)="([^"]*)"')
_PICTURE: Final = re.compile(r'<span(?: [a-z-]+="[^"]*")*? data-remote="([^"]*)"[^>]*>([^<]*)</span>')
_TRACKER: Final = re.compile(r'<span(?: [a-z-]+="[^"]*")*? data-tracker="([^"]*)"')
_PAIR: Final = re.compile(r' ([a-z-]+)="([^"]*)"')
_HEADING: Final = re.compile(r"(</?)h[12]\b")
_FIRST_LINES: Final = re.compile(r'(<pre(?: [a-z-]+="[^"]*")*>)\n+')


@dataclass(frozen=True, kw_only=True, slots=True)
class Clean:
    """HTML that may be shown, and the hosts whose images were held back, in the order of their first appearance."""

    html: str
    remote_hosts: tuple[str, ...] = ()


def sanitise(html: str) -> Clean:
    """``html`` as it may be shown: never raises, and gives the same again when given its own answer.

    Images: ``data:`` ones stay; those inside the mail become ``<img data-cid="…">``; remote ones become
    ``<span data-remote="URL">what it showed</span>``, which loads nothing, and those that only count readers
    ``<span data-tracker="URL">``. Headings of the first two levels become the
    third, because a page has one first heading of its own. HTML that is longer than ``LONGEST`` or nested deeper than
    ``DEEPEST`` gives nothing: its text is shown instead.
    """
    if len(html) > LONGEST or (html.count("<") > _MANY and _depth(html) > DEEPEST):
        return Clean(html="")
    shown = _once(html)
    for _ in range(_PASSES):
        again = _once(shown)
        if again == shown:
            return Clean(html=shown, remote_hosts=_hosts(shown))
        shown = again
    return Clean(html=_BARE.clean(shown).replace("\r", "\n"))


def pictures(html: str) -> tuple[str, ...]:
    """The addresses of the remote pictures in what ``sanitise`` made, each once; not of those that count readers."""
    return tuple(dict.fromkeys(unescape(found[1]) for found in _PICTURE.finditer(html)))


def trackers(html: str) -> tuple[str, ...]:
    """The hosts that would learn when ``html`` is read: of pictures made to be counted, not seen."""
    return tuple(dict.fromkeys(filter(None, (_host(unescape(url)) for url in _TRACKER.findall(html)))))


def with_files(html: str, urls: Mapping[str, str], fetched: Mapping[str, str] | None = None) -> Markup:
    """``html`` for a page: sanitised once more, its pictures taken from ``urls`` and ``fetched``.

    Both lead to our own: ``urls`` by Content-ID without its angle brackets, ``fetched`` by the address of the remote
    picture that a reader asked for.
    """

    def show(tag: re.Match[str]) -> str:
        given = dict(_PAIR.findall(tag[0]))
        url = urls.get(unescape(given.get("data-cid", "")))
        return tag[0] if url is None else f'{tag[0][:-1]} src="{escape(url)}">'

    def fill(stand_in: re.Match[str]) -> str:
        url = (fetched or {}).get(unescape(stand_in[1]))
        return stand_in[0] if url is None else f'<img alt="{stand_in[2]}" src="{escape(url)}">'

    return Markup(_PICTURE.sub(fill, _IMAGE.sub(show, sanitise(html).html)))  # noqa: S704 - this is the sanitiser


_TAG: Final = re.compile(r"<(/?)([A-Za-z][^\s/>]*)")
# Empty ones, and those that the next of their kind or the end of their parent closes.
_NEVER_DEEP: Final = _words("""
    area base br col embed hr img input link meta param source track wbr
    p li td th tr dd dt tbody thead tfoot colgroup option
""")


def _depth(html: str) -> int:
    """How deep the elements of ``html`` may lie at most: what is opened and never closed, kind by kind."""
    opened: dict[str, int] = {}
    deepest = now = 0
    for ends, name in _TAG.findall(html):
        kind = name.lower()
        if kind in _NEVER_DEEP or (ends and not opened.get(kind)):
            continue
        step = -1 if ends else 1
        opened[kind] = opened.get(kind, 0) + step
        now += step
        deepest = max(deepest, now)
    return deepest


def _once(html: str) -> str:
    try:
        cleaned = _CLEANER.clean(html)
    except UnicodeEncodeError:  # half of a surrogate pair, from a broken charset
        cleaned = _CLEANER.clean(html.encode("utf-8", "replace").decode())
    cleaned = _IMAGE.sub(_hold_back, cleaned).replace("\r", "\n")
    return _FIRST_LINES.sub(r"\1", _HEADING.sub(r"\1h3", cleaned))


def _hold_back(tag: re.Match[str]) -> str:
    """An image that loads nothing from elsewhere."""
    given: dict[str, str] = dict(_PAIR.findall(tag[0]))
    source = given.get("src", "")
    if source[:4].lower() == "cid:":
        given["data-cid"] = source[4:].removeprefix("&lt;").removeprefix("<").removesuffix("&gt;").removesuffix(">")
        del given["src"]
    elif source[:4].lower() == "http":
        return _stand_in(given, source)
    return "<img" + "".join(f' {name}="{value}"' for name, value in given.items()) + ">"


def _stand_in(given: Mapping[str, str], source: str) -> str:
    """What stands for a remote image: its own words, else the host it would come from; nothing for a counting pixel."""
    host = _host(unescape(source))
    if given.get("width") in _TINY or given.get("height") in _TINY or _COUNTERS.search(host):
        return f'<span data-tracker="{source}"></span>'
    shown = escape(unescape(given.get("alt", "")) or host, quote=False).replace("\xa0", "&nbsp;")
    return f'<span data-remote="{source}">{shown}</span>'


def _hosts(html: str) -> tuple[str, ...]:
    hosts = (_host(unescape(url)) for url in _REMOTE.findall(html))
    return tuple(dict.fromkeys(host for host in hosts if host))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


# Plain text.

_LINK: Final = re.compile(
    r"https?://[^\s<>\"\x00-\x1f]+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}", re.IGNORECASE
)
_AFTER: Final = ".,;:!?'\u2019\u201d)]}>*_"  # punctuation of the sentence, not of the address


def safe_links(text: str) -> Markup:
    """``text`` for a page: nothing in it is HTML but the web and mail addresses, which can be followed."""
    return Markup("".join(_linked(text)))  # noqa: S704 - every piece is escaped


def _linked(text: str) -> Iterator[str]:
    done = 0
    for found in _LINK.finditer(text):
        address = _trimmed(found[0])
        yield escape(text[done : found.start()])
        done = found.start() + len(address)
        target = address if "://" in address else f"mailto:{address}"
        shown, safe = escape(address), escape(target)
        yield f'<a href="{safe}" target="_blank" rel="noopener noreferrer nofollow">{shown}</a>'
    yield escape(text[done:])


def _trimmed(address: str) -> str:
    """``address`` without what ends the sentence; a closing bracket stays where the address itself opened one."""
    while address and address[-1] in _AFTER and not (address[-1] == ")" and address.count("(") >= address.count(")")):
        address = address[:-1]
    return address


# Files.

UNKNOWN: Final = "application/octet-stream"
_LOOKED_AT: Final = 4096


def media_type(content: bytes) -> str:
    """What ``content`` is by its first bytes, whatever its sender calls it; text where it reads as text."""
    start = content[:_LOOKED_AT]
    if start.startswith(b"PK\x03\x04"):
        return _in_zip(start)
    try:
        found = puremagic.from_string(start, mime=True) if _may_be_known(start) else ""
    except (puremagic.PureError, ValueError):
        found = ""
    return found or ("text/plain" if _is_text(start) else UNKNOWN)


def _may_be_known(start: bytes) -> bool:
    """Whether any of the library's 1,400 patterns fits; it tries each of them every time, at 0.2 ms a file."""
    signs = [*_signs().get(start[:1], ()), *_signs().get(b"", ())]
    return any(start.startswith(sign, offset) for sign, offset in signs)


@cache
def _signs() -> dict[bytes, list[tuple[bytes, int]]]:
    """The library's patterns by their first byte; those that stand further inside under none."""
    signs: dict[bytes, list[tuple[bytes, int]]] = {}
    for row in puremagic.magic_header_array:
        signs.setdefault(b"" if row.offset else row.byte_match[:1], []).append((row.byte_match, row.offset))
    return signs


_OFFICE: Final = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}


def _in_zip(start: bytes) -> str:
    """What an archive is by the names of its first members (puremagic calls every one a Word document)."""
    if start[30:38] == b"mimetype":  # OpenDocument and EPUB say it in their first member, stored as it is
        named = re.match(rb"mimetype(application/[a-z0-9.+-]+?)(?:PK|[^a-z0-9.+-])", start[30:200])
        return named[1].decode() if named else "application/zip"
    if b"[Content_Types].xml" in start or b"_rels/" in start:
        return next((kind for folder, kind in _OFFICE.items() if folder in start), "application/zip")
    return "application/zip"


def _is_text(start: bytes) -> bool:
    if not start or b"\0" in start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4  # a character cut in two by the end of what we look at
    return True
