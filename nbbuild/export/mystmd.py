"""Write results where mystmd and Jupyter Book 2 look for them under `--execute`.

A result is a notebook `<key>.ipynb` in `_build/execute`, with one cell for each thing that mystmd
executes in a page: no code, only outputs. mystmd_nodes explains the key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from nbbuild.disk import durable
from nbbuild.disk.durable import private_folder, writing
from nbbuild.disk.locks import lock
from nbbuild.disk.project_folder import DOT, LOCKS
from nbbuild.errors import UsageError
from nbbuild.export.mystmd_nodes import Beyond, Nodes, NoPage, lifted, nodes
from nbbuild.export.outputs import LOST, built, shown
from nbbuild.export.pages import Exported, Missing, Offer, Page, exported, settle
from nbbuild.session import Session

_OURS = b'{"metadata":{"mystContext":{"nbbuild":'
"""The beginning of our files, so that they are recognised without being read whole."""


def export(
    session: Session,
    pages: Sequence[Page],
    path: Path,
    *,
    only: Collection[str] | None = None,
) -> Exported:
    """Bring mystmd's folder `path` in line with `pages`, all pages of the project.

    With `only`, just these sources are written or removed. Results that mystmd made for pages
    without an up-to-date one are removed; the rest is left alone. Raises `UsageError` if `path` is
    not a folder, `StoreError` if it cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"'{path}' is not a folder", hint="name the `_build/execute` of the book")
    missing: list[Missing] = []
    variables: set[str] = set()
    offers = [offer for page in pages for offer in _offers(session, page, missing, variables)]
    settled = settle(offers, tool="mystmd", only=only)
    written: set[str] = set()
    removed: set[str] = set()
    with (
        writing(f"'{path}' cannot be written", path),
        lock(private_folder(session.root / DOT) / LOCKS / "export.lock"),
    ):
        path.mkdir(parents=True, exist_ok=True)
        for key, group in settled.give.items():
            target, data = path / f"{key}.ipynb", group[0].value
            assert data is not None
            if _read(target) != data:
                durable.write(target, data, sync=False)
                written.update(offer.page.source for offer in group)
        for key, group in settled.take.items():
            theirs = all(offer.page.meant for offer in group)
            if _remove(path, key, ours=theirs):
                removed.update(offer.page.source for offer in group)
        if only is None:
            known_keys = {offer.key for offer in offers}
            for other in sorted(path.glob("*.ipynb")):
                if other.stem not in known_keys:
                    _remove(path, other.stem, ours=True)
    return exported(
        path,
        settled,
        missing=missing,
        written=written,
        removed=removed,
        place=lambda key: path / f"{key}.ipynb",
        only=only,
        variables=variables,
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _remove(path: Path, key: str, *, ours: bool) -> bool:
    """Remove the result under `key`; with `ours`, only if it is ours; return whether."""
    found = [one for ending in ("ipynb", "json") if (one := path / f"{key}.{ending}").is_file()]
    if ours:
        found = [one for one in found if one.read_bytes()[: len(_OURS)] == _OURS]
    for one in found:
        one.unlink()
    return bool(found)


# -- what mystmd would look for ----------------------------------------------------------------


def _offers(
    session: Session, page: Page, missing: list[Missing], variables: set[str]
) -> Iterator[Offer[bytes]]:
    """Yield what belongs under the keys of `page`; if nothing does, `missing` gets the reason."""
    result = built(session, page) if page.record is not None else None
    gaps: list[Missing] = []
    offered = False
    for file in page.files:
        try:
            found = nodes(session.root, file)
            outputs = [] if result is None else _outputs(found, result)
        except NoPage as gap:
            gaps.append(Missing(source=page.source, why=str(gap), meant=True))
            continue
        except (Beyond, OSError, ValueError, KeyError, TypeError) as gap:
            gaps.append(Missing(source=page.source, why=str(gap), hint=_HINT))
            continue
        offered = True
        variables.update(found.variables)
        value = None if page.record is None or result is None else _notebook(page, found, outputs)
        yield Offer(
            key=found.key(session.environ),
            page=page,
            file=file,
            shown=shown(outputs) if value is not None else "",
            value=value,
        )
    if page.record is None:
        missing.append(Missing(source=page.source, why=page.why, meant=page.meant))
    elif result is None:
        missing.append(Missing(source=page.source, why=LOST))
    elif not offered:
        # One file of a pair may not be a page at all; then the fault of the other one counts.
        missing.append(min(gaps, key=lambda gap: gap.meant))


_HINT = "mystmd will execute this page itself"


def _outputs(found: Nodes, result: NotebookNode) -> list[list[dict[str, Any]]]:
    """Return the outputs of each cell that mystmd would execute. Raises Beyond."""
    ours = [cell for cell in result.cells if cell.cell_type == "code"]
    if len(ours) == len(found.cells) + 1 and not ours[-1].source:
        del ours[-1]  # mystmd drops an empty cell at the end
    if len(ours) != len(found.cells) or not all(map(_is_same, found.cells, ours)):
        raise Beyond("mystmd reads other cells in it than nbbuild")
    return [cell.outputs for node, cell in zip(found.cells, ours, strict=True) if not node.skipped]


def _is_same(node: Any, cell: NotebookNode) -> bool:
    # mystmd does not know `:load:`, and takes the cell as empty.
    loaded = "load" in cell.metadata and not node.content
    return loaded or lifted(cell.source)[0].strip() == node.content.strip()


def _notebook(page: Page, found: Nodes, outputs: Sequence[Sequence[Mapping[str, Any]]]) -> bytes:
    context = {
        "nbbuild": True,  # as in _OURS; and nothing that differs between runs
        "kernelspec": found.kernel,
        "path": page.source.rpartition("/")[2],
    }
    cells = [
        {
            "cell_type": "code",
            "source": [],
            "metadata": {"mystResultType": "code"},
            "outputs": each,
            "execution_count": number,
        }
        for number, each in enumerate(outputs)
    ]
    notebook = {
        "metadata": {"mystContext": context},
        "nbformat": 4,
        "nbformat_minor": 5,
        "cells": cells,
    }
    try:
        text = json.dumps(notebook, separators=(",", ":"), default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(notebook), separators=(",", ":"), default=str)
    return text.encode()


def _finite(value: Any) -> Any:
    """Return `value` with null for NaN and infinities, as in JavaScript's JSON."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
