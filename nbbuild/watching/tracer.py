"""Watch, from inside a Python process, what it uses; injected into kernels and their children.

This file stands alone. It runs in the kernel's interpreter (3.8 and later, standard library only),
executed as code in a namespace of its own, so no module of this name ever exists there.
`injection.py` puts it there, and `reading.py` reads what it reports.

Its promises, and what each rests on:

* *Unseen.* It leaves no new module in `sys.modules` (whoever runs this file removes what it
  imports), and nothing on `sys.meta_path`, in `os.environ` or in a namespace. An audit hook sees
  `open`, listings, sockets and so on. Functions that raise no audit event (`os.stat` …) are
  replaced by *look-alikes*, see below.
* *Harmless.* A fault in here never reaches the notebook; it makes the account partial.
* *No lock.* Audit events are raised while anybody may hold locks, so only single operations on sets
  and lists are used. The watcher does not watch itself: `_mine.busy`, by thread.
* *Bounded.* Beyond `LIMIT` records the account is partial.

Look-alikes. A Python function in place of `os.stat` would show in the traceback of a call that
fails. So the look-alike is a class. `type.__call__` is C; it calls `__new__`, which is ours and
always *returns*. For a failure it returns an instance whose `__init__`, through a descriptor, is
made of C functions only, and raises: the `throw` of an exhausted generator adds no frame, and
`str.format` with a defaultdict calls it whatever the arguments are. Its metaclass makes it print,
compare, hash and pickle like the original. `posix.stat` stays: the import system uses it.

Where the account goes. A kernel keeps its records. It writes them on request, by an audit event
whose name only the supervisor knows, and again when it exits. Its children can be killed at any
time, so each appends every record to its own log at once, and opens the log only for that moment.

A process that kernels are forked from (zygote.py) is watched while it imports. What it does then is
part of each kernel's account, as if the kernel had done it in its own working folder. Between its
last import and a kernel's first cell the watcher sleeps: in other kernels it is not there yet.

What system calls show. Where they are watched as well (syscalls.py), each call that is stopped
costs two switches of process. So calls that are already recorded here are made in a way that the
filter lets pass: with an absolute path, and `KNOWN` as the folder's descriptor. That goes for the
watcher's own calls, for `os.stat` and its like, and for the import system, whose modules `posix`
and `_io` are replaced by stand-ins.

Records are lists: [kind, time, …], with time in seconds of the monotonic clock, which all processes
share; lines.py names the fields. A stat is null or
[type, size, mtime_ns, ctime_ns, inode, mode]. The type is f(ile), d(irectory) or o(ther); where
links are not followed, also l(ink).
"""

# Paths are strings here, and no fault of any kind may get out.
# ruff: noqa: BLE001, PTH118, PTH120, SIM105

from __future__ import annotations

import marshal as _marshal
import os
import sys
import time
from _blake2 import blake2b
from _collections import defaultdict  # type: ignore[import-not-found]
from _functools import partial  # type: ignore[import-not-found]
from _json import encode_basestring_ascii
from _thread import _local

if sys.platform == "win32":
    import nt as posix
else:
    import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

LIMIT = 1_000_000  # records of one process
NAMES = 50_000  # in one folder; also matches of one glob
LARGEST = 32 << 20  # the most bytes of a file that is digested before it is overwritten
KNOWN = -25186  # the same as in seccomp.py
LOOKS, LOOKED = "/nbbuild looks itself", "/nbbuild has looked"  # likewise
FAULTS = 5  # that one process reports


_getframe = sys._getframe
_stat, _lstat = posix.stat, posix.lstat
_now = time.monotonic
_BOOT = sys.modules["_frozen_importlib"].__dict__
_FILES = sys.modules["_frozen_importlib_external"].__dict__
_STDLIB = os.path.dirname(os.__file__ or "") + "/"
_ABSENT = (2, 20, 40)  # ENOENT, ENOTDIR, ELOOP
_READERS_OF_SOURCE = ("inspect", "importlib.metadata", "importlib_metadata", "zipimport")
_SHOWING_CODE = ("IPython", "doctest", "inspect", "pdb", "stack_data", "traceback", "warnings")
_PATHLIB = ("pathlib", "pathlib._abc", "pathlib._local", "pathlib._os", "pathlib.types")
_KINDS_ONLY = ("genericpath", "posixpath", "pathlib", "glob", "os")
"""Modules that only ask what kind of thing a path is, except in the functions that follow."""
_SIZES = ("getsize",)
_WHOLE = ("stat", "lstat", "owner", "group", "samefile", "sameopenfile")


class _Mine(_local):
    busy = False
    dir_fd: Any = None
    iterated: Any = None
    changed: Any = None


_mine = _Mine()


# -- look-alikes -------------------------------------------------------------------------------


def _exhausted() -> Any:
    nothing: tuple[Any, ...] = ()
    generator = (one for one in nothing)
    list(generator)
    return generator


_throw = _exhausted().throw
_ignoring_arguments = "{0[k]}".format


class _Raiser:
    """An `__init__` that raises what the instance holds, without a Python frame of its own."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return object.__init__
        failure, instance.failure = instance.failure, None
        return partial(_ignoring_arguments, defaultdict(partial(_throw, failure)))


class _LookAlike(type):
    """The metaclass of the classes that stand in for C functions."""

    real: Any
    __class__ = property(lambda cls: type(len))
    __doc__ = property(lambda cls: cls.real.__doc__)
    __text_signature__ = property(lambda cls: cls.real.__text_signature__)
    __self__ = property(lambda cls: cls.real.__self__)

    @property
    def __signature__(cls) -> Any:
        return sys.modules["inspect"].signature(cls.real)

    def __repr__(cls) -> str:
        return repr(cls.real)

    def __hash__(cls) -> int:
        return hash(cls.real)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.real


def _look_alike(
    real: Any,
    *,
    after: Callable[..., None] | None = None,
    before: Callable[..., Any] | None = None,
    call: Callable[..., Any] | None = None,
    module: str = "os",
) -> Any:
    """Return a class that looks and acts like the C function `real`; it calls `call`, if given.

    `before(args, kwargs)` may return other arguments; `after(args, kwargs, result, failure)` sees
    how the call ended. Neither is called for what the watcher itself does.
    """

    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if before is not None and not _mine.busy:
            args, kwargs = before(args, kwargs) or (args, kwargs)
        try:
            result = (call or real)(*args, **kwargs)
        except BaseException as error:
            failure = error
        else:
            if after is not None and not _mine.busy:
                after(args, kwargs, result, None)
            return result
        if after is not None and not _mine.busy:
            after(args, kwargs, None, failure)
        failed = object.__new__(cls)
        trace = failure.__traceback__
        # Leave out this frame; a stand-in for a C function adds no other.
        rest = trace.tb_next if trace and call is None else None
        failed.failure = failure.with_traceback(rest)
        del failure, trace, rest
        return failed

    body = {
        "__new__": __new__,
        "__init__": _Raiser(),
        "__module__": module,
        "__slots__": ("failure",),
        "real": staticmethod(real),
    }
    return _LookAlike(real.__name__, (), body)


# -- what the filter of system calls lets pass ---------------------------------------------------

_at: dict[str, Any] = {}  # how to name a folder's descriptor with an absolute path


def _passing(real: Any) -> Callable[..., Any]:
    """Return a function that does what `real` does, unseen by the filter if a path is absolute."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if not _at or not args or "dir_fd" in kwargs:
            return real(*args, **kwargs)
        path, *rest = args
        if type(path) is not str and hasattr(type(path), "__fspath__"):
            path = os.fspath(path)
        if type(path) is not str or not path:
            return real(path, *rest, **kwargs)
        if path[0] == "/":
            return real(path, *rest, **_at, **kwargs)
        try:
            whole = f"{_getcwd().rstrip('/')}/{path}"
        except OSError:
            return real(path, *rest, **kwargs)
        try:
            return real(whole, *rest, **_at, **kwargs)
        except OSError as error:
            if error.errno not in _ABSENT:  # for example a path that is too long
                return real(path, *rest, **kwargs)
            error.filename = path
            raise

    return call


class _Posix:
    """Replaces `posix` in the import system: looks for files unseen by the filter."""

    def __init__(self, watcher: _Tracer) -> None:
        self.stat = _passing(posix.stat)
        self._watcher = watcher

    def __getattr__(self, name: str) -> Any:
        return getattr(posix, name)

    def listdir(self, path: str) -> list[str]:
        """List a folder."""
        if _mine.busy:
            return posix.listdir(path)
        _mine.busy = True
        try:
            self._watcher.scan(path)
            return posix.listdir(path)
        finally:
            _mine.busy = False


class _Io:
    """Replaces `_io` in the import system: opens files unseen by the filter."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def open_code(self, path: str) -> Any:
        """Open a source or bytecode file."""
        if not _at or path[:1] != "/" or _mine.busy:
            return self._real.open_code(path)
        _mine.busy = _installed(path) or "/__pycache__/" in path
        try:
            handle = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, **_at)
        finally:
            _mine.busy = False
        return self._real.FileIO(handle)


# -- JSON, since the json module may not be imported in a child ---------------------------------


def _encoded(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        items = (
            f"{encode_basestring_ascii(str(key))}:{_encoded(item)}" for key, item in value.items()
        )
        return "{" + ",".join(items) + "}"
    return "[" + ",".join([_encoded(item) for item in value]) + "]"


def _write(path: str, text: str, *, append: bool = False) -> None:
    _write_bytes(path, text.encode(), how=posix.O_APPEND if append else posix.O_TRUNC)


def _write_bytes(path: str, data: bytes, *, how: int = posix.O_TRUNC) -> None:
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC | how
    handle = posix.open(path, flags, 0o600, **_at)
    try:
        while data:
            data = data[posix.write(handle, data) :]
    finally:
        posix.close(handle)


def _read(path: str) -> bytes:
    handle = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, **_at)
    try:
        parts: list[bytes] = []
        while True:
            part = posix.read(handle, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        posix.close(handle)


# -- paths -------------------------------------------------------------------------------------


def _text(path: Any) -> str:
    """Return a path from an audit event as text; raise TypeError if it is none."""
    if type(path) is str:
        return path
    return os.fsdecode(path)


def _getcwd() -> str:
    """Return the working folder; if it was removed, its old path with " (deleted)"."""
    try:
        return _working_folder()
    except FileNotFoundError:
        return posix.readlink("/proc/self/cwd")


_working_folder = posix.getcwd


def _absolute(raw: str, dir_fd: Any = None) -> str:
    """Return an absolute path; follow symlinks only where a `..` has to cross them."""
    if raw[:1] != "/":
        base = (
            _getcwd() if dir_fd is None or dir_fd < 0 else posix.readlink(f"/proc/self/fd/{dir_fd}")
        )
        raw = f"{base.rstrip('/')}/{raw}"
    if "/." not in raw and "//" not in raw and raw[-1] != "/":
        return raw
    done = ""
    for part in raw.split("/"):
        if part == "..":
            done = os.path.dirname(os.path.realpath(done or "/")).rstrip("/")
        elif part not in ("", "."):
            done += "/" + part
    return done or "/"


def _shape(found: Any) -> tuple[Any, ...]:
    mode = found.st_mode & 0o170000
    kind = {0o100000: "f", 0o040000: "d", 0o120000: "l"}.get(mode, "o")
    bits = found.st_mode & 0o7777
    return kind, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, bits


def _look(path: str, *, follow: bool = True) -> tuple[Any, ...] | None:
    """Return a stat; None if nothing is there, or a link leads nowhere."""
    try:
        return _shape(_stat(path, **_at) if follow else _lstat(path, **_at))
    except (OSError, ValueError):
        return None


def _say(path: str) -> None:
    """Signal to the watcher of system calls that ours begin or end here."""
    try:
        posix.stat(path)
    except OSError:
        pass


def _digest(path: str, found: Any) -> str | None:
    """Return a digest of what is about to be overwritten; None if it cannot be had."""
    if found is None or found[0] != "f" or found[1] > LARGEST:
        return None
    try:
        return "blake2b:" + str(blake2b(_read(path)).hexdigest())
    except OSError:
        return None


def _names(path: str) -> list[str] | None:
    """Return the names in a folder, sorted, each after a letter for its kind, as in looking.py."""
    try:
        handle = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_DIRECTORY, **_at)
    except OSError:
        return None
    try:
        with posix.scandir(handle) as entries:
            return sorted(_letter(entry) + entry.name for entry in entries)
    except OSError:
        return None
    finally:
        posix.close(handle)


def _letter(entry: Any) -> str:
    if entry.is_symlink():
        return "l"
    if entry.is_dir(follow_symlinks=False):
        return "d"
    return "f" if entry.is_file(follow_symlinks=False) else "o"


def _installed(path: str) -> bool:
    """Return whether a file belongs to the interpreter or to what is installed for it."""
    return path.startswith(_STDLIB) or "/site-packages/" in path or "/dist-packages/" in path


def _standard(path: str) -> bool:
    """Return whether a file belongs to the standard library."""
    if path.startswith("<frozen "):
        return True
    return path.startswith(_STDLIB) and "-packages/" not in path


def _words(command: str) -> Iterator[tuple[str, bool]]:
    """Yield each word of a shell command, and whether the shell writes to a file of that name."""
    word, quote, output, began = "", "", False, False
    for char in [*command, ";"]:
        if quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "'\"":
            quote, began = char, True
        elif char in " \t\n;|&<>()`$":
            if word or began:
                yield word, output
                output = False
            word, began = "", False
            if char == ">":
                output = True
            elif char in "<;|()":
                output = False
        else:
            word += char


def _like(name: str, pattern: str) -> bool:
    """Return whether a shell's pattern can match a name; any character matches `[…]`."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(_like(name[skip:], pattern[1:]) for skip in range(len(name) + 1))
    if not name:
        return False
    if pattern[0] == "[" and "]" in pattern[2:]:
        return _like(name[1:], pattern[pattern.index("]", 2) + 1 :])
    return pattern[0] in ("?", name[0]) and _like(name[1:], pattern[1:])


# -- the watcher -------------------------------------------------------------------------------


class _Tracer:
    """Watches this process; see the top of the file."""

    def __init__(
        self,
        *,
        folder: str,
        report: str = "",
        event: str = "",
        memory: str = "",
        log: str = "",
        outside: bool = False,
        above: str = "",
    ) -> None:
        self.folder = folder  # holds site/, for PYTHONPATH, and children/
        self.path = report  # where a kernel's account goes
        self.told: Any = None  # its basis when it was last written
        self.event = event  # asks a kernel for its account
        self.memory = memory  # a folder for what the next kernel need not look up again
        self.log = log  # where a child's account goes; "" in a kernel
        self.outside = outside  # whether system calls are watched as well
        self.above = above  # the folder that stands for / in a sandbox, "" without one
        self.scanned: dict[str, int] = {}  # how often Python opened each folder to list it
        self.records: list[Any] = []
        self.count = 0
        self.faults: list[str] = []
        self.seen: dict[str, set[Any]] = {}
        self.absent: set[Any] = set()
        self.known: set[Any] = set()  # questions already recorded, by path and asker
        self.imported: set[str] = set()
        self.missing: set[str] = set()
        self.search: list[str] = []
        self.search_folder = ""
        self.search_index = -1
        self.base = set(sys.modules)
        self.environ_stale = True
        self.asleep: dict[str, Callable[..., Any]] | None = None  # the handlers to use after waking
        self.stage = ""  # the folder in which a zygote imports
        self.preloaded: dict[str, tuple[Any, Any]] = {}  # what it imported, and how to report it
        self.woken: Callable[[], None] | None = None  # called in each kernel
        self.shell: Any = None
        self.own = f"/ipykernel_{posix.getpid()}/"  # the folder that cells' code pretends to be in
        self.handlers = self.all_handlers()
        if event:
            self.handlers[event] = self.on_ask

    def all_handlers(self) -> dict[str, Callable[..., Any]]:
        """Return a handler for each audit event that is watched."""
        return {
            "open": self.on_open,
            "os.listdir": self.on_list,
            "os.scandir": self.on_scandir,
            "glob.glob" if sys.version_info < (3, 10) else "glob.glob/2": self.on_glob,
            "pathlib.Path.glob": self.on_path_glob,
            "pathlib.Path.rglob": self.on_path_rglob,
            "os.rename": self.on_rename,
            "os.link": self.on_link,
            "os.symlink": self.on_symlink,
            "os.remove": self.on_remove,
            "os.rmdir": self.on_remove,
            "os.mkdir": self.on_mkdir,
            "os.truncate": self.on_truncate,
            "os.chdir": self.on_chdir,
            "os.chmod": self.on_look,
            "os.chown": self.on_look,
            "os.utime": self.on_look,
            "os.getxattr": self.on_look,
            "os.listxattr": self.on_look,
            "os.setxattr": self.on_look,
            "sqlite3.connect": self.on_sqlite,
            "ctypes.dlopen": self.on_dlopen,
            "import": self.on_import,
            "socket.connect": self.on_connect,
            "socket.sendto": self.on_connect,
            "socket.getaddrinfo": self.on_lookup,
            "socket.gethostbyname": self.on_lookup,
            "subprocess.Popen": self.on_popen,
            "os.system": self.on_system,
            "os.fork": self.on_fork,
            "os.forkpty": self.on_fork,
            "os.exec": self.on_exec,
            "os.putenv": self.on_putenv,
            "os.unsetenv": self.on_putenv,
        }

    # Records.

    def emit(self, kind: str, *rest: Any) -> None:
        """Keep a record, in memory or in the log."""
        if self.count > LIMIT:
            return
        self.count += 1
        if self.count > LIMIT:
            kind, rest = "partial", (f"it used more than {LIMIT} things",)
        record = (kind, round(_now(), 6), *rest)  # the garbage collector skips tuples of strings
        if self.log:
            _write(self.log, _encoded(record) + "\n", append=True)
        else:
            self.records.append(record)

    def say(self, path: str) -> None:
        """Signal that the watcher's own system calls begin or end here."""
        if self.outside:
            _say(path)

    def fault(self, where: str, error: BaseException) -> None:
        """Record that the watcher missed something by a fault of its own."""
        try:
            if len(self.faults) < FAULTS:
                self.faults.append(where)
                line = error.__traceback__.tb_next if error.__traceback__ else None
                number = line.tb_lineno if line else 0
                # Its text may hold an argument of the notebook's call, perhaps a secret.
                name = type(error).__name__
                self.emit("partial", f"a fault in nbbuild's tracer, {where}:{number}: {name}")
        except Exception:
            self.count += 1

    def hook(self) -> Callable[[str, Any], None]:
        """Return the audit hook: a plain function, since Python calls it for all events."""
        handlers, mine = self.handlers, _mine

        def hook(event: str, args: Any) -> None:
            if event not in handlers or mine.busy:
                return
            mine.busy = True
            try:
                handlers[event](*args)
            except Exception as error:
                self.fault(event, error)
            finally:
                mine.busy = False

        hook.__cantrace__ = False  # type: ignore[attr-defined]  # found faster than looked for
        return hook

    def guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` for look-alikes to call: unwatched, and its faults stay here."""

        def call(*args: Any) -> Any:
            if self.asleep is not None:
                return None
            _mine.busy = True
            try:
                return function(*args)
            except Exception as error:
                self.fault(getattr(function, "__name__", "probed"), error)
                return None
            finally:
                _mine.busy = False

        return call

    def cell(self) -> int:
        """Return the number of the cell that runs or ran last, from 1 among those that ran."""
        if self.shell is None:
            return 0  # no IPython
        try:
            # Not execution_count: versions of IPython raise it at different times.
            return len(self.shell.history_manager.input_hist_parsed) - 1
        except AttributeError:
            return 0

    def once(self, kind: str, key: Any) -> bool:
        """Return True on the first call for this key."""
        seen = self.seen.get(kind)
        if seen is None:
            seen = self.seen.setdefault(kind, set())
        if key in seen:
            return False
        seen.add(key)
        return True

    # Files.

    def use(self, kind: str, path: str, found: Any = False) -> None:
        """Record a question about a path once; about an absent path, once until it appears."""
        seen = self.seen.get(kind)
        if seen is None:
            seen = self.seen.setdefault(kind, set())
        if path in seen or self.own in path:
            return
        own = kind in ("lstat", "lexists")
        if found is False:
            found = _look(path, follow=not own)
        if found is None:
            if (own, path) in self.absent or path[-1] == ">":
                return
            self.absent.add((own, path))
        else:
            seen.add(path)
            self.absent.discard((own, path))
        self.emit(kind, path, found, self.cell())

    def change(self, kind: str, path: str) -> None:
        """Record, once, that the file is about to be written, made or removed."""
        if not self.once(kind, path):
            return
        found = _look(path)
        if kind in ("write", "append", "open"):
            self.emit(kind, path, found, self.cell(), _digest(path, found))
        else:
            self.emit(kind, path, found, self.cell())

    def making(self, kind: str, path: str) -> None:
        """Record that something is about to be made, and that nothing may be there yet."""
        self.use("lexists", path)
        if _look(path, follow=False) is None:
            self.change(kind, path)

    def on_open(self, raw: Any, mode: Any, flags: int) -> None:
        if type(raw) is int:
            return
        raw = _text(raw)
        if raw[-4:] == ".pyc" or raw[-3:] == ".py":
            module = _caller_of_hook()
            if (module is _FILES or module is _BOOT) and (
                _installed(raw) or "/__pycache__/" in raw
            ):
                return
        if not raw or "\0" in raw:
            return
        path = _absolute(raw, _mine.dir_fd)
        if path.startswith(self.folder) and self.folder:
            return
        access = flags & 3
        if access == posix.O_RDONLY and not flags & (posix.O_TRUNC | posix.O_CREAT):
            self.use("read", path)
        elif flags & posix.O_CREAT and flags & posix.O_EXCL:
            self.making("write", path)
        elif not flags & posix.O_CREAT and _look(path) is None:
            self.use("read", path, None)
        elif flags & posix.O_TRUNC:
            self.change("write", path)
        elif access == posix.O_WRONLY:
            self.change("append", path)
        else:
            self.change("open", path)

    def on_scandir(self, raw: Any = None) -> None:
        path = self.on_list(raw, 3)
        if path and not self.outside:
            # Its entries ask in C for more than names, which cannot be seen from here.
            for entry in _names(path) or ():
                self.use("stat", f"{path.rstrip('/')}/{entry[1:]}")

    def on_list(self, raw: Any = None, depth: int = 2) -> Any:
        """Record that a folder was listed; return its path if a user's code may have done it."""
        frame = _getframe(depth)
        module = frame.f_globals
        if module is _FILES:
            self.scan(raw)
            return ""
        if type(raw) is int:
            path = posix.readlink(f"/proc/self/fd/{raw}", **_at)
        else:
            path = _absolute("." if raw is None else _text(raw))
            self.scan(path)
        name, function = str(module.get("__name__")), frame.f_code.co_name
        if not _standard(frame.f_code.co_filename):
            own = name.startswith("importlib_metadata") and _installed(frame.f_code.co_filename)
            name = "importlib.metadata" if own else ""
        if name == "glob" or name.startswith("importlib.metadata"):
            return ""
        if name in _PATHLIB and sys.version_info >= (3, 9):
            if function == "_scandir" and frame.f_back is not None:
                frame = frame.f_back
                function = frame.f_code.co_name
                above = frame.f_back
                if above is not None and above.f_code.co_name == "_iterate_directories":
                    return ""  # Python 3.12's globs walk
            if function not in ("iterdir", "walk"):
                return ""  # part of a glob, which is recorded itself
        if name == "shutil" and function.startswith("_rmtree"):
            return ""
        self.listed(path)
        return "" if name in ("os", *_PATHLIB) else path

    def scan(self, raw: Any) -> None:
        """Count that Python opens a folder to list it, which is also seen from outside."""
        if not self.outside or type(raw) is int:
            return
        path = _absolute("." if raw is None else _text(raw))
        self.scanned[path] = self.scanned.get(path, 0) + 1
        if self.log and self.scanned[path] == 1:
            self.emit("scan", path)

    def listed(self, path: str) -> None:
        """Record, once, what is in a folder."""
        seen = self.seen.setdefault("list", set())
        if path in seen:
            return
        found = _look(path)
        names: list[str] | None = None
        if found is None:
            self.use("read", path, None)
            return
        seen.add(path)
        names = _names(path)
        if names is None:
            return
        if len(names) > NAMES:
            names = None
            self.emit("partial", f"it listed a folder of more than {NAMES} names: {path}")
        self.emit("list", path, found, names, self.cell())

    def on_glob(self, pattern: Any, recursive: Any, root: Any = None, dir_fd: Any = None) -> None:
        pattern = _text(pattern)
        base = _absolute("." if root is None else _text(root), dir_fd)
        hidden = bool(_getframe(2).f_locals.get("include_hidden", False))
        self.globbed("glob", base, pattern, bool(recursive), hidden)

    def on_path_glob(self, folder: Any, pattern: Any) -> None:
        pattern = str(pattern)
        recursive = pattern.startswith("**/")  # since Python 3.13, `rglob` comes here as well
        self.globbed("pathlib", _absolute(_text(folder)), pattern, recursive, True)

    def on_path_rglob(self, folder: Any, pattern: Any) -> None:
        self.globbed("pathlib", _absolute(_text(folder)), f"**/{pattern}", True, True)

    def globbed(self, way: str, base: str, pattern: str, recursive: bool, hidden: bool) -> None:
        """Record, once, a pattern and what it matches now."""
        if not any(char in pattern for char in "*?["):
            return  # it looks for one file, which is recorded itself
        if not self.once("glob", (way, base, pattern, recursive, hidden)):
            return
        matches: Any = []
        self.say(LOOKS)
        try:
            if way == "glob":
                module = sys.modules["glob"]
                full = pattern if pattern[:1] == "/" else _escaped(base) + "/" + pattern
                more = {"include_hidden": True} if hidden else {}
                found = module.iglob(full, recursive=recursive, **more)
            else:
                found = map(str, sys.modules["pathlib"].Path(base).glob(pattern))
            matches = sorted(set(found))
        except (OSError, ValueError, NotImplementedError):
            return  # it fails for the notebook too
        finally:
            self.say(LOOKED)
        if len(matches) > NAMES:
            matches = None
            self.emit("partial", f"a pattern matched more than {NAMES} files: {pattern}")
        self.emit("glob", way, base, pattern, recursive, hidden, matches, self.cell())

    def on_rename(self, source: Any, target: Any, source_fd: Any = -1, target_fd: Any = -1) -> None:
        before, after = _absolute(_text(source), source_fd), _absolute(_text(target), target_fd)
        if _look(before, follow=False) is None:
            self.use("lexists", before, None)
            return
        self.use("read", before)
        self.change("remove", before)
        self.change("write", after)

    def on_link(self, source: Any, target: Any, source_fd: Any = -1, target_fd: Any = -1) -> None:
        self.use("read", _absolute(_text(source), source_fd))
        self.making("write", _absolute(_text(target), target_fd))

    def on_symlink(self, source: Any, target: Any, dir_fd: Any = -1) -> None:
        self.making("write", _absolute(_text(target), dir_fd))

    def on_remove(self, raw: Any, dir_fd: Any = -1) -> None:
        path = _absolute(_text(raw), dir_fd)
        self.use("lexists", path)
        if _look(path, follow=False) is not None:
            self.change("remove", path)

    def on_mkdir(self, raw: Any, mode: Any = 0, dir_fd: Any = -1) -> None:
        self.making("mkdir", _absolute(_text(raw), dir_fd))

    def on_truncate(self, raw: Any, length: Any = 0) -> None:
        if type(raw) is not int:
            self.change("append", _absolute(_text(raw)))

    def on_chdir(self, raw: Any) -> None:
        self.known.clear()  # relative paths have another meaning now
        if type(raw) is not int:
            self.use("enter", _absolute(_text(raw)))

    def on_look(self, raw: Any, *rest: Any) -> None:
        """Record that something was asked or set that needs the path to exist."""
        if type(raw) is not int:
            self.use("exists", _absolute(_text(raw)))

    def on_sqlite(self, raw: Any) -> None:
        raw = _text(raw)
        if not self.outside and self.once("partial", "sqlite3"):
            self.emit("partial", "databases attached by SQL in sqlite3 were not seen")
        if self.outside or raw in ("", ":memory:"):
            return
        options = ""
        if raw[:5] == "file:" and _look(_absolute(raw)) is None:
            raw, _, options = raw[5:].partition("#")[0].partition("?")
            if raw[:2] == "//":
                raw = "/" + raw[2:].partition("/")[2]
            raw = _unquoted(raw)
            if not raw or raw == ":memory:" or "mode=memory" in options:
                return
        path = _absolute(raw)
        self.use("read", path)
        for beside in ("-wal", "-journal"):
            if _look(path + beside) is None:
                self.use("read", path + beside, None)
            else:
                self.change("open", path + beside)
        if "mode=ro" not in options and "immutable=1" not in options:
            self.change("open", path)

    def on_dlopen(self, raw: Any) -> None:
        if raw and "/" in _text(raw):
            self.use("read", _absolute(_text(raw)))
        frame: Any = _getframe(2)
        while frame is not None and frame.f_globals.get("__name__") == "ctypes":
            frame = frame.f_back
        by = frame.f_code.co_filename if frame is not None else ""
        by_itself = not (_standard(by) or _installed(by))
        if not self.outside and by_itself and self.once("partial", "ctypes"):
            self.emit("partial", "what C code read through ctypes was not seen")

    def probed(
        self, args: Any, kwargs: Any, result: Any, failure: Any, *, own: bool, link: bool
    ) -> None:
        """Record a question to os.stat and its like; `own`: about a link itself."""
        raw = args[0] if args else kwargs.get("path")
        dir_fd = kwargs.get("dir_fd") if kwargs else None
        if not isinstance(raw, (str, bytes)) and not hasattr(type(raw), "__fspath__"):
            return  # a descriptor; or no path at all, and the call says so
        raw = _text(raw)
        if not raw or "\0" in raw:
            return
        if kwargs and not kwargs.get("follow_symlinks", True):
            own = True
        asker = _asker()
        key = (raw, own, asker and asker.f_code, asker and asker.f_back and asker.f_back.f_code)
        if dir_fd is None and key in self.known:
            return
        kind = _asked_for(asker, own=own)
        if not kind:
            return
        if link:  # it asks only where it leads
            kind = "lexists"
        path = _absolute(raw, dir_fd)
        if dir_fd is None and result is not None:
            self.known.add(key)
        if isinstance(result, os.stat_result):
            self.use(kind, path, _shape(result))
        else:
            self.use(kind, path)

    def opening(self, args: Any, kwargs: Any) -> None:
        """Remember os.open's dir_fd, which its audit event leaves out."""
        _mine.dir_fd = kwargs.get("dir_fd")

    def opened(self, args: Any, kwargs: Any, result: Any, failure: Any) -> None:
        _mine.dir_fd = None

    # Imports.

    def on_import(self, name: Any, file: Any, *rest: Any) -> None:
        if file is not None and not _installed(file):  # of an extension module
            self.use("read", _absolute(file))

    def resolved(self, name: str, path: Any, spec: Any) -> None:
        """Record how an import was resolved, or that it failed."""
        if name in self.imported:
            return
        if path is None and (sys.path != self.search or self.moved()):
            self.search_path()
        if spec is None:
            # `site` looks for these two in every process.
            if name in self.missing or name in ("sitecustomize", "usercustomize"):
                return
            self.missing.add(name)
            origin, kind, places = None, "missing", None
        else:
            self.imported.add(name)
            origin, kind, places = _origin(spec)
            if self.log and _installed(origin or "") and ("." in name):
                return  # each record in a child is a write, and these say little
        who = _importer(4)
        self.emit("import", name, origin, kind, places, *who, self.search_index, self.cell())

    def search_path(self) -> None:
        """Record sys.path as it is now; imports name it by its number."""
        self.search = list(sys.path)
        self.search_index += 1
        self.search_folder = _getcwd()
        entries = [str(entry) or self.search_folder for entry in self.search]
        self.emit("path", self.search_index, entries)

    def moved(self) -> bool:
        """Return whether an empty entry of sys.path now means another folder."""
        return "" in self.search and _getcwd() != self.search_folder

    def watch_imports(self) -> None:
        finder, loader = _FILES["PathFinder"], _FILES["SourceFileLoader"]
        find, stats = finder.find_spec, loader.path_stats
        resolved = self.guarded(self.resolved)

        def find_spec(cls: Any, fullname: Any, path: Any = None, target: Any = None) -> Any:
            spec = find(fullname, path, target)
            if not _mine.busy:
                resolved(fullname, path, spec)
            return spec

        def path_stats(loader: Any, path: Any) -> Any:
            # Python checks bytecode by size and whole seconds. A source without a time is always
            # compiled, and its bytecode is neither read nor written.
            if not _installed(path):
                raise OSError
            return stats(loader, path)

        for function in (find_spec, path_stats):
            function.__module__ = finder.__module__
        find_spec.__qualname__ = "PathFinder.find_spec"
        path_stats.__qualname__ = "SourceFileLoader.path_stats"
        finder.find_spec = classmethod(find_spec)
        loader.path_stats = path_stats
        _FILES["_os"], _FILES["_io"] = _Posix(self), _Io(_FILES["_io"])

    # The network.

    def on_connect(self, handle: Any, address: Any, *rest: Any) -> None:
        if isinstance(address, tuple) and len(address) >= 2:
            self.contacted(address[0], address[1])

    def on_lookup(self, host: Any, port: Any = None, *rest: Any) -> None:
        self.contacted(host, port)

    def contacted(self, host: Any, port: Any) -> None:
        if host is None:
            return
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        port = port if type(port) is int else 0
        if self.once("host", (host, port)):
            self.emit("host", host, port, self.cell())

    # The environment.

    def named_variable(self, args: Any, kwargs: Any, result: Any, failure: Any) -> None:
        """Record which variable was read or set in os.environ, and by whom."""
        if failure is not None or not args:
            return
        frame: Any = _getframe(3)
        deed = "set" if frame.f_code.co_name in ("__setitem__", "__delitem__") else "read"
        mapping = sys.modules["_collections_abc"].__dict__
        while frame.f_back and (frame.f_globals is os.__dict__ or frame.f_globals is mapping):
            frame = frame.f_back
        name = str(args[0])
        iterated = _mine.iterated
        if deed == "read" and iterated:
            if name in iterated:
                iterated.discard(name)
                name = "*"  # all of them, one after the other, as when copying
            else:
                iterated.clear()
        reader = str(frame.f_globals.get("__name__"))
        if self.once("variable", (deed, name, reader)):
            self.emit("variable", deed, name, reader, frame.f_code.co_filename, self.cell())

    def iterated_variable(self, args: Any, kwargs: Any, result: Any, failure: Any) -> None:
        if _mine.iterated is None:
            _mine.iterated = set()
        _mine.iterated.add(result)

    def watch_environ(self) -> None:
        environ: Any = os.environ
        named, iterated = self.guarded(self.named_variable), self.guarded(self.iterated_variable)
        environ.encodekey = _look_alike(environ.encodekey, after=named)
        environ.decodekey = _look_alike(environ.decodekey, after=iterated)

    # Children.

    def on_putenv(self, name: Any, *rest: Any) -> None:
        if os.fsencode(name) == b"PYTHONPATH":
            self.environ_stale = True

    def python_path(self, value: bytes) -> bytes:
        """Return a PYTHONPATH that makes a child watch itself, too."""
        site = os.fsencode(self.folder + "/site")
        return site + b":" + value if value else site

    def prepare_environ(self) -> None:
        """Have later child processes watch themselves; os.environ does not show it."""
        if self.environ_stale and self.folder:
            value = os.environ._data.get(b"PYTHONPATH", b"")  # type: ignore[attr-defined]
            posix.putenv(b"PYTHONPATH", self.python_path(value))
            self.environ_stale = False

    def on_fork(self) -> None:
        self.prepare_environ()
        if not self.log:
            self.emit("fork", self.cell())

    def on_popen(self, executable: Any, args: Any, cwd: Any, env: Any) -> None:
        self.prepare_environ()
        module = sys.modules["_posixsubprocess"]
        if type(module.fork_exec) is not _LookAlike:
            self.watch_subprocess(module)

    def on_system(self, command: Any) -> None:
        self.prepare_environ()
        self.child(["/bin/sh", "-c", command], None, None, None)

    def on_exec(self, path: Any, args: Any, env: Any) -> None:
        self.prepare_environ()
        if self.once("exec", str(args)):  # called again for each folder of PATH
            self.child(list(args), None, None, posix.getpid())
        if not self.log:
            self.emit("partial", "the kernel was replaced by another program")
            self.write_report(self.path)

    def child(self, argv: Any, cwd: Any, changed: Any, pid: Any) -> None:
        """Record a process that was started, and what it may read, judging by its arguments.

        No argument is recorded as such: it may be secret.
        """
        words = [_text(word) for word in argv]
        place = _absolute("." if cwd is None else _text(cwd))
        script = len(words) > 2 and words[1][:1] == "-" and words[1][-1:] == "c"
        inside = [*_words(words[2])] if script else []
        lacks = self.beyond([*words[1:], *(word for word, _ in inside)], place)
        self.emit("child", words[0] if words else "", lacks, changed, pid, self.cell())
        named: list[tuple[str, bool, bool]] = [(word, False, False) for word in words]
        if script and "python" not in words[0]:
            named += [(word, output, True) for word, output in inside]
        if self.outside:
            return  # its own system calls are seen
        if cwd is not None:
            self.use("enter", place)
        for word, output, shell in named[:10000]:
            for part in {word, word.rpartition("=")[2]}:
                if part and len(part) < 4096 and "\0" not in part and "\n" not in part:
                    path = _absolute(part if part[:1] == "/" else f"{place}/{part}")
                    self.named(path, output, shell=shell)

    def beyond(self, words: list[str], place: str) -> list[str]:
        """Return the paths of what `words` name, from `place`, and the sandbox does not hold."""
        found: dict[str, None] = {}
        for word in words[:10000] if self.above else ():
            if not word or len(word) > 4096 or "\0" in word:
                continue
            path = real = os.path.normpath(os.path.join(place, word))
            if path.startswith(f"{self.above}/"):
                if _look(path, follow=False) is not None:
                    continue
                real = path[len(self.above) :]
            if _look(real) is not None:
                found[path] = None
        return [*found]

    def named(self, path: str, output: bool, *, shell: bool = False) -> None:
        """Record a file that an argument names. Any other argument is left out: it may be secret.

        For a pattern without a match, the folder counts as listed only if a shell would list it.
        """
        if output:
            self.change("write", path)
            return
        found = _look(path)
        if found is not None:
            self.use("named", path, found)
            if found[0] == "d":
                self.listed(path)
        elif any(char in path for char in "*?["):
            base, _, pattern = path.rpartition("/")
            folder = _look(base or "/")
            names = posix.listdir(base or "/") if folder and folder[0] == "d" else ()
            matches = [name for name in names if _like(name, pattern)]
            if matches and "glob" in sys.modules:
                self.globbed("glob", base or "/", pattern, False, False)
            elif matches or (shell and folder):
                self.listed(base or "/")
            for name in matches:
                self.use("named", f"{base}/{name}")

    def altered(self, env: Any) -> tuple[Any, list[str]]:
        """Return a child's environment with ours added, and the names that were changed."""
        pairs = {os.fsencode(key): os.fsencode(value) for key, value in env}
        own = dict(os.environ._data)  # type: ignore[attr-defined]
        changed = {name for name in pairs if own.get(name) != pairs[name]} | (set(own) - set(pairs))
        pairs[b"PYTHONPATH"] = self.python_path(pairs.get(b"PYTHONPATH", b""))
        return pairs, sorted(os.fsdecode(name) for name in changed)

    def watch_subprocess(self, module: Any) -> None:
        """Watch _posixsubprocess, which subprocess and multiprocessing use to start programs."""

        def before(args: Any, kwargs: Any) -> Any:
            self.prepare_environ()
            _mine.changed = None
            if args[5] is None:
                return None
            pairs, _mine.changed = self.altered(entry.partition(b"=")[::2] for entry in args[5])
            env = [name + b"=" + value for name, value in pairs.items()]
            return (*args[:5], env, *args[6:]), kwargs

        def after(args: Any, kwargs: Any, result: Any, failure: Any) -> None:
            self.child(args[0], args[4], _mine.changed, result)

        replaced = _look_alike(
            module.fork_exec,
            before=self.guarded(before),
            after=self.guarded(after),
            module=module.__name__,
        )
        subprocess: Any = sys.modules.get("subprocess")
        if hasattr(subprocess, "_fork_exec"):
            subprocess._fork_exec = replaced
        module.fork_exec = replaced

    def with_environ(self, args: Any, kwargs: Any) -> Any:
        """Change the environment, the third argument, of a program that is about to start."""
        self.prepare_environ()
        if len(args) < 3 or not hasattr(args[2], "keys"):
            return None  # the call will say what is wrong with it
        env, _mine.changed = self.altered(dict(args[2]).items())
        return (*args[:2], env, *args[3:]), kwargs

    def spawned(self, args: Any, kwargs: Any, result: Any, failure: Any) -> None:
        self.child(args[1], None, _mine.changed, result)

    def leaving(self, args: Any, kwargs: Any) -> None:
        """Write the account before os._exit, which runs no exit hooks."""
        self.at_exit()

    def forked(self) -> None:
        """Start a new account in a forked child: the parent reports what came before."""
        parent = posix.getppid()
        self.log = _log_name(self.folder)
        self.records, self.count, self.faults = [], 0, []
        self.emit("start", _start(parent, forked=True))

    def watch_processes(self) -> None:
        before, after = self.guarded(self.with_environ), self.guarded(self.spawned)
        os.execve = _look_alike(posix.execve, before=before)
        for name in ("posix_spawn", "posix_spawnp"):
            if hasattr(posix, name):
                setattr(os, name, _look_alike(getattr(posix, name), before=before, after=after))
        os._exit = _look_alike(posix._exit, before=self.leaving)
        os.register_at_fork(after_in_child=self.guarded(self.forked))

    # From a zygote to a kernel.

    def sleep(self) -> None:
        """Watch nothing until the event comes, in a kernel that was forked."""
        self.asleep = dict(self.handlers)
        self.records = [one for one in self.records if _outlasts(one)]
        self.handlers.clear()
        self.handlers[self.event] = self.on_wake
        for name, module in list(sys.modules.items()):
            if name not in self.base and name not in self.preloaded:
                self.preloaded[name] = module, self.settled(module)

    def resume(self) -> None:
        """See again, still in a process that forks kernels: it is about to import more."""
        assert self.asleep is not None
        self.handlers.clear()
        self.handlers.update(self.asleep)
        self.asleep = None

    def settled(self, module: Any) -> Any:
        """Return how each kernel will report a module; None if it has to look itself."""
        try:
            told = _module(module)
        except Exception:
            return None  # each kernel meets the same error, and reports it
        return None if told[1] == "namespace" else told  # a namespace's folders depend on the path

    def on_wake(
        self,
        answer: list[str],
        folder: str,
        report: str,
        event: str,
        memory: str,
        outside: bool,
        above: str,
    ) -> None:
        """Watch this kernel from now on; its zygote's imports count as its own."""
        assert self.asleep is not None
        self.folder, self.path, self.event, self.memory = folder, report, event, memory
        self.handlers.clear()
        self.handlers.update(self.asleep)
        self.handlers[event] = self.on_ask
        self.asleep = None
        self.outside, self.above = outside, above
        self.say(LOOKS)
        _let_pass(outside)
        self.own = f"/ipykernel_{posix.getpid()}/"
        self.base = set(sys.modules) - set(self.preloaded)
        self.shell = _shell()
        self.search_path()
        self.absent = set()
        self.records = [self.moved_record(one) for one in self.records]
        __import__("atexit").register(self.at_exit)
        if "_posixsubprocess" in sys.modules:
            self.watch_subprocess(sys.modules["_posixsubprocess"])
        self.prepare_environ()
        answer.append("awake")
        if self.woken is not None:
            self.woken()
        self.say(LOOKED)

    def moved_record(self, record: Any) -> Any:
        """Return a zygote's record as it would be in this kernel's folder, on its path."""
        kind, when, *rest = record
        if kind == "import":
            rest[6] = self.search_index
        elif isinstance(rest[0], str) and rest[0].startswith(f"{self.stage}/"):
            rest[0] = _getcwd() + rest[0][len(self.stage) :]
        return (kind, when, *rest)

    # Beginning and end.

    def watch(self) -> None:
        """Start watching."""
        self.say(LOOKS)
        _let_pass(self.outside)
        self.search_path()
        for name in ("stat", "lstat", "access", "readlink", "statvfs"):
            real = getattr(posix, name)
            own = name in ("lstat", "readlink")
            probed = self.guarded(partial(self.probed, own=own, link=name == "readlink"))
            call = None if name == "statvfs" else _passing(real)
            setattr(os, name, _look_alike(real, after=probed, call=call))
        os.open = _look_alike(
            posix.open, before=self.guarded(self.opening), after=self.guarded(self.opened)
        )
        accessor = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)
        for name in ("stat", "lstat", "open"):
            # Until 3.10, pathlib keeps the functions that it found when it was imported.
            if accessor is not None and accessor.__dict__.get(name) is getattr(posix, name):
                setattr(accessor, name, getattr(os, name))
        self.watch_imports()
        self.watch_environ()
        self.watch_processes()
        if "_posixsubprocess" in sys.modules:
            self.watch_subprocess(sys.modules["_posixsubprocess"])
        # Also for C code that starts processes unseen.
        self.prepare_environ()
        sys.addaudithook(self.hook())
        self.say(LOOKED)

    def on_ask(self, path: Any) -> None:
        self.write_report(path)

    def at_exit(self) -> None:
        if self.log or self.asleep is not None or _mine.busy:
            return
        _mine.busy = True
        try:
            self.write_report(self.path)
        except Exception:
            pass  # nobody is waiting for it any more
        finally:
            _mine.busy = False

    def module(self, name: str, module: Any) -> Any:
        """Return how to report a loaded module."""
        before = self.preloaded.get(name)
        if before is None or before[0] is not module or before[1] is None:
            return _module(module)
        return before[1]

    def write_report(self, path: str) -> None:
        """Write the account of a kernel, atomically; write it again only if there is more."""
        basis = (path, len(self.records), len(sys.modules), list(sys.path))
        if basis == self.told:
            return
        modules = []
        self.say(LOOKS)
        for name, module in list(sys.modules.items()):
            if name in self.base:
                continue
            try:
                modules.append([name, *self.module(name, module)])
            except Exception as error:
                self.fault(f"sys.modules[{name!r}]", error)
        report = {
            "format": 4,
            "start": _start(posix.getppid(), forked=False),
            "children": self.folder + "/children",
            "records": self.records,
            "modules": modules,
            "base": [name for name in list(sys.modules) if name in self.base],
            "path": [str(entry) or _getcwd() for entry in sys.path],
            "distributions": _distributions(self.memory, scan=self.scan),
            "scanned": self.scanned,
        }
        self.say(LOOKED)
        json = sys.modules.get("json")
        temporary = f"{path}.{posix.getpid()}"
        _write(temporary, json.dumps(report) if json else _encoded(report))
        posix.replace(temporary, path)
        self.told = (path, len(self.records), *basis[2:])


def _outlasts(record: Any) -> bool:
    """Return whether a zygote's record is true for its kernels, too.

    How it found a module is not, since they have other folders on their path.
    """
    kind, *rest = record
    return kind != "path" and bool(kind != "import" or rest[3] == "missing")


def _caller_of_hook() -> Any:
    """Return the globals of the frame that raised an event; None while Python itself starts."""
    try:
        return _getframe(3).f_globals  # above this function, the handler and the hook
    except ValueError:
        return None


def _importer(depth: int) -> tuple[str, str]:
    """Return module and file of the importing frame, which is at least `depth` frames up."""
    frame: Any = _getframe(depth)
    while frame is not None:
        module = frame.f_globals
        if module is not _BOOT and module is not _FILES:
            name = str(module.get("__name__"))
            if not name.startswith("importlib"):
                return name, frame.f_code.co_filename
        frame = frame.f_back
    return "", ""


def _asker() -> Any:
    """Return the frame that called a look-alike."""
    frame: Any = _getframe(3)
    while frame is not None and frame.f_globals.get("__name__") == "nbbuild_tracer":
        frame = frame.f_back
    return frame


def _asked_for(frame: Any, *, own: bool) -> str:
    """Return what a question to os.stat and its like wanted to know, judging by who asked it.

    "" if it was for a traceback or for package metadata. The asker counts as wanting everything in
    the answer, except for functions of Python itself, whose needs are known.
    """
    inner = ""
    for _ in range(6):
        if frame is None:
            break
        name = str(frame.f_globals.get("__name__"))
        top = name.partition(".")[0]
        if name.startswith(_READERS_OF_SOURCE) and _standard(frame.f_code.co_filename):
            return ""
        if name == "linecache":
            asker = frame.f_back
            while asker is not None and asker.f_globals.get("__name__") in (
                "linecache",
                "tokenize",
            ):
                asker = asker.f_back
            by = str(asker.f_globals.get("__name__")) if asker is not None else ""
            return "" if by.partition(".")[0] in _SHOWING_CODE else "exists"
        if top not in _KINDS_ONLY or not _standard(frame.f_code.co_filename):
            break
        inner = frame.f_code.co_name
        frame = frame.f_back
    if not inner and frame is not None and "-packages/" in frame.f_code.co_filename:
        kind = "size"  # no package was seen to use modes, which differ between clones
    else:
        kind = "exists" if inner and inner not in _WHOLE else "stat"
    if inner in _SIZES or kind == "size":
        return "lstat" if own else "size"
    if own:
        return "lexists" if kind == "exists" else "lstat"
    return kind


def _let_pass(outside: bool) -> None:
    """From now on ask in the way that the filter of system calls lets pass, if there is one."""
    _at.clear()
    if outside:
        _at["dir_fd"] = KNOWN


def _escaped(folder: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in folder.rstrip("/"))


def _unquoted(text: str) -> str:
    """Return the text with escapes such as %41 decoded."""
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    for part in rest:
        try:
            first += bytes([int(part[:2], 16)]) + part[2:]
        except ValueError:
            first += b"%" + part
    return os.fsdecode(first)


# -- modules and distributions -----------------------------------------------------------------

_KINDS = {
    "SourceFileLoader": "source",
    "SourcelessFileLoader": "bytecode",
    "ExtensionFileLoader": "extension",
    "zipimporter": "zip",
    "NamespaceLoader": "namespace",
    "_NamespaceLoader": "namespace",
}


def _origin(spec: Any) -> tuple[str | None, str, list[str] | None]:
    """Return the origin and the kind that a spec names and, for a package, its folders."""
    origin, loader = spec.origin, spec.loader
    places = spec.submodule_search_locations
    if places is not None:
        places = [str(place) for place in places]
    if loader is _BOOT["BuiltinImporter"]:
        kind = "builtin"
    elif loader is _BOOT["FrozenImporter"]:
        kind = "frozen"
    elif loader is None:
        kind = "namespace" if places is not None else "unknown"
    else:
        kind = _KINDS.get(type(loader).__name__, type(loader).__name__)
    return (origin if isinstance(origin, str) else None), kind, places


_dict_of_module: Any = type(sys).__dict__["__dict__"].__get__  # type: ignore[index]


def _module(module: Any) -> tuple[str | None, str, list[str] | None]:
    """Return origin, kind and folders of a loaded module, without loading a lazy one."""
    try:
        names = _dict_of_module(module)
    except TypeError:
        try:
            names = object.__getattribute__(module, "__dict__")
        except AttributeError:
            return None, "unknown", None
    spec = names.get("__spec__")
    if spec is not None and hasattr(spec, "loader"):
        return _origin(spec)
    file = names.get("__file__")
    return (file if isinstance(file, str) else None), "unknown", None


def _distributions(memory: str, *, scan: Callable[[str], None]) -> list[Any]:
    """Return [name, version, folder, text of direct_url.json or null] for each on sys.path.

    Reading them takes longer than everything else in an account. So the folder `memory` keeps them,
    with the state of the folder that they are in: installing or removing one changes that.
    """
    path = f"{memory}/found-{sys.implementation.cache_tag}-{sys.hexversion:x}.bin"
    known = _remembered(path) if memory else {}
    found: list[Any] = []
    new = False
    settled = time.time_ns() - 2_000_000_000
    for entry in dict.fromkeys(sys.path):
        try:
            place = _absolute(entry or ".")
            state = _state(place)
            told = known.get(place)
            if told is not None and told[0] == state:
                found += told[1]
                continue
            scan(place)
            names = sorted(posix.listdir(place))
            here = list(_distributions_in(place, names))
        except (OSError, TypeError, ValueError):
            continue
        found += here
        # As everywhere: what changed less than 2 s ago may change again and look the same. An
        # .egg-info is rewritten in place.
        in_place = any(name[-9:] == ".egg-info" for name in names)
        if max(state[0], state[1]) < settled and not in_place:
            known[place] = [state, here]
            new = True
    if memory and new:
        try:
            _write_bytes(f"{path}.{posix.getpid()}", _marshal.dumps(known))
            posix.replace(f"{path}.{posix.getpid()}", path)
        except OSError:
            pass
    return found


def _state(place: str) -> list[int]:
    told = _stat(place, **_at)
    return [told.st_mtime_ns, told.st_ctime_ns, told.st_ino, told.st_dev]


def _remembered(path: str) -> dict[str, Any]:
    try:
        known = _marshal.loads(_read(path))
    except (OSError, ValueError, EOFError, TypeError):
        return {}
    return known if isinstance(known, dict) else {}


def _distributions_in(place: str, names: list[str]) -> Iterator[list[Any]]:
    for name in names:
        if name[-10:] != ".dist-info" and name[-9:] != ".egg-info":
            continue
        folder = os.path.join(place, name)
        for file in ("/METADATA", "/PKG-INFO", ""):
            try:
                head = _head(folder + file)
            except OSError:
                continue
            direct = None
            try:
                direct = _read(folder + "/direct_url.json").decode("utf-8", "replace")
            except OSError:
                pass
            if "name" in head:
                yield [head["name"], head.get("version", ""), folder, direct]
            break


def _head(path: str) -> dict[str, str]:
    """Return the name and version from the head of a distribution's metadata."""
    handle = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, **_at)
    try:
        text = posix.read(handle, 4096).decode("utf-8", "replace")
    finally:
        posix.close(handle)
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            break
        if name.lower() in ("name", "version"):
            fields.setdefault(name.lower(), value.strip())
    return fields


# -- the ways in -------------------------------------------------------------------------------


def _start(parent: int, *, forked: bool) -> dict[str, Any]:
    return {
        "pid": posix.getpid(),
        "parent": parent,
        "forked": forked,
        "cwd": _getcwd(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "implementation": sys.implementation.name,
        "executable": sys.executable or "",
    }


def _log_name(folder: str) -> str:
    return f"{folder}/children/{posix.getpid()}-{time.time_ns()}.jsonl"


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def watch_kernel(
    *, folder: str, report: str, event: str, memory: str, outside: bool, above: str
) -> None:
    """Watch a kernel: it writes its account to `report` at exit, and on `event` where that says."""
    watcher = _Tracer(
        folder=folder, report=report, event=event, memory=memory, outside=outside, above=above
    )
    watcher.shell = _shell()
    # Every kernel has atexit anyway, and until 3.9 Python crashes if it is gone at the exit.
    __import__("atexit").register(watcher.at_exit)
    watcher.watch()


def watch_zygote(*, wake: str) -> _Tracer:
    """Watch the imports of a process that forks kernels; in a kernel, `wake` makes it go on.

    That event carries a list, to which a watcher that wakes adds a word, and the arguments of
    `watch_kernel`.
    """
    watcher = _Tracer(folder="")
    watcher.event = wake
    watcher.stage = _getcwd()
    watcher.watch()
    return watcher


def watch_child(*, folder: str, outside: bool, above: str) -> None:
    """Watch a process that a kernel started; called by the sitecustomize.py in `folder`."""
    watcher = _Tracer(folder=folder, log=_log_name(folder), outside=outside, above=above)
    watcher.emit("start", _start(posix.getppid(), forked=False))
    watcher.watch()
