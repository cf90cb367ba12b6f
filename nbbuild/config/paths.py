"""Read the paths, patterns and names of jcache.toml; readers as in config_values."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from nbbuild.config.values import Reader, filled, quoted, table
from nbbuild.disk.project_folder import DOT
from nbbuild.errors import ConfigError, NbbuildError, raise_all
from nbbuild.paths.patterns import Pattern, has_magic


def pattern(root: Path) -> Reader[str]:
    """Return a reader of patterns of files, which may be outside the root."""

    def read(key: str, value: object) -> str:
        return rooted(root, _slashed(key, value))

    return read


def readers(root: Path) -> Reader[Mapping[str, str]]:
    """Return a reader of the table of notebooks' readers: pattern → name, in its order.

    A key such as ".md" is short for the pattern of all files with that suffix.
    """
    plain = pattern(root)

    def read(key: str, value: object) -> Mapping[str, str]:
        found: dict[str, str] = {}
        errors: list[NbbuildError] = []
        for text, name in table(key, value).items():
            where = f"{key}.{quoted(text)}"
            try:
                normal = plain(where, f"**/*{text}" if _is_suffix(text) else text)
                found.pop(normal, None)  # later patterns win, so the order counts
                found[normal] = filled(where, name)
            except ConfigError as error:
                errors.append(error)
        raise_all(errors)
        return found

    return read


def _is_suffix(text: str) -> bool:
    return re.fullmatch(r"\.[^./\\][^/\\]*", text) is not None


def artefact(root: Path) -> Reader[str]:
    """Return a reader of patterns that stay inside the root."""
    return _made(root, "artefact")


def scratch(root: Path) -> Reader[str]:
    """Return a reader of patterns of files that are private to a run; they stay inside the root."""
    return _made(root, "scratch")


def _made(root: Path, what: str) -> Reader[str]:
    plain = pattern(root)

    def read(key: str, value: object) -> str:
        text = filled(key, value)
        if text.startswith("/"):
            raise ConfigError(f"{what} {quoted(text)} is absolute", hint=_below_the_root(what))
        normal = plain(key, value)
        check_artefact(normal, what=what, shown=text)
        return normal

    return read


def _below_the_root(what: str) -> str:
    subject, ours = ("artefacts lie", "their") if what == "artefact" else ("scratch lies", "its")
    return f"{subject} below the folder of jcache.toml; write {ours} paths relative to it"


def check_artefact(
    text: str,
    *,
    what: str = "artefact",
    shown: str = "",
    facts: Iterable[tuple[str, str]] = (),
) -> None:
    """Raise ConfigError if the pattern `text` is not for files below the root.

    To be asked again after `{parameter}` is expanded, since a value may hold "../". `what` it is
    for, "artefact" or "scratch".
    """
    parsed = Pattern.parse(text)
    shown = quoted(shown or text)
    if parsed.ups:
        raise ConfigError(
            f"{what} {shown} lies outside the root", hint=_below_the_root(what), facts=facts
        )
    if not parsed.segments:
        raise ConfigError(
            f"{what} {shown} is the whole project",
            hint="name a file, a folder or a pattern",
            facts=facts,
        )
    if parsed.segments[0] == DOT:
        raise ConfigError(
            f"{what} {shown} lies in nbbuild's own folder",
            hint="write to another folder",
            facts=facts,
        )


def path(root: Path) -> Reader[str]:
    """Return a reader of plain paths, which may be outside the root; no wildcards."""

    def read(key: str, value: object) -> str:
        text = _slashed(key, value)
        if has_magic(text):
            raise ConfigError(
                f"'{key}' must be one path, not the pattern {quoted(text)}",
                hint="remove the wildcards",
            )
        return rooted(root, text).rstrip("/")

    return read


def inside(root: Path) -> Reader[str]:
    """Return a reader of plain paths strictly below the root."""
    plain = path(root)

    def read(key: str, value: object) -> str:
        text = plain(key, value)
        if text == ".":
            raise ConfigError(
                f"'{key}' is the project's own folder", hint=f"choose a folder in it for '{key}'"
            )
        if text.split("/")[0] == "..":
            raise ConfigError(
                f"'{key}' {quoted(str(value))} lies outside the root",
                hint="choose a folder below the one that holds jcache.toml",
            )
        return text

    return read


def store(root: Path, *, what: str = "the store") -> Reader[str]:
    """Return a reader of the path of a cache: anywhere, but never the project or around it."""

    def read(key: str, value: object) -> str:
        text = filled(key, value)
        try:
            chosen = Path(text).expanduser()
        except RuntimeError:
            raise ConfigError(
                f"'{key}' {quoted(text)} names an unknown home folder",
                hint="write the path in full",
            ) from None
        if root.is_relative_to(os.path.normpath(root / chosen)):
            raise ConfigError(
                f"'{key}' {quoted(text)} would put {what} around the project",
                hint=f"give {what} a folder of its own",
            )
        return os.path.normpath(chosen)

    return read


def handed_over(root: Path) -> Reader[str]:
    """Return a reader of the path of another tool's cache; "" is none."""
    some = store(root, what="the cache")
    return lambda key, value: some(key, value) if value != "" else ""


def written(root: Path, suffix: str) -> Reader[str]:
    """Return a reader of the path of one file that nbbuild writes; "" is none."""
    plain = path(root)

    def read(key: str, value: object) -> str:
        if value == "":
            return ""
        text = plain(key, value)
        if not text.endswith(suffix) or text.endswith(f"/{suffix}") or text == suffix:
            raise ConfigError(
                f"'{key}' must be the path of a {suffix} file, not {quoted(str(value))}",
                hint=f'write {key} = "report{suffix}", for example',
            )
        if text.split("/")[0] == DOT:
            raise ConfigError(
                f"'{key}' {quoted(text)} lies in nbbuild's own folder", hint="choose another folder"
            )
        return text

    return read


def module(root: Path) -> Reader[str]:
    """Return a reader of modules: dotted names, or paths of .py files."""
    plain = path(root)

    def read(key: str, value: object) -> str:
        text = filled(key, value)
        if text.endswith(".py") or "/" in text or "\\" in text:
            if not text.endswith(".py"):
                raise ConfigError(
                    f"module {quoted(text)} is neither a dotted name nor a .py file",
                    hint="write 'package.module', or the path of a .py file",
                )
            return plain(key, value)
        if not all(name.isidentifier() for name in text.split(".")):
            raise ConfigError(
                f"module {quoted(text)} cannot be imported under that name",
                hint="write it as in `import`, or as the path of a .py file",
            )
        return text

    return read


def task_name(key: str, value: object) -> str:
    """Read the name of a task, which is also that of its built notebook."""
    text = filled(key, value)
    if not re.fullmatch(r"[\w+,][\w.+,-]*", text):
        raise ConfigError(
            f"'{key}' {quoted(text)} is not a valid file name",
            hint="use letters, digits and . + , - _, and begin with a letter or digit",
        )
    return text


def variable(key: str, value: object) -> str:
    """Read the name of an environment variable."""
    text = filled(key, value)
    if "=" in text:
        raise ConfigError(
            f"{quoted(text)} is not the name of an environment variable",
            hint="name the variable only: its value is looked up when a notebook is built",
        )
    return text


def rooted(root: Path, text: str) -> str:
    """Return the pattern `text` in normal form, relative to the root and shortest.

    An absolute pattern, and one that climbs out of the root and back into it, would else be
    another pattern than the plain one for the same files.
    """
    above = root.parts[1:]
    absolute = text.startswith("/")
    parsed = Pattern.parse(text.lstrip("/") or "." if absolute else text)
    ups = len(above) if absolute else min(parsed.ups, len(above))
    rest = list(parsed.segments[parsed.ups :])
    while ups and rest and rest[0] == above[len(above) - ups]:
        del rest[0]
        ups -= 1
    normal = "/".join([*[".."] * ups, *rest]) or "."
    return Pattern.parse(normal + "/" if parsed.folder and rest else normal).text


def _slashed(key: str, value: object) -> str:
    """Read a path or pattern as far as its letters go."""
    text = filled(key, value)
    if "\\" in text:
        plain = text.replace("\\", "/")
        raise ConfigError(
            f"{quoted(text)} in '{key}' has a backslash", hint=f"write {quoted(plain)}"
        )
    if text.startswith("~"):
        raise ConfigError(
            f"{quoted(text)} in '{key}' begins with ~, which is not expanded",
            hint="write the path in full, or relative to the folder of jcache.toml",
        )
    return text
