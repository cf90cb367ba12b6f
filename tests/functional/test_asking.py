"""-n and -q: what a build would do, and whether there is anything to do."""

import os
import pty
import re
import subprocess
import sys

import nbbuild
from nbbuild.model import Outcome, OutcomeKind

ABOUT = re.compile(", about [0-9]+ s")  # left out where it is next to nothing


def test_a_dry_run_says_the_totals(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["a.txt"]\n\n'
                   '[[notebook]]\npath = "b.ipynb"\nassets = ["a.txt"]\n')  # fmt: skip
    project.notebook("a.ipynb", "open('a.txt', 'w').write('1')")
    project.notebook("b.ipynb", "open('a.txt').read()")
    project.notebook("c.ipynb")
    assert project.nbbuild("-n").err == "2 to run, 1 to run if what they wait for changes\n"
    assert project.build() == ["a", "b", "c"]
    done = project.nbbuild("-n")
    assert (done.status, done.out) == (0, "")
    assert done.err == "nothing to do: 3 notebooks are up to date\n"
    assert project.nbbuild("-n", "c.ipynb").err == "nothing to do: 1 notebook is up to date\n"

    # Then there are durations to go by.
    project.notebook("a.ipynb", "open('a.txt', 'w').write('2')")
    project.notebook("d.ipynb")
    (project.root / "_build/executed/c.ipynb").unlink()
    said = project.nbbuild("-n", "-j1").err
    assert ABOUT.sub("", said) == (
        "2 to run, 1 to run if what they wait for changes, 1 to write again\n"
    )
    assert ABOUT.sub("", project.nbbuild("-n", "-B").err) == (
        "3 to run, 1 to run if what they wait for changes\n"
    )
    # One that has never run counts as long as the others on average.
    with nbbuild.open_session(project.root) as session:
        slow = Outcome(task="a.ipynb", source="a.ipynb", kind=OutcomeKind.EXECUTED, seconds=90.0)
        session.state.save_outcomes([slow])
    assert "changes, about 2 min " in project.nbbuild("-n", "-j1").err
    # What it says goes beside the data.
    assert [one["verdict"] for one in project.nbbuild("-q", "--json").data] == [
        *("run", "wait", "refresh", "run")
    ]


def asked_on_a_terminal(project, *words):
    """Return the exit status, and what is written to a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "nbbuild", *words],
        cwd=project.root,
        env={**os.environ, **project.environ},
        check=False,
        stderr=theirs,
    )
    os.write(theirs, b".")  # so that there is something to read
    os.close(theirs)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    return done.returncode, said.removesuffix(".").strip()


def test_on_a_terminal_a_question_is_answered_in_a_line(project):
    project.config("")
    for name in "abcde":
        project.notebook(f"{name}.ipynb")
    assert asked_on_a_terminal(project, "-q") == (
        1,
        "out of date: a.ipynb, b.ipynb, c.ipynb and 2 more; nothing was run "
        "(-q only asks, -s builds and says little)",
    )
    assert asked_on_a_terminal(project, "-q", "-s", "a.ipynb") == (1, "")
    assert asked_on_a_terminal(project, "-q", "a.ipynb")[1].startswith("out of date: a.ipynb; ")
    # Elsewhere it is make's question: the exit status is the answer.
    asked = project.nbbuild("-q")
    assert (asked.status, asked.out, asked.err) == (1, "", "")
