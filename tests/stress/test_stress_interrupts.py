"""Builds that are stopped at any time, in any way: all say so, and leave nobody.

tests/functional/test_interrupts.py tries each way once, in the middle of a notebook.
"""

import os
import pty
import re
import shutil
import signal
import time

import psutil
from processes import family
from sizes import numbers, sizes, tried
from test_crashes_of_kernels import CONFIG, WRITES

PATIENCE = 60  # seconds until a test that waits has failed
AGAIN = 0.4  # seconds after which a second signal is one of its own


def signalled(number, *, group=False, again=False):
    """Return a way of stopping a build by a signal, as from a terminal or from another program."""

    def stop(build):
        for turn in range(1 + again):
            try:
                (os.killpg if group else os.kill)(build.pid, number)
                if turn < again:
                    time.sleep(AGAIN)
            except ProcessLookupError:
                pass  # it has ended

    return stop


WAYS = {
    "Ctrl-C": signalled(signal.SIGINT, group=True),
    "Ctrl-C twice": signalled(signal.SIGINT, group=True, again=True),
    "SIGINT": signalled(signal.SIGINT),
    "SIGTERM": signalled(signal.SIGTERM),
    "SIGTERM twice": signalled(signal.SIGTERM, again=True),
    "SIGHUP": signalled(signal.SIGHUP),
    "SIGTERM, no streams": signalled(signal.SIGTERM),
    "closed terminal": None,
    "closed stdout": None,
    "closed stderr": None,
}
OURS = re.compile(r"File .*/nbbuild/.*, in (?!<module>)")  # of a traceback, after our imports
BEFORE = {-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP}  # Python has hardly started


class Stopped:
    """A build that runs, and how it is stopped."""

    def __init__(self, project, way):
        self._way = way
        self._ours = None
        streams = {}
        if way == "closed terminal":
            self._ours, theirs = pty.openpty()
            streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        elif way.startswith("closed"):
            self._ours, theirs = os.pipe()
            streams = {way.removeprefix("closed "): theirs}
        elif way.endswith("no streams"):
            streams = {"preexec_fn": lambda: os.closerange(0, 3)}
        self._build = project.process("-j2", "--json", start_new_session=True, **streams)
        if self._ours is not None:
            os.close(theirs)

    def stop(self):
        """Stop it; return its exit status and what it said on standard error."""
        if self._ours is not None:
            os.close(self._ours)
            if self._way == "closed terminal":
                signalled(signal.SIGHUP)(self._build)  # as the kernel has it for its leader
        else:
            WAYS[self._way](self._build)
        _, err = self._build.communicate(timeout=PATIENCE)
        return self._build.returncode, err or ""

    def allowed(self):
        """Return the exit statuses that this way may have; 0: the build was done."""
        if self._way == "closed stdout":
            return {0, 141}
        if self._way == "closed stderr":
            return {0}
        return {0, 130, *BEFORE}


@sizes(small=2, full=300)
def test_a_build_that_is_stopped_at_any_time(project, chance, size):
    project.config(CONFIG)
    project.notebook("a.ipynb", WRITES.format("a", "'made'"))
    project.notebook("b.ipynb", "text = open('out/a.txt').read()", WRITES.format("b", "text * 2"))
    project.notebook("c.ipynb", "print('c')")
    project.notebook("d.ipynb", "print(open('data.txt').read())")
    project.write("data.txt", "data")
    began = time.monotonic()
    project.process("-j2").communicate(timeout=PATIENCE)
    whole = time.monotonic() - began
    assert project.verdicts() == {f"{name}.ipynb": "fresh" for name in "abcd"}
    wanted = project.files()

    def trial(number):
        for name in (".nbbuild", "_build", "out"):
            shutil.rmtree(project.root / name, ignore_errors=True)
        way = [*WAYS][number % len(WAYS)]
        build = Stopped(project, way)
        moment = chance.uniform(0, 1.1 * whole)
        time.sleep(moment)
        status, said = build.stop()
        where = f"{way} after {moment:.3f} s"
        pythons_own = status == 1 and "Failed to import the site module" in said
        if status not in build.allowed() and not pythons_own:
            yield f"{where}: ended with {status}: {said}"
        if "itself failed" in said or any(map(OURS.search, said.splitlines())):
            yield f"{where}: {said}"
        alive = psutil.wait_procs(family(project), timeout=PATIENCE)[1]
        if alive:
            yield f"{where}: still there: {alive}"
        fresh = {name for name, verdict in project.verdicts().items() if verdict == "fresh"}
        done = project.nbbuild("-j2")
        if done.status:
            yield f"{where}: the next build ended with {done.status}: {done.err}"
        if project.files() != wanted:
            yield f"{where}: another tree: {sorted(project.files())}"
        if project.build():
            yield f"{where}: the build after it ran something"
        print(f"{where}: {status}, {len(fresh)} of 4 kept")

    assert tried(numbers(size), trial, chance) == ""
