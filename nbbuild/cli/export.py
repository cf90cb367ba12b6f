"""`nbbuild export …`: hand results over to the tools that render them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verbs
from nbbuild.cli.render import emit, json_option, say
from nbbuild.text.quantities import number_of

if TYPE_CHECKING:
    from nbbuild.export.pages import Exported

_PATH = click.Path(path_type=Path)


@click.group(
    "export",
    cls=Verbs,
    examples={
        "nbbuild export jupyter-cache": "for MyST-NB and Jupyter Book 1",
        "nbbuild export mystmd": "for mystmd and Jupyter Book 2",
        "nbbuild export makefile": "rules for make",
    },
)
@project_options
def command(directory: Path, file: Path | None) -> None:
    """Hand results over to other tools."""


@command.command(
    "jupyter-cache", examples={"nbbuild export jupyter-cache": "where the book's tool looks"}
)
@click.argument("path", required=False, type=_PATH)
@click.option(
    "--doctrees",
    multiple=True,
    type=_PATH,
    metavar="DIR",
    help="Another folder of Sphinx doctrees, besides those found near the cache.",
)
@json_option
@project_options
def jupyter_cache(
    path: Path | None,
    doctrees: tuple[Path, ...],
    as_json: bool,
    directory: Path,
    file: Path | None,
) -> int:
    """Write up-to-date results to the jupyter-cache at PATH, for MyST-NB and Jupyter Book 1.

    Nothing is executed. PATH is by default `[export] jupyter_cache`, or else
    `_build/.jupyter_cache`. The doctrees of changed pages are deleted, so that Sphinx reads the
    pages again. Exit status 1 when a page lacks a result that it should have.
    """
    return _export("jupyter-cache", path, directory, file, doctrees=doctrees, as_json=as_json)


@command.command("mystmd", examples={"nbbuild export mystmd": "where mystmd looks"})
@click.argument("path", required=False, type=_PATH)
@json_option
@project_options
def mystmd(path: Path | None, as_json: bool, directory: Path, file: Path | None) -> int:
    """Write up-to-date results to PATH, for `myst build --execute` and Jupyter Book 2.

    Nothing is executed. PATH is by default `_build/execute` beside myst.yml. Exit status 1 when a
    page lacks a result that it should have.
    """
    return _export("mystmd", path, directory, file, as_json=as_json)


@command.command(
    "makefile",
    examples={
        "nbbuild export makefile": "write nbbuild.mk, to be included in a Makefile",
        "nbbuild export makefile -": "look at the rules",
    },
)
@click.argument("path", required=False, metavar="[FILE]", type=_PATH)
@click.option("--force", is_flag=True, help="Replace FILE even if somebody else wrote it.")
@project_options
def makefile(path: Path | None, force: bool, directory: Path, file: Path | None) -> None:
    """Write rules for make to FILE: what each built notebook rests on, and how to build it.

    FILE is by default `nbbuild.mk` beside jcache.toml; `-` is stdout. make has to run in the folder
    of jcache.toml.
    """
    from nbbuild.disk.durable import write, writing
    from nbbuild.export.makefile import PLACE, check_target, place_in, rules, write_depfiles
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        if path == Path("-"):
            emit(rules(session, place="").makefile.removesuffix("\n"))
            return
        target = path or session.root / PLACE
        check_target(session, target, force=force)
        made = rules(session, place=place_in(session.root, target))
        write_depfiles(session, made.depfiles)
        with writing(f"'{target}' cannot be written", target):
            write(target, os.fsencode(made.makefile), sync=False)
        number = len(session.tasks)
    say(f"rules for {number_of(number, 'notebook')} in {_shown(target)}")


def _export(
    tool: str,
    path: Path | None,
    directory: Path,
    file: Path | None,
    *,
    as_json: bool,
    doctrees: tuple[Path, ...] = (),
) -> int:
    from nbbuild.export.pages import pages
    from nbbuild.export.tools import export
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        whole = pages(session, session.plan().judgements)
        done = export(session, tool, whole, path=path, doctrees=doctrees)
    if as_json:
        emit(
            {
                "exit_status": done.exit_status,
                "path": done.path,
                "written": done.written,
                "kept": done.kept,
                "removed": done.removed,
                "missing": done.missing,
                "doctrees": done.doctrees,
            }
        )
    else:
        for line in describe(done):
            say(line)
    return done.exit_status


def describe(done: Exported) -> list[str]:
    """Return a line for each page that has no result there, and the sum."""
    lines = []
    for one in done.missing:
        word = "note" if one.meant else "not exported"
        lines.append(f"{word}: {one.source}: {one.why}" + (f"; {one.hint}" if one.hint else ""))
    number = len(done.written) + len(done.kept)
    parts = [f"{number_of(number, 'notebook')} in {_shown(Path(done.path))}"]
    parts += [f"{len(done.written)} written"] if done.written else []
    parts += [f"{len(done.removed)} removed"] if done.removed else []
    lines.append(", ".join(parts if len(parts) > 1 else [*parts, "nothing changed"]))
    return lines


def _shown(path: Path) -> Path:
    full, here = path.absolute(), Path.cwd()
    return full.relative_to(here) if full.is_relative_to(here) else path
