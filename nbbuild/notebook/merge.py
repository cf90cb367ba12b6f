"""Join a source notebook and the results of a run into the built notebook."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import nbformat
from nbformat import NotebookNode

from nbbuild.disk.shapes import Shape
from nbbuild.model import Digest, Record
from nbbuild.notebook import provenance
from nbbuild.notebook.cells import identify
from nbbuild.notebook.code import is_blank
from nbbuild.notebook.skipped import is_skipped
from nbbuild.notebook.write import to_bytes

_OF_A_RUN = ("kernelspec", "language_info", "widgets")
_STATE = "application/vnd.jupyter.widget-state+json"


class ExecutedCell(msgspec.Struct, frozen=True):
    """The result of running one code cell."""

    source: str
    execution_count: int | None = None
    outputs: list[dict[str, Any]] = []


class ExecutedCells(msgspec.Struct, frozen=True):
    """The results of running a notebook: one for each code cell that is not blank, in order."""

    cells: tuple[ExecutedCell, ...]
    metadata: dict[str, Any] = {}  # kernelspec, language_info, widgets


_CELLS: Shape[ExecutedCells] = Shape(ExecutedCells)


def executed_cells(notebook: NotebookNode) -> ExecutedCells:
    """Return the results in the executed `notebook`; they share its outputs."""
    metadata = {key: notebook.metadata[key] for key in _OF_A_RUN if key in notebook.metadata}
    return ExecutedCells(
        cells=tuple(
            ExecutedCell(
                source=cell.source,
                execution_count=cell.get("execution_count"),
                outputs=cell.get("outputs", []),
            )
            for cell in _code(notebook.cells)
        ),
        metadata=_copied(metadata),
    )


def encode(cells: ExecutedCells) -> bytes:
    """Return `cells` as JSON; the same bytes for the same cells."""
    # The standard library's JSON: an output can hold halves of surrogate pairs and integers beyond
    # 64 bits, which msgspec refuses, and NaN, which msgspec turns into null.
    plain = {
        "cells": [msgspec.structs.asdict(cell) for cell in cells.cells],
        "metadata": cells.metadata,
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def decode(data: bytes) -> ExecutedCells:
    """Return the cells that `encode` wrote; raise `ValueError` for anything else."""
    try:
        return _CELLS.from_plain(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"these are no executed cells: {error}") from error


def stored_cells(get: Callable[[Digest], bytes | None], cells: Digest) -> ExecutedCells | None:
    """Return the executed cells that a record names; None if the store, by `get`, lacks them."""
    data = get(cells)
    try:
        return None if data is None else decode(data)
    except ValueError:  # not cells that we wrote: a miss, never a wrong answer
        return None


def align(source: NotebookNode, executed: ExecutedCells) -> ExecutedCells:
    """Return `executed` with one cell per code cell of `source`, whose code has changed since.

    Sequences of equal cells keep their results, replaced cells get results by their position in the
    run, and new cells have no outputs.
    """
    new = [cell.source for cell in _code(source.cells)]
    old = [cell.source for cell in executed.cells]
    cells = [ExecutedCell(source=text) for text in new]
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, low, high, start, end in matcher.get_opcodes():
        if kind in ("equal", "replace"):
            for before, after in zip(range(low, high), range(start, end), strict=False):
                cells[after] = msgspec.structs.replace(executed.cells[before], source=new[after])
    return ExecutedCells(cells=tuple(cells), metadata=executed.metadata)


def merge(source: NotebookNode, executed: ExecutedCells) -> NotebookNode:
    """Return the built notebook: `source` with the outputs and counts of a run.

    Of `metadata.nbbuild` it has the parameters only.

    Parameters must have been injected into `source`. Skipped cells keep the source's outputs.
    Raises `ValueError` if the run had a different number of code cells.
    """
    built = _merged(source, executed, None)
    for cell in built.cells:
        if cell.cell_type == "code":
            cell.outputs = nbformat.from_dict(cell.outputs)
    return built


def built_bytes(source: NotebookNode, executed: ExecutedCells, record: Record) -> bytes:
    """Return the built notebook of a record in the cache as an `.ipynb` file."""
    # Without copying all outputs on the way.
    return to_bytes(_merged(source, executed, provenance.of_record(record)))


def bytes_not_cached(source: NotebookNode, executed: ExecutedCells) -> bytes:
    """Return the notebook of a run whose result is not in the cache as an `.ipynb` file."""
    return to_bytes(_merged(source, executed, provenance.of_no_record()))


def _merged(
    source: NotebookNode, executed: ExecutedCells, said: Mapping[str, Any] | None
) -> NotebookNode:
    """Return the result of `merge`, but with the run's own output objects."""
    built = nbformat.from_dict(_copied(source))
    code = _code(built.cells)
    if len(code) != len(executed.cells):
        raise ValueError(
            f"the source has {len(code)} code cells, the run had {len(executed.cells)}"
        )
    for cell in built.cells:
        if cell.cell_type == "code" and is_blank(cell.source):
            cell.outputs, cell.execution_count = [], None
    for cell, result in zip(code, executed.cells, strict=True):
        if not is_skipped(cell):
            cell.outputs = result.outputs
            cell.execution_count = result.execution_count
    metadata = _metadata(built.metadata, executed.metadata, code)
    parameters = provenance.parameters(metadata.pop(provenance.KEY, None))
    if said is not None or parameters:
        metadata[provenance.KEY] = {**(said or {}), **parameters}
    built.metadata = nbformat.from_dict(metadata)
    return built


def alone(executed: ExecutedCells, record: Record) -> NotebookNode:
    """Return a notebook of only the results of a record, for when its source is gone."""
    cells = [
        nbformat.v4.new_code_cell(
            source=cell.source,
            execution_count=cell.execution_count,
            outputs=[nbformat.from_dict(output) for output in cell.outputs],
        )
        for cell in executed.cells
    ]
    identify(cells, keep=False)
    said = {provenance.KEY: provenance.of_record(record)}
    metadata = nbformat.from_dict({**_copied(executed.metadata), **said})
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _code(cells: Iterable[NotebookNode]) -> list[NotebookNode]:
    return [cell for cell in cells if cell.cell_type == "code" and not is_blank(cell.source)]


def _copied(value: Any) -> Any:
    """Return `value` in plain dicts and lists of its own."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _metadata(
    source: Mapping[str, Any], run: Mapping[str, Any], code: Sequence[NotebookNode]
) -> dict[str, Any]:
    """Return the source's metadata, updated with what the run knows better."""
    metadata = dict(source)
    if "language_info" in run:
        metadata["language_info"] = run["language_info"]
    if "kernelspec" not in metadata and "kernelspec" in run:
        metadata["kernelspec"] = run["kernelspec"]
    old = metadata.pop("widgets", None)
    new = run.get("widgets")
    if old is not None and any(is_skipped(cell) and cell.outputs for cell in code):
        new = _joined(old, new or {})  # outputs that stay need their widgets
    if new:
        metadata["widgets"] = new
    return metadata


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the widget states of both, with those of `new` first."""
    joined = {**old, **new}
    if _STATE in old and _STATE in new:
        state = {**old[_STATE].get("state", {}), **new[_STATE].get("state", {})}
        joined[_STATE] = {**old[_STATE], **new[_STATE], "state": state}
    return joined
