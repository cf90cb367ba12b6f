"""Which tasks a change of files can touch, by what they declare and by what their last runs used.

A task is left out only if its result shows that the changes make no difference to it: no file that
it declares is among them, none that its run used or looked for, and the result itself still belongs
to the files as they are. What is no file of the project, such as a newer package, makes a task out
of date, but does not count here. A task without such a result counts as touched.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final

from nbbuild.errors import NbbuildError
from nbbuild.judging.inputs import Overlay
from nbbuild.judging.verdicts import made_from
from nbbuild.model import ActionKey, Reason, Record, Task, TraceItem
from nbbuild.notebook import configuration
from nbbuild.notebook.suffixes import is_text
from nbbuild.paths.pattern_indexes import PathIndex
from nbbuild.paths.patterns import Pattern, can_meet, escape, literal_prefix
from nbbuild.session import Session
from nbbuild.tree.ground import folders_above
from nbbuild.verbs.git_changes import Changes
from nbbuild.watching.traces import NOT_LISTED, SITE, STDLIB, parted

_SURROUNDINGS: Final = frozenset({"format", "kernel", "platform", "packages", "env"})
"""Classes of the key that hold nothing of the project's files."""

_INSTALLED: Final = frozenset({STDLIB, SITE, ""})

_MODULES: Final = (".py", ".pyc", ".pyd", ".so", ".zip", ".pth")


def touched(session: Session, changes: Changes) -> tuple[str, ...]:
    """Return the tasks that `changes` can touch and those that depend on them, in order."""
    if changes.meets(_relative(session, str(session.config.path))):
        return session.graph.order
    return _Touched(session, changes).names()


def last_record(session: Session, task: Task) -> Record | None:
    """Return the record of the task's last run, or else one that its present key has."""
    record = session.runs.last(task)[1]
    if record is not None or session.state.outcome(task.name) is not None:
        return record
    try:
        records = session.store.records(session.inputs.key(task).digest)
    except NbbuildError:
        return None
    return next((one for one in records if not session.retired.is_retired(one.id)), None)


def _relative(session: Session, path: str) -> str:
    folder = os.path.realpath(session.root)
    # The name itself may be a link that changed, and is not followed.
    return os.path.relpath(
        os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)),  # noqa: PTH118, PTH119, PTH120
        folder,
    )


class _Touched:
    """Asks one task after the other, upstream tasks first."""

    def __init__(self, session: Session, changes: Changes) -> None:
        self._session = session
        self._graph = session.graph
        self._records: dict[str, Record | None] = {}
        self._real: dict[str, str] = {}
        self._met: dict[str, bool] = {}
        self._changes = changes
        self._names = frozenset(changes.names)

    def names(self) -> tuple[str, ...]:
        """Return the tasks that are touched, in order."""
        self._leave_out_outputs()
        found: set[str] = set()
        for name in self._graph.order:
            task = self._graph.tasks[name]
            if not found.isdisjoint(self._graph.upstream(name)) or self._is_touched(task):
                found.add(name)
        return self._graph.sorted(found)

    def _is_touched(self, task: Task) -> bool:
        if task.source in self._session.project.unreadable:
            return True
        try:
            return self._declared(task) or self._recorded(task)
        except (NbbuildError, OSError, ValueError):
            return True  # the build says what is wrong

    def _record(self, name: str) -> Record | None:
        if name not in self._records:
            self._records[name] = last_record(self._session, self._graph.tasks[name])
        return self._records[name]

    def _leave_out_outputs(self) -> None:
        """Forget the files that nbbuild wrote, lie there as written, and were never committed."""
        ours: set[str] = set()
        for name, task in self._graph.tasks.items():
            outputs = self._changes.untracked.intersection(self._outputs(task, self._record(name)))
            if outputs and self._in_order(task, self._record(name)):
                ours |= outputs
        self._contents = self._changes.contents - ours
        above = {folder for path in self._contents for folder in folders_above(path)}
        self._names = self._names & (self._contents | above)

    def _outputs(self, task: Task, record: Record | None) -> Iterator[str]:
        yield task.built
        yield from (file.path for file in (record.artefacts if record is not None else ()))

    def _in_order(self, task: Task, record: Record | None) -> bool:
        tree = self._session.tree
        if record is None or not tree.in_order(task, record):
            return False
        return tree.built_in_order(task, made_from(record, self._session.sources(task)))

    # -- what a task declares ------------------------------------------------------------------

    def _declared(self, task: Task) -> bool:
        if any(map(self._meets, (task.source, *task.paired))) or self._read_otherwise(task):
            return True
        if any(self._matched(text) for text in (*task.assets, *task.files)):
            return True
        parsed = self._session.inputs.parsed(task)
        if any(cell.load and self._meets(cell.load) for cell in parsed.cells):
            return True
        if not task.modules:
            return False
        # Which file a name means depends on all that come and go.
        settings = self._session.inputs.settings(task, parsed)
        paths = self._session.inputs.module_paths(task, parsed, settings)
        return bool(self._modules) or any(map(self._meets, paths))

    def _matched(self, text: str) -> bool:
        if text not in self._met:  # all tasks may declare the same
            self._met[text] = self._match(Pattern.parse(text))
        return self._met[text]

    def _match(self, pattern: Pattern) -> bool:
        if self._index.matching(pattern) or self._is_covered(literal_prefix(pattern)):
            return True
        wide = (Pattern.parse(f"{escape(path)}/") for path in self._changes.wide)
        return any(can_meet(pattern, one) for one in wide)

    def _read_otherwise(self, task: Task) -> bool:
        """Whether the notebook may be read in another way, or as another pair."""
        session = self._session
        if _stem(task.source) in self._notebooks:
            return True  # a file of its pair may have come or gone
        formats = session.readings.parsed(task.source).formats
        if not self._names.isdisjoint(session.pairs.places(task.source, formats)):
            return True
        reader = session.readers.custom(task.source)
        if reader is not None:
            files = (_relative(session, path) for path in reader.rests_on())
            if any(map(self._meets, files)):
                return True
        folder = (session.root / task.source).parent
        return any(
            _relative(session, path) in self._configurations
            for path in (configuration.candidates(folder) if self._configurations else ())
        )

    @cached_property
    def _notebooks(self) -> frozenset[str]:
        """The names, without suffixes, of files that came or went and can be notebooks."""
        return frozenset(_stem(path) for path in self._names if _is_notebook(path))

    @cached_property
    def _index(self) -> PathIndex:
        return PathIndex(self._contents)

    @cached_property
    def _configurations(self) -> frozenset[str]:
        """The changed files that say how Jupytext reads notebooks."""
        named = (path for path in self._contents if _name(path) in configuration.NAMES)
        return frozenset(path for path in named if self._says_otherwise(path))

    def _says_otherwise(self, path: str) -> bool:
        if _name(path) != configuration.PYPROJECT:
            return True
        try:
            now = configuration.tool_jupytext((self._session.root / path).read_bytes())
        except OSError:
            now = None
        earlier = self._changes.before(path)
        before = [configuration.tool_jupytext(data) for data in earlier] or [None]
        return any(one != now for one in before)

    @cached_property
    def _modules(self) -> frozenset[str]:
        """The names under which modules and packages came or went."""
        found: set[str] = set()
        for path in self._names:
            name, stem = _name(path), _stem(path)
            if "." not in name or name.endswith(_MODULES):
                found.add(_name(posixpath.dirname(path)) if stem == "__init__" else stem)
        return frozenset(found)

    # -- what its last run used ----------------------------------------------------------------

    def _recorded(self, task: Task) -> bool:
        record = self._record(task.name)
        if record is None or record.accepted or self._is_another(task, record):
            return True
        if any(map(self._meets, record.own)):
            return True
        artefacts = any(self._index.matching(Pattern.parse(text)) for text in task.artefacts)
        outputs = self._outputs(task, record)
        if (artefacts or any(map(self._meets, outputs))) and not self._in_order(task, record):
            return True
        own = self._session.validity.own(task, record.undeclared).name

        def ours(path: str) -> bool:
            return path in record.trace.made or own(path)

        return any(self._used(item, record, ours) for item in record.trace.items)

    def _used(self, item: TraceItem, record: Record, own: Callable[[str], bool]) -> bool:
        match item.kind:
            case "file" | "absent" | "stat":
                return self._meets(item.name)
            case "listing":
                return self._listed(item.name, own)
            case "glob":
                return self._globbed(item.name, own)
            case "import" | "missing-import" | "installed":
                local = item.value not in _INSTALLED and self._meets(item.value)
                return local or any(map(self._imports, item.name.split()))
            case _:
                return item.kind != "distribution"  # a later version knows what it is

    def _meets(self, path: str) -> bool:
        """Whether `path`, file or folder, or what it leads to is among the changes."""
        return self._is_covered(path) or not self._names.isdisjoint((path, self._leads_to(path)))

    def _is_covered(self, path: str) -> bool:
        """Whether `path`, or a link or a submodule above it, is a file that changed."""
        return any(
            up in self._contents
            for one in (path, self._leads_to(path))
            for up in (one, *folders_above(one))
        )

    def _leads_to(self, path: str) -> str:
        if path not in self._real:
            root = os.path.realpath(self._session.root)
            found = os.path.realpath(os.path.join(root, path))  # noqa: PTH118 - for each of many
            self._real[path] = os.path.relpath(found, root)
        return self._real[path]

    def _imports(self, name: str) -> bool:
        return not self._modules.isdisjoint(name.split("."))

    def _listed(self, folder: str, own: Callable[[str], bool]) -> bool:
        if self._meets(folder):
            return True
        return any(
            _name(path) not in NOT_LISTED and not own(path)
            for one in {folder, self._leads_to(folder)}
            for path in self._by_folder.get(one, ())
        )

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self._names:
            found.setdefault(posixpath.dirname(path) or ".", []).append(path)
        return found

    def _globbed(self, name: str, own: Callable[[str], bool]) -> bool:
        base, _, pattern = name.partition(":")
        base, pattern = parted(base, pattern)
        if base.startswith("/"):
            base = os.path.relpath(base, os.path.realpath(self._session.root))
        segments = [one for one in pattern.split("/") if one not in ("", ".")]
        while segments and not _is_magic(segments[0]):
            base = f"{base}/{segments.pop(0)}"
        base = posixpath.normpath(base)
        if self._meets(base) or ".." in segments:
            return True
        if any(map(self._is_below(base), self._changes.wide)):
            return True
        inside = (
            (path, rest)
            for path in self._names
            for rest in {_inside(path, base), _inside(path, self._leads_to(base))}
            if rest
        )
        return any(_may_match(rest, segments) and not own(path) for path, rest in inside)

    def _is_below(self, base: str) -> Callable[[str], bool]:
        folders = (base, self._leads_to(base))
        return lambda path: any(_inside(path, folder) for folder in folders)

    # -- whether that run is one of these files ------------------------------------------------

    def _is_another(self, task: Task, record: Record) -> bool:
        """Whether its result belongs to other files than those that are there, changed or not."""
        made: dict[str, str] = {}
        overlay = Overlay()
        for name in self._graph.upstream(task.name):
            above = self._record(name)
            if above is None:
                return True
            files = {file.path: file.digest for file in above.artefacts}
            made |= files
            overlay.add(self._graph.tasks[name], files)
        if _differs(record.key, self._session.inputs.key(task, overlay=overlay)):
            return True
        broken = self._session.validity.broken(task, record)
        return any(not _is_surrounding(one) and made.get(one.item) != one.old for one in broken)


def _differs(one: ActionKey, other: ActionKey) -> bool:
    """Whether two keys differ in anything that lies in the project."""
    first, second = (
        [kind for kind in key.fingerprints if kind.kind not in _SURROUNDINGS]
        for key in (one, other)
    )
    return first != second


def _is_surrounding(reason: Reason) -> bool:
    """Whether what differs is no file of the project."""
    if reason.kind in ("import", "missing-import"):
        return reason.old in _INSTALLED and reason.new in _INSTALLED
    return reason.kind == "distribution"


def _may_match(path: str, segments: list[str]) -> bool:
    """Whether a glob with these segments may match `path`, whatever its rules are."""
    if not segments or segments[-1] == "**":
        return True
    names = path.split("/")
    if "**" in segments:
        return fnmatch.fnmatchcase(names[-1], segments[-1])
    if len(names) != len(segments):
        return False
    return all(fnmatch.fnmatchcase(*pair) for pair in zip(names, segments, strict=True))


def _is_magic(segment: str) -> bool:
    return any(mark in segment for mark in "*?[")


def _inside(path: str, folder: str) -> str:
    """Return `path` seen from `folder`, "" if it does not lie in it."""
    if folder == ".":
        return "" if path.startswith("../") else path
    return path[len(folder) + 1 :] if path.startswith(f"{folder}/") else ""


def _name(path: str) -> str:
    return posixpath.basename(path)


def _is_notebook(path: str) -> bool:
    return path.endswith(".ipynb") or is_text(path)


def _stem(path: str) -> str:
    """Return the name of a file without its suffixes; hidden files keep their dot."""
    name = _name(path)
    return name[:1] + name[1:].partition(".")[0]
