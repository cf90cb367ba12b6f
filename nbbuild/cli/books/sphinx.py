"""Sphinx with MyST-NB or nbsphinx: `conf.py`, which is read and never executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from nbbuild.cli.books.book import Book, ContentsLine, Never
from nbbuild.cli.books.content import anywhere, boolean, name, seconds, table, texts, unreadable
from nbbuild.paths.patterns import has_magic

_OLD = {
    "jupyter_execute_notebooks": "nb_execution_mode",
    "execution_excludepatterns": "nb_execution_excludepatterns",
    "execution_timeout": "nb_execution_timeout",
    "execution_allow_errors": "nb_execution_allow_errors",
}
"""Names that MyST-NB's settings had before, which it still takes."""

_ASIDE = ("templates_path", "html_static_path", "html_extra_path")
"""Settings that name folders where Sphinx looks for no pages."""

_READ = frozenset(
    {
        "nb_execution_mode",
        "nb_execution_excludepatterns",
        "nb_execution_timeout",
        "nb_execution_allow_errors",
        "nb_kernel_rgx_aliases",
        "nbsphinx_execute",
        "nbsphinx_timeout",
        "nbsphinx_allow_errors",
        "nbsphinx_kernel_name",
        "exclude_patterns",
        "include_patterns",
        *_OLD,
    }
)

_NOISE = frozenset({"_build", ".ipynb_checkpoints", "Thumbs.db", ".DS_Store"})
"""What a new `conf.py` leaves out, and no glob of nbbuild's meets."""

_EXTENSIONS = frozenset({"myst_nb", "nbsphinx", "sphinx_external_toc"})


def concerns_notebooks(path: Path) -> bool:
    """Tell whether this `conf.py` is one of Sphinx, for a documentation with notebooks.

    Raises ConfigError.
    """
    settings, unknown = _assigned(path)
    extensions = {name.partition(".")[0] for name in texts(settings.get("extensions"))}
    names = {*settings, *unknown}
    return bool(extensions & _EXTENSIONS) or any(
        name in _OLD or name.startswith(("nb_", "nbsphinx_")) for name in names
    )


def read(path: Path) -> Book:
    """Return what a `conf.py` says. Raises ConfigError."""
    # What sphinx-quickstart proposes: `source` and `build` side by side.
    made = ("../build",) if path.parent.resolve().name == "source" else ()
    return with_conf(Book(named_in=path, made=made), path)


def with_conf(book: Book, path: Path) -> Book:
    """Add what the `conf.py` at `path` says. Raises ConfigError."""
    settings, unknown = _assigned(path)
    book = with_settings(book, settings, path.name)
    computed = sorted(unknown & _READ)
    notes = [f"{path.name} computes {name}, which is not carried over" for name in computed]
    return replace(book, notes=(*book.notes, *notes))


def with_settings(
    book: Book,
    settings: Mapping[str, Any],
    origin: str,
    *,
    names: Mapping[str, str] | None = None,
) -> Book:
    """Add what Sphinx's `settings`, which stand in the file `origin`, say.

    `names` are those that the settings have in that file, where they differ from Sphinx's.
    """
    settings = {_OLD.get(key, key): value for key, value in settings.items()}
    called = {key: (names or {}).get(key, key) for key in settings}
    timeout = settings.get("nb_execution_timeout", settings.get("nbsphinx_timeout"))
    allow_errors = settings.get("nb_execution_allow_errors", settings.get("nbsphinx_allow_errors"))
    aliases = table(settings, "nb_kernel_rgx_aliases")
    include = [text for text in texts(settings.get("include_patterns")) if text != "**"]
    if book.entries is None and include:
        parts = [one for text in include for one in _pattern(text)]
        book = replace(book, entries=tuple(ContentsLine(text, is_glob=True) for text in parts))
    exclude = texts(settings.get("exclude_patterns"))
    aside = [text for name in _ASIDE for text in texts(settings.get(name))]
    why = f"{called.get('nb_execution_excludepatterns', '')} of {origin}"
    never = map(anywhere, texts(settings.get("nb_execution_excludepatterns")))
    return replace(
        book,
        exclude=(*book.exclude, *(one for text in exclude for one in _pattern(text))),
        unseen=(*book.unseen, *(one for text in aside for one in _pattern(text))),
        never=(*book.never, *(Never(text, why) for text in never if text)),
        settings_in=origin,
        timeout=seconds(timeout),
        allow_errors=boolean(allow_errors),
        kernel=name(settings.get("nbsphinx_kernel_name")),
        kernel_patterns={
            pattern: name(other)
            for pattern, other in aliases.items()
            if isinstance(pattern, str) and name(other)
        },
        off=_off(settings, called, origin),
    )


def _off(settings: Mapping[str, Any], called: Mapping[str, str], origin: str) -> str:
    # YAML reads an unquoted `off` as false.
    if settings.get("nb_execution_mode") in ("off", False):
        return f"{origin} has {called['nb_execution_mode']} off"
    if settings.get("nbsphinx_execute") == "never":
        return f"{origin} has nbsphinx_execute never"
    return ""


def _pattern(text: str) -> Iterator[str]:
    """Yield the patterns of nbbuild that mean what one of Sphinx does."""
    if _NOISE.intersection(part.lstrip("*") for part in text.split("/")):
        return
    text = text.rstrip("/")
    # In `**name`, the stars take folders too.
    if text.startswith("**") and not text.startswith("**/") and text != "**":
        text = f"**/*{text[2:]}"
    if not text:
        return
    # What matches a folder leaves out all that is in it.
    if text.endswith("/*"):
        yield f"{text}*"
        return
    yield text
    if has_magic(text) and not text.endswith("/**") and not PurePosixPath(text).suffix:
        yield f"{text}/**"


# -- conf.py, without executing it -------------------------------------------------------------


def _assigned(path: Path) -> tuple[dict[str, Any], set[str]]:
    """Return the names that `path` gives plain values, and those that it gives other ones."""
    try:
        module = ast.parse(path.read_bytes(), filename=path.name)
    except (SyntaxError, ValueError, RecursionError, OSError) as error:
        raise unreadable(path, error, "Python") from error
    values: dict[str, Any] = {}
    unknown: set[str] = set()
    for statement in module.body:
        _follow(statement, values, unknown)
    return values, unknown


def _follow(statement: ast.stmt, values: dict[str, Any], unknown: set[str]) -> None:
    """Do what one statement does to the names of the module, as far as one can tell."""
    for target, compute in _changes(statement, values):
        try:
            values[target] = compute()
            unknown.discard(target)
        except (ValueError, TypeError, KeyError, RecursionError, MemoryError):
            values.pop(target, None)
            unknown.add(target)


def _changes(
    statement: ast.stmt, values: Mapping[str, Any]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    match statement:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, lambda: _value(value, values)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, lambda: _value(value, values)
        case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
            yield name, lambda: operator.add(values[name], _value(value, values))
        case ast.Expr(ast.Call(ast.Attribute(ast.Name(id=name), method), [value], [])) if (
            name in values
        ):
            yield name, lambda: _grown(values[name], method, _value(value, values))
        case ast.If() | ast.Try() | ast.With() | ast.For() | ast.While():
            # Which way it goes is not known.
            for inner in ast.walk(statement):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    yield inner.id, _computed


def _computed() -> Any:
    raise ValueError("computed")


def _grown(known: Any, method: str, value: Any) -> Any:
    if isinstance(known, list) and method in ("append", "extend"):
        return [*known, value] if method == "append" else [*known, *value]
    if isinstance(known, dict) and method == "update":
        return {**known, **value}
    return _computed()


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Return the value of a literal, of a name that has one, or of a sum of such."""
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return operator.add(_value(left, values), _value(right, values))
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, values) for item in items]
        case _:
            return ast.literal_eval(node)
