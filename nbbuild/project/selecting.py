"""Which tasks a word means: a target on the command line, or a word in `depends_on`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from nbbuild.errors import ConfigError, NbbuildError, did_you_mean, raise_all
from nbbuild.model import Task
from nbbuild.paths.pattern_indexes import PathIndex, PatternIndex
from nbbuild.paths.patterns import Pattern, can_meet, literal_prefix, matches

_Word = TypeVar("_Word")


class Selector:
    """Finds the tasks that a word means.

    A word is a notebook path, a task name, an artefact or a built notebook, a group, or a glob of
    notebook paths and task names, or otherwise of artefacts; a folder stands for all notebooks in
    it.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._meant: dict[str, tuple[str, ...]] = {}

    def select(self, word: str) -> tuple[str, ...]:
        """Return the names of the tasks that `word` means, in order; () if there are none."""
        if word not in self._meant:
            # A task found in several tables counts once: by its place, which is also its order.
            places = sorted(self._places(word))
            self._meant[word] = tuple(self._tasks[place].name for place in places)
        return self._meant[word]

    def exactly(self, word: str) -> tuple[str, ...]:
        """Return the names of the tasks that `word` means as a name, a file or a group."""
        return tuple(self._tasks[place].name for place in sorted(self._exact(word)))

    def _exact(self, word: str) -> set[int]:
        text = Pattern.parse(word).text if word else word
        exact = {*self._names.get(word, ()), *self._files.get(text, ())}
        return exact or {*self._groups.get(word, ())}

    def _places(self, word: str) -> set[int]:
        exact = self._exact(word)
        if exact:
            return exact
        pattern = Pattern.parse(word)
        named = {
            place
            for path in self._notebooks.matching(pattern)
            for place in (*self._names.get(path, ()), *self._sources.get(path, ()))
        }
        # Only then: the artefact pattern `out/**` may cover anything that `**/*.ipynb` matches.
        return named or {
            place
            for artefact in self._artefacts.meeting(pattern)
            if _means(pattern, artefact)
            for place in self._makers[artefact]
        }

    @cached_property
    def _names(self) -> Mapping[str, list[int]]:
        return places_by_word((task.name,) for task in self._tasks)

    @cached_property
    def _sources(self) -> Mapping[str, list[int]]:
        return places_by_word((task.source, *task.paired) for task in self._tasks)

    @cached_property
    def _files(self) -> Mapping[str, list[int]]:
        return places_by_word(
            (task.source, task.built, *task.paired, *task.artefacts) for task in self._tasks
        )

    @cached_property
    def _groups(self) -> Mapping[str, list[int]]:
        return places_by_word(task.groups for task in self._tasks)

    @cached_property
    def _notebooks(self) -> PathIndex:
        return PathIndex([*self._names, *self._sources])

    @cached_property
    def _makers(self) -> Mapping[Pattern, list[int]]:
        return places_by_word(map(Pattern.parse, task.artefacts) for task in self._tasks)

    @cached_property
    def _artefacts(self) -> PatternIndex:
        return PatternIndex(self._makers)


def places_by_word(words: Iterable[Iterable[_Word]]) -> dict[_Word, list[int]]:
    """Return for each word the places of the tasks that have the word."""
    found: dict[_Word, list[int]] = {}
    for place, those in enumerate(words):
        for word in those:
            found.setdefault(word, []).append(place)
    return found


def _means(word: Pattern, artefact: Pattern) -> bool:
    """Whether a word names what an artefact pattern can match; the files need not exist."""
    if word.literal:
        return matches(artefact, word.path)
    if not artefact.literal:
        return can_meet(word, artefact)
    # It may be a folder, but only `figs/*.png` means what is in `figs`; `**/*.png` does not.
    inside = f"{literal_prefix(word)}/".startswith(f"{artefact.path}/")
    return inside or matches(word, artefact.path)


def known_words(tasks: Sequence[Task]) -> set[str]:
    """Return every word that a user may have meant, for "did you mean"."""
    return {
        word
        for task in tasks
        for word in (task.name, task.source, *task.paired, *task.artefacts, *task.groups)
    }


def resolve_depends_on(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks with the words of `depends_on` replaced by names of tasks."""
    errors: list[NbbuildError] = []
    resolved: list[Task] = []
    words = Selector(tasks)
    for task in tasks:
        if not task.depends_on:
            resolved.append(task)
            continue
        names: dict[str, None] = {}
        for word in task.depends_on:
            found = [name for name in words.select(word) if name != task.name]
            if not found:
                errors.append(
                    ConfigError(
                        f"'{task.name}' depends on '{word}', but there is no such task",
                        facts=[("declared in", f"{task.declared_in}, depends_on")],
                        hint=did_you_mean(word, known_words(tasks))
                        or "name a notebook of this project, a task, an artefact or a group",
                    )
                )
            names.update(dict.fromkeys(found))
        resolved.append(replace(task, depends_on=tuple(names)))
    raise_all(errors)
    return resolved
