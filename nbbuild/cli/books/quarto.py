"""Quarto: `_quarto.yml`, and the `_metadata.yml` of folders below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from nbbuild.cli.books.book import Book, ContentsLine, Never
from nbbuild.cli.books.content import boolean, load, table, texts
from nbbuild.paths.patterns import escape, has_magic

_UNSEEN = ("**/_*", "**/_*/**", "**/README.*")
"""What Quarto does not render unless it is named."""


_OUTPUTS = {"website": "_site", "book": "_book", "manuscript": "_manuscript"}
"""Where the projects of each type go, unless they say otherwise."""


def read(path: Path) -> Book:
    """Return what a `_quarto.yml` says. Raises ConfigError."""
    content = load(path)
    project, execute = table(content, "project"), table(content, "execute")
    render = texts(project.get("render"))
    named = [text for text in render if not text.startswith("!")]
    chapters = list(_chapters(table(content, "book")))
    if project.get("type") == "book" and chapters:
        entries: tuple[ContentsLine, ...] | None = tuple(ContentsLine(text) for text in chapters)
    elif named:
        entries = tuple(one for text in named for one in _entries(text, path.parent))
    else:
        entries = None
    output = _below(project.get("output-dir", _OUTPUTS.get(str(project.get("type")))))
    hidden = [text[1:] for text in render if text.startswith("!")]
    return Book(
        named_in=path,
        entries=entries,
        exclude=tuple(one for text in hidden for one in _left_out(text)),
        made=(output,) if output else (),
        unseen=_UNSEEN,
        never=tuple(_never(path.parent)),
        bare_code=True,
        settings_in=path.name,
        allow_errors=boolean(execute.get("error")),
        cwd="project" if project.get("execute-dir") == "project" else "",
        off=f"{path.name} has {switch}" if (switch := switched_off(content)) else "",
    )


def switched_off(content: object) -> str:
    """Return how a page's or a project's metadata switch execution off, "" when they do not."""
    if isinstance(content, Mapping) and content.get("execute") is False:
        return "execute: false"
    execute = table(content, "execute")
    for key in ("enabled", "eval"):
        if execute.get(key) is False:
            return f"execute: {key}: false"
    return ""


def _chapters(node: object) -> Iterator[str]:
    """Yield the pages of a book in their order; the name of a part may be one."""
    if isinstance(node, list):
        for item in node:
            if isinstance(item, str):
                yield item
            else:
                yield from _chapters(item)
    elif isinstance(node, Mapping):
        for key in ("file", "href", "part"):
            if isinstance(node.get(key), str) and (key != "part" or _is_page(node[key])):
                yield node[key]
        for key in ("chapters", "appendices"):
            yield from _chapters(node.get(key))


def _is_page(text: str) -> bool:
    return text.endswith((".qmd", ".ipynb", ".md", ".Rmd"))


def _entries(text: str, folder: Path) -> Iterator[ContentsLine]:
    """Yield what a line of `render` means: a glob without a leading slash holds at any depth."""
    text = text.removeprefix("./")
    bare = text.strip("/")
    if text.endswith("/") or (folder / bare).is_dir():
        yield ContentsLine(
            f"{bare}/**/*" if has_magic(bare) else f"{escape(bare)}/**/*", is_glob=True
        )
    elif has_magic(text):
        yield ContentsLine(bare if text.startswith("/") else f"**/{bare}", is_glob=True)
    else:
        yield ContentsLine(bare)


def _left_out(text: str) -> Iterator[str]:
    bare = text.removeprefix("./").strip("/")
    pattern = bare if text.startswith("/") else f"**/{bare}"
    if bare and not text.endswith("/"):
        yield pattern
    if bare and not PurePosixPath(bare).suffix:
        yield f"{pattern}/**"


def _below(output: object) -> str:
    """Return the output folder if it is in the project, and is not all of it, else ""."""
    bare = output.removeprefix("./").rstrip("/") if isinstance(output, str) else ""
    return "" if bare in ("", ".") or bare.startswith(("/", "~", "..")) else bare


def _never(folder: Path) -> Iterator[Never]:
    """Yield the folders whose `_metadata.yml` switches execution off, two levels deep."""
    for depth in ("*/", "*/*/"):
        for path in sorted(folder.glob(f"{depth}_metadata.yml")):
            if switch := switched_off(load(path)):
                inside = path.parent.relative_to(folder).as_posix()
                yield Never(f"**/{escape(inside)}/**", f"'{switch}' of {inside}/_metadata.yml")
