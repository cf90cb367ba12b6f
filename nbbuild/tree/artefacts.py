"""The artefacts of tasks in the tree: made again by each run, put back by each restore."""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nbbuild.disk.digests import now_ns
from nbbuild.disk.durable import in_folder, move, writing
from nbbuild.errors import NbbuildError, OneTaskError
from nbbuild.model import ArtefactFile, Digest, Record, Task
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.store.layout import is_digest
from nbbuild.tree import undeclared
from nbbuild.tree.confined import fault_of_name
from nbbuild.tree.ground import Ground, folders_above
from nbbuild.tree.ledger import FileStamp, Ledger, Left, Made
from nbbuild.tree.leftovers import (
    empty_folders,
    folders_made,
    leftovers,
    standing_folders,
    take_away,
)
from nbbuild.tree.removed_tasks import Gone

_LONGEST_TICK = 0.05  # seconds; we do not wait for file systems with slower clocks
_READINGS = 3  # attempts to read a file that changes meanwhile


class ArtefactError(NbbuildError):
    """A run did not write what it should have, or wrote something that cannot be kept."""

    exit_status = 1


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of `restore`: whether files changed, notes for users, which blobs are missing."""

    changed: bool = False
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Artefacts:
    """See the essay in nbbuild.tree for the order of things in `begin`, `collect`, `restore`."""

    def __init__(self, ground: Ground, gone: Gone) -> None:
        self._ground = ground
        self._gone = gone
        self._begun: dict[str, Ledger] = {}
        self._empty: dict[str, tuple[str, ...]] = {}

    # -- a run ---------------------------------------------------------------------------------

    def begin(self, task: Task, *, forced: bool = False) -> tuple[str, ...]:
        """Remove what earlier runs left, and record what is there; return notes for users."""
        ground = self._ground
        ground.ledgers.clear_staging(task.name)
        old, inherited = self._heir(task)
        left, notes = undeclared.put_away(ground, old, task, forced=forced)
        notes += take_away(ground, old, {**inherited, **leftovers(ground, old)})
        found = ground.match(task.artefacts) if task.artefacts else []
        stamps = tuple(stamp for path in found if (stamp := ground.stamp(path)) is not None)
        _wait_for_the_next_tick(stamps)
        new = msgspec.structs.replace(
            old,
            finished=False,
            when_ns=time.time_ns(),
            patterns=task.artefacts,
            before=stamps,
            standing=standing_folders(ground.root, task.artefacts),
            made=(),
            left=left,
            folders=tuple(folder for folder in old.folders if ground.exists(folder)),
        )
        if task.artefacts or _lasting(new) != _lasting(old):
            ground.ledgers.write(new)
        self._begun[task.name] = new
        return notes

    def resume(self, task: Task) -> None:
        """Go on with a run that another process began."""
        noted = self._ground.ledgers.read(task.name)
        if noted.finished:  # its `begin` had nothing to write
            standing = standing_folders(self._ground.root, task.artefacts)
            noted = msgspec.structs.replace(
                noted,
                finished=False,
                patterns=task.artefacts,
                before=(),
                standing=standing,
                made=(),
            )
        self._begun[task.name] = noted

    def collect(self, task: Task, *, stored: bool) -> tuple[ArtefactFile, ...]:
        """Put what the run wrote into the store, and finish the ledger."""
        ground = self._ground
        there = noted = ground.ledgers.read(task.name)
        if noted.finished:  # `begin` had nothing to write, or the notebook removed `.nbbuild`
            noted = self._begun.get(task.name, noted)
        if noted.finished:
            raise OneTaskError(
                f"no run of '{task.name}' has begun, so what it wrote is not known",
                hint="build again; was '.nbbuild' removed while a build was running?",
            )
        written = self._written(task, noted)
        artefacts = tuple(self._kept(task, path, stored=stored) for path in written)
        empty = empty_folders(ground.root, task.artefacts, noted.standing, written)
        folders = {*noted.folders, *folders_made(written, task.artefacts, noted.standing), *empty}
        folders.update(folder for one in empty for folder in folders_above(one))
        folders -= {*noted.standing} - {*noted.folders}
        made = tuple(Made(artefact.path, artefact.digest) for artefact in artefacts)
        finished = _finished(noted, made, folders)
        if not there.finished or made or _lasting(finished) != _lasting(there):
            ground.ledgers.write(finished)
        self._begun.pop(task.name, None)
        self._empty[task.name] = empty
        return artefacts

    def left_empty(self, task: Task) -> tuple[str, ...]:
        """Return the folders under the artefact patterns that the run just collected left empty."""
        return self._empty.get(task.name, ())

    def left(self, task: Task) -> dict[str, Digest]:
        """Return what earlier runs left undeclared and is still unchanged: its digests."""
        return undeclared.lying(self._ground, self._ground.ledgers.read(task.name))

    def leave(self, task: Task, left: Iterable[Left]) -> None:
        """Record what a run that has ended left undeclared."""
        ledger = self._ground.ledgers.read(task.name)
        kept = undeclared.kept(self._ground, ledger, left)
        if kept != ledger.left:
            self._ground.ledgers.write(msgspec.structs.replace(ledger, left=kept))

    def replaceable(self, task: Task, path: str, digest: Digest) -> bool:
        """Whether a run of `task` would put away, at `path`, what another task's run had left."""
        return undeclared.replaceable(
            self._ground, self._ground.ledgers.read(task.name), path, digest
        )

    def tracked(self) -> frozenset[str]:
        """Return the names of everything that any task left undeclared."""
        return undeclared.tracked(self._ground)

    def adoptable(self, task: Task, files: Mapping[str, Path]) -> dict[str, Path]:
        """Return the artefacts that `adopt` would take, and where each is now."""
        rest = [
            text
            for text in task.artefacts
            if not any(matches(Pattern.parse(text), path) for path in files)
        ]
        there = {text: self._ground.match([text]) for text in rest}
        bare = [text for text, found in there.items() if not found]
        if bare:
            raise _nothing_there(task, bare)
        lying = {path: self._ground.root / path for found in there.values() for path in found}
        return {**lying, **files}

    def adopt(self, task: Task, files: Mapping[str, Path]) -> tuple[ArtefactFile, ...]:
        """Accept what is under the task's patterns as its artefacts, whoever wrote it.

        `files` maps paths to files, perhaps elsewhere. If a pattern matches any of them, only they
        count for it.
        """
        artefacts = tuple(
            self._kept(task, path, stored=True)
            if place == self._ground.root / path
            else self._brought(task, path, place)
            for path, place in sorted(self.adoptable(task, files).items())
        )
        old = self._ground.ledgers.read(task.name)
        lying = [artefact for artefact in artefacts if self._lies(artefact)]
        made = tuple(Made(artefact.path, artefact.digest) for artefact in lying)
        accepted = msgspec.structs.replace(old, patterns=task.artefacts)
        self._ground.ledgers.write(_finished(accepted, made, set(old.folders)))
        return artefacts

    def abandon(self, task: Task) -> None:
        """Give up a run: its ledger stays unfinished, so that its files are removed next time."""
        self._begun.pop(task.name, None)

    def _heir(self, task: Task) -> tuple[Ledger, dict[str, bool]]:
        """Return the task's ledger with the folders it inherits, and the leftovers it inherits."""
        ledger = self._ground.ledgers.read(task.name)
        paths, folders = self._gone.inheritance(ledger)
        if folders:
            both = tuple(sorted({*ledger.folders, *folders}))
            ledger = msgspec.structs.replace(ledger, folders=both)
        return ledger, paths

    def _written(self, task: Task, noted: Ledger) -> list[str]:
        """Return the matches that the run wrote; raise ArtefactError if a pattern has none."""
        before = {stamp.path: stamp for stamp in noted.before or ()}
        written: set[str] = set()
        bare: list[str] = []
        old: set[str] = set()
        for pattern in task.artefacts:
            found = self._ground.match([pattern])
            new = {path for path in found if self._ground.stamp(path) != before.get(path)}
            written |= new
            if not new:
                bare.append(pattern)
                old.update(found)
        if bare:
            raise _nothing_written(task, bare, sorted(old))
        return sorted(written)

    def _kept(self, task: Task, path: str, *, stored: bool) -> ArtefactFile:
        fault = self._unfit(path)
        if fault:
            raise _cannot_be_kept(task, path, fault)
        place = self._ground.root / path
        with writing(f"'{path}' cannot be read", place):
            for _ in range(_READINGS):
                made_ns, before = time.time_ns(), place.stat()
                if stored:
                    digest, size = self._ground.store.put_file(place)
                else:
                    digest, size = self._ground.digests.fresh(place) or "", before.st_size
                after = place.stat()
                if _looks(before) == _looks(after) and is_digest(digest):
                    if stored:
                        self._ground.digests.learn(place, digest, after, made_ns)
                    executable = bool(after.st_mode & stat.S_IXUSR)
                    return ArtefactFile(path, digest, size, executable)
        raise _cannot_be_kept(task, path, "is still being written, though the run has ended")

    def _brought(self, task: Task, path: str, file: Path) -> ArtefactFile:
        """Accept a file that is elsewhere as the artefact at `path`; it is not put there."""
        fault = self._ground.confined.fault(path)
        if fault:
            raise _cannot_be_kept(task, path, f"cannot be kept: {fault}")
        digest, size = self._ground.store.put_file(file)
        return ArtefactFile(path, digest, size, os.access(file, os.X_OK))

    def _unfit(self, path: str) -> str:
        """Return why a file that a run wrote cannot be an artefact, or ""."""
        fault = self._ground.confined.fault(path)
        if fault:
            return f"cannot be kept: {fault}"
        place = self._ground.root / path
        if place.is_symlink() and not Path(os.path.realpath(place)).is_relative_to(
            self._ground.root
        ):
            return "is a symbolic link that leads out of the project"
        if not place.is_file():
            return "is not a regular file"
        return "" if os.access(place, os.R_OK) else "cannot be read"

    # -- a result from the store ---------------------------------------------------------------

    def in_order(self, task: Task, record: Record) -> bool:
        """Whether the tree has what the record says, and nothing else from this task."""
        ledger, inherited = self._heir(task)
        if not ledger.finished or self._unacceptable(task, record):
            return False
        if not all(self._lies(artefact) for artefact in record.artefacts):
            return False
        if not all((self._ground.root / folder).is_dir() for folder in record.folders):
            return False
        others = _others(ledger, inherited, record)
        return not any(self._ground.exists(path) for path in others)

    def others(self, task: Task, record: Record) -> set[str]:
        """Return what the task's earlier runs made and the record does not contain."""
        return _others(*self._heir(task), record)

    def restore(self, task: Task, record: Record) -> Restored:
        """Make the tree match the record, if the store has everything needed."""
        ground = self._ground
        bad = self._unacceptable(task, record)
        if bad:
            return Restored(missing=bad)
        places = {
            artefact.path: ground.confined.place(artefact.path) for artefact in record.artefacts
        }
        ledger, inherited = self._heir(task)
        ground.ledgers.clear_staging(task.name)
        wrong = [artefact for artefact in record.artefacts if not self._lies(artefact)]
        staged, missing = self._staged(task, wrong)
        if missing:
            ground.ledgers.clear_staging(task.name)
            return Restored(missing=missing)
        left = {**inherited, **leftovers(ground, ledger)}
        gone = {path: half for path, half in left.items() if path not in places}
        made = tuple(Made(artefact.path, artefact.digest) for artefact in record.artefacts)
        lacking = [one for one in record.folders if not (ground.root / one).is_dir()]
        new_folders = ground.missing_folders(artefact.path for artefact in wrong)
        new_folders |= ground.missing_folders(f"{folder}/x" for folder in lacking)
        if wrong or gone or lacking:
            listed = {one.path: one for one in (*ledger.made, *made)}
            interim = msgspec.structs.replace(
                ledger,
                finished=False,
                made=tuple(listed.values()),
                folders=tuple(sorted({*ledger.folders, *new_folders})),
            )
            ground.ledgers.write(interim)
        notes = list(take_away(ground, ledger, gone)) if gone else []
        for artefact, draft in zip(wrong, staged, strict=True):
            half = left.get(artefact.path, False)
            notes += self._put(task, artefact, draft, places[artefact.path], half=half)
        for folder in lacking:
            with writing(f"the folder '{folder}' cannot be made", ground.root / folder):
                ground.confined.place(f"{folder}/x").parent.mkdir(parents=True, exist_ok=True)
        folders = {folder for folder in (*ledger.folders, *new_folders) if ground.exists(folder)}
        finished = msgspec.structs.replace(
            _finished(ledger, made, folders), patterns=task.artefacts
        )
        if wrong or gone or lacking or not ledger.finished or set(ledger.made) != set(made):
            ground.ledgers.write(finished)
        ground.ledgers.clear_staging(task.name)
        return Restored(changed=bool(wrong or gone or lacking), notes=tuple(notes))

    def _unacceptable(self, task: Task, record: Record) -> tuple[str, ...]:
        """Return the digests of artefacts that no run of `task` can have made.

        Records may come from elsewhere; if one names such a path, it is not a hit.
        """
        patterns = [Pattern.parse(text) for text in task.artefacts]
        names = Counter(artefact.path for artefact in record.artefacts)
        return tuple(
            artefact.digest
            for artefact in record.artefacts
            if names[artefact.path] > 1
            or fault_of_name(artefact.path)
            or not is_digest(artefact.digest)
            or not any(matches(pattern, artefact.path) for pattern in patterns)
        ) + tuple(
            folder
            for folder in record.folders
            if fault_of_name(folder)
            or not any(matches(pattern, f"{folder}/x") for pattern in patterns)
        )

    def _lies(self, artefact: ArtefactFile) -> bool:
        look = self._ground.digests.look(self._ground.root / artefact.path)
        if look is None:
            return False
        return (look.digest, look.executable) == (artefact.digest, artefact.executable)

    def _staged(self, task: Task, wanted: list[ArtefactFile]) -> tuple[list[Path], tuple[str, ...]]:
        """Get `wanted` from the store into drafts; return those, and the missing digests."""
        drafts: list[Path] = []
        missing: list[str] = []
        for number, artefact in enumerate(wanted):
            with writing("artefacts cannot be restored", self._ground.root):
                draft = self._ground.ledgers.staging(task.name) / str(number)
            drafts.append(draft)
            if not self._brings(artefact, draft):
                missing.append(artefact.digest)
        return drafts, tuple(missing)

    def _brings(self, artefact: ArtefactFile, place: Path) -> bool:
        return self._ground.store.restore(
            artefact.digest, place, executable=artefact.executable, size=artefact.size
        )

    def _put(
        self, task: Task, artefact: ArtefactFile, draft: Path, place: Path, *, half: bool
    ) -> tuple[str, ...]:
        """Move one draft to its place, and anything the store lacks out of the way.

        `half` says that an unfinished run left what is there.
        """
        with writing(f"'{artefact.path}' cannot be restored", place):
            if place.is_dir() and not place.is_symlink():
                _remove_empty(task, artefact.path, place)
            notes = self._ground.set_aside(artefact.path, half=half)
            in_folder(place, lambda: move(draft, place))
            self._ground.digests.forget(place)
        return notes


def _others(ledger: Ledger, inherited: Mapping[str, bool], record: Record) -> set[str]:
    ours = {artefact.path for artefact in record.artefacts}
    return {made.path for made in ledger.made}.union(inherited) - ours


def _lasting(ledger: Ledger) -> Ledger:
    """Return what a ledger holds beside the marks of its last run.

    For a task without artefacts the rest tells nothing: no file of it can be left behind.
    """
    return msgspec.structs.replace(
        ledger, finished=True, when_ns=0, before=None, standing=(), by=""
    )


def _finished(ledger: Ledger, made: tuple[Made, ...], folders: set[str]) -> Ledger:
    return msgspec.structs.replace(
        ledger,
        finished=True,
        when_ns=time.time_ns(),
        before=None,
        standing=(),
        made=made,
        folders=tuple(sorted(folders)),
    )


def _looks(was: os.stat_result) -> tuple[int, ...]:
    return (was.st_size, was.st_mtime_ns, was.st_ctime_ns, was.st_ino)


def _wait_for_the_next_tick(stamps: tuple[FileStamp, ...]) -> None:
    """Return once a file that is written from now on would look different from all `stamps`."""
    newest = max((max(s.ctime_ns, s.link_ctime_ns) for s in stamps), default=0)
    patience = time.monotonic() + _LONGEST_TICK
    while now_ns() <= newest and time.monotonic() < patience:
        time.sleep(0.001)


def _remove_empty(task: Task, path: str, place: Path) -> None:
    try:
        place.rmdir()
    except OSError as error:
        raise OneTaskError(
            f"'{path}', an artefact of '{task.name}', cannot be restored",
            facts=[("reason", "a folder of that name is in its place")],
            hint="move the folder away",
        ) from error


def _nothing_written(task: Task, patterns: list[str], old: list[str]) -> ArtefactError:
    quoted = ", ".join(f"'{pattern}'" for pattern in patterns)
    noun = "artefact" if len(patterns) == 1 else "artefacts"
    what = f"'{task.name}' wrote no file for its {noun} {quoted}"
    if old:
        there = ", ".join(f"'{path}'" for path in old[:3]) + (", …" if len(old) > 3 else "")
        what += f" ({there} already existed and was not rewritten)"
    return ArtefactError(
        what,
        facts=[("declared in", task.declared_in)],
        hint="let the notebook write each artefact anew, or correct `artefacts`",
    )


def _nothing_there(task: Task, patterns: list[str]) -> ArtefactError:
    quoted = ", ".join(f"'{pattern}'" for pattern in patterns)
    return ArtefactError(
        f"no file matches {quoted}, which '{task.name}' is to write",
        facts=[("declared in", task.declared_in)],
        hint=f"put it in its place, or run the notebook: `nbbuild {shlex.quote(task.name)}`",
    )


def _cannot_be_kept(task: Task, path: str, fault: str) -> ArtefactError:
    return ArtefactError(
        f"{path!r}, an artefact of '{task.name}', {fault}",
        facts=[("declared in", task.declared_in)],
        hint="write a plain file inside the project",
    )
