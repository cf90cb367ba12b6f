"""Read text notebooks, through Jupytext and with the configuration that applies to them."""

from __future__ import annotations

import json
import re
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jupytext
import jupytext.config
import jupytext.formats
import jupytext.header
import jupytext.myst
import jupytext.quarto
import yaml
from jupytext.myst import MystMetadataParsingError
from nbformat import NotebookNode, ValidationError

from nbbuild.errors import NotebookError
from nbbuild.notebook.cells import tidy
from nbbuild.notebook.configuration import configuration_file
from nbbuild.notebook.headers import Header, header, mapping, uncomment
from nbbuild.notebook.loads import relative
from nbbuild.notebook.myst import as_jupytext_reads
from nbbuild.notebook.suffixes import MYST_SUFFIXES, suffix
from nbbuild.text.bounded_yaml import BoundedLoader

# Jupytext is seen to raise these for text that it cannot take; OSError is for Quarto and Pandoc.
_UNREADABLE = (
    *(yaml.YAMLError, MystMetadataParsingError, ValidationError, OSError, ImportError),
    *(ValueError, TypeError, AttributeError, LookupError, AssertionError, RecursionError),
)

_LINE = re.compile(r"\b(at line )(\d+)")

# Jupytext walks, copies and writes what it has loaded. It finds headers and options of cells in its
# own ways, so it is its loader that needs the bound, not the places that we know of.
_YAML = SimpleNamespace(
    **{
        **vars(yaml),
        "safe_load": partial(yaml.load, Loader=BoundedLoader),
        "safe_load_all": partial(yaml.load_all, Loader=BoundedLoader),
    }
)
_PARTS = (jupytext.config, jupytext.formats, jupytext.header, jupytext.myst, jupytext.quarto)
for _part in _PARTS:
    _part.yaml = _YAML


def read_text(root: Path, source: str, text: str) -> NotebookNode:
    """Return the notebook in `text`, the contents of the file `source`.

    Raises `NotebookError`.
    """
    config = configuration(root, source)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    given = text
    try:
        given = _with_display_name(source, text)
        form = _format(source, text, config)
        if _is_myst(source, text, form):
            given = as_jupytext_reads(given)
        with warnings.catch_warnings():
            # Warnings about what could not be written back as text, and the like; we only read.
            warnings.simplefilter("ignore")
            notebook = jupytext.reads(given, form, config=config)
        _sort_filters(notebook)
        return tidy(notebook, source, keep_ids=False)  # Jupytext's are random
    except _UNREADABLE as error:
        raise _unreadable(source, text, error, given.count("\n") - text.count("\n")) from error


def configuration(root: Path, source: str) -> Any:
    """Return the `JupytextConfiguration` that applies to `source`, or None.

    Raises `NotebookError`, which names the file, if it is wrong.
    """
    path = configuration_file((root / source).parent)
    if path is None:
        return None
    try:
        return jupytext.config.load_jupytext_configuration_file(str(path))
    except Exception as error:  # .jupytext.py is a program: it can raise anything
        raise NotebookError(
            f"'{source}' cannot be read: its Jupytext configuration is wrong",
            facts=[("file", relative(root, path)), ("reason", _first_line(error))],
            hint="correct it, or move it away",
        ) from error


def _format(source: str, text: str, config: Any) -> dict[str, str]:
    chosen = {"extension": suffix(source)}
    if config is not None:
        preferred = config.preferred_jupytext_formats_read
        chosen = jupytext.config.preferred_format(chosen, preferred)
    if "format_name" not in chosen and suffix(source) in MYST_SUFFIXES:
        # Jupytext's own Markdown keeps its metadata under `jupyter:`. If they are at the top level,
        # the page is MyST, whose ```bash blocks are prose, even if it has no {code-cell} (yet).
        found = header(source, text)
        keys = _top(found).keys() if found is not None else set()
        if {"kernelspec", "jupytext"} & keys or ("jupyter" not in keys and "{code-cell}" in text):
            chosen["format_name"] = "myst"
    return chosen


def _is_myst(source: str, text: str, form: dict[str, str]) -> bool:
    """Return whether the page is MyST, as far as it was chosen or the page shows it."""
    if "format_name" in form or suffix(source) not in MYST_SUFFIXES:
        return form.get("format_name") == "myst"
    found = header(source, text)
    return found is None or "format_name:" not in found.yaml or "format_name: myst" in found.yaml


def _top(found: Header) -> dict[str, yaml.Node]:
    try:
        return mapping(yaml.compose(found.yaml, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):
        # Jupytext reads only the `jupyter:` part, so the rest need not be YAML.
        return {}


def _with_display_name(source: str, text: str) -> str:
    """Return `text` with the `display_name` that nbformat requires in a kernelspec.

    No other program requires it, mystmd's pages often lack it, and Jupytext validates before we
    could add it.
    """
    found = header(source, text)
    if found is None:
        return text
    top = _top(found)
    lines = text.splitlines(keepends=True)
    for outer in (top, mapping(top.get("jupyter"))):
        spec = outer.get("kernelspec")
        keys = mapping(spec)
        if spec is None or "display_name" in keys:
            continue
        if not isinstance(keys.get("name"), yaml.ScalarNode):
            continue
        mark = next(key.start_mark for key, _ in spec.value if key.value == "name")
        place = found.line - 1 + mark.line
        bare = uncomment(lines[place].rstrip("\n"), found.comment, found.comment_end)
        before, entry = bare[: mark.column], f"display_name: {json.dumps(keys['name'].value)}"
        block = not before.strip()
        entry = f"{before}{entry}" if block else f"{before}{entry}, {bare[mark.column :]}"
        lines[place : place + 1] = [
            lines[place].replace(bare, entry, 1),
            *([lines[place]] if block else []),
        ]
        break
    return "".join(lines)


def _sort_filters(notebook: NotebookNode) -> None:
    # Jupytext builds these from sets: unsorted, each process would write another notebook.
    said = notebook.metadata.get("jupytext", {})
    for key in ("cell_metadata_filter", "notebook_metadata_filter"):
        if isinstance(said.get(key), str):
            said[key] = ",".join(sorted(said[key].split(",")))


def _unreadable(source: str, text: str, error: BaseException, added: int) -> NotebookError:
    program = isinstance(error, OSError)  # of Quarto, Pandoc or marimo: missing, or too old
    found = None if program else header(source, text)
    if found is not None and (wrong := _header_problem(found)) is not None:
        line, reason = wrong
        return NotebookError(
            f"the header of '{source}' cannot be read",
            facts=[("line", str(line)), ("reason", reason)],
            hint="it is YAML: check the indentation, and quote values that hold a colon",
        )
    return NotebookError(
        f"'{source}' cannot be read by Jupytext",
        # Lines are those of the file, not those after the `added` ones.
        facts=[("reason", _LINE.sub(lambda m: f"{m[1]}{int(m[2]) - added}", _first_line(error)))],
        hint="install the program that it names"
        if program
        else "fix what it names, then try `jupytext --to ipynb` on the file",
    )


def _header_problem(found: Header) -> tuple[int, str] | None:
    """Return a line of the file and what is wrong there; None if no fault can be seen."""
    try:
        top = mapping(yaml.compose(found.yaml, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark is not None else 0
        return found.line + line, error.problem or "it is not valid YAML"
    except (yaml.YAMLError, RecursionError):
        return None
    for key, node in (*top.items(), *mapping(top.get("jupyter")).items()):
        if key in ("jupyter", "jupytext", "kernelspec") and not isinstance(node, yaml.MappingNode):
            return found.line + node.start_mark.line, f"'{key}' has no keys of its own"
    return None


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
