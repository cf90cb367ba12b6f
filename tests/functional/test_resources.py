"""Notebooks that share a database, and notebooks that take several cores."""

from __future__ import annotations

import os

import pytest

SAYS = """\
import os, pathlib, time
_log = pathlib.Path(os.environ["RUN_LOG"])
def say(word):
    with _log.open("a") as log: _ = log.write(word + chr(10))
def until(*words):
    end = time.monotonic() + 30
    while not {*words} <= {*_log.read_text().split()} and time.monotonic() < end: time.sleep(0.01)
"""


def notebook(project, name, *cells):
    project.notebook(f"{name}.ipynb", SAYS, *cells, log=False)


def test_two_that_need_the_one_database_never_overlap_and_another_runs_beside_them(project):
    project.config("""
        [execution]
        trace = false
        resources = { db = 1 }
        [[notebook]]
        path = "load-*.ipynb"
        resources = { db = 1 }
    """)
    for name in ("load-a", "load-b"):
        notebook(project, name, f"say('{name}>')", "until('free>')", f"say('{name}<')")
    notebook(project, "free", "say('free>')", "until('load-a<', 'load-b<')", "say('free<')")

    done = project.nbbuild("-j3", "-v")

    assert done.status == 0
    assert done.ran[-1] == "free<"
    loads = [word for word in done.ran if word.startswith("load")]
    assert loads in (
        ["load-a>", "load-a<", "load-b>", "load-b<"],
        ["load-b>", "load-b<", "load-a>", "load-a<"],
    )
    second = loads[2].rstrip(">")
    assert f"note: {second}.ipynb: waits for db\n" in done.err


def test_what_cannot_be_had_stops_the_build_before_anything_runs(project):
    notebook(project, "a")
    project.config("""
        [[notebook]]
        path = "a.ipynb"
        resources = { gpu = 1 }
    """)

    done = project.nbbuild()

    assert done.status == 2
    assert "hint: write, in [execution]: resources = { gpu = 1 }\n" in done.err


THREADS = """\
import ctypes, glob, os, sys
_how = "numpy" if "numpy" in sys.modules else "nothing"
import numpy
_libraries = os.path.join(os.path.dirname(numpy.__file__), "..", "numpy.libs", "*openblas*")
def _threads():
    for path in glob.glob(_libraries):
        for name in ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads64_"):
            if hasattr(library := ctypes.CDLL(path), name):
                return getattr(library, name)()
    return int(os.environ["OMP_NUM_THREADS"])  # another library, which asks for it, too
say(f"{name}:{_how}:{_threads()}")
"""


@pytest.mark.own_way("kernels are forked")
@pytest.mark.parametrize("warm", ['["numpy"]', '"kernel"'])
def test_a_kernel_has_as_many_threads_as_its_notebook_asked_for(project, monkeypatch, warm):
    pytest.importorskip("numpy")
    two = min(2, len(os.sched_getaffinity(0)))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    project.config(f"""
        [execution]
        warm = {warm}
        cores = 1
        [[notebook]]
        path = "wide.ipynb"
        cores = 2
    """)
    for name in ("narrow", "wide"):
        notebook(project, name, f"name = '{name}'", THREADS)

    loaded = "numpy" if "numpy" in warm else "nothing"
    assert sorted(project.build("-j2")) == [
        f"narrow:{loaded}:1",
        f"wide:{loaded}:{two}",
    ]
    project.config(project.read("jcache.toml").replace("cores = 2", "cores = 1"))
    assert project.build() == []  # cores are no reason to run again
