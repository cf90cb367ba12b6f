"""Import what a kernel needs once, and fork a ready kernel for each notebook.

The kernels' own interpreter (3.8 and later) runs this file as a child of the launcher. The process
is then the *zygote*: it has imported ipykernel, and perhaps more, and never runs a notebook itself.
A process it forks continues as `python -m ipykernel_launcher …` does, and ends in the same way.

The promises, and what each rests on:

* *The launcher's own.* The zygote forks twice, and the process in between ends at once. So the
  kernel becomes a child of the launcher, the next *subreaper* above, which waits for it and learns
  its peak of memory. Only then does the kernel ask for PR_SET_PDEATHSIG, so the signal depends on
  the launcher. The zygote can die without any kernel noticing.
* *Known by its marker.* /proc shows the environment that a program began with. In that memory the
  kernel overwrites the zygote's id with its own, which has the same length.
* *Alone when it forks.* One thread; no ZeroMQ context, no event loop. Otherwise it does not fork.
* *As if it were stock.* Path, arguments, folder, environment, `__main__`: as in an ordinary start.
  If a file would have been imported in place of a module that is loaded here, the fork gives up and
  the launcher starts an ordinary kernel. It does the same whenever anything is wrong.

The protocol. stdin is a socket. The zygote first reports on it, once, as a line of JSON (pid;
unfit: why it cannot be used, or ""; culprit: the module to blame, or ""; costs: the seconds and the
bytes of memory that each import took). Then it receives single bytes, each with a *channel*, a
socket between the launcher and the future kernel. The kernel sends {"pid": 7} on it; the launcher
sends 4 bytes of length and the request in JSON (id, argv, env, cwd, filter, serves), with the
descriptors for stdin, stdout and stderr and, with a filter (filtering.py), a socket for its
listener. The kernel then sends {"unfit": "…"} and exits, or {"error": "…"} if an ordinary start
would fail too, or closes the channel because it runs. End of file on stdin ends the zygote.

A zygote is forked in the same way from one that has less in memory; its request `serves`. It closes
the channel, imports the modules in its argv that it still lacks, and continues as any other.
"""

# Paths are strings here: this file must import no more than a kernel imports.
# ruff: noqa: PTH100, PTH109, PTH118, PTH120, PTH208

from __future__ import annotations

import array
import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import struct
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MARKER = "NBBUILD_KERNEL"
LENGTH = struct.Struct("!I")

KERNEL = (
    "ipykernel.kernelapp",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "faulthandler",
    "ipykernel.debugger",
    "pdb",
    "sqlite3",
    "tornado.locks",
    "tornado.platform.asyncio",
    "tornado.queues",
)
"""What kernels have imported by their first cell; except for the first, versions differ."""

_TAKEN_DOWN = frozenset(("__main__", "builtins", "gc", "sys", "threading", "warnings"))
"""Modules that notebooks put hooks into: a kernel takes them down when it exits."""

_LAST_KNOWN = {(3, 11)}
"""Python versions for which a test shows which object they release last; see _Last."""

_PR_SET_PDEATHSIG = 1
_libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None


class Unfit(Exception):
    """A kernel forked here might differ from a stock one; the module `culprit` is to blame."""

    def __init__(self, reason: str, culprit: str = "") -> None:
        super().__init__(reason)
        self.culprit = culprit


# -- the zygote --------------------------------------------------------------------------------


def main(wanted: dict[str, Any]) -> tuple[Any, ...]:
    """Get ready, report it, and serve; return only in a forked kernel, with runpy._run_code's args.

    `wanted`: words, the length of the command that starts the interpreter; modules, what to import
    beside ipykernel (preload.py); unsafe, the modules that must not be among them; watch, code that
    defines a `watcher` of those imports.
    """
    zygote = _Zygote(os.getppid(), wanted["words"])
    while True:
        control = _control()
        zygote.get_ready(wanted, control)
        channel = zygote.serve(control)
        control.close()
        # From here on this is another process: a kernel, or a zygote that will load more.
        try:
            request, stdio = zygote.register(channel)
            module = zygote.become(request, stdio)
        except Unfit as error:
            _say(channel, unfit=str(error))
            os._exit(1)
        except ConnectionError:  # nobody is waiting for it any more
            os._exit(1)
        except OSError as error:
            _say(channel, error=f"{error.strerror}: '{error.filename}'")
            os._exit(127)
        channel.close()
        if not request["serves"]:
            return _as_main(module)
        wanted = json.loads(request["argv"][-1])


class _Zygote:
    """This process, and what it becomes once it is forked."""

    def __init__(self, launcher: int, words: int) -> None:
        self._launcher = launcher
        self._words = words
        self._began = dict(os.environ)
        self._added: dict[str, str] = {}  # variables that imports have set
        self._preload: Any = None
        self._refused: Any = ()  # what it raises
        self._modules: list[Any] = []  # modules that it was asked to import
        self._filter: Any = None  # installs a filter in a kernel (filtering.py)
        self._threads = 1
        self._loaded: set[str] = set()  # top-level names of all modules

    def get_ready(self, wanted: dict[str, Any], control: socket.socket) -> None:
        """Import what is wanted, and report on `control` whether that worked."""
        unfit, culprit = "", ""
        try:
            self.prepare(wanted)
        except Unfit as error:
            unfit, culprit = str(error), error.culprit
        costs = self._preload.costs if self._preload is not None else []
        _say(control, pid=os.getpid(), unfit=unfit, culprit=culprit, costs=costs)

    def prepare(self, wanted: dict[str, Any]) -> None:
        """Import everything that is wanted; raises Unfit."""
        gc.disable()
        here = os.path.dirname(os.path.abspath(__file__))
        if self._filter is None:
            if sys.path[:1] == [here]:
                del sys.path[0]
            for place in (here, __file__):  # where Python looked for this program
                sys.path_importer_cache.pop(place, None)
            self._filter = _code("filtering.py")["install"]
            _import(KERNEL)
        if wanted["modules"][: len(self._modules)] != self._modules:
            raise Unfit("the process that it is forked from has other packages in memory")
        if wanted["modules"]:
            self._load(os.path.join(here, "preload.py"), wanted)
        _look_for_strangers()
        _kernel_id_in_memory()
        self._added = {k: v for k, v in os.environ.items() if self._began.get(k) != v}
        self._loaded = {name.partition(".")[0] for name in sys.modules}
        _keep_loaded()
        # A kernel's collector must not visit, and so copy, the objects that already exist here.
        gc.collect()
        gc.freeze()
        gc.enable()

    def _load(self, program: str, wanted: dict[str, Any]) -> None:
        if self._preload is None:
            space: dict[str, Any] = {"__name__": "nbbuild"}
            with open(program, "rb") as file:  # noqa: PTH123
                code = compile(file.read(), program, "exec")
            exec(wanted["watch"], space)  # from here on, reads are recorded
            exec(code, space)
            self._refused = space["PreloadRefused"]
            self._preload = space["Preload"](unsafe=wanted["unsafe"], watcher=space["watcher"])
        try:
            self._preload.add(wanted["modules"][len(self._modules) :])
        except self._refused as error:
            raise Unfit(error.reason, error.module) from error
        self._modules = wanted["modules"]
        self._threads = self._preload.threads

    def serve(self, control: socket.socket) -> socket.socket:
        """Fork for each channel that arrives; return in the forked process, with its channel."""
        while True:
            byte, descriptors = _receive(control, 1, 1)
            if not byte:
                os._exit(0)
            with socket.socket(fileno=descriptors[0]) as channel:
                if len(os.listdir("/proc/self/task")) > self._threads:
                    _say(channel, unfit="the process that forks kernels has several threads")
                elif _fork():
                    return socket.socket(fileno=channel.detach())

    # What follows happens in the future kernel.

    def register(self, channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
        """Register with the launcher; return its request and the standard descriptors."""
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._launcher:  # it died before the line above
            os._exit(1)
        _say(channel, pid=os.getpid())
        data, stdio = _receive(channel, 65536, 4)
        while len(data) < LENGTH.size or len(data) < LENGTH.size + LENGTH.unpack_from(data)[0]:
            more, _ = _receive(channel, 65536, 0)
            if not more:
                os._exit(1)
            data += more
        return json.loads(data[LENGTH.size :]), stdio

    def become(self, request: dict[str, Any], stdio: list[int]) -> str:
        """Become what the command of `request` is at its start; return the module that it runs.

        For a zygote the module is "".
        """
        argv: list[str] = request["argv"]
        env: dict[str, str] = request["env"]
        os.setsid()
        listening = socket.socket(fileno=stdio.pop()) if request["filter"] else None
        threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
        for target, descriptor in enumerate(stdio):
            os.dup2(descriptor, target)
            os.close(descriptor)
        if not request["serves"] or self._preload is None:
            os.chdir(request["cwd"])  # else it stays where it made its imports
        _mark(request["id"])
        _extend_path(_python_path(self._began), _python_path(env))
        _look_for_others(_python_path(env), self._loaded)
        began = dict(env)
        for name, value in self._added.items():
            if env.get(name) == self._began.get(name):
                env[name] = value
        os.environ.clear()
        os.environ.update(env)
        if request["serves"]:
            self._began = began
            return ""
        if self._preload is not None:
            _look_for_others([os.getcwd()], self._preload.names)
            unfit = self._preload.settle()
            if unfit:
                raise Unfit(unfit)
        if listening is not None:
            self._filter(request["filter"], listening)
        if hasattr(sys, "orig_argv"):
            sys.orig_argv[:] = argv
        rest = argv[self._words :]
        module, rest = (rest[1], rest[2:]) if rest[0] == "-m" else (rest[0][2:], rest[1:])
        sys.argv[:] = ["-m", *rest]
        if not sys.flags.isolated and not getattr(sys.flags, "safe_path", False):
            sys.path.insert(0, os.getcwd())
        return module


def _code(name: str) -> dict[str, Any]:
    """Return what a file in nbbuild's folder `watching` defines, without leaving a module."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(os.path.dirname(os.path.dirname(here)), "watching", name)
    space: dict[str, Any] = {"__name__": "nbbuild"}
    with open(path, "rb") as file:  # noqa: PTH123
        exec(compile(file.read(), path, "exec"), space)
    return space


def _control() -> socket.socket:
    """Take the socket that is stdin, and leave an empty stdin in its place."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _look_at_stdin_anew()
    return control


def _look_at_stdin_anew() -> None:
    """Rebuild sys.stdin as Python would: the present one was made for a socket."""
    streams: Any = sys
    had = streams.stdin
    binary: Any = open(0, "rb", closefd=False)  # noqa: SIM115
    binary.raw.name = had.name
    anew: Any = io.TextIOWrapper(
        binary, had.encoding, had.errors, newline="\n", write_through=had.write_through
    )
    anew.mode = had.mode
    streams.stdin = streams.__stdin__ = anew


def _as_main(module: str) -> tuple[Any, ...]:
    """Return the arguments that -m passes to runpy._run_code for `module`."""
    find: Any = runpy
    try:
        _, spec, code = find._get_module_details(module, find._Error)
    except find._Error as error:
        sys.exit(f"{sys.executable}: {error}")
    sys.argv[0] = spec.origin
    return code, vars(sys.modules["__main__"]), None, "__main__", spec


def _import(modules: tuple[str, ...]) -> None:
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:
            if name == modules[0]:
                raise Unfit(f"{name} cannot be imported: {error!r}") from error


def _keep_loaded() -> None:
    """Make a kernel that exits take down what it made, but not what was loaded here.

    Taking that apart too would be a fifth of the whole cost of a small notebook, since each page of
    memory has to be copied for it. A notebook keeps its objects in its own modules, in IPython's
    shell, in builtins or in sys; or it puts them into a module that is loaded here, and that module
    is then taken down as well.
    """
    if sys.implementation.name != "cpython":
        return
    loaded = [
        (name, module, len(vars(module)))
        for name, module in sys.modules.items()
        if name not in _TAKEN_DOWN and type(module) is type(sys)  # a lazy module must not be woken
    ]
    for kept in (loaded, *(one for _, module, _ in loaded for one in (module, vars(module)))):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
    # Register before all others, so that it is called after them.
    atexit.unregister(_leave)  # of the zygote that this one was forked from
    atexit.register(_leave, loaded, id(gc.callbacks))


def _leave(loaded: list[tuple[str, Any, int]], callbacks: int) -> None:
    """Forget what was loaded in the zygote, which is the first thing Python does when it exits."""
    shell = sys.modules["IPython.core.interactiveshell"].InteractiveShell
    # The exit status will then be 0, and nobody has replaced that list.
    exits = shell.initialized() and shell.instance().exit_now and id(gc.callbacks) == callbacks
    if exits and sys.version_info[:2] in _LAST_KNOWN:
        gc.callbacks.insert(0, _Last(ctypes.pythonapi.exit))
    for single in (shell, sys.modules["ipykernel.kernelapp"].IPKernelApp):
        if single.initialized():
            single.clear_instance()
    modules: dict[str, Any] = sys.modules
    for name, module, names in loaded:
        if modules.get(name) is module and len(vars(module)) == names:
            modules[name] = None


class _Last:
    """The last object that Python releases when it exits: the first of the collector's callbacks.

    The process ends there. Python would only go on to free memory, bit by bit, most of it shared
    with the zygote. C libraries still do what they do at exit.
    """

    def __init__(self, leave: Any) -> None:
        self._leave = leave

    def __call__(self, *what: Any) -> None:
        """Let the collector collect."""

    def __del__(self) -> None:
        self._leave(0)


def _look_for_strangers() -> None:
    """Refuse modules imported from PYTHONPATH: they may be the project's own, and change."""
    folders = {os.path.normpath(folder) for folder in _python_path(os.environ)}
    if not folders:
        return
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            # This is the folder that was searched; a virtual environment may have others below it.
            place = file
            for _ in range(name.count(".") + (2 if hasattr(module, "__path__") else 1)):
                place = os.path.dirname(place)
            if place in folders:
                raise Unfit(f"'{name}' is imported from PYTHONPATH: {file}")


def _fork() -> bool:
    """Fork a process whose parent is the launcher; return whether this is that process."""
    waits, goes = os.pipe()
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        os.close(goes)  # by now the launcher is its parent
        os.close(waits)
        return False
    if os.fork():
        os._exit(0)
    os.close(goes)
    os.read(waits, 1)
    os.close(waits)
    return True


def _mark(kernel: str) -> None:
    """Make /proc show this process with its kernel's id in place of the zygote's."""
    old, new = _kernel_id_in_memory(), kernel.encode()
    ctypes.memmove(old, new, len(new))
    if _kernel_id_in_memory() != old:
        raise Unfit("its marker cannot be changed")


def _kernel_id_in_memory() -> int:
    """Return the address where /proc finds the id that ends this process's marker."""
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123
        words = file.read().rpartition(b")")[2].split()
    start, end = int(words[47]), int(words[48])  # env_start, env_end: see proc_pid_stat(5)
    marker = os.environ.get(MARKER, "").encode()
    value = f"{MARKER}=".encode()
    data = b"\0" + (ctypes.string_at(start, end - start) if start else b"")
    at = data.find(b"\0" + value)
    stop = data.find(b"\0", at + 1)
    if at < 0 or not marker:
        raise Unfit("the environment that the process began with cannot be found")
    return start + stop - len(marker.rpartition(b":")[2]) - 1


def _python_path(env: Any) -> list[str]:
    return [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _extend_path(had: list[str], wanted: list[str]) -> None:
    """Put the kernel's entries of PYTHONPATH into sys.path before those of the zygote."""
    more = wanted[: len(wanted) - len(had)]
    if more + had != wanted:
        raise Unfit("its PYTHONPATH differs")
    new = list(dict.fromkeys(os.path.normpath(entry) for entry in more))
    sys.path[:] = new + [entry for entry in sys.path if entry not in new]


def _look_for_others(folders: Iterable[str], names: set[str]) -> None:
    """Refuse a kernel that would find a file in a folder for one of these loaded modules."""
    suffixes = tuple(sys.modules["importlib.machinery"].all_suffixes())
    for folder in folders:
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        for entry in entries:
            name, dot, _ = entry.partition(".")
            if name in names and (not dot or entry.endswith(suffixes)):
                raise Unfit(f"'{os.path.join(folder, entry)}' would be imported first")


# -- talking -----------------------------------------------------------------------------------


def _say(connection: socket.socket, **words: Any) -> None:
    connection.sendall(json.dumps(words).encode() + b"\n")


def _receive(connection: socket.socket, size: int, count: int) -> tuple[bytes, list[int]]:
    """Return the bytes that arrive, b"" at the end, with up to `count` descriptors."""
    descriptors = array.array("i")
    space = socket.CMSG_SPACE(count * descriptors.itemsize) if count else 0
    data, ancillary, _, _ = connection.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    for _, _, part in ancillary:
        descriptors.frombytes(part[: len(part) - len(part) % descriptors.itemsize])
    return data, list(descriptors)


if __name__ == "__main__":
    # This is how -m does it. The frame replaces -m's outermost one, so that the number of frames is
    # the same: it decides where a recursion ends.
    runpy._run_code(*main(json.loads(sys.argv[1])))  # type: ignore[attr-defined]
