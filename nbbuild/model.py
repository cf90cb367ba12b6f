"""The nouns (DESIGN §1): nbbuild's vocabulary; nothing here reads or writes."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, overload

import msgspec

from nbbuild.errors import NbbuildError
from nbbuild.text.numbering import named

if TYPE_CHECKING:
    from typing_extensions import Unpack

Digest: TypeAlias = str
"""BLAKE3 of bytes, 64 hexadecimal characters; also a blob's name."""

Parameters: TypeAlias = Mapping[str, Any]
"""Parameter name → TOML value (str, int, float, bool, date, time, list, table)."""

Resources: TypeAlias = Mapping[str, int]
"""Name → how many units there are, or how many a task takes; of `MEMORY` bytes."""

LATEST: Final = 1e11
"""Seconds since the epoch that no true time reaches; far beyond, no calendar has a name for it."""

MEMORY = "memory"
"""The one resource that is counted in bytes."""


# `gc=False` below: thousands of these are held, they can be in no cycle, and the garbage collector
# took a tenth of the time of judging them.

# -- what is to be done ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a notebook is executed; None means "not said here", so the next level decides."""

    kernel: str | None = None
    timeout: float | None = None  # seconds a cell; 0 = no limit
    notebook_timeout: float | None = None  # seconds a notebook; 0 = no limit
    allow_errors: bool | None = None
    retries: int | None = None
    sandbox: bool | None = None
    cwd: Literal["notebook", "project"] | None = None
    trace: bool | Literal["python"] | None = None
    warm: bool | str | tuple[str, ...] | None = None  # False | "kernel" | "auto" | modules
    cores: int | None = None  # slots, and threads in each pool; 0 = one slot and a fair share

    def over(self, other: Settings) -> Settings:
        """Return these settings, with what they leave open taken from `other`."""
        said = {
            name: mine if (mine := getattr(self, name)) is not None else getattr(other, name)
            for name in _SETTINGS
        }
        return Settings(**said)


_SETTINGS = tuple(setting.name for setting in fields(Settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One notebook with one set of parameters. Paths are relative to the root, POSIX-style."""

    name: str  # the source path, or the declared or matrix name
    source: str
    built: str  # where the built notebook goes
    paired: tuple[str, ...] = ()  # the other files of its Jupytext pair
    assets: tuple[str, ...] = ()  # patterns; may begin with ../
    modules: tuple[str, ...] = ()  # dotted names, or paths of .py files
    packages: tuple[str, ...] = ()  # distributions, beyond those imported
    env: tuple[str, ...] = ()  # names of variables whose values count
    files: tuple[str, ...] = ()  # [environment] files
    commands: tuple[str, ...] = ()  # [environment] commands
    artefacts: tuple[str, ...] = ()  # patterns, {parameter} and {stem} expanded
    scratch: tuple[str, ...] = ()  # patterns of files that a run makes for itself alone
    depends_on: tuple[str, ...] = ()  # names of the tasks that go first
    parameters: Parameters = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    resources: Resources = field(default_factory=dict)  # what it takes of them while it runs
    max_age: float | None = None  # seconds
    cache: bool = True
    push: bool = True  # False: its results stay on this machine
    python_path: tuple[str, ...] = ()
    settings: Settings = Settings()  # what [[notebook]] says; other levels fill the rest
    declared_in: str = "[project] notebooks"  # for error messages

    @property
    def page(self) -> str:
        """Where the page of the built notebook goes, if one is wanted."""
        return PurePosixPath(self.built).with_suffix(".html").as_posix()


class CodeCell(msgspec.Struct, frozen=True, gc=False):
    """A code cell as far as it counts as code (DESIGN §2)."""

    index: int  # among all cells of the notebook, from 0
    source: str  # verbatim
    tags: tuple[str, ...] = ()  # of those that count, sorted
    load: str = ""  # the file that MyST's `:load:` names, relative to the root


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """What the bytes of one source notebook say; can be remembered by their digest."""

    kernel: str = ""  # the kernelspec's name
    language: str = ""
    cells: tuple[CodeCell, ...] = ()  # code cells that are not blank, in order
    timeout: float | None = None  # metadata.execution.timeout
    allow_errors: bool | None = None  # metadata.execution.allow_errors
    formats: str = ""  # metadata.jupytext.formats, "" when unpaired


# -- what decides ------------------------------------------------------------------------------


class Fingerprint(msgspec.Struct, frozen=True, gc=False):
    """One class of input of an action key, item by item: ("data/a.csv", digest), …"""

    kind: str  # "code", "assets", …: the classes of fingerprint.py
    items: tuple[tuple[str, str], ...]


class ActionKey(msgspec.Struct, frozen=True, gc=False):
    """All that is known before a run; `digest` is over the fingerprints."""

    digest: Digest
    fingerprints: tuple[Fingerprint, ...]


class TraceItem(msgspec.Struct, frozen=True, gc=False):
    """One thing that a run used, and its value then.

    Kinds: "file" → digest; "listing" → digest of the names; "glob" ("base:pattern") → digest of
    the matches; "absent" → "", or what the run left there; "stat" → what `stat` answered
    (watching/answers.py); "import" → origin;
    "missing-import" → ""; "installed" (top-level modules) → "" while no local one hides them;
    "distribution" → version.
    """

    kind: str
    name: str
    value: str = ""
    via: str = ""  # how it was met, for a reader: "imported by cell 2"
    # Of a glob: its rules; of a stat: what was asked; of an import: the sys.path then, if not the
    # trace's; of a file: "lines" if it counts by these, whatever they end with.
    way: str = ""


OF_ONE_RUN: Final = ("listing", "glob")
"""Kinds of items of which the run itself decides what counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Items that follow one another in the traces of many records, and are kept once."""

    digest: Digest  # of the blob that they are
    items: tuple[TraceItem, ...]


class ChunkedItems(Sequence[TraceItem]):
    """All items of a trace of which some are chunks; equal to the tuple that it stands for.

    Records that share a chunk hold the same object, so it is judged once, and held once.
    """

    __slots__ = ("chunks", "places", "rest")

    def __init__(
        self, chunks: tuple[Chunk, ...], places: tuple[int, ...], rest: tuple[TraceItem, ...]
    ) -> None:
        self.chunks = chunks
        self.places = places  # how many items of `rest` come before each chunk, ascending
        self.rest = rest

    def __iter__(self) -> Iterator[TraceItem]:
        items: list[TraceItem] = []
        done = 0
        for place, chunk in zip(self.places, self.chunks, strict=True):
            items += self.rest[done:place]
            items += chunk.items
            done = place
        return chain(items, self.rest[done:])

    def __len__(self) -> int:
        return len(self.rest) + sum(len(chunk.items) for chunk in self.chunks)

    @overload
    def __getitem__(self, index: int) -> TraceItem: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TraceItem, ...]: ...
    def __getitem__(self, index: int | slice) -> TraceItem | tuple[TraceItem, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (tuple, ChunkedItems)) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __reduce__(self) -> tuple[type, tuple[list[TraceItem]]]:
        return tuple, (list(self),)


class Trace(msgspec.Struct, frozen=True, gc=False):
    """What a run used; `level` says how closely it was watched."""

    level: str = "none"  # none | python | syscalls
    items: tuple[TraceItem, ...] = ()  # or ChunkedItems
    path: tuple[str, ...] = ()  # sys.path, root-relative, with marks for the interpreter's own
    hosts: tuple[str, ...] = ()  # that were contacted; no items
    variables: tuple[str, ...] = ()  # of the environment that were read; no items
    partial: tuple[str, ...] = ()  # what could not be seen whole, and why
    made: tuple[str, ...] = ()  # folders that the run made, so that no listing counts them
    set_variables: tuple[str, ...] | None = None  # by the notebook; None: nobody looked
    best: bool = False  # whether `level` is all that its run could have had
    exempt: str = ""  # a program that gets no rights where system calls are watched


class ArtefactFile(msgspec.Struct, frozen=True, gc=False):
    """One file that a run wrote under its artefact patterns."""

    path: str  # relative to the root
    digest: Digest
    size: int  # bytes
    executable: bool = False


class Record(msgspec.Struct, frozen=True, gc=False):
    """The result of one run: action key + trace → executed cells, artefacts, timings."""

    id: str  # names the record; holds the run's own id, so no two runs share one
    key: ActionKey
    trace: Trace
    task: str
    source: str
    cells: Digest  # blob of the executed cells
    artefacts: tuple[ArtefactFile, ...] = ()
    created: float = 0.0  # seconds since the epoch
    seconds: float = 0.0  # of the whole notebook, kernel start included
    cell_seconds: tuple[float, ...] = ()  # of each cell that ran, in order
    undeclared: tuple[ArtefactFile, ...] = ()  # changed without being declared
    altered: tuple[str, ...] = ()  # those of `undeclared` that existed before
    rewritten: tuple[str, ...] = ()  # written back with the bytes that they had, now or earlier
    removed: tuple[str, ...] = ()  # that existed before
    own: tuple[str, ...] = ()  # read, and left undeclared by an earlier run of the task
    folders: tuple[str, ...] = ()  # that the run made under its artefact patterns and left empty
    local: bool = False  # it rests on files of `own`: never pushed to a remote
    accepted: bool = False  # not by a run of ours (-t, adopted): never pushed to a remote
    preloads: tuple[str, ...] = ()  # modules that the kernel had loaded before its notebook began
    python: str = ""  # the kernel's, patch level included; "" when it is none, or nobody knows
    nbbuild: str = ""  # the version that made it; "" in records older than this field

    @property
    def blobs(self) -> tuple[Digest, ...]:
        """The blobs that it takes to restore it."""
        return (self.cells, *(artefact.digest for artefact in self.artefacts))

    @property
    def chunks(self) -> tuple[Digest, ...]:
        """The blobs in which the store that it was read from keeps a part of its trace."""
        items = self.trace.items
        return tuple(c.digest for c in items.chunks) if isinstance(items, ChunkedItems) else ()


class Verdict(enum.Enum):
    """What planning says about one task."""

    FRESH = "fresh"  # nothing to do
    REFRESH = "refresh"  # write the built notebook again, restore artefacts; no kernel
    RUN = "run"
    WAIT = "wait"  # an upstream task decides
    BLOCKED = "blocked"  # an upstream task failed, or the notebook cannot be read


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is what it is: the class, the item, its old and its new value."""

    kind: (
        str  # a class of the key, or "first", "forced", "failed", "uncached", "output", "upstream"
    )
    item: str = ""
    old: str = ""
    new: str = ""
    text: str = ""  # the sentence a user reads
    position: int | None = None  # of a cell of the built notebook among all, from 1
    execution_count: int | None = None  # of that cell

    def __str__(self) -> str:
        return self.text or f"{self.kind} {self.item}: {self.old} → {self.new}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One task's verdict and its reasons; `record` is the hit, if there is one."""

    task: str
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    key: ActionKey | None = None
    record: Record | None = None
    marks: tuple[str, ...] = ()  # what a user should know of how far it reaches


# -- what became of it -------------------------------------------------------------------------


class OutcomeKind(enum.Enum):
    """What became of one task in one build."""

    FRESH = "fresh"
    REFRESHED = "refreshed"  # the built notebook was written again, from the store
    RESTORED = "restored"  # artefacts were put back, from the store
    EXECUTED = "executed"
    FAILED = "failed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


NOT_RESTORED: Final = "restore"
"""The kind of a failure, and of its reason: the task would have to run where nothing may."""


class Failure(msgspec.Struct, frozen=True):
    """Why a task failed.

    Kinds: error (a cell raised), timeout, died (the kernel), start (it did not), lost (messages
    were), artefact (not written), input (not there), order (nobody declared it), undeclared (used,
    and not in the sandbox), output (that cannot be kept, or put in its place), unreadable (the
    notebook), restore (it would have to run where nothing may), internal.
    """

    kind: str
    message: str  # one line, names what failed
    cell: int | None = None  # index among all cells, from 0
    traceback: str = ""  # plain text, without terminal colours; of an error its facts
    hint: str = ""
    execution_count: int | None = None  # of that cell: its number, from 1, among those that run
    lines: tuple[tuple[str, str, str], ...] = ()  # of an order: (task, key, value) to declare

    @property
    def where(self) -> str:
        """What the cell is called in which it failed, "" where it is in none."""
        return "" if self.cell is None else named(self.cell + 1, self.execution_count)

    @property
    def told(self) -> str:
        """The message, after what the cell is called unless the message names it: one line."""
        if not self.where or self.where in self.message:
            return self.message
        return f"{self.where}: {self.message}"

    @classmethod
    def of(cls, kind: str, error: NbbuildError) -> Failure:
        """Return an error that stopped one task as its failure, with all that it says."""
        facts = "\n".join(f"{label}: {value}" for label, value in error.facts)
        return cls(kind, error.what, None, facts, error.hint)


LOCAL = "local"
"""The origin of results that this machine's cache holds."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task in one build; kept for `show`."""

    task: str
    source: str
    kind: OutcomeKind
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0  # of this build
    saved: float = 0.0  # seconds that the reused run had taken
    cell_seconds: tuple[float, ...] = ()
    failure: Failure | None = None
    built: str = ""  # the built notebook, or the partial one of a failure
    record: str = ""  # its id
    origin: str = LOCAL  # the cache that it came from: LOCAL, or the URL of a remote one
    key: ActionKey | None = None
    failed_before: bool = False  # with the same key, and was not run again
    cached: bool = True  # False: executed, but the result was not published; `notes` says why
    notes: tuple[str, ...] = ()
    own: tuple[str, ...] = ()  # files that it read and an earlier run of the task left undeclared
    when: float = 0.0  # seconds since the epoch
    peak_memory: int = 0  # bytes that its kernel held at most; 0: no kernel, or unknown
    cpu_seconds: float = 0.0  # that its kernel took; 0: no kernel, or unknown

    def _repr_html_(self) -> str:
        """Return a table of its fields, as Jupyter shows it."""
        from nbbuild.text.markup import joined, table, tag

        failure = self.failure
        facts = [
            ("task", self.task),
            ("outcome", self.kind.value),
            ("because", "; ".join(self.reasons)),
            ("seconds", f"{self.seconds:.1f}"),
            ("notes", "; ".join(self.notes)),
            ("built", self.built),
        ]
        if failure is not None:
            told = joined(failure.told, tag("pre", failure.traceback))
            facts.append(("failure", told))
        return table((), [one for one in facts if one[1]])

    @property
    def not_restored(self) -> bool:
        """Whether it failed only since it would have to run, where nothing may."""
        return self.failure is not None and self.failure.kind == NOT_RESTORED

    @classmethod
    def of(
        cls,
        task: Task,
        kind: OutcomeKind,
        *,
        judgement: Judgement | None = None,
        record: Record | None = None,
        failure: Failure | None = None,
        reasons: tuple[str, ...] | None = None,
        built: str = "",
        **more: Unpack[_More],
    ) -> Outcome:
        """Return the outcome of `task`, with the reasons and the key of its `judgement`."""
        said = tuple(str(reason) for reason in judgement.reasons) if judgement else ()
        placed = kind not in (OutcomeKind.FAILED, OutcomeKind.BLOCKED, OutcomeKind.CANCELLED)
        return cls(
            task=task.name,
            source=task.source,
            kind=kind,
            reasons=said if reasons is None else reasons,
            key=judgement.key if judgement else None,
            record=record.id if record else "",
            failure=failure,
            built=built or (task.built if placed else ""),
            **more,
        )


class _More(TypedDict, total=False):
    """The fields of an outcome that `of` hands on as they are."""

    cell_seconds: tuple[float, ...]
    origin: str
    cached: bool
    notes: tuple[str, ...]
    own: tuple[str, ...]
    saved: float
    when: float
    peak_memory: int
    cpu_seconds: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcomes of one build."""

    outcomes: tuple[Outcome, ...] = ()
    seconds: float = 0.0
    interrupted: bool = False
    problems: tuple[str, ...] = ()  # that belong to no task: whole messages
    rendered: int = 0  # pages of built notebooks that were written

    def _repr_html_(self) -> str:
        """Return a table of its outcomes, as Jupyter shows it."""
        from nbbuild.text.markup import joined, table, tag

        rows = [
            (
                one.task,
                one.kind.value,
                f"{one.seconds:.1f}",
                one.failure.message if one.failure else "; ".join(one.reasons),
            )
            for one in self.outcomes
        ]
        problems = (tag("p", text) for text in self.problems)
        return joined(table(("task", "outcome", "seconds", "why"), rows), *problems)

    @property
    def exit_status(self) -> int:
        """0 all well, 1 a notebook failed, 2 one is unreadable, 3 nbbuild did, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.problems:
            return 3
        failures = [o.failure for o in self.outcomes if o.failure is not None]
        if any(f.kind == "internal" for f in failures):
            return 3
        if any(f.kind == "unreadable" for f in failures):
            return 2
        return int(bool(failures))
