"""Read `.ipynb` files."""

from __future__ import annotations

import json
import re
from typing import Any

import nbformat
from nbformat import NotebookNode

from nbbuild.errors import NotebookError
from nbbuild.notebook.cells import tidy

_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.M)
_FILLED_IN = ("source", "outputs", "attachments")
_SAVE_AGAIN = "open it in Jupyter and save it again"


def read_ipynb(source: str, text: str) -> NotebookNode:
    """Return the notebook in `text`, the contents of the file `source`.

    Raises `NotebookError`.
    """
    if not text.strip():
        raise NotebookError(
            f"'{source}' is empty",
            hint="a notebook without cells still holds JSON: create it in Jupyter, or remove it",
        )
    return from_data(source, _json(source, text))


def from_data(source: str, data: dict[str, Any], *, keep_ids: bool = True) -> NotebookNode:
    """Return the notebook described by `data`, the JSON object of an `.ipynb` or similar file.

    `keep_ids` is as for `tidy`. `data` may be changed. Raises `NotebookError`.
    """
    major = _version(source, data)
    try:
        # nbformat must not convert older minor versions: it would give their cells random ids.
        notebook = nbformat.v4.to_notebook(data) if major == 4 else _converted(data, major)
        notebook = nbformat.v4.rwbase.strip_transient(notebook)
        return tidy(notebook, source, keep_ids=keep_ids and major == 4)
    except _MALFORMED as error:
        reason = str(error) or type(error).__name__
        cell = _malformed_cell(data) if major == 4 else None
        raise NotebookError(
            f"'{source}' is not a valid notebook",
            facts=[
                *([("where", f"cell {cell}")] if cell is not None else []),
                ("reason", reason.splitlines()[0][:300]),
            ],
            hint=_SAVE_AGAIN,
        ) from error


# What nbformat's readers and converters raise if a key is missing or a value has a wrong type.
_MALFORMED = (
    *(nbformat.ValidationError, nbformat.NBFormatError),
    *(AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError),
    NameError,  # in the converter of version 1, for a cell of no known kind
    AssertionError,  # in the reader of version 3, for a minor version that is no number
)


def _malformed_cell(data: dict[str, Any]) -> int | None:
    """Return the number, from 1, of the first cell that nbformat cannot read on its own."""
    for number, cell in enumerate(data["cells"], start=1):
        try:
            nbformat.v4.to_notebook({**data, "metadata": {}, "cells": [cell]})
        except _MALFORMED:
            return number
    return None


def _json(source: str, text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        merging = _CONFLICT.search(text) is not None
        raise NotebookError(
            f"'{source}' is not valid JSON",
            facts=[("line", f"{error.lineno}, column {error.colno}"), ("reason", error.msg)],
            hint="it holds the marks of a merge conflict: resolve it first"
            if merging
            else "restore it from version control, or fix that line",
        ) from error
    except RecursionError as error:
        raise NotebookError(f"'{source}' is nested too deeply", hint=_SAVE_AGAIN) from error
    except ValueError as error:  # Python's limit, which guards against numbers that take minutes
        raise NotebookError(
            f"'{source}' holds a number with too many digits",
            hint="no program needs it: put it into a text, or remove it",
        ) from error
    if not isinstance(data, dict):
        raise _no_notebook(source, f"its JSON is a {type(data).__name__}, not an object")
    return data


def _version(source: str, data: dict[str, Any]) -> int:
    major = data.get("nbformat")
    if not isinstance(major, int) or isinstance(major, bool) or major < 1:
        raise _no_notebook(source, "it has no 'nbformat' number")
    if major > 4:
        raise NotebookError(
            f"'{source}' is in a notebook format that is not known here",
            facts=[("nbformat", f"{major}.{data.get('nbformat_minor', 0)}"), ("known", "up to 4")],
            hint="upgrade nbformat and nbbuild, or save the notebook as nbformat 4",
        )
    if major == 4:
        cells, metadata = data.get("cells"), data.setdefault("metadata", {})
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            raise _no_notebook(source, "it has no list of 'cells'")
        if not isinstance(metadata, dict):
            raise _no_notebook(source, "its 'metadata' is not an object")
        for cell in cells:
            if not isinstance(cell.get("metadata"), dict):
                cell["metadata"] = {}
            # Some programs write null for empty values.
            for key in [key for key in _FILLED_IN if cell.get(key, "") is None]:
                del cell[key]
    return major


def _no_notebook(source: str, reason: str) -> NotebookError:
    return NotebookError(
        f"'{source}' is not a notebook",
        facts=[("reason", reason)],
        hint="leave it out with [project] exclude, or rename it",
    )


def _converted(data: dict[str, Any], major: int) -> NotebookNode:
    old = nbformat.versions[major].to_notebook_json(data, minor=data.get("nbformat_minor", 0))
    return nbformat.convert(old, 4)
