"""Rules about the tests themselves."""

import ast

from tests.house.tree import calls, files, functions, name, parsed

MAY_SKIP = ("pytest.skip", "pytest.xfail", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail")


def test_no_test_is_left_out_without_a_reason() -> None:
    silent = []
    for path in files("tests"):
        called = {id(call.func) for call, _ in calls(parsed(path))}
        silent += [
            f"{name(path)}:{call.lineno}"
            for call, what in calls(parsed(path))
            if what in MAY_SKIP and not _reason(call, positional=what in {"pytest.skip", "pytest.xfail"})
        ]
        silent += [
            f"{name(path)}:{node.lineno}"
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Attribute) and ast.unparse(node) in MAY_SKIP and id(node) not in called
        ]
    assert silent == []


def _reason(call: ast.Call, *, positional: bool) -> bool:
    given = [word.value for word in call.keywords if word.arg in {"reason", "msg"}]
    given += call.args[:1] if positional else []
    return any(not isinstance(word, ast.Constant) or bool(word.value) for word in given)


def test_a_test_is_named_by_a_sentence() -> None:
    short = [
        f"{name(path)}::{function.name}"
        for path in files("tests")
        for function in functions(path)
        if function.name.startswith("test_") and len(function.name.split("_")) < 4
    ]
    assert short == []


def test_our_own_code_is_never_replaced_by_a_mock() -> None:
    guilty = [
        f"{name(path)}:{node.lineno}"
        for path in files("tests")
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unittest.mock"))
        or (isinstance(node, ast.Import) and any(alias.name.startswith("unittest.mock") for alias in node.names))
    ]
    assert guilty == []
