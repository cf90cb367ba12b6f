"""Build the notebooks of a documentation, and work out what each page is to show.

MyST-NB gets results through a jupyter-cache, which is kept in nbbuild's own folder unless somebody
named another one. It knows notebooks by their code alone, and only those that ended well. So each
page also has the file of its built notebook, for nbsphinx and for what a jupyter-cache cannot hold.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nbbuild import api
from nbbuild.config.types import Config, ExportTable
from nbbuild.disk.project_folder import DOT, SPHINX
from nbbuild.events import Observer, silent
from nbbuild.export import after_build
from nbbuild.export.pages import pages
from nbbuild.model import Outcome, OutcomeKind, Report
from nbbuild.session import Session
from nbbuild.verbs.whereabouts import failing_line

_BUILT = (
    OutcomeKind.FRESH,
    OutcomeKind.REFRESHED,
    OutcomeKind.RESTORED,
    OutcomeKind.EXECUTED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a documentation asks for."""

    config: Config
    here: Path  # the folder from which `targets` are seen
    targets: Sequence[str]  # none: the notebooks that are pages
    execute: bool
    jupyter_cache: Path | None  # where MyST-NB looks, if it is there
    is_page: Callable[[Path], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResult:
    """What the page of one notebook shows."""

    notebook: Path | None  # the built one, or of a failure as far as it got; None: no outputs
    digest: str  # another one, if the page shows something else
    stored: bool = False  # MyST-NB finds the outputs in the jupyter-cache
    own: bool = False  # no task fills it, so it stays as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentationBuild:
    """What a build came to."""

    report: Report
    shown: Mapping[str, PageResult]  # by the path of the source, links resolved
    places: Mapping[str, tuple[Path, int]]  # of each task that failed or is blocked: file, line
    problems: tuple[str, ...] = ()  # that belong to no task: whole messages


def jupyter_cache(config: Config) -> Path:
    """Return where the results for MyST-NB are kept if conf.py does not say."""
    given = config.export.jupyter_cache
    return config.root / (given or f"{DOT}/{SPHINX}/jupyter_cache")


def build(wish: Wish, observer: Observer) -> DocumentationBuild:
    """Build what `wish` asks for. Raises `NbbuildError`."""
    start = wish.here if wish.targets else wish.config.root
    with api.load(start, file=wish.config.path) as session:
        targets = wish.targets or _targets(session, wish.is_page)
        if targets is None:
            return DocumentationBuild(report=Report(), shown={}, places={})
        report = api.build(session, targets, execute=wish.execute, observer=observer)
        if report.interrupted or any(one.not_restored for one in report.outcomes):
            return DocumentationBuild(report=report, shown={}, places={})
        stored, problems = _stored(session, targets, wish.jupyter_cache)
        return DocumentationBuild(
            report=report,
            shown=dict(_shown(session, report, stored)),
            places={
                one.task: (session.root / one.source, failing_line(session, one))
                for one in report.outcomes
                if one.kind in (OutcomeKind.FAILED, OutcomeKind.BLOCKED)
            },
            problems=(*report.problems, *problems),
        )


def _targets(session: Session, is_page: Callable[[Path], bool]) -> Sequence[str] | None:
    """Return the tasks of all pages, () for all tasks; None if there are none."""
    found = [task.name for task in session.tasks if is_page(session.root / task.source)]
    if len(found) == len(session.tasks):
        return () if found else None
    return found or None


def _stored(
    session: Session, targets: Sequence[str], path: Path | None
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Bring the jupyter-cache at `path` in line; return the sources that it has results of."""
    if path is None:
        return frozenset(), ()
    config = replace(session.config, export=ExportTable(jupyter_cache=str(path)))
    exporting = replace(session, config=config)
    names = exporting.wanted(targets)
    tasks = exporting.graph.tasks
    judgements = api.plan(exporting, targets).judgements
    handed = after_build.export_all(
        exporting,
        judgements,
        everything=lambda: judgements,
        only=None if len(names) == len(tasks) else {tasks[name].source for name in names},
        observer=silent,  # what it does not hold is shown all the same
    )
    if handed.problems:
        return frozenset(), handed.problems
    return after_build.held(exporting, "jupyter-cache"), ()


def _shown(
    session: Session, report: Report, stored: frozenset[str]
) -> Iterator[tuple[str, PageResult]]:
    outcomes = {one.task: one for one in report.outcomes}
    for page in pages(session, ()):
        outcome = outcomes.get(page.task.name) if page.task is not None else None
        if outcome is None:
            shown = PageResult(notebook=None, digest="own", own=True)
        else:
            notebook = _notebook(session, outcome)
            kept = outcome.kind in _BUILT and page.source in stored
            digest = session.digests.digest(str(notebook)) if notebook is not None else None
            known = f"{'stored' if kept else 'file'} {digest or ''}"
            shown = PageResult(notebook=notebook, digest=known, stored=kept)
        for file in page.files:
            yield os.path.realpath(session.root / file), shown


def _notebook(session: Session, outcome: Outcome) -> Path | None:
    path = session.root / outcome.built if outcome.built else None
    return path if path is not None and path.is_file() else None
