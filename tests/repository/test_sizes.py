"""No file of the package is over 500 lines, no function over 60, but for those of a decision."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DECISION = (ROOT / "docs/decisions/0022-files-that-stay-long.md").read_text(encoding="utf-8")

LINES_OF_A_FILE, LINES_OF_A_FUNCTION = 500, 60
MOST_FILES, MOST_FUNCTIONS = 3, 5


def modules() -> Iterator[tuple[str, str]]:
    """Yield path and text of each module of the package."""
    for path in sorted((ROOT / "nbbuild").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, int]]:
    """Yield dotted name and lines of each function, those in classes and functions too."""
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        name = f"{within}.{node.name}".lstrip(".") if named else within
        if named and not isinstance(node, ast.ClassDef):
            yield name, node.end_lineno - node.lineno + 1
        yield from functions(node, name)


def decided(heading: str) -> set[str]:
    """Return the first column of the decision's table below `heading`."""
    found = re.search(rf"^{heading}:\n\n(?:\|.*\|\n)+", DECISION, re.MULTILINE)
    assert found is not None, f"the decision has no table '{heading}'"
    return set(re.findall(r"^\| `([^`]+)` \|", found[0], re.MULTILINE))


def test_files_are_short_but_for_those_of_the_decision():
    long = {name for name, text in modules() if len(text.splitlines()) > LINES_OF_A_FILE}
    stay = decided("Files over 500 lines")

    assert long == stay
    assert len(stay) <= MOST_FILES


def test_functions_are_short_but_for_those_of_the_decision():
    long = {
        f"{module}:{name}"
        for module, text in modules()
        for name, lines in functions(ast.parse(text))
        if lines > LINES_OF_A_FUNCTION
    }
    stay = decided("Functions over 60 lines")

    assert long == stay
    assert len(stay) <= MOST_FUNCTIONS
