"""How templates are compiled: they escape what they write as ever, and no more than that.

Jinja wraps every piece that a template writes in ``Markup``, which MarkupSafe 3 does in Python: 1,300 times on a page
of the inbox, a ninth of its time. The pieces are joined to one string at once and nobody sees them. So here they stay
plain; what macros and captured blocks give is ``Markup`` as before.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from markupsafe import Markup, escape
from markupsafe._speedups import _escape_inner


def install(app: Flask) -> None:
    """Have the templates of ``app`` compiled so."""
    environment: Any = app.jinja_env
    environment.code_generator_class = _Generator
    environment.written = written


def written(piece: object) -> str:
    """``piece`` as it goes into a page: what ``escape`` gives, as a plain string."""
    if type(piece) is str:
        return _escape_inner(piece)
    return piece if type(piece) is Markup else escape(piece)


class _Generator(CodeGenerator):
    """Jinja's own, which leaves this to its heirs (``jinja2.nativetypes`` is another)."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape or finalize.src is not None:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write("environment.written(")
