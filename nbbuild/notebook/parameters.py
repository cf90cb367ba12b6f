"""Put parameters into a notebook, as papermill does: a cell of assignments, after `parameters`."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from nbbuild.notebook.assignments import assignments
from nbbuild.notebook.cells import free_id

INJECTED = "injected-parameters"
"""The tag of the cell that holds the assignments, and its id where that is free."""


def inject(notebook: NotebookNode, parameters: Mapping[str, Any], *, language: str) -> NotebookNode:
    """Return `notebook` with a cell that assigns `parameters`; `notebook` itself if there are none.

    The cell replaces an `injected-parameters` cell, or follows the first cell tagged `parameters`,
    or comes first. The values also go to `metadata.nbbuild.parameters`. Raises `NotebookError` for
    a language that nbbuild cannot write, and for a name or a value that it cannot express.
    """
    if not parameters:
        return notebook
    cells = list(notebook.cells)
    old, declared = _tagged(cells, INJECTED), _tagged(cells, "parameters")
    text = assignments(parameters, language=language, declared=declared is not None)
    cell = new_code_cell(source=text, metadata={"tags": [INJECTED]})
    if old is not None:
        del cells[old]
        place = old
    else:
        place = 0 if declared is None else declared + 1
    taken = {other["id"] for other in cells}
    cell["id"] = INJECTED if INJECTED not in taken else free_id(cell, taken)
    cells.insert(place, cell)
    metadata = deepcopy(notebook.metadata)
    own = metadata.get("nbbuild")
    metadata["nbbuild"] = {
        **(own if isinstance(own, Mapping) else {}),
        "parameters": _recorded(parameters),
    }
    return NotebookNode({**notebook, "cells": cells, "metadata": metadata})


def _tagged(cells: list[NotebookNode], tag: str) -> int | None:
    tagged = (
        n
        for n, cell in enumerate(cells)
        if cell.cell_type == "code" and tag in cell.metadata.get("tags", [])
    )
    return next(tagged, None)


def _recorded(value: Any) -> Any:
    """Return `value` as JSON can hold it: dates in ISO form, infinities and NaN by name."""
    if isinstance(value, Mapping):
        return {str(key): _recorded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_recorded(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
