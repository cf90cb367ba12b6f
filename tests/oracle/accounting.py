"""Hold a trace against what strace saw, by rules of its own: nothing missing, nothing needless.

The rules know what a notebook is, what Python's import system does, and what lay on the disk
before. They know nothing of how nbbuild comes to its traces.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from os.path import join, normpath, realpath, relpath
from pathlib import Path

from blake3 import blake3
from strace_log import Event

from nbbuild.watching.naming import name_of

_NEVER = {".nbbuild", "_build", "__pycache__", ".ipynb_checkpoints"}
_GONE = {"ENOENT", "ENOTDIR", "ELOOP"}
_LIBRARY = re.compile(r".*/(?:site-packages|python3\.\d+|lib-dynload)/([^/.]+)")
_WRITING = {"O_WRONLY", "O_RDWR"}


class Account:
    """What one notebook did and what its trace says; `missing` and `needless` compare them.

    `before` is what lay on the disk (see two_builds.snapshot), `sources` the text of the notebook
    and of its modules, `base` what a kernel holds before its first cell.
    """

    def __init__(
        self,
        name: str,
        *,
        root: Path,
        before: Mapping[str, str],
        seen: Sequence[Event],
        trace: Mapping,
        sources: str,
        base: Collection[str] = (),
    ) -> None:
        self._name = name
        self._root = str(root)
        self._outside = str(root.parent / "outside")
        self._before = before
        self._seen = seen
        self._sources = sources
        self._base = base
        self._items = trace["items"]
        self._by_name: dict[str, list[dict]] = {}
        for item in self._items:
            self._by_name.setdefault(item["name"], []).append(item)
        self._listed = {
            realpath(f"{root}/{one['name']}") for one in self._items if one["kind"] == "listing"
        }
        self._imports = [one for one in self._items if one["kind"] == "import"]
        self._parts = {_top(event.path) for event in seen if not event.error}
        self._made = {
            real
            for event in seen
            if self.counts(event.path)
            and self._alters(event, real := realpath(event.path))
            and event.deed in ("open", "target", "make")
        }
        self._modules = self._compiled()
        self._folders = self._import_folders()
        self._globs = [
            (one["name"].partition(":")[0], one["name"].partition(":")[2].split("/"))
            for one in self._items
            if one["kind"] == "glob"
        ]

    # What counts.

    def counts(self, path: str) -> bool:
        """Whether a path lies in the project or in the data folder, and is no tool's own."""
        inside = f"{path}/".startswith((f"{self._root}/", f"{self._outside}/"))
        around = self._root == path
        return inside and not around and not self._tools(path)

    def _tools(self, path: str) -> bool:
        parts = relpath(path, self._root).split("/")
        return not _NEVER.isdisjoint(parts) or path.endswith((".pyc", ".pyo"))

    def name(self, path: str) -> str:
        """Return the name of a path, from the project's root."""
        return name_of(path, self._root)

    def _import_folders(self) -> set[str]:
        """Return the folders in which Python looked for modules: that of each compiled source."""
        found = {f"{self._root}/{self._name}"}
        for path in self._modules:
            folder = path.rpartition("/")[0]
            while folder.startswith(self._root) and folder != self._root:
                found.add(folder)
                folder = folder.rpartition("/")[0]
        return found

    def _compiled(self) -> set[str]:
        """Return the local sources that were imported: looked at and read by their whole path."""
        found = set()
        before: dict[int, list[Event]] = {}
        for event in self._seen:
            folder, _, last = event.path.rpartition("/")
            earlier = before.setdefault(event.process, [])
            if folder.endswith("/__pycache__"):
                found.add(f"{folder.rpartition('/')[0]}/{last.partition('.')[0]}.py")
            elif event.deed == "open" and event.path.endswith(".py") and event.raw == event.path:
                look = [(one.deed, one.raw) for one in earlier[-1:]] == [("stat", event.raw)]
                in_folder = [f"{one.path}/".startswith(f"{folder}/") for one in earlier[-2:-1]]
                if look and in_folder == [True] and earlier[-2].path != event.path:
                    found.add(event.path)
            earlier.append(event)
        return {path for path in found if path in self._before}

    # Nothing is missing.

    def missing(self) -> Iterator[str]:
        """Yield what strace saw and the trace lacks."""
        touched: set[str] = set()  # what the run has made, altered or removed by now, resolved
        for event in self._seen:
            if not self.counts(event.path):
                continue
            real = realpath(event.path)
            if not _under(real, touched):
                wanted = self._wanted(event, real)
                if wanted and not self._answered(wanted, event, real):
                    yield self._sentence(event, wanted)
            if self._alters(event, real):
                touched.add(real)
        yield from self._missing_modules()

    def _wanted(self, event: Event, real: str) -> str:
        """Return the kind of item that has to tell of an event, "" when none has."""
        lay = self._before.get(real)
        if not event.started and not (event.deed == "open" and not event.error and lay == "f"):
            return ""  # as it starts, a kernel looks for its parts
        match event.deed:
            case "open" if not event.error:
                if "O_PATH" in event.flags:
                    return "stat"
                if lay == "f":
                    return "" if "O_TRUNC" in event.flags else "file"
                return "absent" if _asks_before_it_makes(event) else ""
            case "make" | "target" if event.deed == "make":
                return "absent" if not event.error else "stat"
            case "target":
                return ""
            case "exec" | "rename" | "link" if not event.error:
                return "file" if lay == "f" else ""
            case "list" if not event.error:
                return "listing"
            case "stat" if not event.error and real == f"{self._root}/{self._name}":
                return ""  # the notebook lies there
            case "stat" if not event.error and lay == "d" and self._holds_own(real):
                return ""  # it comes back with what the run makes in it
            case "enter" if not event.error:
                return "stat"
            case _:
                if event.error in _GONE:
                    return "absent"
                return "lstat" if event.deed == "lstat" else "stat"

    def _answered(self, wanted: str, event: Event, real: str) -> bool:
        items = self._by_name.get(self.name(event.path), [])
        kinds = {one["kind"] for one in items}
        match wanted:
            case "file":
                return any(one["kind"] == "file" and one["value"] == _digest(real) for one in items)
            case "absent":
                if "absent" in kinds or self._looked_for_as_module(event.path):
                    return True
                return self._in_a_glob(event.path) or self._told_by_another_name(event)
            case "listing":
                if event.path in self._listed or self._in_a_glob(event.path):
                    return True
                return self._searched(event)
            case "lstat" if self._before.get(event.path, "").startswith("l "):
                link = self._before[event.path]
                return any(
                    one["kind"] == "stat" and one["way"].endswith("link") and one["value"] == link
                    for one in items
                )
            case _:
                # A path hook looks at an entry of sys.path as it is written.
                by_import = event.path in self._folders and event.raw != "."
                found = any(one["value"] == self.name(event.path) for one in self._imports)
                return bool(kinds) or by_import or found or self._in_a_glob(event.path)

    def _looked_for_as_module(self, path: str) -> bool:
        """Whether a missing path is one that an import told of would have been looked for at."""
        folder, _, last = path.rpartition("/")
        if folder not in self._folders and folder != self._root:
            return False
        stem = last.partition(".")[0]
        if stem == "__init__":
            stem = folder.rpartition("/")[2]
        told = {
            part
            for one in self._items
            if one["kind"] in ("import", "missing-import", "installed")
            for name in one["name"].split()
            for part in name.split(".")
        }
        return stem in told

    def _told_by_another_name(self, event: Event) -> bool:
        """Whether a file was made under a name that is another one in each run."""
        folder = event.path.rpartition("/")[0]
        named = {self.name(one.path) for one in self._seen}
        return "O_EXCL" in event.flags and any(
            one["kind"] == "absent"
            and one["name"] not in named
            and normpath(f"{self._root}/{one['name']}").rpartition("/")[0] == folder
            for one in self._items
        )

    def _in_a_glob(self, path: str) -> bool:
        """Whether a glob that the trace tells of looks at a path, or goes through it."""
        name = self.name(path)
        for base, pattern in self._globs:
            if name == base:
                return True
            if name.startswith(f"{base}/") and _leads(pattern, name[len(base) + 1 :].split("/")):
                return True
        return False

    def _holds_own(self, folder: str) -> bool:
        return any(path.startswith(f"{folder}/") for path in self._made)

    def _alters(self, event: Event, real: str) -> bool:
        if event.error:
            return False
        if event.deed == "open":
            return "O_TRUNC" in event.flags or (
                "O_CREAT" in event.flags and real not in self._before
            )
        return event.deed in ("make", "target", "remove", "rename")

    def _missing_modules(self) -> Iterator[str]:
        local = {one["value"] for one in self._imports}
        for path in sorted(self._modules):
            if self.name(path) not in local:
                yield f"no import item tells of {self.name(path)}"
        told = {
            top for one in self._items if one["kind"] == "installed" for top in one["name"].split()
        }
        owned = {one["name"]: one["value"] for one in self._items if one["kind"] == "distribution"}
        owners = _owners()
        for top in sorted(self._loaded() - set(self._base)):
            if top not in told:
                yield f"no installed item tells of {top}"
            for owner in owners.get(top, ()):
                if owned.get(_normal(owner)) != version(owner):
                    yield f"no distribution item tells of {owner} {version(owner)}"

    def _loaded(self) -> set[str]:
        """Return the top-level modules that the kernel loaded from the interpreter's folders."""
        found = set()
        for event in self._seen:
            if not event.kernel or event.error or not event.started or event.deed != "open":
                continue
            if event.path.endswith((".pyc", ".so")) and not event.path.startswith(self._root):
                found.add(_top(event.path))
        return found - {""}

    def _searched(self, event: Event) -> bool:
        """Whether Python listed a folder for modules, which it names from the top, or for packages.

        importlib.metadata takes one folder of sys.path after the other, and "." for an empty entry.
        """
        if event.raw.startswith("/"):
            return event.path in self._folders
        by_it = [one for one in self._seen if one.process == event.process and one.deed == "list"]
        following = by_it[by_it.index(event) + 1 :][:1]
        return event.raw == "." and any(_LIBRARY.match(f"{one.path}/x") for one in following)

    def _sentence(self, event: Event, wanted: str) -> str:
        error = f" ({event.error})" if event.error else ""
        return f"no {wanted} item tells of: {event.deed} {self.name(event.path)}{error}"

    # Nothing is needless.

    def needless(self) -> Iterator[str]:
        """Yield the items that nothing in the log asks for."""
        for item in self._items:
            if not self._justified(item):
                yield f"nothing asks for: {item['kind']} {item['name']} {item['way']}".rstrip()

    def _justified(self, item: dict) -> bool:
        kind, name = item["kind"], item["name"]
        whole = normpath(join(self._root, name))
        folder, _, last = whole.rpartition("/")
        ways = (whole, f"{realpath(folder or '/')}/{last}")
        asked = [event for event in self._seen if event.path in ways]
        match kind:
            case "file":
                return any(
                    event.deed in ("open", "exec", "rename", "link") and not event.error
                    for event in asked
                ) or (whole in self._modules)
            case "absent":
                return any(
                    event.started
                    and (
                        event.error in _GONE or event.deed == "make" or _asks_before_it_makes(event)
                    )
                    for event in asked
                ) or self._temporary(folder)
            case "stat":
                if item["way"].endswith("link"):
                    if any(event.deed in ("lstat", "make", "remove") for event in asked):
                        return True
                    return self._on_the_way(f"{self._root}/{name}")
                return any(event.started and event.deed != "list" for event in asked)
            case "listing":
                return any(
                    not self._searched(event)
                    for event in self._seen
                    if event.deed == "list" and event.path == realpath(whole)
                )
            case "glob":
                base = realpath(f"{self._root}/{name.partition(':')[0]}")
                return any(
                    event.started and f"{event.path}/".startswith(f"{base}/")
                    for event in self._seen
                    if event.deed in ("list", "lstat", "stat", "open")
                )
            case "import":
                return f"{self._root}/{item['value']}" in self._modules or any(
                    event.path == f"{self._root}/{item['value']}" for event in self._seen
                )
            case "missing-import":
                return name.rpartition(".")[2] in self._sources or self._in_a_loaded_source(name)
            case "installed":
                # What a kernel holds already, a cell may import as well.
                return all(self._known(top) for top in name.split())
            case "distribution":
                return self._distributed(name)
            case _:
                return False

    def _temporary(self, folder: str) -> bool:
        """Whether a file was made in a folder under a name that is another one in each run."""
        return any(
            "O_EXCL" in event.flags
            and event.path.rpartition("/")[0] == folder
            and self.name(event.path) not in self._by_name
            for event in self._seen
        )

    def _on_the_way(self, link: str) -> bool:
        """Whether a link led to a folder that was listed or entered."""
        return any(
            event.path == link or event.path.startswith(f"{link}/")
            for event in self._seen
            if event.deed in ("list", "enter", "open")
        )

    def _known(self, top: str) -> bool:
        return top in self._parts or re.search(rf"\b{top}\b", self._sources) is not None

    def _in_a_loaded_source(self, name: str) -> bool:
        """Whether a module's name stands in an installed source that was loaded."""
        last = name.rpartition(".")[2]
        for event in self._seen:
            if event.error or event.deed != "open":
                continue
            path = re.sub(r"/__pycache__/(\w+)\.[^/]*$", r"/\1.py", event.path)
            if last.encode() in _text(path):
                return True
        return False

    def _distributed(self, name: str) -> bool:
        loaded = self._parts
        tops = _tops()
        todo = [one for one in tops if any(self._known(top) for top in tops[one] & loaded)]
        found = set(todo)
        while todo:
            for text in _requires(todo.pop()):
                needed = _normal(re.split(r"[^A-Za-z0-9._-]", text)[0])
                if needed not in found:
                    found.add(needed)
                    todo.append(needed)
        named = any(re.search(rf"\b{top}\b", self._sources) for top in tops.get(name, ()))
        return named or name in found


@cache
def _owners() -> Mapping[str, Sequence[str]]:
    return packages_distributions()


@cache
def _tops() -> Mapping[str, set[str]]:
    tops: dict[str, set[str]] = {}
    for top, owners in _owners().items():
        for owner in owners:
            tops.setdefault(_normal(owner), set()).add(top)
    return tops


def _top(path: str) -> str:
    """Return the top-level module that a path in the interpreter's folders belongs to, or ""."""
    found = _LIBRARY.match(path.replace("/__pycache__", ""))
    return found[1] if found is not None else ""


@cache
def _text(path: str) -> bytes:
    """Return a module's source; of one in C, the Cython sources beside it."""
    place = Path(path)
    sources = [place] if path.endswith(".py") else []
    if path.endswith(".so"):
        sources = [*place.parent.glob("*.pyx"), *place.parent.glob("*.pxi")]
    return b"".join(one.read_bytes() for one in sources if one.is_file())


def _leads(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the parts of a path are what a pattern may match, or pass through."""
    for want, part in zip(pattern, parts, strict=False):
        if want == "**":
            return True
        if not fnmatchcase(part, want):
            return False
    return len(parts) <= len(pattern)


@cache
def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def _asks_before_it_makes(event: Event) -> bool:
    """Whether opening what was not there tells the program so."""
    both_ways = "O_RDWR" in event.flags and "O_TRUNC" not in event.flags
    return event.deed == "open" and ("O_EXCL" in event.flags or both_ways)


def _under(path: str, folders: set[str]) -> bool:
    """Whether a path, or a folder above it, is one of these."""
    while path not in folders:
        above = path.rpartition("/")[0]
        if not above:
            return False
        path = above
    return True


def _digest(path: str) -> str:
    return blake3(Path(path).read_bytes()).hexdigest()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
