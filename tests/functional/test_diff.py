"""`nbbuild diff`: the code of a notebook against that of a run, by cells and through nbdime."""

import re
import sys

from notebook_sources import code, prose

OLD = ["x = 1\nprint(x)", "y = 2"]
NEW = ["x = 1\nprint(x, x)", "y = 2", "z = 3"]


def without_digests(text):
    return re.sub(r"\b[0-9a-f]{12}(-[0-9a-f]{16})?\b", "ID", text)


def test_changed_cells_are_shown_and_the_exit_status_is_that_of_diff(project):
    project.config("")
    project.notebook("a.ipynb", prose("# A"), *OLD)
    done = project.nbbuild("diff", "a.ipynb")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "error: the cache has no result of 'a.ipynb' to compare with\n\n"
        "hint: `nbbuild a.ipynb` makes one; or name a RECORD of `nbbuild cache list`\n"
    )

    assert project.build() == ["a"]
    project.notebook("a.ipynb", prose("# Other prose"), *OLD)
    done = project.nbbuild("diff", "a.ipynb")
    assert (done.status, done.out) == (0, "")
    assert without_digests(done.err) == "the code of a.ipynb is that of record ID\n"

    project.notebook("a.ipynb", *NEW)
    done = project.nbbuild("diff", "--plain", "a.ipynb")
    assert (done.status, done.err, done.ran) == (1, "", [])
    changed = [
        "cell 2 (In [2]) changed: ID → ID",
        "  @@ -1,2 +1,2 @@",
        "   x = 1",
        "  -print(x)",
        "  +print(x, x)",
        "cell 4 (In [4]) is new",
        "  @@ -0,0 +1 @@",
        "  +z = 3",
    ]
    assert without_digests(done.out).splitlines() == changed
    data = project.nbbuild("diff", "a.ipynb", "--json").data
    assert (data["task"], [one["item"] for one in data["differences"]]) == (
        "a.ipynb",
        ["cell 2 (In [2])", "cell 4 (In [4])"],
    )

    nbdime = project.nbbuild("diff", "a.ipynb")
    assert nbdime.status == 1
    assert nbdime.out.startswith(f"--- record {data['record']}\n+++ a.ipynb\n")
    assert "-  print(x)\n" in nbdime.out
    assert "+  print(x, x)\n" in nbdime.out

    # A record is found by the beginning of its id, and the last run is the one to start from.
    assert project.build() == ["a"]
    assert project.nbbuild("diff", "a.ipynb").status == 0
    done = project.nbbuild("diff", "--plain", "a.ipynb", data["record"][:16])
    assert without_digests(done.out).splitlines() == changed
    done = project.nbbuild("diff", "a.ipynb", "none")
    assert (done.status, done.err) == (
        2,
        "error: there is no record 'none'\n\n"
        "hint: name a record from `nbbuild cache list`, or one notebook\n",
    )


def test_without_nbdime_the_diff_is_plain(project, monkeypatch):
    project.config("")
    project.notebook("a.ipynb", "1", log=False)
    assert project.build() == []
    project.notebook("a.ipynb", "2", log=False)
    monkeypatch.setitem(sys.modules, "nbdime", None)  # as if it were not installed
    done = project.nbbuild("diff", "a.ipynb")
    assert (
        without_digests(done.out) == "cell 1 (In [1]) changed: ID → ID\n  @@ -1 +1 @@\n  -1\n  +2\n"
    )


def test_with_parameters_the_right_cells_are_compared(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nparameters = { n = 2 }\n')
    cells = [
        code("n = 1", tags=["parameters"]),
        "print(n)",
        code("1 / 0", tags=["raises-exception"]),
    ]
    project.notebook("a.ipynb", *cells)
    assert project.build() == ["a"]
    assert project.nbbuild("diff", "a.ipynb").status == 0
    project.notebook("a.ipynb", cells[0], "print(n + 1)", code("2 / 0", tags=["raises-exception"]))
    expected = [
        "cell 4 (In [4]) changed: ID → ID",
        "  @@ -1 +1 @@",
        "  -print(n)",
        "  +print(n + 1)",
        "cell 5 (In [5]) changed: ID → ID",
        "  @@ -1 +1 @@",
        "  -1 / 0",
        "  +2 / 0",
    ]
    out = project.nbbuild("diff", "--plain", "a.ipynb").out
    assert without_digests(out).splitlines() == expected
    explained = without_digests(project.nbbuild("explain", "a.ipynb").out).splitlines()
    assert explained[1:] == [f"  {line}" for line in expected]
    # nbdime is shown what would be executed: the parameters' cell is in both.
    shown = project.nbbuild("diff", "a.ipynb").out
    assert ("print(n + 1)" in shown, "n = 2" in shown) == (True, False)


def test_show_tells_the_reader_the_files_and_the_traceback_unless_told(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nassets = ["one.txt"]\n')
    project.write("one.txt", "")
    project.write("two.txt", "")
    project.notebook("a.ipynb", "_ = open('one.txt'), open('two.txt').read()", log=False)
    assert project.build() == []
    shown = project.nbbuild("show", "a.ipynb").out
    assert "\n  reader: nbformat\n  asset: one.txt\n  also used: two.txt\n" in shown
    data = project.nbbuild("show", "a.ipynb", "--json").data
    assert (data["reader"], data["assets"], data["discovered"]) == (
        "nbformat",
        ["one.txt"],
        ["two.txt"],
    )
    listed = project.nbbuild("list", "--assets").out.splitlines()
    assert [line.split("  ")[-1] for line in listed] == ["ASSETS", "one.txt, +1 used"]

    project.notebook("a.ipynb", "1 / 0", log=False)
    assert project.build(status=1) == []
    for word in ("--traceback", "--tb"):
        assert "Traceback" in project.nbbuild("show", "a.ipynb", word).out
    assert "Traceback" in project.nbbuild("show", "a.ipynb").out
    for word in ("--no-traceback", "--no-tb"):
        shown = project.nbbuild("show", "a.ipynb", word).out
        assert "Traceback" not in shown
        assert "failed: cell 1 (In [1]): ZeroDivisionError: division by zero" in shown
    data = project.nbbuild("show", "a.ipynb", "--no-tb", "--json").data
    assert data["outcome"]["failure"]["traceback"] == ""
