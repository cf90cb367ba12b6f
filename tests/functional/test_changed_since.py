"""`--changed-since`: what a diff can touch is built, and never less than that."""

import subprocess

import pytest


@pytest.fixture
def book(project, monkeypatch):
    """A committed project of which everything is built."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    project.config(
        """
[[notebook]]
path = "clean.ipynb"
assets = ["data/*.csv"]
artefacts = ["out/clean.txt"]

[[notebook]]
path = "report.ipynb"
assets = ["out/clean.txt"]
"""
    )
    project.write("data/a.csv", "1")
    project.write("notes.txt", "n")
    project.write("helper.py", "VALUE = 1\n")
    project.write(".gitignore", ".nbbuild\n_build\nout\n")
    project.notebook("clean.ipynb", "import os; os.makedirs('out', exist_ok=True)\n"
                     "open('out/clean.txt', 'w').write(open('data/a.csv').read())")  # fmt: skip
    project.notebook("report.ipynb", "print(open('out/clean.txt').read())")
    project.notebook("helped.ipynb", "import helper; print(helper.VALUE)")
    project.notebook(
        "looking.ipynb",
        "import os, glob\nprint(os.path.exists('maybe.txt'), sorted(glob.glob('extra/*.txt')))",
    )
    project.notebook("listing.ipynb", "import os\nprint(os.listdir('data'))")
    git(project, "init", "-q", "-b", "main")
    commit(project)
    project.nbbuild()
    return project


def git(project, *words):
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", *who, *words], cwd=project.root, check=True, capture_output=True)


def commit(project):
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "x")


def touched(project, *words):
    """Return which tasks would be built, and bring nothing up to date."""
    done = project.nbbuild("-n", "--json", "--changed-since", "HEAD", *words)
    assert done.status == 0, done.err
    return [one["task"].removesuffix(".ipynb") for one in done.data]


EVERYTHING = ["clean", "helped", "listing", "looking", "report"]


def test_each_change_touches_what_declared_used_or_looked_for_it(book):
    assert touched(book) == []
    root = book.root

    def after(path, text):
        """Return what is touched once `path` has this text, None: is gone; then undo it."""
        place = root / path
        before = place.read_bytes() if place.exists() else None
        if text is None:
            place.unlink()
        else:
            book.write(path, text)
        found = touched(book)
        # All was up to date at HEAD, so what is not any more was touched.
        stale = {name for name, verdict in book.verdicts().items() if verdict != "fresh"}
        assert {name.removesuffix(".ipynb") for name in stale} <= {*found}
        if before is None:
            place.unlink()
            if place.parent != root and not any(place.parent.iterdir()):
                place.parent.rmdir()
        else:
            place.write_bytes(before)
        return sorted(found)

    assert after("notes.txt", "changed") == []
    assert after("unrelated/new.txt", "") == []
    assert after("helper.py", "VALUE = 2\n") == ["helped"]
    assert after("helper.py", None) == ["helped"]
    assert after("helper/__init__.py", "VALUE = 3\n") == ["helped"]
    assert after("data/a.csv", "2") == ["clean", "report"]
    assert after("data/b.csv", "2") == ["clean", "listing", "report"]
    assert after("maybe.txt", "") == ["looking"]
    assert after("extra/one.txt", "") == ["looking"]
    assert after("extra/one.csv", "") == ["looking"]  # the folder itself is new
    assert after("jcache.toml", (root / "jcache.toml").read_text() + "\n") == EVERYTHING
    source = book.read("helped.ipynb")
    assert after("helped.ipynb", source.replace("VALUE", "VALUE + 1")) == ["helped"]
    assert after("helped.py", "# %%\n1") == ["helped"]  # may pair with it
    assert touched(book) == []


def test_only_that_is_built_and_with_targets_only_what_both_mean(book):
    book.write("helper.py", "VALUE = 2\n")
    book.write("data/a.csv", "2")
    book.notebook("new.ipynb", "1")
    assert sorted(touched(book)) == ["clean", "helped", "new", "report"]
    assert touched(book, "helped.ipynb", "looking.ipynb") == ["helped"]
    done = book.nbbuild("--changed-since", "HEAD", "report.ipynb")
    assert sorted(done.ran) == ["clean", "report"]
    assert done.err.startswith("note: what changed since 'HEAD' can touch 1 of 6 notebooks\n")
    assert book.nbbuild("-q", "--changed-since", "HEAD", "helped.ipynb").status == 1
    assert book.build("--changed-since", "HEAD") == ["helped", "new"]
    # What was chosen is up to date; that says nothing of the rest.
    book.nbbuild("--changed-since", "HEAD")
    book.notebook("listing.ipynb", "2")
    assert book.build() == ["listing"]


def test_nothing_is_touched(book):
    done = book.nbbuild("--changed-since", "HEAD", "--json")
    assert (done.status, done.ran, done.data["outcomes"]) == (0, [], [])
    assert done.err == "nothing to do: what changed since 'HEAD' touches no notebook\n"
    assert book.nbbuild("-q", "--changed-since", "HEAD").status == 0


def test_a_change_touches_what_is_already_built_with_it(book):
    book.write("helper.py", "VALUE = 2\n")
    commit(book)
    book.nbbuild()
    assert touched(book) == []
    done = book.nbbuild("-n", "--json", "--changed-since", "HEAD~1")
    assert [(one["task"], one["verdict"]) for one in done.data] == [("helped.ipynb", "fresh")]


def test_a_result_of_other_files_shows_nothing(book):
    """The last run was made on another branch, and read less than one would here."""
    git(book, "switch", "-q", "-c", "other")
    book.write("helper.py", "VALUE = 0\n")
    commit(book)
    book.nbbuild()
    git(book, "switch", "-q", "main")
    assert touched(book) == ["helped"]


def test_a_clone_with_the_store_alone_knows_as_much(book):
    for path in ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm"):
        (book.root / ".nbbuild" / path).unlink(missing_ok=True)
    assert touched(book) == []
    book.write("helper.py", "VALUE = 2\n")
    assert touched(book) == ["helped"]


def test_a_notebook_without_a_result_counts_as_touched(book):
    book.notebook("helped.ipynb", "1 / 0")
    commit(book)
    book.nbbuild()
    book.nbbuild("cache", "clear", "--force")
    assert sorted(touched(book, "helped.ipynb", "listing.ipynb")) == ["helped", "listing"]


def test_results_that_git_does_not_ignore_are_no_change(book):
    book.write(".gitignore", ".nbbuild\n")
    commit(book)
    git(book, "rm", "-q", "-r", "--cached", "--ignore-unmatch", "out", "_build")
    git(book, "commit", "-q", "--allow-empty", "-m", "x")
    assert touched(book) == []
    book.write("out/clean.txt", "by hand")
    assert touched(book) == ["clean", "report"]


def test_an_unknown_commit(book):
    done = book.nbbuild("--changed-since", "nothing")
    assert done.status == 2
    assert done.err.startswith("error: git knows no commit 'nothing'\n")
