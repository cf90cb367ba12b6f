"""Install sbatch, squeue and scancel, for a test: scripts whose jobs are processes of this machine.

A job's name is the process id of its session. `Slurm.submitted` says what was ever submitted.
"""

import os
import signal
from pathlib import Path

_SBATCH = """#!/bin/sh
# sbatch --parsable --wrap COMMAND
echo "$3" >> "{folder}/submitted"
setsid sh -c "$3" > "{folder}/out.$$" 2>&1 < /dev/null &
echo $! >> "{folder}/jobs"
echo $!
"""

_SQUEUE = """#!/bin/sh
# squeue -h --me -o %A
grep -qs . "{folder}/jobs" || exit 0
while read job; do
  grep -qs '^State:.[^ZX]' "/proc/$job/status" && echo "$job"
done < "{folder}/jobs"
exit 0
"""

_SCANCEL = """#!/bin/sh
kill -TERM -- "-$1"
"""

CONFIG = """
[command]
submit = "sbatch --parsable --wrap {command}"
status = "squeue -h --me -o %A"
cancel = "scancel {job}"
poll = 0.2
"""


class Slurm:
    """The scripts, in a folder that is on the PATH."""

    def __init__(self, folder: Path, monkeypatch):
        self.folder = folder
        folder.mkdir()
        for name, text in (("sbatch", _SBATCH), ("squeue", _SQUEUE), ("scancel", _SCANCEL)):
            script = folder / name
            script.write_text(text.replace("{folder}", str(folder)))
            script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    @property
    def submitted(self):
        """The commands that were submitted, in order."""
        return self._lines("submitted")

    def jobs(self):
        """The process ids of all jobs, in the order of their submission."""
        return [int(line) for line in self._lines("jobs")]

    def kill(self, job):
        """End a job as a failing node does: it says nothing more."""
        os.killpg(job, signal.SIGKILL)

    def end(self):
        """Kill all jobs that still run."""
        for job in self.jobs():
            try:
                self.kill(job)
            except ProcessLookupError:
                continue

    def _lines(self, name):
        place = self.folder / name
        return place.read_text().splitlines() if place.exists() else []
