"""Foreign words made safe to look at."""

from __future__ import annotations

import io
import re
import time
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from app.messages.sanitise import DEEPEST, LONGEST, media_type, safe_links, sanitise, with_files
from tests.app.messages.cheats import COVERING, everything


def _words(names: str) -> list[str]:
    return names.split()


TAGS = _words("""
    a b i u em p div span table tr td th tbody caption ul ol li dl dt dd blockquote pre h1 h3 img br hr font center
    script style iframe object embed svg math form input button select option textarea base meta link title template
    marquee applet noscript html head body details video audio source frameset foreignObject mtext annotation-xml
    plaintext xmp
""")
ATTRIBUTES = _words("""
    href src srcset style class id name onclick onerror onload background bgcolor action formaction data-remote
    data-cid title alt dir lang width height align colspan target rel xlink:href xmlns data poster srcdoc
""")
VALUES = [
    "javascript:alert(1)",
    " JaVa\tScRiPt:alert(1)",
    "&#106;avascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:image/png;base64,iVBORw0KGgo=",
    "data:image/svg+xml,<svg onload=alert(1)>",
    "vbscript:x",
    "//evil.example/x",
    "/logout",
    "?next=/",
    "#top",
    "https://x.example/a?b=c&d=\"'<>",
    "http://[::1",
    "cid:pic@mail",
    "mailto:a@b.example",
    "position:fixed;top:0",
    "color:red;background:url(//x)",
    'x" onload="alert(1)',
    "rtl",
    "cy",
    "99999",
    "",
]


def assert_harmless(html: str) -> None:
    """Nothing runs, nothing loads, nothing leads into this office, nothing lies over the page."""
    body = LexborHTMLParser(f"<body>{html}</body>").body
    assert body is not None
    for node in body.traverse(include_text=False):
        assert node.tag in _MAY_STAND
        for name, value in node.attributes.items():
            assert name in _MAY_SAY, (node.tag, name)
            assert name != "href" or re.match(r"(?i)https?://|mailto:|tel:", value or ""), value
            assert name != "src" or re.match(r"(?i)data:image/(png|jpe?g|gif|webp|bmp|avif);base64,", value or "")
            assert (name == "target") <= (node.tag == "a" and value == "_blank")
            assert name != "style" or is_only_looks(value or ""), value
        assert node.tag != "a" or node.attributes.get("rel") == "noopener noreferrer nofollow"


def is_only_looks(style: str) -> bool:
    """Whether a style changes colours, type and boxes, and neither places, hides nor loads anything."""
    plain = re.sub(r"(?:rgb|hsl)a?\([\d.,%/ ]+\)", "", style)
    names = [one.partition(":")[0] for one in style.split(";")]
    looks = (
        r"color|background-color|direction|caption-side|(font|text|list|line|letter|word|white)-[a-z-]+|vertical-align"
    )
    boxes = r"(border|padding|margin)(-[a-z-]+)?|(min-|max-)?width|table-layout"
    signs = r"[\\@<>{}()]|/\*|:\s*-|\s-\d|url|expression|var|attr"
    return not re.search(signs, plain) and all(re.fullmatch(f"{looks}|{boxes}", name) for name in names)


_MAY_STAND = _words("""
    body a abbr b bdi bdo blockquote br caption center cite code col colgroup dd del dfn div dl dt em figcaption figure
    font h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s samp small span strike strong sub sup table tbody
    td tfoot th thead tr tt u ul var wbr
""")
_MAY_SAY = _words("""
    href rel target dir lang title align alt src width height data-cid data-remote data-tracker start colspan rowspan
    style bgcolor border cellpadding cellspacing color face nowrap size span type valign
""")


def test_no_known_trick_survives() -> None:
    for cheat in everything():
        shown = sanitise(cheat).html
        assert_harmless(shown)
        assert sanitise(shown).html == shown, cheat


def test_nothing_of_a_page_covering_style_is_left() -> None:
    for style in COVERING:
        shown = sanitise(f'<p style="{style}">x</p>').html
        assert not re.search(r"fixed|absolute|sticky|transform|index|inset|9999|-[0-9]|none|hidden|calc", shown), shown


def test_a_mail_keeps_its_colours_and_boxes() -> None:
    table = (
        '<table bgcolor="#eef6ff" border="0" cellpadding="8" style="width:600px;border-collapse:collapse"><tbody><tr>'
    )
    cell = '<td valign="top" nowrap="" style="padding:4px 8px;border:1px solid rgb(10, 20, 30);color:#222">Bin day</td>'
    html = f"{table}{cell}</tr></tbody></table>"
    assert sanitise(html).html == html
    assert sanitise('<font color="red" face="Comic Sans MS" size="+2">Hi</font>').html == (
        '<font color="red" face="Comic Sans MS" size="+2">Hi</font>'
    )


def test_a_style_as_long_as_a_book_takes_no_time() -> None:
    assert sanitise('<p style="width:' + "1" * 400_000 + '(">x</p>').html == "<p>x</p>"
    assert sanitise('<p style="' + "color:red;" * 40_000 + 'x:url(">x</p>').html.startswith('<p style="color:red;')


@st.composite
def markup(draw: st.DrawFn) -> str:
    """Tags of every kind in any order, opened and not closed, closed and not opened."""
    pieces = []
    for _ in range(draw(st.integers(1, 14))):
        kind = draw(st.integers(0, 5))
        tag = draw(st.sampled_from(TAGS))
        if kind <= 2:
            attributes = draw(
                st.lists(
                    st.tuples(st.sampled_from(ATTRIBUTES), st.sampled_from(VALUES), st.sampled_from("\"' ")), max_size=3
                )
            )
            said = "".join(f" {name}={quote.strip()}{value}{quote.strip()}" for name, value, quote in attributes)
            pieces.append(f"<{tag}{said}>")
        elif kind == 3:
            pieces.append(f"</{tag}>")
        elif kind == 4:
            pieces.append(draw(st.text(max_size=12)))
        else:
            pieces.append(
                draw(st.sampled_from(["<!--", "-->", "<![CDATA[", "]]>", "&#13;", "&nbsp;", "\n\n", "<!", "</"]))
            )
    return "".join(pieces)


@settings(max_examples=400, deadline=None)
@given(markup())
def test_whatever_comes_in_what_comes_out_is_harmless_and_stays_so(html: str) -> None:
    shown = sanitise(html).html
    assert_harmless(shown)
    assert sanitise(shown).html == shown


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    shown = sanitise(text).html
    assert sanitise(shown).html == shown


def test_remote_images_are_named_and_not_loaded() -> None:
    clean = sanitise(
        '<img src="https://news.example/logo.png" alt="Logo &amp; name">'
        '<img src="http://T.example:8080/p.gif" width="1">'
        '<img src="https://news.example/two.png"><img src="https://news.example/three.png" alt="">'
    )
    assert clean.html == (
        '<span data-remote="https://news.example/logo.png">Logo &amp; name</span>'
        '<span data-tracker="http://T.example:8080/p.gif"></span>'
        '<span data-remote="https://news.example/two.png">news.example</span>'
        '<span data-remote="https://news.example/three.png">news.example</span>'
    )
    assert clean.remote_hosts == ("news.example", "t.example")


def test_images_inside_the_mail_are_shown_from_where_they_are_kept() -> None:
    stored = sanitise('<p><img src="cid:pic@mail" alt="The bin"><img src="cid:other"></p>').html
    assert stored == '<p><img alt="The bin" data-cid="pic@mail"><img data-cid="other"></p>'
    assert with_files(stored, {"pic@mail": '/files/7?a="b"&c'}) == (
        '<p><img alt="The bin" data-cid="pic@mail" src="/files/7?a=&quot;b&quot;&amp;c"><img data-cid="other"></p>'
    )


def test_words_that_look_like_our_marks_are_only_words() -> None:
    assert (
        with_files('<p>&lt;img data-cid="x"&gt; <b title=\'<img data-cid="x">\'>t</b></p>', {"x": "/files/1"}).count(
            "/files/1"
        )
        == 0
    )


def test_what_people_write_keeps_its_shape() -> None:
    kept = (
        '<h3>Bin</h3><p dir="rtl" lang="ar">صندوق</p><p lang="cy">Bore da</p>'
        '<table><tbody><tr><td colspan="2" align="center">x</td></tr></tbody></table>'
        "<ul><li>one</li></ul><blockquote>said</blockquote><pre>a\n b</pre>"
    )
    assert sanitise(kept).html == kept


def test_the_first_heading_of_a_page_is_its_own() -> None:
    assert sanitise("<h1>Hello</h1><h2 dir=ltr>you</h2><h4>there</h4>").html == (
        '<h3>Hello</h3><h3 dir="ltr">you</h3><h4>there</h4>'
    )


def test_links_lead_away_and_tell_nothing() -> None:
    assert sanitise("<a href=' https://x.example/a?b=1&amp;c=2 ' class=button>x</a><a href='/logout'>y</a>").html == (
        '<a href="https://x.example/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer nofollow">x</a>'
        '<a target="_blank" rel="noopener noreferrer nofollow">y</a>'
    )


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000,
        "<ul><li>" * 50_000,
        "<blockquote>" * 80_000,
        "<div></x>" * 90_000,
        ("<b>" + "<div>" * 8) * 20_000,
        "x" * (LONGEST + 1),
    ],
    ids=["div", "ul", "blockquote", "false ends", "formatting", "long"],
)
def test_what_would_take_a_sanitiser_minutes_is_left_to_the_text(html: str) -> None:
    began = time.process_time()
    assert sanitise(html).html == ""
    assert time.process_time() - began < 5


def test_a_newsletter_of_many_tables_is_not_deep() -> None:
    row = "<table><tr><td><p>Hello <b>world</b><br><img src=cid:x></td></tr></table>"
    assert sanitise(row * 2_000).html.count("world") == 2_000
    assert sanitise("<div>" * (DEEPEST - 2) + row * 700 + "</div>" * (DEEPEST - 2)).html.count("world") == 700


# ── Plain text ────────────────────────────────────────────────────────────────────────────────────────────────────


def _link(target: str, shown: str | None = None) -> str:
    return f'<a href="{target}" target="_blank" rel="noopener noreferrer nofollow">{shown or target}</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a < b & c", "a &lt; b &amp; c"),
        ("See https://x.example/a?b=1&c=2.", f"See {_link('https://x.example/a?b=1&amp;c=2')}."),
        ("(https://x.example/a_(b))", f"({_link('https://x.example/a_(b)')})"),
        ("<https://x.example>, yes", f"&lt;{_link('https://x.example')}&gt;, yes"),
        ("write to ann@x.example!", f"write to {_link('mailto:ann@x.example', 'ann@x.example')}!"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ('https://x.example/"onclick="alert(1)', f"{_link('https://x.example/')}&quot;onclick=&quot;alert(1)"),
    ],
)
def test_addresses_in_plain_text_can_be_followed(text: str, html: str) -> None:
    assert str(safe_links(text)) == html


@given(st.text())
def test_plain_text_is_never_markup(text: str) -> None:
    body = LexborHTMLParser(f"<body>{safe_links(text)}</body>").body
    assert body is not None
    assert {node.tag for node in body.traverse(include_text=False)} <= {"body", "a"}


def test_a_long_text_of_dots_and_signs_is_linked_quickly() -> None:
    began = time.process_time()
    safe_links("a." * 100_000 + "@" * 100_000 + "http://" * 50_000)
    assert time.process_time() - began < 5


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _zip(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, "application/vnd.oasis.opendocument.text" if name == "mimetype" else "x" * 50)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n%abc", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(40), "image/jpeg"),
        (b"GIF89a" + bytes(40), "image/gif"),
        (b"Dear Councillor,\n", "text/plain"),
        ("Annwyl Gynghorydd, mae'r tŷ yn oer. ".encode() * 400, "text/plain"),
        (b"", "application/octet-stream"),
        (b"\x00\x01\x02\x03 nobody knows", "application/octet-stream"),
        (_zip("a.txt"), "application/zip"),
        (_zip("mimetype", "content.xml"), "application/vnd.oasis.opendocument.text"),
        (
            _zip("[Content_Types].xml", "word/document.xml"),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (
            _zip("[Content_Types].xml", "xl/workbook.xml"),
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
    ],
)
def test_a_file_is_what_its_bytes_say(content: bytes, kind: str) -> None:
    assert media_type(content) == kind
