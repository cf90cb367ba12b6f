"""Read what counts in an ordinary `.ipynb` file without nbformat, which takes 80 ms to load.

A notebook is ordinary if the whole reader (ipynb.py and cells.py) takes it as it is, in everything
that code.py looks at: it need not mend, convert or refuse anything there. Any other notebook is
left to the whole reader.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from nbbuild.disk.shapes import Shape
from nbbuild.notebook.skipped import is_skipped

_TAG = re.compile(r"[^,\n]+")


class _Output(msgspec.Struct):
    output_type: str
    data: dict[str, Any] = {}
    text: str | list[str] = ""


class _Cell(msgspec.Struct):
    cell_type: Literal["code", "markdown", "raw"]
    metadata: dict[str, Any]
    source: str | list[str] = ""
    outputs: list[_Output] = []
    # No value is accepted: attachments have rules of their own.
    attachments: msgspec.UnsetType = msgspec.UNSET


class _Kernelspec(msgspec.Struct):
    name: str
    display_name: str = ""


class _LanguageInfo(msgspec.Struct):
    name: str
    codemirror_mode: str | dict[str, Any] = ""
    file_extension: str = ""
    mimetype: str = ""
    pygments_lexer: str = ""


class _Metadata(msgspec.Struct):
    kernelspec: _Kernelspec | msgspec.UnsetType = msgspec.UNSET
    language_info: _LanguageInfo | msgspec.UnsetType = msgspec.UNSET


class _Notebook(msgspec.Struct):
    nbformat: Literal[4]
    nbformat_minor: int
    metadata: dict[str, Any]
    cells: list[_Cell]


_NOTEBOOK: Shape[_Notebook] = Shape(_Notebook)
_METADATA: Shape[_Metadata] = Shape(_Metadata)


def read(path: Path) -> dict[str, Any] | None:
    """Return the notebook at `path` for `code.parse`; None if it is not known to be ordinary."""
    try:
        # As text: the parts that are skipped must be UTF-8, too.
        return _from_text(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None


def _from_text(text: str) -> dict[str, Any] | None:
    notebook = _NOTEBOOK.from_json(text, surrogates=False)
    _METADATA.from_plain(notebook.metadata)
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
        plain = {"cell_type": cell.cell_type, "metadata": cell.metadata, "source": source}
        if not _are_tags(tags) or (cell.outputs and is_skipped(plain)):
            return None  # the outputs of a skipped cell have to be valid
        cells.append(plain)
    return {"metadata": notebook.metadata, "cells": cells}


def _are_tags(tags: object) -> bool:
    return (
        isinstance(tags, list)
        and all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags)
        and len({*tags}) == len(tags)
    )
