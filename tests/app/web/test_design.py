"""The look, worked out again from its files: contrast of the tokens, weights, colours, icons."""

import gzip
import json
import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[3]
STATIC = HOUSE / "static"
TEMPLATES = HOUSE / "templates"
STYLE = (STATIC / "app.css").read_text()

# Which text stands on what, and the least contrast it needs (WCAG 2.2: 1.4.3 for text, 1.4.11 for edges and signs).
TEXT = [
    ("ink", "surface paper sunken hover accent-soft accent-line bad-soft warn-soft good-soft info-soft note-soft"),
    ("ink-2", "surface paper sunken hover warn-soft info-soft bad-soft note-soft"),
    ("ink-3", "surface paper hover accent-soft"),
    ("accent", "surface paper accent-soft"),
    ("accent-hover", "surface paper"),
    ("on-accent", "accent accent-hover"),
    ("bad", "surface paper bad-soft"),
    ("on-bad", "bad-solid"),
    ("warn", "surface paper warn-soft"),
    ("good", "good-soft"),
    ("info", "info-soft"),
    ("surface", "ink"),  # a toast, the bulk bar, the bar over a public reply
    ("tint-ink", "tint-1 tint-2 tint-3 tint-4 tint-5 tint-6"),
]
EDGES = [
    ("line-strong", "surface paper"),
    ("warn-solid", "surface"),
    ("focus", "focus-ink"),  # one of the two colours of the ring shows on anything
]
PAIRS = [(front, back, 4.5) for front, backs in TEXT for back in backs.split()] + [
    (front, back, 3.0) for front, backs in EDGES for back in backs.split()
]


def tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block))


def block(after: str) -> str:
    start = STYLE.index(after)
    return STYLE[start : STYLE.index("}", start)]


TINTS = dict(re.findall(r"\.(tint-\d) \{ --tint: (#[0-9a-f]{6}); \}", STYLE)) | tokens(block("--tint-ink:"))
LIGHT = tokens(block(":root {\n    color-scheme: light;")) | TINTS
DARK = LIGHT | tokens(block(':root[data-theme="dark"] {'))


def luminance(colour: str) -> float:
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def compressed(name: str) -> float:
    return len(gzip.compress((STATIC / name).read_bytes(), 9)) / 1024


@pytest.mark.parametrize(("front", "back", "least"), PAIRS, ids=str)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_pair_of_tokens_can_be_read(theme: dict[str, str], front: str, back: str, least: float) -> None:
    assert contrast(theme[front], theme[back]) >= least


def test_the_contrast_is_the_one_of_the_design() -> None:
    figures = [round(contrast(LIGHT[a], LIGHT[b]), 1) for a, b in (("ink", "surface"), ("ink-3", "paper"))]
    assert figures == [16.9, 5.5]


def test_dark_is_the_same_by_the_systems_wish_and_by_the_persons() -> None:
    assert tokens(block(':root:not([data-theme="light"]) {')) == tokens(block(':root[data-theme="dark"] {'))


def test_no_colour_stands_outside_the_tokens() -> None:
    outside = re.sub(r"@layer tokens \{.*?\n\}\n", "", STYLE, flags=re.DOTALL)
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgba?|hsla?|oklch|oklab|lab|lch)\(", outside) == []


def test_every_token_that_is_used_is_defined() -> None:
    used = set(re.findall(r"var\((--[a-z0-9-]+)", STYLE))
    assert used - set(re.findall(r"(--[a-z0-9-]+):", STYLE)) == set()


def test_the_layers_stand_in_the_order_of_the_design() -> None:
    order = "reset, tokens, base, layout, components, utilities, print"
    assert f"@layer {order};" in STYLE
    assert re.findall(r"^@layer (\w+) \{", STYLE, flags=re.MULTILINE) == order.split(", ")


@pytest.mark.parametrize(("name", "most"), [("app.css", 14), ("app.js", 8), ("icons.svg", 8)])
def test_no_file_weighs_more_than_it_may(name: str, most: int) -> None:
    assert compressed(name) <= most


ICON = re.compile(r"""\b(?:icon|draw)(?:=|\()"([a-z0-9-]+)\"""")
SYMBOLS = set(re.findall(r'<symbol id="([a-z0-9-]+)"', (STATIC / "icons.svg").read_text()))

# Drawn for pages that are still to come; empty once they all stand.
AWAITED = {
    "alarm-clock",
    "bookmark",
    "circle-question-mark",
    "file-text",
    "key-round",
    "list-filter",
    "pencil",
    "printer",
    "shield-alert",
    "sliders-horizontal",
    "split",
    "square-pen",
    "triangle-alert",
}


def written() -> str:
    """Every template without its comments, and every Python file of the office, in one text."""
    pages = [re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL) for path in TEMPLATES.rglob("*.html")]
    return "\n".join([*pages, *(path.read_text() for path in (HOUSE / "app").rglob("*.py"))])


def test_every_symbol_of_the_sprite_is_used() -> None:
    text = written()
    unused = {name for name in SYMBOLS if not re.search(rf"""["'#]{re.escape(name)}["'|]""", text)}
    assert unused - AWAITED == set()


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    named = {name for path in TEMPLATES.rglob("*.html") for name in ICON.findall(path.read_text())}
    assert named - SYMBOLS == set()


def test_both_licences_stand_beside_the_sprite() -> None:
    notes = (STATIC / "icons.LICENCES.txt").read_text()
    assert "ISC License" in notes
    assert "CC0 1.0" in notes


def test_the_manifest_names_pictures_that_are_there() -> None:
    manifest = json.loads((STATIC / "manifest.webmanifest").read_text())
    assert [picture["src"] for picture in manifest["icons"] if not (STATIC / picture["src"]).is_file()] == []


def test_no_template_holds_inline_style_script_or_handler() -> None:
    tags = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)
    inline = re.compile(r"""<[a-z][^>]*\s(?:style|on[a-z]+)=|<style|<script(?![^>]*\ssrc=)""")
    pages = [path for path in TEMPLATES.rglob("*.html") if "mail" not in path.parts]
    assert [page.name for page in pages if inline.search(tags.sub("", page.read_text()))] == []
