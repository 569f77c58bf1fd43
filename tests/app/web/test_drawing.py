"""Templates write the same as with Jinja alone: escaped once, and in the words of one language."""

from __future__ import annotations

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as some
from markupsafe import Markup, escape

from app import create_app
from app.deployment import Deployment
from app.web.drawing import written
from app.web.wording import say, say_many


@given(some.one_of(some.text(), some.integers(), some.none(), some.text().map(Markup), some.lists(some.text())))
def test_a_piece_is_written_as_markupsafe_escapes_it(piece: object) -> None:
    assert written(piece) == str(escape(piece))


@pytest.mark.parametrize(
    ("template", "page"),
    [
        ("{{ name }}", "&lt;b&gt; &amp; &#34;x&#34;"),
        (
            '<a title="{{ name }}">{{ name|upper }}</a>',
            '<a title="&lt;b&gt; &amp; &#34;x&#34;">&lt;B&gt; &amp; &#34;X&#34;</a>',
        ),
        (
            "{% macro twice(it) %}<i>{{ it }}</i>{% endmacro %}{{ twice(twice(name)) }}",
            "<i><i>&lt;b&gt; &amp; &#34;x&#34;</i></i>",
        ),
        (
            "{% set kept %}<i>{{ name }}</i>{% endset %}{{ kept }}{{ kept|length }}",
            "<i>&lt;b&gt; &amp; &#34;x&#34;</i>34",
        ),
        (
            "{% macro around() %}[{{ caller() }}]{% endmacro %}{% call around() %}{{ name }}{% endcall %}",
            "[&lt;b&gt; &amp; &#34;x&#34;]",
        ),
        ("{{ name ~ ready }}{{ ready }}{{ 3 }}{{ none }}", "&lt;b&gt; &amp; &#34;x&#34;<hr><hr>3None"),
        ("{% autoescape false %}{{ name }}{% endautoescape %}", '<b> & "x"'),
        ("{% trans %}<b>{{ name }}</b> is 5%{% endtrans %}", "<b>&lt;b&gt; &amp; &#34;x&#34;</b> is 5%"),
    ],
)
def test_a_template_escapes_what_it_is_given_once(app: Flask, template: str, page: str) -> None:
    environment = app.jinja_env.overlay(autoescape=True)
    environment.written = written  # type: ignore[attr-defined]
    with app.test_request_context():
        assert environment.from_string(template).render(name='<b> & "x"', ready=Markup("<hr>")) == page


def test_a_template_is_compiled_once_for_every_process(app: Flask, deployment: Deployment) -> None:
    kept = deployment.settings.data / "compiled"
    app.jinja_env.get_template("bare.html")
    (compiled,) = kept.iterdir()
    made_at = compiled.stat().st_mtime_ns
    create_app(deployment=deployment).jinja_env.get_template("bare.html")
    assert [(one.name, one.stat().st_mtime_ns) for one in kept.iterdir()] == [(compiled.name, made_at)]


def test_a_folder_that_takes_nothing_does_not_keep_a_page_from_being_drawn(app: Flask, deployment: Deployment) -> None:
    (deployment.settings.data / "compiled").rmdir()
    assert app.jinja_env.get_template("bare.html").name == "bare.html"


def test_values_in_a_sentence_are_escaped_and_the_sentence_is_not(app: Flask) -> None:
    with app.test_request_context():
        assert say("Page of <b>%(name)s</b>", name="<Ann>") == Markup("Page of <b>&lt;Ann&gt;</b>")
        assert (say("Half & more: 50%%"), say("%(share)s%%", share=50)) == ("Half & more: 50%", "50%")


def test_a_count_chooses_its_sentence(app: Flask) -> None:
    with app.test_request_context():
        sentences = [
            say_many("%(num)d bin of %(who)s", "%(num)d bins of %(who)s", count, who="A&B") for count in (1, 2)
        ]
    assert sentences == ["1 bin of A&amp;B", "2 bins of A&amp;B"]
