"""Read what strace wrote of a build: which notebook's processes asked what of which path.

A kernel is the process that goes into a notebook's folder first; all that descends from it is the
notebook's. Its cells lie between two questions about files that are never there, `BEGIN` and `END`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os.path import normpath, realpath

BEGIN, END = "/proc/oracle-begins", "/proc/oracle-ends"

CALLS = (
    "%file,getdents,getdents64,fchdir,clone,clone3,fork,vfork",
    "--seccomp-bpf",  # stops at these only
)

_STARTED = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FOLDER = re.compile(r"(?:AT_FDCWD|-?\d+)<((?:[^>\\]|\\.)*)>")
_ENDED = re.compile(r"(.*)\) += (-?\d+|\?)(?:<[^>]*>)?(?: (E[A-Z]+))?.*")
_UNFINISHED = " <unfinished ...>"

_FORKS = ("clone", "clone3", "fork", "vfork")
_DEEDS = {
    "open": "open", "openat": "open", "openat2": "open", "creat": "open",
    "stat": "stat", "newfstatat": "stat", "statx": "stat",
    "access": "stat", "faccessat": "stat", "faccessat2": "stat",
    "statfs": "stat", "chmod": "stat", "fchmodat": "stat", "utimensat": "stat",
    "getxattr": "stat", "listxattr": "stat",
    "lstat": "lstat", "readlink": "lstat", "readlinkat": "lstat",
    "lgetxattr": "lstat", "llistxattr": "lstat",
    "chdir": "enter", "execve": "exec", "execveat": "exec",
    "mkdir": "make", "mkdirat": "make", "mknod": "make", "mknodat": "make",
    "symlink": "make", "symlinkat": "make",
    "unlink": "remove", "unlinkat": "remove", "rmdir": "remove",
    "rename": "rename", "renameat": "rename", "renameat2": "rename",
    "link": "link", "linkat": "link",
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """What one process asked of one path, or did to it."""

    process: int
    deed: str  # a value of _DEEDS (but rename, link), list, or target: what a rename or link makes
    path: str  # absolute, normalised; links stay as they were named
    raw: str  # as it was named
    error: str  # "ENOENT" and so on; "" when it succeeded
    flags: frozenset[str]
    started: bool  # the first cell had begun
    kernel: bool  # by the kernel itself, no child of it


@dataclass(frozen=True)
class _Call:
    process: int
    name: str
    arguments: str
    result: int
    error: str


def events(lines: Iterable[str], folders: Mapping[str, str]) -> dict[str, list[Event]]:
    """Return what each notebook's processes asked; `folders` names the notebooks by folder."""
    calls = list(_calls(lines))
    parents = {call.result: call for call in calls if call.name in _FORKS and call.result > 0}
    state = _State(parents, folders)
    found: dict[str, list[Event]] = {name: [] for name in folders.values()}
    for call in calls:
        state.take(call, found)
    return found


def _calls(lines: Iterable[str]) -> Iterator[_Call]:
    """Yield the calls in the order in which they began."""
    begun: list[tuple[int, str, str]] = []
    open_calls: dict[int, int] = {}  # process → its place in `begun`
    for line in lines:
        found = _STARTED.match(line)
        if found is None:
            continue  # signals, exits
        process, resumed, name, rest = int(found[1]), found[2], found[3], found[4]
        if resumed:
            place = open_calls.pop(process, -1)
            if place >= 0:
                begun[place] = (process, resumed, begun[place][2] + rest)
        elif rest.endswith(_UNFINISHED):
            open_calls[process] = len(begun)
            begun.append((process, name, rest[: -len(_UNFINISHED)]))
        else:
            begun.append((process, name, rest))
    for process, name, text in begun:
        ended = _ENDED.match(text)
        if ended is not None:
            result = -1 if ended[2] == "?" else int(ended[2])
            yield _Call(process, name, ended[1], result, ended[3] or "")


class _State:
    """Who is who: working folders, threads, notebooks, as the log goes on."""

    def __init__(self, parents: Mapping[int, _Call], folders: Mapping[str, str]) -> None:
        self._parents = parents
        self._folders = folders
        self._group: dict[int, int] = {}  # thread → process
        self._cwd: dict[int, str] = {}
        self._owner: dict[int, str] = {}
        self._kernels: dict[str, int] = {}
        self._begun: set[str] = set()
        self._over: set[int] = set()
        self._opened: dict[tuple[int, str], str] = {}  # process, folder → as what it was opened

    def _meet(self, thread: int) -> int:
        """Return the process of a thread; one that is new takes after its parent."""
        if thread not in self._group:
            born = self._parents.get(thread)
            self._group[thread] = thread
            if born is not None:
                parent = self._meet(born.process)
                if "CLONE_THREAD" in born.arguments:
                    self._group[thread] = parent
                else:
                    self._cwd[thread] = self._cwd.get(parent, "/")
                    if parent in self._owner:
                        self._owner[thread] = self._owner[parent]
        return self._group[thread]

    def take(self, call: _Call, found: dict[str, list[Event]]) -> None:
        process = self._meet(call.process)
        texts = [_decoded(text) for text in _TEXT.findall(call.arguments)]
        if call.name == "fchdir":
            self._cwd[process] = _decoded(_FOLDER.findall(call.arguments)[0])
            return
        for event in self._events(call, process, texts):
            if event.path == BEGIN:
                self._begun.add(self._owner[process])
            elif event.path == END:
                self._over.add(process)
            elif process in self._owner and process not in self._over:
                found[self._owner[process]].append(event)
            if event.deed == "enter" and not event.error:
                self._cwd[process] = realpath(event.path)
                name = self._folders.get(event.path)
                if name is not None and process not in self._owner and name not in self._kernels:
                    self._owner[process] = name
                    self._kernels[name] = process

    def _events(self, call: _Call, process: int, texts: list[str]) -> Iterator[Event]:
        owner = self._owner.get(process, "")

        def event(deed: str, folder: str, raw: str) -> Event:
            return Event(
                process=process,
                deed=deed,
                path=_absolute(folder, raw),
                raw=raw,
                error=call.error,
                flags=frozenset(re.findall(r"\b[A-Z]+_[A-Z_]+\b", call.arguments)),
                started=owner in self._begun,
                kernel=self._kernels.get(owner) == process,
            )

        cwd = self._cwd.get(process, "/")
        named = [_decoded(text) for text in _FOLDER.findall(call.arguments)]
        if call.name.startswith("getdents"):
            if call.result > 0:
                one = event("list", "/", named[0])
                raw = self._opened.get((process, one.path), one.raw)
                yield Event(**{**vars(one), "raw": raw})
            return
        deed = _DEEDS.get(call.name)
        if deed is None or not texts:
            return
        if deed == "open" and not call.error:
            self._opened[process, realpath(_absolute(cwd, texts[0]))] = texts[0]
        if deed in ("rename", "link"):
            folders = named if len(named) == 2 else [cwd, cwd]
            yield event(deed, folders[0], texts[0])
            yield event("target", folders[1], texts[1])
            return
        raw = texts[-1] if call.name.startswith("symlink") else texts[0]
        if not raw:
            return  # the descriptor itself
        if deed == "stat" and "NOFOLLOW" in call.arguments:
            deed = "lstat"
        error_free = deed == "lstat" and call.error == "EINVAL"  # readlink of what is no link
        one = event(deed, named[0] if named and call.arguments[:1] in "A-0123456789" else cwd, raw)
        yield one if not error_free else Event(**{**vars(one), "error": ""})


def _absolute(folder: str, raw: str) -> str:
    """Return the path; links stay as they were named, but where `..` has to cross them."""
    done = "" if raw.startswith("/") else folder.rstrip("/")
    for part in raw.split("/"):
        if part == "..":
            done = realpath(done or "/").rpartition("/")[0]
        elif part not in ("", "."):
            done = f"{done}/{part}"
    return normpath(done or "/")


def _decoded(text: str) -> str:
    if "\\" not in text:
        return text
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1").decode("utf-8")
