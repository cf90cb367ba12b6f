"""Find the line of a notebook's file at which a cell failed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbbuild.model import Failure

if TYPE_CHECKING:
    from nbformat import NotebookNode

_LINE_OF_CELL = re.compile(r"\bCell In\[(\d+)\], line (\d+)|\bIn \[(\d+)\], in <cell line: (\d+)>")
_CELLS = re.compile(r'"cells"\s*:\s*\[')
_SOURCE = re.compile(r'(?<!\\)"source"\s*:\s*(\[\n)?')
_NEXT = re.compile(r"[\s,]*")

WORKSPACE = "GITHUB_WORKSPACE"
"""The variable with the folder from which GitHub counts paths in annotations."""


def shown_from(path: Path, environ: Mapping[str, str]) -> str:
    """Return `path` as annotations have to name it: from the workspace, or the current folder."""
    return Path(os.path.relpath(path, environ.get(WORKSPACE) or Path.cwd())).as_posix()


def line_of(text: str, notebook: NotebookNode, failure: Failure) -> int:
    """Return the line, from 1, of the notebook's file at which a cell failed.

    `text` is the file's, an .ipynb or one that Jupytext reads, and `notebook` what was read from
    it. 1 if the failure is in no cell, or the cell is not found.
    """
    if failure.cell is None or failure.cell >= len(notebook.cells):
        return 1
    below = _below(failure)
    if text.lstrip().startswith("{"):
        return _line_in_json(text, failure.cell, below)
    return _line_in_text(text, notebook.cells, failure.cell, below)


def _below(failure: Failure) -> int:
    """Return how many lines of the cell come before the one that failed.

    A traceback also shows the lines of functions that other cells define.
    """
    for found in _LINE_OF_CELL.finditer(failure.traceback):
        number, line = int(found[1] or found[3]), int(found[2] or found[4])
        if number == failure.execution_count:
            return line - 1
    return 0


def _line_in_json(text: str, cell: int, below: int) -> int:
    """Return the line of a cell's source; its lines follow the key, one in each."""
    start = _CELLS.search(text)
    if start is None:
        return 1
    decoder, at = json.JSONDecoder(), start.end()
    try:
        for _ in range(cell + 1):
            begin = _after_blanks(text, at)
            _, at = decoder.raw_decode(text, begin)
    except ValueError:  # the file changed meanwhile
        return 1
    keys = list(_SOURCE.finditer(text, begin, at))
    if not keys:
        return 1
    key = keys[-1]  # they are sorted: outputs come before
    line = text.count("\n", 0, key.start()) + 1
    return line + 1 + below if key[1] else line


def _after_blanks(text: str, at: int) -> int:
    found = _NEXT.match(text, at)
    return at if found is None else found.end()


def _line_in_text(text: str, cells: Sequence[NotebookNode], cell: int, below: int) -> int:
    """Return the line of a cell's source, looked for after those of the cells before it."""
    lines = [line.rstrip() for line in text.splitlines()]
    place = 0
    for one in cells[:cell]:
        found = _find(lines, str(one.source), place)
        if found is not None:
            place = found + len(str(one.source).splitlines())
    found = _find(lines, str(cells[cell].source), place)
    return 1 if found is None else found + below + 1


def _find(lines: Sequence[str], source: str, place: int) -> int | None:
    """Return the index from `place` on where the lines of `source` stand, or its first one."""
    wanted = [line.rstrip() for line in source.splitlines()]
    if not any(wanted):
        return None
    starts = [at for at in range(place, len(lines)) if lines[at].endswith(wanted[0])]
    whole = (at for at in starts if _same(lines[at : at + len(wanted)], wanted))
    return next(whole, starts[0] if starts else None)


def _same(lines: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether lines are those of a cell; what Jupytext or a quotation puts before them counts."""
    return len(lines) == len(wanted) and all(
        line.endswith(one) for line, one in zip(lines, wanted, strict=True)
    )
