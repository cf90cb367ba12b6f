"""Write down why a whole build was "up to date", for uptodate.py to compare.

Whatever judging looks at has to be here; the parts that look keep account of it (`asked`,
`looked`, `listed`, `rests_on`). Nothing is looked at a second time to learn what it *was*: what
carries times must have been as it is for two seconds before the build began, and what was absent is
absent still, or nothing is written.
"""

from __future__ import annotations

import glob
import os
import secrets
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from nbbuild.config.keys import notices
from nbbuild.disk.digests import SETTLED_NS, UNREADABLE, Look
from nbbuild.disk.durable import own_folder, write
from nbbuild.disk.project_folder import DOT
from nbbuild.interpreter.environment import PATH_VARIABLES
from nbbuild.model import Judgement, Record, Settings, Verdict
from nbbuild.notebook.configuration import candidates
from nbbuild.notebook.formats import rests_on as readers_rest_on
from nbbuild.quick import uptodate
from nbbuild.session import Session
from nbbuild.watching.answers import LINK

OTHER_VARIABLES = ("APPDATA", "PROGRAMDATA", "TMPDIR", "USERPROFILE")
"""Variables that choose folders of configuration, beside those with one of uptodate.PREFIXES."""

LONGEST_SECONDS = 12 * 3600.0
"""After so long the ordinary way looks again, and notes in the store what is still in use."""

_MOST_FILES = 64  # answers kept for one project
_MOST_FOLDERS = 2000  # below a glob; watching more is slower than the ordinary way


class _Unsettled(Exception):
    """Something is too young, or too much, to be relied on."""


def keep(
    session: Session,
    judgements: Collection[Judgement],
    *,
    targets: Sequence[str],
    summary: str,
    remarks: Sequence[str] = (),
    also: Collection[str] = (),
) -> bool:
    """Keep why all of `judgements`, those of a build of `targets`, are FRESH; say whether it was.

    `summary` is what that build said last, and `remarks` what it says each time; the files `also`
    have to stay as they are, too. Raises nothing: without this, the next build only takes longer.
    """
    if not _simple(session, judgements):
        return False
    try:
        known = _Basis(session, judgements, also).known
    except (_Unsettled, OSError):
        return False
    known |= {
        "notes": [f"note: {text}" for text in (*notices(session.config), *remarks)],
        "summary": summary,
    }
    place = Path(uptodate.place(str(session.root), session.config.path.name, targets))
    with suppress(OSError):
        own_folder(place.parent, below=session.root / DOT)
        write(place, uptodate.seal(known), sync=False, ours=True)
        _thin_out(place.parent)
        return True
    return False


def _simple(session: Session, judgements: Collection[Judgement]) -> bool:
    """Whether all that these verdicts rest on can be looked at without knowing what it means."""
    tasks = [session.graph.tasks[one.task] for one in judgements]
    return (
        session.inputs.overrides == Settings()  # else the command would ask another question
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
        self._exact: set[str] = set()  # folders whose names are not all that counts
        self._absent: set[str] = set()
        self._links: dict[str, str] = {}  # where they lead
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

    # -- what was asked of whom ----------------------------------------------------------------

    def _asked(self, records: dict[str, Record]) -> None:
        """Expect every file that has a digest as it looked then, and the others absent."""
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
        """Expect every folder that was listed to hold what it held."""
        session = self._session
        for folder, entries in session.walker.listed.items():
            path = self._absolute(folder)
            self._whatever(path)
            for entry in entries:
                if entry.link:  # what it leads to can change while the folder does not
                    self._whatever(f"{path}/{entry.name}")
        for path in session.traces.listed:
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
        """Yield the other paths that something depends on: present, or looked for in vain."""
        session, inputs = self._session, self._session.inputs
        yield str(session.config.path)
        met = session.walker.match_all(session.config.project.notebooks, hidden=True)
        yield from map(self._absolute, met)  # also those that turned out to be no notebooks
        yield from (self._absolute(path) for path in inputs.modules.looked)
        yield from (f"{self._root}/{DOT}/{name}" for name in ("retired", "marked"))
        for one in session.project.parsed.values():
            yield from (self._absolute(cell.load) for cell in one.cells if cell.load)
        sources = {p for task in session.project.tasks for p in (task.source, *task.paired)}
        for folder in {os.path.dirname(self._absolute(source)) for source in sources}:  # noqa: PTH120
            yield from map(str, candidates(Path(folder)))
        yield from readers_rest_on(
            sources, readers=session.readers, path=session.environ.get("PATH", "")
        )
        yield from map(self._absolute, session.pairs.looked)
        yield from inputs.kernels.rests_on

    def _rewritten(self) -> Iterator[str]:
        """Yield folders in which a file may be replaced by another of its name."""
        yield f"{self._root}/{DOT}/tree"
        stamps = self._session.inputs.environments.rests_on
        if stamps is None:
            raise _Unsettled
        yield from (one.path for one in stamps)

    def _records(self, records: Iterable[Record]) -> Iterator[tuple[str, int]]:
        layout = self._session.store.layout
        for record in records:
            path = str(layout.record(record.key.digest, record.id))
            yield os.path.relpath(path, self._root), os.stat(path).st_size  # noqa: PTH116

    def _above(self, records: dict[str, Record]) -> set[str]:
        """Return the folders (root-relative) above all outputs: none of them is to be a link."""
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
                raise _Unsettled from None  # a link that leads nowhere, yet
            self._absent.add(path)
            return
        folder = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116
        (self._folders if folder else self._files)[path] = was
        if max(was[1], was[2]) > self._newest_ns:
            raise _Unsettled

    def _stated(self, path: str, way: str) -> None:
        """Expect what `stat` and its like say of `path` to stay."""
        if way.endswith(LINK) and os.path.islink(path):  # noqa: PTH114
            self._links[path] = os.readlink(path)  # noqa: PTH115
            return
        self._whatever(path)
        if path in self._folders:
            self._exact.add(path)  # its mode may change, and its names not

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
        """Return `path` relative to the root if it lies there; the root itself is "."."""
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
                raise _Unsettled  # followed by some globs, and not by others
            count += 1
            if count > _MOST_FOLDERS:
                raise _Unsettled
            yield f"{folder}/{name}"
        if depth is not None and folder[len(base) :].count("/") + 1 >= depth:
            inner.clear()


def _thin_out(folder: Path) -> None:
    """Remove the answers that are oldest, if there are too many."""
    with suppress(OSError):
        found = sorted(folder.iterdir(), key=lambda path: -path.stat().st_mtime)
        for path in found[_MOST_FILES:]:
            path.unlink(missing_ok=True)
