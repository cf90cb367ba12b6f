"""One open project: what was loaded, and the adapters chosen for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from blake3 import blake3

from nbbuild.config import load as configuration
from nbbuild.config import remotes
from nbbuild.config.find import find
from nbbuild.config.here import Here
from nbbuild.config.types import Config
from nbbuild.disk.digests import Digests
from nbbuild.disk.project_folder import DOT, HEADS
from nbbuild.disk.state import State
from nbbuild.errors import StoreError, UsageError, raise_all
from nbbuild.events import Noted, Observer
from nbbuild.interpreter.environment import Environments
from nbbuild.interpreter.kernelspec import KernelSpecs
from nbbuild.interpreter.modules import ModuleGraph
from nbbuild.judging.inputs import Inputs
from nbbuild.judging.last_runs import LastRuns
from nbbuild.judging.marks import Marks
from nbbuild.judging.retired import Retired
from nbbuild.judging.validity import Validity
from nbbuild.judging.verdicts import Judge, Plan, check
from nbbuild.kernels import ways
from nbbuild.model import (
    Digest,
    Parsed,
    Settings,
    Task,
)
from nbbuild.notebook.readers import Readers
from nbbuild.paths.walk import Walker
from nbbuild.project import project
from nbbuild.project.graph import Graph, link
from nbbuild.project.project import Project
from nbbuild.project.readings import Readings
from nbbuild.project.targets import Targets
from nbbuild.store import DiskStore
from nbbuild.tree import Ledgers, Tree
from nbbuild.watching.traces import Traces

MERGE_VERSION = "2"
"""Raised when built notebooks are put together in another way, so that they are written again."""


class Memo:
    """What was worked out in this session, kept in the state only once the project proves sound."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._new: dict[tuple[str, str], bytes] = {}

    def recall(self, kind: str, key: str) -> bytes | None:
        """Return what was remembered, in this session or before."""
        new = self._new.get((kind, key))
        return self._state.recall(kind, key) if new is None else new

    def remember(self, kind: str, key: str, value: bytes) -> None:
        """Remember `value` for this session, and for later ones after `keep`."""
        self._new[kind, key] = value

    def keep(self) -> None:
        """Write what is new to the state."""
        self._state.remember_all(self._new)
        self._new = {}


class Shard(NamedTuple):
    """One of several parts of a project, for the report of its build."""

    name: str  # "1/3"
    division: str  # which all shards have in common


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A loaded project with its store, state and tree; made by `open_session`, for `with`."""

    root: Path
    here: Here
    config: Config
    project: Project
    targets: Targets
    graph: Graph
    environ: Mapping[str, str]
    state: State
    store: DiskStore
    digests: Digests
    walker: Walker
    tree: Tree
    retired: Retired
    traces: Traces
    readers: Readers
    readings: Readings
    pairs: PairedFiles
    inputs: Inputs
    validity: Validity
    runs: LastRuns
    marks: Marks
    memo: Memo
    opened_ns: int  # when looking began, in ns since the epoch
    chosen: frozenset[str] | None = None
    """The tasks that any targets mean here, None: what their words say."""
    shard: Shard | None = None
    """The shard that `chosen` are, if they are one."""

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and (self.root / DOT).exists():
            self.keep()
        self.state.close()
        self.store.close()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks, as `jcache.toml` lists their notebooks."""
        return self.project.tasks

    def keep(self) -> None:
        """Keep what was learned of files and notebooks, for later sessions."""
        self.digests.save()
        self.memo.keep()

    def wanted(self, targets: Sequence[str], *, upstream: bool = True) -> tuple[str, ...]:
        """Return the tasks that `targets` mean, in order, with all that they wait for.

        No targets mean all tasks. Raises `UsageError` for a word that means nothing.
        """
        if self.chosen is not None:
            return self.graph.needed(self.chosen) if upstream else self.graph.sorted(self.chosen)
        names = {task.name for task in self.project.tasks} if not targets else set[str]()
        for word in targets:
            names.update(self.targets.select(word))
        return self.graph.needed(names) if upstream else self.graph.sorted(names)

    def task(self, target: str) -> Task:
        """Return the one task that `target` means; raise `UsageError` for none or several."""
        names = self.wanted([target], upstream=False)
        if len(names) > 1:
            raise UsageError(
                f"'{target}' means {len(names)} tasks",
                facts=[("tasks", ", ".join(names[:8]))],
                hint="name one of them",
            )
        return self.graph.tasks[names[0]]

    def judge(
        self,
        *,
        forced: Collection[str] = (),
        skip_failed: bool = False,
        execute: bool = True,
    ) -> Judge:
        """Return a judge of this project's tasks; `forced` ones run whatever the store holds.

        With `skip_failed`, known failures do not run again; without `execute`, nothing runs.
        """
        return Judge(
            self.graph,
            self.inputs,
            unreadable=self.project.unreadable,
            store=self.store,
            tree=self.tree,
            sources=self.sources,
            broken=self.validity.broken,
            retired=self.retired.is_retired,
            forced=frozenset(forced) | self.retired.marked(),
            last=self.state.outcome,
            elsewhere=self.store.elsewhere,
            skip_failed=skip_failed,
            may_run=execute,
        )

    def plan(
        self,
        targets: Sequence[str] = (),
        *,
        forced: bool = False,
        skip_failed: bool = False,
        execute: bool = True,
    ) -> Plan:
        """Judge what `targets` need, before anything runs. Raises what `check` and keys raise."""
        names = self.wanted(targets)
        self.check(names)
        judge = self.judge(forced=names if forced else (), skip_failed=skip_failed, execute=execute)
        return judge.plan(names)

    def locked(
        self, name: str, *, tell: Callable[[str, str], None]
    ) -> AbstractContextManager[None]:
        """Hold the outputs of the task `name`; if that has to wait, `tell` the task and for whom.

        Raises `StoreError`.
        """
        return self.tree.outputs_lock(
            name, on_wait=lambda holder: tell(name, f"waits for {holder}")
        )

    def put_away_gone(self, observer: Observer) -> None:
        """Take away what tasks left that the project no longer has; nothing was judged by it.

        Raises `StoreError`.
        """

        def tell(name: str, text: str) -> None:
            observer(Noted(name, text))

        for name, note in self.tree.put_away_gone(partial(self.locked, tell=tell)):
            observer(Noted(name, note))
        self.walker.hide(())
        self.forget()

    def forget(self) -> None:
        """Look at the disk anew: something was written."""
        self.forget_listings()
        self.readings.forget()
        self.inputs.forget()

    def forget_listings(self) -> None:
        """Look anew at which files are there: a built notebook was written, and nothing else."""
        self.walker.forget()
        self.traces.forget()

    def check(self, names: Collection[str]) -> None:
        """Raise every error that stands in the way of building `names`."""
        raise_all(check(self.project, self.graph, self.inputs, names, tree=self.tree))

    def sources(self, task: Task) -> Digest:
        """Return a digest of all that the built notebook of `task` takes from its source."""
        files = [self.digests.digest(f"{self.root}/{path}") for path in (task.source, *task.paired)]
        reader = self.readings.identity(task.source)
        parts = [MERGE_VERSION, reader, *(digest or "" for digest in files)]
        return blake3("\n".join(parts).encode()).hexdigest()


def open_session(
    directory: Path | str = ".",
    *,
    file: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Settings | None = None,
) -> Session:
    """Load the project that `directory` lies in and open its store and state; writes nothing.

    Targets are then seen from `directory`. A `file` that was named is looked for there only.
    Raises `ConfigError` (or `Problems`) for whatever cannot be right.
    """
    opened_ns = time.time_ns()
    environ = dict(os.environ if environ is None else environ)
    path = find(Path(directory), file)
    config = configuration.with_environment(configuration.load(path), environ)
    here = Here.at(Path(directory), config.root)
    return session_of(config, environ=environ, here=here, overrides=overrides, opened_ns=opened_ns)


def session_of(
    config: Config,
    *,
    environ: Mapping[str, str],
    here: Here | None = None,
    overrides: Settings | None = None,
    opened_ns: int | None = None,
) -> Session:
    """Open the project that `config` describes, as `open_session` does; raises what that raises.

    Targets are seen from `here` (None: the root). `opened_ns` is when `config` was read, in ns
    since the epoch (None: just now).
    """
    opened_ns = time.time_ns() if opened_ns is None else opened_ns
    root = config.root
    here = here or Here(root)
    if os.path.lexists(root / DOT) and not (root / DOT).is_dir():
        raise StoreError(
            f"'{DOT}' is not a folder",
            facts=[("path", str(root / DOT))],
            hint="move it away: nbbuild keeps its own files there",
        )
    state = State(root / DOT)
    memo = Memo(state)
    digests = Digests(state)
    ledgers = Ledgers(root / DOT, by=config.path.name)
    walker = walker_of(config)
    readers = Readers(config.project.readers)
    readings = Readings(
        root,
        digests=digests,
        recall=memo.recall,
        remember=memo.remember,
        parse=_parser(root, readers),
        readers=readers,
    )
    pairs = PairedFiles(root, memo, readings)
    loaded = project.load(
        config,
        walker=walker,
        readings=readings,
        pair=pairs.existing,
        built=ledgers.built_paths,
    )
    store = _store(config, environ)
    sources = {path for task in loaded.tasks for path in (task.source, *task.paired)}
    tree = Tree(
        root,
        store,
        digests,
        _match_anew(walker),
        sources=sources,
        present=loaded.tasks,
        ledgers=ledgers,
        output=config.project.output,
        pages=bool(config.project.render),
    )
    walker.hide(tree.gone_files())
    traces = Traces(root, digest=digests.digest, nothing_at=digests.nothing_at)
    inputs = Inputs(
        loaded,
        readings=readings,
        walker=walker,
        digests=digests,
        kernels=KernelSpecs(config.execution.kernel_aliases),
        environments=Environments(memo.recall, memo.remember, environ=environ),
        modules=ModuleGraph(root, _text_reader(root), recall=memo.recall, remember=memo.remember),
        environ=environ,
        overrides=overrides or Settings(),
        unseen=cache(ways.unseen),  # asked for each task
    )
    graph = link(loaded.tasks, output=config.project.output, pages=bool(config.project.render))
    runs = LastRuns(state.outcome, store.records)
    return Session(
        root=root,
        here=here,
        config=config,
        project=loaded,
        targets=Targets(loaded.tasks, here, project=str(config.path)),
        graph=graph,
        environ=environ,
        state=state,
        store=store,
        digests=digests,
        walker=walker,
        tree=tree,
        retired=Retired(root / DOT),
        traces=traces,
        readers=readers,
        readings=readings,
        pairs=pairs,
        inputs=inputs,
        validity=Validity(
            inputs=inputs,
            traces=traces,
            replaceable=tree.replaceable,
            closed=config.closed_inside,
            scratch=tuple(dict.fromkeys(text for task in loaded.tasks for text in task.scratch)),
        ),
        runs=runs,
        marks=Marks(tasks=graph.tasks, unreadable=loaded.unreadable, inputs=inputs, runs=runs),
        memo=memo,
        opened_ns=opened_ns,
    )


def _store(config: Config, environ: Mapping[str, str]) -> DiskStore:
    """Return the store of a project, with its remote cache behind it if it has one."""
    url = remotes.remote_url(config, environ)
    if not url:
        return DiskStore(config.store)
    # Imported only where there is a remote: most projects have none.
    from nbbuild.store.remote.opening import open_objects
    from nbbuild.store.remote.remote import Numbers, Remote, Terms
    from nbbuild.store.shared import SharedStore

    terms = Terms(
        heads=remotes.heads(config, environ),
        trusted=config.cache.public_keys,
        unsigned=config.cache.unsigned,
    )
    remote = Remote(
        lambda: open_objects(url, environ=environ, root=config.root),
        terms,
        Numbers(config.root / DOT / HEADS),
    )
    return SharedStore(config.store, remote)


def walker_of(config: Config) -> Walker:
    """Return what finds the files of the project that `config` describes."""
    return Walker(config.root, closed=config.closed_inside)


def _match_anew(walker: Walker) -> Callable[[Sequence[str]], list[str]]:
    def match(patterns: Sequence[str]) -> list[str]:
        walker.forget()
        return walker.match_all(patterns, hidden=True)

    return match


def _parser(root: Path, readers: Readers) -> Callable[[str], Parsed]:
    def parse(source: str) -> Parsed:
        # Imported only when some notebook has to be read again; nbformat and jupytext, too.
        from nbbuild.notebook import code, ordinary

        notebook: Any = None
        if readers.name(source) == "nbformat":
            notebook = ordinary.read(root / source)
        if notebook is None:
            from nbbuild.notebook import read

            notebook = read.read(root, source, readers=readers)
        return code.parse(notebook, source)

    return parse


class PairedFiles:
    """Where the other files of Jupytext pairs are; worked out once for each notebook's formats."""

    def __init__(self, root: Path, memo: Memo, readings: Readings) -> None:
        self._root = root
        self._memo = memo
        self._readings = readings
        self.looked: set[str] = set()
        """The paths (root-relative) at which such a file was looked for so far."""

    def existing(self, source: str, formats: str) -> tuple[str, ...]:
        """Return the other files of the pair of `source` that are there, root-relative, sorted."""
        # PairedFiles are Jupytext's: another reader may mean something else by the same metadata.
        custom = self._readings.readers.custom(source) is not None
        places = () if custom else self.places(source, formats)
        self.looked.update(places)
        return tuple(path for path in places if (self._root / path).is_file())

    def places(self, source: str, formats: str) -> tuple[str, ...]:
        """Return where the other files of the pair of `source` would be, root-relative."""
        key = "\n".join((source, formats, self._readings.identity(source)))
        known = self._memo.recall("pairs", key)
        if known is not None:
            return tuple(known.decode("utf-8", "surrogateescape").split("\0")) if known else ()
        # Jupytext is imported only when some notebook's formats are new.
        from nbbuild.notebook import pairs

        places = pairs.pairable(self._root, source, formats)
        self._memo.remember("pairs", key, "\0".join(places).encode("utf-8", "surrogateescape"))
        return places


def _text_reader(root: Path) -> Callable[[str], str | None]:
    def read(path: str) -> str | None:
        try:
            return (root / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    return read
