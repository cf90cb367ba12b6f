"""Import packages in a zygote as a notebook's first cell would, or say why that is impossible.

zygote.py runs this file in a namespace of its own, so no module of this name exists there. It needs
only the standard library of Python 3.8.

A module imported before there is a kernel must be the same as if the kernel had imported it. So
each import runs on a *stage* where everything looks as it does in a cell, and is watched.
A module is refused, by name, when it

* prints or warns (if it keeps sys.stdout, it keeps a stand-in that later becomes the kernel's);
* asks for IPython's shell, or where it runs; `_ANSWERED` lists the packages known to be content
  with the answer they get;
* looks at the working folder, except for single files that do not exist: each kernel checks again
  that they are absent, and its account includes that;
* starts threads or processes, contacts anybody, installs signal handlers or hooks; `_FORK_AWARE`
  packages may have native threads in pools that start afresh after a fork;
* keeps a random number generator: all kernels would draw the same numbers;
* imports a module that is not safe after a fork, or that is not in an installed package.
"""

# Paths are strings here. Whatever goes wrong in an import only means that the import is not made.
# ruff: noqa: B905, BLE001, PTH208

from __future__ import annotations

import builtins
import gc
import io
import itertools
import os
import signal
import sys
import time
import types
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_FORK_AWARE = {"numexpr", "numpy", "pandas", "pyarrow", "scipy"}
_ANSWERED = {"ipywidgets", "matplotlib", "multiprocessing.process", "pandas.core.config_init"}
_INLINE = "module://matplotlib_inline.backend_inline"
_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGCHLD", "SIGHUP")
    if hasattr(signal, name)  # Windows has only the first two
)
_STDLIB = os.path.dirname(os.__file__) + "/"  # noqa: PTH120


class PreloadRefused(Exception):
    """Importing `module` here would not have the same result as in a kernel."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(reason)
        self.module = module
        self.reason = reason


class Preload:
    """The packages loaded in this process; `watcher` is the tracer's (tracer.py).

    `unsafe` names modules that must not be loaded before a fork.
    """

    def __init__(self, *, unsafe: Iterable[str], watcher: Any) -> None:
        self._unsafe = set(unsafe)
        self._watcher = watcher
        self._before = set(sys.modules)
        self._looked_for: set[str] = set()  # missing from the working folder
        self._streams = _Stream(), _Stream()
        self.threads = 1
        """The threads of this process, including those of native pools."""
        self.names: set[str] = set()
        """Top-level modules that were looked for: no others may now come before them."""
        self.costs: list[tuple[float, int]] = []
        """The seconds that each import took, and the bytes by which this process grew."""
        watcher.sleep()
        watcher.woken = self._kernel_is_there

    def add(self, wanted: Any) -> None:
        """Import modules, each with the names to import from it: [["numpy", []], …].

        Raises PreloadRefused.
        """
        self._watcher.resume()
        for module, names in wanted:
            gc.freeze()  # from here on, the collector only sees new objects
            began, held = time.perf_counter(), _held()
            for reason in self._import(module, names):
                raise PreloadRefused(module, reason)
            took = round(time.perf_counter() - began, 6)
            self.costs.append((took, max(0, _held() - held)))
        gc.unfreeze()
        self.threads = len(os.listdir("/proc/self/task"))
        self.names = _tops(set(sys.modules) - self._before) | _tops(self._watcher.missing)
        self._watcher.sleep()

    def settle(self) -> str:
        """Give what is loaded to a kernel just forked; return why that cannot be, or ""."""
        for name in self._looked_for:
            if os.path.lexists(name):
                return f"'{name}' is wanted by what is loaded"
        process: Any = sys.modules.get("multiprocessing.process")
        if process is not None:
            process.ORIGINAL_DIR = os.getcwd()  # noqa: PTH109
            process.current_process().authkey = os.urandom(32)
        numpy: Any = sys.modules.get("numpy.random")
        if numpy is not None:
            numpy.seed()  # else all kernels would draw the same numbers
        return ""

    def _kernel_is_there(self) -> None:
        out, err = self._streams
        out.real, err.real = sys.stdout, sys.stderr
        widgets: Any = sys.modules.get("ipywidgets")
        if widgets is not None:
            widgets._handle_ipython()  # as it does when it is imported in a kernel

    def _import(self, module: str, names: list[str]) -> Iterable[str]:
        """Import one module; yield reasons to refuse it."""
        before, recorded = set(sys.modules), len(self._watcher.records)
        threads, written = len(os.listdir("/proc/self/task")), os.fstat(1).st_size
        failure = ""
        with _Stage(*self._streams) as stage:
            try:
                __import__(module, {"__name__": "__main__"}, {}, names)
            except BaseException as error:
                failure = f"it cannot be imported: {error!r}"
        if failure:
            yield failure
        yield from stage.reasons
        new = set(sys.modules) - before
        for name in sorted(_tops(new) & self._unsafe):
            yield f"'{name}' must not be loaded before a fork"
        for name in sorted(new):
            file = getattr(sys.modules[name], "__file__", None)
            if isinstance(file, str) and not _installed(file):
                yield f"'{name}' is not an installed package: {file}"
        if "ipywidgets" in new and not hasattr(sys.modules["ipywidgets"], "_handle_ipython"):
            yield "'ipywidgets' cannot be told later that there is a kernel"
        if os.fstat(1).st_size != written:
            yield "its import prints"
        if _keeps_a_generator():
            yield "it keeps a generator of random numbers"
        if len(sys._current_frames()) > 1:
            yield "its import starts a thread"
        if len(os.listdir("/proc/self/task")) > threads and not _tops(new) & _FORK_AWARE:
            yield "its import starts native threads"
        yield from self._doings(self._watcher.records[recorded:])

    def _doings(self, records: Iterable[Any]) -> Iterable[str]:
        """Yield reasons to refuse an import, from the tracer's records of it."""
        stage = os.getcwd() + "/"  # noqa: PTH109
        for kind, _, subject, *rest in records:
            if kind in ("child", "fork"):
                yield "its import starts a process"
            elif kind == "host":
                yield f"its import contacts {subject}"
            elif kind == "partial":
                yield f"its import cannot be watched: {subject}"
            elif kind == "glob" and f"{rest[0]}/".startswith(stage):
                yield "its import looks into the working folder"
            elif kind in _QUESTIONS and f"{subject}/".startswith(stage):
                if rest[0] is not None or len(subject) < len(stage):
                    yield "its import looks at the working folder"
                self._looked_for.add(subject[len(stage) :])
            elif isinstance(subject, str) and f"{subject}/".startswith(stage):
                yield "its import uses the working folder"


_QUESTIONS = ("read", "exists", "size", "stat", "lexists", "lstat")


class _Stage:
    """Makes everything look to an import as in a cell; `reasons` say why the import is no good."""

    def __init__(self, out: _Stream, err: _Stream) -> None:
        self.reasons: list[str] = []
        self._out, self._err = out, err
        self._put_there: list[tuple[Any, str, Any, Any]] = []  # owner, name, before, now
        self._hooks = self._hooks_now()

    def __enter__(self) -> _Stage:
        shell: Any = sys.modules["IPython.core.interactiveshell"].InteractiveShell
        getcwd = os.getcwd
        self._backend = "MPLBACKEND" not in os.environ
        os.environ.setdefault("MPLBACKEND", _INLINE)  # as ipykernel does in each kernel
        self._put(sys, "stdout", self._out)
        self._put(sys, "stderr", self._err)
        self._put(sys, "ps1", "In : ")
        self._put(sys, "argv", ["ipykernel_launcher.py", "-f", "connection.json"])
        self._put(builtins, "__IPYTHON__", True)
        self._put(builtins, "get_ipython", lambda: self._asked(1, _Shell()))
        self._put(shell, "initialized", lambda: self._asked(2, False))
        self._put(os, "getcwd", lambda: self._asked(1, getcwd()))
        self._put(warnings, "showwarning", self._warned)
        self._main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        warnings.simplefilter("always")
        self._filter = warnings.filters[0]
        return self

    def __exit__(self, *error: object) -> None:
        if self._filter in warnings.filters:
            filters: Any = warnings.filters
            filters.remove(self._filter)
        with warnings.catch_warnings():  # makes Python read the filters again
            pass
        sys.modules["__main__"] = self._main
        if self._backend and os.environ.get("MPLBACKEND") == _INLINE:
            del os.environ["MPLBACKEND"]  # each kernel sets it in its own place
        while self._put_there:
            owner, name, before, now = self._put_there.pop()
            if getattr(owner, name, None) is not now:
                self.reasons.append(f"its import replaces {name}")
            if before is _NOTHING:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
            # `now` and the call itself hold one reference each.
            if name in _KEPT and sys.getrefcount(now) > 2:
                self.reasons.append(f"it keeps hold of {name}")
        if self._out.said or self._err.said:
            self.reasons.append("its import prints")
        if self._hooks != self._hooks_now():
            self.reasons.append("its import takes signals or hooks")

    def _put(self, owner: Any, name: str, value: Any) -> None:
        self._put_there.append((owner, name, vars(owner).get(name, _NOTHING), value))
        setattr(owner, name, value)

    def _hooks_now(self) -> tuple[Any, ...]:
        handlers = [signal.getsignal(number) for number in _SIGNALS]
        return (sys.excepthook, sys.displayhook, sys.unraisablehook, *handlers)

    def _asked(self, depth: int, answer: Any) -> Any:
        """Answer an import that asks what kernel it is in; note who asked."""
        frame: Any = sys._getframe(depth + 1)
        while frame is not None and frame.f_globals.get("__name__") in _THROUGH:
            frame = frame.f_back
        name = str(frame.f_globals.get("__name__")) if frame is not None else ""
        if name not in _ANSWERED:
            self.reasons.append(f"its import depends on where it is ('{name}' asks)")
        return answer

    def _warned(self, message: Any, category: Any, *rest: Any) -> None:
        self.reasons.append(f"its import warns: {category.__name__}: {message}")


class _Shell:
    """Stands in for IPython's shell, for code that only checks whether it belongs to a kernel."""

    kernel = None


class _Stream(io.TextIOBase):
    """Stands in for one of a kernel's streams, and becomes that stream once the kernel exists."""

    real: Any = None
    said = False

    def write(self, text: str) -> int:
        if self.real is None:
            self.said = True
            return len(text)
        return int(self.real.write(text))

    def flush(self) -> None:
        if self.real is not None:
            self.real.flush()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self.real.fileno()) if self.real is not None else super().fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        # The spelling is ipykernel's: pandas keeps and shows it.
        return "UTF-8" if self.real is None else str(self.real.encoding)

    def __getattr__(self, name: str) -> Any:
        if self.real is None:
            raise AttributeError(name)
        return getattr(self.real, name)


_NOTHING: Any = object()
_KEPT = ("getcwd", "get_ipython")
_THROUGH = ("posixpath", "genericpath", "pathlib", "pathlib._local", "ntpath", "os")


def _held() -> int:
    """Return the bytes of memory that this process uses."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def _keeps_a_generator() -> bool:
    """Return whether there is a new generator, beside those that each kernel seeds itself."""
    standard: Any = sys.modules["random"]
    kinds, known = [standard.Random], [standard._inst]
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        kinds += [numpy.Generator, numpy.RandomState]
        known.append(numpy.mtrand._rand)
    drawing = tuple(kinds)
    there = gc.get_objects()  # a hundred thousand: too many for a loop in Python
    # Keyed by id: a type need not be hashable.
    types = dict(zip(map(id, map(type, there)), map(type, there)))
    suspected = {
        number
        for number, kind in types.items()
        if issubclass(kind, drawing) and not issubclass(kind, standard.SystemRandom)
    }
    if not suspected:
        return False
    found = itertools.compress(there, map(suspected.__contains__, map(id, map(type, there))))
    return any(not any(one is other for other in known) for one in found)


def _tops(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def _installed(file: str) -> bool:
    """Return whether a file belongs to the interpreter or to what is installed for it."""
    return file.startswith(_STDLIB) or "/site-packages/" in file or "/dist-packages/" in file
