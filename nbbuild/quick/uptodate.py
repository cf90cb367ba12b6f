"""The quick answer "nothing to do", without loading anything; last_good.py writes what it reads.

    <root>/.nbbuild/uptodate/<key>      one file for each set of targets that was found up to date

A build that finds all its targets up to date leaves a file with everything that this verdict rested
on: how each input and output looked, what each folder held, what did not exist, and the variables
that choose interpreters and kernels. The next build of the same targets compares. Any difference,
however small, hands over to the ordinary way, which knows what it means. So this may fail to notice
that nothing is to be done, but it is never wrong. Anything younger than two seconds when it was
looked at is not written down at all: the file system's clock may not have advanced (DESIGN §6).

The file is one line with its checksum, and JSON. Paths are relative to the root, so that a copy of
the whole project does not look at the original. Values of variables are digested.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import time
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nbbuild.disk import regular
from nbbuild.disk.project_folder import DOT, UPTODATE
from nbbuild.quick import make
from nbbuild.quick.above import NAME, find_above, standing
from nbbuild.quick.verbs import VERBS, WORKER
from nbbuild.text.printable import printed

FORMAT = 2

FOLDER = f"{DOT}/{UPTODATE}"

PREFIXES = ("CONDA", "JUPYTER", "NBBUILD_", "PYTHON", "XDG_")
"""Variables with these prefixes may choose interpreters, kernels, configurations, or the store."""

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file to which a step on GitHub adds a summary of its build."""

_TAKES_VALUE = {"-C": "directory", "-f": "file", "-j": "jobs"}
_FLAGS = frozenset("kxsq")


class Request(NamedTuple):
    """What a command line asks for, as far as the quick way understands it."""

    targets: tuple[str, ...] = ()
    directory: str = "."
    file: str = ""  # "" is the jcache.toml of the folder, or else the nearest one above it
    silent: bool = False
    question: bool = False

    @property
    def root(self) -> str | None:
        """The folder of the configuration file, None where there is none."""
        path = os.path.join(self.directory, self.file or NAME)  # noqa: PTH118
        if self.file or os.path.isfile(path):  # noqa: PTH113
            return os.path.dirname(path) or "."  # noqa: PTH120
        there = os.path.isdir(self.directory) and not os.path.exists(path)  # noqa: PTH110, PTH112
        return find_above(self.directory) if there else None


def answer(words: Sequence[str]) -> int | None:
    """Report that there is nothing to do and return 0; if that is not known, stay silent: None.

    `words` are the words of the command line, without the program's name.
    """
    request = _as_make_asks(understood(words))
    if request is None or os.environ.get(STEP_SUMMARY):
        return None
    root = request.root
    if root is None:
        return None
    config = os.path.basename(request.file or NAME)  # noqa: PTH119
    here = standing(request.directory, root) if request.targets else ""
    known = read(place(root, config, request.targets, here=here))
    try:
        if known is None or not holds(known, root=root, environ=os.environ):
            return None
        lines = [] if request.silent else [*known["notes"]]
        if not request.silent and not request.question:
            lines.append(known["summary"])
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ):  # another program wrote it
        return None
    if lines:
        print(printed("\n".join(lines)), file=sys.stderr)
    return 0


def _as_make_asks(request: Request | None) -> Request | None:
    """Return `request` with the options of the make that called us; None if it asks for more."""
    options = make.asked(os.environ).options
    if request is None or {"dry_run", "accept", "always_run"}.intersection(options):
        return None
    return request._replace(
        silent=request.silent or "silent" in options,
        question=request.question or "question" in options,
    )


def understood(words: Sequence[str]) -> Request | None:
    """Return what the plainest of command lines ask for, None for all others."""
    values = {"directory": ".", "file": "", "jobs": "1"}
    flags: set[str] = set()
    targets: list[str] = []
    built = False  # whether the verb was given
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            if word in (*VERBS, WORKER) and not targets and not built:
                built = word == "build"
                if not built:
                    return None
                continue
            targets.append(word)
        elif word[:2] in _TAKES_VALUE:
            if len(word) == 2 and not rest:
                return None
            values[_TAKES_VALUE[word[:2]]] = word[2:] or rest.pop(0)
        elif len(word) > 1 and _FLAGS.issuperset(word[1:]):
            flags.update(word[1:])
        else:
            return None
    jobs = values["jobs"]
    if not (jobs.isascii() and jobs.isdigit() and int(jobs)) or {"k", "x"} <= flags:
        return None  # a mistake, which is reported elsewhere
    return Request(
        targets=tuple(targets),
        directory=values["directory"],
        file=values["file"],
        silent="s" in flags,
        question="q" in flags,
    )


def place(root: str, config: str, targets: Sequence[str], *, here: str = "") -> str:
    """Return where what a build of `targets` rested on is kept; `config` is the file's name.

    `here` is the folder that the targets are typed in, seen from the root. Without targets it does
    not count.
    """
    asked = json.dumps([config, here if targets else "", *targets]).encode()
    return f"{root}/{FOLDER}/{hashlib.blake2b(asked, digest_size=12).hexdigest()}"


def seal(known: Mapping[str, Any]) -> bytes:
    """Return the bytes of a file."""
    body = json.dumps(known, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x\n" % zlib.crc32(body) + body


def read(path: str) -> dict[str, Any] | None:
    """Return the contents of a file; None if it is missing, incomplete or of another format."""
    try:
        checksum, _, body = regular.read(path).partition(b"\n")
    except (OSError, ValueError):  # ValueError: a NUL among the words
        return None
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        known = json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return known if isinstance(known, dict) and known.get("format") == FORMAT else None


def holds(known: Mapping[str, Any], *, root: str, environ: Mapping[str, str]) -> bool:
    """Whether everything in `known` still holds."""
    return (
        known["program"] == program()
        and (known["until"] is None or time.time() < known["until"])
        and known["variables"] == variables(environ, known["named"], salt=known["salt"])
        and _files_hold(f"{root}/", known["files"])
        and _folders_hold(f"{root}/", known["folders"])
        and _nothing_there(f"{root}/", known["absent"])
        and _links_hold(f"{root}/", known["links"])
        and not any(map(os.path.islink, (f"{root}/{path}" for path in known["plain"])))
        and all(_size(f"{root}/{path}") == size for path, size in known["records"])
    )


def program() -> str:
    """Return what identifies the program that judges: another version may judge differently."""
    from nbbuild.version import __version__

    return f"nbbuild {__version__}, {sys.prefix} {sys.version}"


def variables(environ: Mapping[str, str], named: Collection[str], *, salt: str) -> str:
    """Return a digest of the variables that count: those `named`, and those of `PREFIXES`."""
    counted = sorted((n, v) for n, v in environ.items() if n in named or n.startswith(PREFIXES))
    text = salt + json.dumps(counted)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def stamp(path: str) -> tuple[int, int, int, int]:
    """Return how a file or folder looks: size, mtime and ctime in ns, inode. Raises OSError.

    A folder's size means nothing, and is given as 0.
    """
    now = os.stat(path)  # noqa: PTH116
    size = 0 if stat.S_ISDIR(now.st_mode) else now.st_size
    return size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino


def names(folder: str) -> list[list[Any]] | None:
    """Return the names in a folder, sorted, each with its kind; None if that may not be enough.

    That is so if there is a link: its target can change its kind while the folder stays the same.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return []
    if any(entry.is_symlink() for entry in entries):
        return None
    return sorted([entry.name, entry.is_dir()] for entry in entries)


def _files_hold(lead: str, files: Iterable[Sequence[Any]]) -> bool:
    look = os.stat
    try:
        for path, size, mtime, ctime, inode in files:
            now = look(lead + path if path[0] != "/" else path)
            if (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino) != (
                size,
                mtime,
                ctime,
                inode,
            ):
                return False
    except (OSError, ValueError):
        return False
    return True


def _folders_hold(lead: str, folders: Iterable[Sequence[Any]]) -> bool:
    for path, *then, held in folders:
        whole = lead + path if path[:1] != "/" else path
        try:
            if stamp(whole) == tuple(then):
                continue
        except OSError:
            return False
        # Something came or went: perhaps an editor's swap file that was there for a moment.
        if held is None or names(whole) != held:
            return False
    return True


def _nothing_there(lead: str, paths: Iterable[str]) -> bool:
    for path in paths:
        try:
            os.lstat(lead + path if path[:1] != "/" else path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            return False
        return False
    return True


def _links_hold(lead: str, links: Iterable[Sequence[str]]) -> bool:
    try:
        for path, to in links:
            if os.readlink(lead + path if path[:1] != "/" else path) != to:  # noqa: PTH115
                return False
    except (OSError, ValueError):
        return False
    return True


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return None
