"""The files through which a build and a job of a batch system meet.

    <root>/.nbbuild/jobs/
        <key>.json                  which attempt at a key is under way; written first
        <key>-<attempt>.job         there for as long as the attempt is wanted: its *mark*
        <key>-<attempt>/            only this user can read it: an order holds the environment
            order                   what `nbbuild worker` is given
            submitted               what the submit command printed: the job's name
            begun                   made by the one job that executes the order, and locked by it
            answer                  what came of it
            refused                 why nothing was executed, for people

Nothing here may run a key twice, whenever a build is killed:

* The note is written before the mark, the mark before the order, and the order before the job is
  submitted. So a build that finds no order has nothing to look for, and one that finds it submits
  nothing before it knows what became of the job.
* All of it goes only when what came of the attempt is settled, the mark first. A build that was
  killed before it could do that leaves it to the next one that executes something.
* A job of a task whose key has changed meanwhile is ended before another attempt at the task
  begins, whatever the executor of that: both would write the same files.
* The submit command is no child that dies with the build: it has a session of its own, and writes
  what it prints into `submitted` itself. It inherits a lock on that file. So a build that finds
  the file locked, and no name in it, waits: the submit command of an earlier build is at work. If
  there is neither a name nor a lock, the job was probably never submitted, and is submitted now.
* Nobody can tell whether a machine that lost its power had submitted a job or not. It is
  submitted, perhaps again, but `begun` can be made only once: a second job ends at once.
* A job whose mark is gone ends at once, too. So one that was taken for lost, and comes to life
  after another attempt has begun, does nothing.
* A copy of a project has copies of all this, but the attempt is the original's. So a note counts
  only if its mark lies beside it.

A batch system that says nothing of a job may only be out of reach (batch.py knows more). A job
counts as lost when that happens twice, no answer has come, and nobody holds `begun`.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from nbbuild.building.executors import TICK, Begun
from nbbuild.disk import flock
from nbbuild.disk.durable import sync_folder, write, writing
from nbbuild.disk.flags import ONLY_HERE
from nbbuild.disk.locks import is_held
from nbbuild.disk.regular import read
from nbbuild.disk.shapes import Misshapen, Shape, as_json
from nbbuild.version import __version__

ORDER, BEGUN, ANSWER, REFUSED = "order", "begun", "answer", "refused"

PATIENCE = 20.0
"""Seconds that a job may take to end once it is not wanted any more."""

_OURS = frozenset((ORDER, BEGUN, ANSWER, REFUSED, "submitted", "submit.err"))
_MARK = re.compile(r"\w+-\w+\.job")
_LOOK = 0.001  # seconds that a look at a lock takes at most, as a rule

KEPT = 30 * 24 * 3600.0
"""Seconds after which what nobody came back for is removed."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempt at a key is under way."""

    task: str
    begun: Begun
    version: str = __version__  # of the nbbuild that began it, and understands the answer


_NOTE: Shape[Note] = Shape(Note)


class Meeting:
    """The files of one attempt, named after its mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark
        self.folder = mark.with_suffix("")

    @property
    def order(self) -> Path:
        """The file with the order."""
        return self.folder / ORDER

    # -- for the build -------------------------------------------------------------------------

    def make(self, order: bytes) -> None:
        """Make the folder, and write the order."""
        with writing("a job cannot be noted", self.folder):
            self.folder.mkdir(mode=0o700, parents=True)
            write(self.order, order, mode=0o600)

    @property
    def submitted(self) -> Path:
        """The file into which the submit command writes."""
        return self.folder / "submitted"

    @contextmanager
    def submitting(self) -> Iterator[int | None]:
        """Yield the file into which the submit command shall write, locked; it inherits the lock.

        None: nothing must be submitted now. Somebody is at it, or has done it.
        """
        with writing("a job cannot be noted", self.submitted):
            out = os.open(self.submitted, os.O_RDWR | os.O_CREAT | ONLY_HERE, 0o600)
        try:
            try:
                flock.take(out)
            except BlockingIOError:
                yield None
                return
            # A command may have ended between the last look and the lock.
            if self.job():
                yield None
                return
            os.ftruncate(out, 0)
            yield out
        finally:
            os.close(out)

    def job(self) -> str:
        """Return the name of the job, "" while the submit command has printed none."""
        lines = _text(self.submitted).splitlines(keepends=True)
        return lines[0].strip() if lines and lines[0].endswith("\n") else ""

    def is_being_submitted(self) -> bool:
        """Whether a submit command is at work now."""
        return is_held(self.submitted)

    def is_at_work(self) -> bool:
        """Whether the job executes the order now."""
        return is_held(self.folder / BEGUN)

    def has_begun(self) -> bool:
        """Whether the job has begun to execute the order, and may have ended."""
        return (self.folder / BEGUN).exists()

    def answer(self) -> bytes | None:
        """Return the answer, None if there is none yet."""
        with suppress(OSError):
            return read(self.folder / ANSWER)
        return None

    def answered_ns(self) -> int:
        """Return when the answer was written, on the clock of file times; 0 if it was not."""
        with suppress(OSError):
            return (self.folder / "answer").stat().st_mtime_ns
        return 0

    def refused(self) -> str:
        """Return why the job executed nothing, "" if it has not said so."""
        return _text(self.folder / REFUSED)

    def end(self) -> None:
        """Have the job do nothing, and wait until it does nothing any more, `PATIENCE` at most."""
        self.mark.unlink(missing_ok=True)
        deadline = time.monotonic() + PATIENCE
        while self.is_at_work() and time.monotonic() < deadline:
            time.sleep(TICK)

    def log_end(self) -> str:
        """Return the last line of the logs that the batch system put beside the order."""
        with suppress(OSError):
            logs = (one for one in self.folder.iterdir() if one.name not in _OURS)
            lines = [line.strip() for one in sorted(logs) for line in _text(one).splitlines()]
            return next((line for line in reversed(lines) if line), "")
        return ""

    def remove(self) -> None:
        """Remove everything; a job that has not begun yet will not."""
        self.mark.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- for the job ---------------------------------------------------------------------------

    @contextmanager
    def claimed(self) -> Iterator[bool]:
        """Yield whether the order is this process's to execute; nobody else's until the end."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | ONLY_HERE
            descriptor = os.open(self.folder / BEGUN, flags, 0o600)
        except (FileExistsError, FileNotFoundError):
            yield False
            return
        try:
            _take(descriptor)
            yield self.mark.exists()
        finally:
            os.close(descriptor)

    def reply(self, answer: bytes) -> None:
        """Write the answer, if anybody still wants it."""
        with suppress(FileNotFoundError):
            write(self.folder / ANSWER, answer, mode=0o600)

    def refuse(self, why: str) -> None:
        """Write down why nothing is executed."""
        with suppress(FileNotFoundError):
            write(self.folder / REFUSED, why.encode(), mode=0o600)


class Notes:
    """The notes of one project, in the folder `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str) -> Note | None:
        """Return the note of a key, None if there is none."""
        try:
            note = _NOTE.from_json(read(self._place(key)))
        except (OSError, Misshapen):
            return None
        mark = Path(note.begun.mark)
        ours = mark.parent == self._folder and _MARK.fullmatch(mark.name)
        return note if ours else None

    def by_task(self) -> dict[str, list[str]]:
        """Return the keys that have a note, by the task that it is of."""
        found: dict[str, list[str]] = {}
        for place in self._folder.glob("*.json"):
            note = self.read(place.stem)
            if note is not None:
                found.setdefault(note.task, []).append(place.stem)
        return found

    def write(self, key: str, note: Note) -> None:
        """Write the note of a key."""
        with writing("a job cannot be noted", self._folder):
            write(self._place(key), as_json(note))
            sync_folder(self._folder)

    def remove(self, key: str) -> None:
        """Remove the note of a key, and all of its attempt."""
        note = self.read(key)
        if note is not None:
            Meeting(Path(note.begun.mark)).remove()
        self._place(key).unlink(missing_ok=True)

    def end(self, task: str) -> None:
        """End the jobs that earlier builds began for a task, and remove what is left of them."""
        for key in self.by_task().get(task, ()):
            note = self.read(key)
            if note is not None:
                Meeting(Path(note.begun.mark)).end()
                self.remove(key)

    def sweep(self) -> None:
        """Remove what nobody has come back for in a long time."""
        oldest = time.time() - KEPT
        for place in self._folder.glob("*.j*"):
            with suppress(OSError):
                if place.stat().st_mtime >= oldest:
                    continue
                if place.suffix == ".json":
                    self.remove(place.stem)
                else:
                    Meeting(place).remove()

    def _place(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _take(descriptor: int) -> None:
    """Lock a file that is ours: whoever holds it only looks whether somebody does."""
    while True:
        try:
            flock.take(descriptor)
        except BlockingIOError:
            time.sleep(_LOOK)
        else:
            return


def _text(path: Path) -> str:
    try:
        return read(path).decode("utf-8", "replace")
    except OSError:
        return ""
