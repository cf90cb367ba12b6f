"""Write the man page from the command itself: `python docs/man.py` writes docs/nbbuild.1.

Options and verbs come from the code, statuses and variables from docs/reference/command.md. The
format is man(7) of groff.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from nbbuild.cli import VERBS, group, load

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "nbbuild.1"
COMMAND = ROOT / "docs" / "reference" / "command.md"

INTRODUCTION = """\
.TH NBBUILD 1 "" "nbbuild" "User Commands"
.SH NAME
nbbuild \\- make for notebooks
.SH SYNOPSIS
.B nbbuild
[\\fIOPTION\\fR]... [\\fITARGET\\fR]...
.br
.B nbbuild
\\fIVERB\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...
.SH DESCRIPTION
Execute the notebooks that changed, or that use something that changed, and put the results of the
others in their place from the cache. What a project's notebooks are and how they run is said in
.BR jcache.toml ,
in the current folder or the nearest one above.
.PP
A target is a notebook, a task, an artefact, a group, a folder or a glob. Without targets everything
is built, and without a verb the targets are built."""

FILES = (
    ("jcache.toml", "The project: its notebooks, what they depend on, how they run."),
    (".nbbuild/store/", "The cache; it can be deleted."),
    (".nbbuild/replaced/", "Files of yours that nbbuild had to replace."),
    (".nbbuild/", "All else that nbbuild keeps."),
)


def page() -> str:
    """Return the whole page."""
    lines = [
        INTRODUCTION,
        ".SH EXAMPLES",
        *examples(load("build")),
        ".SH OPTIONS",
        *options(load("build")),
        ".SH VERBS",
        *verbs(),
        ".SH EXIT STATUS",
        *listed(rows("Exit status")),
        ".SH ENVIRONMENT",
        *listed(rows("Environment variables")),
        ".SH FILES",
        *listed(FILES),
        ".SH SEE ALSO",
        ".BR make (1),",
        ".BR jupyter (1)",
    ]
    return "\n".join(lines) + "\n"


def examples(command: click.Command) -> Iterator[str]:
    """Yield a paragraph for each example of a verb."""
    yield from listed(getattr(command, "examples", {}).items())


def options(command: click.Command) -> Iterator[str]:
    """Yield a paragraph for each option of a verb, in the order of its help."""
    context = click.Context(command, help_option_names=["-h", "--help"])
    records = [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        and (record := parameter.get_help_record(context)) is not None
    ]
    return listed(records)


def verbs() -> Iterator[str]:
    """Yield a section for each verb but build, whose options come first in the page."""
    for verb in VERBS:
        if verb != "build":
            yield from described(load(verb), ["nbbuild", verb])


def described(command: click.Command, words: list[str]) -> Iterator[str]:
    """Yield the section of a verb, and those of the verbs inside it."""
    parent = click.Context(
        group, info_name=" ".join(words[:-1]), help_option_names=["-h", "--help"]
    )
    context = click.Context(command, parent=parent, info_name=words[-1])
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {escaped(' '.join(words))} {escaped(usage)}"
    about = " ".join((command.help or "").split("\f")[0].split("\n\n")[0].split())
    yield escaped(about)
    yield from examples(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from described(inner, [*words, name])
    else:
        yield from options(command)


def rows(title: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table below a heading of docs/reference/command.md."""
    text = COMMAND.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    for name, meaning in re.findall(r"^\| `?(.*?)`? \| (.*) \|$", text, re.MULTILINE)[1:]:
        if set(name) != {"-"}:
            yield name, re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", meaning)


def listed(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a tagged paragraph for each pair of a word and its meaning."""
    for word, meaning in pairs:
        yield ".TP"
        yield f".B {escaped(word)}"
        yield escaped(meaning.replace("`", "")) if meaning else "\\&"


def escaped(text: str) -> str:
    """Return text as groff prints it, in one line that is no request."""
    text = text.replace("\\", "\\(rs").replace("-", "\\-").replace("…", "...").replace("→", "->")
    return f"\\&{text}" if text[:1] in (".", "'") else text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
