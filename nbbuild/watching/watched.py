"""The input and the result of turning an account into a trace."""

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
    """Everything needed to turn an account into a trace; tracing.py does it.

    `named` returns the dotted names of the modules that a text imports. `declared` are the files
    that the action key itself covers. `cells` are the sources of the cells. The kernel started in
    the folder `cwd` at `began_ns`, on the clock of file times (see digests.now_ns). `before` and
    `after` are what the interpreter had installed. `scratch` says which names are private to a run.
    `left` holds the undeclared files of the task's earlier runs that still exist, name → digest;
    `tracked` are the names of such files of any task.
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
    """What a run used and wrote."""

    trace: Trace
    undeclared: tuple[ArtefactFile, ...] = ()  # changed in the root, matching no artefact pattern
    changed: tuple[str, ...] = ()  # inputs that had changed when the run ended
    altered: tuple[str, ...] = ()  # those of `undeclared` that existed before
    rewritten: tuple[str, ...] = ()  # written back with the same bytes
    removed: tuple[str, ...] = ()  # existed before the run, but not after it
    scratch: tuple[str, ...] = ()  # made by the run, and private to it
    left: tuple[LeftFile, ...] = ()  # files that its next run may find
    own: tuple[str, ...] = ()  # undeclared files of the task's earlier runs that it read
    touched: frozenset[str] = frozenset()  # all that it used or wrote, including its own files


@dataclass(frozen=True, slots=True)
class LeftFile:
    """An undeclared file that a run changed and left."""

    path: str  # root-relative
    digest: str
    anew: bool  # the run writes it whatever is there, and would notice an old one
    scratch: bool
    asked: bool  # the run looked for it, or read it, before it wrote it
    shared: bool = False  # another task had left it, and this one changed it


def via_cell(number: int) -> str:
    """Return what a trace item calls the cell that asked; "" if unknown."""
    return f"In [{number}]" if number else ""
