"""A browser for tests: follows our rules for pages, and complains about every page that breaks them."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from selectolax.lexbor import LexborHTMLParser
from werkzeug.test import TestResponse

PASSWORD = "kettle-lantern-weir"
_NAMELESS = 'input:not([type="hidden"]):not([type="submit"]), select, textarea'


class Browser:
    """Keeps cookies, sends the token of the last page with every form, and checks each page it is shown."""

    def __init__(self, app: Flask, *, address: str = "127.0.0.1", host: str = "127.0.0.1:8000") -> None:
        self.client: FlaskClient = app.test_client()
        self._base: dict[str, Any] = {
            "base_url": f"http://{host}",
            "environ_overrides": {"REMOTE_ADDR": address},
        }
        self._token = ""
        self.last: TestResponse

    def get(self, path: str, **options: Any) -> TestResponse:
        return self._seen(self.client.get(path, **self._base, **options))

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """Press a button of the page that was shown last (any page with a form will do for the token)."""
        if not self._token:
            self.get("/settings")
        return self._seen(
            self.client.post(path, data={"csrf_token": self._token, **(data or {})}, **self._base, **options)
        )

    def sign_in(self, email: str, password: str = PASSWORD, **options: Any) -> TestResponse:
        self.get("/sign-in")
        answer = self.post("/sign-in", {"email": email, "password": password}, **options)
        self._token = ""
        return answer

    @property
    def page(self) -> LexborHTMLParser:
        return LexborHTMLParser(self.last.get_data(as_text=True))

    @property
    def heading(self) -> str:
        found = self.page.css_first("h1")
        return found.text(strip=True) if found else ""

    @property
    def words(self) -> str:
        body = self.page.body
        return " ".join(body.text(separator=" ").split()) if body else ""

    def _seen(self, answer: TestResponse) -> TestResponse:
        self.last = answer
        if answer.mimetype == "text/html" and answer.status_code not in {301, 302, 303, 308}:
            check(answer)
            token = self.page.css_first('input[name="csrf_token"]')
            self._token = (token.attributes.get("value") or "") if token else self._token
        return answer


def check(answer: TestResponse) -> None:
    """What holds for every page (design section 11): raises AssertionError with all that is wrong."""
    page = LexborHTMLParser(answer.get_data(as_text=True))
    wrong = [*_structure(page), *_labels(page), *_inline(page)]
    assert not wrong, f"{answer.request.path}: {wrong}"


def _structure(page: LexborHTMLParser) -> list[str]:
    wrong = [f"{len(page.css(tag))} of {tag}" for tag in ("title", "h1", "main") if len(page.css(tag)) != 1]
    html = page.css_first("html")
    if html is None or not html.attributes.get("lang"):
        wrong.append("no language")
    ids = [node.attributes["id"] for node in page.css("[id]")]
    wrong += [f"id {one} twice" for one in sorted({one for one in ids if ids.count(one) > 1}, key=str)]
    for attribute in ("aria-describedby", "aria-labelledby"):
        for node in page.css(f"[{attribute}]"):
            wrong += [
                f"{attribute} {one} leads nowhere"
                for one in (node.attributes[attribute] or "").split()
                if one not in ids
            ]
    return wrong


def _labels(page: LexborHTMLParser) -> list[str]:
    labelled = {node.attributes["for"] for node in page.css("label[for]")}
    wrong = []
    for node in page.css(_NAMELESS):
        inside = node.parent is not None and _within(node, "label")
        if not (inside or node.attributes.get("id") in labelled or node.attributes.get("aria-label")):
            wrong.append(f"no label for {node.attributes.get('name')}")
    wrong += [f"button without a name: {node.html}" for node in page.css("button, a[href]") if not _named(node)]
    wrong += [f"picture without words: {node.html}" for node in page.css("img") if node.attributes.get("alt") is None]
    return wrong


def _within(node: Any, tag: str) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.tag == tag:
            return True
        parent = parent.parent
    return False


def _named(node: Any) -> bool:
    return bool(node.text(strip=True) or node.attributes.get("aria-label") or node.attributes.get("title"))


def _inline(page: LexborHTMLParser) -> list[str]:
    wrong = [f"inline style on {node.tag}" for node in page.css("[style]")]
    wrong += ["a style element" for _ in page.css("style")]
    wrong += ["inline script" for node in page.css("script") if not node.attributes.get("src")]
    handler = re.compile(r"^on[a-z]+$")
    for node in page.css("*"):
        wrong += [f"handler {name} on {node.tag}" for name in node.attributes if handler.match(name)]
    return wrong
