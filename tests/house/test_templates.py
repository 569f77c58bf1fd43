"""Every template can be compiled, and none holds what the content policy of our pages would refuse."""

import re
from pathlib import Path

from tests.house.tree import ROOT, files, name

TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.is_file())
PAGES = [path for path in TEMPLATES if path.suffix == ".html" and path.relative_to(ROOT).parts[1] != "mail"]
REFUSED = {
    "a style attribute": re.compile(r"\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "a handler attribute": re.compile(r"\son[a-z]+\s*=\s*[\"']", re.IGNORECASE),
    "a script of its own": re.compile(r"<script(?![^>]*\ssrc=)", re.IGNORECASE),
    "a javascript address": re.compile(r"[\"']\s*javascript:", re.IGNORECASE),
}
# Text for the browser that stands in Python cannot be translated and is easily forgotten when a value is escaped.
MARKUP = re.compile(r"</(a|b|div|em|li|option|p|span|strong|table|td|tr|ul)>|<br\s*/?>", re.IGNORECASE)
HTML_IS_THEIR_WORK = {"app/messages/sanitise.py"}


def test_no_page_holds_what_the_content_policy_refuses() -> None:
    found = [
        f"{name(path)}: {what}"
        for path in PAGES
        for what, pattern in REFUSED.items()
        if pattern.search(_html_alone(path))
    ]
    assert found == []


def _html_alone(path: Path) -> str:
    return re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_no_page_switches_escaping_off() -> None:
    switch = re.compile(r"\{%-?\s*autoescape\s+false|\|\s*safe\b")
    assert [name(path) for path in PAGES if switch.search(path.read_text(encoding="utf-8"))] == []


def test_a_mail_to_staff_has_a_subject_and_a_text() -> None:
    names = {path.name for path in TEMPLATES if path.relative_to(ROOT).parts[1] == "mail" and path.suffix != ".html"}
    letters = {name.split(".")[0] for name in names if not name.startswith("_")}
    assert {f"{letter}.{part}" for letter in letters for part in ("subject", "text")} - names == set()


def test_python_carries_no_markup() -> None:
    guilty = [
        f"{name(path)}:{number}"
        for path in files("app")
        if name(path) not in HTML_IS_THEIR_WORK
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MARKUP.search(line)
    ]
    assert guilty == []
