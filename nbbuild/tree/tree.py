"""The tree of one project: all that nbbuild writes into it, removes from it, and locks."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from nbbuild.digests import Digests
from nbbuild.durable import DOT, private_folder, writing
from nbbuild.locks import lock
from nbbuild.model import ArtefactFile, Digest, Record, Task
from nbbuild.store import Store
from nbbuild.tree.artefacts import ArtefactError, Artefacts, Restored
from nbbuild.tree.built import BuiltNotebooks
from nbbuild.tree.confined import Confined
from nbbuild.tree.ground import Ground, Match
from nbbuild.tree.ledger import Ledger, Ledgers, safe_id
from nbbuild.tree.leftovers import claimed, leftovers
from nbbuild.tree.replaced import Replaced

__all__ = ["ArtefactError", "Restored", "Tree"]

_REMOVED, _WOULD_GO = "removed", "would be removed"
_ALTERED = "kept: altered since nbbuild wrote it"
_UNFINISHED = "kept: left by a run that did not finish"


class Tree:
    """What nbbuild writes into the project at `root`; see the essay in nbbuild.tree.

    `match` must look at the disk anew each time it is called. `sources` (root-relative) are never
    written. What changes the tree for a task needs its `outputs_lock`. All that writes raises
    StoreError when it cannot.
    """

    def __init__(
        self,
        root: Path,
        store: Store,
        digests: Digests,
        match: Match,
        *,
        sources: Iterable[str] = (),
    ) -> None:
        real = Path(os.path.realpath(root))
        self._folder = real / DOT
        self._ground = Ground(
            root=real,
            store=store,
            digests=digests,
            match=match,
            confined=Confined(real, sources),
            ledgers=Ledgers(self._folder),
            replaced=Replaced(self._folder),
        )
        self._artefacts = Artefacts(self._ground)
        self._built = BuiltNotebooks(self._ground)

    # -- artefacts -----------------------------------------------------------------------------

    def begin(self, task: Task) -> tuple[str, ...]:
        """Prepare a run: take away what earlier ones made, and note what else is there.

        Returns sentences on files that were moved to `.nbbuild/replaced`.
        """
        return self._artefacts.begin(task)

    def collect(self, task: Task, *, stored: bool = True) -> tuple[ArtefactFile, ...]:
        """Take the artefacts that the run since `begin` wrote into the store; the run is over.

        With `stored=False` they are only digested: for a store that cannot be written. Raises
        ArtefactError if a pattern has none, or a file cannot be kept; the run is not over then.
        """
        return self._artefacts.collect(task, stored=stored)

    def bring_in(self, file: Path, path: str) -> tuple[str, ...]:
        """Move `file`, from outside the tree, to `path` in it; return notes for users.

        What lies there and the store lacks moves to `.nbbuild/replaced`. Raises Refused.
        """
        place = self._ground.confined.place(path)
        with writing(f"'{path}' cannot be written", place):
            place.parent.mkdir(parents=True, exist_ok=True)
            notes = self._ground.set_aside(path)
            place.unlink(missing_ok=True)
            shutil.move(file, place)
        self._ground.digests.forget(place)
        return notes

    def adopt(self, task: Task) -> tuple[ArtefactFile, ...]:
        """Take the files that lie there for the task's artefacts, as if a run had written them.

        Raises ArtefactError if a pattern has none, or a file cannot be kept.
        """
        return self._artefacts.adopt(task)

    def abandon(self, task: Task) -> None:
        """End a run that failed: what it wrote goes with the next `begin` or `restore`."""
        self._artefacts.abandon(task)

    def in_order(self, task: Task, record: Record) -> bool:
        """Whether each artefact of the record lies there, and nothing else that the task made."""
        return self._artefacts.in_order(task, record)

    def restore(self, task: Task, record: Record) -> Restored:
        """Make the task's artefacts what the record says; changes nothing if blobs are missing.

        A record with paths that the task cannot have made counts as missing them. Raises Refused
        where the tree's own links lead out of it.
        """
        return self._artefacts.restore(task, record)

    # -- notebooks -----------------------------------------------------------------------------

    def write_built(self, task: Task, data: bytes, made_from: str) -> tuple[bool, tuple[str, ...]]:
        """Write the built notebook if it differs; return whether it did, and notes for users.

        `made_from` is remembered for `built_in_order`; "" is never in order.
        """
        return self._built.write(task, data, made_from)

    def built_in_order(self, task: Task, made_from: str) -> bool:
        """Whether the built notebook is there as written from just this."""
        return self._built.in_order(task, made_from)

    def remove_built(self, task: Task) -> tuple[str, ...]:
        """Remove the built notebook, as a failure does; return notes for users."""
        return self._built.remove(task)

    def keep_failed(self, task: Task, data: bytes) -> str:
        """Keep the partial notebook of a failure; return its root-relative path."""
        return self._built.keep_failed(task, data)

    def drop_failed(self, task: Task) -> None:
        """Remove what `keep_failed` kept of an earlier failure."""
        self._built.drop_failed(task)

    # -- all of it -----------------------------------------------------------------------------

    def known(self) -> Mapping[str, Ledger]:
        """Return the ledger of each task that has one, also of tasks that are long gone."""
        return {ledger.task: ledger for ledger in self._ground.ledgers.all()}

    def clean(self, tasks: Iterable[str], *, dry_run: bool = False) -> list[tuple[str, str]]:
        """Remove the tasks' built notebooks and artefacts; return (path, what became of it).

        Only files that are as nbbuild made them go. Names come from `known`.
        """
        wanted = frozenset(tasks)
        ledgers = [ledger for ledger in self._ground.ledgers.all() if ledger.task in wanted]
        told = [one for ledger in ledgers for one in self._clean(ledger, wanted, dry_run=dry_run)]
        if not dry_run:
            self._ground.drop_folders({folder for ledger in ledgers for folder in ledger.folders})
        return sorted(set(told))

    def _clean(
        self, ledger: Ledger, wanted: frozenset[str], *, dry_run: bool
    ) -> Iterator[tuple[str, str]]:
        ground = self._ground
        digests: dict[str, set[Digest]] = {}
        for made in (*ledger.built, *ledger.made):
            digests.setdefault(made.path, set()).add(made.digest)
        others = claimed(ground, ledger, digests.keys(), but=wanted)
        for path in sorted(digests.keys() - others):
            place = ground.root / path
            if not ground.exists(path) or not ground.confined.allows(path):
                continue
            if place.is_symlink() or ground.digests.fresh(place) not in digests[path]:
                yield path, _ALTERED
                continue
            if not dry_run:
                with writing(f"'{path}' cannot be removed", place):
                    place.unlink()
                ground.digests.forget(place)
            yield path, _WOULD_GO if dry_run else _REMOVED
        unfinished = leftovers(ground, ledger) - digests.keys() if not ledger.finished else set()
        for path in sorted(unfinished):
            yield path, _UNFINISHED
        if not dry_run:
            if unfinished:
                rest = msgspec.structs.replace(ledger, made=(), built=(), made_from="")
                ground.ledgers.write(rest)
            else:
                ground.ledgers.remove(ledger.task)

    @contextmanager
    def outputs_lock(
        self,
        task: str,
        upstream: Iterable[str] = (),
        *,
        on_wait: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[None]:
        """Hold a task's outputs, and keep those of `upstream` from changing; all are task names.

        See locks.lock for `on_wait` and `cancelled`.
        """
        shared = {safe_id(name): True for name in upstream} | {safe_id(task): False}
        with writing("locks cannot be made", self._folder):
            private_folder(self._folder)
        with ExitStack() as held:
            for name in sorted(shared):  # one order for everybody: nobody waits in a circle
                path = self._folder / "locks" / f"{name}.lock"
                held.enter_context(
                    lock(path, shared=shared[name], on_wait=on_wait, cancelled=cancelled)
                )
            yield
