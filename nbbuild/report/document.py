"""What one build came to, as data that lasts: the report that every other format is made from.

The fields are interface, described in docs/reference/report.md. Raise `FORMAT` when one changes its
meaning or goes; a new one with a default needs no new number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from nbbuild.disk.shapes import Misshapen, Shape, as_json
from nbbuild.model import LATEST, Failure, OutcomeKind
from nbbuild.report.critical import chain
from nbbuild.text.numbering import named

FORMAT: Final = 1


class CellRun(msgspec.Struct, frozen=True, kw_only=True):
    """One cell that ran; times are seconds, offsets are from the beginning of the build."""

    execution_count: int  # from 1, among the cells that run
    position: int | None = None  # from 1, among all cells of the built notebook
    begin: float | None = None
    seconds: float | None = None  # None: it did not end


class Mark(msgspec.Struct, frozen=True):
    """What limits the trust in a result: "network", "partial", "determinism" or "leftover"."""

    kind: str
    text: str


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task failed; the kinds are those of `model.Failure`."""

    kind: str
    message: str
    position: int | None = None
    execution_count: int | None = None
    traceback: str = ""
    hint: str = ""
    source: str = ""  # of the cell in which it failed

    @property
    def where(self) -> str:
        """What the cell is called in which it failed, "" where it is in none."""
        return "" if self.position is None else named(self.position, self.execution_count)

    @classmethod
    def of(cls, failure: Failure, source: str) -> Failed:
        """Return what a report says of a failure; `source` is that of its cell."""
        return cls(
            kind=failure.kind,
            message=failure.message,
            position=None if failure.cell is None else failure.cell + 1,
            execution_count=failure.execution_count,
            traceback=failure.traceback,
            hint=failure.hint,
            source=source,
        )


class TaskRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task; offsets and slot are None where nothing was done or executed."""

    task: str
    source: str
    outcome: str
    reasons: tuple[str, ...] = ()
    begin: float | None = None
    end: float | None = None
    seconds: float = 0.0
    saved: float = 0.0  # seconds that the reused run had taken
    slot: int | None = None  # from 1; where its notebook executed
    cells: tuple[CellRun, ...] = ()
    failure: Failed | None = None
    peak_memory: int | None = None  # bytes
    cpu_seconds: float | None = None
    notes: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    upstream: tuple[str, ...] = ()
    built: str = ""
    record: str = ""
    cached: bool = True

    @property
    def executed(self) -> bool:
        """Whether its notebook began to execute in this build."""
        return self.slot is not None

    @property
    def bad(self) -> bool:
        """Whether it has no result."""
        return self.outcome in _BAD


_BAD = frozenset(
    kind.value for kind in (OutcomeKind.FAILED, OutcomeKind.BLOCKED, OutcomeKind.CANCELLED)
)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one build."""

    format: int = FORMAT
    id: str
    nbbuild: str
    python: str
    project: str  # the name of the root's folder
    targets: tuple[str, ...] = ()
    began: float = 0.0  # seconds since the epoch
    seconds: float = 0.0
    slots: int = 1
    exit_status: int = 0
    interrupted: bool = False
    counts: dict[str, int] = {}
    problems: tuple[str, ...] = ()
    tasks: tuple[TaskRun, ...] = ()
    critical_path: tuple[str, ...] = ()  # in the order in which they ran
    shard: str = ""  # "1/3"
    division: str = ""  # the same for all shards that belong together

    @property
    def ended(self) -> str:
        """How the build ended: "interrupted", "failed" or "all well"."""
        if self.interrupted:
            return "interrupted"
        return "failed" if self.exit_status else "all well"


DOCUMENT: Final[Shape[Document]] = Shape(Document)


def encoded(document: Document) -> bytes:
    """Return the JSON of a report, in one line."""
    return as_json(document) + b"\n"


def decoded(data: bytes) -> Document:
    """Return the report that JSON holds. Raises Misshapen, also for another format's."""
    document = DOCUMENT.from_json(data)
    if document.format != FORMAT:
        raise Misshapen(f"its format is {document.format}, and this nbbuild reads {FORMAT}")
    if not 0 <= document.began < LATEST:
        raise Misshapen("its time cannot be right")
    return document


def counted(tasks: Iterable[TaskRun]) -> dict[str, int]:
    """Return outcome → number, in the order of the outcomes, without those that are 0."""
    kinds = [one.outcome for one in tasks]
    return {kind.value: kinds.count(kind.value) for kind in OutcomeKind if kind.value in kinds}


def critical_path(tasks: Sequence[TaskRun]) -> tuple[str, ...]:
    """Return the chain of tasks, each upstream of the next, that worked for the most seconds.

    `tasks` are in the graph's order. Empty if none did any work.
    """
    worked = {one.task: one for one in tasks if one.begin is not None}
    seconds = {name: one.seconds for name, one in worked.items()}
    return chain(seconds, lambda name: worked[name].upstream)
