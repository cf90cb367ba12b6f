"""Have attempts executed by a batch system, through commands that submit, ask and cancel.

notes.py says what keeps a job from being submitted twice.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbbuild.building.attempts.actions import visible
from nbbuild.building.executors import (
    TICK,
    Begun,
    GivenUp,
    Job,
    Jobs,
    Lost,
    NotBegun,
    Setup,
    Workers,
)
from nbbuild.building.executors.local import threads
from nbbuild.building.jobs.batch import Batch, Commands, filled
from nbbuild.building.jobs.lookout import Lookout
from nbbuild.building.jobs.marks import noted_cell
from nbbuild.building.jobs.notes import Meeting, Note, Notes
from nbbuild.disk.project_folder import DOT, JOBS
from nbbuild.errors import ConfigError
from nbbuild.version import __version__

SLOTS = 100
"""How many jobs are handed over at once if the user does not say: the batch system has a queue."""

_UNSEEN = 2  # how often the batch system says nothing of a job before that is lost


def start(setup: Setup) -> Workers:
    """Return workers for the commands of `setup`; raises `ConfigError` if one is missing."""
    options: Mapping[str, Any] = setup.options
    missing = [key for key in ("submit", "status") if not options.get(key)]
    if missing:
        raise ConfigError(
            f"the executor 'command' has no '{missing[0]}'",
            facts=[("in", "jcache.toml, [command]")],
            hint='for SLURM: submit = "sbatch --parsable --wrap {command}", '
            'status = "squeue -h --me -o %A", cancel = "scancel {job}"',
        )
    if "{command}" not in options["submit"] and "{order}" not in options["submit"]:
        raise ConfigError(
            "'submit' has no '{command}', so no job would know what to do",
            facts=[("in", "jcache.toml, [command]")],
            hint="put {command} where the command of a job belongs",
        )
    commands = Commands(
        submit=options["submit"],
        status=options["status"],
        cancel=options.get("cancel", ""),
        poll=options.get("poll", 1.0),
    )
    return threads(setup.jobs or SLOTS, CommandJobs(setup.root / DOT / JOBS, commands))


class CommandJobs(Jobs):
    """Carries out jobs with a batch system's commands. They outlive the build."""

    outlive = True

    def __init__(self, folder: Path, commands: Commands) -> None:
        self._commands = commands
        self._batch = Batch(commands)
        self._lookout = Lookout()
        self._notes = Notes(folder)
        self._notes.sweep()
        self._earlier = self._notes.by_task()

    def left(self) -> Collection[str]:
        """Return the keys of the jobs that earlier builds began."""
        return [key for keys in self._earlier.values() for key in keys]

    def end_others(self, task: str, *, but: str) -> None:
        """End the jobs of `task` that earlier builds began for another key than `but`."""
        for key in self._earlier.pop(task, ()):
            note = self._notes.read(key)
            if key != but and note is not None and note.task == task:
                self._put_away(key)

    def under_way(self, key: str) -> Begun | None:
        """Return the job of `key` whose answer nobody has used."""
        note = self._notes.read(key)
        if note is None or note.version != __version__ or not Path(note.begun.mark).exists():
            return None
        there = Meeting(Path(note.begun.mark))
        return note.begun if there.order.exists() else None

    def answered_ns(self, key: str) -> int:
        """Return when the job of `key` answered; 0 if it has not."""
        note = self._notes.read(key)
        return Meeting(Path(note.begun.mark)).answered_ns() if note is not None else 0

    def settled(self, key: str) -> None:
        """Remove what is left of the job of `key`."""
        self._notes.remove(key)

    def carry_out(self, job: Job, *, cancelled: threading.Event) -> bytes:
        """Submit `job` unless that has been done, and wait for its answer; see `Jobs`."""
        there = Meeting(Path(job.begun.mark))
        if not job.resumes:
            self._put_away(job.key)
            self._notes.write(job.key, Note(task=job.name, begun=job.begun))
            there.mark.touch()
            there.make(job.order)
        try:
            self._submit(job, there, cancelled)
            return self._awaited(job, there, cancelled)
        except GivenUp:
            self._put_away(job.key)
            raise

    def _put_away(self, key: str) -> None:
        """End an earlier attempt at `key` for good."""
        note = self._notes.read(key)
        if note is not None:
            self._cancel(Meeting(Path(note.begun.mark)))
        self._notes.remove(key)

    def _submit(self, job: Job, there: Meeting, cancelled: threading.Event) -> None:
        """Submit a job that has no name yet. Raises NotBegun, GivenUp."""
        command = [sys.executable, "-m", "nbbuild", "worker", str(there.order)]
        words = filled(
            self._commands.submit,
            {
                "command": shlex.join(command),
                "order": str(there.order),
                "name": _plain(job.name),
                "cores": str(job.cores),
            },
        )
        while not there.job() and not there.has_begun():
            with there.submitting() as out:
                if out is not None:
                    self._run_submit(words, there, out, cancelled)
            if out is None and cancelled.wait(TICK):
                raise GivenUp

    def _run_submit(
        self, words: Sequence[str], there: Meeting, out: int, cancelled: threading.Event
    ) -> None:
        try:
            with (there.folder / "submit.err").open("wb") as err:
                # In a session of its own, it is stopped halfway by no Ctrl-C and no end of a build.
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=there.folder,
                    env=visible(os.environ),  # many a batch system writes it down
                    start_new_session=True,
                )
        except OSError as error:
            raise NotBegun(f"'{words[0]}' cannot be run: {error.strerror or error}") from error
        status = _ended(process, cancelled)
        if status or not there.job():
            said = (there.folder / "submit.err").read_text(errors="replace").strip().splitlines()
            why = said[-1] if said else f"it printed no job's name (exit status {status})"
            raise NotBegun(f"'{words[0]}': {why}")

    def _awaited(self, job: Job, there: Meeting, cancelled: threading.Event) -> bytes:
        """Return the answer of a job that was submitted. Raises NotBegun, Lost, GivenUp."""
        asked = time.monotonic()
        told: tuple[int, int] | None = None
        unseen, waits = 0, ""
        with self._lookout.watching(there, cancelled) as news:
            while True:
                news.clear()
                if cancelled.is_set():
                    raise GivenUp
                answer = there.answer()
                if answer is not None:
                    return answer
                if why := there.refused():
                    raise NotBegun(why)
                cell = noted_cell(there.mark)
                if cell is not None and cell != told:
                    told = cell
                    job.told(*cell)
                if time.monotonic() - asked >= self._commands.poll:
                    known = self._is_known(there, since=asked)
                    asked = time.monotonic()
                    if known or there.is_at_work():
                        unseen = 0
                    elif known is not None and there.answer() is None:
                        unseen += 1
                    if unseen >= _UNSEEN:
                        raise Lost(f"the batch system has no job {there.job()}{_log_of(there)}")
                    why = self._what_it_waits_for(there)
                    if why and why != waits:
                        job.waits(why)
                    waits = why or waits
                news.wait(max(0.0, asked + self._commands.poll - time.monotonic()))

    def _what_it_waits_for(self, there: Meeting) -> str:
        """Say why nothing is heard of a job, "" if it has begun."""
        if there.is_at_work():
            return ""
        if self._batch.silent:
            return f"the batch system does not answer: {self._batch.silent}"
        return "" if there.has_begun() else f"waits for job {there.job()} to begin"

    def _cancel(self, there: Meeting) -> None:
        """End a job, begun or not, and wait until it does nothing any more."""
        there.mark.unlink(missing_ok=True)
        if job := there.job():
            self._batch.cancel(job)
        there.end()

    def _is_known(self, there: Meeting, *, since: float) -> bool | None:
        """Whether the batch system has a job, as it said after `since`; None: nobody knows."""
        job = there.job()
        return self._batch.knows(job, since=since) if job else there.is_being_submitted()


def _log_of(there: Meeting) -> str:
    """Say how a job's log ends: it goes with the job."""
    line = there.log_end()
    return f"; its log ends with: {line[:300]}" if line else ""


def _ended(process: subprocess.Popen[bytes], cancelled: threading.Event) -> int:
    """Return a process's status once it has ended; raise GivenUp, and let it be, if `cancelled`."""
    while True:
        try:
            return process.wait(TICK)
        except subprocess.TimeoutExpired:
            if cancelled.is_set():
                raise GivenUp from None


def _plain(name: str) -> str:
    """Return a task's name as a batch system takes one."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
