"""The words of pages, quickly: a page asks for a hundred, and Flask-Babel looks for its language each time."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from flask import Flask, g, has_app_context
from flask_babel import Domain, get_locale, get_translations
from markupsafe import Markup

_drawn: dict[tuple[str, str], Markup] = {}


class _Words(Domain):  # type: ignore[misc]  # Flask-Babel has no types
    """The words of the application; their language is found once a page."""

    def get_translations(self) -> Any:
        """What Flask-Babel finds at the first sentence of a page."""
        if "postbag_words" not in g:
            g.postbag_words = super().get_translations()
        return g.postbag_words


def install(app: Flask) -> None:
    """Have pages find their language once, and draw what never changes once a language."""
    app.extensions["babel"].instance.domain_instance = _Words()
    app.jinja_env.globals.update({"_": say, "gettext": say, "ngettext": say_many, "fixed": fixed})


def language() -> str:
    """The language of this page; English outside of one."""
    if not has_app_context():
        return "en"
    if "postbag_language" not in g:
        g.postbag_language = str(get_locale())
    return cast("str", g.postbag_language)


def say(sentence: str, /, **values: object) -> Markup:
    """A sentence of a template, ``values`` in it escaped. %% is a percent sign, as with Jinja's own ``newstyle``."""
    if not values:
        return _said(language(), sentence)
    return Markup(get_translations().ugettext(sentence)) % values  # noqa: S704 - the words of our own templates


def say_many(one: str, many: str, count: int, /, **values: object) -> Markup:
    """One of two sentences (in Welsh: of six) by ``count``, which is ``num`` in them."""
    values.setdefault("num", count)
    return Markup(get_translations().ungettext(one, many, count)) % values  # noqa: S704 - the words of our own templates


def fixed(name: str, draw: Callable[[], Markup]) -> Markup:
    """What the macro ``draw`` gives, kept for each language under ``name``: nothing in it may depend on the page."""
    key = name, language()
    if key not in _drawn:
        _drawn[key] = draw()
    return _drawn[key]


@lru_cache(maxsize=4096)
def _said(_language: str, sentence: str) -> Markup:
    return Markup(get_translations().ugettext(sentence)) % {}  # noqa: S704 - the words of our own templates
