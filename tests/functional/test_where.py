"""A command in any folder of a project: what words mean there, and which paths are printed."""

import subprocess
import sys

import pytest
from notebook_sources import ipynb

from nbbuild.building import last_good
from nbbuild.disk import digests

CONFIG = """
[project]
notebooks = ["**/*.ipynb"]
exclude = ["drafts/*.ipynb"]

[[notebook]]
path = "chapters/one.ipynb"
artefacts = ["chapters/one.txt"]

[[notebook]]
path = "chapters/two.ipynb"
name = "model"
groups = ["slow"]

[[notebook]]
path = "chapters/two.ipynb"
matrix = { size = [1, 2] }
"""


@pytest.fixture
def book(project):
    """A project of notebooks in folders."""
    for path in ("one", "chapters/one", "chapters/two", "chapters/deep/three", "drafts/one"):
        project.write(f"{path}.ipynb", ipynb(["1"]))
    project.write("data/table.csv", "1")
    project.config(CONFIG)
    return project


ALL = [
    "chapters/deep/three.ipynb",
    "chapters/one.ipynb",
    "model",
    "two-size-1",
    "two-size-2",
    "one.ipynb",
]


def meant(project, *words):
    done = project.nbbuild("list", "--json", *words)
    assert done.status == 0, done.err
    return sorted(one["task"] for one in done.data)


def refused(project, *words):
    done = project.nbbuild(*words)
    assert (done.status, done.out) == (2, "")
    return done.err


def test_a_word_is_seen_from_the_current_folder(book, monkeypatch):
    monkeypatch.chdir(book.root / "chapters")
    assert meant(book) == sorted(ALL)
    assert meant(book, "one.ipynb") == meant(book, "./one.ipynb") == ["chapters/one.ipynb"]
    assert meant(book, "../one.ipynb") == ["one.ipynb"]
    assert meant(book, "deep") == meant(book, "deep/") == ["chapters/deep/three.ipynb"]
    assert meant(book, "d*/*.ipynb") == ["chapters/deep/three.ipynb"]
    assert meant(book, ".") == meant(book, "**") == sorted(ALL[:-1])
    assert meant(book, "..") == sorted(ALL)
    assert meant(book, "one.txt") == ["chapters/one.ipynb"]
    assert meant(book, str(book.root / "one.ipynb")) == ["one.ipynb"]
    assert meant(book, "../_build/executed/one.ipynb") == ["one.ipynb"]


def test_names_are_the_same_in_all_folders(book, monkeypatch):
    monkeypatch.chdir(book.root / "chapters/deep")
    assert meant(book, "model") == meant(book, "slow") == ["model"]
    assert meant(book, "two-*") == ["two-size-1", "two-size-2"]
    # The name of most tasks is the path of their notebook from the root.
    assert meant(book, "chapters/one.ipynb") == ["chapters/one.ipynb"]
    assert meant(book, "one.ipynb") == ["one.ipynb"]
    assert refused(book, "list", "./model") == (
        f"error: there is no notebook, task, artefact or group './model'\n"
        f"  project: {book.root}/jcache.toml\n\nhint: did you mean 'model'?\n"
    )


def test_what_is_called_like_a_verb_can_be_reached(project):
    for path in ("help/a.ipynb", "build.ipynb", "x.ipynb"):
        project.write(path, ipynb(["1"]))
    project.config('[[notebook]]\npath = "x.ipynb"\ngroups = ["status"]\n')

    def planned(*words):
        return [one["task"] for one in project.nbbuild("-n", "--json", *words).data]

    assert (
        planned("./help") == planned("build", "help") == planned("--", "help") == ["help/a.ipynb"]
    )
    assert planned("./build.ipynb") == planned("build.ipynb") == ["build.ipynb"]
    assert planned("build", "status") == ["x.ipynb"]


def test_what_lies_here_is_never_mistaken_for_something_at_the_root(book, monkeypatch):
    monkeypatch.chdir(book.root / "drafts")
    assert "no notebook, task, artefact or group 'one.ipynb'" in refused(book, "list", "one.ipynb")
    assert "no notebook, task, artefact or group '*.ipynb'" in refused(book, "list", "*.ipynb")
    monkeypatch.chdir(book.root / "data")
    assert meant(book, "one.ipynb") == ["one.ipynb"]
    assert refused(book, "status", "../../elsewhere.ipynb") == (
        "error: '../../elsewhere.ipynb' lies outside the project\n"
        f"  project: {book.root}/jcache.toml\n\n"
        "hint: -C FOLDER or -f FILE chooses another project\n"
    )
    assert "'/usr/x.ipynb' lies outside the project" in refused(book, "-n", "/usr/x.ipynb")
    assert refused(book, "status", "../chapters/on.ipynb").endswith(
        "hint: did you mean '../chapters/one.ipynb'?\n"
    )


def test_folder_and_file_choose_another_place(book, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert meant(book, "-C", "project/chapters", "one.ipynb") == ["chapters/one.ipynb"]
    assert meant(book, "-f", "project/jcache.toml", "project/chapters/one.ipynb") == [
        "chapters/one.ipynb"
    ]
    assert meant(book, "-f", "project/jcache.toml", "chapters/one.ipynb") == ["chapters/one.ipynb"]
    assert meant(book, "-C", "project/chapters", "-f", "../jcache.toml", "one.ipynb") == [
        "chapters/one.ipynb"
    ]
    (tmp_path / "link").symlink_to(book.root / "chapters")
    monkeypatch.chdir(tmp_path / "link")
    assert meant(book, "one.ipynb") == ["chapters/one.ipynb"]
    assert meant(book, str(tmp_path / "link/one.ipynb")) == ["chapters/one.ipynb"]
    # The nearest one counts.
    book.write("chapters/deep/jcache.toml", '[project]\nnotebooks = ["*.ipynb"]\n')
    monkeypatch.chdir(book.root / "chapters/deep")
    assert meant(book) == ["three.ipynb"]


def test_paths_are_printed_as_they_are_typed(project, monkeypatch):
    project.config(
        '[project]\nnotebooks = ["**/*.ipynb"]\n\n[[notebook]]\n'
        'path = "part/good.ipynb"\nartefacts = ["part/made.txt"]\nassets = ["data.csv"]\n\n'
        '[[notebook]]\npath = "part/bad.ipynb"\nname = "broken"\n'
    )
    project.write("data.csv", "1")
    project.notebook("part/good.ipynb", "open('made.txt', 'w').write('x')")
    project.notebook("part/bad.ipynb", "1 / 0")
    monkeypatch.chdir(project.root / "part")
    done = project.nbbuild("-s")
    assert done.status == 1
    lines = done.err.splitlines()
    assert lines[0].startswith("failed broken (bad.ipynb) after ")
    where = next(line for line in lines if "as far as it went" in line)
    assert (project.root / "part" / where.split(": ")[1]).is_file()
    # A suggestion works where it is printed.
    assert next(line for line in lines if "to look at it" in line).endswith("--open broken")
    assert project.nbbuild("show", "broken").status == 0

    shown = project.nbbuild("show", "good.ipynb").out
    assert shown.startswith("part/good.ipynb: executed")
    assert "  built notebook: ../_build/executed/part/good.ipynb\n" in shown
    assert "  artefact: made.txt (1 bytes)\n" in shown
    assert "  asset: ../data.csv\n" in shown
    assert project.nbbuild("show", "made.txt").out == shown
    assert project.nbbuild("cache", "cat", "good.ipynb", "made.txt").out == "x"
    assert project.nbbuild("cache", "cat", "good.ipynb", "part/made.txt").out == "x"

    listed = project.nbbuild("list", "bad.ipynb").out
    assert listed.splitlines()[1].split()[:2] == ["broken", "bad.ipynb"]
    assert project.nbbuild("graph", "good.ipynb").out == "part/good.ipynb\n"
    assert project.nbbuild("explain", "good.ipynb").out == "part/good.ipynb is up to date\n"
    assert project.nbbuild("diff", "good.ipynb").status == 0
    assert project.nbbuild("merge", "good.ipynb", "copy.ipynb").err == "wrote copy.ipynb\n"
    assert (project.root / "part/copy.ipynb").is_file()
    (project.root / "part/copy.ipynb").unlink()
    assert project.nbbuild("invalidate", "good.ipynb").status == 0
    assert project.nbbuild("clean", "good.ipynb").out == (
        "removed  ../_build/executed/part/good.ipynb\nremoved  made.txt\n"
    )


def test_nothing_to_do_is_said_at_once_in_all_folders(project, monkeypatch):
    monkeypatch.setattr(digests, "SETTLED_NS", -(10**12))
    monkeypatch.setattr(last_good, "SETTLED_NS", -(10**12))
    project.config('[project]\nnotebooks = ["**/*.ipynb"]\nexclude = ["sub/other/*.ipynb"]\n')
    project.notebook("sub/a.ipynb")
    project.notebook("a.ipynb")
    (project.root / "sub/other").mkdir()
    assert project.build() == ["a", "sub/a"]
    whole = "nothing to do: 2 notebooks are up to date\n"
    one = "nothing to do: 1 notebook is up to date\n"

    def quick(*words, folder="sub"):
        done = subprocess.run(
            [sys.executable, "-c", QUICK, *words],
            cwd=project.root / folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip(), done.stderr

    # Everything is the same everywhere; a word is not.
    assert project.nbbuild().err == whole
    for folder in (".", "sub", "sub/other"):
        assert quick(folder=folder) == ("0", whole)
    assert quick("-C", "../sub/other") == ("0", whole)
    monkeypatch.chdir(project.root / "sub")
    assert project.nbbuild("a.ipynb").err == one
    assert quick("a.ipynb") == ("0", one)
    assert quick("a.ipynb", folder="sub/other") == ("None", "")
    assert quick("a.ipynb", folder=".") == ("None", "")
    assert quick("-C", "sub", "a.ipynb", folder=".") == ("0", one)
    assert quick("-f", "../jcache.toml", "a.ipynb") == ("0", one)

    # In a folder that had no such file, the word meant the one at the root, and now it does not.
    monkeypatch.chdir(project.root / "sub/other")
    assert project.nbbuild("a.ipynb").err == one
    assert quick("a.ipynb", folder="sub/other") == ("0", one)
    project.write("sub/other/a.ipynb", ipynb([]))
    assert quick("a.ipynb", folder="sub/other") == ("None", "")
    assert refused(project, "a.ipynb").startswith("error: there is no notebook")

    # A nearer jcache.toml is another project.
    project.write("sub/jcache.toml", '[project]\nnotebooks = ["*.ipynb"]\n')
    assert quick() == ("None", "")


QUICK = """
import sys
from nbbuild.quick import uptodate
print(uptodate.answer(sys.argv[1:]))
heavy = {"click", "msgspec", "doit", "nbbuild.config", "nbbuild.session"}
assert not heavy & set(sys.modules)
"""
