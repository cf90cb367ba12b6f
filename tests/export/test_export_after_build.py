"""`[export]` does it at the end of each build, at little cost where there is nothing to do.

The targets themselves are tested elsewhere; here, when they are written.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from jupyter_cache import get_cache

from nbbuild.building import last_good
from nbbuild.disk import digests
from nbbuild.quick import uptodate

CONFIG = '[export]\njupyter_cache = ".jupyter_cache"\nmystmd = true\n'
MESSAGE = "nothing to do: 2 notebooks are up to date\n"


@pytest.fixture
def two(project):
    project.config(CONFIG)
    project.notebook("a.ipynb", "print(1)")
    project.notebook("b.ipynb", "print(2)")
    assert project.build() == ["a", "b"]
    return project


def records(project):
    """Return the notebooks that the jupyter-cache has results of."""
    found = get_cache(project.root / ".jupyter_cache").list_cache_records()
    return sorted(record.uri.rpartition("/")[2] for record in found)


def for_mystmd(project):
    return sorted((project.root / "_build/execute").iterdir())


def test_a_build_exports_and_one_with_nothing_to_do_does_not(two):
    assert records(two) == ["a.ipynb", "b.ipynb"]
    assert len(for_mystmd(two)) == 2
    before = two.files()
    done = two.nbbuild()
    assert (done.status, done.err, done.ran) == (0, MESSAGE, [])
    assert two.files() == before


def test_a_build_with_nothing_to_do_imports_no_reader_and_no_jupyter_cache(two):
    program = (
        "import sys\nfrom nbbuild.cli import group\ntry: group.main([], prog_name='nbbuild')\n"
        "finally: print([name for name in ('nbformat', 'jupytext', 'jupyter_cache', 'sqlalchemy')"
        " if name in sys.modules])"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=two.root)
    assert (done.stdout, done.stderr) == ("[]\n", MESSAGE)


def test_the_quick_answer_rests_on_what_was_exported_too(two, monkeypatch):
    # What was just written counts as old enough: ctimes cannot be set back.
    for module in (digests, last_good):
        monkeypatch.setattr(module, "SETTLED_NS", -(10**12))
    assert two.nbbuild().err == MESSAGE
    assert uptodate.answer([]) == 0
    for_mystmd(two)[0].unlink()
    assert uptodate.answer([]) is None
    assert two.build() == []
    assert len(for_mystmd(two)) == 2

    # Where an export failed, the next build tries again.
    shutil.rmtree(two.root / "_build/execute")
    two.write("_build/execute", "in the way")
    assert two.build(status=3) == []
    assert uptodate.answer([]) is None


def test_what_was_lost_there_is_written_again_without_a_run(two):
    cache = get_cache(two.root / ".jupyter_cache")
    cache.remove_cache(cache.list_cache_records()[0].pk)
    for_mystmd(two)[0].unlink()
    for_mystmd(two)[0].write_text("{}")
    assert two.build() == []
    assert records(two) == ["a.ipynb", "b.ipynb"]
    assert [path.stat().st_size > 10 for path in for_mystmd(two)] == [True, True]


def test_what_is_said_only_now_is_exported_without_a_run(two):
    two.config(CONFIG.replace(".jupyter_cache", "other"))
    assert two.build() == []
    assert (two.root / "other/global.db").exists()


def test_no_glob_takes_for_notebooks_what_lies_there_for_others(two):
    two.config(CONFIG.replace(".jupyter_cache", "cache"))
    assert two.build() == []
    assert list((two.root / "cache").rglob("*.ipynb"))
    # Sphinx and Jupyter Book copy the sources of pages, too.
    two.write("_build/html/_sources/a.ipynb", two.read("a.ipynb"))
    assert two.verdicts() == {"a.ipynb": "fresh", "b.ipynb": "fresh"}
    two.config('[project]\nnotebooks = ["*.ipynb", "_build/html/**/*.ipynb"]')
    assert two.verdicts()["_build/html/_sources/a.ipynb"] == "run"


def test_a_build_of_one_target_leaves_the_others_alone(two):
    two.notebook("b.ipynb", "print('changed')")
    two.notebook("a.ipynb", "print('changed too')")
    assert two.build("a.ipynb") == ["a"]
    # The record of b's old code stays: its page is not asked for.
    assert len(records(two)) == 3
    assert two.build() == ["b"]
    assert records(two) == ["a.ipynb", "b.ipynb"]


def test_after_a_failure_the_rest_is_exported(two):
    two.notebook("a.ipynb", "1/0")
    two.notebook("b.ipynb", "print('changed')")
    assert two.build(status=1) == ["a", "b"]
    assert records(two) == ["b.ipynb"]
    assert len(for_mystmd(two)) == 1


def test_pages_that_clash_are_noted_until_they_do_not(project):
    project.config('[export]\njupyter_cache = ".jupyter_cache"')
    for folder in ("x", "y"):
        project.write(f"{folder}/data.txt", folder)
        project.notebook(f"{folder}/a.ipynb", "print(open('data.txt').read())", log=False)
    why = (
        "has the same code but other outputs, and jupyter-cache tells notebooks apart by their "
        "code alone; change the code of one, if only by a comment"
    )
    notes = (
        f"note: x/a.ipynb: not exported to jupyter-cache: 'y/a.ipynb' {why}\n"
        f"note: y/a.ipynb: not exported to jupyter-cache: 'x/a.ipynb' {why}\n"
    )
    done = project.nbbuild()
    assert (done.status, notes in done.err) == (0, True)
    done = project.nbbuild()
    assert (done.status, done.err) == (0, notes + MESSAGE)

    # Building one of the two is enough for both.
    project.notebook("y/a.ipynb", "print(open('data.txt').read())  # of y", log=False)
    assert "note: " not in project.nbbuild("y").err
    assert records(project) == ["a.ipynb"]
    done = project.nbbuild()
    assert (done.status, done.err) == (0, MESSAGE)
    assert records(project) == ["a.ipynb", "a.ipynb"]


def test_a_cache_that_cannot_be_written_is_a_problem_of_the_build_and_loses_nothing(two):
    (two.root / ".jupyter_cache/global.db").write_text("no database " * 100)
    two.notebook("a.ipynb", "print('changed')")
    done = two.nbbuild()
    assert (done.status, done.ran) == (3, ["a"])
    assert (
        "error: nothing was exported to jupyter-cache: the jupyter-cache "
        f"'{two.root}/.jupyter_cache' cannot be written\n"
        "  reason: (sqlite3.DatabaseError) file is not a database\n\n"
        "hint: if it is damaged, delete it: nbbuild writes it again without executing\n"
    ) in done.err
    assert len(for_mystmd(two)) == 2
    assert two.nbbuild("--silent").err.startswith("error: nothing was exported")
    (problem,) = two.nbbuild("--json").data["problems"]
    assert problem.startswith("nothing was exported to jupyter-cache")

    shutil.rmtree(two.root / ".jupyter_cache")
    assert two.build() == []
    assert records(two) == ["a.ipynb", "b.ipynb"]


def test_without_jupyter_cache_the_error_says_how_to_get_it(two, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyter_cache", None)
    done = two.nbbuild("export", "jupyter-cache")
    assert done.status == 2
    assert done.err == (
        "error: jupyter-cache is not installed beside nbbuild\n"
        "  reason: import of jupyter_cache halted; None in sys.modules\n\n"
        "hint: `pip install 'nbbuild[jupyter-cache]'`\n"
    )


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("_build/executed/cache", "[project] output"),
        (".nbbuild/store", "[cache] path"),
        (".nbbuild", "[cache] path"),
        (".nbbuild/cache", "nbbuild itself"),
    ],
)
def test_the_cache_lies_in_no_folder_of_nbbuilds(project, path, other):
    project.config(f'[export]\njupyter_cache = "{path}"')
    done = project.nbbuild("status")
    assert (done.status, done.err) == (
        2,
        f"error: 'jupyter_cache' '{path}' and the folder of {other} overlap\n"
        "  in: jcache.toml, [export]\n\nhint: give each a folder of its own\n",
    )
