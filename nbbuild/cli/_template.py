"""The text of a new jcache.toml: unset keys are comments that show their defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from nbbuild.cli.books import Book
from nbbuild.cli.finding import OUTPUT, Found


def lines(found: Found, book: Book | None) -> Iterator[str]:
    """Yield the lines of a jcache.toml for the notebooks that were found."""
    yield "# What nbbuild builds, and how. Lines that begin with # show what else can be said."
    yield ""
    yield "[project]"
    if book is not None and book.off:
        yield f"# {book.off}; nbbuild executes all that is listed here."
    yield from _list("notebooks", dict.fromkeys(found.patterns, ""))
    if found.exclude:
        yield from _list("exclude", found.exclude)
    else:
        yield _comment('exclude = ["**/draft-*"]', "leave these out")
    yield _said(
        f"output = {_text(OUTPUT)}", "executed notebooks go here; sources are never changed"
    )
    if found.python_path:
        why = f"folders to import from, such as {next(iter(found.python_path.values()))}"
        yield from _list("python_path", dict.fromkeys(found.python_path, ""), why)
    else:
        yield _comment('python_path = ["src"]', "folders to import from")
    yield ""
    yield from _execution(found, book)
    yield ""
    if book is not None and book.env:
        yield "[environment]"
        why = f"variables whose values count, from {book.settings_in}"
        yield from _list("env", dict.fromkeys(book.env, ""), why)
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
    for path, page in found.own.items():
        yield ""
        yield "[[notebook]]"
        yield _said(f"path = {_text(path)}", "what the page itself says")
        if page.timeout is not None:
            yield f"timeout = {page.timeout}"
        if page.allow_errors is not None:
            yield f"allow_errors = {str(page.allow_errors).lower()}"


def _execution(found: Found, book: Book | None) -> Iterator[str]:
    yield "[execution]"
    origin = f"from {book.settings_in}" if book else ""
    if book is not None and book.timeout is not None:
        yield _said(f"timeout = {book.timeout}", f"seconds a cell, {origin}")
    else:
        yield _comment("timeout = 600", "seconds a cell; 0 = no limit")
    if book is not None and book.allow_errors is not None:
        allow_errors = str(book.allow_errors).lower()
        yield _said(f"allow_errors = {allow_errors}", f"go on after an error, {origin}")
    else:
        yield _comment("allow_errors = false", "true: go on after an error in a cell")
    yield _comment('jobs = "auto"', "notebooks at once")
    if book is not None and book.cwd:
        yield _said(f"cwd = {_text(book.cwd)}", f"the working folder, {origin}")
    if book is not None and book.kernel:
        yield _said(f"kernel = {_text(book.kernel)}", f"a kernel for all, {origin}")
    else:
        yield _comment('kernel = ""', 'a kernel for all; "" = each its own')
    if book is not None and (aliases := aliased(book.kernel_patterns, found.kernels)):
        pairs = ", ".join(f"{_text(name)} = {_text(other)}" for name, other in aliases.items())
        yield _said(f"kernel_aliases = {{ {pairs} }}", origin)


def aliased(patterns: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    """Return what the kernels `names` are called otherwise, as MyST-NB finds it out."""
    aliases: dict[str, str] = {}
    for name in sorted(names):
        for pattern, other in patterns.items():
            if _takes(pattern, name):
                if other != name:
                    aliases[name] = other
                break
    return aliases


def _takes(pattern: str, name: str) -> bool:
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return False


def _said(text: str, why: str) -> str:
    # The names of folders in it may hold anything.
    return f"{text:<32}  # {_printable(why)}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _comment(text: str, why: str = "") -> str:
    return f"# {text:<30}  # {why}" if why else f"# {text}"


def _list(key: str, items: Mapping[str, str], why: str = "") -> Iterator[str]:
    """Yield a list; `items` has a comment for each of its texts, or ""."""
    texts: Sequence[str] = tuple(items)
    reasons = {*items.values()}
    one_line = f"{key} = [{', '.join(map(_text, texts))}]"
    if (len(one_line) <= 72 and len(reasons) == 1) or len(texts) == 1:
        comment = why or (reasons.pop() if reasons else "")
        yield _said(one_line, comment) if comment else one_line
        return
    yield f"{key} = [{f'  # {why}' if why else ''}"
    for text, reason in items.items():
        yield f"  {_text(text)},{f'  # {_printable(reason)}' if reason else ''}"
    yield "]"


def _text(text: str) -> str:
    # A string of JSON is one of TOML as well.
    return json.dumps(text, ensure_ascii=False)
