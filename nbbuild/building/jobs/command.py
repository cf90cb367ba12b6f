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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from nbbuild.building.jobs.marks import noted_cell
from nbbuild.building.jobs.notes import Meeting, Note, Notes
from nbbuild.disk import flock
from nbbuild.disk.durable import writing
from nbbuild.disk.flags import ONLY_HERE
from nbbuild.disk.project_folder import DOT, JOBS
from nbbuild.errors import ConfigError

SLOTS = 100
"""How many jobs are handed over at once if the user does not say: the batch system has a queue."""

PATIENCE = 20.0
"""Seconds that a cancelled job may take to end."""

_LONGEST_PAUSE = 0.25  # seconds between two looks for an answer
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
            'status = "squeue -h -j {job}", cancel = "scancel {job}"',
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """The commands of a batch system, with `{…}` where words are filled in."""

    submit: str
    status: str
    cancel: str = ""
    poll: float = 1.0  # seconds


def filled(command: str, words: Mapping[str, str]) -> list[str]:
    """Return a command's words; each `{name}` in one of them stands for a whole text."""
    found: list[str] = []
    for word in shlex.split(command):
        for name, value in words.items():
            word = word.replace(f"{{{name}}}", value)  # noqa: PLW2901
        found.append(word)
    return found


class CommandJobs(Jobs):
    """Carries out jobs with a batch system's commands. They outlive the build."""

    outlive = True

    def __init__(self, folder: Path, commands: Commands) -> None:
        self._commands = commands
        self._notes = Notes(folder)
        self._asking = threading.Lock()
        self._notes.sweep()

    def under_way(self, key: str) -> Begun | None:
        """Return the job of `key` whose answer nobody has used."""
        note = self._notes.read(key)
        if note is None or not Path(note.begun.mark).exists():
            return None
        there = Meeting(Path(note.begun.mark))
        return note.begun if there.order.exists() else None

    def settled(self, key: str) -> None:
        """Remove what is left of the job of `key`."""
        self._notes.remove(key)

    def carry_out(self, job: Job, *, cancelled: threading.Event) -> bytes:
        """Submit `job` unless that has been done, and wait for its answer; see `Jobs`."""
        there = Meeting(Path(job.begun.mark))
        if not job.resumes:
            self._put_away(job.key)
            there.mark.touch()  # it may have been that of the job put away
            self._notes.write(job.key, Note(task=job.name, begun=job.begun))
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
        if note is not None and note.begun.mark:
            self._cancel(Meeting(Path(note.begun.mark)))
        self._notes.remove(key)

    def _submit(self, job: Job, there: Meeting, cancelled: threading.Event) -> None:
        """Submit a job that has no name yet. Raises NotBegun, GivenUp."""
        while not there.job() and not there.has_begun():
            if there.is_being_submitted():
                if cancelled.wait(TICK):
                    raise GivenUp
                continue
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
            self._run_submit(words, there)

    def _run_submit(self, words: Sequence[str], there: Meeting) -> None:
        with writing("a job cannot be noted", there.submitted):
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | ONLY_HERE
            out = os.open(there.submitted, flags, 0o600)
        try:
            flock.take(out)
            with os.fdopen(os.open(there.folder / "submit.err", flags, 0o600), "wb") as err:
                # In a session of its own, it is stopped halfway by no Ctrl-C and no end of a build.
                done = subprocess.run(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=there.folder,
                    start_new_session=True,
                    check=False,
                )
        except OSError as error:
            raise NotBegun(f"'{words[0]}' cannot be run: {error.strerror or error}") from error
        finally:
            os.close(out)
        if done.returncode or not there.job():
            said = (there.folder / "submit.err").read_text(errors="replace").strip().splitlines()
            why = said[-1] if said else f"it printed no job's name (exit status {done.returncode})"
            raise NotBegun(f"'{words[0]}': {why}")

    def _awaited(self, job: Job, there: Meeting, cancelled: threading.Event) -> bytes:
        """Return the answer of a job that was submitted. Raises NotBegun, Lost, GivenUp."""
        began = asked = time.monotonic()
        told: tuple[int, int] | None = None
        unseen, waits = 0, False
        while True:
            answer = there.answer()
            if answer is not None:
                return answer
            cell = noted_cell(there.mark)
            if cell is not None and cell != told:
                told = cell
                job.told(*cell)
            now = time.monotonic()
            if now - asked >= self._commands.poll:
                asked = now
                if why := there.refused():
                    raise NotBegun(why)
                known = self._is_known(there)
                if known or there.is_at_work():
                    unseen = 0
                elif known is not None and there.answer() is None:
                    unseen += 1
                if unseen >= _UNSEEN:
                    raise Lost(f"the batch system has no job {there.job()}")
                if not waits and not there.has_begun():
                    waits = True
                    job.waits(f"waits for job {there.job()} to begin")
            pause = min(max(TICK, (now - began) / 20), _LONGEST_PAUSE, self._commands.poll)
            if cancelled.wait(pause):
                raise GivenUp

    def _cancel(self, there: Meeting) -> None:
        """End a job, begun or not, and wait until it does nothing any more."""
        there.mark.unlink(missing_ok=True)
        job = there.job()
        if job and self._commands.cancel:
            self._said(self._commands.cancel, job)
        patience = time.monotonic() + PATIENCE
        while there.is_at_work() and time.monotonic() < patience:
            time.sleep(TICK)

    def _is_known(self, there: Meeting) -> bool | None:
        """Whether the batch system says anything of a job; None if it is being asked of another."""
        job = there.job()
        if not job:
            return there.is_being_submitted()
        # One after the other, since a thousand at once would be a burden. None of them waits: it
        # would miss its answer meanwhile.
        if not self._asking.acquire(blocking=False):
            return None
        try:
            done = self._said(self._commands.status, job)
        finally:
            self._asking.release()
        return done is not None and bool(done.strip())

    def _said(self, command: str, job: str) -> str | None:
        """Return what a command about a job prints, None if it fails."""
        try:
            done = subprocess.run(
                filled(command, {"job": job}),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                start_new_session=True,
                check=False,
            )
        except OSError:
            return None
        return None if done.returncode else done.stdout


def _plain(name: str) -> str:
    """Return a task's name as a batch system takes one."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
