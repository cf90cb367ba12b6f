"""The tree of one project: everything that nbbuild writes into it, removes from it, and locks."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import msgspec

from nbbuild.disk.digests import Digests
from nbbuild.disk.durable import in_folder, private_folder, writing
from nbbuild.disk.locks import lock
from nbbuild.disk.project_folder import DOT, FAILED, LOCKS, REPLACED
from nbbuild.model import ArtefactFile, Digest, Record, Task
from nbbuild.paths.patterns import Pattern, literal_prefix
from nbbuild.store import Store
from nbbuild.tree.artefacts import ArtefactError, Artefacts, Restored
from nbbuild.tree.built import FAILED_SUFFIX, BuiltNotebooks
from nbbuild.tree.confined import Confined
from nbbuild.tree.ground import Ground, Match, folders_above
from nbbuild.tree.ledger import Ledger, Ledgers, Left, safe_id
from nbbuild.tree.leftovers import claimed, leftovers
from nbbuild.tree.pages import BuiltPages
from nbbuild.tree.removed_tasks import Gone, Locked
from nbbuild.tree.replaced import SUFFIX as REPLACED_SUFFIX
from nbbuild.tree.replaced import Replaced

__all__ = ["ArtefactError", "Restored", "Tree"]

_REMOVED, _WOULD_GO = "removed", "would be removed"
_ALTERED = "kept: altered since nbbuild wrote it"
_UNFINISHED = "kept: left by a run that did not finish"


class Tree:
    """What nbbuild writes into the project at `root`; see the essay in nbbuild.tree.

    `match` must look at the disk again each time it is called. `sources` (root-relative) are never
    written. `present` are all tasks of the project, according to the configuration file for which
    `ledgers` writes (None: no file in particular); without them no task counts as gone. `output`
    is the folder of the built notebooks, root-relative. With `pages`, each has a page beside it.
    Anything that changes the tree for a task needs its `outputs_lock`.
    Everything that writes raises StoreError if it cannot.
    """

    def __init__(
        self,
        root: Path,
        store: Store,
        digests: Digests,
        match: Match,
        *,
        sources: Iterable[str] = (),
        present: Iterable[Task] | None = None,
        ledgers: Ledgers | None = None,
        output: str = "",
        pages: bool = False,
    ) -> None:
        real = Path(os.path.realpath(root))
        self._folder = real / DOT
        self._ground = Ground(
            root=real,
            store=store,
            digests=digests,
            match=match,
            confined=Confined(real, sources),
            ledgers=ledgers or Ledgers(self._folder),
            replaced=Replaced(self._folder),
            output=output,
        )
        self._gone = Gone(self._ground, present)
        self._artefacts = Artefacts(self._ground, self._gone)
        self._pages = BuiltPages(self._ground)
        self._built = BuiltNotebooks(self._ground, self._pages, has_pages=pages)

    def closed_folders(self, tasks: Iterable[Task]) -> dict[str, str]:
        """Return the tasks' output folders in which nbbuild must not write, each with the reason.

        These are folders that links lead out of the project, or into .git or .nbbuild. The reason
        is text that follows "it is".
        """
        folders: dict[str, None] = {}
        for task in tasks:
            folders.update(dict.fromkeys(reversed(folders_above(task.built))))
            for pattern in map(Pattern.parse, task.artefacts):
                place = pattern.path if pattern.literal else literal_prefix(pattern)
                above = folders_above(f"{place}/") if place else []
                folders.update(dict.fromkeys(reversed(above)))
        faults: dict[str, str] = {}
        for folder in folders:
            if not any(above in faults for above in folders_above(folder)):
                fault = self._ground.confined.fault_of_folder(folder)
                # A file that an artefact names may be a link: the run may replace it.
                if fault and not (self._ground.root / folder).is_file():
                    faults[folder] = fault
        return faults

    # -- artefacts -----------------------------------------------------------------------------

    def begin(self, task: Task, *, forced: bool = False) -> tuple[str, ...]:
        """Prepare a run: remove what earlier ones made, and record what else is there.

        A `forced` run does not find what the last one had looked for and then left undeclared,
        either. Returns sentences on files that were moved to `.nbbuild/replaced`.
        """
        return self._artefacts.begin(task, forced=forced)

    def resume(self, task: Task) -> None:
        """Go on with a run that an earlier build began and that has not ended: remove nothing."""
        self._artefacts.resume(task)

    def left(self, task: Task) -> Mapping[str, Digest]:
        """Return what earlier runs left undeclared and is still unchanged: its digests."""
        return self._artefacts.left(task)

    def leave(self, task: Task, left: Iterable[Left]) -> None:
        """Record what a run that has ended left undeclared."""
        self._artefacts.leave(task, left)

    def replaceable(self, task: Task, path: str, digest: Digest) -> bool:
        """Whether a run of `task` would put away, at `path`, what another task's run had left."""
        return self._artefacts.replaceable(task, path, digest)

    def tracked(self) -> frozenset[str]:
        """Return the names of everything that any task left undeclared."""
        return self._artefacts.tracked()

    def collect(self, task: Task, *, stored: bool = True) -> tuple[ArtefactFile, ...]:
        """Put the artefacts that the run since `begin` wrote into the store; the run is over.

        With `stored=False` they are only digested: for a store that cannot be written. Raises
        ArtefactError if a pattern has none, or a file cannot be kept; then the run is not over.
        """
        return self._artefacts.collect(task, stored=stored)

    def left_empty(self, task: Task) -> tuple[str, ...]:
        """Return the folders under the artefact patterns that the run just collected left empty."""
        return self._artefacts.left_empty(task)

    def bring_in(self, file: Path, path: str) -> tuple[str, ...]:
        """Move `file`, from outside the tree, to `path` in it; return notes for users.

        A file already there moves to `.nbbuild/replaced` if the store lacks it. Raises Refused.
        """
        place = self._ground.confined.place(path)
        with writing(f"'{path}' cannot be written", place):
            notes = self._ground.set_aside(path)
            place.unlink(missing_ok=True)
            in_folder(place, lambda: shutil.move(file, place))
        self._ground.digests.forget(place)
        return notes

    def adopt(self, task: Task, files: Mapping[str, Path]) -> tuple[ArtefactFile, ...]:
        """Accept the files that are there as the task's artefacts, as if a run had written them.

        `files` maps root-relative paths to files, perhaps elsewhere. If a pattern matches any of
        these, only they are accepted for it, and `restore` puts them in their places. Raises
        ArtefactError if a pattern has none, or a file cannot be kept.
        """
        return self._artefacts.adopt(task, files)

    def adoptable(self, task: Task, files: Mapping[str, Path]) -> Mapping[str, Path]:
        """Return where the artefacts that `adopt` would accept are; raise ArtefactError as it does.

        Nothing is written.
        """
        return self._artefacts.adoptable(task, files)

    def abandon(self, task: Task) -> None:
        """End a failed run: the next `begin` or `restore` removes what it wrote."""
        self._artefacts.abandon(task)

    def in_order(self, task: Task, record: Record) -> bool:
        """Whether each artefact of the record is there, and nothing else that the task made."""
        return self._artefacts.in_order(task, record)

    def not_there(self, task: Task, record: Record) -> set[str]:
        """Return the paths where nothing is if all is in order: former outputs."""
        return self._artefacts.others(task, record) | self._built.old_places(task)

    def restore(self, task: Task, record: Record) -> Restored:
        """Make the task's artefacts match the record; changes nothing if blobs are missing.

        If a record has paths that the task cannot have made, they count as missing. Raises Refused
        if the tree's own links lead out of it.
        """
        return self._artefacts.restore(task, record)

    # -- tasks that the project no longer has --------------------------------------------------

    def gone_files(self) -> frozenset[str]:
        """Return the files that `put_away_gone` would remove now."""
        return self._gone.files()

    def put_away_gone(self, locked: Locked | None = None) -> tuple[tuple[str, str], ...]:
        """Remove what gone tasks left, unless another task inherits it.

        `locked` holds a task's outputs; by default `outputs_lock`. Returns notes for users, each
        with its task.
        """
        return self._gone.put_away(locked or self.outputs_lock)

    # -- notebooks -----------------------------------------------------------------------------

    def write_built(self, task: Task, data: bytes, made_from: str) -> tuple[bool, tuple[str, ...]]:
        """Write the built notebook if it differs; return whether it did, and notes for users.

        What was built for this task at other places is removed.
        `made_from` is remembered for `built_in_order`; "" is never in order.
        """
        return self._built.write(task, data, made_from)

    def built_in_order(self, task: Task, made_from: str) -> bool:
        """Whether the built notebook is there as written from exactly this."""
        return self._built.in_order(task, made_from)

    def write_page(self, task: Task, data: bytes, made_from: str) -> tuple[str, ...]:
        """Write the page that shows the built notebook, beside it; return notes for users.

        `made_from` is remembered for `page_in_order`.
        """
        return self._pages.write(task, data, made_from)

    def page_in_order(self, task: Task, made_from: str) -> bool:
        """Whether the page is there as rendered from exactly this."""
        return self._pages.in_order(task, made_from)

    def remove_page(self, task: Task) -> None:
        """Remove the page, as when it cannot be rendered; one that was altered stays."""
        self._pages.remove(task)

    def remove_built(self, task: Task) -> tuple[str, ...]:
        """Remove the built notebook and its page, as after a failure; return notes for users."""
        return self._built.remove(task)

    def keep_failed(self, task: Task, data: bytes) -> str:
        """Keep the partial notebook of a failure; return its root-relative path."""
        return self._built.keep_failed(task, data)

    def tidy(self) -> None:
        """Remove drafts that a killed build left, a day later.

        What earlier versions kept in `.nbbuild` under names that look like pages is renamed.
        """
        self._ground.ledgers.sweep()
        for name, end in ((FAILED, FAILED_SUFFIX), (REPLACED, REPLACED_SUFFIX)):
            for folder, _, files in os.walk(self._folder / name):
                for file in files:
                    old, new = Path(folder, file), Path(folder, file + end)
                    with suppress(OSError):  # gone in the meantime, or not writable
                        if not file.endswith(end) and not os.path.lexists(new):
                            old.rename(new)
                        elif not file.endswith(end) and name == FAILED:
                            old.unlink()  # of an earlier failure

    def drop_failed(self, task: Task) -> None:
        """Remove what `keep_failed` kept from an earlier failure."""
        self._built.drop_failed(task)

    # -- all of it -----------------------------------------------------------------------------

    def known(self) -> Mapping[str, Ledger]:
        """Return the ledger of each task that has one, including tasks that are long gone."""
        return {ledger.task: ledger for ledger in self._ground.ledgers.all()}

    def clean(
        self, tasks: Iterable[str], *, dry_run: bool = False, locked: Locked | None = None
    ) -> list[tuple[str, str]]:
        """Remove the tasks' built notebooks and artefacts; return (path, what became of it).

        Only files that are still as nbbuild made them are removed. Names come from `known`.
        `locked` is that of `put_away_gone`: a run that writes or reads the files is waited for.
        """
        held = locked or self.outputs_lock
        ledgers, wanted = self._ground.ledgers, frozenset(tasks)
        told: list[tuple[str, str]] = []
        folders: set[str] = set()
        for name in [ledger.task for ledger in ledgers.all() if ledger.task in wanted]:
            with nullcontext() if dry_run else held(name):
                ledger = ledgers.read(name)  # whoever held the lock may have written it
                told += self._clean(ledger, wanted, dry_run=dry_run)
                folders.update(ledger.folders)
        if not dry_run:
            self._ground.drop_folders(folders, ignored=True)
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
        left = {} if ledger.finished else leftovers(ground, ledger)
        unfinished = left.keys() - digests.keys()
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
            for name in sorted(shared):  # the same order for everybody, so that no circle waits
                path = self._folder / LOCKS / f"{name}.lock"
                held.enter_context(
                    lock(path, shared=shared[name], on_wait=on_wait, cancelled=cancelled)
                )
            yield
