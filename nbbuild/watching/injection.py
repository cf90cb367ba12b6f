"""Make the code by which a kernel watches itself and gives an account.

`prepare` makes a private folder for one run:

    report.json      the kernel's account; written on request, and again when the kernel exits
    site/            on the PYTHONPATH of the kernel's children, hidden from their os.environ:
      sitecustomize.py   starts watching, then runs the user's own
      tracer.py          a copy, with its marshalled code for each Python that ran it
    children/        <process id>-<nanoseconds>.jsonl, one log for each Python child

Then the kernel runs `install_code` before the first cell and `report_code` after the last one, both
in a silent execute_request without history; what these publish is not part of the notebook. At the
end, reading.py reads the account.
"""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from nbbuild.disk.durable import below_private, discard, own_folder
from nbbuild.disk.regular import is_taken

FORMAT: Final = 4
"""The format of the account that the tracer writes."""

_WAKE: Final = "nbbuild.wake"
"""The audit event that wakes a watcher that was forked with its kernel."""


class Tracing(msgspec.Struct, frozen=True):
    """The places of one run's tracer and of its reports; made by `prepare`."""

    folder: str
    report: str  # the path of the account that a kernel writes when it exits
    event: str  # the name of the audit event that asks for the account
    cache: str  # holds the tracer's marshalled code for each Python
    outside: bool = False  # whether system calls are watched as well
    above: str = ""  # the folder that stands for / in a sandbox, "" without one


# Runs in Python ≥ 3.8. Python 2, which children may be, can at least parse it.
_LOAD = r"""
def load(source, cache):
    import marshal, posix, sys
    path = "%s/tracer-%s-%x.bin" % (cache, sys.implementation.cache_tag, sys.hexversion)
    try:
        if cache:
            with open(path, "rb") as file:
                return marshal.loads(file.read())
    except (OSError, ValueError, EOFError, TypeError):
        pass
    with open(source, "rb") as file:
        code = compile(file.read(), "<nbbuild tracer>", "exec", 0, True, 0)
    if not cache:
        return code
    try:
        temporary = "%s.%d" % (path, posix.getpid())
        with open(temporary, "wb", opener=lambda name, how: posix.open(name, how, 0o600)) as file:
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
            outside={outside!r}, above={above!r},
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
            where = dict(folder={folder!r}, outside={outside!r}, above={above!r})
            watch("watch_child", {source!r}, {cache!r}, **where)
        except Exception:
            pass
    del sys.modules["sitecustomize"]

begin()
import sitecustomize
"""
)


def prepare(
    folder: Path, *, cache: Path | None = None, outside: bool = False, above: Path | None = None
) -> Tracing:
    """Make the files of one run in `folder`, which is empty or absent.

    `outside` says that system calls are watched as well; `above` is that of the run's sandbox. With
    a `cache`, a folder that is kept after the run, kernels need not compile the tracer each time.
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
        above="" if above is None else str(above),
    )
    customize = _SITE.format(
        site=str(site.resolve()),
        source=str(site.resolve() / "tracer.py"),
        cache=tracing.cache,
        folder=tracing.folder,
        outside=outside,
        above=tracing.above,
    )
    (site / "sitecustomize.py").write_text(customize, encoding="utf-8")
    return tracing


def _tracer() -> bytes:
    return (resources.files("nbbuild.watching") / "tracer.py").read_bytes()


def _cache(cache: Path, text: bytes) -> Path:
    """Return the folder in `cache` for the compiled code of this tracer."""
    folder = cache / sha256(text).hexdigest()[:16]
    own_folder(folder, below=cache.parent)
    with os.scandir(folder) as found:
        for entry in found:
            if is_taken(entry.path):  # kernels read what is here: a pipe would block them
                discard(Path(entry.path))
    return folder


def zygote_code() -> str:
    """Return the code that gives a process that forks kernels a `watcher` of its imports.

    It takes the tracer from nbbuild's own folder, since a zygote may start before anything is
    written in the project.
    """
    source = str(resources.files("nbbuild.watching") / "tracer.py")
    return f"{_LOAD}\nwatcher = watch('watch_zygote', {source!r}, '', wake={_WAKE!r})\n"


def install_code(tracing: Tracing) -> str:
    """Return the code that starts watching; a Python kernel runs it first, silently."""
    script = _KERNEL.format(
        source=str(Path(tracing.folder, "site", "tracer.py")),
        cache=tracing.cache,
        folder=tracing.folder,
        report=tracing.report,
        event=tracing.event,
        outside=tracing.outside,
        above=tracing.above,
        wake=_WAKE,
        format=FORMAT,
    )
    return f"exec({script!r}, {{'__name__': 'nbbuild'}})"


def report_code(tracing: Tracing, path: Path) -> str:
    """Return the code that makes a watched kernel write its account to `path`, atomically."""
    return f"__import__('sys').audit({tracing.event!r}, {str(path)!r})"
