"""Little to do costs little: work is counted, not timed, and grows no faster than the project."""

import gc
import os
import subprocess
import sys
from collections import Counter

import pytest
from notebook_sources import ipynb

from nbbuild.disk import digests
from nbbuild.model import Verdict
from nbbuild.notebook import formats
from nbbuild.session import open_session

HEAVY = ["doit", "networkx", "nbformat", "jupytext", "nbclient", "rich", "IPython"]
HEAVY += ["jupyter_client", "zmq", "asyncio", "yaml", "importlib.metadata"]


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Count what was just written as old enough: ctimes cannot be set back."""
    monkeypatch.setattr(digests, "SETTLED_NS", -(10**12))


# -- what is loaded ----------------------------------------------------------------------------


def imported(root, *words):
    """Run a command in a process of its own; return what it said, and what of HEAVY it imported."""
    script = (
        f"import sys; sys.argv = ['nbbuild', *{words}]\n"
        "from nbbuild.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print([name for name in {HEAVY} if sys.modules.get(name)], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    *said, found = done.stderr.splitlines()
    return [*done.stdout.splitlines(), *said], found


def test_judging_loads_none_of_what_runs_notebooks(project):
    project.config("")
    for name in ("one", "two"):
        project.notebook(f"{name}.ipynb", f"print('{name}')", log=False)
    project.write("_build/executed/one.ipynb", ipynb("print('one')"))
    assert project.nbbuild("-t", "one.ipynb").status == 0
    assert project.nbbuild("status").status == 0  # what they say is known from now on

    assert imported(project.root, "status") == (
        ["run  two.ipynb  it has not been run yet", "1 fresh, 1 run"],
        "[]",
    )
    assert imported(project.root, "-n")[1] == "[]"
    assert imported(project.root, "list")[1] == "[]"
    assert imported(project.root, "-s", "one.ipynb") == ([], "[]")


def test_what_an_ordinary_notebook_says_is_read_without_nbformat(project):
    project.config("")
    project.notebook("one.ipynb", "print('one')", log=False)
    said, heavy = imported(project.root, "-n")
    assert said == ["run  one.ipynb  it has not been run yet", "1 to run"]
    assert heavy == "[]"


def test_only_texts_take_jupytext(project):
    project.notebook("one.ipynb", "1", log=False)
    project.write("two.md", "---\nkernelspec:\n  name: python3\n---\n\n```python\n1\n```\n")
    script = (
        "import sys; from pathlib import Path; from nbbuild.notebook.read import read\n"
        "for name in ('one.ipynb', 'two.md'):\n"
        "    read(Path(), name)\n"
        "    print('jupytext' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]


# -- what is looked at -------------------------------------------------------------------------


def looks(monkeypatch, work):
    """Return how often `work` asks the file system, question by question."""
    asked = Counter()

    def count(patch, owner, name):
        real = getattr(owner, name)

        def counted(*args, **more):
            asked[name] += 1
            return real(*args, **more)

        patch.setattr(owner, name, counted)

    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "scandir", "listdir", "readlink"):
            count(patch, os, name)
        count(patch, os, "open")
        work()
    return asked


def test_each_further_notebook_is_looked_at_a_few_times(project, monkeypatch):
    project.config("")

    def asked(notebooks):
        for number in range(notebooks):
            project.notebook(f"nb/{number}.ipynb", f"{number}", log=False)
            project.write(f"_build/executed/nb/{number}.ipynb", ipynb(f"{number}"))
        assert project.nbbuild("-t", "-s").status == 0

        def judge():
            with open_session(project.root) as session:
                assert {one.verdict for one in session.plan().judgements} == {Verdict.FRESH}

        judge()
        return looks(monkeypatch, judge)

    few, more = asked(10), asked(40)
    more.subtract(few)
    assert {name: count / 30 for name, count in more.items() if count} == {
        "stat": 7,  # its source three times, its ledger three times, its built notebook
        "lstat": 1,  # whether any result was put aside
        "listdir": 1,  # its results
        "open": 2,  # its ledger, its result
    }


def test_a_text_that_is_no_notebook_is_read_once(project, monkeypatch):
    project.config('[project]\nnotebooks = ["**/*"]\n')
    project.notebook("one.ipynb", "1", log=False)
    project.write("README.md", "# Words\n\n```python\nprint('not executed')\n```\n")
    (project.root / ".nbbuild").mkdir()
    read = []
    real = formats.header
    monkeypatch.setattr(formats, "header", lambda path, text: read.append(path) or real(path, text))

    def sources():
        read.clear()
        with open_session(project.root) as session:
            return [task.source for task in session.tasks], read[:]

    assert sources() == (["one.ipynb"], ["README.md"])
    assert sources() == (["one.ipynb"], [])
    text = "---\nkernelspec:\n  name: python3\n---\n"
    project.write("README.md", text)
    assert sources() == (["README.md", "one.ipynb"], ["README.md"])
    project.write("README.md", text.replace("kernelspec", "kernel"))
    assert sources() == (["one.ipynb"], ["README.md"])


# -- how it grows ------------------------------------------------------------------------------


def in_one_folder(number):
    return {f"nb/{number}.ipynb": ""}, ""


def with_an_entry_each(number):
    entry = f'[[notebook]]\npath = "nb/{number}.ipynb"\nassets = ["data/{number}.csv"]\n'
    return {f"nb/{number}.ipynb": "", f"data/{number}.csv": "1"}, entry


def in_a_chain(number):
    assets = f'assets = ["data/{number - 1}.csv"]\n' if number else ""
    entry = f'[[notebook]]\npath = "nb/{number}.ipynb"\n{assets}artefacts = ["data/{number}.csv"]\n'
    return {f"nb/{number}.ipynb": ""}, entry


def one_after_another(number):
    entry = f'[[notebook]]\npath = "nb/{number}.ipynb"\n'
    return {f"nb/{number}.ipynb": ""}, entry + (
        f'depends_on = ["nb/{number - 1}.ipynb"]\n' if number else ""
    )


def with_parameters(number):
    entry = f'[[notebook]]\npath = "nb/{number}.ipynb"\nmatrix = {{ a = [1, 2], b = ["x"] }}\n'
    return {f"nb/{number}.ipynb": ""}, entry


def reading_what_others_built(number):
    if number % 2 == 0:
        return {f"nb/{number}.ipynb": ""}, ""
    built = f"_build/executed/nb/{number - 1}.ipynb"
    return {f"nb/{number}.ipynb": ""}, (
        f'[[notebook]]\npath = "nb/{number}.ipynb"\nassets = ["{built}"]\n'
    )


def named_in_full(number):
    return {f"nb/{number}.ipynb": ""}, None


def excluded_in_part(number):
    return {f"nb/{number}.ipynb": "", f"nb/{number}.md": "---\nkernelspec: x\n---\n"}, ""


@pytest.mark.parametrize(
    "shape",
    [
        in_one_folder,
        with_an_entry_each,
        in_a_chain,
        one_after_another,
        with_parameters,
        reading_what_others_built,
        named_in_full,
        excluded_in_part,
    ],
)
def test_twice_the_project_is_twice_the_work(tmp_path, shape):
    few = 40
    folders = {size: tmp_path / f"of-{size:03}" for size in (few, 2 * few, 4 * few)}
    for size, folder in folders.items():
        entries, names = [], []
        for number in range(size):
            files, entry = shape(number)
            names += [] if entry is not None else list(files)
            entries.append(entry or "")
            for path, text in files.items():
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(ipynb(f"{number}") if path.endswith(".ipynb") else text)
        excluded = [f"nb/{number}.md" for number in range(size)]
        listed = names or ["nb/**/*"]
        head = f"[project]\nnotebooks = {listed}\nexclude = {excluded}\n"
        (folder / "jcache.toml").write_text(head + "".join(entries))
        (folder / ".nbbuild").mkdir()
        # Afterwards notebooks are parsed, patterns compiled, and the interpreter was asked.
        judge(folder)
    small, middle, large = (calls(lambda at=folder: judge(at)) for folder in folders.values())
    assert large - middle < 2.1 * (middle - small)


def judge(folder):
    with open_session(folder) as session:
        assert session.plan().judgements


def calls(work):
    """Return how many functions, of Python's own too, are called by `work`."""
    count = 0

    def counting(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # other tools, such as hypothesis, have it call them
    sys.setprofile(counting)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count
