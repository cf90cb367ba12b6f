"""Adopt the results of an existing `.jupyter_cache` folder, as jupyter-cache itself finds them.

A cached notebook belongs to a task when jupyter-cache would show it for the task's source: when the
source, read as jupyter-cache or MyST-NB reads it, has the hash of a cached one. Three things are
looked at in addition, since that hash knows nothing of them:

- The code must be that of the task: parameters, for one, are ours only.
- Several tasks may have the same code and read different files. Then only the task whose path the
  record names gets it; if none does, none.
- Artefacts that were cached with it are taken if the task declares them. Of the patterns that match
  none of these, the files that are in the tree are.
"""

from __future__ import annotations

import enum
import posixpath
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from nbbuild.bridges.jupyter_cache_folder import Cached, Damaged, JupyterCache, Match, opened
from nbbuild.errors import NbbuildError, StoreError
from nbbuild.model import Task, Verdict
from nbbuild.notebook.merge import executed_cells
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.session import Session
from nbbuild.verbs.adopt import RunResult, difference, keep


class Fate(enum.Enum):
    """What became of one task in an import."""

    IMPORTED = "imported"
    FRESH = "already cached"  # nbbuild has a result for it
    MISSING = "no match"  # the folder has none
    DIFFERENT = "differs"  # it has one, which is not, or may not be, this task's
    DAMAGED = "damaged"  # it has one that cannot be read
    FAILED = "failed"  # the task itself stands in the way


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one task; `reason` says why, where that is not plain."""

    task: str
    fate: Fate
    reason: str = ""
    record: str = ""  # the id of the new record
    notes: tuple[str, ...] = ()


class _Unfit(Exception):
    """A task gets nothing from the cache."""

    def __init__(self, fate: Fate, reason: str = "", *, record: str = "") -> None:
        super().__init__(reason)
        self.fate, self.reason, self.record = fate, reason, record


def import_cache(
    session: Session, path: Path | str, *, dry_run: bool = False
) -> tuple[Imported, ...]:
    """Adopt what the jupyter-cache at `path` holds for the tasks; say what became of each.

    With `dry_run` nothing is written. Raises UsageError when there is no such cache, or when
    jupyter-cache is not installed, and StoreError when our own cannot be written.
    """
    names = session.wanted(())
    with opened(Path(path)) as cache, nullcontext() if dry_run else session.store.in_use():
        found = {name: cache.match(session.root, session.graph.tasks[name]) for name in names}
        owners = _owners(session, found)
        return tuple(
            _import(
                session,
                cache,
                session.graph.tasks[name],
                match,
                owners=owners[match.pk] if match else (),
                dry_run=dry_run,
            )
            for name, match in found.items()
        )


def _import(
    session: Session,
    cache: JupyterCache,
    task: Task,
    match: Match | None,
    *,
    owners: Collection[str],
    dry_run: bool,
) -> Imported:
    """Adopt what `match` finds for `task`, unless that is not, or may not be, its result."""
    try:
        if task.source in session.project.unreadable:
            raise session.project.unreadable[task.source]
        session.check([task.name])
        judgement = session.judge().final(task.name)
        if judgement.record is not None and judgement.verdict is not Verdict.RUN:
            raise _Unfit(Fate.FRESH, record=judgement.record.id)
        cached = _fitting(session, cache, task, match, owners)
        files, notes = _artefacts(task, cached.artefacts)
        if dry_run:
            session.tree.adoptable(task, files)
            return Imported(task.name, Fate.IMPORTED, notes=notes)
        result = RunResult(
            cells=executed_cells(cached.notebook),
            seconds=cached.seconds,
            created=cached.created,
            files=files,
        )
        last = judgement.record or session.runs.last(task)[1]
        record, more = keep(session, task, judgement, result, last=last)
    except _Unfit as unfit:
        return Imported(task.name, unfit.fate, unfit.reason, unfit.record)
    except StoreError:
        raise
    except NbbuildError as error:
        return Imported(task.name, Fate.FAILED, error.what)
    session.forget()
    return Imported(task.name, Fate.IMPORTED, record=record.id, notes=(*notes, *more))


def _fitting(
    session: Session,
    cache: JupyterCache,
    task: Task,
    match: Match | None,
    owners: Collection[str],
) -> Cached:
    """Return the cached notebook if it is this task's."""
    if match is None:
        raise _Unfit(Fate.MISSING)
    if task.name not in owners:
        raise _Unfit(
            Fate.DIFFERENT, f"other tasks have its code, and what was executed is {match.uri}"
        )
    try:
        cached = cache.read(match)
    except Damaged as error:
        raise _Unfit(Fate.DAMAGED, str(error)) from error
    facts = difference(session, task, cached.notebook)
    if facts:
        raise _Unfit(Fate.DIFFERENT, ", ".join(f"{label}: {value}" for label, value in facts))
    return cached


def _owners(session: Session, found: Mapping[str, Match | None]) -> Mapping[int, Collection[str]]:
    """Say of each match whose it is: of tasks with the same code, those whose path it names."""
    sharing: dict[int, dict[str, int]] = {}
    for name, match in found.items():
        if match is not None:
            score = _nearness(session.root, session.graph.tasks[name].source, match.uri)
            sharing.setdefault(match.pk, {})[name] = score
    return {
        pk: {
            name
            for name, score in scores.items()
            if len(scores) == 1 or score == max(scores.values()) > 0
        }
        for pk, scores in sharing.items()
    }


def _nearness(root: Path, source: str, uri: str) -> int:
    """Say how surely `uri` is `source`: by how many parts of its path, in another checkout."""
    parts, theirs = PurePosixPath(source).parts, PurePath(uri).parts
    if theirs == (root / source).parts:
        return len(theirs)
    return len(parts) if theirs[-len(parts) :] == parts else 0


def _artefacts(task: Task, cached: Mapping[str, Path]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the cached artefacts that `task` declares, and notes on the others."""
    folder = posixpath.dirname(task.source)
    placed = {
        posixpath.normpath(posixpath.join(folder, path)): file for path, file in cached.items()
    }
    patterns = [Pattern.parse(text) for text in task.artefacts]
    files = {
        path: file
        for path, file in placed.items()
        if any(matches(pattern, path) for pattern in patterns)
    }
    others = sorted(placed.keys() - files.keys())
    return files, tuple(f"its artefact '{path}' is not declared, and was left" for path in others)
