"""What turning an account into a trace takes, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nbbuild.disk.digests import Digests
from nbbuild.interpreter.environment import Probe
from nbbuild.model import ArtefactFile, Trace
from nbbuild.watching.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """All that turning an account into a trace takes; tracing.py does it.

    `named` says which modules a text imports, by their dotted names. `declared` are the files that
    the action key holds and looks at itself. `cells` are the sources of the cells, `cwd` is the
    folder the kernel started in, and `began_ns` when, on the clock of file times (see
    digests.now_ns). `before` and `after` are what the interpreter had installed. `scratch` says
    which names are private to a run, `left` what earlier runs of the task left undeclared and lies
    there still, by name, with its digest; `tracked` are the names that any task left so.
    """

    scope: Scope
    digests: Digests
    cells: tuple[str, ...]
    cwd: Path
    began_ns: int
    before: Probe
    after: Probe
    named: Callable[[str], Iterable[str]]
    declared: Collection[str] = ()
    scratch: Callable[[str], bool] = lambda name: False
    left: Mapping[str, str] = field(default_factory=dict)
    tracked: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a run turned out to use and to write."""

    trace: Trace
    undeclared: tuple[ArtefactFile, ...] = ()  # changed in the root, under no artefact pattern
    changed: tuple[str, ...] = ()  # inputs that were not the same when the run ended
    altered: tuple[str, ...] = ()  # those of `undeclared` that lay there before
    rewritten: tuple[str, ...] = ()  # written back with the bytes that they had
    removed: tuple[str, ...] = ()  # that lay there before the run, and do not now
    scratch: tuple[str, ...] = ()  # made by the run, and private to it
    left: tuple[LeftFile, ...] = ()  # what its next run may find
    own: tuple[str, ...] = ()  # read, and left there undeclared by an earlier run of the task
    touched: frozenset[str] = frozenset()  # all that it used or wrote, its own files too


@dataclass(frozen=True, slots=True)
class LeftFile:
    """A file that a run changed without declaring it, and left."""

    path: str  # root-relative
    digest: str
    anew: bool  # the run writes it whatever lies there, and would tell that it did
    scratch: bool
    asked: bool  # the run looked for it, or read it, before it wrote it
    shared: bool = False  # another task had left it, and this one changed it


def via_cell(number: int) -> str:
    """Return how a trace item names the cell that it came by; "" for an unknown one."""
    return f"In [{number}]" if number else ""
