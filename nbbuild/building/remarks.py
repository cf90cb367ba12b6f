"""Find likely mistakes in tasks that can still be built; every build mentions them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping

from nbbuild.errors import NotebookError
from nbbuild.model import Parsed, Task
from nbbuild.notebook.effects import without_effect
from nbbuild.session import Session

NEWER_SECONDS = 1.0
"""How much newer the `.ipynb` of a pair must be: Jupytext's own margin. A checkout is faster."""


def remarks(session: Session, names: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """Return, by task, what a user should know about `names` before they run.

    A remark that holds for several tasks of one notebook comes with the first of them.
    """
    said: set[str] = set()
    looked: set[tuple[str, frozenset[str]]] = set()
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        task = session.graph.tasks[name]
        if task.source in session.project.unreadable or not (task.parameters or task.paired):
            continue
        about = (task.source, frozenset(task.parameters))
        if about in looked:  # tasks of one matrix
            continue
        looked.add(about)
        new = [text for text in _of(session, task) if text not in said]
        said.update(new)
        if new:
            found[name] = tuple(new)
    return found


def _of(session: Session, task: Task) -> Iterator[str]:
    try:
        parsed = session.inputs.parsed(task)
    except NotebookError:
        return  # reported when its turn comes
    if task.parameters:
        language = session.inputs.language(task)
        names = sorted(task.parameters)
        yield from without_effect(parsed, names, source=task.source, language=language)
    for path in task.paired:
        if path.endswith(".ipynb"):
            yield from _edited(session, task, parsed, path)


def _edited(session: Session, task: Task, parsed: Parsed, other: str) -> Iterator[str]:
    """Yield a remark if the `.ipynb` of a pair was edited and its text was not.

    Times alone prove nothing, least of all in a fresh clone: their code must differ, too.
    """
    try:
        text, notebook = (os.stat(session.root / path).st_mtime for path in (task.source, other))  # noqa: PTH116
        if notebook <= text + NEWER_SECONDS:
            return
        theirs = session.readings.parsed(other)
    except (OSError, NotebookError):
        return  # missing, or no notebook: nobody edited it as one
    if any(cell.load for cell in parsed.cells) or _code(parsed) == _code(theirs):
        return
    # Whichever of the two says what it is paired with.
    named = other if theirs.formats else task.source
    yield (
        f"it runs the code of '{task.source}', but '{other}' is newer and has other code; "
        f"to take that of '{other}': jupytext --sync {shlex.quote(named)}; "
        f"to keep that of '{task.source}': touch {shlex.quote(task.source)}"
    )


def _code(parsed: Parsed) -> list[str]:
    """Return the lines of code, not cells: some text formats do not keep cells apart."""
    lines = (line for cell in parsed.cells for line in cell.source.splitlines())
    return [line.rstrip() for line in lines if line.strip()]
