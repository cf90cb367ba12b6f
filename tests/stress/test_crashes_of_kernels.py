"""Builds with real kernels that are killed at any time: the next is right, and nobody is left."""

import os
import shutil
import signal
import time

import psutil
from processes import family
from sizes import numbers, sizes, tried

PATIENCE = 60  # seconds until a test that waits has failed

CONFIG = """
[[notebook]]
path = "a.ipynb"
artefacts = ["out/a.txt"]

[[notebook]]
path = "b.ipynb"
assets = ["out/a.txt"]
artefacts = ["out/b.txt"]
"""
WRITES = "import os\nos.makedirs('out', exist_ok=True)\n_ = open('out/{0}.txt', 'w').write({1})"


@sizes(small=1, full=100)
def test_a_build_with_real_kernels_killed_at_any_time(project, chance, size):
    project.config(CONFIG)
    project.notebook("a.ipynb", WRITES.format("a", "'made'"))
    project.notebook("b.ipynb", "text = open('out/a.txt').read()", WRITES.format("b", "text * 2"))
    project.notebook("c.ipynb", "print('c')")
    project.notebook("d.ipynb", "print(open('data.txt').read())")
    project.write("data.txt", "data")
    assert project.build() == ["a", "b", "c", "d"]
    wanted = project.files()

    def trial(number):
        for name in (".nbbuild", "_build", "out"):
            shutil.rmtree(project.root / name, ignore_errors=True)
        build = project.process("-j2", start_new_session=True)
        time.sleep(chance.uniform(0.1, 3))
        os.kill(build.pid, signal.SIGKILL)
        build.communicate(timeout=PATIENCE)
        alive = psutil.wait_procs(family(project), timeout=PATIENCE)[1]
        if alive:
            yield f"still there: {alive}"
        done = project.nbbuild("-j2")
        if done.status:
            yield f"the next build ended with {done.status}: {done.err}"
        if project.files() != wanted:
            yield f"another tree: {sorted(project.files())}"
        if project.build():
            yield "the build after it ran something"

    assert tried(numbers(size), trial, chance) == ""
