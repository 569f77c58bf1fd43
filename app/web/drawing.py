"""How templates are compiled: once, and so that they escape what they write as ever and no more than that.

Jinja wraps every piece that a template writes in ``Markup``, which MarkupSafe 3 does in Python: 1,300 times on a page
of the inbox, a ninth of its time. The pieces are joined to one string at once and nobody sees them. So here they stay
plain; what macros and captured blocks give is ``Markup`` as before.

Compiling takes half a second for all templates. What comes out is kept in the data folder, and the first look at a page
after a start does not wait for it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import jinja2
from flask import Flask
from jinja2 import FileSystemBytecodeCache, nodes
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame
from markupsafe import Markup, escape
from markupsafe._speedups import _escape_inner

_EDITION: Final = "1"  # another one where _Generator changes


def install(app: Flask, folder: Path) -> None:
    """Have the templates of ``app`` compiled so, and kept in ``folder``, which is made."""
    folder.mkdir(exist_ok=True, mode=0o700)
    environment: Any = app.jinja_env
    environment.code_generator_class = _Generator
    environment.bytecode_cache = _Kept(str(folder), f"%s-{jinja2.__version__}-{_EDITION}")
    environment.written = written


def written(piece: object) -> str:
    """``piece`` as it goes into a page: what ``escape`` gives, as a plain string."""
    if type(piece) is str:
        return _escape_inner(piece)
    return piece if type(piece) is Markup else escape(piece)


class _Kept(FileSystemBytecodeCache):
    """Jinja's own, for which a full disk is no reason not to show a page."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


class _Generator(CodeGenerator):
    """Jinja's own, which leaves this to its heirs (``jinja2.nativetypes`` is another)."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape or finalize.src is not None:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write("environment.written(")
