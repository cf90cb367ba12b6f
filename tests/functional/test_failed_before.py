"""What the command offers once notebooks failed or took long, and how it says so."""

from __future__ import annotations

import re


def test_only_what_failed_runs_again_with_what_it_needs(project):
    project.config("")
    project.notebook("a.ipynb", "1")
    project.notebook("b.ipynb", "1 / 0")
    assert project.build(status=1) == ["a", "b"]
    project.notebook("a.ipynb", "2")
    project.notebook("b.ipynb", "1 / 1")
    done = project.nbbuild("--last-failed", "--durations", "1")
    assert (done.status, sorted(done.ran)) == (0, ["b"])
    shown = done.err.splitlines()
    assert shown[2] == "slowest:"
    assert shown[3].endswith(" s  b.ipynb")
    done = project.nbbuild("--last-failed")
    assert (done.status, done.ran) == (0, [])
    assert done.err == "nothing to do: no notebook failed in its last run\n"
    assert project.nbbuild("--last-failed", "--json").data["outcomes"] == []
    assert project.build() == ["a"]


def test_of_several_failures_each_has_a_line_at_the_end(project):
    project.config("")
    for name in "ab":
        project.notebook(f"{name}.ipynb", f"1 / 0  # {name}")
    done = project.nbbuild("-j1")
    assert done.status == 1
    assert done.err.splitlines()[-4:-1] == [
        "failed:",
        "    a.ipynb, in cell 2 (In [2]): ZeroDivisionError: division by zero",
        "    b.ipynb, in cell 2 (In [2]): ZeroDivisionError: division by zero",
    ]


def test_in_a_folder_it_means_the_notebook_that_failed_and_no_namesake(project):
    project.config("")
    project.notebook("nb/a.ipynb", "1 / 0")
    project.notebook("nb/nb/a.ipynb", "1")
    assert project.build(status=1) == ["nb/a", "nb/nb/a"]
    project.notebook("nb/a.ipynb", "1 / 1")
    project.notebook("nb/nb/a.ipynb", "2")
    done = project.nbbuild("-C", "nb", "--last-failed")
    assert (done.status, sorted(done.ran)) == (0, ["nb/a"])


def test_a_known_failure_is_not_run_again_until_its_code_changes(project):
    project.config("")
    project.notebook("a.ipynb", "1 / 0")
    project.notebook("b.ipynb", "1")
    assert project.build(status=1) == ["a", "b"]
    project.notebook("b.ipynb", "2")

    asked = project.nbbuild("-n", "--skip-known-failures")
    assert re.fullmatch(r"1 to run(, about \d+ s)?, 1 blocked\n", asked.err)
    done = project.nbbuild("--skip-known-failures")

    assert (done.status, sorted(done.ran)) == (1, ["b"])
    why = "in cell 2 (In [2]): ZeroDivisionError: division by zero"
    assert f"failed a.ipynb, as before, {why}" in done.err
    assert project.nbbuild("-q", "--skip-known-failures").status == 1
    verdicts = project.nbbuild("-n", "--json", "--skip-known-failures").data
    assert {one["task"]: one["verdict"] for one in verdicts} == {
        "a.ipynb": "blocked",
        "b.ipynb": "fresh",
    }
    shown = project.nbbuild("--log-format", "github", "--skip-known-failures").err
    assert "::error file=a.ipynb,line=" in shown
    # What somebody asked for runs all the same.
    project.nbbuild("invalidate", "a.ipynb")
    assert project.nbbuild("--skip-known-failures").ran == ["a"]
    project.notebook("a.ipynb", "1 / 1")
    assert project.nbbuild("--skip-known-failures").ran == ["a"]


def test_nothing_starts_after_as_many_failures_as_one_asks_for(project):
    project.config("")
    for name in "abc":
        project.notebook(f"{name}.ipynb", f"1 / 0  # {name}")
    done = project.nbbuild("-j1", "--max-failures", "2")
    assert (done.status, done.ran) == (1, ["a", "b"])
    assert done.err.splitlines()[-1].startswith("2 failed, 1 cancelled in ")


def test_the_critical_path_is_named_beside_the_slowest(project):
    project.config('[[notebook]]\npath = "b.ipynb"\ndepends_on = ["a.ipynb"]')
    for name in "abc":
        project.notebook(f"{name}.ipynb", f"'{name}'")
    said = project.nbbuild("--durations", "1").err.splitlines()
    assert said[-2].startswith("critical path: a.ipynb → b.ipynb, ")


def test_the_log_of_github_names_file_and_line(project, monkeypatch):
    project.config("")
    project.notebook("nb/a.ipynb", "x = 1", "x\n1 / 0")
    text = (project.root / "nb/a.ipynb").read_text()
    line = next(n for n, one in enumerate(text.splitlines(), 1) if '1 / 0"' in one)

    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.root))
    done = project.nbbuild("-C", "nb", "--log-format", "github")

    annotation = next(one for one in done.err.splitlines() if one.startswith("::error "))
    assert annotation == (
        f"::error file=nb/a.ipynb,line={line},title=nb/a.ipynb%2C cell 3 (In [3])"
        "::ZeroDivisionError: division by zero"
    )
