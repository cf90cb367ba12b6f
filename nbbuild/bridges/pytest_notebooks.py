"""The notebooks of projects as pytest's tests: what `pytest --nbbuild` does.

To collect opens a project, and runs nothing. Each task is a test, below the file of its notebook.
A notebook that is up to date passes. The first selected one that is not has all selected ones of
its project built, in one build, so that they run in parallel and after what they need.

With pytest-xdist each worker collects everything, and is given some of the tests. The worker that
first needs the build makes it; the others wait, and read what it came to. Else each of them would
execute a notebook that fails once more, since failures are not cached. What it came to lies in a
temporary folder of the process that the user started, which removes it when the run ends. (xdist's
own id of a run would not do: `--testrunuid` gives many runs the same.)
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbbuild.building import pipeline
from nbbuild.disk import temporary
from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.durable import write
from nbbuild.disk.locks import lock
from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.errors import NbbuildError
from nbbuild.model import Outcome, OutcomeKind, Report, Task, Verdict
from nbbuild.quick.above import NAME, find_above
from nbbuild.session import Session, open_session
from nbbuild.text.printable import clean

_REPORT: Shape[Report] = Shape(Report)

_SHARED = "nbbuild_shared"
"""What a worker's input calls the folder that the workers share."""


class NotebookFailed(Exception):
    """A notebook is not up to date after the build."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(_headline(outcome))
        self.outcome = outcome


class Notebooks:
    """pytest's hooks, for one run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._roots: dict[Path, str | None] = {}
        self._projects: dict[str, _Project] = {}
        self._broken: set[str] = set()
        self._open = ExitStack()
        self._shared: Path | None = None
        if not hasattr(config, "workerinput"):
            _check_folders(config)

    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> pytest.Collector | None:
        """Return a collector for a notebook of a project."""
        root = self._root_of(file_path.parent)
        if root is None or root in self._broken:
            return None
        try:
            project = self._project(root)
        except NbbuildError as error:
            self._broken.add(root)
            broken: pytest.Collector = _BrokenProject.from_parent(
                parent, path=Path(root, NAME), error=error
            )
            return broken
        tasks = project.tasks_of(file_path, named=parent.session.isinitpath(file_path))
        if not tasks:
            return None
        found: pytest.Collector = NotebookFile.from_parent(
            parent, path=file_path, project=project, tasks=tasks
        )
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """Keep pytest from importing a script that is a notebook, named on the command line."""
        root = self._root_of(module_path.parent)
        project = self._projects.get(root) if root is not None else None
        if project is None or not project.tasks_of(module_path, named=True):
            return None
        module: pytest.Module = _NoModule.from_parent(parent, path=module_path)
        return module

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let a test take as long as its notebook took, not as long as the whole build."""
        report = yield
        if isinstance(item, NotebookTest) and report.when == "call":
            report.duration = item.outcome.seconds if item.outcome is not None else 0.0
        return report

    @pytest.hookimpl(optionalhook=True)  # of pytest-xdist
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker, before it starts, where the workers leave what their builds came to."""
        if self._shared is None:
            self._shared = self._open.enter_context(temporary.folder())
        node.workerinput[_SHARED] = os.fspath(self._shared)

    def pytest_unconfigure(self) -> None:
        """Close the projects, and remove what the workers shared."""
        self._open.close()

    def _root_of(self, folder: Path) -> str | None:
        if folder not in self._roots:
            inside = (folder / NAME).is_file()
            root = os.path.realpath(folder) if inside else find_above(str(folder))
            self._roots[folder] = root
        return self._roots[folder]

    def _project(self, root: str) -> _Project:
        if root not in self._projects:
            # pytest sets some of its own for each test; no notebook should rest on them.
            environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
            session = self._open.enter_context(open_session(root, environ=environ))
            self._projects[root] = _Project(session, self._config)
        return self._projects[root]


class _BrokenProject(pytest.File):
    """A jcache.toml that cannot be right."""

    def __init__(self, *, error: NbbuildError, **more: Any) -> None:
        super().__init__(**more)
        self._error = error

    def collect(self) -> Iterator[pytest.Item]:
        """Raise what is wrong with it."""
        raise self.CollectError(f"error: {clean(str(self._error))}")


class _NoModule(pytest.Module):
    """A script that is a notebook: it holds no functions to test."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        """Return nothing."""
        return []


class NotebookFile(pytest.File):
    """A notebook; its tests are its tasks."""

    def __init__(self, *, project: _Project, tasks: Sequence[Task], **more: Any) -> None:
        super().__init__(**more)
        self._project = project
        self._tasks = tasks

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each task; that of a plain notebook is called `nbbuild`."""
        for task in self._tasks:
            name = "nbbuild" if task.name == task.source else task.name
            yield NotebookTest.from_parent(self, name=name, task=task, project=self._project)


class NotebookTest(pytest.Item):
    """The test that a task is up to date, or can be built."""

    def __init__(self, *, task: Task, project: _Project, **more: Any) -> None:
        super().__init__(**more)
        self.task = task
        self.project = project
        self.outcome: Outcome | None = None
        self.extra_keyword_matches.update((task.name, *task.groups))

    def runtest(self) -> None:
        """Build the task, with all other selected ones, unless it is up to date."""
        outcome = self.outcome = self.project.outcome(self)
        self.user_properties.append(("nbbuild", outcome.kind.value))
        if outcome.notes:
            self.add_report_section("call", "nbbuild", clean("\n".join(outcome.notes)))
        if outcome.kind is OutcomeKind.CANCELLED:
            most = self.config.getoption("maxfail")
            after = "a failure" if most <= 1 else f"{most} failures"
            pytest.skip(f"not built: the build ended after {after}")
        # What is blocked has not been tested either: a run must not be green, and --lf not
        # forget it.
        if outcome.kind in (OutcomeKind.FAILED, OutcomeKind.BLOCKED):
            raise NotebookFailed(outcome)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what to show: the cell and its traceback, nothing of pytest or nbbuild."""
        error = excinfo.value
        if isinstance(error, NotebookFailed):
            return _Shown(_told(error.outcome), _Crash(self.nodeid, str(error)))
        if isinstance(error, NbbuildError):
            return _Shown(f"error: {clean(str(error))}", _Crash(self.nodeid, clean(error.what)))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return where it is, and what its failure is headed with."""
        task = self.task
        shown = task.source if task.name == task.source else f"{task.source}: {task.name}"
        return self.path, None, clean(shown)


class _Project:
    """An open project, and what its one build came to."""

    def __init__(self, session: Session, config: pytest.Config) -> None:
        self._session = session
        self._most_failures: int = config.getoption("maxfail")  # 0: however many
        shared: str = getattr(config, "workerinput", {}).get(_SHARED, "")
        # A worker on another machine does not see that folder.
        here = shared and Path(shared).is_dir()
        self._shared = Path(shared, digest_bytes(os.fsencode(session.root))) if here else None
        self._outcomes: dict[str, Outcome] | None = None
        self._built = False
        self._error: NbbuildError | None = None
        self._by_path: dict[str, list[Task]] = {}
        self._by_source: dict[str, list[Task]] = {}
        for task in session.tasks:
            self._by_source.setdefault(task.source, []).append(task)
            for path in (task.source, *task.paired):
                self._by_path.setdefault(path, []).append(task)

    def tasks_of(self, file: Path, *, named: bool) -> Sequence[Task]:
        """Return the tasks of a notebook; those of a pair also for the other file, if `named`."""
        path = os.path.relpath(os.path.realpath(file), self._session.root)
        return (self._by_path if named else self._by_source).get(path, ())

    def outcome(self, test: NotebookTest) -> Outcome:
        """Return what became of a task; raise the `NbbuildError` that prevents the build."""
        name = test.task.name
        if self._error is not None:
            raise self._error
        try:
            if self._outcomes is None:
                self._outcomes = self._fresh(_selected(test))
            if name not in self._outcomes and not self._built:
                self._built = True
                self._outcomes |= self._build(test)
        except NbbuildError as error:
            self._error = error
            raise
        return self._outcomes[name]

    def _fresh(self, names: Sequence[str]) -> dict[str, Outcome]:
        """Return the outcomes of those tasks that are up to date."""
        self._session.forget()
        return {
            one.task: Outcome.of(
                self._session.graph.tasks[one.task],
                OutcomeKind.FRESH,
                judgement=one,
                record=one.record,
            )
            for one in self._session.plan(names).judgements
            if one.verdict is Verdict.FRESH
        }

    def _build(self, test: NotebookTest) -> dict[str, Outcome]:
        """Build what is selected, or return what another worker's build came to."""
        names = _selected(test)
        if self._shared is None:
            report = self._report(test, names)
        else:
            with lock(self._shared.with_suffix(".lock")):
                left = _left(self._shared)
                report = left or self._report(test, names)
                if left is None:
                    _leave(self._shared, report)
        if report.interrupted:
            raise KeyboardInterrupt
        return {one.task: one for one in report.outcomes}

    def _report(self, test: NotebookTest, names: Sequence[str]) -> Report:
        self._session.forget()  # tests before this one may have written files
        report = pipeline.build(
            self._session,
            targets=names,
            keep_going=True,
            max_failures=self._most_failures or None,
        )
        for problem in report.problems:
            warning = pytest.PytestWarning(clean(problem))
            warnings.warn_explicit(warning, pytest.PytestWarning, str(test.path), 1)
        return report


def _selected(test: NotebookTest) -> list[str]:
    """Return the tasks of all selected tests of a project, in their order."""
    tests = (one for one in test.session.items if isinstance(one, NotebookTest))
    return [one.task.name for one in tests if one.project is test.project]


def _left(place: Path) -> Report | None:
    """Return the report that another worker left."""
    try:
        return _REPORT.unpack(place.read_bytes())
    except (OSError, Misshapen):
        return None


def _leave(place: Path, report: Report) -> None:
    """Leave a report for the other workers."""
    outcomes = tuple(msgspec.structs.replace(one, key=None) for one in report.outcomes)
    write(place, packed(msgspec.structs.replace(report, outcomes=outcomes)), sync=False, ours=True)


# -- what is shown -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Crash:
    """A failure in one line, as pytest's summary shows it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Shown:
    """A failure as pytest shows it."""

    text: str
    reprcrash: _Crash

    def toterminal(self, out: Any) -> None:
        """Write it, the first line in red."""
        first, *rest = self.text.splitlines()
        out.line(first, red=True, bold=True)
        for line in rest:
            out.line(line)

    def __str__(self) -> str:
        return self.text


def _headline(outcome: Outcome) -> str:
    """Say in one line what is wrong, and in which cell."""
    failure = outcome.failure
    if failure is None:
        return clean("; ".join(outcome.reasons) or outcome.kind.value)
    return clean(failure.told)


def _told(outcome: Outcome) -> str:
    """Say all that is known of a failure."""
    parts = [_headline(outcome)]
    failure = outcome.failure
    if failure is not None:
        parts += [failure.traceback.rstrip()]
        parts += [f"hint: {failure.hint}"] if failure.hint else []
    if outcome.kind is OutcomeKind.FAILED and outcome.built:
        parts.append(f"as far as it went: {outcome.built}")
    return clean("\n\n".join(part for part in parts if part))


# -- where projects are ------------------------------------------------------------------------


def _check_folders(config: pytest.Config) -> None:
    """Raise pytest's UsageError if no project is near any path of the command line."""
    start = config.invocation_params.dir
    words = [word.partition("::")[0] for word in config.args]
    places = [place for place in (start / word for word in words) if place.exists()]
    if places and not any(map(_is_near, places)):
        shown = ", ".join(f"'{place}'" for place in places[:3])
        raise pytest.UsageError(
            f"--nbbuild: there is no '{NAME}' in {shown}, above or below; `nbbuild init` writes one"
        )


def _is_near(place: Path) -> bool:
    """Whether there is a jcache.toml at or above `place`, or below it."""
    folder = place if place.is_dir() else place.parent
    if (folder / NAME).is_file() or find_above(str(folder)) is not None:
        return True
    for _, inner, files in os.walk(folder):
        if NAME in files:
            return True
        inner[:] = [name for name in inner if not name.startswith(".")]
    return False
