"""Watched or not, a notebook shows and makes the same, byte for byte."""

import json
import re
import shutil
from pathlib import Path

import pytest

import nbbuild
from nbbuild.kernels import ways
from nbbuild.model import OutcomeKind, Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
MADE = {"quickstart": ("build", "figures"), "book": ("data",)}


def without_packages(path):
    """Return what a file holds, of a built notebook without the packages that it is said to use."""
    if path.suffix != ".ipynb":
        return path.read_bytes()
    notebook = json.loads(path.read_bytes())
    notebook["metadata"].get("nbbuild", {}).pop("packages", None)
    return notebook


def files(root):
    """Return every file of a project by path, with its content.

    But for nbbuild's own, and the database of a jupyter-cache, which holds times.
    """
    return {
        str(path.relative_to(root)): without_packages(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".nbbuild" not in path.parts and path.name != "global.db"
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quickstart", "book"])
def test_the_examples_come_out_the_same(name, tmp_path):
    results = []
    for trace in (True, False):
        made = shutil.ignore_patterns("_build", ".nbbuild", "__pycache__", *MADE[name])
        copy = tmp_path / "copy"
        shutil.copytree(EXAMPLES / name, copy, ignore=made)
        with nbbuild.open_session(copy, overrides=Settings(trace=trace)) as session:
            report = nbbuild.build(session, jobs=2)
            levels = {
                session.runs.last(session.graph.tasks[one.task])[1].trace.level
                for one in report.outcomes
            }
        assert {one.kind for one in report.outcomes} == {OutcomeKind.EXECUTED}
        watched = "python" if ways.unseen() else "syscalls"
        assert levels == {watched if trace else "none"}
        results.append(files(copy))
        copy.rename(tmp_path / str(trace))
    watched, unwatched = results
    assert sorted(watched) == sorted(unwatched)
    assert [path for path in watched if watched[path] != unwatched[path]] == []
    assert len([path for path in watched if path.startswith("_build/executed/")]) >= 3


def test_a_notebook_that_looks_around_sees_no_difference(project):
    project.notebook(
        "a.ipynb",
        "import builtins, io, json, sys, threading",
        "print(sorted(globals()), sorted(vars(builtins)))",
        "print(sorted(sys.modules), sys.meta_path, sys.path_hooks, sys.path)",
        "print(sorted(set(os.environ)), len(threading.enumerate()), sys.getprofile())",
        "print(os.stat, os.lstat, os.listdir, open, io.open, repr(os.path.exists)[:16])",
        "print(get_ipython().execution_count, In, Out)",
        "%whos",
        "try:\n    os.stat('missing')\nexcept OSError as e:\n"
        "    import traceback; print(traceback.format_exc())",
        "!{sys.executable} -c 'import os, sys; print(sys.path, sorted(os.environ))'",
    )
    shown = {}
    for trace in ("true", "false"):
        project.config(f"[execution]\ntrace = {trace}")
        assert project.nbbuild("-B").ran == ["a"]
        shown[trace] = project.shown("a.ipynb")
    for place in shown["true"].splitlines():
        assert "nbbuild-" not in place, place
    assert without_addresses(shown["true"]) == without_addresses(shown["false"])


def without_addresses(text):
    """Return `text` with the lines apart, and what differs from process to process left out."""
    return re.sub(r"0x[0-9a-f]+|ipykernel_\d+/\d+", "…", text).splitlines()
