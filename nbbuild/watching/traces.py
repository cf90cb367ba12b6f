"""Check whether everything that a run used is still as it was."""

# A `match` over the kinds of items has a return for each.
# ruff: noqa: PLR0911

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from nbbuild.disk.digests import digest_lines
from nbbuild.disk.project_folder import DOT
from nbbuild.interpreter.environment import Probe
from nbbuild.interpreter.resolving import Resolver
from nbbuild.model import OF_ONE_RUN, Chunk, ChunkedItems, Digest, Reason, Task, Trace, TraceItem
from nbbuild.paths.patterns import Pattern, literal_prefix, matches
from nbbuild.store.bounds import searches_too_much
from nbbuild.watching.answers import answer, sentence
from nbbuild.watching.asking import Asking
from nbbuild.watching.looking import listed
from nbbuild.watching.modes import masks
from nbbuild.watching.naming import name_of
from nbbuild.watching.virtual import VirtualEnvironments

STDLIB, SITE = "<stdlib>", "<site-packages>"
"""On a trace's path, they stand for the interpreter's own folders; as an origin: found there."""

LINES = "lines"
"""The `way` of a file that counts by its lines, whatever they end with."""

NOT_LISTED = frozenset({DOT, "__pycache__", ".ipynb_checkpoints"})
"""Names that come and go and mean nothing; no listing counts them."""

_NO_NAMES = NOT_LISTED | {".git", ".hg", ".svn"}
"""Names that listings leave out; what is in version control's folders counts if it is read."""


_OF_THE_KERNEL = ("/proc/", "/sys/", "/dev/")
"""Folders in which no run's inputs lie; to read what looks like a file there may never end."""


class KnownValues:
    """What was found so far, for as long as nothing changes.

    Many records hold the same items and the same chunks of items, as the same objects
    (store/reading.py), so those that hold are known by their identity: that takes a tenth of the
    time of looking them up.
    """

    def __init__(self) -> None:
        self.values: dict[Hashable, str | None] = {}
        """Item, without what does not count → its value."""
        self._holding: dict[Hashable, set[int]] = {}
        self._kept: list[TraceItem | Chunk] = []  # so that no other object gets the identity of one

    def holding(self, path: tuple[str, ...], probe: Probe | None) -> set[int]:
        """Return the identities of what holds in traces with this search path."""
        return self._holding.setdefault((path, id(probe)), set())

    def keep(self, item: TraceItem | Chunk, holds: set[int]) -> None:
        """Take note that an item, or each item of a chunk, holds."""
        self._kept.append(item)
        holds.add(id(item))


class Own:
    """Which paths (root-relative) belong to a task or to nbbuild, and so are no inputs of it.

    `undeclared` are files that the run wrote besides its artefacts, `closed` are nbbuild's folders,
    and `scratch` are patterns of files that some task makes only for itself.
    """

    def __init__(
        self,
        task: Task,
        *,
        undeclared: Iterable[str] = (),
        closed: Iterable[str],
        scratch: Iterable[str] = (),
    ) -> None:
        self._scratch = [Pattern.parse(text) for text in scratch]
        self._built = task.built
        self._patterns = [Pattern.parse(text) for text in task.artefacts]
        self._closed = tuple(dict.fromkeys(path.rstrip("/") for path in closed))
        mine = [*undeclared, *self._closed, *filter(None, map(literal_prefix, self._patterns))]
        self._ours = tuple(dict.fromkeys(path.rstrip("/") for path in mine))

    def file(self, path: str) -> bool:
        """Whether the task itself makes the file `path`."""
        return path == self._built or any(matches(pattern, path) for pattern in self._patterns)

    def name(self, path: str) -> bool:
        """Whether the name `path` in a listing stands for something of our own.

        A folder above such a path does, since it may exist only for that. A file next to an
        artefact does not: it can be an input.
        """
        return (
            self.file(path)
            or any(f"{ours}/".startswith(f"{path}/") for ours in self._ours)
            or any(path.startswith(f"{closed}/") for closed in self._closed)
            or any(matches(pattern, path) for pattern in self._scratch)
        )


class Traces:
    """Checks whether traces hold; looks at each folder once, until `forget` is called."""

    def __init__(
        self,
        root: Path,
        *,
        digest: Callable[[str], Digest | None],
        nothing_at: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self._root = root
        self._folder = str(root)
        self._asking = Asking(self._folder)
        self._below = f"{self._folder.rstrip('/')}/"
        self._digest = digest
        self._nothing_at = nothing_at
        self._masks = masks(root)
        self._virtual = VirtualEnvironments(root)
        self._resolvers: dict[tuple[str, ...], Resolver] = {}

    def forget(self) -> None:
        """Look at the disk again from now on."""
        self._resolvers.clear()
        self._virtual = VirtualEnvironments(self._root)

    @property
    def looked(self) -> frozenset[str]:
        """The paths (absolute) by which virtual environments were told apart so far."""
        return frozenset(self._virtual.looked)

    @property
    def listed(self) -> frozenset[str]:
        """The folders (absolute) in which imports were looked for so far."""
        return frozenset(folder for one in self._resolvers.values() for folder in one.listed)

    def broken(
        self,
        trace: Trace,
        *,
        probe: Probe | None,
        own: Callable[[str], bool],
        seen: KnownValues | None = None,
    ) -> Iterator[Reason]:
        """Yield, for each item that does not hold now, what it was and what it is.

        `own` says whether the run itself made a path. Values in `seen` are not looked up again, and
        new values are added there. An item of a kind that this version does not know does not hold:
        a later version wrote the record, and only that can judge it.
        """
        seen = KnownValues() if seen is None else seen
        holds = seen.holding(trace.path, probe)
        items, chunks = _to_compare(trace.items, holds)
        # Most items of most records are known to hold: pass them over without a step each.
        known = map(holds.__contains__, map(id, items))
        open_items = list(compress(items, map(not_, known)))
        if searches_too_much(open_items, trace.path):
            text = "its last run looked for modules in more folders than can be searched again"
            yield Reason("import", text=text)
            return
        asking = self._asking
        asking.renew()
        made = frozenset(trace.made)

        def ours(path: str) -> bool:
            return path in made or own(path)

        for item in open_items:
            if item.kind == "glob" and not asking.may_glob(item.name, item.way):
                yield Reason("glob", item.name, item.value, "", _unasked(item))
                continue
            if item.kind == "absent" and self._is_nothing(item):
                seen.keep(item, holds)
                continue
            now = self._seen(item, trace, probe, ours, seen.values)
            # What is absent may be so even if the run made it: it would do so again.
            if now == item.value or (item.kind == "absent" and now == ""):
                if item.kind not in OF_ONE_RUN:
                    seen.keep(item, holds)
            else:
                yield Reason(item.kind, item.name, item.value, now or "", _sentence(item, now))
        for chunk in chunks:
            if holds.issuperset(map(id, chunk.items)):
                seen.keep(chunk, holds)

    def renewed(self, trace: Trace, *, probe: Probe | None, own: Callable[[str], bool]) -> Trace:
        """Return `trace` with its items' present values; items without one are dropped."""
        values = ((item, self._now(item, trace, probe, own)) for item in trace.items)
        items = (
            msgspec.structs.replace(item, value=value)
            for item, value in values
            if value is not None
        )
        return msgspec.structs.replace(trace, items=tuple(items))

    def _seen(
        self,
        item: TraceItem,
        trace: Trace,
        probe: Probe | None,
        own: Callable[[str], bool],
        seen: dict[Hashable, str | None],
    ) -> str | None:
        """Return the value of `item`; `seen` holds those of files and modules, which many share."""
        if item.kind in ("file", "absent", "stat"):
            # By lines, a file may have the value of an item without being that file.
            value = item.value if item.way == LINES else ""
            key: Hashable = (item.kind, item.name, item.way, value)
        elif item.kind in ("import", "missing-import", "installed"):
            key = (item.kind, item.name, item.way or trace.path, id(probe))
        else:
            return self._now(item, trace, probe, own)
        if key not in seen:
            seen[key] = self._now(item, trace, probe, own)
        return seen[key]

    def _now(
        self, item: TraceItem, trace: Trace, probe: Probe | None, own: Callable[[str], bool]
    ) -> str | None:
        """Return the present value of `item`, None if it has none."""
        path = self._path(item.name)
        match item.kind:
            case "file" | "absent" if self._is_of_the_kernel(item.name):
                return None
            case "file":
                return self._content(path, item)
            case "absent":
                return left_at(path, self._digest, way=item.way)
            case "stat":
                return answer(path, item.way, self._masks)
            case "listing":
                return listing(path, item.name, own=own, virtual=self._virtual)
            case "distribution":
                return probe.distributions.get(item.name) if probe else None
            case "import" | "missing-import":
                return self._origin(item.name, _path(item, trace), probe)
            case "installed":
                path_then = _path(item, trace)
                origins = (self._origin(name, path_then, probe) for name in item.name.split())
                return next((one for one in origins if one not in (STDLIB, SITE, "")), "")
            case "glob":
                matches = glob_matches(self._root, item.name, item.way)
                return digest_matches(matches, self._folder, own=own, virtual=self._virtual)
            case _:
                return None

    def _path(self, name: str) -> str:
        # As os.path.join does it, for each of many items.
        return name if name[:1] == "/" else self._below + name

    def _is_nothing(self, item: TraceItem) -> bool:
        """Whether there is nothing where nothing was: nearly always, and quickly seen."""
        name = item.name
        return not self._is_of_the_kernel(name) and self._nothing_at(self._path(name))

    def _is_of_the_kernel(self, name: str) -> bool:
        """Whether a name, of a record that somebody else made, leads to what is no data."""
        if name[:1] != "/" and ".." not in name:
            return False
        path = os.path.normpath(os.path.join(self._folder, name))  # noqa: PTH118
        return any(
            f"/{path.lstrip('/')}/".startswith(one) and not self._folder.startswith(one)
            for one in _OF_THE_KERNEL
        )

    def _content(self, path: str, item: TraceItem) -> str | None:
        """Return the digest of a file, by its lines if the item says so."""
        found = self._digest(path)
        if item.way != LINES or found is None or found == item.value:
            return found
        return digest_lines(path, found)

    def _origin(self, name: str, path: Sequence[str], probe: Probe | None) -> str:
        suffixes = probe.suffixes if probe else ()
        resolver = self._resolvers.setdefault(suffixes, Resolver(suffixes))
        return origin(name, path, root=self._root, probe=probe, resolver=resolver)


def _to_compare(
    items: tuple[TraceItem, ...], holds: set[int]
) -> tuple[tuple[TraceItem, ...], list[Chunk]]:
    """Return the items to look at, in order, and the chunks that are not known to hold."""
    if not isinstance(items, ChunkedItems):
        return items, []
    chunks = [chunk for chunk in items.chunks if id(chunk) not in holds]
    return (items if chunks else items.rest), chunks


def origin(
    name: str, path: Sequence[str], *, root: Path, probe: Probe | None, resolver: Resolver
) -> str:
    """Return what importing `name` over a trace's `path` finds now; "" if nothing."""
    top = name.partition(".")[0]
    marks = {STDLIB: probe.stdlib if probe else (), SITE: probe.owners if probe else {}}
    local: list[str] = []
    for entry in (*path, ""):
        if entry and entry not in marks:
            local.append(os.path.normpath(root / entry))
            continue
        found = resolver.find(name, local)
        if found is not None:
            return name_of(found, str(root))
        if top in marks.get(entry, ()):
            return entry
        local = []
    return ""


def joined(path: Iterable[str]) -> str:
    """Return a search path in the form of an item's `way`."""
    return "\0".join(path)


def _path(item: TraceItem, trace: Trace) -> Sequence[str]:
    return item.way.split("\0") if item.way else trace.path


def listing(
    path: Path | str,
    name: str,
    *,
    own: Callable[[str], bool],
    virtual: Callable[[str], bool] = lambda path: False,
) -> Digest | None:
    """Return a digest of the names in a folder, None if it cannot be listed."""
    names = listed(str(path))
    return None if names is None else digest_names(names, name, own=own, virtual=virtual)


def left_at(path: Path | str, digest: Callable[[Any], Digest | None], *, way: str = "") -> str:
    """Return what is now where nothing was: a file's digest, else its kind; "" for nothing.

    `way` is that of answers.py: without "link" in it, a link that leads nowhere is nothing.
    """
    return digest(path) or answer(str(path), way or "exists")


def glob_matches(root: Path, name: str, way: str) -> list[str]:
    """Return what a glob ("base:pattern", base root-relative) matches now, as absolute paths.

    `way` holds its rules: "glob" or "pathlib", with "recursive" and "hidden".
    """
    base, _, pattern = name.partition(":")
    folder = os.path.normpath(root / base)
    rules = way.split()
    if "pathlib" in rules:
        try:
            return [str(path) for path in Path(folder).glob(pattern)]
        except (ValueError, NotImplementedError, OSError):
            return []
    whole = os.path.join(glob.escape(folder), pattern)  # noqa: PTH118
    if "hidden" in rules and sys.version_info >= (3, 11):
        return glob.glob(whole, recursive="recursive" in rules, include_hidden=True)  # noqa: PTH207
    return glob.glob(whole, recursive="recursive" in rules)  # noqa: PTH207


def parted(base: str, pattern: str) -> tuple[str, str]:
    """Return the folder and the pattern of a glob, whose pattern may be absolute."""
    if not pattern.startswith("/"):
        return base, pattern
    parts = pattern.split("/")
    plain = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:plain]) or "/", "/".join(parts[plain:])


def digest_matches(
    matches: Iterable[str],
    root: str,
    *,
    own: Callable[[str], bool],
    virtual: Callable[[str], bool] = lambda path: False,
) -> Digest:
    """Return a digest of the paths that a glob matched, without those that never count.

    Virtual environments, by `virtual`, count by what is installed in them.
    """
    names = (name_of(os.path.normpath(path), root) for path in matches)
    kept = sorted(
        name
        for name in names
        if not own(name) and _NO_NAMES.isdisjoint(name.split("/")) and not virtual(name)
    )
    return blake3("\0".join(kept).encode("utf-8", "surrogateescape")).hexdigest()


def digest_names(
    names: Iterable[str],
    folder: str,
    *,
    own: Callable[[str], bool],
    virtual: Callable[[str], bool] = lambda path: False,
) -> Digest:
    """Return a digest of `names` in `folder` (root-relative), without those that never count.

    Each name follows a letter for its kind. Virtual environments, by `virtual`, count by what is
    installed in them.
    """
    lead = "" if folder == "." else f"{folder}/"

    def counts(name: str) -> bool:
        path = f"{lead}{name[1:]}"
        return (
            name[1:] not in _NO_NAMES and not own(path) and not (name[0] in "dl" and virtual(path))
        )

    kept = sorted(filter(counts, names))
    return blake3("\0".join(kept).encode("utf-8", "surrogateescape")).hexdigest()


def _unasked(item: TraceItem) -> str:
    base, _, pattern = item.name.partition(":")
    return f"{_shortened(pattern)} in {_shortened(base)} would look at too much to be judged"


def _shortened(text: str) -> str:
    """Return `text` in quotes, without its middle if it is long."""
    return f"'{text}'" if len(text) <= 200 else f"'{text[:100]}…{text[-99:]}'"


def _sentence(item: TraceItem, now: str | None) -> str:
    """Return a sentence such as "'mylib/fit.py' changed (imported by In [2])"."""
    via = f" ({item.via})" if item.via else ""
    name = f"'{item.name}'"
    match item.kind:
        case "distribution":
            return f"{item.name} {item.value} → {now or 'not installed'}{via}"
        case "file":
            return f"{name} {'changed' if now else 'is gone'}{via}"
        case "absent" if not item.value:
            return f"{name}, which was missing, exists now{via}"
        case "absent":
            return f"{name} is not as the run left it{via}"
        case "stat":
            return sentence(item.name, item.value, now or "") + via
        case "listing":
            return f"the folder {name} {'holds other names' if now else 'is gone'}{via}"
        case "import":
            found = f"'{now}'" if now else "nothing"
            return f"`import {item.name}` finds {found} now{via}"
        case "missing-import":
            return f"`import {item.name}`, which found nothing, finds '{now}' now{via}"
        case "glob":
            pattern = item.name.partition(":")[2]
            return f"'{pattern}' matches other files{via}"
        case "installed":
            return f"'{now}' hides an installed module of the same name"
        case _:
            return f"{name} cannot be judged by this version of nbbuild"
