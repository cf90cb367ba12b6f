"""Which files the patterns in jcache.toml list as notebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from nbbuild.config.types import Config
from nbbuild.errors import ConfigError, NbbuildError
from nbbuild.notebook.formats import is_text
from nbbuild.notebook.readers import Readers
from nbbuild.notebook.suffixes import suffix
from nbbuild.paths.pattern_indexes import PatternIndex
from nbbuild.paths.patterns import Pattern, literal_prefix
from nbbuild.paths.walk import Walker

_RENDERED: Final = "_build"
"""Where Sphinx, Jupyter Book and mystmd put their output, which includes copies of notebooks."""


def not_excluded(config: Config) -> Callable[[str], bool]:
    """Return a function that tells whether a path is not excluded."""
    excluded = PatternIndex(map(Pattern.parse, config.project.exclude))
    return lambda path: not excluded.matching(path)


def _is_rendered(path: str, pattern: Pattern) -> bool:
    """Whether a glob has matched `path` in a renderer's output, without naming that folder."""
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
    """Return the listed notebooks, in the order in which the patterns name them.

    Each comes with the first pattern that matches it. Faults are added to `errors`. No notebook is
    read; `is_notebook` is called for text files that globs match. `built()` is as in `load`.
    """
    wanted = not_excluded(config)
    found: dict[str, str] = {}
    ours: frozenset[str] | None = None

    def chosen_by(pattern: Pattern, path: str) -> bool:
        """Whether `path` is a notebook: always, if it is named in full or has a reader."""
        if suffix(path) == ".ipynb" or _in_full(pattern, path) or readers.configured(path):
            return True
        return is_text(path) and is_notebook(path)

    for text in config.project.notebooks:
        pattern = Pattern.parse(text)
        paths = [path for path in walker.match(pattern) if not _is_rendered(path, pattern)]
        chosen = [path for path in paths if wanted(path) and chosen_by(pattern, path)]
        met = [p for p in chosen if p.endswith(".ipynb") and not _in_full(pattern, p)]
        if met:
            # After `output` has changed, a glob may match what was built at the old place.
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
    """Whether `pattern` is simply the name of the file `path`."""
    return pattern.literal and pattern.path == path


def _only_built(text: str, paths: Sequence[str]) -> NbbuildError:
    return ConfigError(
        f"nbbuild itself wrote every notebook that matches '{text}'",
        facts=[
            ("declared in", "jcache.toml, [project] notebooks"),
            ("matches", ", ".join(paths[:3])),
        ],
        hint="to execute a built notebook again, name it in full",
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
