"""Find undeclared files that a run changed, and those of earlier runs that it read."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nbbuild.model import ArtefactFile
from nbbuild.watching import changes
from nbbuild.watching.naming import is_outside
from nbbuild.watching.observed import FileUse, Observed
from nbbuild.watching.traces import parted
from nbbuild.watching.watched import LeftFile, Watching


@dataclass(slots=True)
class Written:
    """What a run changed, by name."""

    changed: list[ArtefactFile] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    rewritten: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    scratch: list[str] = field(default_factory=list)
    left: list[LeftFile] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


def written(watching: Watching, observed: Observed) -> Written:
    """Return what the run changed in the root that matches no artefact pattern."""
    done = Written()
    by_magic = {
        os.path.normpath(watching.cwd / name) for name in changes.written_by_magic(watching.cells)
    }
    listed = {watching.scope.name(one.path) for one in observed.listings}
    listed |= {watching.scope.name(parted(one.base, one.pattern)[0]) for one in observed.globs}
    for use in observed.files:
        name = watching.scope.counts(use.path)
        if name is None or is_outside(name):
            continue
        done.touched.add(name)
        if not use.written:
            continue
        _change(watching, use, name, done, named=use.path in by_magic, listed=listed)
    return done


def _change(
    watching: Watching,
    use: FileUse,
    name: str,
    done: Written,
    *,
    named: bool,
    listed: Collection[str | None],
) -> None:
    look = watching.digests.look(Path(use.path))
    if look is None:
        if use.first is not None and use.first.type == "f" and not os.path.lexists(use.path):
            done.removed.append(name)
        return
    if changes.untouched(use, look):
        return
    ours = use.first is None or name in watching.left
    # A file made by an earlier run of the task counts as made by each run that writes it.
    same = not ours and changes.unchanged(use, look)
    scratch = ours and watching.scratch(name)
    if ours or name in watching.tracked:
        inside = posixpath.dirname(name) or "."
        sure = ours and changes.anew(use, named=named, listed=inside in listed)
        asked = ours and bool(changes.found(use))
        done.left.append(LeftFile(name, look.digest, sure, scratch, asked, shared=not ours))
    if scratch:
        done.scratch.append(name)
    elif not same:
        done.changed.append(ArtefactFile(name, look.digest, look.size, look.executable))
        if not ours:
            done.altered.append(name)
    else:
        done.rewritten.add(name)


def read_of_earlier_runs(watching: Watching, observed: Observed) -> Iterator[str]:
    """Yield the undeclared files of the task's earlier runs that this run read."""
    for use in observed.files:
        name = watching.scope.counts(use.path)
        if name is None or name in watching.declared or name not in watching.left:
            continue
        if use.first is not None and use.first.type == "f" and changes.read_first(use):
            yield name
