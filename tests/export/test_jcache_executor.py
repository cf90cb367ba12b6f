"""`jcache project execute -e nbbuild`: the real command, with our kernels."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml
from jupyter_cache import get_cache
from notebook_sources import code, ipynb

pytestmark = pytest.mark.slow

JCACHE = Path(sysconfig.get_path("scripts")) / "jcache"

# Each waits for the other: in turn they would not end.
MEET = """\
import pathlib, time
pathlib.Path("{mine}").touch()
while not pathlib.Path("{other}").exists():
    time.sleep(0.01)
print("met {other}")
"""


class Jcache:
    """A folder with a jupyter-cache, and the command in it."""

    def __init__(self, folder):
        self.folder = folder
        self.cache = get_cache(folder / ".jupyter_cache")
        self.cache.get_cache_limit()  # which makes it, so that the command does not ask

    def __call__(self, *words, status=0):
        done = subprocess.run(
            [str(JCACHE), *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done

    def notebook(self, name, *cells, **more):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(ipynb(cells, **more))

    def execute(self, *words, executor="nbbuild"):
        """Execute the project; return kind of result → names of notebooks."""
        done = self("project", "execute", "-e", executor, *words)
        found = yaml.safe_load(done.stdout.partition("cached.\n")[2])
        return {
            kind: [str(Path(uri).relative_to(self.folder)) for uri in uris]
            for kind, uris in found.items()
        }

    def outputs(self, name):
        """Return the texts that the cache has for a notebook."""
        notebook = self.cache.get_project_notebook(str(self.folder / name)).nb
        _, merged = self.cache.merge_match_into_notebook(notebook)
        return [output["text"] for cell in merged.cells for output in cell.get("outputs", [])]

    def traceback(self, name):
        return self.cache.get_project_record(str(self.folder / name)).traceback


@pytest.fixture
def jcache(tmp_path):
    return Jcache(tmp_path)


def test_notebooks_run_at_once_and_each_result_is_kept(jcache):
    for mine, other in (("a", "b"), ("b", "a")):
        jcache.notebook(f"{mine}.ipynb", MEET.format(mine=mine, other=other))
    # Metadata of cells is part of jupyter-cache's key, timings too.
    timed = code("print('timed')")
    timed["metadata"] = {"execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"}}
    jcache.notebook("timed.ipynb", timed, "", code("print('no')", tags=["skip-execution"]))
    jcache("notebook", "add", "a.ipynb", "b.ipynb", "timed.ipynb")
    assert jcache.execute() == {
        "succeeded": ["a.ipynb", "b.ipynb", "timed.ipynb"],
        "excepted": [],
        "errored": [],
    }
    assert jcache.outputs("a.ipynb") == ["met b\n"]
    assert jcache.outputs("b.ipynb") == ["met a\n"]
    assert jcache.outputs("timed.ipynb") == ["timed\n"]
    assert jcache.execute() == {"succeeded": [], "excepted": [], "errored": []}
    (jcache.folder / "a").unlink()
    (jcache.folder / "b").unlink()
    assert jcache.execute("--force")["succeeded"] == ["a.ipynb", "b.ipynb", "timed.ipynb"]


def test_failures_are_told_apart_and_leave_a_traceback(jcache):
    jcache.notebook("error.ipynb", "1/0")
    jcache.notebook("died.ipynb", "import os; os._exit(3)")
    late = {"execution": {"timeout": 1}}
    jcache.notebook("late.ipynb", "import threading; threading.Event().wait()", metadata=late)
    jcache.notebook("allowed.ipynb", "1/0", metadata={"execution": {"allow_errors": True}})
    jcache.notebook("unknown.ipynb", "1", kernel="no-such-kernel")
    jcache.notebook("gone.ipynb", "2")
    names = [path.name for path in sorted(jcache.folder.glob("*.ipynb"))]
    jcache("notebook", "add", *names)
    found = jcache.execute()
    assert found == {
        "succeeded": ["allowed.ipynb", "gone.ipynb"],
        "excepted": ["died.ipynb", "error.ipynb", "late.ipynb"],
        "errored": ["unknown.ipynb"],
    }
    lines = jcache.traceback("error.ipynb").splitlines()
    assert (lines[-3:-1], lines[-1]) == (["----> 1 1/0", ""], "ZeroDivisionError: division by zero")
    assert jcache.traceback("died.ipynb") == "the kernel died in cell 1 (In [1]): exit status 3"
    assert jcache.traceback("late.ipynb").startswith(
        "cell 1 (In [1]) ran longer than its limit of 1 s"
    )
    assert jcache.traceback("unknown.ipynb").startswith("there is no kernel 'no-such-kernel'")

    # With --force jupyter-cache itself does not look at the files before it hands them over.
    (jcache.folder / "gone.ipynb").unlink()
    jcache.notebook("error.ipynb", "1/1")
    again = jcache("notebook", "execute", "-e", "nbbuild", "error.ipynb", "gone.ipynb")
    assert "succeeded:\n- " in again.stdout and "errored:\n- " in again.stdout
    assert not jcache.traceback("error.ipynb")


def test_the_temporary_folder_holds_the_assets_and_nothing_else(jcache):
    jcache.notebook("deep/a.ipynb", "import os\nprint(sorted(os.listdir()), os.listdir('data'))")
    (jcache.folder / "deep/data").mkdir()
    for name in ("data/asset.txt", "other.txt"):
        (jcache.folder / "deep" / name).touch()
    jcache("notebook", "add-with-assets", "-nb", "deep/a.ipynb", "deep/data/asset.txt")
    assert jcache.execute(executor="nbbuild-temp")["succeeded"] == ["deep/a.ipynb"]
    assert jcache.outputs("deep/a.ipynb") == ["['data'] ['asset.txt']\n"]
    assert jcache.execute("--force")["succeeded"] == ["deep/a.ipynb"]
    assert jcache.outputs("deep/a.ipynb") == ["['a.ipynb', 'data', 'other.txt'] ['asset.txt']\n"]
