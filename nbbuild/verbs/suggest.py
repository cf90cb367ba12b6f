"""Suggest what the notebooks could declare, judging by their last runs: lines to paste.

Every line works when followed to the letter. So nothing is proposed that would remove a user's
file: artefacts are removed before each run, and so is scratch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nbbuild.config.values import quoted
from nbbuild.judging import endings
from nbbuild.model import Failure, Record, Task
from nbbuild.paths.ignored import Ignored
from nbbuild.paths.patterns import Pattern, escape, matches
from nbbuild.project.graph import makes
from nbbuild.session import Session
from nbbuild.watching.naming import is_outside

_WHY = {
    "artefacts": "it writes these, which are neither kept nor restored yet",
    "scratch": "it found these, left by an earlier run; this starts each run without them",
    "depends_on": "these change files that it uses",
    "assets": "it reads these",
    "env": "it reads these variables, whose values do not count yet",
}
_ORDER = tuple(_WHY)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a task could declare: `key` = `values` in its [[notebook]], and why."""

    task: str
    source: str
    key: str  # artefacts, scratch, depends_on, assets, env
    values: tuple[str, ...]
    why: str


def suggest(session: Session, targets: Sequence[str] = ()) -> tuple[Suggestion, ...]:
    """Return what the last runs of `targets` (none: of all) did that nobody declares."""
    names = session.wanted(targets, upstream=False)
    wanted: dict[tuple[str, str], dict[str, None]] = {}
    for name in names:
        for task, key, value in _lines(session, session.graph.tasks[name]):
            wanted.setdefault((task, key), {})[value] = None
    tasks = session.graph.tasks
    order = {name: place for place, name in enumerate(tasks)}
    return tuple(
        Suggestion(name, tasks[name].source, key, tuple(values), _WHY[key])
        for (name, key), values in sorted(
            wanted.items(), key=lambda one: (order[one[0][0]], _ORDER.index(one[0][1]))
        )
    )


def as_toml(suggestions: Sequence[Suggestion]) -> str:
    """Return the lines for jcache.toml, one [[notebook]] for each notebook."""
    entries = ("\n".join(_entry(source, of)) for source, of in _grouped(suggestions).items())
    return "\n\n".join(entries)


def by_source(suggestions: Sequence[Suggestion]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return source → key → values: what to add to the [[notebook]] of each."""
    return {source: merged(of) for source, of in _grouped(suggestions).items()}


def _grouped(suggestions: Sequence[Suggestion]) -> dict[str, list[Suggestion]]:
    sources: dict[str, list[Suggestion]] = {}
    for one in suggestions:
        sources.setdefault(one.source, []).append(one)
    return sources


def _entry(source: str, suggestions: Sequence[Suggestion]) -> Iterator[str]:
    yield "[[notebook]]"
    yield f"path = {quoted(escape(source))}"
    for key, values in merged(suggestions).items():
        yield f"# {_WHY[key]}"
        yield endings.line(key, values)
        if key == "scratch":
            yield f"# or, to keep it on purpose: {endings.line('assets', values)}"


def merged(suggestions: Sequence[Suggestion]) -> dict[str, tuple[str, ...]]:
    """Return key → values of everything that is suggested for one notebook."""
    found: dict[str, dict[str, None]] = {}
    for one in suggestions:
        found.setdefault(one.key, {}).update(dict.fromkeys(one.values))
    return {key: tuple(values) for key, values in found.items()}


def _lines(session: Session, task: Task) -> Iterator[tuple[str, str, str]]:
    """Yield (task, key, value) for what `task` should declare, judging by its last run."""
    outcome, record = session.runs.last(task)
    tasks = session.graph.tasks
    if outcome is not None and outcome.failure is not None:
        for name, key, value in _orders(session, outcome.failure):
            if name in tasks and value not in getattr(tasks[name], key):
                yield name, key, value
    own = record.own if record is not None else outcome.own if outcome is not None else ()
    for path in own:
        if not _declared(path, (*task.scratch, *task.assets)):
            yield task.name, "scratch", _pattern(path)
    if record is None:
        return
    if _alone(session, task):
        for path in endings.products(record, ignored=Ignored(session.root)):
            if not _declared(path, (*task.artefacts, *task.scratch)):
                yield task.name, "artefacts", _pattern(path)
    for path in _read(session, task, record):
        yield task.name, "assets", _pattern(path)
    for name in record.trace.variables:
        if name not in task.env:
            yield task.name, "env", name


def _orders(session: Session, failure: Failure) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of a failure; none if the writer shares its notebook with other tasks.

    A [[notebook]] counts for all tasks of the notebook, but a file has only one writer.
    """
    tasks = session.graph.tasks
    shared = {
        value: name
        for name, key, value in failure.lines
        if key == "artefacts" and name in tasks and not _alone(session, tasks[name])
    }
    for name, key, value in failure.lines:
        if value not in shared or key not in ("artefacts", "assets"):
            yield name, key, value
        elif key == "assets":
            yield name, "depends_on", shared[value]


def _alone(session: Session, task: Task) -> bool:
    return sum(one.source == task.source for one in session.graph.tasks.values()) == 1


def _read(session: Session, task: Task, record: Record) -> Iterator[str]:
    """Yield the files of the project that a run read, except code and what tasks make."""
    items = record.trace.items
    code = {item.value for item in items if item.kind == "import"}
    written = {*record.altered, *record.own, *(file.path for file in record.undeclared)}
    tasks = session.graph.tasks.values()
    sources = {path for one in tasks for path in (one.source, *one.paired)}
    others = code | written | sources | {session.config.path.name}
    for item in items:
        path = item.name
        if item.kind != "file" or path in others or is_outside(path) or path.endswith(".py"):
            continue
        if any(path in (one.built, one.page) or makes(one, path) for one in tasks):
            continue
        if not _declared(path, (*task.assets, *task.files)):
            yield path


def _declared(path: str, patterns: Sequence[str]) -> bool:
    return any(matches(Pattern.parse(text), path) for text in patterns)


def _pattern(path: str) -> str:
    return escape(path).replace("{", "{{").replace("}", "}}")
