"""`--last-failed` builds what failed last time, `--durations` lists what took longest."""

from __future__ import annotations


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
