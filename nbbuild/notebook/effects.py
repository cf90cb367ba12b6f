"""Find parameters that change nothing in a notebook; papermill warns in the same cases.

A finding is a remark and not an error, so doubt goes in the notebook's favour: a name counts as
used if it occurs in any way other than as the target of an assignment.
"""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Collection, Iterator, Sequence

from nbbuild.errors import did_you_mean
from nbbuild.interpreter.imports import parsed_cell
from nbbuild.model import CodeCell, Parsed
from nbbuild.notebook import skipped
from nbbuild.notebook.code import INJECTED

_PYTHON = ("python", "python3", "ipython", "ipython3")
# With these a cell can use a name that it does not spell out.
_ALL_NAMES = re.compile(r"(?<![\w.])(?:exec|eval|globals|locals|vars)\s*\(|^\s*%run\b", re.M)
_SET = re.compile(r"(?:let\s+|const\s+|var\s+|local\s+|global\s+)?([^\W\d][\w.]*)\s*(?:<-|=(?!=))")


class _Use(enum.Enum):
    """How a cell first meets a name."""

    NOT = "not"
    READ = "read"
    SET = "set"


def without_effect(
    parsed: Parsed, names: Collection[str], *, source: str, language: str
) -> Iterator[str]:
    """Yield a sentence for each of the parameters `names` that changes nothing in `source`."""
    python = language.lower() in _PYTHON
    cells = [cell for cell in parsed.cells if skipped.TAG not in cell.tags]
    old, declaring = _tagged(cells, INJECTED), _tagged(cells, "parameters")
    declared = _assigned(cells[declaring], python) if declaring is not None else set[str]()
    first = next((place + 1 for place in (old, declaring) if place is not None), 0)
    known = declared or {name for cell in cells for name in _assigned(cell, python)}
    for name in names:
        if name in declared:
            continue
        without = f"the parameter '{name}' has no effect"
        uses = ((cell, _use(cell, name, python)) for cell in cells[first:])
        cell, use = next((one for one in uses if one[1] is not _Use.NOT), (None, _Use.NOT))
        if use is _Use.NOT:
            near = did_you_mean(name, known - {name})
            yield f"{without}: no cell of '{source}' uses it{f'; {near}' if near else ''}"
        elif use is _Use.SET and cell is not None:
            again = f"{without}: cell {cell.index + 1} of '{source}' sets it again"
            if declaring is None:
                yield f"{again}; tag that cell 'parameters', and the parameter comes after it"
            else:
                yield f"{again}; set it in the cell that is tagged 'parameters' instead"


def _tagged(cells: Sequence[CodeCell], tag: str) -> int | None:
    return next((place for place, cell in enumerate(cells) if tag in cell.tags), None)


def _assigned(cell: CodeCell, python: bool) -> set[str]:
    """Return the names that a cell assigns, anywhere in it."""
    tree = parsed_cell(cell.source) if python else None
    if tree is None:
        found = (_SET.match(line.strip()) for line in cell.source.splitlines())
        return {one[1] for one in found if one is not None}
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _use(cell: CodeCell, name: str, python: bool) -> _Use:
    if _ALL_NAMES.search(cell.source):
        return _Use.READ
    word = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    if word.search(cell.source) is None:
        return _Use.NOT
    tree = parsed_cell(cell.source) if python else None
    if tree is None:
        return _use_by_lines(cell.source, name, word)
    for statement in tree.body:
        if _mentions(statement, name, word):
            return _Use.SET if _only_sets(statement, name, word) else _Use.READ
    # Only in a comment; or in a magic, which is not part of the tree.
    lines = cell.source.splitlines()
    return _Use.READ if any(_is_magic(line) and word.search(line) for line in lines) else _Use.NOT


def _use_by_lines(source: str, name: str, word: re.Pattern[str]) -> _Use:
    for line in source.splitlines():
        if word.search(line) is None or line.lstrip().startswith(("#", "//")):
            continue
        found = _SET.match(line)  # an indented line may be under a condition
        alone = found is not None and found[1] == name and not word.search(line, found.end())
        return _Use.SET if alone else _Use.READ
    return _Use.NOT


def _is_magic(line: str) -> bool:
    return re.match(r"\s*[%!?]|.*=\s*[%!]", line) is not None


def _mentions(node: ast.AST, name: str, word: re.Pattern[str]) -> bool:
    return any(
        name in (getattr(one, key, None) for key in ("id", "name", "asname", "arg"))
        or name in getattr(one, "names", ())  # of global and nonlocal
        or (isinstance(one, ast.Constant) and isinstance(one.value, str) and word.search(one.value))
        for one in ast.walk(node)
    )


def _only_sets(statement: ast.stmt, name: str, word: re.Pattern[str]) -> bool:
    """Return whether a statement gives `name` a value, whatever it was before."""
    if isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets, value = [statement.target], statement.value
    else:
        return False
    plain = [
        one
        for target in targets
        for one in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
    ]
    sets = any(isinstance(one, ast.Name) and one.id == name for one in plain)
    others = (one for one in plain if not isinstance(one, ast.Name))
    return (
        sets
        and not _mentions(value, name, word)
        and not any(_mentions(one, name, word) for one in others)
    )
