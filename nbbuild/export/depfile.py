"""Write what a built notebook rests on as make and ninja read it: `built: file file …`.

The files are those that the notebook's last run used. Each also gets a rule without anything, as
from `gcc -MP`: otherwise make would stop when one of them is deleted.

make compares times, nbbuild contents. Where make calls it and nothing has to be done, the built
notebook only gets a new time, or make would call again and again. That is the time at which nbbuild
began to look: what is saved later is for the next call.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from nbbuild.disk.durable import below_private, write, writing
from nbbuild.errors import UsageError
from nbbuild.model import Record, Task
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.session import Session

_ESCAPED = {" ": "\\ ", "#": "\\#", ":": "\\:", "$": "$$"}
_REFUSED = re.compile(r"[\x00-\x1f\x7f\\*?\[\];|=]|^~|&$|\(.*\)$")


class Unspeakable(UsageError):
    """A name that make has no way to write."""


def escaped(path: str, *, target: bool = False) -> str:
    """Return `path` as a prerequisite in a makefile, or as a target; raise `Unspeakable`."""
    found = _REFUSED.search(path)
    if found is not None:
        raise Unspeakable(
            f"make has no way to write the name '{path}'",
            facts=[("because of", repr(found[0]))],
            hint="rename the file, or leave it to nbbuild: `nbbuild` needs no makefile",
        )
    text = "".join(_ESCAPED.get(letter, letter) for letter in path)
    return text.replace("%", "\\%") if target else text


def check_place(session: Session, place: Path) -> None:
    """Raise `UsageError` if a file for make, at `place`, would replace one of the project's own."""
    real = place.parent.resolve() / place.name
    path = real.relative_to(session.root).as_posix() if real.is_relative_to(session.root) else ""

    def means(other: str) -> bool:
        if other.rpartition("/")[2] != place.name:
            return False  # so that few links have to be followed
        full = session.root / other
        return full.parent.resolve() / full.name == real

    found = ""
    for task in session.project.tasks:
        if any(map(means, (task.source, *task.paired))):
            found = "a source notebook"
        elif means(task.built):
            found = "a built notebook"
        elif path and any(matches(Pattern.parse(text), path) for text in task.artefacts):
            found = f"an artefact of '{task.name}'"
    if real == session.config.path.resolve():
        found = "the configuration"
    if found:
        raise UsageError(
            f"'{place}' is {found}, and would be overwritten",
            hint="name another file for make, such as 'notebooks.d'",
        )


def depfile(session: Session, names: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return the text for those of `names` that have a result, and the files that it cannot name.

    Raises `Unspeakable` for the name of a built notebook.
    """
    lines: list[str] = []
    unspeakable: dict[str, None] = {}
    every: dict[str, None] = {}
    for name in names:
        task = session.graph.tasks[name]
        _, record = session.runs.last(task)
        if record is None:
            continue
        words = []
        for path in _used(session, task, record):
            try:
                words.append(escaped(path))
            except Unspeakable:
                unspeakable[path] = None
        lines.append(" \\\n  ".join([f"{escaped(task.built, target=True)}:", *words]))
        every |= dict.fromkeys(
            escaped(path, target=True)
            for path in _used(session, task, record)
            if path not in unspeakable
        )
    lines += [f"{target}:" for target in every]
    return "".join(f"{line}\n" for line in lines), tuple(unspeakable)


def renew(session: Session, names: Iterable[str]) -> None:
    """Give the built notebooks of `names`, in the graph's order, the time at which looking began.

    They are up to date for what was there then. What was saved since, while notebooks ran, is newer
    than they are, so that make asks again. What the same build made before them is not.
    """
    for name in names:
        task = session.graph.tasks[name]
        before = (session.root / path for path in _made_before(session, task))
        newest = max(map(_changed_ns, before), default=0)
        at = max(session.opened_ns, newest)
        with suppress(FileNotFoundError):
            os.utime(session.root / task.built, ns=(at, at))


def _made_before(session: Session, task: Task) -> Iterator[str]:
    """Yield what the tasks before `task` made: built notebooks and artefacts."""
    for name in session.graph.upstream(task.name):
        other = session.graph.tasks[name]
        yield other.built
        _, record = session.runs.last(other)
        yield from () if record is None else (one.path for one in record.artefacts)


def _changed_ns(place: Path) -> int:
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return 0


def write_depfile(place: Path, text: str) -> None:
    """Put `text` at `place`, whose folder is made if need be. Raises `StoreError`."""
    with writing(f"'{place}' cannot be written", place):
        below_private(place.parent)
        write(place, os.fsencode(text), sync=False)


def _used(session: Session, task: Task, record: Record) -> Iterator[str]:
    """Yield the existing files that a run read or imported, but not what it made."""
    items = record.trace.items
    read = {item.name for item in items if item.kind == "file"}
    read |= {item.value for item in items if item.kind == "import"}
    made = {one.path for one in (*record.artefacts, *record.undeclared)}
    for path in sorted(read - made - {task.built, task.source}):
        if (session.root / path).is_file():
            yield path
