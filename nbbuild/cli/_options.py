"""Options that every verb takes: the project's folder and file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Result = TypeVar("_Result")

_DIRECTORY = "nbbuild.cli.directory"
_FILE = "nbbuild.cli.file"


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
        type=click.Path(exists=True, file_okay=False, path_type=Path),
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
        meta = click.get_current_context().meta
        directory, file = meta.get(_DIRECTORY, Path()), meta.get(_FILE)
        return function(*args, directory=directory, file=file, **kwargs)

    return with_project


def _keep(key: str, ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    # A context shares its `meta` with those of the verbs inside it.
    if value is not None:
        ctx.meta[key] = value
