"""Which part of a notebook is code (DESIGN §2); loads neither nbformat nor jupytext."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import blake3
import msgspec

from nbbuild.errors import NotebookError
from nbbuild.model import CodeCell, Digest, Parsed
from nbbuild.notebook import skipped
from nbbuild.notebook.loads import can_load, loaded_path, loaded_text
from nbbuild.notebook.suffixes import SCRIPTS, suffix
from nbbuild.text.numbering import named

COUNTED_TAGS = frozenset({"raises-exception", skipped.TAG, "parameters"})
"""Tags that change what a run does. A cell switched off in another way is given its tag."""

SWITCHED_OFF = "a switched-off cell"
"""Stands for the execution count of a cell that does not run."""

INJECTED = "injected-parameters"
"""The tag of a cell that parameters replace: then its place counts, but not its source."""

_KEPT = COUNTED_TAGS | {INJECTED}
_MOST_SECONDS = 1e12
_AUTO = re.compile(r"(^|[,/.])auto(?=[:,]|$)")


def parse(notebook: Any, source: str) -> Parsed:
    """Return what counts in `notebook`, which was read from `source`; raise `NotebookError`.

    The result can be remembered by the file's digest. It includes cells that load a file even if
    that file is blank now, since it may change: see `with_loads`.
    """
    metadata = notebook["metadata"]
    loads = can_load(notebook, source)
    cells = [
        CodeCell(
            index=index,
            source=cell["source"],
            tags=_tags(cell),
            load=loaded_path(source, cell["metadata"]["load"])
            if loads and "load" in cell["metadata"]
            else "",
        )
        for index, cell in enumerate(notebook["cells"])
        if cell["cell_type"] == "code"
    ]
    return Parsed(
        kernel=metadata.get("kernelspec", {}).get("name", ""),
        language=_language(metadata, source),
        cells=tuple(cell for cell in cells if cell.load or not is_blank(cell.source)),
        timeout=_timeout(metadata, source),
        allow_errors=_allow_errors(metadata, source),
        formats=paired_formats(notebook),
    )


def with_loads(root: Path, parsed: Parsed) -> Parsed:
    """Return `parsed` with what its cells load now, or `parsed` itself if none loads anything.

    Cells whose file is blank are left out. Raises `NotebookError` if a file cannot be read.
    """
    if not any(cell.load for cell in parsed.cells):
        return parsed
    cells = [
        msgspec.structs.replace(cell, source=loaded_text(root, cell.load)) if cell.load else cell
        for cell in parsed.cells
    ]
    return msgspec.structs.replace(
        parsed, cells=tuple(cell for cell in cells if not is_blank(cell.source))
    )


def cell_digests(parsed: Parsed, *, injecting: bool = False) -> tuple[tuple[str, str], ...]:
    """Return ("In [1]", digest), … for the code cells that are not blank, in order.

    With `injecting`, a cell that the task's parameters will replace counts only by its place.
    """
    return tuple(
        (SWITCHED_OFF if count is None else named(None, count), _digest(_counted(cell, injecting)))
        for cell, _, count in _numbered(parsed, injecting)
    )


def places(parsed: Parsed, *, injecting: bool = False) -> tuple[tuple[int, int | None], ...]:
    """Return position and execution count of each cell of `cell_digests`, for numbering.py.

    They are those in the built notebook, where one cell holds the parameters.
    """
    return tuple((position, count) for _, position, count in _numbered(parsed, injecting))


def _numbered(parsed: Parsed, injecting: bool) -> Iterator[tuple[CodeCell, int, int | None]]:
    cells = [cell for cell in parsed.cells if not is_blank(cell.source)]
    more = 0  # one more after the cell with the parameters
    if injecting and not any(INJECTED in cell.tags for cell in cells):
        declaring = (cell.index for cell in cells if "parameters" in cell.tags)
        after: float = next(declaring, -1)
    else:
        after = math.inf
    count = 0
    for cell in cells:
        if not more and cell.index > after:
            more = 1
            count += 1
        runs = skipped.TAG not in cell.tags
        count += runs
        yield cell, cell.index + 1 + more, count if runs else None


def _counted(cell: CodeCell, injecting: bool) -> CodeCell:
    if INJECTED not in cell.tags:
        return cell
    if injecting:
        return CodeCell(cell.index, "", (INJECTED,))
    tags = tuple(tag for tag in cell.tags if tag != INJECTED)
    return msgspec.structs.replace(cell, tags=tags)


def possible_digests(source: str) -> Iterator[Digest]:
    """Yield every digest that a cell with this source can have in `cell_digests`."""
    tags = sorted(_KEPT)
    for number in range(len(tags) + 1):
        for chosen in combinations(tags, number):
            yield _digest(CodeCell(0, source, chosen))


def running(parsed: Parsed) -> int:
    """Return how many cells of `parsed` a run executes: those not switched off."""
    return sum(skipped.TAG not in cell.tags for cell in parsed.cells)


def is_blank(source: str) -> bool:
    """Return whether a code cell has nothing to execute."""
    return not source.strip()


def paired_formats(notebook: Any) -> str:
    """Return `metadata.jupytext.formats` ("ipynb,md:myst"), or "" if the notebook is unpaired.

    `auto` becomes the suffix of the notebook's language if that is known.
    """
    metadata = notebook["metadata"]
    formats = _dict(metadata, "jupytext").get("formats") or ""
    if isinstance(formats, list):
        formats = ",".join(str(one) for one in formats)
    if not isinstance(formats, str):
        return ""
    ending = _script_suffix(metadata)
    return _AUTO.sub(rf"\g<1>{ending[1:]}", formats) if ending else formats


def _digest(cell: CodeCell) -> str:
    # Lengths first: no source can be taken for another source with tags.
    parts = [cell.source, *cell.tags]
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    # JSON can spell half a surrogate pair, which plain UTF-8 refuses.
    return blake3.blake3(framed.encode("utf-8", "surrogatepass")).hexdigest()


def _tags(cell: Any) -> tuple[str, ...]:
    kept = _KEPT.intersection(cell["metadata"].get("tags", []))
    return tuple(sorted(kept | {skipped.TAG} if skipped.is_skipped(cell) else kept))


def _dict(holder: Any, key: str) -> Any:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def _language(metadata: Any, source: str) -> str:
    jupytext = _dict(metadata, "jupytext")
    said = (
        _dict(metadata, "kernelspec").get("language")
        or _dict(metadata, "language_info").get("name")
        or jupytext.get("main_language")
        or jupytext.get("default_lexer")  # of MyST's ```{code-cell} ipython3
    )
    if not isinstance(said, str):
        said = SCRIPTS[suffix(source)].language if suffix(source) in SCRIPTS else ""
    return re.sub(r"^(?:ipython\d?|python\d)$", "python", said)


def _script_suffix(metadata: Any) -> str:
    said = _dict(metadata, "language_info").get("file_extension")
    if isinstance(said, str) and said in SCRIPTS:
        return ".R" if said == ".r" else said
    language = _language(metadata, "").lower()
    known = (ending for ending, script in SCRIPTS.items() if script.language.lower() == language)
    return next(known, "")


def _timeout(metadata: Any, source: str) -> float | None:
    """Return seconds, or 0 for no limit, which nbclient also accepts as null and -1."""
    execution = _dict(metadata, "execution")
    if "timeout" not in execution:
        return None
    value = execution["timeout"]
    if value is None:
        return 0.0
    # Compared, for an integer may be too large to become a number of seconds.
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not (known and -math.inf < value < _MOST_SECONDS):
        raise _wrong_execution(source, "timeout", value, "a number of seconds")
    return max(float(value), 0.0)


def _allow_errors(metadata: Any, source: str) -> bool | None:
    value = _dict(metadata, "execution").get("allow_errors")
    if value is None or isinstance(value, bool):
        return value
    raise _wrong_execution(source, "allow_errors", value, "true or false")


def _wrong_execution(source: str, key: str, value: object, wanted: str) -> NotebookError:
    return NotebookError(
        f"'{source}' has a metadata.execution.{key} that is not {wanted}",
        facts=[(key, repr(value))],
        hint="correct it in the notebook's metadata",
    )
