"""Add notebooks to a project or remove them from it, by editing its jcache.toml.

The text is edited in memory first. It is written only if it is a valid jcache.toml, and the project
it describes has no problem that it did not have before.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nbbuild.config import load as configuration
from nbbuild.config.edit import ConfigFile
from nbbuild.config.paths import rooted
from nbbuild.config.types import Config
from nbbuild.disk import durable
from nbbuild.disk.durable import private_folder, writing
from nbbuild.disk.locks import lock
from nbbuild.disk.project_folder import DOT, LOCKS
from nbbuild.errors import ConfigError, NbbuildError, Problems, UsageError, did_you_mean, raise_all
from nbbuild.model import Task
from nbbuild.notebook.formats import is_notebook
from nbbuild.notebook.read import read
from nbbuild.notebook.readers import Readers
from nbbuild.paths.patterns import Pattern, can_meet, escape, has_magic, matches
from nbbuild.project.listing import listed
from nbbuild.session import session_of, walker_of
from nbbuild.text.quantities import number_of
from nbbuild.tree import Ledgers

_NEW = """\
# What nbbuild builds; `nbbuild init -n` shows what else can go here.

[project]
notebooks = []
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is declared about notebooks that are added; files and patterns as typed."""

    assets: Sequence[str] = ()
    modules: Sequence[str] = ()
    artefacts: Sequence[str] = ()
    reader: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What became of a jcache.toml: for each notebook or pattern, what changed, in words."""

    file: Path
    created: bool
    changed: bool
    notebooks: Mapping[str, Sequence[str]]
    notes: tuple[str, ...] = ()
    copy: Path | None = None  # of the file as it was before


def add(
    path: Path,
    words: Sequence[str],
    declared: Declared,
    *,
    folder: Path,
    environ: Mapping[str, str],
) -> Edited:
    """List the notebooks `words` in the jcache.toml `path`, which is made if it does not exist.

    Words are files or patterns, relative to `folder`. What is already listed is not listed twice,
    but its assets and so on are still added. Raises `UsageError`, `NotebookError` or
    `ConfigError`, and then nothing is written.
    """
    return _edited(_Editor(path, folder, environ), lambda editor: editor.add(words, declared))


def declare(
    path: Path, lines: Mapping[str, Mapping[str, Sequence[str]]], *, environ: Mapping[str, str]
) -> Edited:
    """Add `lines`, source → key → values in the form of jcache.toml, to the file `path`.

    Each goes to the plain [[notebook]] of its notebook, which is made if necessary. Raises
    `ConfigError`, and then nothing is written.
    """
    return _edited(_Editor(path, path.parent, environ), lambda editor: editor.declare(lines))


def remove(path: Path, words: Sequence[str], *, folder: Path, environ: Mapping[str, str]) -> Edited:
    """Remove the notebooks `words` from the jcache.toml `path`, with their [[notebook]] entries.

    What another pattern still matches is excluded. Raises `UsageError` for words that are not there
    and `ConfigError` if others need them, and then nothing is written.
    """
    return _edited(_Editor(path, folder, environ), lambda editor: editor.remove(words))


def clear(path: Path, *, environ: Mapping[str, str]) -> Edited:
    """Remove all notebooks from the jcache.toml `path`; keep a copy of the old file."""
    return _edited(_Editor(path, path.parent, environ), _Editor.clear, keep=True)


def _edited(editor: _Editor, change: Callable[[_Editor], object], *, keep: bool = False) -> Edited:
    while True:
        change(editor)
        done = editor.finish(keep=keep)
        if done is not None:
            return done
        editor = editor.again()  # somebody else has written the file in the meantime


@dataclass(frozen=True, slots=True)
class _TypedWord:
    """The meaning of a word on the command line."""

    text: str  # the pattern in normal form
    path: str = ""  # the one file that it names, "" for a pattern of many


class _Editor:
    """One change of one jcache.toml, in memory until `finish`."""

    def __init__(self, path: Path, folder: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._folder = folder
        self._environ = environ
        self._root = path.parent.resolve()
        self._created = not os.path.lexists(path)
        if self._created:
            self._old = b""
            self._file = ConfigFile(_NEW)
            self._before = self._config()
        else:
            self._before = configuration.load(path)
            self._old = path.read_bytes()
            self._file = ConfigFile(self._old.decode())
        self._first = self._file.text
        self._walker = walker_of(self._before)
        self._tasks: Sequence[Task] = ()
        self._assets: list[str] = []
        self._gone: list[str] = []
        self._changes: dict[str, list[str]] = {}
        self._notes: list[str] = []

    def again(self) -> _Editor:
        """Return an editor of the file as it is now."""
        return _Editor(self._path, self._folder, self._environ)

    # -- what is to change ---------------------------------------------------------------------

    def add(self, words: Sequence[str], declared: Declared) -> None:
        """List the notebooks that the words mean, with what is declared about them."""
        found = {self._word(word, must_exist=True): word for word in words}
        texts = {one.text: None for one in found}
        self._changes = {text: [] for text in texts}
        for value in self._file.take("exclude", lambda value: self._normal(value) in texts):
            self._changes[self._normal(value)].append("taken out of [project] exclude")
        if declared.reader:
            self._read_by(declared.reader, texts)
        config = self._config()
        readers = Readers(config.project.readers)
        raise_all(list(readers.unknown()))
        for one, word in found.items():
            self._check_notebook(one, word, readers)
        listed_by = self._listed(config)
        new = []
        for one in found:
            by = listed_by.get(one.path, "")
            if not by and one.text not in config.project.notebooks:
                new.append(one.text)
                self._changes[one.text].append("listed in [project] notebooks")
            elif by and by != one.text:
                self._notes.append(f"'{one.text}' was already listed, by '{by}'")
        self._file.append("notebooks", [_written(text) for text in new])
        self._declare(texts, declared)

    def declare(self, lines: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Declare the given values for each source."""
        texts = {escape(source): said for source, said in lines.items()}
        self._changes = {text: [] for text in texts}
        for text, said in texts.items():
            self._say(text, said)

    def remove(self, words: Sequence[str]) -> None:
        """Remove what the words mean."""
        found = {self._word(word, must_exist=False): word for word in words}
        texts = {one.text for one in found}
        listed_by = self._listed(self._before)
        self._changes = {one.text: [] for one in found}

        def unwanted(value: str) -> bool:
            return self._normal(value) in texts

        for value in self._file.take("notebooks", unwanted):
            self._changes[self._normal(value)].append("taken out of [project] notebooks")
        for entry in self._file.drop_entries(lambda entry: unwanted(entry["path"])):
            self._changes[self._normal(entry["path"])].append("its [[notebook]] was removed")
        raise_all(
            [
                _unknown(word, map(self._typed, [*listed_by, *self._before.project.notebooks]))
                for one, word in found.items()
                if not self._changes[one.text] and one.path not in listed_by
            ]
        )
        raise_all(list(self._needing(unwanted)))
        self._file.drop("readers", unwanted)
        self._gone = [one.path for one in found if one.path]
        self._exclude(set(self._gone))

    def clear(self) -> None:
        """Remove everything."""
        for key in ("notebooks", "exclude"):
            for value in self._file.take(key, lambda _: True):
                self._changes.setdefault(value, []).append(f"taken out of [project] {key}")
        for entry in self._file.drop_entries(lambda _: True):
            self._changes.setdefault(entry["path"], []).append("its [[notebook]] was removed")
        self._file.drop("readers", lambda _: True)

    def _read_by(self, reader: str, texts: Iterable[str]) -> None:
        """Let `reader` read the notebooks that it does not read yet."""
        before = Readers(self._before.project.readers)
        new = [text for text in texts if before.configured(text) != reader]
        self._file.drop("readers", lambda value: self._normal(value) in new)
        self._file.put("readers", {_written(text): reader for text in new})
        for text in new:
            self._changes[text].append(f"read by '{reader}'")

    def _declare(self, texts: Iterable[str], declared: Declared) -> None:
        """Add assets, modules and artefacts to the plain [[notebook]] of each of `texts`."""
        said = {
            "assets": [self._spelled(word, braces=True) for word in declared.assets],
            "modules": [self._module(word) for word in declared.modules],
            "artefacts": [self._spelled(word, braces=True) for word in declared.artefacts],
        }
        self._assets = said["assets"]
        for text in texts:
            self._say(text, said)

    def _say(self, text: str, said: Mapping[str, Sequence[str]]) -> None:
        """Add values to lists of the plain [[notebook]] of `text`."""
        own = (
            number
            for number, entry in enumerate(self._file.entries)
            if self._normal(entry["path"]) == text and not {"name", "matrix"} & entry.keys()
        )
        number = next(own, None)
        entry = {} if number is None else self._file.entries[number]
        new: dict[str, Any] = {}
        for key, values in said.items():
            plain = key in ("env", "depends_on")
            old = entry.get(key, [])
            known = {*old} if plain else {*map(self._normal, old)}
            more = [v if plain else _written(v) for v in dict.fromkeys(values) if v not in known]
            if more:
                new[key] = more
                self._changes[text].append(f"{key}: {', '.join(more)}")
        if number is not None:
            for key, more in new.items():
                self._file.extend(number, key, more)
        elif new:
            self._file.add_entry({"path": _written(text), **new})

    def _exclude(self, paths: set[str]) -> None:
        """Exclude those `paths` that a pattern still matches."""
        config = self._config()
        left = self._listed(config)
        empty = [
            text
            for text in config.project.notebooks
            if (met := {path for path in left if matches(Pattern.parse(text), path)})
            and met <= paths
        ]
        for value in self._file.take("notebooks", lambda value: self._normal(value) in empty):
            self._notes.append(f"'{value}' matched nothing else, so it was removed too")
        left = self._listed(self._config()) if empty else left
        excluded = [path for path in left if path in paths]
        self._file.append("exclude", [_written(escape(path)) for path in excluded])
        for path in excluded:
            why = f"added to [project] exclude, since '{left[path]}' matches it"
            self._changes[escape(path)].append(why)

    # -- what words mean -----------------------------------------------------------------------

    def _word(self, word: str, *, must_exist: bool) -> _TypedWord:
        text = self._spelled(word)
        target = self._folder / word
        pattern = Pattern.parse(text)
        if pattern.literal and not pattern.folder and not target.is_dir():
            if must_exist and not target.is_file():
                raise UsageError(
                    f"there is no notebook '{word}'",
                    facts=[("looked for", os.path.abspath(target))],  # noqa: PTH100 - keeps links
                    hint=did_you_mean(word, self._nearby(target, word)),
                )
            return _TypedWord(text, pattern.path)
        if not must_exist or has_magic(word) or target.is_dir():
            return _TypedWord(text)
        raise UsageError(f"there is no notebook '{word}'")

    def _nearby(self, target: Path, word: str) -> list[str]:
        """Return the files in the folder where the word looks for one, spelled like the word."""
        names = (path.name for path in target.parent.glob("*") if path.is_file())
        return [str(PurePosixPath(word).with_name(name)) for name in names]

    def _spelled(self, word: str, *, braces: bool = False, plain: bool = False) -> str:
        """Return a word of the command line as a pattern of jcache.toml, in normal form.

        If there is a file with exactly that name, the word means the file, even if the name holds
        wildcards or, with `braces`, what would be a placeholder. With `plain` the result is a path,
        not a pattern.
        """
        absolute = os.path.abspath(self._folder / word)  # noqa: PTH100 - links stay as they are
        base = os.path.abspath(self._path.parent)  # noqa: PTH100
        if not f"{absolute}/".startswith(f"{base.rstrip('/')}/"):
            # The folder may be reached through a link.
            base = str(self._root)
            absolute = str(Path(absolute).parent.resolve() / Path(absolute).name)
        text = Path(os.path.relpath(absolute, base)).as_posix()
        if not plain and os.path.lexists(absolute):
            text = escape(text)
            text = text.replace("{", "{{").replace("}", "}}") if braces else text
        return rooted(self._root, f"{text}/" if word.endswith("/") else text)

    def _typed(self, path: str) -> str:
        """Return a path seen from the root as it has to be typed."""
        return os.path.relpath(self._root / path, self._folder.resolve())

    def _module(self, word: str) -> str:
        is_file = word.endswith(".py") or "/" in word
        return self._spelled(word, plain=True) if is_file else word

    def _normal(self, value: str) -> str:
        return rooted(self._root, value)

    def _needing(self, unwanted: Callable[[str], bool]) -> Iterator[ConfigError]:
        """Yield an error for each entry that stays and depends, by name, on what is removed.

        Dependencies of other kinds, for example on a group, are found when the whole project is
        checked; but then entries have the numbers of the new file.
        """
        gone = {one.name for one in self._before.notebooks if one.name and unwanted(one.path)}
        for entry in self._before.notebooks:
            needed = [word for word in entry.depends_on if unwanted(word) or word in gone]
            if needed and not unwanted(entry.path):
                yield ConfigError(
                    f"'{entry.path}' depends on '{needed[0]}'",
                    facts=[("declared in", f"jcache.toml, {entry.where}, depends_on")],
                    hint="remove it there first",
                )

    # -- checks --------------------------------------------------------------------------------

    def _check_notebook(self, one: _TypedWord, word: str, readers: Readers) -> None:
        if one.text.startswith("../"):
            raise UsageError(
                f"the notebook '{word}' lies outside the project",
                facts=[("project", str(self._root))],
                hint="move jcache.toml to a folder that holds all notebooks",
            )
        if not one.path:
            return
        notebook = read(self._root, one.path, readers=readers)
        by_header = readers.name(one.path) == "jupytext" and not readers.configured(one.path)
        if by_header and not is_notebook(one.path, (self._root / one.path).read_bytes()):
            blocks = sum(cell.cell_type == "code" for cell in notebook.cells)
            raise UsageError(
                f"'{word}' does not say that it is a notebook",
                facts=[("would be executed", f"{number_of(blocks, 'block')} of code")],
                hint="a text notebook has a header with 'kernelspec' or 'jupytext', or a "
                "{code-cell}; `--reader jupytext` takes this one as it is",
            )

    def _config(self) -> Config:
        """Return the configuration now in the file; raise `ConfigError` if it is not valid."""
        return configuration.read(self._file.data, self._path)

    def _listed(self, config: Config) -> dict[str, str]:
        """Return each notebook that `config` lists, with the pattern that lists it."""
        return listed(
            config,
            walker=self._walker,
            readers=Readers(config.project.readers),
            is_notebook=lambda path: is_notebook(path, (self._root / path).read_bytes()),
            built=Ledgers(self._root / DOT).built_paths,
            errors=[],
        )

    def _check_project(self, config: Config) -> None:
        """Raise the problems that the project has now but did not have before."""
        if not config.project.notebooks and not config.notebooks:
            return  # the next build reports them, and until then there may be others
        problems = self._problems(config)
        if problems:
            known = {one.what for one in self._problems(self._before)} if self._old else set()
            raise_all([one for one in problems if one.what not in known])

    def _problems(self, config: Config) -> Sequence[NbbuildError]:
        try:
            config = configuration.with_environment(config, self._environ)
            with session_of(config, environ=self._environ) as session:
                self._tasks = session.project.tasks
        except Problems as problems:
            return problems.errors
        except NbbuildError as error:
            return (error,)
        return ()

    # -- the end -------------------------------------------------------------------------------

    def finish(self, *, keep: bool) -> Edited | None:
        """Check the result and write it; with `keep`, put a copy of the old file beside it.

        Returns None, with nothing written, if the file has changed since it was read.
        """
        config = self._config()
        changed = self._created or self._file.text != self._first
        if changed:
            self._check_project(config)
            self._look_around()
        copy = None
        if changed:
            dot = self._root / DOT
            with writing("jcache.toml cannot be locked", dot):
                private_folder(dot)
            with lock(dot / LOCKS / "config.lock"):
                target = self._path.resolve()
                now = target.read_bytes() if target.exists() else b""
                if now != self._old:
                    return None
                copy = durable.keep_copy(target) if keep else None
                mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666
                durable.write(target, self._file.text.encode(), mode=mode)
        return Edited(
            file=self._path,
            created=self._created,
            changed=changed,
            notebooks=self._changes,
            notes=tuple(self._notes),
            copy=copy,
        )

    def _look_around(self) -> None:
        """Record what is well-formed but probably a mistake."""
        made = [Pattern.parse(text) for task in self._tasks for text in task.artefacts]
        for text in self._assets:
            pattern = Pattern.parse(text)
            if "{" in text or self._walker.match(pattern):
                continue
            if not any(can_meet(pattern, one) for one in made):
                self._notes.append(f"no file matches the asset '{text}' so far")
        for path in self._gone:
            for task in self._tasks:
                if path in task.paired:
                    self._notes.append(
                        f"'{path}' is still built: it is paired with {task.source!r}"
                    )


def _written(text: str) -> str:
    # In jcache.toml, a leading "~" means somebody's home folder.
    return f"./{text}" if text.startswith("~") else text


def _unknown(word: str, known: Iterable[str]) -> UsageError:
    return UsageError(
        f"there is no notebook '{word}' in jcache.toml",
        hint=did_you_mean(word, known) or "`nbbuild list` shows what there is",
    )
