"""`nbbuild cache add`: results that were executed elsewhere; no kernel runs in these stories."""

from __future__ import annotations

import json

import pytest
from notebook_sources import code, executed, prose

import nbbuild

SOURCE = [prose("# Prose"), "x = 1", code("", tags=[]), "print(x)"]
RUN = [("x = 1", ""), ("print(x)", "1, elsewhere\n")]


@pytest.fixture
def project(project):
    project.config("")
    project.notebook("a.ipynb", *SOURCE, log=False)
    return project


def test_what_was_executed_elsewhere_need_not_run(project):
    run = project.root.parent / "run.ipynb"
    run.write_text(executed(*RUN))
    done = project.nbbuild("cache", "add", "../run.ipynb", "--target", "a.ipynb")
    assert (done.status, done.out, done.err) == (0, "added  a.ipynb\n", "")
    assert project.verdicts() == {"a.ipynb": "fresh"}
    assert project.shown("a.ipynb") == "1, elsewhere\n"
    assert project.built("a.ipynb")["cells"][0]["source"] == ["# Prose"]
    (record,) = project.nbbuild("cache", "list", "--json").data
    assert (record["task"], record["accepted"]) == ("a.ipynb", True)
    assert project.nbbuild("show", "a.ipynb").out.startswith("a.ipynb: refreshed")
    # Prose is not code: the outputs stay when it changes.
    project.notebook("a.ipynb", prose("# Other prose"), "x = 1", "print(x)", log=False)
    assert project.verdicts() == {"a.ipynb": "refresh"}
    project.notebook("a.ipynb", "x = 2", "print(x)", log=False)
    assert project.verdicts() == {"a.ipynb": "run"}


def test_the_notebook_itself_or_what_was_built_of_it_tells_the_task(project):
    project.write("a.ipynb", executed(*RUN))
    assert project.nbbuild("cache", "add", "a.ipynb").out == "added  a.ipynb\n"
    project.notebook("b.ipynb", "y = 1", log=False)
    project.write("_build/executed/b.ipynb", executed(("y = 1", "built elsewhere")))
    folder = ("-C", str(project.root))
    done = project.nbbuild("cache", "add", *folder, "_build/executed/b.ipynb", "--json")
    assert [(one["task"], one["notes"][0]) for one in done.data] == [("b.ipynb", "adopted")]
    assert project.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "fresh"}
    # What lay there and was not nbbuild's was not lost.
    assert "built elsewhere" in project.read("_build/executed/b.ipynb")


def test_a_result_that_is_there_stays_unless_told_otherwise(project):
    project.write("run.ipynb", executed(*RUN))
    add = ("cache", "add", "run.ipynb", "--target", "a.ipynb")
    project.config('[project]\nnotebooks = ["a.ipynb"]\n')
    assert project.nbbuild(*add).status == 0
    project.write("run.ipynb", executed(RUN[0], ("print(x)", "again\n")))
    done = project.nbbuild(*add)
    assert (done.status, done.out) == (0, "kept  a.ipynb\n")
    assert done.err == "note: a.ipynb: the cache already has a result for it, which stays\n"
    assert project.shown("a.ipynb") == "1, elsewhere\n"
    assert project.nbbuild(*add, "--overwrite").out == "added  a.ipynb\n"
    assert project.shown("a.ipynb") == "again\n"
    assert project.verdicts() == {"a.ipynb": "fresh"}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            [("x = 2", ""), ("print(x)", "")],
            "error: 'run.ipynb' does not hold the code of 'a.ipynb'\n"
            "  first difference: cell 2 (In [1])\n"
            "  the source has: x = 1\n"
            "  the notebook has: x = 2\n\n"
            "hint: execute the notebook as it is now, or name another task by --target\n",
        ),
        (
            [code("x = 1", tags=["raises-exception"]), ("print(x)", "")],
            "error: 'run.ipynb' does not hold the code of 'a.ipynb'\n"
            "  first difference: cell 2 (In [1])\n"
            "  the source has: the tags none\n"
            "  the notebook has: the tags raises-exception\n\n"
            "hint: execute the notebook as it is now, or name another task by --target\n",
        ),
        (
            [("x = 1", "")],
            "error: 'run.ipynb' does not hold the code of 'a.ipynb'\n"
            "  code cells: 2 in the source, 1 in the notebook\n\n"
            "hint: execute the notebook as it is now, or name another task by --target\n",
        ),
        (
            [code("x = 1", execution_count=1), code("print(x)", execution_count=7)],
            "error: cell 2 of 'run.ipynb' has the execution count 7, where 2 was expected\n"
            "  task: a.ipynb\n\n"
            "hint: execute it once, from top to bottom in a new kernel, "
            "or use --no-validate to take it as it is\n",
        ),
        (
            ["x = 1", "print(x)"],
            "error: cell 1 of 'run.ipynb' has no execution count, where 1 was expected\n"
            "  task: a.ipynb\n\n"
            "hint: execute it once, from top to bottom in a new kernel, "
            "or use --no-validate to take it as it is\n",
        ),
    ],
)
def test_what_is_no_run_of_the_task_is_refused_and_nothing_is_written(project, cells, message):
    project.config('[project]\nnotebooks = ["a.ipynb"]\n')
    project.write("run.ipynb", executed(*cells))
    done = project.nbbuild("cache", "add", "run.ipynb", "--target", "a.ipynb")
    assert (done.status, done.out, done.err) == (1, "", message)
    assert not project.exists(".nbbuild/store")
    assert not project.exists("_build")


def test_errors_count_as_the_task_allows_them(project):
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    cell = code("x = 1", execution_count=1, outputs=[error])
    project.config('[project]\nnotebooks = ["a.ipynb"]\n')
    project.write("run.ipynb", executed(cell, code("print(x)", execution_count=2)))
    add = ("cache", "add", "run.ipynb", "--target", "a.ipynb")
    done = project.nbbuild(*add)
    assert (done.status, done.err.splitlines()[0]) == (
        1,
        "error: cell 1 of 'run.ipynb' failed: ValueError",
    )
    project.config('[project]\nnotebooks = ["a.ipynb"]\n[execution]\nallow_errors = true\n')
    assert project.nbbuild(*add).status == 0
    project.config('[project]\nnotebooks = ["a.ipynb"]\n')
    assert project.verdicts() == {"a.ipynb": "run"}
    assert project.nbbuild(*add, "--no-validate").status == 0
    assert project.verdicts() == {"a.ipynb": "fresh"}


def test_skipped_and_blank_cells_have_no_count(project):
    skipped = code("skip()", tags=["skip-execution"])
    project.notebook("a.ipynb", "x = 1", skipped, "", "print(x)", log=False)
    project.write("a.ipynb", executed(("x = 1", ""), skipped, code(""), ("print(x)", "1")))
    assert project.nbbuild("cache", "add", "a.ipynb").status == 0
    assert project.verdicts() == {"a.ipynb": "fresh"}


def test_artefacts_come_from_the_tree_and_come_back_from_the_cache(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["out/*.txt"]\n')
    project.write("a.ipynb", executed(*RUN))
    done = project.nbbuild("cache", "add", "a.ipynb")
    assert (done.status, done.err) == (
        1,
        "error: no file matches 'out/*.txt', which 'a.ipynb' is to write\n"
        "  declared in: jcache.toml, [[notebook]] 1\n\n"
        "hint: put it in its place, or run the notebook: `nbbuild a.ipynb`\n",
    )
    project.write("out/one.txt", "1")
    project.write("out/two.txt", "2")
    project.write("other.txt", "3")
    done = project.nbbuild("cache", "add", "a.ipynb", "--artefact", "other.txt")
    assert (done.status, done.err) == (
        2,
        "error: 'other.txt' is not an artefact of 'a.ipynb'\n"
        '  artefacts: "out/*.txt"\n'
        "  declared in: jcache.toml, [[notebook]] 1\n\n"
        'hint: to declare it: artefacts = ["other.txt"]\n',
    )
    assert project.nbbuild("cache", "add", "a.ipynb", "-a", "out/one.txt").status == 0
    (record,) = project.nbbuild("cache", "list", "--json").data
    assert [one["path"] for one in record["artefacts"]] == ["out/one.txt"]
    project.write("out/one.txt", "altered")
    assert project.build() == []
    assert (project.read("out/one.txt"), project.read("out/two.txt")) == ("1", "2")


def test_several_are_added_as_far_as_they_can_be(project):
    project.write("a.ipynb", executed(*RUN))
    project.write("b.ipynb", executed(("y = 1", ""), start=5))
    done = project.nbbuild("cache", "add", "b.ipynb", "nothing.ipynb", "a.ipynb", "a.md")
    assert (done.status, done.out) == (2, "added  a.ipynb\n")
    assert [line for line in done.err.splitlines() if line.startswith("error:")] == [
        "error: cell 1 of 'b.ipynb' has the execution count 5, where 1 was expected",
        "error: no task has 'nothing.ipynb' for its source or its built notebook",
        "error: no task has 'a.md' for its source or its built notebook",
    ]
    assert project.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "run"}


def test_words_that_do_not_fit_together_are_mistakes(project):
    project.write("a.ipynb", executed(*RUN))
    for words, what in [
        (("a.ipynb", "b.ipynb", "--target", "a.ipynb"), "are for one NOTEBOOK"),
        (("a.ipynb", "--target", "nothing"), "there is no notebook, task, artefact or group"),
        (
            ("jcache.toml", "--target", "a.ipynb"),
            "is not an .ipynb file, and no other format",
        ),
        (("gone.ipynb", "--target", "a.ipynb"), "'gone.ipynb' does not exist"),
        (("a.ipynb", "-a", "gone.txt"), "the artefact 'gone.txt' is not an existing file"),
    ]:
        done = project.nbbuild("cache", "add", *words)
        assert done.status == 2
        assert what in done.err


def test_outputs_that_are_none_are_not_taken_for_nothing(project):
    bad = json.loads(executed(*RUN))
    bad["cells"][1]["outputs"] = [{"output_type": "stream", "text": 7}]
    project.write("a.ipynb", json.dumps(bad))
    done = project.nbbuild("cache", "add", "a.ipynb")
    assert (done.status, done.err) == (
        1,
        "error: the outputs of cell 2 of 'a.ipynb' are not valid\n\nhint: execute it again\n",
    )


def test_each_task_of_a_matrix_takes_the_run_with_its_parameters(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nmatrix = { n = [1, 2] }\n')
    project.write("a.ipynb", executed(*RUN))
    done = project.nbbuild("cache", "add", "a.ipynb")
    assert (done.status, done.err) == (
        2,
        "error: 'a.ipynb' is the notebook of 2 tasks\n"
        "  tasks: a-n-1, a-n-2\n\n"
        "hint: name the task whose result it is with --target\n",
    )
    run = project.root.parent / "run.ipynb"
    # As papermill writes them.
    injected = code("# Parameters\nn = 2\n", tags=["injected-parameters"], execution_count=1)
    cells = [code(source, execution_count=n) for n, (source, _) in enumerate(RUN, 2)]
    run.write_text(executed(injected, *cells))
    done = project.nbbuild("cache", "add", str(run), "--target", "a-n-2")
    assert done.status == 0, done.err
    assert project.verdicts() == {"a-n-1": "run", "a-n-2": "fresh"}
    assert project.nbbuild("cache", "add", str(run), "--target", "a-n-1").status == 1


def test_the_same_from_python(project):
    run = project.root.parent / "run.ipynb"
    run.write_text(executed(*RUN))
    with nbbuild.open_session(project.root) as session:
        outcome = nbbuild.adopt(session, run, target="a.ipynb")
        assert outcome.kind is nbbuild.OutcomeKind.REFRESHED
        assert session.plan().fresh
