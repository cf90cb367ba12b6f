"""Find what Python source imports; the source is never run, and a mistake in it raises nothing."""

from __future__ import annotations

import ast
import functools
import re
import threading
import warnings
from collections.abc import Iterator
from typing import Final

import msgspec


class Import(msgspec.Struct, frozen=True, array_like=True):
    """One import: `from ..a import b, c` is level 2, module "a", names ("b", "c")."""

    level: int
    module: str
    names: tuple[str, ...] = ()


class Imports(msgspec.Struct, frozen=True, array_like=True):
    """What a source imports anywhere in it, and what its `__all__` lists literally."""

    found: tuple[Import, ...] = ()
    exported: tuple[str, ...] = ()


def imports_of_file(text: str) -> Imports:
    """Return the imports of a .py file; none if it is not valid Python."""
    tree = _parse(text)
    return Imports() if tree is None else _imports(tree)


def imports_of_cell(text: str) -> Imports:
    """Return the imports of a notebook's cell, which may hold IPython's magics and `!` lines.

    A cell that is not Python even without them is searched for lines that look like imports.
    """
    tree = parsed_cell(text)
    if tree is None:
        return Imports(tuple(scanned_imports(_without_magics(text))))
    return _imports(tree)


@functools.lru_cache(maxsize=4096)  # a build asks twice: ahead, and when it knows what will run
def certain_imports(text: str) -> tuple[Import, ...]:
    """Return the absolute imports that a cell makes in any case, in order.

    These are statements at the top level of the cell: not in a function, class, condition or `try`.
    """
    tree = parsed_cell(text) if "import" in text else None
    found: list[Import] = []
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.Import):
            found += (Import(0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(Import(0, node.module, tuple(alias.name for alias in node.names)))
    return tuple(found)


def parsed_cell(text: str) -> ast.Module | None:
    """Return a cell's Python code, without its magics, as a tree; None if it is not Python."""
    return _parse(text) or _parse(_without_magics(text))


def _without_magics(text: str) -> str:
    return "\n".join(_without_magic(line) for line in text.split("\n"))


_warnings = threading.Lock()


def _parse(text: str) -> ast.Module | None:
    try:
        # Doubtful escapes are the author's business; warning filters belong to the whole process.
        with _warnings, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imports(tree: ast.Module) -> Imports:
    found: dict[Import, None] = {}
    exported: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update((Import(0, alias.name), None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found[Import(node.level, node.module or "", names)] = None
        elif isinstance(node, ast.Call):
            name = _dynamic(node)
            if name:
                module = name.lstrip(".")
                found[Import(len(name) - len(module), module)] = None
        elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            exported.update(dict.fromkeys(_exported(node)))
    return Imports(tuple(found), tuple(exported))


def _dynamic(call: ast.Call) -> str:
    """Return the name in `importlib.import_module("name")` and `__import__("name")`, or ""."""
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else ""
    called = function.id if isinstance(function, ast.Name) else called
    if called not in ("import_module", "__import__"):
        return ""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
    name = next(iter([*call.args[:1], *named]), None)
    return name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""


def _exported(node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
        return
    if isinstance(node.value, (ast.List, ast.Tuple)):
        for item in node.value.elts:
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                yield item.value


_MAGIC: Final = re.compile(r"\s*(?:%%?|!!?|\?)|[^'\"#]*\?\??\s*$|\s*[\w., \[\]()*]+=\s*[!%]")
_TIMED: Final = re.compile(r"(\s*)%%?(?:time|timeit|prun|memit)\s+(?=from\b|import\b)")


def _without_magic(line: str) -> str:
    """Return a line as Python: magics become `pass`, but the code that `%time` runs stays."""
    timed = _TIMED.match(line)
    if timed:
        return timed[1] + line[timed.end() :]
    if _MAGIC.match(line):
        # The line of a cell magic stands before the cell's first indentation.
        return line[: len(line) - len(line.lstrip())] + "pass"
    return line


_LOOKS_LIKE: Final = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]*(\([^)]*\)|[^\n;#]+)"
    r"|import[ \t]+([^\n;#(]+))",
    re.MULTILINE,
)


def scanned_imports(text: str) -> Iterator[Import]:
    """Yield what looks like an import, line by line: quick, and good enough for a guess."""
    for dots, module, names, plain in _LOOKS_LIKE.findall(text):
        if plain:
            for name in _listed(plain):
                yield Import(0, name)
        elif dots or module:
            yield Import(len(dots), module, _listed(names))


def _listed(names: str) -> tuple[str, ...]:
    """Return the names of `a, b as c` and `(a, b)`."""
    words = (name.split() for name in re.sub(r"#[^\n]*", "", names).strip("() \t\n").split(","))
    return tuple(word[0] for word in words if word and re.fullmatch(r"[\w.]+|\*", word[0]))
