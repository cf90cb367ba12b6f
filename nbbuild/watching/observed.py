"""Types for what a kernel and its children used in one run; reading.py fills them."""

from __future__ import annotations

import json
import os

import msgspec


class Stat(msgspec.Struct, frozen=True, array_like=True):
    """What was found at a path."""

    type: str  # f(ile), d(irectory), o(ther); l(ink) where links are not followed
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    mode: int = 0  # permission bits


class FileUse(msgspec.Struct, frozen=True, kw_only=True):
    """How a run used one path, which is absolute, with symlinks as the notebook named them.

    `uses` are in the order in which they first came. Questions: read (its content), exists (is it
    there, and of what kind), size (also its size), stat (all that `stat` returns), lexists and
    lstat (the same about a link itself), enter (as working folder), named (in the arguments of a
    child). Changes: write (made anew or truncated), append, open (to read and write, as SQLite
    does), mkdir, remove (also by renaming).
    """

    path: str
    uses: tuple[str, ...]
    first: Stat | None  # just before the first use, links followed; None = missing
    own: Stat | None = None  # at the first question about the link itself
    before: str | None = None  # a digest of its content before the first change; None: unknown
    read: bool  # its content, type or absence at `first` counts
    made: bool  # the run itself wrote it, or made the folder, before any other use
    written: bool
    cell: int  # of the first use, from 1 among the cells that ran; 0 = unknown
    pid: int  # of the process whose use came first


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A folder whose names were asked for."""

    path: str
    first: Stat
    # Just before, sorted, each after a letter for its kind (Stat.type); None = too many to list.
    names: tuple[str, ...] | None
    cell: int
    pid: int


class Glob(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern that was searched for; the folders it scanned are not in `listings`."""

    way: str  # "glob" or "pathlib", which treat `**` and hidden names differently
    base: str  # the folder where a relative pattern begins
    pattern: str  # of rglob, with `**/` before it
    recursive: bool
    hidden: bool
    matches: tuple[str, ...] | None  # just before, sorted, absolute; None = too many to list
    cell: int
    pid: int


class ImportUse(msgspec.Struct, frozen=True, kw_only=True):
    """The first answer of Python's path finder about one module, even if only find_spec asked.

    Modules found by other finders (editable hooks, builtin, frozen) are only in `modules`.
    """

    name: str  # dotted
    origin: str | None
    kind: str  # source, bytecode, extension, namespace, zip, a loader's class name, or "missing"
    locations: tuple[str, ...] | None  # of a package
    importer: str  # dotted; "__main__" is a cell, or the script of a child
    importer_file: str  # for a cell, a name that IPython makes up
    path: tuple[str, ...]  # sys.path at that moment, with the working folder for ""
    cell: int
    pid: int


class LoadedModule(msgspec.Struct, frozen=True, array_like=True):
    """A module that is in the kernel's sys.modules at the end and was not before the first cell."""

    name: str
    origin: str | None
    kind: str  # as of imports, or builtin, frozen, unknown
    locations: tuple[str, ...] | None


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """A distribution on the kernel's sys.path at the end; the first of a name comes first."""

    name: str  # as its metadata says, not normalised
    version: str
    folder: str  # its .dist-info or .egg-info
    direct_url: str | None  # the text of direct_url.json

    @property
    def editable(self) -> bool:
        """Return whether it is known to be an editable install."""
        try:
            told = json.loads(self.direct_url or "{}")
            return bool(told["dir_info"]["editable"])
        except (ValueError, TypeError, KeyError):
            return False


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """An environment variable that was read or set through os.environ."""

    deed: str  # read, set
    name: str  # "*" = all of them, as when copying
    reader: str  # dotted module that did it; "__main__" as of imports
    reader_file: str
    cell: int
    pid: int


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host that was looked up or contacted; Unix sockets do not count."""

    name: str  # or address
    port: int  # 0 = unknown
    cell: int
    pid: int


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started with a program; mere forks are only in `processes`."""

    executable: str  # as it was named
    lacks: tuple[str, ...]  # files that its arguments name and that its sandbox does not hold
    environ: tuple[str, ...] | None  # names that differ from the parent's; None = not given
    pid: int | None  # None = unknown (os.system)
    watched: bool  # it kept a log, so what it used is included
    cell: int
    parent: int

    @property
    def program(self) -> str:
        """The name of the program, without its folder."""
        return os.path.basename(self.executable)  # noqa: PTH119


class WatchedProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that gave an account; the kernel is the first."""

    pid: int
    parent: int
    forked: bool  # from a watched process, without exec
    cwd: str = ""
    python: str = ""
    implementation: str = ""
    executable: str = ""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What one run and its Python children used, in order of first use.

    `partial` says what was seen only in part, except for what the tracer's docs name.
    """

    files: tuple[FileUse, ...] = ()
    listings: tuple[Listing, ...] = ()
    globs: tuple[Glob, ...] = ()
    imports: tuple[ImportUse, ...] = ()
    modules: tuple[LoadedModule, ...] = ()
    base: tuple[str, ...] = ()  # dotted names of modules loaded before the first cell
    paths: tuple[tuple[str, ...], ...] = ()  # the kernel's sys.path, in order of change
    distributions: tuple[Distribution, ...] = ()
    variables: tuple[Variable, ...] = ()
    hosts: tuple[Host, ...] = ()
    children: tuple[Child, ...] = ()
    processes: tuple[WatchedProcess, ...] = ()
    partial: tuple[str, ...] = ()
    level: str = "python"  # how closely it was watched (levels.py)
    rights: str = ""  # a program that gained no rights because it was watched

    @property
    def missing(self) -> tuple[ImportUse, ...]:
        """The imports that the path finder did not find and that came from nowhere else."""
        found = {one.name for one in self.imports if one.kind != "missing"}
        found |= {module.name for module in self.modules} | set(self.base)
        return tuple(one for one in self.imports if one.kind == "missing" and one.name not in found)
