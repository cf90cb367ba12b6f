"""`metadata.nbbuild` of built notebooks: which result they hold, the same for equal runs."""

import json
import re

import pytest
from notebook_sources import executed

from nbbuild.version import __version__

CLAIM = {"nbbuild": {"key": "forged", "result": "forged"}, "title": "kept"}


@pytest.fixture
def project(project, monkeypatch):
    monkeypatch.setenv("NBBUILD_CACHE", str(project.root.parent / "store"))
    project.config('[environment]\npackages = ["msgspec"]\n')
    return project


def said(project, path="a.ipynb"):
    return project.built(path)["metadata"].get("nbbuild")


def test_a_built_notebook_says_what_it_holds_and_another_clone_restores_the_same_bytes(
    project, project_class, monkeypatch
):
    project.notebook("a.ipynb", "import click\nprint(1)", metadata=CLAIM)
    assert project.build() == ["a"]
    record = project.nbbuild("show", "--json", "a.ipynb").data["record"]
    key = record["key"]["digest"]
    built = said(project)
    assert sorted(built.pop("packages")) == ["click", "msgspec"]
    assert built == {"key": key, "result": record["cells"], "version": __version__}
    assert project.built("a.ipynb")["metadata"]["title"] == "kept"

    text = project.nbbuild("show", "a.ipynb").out
    assert re.search(r"^  result: executed here, \S+ \S+, in \d.*$", text, re.MULTILINE)
    assert f"  record: {record['id']}\n  key: {key}\n" in text
    assert re.search(r"^  packages: click [\d.]+, msgspec [\d.]+$", text, re.MULTILINE)

    # An equal run has another record, and gives the same bytes.
    bytes_then = project.read("_build/executed/a.ipynb")
    assert project.build("-B") == ["a"]
    assert project.read("_build/executed/a.ipynb") == bytes_then

    clone = project_class(project.root.parent / "deeper" / "down" / "clone", project.environ)
    clone.write("jcache.toml", project.read("jcache.toml"))
    clone.write("a.ipynb", project.read("a.ipynb"))
    monkeypatch.chdir(clone.root)
    assert clone.build() == []
    assert clone.read("_build/executed/a.ipynb") == bytes_then
    text = clone.nbbuild("show", "a.ipynb").out
    assert re.search(r"^  result: restored from the local cache; executed \S+ \S+, in ", text, re.M)


def test_what_is_not_in_the_cache_claims_no_result(project):
    project.config('[[notebook]]\npath = "a.ipynb"\ncache = false\n')
    project.notebook("a.ipynb", "print(1)", metadata=CLAIM)
    project.notebook("b.ipynb", "print(1)\n1 / 0", metadata=CLAIM)
    assert project.build(status=1) == ["a", "b"]
    assert said(project) == {"cached": False, "version": __version__}
    partial = json.loads(project.read(".nbbuild/failed/b.ipynb.failed"))
    assert partial["metadata"]["nbbuild"] == {"cached": False, "version": __version__}


def test_what_no_run_of_ours_made_is_said_to_be_accepted(project):
    project.config('[project]\nnotebooks = ["a.ipynb"]\n')
    project.notebook("a.ipynb", "print(1)", log=False)
    elsewhere = json.loads(executed(("print(1)", "1, elsewhere\n")))
    elsewhere["metadata"].update(CLAIM)
    project.write("run.ipynb", json.dumps(elsewhere))
    assert project.nbbuild("cache", "add", "run.ipynb", "--target", "a.ipynb").status == 0
    built = said(project)
    assert built["accepted"] is True
    assert built["key"] != "forged" != built["result"]
    text = project.nbbuild("show", "a.ipynb").out
    assert "\n  result: accepted without a run of nbbuild's, " in text
    project.nbbuild("merge", "a.ipynb", "out.ipynb")
    assert json.loads(project.read("out.ipynb"))["metadata"]["nbbuild"] == built
