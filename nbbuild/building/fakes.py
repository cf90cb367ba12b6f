"""Stand-ins for kernels, for the tree and for inputs, for builds in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from blake3 import blake3

from nbbuild.building.attempts.accounts import Before
from nbbuild.building.attempts.actions import Action
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.disk.digests import digest_bytes
from nbbuild.events import CellStarted, Observer
from nbbuild.judging.inputs import Overlay
from nbbuild.model import (
    ActionKey,
    ArtefactFile,
    Digest,
    Failure,
    Fingerprint,
    Reason,
    Record,
    Task,
    Trace,
    TraceItem,
)
from nbbuild.notebook.merge import ExecutedCell, ExecutedCells
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.store import MemoryStore
from nbbuild.tree import ArtefactError, Left, Restored
from nbbuild.watching.watched import Watched


class WorkerLost(Exception):
    """Raised by a task's function: the worker that executed it is gone."""


@dataclass(slots=True)
class Files:
    """The project's files as one attempt sees them; notes what it asks for and writes."""

    _files: dict[str, str]
    used: dict[str, TraceItem] = field(default_factory=dict)
    wrote: dict[str, str] = field(default_factory=dict)  # path → text
    changed: set[str] = field(default_factory=set)  # those of `wrote` whose text changed
    there: set[str] = field(default_factory=set)  # those of `wrote` that existed before

    def read(self, path: str) -> str:
        """Return the text of a file; raise `FileNotFoundError` if there is none."""
        text = self._files.get(path)
        if path not in self.wrote:  # what it wrote itself is no input
            self.used.setdefault(path, _item(path, text))
        if text is None:
            raise FileNotFoundError(path)
        return text

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        before = self._files.get(path)
        if before is not None and path not in self.wrote:
            self.there.add(path)
        if before != text:
            self.changed.add(path)
        self.wrote[path] = self._files[path] = text


Function = Callable[[Files], object]
"""What a task does. Its return value is the output; an exception makes the task fail."""


def _item(path: str, text: str | None) -> TraceItem:
    if text is None:
        return TraceItem("absent", path)
    return TraceItem("file", path, digest_bytes(text.encode()))


class FakeAttempts:
    """Executes a function for each task. See attempts.Attempts."""

    def __init__(self, functions: Mapping[str, Function], files: dict[str, str]) -> None:
        self.functions = dict(functions)
        self.files = files
        self.seen: dict[str, Files] = {}  # what the last attempt of each task asked for
        self.ran: list[str] = []  # the tasks, in the order in which their attempts began

    def __call__(
        self, action: Action, *, cancelled: threading.Event, observer: Observer
    ) -> Attempted:
        """Execute `action`; if `cancelled` is set when the function ends, it was cancelled."""
        files = self.seen[action.task] = Files(self.files)
        self.ran.append(action.task)
        observer(CellStarted(action.task, 1, 1))
        failure: Failure | None = None
        outputs: list[dict[str, object]] = []
        try:
            shown = self.functions[action.task](files)
            outputs = [{"output_type": "stream", "name": "stdout", "text": str(shown)}]
        except WorkerLost as error:
            failure = Failure("died", f"the worker was lost: {error}")
        except Exception as error:  # noqa: BLE001 - as a cell's error is the cell's
            text = f"{type(error).__name__}: {error}"
            failure = Failure("error", text, cell=0, execution_count=1)
        return Attempted(
            cells=ExecutedCells((ExecutedCell("…", 1, outputs),)),
            failure=failure,
            cancelled=cancelled.is_set(),
            cell_seconds=(0.0,),
        )

    def account(self, task: Task, key: ActionKey, attempted: Attempted, before: Before) -> Watched:
        """Return what the last attempt of `task` used and wrote. See accounts.Account."""
        files = self.seen[task.name]
        declared = [Pattern.parse(text) for text in (*task.assets, *task.artefacts)]
        scratch = [Pattern.parse(text) for text in task.scratch]
        private = {path for path in files.changed if _any(scratch, path)}
        undeclared = tuple(
            _artefact(path, files.wrote[path])
            for path in sorted(files.changed - private)
            if not _any(declared, path)
        )
        items = [one for path, one in files.used.items() if not _any(declared, path)]
        return Watched(
            trace=Trace(level="syscalls", items=tuple(items)),
            undeclared=undeclared,
            altered=tuple(one.path for one in undeclared if one.path in files.there),
            rewritten=tuple(sorted(files.wrote.keys() - files.changed)),
            scratch=tuple(sorted(private)),
            touched=frozenset({*files.used, *files.wrote}),
        )

    def broken(self, task: Task, record: Record, seen: object = None) -> Iterator[Reason]:
        """Yield what a record's run used that is different now."""
        for item in record.trace.items:
            if _item(item.name, self.files.get(item.name)) != item:
                yield Reason(item.kind, item.name, text=f"'{item.name}' changed")


def _any(patterns: Iterable[Pattern], path: str) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


def _artefact(path: str, text: str) -> ArtefactFile:
    data = text.encode()
    return ArtefactFile(path, digest_bytes(data), len(data))


class MemoryOutputs:
    """The outputs of tasks in a dictionary of files. See outputs.Outputs."""

    def __init__(self, files: dict[str, str], store: MemoryStore) -> None:
        self.files = files
        self.built: dict[str, tuple[bytes, str]] = {}  # task → notebook, what it was made from
        self.failed: dict[str, bytes] = {}  # task → its notebook as far as it got
        self._store = store
        self._made: dict[str, set[str]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._turn = threading.Lock()

    @contextmanager
    def outputs_lock(
        self,
        task: str,
        upstream: Iterable[str] = (),
        *,
        on_wait: Callable[[str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[None]:
        """Hold a task's outputs."""
        with self._turn:
            lock = self._locks.setdefault(task, threading.Lock())
        with lock:
            yield

    def begin(self, task: Task, *, forced: bool = False) -> tuple[str, ...]:
        """Remove the artefacts of earlier runs."""
        self.abandon(task)
        return ()

    def resume(self, task: Task) -> None:
        """Do nothing: no run outlives its build here."""

    def left(self, task: Task) -> Mapping[str, Digest]:
        """Return nothing: undeclared files that a run leaves are not tracked here."""
        return {}

    def leave(self, task: Task, left: Iterable[Left]) -> None:
        """Track nothing."""

    def collect(self, task: Task, *, stored: bool = True) -> tuple[ArtefactFile, ...]:
        """Keep the files that match each artefact pattern."""
        found: set[str] = set()
        for text in task.artefacts:
            one = Pattern.parse(text)
            under = {path for path in [*self.files] if matches(one, path)}
            if not under:
                raise ArtefactError(f"no file matches '{text}', an artefact of '{task.name}'")
            found |= under
        self._made[task.name] = found
        for path in found:
            self._store.put(self.files[path].encode())
        return tuple(_artefact(path, self.files[path]) for path in sorted(found))

    def left_empty(self, task: Task) -> tuple[str, ...]:
        """Return nothing: there are no folders here."""
        return ()

    def abandon(self, task: Task) -> None:
        """Remove the artefacts that were collected last."""
        for path in self._made.pop(task.name, ()):
            self.files.pop(path, None)

    def restore(self, task: Task, record: Record) -> Restored:
        """Put the artefacts of a record in their place."""
        changed, missing = False, []
        for one in record.artefacts:
            data = self._store.get(one.digest)
            if data is None:
                missing.append(one.path)
            elif self.files.get(one.path) != data.decode():
                self.files[one.path], changed = data.decode(), True
        self._made[task.name] = {one.path for one in record.artefacts}
        return Restored(changed=changed, missing=tuple(missing))

    def write_built(self, task: Task, data: bytes, made_from: str) -> tuple[bool, tuple[str, ...]]:
        """Keep a built notebook."""
        before = self.built.get(task.name)
        self.built[task.name] = data, made_from
        return before is None or before[0] != data, ()

    def remove_built(self, task: Task) -> tuple[str, ...]:
        """Forget a built notebook."""
        self.built.pop(task.name, None)
        return ()

    def keep_failed(self, task: Task, data: bytes) -> str:
        """Keep a notebook as far as it got."""
        self.failed[task.name] = data
        return f"{task.name}.failed"

    def drop_failed(self, task: Task) -> None:
        """Forget a failed notebook."""
        self.failed.pop(task.name, None)

    def in_order(self, task: Task, record: Record) -> bool:
        """Whether the artefacts are there as the record says."""
        files = self.files
        return all(
            one.path in files and digest_bytes(files[one.path].encode()) == one.digest
            for one in record.artefacts
        )

    def built_in_order(self, task: Task, made_from: str) -> bool:
        """Whether the built notebook was made from exactly this."""
        return self.built.get(task.name, (b"", ""))[1] == made_from

    def closed_folders(self, tasks: Iterable[Task]) -> Mapping[str, str]:
        """Return nothing: every folder can be written."""
        return {}


class FakeKeys:
    """Makes keys from a task's code and its declared assets. See verdicts.Keys."""

    def __init__(self, files: Mapping[str, str], versions: Mapping[str, str]) -> None:
        self._files = files
        self._versions = versions  # task → a word that stands for its code

    def key(self, task: Task, *, overlay: Overlay | None = None, fresh: bool = False) -> ActionKey:
        """Return the key of `task`."""
        assets = [Pattern.parse(text) for text in task.assets]
        items = []
        for path in sorted(self._files) if assets else ():
            if _any(assets, path):
                items.append((path, digest_bytes(self._files[path].encode())))
        prints = (
            Fingerprint("code", (("cell 1", self._versions.get(task.name, "1")),)),
            Fingerprint("assets", tuple(items)),
            Fingerprint("task", (("name", task.name),)),
        )
        return ActionKey(blake3(repr(prints).encode()).hexdigest(), prints)

    def look_again(self, task: Task) -> None:
        """Do nothing: every look is a new one."""

    def level(self, task: Task) -> str:
        """Return the highest level."""
        return "syscalls"

    def places(self, task: Task) -> tuple[tuple[int, int | None], ...]:
        """Return the one cell."""
        return ((1, 1),)
