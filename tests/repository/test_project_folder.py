"""The name of nbbuild's own folder is written in one module."""

import ast
from pathlib import Path

from nbbuild.disk.project_folder import DOT

PACKAGE = Path(__file__).parents[2] / "nbbuild"


def literals(tree):
    """Return the strings in code; docstrings only mention the folder."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def test_only_one_module_names_the_folder():
    naming = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(
            text == DOT or text.startswith((f"{DOT}/", f"{DOT}-"))
            for text in literals(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert naming == {"disk/project_folder.py"}
