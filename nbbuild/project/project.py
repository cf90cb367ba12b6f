"""Turn a configuration and the files it names into tasks."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol, TypeVar

from nbbuild.config.load import Config, NotebookEntry, check_artefact, expand
from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.shapes import Misshapen, Shape, is_unicode, packed
from nbbuild.errors import ConfigError, NbbuildError, NotebookError, did_you_mean, raise_all
from nbbuild.model import Digest, Parsed, Settings, Task
from nbbuild.notebook.formats import PARSE_VERSION, is_notebook, is_text, reader_identity
from nbbuild.notebook.loads import loaded_text
from nbbuild.notebook.readers import Readers
from nbbuild.notebook.suffixes import suffix
from nbbuild.paths.patterns import (
    PathIndex,
    Pattern,
    PatternIndex,
    can_meet,
    literal_prefix,
    matches,
)
from nbbuild.paths.walk import Walker

_RENDERED: Final = "_build"
"""Where Sphinx, Jupyter Book and mystmd put what they make: copies of the notebooks, too."""


_Word = TypeVar("_Word")

_PARSED: Shape[Parsed] = Shape(Parsed)


class Digests(Protocol):
    """What is asked of the table of file digests."""

    def digest(self, path: Path | str) -> Digest | None:
        """Return a file's digest, None when it is not there."""
        ...

    def fresh(self, path: Path | str) -> Digest | None:
        """Return it, trusting no digest taken earlier of a file that may have changed since."""
        ...


@dataclass(frozen=True, slots=True)
class Project:
    """A loaded `jcache.toml`: its tasks, and what their notebooks say.

    `unreadable` holds the error of each notebook that could not be read; its tasks are among
    `tasks` all the same, so that only the targets that need them stop.
    """

    root: Path
    config: Config
    tasks: tuple[Task, ...]
    parsed: Mapping[str, Parsed]  # source → what it says
    unreadable: Mapping[str, NotebookError]  # source → why not
    output: str = field(default="_build/executed")


class Readings:
    """Parsed notebooks, remembered by their bytes, their reader, its version and configuration."""

    def __init__(
        self,
        root: Path,
        *,
        digests: Digests,
        recall: Callable[[str, str], bytes | None],
        remember: Callable[[str, str, bytes], None],
        parse: Callable[[str], Parsed],
        readers: Readers | None = None,
    ) -> None:
        self._root = root
        self._digests = digests
        self._recall = recall
        self._remember = remember
        self._parse = parse
        self.readers = readers or Readers()
        self._read: dict[str, tuple[str, Parsed]] = {}
        self.anew: set[str] = set()
        """The notebooks that had to be parsed, since what they say was not remembered."""
        self._identities: dict[tuple[str, str, str], str] = {}

    def is_notebook(self, path: str) -> bool:
        """Whether the text file `path`, met by a glob, is a notebook; remembered by its bytes."""
        digest = self._digests.digest(f"{self._root}/{path}")
        if digest is None:
            return False
        key = "\n".join((digest, suffix(path), str(PARSE_VERSION)))
        known = self._recall("is_notebook", key)
        if known is not None:
            return bool(known)
        try:
            data = (self._root / path).read_bytes()
        except OSError:
            return True  # reading it as a notebook says what is wrong
        found = is_notebook(path, data)
        if digest_bytes(data) == digest:  # else it has just changed
            self._remember("is_notebook", key, b"yes" if found else b"")
        return found

    def parsed(self, source: str) -> Parsed:
        """Return what the notebook `source` says; raise `NotebookError` if it cannot be read."""
        digest = self._digests.digest(f"{self._root}/{source}")
        if digest is None:
            raise NotebookError(f"'{source}' is not a file that can be read")
        key = "\n".join((digest, source, self.identity(source)))
        held = self._read.get(source)
        if held is not None and held[0] == key:
            return held[1]
        said = self._recalled(key)
        if said is None:
            said = self._parse(source)
            _check_text(source, said)
            if self._digests.fresh(f"{self._root}/{source}") != digest:
                return self.parsed(source)  # it has just changed: these may be other bytes
            self.anew.add(source)
            self._remember("parsed", key, packed(said))
        self._read[source] = (key, said)
        return said

    def identity(self, source: str) -> str:
        """Return how `source` is read; looked up once for all notebooks of a kind in a folder."""
        folder, name = posixpath.split(source)
        kind = (folder, posixpath.splitext(name)[1], self.readers.configured(source))
        if kind not in self._identities:
            self._identities[kind] = reader_identity(self._root, source, self.readers)
        return self._identities[kind]

    def forget(self) -> None:
        """Look at the readers' configuration anew."""
        self._identities.clear()

    def _recalled(self, key: str) -> Parsed | None:
        data = self._recall("parsed", key)
        if data is None:
            return None
        try:
            return _PARSED.unpack(data)
        except Misshapen:  # written by another version: read the notebook again
            return None


def _check_text(source: str, parsed: Parsed) -> None:
    """Raise `NotebookError` if what counts of a notebook cannot be sent to a kernel, or hashed."""
    bad = next((cell for cell in parsed.cells if not is_unicode(cell.source)), None)
    if bad is None and packed(parsed)[:1] != b"{":  # as JSON: something else is no text
        return
    where = "its metadata" if bad is None else f"cell {bad.index + 1}"
    raise NotebookError(
        f"'{source}' holds what is no text",
        facts=[("in", where), ("reason", "half of a surrogate pair stands alone there")],
        hint="remove the character, or write it as an escape sequence of the language",
    )


def load(
    config: Config,
    *,
    walker: Walker,
    readings: Readings,
    pair: Callable[[str, str], tuple[str, ...]],
    built: Callable[[], frozenset[str]] = frozenset,
) -> Project:
    """Expand `config` into tasks.

    `pair(source, formats)` gives the other files of a Jupytext pair. `built()` are the notebooks
    that nbbuild itself wrote; no glob makes sources of them. Raises `ConfigError`, or
    `Problems` with all of them: patterns that match nothing, two tasks of one name or one file.
    """
    errors: list[NbbuildError] = []
    if not config.project.notebooks and not config.notebooks:
        errors.append(_lists_nothing(config))
    wanted = _wanted(config)
    sources = tuple(
        listed(
            config,
            walker=walker,
            readers=readings.readers,
            is_notebook=readings.is_notebook,
            built=built,
            errors=errors,
        )
    )
    contents = _Contents(config.root, readings, pair)
    for source in sources:
        contents.read(source)
    pairs = _pairs(sources, contents, wanted)
    if sources and not pairs:
        errors.append(_all_excluded(sources))
    tasks: list[Task] = []
    used: set[str] = set()
    entries = _Entries(config.notebooks)
    for source, paired in pairs.items():
        tasks += _tasks_of(source, paired, config, entries, used, errors)
    known = [path for source, paired in pairs.items() for path in (source, *paired)]
    errors += [
        _matches_no_notebook(entry, known) for entry in config.notebooks if entry.where not in used
    ]
    errors += readings.readers.problems(known)
    errors += _clashes(tasks)
    raise_all(errors)
    tasks = _resolve_depends_on(tasks)
    return Project(
        root=config.root,
        config=config,
        tasks=tuple(tasks),
        parsed=contents.parsed,
        unreadable=contents.unreadable,
        output=config.project.output,
    )


# -- which notebooks ---------------------------------------------------------------------------


def _wanted(config: Config) -> Callable[[str], bool]:
    """Return what tells whether a path is not excluded."""
    excluded = PatternIndex(map(Pattern.parse, config.project.exclude))
    return lambda path: not excluded.matching(path)


def _is_rendered(path: str, pattern: Pattern) -> bool:
    """Whether a glob has met `path` in what a renderer made, without naming that folder."""
    named = literal_prefix(pattern).split("/")
    return _RENDERED in path.split("/")[:-1] and _RENDERED not in named


def listed(
    config: Config,
    *,
    walker: Walker,
    readers: Readers,
    is_notebook: Callable[[str], bool],
    built: Callable[[], frozenset[str]],
    errors: list[NbbuildError],
) -> dict[str, str]:
    """Return the notebooks that are listed, in the order in which the patterns name them.

    Each comes with the first pattern that means it. What is wrong is added to `errors`. No notebook
    is read; `is_notebook` is asked of text files that globs meet. `built()` as in `load`.
    """
    wanted = _wanted(config)
    found: dict[str, str] = {}
    ours: frozenset[str] | None = None

    def chosen_by(pattern: Pattern, path: str) -> bool:
        """Whether `path` is a notebook: what is named in full or has a reader always is."""
        if suffix(path) == ".ipynb" or _in_full(pattern, path) or readers.configured(path):
            return True
        return is_text(path) and is_notebook(path)

    for text in config.project.notebooks:
        pattern = Pattern.parse(text)
        paths = [path for path in walker.match(pattern) if not _is_rendered(path, pattern)]
        chosen = [path for path in paths if wanted(path) and chosen_by(pattern, path)]
        met = [p for p in chosen if p.endswith(".ipynb") and not _in_full(pattern, p)]
        if met:
            # After `output` has changed, what was built lies where a glob may meet it.
            ours = built() if ours is None else ours
            mine = ours.intersection(met)
            chosen = [path for path in chosen if path not in mine]
        if met and not chosen:
            errors.append(_only_built(text, met))
        elif not chosen:
            errors.append(_nothing_matches(text, paths, wanted))
        for path in chosen:
            found.setdefault(path, text)
    for entry in config.notebooks:
        pattern = Pattern.parse(entry.path)
        if pattern.literal and wanted(pattern.path) and walker.match(pattern) == [pattern.path]:
            found.setdefault(pattern.path, entry.path)
    outside = [path for path in found if path.startswith("../")]
    errors += [
        ConfigError(
            f"the notebook '{path}' lies outside the project",
            facts=[("declared in", "jcache.toml, [project] notebooks")],
            hint="move jcache.toml to a folder that holds all notebooks",
        )
        for path in outside
    ]
    return {path: text for path, text in found.items() if not path.startswith("../")}


def _in_full(pattern: Pattern, path: str) -> bool:
    """Whether `pattern` is just the name of the file `path`."""
    return pattern.literal and pattern.path == path


def _only_built(text: str, paths: Sequence[str]) -> NbbuildError:
    return ConfigError(
        f"nbbuild itself wrote every notebook that matches '{text}'",
        facts=[
            ("declared in", "jcache.toml, [project] notebooks"),
            ("matches", ", ".join(paths[:3])),
        ],
        hint="to execute what was built once more, name it in full",
    )


def _nothing_matches(
    text: str, paths: Sequence[str], wanted: Callable[[str], bool]
) -> NbbuildError:
    where = [("declared in", "jcache.toml, [project] notebooks")]
    if not paths:
        missing = Pattern.parse(text).literal
        return ConfigError(
            f"the notebook '{text}' does not exist" if missing else f"no file matches '{text}'",
            facts=where,
            hint="paths are relative to the folder of jcache.toml",
        )
    if not any(wanted(path) for path in paths):
        return ConfigError(
            f"[project] exclude leaves nothing of '{text}'",
            facts=where,
            hint="remove one of the two patterns",
        )
    return ConfigError(
        f"no file that matches '{text}' is a notebook",
        facts=[*where, ("matches", ", ".join(paths[:3]))],
        hint="a text notebook has a header with 'kernelspec' or 'jupytext', or a {code-cell}",
    )


class _Contents:
    """What the notebooks say; the errors of those that cannot be read are kept, not raised."""

    def __init__(
        self, root: Path, readings: Readings, pair: Callable[[str, str], tuple[str, ...]]
    ) -> None:
        self.parsed: dict[str, Parsed] = {}
        self.unreadable: dict[str, NotebookError] = {}
        self._root = root
        self._readings = readings
        self._pair = pair

    def read(self, source: str) -> None:
        """Read the notebook `source` and see that the files which its cells load are there.

        What a notebook says is remembered, and those files may have gone since.
        """
        if source in self.parsed or source in self.unreadable:
            return
        try:
            said = self.parsed[source] = self._readings.parsed(source)
            for cell in said.cells:
                if cell.load:
                    loaded_text(self._root, cell.load, wanted_by=f"a cell of '{source}'")
        except NotebookError as error:
            self.unreadable[source] = error

    def paired_with(self, source: str) -> tuple[str, ...]:
        """Return the other existing files of the Jupytext pair of `source`, which was read."""
        formats = self.parsed[source].formats if source in self.parsed else ""
        try:
            return self._pair(source, formats) if formats else ()
        except NotebookError as error:
            self.unreadable.setdefault(source, error)
            return ()


def _pairs(
    sources: Sequence[str], contents: _Contents, wanted: Callable[[str], bool]
) -> dict[str, tuple[str, ...]]:
    """Map the source of each task to the other files of its Jupytext pair.

    Of a pair the text is the source, as it is for Jupytext, also when only its .ipynb is listed.
    A pair whose texts are all excluded is left out.
    """
    tasks: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    listed = set(sources)
    for source in sources:
        if source in taken:
            continue
        members = (source, *contents.paired_with(source))
        taken.update(members)
        # A text outside the root cannot be a source.
        texts = [m for m in members if not m.endswith(".ipynb") and not m.startswith("../")]
        candidates = [text for text in texts if wanted(text)] if texts else [source]
        if candidates:
            chosen = min(candidates, key=lambda path: path not in listed)
            contents.read(chosen)
            tasks[chosen] = tuple(sorted({*members} - {chosen}))
    return tasks


# -- which tasks -------------------------------------------------------------------------------

_LISTS = (
    "assets",
    "modules",
    "packages",
    "env",
    "artefacts",
    "scratch",
    "depends_on",
    "groups",
)


class _Entries:
    """The [[notebook]] entries, to be asked for those that match."""

    def __init__(self, entries: Sequence[NotebookEntry]) -> None:
        self._entries = entries
        self._by_pattern = _by_word([Pattern.parse(entry.path)] for entry in entries)
        self._index = PatternIndex(self._by_pattern)

    def matching(self, paths: Iterable[str]) -> list[NotebookEntry]:
        """Return the entries that match any of `paths`, in order."""
        places = {
            place
            for path in paths
            for pattern in self._index.matching(path)
            for place in self._by_pattern[pattern]
        }
        return [self._entries[place] for place in sorted(places)]


def _tasks_of(
    source: str,
    paired: tuple[str, ...],
    config: Config,
    declared: _Entries,
    used: set[str],
    errors: list[NbbuildError],
) -> list[Task]:
    """Return the tasks of one notebook: the plain one, or those of its `name`s and `matrix`es."""
    entries = declared.matching((source, *paired))
    used.update(entry.where for entry in entries)
    own = [entry for entry in entries if entry.name or entry.matrix]
    general = [entry for entry in entries if not (entry.name or entry.matrix)]
    stem = PurePosixPath(source).stem
    tasks: list[Task] = []
    choices: list[NotebookEntry | None] = [*own] or [None]
    for entry in choices:
        merged = _Merged(config)
        for one in [*general, *([entry] if entry else [])]:
            merged.add(one)
        for chosen in _combinations(entry.matrix if entry else {}):
            name = _name(entry.name if entry else "", stem, chosen) if entry else ""
            try:
                tasks.append(merged.task(source, paired, name, chosen))
            except ConfigError as error:
                errors.append(error)
    return tasks


def _combinations(matrix: Mapping[str, Sequence[Any]]) -> Iterable[dict[str, Any]]:
    for values in itertools.product(*matrix.values()):
        yield dict(zip(matrix, values, strict=True))


def _name(declared: str, stem: str, chosen: Mapping[str, Any]) -> str:
    """Return `<name or stem>-<key>-<value>…`, safe in file names and make rules."""
    parts = [declared or stem, *(f"{key}-{value}" for key, value in chosen.items())]
    return re.sub(r"[^\w.+,-]+", "_", "-".join(parts))


class _Merged:
    """What the entries that match one notebook say together: lists add up, later scalars win."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lists: dict[str, tuple[str, ...]] = dict.fromkeys(_LISTS, ())
        self._lists["packages"] = config.environment.packages
        self._lists["env"] = config.environment.env
        self._lists["scratch"] = config.project.scratch
        self._parameters: dict[str, Any] = {}
        self._settings = Settings()
        self._max_age: float | None = None
        self._cache = True
        self._where = "jcache.toml, [project] notebooks"

    def add(self, entry: NotebookEntry) -> None:
        for name in _LISTS:
            self._lists[name] += tuple(getattr(entry, name))
        self._parameters.update(entry.parameters)
        self._settings = entry.settings.over(self._settings)
        if entry.max_age is not None:
            self._max_age = entry.max_age
        if entry.cache is not None:
            self._cache = entry.cache
        self._where = f"jcache.toml, {entry.where}"

    def task(
        self, source: str, paired: tuple[str, ...], name: str, chosen: Mapping[str, Any]
    ) -> Task:
        parameters = {**self._parameters, **chosen}
        path = PurePosixPath(source)
        values = {"stem": path.stem, **{key: str(value) for key, value in parameters.items()}}
        lists = {key: tuple(dict.fromkeys(values_)) for key, values_ in self._lists.items()}
        for key in ("assets", "artefacts", "scratch"):
            lists[key] = tuple(
                Pattern.parse(expand(text, values, self._where)).text for text in lists[key]
            )
        for text in lists["artefacts"]:
            check_artefact(text, facts=[("in", self._where)])
        for text in lists["scratch"]:
            check_artefact(text, what="scratch", facts=[("in", self._where)])
        built = path.with_name(f"{name}.ipynb") if name else path.with_suffix(".ipynb")
        return Task(
            name=name or source,
            source=source,
            built=str(PurePosixPath(self._config.project.output) / built),
            paired=paired,
            files=self._config.environment.files,
            commands=self._config.environment.commands,
            parameters=parameters,
            max_age=self._max_age,
            cache=self._cache,
            python_path=self._config.project.python_path,
            settings=self._settings,
            declared_in=self._where,
            **lists,
        )


# -- what cannot be ----------------------------------------------------------------------------


def _lists_nothing(config: Config) -> NbbuildError:
    return ConfigError(
        f"'{config.path.name}' lists no notebooks",
        facts=[("in", str(config.path))],
        hint="name them in [project] notebooks; `nbbuild init --force` writes a file that "
        "does, and keeps a copy of this one",
    )


def _all_excluded(sources: Sequence[str]) -> NbbuildError:
    return ConfigError(
        "[project] exclude leaves no notebook",
        facts=[("listed", ", ".join(sources[:3]))],
        hint="exclude leaves out a Jupytext pair when it matches the pair's text",
    )


def _matches_no_notebook(entry: NotebookEntry, sources: Sequence[str]) -> NbbuildError:
    near = did_you_mean(entry.path, sources)
    literal = Pattern.parse(entry.path).literal
    return ConfigError(
        f"the notebook '{entry.path}' does not exist"
        if literal
        else f"no notebook of the project matches '{entry.path}'",
        facts=[("declared in", f"jcache.toml, {entry.where}")],
        hint=near or "paths are relative to the folder of jcache.toml; see also [project] exclude",
    )


def _clashes(tasks: Sequence[Task]) -> list[NbbuildError]:
    """Return an error for each two tasks that have one name or write one built notebook."""
    errors: list[NbbuildError] = []
    for what, of in (("are both named", "name"), ("would both write", "built")):
        seen: dict[str, Task] = {}
        for task in tasks:
            other = seen.setdefault(getattr(task, of), task)
            if other is task or (of == "built" and other.name == task.name):
                continue
            errors.append(
                ConfigError(
                    f"'{other.source}' and '{task.source}' {what} '{getattr(task, of)}'"
                    if other.source != task.source
                    else f"two tasks of '{task.source}' {what} '{getattr(task, of)}'",
                    facts=[("declared in", other.declared_in), ("and in", task.declared_in)],
                    hint="give one of them another `name`, or leave it out with [project] exclude",
                )
            )
    return errors


# -- names of tasks ----------------------------------------------------------------------------


def select(tasks: Sequence[Task], word: str) -> tuple[str, ...]:
    """Return the names of the tasks that `word` means, () when there are none; see `Words`."""
    return Words(tasks).select(word)


class Words:
    """What words mean among `tasks`.

    A word is a notebook path, a task name, an artefact or a built notebook, a group, or a glob of
    notebook paths and task names, or else of artefacts; a folder stands for all notebooks in it.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._meant: dict[str, tuple[str, ...]] = {}

    def select(self, word: str) -> tuple[str, ...]:
        """Return the names of the tasks that `word` means, in order; () when there are none."""
        if word not in self._meant:
            # One task that several tables give is one: by its place, which is its order, too.
            places = sorted(self._places(word))
            self._meant[word] = tuple(self._tasks[place].name for place in places)
        return self._meant[word]

    def _places(self, word: str) -> set[int]:
        text = Pattern.parse(word).text if word else word
        exact = {*self._names.get(word, ()), *self._files.get(text, ())}
        if exact or word in self._groups:
            return exact or {*self._groups[word]}
        pattern = Pattern.parse(word)
        named = {
            place
            for path in self._notebooks.matching(pattern)
            for place in (*self._names.get(path, ()), *self._sources.get(path, ()))
        }
        # Only then: under the artefacts `out/**` there may be anything that `**/*.ipynb` matches.
        return named or {
            place
            for artefact in self._artefacts.meeting(pattern)
            if _means(pattern, artefact)
            for place in self._makers[artefact]
        }

    @cached_property
    def _names(self) -> Mapping[str, list[int]]:
        return _by_word((task.name,) for task in self._tasks)

    @cached_property
    def _sources(self) -> Mapping[str, list[int]]:
        return _by_word((task.source, *task.paired) for task in self._tasks)

    @cached_property
    def _files(self) -> Mapping[str, list[int]]:
        return _by_word(
            (task.source, task.built, *task.paired, *task.artefacts) for task in self._tasks
        )

    @cached_property
    def _groups(self) -> Mapping[str, list[int]]:
        return _by_word(task.groups for task in self._tasks)

    @cached_property
    def _notebooks(self) -> PathIndex:
        return PathIndex([*self._names, *self._sources])

    @cached_property
    def _makers(self) -> Mapping[Pattern, list[int]]:
        return _by_word(map(Pattern.parse, task.artefacts) for task in self._tasks)

    @cached_property
    def _artefacts(self) -> PatternIndex:
        return PatternIndex(self._makers)


def _by_word(words: Iterable[Iterable[_Word]]) -> dict[_Word, list[int]]:
    """Return for each word the places of the tasks that have it."""
    found: dict[_Word, list[int]] = {}
    for place, those in enumerate(words):
        for word in those:
            found.setdefault(word, []).append(place)
    return found


def _means(word: Pattern, artefact: Pattern) -> bool:
    """Whether a word names what an artefact pattern can match; the files need not be there."""
    if word.literal:
        return matches(artefact, word.path)
    if not artefact.literal:
        return can_meet(word, artefact)
    # It may be a folder, but only `figs/*.png` means what lies in `figs`; `**/*.png` does not.
    inside = f"{literal_prefix(word)}/".startswith(f"{artefact.path}/")
    return inside or matches(word, artefact.path)


def known_words(tasks: Sequence[Task]) -> set[str]:
    """Return every word that a user may have meant, for "did you mean"."""
    return {
        word
        for task in tasks
        for word in (task.name, task.source, *task.paired, *task.artefacts, *task.groups)
    }


def _resolve_depends_on(tasks: Sequence[Task]) -> list[Task]:
    errors: list[NbbuildError] = []
    resolved: list[Task] = []
    words = Words(tasks)
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
                        f"'{task.name}' depends on '{word}', which no task is called",
                        facts=[("declared in", f"{task.declared_in}, depends_on")],
                        hint=did_you_mean(word, known_words(tasks))
                        or "name a notebook of this project, a task, an artefact or a group",
                    )
                )
            names.update(dict.fromkeys(found))
        resolved.append(replace(task, depends_on=tuple(names)))
    raise_all(errors)
    return resolved
