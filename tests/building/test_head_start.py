"""What is started before all is judged: the likely, and nothing for prose."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from notebook_sources import prose

import nbbuild
from nbbuild.building.from_session import is_new_of
from nbbuild.building.supply.head_start import HeadStart
from nbbuild.interpreter.imports import Import
from nbbuild.kernels.wanted import Wanted
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.model import Judgement, Verdict

EARLY = Warm(("python",), ())
BARE = replace(EARLY, installed="as it is")
PARENT = replace(BARE, modules=(Import(0, "numpy"),), stem=BARE)


class Started:
    """Stands for the launcher and for kernels ahead; notes what it is asked to start."""

    def __init__(self, *, ready):
        self.zygotes, self.kernels, self.expected = [], [], []
        self.ready = ready

    def begin(self, wanted=None):
        self.kernels += [wanted.cwd.name] if wanted else []

    def warm_up(self, warm, check):
        self.zygotes.append(warm)
        while not self.ready:
            check()


@pytest.fixture
def begun(project):
    """Begins as a build does, and returns what was started by the time all was judged."""

    def begin(*, forced=False, verdicts=(), ready=True):
        started = Started(ready=ready)
        with nbbuild.open_session(project.root) as session:

            class AsExpected:
                def forerunner(self, task):
                    return EARLY

                def zygotes(self, tasks):
                    started.expected = list(tasks)
                    return [BARE, PARENT]

                def kernel(self, tasks):
                    kernel = session.inputs.kernels.find("python3")
                    return Wanted(kernel=kernel, cwd=project.root / tasks[0], env={})

            with HeadStart(
                session.graph.tasks,
                started,
                is_new=is_new_of(session),
                likely=AsExpected(),
                kernels=lambda: started,
            ) as head:
                head.guess(session.wanted(()), forced=forced)
                for name, verdict in verdicts:
                    head.judged(Judgement(name, verdict, ()))
                for thread in head._threads:
                    if ready:
                        thread.join()
        return started

    return begin


def test_notebooks_never_seen_before_are_likely_to_run(project, begun):
    project.config("")
    for name in ("a", "b", "c"):
        project.notebook(f"{name}.ipynb", "1")
    started = begun()
    assert started.expected == ["a.ipynb", "b.ipynb", "c.ipynb"]
    assert started.zygotes == [EARLY, BARE, PARENT]


def test_after_a_build_only_changed_code_is_likely_to_run(project, begun):
    project.config("")
    for name in ("a", "b", "c"):
        project.notebook(f"{name}.ipynb", f"'{name}'")
    project.build()
    assert begun().zygotes == []
    project.notebook("a.ipynb", "'a'", prose("Prose"))
    project.notebook("b.ipynb", "'b'", "2")
    project.notebook("c.ipynb", "'c'", "2")
    assert begun().expected == ["b.ipynb", "c.ipynb"]


def test_all_that_is_forced_runs(project, begun):
    project.config("")
    for name in ("a", "b"):
        project.notebook(f"{name}.ipynb", f"'{name}'")
    project.build()
    assert begun(forced=True).expected == ["a.ipynb", "b.ipynb"]


def test_a_kernel_starts_for_the_first_verdict_and_what_forks_for_the_second(project, begun):
    project.config("")
    for name in ("a", "b", "c"):
        project.notebook(f"{name}.ipynb", f"'{name}'")
    project.build()
    fresh, run = Verdict.FRESH, Verdict.RUN
    started = begun(verdicts=[("a.ipynb", fresh), ("b.ipynb", run)])
    assert (started.kernels, started.zygotes) == (["b.ipynb"], [])
    started = begun(verdicts=[("a.ipynb", fresh), ("b.ipynb", run), ("c.ipynb", run)])
    assert (started.kernels, started.zygotes) == (["b.ipynb"], [BARE, PARENT])


def test_leaving_gives_up_what_is_being_started(project, begun):
    project.config("")
    for name in ("a", "b"):
        project.notebook(f"{name}.ipynb", "1")
    started = begun(ready=False)  # would wait for ever
    assert sorted(started.zygotes, key=repr) == sorted([EARLY, BARE], key=repr)


FIRST = """
import json, sys
from nbbuild.kernels.launch.process import Launcher

begin = Launcher.begin

def told(self):
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
    begin(self)

Launcher.begin = told
sys.argv = ["nbbuild", "-s"]
from nbbuild.__main__ import main
main()
"""

LATER = "nbformat jsonschema jupytext yaml networkx doit nbclient jupyter_client zmq traitlets rich"


def test_kernels_are_begun_before_what_runs_notebooks_is_imported(project):
    project.config("")
    for name in ("a", "b"):
        project.notebook(f"{name}.ipynb", "1")
    done = subprocess.run(
        [sys.executable, "-c", FIRST], cwd=project.root, capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stderr.splitlines()[0])
    assert [name for name in LATER.split() if name in loaded] == []
    assert len(loaded) < 420  # 357 on Python 3.11
    assert sorted(path.name for path in project.root.glob("_build/executed/*")) == [
        ".gitignore",
        "a.ipynb",
        "b.ipynb",
    ]
