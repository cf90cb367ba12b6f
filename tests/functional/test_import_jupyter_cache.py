"""`nbbuild import jupyter-cache`: against caches that jupyter-cache wrote; no kernel runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.main import NbArtifacts
from notebook_sources import executed, ipynb, prose

MYST = """\
---
kernelspec:
  name: python3
  display_name: Python 3
---

# A page

```{code-cell} ipython3
:tags: [hide-input]

print("from MyST")
```
"""


SCRIPT = """\
# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %%
print(1)
"""


class Cache:
    """A `.jupyter_cache` beside the project."""

    def __init__(self, project):
        self.path = project.root.parent / ".jupyter_cache"
        self.api = get_cache(self.path)
        self._root = project.root

    def add(self, path, notebook, *, uri=None, seconds=1.5, artefacts=()):
        """Cache an executed notebook as that of `path`, as the executors do."""
        folder = (self._root / path).parent
        self.api.cache_notebook_bundle(
            CacheBundleIn(
                notebook,
                uri or str(self._root / path),
                artifacts=NbArtifacts([folder / name for name in artefacts], in_folder=folder),
                data={"execution_seconds": seconds},
            ),
            check_validity=False,
            overwrite=True,
        )

    def bases(self):
        """Return the files of the cached notebooks."""
        return sorted(self.path.glob("executed/*/base.ipynb"))

    def state(self):
        """Return all that lies in the folder: path → digest and time."""
        return {
            path.relative_to(self.path): (
                hashlib.md5(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
            )
            for path in self.path.rglob("*")
            if path.is_file()
        }


def run(*cells):
    return nbformat.reads(executed(*cells), as_version=4)


@pytest.fixture
def cache(project):
    project.config("")
    return Cache(project)


def fates(done):
    return {one["task"]: one["fate"] for one in done.data}


def test_results_are_taken_and_the_folder_stays_as_it_is(project, cache):
    project.config('[[notebook]]\npath = "sub/a.ipynb"\nartefacts = ["sub/out/*.txt"]\n')
    for name in ("sub/a", "b", "c"):
        project.notebook(f"{name}.ipynb", prose("# Prose"), f"print({name!r})", log=False)
    project.write("sub/out/one.txt", "cached")
    project.write("sub/log.txt", "cached, too")
    artefacts = ["out/one.txt", "log.txt"]
    cache.add("sub/a.ipynb", run(("print('sub/a')", "a!\n")), artefacts=artefacts)
    cache.add("b.ipynb", run(("print('b')", "b!\n")), seconds=float("nan"))
    (project.root / "sub/log.txt").unlink()
    project.write("sub/out/one.txt", "mine, since")
    project.write("c.ipynb", executed(("print('c')", "c!\n")))
    project.nbbuild("cache", "add", "c.ipynb")
    before = cache.state()

    said = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache", "--dry-run", "--json")
    assert fates(said) == {
        "b.ipynb": "imported",
        "c.ipynb": "already cached",
        "sub/a.ipynb": "imported",
    }
    assert project.verdicts()["b.ipynb"] == "run"

    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache")
    assert done.status == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["imported", "b.ipynb"],
        ["already", "cached", "c.ipynb"],
        ["imported", "sub/a.ipynb"],
    ]
    notes = done.err.splitlines()
    assert notes[0] == (
        "note: sub/a.ipynb: its artefact 'sub/log.txt' is not declared, and was left"
    )
    assert notes[1].startswith("note: sub/a.ipynb: kept your copy of 'sub/out/one.txt' in ")
    assert notes[2:] == ["2 imported, 1 already cached"]

    assert project.build() == []
    assert (project.shown("sub/a.ipynb"), project.shown("b.ipynb")) == ("a!\n", "b!\n")
    assert project.read("sub/out/one.txt") == "cached"
    (replaced,) = (project.root / ".nbbuild/replaced").rglob("one.txt.replaced")
    assert replaced.read_text() == "mine, since"
    seconds = {r["task"]: r["seconds"] for r in project.nbbuild("cache", "list", "--json").data}
    assert seconds == {"sub/a.ipynb": 1.5, "b.ipynb": 0.0, "c.ipynb": 0.0}
    assert cache.state() == before


def test_text_is_read_as_those_read_it_who_cached_it(project, cache):
    from myst_nb.core.read import myst_nb_reader_plugin

    project.config('[project]\nnotebooks = ["*.md", "*.py"]\n')
    project.write("page.md", MYST)
    project.write("other.md", MYST.replace("from MyST", "from Jupytext"))
    project.write("script.py", SCRIPT)
    readers = {"page.md": myst_nb_reader_plugin, "other.md": jupytext.read}
    for path in ("page.md", "other.md", "script.py"):
        notebook = readers.get(path, jupytext.read)(str(project.root / path))
        (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code"]
        cell.outputs = [nbformat.v4.new_output("stream", text=f"{path}!\n")]
        cell.execution_count = 1
        cache.add(path, notebook)
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache", "--json")
    assert set(fates(done).values()) == {"imported"}, done.out
    assert set(project.verdicts().values()) == {"fresh"}
    assert project.shown("page.ipynb") == "page.md!\n"


def test_of_two_with_the_same_code_only_the_one_that_ran_takes_it(project, cache):
    for path in ("x/n.ipynb", "y/n.ipynb", "z/n.ipynb"):
        project.notebook(path, "print(open('d.txt').read())", log=False)
    cache.add("y/n.ipynb", run(("print(open('d.txt').read())", "Y\n")), uri="/old/place/y/n.ipynb")
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache", "--json")
    assert fates(done) == {
        "x/n.ipynb": "differs",
        "y/n.ipynb": "imported",
        "z/n.ipynb": "differs",
    }
    assert done.data[0]["reason"] == (
        "other tasks have its code, and what was executed is /old/place/y/n.ipynb"
    )
    # One that has moved since is still known when nothing else has its code.
    project.notebook("moved.ipynb", "print('alone')", log=False)
    cache.add("was.ipynb", run(("print('alone')", "alone\n")))
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache", "--json")
    assert fates(done)["moved.ipynb"] == "imported"


def test_what_is_not_the_tasks_is_not_taken(project, cache):
    project.config('[[notebook]]\npath = "a.ipynb"\nparameters = { n = 1 }\n')
    project.notebook("a.ipynb", "print(1)", log=False)
    project.notebook("b.ipynb", "print(2)", log=False)
    cache.add("a.ipynb", run(("print(1)", "1\n")))
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache")
    assert done.status == 0
    assert done.out.splitlines() == [
        "differs   a.ipynb  first difference: cell 1 (In [1]), "
        "the source has: # Parameters, the notebook has: print(1)",
        "no match  b.ipynb",
    ]
    assert done.err == "1 differs, 1 no match\n"
    assert not project.exists(".nbbuild/store/v2/records")


def test_a_damaged_notebook_costs_only_itself(project, cache):
    for name in ("a", "b", "c"):
        project.notebook(f"{name}.ipynb", f"print({name!r})", log=False)
        cache.add(f"{name}.ipynb", run((f"print({name!r})", "")))
    texts = {path: path.read_text() for path in cache.bases()}
    for path, text in texts.items():
        if "'a'" in text:
            path.unlink()
        if "'b'" in text:
            path.write_text("garbage")
    project.write("d.ipynb", "garbage")
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache", "--json")
    assert done.status == 1
    assert fates(done) == {
        "a.ipynb": "damaged",
        "b.ipynb": "damaged",
        "c.ipynb": "imported",
        "d.ipynb": "failed",
    }
    assert done.data[3]["reason"] == "'d.ipynb' is not valid JSON"
    assert done.data[1]["reason"].startswith("its cached notebook cannot be read: ")


def in_place(path, make):
    """Put something else in the place of a file or folder."""
    path.unlink() if path.is_file() else shutil.rmtree(path)
    make(path)


HOSTILE = {
    "a pipe": lambda home: in_place(home / "base.ipynb", os.mkfifo),
    "a device": lambda home: in_place(
        home / "base.ipynb", lambda path: path.symlink_to("/dev/zero")
    ),
    "a file without end": lambda home: os.truncate(home / "base.ipynb", 1 << 40),
    "a folder of others": lambda home: in_place(
        home / "artifacts", lambda path: path.symlink_to(home.parent.parent.parent / "others")
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_of_a_result_is_damaged(project, cache, name):
    (project.root.parent / "others/data").mkdir(parents=True)
    (project.root.parent / "others/data/x.csv").write_text("private")
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["data/*"]\n')
    project.notebook("a.ipynb", "1", log=False)
    project.write("data/x.csv", "public")
    cache.add("a.ipynb", run(("1", "")), artefacts=["data/x.csv"])
    shutil.rmtree("data")
    (base,) = cache.bases()
    HOSTILE[name](base.parent)

    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache", "--json")

    assert (done.status, fates(done)) == (1, {"a.ipynb": "damaged"})
    assert not project.exists("data")


ENDLESS = (
    "CREATE VIEW more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i FROM n"
)


def test_a_database_that_computes_is_refused(project, cache):
    project.notebook("a.ipynb", "1", log=False)
    assert cache.api.list_cache_records() == []  # makes the database
    with sqlite3.connect(cache.path / "global.db") as connection:
        connection.execute(ENDLESS)
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache")
    assert (done.status, done.out) == (2, "")
    assert "its global.db has views or triggers" in done.err
    os.truncate(cache.path / "global.db", 1 << 40)
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache")
    assert (done.status, done.out) == (2, "")


@pytest.mark.parametrize("seconds", ["1e308", "-5", "9" * 400])
def test_times_that_no_run_takes_are_as_good_as_none(project, cache, seconds):
    project.config("")
    project.notebook("a.ipynb", "1", log=False)
    cache.add("a.ipynb", run(("1", "")))
    with sqlite3.connect(cache.path / "global.db") as connection:
        data = f'{{"execution_seconds": {seconds}}}'
        change = "UPDATE nbcache SET data = ?, created = '0001-01-01 00:00:00.000000'"
        connection.execute(change, (data,))
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache", "--json")
    assert (done.status, fates(done)) == (0, {"a.ipynb": "imported"})


def test_what_is_no_jupyter_cache_is_told_and_made_to_none(project, cache):
    project.notebook("a.ipynb", "1", log=False)

    def refused(path):
        done = project.nbbuild("import", "jupyter-cache", path)
        assert (done.status, done.out) == (2, "")
        return done.err

    assert refused("nothing") == (
        "error: there is no jupyter-cache in 'nothing'\n"
        "  reason: it is not a folder\n\n"
        "hint: its folder is `.jupyter_cache` by default; a Jupyter Book has it in `_build`\n"
    )
    Path("empty").mkdir()
    assert "  reason: it has no global.db\n" in refused("empty")
    Path("bad").mkdir()
    project.write("bad/global.db", "garbage" * 100)
    assert refused("bad") == (
        "error: the jupyter-cache in 'bad' cannot be read\n"
        "  reason: file is not a database\n\n"
        "hint: is its global.db damaged? `jcache project clear` begins a new one\n"
    )
    Path("old").mkdir()
    with sqlite3.connect("old/global.db") as connection:
        connection.execute("CREATE TABLE something (pk INTEGER)")
    assert "the jupyter-cache in 'old' cannot be read" in refused("old")
    assert not Path("nothing").exists()
    assert [path.name for path in Path("empty").iterdir()] == []
    assert sorted(path.name for path in Path("bad").iterdir()) == ["global.db"]
    # An empty one is one.
    assert cache.api.list_cache_records() == []
    assert project.nbbuild("import", "jupyter-cache", "../.jupyter_cache").err == "1 no match\n"


def test_without_jupyter_cache_the_command_says_how_to_get_it(project, cache, monkeypatch):
    project.notebook("a.ipynb", "1", log=False)
    monkeypatch.setattr("nbbuild.bridges.jupyter_cache_folder.find_spec", lambda name: None)
    done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache")
    assert (done.status, done.err) == (
        2,
        "error: jupyter-cache is not installed, and reads its own folders\n\n"
        "hint: pip install 'nbbuild[jupyter-cache]'\n",
    )


def test_a_task_whose_artefacts_are_nowhere_is_told_before_anything_is_written(project, cache):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["out.txt"]\n')
    project.write("a.ipynb", ipynb(["print(1)"]))
    cache.add("a.ipynb", run(("print(1)", "1\n")))
    for words in (("--dry-run",), ()):
        done = project.nbbuild("import", "jupyter-cache", "../.jupyter_cache", "--json", *words)
        assert (done.status, fates(done)) == (1, {"a.ipynb": "failed"})
        assert done.data[0]["reason"] == ("no file matches 'out.txt', which 'a.ipynb' is to write")
