"""A batch system with a queue: sbatch and squeue are scripts, and a thread starts what waits.

Unlike the one of mock_slurm.py it has few places, as a cluster has, so jobs wait; and its commands
take their time, so a build can be killed while they are at work.
"""

import contextlib
import os
import signal
import subprocess
import threading

_SBATCH = """#!/bin/sh
# sbatch --parsable --wrap COMMAND
draft=$(mktemp "{folder}/drafts/XXXXXXXXXX")
echo "$3" > "$draft"
echo "$3" >> "{folder}/submitted"
sleep 0.02
mv "$draft" "{folder}/queue/"
sleep 0.02
echo "${draft##*/}"
"""

# A job is in the one folder before it is in the other, so it is seen whenever it is there.
_SQUEUE = """#!/bin/sh
# squeue -h --me -o %A
ls "{folder}/queue"
ls "{folder}/running"
"""

_SCANCEL = """#!/bin/sh
rm -f "{folder}/queue/$1"
"""

CONFIG = """
[execution]
executor = "command"

[command]
submit = "sbatch --parsable --wrap {command}"
status = "squeue -h --me -o %A"
cancel = "scancel {job}"
poll = 0.5
"""


class BatchSystem:
    """A context manager that runs `places` jobs at once."""

    def __init__(self, folder, *, places):
        self.folder = folder
        for name in ("bin", "drafts", "queue", "running"):
            (folder / name).mkdir(parents=True)
        self.bin = folder / "bin"
        for name, text in (("sbatch", _SBATCH), ("squeue", _SQUEUE), ("scancel", _SCANCEL)):
            (self.bin / name).write_text(text.replace("{folder}", str(folder)))
            (self.bin / name).chmod(0o755)
        self._places = places
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batch-system")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    @property
    def submitted(self):
        """The commands that were ever submitted, in order."""
        place = self.folder / "submitted"
        return place.read_text().splitlines() if place.exists() else []

    @property
    def jobs(self):
        """The jobs that wait or run."""
        return [*os.listdir(self.folder / "queue"), *os.listdir(self.folder / "running")]

    def _run(self):
        running = {}
        while not self._over.wait(0.02):
            for name, job in [*running.items()]:
                if job.poll() is not None:
                    (self.folder / "running" / name).unlink()
                    del running[name]
            waiting = sorted(os.scandir(self.folder / "queue"), key=lambda one: one.stat().st_mtime)
            for one in waiting[: self._places - len(running)]:
                place = self.folder / "running" / one.name
                os.rename(one.path, place)
                with (self.folder / "out").open("ab") as out:
                    running[one.name] = subprocess.Popen(
                        ["sh", "-c", f"exec {place.read_text()}"],
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                        start_new_session=True,
                    )
        for job in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)
            job.wait()
