"""The records put aside by a forced run, and the tasks whose next run is forced.

    <root>/.nbbuild/retired    one record id per line
    <root>/.nbbuild/marked     one task name per line, as JSON, since a name may hold anything

If a forced run fails, the result that it should replace must not be used again. So ids are only
ever added, and they count for copies of the record in any store. Lines are appended and synced
under a lock; a line that a crash cut short counts for nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nbbuild.disk.durable import (
    discard,
    own_mode,
    private_folder,
    set_aside,
    sync_folder,
    write,
    writing,
)
from nbbuild.disk.locks import lock
from nbbuild.disk.project_folder import LOCKS, MARKED, RETIRED
from nbbuild.disk.regular import MOST, NotRegular, is_taken, leads_nowhere, read


class Retired:
    """The two lists of one project, in its folder `.nbbuild`. Writing raises StoreError.

    Safe for several threads and processes: each call looks at the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._retired = _Lines(folder / RETIRED)
        self._marked = _Lines(folder / MARKED)

    def retire(self, ids: Iterable[str]) -> None:
        """Put records aside for good; the list is on the disk when this returns."""
        self._append(self._retired, ids)

    def is_retired(self, record_id: str) -> bool:
        """Whether a record was put aside."""
        return record_id in self._retired.read()

    def ids(self) -> frozenset[str]:
        """Return the ids of all records that were put aside."""
        return frozenset(self._retired.read())

    def mark(self, tasks: Iterable[str]) -> None:
        """Force the next run of each task."""
        self._append(self._marked, map(_encode, tasks))

    def marked(self) -> set[str]:
        """Return the tasks whose next run is forced."""
        return {task for task in map(_decode, self._marked.read()) if task is not None}

    def unmark(self, task: str) -> None:
        """Remove the mark from a task that has run."""
        if task not in self.marked():
            return
        with self._locked(self._marked):
            rest = sorted(self._marked.read() - {_encode(task)})
            write(self._marked.path, "".join(f"{line}\n" for line in rest).encode(), ours=True)

    def _append(self, lines: _Lines, new: Iterable[str]) -> None:
        wanted = list(dict.fromkeys(new))
        if not wanted:
            return
        with self._locked(lines):
            lines.append([line for line in wanted if line not in lines.read()])

    @contextmanager
    def _locked(self, lines: _Lines) -> Iterator[None]:
        """Hold the list's lock, and turn errors inside the block into StoreError."""
        with writing("the list of what to run again cannot be written", lines.path):
            private_folder(self._folder)
            with lock(self._folder / LOCKS / f"{lines.path.name}.lock"):
                yield


class _Lines:
    """A file of lines, read again only when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[tuple[int, int, int], frozenset[str]] | None = None

    def read(self) -> frozenset[str]:
        """Return the lines; none if there is no file."""
        try:
            if not os.path.lexists(self.path):  # called for each of thousands of tasks
                return frozenset()
            now = os.stat(self.path)  # noqa: PTH116
            stamp = (now.st_size, now.st_ctime_ns, now.st_ino)
            if self._read is None or self._read[0] != stamp:
                text = read(self.path).decode("utf-8", "surrogateescape")
                # The last line counts only if it is whole.
                self._read = (stamp, frozenset(text.split("\n")[:-1]))
            return self._read[1]
        except OSError as error:
            if isinstance(error, NotRegular) or leads_nowhere(error):
                return frozenset()
            raise

    def append(self, lines: Iterable[str]) -> None:
        """Append lines; they are on the disk when this returns. Raises OSError."""
        text = "".join(f"{line}\n" for line in lines)
        if not text:
            return
        if is_taken(self.path):
            discard(self.path)
        elif self.path.exists() and self.path.stat().st_size > MOST:
            set_aside(self.path)  # nobody reads it, nor what would be appended
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self.path, flags, own_mode(self.path)), "ab+") as file:
            new = not file.tell()
            if not new:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a crash cut the last line short
                    text = "\n" + text
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.path.parent)


def _encode(task: str) -> str:
    return json.dumps(task)


def _decode(line: str) -> str | None:
    try:
        task = json.loads(line)
    except ValueError:
        return None
    return task if isinstance(task, str) else None
