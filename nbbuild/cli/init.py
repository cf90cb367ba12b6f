"""Write a jcache.toml for the notebooks that are there: `nbbuild init`."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from nbbuild.cli import _template, books, finding
from nbbuild.cli._options import project_options
from nbbuild.cli._signals import interruptible
from nbbuild.cli._verb import Verb
from nbbuild.cli.books import Book
from nbbuild.cli.finding import Found
from nbbuild.cli.render import emit, say
from nbbuild.disk import durable
from nbbuild.disk.project_folder import DOT
from nbbuild.errors import UsageError
from nbbuild.text.quantities import number_of

if TYPE_CHECKING:
    from nbbuild.model import Report
    from nbbuild.session import Session
    from nbbuild.verbs.edit import Edited


@click.command(
    "init",
    cls=Verb,
    examples={
        "nbbuild init": "for the notebooks of this folder",
        "nbbuild init -n docs": "say what would be written for docs",
    },
)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--toc",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take the notebooks of the book that FILE describes: _toc.yml, myst.yml, _quarto.yml, …",
)
@click.option("--force", is_flag=True, help="Replace an existing jcache.toml; a copy is kept.")
@click.option(
    "-n", "--dry-run", is_flag=True, help="Print what would be written, and write nothing."
)
@click.option(
    "--trace",
    is_flag=True,
    help="Then build, and declare what the notebooks were seen to read and write, and their order.",
)
@project_options
def command(
    *,
    directory: Path,
    file: Path | None,
    folder: Path | None,
    toc: Path | None,
    force: bool,
    dry_run: bool,
    trace: bool,
) -> int:
    """Write a jcache.toml for the notebooks of FOLDER.

    If FOLDER, or a folder in it, has a _toc.yml, myst.yml, _quarto.yml, Sphinx's conf.py, or the
    settings of nbdev or mkdocs-jupyter, the notebooks are those of the book. Otherwise they are all
    .ipynb files, and the text files whose header says that they are notebooks. Pages that are not
    to be executed, as they say themselves, are listed under exclude.

    With --trace, the exit status is that of the build.
    """
    if trace and dry_run:
        raise UsageError(
            "--trace and -n contradict each other: one builds, the other does nothing",
            hint="leave one of them out",
        )
    place = directory / (folder or "")
    if not place.is_dir():
        raise UsageError(f"there is no folder '{place}'", hint="name the folder of the notebooks")
    target = directory / file if file else place / "jcache.toml"
    if os.path.lexists(target) and not (force or dry_run):
        raise UsageError(
            f"'{target}' already exists",
            hint="--force replaces it and keeps a copy, -n prints what would be written",
        )
    contents, notes = (directory / toc, []) if toc else _contents(place)
    if contents is not None and not contents.is_file():
        raise UsageError(f"there is no file '{contents}'", hint="name a _toc.yml or a myst.yml")
    book = books.read(contents) if contents else None
    found = _find(target.parent, book, place)
    found = replace(found, notes=(*notes, *found.notes))
    where = f"'{contents or place}'"
    if book is not None and book.entries is None and book.folder != place:
        where = f"'{place}', by the settings in '{contents}'"
    if not found.notebooks:
        raise _nothing(where, book, found)
    _tell(where, book, found)
    text = "".join(f"{line}\n" for line in _template.lines(found, book))
    if dry_run:
        emit(text.rstrip("\n"))
        return 0
    _write(target, text)
    say(f"wrote '{target}'")
    say(f"git ignores what nbbuild makes: '{DOT}' and '{finding.OUTPUT}' have a .gitignore")
    if trace:
        return _learn(target)
    say(f"next: {_next(directory if file else place, file)}")
    return 0


def _learn(target: Path) -> int:
    """Build the project once, and declare what its notebooks were seen to use."""
    from nbbuild.building.pipeline import build
    from nbbuild.cli._editing import tell as tell_edit
    from nbbuild.model import OutcomeKind
    from nbbuild.report import Options, observer
    from nbbuild.verbs.learning import learn

    def built(session: Session) -> Report:
        # What fails may only have come too early; the last report shows what still does.
        options = Options(failures=False)
        with observer(stream=sys.stderr, options=options) as tell, interruptible():
            report = build(session, observer=tell)
            tell.finish(report)
        return report

    edits: list[Edited] = []

    def on_edit(edited: Edited) -> None:
        edits.append(edited)
        tell_edit(edited, as_json=False)

    report = learn(target.resolve(), environ=os.environ, build=built, on_edit=on_edit)
    bad = tuple(one for one in report.outcomes if one.failure or one.kind is OutcomeKind.BLOCKED)
    if bad:
        observer(stream=sys.stderr).finish(msgspec.structs.replace(report, outcomes=bad))
    if edits:
        say(f"what the notebooks use is declared in '{target}': look through it")
    elif not report.interrupted:
        say("the notebooks use nothing that has to be declared")
    return report.exit_status


def _next(directory: Path, file: Path | None) -> str:
    """Return the command that builds what was written."""
    words = ["nbbuild"]
    if directory != Path():
        words += ["-C", str(directory)]
    if file:
        words += ["-f", str(file)]
    return shlex.join(words)


def _contents(place: Path) -> tuple[Path | None, list[str]]:
    """Return the file of the book in `place`, and what a user should know when there are many."""
    there = books.find(place)
    if len(there) < 2:
        return next(iter(there), None), []
    named = ", ".join(f"'{path}'" for path in there)
    return None, [f"these books are not read: {named}; --toc FILE reads one of them"]


def _find(root: Path, book: Book | None, place: Path) -> Found:
    """Look for the notebooks of `book`, or for all in `place`, from the root of the project."""
    if book is None:
        return finding.in_folder(root.resolve(), _inside(root, place))
    folder = _inside(root, book.folder)
    # A table of contents named by hand may be anywhere in the project.
    within = place if book.named_in.resolve().is_relative_to(place.resolve()) else book.folder
    return finding.in_book(root.resolve(), book, folder, _inside(root, within))


def _inside(root: Path, folder: Path) -> str:
    """Return the path of `folder` from the root of the project, "" for the root."""
    try:
        inside = folder.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        raise UsageError(
            f"'{folder.resolve()}' lies outside '{root.resolve()}', the folder of jcache.toml",
            hint="write jcache.toml to a folder that holds all notebooks",
        ) from None
    return "" if inside == "." else inside


def _nothing(where: str, book: Book | None, found: Found) -> UsageError:
    facts = [("looked in", where)]
    if book is not None and book.entries is not None:
        facts.append(("it names", f"{number_of(found.pages, 'page')} without code"))
    facts += [("note", note) for note in found.notes]
    return UsageError(
        "there are no notebooks",
        facts=facts,
        hint="a notebook is an .ipynb file, or a text file with a Jupytext header or a {code-cell}",
    )


def _tell(where: str, book: Book | None, found: Found) -> None:
    pages = f"; {number_of(found.pages, 'page')} without code left out" if found.pages else ""
    say(f"found {number_of(len(found.notebooks), 'notebook')} in {where}{pages}")
    off = [f"{book.off}; nbbuild executes all that it builds"] if book and book.off else []
    for note in (*off, *(book.notes if book else ()), *found.notes):
        say(f"note: {note}")


def _write(target: Path, text: str) -> None:
    """Write `text` to `target`, through a link; what was there is kept beside it."""
    target = target.resolve()
    if target.exists():
        copy = durable.keep_copy(target)
        say(f"kept the old one as '{copy.name}'")
    durable.write(target, text.encode())
