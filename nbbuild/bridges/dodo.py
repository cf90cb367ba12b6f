"""The notebooks of a project as tasks of a user's own `dodo.py`.

Importing is enough; doit takes any object that has `create_doit_tasks`:

    from nbbuild.bridges.dodo import notebook_tasks

`docs = notebook_tasks("docs")` gives those of the project in another folder. Each notebook is a
subtask `notebooks:<task name>`, or there `notebooks-docs:<task name>`, with its built notebook and
plain artefacts as targets and its source and assets as file_dep, so a user's own tasks can make
what notebooks read and read what they make. What such a task is to make has to be named in full, or
doit cannot know: `assets = ["data/a.csv"]`.

The action is a process, `nbbuild build <task>`, and never a Python function: doit swaps the
process's stdout around those, and with several of its workers pickles them. nbbuild judges in
that process once more; doit's own database only ever makes it look.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbbuild.errors import NbbuildError
from nbbuild.model import Task, Verdict
from nbbuild.paths.patterns import Pattern
from nbbuild.project.graph import is_made
from nbbuild.session import Session, open_session


class NotebookTasks:
    """The tasks of one project; see the module's docstring."""

    def __init__(
        self, directory: str = ".", *, file: str | None = None, basename: str | None = None
    ):
        self.directory = directory
        self.file = file
        self.basename = basename or _basename(directory)

    def __call__(
        self, directory: str = ".", *, file: str | None = None, basename: str | None = None
    ) -> NotebookTasks:
        """Return the tasks of another project.

        `basename` is the name of their group: "notebooks", with the folder unless that is ".".
        """
        return NotebookTasks(directory, file=file, basename=basename)

    def create_doit_tasks(self) -> Iterator[dict[str, Any]]:
        """Yield one dict a task, as doit wants them; raises what loading the project raises."""
        session = open_session(self.directory, file=self.file)
        where = os.path.normpath(Path(self.directory) / (self.file or "jcache.toml"))
        yield {"basename": self.basename, "name": None, "doc": f"build the notebooks of {where}"}
        is_fresh = _IsFresh(self.directory, self.file, session)
        for name in session.graph.order:
            task = session.graph.tasks[name]
            yield {
                "basename": self.basename,
                "name": _safe(name),
                "actions": [self._command(name)],
                "file_dep": [self._path(path) for path in self._inputs(session, task)],
                "targets": [self._path(path) for path in self._outputs(task)],
                "task_dep": [f"{self.basename}:{_safe(up)}" for up in session.graph.upstream(name)],
                "uptodate": [(is_fresh, [name])],
                "doc": f"build {task.source}",
                "verbosity": 2,
            }

    def _command(self, name: str) -> list[str]:
        where = ["-C", self.directory, *(["-f", self.file] if self.file else [])]
        return [sys.executable, "-m", "nbbuild", "build", *where, "--", name]

    def _path(self, path: str) -> str:
        return os.path.normpath(Path(self.directory) / path)

    def _inputs(self, session: Session, task: Task) -> list[str]:
        """Return the source and the assets: those that exist, and those that someone is to make."""
        found = {task.source}
        upstream = [session.graph.tasks[name] for name in session.graph.upstream(task.name)]
        ours = {path for other in upstream for path in self._outputs(other)}
        for text in task.assets:
            pattern = Pattern.parse(text)
            paths = session.inputs.asset_paths(task, pattern)
            found.update(paths)
            to_come = not paths and pattern.literal and not pattern.folder
            # It is a target of a task here, or of one of the user's. If a pattern of ours makes it,
            # it may turn out to be a folder, and doit takes only files.
            if to_come and (pattern.path in ours or not is_made(session.graph, task.name, text)):
                found.add(pattern.path)
        return sorted(found)

    def _outputs(self, task: Task) -> list[str]:
        literal = [Pattern.parse(text) for text in task.artefacts]
        return [task.built, *(p.path for p in literal if p.literal and not p.folder)]


class _IsFresh:
    """doit's `uptodate`: asks nbbuild. The project is loaded once, the files are looked at anew."""

    def __init__(self, directory: str, file: str | None, session: Session | None) -> None:
        self._directory = directory
        self._file = file
        self._session = session

    def __call__(self, name: str) -> bool:
        if self._session is None:
            self._session = open_session(self._directory, file=self._file)
        self._session.forget()
        try:
            return self._session.judge().final(name).verdict is Verdict.FRESH
        except NbbuildError:  # let the build itself say it
            return False

    def __getstate__(self) -> dict[str, Any]:
        # An open database cannot go to doit's worker processes; they open their own.
        return {**self.__dict__, "_session": None}


def _basename(directory: str) -> str:
    folder = re.sub(r"[^\w.]+", "-", os.path.normpath(directory)).strip("-")
    return "notebooks" if folder == "." else f"notebooks-{folder}"


def _safe(name: str) -> str:
    return name.replace("%", "%25").replace("=", "%3D").replace("*", "%2A")


notebook_tasks = NotebookTasks()
