"""Which tasks a word of the command line means, in the folder in which it was typed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nbbuild.config.here import Here, is_outside
from nbbuild.errors import UsageError, did_you_mean
from nbbuild.model import Task
from nbbuild.paths.patterns import Pattern, has_magic, matches
from nbbuild.project.selecting import Selector


class Targets:
    """What words mean among `tasks`, typed in the folder `here`.

    A word is a path or a glob, seen from that folder. If no task has anything there, it may be the
    name of a task or a group, which is the same in all folders; the name of most tasks is the path
    of their notebook from the root. A word that begins with "/", "./" or "../" is only a path.
    """

    def __init__(self, tasks: Sequence[Task], here: Here, *, project: str) -> None:
        self._tasks = tasks
        self._here = here
        self._project = project
        self._words = Selector(tasks)
        self.looked: set[str] = set()
        """The paths at which a file, were it there, would be what a word means."""

    def select(self, word: str) -> tuple[str, ...]:
        """Return the names of the tasks that `word` means, in order.

        Raises `UsageError` when there is none.
        """
        found = self.find(word)
        if found:
            return found
        raise UsageError(
            f"there is no notebook, task, artefact or group '{word}'",
            facts=[("project", self._project)],
            hint=did_you_mean(word.removeprefix("./"), self.known())
            or "`nbbuild list` shows what there is",
        )

    def find(self, word: str) -> tuple[str, ...]:
        """Return the names of the tasks that `word` means, () if there is none.

        Raises `UsageError` for an empty word, and for a path that leads out of the project.
        """
        if not word.strip():
            raise UsageError("a target is empty", hint="is a variable of the command line not set?")
        only_path = word in (".", "..") or word.startswith(("/", "./", "../"))
        if not (self._here.folder or only_path):
            return self._words.select(word)
        text = self._here.meant(word)
        found = () if is_outside(text) else self._words.select(text)
        if found or not only_path:
            return found or self._named(word)
        if is_outside(text):
            raise UsageError(
                f"'{word}' lies outside the project",
                facts=[("project", self._project)],
                hint="-C FOLDER or -f FILE chooses another project",
            )
        return ()

    def known(self) -> set[str]:
        """Return every word that a user may have meant, for "did you mean"."""
        shown = self._here.shown
        return {
            word
            for task in self._tasks
            for word in (
                *_names(task),
                *map(shown, (task.source, *task.paired, *task.artefacts)),
            )
        }

    def _named(self, word: str) -> tuple[str, ...]:
        """Return the tasks of which `word` is a name, a group, or a path from the root."""
        if self._here.outside:
            return self._words.select(word)
        if has_magic(word):
            pattern = Pattern.parse(word)
            own = [task.name for task in self._tasks if task.name != task.source]
            return tuple(name for name in own if matches(pattern, name))
        if not any(word in _names(task) for task in self._tasks):
            # A file that lies here is what is meant, also if it is no target.
            path = self._here.absolute(word)
            self.looked.add(path)
            if os.path.lexists(path):
                return ()
        return self._words.exactly(word)


def _names(task: Task) -> tuple[str, ...]:
    """Return the names by which a task can be called that are no paths."""
    return (*([task.name] if task.name != task.source else []), *task.groups)
