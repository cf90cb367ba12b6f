"""What a batch system says of its jobs: the commands that ask for them, and that end them.

A `status` command with `{job}` is run for each job. One without it says which jobs there are, and
is run once for all of them: a thousand jobs cost the batch system as much as one. It can also tell
what the other cannot: if it fails, nobody knows anything, and no job counts as lost.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

PATIENCE = 20.0
"""Seconds that a batch system may take to say something of its jobs, or to end one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """The commands of a batch system, with `{…}` where words are filled in."""

    submit: str
    status: str
    cancel: str = ""
    poll: float = 1.0  # seconds


def filled(command: str, words: Mapping[str, str]) -> list[str]:
    """Return a command's words; each `{name}` in one of them stands for a whole text."""
    # All at once: a folder may be called "{name}".
    names = re.compile("|".join(re.escape(f"{{{name}}}") for name in words))
    return [names.sub(lambda one: words[one[0][1:-1]], word) for word in shlex.split(command)]


class Batch:
    """Asks a batch system for jobs, and ends them; thread-safe."""

    def __init__(self, commands: Commands) -> None:
        self._status, self._cancel = commands.status, commands.cancel
        # One command at a time, since a thousand at once would be a burden.
        self._asking = threading.Lock()
        self._listed: frozenset[str] = frozenset()
        self._listed_at = 0.0
        self.silent = ""
        """Why the batch system does not say now which jobs there are; "" if it does."""

    def knows(self, job: str, *, since: float) -> bool | None:
        """Whether the batch system has `job`, as it said after `since`, a time of time.monotonic.

        None: nobody knows, or another thread is asking. Nobody waits for that one: whoever waits
        misses the answer of a job meanwhile.
        """
        each = "{job}" in self._status
        if not each and self._listed_at > since:
            return job in self._listed
        if not self._asking.acquire(blocking=False):
            return None
        try:
            if each:
                done = _run(self._status, job)
                self.silent = done if isinstance(done, str) else ""
                if isinstance(done, str):
                    return None
                return bool(done.stdout.strip()) and not _failed(done)
            return job in self._listed if self._list() else None
        finally:
            self._asking.release()

    def cancel(self, job: str) -> None:
        """Have `job` ended; it may take a moment more."""
        if self._cancel:
            _run(self._cancel, job)

    def _list(self) -> bool:
        """Ask which jobs there are; whether there was an answer."""
        now = time.monotonic()
        done = _run(self._status, "")
        self.silent = done if isinstance(done, str) else _failed(done)
        if isinstance(done, str) or self.silent:
            return False
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        # A line is a name, or begins with one.
        self._listed = frozenset(lines).union(line.split()[0] for line in lines)
        self._listed_at = now
        return True


def _run(command: str, job: str) -> subprocess.CompletedProcess[str] | str:
    """Run a command about a job; return why there is no answer, if there is none."""
    words = filled(command, {"job": job})
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"'{words[0]}' says nothing within {PATIENCE:g} s"
    except OSError as error:
        return f"'{words[0]}' cannot be run: {error.strerror or error}"


def _failed(done: subprocess.CompletedProcess[str]) -> str:
    """Return why a command failed, "" if it did not."""
    if not done.returncode:
        return ""
    said = done.stderr.strip().splitlines()
    return f"'{done.args[0]}': {said[-1] if said else f'exit status {done.returncode}'}"
