"""What a page says about itself: its kernel, and whether and how it is executed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbbuild.cli.books.content import boolean, name, seconds, table
from nbbuild.cli.books.quarto import switched_off
from nbbuild.notebook.headers import HEADER_LIMIT, header
from nbbuild.text import bounded_yaml

_RULED = re.compile(r"\A\s*---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.S)
_ITEM = re.compile(r"^- +([\w-]+) *: *(.+?) *$", re.M)
_R_CODE = re.compile(r"^`{3,}\{r\b", re.M)
_CODE = re.compile(r"^`{3,}\{(?:python|julia)\b", re.M)


@dataclass(frozen=True, slots=True)
class PageSettings:
    """What is asked of a page. `never` quotes what keeps its tool from executing it, or is ""."""

    kernel: str = ""
    never: str = ""
    timeout: float | None = None  # seconds a cell, 0 = no limit
    allow_errors: bool | None = None

    @property
    def has_settings(self) -> bool:
        """Whether it is executed in another way than the others."""
        return self.timeout is not None or self.allow_errors is not None


def read(path: str, data: bytes) -> PageSettings:
    """Return what the notebook `path` says about itself; nothing, when it cannot be read."""
    text = data.decode("utf-8-sig", "replace")
    metadata = list(_of_notebook(text) if path.endswith(".ipynb") else _of_text(path, text))
    kernels = (name(table(one, "kernelspec").get("name")) for one in metadata)
    return PageSettings(
        kernel=next(filter(None, kernels), ""),
        never=next(filter(None, map(_never, metadata)), ""),
        timeout=next((one for one in map(_timeout, metadata) if one is not None), None),
        allow_errors=next((one for one in map(_allow_errors, metadata) if one is not None), None),
    )


def has_jupyter_code(data: bytes) -> bool:
    """Tell whether a page of Quarto has cells that it executes with Jupyter, header or not."""
    text = data.decode("utf-8-sig", "replace")
    # One cell in R, and knitr executes all of them.
    return _R_CODE.search(text) is None and _CODE.search(text) is not None


def has_r_code(data: bytes) -> bool:
    """Tell whether a page has cells in R."""
    return _R_CODE.search(data.decode("utf-8-sig", "replace")) is not None


def _never(metadata: Mapping[str, Any]) -> str:
    """Quote what says that the page with these metadata is never executed."""
    # YAML reads an unquoted `off` as false.
    if table(metadata, "mystnb").get("execution_mode") in ("off", False):
        return "mystnb: execution_mode: off"
    if table(metadata, "nbsphinx").get("execute") == "never":
        return "nbsphinx: execute: never"
    if metadata.get("skip_execution") is True:
        return "skip_execution: true"
    if table(metadata, "execute").get("skip") is True:
        return "execute: skip: true"
    if str(metadata.get("skip_exec", "")).lower() in ("true", "1", "yes"):
        return "skip_exec: true"
    return switched_off(metadata)


def _timeout(metadata: Mapping[str, Any]) -> float | None:
    """Return what the tools, not nbbuild, are told in the page; nbbuild reads its own itself."""
    nbsphinx = table(metadata, "nbsphinx").get("timeout")
    return seconds(table(metadata, "mystnb").get("execution_timeout", nbsphinx))


def _allow_errors(metadata: Mapping[str, Any]) -> bool | None:
    nbsphinx = table(metadata, "nbsphinx").get("allow_errors")
    quarto = table(metadata, "execute").get("error", nbsphinx)
    return boolean(table(metadata, "mystnb").get("execution_allow_errors", quarto))


def _of_notebook(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the metadata of an .ipynb, and the front matter in its first cell."""
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        return
    yield table(notebook, "metadata")
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    first = cells[0] if isinstance(cells, list) and cells else None
    if not isinstance(first, dict) or first.get("cell_type") not in ("raw", "markdown"):
        return
    source = first.get("source", "")
    joined = "".join(map(str, source)) if isinstance(source, list) else str(source)
    if found := _RULED.match(joined):
        yield _parsed(found[1])
    elif first["cell_type"] == "markdown" and joined.lstrip().startswith("# "):
        yield dict(_ITEM.findall(joined))  # nbdev's own way to write it


def _of_text(path: str, text: str) -> Iterator[Mapping[str, Any]]:
    """Yield what stands in the header of a text notebook, and in Jupytext's part of it."""
    found = header(path, text[:HEADER_LIMIT])
    if found is not None:
        top = _parsed(found.yaml)
        yield top
        yield table(top, "jupyter")


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        return table(bounded_yaml.load(text))
    except bounded_yaml.Unloadable:
        return {}
