"""Read one source notebook, whatever its format.

Jupytext is imported only once there is a text: loading it takes longer than reading a hundred
.ipynb files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
from nbformat import NotebookNode

from nbbuild.errors import NotebookError
from nbbuild.notebook.cells import identify, plain
from nbbuild.notebook.code import paired_formats
from nbbuild.notebook.ipynb import from_data, read_ipynb
from nbbuild.notebook.loads import can_load, loaded_path, loaded_text
from nbbuild.notebook.readers import CustomReader, Readers
from nbbuild.notebook.skipped import is_skipped
from nbbuild.notebook.suffixes import is_text

_ATTACHED = "attachment:"
_SHOWN = re.compile(r"""attachment:([^\s)"'>]+)""")


def read(
    root: Path, source: str, data: bytes | None = None, *, readers: Readers | None = None
) -> NotebookNode:
    """Return the notebook `source`, a path relative to `root`, as valid nbformat 4.5.

    `data` is its contents if the caller has them; `readers` are those that the project configures.
    Valid ids in an .ipynb are kept; others are made from the cells. MyST's `:load:` cells hold what
    they load. The paired `.ipynb` supplies what text cannot hold: the outputs of skipped cells, and
    attachments. Raises `NotebookError`.
    """
    readers = readers or Readers()
    if data is None:
        data = _contents(root, source)
    custom, name = readers.custom(source), readers.name(source)
    if custom is not None:
        with readers.lock:
            notebook = _read_custom(custom, root, source, data)
    elif name == "nbformat":
        return read_ipynb(source, _decode(source, data))
    elif name == "jupytext":
        from nbbuild.notebook.text import read_text

        notebook = read_text(root, source, _decode(source, data))
    else:
        raise NotebookError(
            f"no reader can read '{source}'",
            hint="notebooks are .ipynb files, or text that Jupytext reads: .md, .py, .Rmd, …; "
            "[project] readers names readers for others",
        )
    if can_load(notebook, source):
        _load(root, source, notebook)
    if custom is None:
        _take_from_pair(root, source, notebook)
    return notebook


def _read_custom(custom: CustomReader, root: Path, source: str, data: bytes) -> NotebookNode:
    found = custom(source, root / source, data)
    try:
        # Readers often make random ids.
        return from_data(source, _as_json(source, found), keep_ids=False)
    except NotebookError as error:
        raise NotebookError(
            error.what,
            facts=[("reader", custom.label), *error.facts],
            hint="a reader has to return a valid notebook: choose another, or fix it",
        ) from error


def _as_json(source: str, found: object) -> Any:
    try:
        return plain(found)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise NotebookError(
            f"'{source}' is not a valid notebook", facts=[("reason", reason)]
        ) from error


def from_bytes(data: bytes) -> NotebookNode:
    """Return the notebook in these `.ipynb` bytes; raise `NotebookError`."""
    return read_ipynb("the notebook", _decode("the notebook", data))


def from_own(data: bytes) -> NotebookNode:
    """Return the notebook in bytes that `to_bytes` made of a valid one.

    It is not checked again: a worker would have to compile the schema first.
    """
    notebook: NotebookNode = nbformat.v4.to_notebook(json.loads(data))
    return notebook


def _contents(root: Path, source: str) -> bytes:
    try:
        return (root / source).read_bytes()
    except FileNotFoundError as error:
        raise NotebookError(f"'{source}' does not exist") from error
    except OSError as error:
        raise NotebookError(
            f"'{source}' cannot be opened", facts=[("reason", error.strerror or str(error))]
        ) from error


def _decode(source: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotebookError(
            f"'{source}' is not UTF-8 text",
            facts=[("line", str(line)), ("byte", f"0x{data[error.start]:02x} at {error.start}")],
            hint="save it in UTF-8",
        ) from error


def _load(root: Path, source: str, notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code" and "load" in cell.metadata:
            path = loaded_path(source, cell.metadata["load"])
            cell.source = loaded_text(root, path, wanted_by=f"a cell of '{source}'")
    identify(notebook.cells, keep=False)  # ids follow from what the cells hold


def _take_from_pair(root: Path, source: str, notebook: NotebookNode) -> None:
    skipped = [n for n, c in enumerate(notebook.cells) if c.cell_type == "code" and is_skipped(c)]
    showing = [
        n for n, c in enumerate(notebook.cells) if c.cell_type != "code" and _ATTACHED in c.source
    ]
    if not skipped and not showing:
        return
    from jupytext.combine import map_outputs_to_inputs

    from nbbuild.notebook.pairs import pair

    others = [path for path in pair(root, source, paired_formats(notebook)) if not is_text(path)]
    for other in others[:1]:
        cells = read_ipynb(other, _decode(other, _contents(root, other))).cells
        match = map_outputs_to_inputs(notebook.cells, cells)
        for number in skipped:
            if match[number] is not None:
                cell = notebook.cells[number]
                cell.outputs = cells[match[number]].outputs
                cell.execution_count = cells[match[number]].execution_count
        for number in showing:
            matched = None if match[number] is None else cells[match[number]]
            _attach(notebook.cells[number], matched, cells)


def _attach(
    cell: NotebookNode, matched: NotebookNode | None, others: Sequence[NotebookNode]
) -> None:
    """Give `cell` the attachments of the matching cell, and any others that it shows."""
    found = dict(matched.get("attachments", {})) if matched is not None else {}
    for name in map(unquote, _SHOWN.findall(cell.source)):
        bundles = (other.get("attachments", {}).get(name) for other in others)
        bundle = found.get(name) or next(filter(None, bundles), None)
        if bundle is not None:
            found[name] = bundle
    if found:
        cell.attachments = found
