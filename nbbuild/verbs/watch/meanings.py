"""What a changed file means to a watched project, by its path alone."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nbbuild.disk.project_folder import DOT
from nbbuild.model import Outcome, Record, Report, Task
from nbbuild.paths.patterns import Pattern, literal_prefix, matches
from nbbuild.paths.walk import SKIPPED
from nbbuild.session import Session
from nbbuild.tree.ground import folders_above

_NEVER = SKIPPED | {".hg", ".svn", ".bzr", ".jj", "site-packages", "dist-packages", "node_modules"}
"""Folders whose files mean nothing: version control, caches, what is installed."""

_TEMPORARY = re.compile(
    r"""
    \.\#.* | \#.*\#           # Emacs: lock, autosave
    | .*~                     # a backup
    | \..*\.sw[a-z] | 4913    # Vim: swap file, a trial whether it may write
    | .*\.kate-swp | \.goutputstream-.* | .*___jb_(?:tmp|old)___ | \.~lock\..*\# | ~\$.*
    | \.~.* | .*\.crswap | \.nfs.* | \.DS_Store | \.fuse_hidden.*
    """,
    re.VERBOSE,
)
"""Names of files that editors, desktops and file systems put beside what is edited."""

_USED = frozenset({"file", "absent", "stat"})
"""The kinds of trace items that are about one path."""

_LOADED = (".py", ".pyc", ".pyd", ".so", ".pth", ".egg-link")
"""How the names of files end that a kernel may load as it starts."""


class Meaning(enum.Enum):
    """What a change of one path means."""

    NOTHING = "nothing"
    MADE = "made"  # a run or nbbuild writes it: it counts if somebody else did
    OTHER = "other"  # nobody is known to use it
    INPUT = "input"  # a run uses it
    NAMED = "named"  # the configuration, or a notebook: nothing but a user writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanings:
    """The meaning of each path, seen from the root, as far as is known of a project."""

    named: frozenset[str] = frozenset()
    closed: tuple[str, ...] = ()  # files and folders that only nbbuild writes
    used: frozenset[str] = frozenset()
    used_patterns: tuple[Pattern, ...] = ()
    made: frozenset[str] = frozenset()
    made_patterns: tuple[Pattern, ...] = ()
    folders: frozenset[str] = frozenset()  # that may exist only for what is made

    def of(self, path: str) -> Meaning:
        """Return what a change of `path` means."""
        if path in self.named:
            return Meaning.NAMED
        if self._closed(path):
            return Meaning.NOTHING
        if (
            path in self.made
            or path in self.folders
            or any(matches(one, path) for one in self.made_patterns)
        ):
            return Meaning.MADE
        if path in self.used or any(matches(one, path) for one in self.used_patterns):
            return Meaning.INPUT
        *folders, name = path.split("/")
        if _TEMPORARY.fullmatch(name) or not _NEVER.isdisjoint((*folders, name)):
            return Meaning.NOTHING
        return Meaning.OTHER

    def outside(self) -> set[str]:
        """Return the folders out of the project (seen from the root) in which inputs lie."""
        places = {path.rpartition("/")[0] for path in self.used}
        places |= {
            one.path.rpartition("/")[0] if one.literal else literal_prefix(one)
            for one in self.used_patterns
        }
        return {one for one in places if one == ".." or one.startswith(("../", "/"))}

    def _closed(self, path: str) -> bool:
        if path == DOT or path.startswith(f"{DOT}/"):
            return True
        return any(path == one or path.startswith(f"{one}/") for one in self.closed)


def may_be_loaded(path: str) -> bool:
    """Return whether a kernel may load `path` as it starts, before any notebook's code."""
    return path.endswith(_LOADED)


@dataclass(frozen=True, slots=True)
class _Traced:
    """What the last run of one task used and wrote."""

    record: str
    used: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()


@dataclass(slots=True)
class Known:
    """What is known of a watched project, from build to build."""

    _traced: dict[str, _Traced] = field(default_factory=dict)

    def learn(self, session: Session, report: Report) -> None:
        """Take note of what the runs of a build used and wrote."""
        for outcome in report.outcomes:
            known = self._traced.get(outcome.task)
            if known is None or known.record != outcome.record or not outcome.record:
                self._traced[outcome.task] = _traced(session, outcome, known)

    def meanings(self, session: Session, names: Sequence[str]) -> Meanings:
        """Return what paths mean to the tasks `names`."""
        tasks = [session.graph.tasks[name] for name in names]
        traced = [self._traced[name] for name in names if name in self._traced]
        config = session.config
        sources = {path for task in tasks for path in (task.source, *task.paired)}
        outputs = [str(session.root / path) for path in config.report.wanted.values()]
        closed = [
            os.path.relpath(one, session.root) for one in [*map(str, config.closed), *outputs]
        ]
        made = frozenset[str]().union(*(one.made for one in traced), (one.built for one in tasks))
        made_patterns = _patterns(
            path for task in session.tasks for path in (*task.artefacts, *task.scratch)
        )
        written = [*closed, *made, *map(literal_prefix, made_patterns)]
        return Meanings(
            named=frozenset({os.path.relpath(config.path, session.root), *sources}),
            closed=tuple(closed),
            used=frozenset[str]().union(*(one.used for one in traced), *map(_declared, tasks)),
            used_patterns=_patterns(path for task in tasks for path in task.assets),
            made=made,
            made_patterns=made_patterns,
            folders=frozenset(above for path in written for above in folders_above(path) if above),
        )


def _traced(session: Session, outcome: Outcome, known: _Traced | None) -> _Traced:
    task = session.graph.tasks[outcome.task]
    _, record = session.runs.last(task)
    left = frozenset(session.tree.left(task))
    if record is None:  # it failed: what it used is what it had used before
        used = known.used if known is not None else frozenset[str]()
        return _Traced(outcome.record, used, left | (known.made if known is not None else left))
    return _Traced(record.id, frozenset(_used(record)), left | frozenset(_made(record)))


def _used(record: Record) -> Iterator[str]:
    for item in record.trace.items:
        if item.kind in _USED:
            yield item.name
        elif item.kind == "import":
            yield item.value


def _made(record: Record) -> Iterator[str]:
    yield from (one.path for one in (*record.undeclared, *record.artefacts))
    yield from (*record.altered, *record.rewritten, *record.removed)


def _declared(task: Task) -> frozenset[str]:
    """Return the paths of what a task declares with a name of its own."""
    modules = [name for name in task.modules if name.endswith(".py")]
    return frozenset((*modules, *task.files))


def _patterns(texts: Iterator[str]) -> tuple[Pattern, ...]:
    parsed: Mapping[str, Pattern] = {text: Pattern.parse(text) for text in texts}
    return tuple(parsed.values())
