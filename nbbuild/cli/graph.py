"""`nbbuild graph`: what depends on what, as a tree, Mermaid, Graphviz dot or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbbuild.cli import _completing
from nbbuild.cli._options import project_options
from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit

if TYPE_CHECKING:
    from nbbuild.project.graph import Edge, Graph

FORMATS = ("tree", "mermaid", "dot", "json")


@click.command(
    "graph",
    cls=Verb,
    examples={
        "nbbuild graph": "a tree of what waits for what",
        "nbbuild graph --format mermaid report.ipynb": "a picture for Markdown",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...", shell_complete=_completing.targets)
@click.option("--format", "form", type=click.Choice(FORMATS), default="tree", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@project_options
def command(
    targets: tuple[str, ...], form: str, as_json: bool, directory: Path, file: Path | None
) -> None:
    """Show TARGETs, or all tasks, and what they wait for.

    In the tree, a notebook appears below each one that it waits for.
    """
    from nbbuild.session import open_session

    with open_session(directory, file=file) as session:
        names = session.wanted(targets)
        graph = session.graph
    edges = [edge for edge in graph.edges if edge.writer in names and edge.reader in names]
    if as_json or form == "json":
        emit(_plain(graph, names, edges))
    elif form == "mermaid":
        emit("\n".join(_mermaid(names, edges)))
    elif form == "dot":
        emit("\n".join(_dot(names, edges)))
    else:
        emit("\n".join(_tree(graph, names)))


def _tree(graph: Graph, names: tuple[str, ...]) -> Iterator[str]:
    """Yield the tree; a task that several wait for is drawn out once, then named with "…"."""
    inside = set(names)
    drawn: set[str] = set()
    roots = [name for name in names if not inside & set(graph.upstream(name))]
    # A stack of our own: chains may be longer than Python's.
    stack = [(name, "", "") for name in reversed(roots)]  # name, what leads its line, and below it
    while stack:
        name, lead, below = stack.pop()
        readers = [reader for reader in graph.downstream(name) if reader in inside]
        again = name in drawn and bool(readers)
        yield f"{lead}{name}{' …' if again else ''}"
        drawn.add(name)
        if again:
            continue
        for number, reader in enumerate(reversed(readers)):
            mark, deeper = ("├─ ", "│  ") if number else ("└─ ", "   ")
            stack.append((reader, below + mark, below + deeper))


def _mermaid(names: tuple[str, ...], edges: list[Edge]) -> Iterator[str]:
    numbers = {name: f"t{number}" for number, name in enumerate(names)}
    yield "flowchart TD"
    for name, number in numbers.items():
        label = name.replace("&", "&amp;").replace('"', "&quot;")
        yield f'    {number}["{label}"]'
    for edge in edges:
        yield f"    {numbers[edge.writer]} --> {numbers[edge.reader]}"


def _dot(names: tuple[str, ...], edges: list[Edge]) -> Iterator[str]:
    yield "digraph nbbuild {"
    for name in names:
        yield f"  {_quoted(name)};"
    for edge in edges:
        yield f"  {_quoted(edge.writer)} -> {_quoted(edge.reader)};"
    yield "}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _plain(graph: Graph, names: tuple[str, ...], edges: list[Edge]) -> dict[str, object]:
    return {
        "tasks": [
            {
                "task": name,
                "source": graph.tasks[name].source,
                "built": graph.tasks[name].built,
                "upstream": list(graph.upstream(name)),
            }
            for name in names
        ],
        "edges": [{"from": e.writer, "to": e.reader, "why": e.why} for e in edges],
    }
