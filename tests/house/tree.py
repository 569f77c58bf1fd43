"""The source as the house tests read it: files, their syntax trees, and what a file imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files(*folders: str) -> list[Path]:
    """Every Python file below the folders, those of the checkout only."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    """The path as a person would write it: from the top of the checkout."""
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name(path))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    """Every function of a file, methods and inner ones too."""
    return (node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef))


def calls(node: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every call below a node with its name as written: ``actions.close``, ``session.execute``."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            yield one, ast.unparse(one.func)


def imports(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports; ``from a import b`` gives ``a`` and ``a.b``."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def length(function: ast.FunctionDef) -> int:
    """Lines of a function from its ``def`` to its end, without decorators and docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def methods(function: ast.FunctionDef) -> frozenset[str]:
    """The HTTP methods that a view answers, from its decorators; empty for a function that is no view."""
    found: set[str] = set()
    for decorator in function.decorator_list:
        if not (isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)):
            continue
        if decorator.func.attr in {"get", "post"}:
            found.add(decorator.func.attr.upper())
        elif decorator.func.attr == "route":
            given = [word.value for word in decorator.keywords if word.arg == "methods"]
            found |= set(ast.literal_eval(given[0])) if given else {"GET"}
    return frozenset(found)
