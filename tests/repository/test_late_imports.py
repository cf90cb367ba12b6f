"""Imports inside functions are those that decision 0023 lists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DECISION = ROOT / "docs/decisions/0023-imports-inside-functions.md"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def listed():
    rows = re.findall(r"^\| (\S+\.py) \| (.+) \|$", DECISION.read_text(encoding="utf-8"), re.M)
    return {(module, late) for module, names in rows for late in re.findall(r"`([^`]+)`", names)}


def imported(module, name):
    """Return the module that `from module import name` loads last."""
    inner = ROOT / module.replace(".", "/") / name
    return f"{module}.{name}" if inner.is_dir() or inner.with_suffix(".py").is_file() else module


def imports_inside(node, *, function=False):
    for child in ast.iter_child_nodes(node):
        if function and isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif function and isinstance(child, ast.ImportFrom):
            yield from {imported(child.module, alias.name) for alias in child.names}
        yield from imports_inside(child, function=function or isinstance(child, FUNCTIONS))


def found():
    package = ROOT / "nbbuild"
    return {
        (path.relative_to(package).as_posix(), late)
        for path in package.rglob("*.py")
        for late in imports_inside(ast.parse(path.read_text(encoding="utf-8")))
    }


def test_the_decision_lists_every_import_inside_a_function():
    assert sorted(found() - listed()) == []


def test_the_decision_lists_no_import_that_has_gone():
    assert sorted(listed() - found()) == []
