"""Setuid programs gain no rights under the filter: a notebook with one is run without it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from nbbuild.building.attempts import runner
from nbbuild.watching import looking, seccomp
from nbbuild.watching.syscalls import Watcher

pytestmark = pytest.mark.skipif(bool(seccomp.unavailable()), reason=seccomp.unavailable())

AGAIN = "runs again without watching its system calls: 'sudo' would lose its rights"


@pytest.mark.parametrize(
    ("mode", "bound", "named"),
    [(0o4755, True, "wants-root"), (0o4755, False, ""), (0o755, True, "")],
)
def test_a_program_that_would_gain_rights_is_noted_where_it_cannot(
    tmp_path: Path, mode: int, bound: bool, named: str
) -> None:
    program = tmp_path / "wants-root"
    program.write_text("")
    program.chmod(mode)
    listener, other = os.pipe()
    watcher = Watcher(
        listener,
        seccomp=seccomp,
        looking=looking,
        private="/p/",
        cwd=str(tmp_path),
        bound=bound,
        forked=0,
        empty=set(),
    )

    watcher._note_rights(str(program))

    assert watcher.told["rights"] == named
    watcher.close()
    os.close(other)


def test_a_notebook_that_needs_rights_is_run_again_without_the_watch_once(project, monkeypatch):
    real = runner._observed

    def observed(report, seen):
        """Tell what was observed as if `sudo` had been started, wherever calls were watched."""
        told = real(report, seen)
        return told if seen is None else msgspec.structs.replace(told, rights="sudo")

    monkeypatch.setattr(runner, "_observed", observed)
    project.config("")
    project.write("in.txt", "1")
    project.notebook("a.ipynb", "print(open('in.txt').read())")

    done = project.nbbuild()
    assert (done.status, done.err.count(AGAIN)) == (0, 1)
    (told,) = project.nbbuild("status", "--json").data
    kept = "its system calls were not watched, so that 'sudo' keeps its rights"
    assert (told["verdict"], told["marks"]) == ("fresh", [kept])
    assert project.build() == []

    project.write("in.txt", "2")
    done = project.nbbuild()
    assert (done.status, AGAIN in done.err) == (0, False)
    assert project.shown("a.ipynb") == "2\n"

    project.notebook("a.ipynb", "print('without')")
    assert AGAIN in project.nbbuild().err
