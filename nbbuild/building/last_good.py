"""Write down why a whole build was "up to date", for uptodate.py to compare.

Whatever judging looks at has to be here; the parts that look keep a list of it (`asked`, `looked`,
`listed`, `rests_on`). Nothing is looked at again to learn what it *was*. Instead, files and folders
must not have changed since two seconds before the build began, and what was absent must still be
absent; otherwise nothing is written.
"""

from __future__ import annotations

import glob
import os
import secrets
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from nbbuild.disk.digests import SETTLED_NS, UNREADABLE, Look
from nbbuild.disk.durable import own_folder, write
from nbbuild.disk.project_folder import DOT, MARKED, RETIRED, TREE
from nbbuild.interpreter.environment import PATH_VARIABLES
from nbbuild.model import Digest, Judgement, Record, Settings, Verdict
from nbbuild.notebook.configuration import candidates
from nbbuild.notebook.formats import rests_on as readers_rest_on
from nbbuild.quick import uptodate
from nbbuild.session import Session
from nbbuild.watching.answers import LINK

OTHER_VARIABLES = ("APPDATA", "PROGRAMDATA", "TMPDIR", "USERPROFILE")
"""Variables that choose configuration folders, besides those with one of uptodate.PREFIXES."""

LONGEST_SECONDS = 12 * 3600.0
"""After this long, a build judges everything again, and notes in the store what is still used."""

_MOST_FILES = 64  # answers kept for one project
_MOST_FOLDERS = 2000  # below a glob; watching more is slower than judging again


class _Unsettled(Exception):
    """Something changed too recently, or there is too much of it, to rely on it."""


def keep(
    session: Session,
    judgements: Collection[Judgement],
    *,
    targets: Sequence[str],
    summary: str,
    remarks: Sequence[str] = (),
    also: Collection[str] = (),
) -> bool:
    """Write down why all of `judgements` in a build of `targets` are FRESH; return whether it did.

    `summary` is the last line of that build, and `remarks` are what it says each time; the files
    `also` must stay as they are, too. Raises nothing: without this, the next build is only slower.
    """
    if not _simple(session, judgements):
        return False
    try:
        known = _Basis(session, judgements, also).known
    except (_Unsettled, OSError):
        return False
    known |= {
        "notes": [f"note: {text}" for text in remarks],
        "summary": summary,
    }
    root, config = str(session.root), session.config.path.name
    place = Path(uptodate.place(root, config, targets, here=session.here.folder))
    with suppress(OSError):
        own_folder(place.parent, below=session.root / DOT)
        write(place, uptodate.seal(known), sync=False, ours=True)
        _thin_out(place.parent)
        return True
    return False


def _simple(session: Session, judgements: Collection[Judgement]) -> bool:
    """Whether everything behind these verdicts can be compared without understanding it."""
    tasks = [session.graph.tasks[one.task] for one in judgements]
    return (
        session.inputs.overrides == Settings()  # the answer is for commands without any
        and all(one.verdict is Verdict.FRESH and one.record is not None for one in judgements)
        and not any(task.commands or not task.cache for task in tasks)
        and not session.project.unreadable
        and not session.tree.gone_files()
    )


class _Basis:
    """Gathers the expectations for one answer."""

    def __init__(
        self, session: Session, judgements: Collection[Judgement], also: Collection[str]
    ) -> None:
        self._session = session
        self._root = str(session.root)
        self._newest_ns = session.opened_ns - SETTLED_NS
        self._files: dict[str, tuple[int, int, int, int]] = {}
        self._folders: dict[str, tuple[int, int, int, int]] = {}
        self._exact: set[str] = set()  # folders of which more than the names counts
        self._absent: set[str] = set()
        self._links: dict[str, str] = {}  # link → where it leads
        records = {one.task: one.record for one in judgements if one.record is not None}
        self._asked(records)
        self._listed(records.values())
        for path in (*self._places(), *also):
            self._whatever(path)
        for path in self._rewritten():
            self._whatever(path)
            self._exact.add(path)
        salt = secrets.token_hex(8)
        named = sorted(
            {*PATH_VARIABLES, *OTHER_VARIABLES}.union(
                *(session.graph.tasks[name].env for name in records)
            )
        )
        self.known = {
            "format": uptodate.FORMAT,
            "program": uptodate.program(),
            "until": self._until(records, session.opened_ns / 1e9),
            "salt": salt,
            "named": named,
            "variables": uptodate.variables(session.environ, named, salt=salt),
            "files": [(self._name(path), *was) for path, was in sorted(self._files.items())],
            "folders": [self._folder(*one) for one in sorted(self._folders.items())],
            "absent": sorted(map(self._name, self._absent)),
            "links": sorted((self._name(path), to) for path, to in self._links.items()),
            "plain": sorted(self._above(records)),
            "records": sorted(self._records(records.values())),
        }

    # -- what was looked at --------------------------------------------------------------------

    def _asked(self, records: dict[str, Record]) -> None:
        """Expect every file with a digest to look as it did then, and the others to be absent."""
        for path, look in self._session.digests.asked.items():
            if look is None:
                self._whatever(path)
            else:
                self._files[path] = self._settled_look(look)
        tree = self._session.tree
        for name, record in records.items():
            task = self._session.graph.tasks[name]
            self._absent.update(f"{self._root}/{path}" for path in tree.not_there(task, record))
            for item in record.trace.items:
                if item.kind == "stat":
                    self._stated(self._absolute(item.name), item.way)

    def _listed(self, records: Iterable[Record]) -> None:
        """Expect every folder that was listed to hold the same names."""
        session = self._session
        for folder, entries in session.walker.listed.items():
            path = self._absolute(folder)
            self._whatever(path)
            for entry in entries:
                if entry.link:  # its target can change while the folder does not
                    self._whatever(f"{path}/{entry.name}")
        for path in (*session.traces.listed, *session.traces.looked):
            self._whatever(path)
        for record in records:
            for item in record.trace.items:
                if item.kind == "listing":
                    self._whatever(self._absolute(item.name))
                elif item.kind == "glob":
                    base, _, pattern = item.name.partition(":")
                    hidden = item.way != "glob"
                    for path in _folders_of(self._absolute(base), pattern, hidden=hidden):
                        self._whatever(path)

    def _places(self) -> Iterator[str]:
        """Yield the other paths that something depends on, whether or not they exist."""
        session, inputs = self._session, self._session.inputs
        yield str(session.config.path)
        met = session.walker.match_all(session.config.project.notebooks, hidden=True)
        yield from map(self._absolute, met)  # also files that turned out not to be notebooks
        yield from (self._absolute(path) for path in inputs.modules.looked)
        yield from (f"{self._root}/{DOT}/{name}" for name in (RETIRED, MARKED))
        for one in session.project.parsed.values():
            yield from (self._absolute(cell.load) for cell in one.cells if cell.load)
        sources = {p for task in session.project.tasks for p in (task.source, *task.paired)}
        for folder in {os.path.dirname(self._absolute(source)) for source in sources}:  # noqa: PTH120
            yield from map(str, candidates(Path(folder)))
        yield from readers_rest_on(
            sources, readers=session.readers, path=session.environ.get("PATH", "")
        )
        yield from map(self._absolute, session.pairs.looked)
        yield from session.targets.looked
        yield from inputs.kernels.rests_on

    def _rewritten(self) -> Iterator[str]:
        """Yield folders in which a file may be replaced by another of the same name."""
        yield f"{self._root}/{DOT}/{TREE}"
        stamps = self._session.inputs.environments.rests_on
        if stamps is None:
            raise _Unsettled
        yield from (one.path for one in stamps)

    def _records(self, records: Iterable[Record]) -> Iterator[tuple[str, int]]:
        layout = self._session.store.layout
        places: list[Path] = []
        chunks: set[Digest] = set()  # the blobs without which a record cannot be read
        for record in records:
            places.append(layout.record(record.key.digest, record.id))
            chunks.update(record.chunks)
        for path in map(str, (*places, *map(layout.blob, chunks))):
            yield os.path.relpath(path, self._root), os.stat(path).st_size  # noqa: PTH116

    def _above(self, records: dict[str, Record]) -> set[str]:
        """Return the folders (root-relative) above all outputs: none of them may be a link."""
        above: set[str] = set()
        for name, record in records.items():
            built = self._session.graph.tasks[name].built
            for path in (built, *(artefact.path for artefact in record.artefacts)):
                while (path := os.path.dirname(path)) and path not in above:  # noqa: PTH120
                    above.add(path)
        return above

    def _until(self, records: dict[str, Record], now: float) -> float:
        """Return when, in seconds since the epoch, the first record will be too old."""
        tasks = self._session.graph.tasks
        ages = ((tasks[name].max_age, record.created) for name, record in records.items())
        ends = [created + age for age, created in ages if age is not None]
        return min([*ends, now + LONGEST_SECONDS])

    # -- how it looks --------------------------------------------------------------------------

    def _whatever(self, path: str) -> None:
        """Expect `path` to stay what it is: a file, a folder with its names, or nothing."""
        if path in self._files or path in self._folders or path in self._absent:
            return
        try:
            was = uptodate.stamp(path)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(path):
                raise _Unsettled from None  # a link that leads nowhere so far
            self._absent.add(path)
            return
        folder = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116
        (self._folders if folder else self._files)[path] = was
        if max(was[1], was[2]) > self._newest_ns:
            raise _Unsettled

    def _stated(self, path: str, way: str) -> None:
        """Expect `stat` and its like to give the same answer for `path`."""
        if way.endswith(LINK) and os.path.islink(path):  # noqa: PTH114
            self._links[path] = os.readlink(path)  # noqa: PTH115
            return
        self._whatever(path)
        if path in self._folders:
            self._exact.add(path)  # its mode may change while its names do not

    def _folder(self, path: str, was: tuple[int, int, int, int]) -> tuple[object, ...]:
        held = None if path in self._exact else uptodate.names(path)
        if uptodate.stamp(path) != was:
            raise _Unsettled
        return (self._name(path), *was, held)

    def _settled_look(self, look: Look) -> tuple[int, int, int, int]:
        if not look.settled() or look.digest == UNREADABLE:
            raise _Unsettled
        return look.size, look.mtime_ns, look.ctime_ns, look.inode

    def _absolute(self, path: str) -> str:
        return os.path.normpath(os.path.join(self._root, path))  # noqa: PTH118

    def _name(self, path: str) -> str:
        """Return `path` relative to the root if it is inside; the root itself is "."."""
        if path == self._root:
            return "."
        return path[len(self._root) + 1 :] if path.startswith(f"{self._root}/") else path


def _folders_of(base: str, pattern: str, *, hidden: bool) -> Iterator[str]:
    """Yield the folders that a glob may have looked into."""
    parts = pattern.split("/")
    plain = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    base, rest = os.path.normpath("/".join([base, *parts[:plain]])), parts[plain:]
    if ".." in rest:
        raise _Unsettled
    yield base
    depth = None if "**" in rest else len(rest) - 1
    if depth == 0:
        return
    count = 0
    for folder, inner, _ in os.walk(base):
        inner[:] = [name for name in inner if name != DOT and (hidden or name[0] != ".")]
        for name in inner:
            if os.path.islink(f"{folder}/{name}"):  # noqa: PTH114
                raise _Unsettled  # some globs follow it and others do not
            count += 1
            if count > _MOST_FOLDERS:
                raise _Unsettled
            yield f"{folder}/{name}"
        if depth is not None and folder[len(base) :].count("/") + 1 >= depth:
            inner.clear()


def _thin_out(folder: Path) -> None:
    """Remove the oldest answers if there are too many."""
    with suppress(OSError):
        found = sorted(folder.iterdir(), key=lambda path: -path.stat().st_mtime)
        for path in found[_MOST_FILES:]:
            path.unlink(missing_ok=True)
