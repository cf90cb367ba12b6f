"""What nbbuild keeps for its user is no page to other tools, and can be opened all the same."""

import json
import sys

from nbbuild.cli._viewer import VIEWER

PAGES = (".ipynb", ".md", ".py", ".rst", ".txt", ".Rmd", ".qmd")
VIEW = """
import json, sys
print("seen:", sys.argv[1], [c["cell_type"] for c in json.load(open(sys.argv[1]))["cells"]])
"""


def pages(project):
    return [p for p in (project.root / ".nbbuild").rglob("*") if p.name.endswith(PAGES)]


def test_a_partial_notebook_is_no_page_and_opens_as_a_notebook(project, monkeypatch, capfd):
    viewer = project.write("../view.py", VIEW)
    monkeypatch.setenv(VIEWER, f"{sys.executable} '{viewer}'")
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["o.txt"]')
    project.notebook("a.ipynb", "open('o.txt', 'w').write('x')", "flag = open('flag').read()")
    project.write("flag", "1")
    assert project.build() == ["a"]
    project.write("o.txt", "mine")
    project.write(".nbbuild/failed/a.ipynb", "of an earlier version")
    (project.root / "flag").unlink()
    assert project.build(status=1) == ["a"]
    assert pages(project) == []

    # The line that the build prints, followed to the letter.
    done = project.nbbuild("-B")
    (line,) = [one for one in done.err.splitlines() if one.startswith("    to look at it: ")]
    done = project.nbbuild(*line.partition("nbbuild ")[2].split())
    assert done.status == 0, done.err
    copy = done.err.removeprefix("opened a copy: ").strip()
    assert copy.endswith("/a.ipynb")
    assert f"seen: {copy} ['code', 'code', 'code']" in capfd.readouterr().out
    assert json.loads(project.read(".nbbuild/failed/a.ipynb.failed"))["cells"]

    project.write("flag", "2")
    assert project.build() == ["a"]
    assert project.nbbuild("show", "--open", "a.ipynb").status == 0
    assert "a.ipynb ['code', 'code', 'code']" in capfd.readouterr().out
    assert pages(project) == []

    monkeypatch.setenv(VIEWER, "/nowhere/viewer")
    done = project.nbbuild("show", "--open", "a.ipynb")
    assert done.status == 2
    assert "  reason: No such file or directory\n\n" in done.err
    assert done.err.endswith(f"{VIEWER}='jupyter lab'\n")


def test_git_ignores_what_a_build_makes_and_clean_takes_it_away(project):
    project.config("")
    project.notebook("a.ipynb")
    project.build()
    for folder in ("_build/executed", ".nbbuild"):
        assert project.read(f"{folder}/.gitignore") == "*\n"
    assert project.nbbuild("clean").err == "1 file removed\n" or not project.exists("_build")
    assert not project.exists("_build")

    # A file of the user's own stays as it is, and so does a folder that was there.
    project.write("_build/executed/.gitignore", "mine\n")
    project.build()
    project.nbbuild("clean")
    assert project.read("_build/executed/.gitignore") == "mine\n"
