"""Write results where MyST-NB and Jupyter Book 1 look for them in their mode "cache".

MyST-NB reads a page with a reader of its own, may replace the kernel's name by an alias, and asks
a jupyter-cache for a notebook with the same code cells, cell metadata and kernelspec. So this
module reads a page as MyST-NB does, and writes what it would look for through jupyter-cache's own
interface, from one process: if several write, records are lost.

A record is written only if it is not there yet with the same outputs. Its page's doctree is deleted
first, then the record is written: a crash in between leaves a page that is read once too often, and
never one that shows old outputs.
"""

from __future__ import annotations

import importlib
import shutil
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.db import NbCacheRecord
from nbformat import NotebookNode
from sqlalchemy.exc import SQLAlchemyError

from nbbuild.disk.durable import private_folder
from nbbuild.disk.locks import lock
from nbbuild.disk.project_folder import DOT, LOCKS
from nbbuild.errors import StoreError, UsageError
from nbbuild.export import doctrees
from nbbuild.export.outputs import LOST, built, shown
from nbbuild.export.pages import Exported, Missing, Offer, Page, SettledOffers, exported, settle
from nbbuild.notebook.suffixes import MYST_SUFFIXES, suffix
from nbbuild.session import Session

_OURS = "nbbuild"
"""The key under which our entries in a jupyter-cache hold nbbuild's record."""


def export(
    session: Session,
    pages: Sequence[Page],
    path: Path,
    *,
    doctree_folders: Iterable[Path] = (),
    only: Collection[str] | None = None,
) -> Exported:
    """Bring the jupyter-cache at `path` in line with `pages`, all pages of the project.

    With `only`, just these sources are written or removed. Records that others made are replaced
    for pages with an up-to-date result, and removed for pages without one; the rest is left alone.
    Raises `UsageError` if something else is at `path`, `StoreError` if it cannot be written.
    """
    check(path)
    cache = get_cache(path)
    missing: list[Missing] = []
    offers = [offer for page in pages for offer in _offers(session, cache, page, missing)]
    settled = settle(offers, tool="jupyter-cache", only=only)
    with _writing(path), lock(private_folder(session.root / DOT) / LOCKS / "export.lock"):
        work = _Work(session.root, cache, path, doctree_folders)
        work.give(settled)
        work.take(settled, stale=None if only is not None else {offer.key for offer in offers})
    return exported(
        path,
        settled,
        missing=missing,
        written=work.written,
        removed=work.removed,
        place=lambda key: _notebook(path, key),
        only=only,
        doctrees=work.doctrees,
    )


def check(path: Path) -> None:
    """Raise `UsageError` if something that is not a jupyter-cache is at `path`."""
    if not path.exists() or (path / "global.db").exists():
        return
    if not path.is_dir() or any(path.iterdir()):
        raise UsageError(
            f"'{path}' is not a jupyter-cache",
            facts=[("missing in it", "global.db")],
            hint="name an empty folder, or one that does not exist",
        )


class _Work:
    """The work done on one cache, and its results."""

    def __init__(self, root: Path, cache: Any, path: Path, named: Iterable[Path]) -> None:
        self._root = root
        self._cache = cache
        self._path = path
        self._folders = doctrees.folders(path.absolute().parent, named)
        self._present = {one.hashkey: one for one in cache.list_cache_records()}
        self.written: set[str] = set()
        self.removed: set[str] = set()
        self.doctrees: list[Path] = []

    def give(self, settled: SettledOffers[NotebookNode]) -> None:
        """Write what is missing."""
        if len(settled.give) > self._cache.get_cache_limit():
            # Otherwise the cache would drop its surplus records with each one that is added.
            self._cache.change_cache_limit(2 * len(settled.give))
        for key, group in settled.give.items():
            notebook, page = group[0].value, group[0].page
            assert notebook is not None and page.record is not None
            there = _notebook(self._path, key)
            if key in self._present and there.is_file():
                hashed, _ = self._cache.create_hashed_notebook(notebook)
                new = nbformat.writes(hashed, nbformat.NO_CONVERT)
                if there.read_text(encoding="utf-8") == new:
                    continue
            elif there.parent.exists():
                shutil.rmtree(there.parent)  # half a record, on which jupyter-cache fails
            self._forget(group)
            self._cache.cache_notebook_bundle(
                CacheBundleIn(
                    notebook,
                    str(self._root / group[0].file),
                    data={"execution_seconds": page.record.seconds, _OURS: page.record.id},
                ),
                check_validity=False,
                overwrite=True,
            )
            self.written.update(offer.page.source for offer in group)

    def take(self, settled: SettledOffers[NotebookNode], *, stale: Collection[str] | None) -> None:
        """Remove what must not be found; with `stale` (all keys in use), ours of other keys too."""
        for key, group in settled.take.items():
            record = self._present.get(key)
            # If nbbuild has no result for a page by its configuration, Sphinx's own result for it
            # is right, and would otherwise be executed again each time.
            if record is None or (all(one.page.meant for one in group) and not _is_ours(record)):
                continue
            self._forget(group)
            self._remove(record)
            self.removed.update(offer.page.source for offer in group)
        for record in self._present.values() if stale is not None else ():
            mine = _is_ours(record) and Path(record.uri).is_relative_to(self._root)
            if stale is not None and mine and record.hashkey not in stale:
                self._remove(record)

    def _forget(self, group: Iterable[Offer[NotebookNode]]) -> None:
        files = sorted({file for offer in group for file in offer.page.files})
        self.doctrees += doctrees.forget(self._folders, self._root, files)

    def _remove(self, record: Any) -> None:
        if _notebook(self._path, record.hashkey).exists():
            self._cache.remove_cache(record.pk)
        else:  # half a record
            NbCacheRecord.remove_records([record.pk], self._cache.db)


def _notebook(path: Path, key: str) -> Path:
    return path / "executed" / key / "base.ipynb"


def _is_ours(record: Any) -> bool:
    return isinstance(record.data, dict) and _OURS in record.data


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    # RuntimeError and KeyError are what jupyter-cache itself raises if its database fails.
    except (SQLAlchemyError, OSError, RuntimeError, KeyError, ValueError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise StoreError(
            f"the jupyter-cache '{path}' cannot be written",
            facts=[("reason", lines[0])],
            hint="if it is damaged, delete it: nbbuild writes it again without executing",
        ) from error


# -- what MyST-NB would look for ---------------------------------------------------------------


class _NoPage(Exception):
    """MyST-NB makes no page of a file, or none that nbbuild can fill; `meant` is as in Missing."""

    def __init__(self, why: str, *, meant: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.meant = meant


def _offers(
    session: Session, cache: Any, page: Page, missing: list[Missing]
) -> Iterator[Offer[NotebookNode]]:
    """Yield what belongs under the keys of `page`; if nothing does, `missing` gets the reason."""
    result = built(session, page) if page.record is not None else None
    gaps: list[_NoPage] = []
    offered = False
    for file in page.files:
        try:
            notebook = _read(session.root, file)
            if result is not None:
                _fill(notebook, result)
        except _NoPage as gap:
            gaps.append(gap)
            continue
        offered = True
        for variant in _variants(session, page, notebook):
            yield Offer(
                key=cache.create_hashed_notebook(variant)[1],
                page=page,
                file=file,
                shown="" if result is None else _shown(variant),
                value=None if result is None else variant,
            )
    if page.record is None:
        missing.append(Missing(source=page.source, why=page.why, meant=page.meant))
    elif result is None:
        missing.append(Missing(source=page.source, why=LOST))
    elif not offered:
        missing.append(Missing(source=page.source, why=gaps[0].why, meant=gaps[0].meant))


def _read(root: Path, file: str) -> NotebookNode:
    """Return `file` as MyST-NB reads it. Raises _NoPage."""
    try:
        text = (root / file).read_text(encoding="utf-8-sig")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about missing ids and the like
            notebook = _parsed(root / file, text)
    except ImportError:
        raise _NoPage("MyST-NB, which has to read it, is not installed beside nbbuild") from None
    except _NoPage:
        raise
    except Exception as error:  # noqa: BLE001 - other people's readers can raise anything
        reason = (str(error).splitlines() or [""])[0]
        raise _NoPage(f"MyST-NB cannot read it: {type(error).__name__}: {reason}") from None
    if notebook.nbformat_minor > 5:
        raise _NoPage(f"jupyter-cache knows no format 4.{notebook.nbformat_minor}")
    return notebook


def _parsed(path: Path, text: str) -> NotebookNode:
    ending = suffix(path.name)
    if ending == ".ipynb":
        return nbformat.reads(text, as_version=4)
    if ending not in MYST_SUFFIXES:
        # As `nb_custom_formats` says; without those, the file is not a page of the book.
        return jupytext.reads(text, fmt=ending[1:])
    reader = importlib.import_module("myst_nb.core.read")
    if not reader.is_myst_markdown_notebook(text):
        why = "it is no notebook for MyST-NB: its header has no `jupytext` that says `myst`"
        raise _NoPage(why, meant=True)
    return reader.myst_nb_reader_plugin(str(path))


def _fill(notebook: NotebookNode, result: NotebookNode) -> None:
    """Put the outputs of `result` into `notebook`. Raises _NoPage if its cells are different."""
    theirs = [cell for cell in notebook.cells if cell.cell_type == "code"]
    ours = [cell for cell in result.cells if cell.cell_type == "code"]
    if [cell.source.strip() for cell in theirs] != [cell.source.strip() for cell in ours]:
        raise _NoPage("MyST-NB reads other cells in it than nbbuild")
    for cell, done in zip(theirs, ours, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
        if "id" in cell:
            cell["id"] = done.id  # readers of text make random ids
    for key in ("language_info", "widgets"):
        if key in result.metadata:
            notebook.metadata[key] = result.metadata[key]


def _shown(notebook: NotebookNode) -> str:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return shown(
        [
            [[cell.execution_count, cell.outputs] for cell in code],
            notebook.metadata.get("widgets"),
        ]
    )


def _variants(session: Session, page: Page, notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Yield `notebook` with each name of its kernel under which MyST-NB may look for it.

    `nb_kernel_rgx_aliases` replace the name before it counts. They are in a program (conf.py), so
    we assume that they say the same about kernels as jcache.toml.
    """
    yield notebook
    own = notebook.metadata.get("kernelspec", {}).get("name")
    if own is None or page.task is None:
        return
    aliases = session.config.execution.kernel_aliases
    chosen = page.task.settings.kernel or session.config.execution.settings.kernel or ""
    for name in dict.fromkeys([aliases.get(own), chosen, aliases.get(chosen)]):
        if name and name != own:
            variant = nbformat.from_dict(notebook)
            variant.metadata.kernelspec["name"] = name
            yield variant
