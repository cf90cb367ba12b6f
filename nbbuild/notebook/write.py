"""Write a notebook as an `.ipynb` file: the text that nbformat writes, without times of day.

nbformat's own writer copies the whole notebook, makes nodes of every dict and holds the text in
pieces of a few characters: with many outputs it needs ten times the size of what it writes. Here
the text is put together output by output.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

from nbformat import NotebookNode
from nbformat.v4.nbjson import BytesEncoder

Text: TypeAlias = Callable[[int], Iterator[str]]
"""Yields the pieces of a value's text; all lines but the first are indented by so many spaces."""

_TRANSIENT = ("orig_nbformat", "orig_nbformat_minor", "signature")
_TEXTS = ("application/javascript", "image/svg+xml")


def to_bytes(notebook: NotebookNode) -> bytes:
    """Return `notebook` as an `.ipynb` file; the same bytes for the same notebook."""
    parts: dict[str, Text] = {key: partial(_value, value) for key, value in notebook.items()}
    metadata = {k: v for k, v in notebook["metadata"].items() if k not in _TRANSIENT}
    parts["metadata"] = partial(_value, metadata)
    parts["cells"] = partial(_list, [partial(_cell, cell) for cell in notebook["cells"]])
    parts["nbformat"], parts["nbformat_minor"] = partial(_value, 4), partial(_value, 5)
    # An output can hold half a surrogate pair, which no file in UTF-8 can.
    return "".join([*_object(parts, 0), "\n"]).encode("utf-8", "replace")


def _cell(cell: Mapping[str, Any], at: int) -> Iterator[str]:
    parts: dict[str, Text] = {key: partial(_value, value) for key, value in cell.items()}
    parts["metadata"] = partial(_value, _timeless(cell["metadata"]))
    if isinstance(cell.get("source"), str):
        parts["source"] = partial(_value, cell["source"].splitlines(keepends=True))
    if "attachments" in cell:
        attached = {name: _by_lines(bundle) for name, bundle in cell["attachments"].items()}
        parts["attachments"] = partial(_value, attached)
    if cell["cell_type"] == "code" and "outputs" in cell:
        parts["outputs"] = partial(_list, [partial(_output, one) for one in cell["outputs"]])
    yield from _object(parts, at)


def _output(output: Mapping[str, Any], at: int) -> Iterator[str]:
    if output["output_type"] in ("execute_result", "display_data"):
        output = {**output, "data": _by_lines(output.get("data", {}))}
    elif output["output_type"] == "stream" and isinstance(output["text"], str):
        output = {**output, "text": output["text"].splitlines(keepends=True)}
    yield from _value(output, at)


def _timeless(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell's metadata without the times of day that a run leaves there."""
    kept = {key: value for key, value in metadata.items() if key != "trusted"}
    timed = kept.get("execution")
    if isinstance(timed, Mapping):
        kept["execution"] = {k: v for k, v in timed.items() if not k.startswith(_TIMES)}
        if not kept["execution"]:
            del kept["execution"]
    return kept


_TIMES = ("iopub.", "shell.")


def _by_lines(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mime bundle with its texts as lists of lines."""
    return {
        kind: value.splitlines(keepends=True)
        if isinstance(value, str) and (kind.startswith("text/") or kind in _TEXTS)
        else value
        for kind, value in bundle.items()
    }


# -- JSON --------------------------------------------------------------------------------------


def _value(value: Any, at: int) -> Iterator[str]:
    text = json.dumps(
        value,
        indent=1,
        sort_keys=True,
        separators=(",", ": "),
        ensure_ascii=False,
        cls=BytesEncoder,
    )
    # No string in JSON contains a line end.
    yield text.replace("\n", "\n" + " " * at) if at else text


def _object(parts: Mapping[str, Text], at: int) -> Iterator[str]:
    """Yield the text of an object; `parts` are its values, of which it has at least one."""
    start = "{"
    for key in sorted(parts):
        yield f"{start}\n{' ' * (at + 1)}{json.dumps(key, ensure_ascii=False)}: "
        yield from parts[key](at + 1)
        start = ","
    yield f"\n{' ' * at}}}"


def _list(items: Iterable[Text], at: int) -> Iterator[str]:
    start = "["
    for item in items:
        yield f"{start}\n{' ' * (at + 1)}"
        yield from item(at + 1)
        start = ","
    yield "[]" if start == "[" else f"\n{' ' * at}]"
