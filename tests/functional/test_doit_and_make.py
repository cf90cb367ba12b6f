"""Notebooks among the tasks of others: in a user's dodo.py, and in a Makefile."""

import os
import subprocess
import sys

import pytest

DODO = """
from nbbuild.bridges.dodo import notebook_tasks


def task_csv():
    return {
        "actions": ["echo csv >> $RUN_LOG; cp raw.txt data/a.csv"],
        "file_dep": ["raw.txt"],
        "targets": ["data/a.csv"],
    }


def task_summary():
    return {
        "actions": ["echo summary >> $RUN_LOG; tr a-z A-Z < mid.txt > summary.txt"],
        "file_dep": ["mid.txt"],
        "targets": ["summary.txt"],
    }
"""

CONFIG = """[[notebook]]
path = "make=mid.ipynb"
assets = ["data/a.csv"]
artefacts = ["mid.txt"]

[[notebook]]
path = "show.ipynb"
assets = ["mid.txt"]
"""

COPY = "text = open('data/a.csv').read()\nopen('mid.txt', 'w').write(text.split('#')[0])"


@pytest.fixture
def run(project):
    """Run a program in the project; return what it said and which tasks it executed."""

    def run(*words, status=0):
        project.log.write_text("")
        done = subprocess.run(
            words,
            cwd=project.root,
            env={**os.environ, **project.environ, "NBBUILD_JOBS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout, project.ran()

    return run


def doit(run, *words, **more):
    return run(sys.executable, "-m", "doit", *words, **more)


@pytest.mark.slow
def test_plain_doit_builds_notebooks_between_tasks_of_the_users_own(project, run):
    project.write("dodo.py", DODO)
    project.config(CONFIG)
    project.write("raw.txt", "one\n")
    (project.root / "data").mkdir()
    project.notebook("make=mid.ipynb", COPY)
    project.notebook("show.ipynb", "print(open('mid.txt').read())")

    listed, ran = doit(run, "list", "--all", "--quiet")
    assert listed.split() == [
        "csv",
        "notebooks",
        "notebooks:make%3Dmid.ipynb",
        "notebooks:show.ipynb",
        "summary",
    ]
    assert ran == []

    # The order follows from the files alone, although data/a.csv and mid.txt are not there yet.
    _, ran = doit(run, "notebooks", "csv", "summary")
    assert ran[:2] == ["csv", "make=mid"]
    assert sorted(ran[2:]) == ["show", "summary"]
    assert project.read("summary.txt") == "ONE\n"
    assert project.shown("show.ipynb") == "one\n\n"

    said, ran = doit(run)
    assert ran == []
    assert [line for line in said.splitlines() if not line.startswith("-- ")] == []

    # What follows the "#" does not reach mid.txt, so nothing after that notebook has to run.
    project.write("raw.txt", "one\n# two")
    assert doit(run)[1] == ["csv", "make=mid"]
    project.write("raw.txt", "two\n")
    _, ran = doit(run, "-n", "2")
    assert ran[:2] == ["csv", "make=mid"]
    assert sorted(ran[2:]) == ["show", "summary"]
    assert project.read("summary.txt") == "TWO\n"


def test_two_projects_are_two_groups_of_one_dodo(project, run):
    taken_over = DODO.splitlines()[1]
    project.write("dodo.py", f"{taken_over}\n\ndocs = notebook_tasks('docs/')\n")
    project.config('[project]\nnotebooks = ["*.ipynb"]\n')
    project.notebook("a.ipynb")
    project.write("docs/jcache.toml", '[project]\nnotebooks = ["*.ipynb"]\n')
    project.notebook("docs/b.ipynb")

    listed, _ = doit(run, "list")
    assert [line.split(maxsplit=1) for line in listed.splitlines()] == [
        ["notebooks", "build the notebooks of jcache.toml"],
        ["notebooks-docs", "build the notebooks of docs/jcache.toml"],
    ]
    assert doit(run, "notebooks-docs")[1] == ["docs/b"]
    assert doit(run)[1] == ["a"]


def test_a_failure_of_a_notebook_is_one_of_its_doit_task(project, run):
    project.write("dodo.py", DODO)
    project.config(CONFIG)
    project.write("raw.txt", "one\n")
    (project.root / "data").mkdir()
    project.notebook("make=mid.ipynb", "1 / 0")
    project.notebook("show.ipynb", "print(open('mid.txt').read())")
    _, ran = doit(run, status=1)
    assert ran == ["csv", "make=mid"]
    assert not project.exists("summary.txt")


MAKEFILE = f"""
all: summary.txt

data/a.csv: raw.txt
	mkdir -p data && cp raw.txt data/a.csv

mid.txt: mid.ipynb data/a.csv
	'{sys.executable}' -m nbbuild -s mid.txt

other.txt: other.ipynb
	'{sys.executable}' -m nbbuild -s other.ipynb

summary.txt: mid.txt other.txt
	cat mid.txt other.txt > summary.txt
"""


def test_make_calls_nbbuild_twice_at_once_and_then_has_nothing_to_do(project, run):
    project.write("Makefile", MAKEFILE)
    project.config(
        CONFIG.replace("make=mid", "mid")
        + '\n[[notebook]]\npath = "other.ipynb"\nartefacts = ["other.txt"]\n'
    )
    project.write("raw.txt", "one\n")
    project.notebook("mid.ipynb", COPY)
    project.notebook("show.ipynb")
    project.notebook("other.ipynb", "open('other.txt', 'w').write('other\\n')")

    _, ran = run("make", "-j2")
    assert sorted(ran) == ["mid", "other"]
    assert project.read("summary.txt") == "one\nother\n"
    said, ran = run("make")
    assert (said, ran) == ("make: Nothing to be done for 'all'.\n", [])

    project.write("raw.txt", "two\n")
    _, ran = run("make", "-j2")
    assert ran == ["mid"]
    assert project.read("summary.txt") == "two\nother\n"
