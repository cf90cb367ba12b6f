"""Bring a notebook from any reader into one shape: nbformat 4.5, valid, with stable ids."""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any

import blake3
import nbformat
from nbformat import NotebookNode

from nbbuild.errors import NotebookError
from nbbuild.notebook.skipped import is_skipped

_VALID_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_BITS = 14_000  # of a number: a little less than Python's limit of 4,300 digits
_KEYS = {
    "code": {"id", "cell_type", "metadata", "source", "outputs", "execution_count"},
    "markdown": {"id", "cell_type", "metadata", "source", "attachments"},
    "raw": {"id", "cell_type", "metadata", "source", "attachments"},
}


def tidy(notebook: NotebookNode, source: str, *, keep_ids: bool) -> NotebookNode:
    """Return `notebook`, changed in place, as a valid nbformat 4.5 notebook.

    Missing parts of cells are filled in. Parts that a cell cannot have are dropped, and so is
    metadata that the format forbids. `keep_ids` keeps valid ids that occur only once; the others
    come from the cells' contents. Raises `NotebookError` if that is not enough.
    """
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for key in set(notebook) - {"nbformat", "nbformat_minor", "metadata", "cells"}:
        del notebook[key]
    notebook.metadata = nbformat.from_dict(plain(notebook.metadata))
    _complete_kernelspec(notebook.metadata)
    for number, cell in enumerate(notebook.cells, start=1):
        _tidy_cell(cell, f"cell {number} of '{source}'")
    identify(notebook.cells, keep=keep_ids)
    while (error := _first_error(notebook)) is not None:
        if not _drop(notebook, list(error.relative_path)):
            raise NotebookError(
                f"'{source}' is not a valid notebook",
                facts=[("where", _where(error.relative_path)), ("reason", error.message[:300])],
                hint="open it in Jupyter and save it again",
            )
    return notebook


def _tidy_cell(cell: NotebookNode, where: str) -> None:
    kind = cell.get("cell_type")
    keys = _KEYS.get(kind) if isinstance(kind, str) else None
    if keys is None:
        raise NotebookError(
            f"{where} is neither code, markdown nor raw",
            facts=[("cell_type", repr(kind))],
            hint="open it in Jupyter and save it again",
        )
    for key in set(cell) - keys:
        del cell[key]
    cell.setdefault("source", "")
    cell.metadata = nbformat.from_dict(plain(cell.metadata))
    if "tags" in cell.metadata:
        cell.metadata["tags"] = tags(cell.metadata["tags"])
    if cell.cell_type == "code":
        cell.setdefault("outputs", [])
        cell.setdefault("execution_count", None)


def tags(value: object) -> list[str]:
    """Return a cell's tags as a list without repetition; some write them as one string."""
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value)
    words = [str(word) for word in value] if isinstance(value, list) else []
    return list(dict.fromkeys(word for word in words if word))


def plain(value: object) -> Any:
    """Return `value` as JSON can hold it; YAML also has dates, bytes, sets and keys of any type.

    Raises ValueError for a number that Python refuses to write.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set):
        return sorted(str(item) for item in value)
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError("a number in it has too many digits")
    return value


def _complete_kernelspec(metadata: NotebookNode) -> None:
    spec = metadata.get("kernelspec")
    if isinstance(spec, dict) and isinstance(spec.get("name"), str):
        spec.setdefault("display_name", spec["name"])
    else:
        metadata.pop("kernelspec", None)
    info = metadata.get("language_info")
    if not (isinstance(info, dict) and isinstance(info.get("name"), str)):
        metadata.pop("language_info", None)


# -- ids ---------------------------------------------------------------------------------------


def identify(cells: Iterable[NotebookNode], *, keep: bool = True) -> None:
    """Give each of `cells` an id of its own, in place.

    An id that is made comes from the cell's type and source, and from how many equal cells precede
    it, so that an edit elsewhere leaves it alone.
    """
    cells = list(cells)
    taken: set[str] = set()
    unnamed: list[NotebookNode] = []
    for cell in cells:
        name = cell.get("id")
        if keep and isinstance(name, str) and _VALID_ID.fullmatch(name) and name not in taken:
            taken.add(name)
        else:
            unnamed.append(cell)
    for cell in unnamed:
        cell["id"] = free_id(cell, taken)
        taken.add(cell["id"])


def free_id(cell: NotebookNode, taken: set[str]) -> str:
    """Return an id for `cell` that is not in `taken`; the same arguments give the same id."""
    seed = f"{cell['cell_type']}\0{cell['source']}".encode("utf-8", "surrogatepass")
    number = 0
    while True:
        name = blake3.blake3(seed + f"\0{number}".encode()).hexdigest(length=6)
        if name not in taken:
            return name
        number += 1


# -- validity ----------------------------------------------------------------------------------


def _first_error(notebook: NotebookNode) -> Any:
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return error
    return None


def _drop(notebook: NotebookNode, path: list[Any]) -> bool:
    """Drop what is invalid at `path`, if a build can do without it; return whether it could."""
    match path:
        case ["metadata", key, *_]:
            del notebook.metadata[key]
        case ["cells", int(index), "metadata", key, *_]:
            del notebook.cells[index].metadata[key]
        case ["cells", int(index), "outputs", *_] if not is_skipped(notebook.cells[index]):
            # The run makes them again.
            notebook.cells[index].outputs = []
        case ["cells", int(index), "execution_count", *_]:
            notebook.cells[index].execution_count = None
        case _:
            return False
    return True


def _where(path: Iterable[Any]) -> str:
    """Return `path` in a form for readers: cells count from 1."""
    words = [
        f"cell {key + 1}" if isinstance(key, int) and before == "cells" else str(key)
        for before, key in zip(["", *path], path, strict=False)
        if key != "cells"
    ]
    return ", ".join(words) or "the notebook itself"
