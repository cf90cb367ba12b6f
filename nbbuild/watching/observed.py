"""What a kernel and its children were seen to use, typed: one run, as `reading` makes it out."""

from __future__ import annotations

import json
import os

import msgspec


class Stat(msgspec.Struct, frozen=True, array_like=True):
    """What lay at a path."""

    type: str  # f(ile), d(irectory), o(ther); l(ink) where links are not followed
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    mode: int = 0  # permission bits


class FileUse(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one path, absolute, symlinks as the notebook named them.

    Uses, in the order in which they first came. Questions: read (its content), exists (is it there,
    and of what kind), size (the same, and how large), stat (all that `stat` tells), lexists and
    lstat (the same, of a link itself), enter (as working folder), named (in the arguments of a
    child). Changes: write (made anew or truncated), append, open (for both, as SQLite does), mkdir,
    remove (renamed away, too).
    """

    path: str
    uses: tuple[str, ...]
    first: Stat | None  # just before the first use, links followed; None = it was not there
    own: Stat | None = None  # as the first question about the link itself found it
    before: str | None = None  # a digest of its content before the first change; None: not known
    read: bool  # its content, type or absence at `first` counts
    made: bool  # the run itself wrote it, or made the folder, before any other use
    written: bool
    cell: int  # of the first use, from 1 among the cells that ran; 0 = unknown
    pid: int  # of the process whose use came first


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A folder whose names were asked for."""

    path: str
    first: Stat
    # Sorted, just before, each after a letter for its kind (Stat.type); None = too many to tell.
    names: tuple[str, ...] | None
    cell: int
    pid: int


class Glob(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern that was looked for; its own scans are no listings."""

    way: str  # "glob" or "pathlib", which differ in what `**` and hidden names mean
    base: str  # the folder that a relative pattern begins in
    pattern: str  # of rglob, with `**/` before it
    recursive: bool
    hidden: bool
    matches: tuple[str, ...] | None  # sorted, absolute, just before; None = too many to tell
    cell: int
    pid: int


class ImportUse(msgspec.Struct, frozen=True, kw_only=True):
    """How Python's path finder first answered for one module; also to find_spec alone.

    Modules that other finders found (editable hooks, builtin, frozen) are in `modules` only.
    """

    name: str  # dotted
    origin: str | None
    kind: str  # source, bytecode, extension, namespace, zip, a loader's class name, or "missing"
    locations: tuple[str, ...] | None  # of a package
    importer: str  # dotted; "__main__" is a cell, or the script of a child
    importer_file: str  # a cell's is a name that IPython makes up
    path: tuple[str, ...]  # sys.path at that moment, with the working folder for ""
    cell: int
    pid: int


class LoadedModule(msgspec.Struct, frozen=True, array_like=True):
    """A module in the kernel's sys.modules at the end, and not before the first cell."""

    name: str
    origin: str | None
    kind: str  # as of imports, or builtin, frozen, unknown
    locations: tuple[str, ...] | None


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """What lies on the kernel's sys.path at the end, the first of a name first."""

    name: str  # as its metadata says, not normalised
    version: str
    folder: str  # its .dist-info or .egg-info
    direct_url: str | None  # the text of direct_url.json

    @property
    def editable(self) -> bool:
        """Say whether it is known to be installed in place."""
        try:
            told = json.loads(self.direct_url or "{}")
            return bool(told["dir_info"]["editable"])
        except (ValueError, TypeError, KeyError):
            return False


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """An environment variable that was asked for, or set, through os.environ."""

    deed: str  # read, set
    name: str  # "*" = all of them, as a copy takes
    reader: str  # dotted module that did it; "__main__" as of imports
    reader_file: str
    cell: int
    pid: int


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host that was looked up or contacted; not through Unix sockets."""

    name: str  # or address
    port: int  # 0 = unknown
    cell: int
    pid: int


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started with a program; forks are `processes` only."""

    argv: tuple[str, ...]  # may hold secrets: only `program` goes where it is kept or shown
    cwd: str
    environ: tuple[str, ...] | None  # names that differ from the parent's; None = none was given
    pid: int | None  # None = unknown (os.system)
    watched: bool  # it kept a log, so what it used is in here
    cell: int
    parent: int

    @property
    def program(self) -> str:
        """The name of what was started, without its folder and its arguments."""
        return os.path.basename(self.argv[0]) if self.argv else ""  # noqa: PTH119


class WatchedProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that gave an account; the kernel is the first."""

    pid: int
    parent: int
    forked: bool  # from a watched process, without exec
    argv: tuple[str, ...] = ()
    cwd: str = ""
    python: str = ""
    implementation: str = ""
    executable: str = ""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What one run used, in order of first use; of its Python children, too.

    `partial` says what could be seen only in part, [] for nothing but what the tracer's docs name.
    """

    files: tuple[FileUse, ...] = ()
    listings: tuple[Listing, ...] = ()
    globs: tuple[Glob, ...] = ()
    imports: tuple[ImportUse, ...] = ()
    modules: tuple[LoadedModule, ...] = ()
    base: tuple[str, ...] = ()  # dotted names of what was loaded before the first cell
    paths: tuple[tuple[str, ...], ...] = ()  # the kernel's sys.path, each as it came to be
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
        """The imports that were looked for and not there, and did not come from elsewhere."""
        found = {one.name for one in self.imports if one.kind != "missing"}
        found |= {module.name for module in self.modules} | set(self.base)
        return tuple(one for one in self.imports if one.kind == "missing" and one.name not in found)
