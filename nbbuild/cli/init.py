"""Write a jcache.toml for the notebooks that are there: `nbbuild init`."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from nbbuild import durable
from nbbuild.cli import _books
from nbbuild.cli._books import Book
from nbbuild.cli._finding import OUTPUT, Finder, Found
from nbbuild.cli._options import project_options
from nbbuild.cli.render import emit, say
from nbbuild.errors import UsageError


@click.command("init")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--toc",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take the notebooks that this _toc.yml or myst.yml names.",
)
@click.option("--force", is_flag=True, help="Replace a jcache.toml; a copy of it is kept.")
@click.option(
    "-n", "--dry-run", is_flag=True, help="Print what would be written, and write nothing."
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
) -> None:
    """Write a jcache.toml for the notebooks of FOLDER.

    Where FOLDER has a Jupyter Book's _toc.yml or a myst.yml, the notebooks are those of the book;
    else all .ipynb files, and the text files whose header says that they are notebooks.
    """
    place = directory / (folder or "")
    if not place.is_dir():
        raise UsageError(f"there is no folder '{place}'", hint="name the folder of the notebooks")
    target = directory / file if file else place / "jcache.toml"
    if os.path.lexists(target) and not (force or dry_run):
        raise UsageError(
            f"'{target}' is there already",
            hint="--force replaces it and keeps a copy, -n prints what would be written",
        )
    contents = directory / toc if toc else _books.find(place)
    if contents is not None and not contents.is_file():
        raise UsageError(f"there is no file '{contents}'", hint="name a _toc.yml or a myst.yml")
    book = _books.read(contents) if contents else None
    found = _find(target.parent, book, place)
    where = f"'{contents or place}'"
    if not found.notebooks:
        raise _nothing(where, book, found)
    _tell(where, book, found)
    text = "".join(f"{line}\n" for line in _lines(found, book))
    if dry_run:
        emit(text.rstrip("\n"))
        return
    _write(target, text)
    say(f"wrote '{target}'")
    say(f"next: {_next(directory if file else place, file)}")


def _next(directory: Path, file: Path | None) -> str:
    """Return the command that builds what was written."""
    words = ["nbbuild"]
    if directory != Path():
        words += ["-C", str(directory)]
    if file:
        words += ["-f", str(file)]
    return shlex.join(words)


def _find(root: Path, book: Book | None, place: Path) -> Found:
    """Look for the notebooks of `book`, or for all in `place`, from the root of the project."""
    folder = (book.named_in.parent if book else place).resolve()
    try:
        inside = folder.relative_to(root.resolve()).as_posix()
    except ValueError:
        raise UsageError(
            f"'{folder}' lies outside '{root.resolve()}', the folder of jcache.toml",
            hint="write jcache.toml to a folder that holds all notebooks",
        ) from None
    inside = "" if inside == "." else inside
    finder = Finder(root.resolve())
    return finder.in_book(book, inside) if book else finder.in_folder(inside)


def _nothing(where: str, book: Book | None, found: Found) -> UsageError:
    facts = [("looked in", where)]
    if book is not None and book.entries is not None:
        facts.append(("it names", f"{_number(found.pages, 'page')} without code"))
    facts += [("note", note) for note in found.notes]
    return UsageError(
        "there are no notebooks",
        facts=facts,
        hint="a notebook is an .ipynb file, or a text file with a Jupytext header or a {code-cell}",
    )


def _tell(where: str, book: Book | None, found: Found) -> None:
    pages = f"; {_number(found.pages, 'page')} without code left out" if found.pages else ""
    say(f"found {_number(len(found.notebooks), 'notebook')} in {where}{pages}")
    for note in (*(book.notes if book else ()), *found.notes):
        say(f"note: {note}")


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'s'[: number != 1]}"


# -- the file ----------------------------------------------------------------------------------


def _lines(found: Found, book: Book | None) -> Iterator[str]:
    """Yield the lines of jcache.toml; what is not said is there as a comment, with its default."""
    origin = book.named_in.name if book else ""
    yield "# What nbbuild builds, and how. Lines that begin with # show what else can be said."
    yield ""
    yield "[project]"
    yield from _list("notebooks", found.patterns)
    if found.exclude:
        yield from _list("exclude", found.exclude)
    else:
        yield _comment('exclude = ["**/draft-*"]', "leave these out")
    yield _said(
        f"output = {_text(OUTPUT)}", "executed notebooks go here; sources are never changed"
    )
    yield _comment('python_path = ["src"]', "folders to import from")
    yield ""
    yield "[execution]"
    config = "from _config.yml"
    if book is not None and book.timeout is not None:
        yield _said(f"timeout = {book.timeout}", f"seconds a cell, {config}")
    else:
        yield _comment("timeout = 600", "seconds a cell; 0 = no limit")
    if book is not None and book.allow_errors is not None:
        yield _said(
            f"allow_errors = {str(book.allow_errors).lower()}", f"go on after an error, {config}"
        )
    else:
        yield _comment("allow_errors = false", "true: go on after an error in a cell")
    yield _comment('jobs = "auto"', "notebooks at once")
    yield _comment('kernel = ""', 'a kernel for all; "" = each its own')
    yield ""
    if book is not None and book.env:
        yield "[environment]"
        yield from _list("env", book.env, f"variables whose values count, from {origin}")
    else:
        yield "# [environment]"
        yield _comment('env = ["MODEL_SEED"]', "variables whose values count")
    yield _comment('files = ["requirements.lock"]', "files on which every notebook depends")
    yield ""
    yield "# Settings for the notebooks that match `path`; there may be many of these."
    yield "# [[notebook]]"
    yield _comment(f"path = {_text(found.patterns[0])}")
    yield _comment(
        'assets = ["data/*.csv"]', "files that it reads: when one changes, it runs again"
    )
    yield _comment('artefacts = ["figures/*.png"]', "files that it writes: kept in the cache")
    yield _comment('depends_on = ["setup.ipynb"]', "notebooks that go first")


def _said(text: str, why: str) -> str:
    return f"{text:<34}# {why}"


def _comment(text: str, why: str = "") -> str:
    return f"# {text:<32}# {why}" if why else f"# {text}"


def _list(key: str, texts: tuple[str, ...], why: str = "") -> Iterator[str]:
    one_line = f"{key} = [{', '.join(map(_text, texts))}]"
    if len(one_line) <= 72 or len(texts) == 1:
        yield _said(one_line, why) if why else one_line
        return
    yield f"{key} = [{f'  # {why}' if why else ''}"
    for text in texts:
        yield f"  {_text(text)},"
    yield "]"


def _text(text: str) -> str:
    # A string of JSON is one of TOML as well.
    return json.dumps(text, ensure_ascii=False)


def _write(target: Path, text: str) -> None:
    """Write `text` to `target`, through a link; what was there is kept beside it."""
    target = target.resolve()
    if target.exists():
        copy = durable.keep_copy(target)
        say(f"kept the old one as '{copy.name}'")
    durable.write(target, text.encode())
