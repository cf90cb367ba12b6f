"""What the tracer in a kernel is given to run, and what it reports, typed.

`prepare` makes a private folder for one run:

    report.json      the kernel's account; written when asked to, and again as the kernel exits
    site/            on the PYTHONPATH of the kernel's children, whose os.environ does not show it:
      sitecustomize.py   begins to watch, then gives way to the user's own
      tracer.py          a copy; with its code, marshalled, for each Python that ran it
    children/        <process id>-<nanoseconds>.jsonl, a log of each Python child

Then, with the kernel: `install_code` before the first cell, `report_code` after the last one, both
in a silent execute_request without history; what these publish is not the notebook's. At the end,
`read_report`. Nothing that it reads is trusted: a notebook can write there, too.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from nbbuild.disk.durable import below_private, discard, own_folder, write
from nbbuild.disk.regular import is_taken
from nbbuild.disk.shapes import Misshapen, Shape
from nbbuild.watching.seen import Seen

FORMAT: Final = 3

_WAKE: Final = "nbbuild.wake"
"""The audit event by which a watcher that was forked with its kernel goes on."""


# -- before: what a kernel runs ----------------------------------------------------------------


class Tracing(msgspec.Struct, frozen=True):
    """Where one run's tracer lives and reports; made by `prepare`."""

    folder: str
    report: str  # the path of the account that a kernel writes as it exits
    event: str  # the name of the audit event that asks for the account
    cache: str  # holds the tracer's code, marshalled, by Python version
    outside: bool = False  # whether system calls are watched as well


# Runs in Python ≥ 3.8, and is at least understood by Python 2, which children may be.
_LOAD = r"""
def load(source, cache):
    import marshal, posix, sys
    path = "%s/tracer-%s-%x.bin" % (cache, sys.implementation.cache_tag, sys.hexversion)
    try:
        with open(path, "rb") as file:
            return marshal.loads(file.read())
    except (OSError, ValueError, EOFError, TypeError):
        pass
    with open(source, "rb") as file:
        code = compile(file.read(), "<nbbuild tracer>", "exec", 0, True, 0)
    try:
        temporary = "%s.%d" % (path, posix.getpid())
        with open(temporary, "wb") as file:
            file.write(marshal.dumps(code))
        posix.replace(temporary, path)
    except OSError:
        pass
    return code

def watch(how, source, cache, **where):
    import sys
    known = set(sys.modules)
    names = {"__name__": "nbbuild_tracer"}
    exec(load(source, cache), names)
    for new in set(sys.modules) - known:
        del sys.modules[new]
    return names[how](**where)
"""

_KERNEL = (
    _LOAD.replace("{", "{{").replace("}", "}}")
    + r"""
def begin():
    import sys
    cell = sys._getframe(2).f_code.co_filename
    try:
        where = dict(
            folder={folder!r}, report={report!r}, event={event!r}, memory={cache!r},
            outside={outside!r},
        )
        answer = []  # of a watcher that was forked with this kernel
        sys.audit({wake!r}, answer, *where.values())
        if not answer:
            watch("watch_kernel", {source!r}, {cache!r}, **where)
    except Exception as error:
        import json
        reason = "the tracer cannot be installed: %r" % (error,)
        with open({report!r}, "w") as file:
            json.dump({{"format": {format}, "records": [["partial", 0.0, reason]]}}, file)
    finally:
        # IPython keeps the source of each cell for tracebacks; this one is no cell.
        linecache = sys.modules.get("linecache")
        if linecache is not None:
            linecache.cache.pop(cell, None)
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        getattr(getattr(shell, "compile", None), "_filename_map", {{}}).pop(cell, None)
begin()
"""
)

_SITE = (
    _LOAD.replace("{", "{{").replace("}", "}}")
    + r"""
def begin():
    import os, sys
    here = {site!r}
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    value = os.environ.get("PYTHONPATH", "")
    if value == here:
        del os.environ["PYTHONPATH"]
    elif value.startswith(here + ":"):
        os.environ["PYTHONPATH"] = value[len(here) + 1 :]
    if sys.version_info >= (3, 8):
        try:
            watch("watch_child", {source!r}, {cache!r}, folder={folder!r}, outside={outside!r})
        except Exception:
            pass
    del sys.modules["sitecustomize"]

begin()
import sitecustomize
"""
)


def prepare(folder: Path, *, cache: Path | None = None, outside: bool = False) -> Tracing:
    """Make the files of one run in `folder`, which is empty or absent.

    `outside` says that system calls are watched as well. With a `cache`, a folder that outlives the
    run, a kernel need not compile the tracer.
    """
    site = folder / "site"
    for made in (site, folder / "children", *([cache] if cache else [])):
        below_private(made)
    text = _tracer()
    (site / "tracer.py").write_bytes(text)
    code = site if cache is None else _cache(cache, text)
    tracing = Tracing(
        folder=str(folder.resolve()),
        report=str(folder.resolve() / "report.json"),
        event=f"nbbuild.{secrets.token_hex(8)}",
        cache=str(code.resolve()),
        outside=outside,
    )
    customize = _SITE.format(
        site=str(site.resolve()),
        source=str(site.resolve() / "tracer.py"),
        cache=tracing.cache,
        folder=tracing.folder,
        outside=outside,
    )
    (site / "sitecustomize.py").write_text(customize, encoding="utf-8")
    return tracing


def _tracer() -> bytes:
    return (resources.files("nbbuild.watching") / "tracer.py").read_bytes()


def _cache(cache: Path, text: bytes) -> Path:
    """Return the folder in `cache` for what this tracer is compiled to."""
    folder = cache / sha256(text).hexdigest()[:16]
    own_folder(folder, below=cache.parent)
    with os.scandir(folder) as found:
        for entry in found:
            if is_taken(entry.path):  # kernels read what lies here: a pipe would hold them
                discard(Path(entry.path))
    return folder


def zygote_code(cache: Path) -> str:
    """Return the code by which a process that forks kernels gets a `watcher` of its imports."""
    text = _tracer()
    folder = _cache(cache, text).resolve()
    source = folder / "tracer.py"
    if not source.exists():
        write(source, text)
    where = f"{str(source)!r}, {str(folder)!r}, wake={_WAKE!r}"
    return f"{_LOAD}\nwatcher = watch('watch_zygote', {where})\n"


def install_code(tracing: Tracing) -> str:
    """Return the code that begins to watch; of a Python kernel's first, silent execution."""
    script = _KERNEL.format(
        source=str(Path(tracing.folder, "site", "tracer.py")),
        cache=tracing.cache,
        folder=tracing.folder,
        report=tracing.report,
        event=tracing.event,
        outside=tracing.outside,
        wake=_WAKE,
        format=FORMAT,
    )
    return f"exec({script!r}, {{'__name__': 'nbbuild'}})"


def report_code(tracing: Tracing, path: Path) -> str:
    """Return the code by which a watched kernel writes its account to `path`, atomically."""
    return f"__import__('sys').audit({tracing.event!r}, {str(path)!r})"


# -- after: what a kernel saw ------------------------------------------------------------------


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


class Import(msgspec.Struct, frozen=True, kw_only=True):
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


class Module(msgspec.Struct, frozen=True, array_like=True):
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


class Process(msgspec.Struct, frozen=True, kw_only=True):
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
    imports: tuple[Import, ...] = ()
    modules: tuple[Module, ...] = ()
    base: tuple[str, ...] = ()  # dotted names of what was loaded before the first cell
    paths: tuple[tuple[str, ...], ...] = ()  # the kernel's sys.path, each as it came to be
    distributions: tuple[Distribution, ...] = ()
    variables: tuple[Variable, ...] = ()
    hosts: tuple[Host, ...] = ()
    children: tuple[Child, ...] = ()
    processes: tuple[Process, ...] = ()
    partial: tuple[str, ...] = ()
    level: str = "python"  # how closely it was watched (levels.py)
    rights: str = ""  # a program that gained no rights because it was watched

    @property
    def missing(self) -> tuple[Import, ...]:
        """The imports that were looked for and not there, and did not come from elsewhere."""
        found = {one.name for one in self.imports if one.kind != "missing"}
        found |= {module.name for module in self.modules} | set(self.base)
        return tuple(one for one in self.imports if one.kind == "missing" and one.name not in found)


def read_report(path: Path, seen: Seen | None = None) -> Observed | None:
    """Return what the account at `path`, and the logs of the children, say; None without one.

    What was `seen` from outside is added. An account that cannot be understood gives an Observed
    that is partial.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    partial: list[str] = []
    try:
        report = _report(data)
    except (ValueError, RecursionError) as error:  # msgspec's ValidationError is a ValueError
        return Observed(partial=(f"the kernel's account cannot be read: {error}",))
    if report.format != FORMAT:
        return Observed(partial=(f"the kernel's account has format {report.format}",))
    kernel = report.start or Process(pid=0, parent=0, forked=False)
    accounts = [(kernel, _records(report.records, kernel.pid, partial))]
    if report.children:
        accounts += _logs(Path(report.children), partial)
    return _fold(accounts, report, partial, seen)


def _report(data: bytes) -> _Report:
    try:
        return _REPORT.from_json(data)
    except Misshapen:
        # Less strict: paths may hold what is no text.
        return _REPORT.from_plain(json.loads(data))


def only_seen(seen: Seen) -> Observed:
    """Return what a kernel without a tracer was `seen` to do from outside."""
    kernel = Process(pid=0, parent=0, forked=False)
    observed = _fold([(kernel, [])], _Report(format=FORMAT, records=[]), [], seen)
    return msgspec.structs.replace(observed, level="none") if seen.blind else observed


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """One line of an account; the first element, its kind, is the tag."""

    time: float  # seconds of the monotonic clock


class _Use(_Record, frozen=True, array_like=True):
    path: str
    stat: Stat | None
    cell: int = 0


class _Read(_Use, frozen=True, array_like=True, tag="read"):
    pass


class _Exists(_Use, frozen=True, array_like=True, tag="exists"):
    pass


class _Size(_Use, frozen=True, array_like=True, tag="size"):
    pass


class _Stat(_Use, frozen=True, array_like=True, tag="stat"):
    pass


class _Lexists(_Use, frozen=True, array_like=True, tag="lexists"):
    pass


class _Lstat(_Use, frozen=True, array_like=True, tag="lstat"):
    pass


class _Enter(_Use, frozen=True, array_like=True, tag="enter"):
    pass


class _Named(_Use, frozen=True, array_like=True, tag="named"):
    pass


class _Change(_Use, frozen=True, array_like=True):
    before: str | None = None


class _Write(_Change, frozen=True, array_like=True, tag="write"):
    pass


class _Append(_Change, frozen=True, array_like=True, tag="append"):
    pass


class _Open(_Change, frozen=True, array_like=True, tag="open"):
    pass


class _Mkdir(_Use, frozen=True, array_like=True, tag="mkdir"):
    pass


class _Remove(_Use, frozen=True, array_like=True, tag="remove"):
    pass


class _List(_Record, frozen=True, array_like=True, tag="list"):
    path: str
    stat: Stat
    names: tuple[str, ...] | None
    cell: int = 0


class _Glob(_Record, frozen=True, array_like=True, tag="glob"):
    way: str
    base: str
    pattern: str
    recursive: bool
    hidden: bool
    matches: tuple[str, ...] | None
    cell: int = 0


class _Path(_Record, frozen=True, array_like=True, tag="path"):
    index: int
    entries: tuple[str, ...]


class _Import(_Record, frozen=True, array_like=True, tag="import"):
    name: str
    origin: str | None
    kind: str
    locations: tuple[str, ...] | None
    importer: str
    importer_file: str
    path: int
    cell: int = 0


class _Host(_Record, frozen=True, array_like=True, tag="host"):
    name: str
    port: int
    cell: int = 0


class _Variable(_Record, frozen=True, array_like=True, tag="variable"):
    deed: str
    name: str
    reader: str
    reader_file: str
    cell: int = 0


class _Child(_Record, frozen=True, array_like=True, tag="child"):
    argv: tuple[str, ...]
    cwd: str
    environ: tuple[str, ...] | None
    pid: int | None
    cell: int = 0


class _Fork(_Record, frozen=True, array_like=True, tag="fork"):
    cell: int = 0


class _Scan(_Record, frozen=True, array_like=True, tag="scan"):
    path: str


class _Start(_Record, frozen=True, array_like=True, tag="start"):
    process: Process


class _Partial(_Record, frozen=True, array_like=True, tag="partial"):
    reason: str


_Any = (
    _Read
    | _Exists
    | _Size
    | _Stat
    | _Lexists
    | _Lstat
    | _Enter
    | _Named
    | _Write
    | _Append
    | _Open
    | _Mkdir
    | _Remove
    | _List
    | _Glob
    | _Path
    | _Import
    | _Host
    | _Variable
    | _Child
    | _Fork
    | _Scan
    | _Start
    | _Partial
)


class _Report(msgspec.Struct, frozen=True):
    format: int
    records: list[Any]
    start: Process | None = None
    children: str = ""
    modules: tuple[Module, ...] = ()
    base: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    scanned: dict[str, int] = {}  # how often Python itself opened each folder


_REPORT: Shape[_Report] = Shape(_Report)
_RECORD: Shape[_Record] = Shape(_Any)
_RECORDS: Shape[list[_Record]] = Shape(list[_Any])

_Account = tuple[Process, list[_Record]]


def _records(raw: list[Any], pid: int, partial: list[str]) -> list[_Record]:
    try:
        return _RECORDS.from_plain(raw)  # many times faster than one by one
    except Misshapen:
        pass
    records: list[_Record] = []
    for one in raw:
        with suppress(Misshapen):
            records.append(_RECORD.from_plain(one))
    damaged = len(raw) - len(records)
    partial.append(f"{damaged} lines in the account of process {pid} cannot be read")
    return records


def _logs(folder: Path, partial: list[str]) -> Iterator[_Account]:
    """Yield the accounts of the children."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208, names are what is needed
    except OSError as error:
        partial.append(f"the accounts of the children cannot be read: {error.strerror}")
        return
    for name in names:
        pid = name.partition("-")[0]
        try:
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            partial.append(f"the account of process {pid} cannot be read: {error.strerror}")
            continue
        parsed = []
        for number, line in enumerate(lines):
            try:
                if line:
                    parsed.append(json.loads(line))
            except (ValueError, RecursionError):
                last = "breaks off" if number == len(lines) - 1 else "is damaged"
                partial.append(f"the account of process {pid} {last}")
        records = _records(parsed, int(pid) if pid.isdigit() else 0, partial)
        starts = [record.process for record in records if isinstance(record, _Start)]
        if starts:
            yield starts[0], records
        else:
            partial.append(f"the account of process {pid} has no beginning")


_READING = ("read", "exists", "size", "stat", "lexists", "lstat", "enter", "named", "open")
_OWN = ("lexists", "lstat")
_MAKING = ("write", "mkdir", "append")


def _fold(
    accounts: list[_Account], report: _Report, partial: list[str], seen: Seen | None = None
) -> Observed:
    cells = _cells(accounts)
    watched = {process.pid for process, _ in accounts if not process.forked}
    uses: dict[str, list[tuple[str, _Use, int, int]]] = {}
    lists: dict[str, Listing] = {}
    globs: dict[tuple[object, ...], Glob] = {}
    imports: dict[tuple[str, str, str | None], Import] = {}
    paths: dict[int, dict[int, tuple[str, ...]]] = {}
    variables: dict[tuple[str, str, str], Variable] = {}
    hosts: dict[tuple[str, int], Host] = {}
    children: list[Child] = []
    flat = [(record, process.pid) for process, records in accounts for record in records]
    flat += _from_outside(seen, accounts, report, partial)
    for record, pid in sorted(flat, key=lambda pair: pair[0].time):
        cell = getattr(record, "cell", 0) or cells.get(pid, 0)
        cell = cell or (seen.cell(record.time) if seen is not None else 0)
        match record:
            case _Use():
                kind = str(record.__struct_config__.tag)
                uses.setdefault(record.path, []).append((kind, record, cell, pid))
            case _List():
                one = Listing(
                    path=record.path, first=record.stat, names=record.names, cell=cell, pid=pid
                )
                lists.setdefault(record.path, one)
            case _Glob():
                glob = Glob(
                    way=record.way,
                    base=record.base,
                    pattern=record.pattern,
                    recursive=record.recursive,
                    hidden=record.hidden,
                    matches=record.matches,
                    cell=cell,
                    pid=pid,
                )
                key = (glob.way, glob.base, glob.pattern, glob.recursive, glob.hidden)
                globs.setdefault(key, glob)
            case _Path():
                paths.setdefault(pid, {})[record.index] = record.entries
            case _Import():
                found = Import(
                    name=record.name,
                    origin=record.origin,
                    kind=record.kind,
                    locations=record.locations,
                    importer=record.importer,
                    importer_file=record.importer_file,
                    path=paths.get(pid, {}).get(record.path, ()),
                    cell=cell,
                    pid=pid,
                )
                # Two processes may find two modules of one name.
                imports.setdefault((found.name, found.kind, found.origin), found)
            case _Host():
                host = Host(name=record.name, port=record.port, cell=cell, pid=pid)
                hosts.setdefault((host.name, host.port), host)
            case _Variable():
                variable = Variable(
                    deed=record.deed,
                    name=record.name,
                    reader=record.reader,
                    reader_file=record.reader_file,
                    cell=cell,
                    pid=pid,
                )
                variables.setdefault((variable.deed, variable.name, variable.reader), variable)
            case _Child():
                child = Child(
                    argv=record.argv,
                    cwd=record.cwd,
                    environ=record.environ,
                    pid=record.pid,
                    watched=record.pid in watched,
                    cell=cell,
                    parent=pid,
                )
                children.append(child)
            case _Partial():
                partial.append(record.reason)
    outside = seen is not None and not seen.blind
    if not outside:
        partial += _unwatched(children)
        partial += _in_c(report.modules)
    return Observed(
        files=tuple(_file(path, one) for path, one in uses.items()),
        listings=tuple(lists.values()),
        globs=tuple(globs.values()),
        imports=tuple(imports.values()),
        modules=report.modules,
        base=report.base,
        paths=_kernel_paths(paths.get(accounts[0][0].pid, {}), report),
        distributions=report.distributions,
        variables=tuple(variables.values()),
        hosts=tuple(hosts.values()),
        children=tuple(children),
        processes=tuple(process for process, _ in accounts),
        partial=tuple(dict.fromkeys(partial)),
        level="syscalls" if outside else "python",
        rights="" if seen is None else seen.rights,
    )


def _kernel_paths(
    paths: dict[int, tuple[str, ...]], report: _Report
) -> tuple[tuple[str, ...], ...]:
    """Return what the kernel's sys.path was, one after the other."""
    found = [entries for _, entries in sorted(paths.items())]
    if report.path and report.path not in found[-1:]:
        found.append(report.path)
    return tuple(found)


def _unwatched(children: list[Child]) -> Iterator[str]:
    """Yield sentences on the programs that give no account."""
    programs = dict.fromkeys(child.program for child in children if not child.watched)
    return (f"what a program read was seen only in part: {name}" for name in programs)


_IN_C = """
cv2 duckdb fastparquet fiona h5py lance netCDF4 osgeo polars pyarrow pyogrio pyreadstat rasterio
tables tiledb vaex
"""
READERS_IN_C: Final = frozenset(_IN_C.split())
"""Packages that open files in C, by names that Python does not see."""


def _in_c(modules: tuple[Module, ...]) -> Iterator[str]:
    """Yield sentences on the packages that open files unseen."""
    tops = dict.fromkeys(module.name.partition(".")[0] for module in modules)
    return (f"what {top} reads was seen only in part" for top in tops if top in READERS_IN_C)


def _from_outside(
    seen: Seen | None, accounts: list[_Account], report: _Report, partial: list[str]
) -> list[tuple[_Record, int]]:
    """Return the records of what was seen from outside, less what Python's import system did.

    What a watched Python listed itself its own account tells, and why. Before that account begins
    an interpreter looks for its parts: only what it read counts, and what lies outside the folders
    that it searches.
    """
    if seen is None:
        return []
    partial += [f"system calls were not watched: {seen.blind}"] if seen.blind else seen.missed
    began: dict[int, float] = {}
    scanned: dict[tuple[int, str], float] = {}
    for process, records in accounts:
        # What a zygote did is older; a search path is told as a process begins to be watched.
        times = [record.time for record in records if isinstance(record, _Path)]
        times = times or [record.time for record in records if not isinstance(record, _Partial)]
        began[process.pid] = min(times, default=0.0)
        for record in records:
            if isinstance(record, _Scan):
                scanned[process.pid, record.path] = math.inf
    kernel = accounts[0][0].pid
    for path, count in report.scanned.items():
        scanned[kernel, path] = count
    counts = {(pid, path): count for pid, path, count in seen.opened}
    starts = {  # the last program that a process ran before its account begins
        pid: max((when for who, when, _ in seen.execs if who == pid and when <= since), default=0.0)
        for pid, since in began.items()
    }
    became = {pid: when for pid, when, _ in seen.execs if pid in began and when > began[pid]}
    searched = {entry.rstrip("/") for entry in report.path} | {accounts[0][0].cwd}
    silent = {pid for pid, _, name in seen.execs if name.startswith("python")} - set(began)
    elsewhere = {folder for folder in searched if not f"{folder}/".startswith(accounts[0][0].cwd)}

    def counted(pid: int, record: _Record) -> bool:
        path = str(getattr(record, "path", ""))
        listing = isinstance(record, _List)
        folder = path if listing else path.rpartition("/")[0]
        if pid in silent and folder in elsewhere:
            return (
                isinstance(record, _Read) and record.stat is not None
            )  # else it looks for modules
        if pid not in began or record.time >= became.get(pid, math.inf):
            return True  # no Python, or none any more
        if starts[pid] <= record.time < began[pid]:
            found = isinstance(record, _Read) and record.stat is not None
            if pid == kernel and folder not in searched and not _LANDMARK.search(path):
                return listing or found or (isinstance(record, _Use) and record.stat is None)
            return found
        by_itself = listing or isinstance(record, _Enter)
        return not by_itself or counts.get((pid, path), 1) > scanned.get((pid, path), 0)

    parsed = _records([record for _, record in seen.records], 0, partial)
    if len(parsed) != len(seen.records):
        return []
    return [
        (record, pid)
        for (pid, _), record in zip(seen.records, parsed, strict=True)
        if counted(pid, record)
    ]


_LANDMARK: Final = re.compile(r"/(lib/python[0-9.]+|pyvenv\.cfg|pybuilddir\.txt|python[0-9]*\.zip)")
"""What an interpreter looks for as it begins, to find where it lies."""


def _file(path: str, uses: list[tuple[str, _Use, int, int]]) -> FileUse:
    kinds = tuple(dict.fromkeys(kind for kind, _, _, _ in uses))
    own = next((record.stat for kind, record, _, _ in uses if kind in _OWN), None)
    first, record, cell, pid = next((use for use in uses if use[0] not in _OWN), uses[0])
    asked = uses[0][0] not in _MAKING
    made = not asked and not (first != "write" and record.stat is not None)
    changes = (one for _, one, _, _ in uses if isinstance(one, _Change))
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


def _cells(accounts: list[_Account]) -> dict[int, int]:
    """Return the cell in which each process was started."""
    started: dict[int, int] = {}
    parents = {process.pid: process.parent for process, _ in accounts}
    by_parent: dict[int, int] = {}
    for process, records in accounts:
        for record in records:
            if isinstance(record, _Child) and record.pid is not None and record.cell:
                started.setdefault(record.pid, record.cell)
            if isinstance(record, (_Child, _Fork)) and record.cell:
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
