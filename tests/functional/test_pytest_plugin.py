"""`pytest --nbbuild`, as users of pytest run it: a real pytest in a project of its own."""

import os
import re
import subprocess
import sys
from xml.etree.ElementTree import parse

import pytest

pytestmark = pytest.mark.slow

CONFIG = """
[[notebook]]
path = "nb/report.ipynb"
depends_on = ["nb/clean.ipynb"]
groups = ["nightly"]

[[notebook]]
path = "nb/late.ipynb"
depends_on = ["nb/wrong.ipynb"]
"""

# Plugins that take long to load, and have no part in this.
OTHERS = [f"-pno:{name}" for name in ("anyio", "hypothesispytest", "nbmake", "pytest_cov")]


class PytestRun:
    """How a run of pytest ended: its status, its words, what it executed, and each test's end."""

    def __init__(self, done, ran):
        self.status, self.out, self.err, self.ran = done.returncode, done.stdout, done.stderr, ran
        found = re.findall(r"(PASSED|FAILED|SKIPPED|ERROR) +(?:\[ *\d+%\] )?(\S+)", self.out)
        found += [(how, test) for test, how in re.findall(r"(\S+::\S+) (PASSED|FAILED)", self.out)]
        self.tests = {test: how for how, test in found if "::" in test}


def pytest_in(folder, *words, without=OTHERS, environ=None, log=None):
    if log is not None:
        log.write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", *without, *words],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    return PytestRun(done, sorted(log.read_text().split()) if log is not None else [])


def ids(listed):
    return [word for word in listed.out.split() if "::" in word]


@pytest.fixture
def book(project):
    """Make a project of which one notebook fails, and one waits for that."""
    project.config(CONFIG)
    project.notebook("nb/clean.ipynb", "1")
    project.notebook("nb/report.ipynb", "2")
    project.notebook("nb/wrong.ipynb", "rate = 0", "1 / rate")
    project.notebook("nb/late.ipynb", "3")
    return project


@pytest.fixture
def tested(book):
    def run(*words):
        return pytest_in(book.root, "--nbbuild", *words, environ=book.environ, log=book.log)

    return run


GOOD = {"nb/clean.ipynb::nbbuild": "PASSED", "nb/report.ipynb::nbbuild": "PASSED"}
BAD = {"nb/wrong.ipynb::nbbuild": "FAILED", "nb/late.ipynb::nbbuild": "FAILED"}


def test_notebooks_are_tests_and_run_only_when_they_are_out_of_date(book, tested):
    first = tested("--junitxml=junit.xml")
    assert (first.status, first.tests) == (1, {**GOOD, **BAD}), first.out
    assert first.ran == ["nb/clean", "nb/report", "nb/wrong"]
    # The cell and its traceback, and nothing of pytest's or nbbuild's own.
    assert "\ncell 3 (In [3]): ZeroDivisionError: division by zero\n" in first.out
    assert "----> 1 1 / rate" in first.out
    assert "as far as it went: .nbbuild/failed/nb/wrong.ipynb.failed" in first.out
    assert "FAILED nb/late.ipynb::nbbuild - needs nb/wrong.ipynb, which failed" in first.out
    assert "site-packages/_pytest" not in first.out and "bridges" not in first.out

    cases = {one.get("classname"): one for one in parse(book.root / "junit.xml").iter("testcase")}
    assert sorted(cases) == ["nb.clean.ipynb", "nb.late.ipynb", "nb.report.ipynb", "nb.wrong.ipynb"]
    assert "1 / rate" in cases["nb.wrong.ipynb"].find("failure").text
    said = cases["nb.clean.ipynb"].find("properties/property")
    assert (said.get("name"), said.get("value")) == ("nbbuild", "executed")

    again = tested()
    assert (again.tests, again.ran) == ({**GOOD, **BAD}, ["nb/wrong"])

    failed = tested("--lf")
    assert (failed.tests, failed.ran) == (BAD, ["nb/wrong"])
    book.notebook("nb/wrong.ipynb", "rate = 1", "1 / rate")
    mended = tested("--lf")
    assert mended.tests == dict.fromkeys(BAD, "PASSED")
    assert mended.ran == ["nb/late", "nb/wrong"]


def test_words_of_the_command_line_select(book, tested):
    listed = tested("--collect-only", "-qq")
    assert (listed.status, listed.ran) == (0, [])
    assert ids(listed) == sorted({**GOOD, **BAD})
    # What a notebook needs is built with it, though it is not selected.
    one = tested("-k", "nightly")
    assert (one.tests, one.ran) == (
        {"nb/report.ipynb::nbbuild": "PASSED"},
        ["nb/clean", "nb/report"],
    )
    late = tested("nb/late.ipynb::nbbuild")
    assert late.tests == {"nb/late.ipynb::nbbuild": "FAILED"}
    stopped = tested("-x", "nb/wrong.ipynb", "nb/late.ipynb")
    assert stopped.tests == {"nb/wrong.ipynb::nbbuild": "FAILED"}


def test_maxfail_ends_the_build_after_as_many_failures(project):
    project.config('[project]\nnotebooks = ["*.ipynb"]\n[execution]\njobs = 1\n')
    for name in "abcd":
        project.notebook(f"{name}.ipynb", "1 / 0")
    # No test fails before the first one has had all of them built.
    words = ("--nbbuild", "--maxfail=2")
    done = pytest_in(project.root, *words, environ=project.environ, log=project.log)
    assert (done.status, len(done.ran)) == (1, 2), done.out


def test_several_processes_share_one_build_and_nothing_stays_of_it(book, tested):
    done = tested("-n", "2", "--testrunuid=always")
    assert (done.status, done.tests) == (1, {**GOOD, **BAD}), done.out
    # A failure is not cached: another build would have executed it again.
    assert done.ran == ["nb/clean", "nb/report", "nb/wrong"]
    assert "----> 1 1 / rate" in done.out
    assert not [path for path in book.root.rglob(".nbbuild/**/*") if "pytest" in path.name]
    # The next run of the same id does not read what this one came to.
    book.notebook("nb/wrong.ipynb", "rate = 1", "1 / rate")
    mended = tested("-n", "2", "--testrunuid=always")
    assert (mended.status, mended.ran) == (0, ["nb/late", "nb/wrong"]), mended.out


def test_tasks_of_one_notebook_are_tests_of_their_own_and_a_script_is_not_imported(project):
    project.config(
        '[project]\nnotebooks = ["*.py"]\n'
        '[[notebook]]\npath = "area.py"\nmatrix = { side = [1, 2] }\n'
    )
    header = "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n# ---\n"
    project.text("area.py", f"{header}# %%\n{{log}}\n# %% tags=['parameters']\nside = 0\n")
    done = pytest_in(project.root, "--nbbuild", "area.py", environ=project.environ, log=project.log)
    assert (done.status, done.tests) == (
        0,
        {"area.py::area-side-1": "PASSED", "area.py::area-side-2": "PASSED"},
    )
    assert done.ran == ["area", "area"]


def test_without_a_project_or_with_a_broken_one_pytest_says_what_is_wrong(tmp_path):
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    done = pytest_in(tmp_path, "--nbbuild")
    assert done.status == pytest.ExitCode.USAGE_ERROR
    assert done.err == (
        f"ERROR: --nbbuild: there is no 'jcache.toml' in '{tmp_path}', above or below; "
        "`nbbuild init` writes one\n\n"
    )
    (tmp_path / "jcache.toml").write_text("[projects]\n")
    broken = pytest_in(tmp_path, "--nbbuild")
    assert broken.status == pytest.ExitCode.INTERRUPTED
    assert "error: unknown table [projects]" in broken.out
    assert "hint: did you mean [project]?" in broken.out
    assert pytest_in(tmp_path).status == 0


SHOWS_IMPORTS = """
import sys

def pytest_unconfigure():
    print("nbbuild:", *sorted(name for name in sys.modules if name.split(".")[0] == "nbbuild"))
"""


def test_without_the_option_the_plugin_imports_nothing(tmp_path):
    (tmp_path / "conftest.py").write_text(SHOWS_IMPORTS)
    (tmp_path / "test_it.py").write_text("def test_it(): pass\n")
    done = pytest_in(tmp_path, "-q")
    assert done.out.splitlines()[-1].split() == [
        "nbbuild:",
        "nbbuild",
        "nbbuild.bridges",
        "nbbuild.bridges.pytest_plugin",
        "nbbuild.version",
    ]


def test_nbmake_and_nbbuild_get_on_with_each_other(book):
    pytest.importorskip("nbmake")
    words = ("--nbbuild", "--nbmake", "--collect-only", "-qq")
    both = ids(pytest_in(book.root, *words, without=()))
    assert len(both) == len(set(both)) == 8
    assert {*both} > {*GOOD, *BAD}
