"""The words of templates, quickly: a page asks for a hundred, and Flask-Babel looks for its language each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from flask import Flask, g
from flask_babel import get_locale, get_translations
from markupsafe import Markup

_drawn: dict[tuple[str, str], Markup] = {}


def install(app: Flask) -> None:
    """Have templates find their language once a page, and draw what never changes once a language."""
    environment = cast("Any", app.jinja_env)  # jinja2.ext.i18n gives it the method below
    environment.install_gettext_callables(
        lambda sentence: _translations().ugettext(sentence),
        lambda one, many, count: _translations().ungettext(one, many, count),
        newstyle=True,
    )
    app.jinja_env.globals["fixed"] = fixed


def fixed(name: str, draw: Callable[[], Markup]) -> Markup:
    """What the macro ``draw`` gives, kept for each language under ``name``: nothing in it may depend on the page."""
    key = name, str(get_locale())
    if key not in _drawn:
        _drawn[key] = draw()
    return _drawn[key]


def _translations() -> Any:
    if "postbag_words" not in g:
        g.postbag_words = get_translations()
    return cast("Any", g.postbag_words)
