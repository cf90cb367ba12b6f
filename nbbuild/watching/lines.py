"""Shapes that check the lines of an account, as tracer.py and syscalls.py write them.

Nothing in an account is trusted: a notebook can write there, too.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from nbbuild.disk.shapes import Misshapen, Shape
from nbbuild.watching.observed import Distribution, LoadedModule, Stat, WatchedProcess


class AccountLine(msgspec.Struct, frozen=True, array_like=True):
    """One line of an account; its first element is its kind, the tag."""

    time: float  # seconds of the monotonic clock


class UseLine(AccountLine, frozen=True, array_like=True):
    """A question about a path, or a change to it; see FileUse for the kinds."""

    path: str
    stat: Stat | None
    cell: int = 0


class ReadLine(UseLine, frozen=True, array_like=True, tag="read"):
    """The content of a file was asked for."""


class _ExistsLine(UseLine, frozen=True, array_like=True, tag="exists"):
    pass


class _SizeLine(UseLine, frozen=True, array_like=True, tag="size"):
    pass


class _StatLine(UseLine, frozen=True, array_like=True, tag="stat"):
    pass


class _LexistsLine(UseLine, frozen=True, array_like=True, tag="lexists"):
    pass


class _LstatLine(UseLine, frozen=True, array_like=True, tag="lstat"):
    pass


class EnterLine(UseLine, frozen=True, array_like=True, tag="enter"):
    """A folder became the working folder."""


class _NamedLine(UseLine, frozen=True, array_like=True, tag="named"):
    pass


class ChangeLine(UseLine, frozen=True, array_like=True):
    """The content of a file is about to change."""

    before: str | None = None


class _WriteLine(ChangeLine, frozen=True, array_like=True, tag="write"):
    pass


class _AppendLine(ChangeLine, frozen=True, array_like=True, tag="append"):
    pass


class _OpenLine(ChangeLine, frozen=True, array_like=True, tag="open"):
    pass


class _MkdirLine(UseLine, frozen=True, array_like=True, tag="mkdir"):
    pass


class _RemoveLine(UseLine, frozen=True, array_like=True, tag="remove"):
    pass


class ListLine(AccountLine, frozen=True, array_like=True, tag="list"):
    """The names in a folder were asked for."""

    path: str
    stat: Stat
    names: tuple[str, ...] | None
    cell: int = 0


class GlobLine(AccountLine, frozen=True, array_like=True, tag="glob"):
    """A pattern was looked for."""

    way: str
    base: str
    pattern: str
    recursive: bool
    hidden: bool
    matches: tuple[str, ...] | None
    cell: int = 0


class PathLine(AccountLine, frozen=True, array_like=True, tag="path"):
    """`sys.path` from here on; imports name it by its index."""

    index: int
    entries: tuple[str, ...]


class ImportLine(AccountLine, frozen=True, array_like=True, tag="import"):
    """Python's path finder answered for a module."""

    name: str
    origin: str | None
    kind: str
    locations: tuple[str, ...] | None
    importer: str
    importer_file: str
    path: int
    cell: int = 0


class HostLine(AccountLine, frozen=True, array_like=True, tag="host"):
    """A host was looked up or contacted."""

    name: str
    port: int
    cell: int = 0


class VariableLine(AccountLine, frozen=True, array_like=True, tag="variable"):
    """An environment variable was read or set."""

    deed: str
    name: str
    reader: str
    reader_file: str
    cell: int = 0


class ChildLine(AccountLine, frozen=True, array_like=True, tag="child"):
    """A program was started."""

    executable: str
    lacks: tuple[str, ...]
    environ: tuple[str, ...] | None
    pid: int | None
    cell: int = 0


class ForkLine(AccountLine, frozen=True, array_like=True, tag="fork"):
    """The process forked."""

    cell: int = 0


class ScanLine(AccountLine, frozen=True, array_like=True, tag="scan"):
    """Python opened a folder to list it, which was also seen from outside."""

    path: str


class StartLine(AccountLine, frozen=True, array_like=True, tag="start"):
    """The account begins."""

    process: WatchedProcess


class PartialLine(AccountLine, frozen=True, array_like=True, tag="partial"):
    """Something was seen only in part."""

    reason: str


_Any = (
    ReadLine
    | _ExistsLine
    | _SizeLine
    | _StatLine
    | _LexistsLine
    | _LstatLine
    | EnterLine
    | _NamedLine
    | _WriteLine
    | _AppendLine
    | _OpenLine
    | _MkdirLine
    | _RemoveLine
    | ListLine
    | GlobLine
    | PathLine
    | ImportLine
    | HostLine
    | VariableLine
    | ChildLine
    | ForkLine
    | ScanLine
    | StartLine
    | PartialLine
)


class KernelReport(msgspec.Struct, frozen=True):
    """What a kernel writes: its lines, and its state at the end."""

    format: int
    records: list[Any]
    start: WatchedProcess | None = None
    children: str = ""
    modules: tuple[LoadedModule, ...] = ()
    base: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    scanned: dict[str, int] = {}  # how often Python itself opened each folder


REPORT: Shape[KernelReport] = Shape(KernelReport)
_LINE: Shape[AccountLine] = Shape(_Any)
_LINES: Shape[list[AccountLine]] = Shape(list[_Any])

Account: TypeAlias = tuple[WatchedProcess, list[AccountLine]]
"""A process and the lines that it reported."""


def parsed(raw: list[Any], pid: int, partial: list[str]) -> list[AccountLine]:
    """Return the lines of a process; `partial` gets the number of unreadable ones."""
    try:
        return _LINES.from_plain(raw)  # many times faster than one by one
    except Misshapen:
        pass
    lines: list[AccountLine] = []
    for one in raw:
        with suppress(Misshapen):
            lines.append(_LINE.from_plain(one))
    damaged = len(raw) - len(lines)
    partial.append(f"{damaged} lines in the account of process {pid} cannot be read")
    return lines
