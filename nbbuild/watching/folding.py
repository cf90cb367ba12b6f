"""Sum up the accounts of a kernel and of its children: what the run used."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, TypeAlias

from nbbuild.watching.lines import (
    Account,
    AccountLine,
    ChangeLine,
    ChildLine,
    ForkLine,
    GlobLine,
    HostLine,
    ImportLine,
    KernelReport,
    ListLine,
    PartialLine,
    PathLine,
    UseLine,
    VariableLine,
)
from nbbuild.watching.observed import (
    Child,
    FileUse,
    Glob,
    Host,
    ImportUse,
    Listing,
    LoadedModule,
    Observed,
    Variable,
)
from nbbuild.watching.outside import from_outside
from nbbuild.watching.seen import Seen

_ToldUse: TypeAlias = tuple[str, UseLine, int, int]
"""Kind of use, line, cell, process id."""

_READING = ("read", "exists", "size", "stat", "lexists", "lstat", "enter", "named", "open")
_OWN = ("lexists", "lstat")
_MAKING = ("write", "mkdir", "append")


def fold(
    accounts: list[Account], report: KernelReport, partial: list[str], seen: Seen | None = None
) -> Observed:
    """Return what a kernel, the first of `accounts`, and its children used.

    `partial` has sentences on what could not be read; sentences on what was not seen are added.
    """
    cells = _cells(accounts)
    watched = {process.pid for process, _ in accounts if not process.forked}
    folded = _Folded(watched, partial)
    flat = [(line, process.pid) for process, lines in accounts for line in lines]
    flat += from_outside(seen, accounts, report, partial)
    for line, pid in sorted(flat, key=lambda pair: pair[0].time):
        cell = getattr(line, "cell", 0) or cells.get(pid, 0)
        cell = cell or (seen.cell(line.time) if seen is not None else 0)
        folded.add(line, cell, pid)
    outside = seen is not None and not seen.blind
    if not outside:
        partial += _unwatched(folded.children)
        partial += _in_c(report.modules)
    return Observed(
        files=tuple(_file(path, one) for path, one in folded.uses.items()),
        listings=tuple(folded.listings.values()),
        globs=tuple(folded.globs.values()),
        imports=tuple(folded.imports.values()),
        modules=report.modules,
        base=report.base,
        paths=_kernel_paths(folded.paths.get(accounts[0][0].pid, {}), report),
        distributions=report.distributions,
        variables=tuple(folded.variables.values()),
        hosts=tuple(folded.hosts.values()),
        children=tuple(folded.children),
        processes=tuple(process for process, _ in accounts),
        partial=tuple(dict.fromkeys(partial)),
        level="syscalls" if outside else "python",
        rights="" if seen is None else seen.rights,
    )


class _Folded:
    """The sum of the lines so far: each thing once, as it was first reported."""

    def __init__(self, watched: Collection[int], partial: list[str]) -> None:
        self._watched = watched
        self._partial = partial
        self.uses: dict[str, list[_ToldUse]] = {}
        self.listings: dict[str, Listing] = {}
        self.globs: dict[tuple[object, ...], Glob] = {}
        self.imports: dict[tuple[str, str, str | None], ImportUse] = {}
        self.paths: dict[int, dict[int, tuple[str, ...]]] = {}  # process id → number → sys.path
        self.variables: dict[tuple[str, str, str], Variable] = {}
        self.hosts: dict[tuple[str, int], Host] = {}
        self.children: list[Child] = []

    def add(self, line: AccountLine, cell: int, pid: int) -> None:
        """Add the next line, which process `pid` reported in `cell`."""
        match line:
            case UseLine():
                kind = str(line.__struct_config__.tag)
                self.uses.setdefault(line.path, []).append((kind, line, cell, pid))
            case ListLine():
                one = Listing(path=line.path, first=line.stat, names=line.names, cell=cell, pid=pid)
                self.listings.setdefault(line.path, one)
            case GlobLine():
                self._glob(line, cell, pid)
            case PathLine():
                self.paths.setdefault(pid, {})[line.index] = line.entries
            case ImportLine():
                self._import(line, cell, pid)
            case HostLine():
                host = Host(name=line.name, port=line.port, cell=cell, pid=pid)
                self.hosts.setdefault((host.name, host.port), host)
            case VariableLine():
                self._variable(line, cell, pid)
            case ChildLine():
                self._child(line, cell, pid)
            case PartialLine():
                self._partial.append(line.reason)

    def _glob(self, line: GlobLine, cell: int, pid: int) -> None:
        glob = Glob(
            way=line.way,
            base=line.base,
            pattern=line.pattern,
            recursive=line.recursive,
            hidden=line.hidden,
            matches=line.matches,
            cell=cell,
            pid=pid,
        )
        key = (glob.way, glob.base, glob.pattern, glob.recursive, glob.hidden)
        self.globs.setdefault(key, glob)

    def _import(self, line: ImportLine, cell: int, pid: int) -> None:
        found = ImportUse(
            name=line.name,
            origin=line.origin,
            kind=line.kind,
            locations=line.locations,
            importer=line.importer,
            importer_file=line.importer_file,
            path=self.paths.get(pid, {}).get(line.path, ()),
            cell=cell,
            pid=pid,
        )
        # Two processes may find different modules under one name.
        self.imports.setdefault((found.name, found.kind, found.origin), found)

    def _variable(self, line: VariableLine, cell: int, pid: int) -> None:
        variable = Variable(
            deed=line.deed,
            name=line.name,
            reader=line.reader,
            reader_file=line.reader_file,
            cell=cell,
            pid=pid,
        )
        self.variables.setdefault((variable.deed, variable.name, variable.reader), variable)

    def _child(self, line: ChildLine, cell: int, pid: int) -> None:
        child = Child(
            executable=line.executable,
            lacks=line.lacks,
            environ=line.environ,
            pid=line.pid,
            watched=line.pid in self._watched,
            cell=cell,
            parent=pid,
        )
        self.children.append(child)


def _kernel_paths(
    paths: dict[int, tuple[str, ...]], report: KernelReport
) -> tuple[tuple[str, ...], ...]:
    """Return the values that the kernel's sys.path had, in order."""
    found = [entries for _, entries in sorted(paths.items())]
    if report.path and report.path not in found[-1:]:
        found.append(report.path)
    return tuple(found)


def _unwatched(children: list[Child]) -> Iterator[str]:
    """Yield sentences on the programs that gave no account."""
    programs = dict.fromkeys(child.program for child in children if not child.watched)
    return (f"the program {name} may have read other files" for name in programs)


_IN_C = """
cv2 duckdb fastparquet fiona h5py lance netCDF4 osgeo polars pyarrow pyogrio pyreadstat rasterio
tables tiledb vaex
"""
READERS_IN_C: Final = frozenset(_IN_C.split())
"""Packages that open files in C, unseen by Python."""


def _in_c(modules: tuple[LoadedModule, ...]) -> Iterator[str]:
    """Yield sentences on the packages that open files unseen."""
    tops = dict.fromkeys(module.name.partition(".")[0] for module in modules)
    return (f"{top} may have read other files" for top in tops if top in READERS_IN_C)


def _file(path: str, uses: list[_ToldUse]) -> FileUse:
    kinds = tuple(dict.fromkeys(kind for kind, _, _, _ in uses))
    own = next((record.stat for kind, record, _, _ in uses if kind in _OWN), None)
    first, record, cell, pid = next((use for use in uses if use[0] not in _OWN), uses[0])
    asked = uses[0][0] not in _MAKING
    made = not asked and not (first != "write" and record.stat is not None)
    changes = (one for _, one, _, _ in uses if isinstance(one, ChangeLine))
    change = next(changes, None)
    return FileUse(
        path=path,
        uses=kinds,
        first=record.stat,
        own=own,
        before=None if change is None else change.before,
        read=not made and (first == "append" or any(kind in _READING for kind in kinds)),
        made=made,
        written=any(kind in ("write", "append", "open", "mkdir", "remove") for kind in kinds),
        cell=cell,
        pid=pid,
    )


def _cells(accounts: list[Account]) -> dict[int, int]:
    """Return the cell in which each process was started."""
    started: dict[int, int] = {}
    parents = {process.pid: process.parent for process, _ in accounts}
    by_parent: dict[int, int] = {}
    for process, records in accounts:
        for record in records:
            if isinstance(record, ChildLine) and record.pid is not None and record.cell:
                started.setdefault(record.pid, record.cell)
            if isinstance(record, (ChildLine, ForkLine)) and record.cell:
                by_parent[process.pid] = record.cell
    for pid in parents:
        ancestor, seen = pid, set()
        while ancestor in parents and ancestor not in started and ancestor not in seen:
            seen.add(ancestor)
            ancestor = parents[ancestor]
        cell = started.get(ancestor, 0)
        if cell:
            started.setdefault(pid, cell)
    return started
