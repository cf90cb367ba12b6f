"""Options that every verb takes: the project's folder and file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from nbbuild.errors import UsageError

_Result = TypeVar("_Result")

_DIRECTORY = "nbbuild.cli.directory"
_FILE = "nbbuild.cli.file"

_DIGITS = 6  # fewer than this


if TYPE_CHECKING:
    _Number = click.ParamType[int]
    _Path = click.ParamType[Path]
    _Pair = click.ParamType[tuple[int, int]]
else:  # older versions of click have it without parameters
    _Number = _Path = _Pair = click.ParamType


class Whole(_Number):
    """A whole number that is not too small."""

    name = "number"

    def __init__(self, *, least: int) -> None:
        self.least = least

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number; raise `UsageError` for anything else."""
        text = str(value)
        if text.isascii() and text.isdigit() and int(text) >= self.least:
            return int(text)
        name = param.opts[0] if param is not None else "this"
        raise UsageError(
            f"{name} takes a whole number, {self.least} or more, not '{text}'",
            hint=f"`{name} {max(self.least, 4)}`",
        )


class Part(_Pair):
    """One of several parts, as "1/3"."""

    name = "part"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the part's number, from 1, and how many there are; raise `UsageError`."""
        number, _, count = (str(value)).partition("/")
        if all(one.isascii() and one.isdigit() and len(one) < _DIGITS for one in (number, count)):
            part = int(number), int(count)
            if 1 <= part[0] <= part[1]:
                return part
        name = param.opts[0] if param is not None else "this"
        raise UsageError(
            f"{name} takes I/N, with I from 1 to N, not '{value}'",
            hint=f"`{name} 1/3` is the first of three",
        )


class Folder(_Path):
    """A folder that exists."""

    name = "folder"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Return the folder; raise `UsageError` if it is none."""
        path = Path(str(value))
        if path.is_dir():
            return path
        there = "is not a folder" if path.exists() else "does not exist"
        name = param.opts[0] if param is not None else "this"
        raise UsageError(f"{name}: '{path}' {there}", hint="name the folder to work in")

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell to complete a folder."""
        return [CompletionItem(incomplete, type="dir")]


def project_options(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """Give a verb `-C` and `-f`: it is called with `directory: Path` and `file: Path | None`.

    `directory` is "." unless it was said; `file` is relative to it, as for `make -C`. A verb with
    verbs of its own (`cache`) and these may both have the decorator: what the outer one was told
    holds for the inner one.
    """

    @click.option(
        "-C",
        "--directory",
        "_directory",
        type=Folder(),
        callback=functools.partial(_keep, _DIRECTORY),
        expose_value=False,
        metavar="DIR",
        help="Work in DIR instead of the current folder.",
    )
    @click.option(
        "-f",
        "--file",
        "_file",
        type=click.Path(path_type=Path),
        callback=functools.partial(_keep, _FILE),
        expose_value=False,
        metavar="FILE",
        help="Use FILE instead of jcache.toml.",
    )
    @functools.wraps(function)
    def with_project(*args: Any, **kwargs: Any) -> _Result:
        directory, file = project_of(click.get_current_context())
        return function(*args, directory=directory, file=file, **kwargs)

    return with_project


def project_of(ctx: click.Context) -> tuple[Path, Path | None]:
    """Return the `directory` and `file` that were said before or in `ctx`."""
    return ctx.meta.get(_DIRECTORY, Path()), ctx.meta.get(_FILE)


def _keep(key: str, ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    # A context shares its `meta` with those of the verbs inside it.
    if value is not None:
        ctx.meta[key] = value


jobs_option = click.option(
    "-j",
    "--jobs",
    type=Whole(least=1),
    metavar="N",
    help="Run N notebooks at once [as configured].",
)
"""Gives a verb `-j`: it is called with `jobs: int | None`."""


def refuse(flags: Mapping[str, bool], contrary: Iterable[tuple[str, str, str, str, str]]) -> None:
    """Raise `UsageError` if two options are given that contradict each other.

    `contrary` has such pairs: an option and its flag, another one and its flag, and why.
    """
    for one, its_flag, other, other_flag, why in contrary:
        if flags[its_flag] and flags[other_flag]:
            raise UsageError(
                f"{one} and {other} contradict each other: {why}", hint="leave one of them out"
            )
