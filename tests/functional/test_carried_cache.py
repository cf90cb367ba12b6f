"""Results travel in one file: into a fresh clone in another folder, where nothing executes."""

import io
import shutil

from nbbuild.cli._progress import progress


def clone(project, name):
    """Return a copy of the project's own files in another folder."""
    made = shutil.ignore_patterns("_build", ".nbbuild", "__pycache__", "made.txt")
    return shutil.copytree(project.root, project.root.parent / name / "book", ignore=made)


def test_a_fresh_clone_executes_nothing_after_an_import(project):
    project.config(
        '[[notebook]]\npath = "first.ipynb"\nartefacts = ["made.txt"]\n'
        '[[notebook]]\npath = "second.ipynb"\nassets = ["made.txt"]\n'
    )
    project.write("helper.py", "VALUE = 3\n")
    project.notebook("first.ipynb", "import helper", "open('made.txt', 'w').write('made')")
    project.notebook("second.ipynb", "print(open('made.txt').read())")
    project.notebook("third.ipynb", "open('data.txt').read()")
    project.write("data.txt", "data")
    before = project.nbbuild("cache", "export", "before.tar.gz")
    assert before.status == 0
    assert before.err.startswith("wrote before.tar.gz: 0 records and 0 blobs, ")

    assert project.build() == ["first", "second", "third"]
    # What failed since is carried as it was when it was good.
    project.notebook("third.ipynb", "1 / 0")
    assert project.build(status=1) == ["third"]
    project.notebook("third.ipynb", "open('data.txt').read()")

    done = project.nbbuild("cache", "export", "cache.tar.gz", "--json")
    assert (done.status, done.err) == (0, "")
    size = (project.root / "cache.tar.gz").stat().st_size
    assert done.data == {
        "file": "cache.tar.gz", "records": 3, "blobs": 4, "bytes": size,
        "staying": [], "incomplete": [],
    }  # fmt: skip

    folder = clone(project, "elsewhere")
    done = project.nbbuild("-C", str(folder), "cache", "import", "cache.tar.gz")
    assert (done.status, done.err) == (0, "3 records and 4 blobs imported\n")
    done = project.nbbuild("-C", str(folder))
    assert (done.status, done.ran) == (0, [])
    assert (folder / "made.txt").read_text() == "made"

    # What a clone carries on is the same file; a record that is here stays.
    project.nbbuild("-C", str(folder), "cache", "export", "again.tar.gz")
    assert (folder / "again.tar.gz").read_bytes() == (folder / "cache.tar.gz").read_bytes()
    done = project.nbbuild("-C", str(folder), "cache", "import", "again.tar.gz")
    assert done.err == "0 records and 4 blobs imported; 3 records already here\n"


def test_accepted_and_put_aside_results_stay_here(project):
    project.config("")
    project.notebook("a.ipynb", "1")
    project.notebook("b.ipynb", "2")
    assert project.build() == ["a", "b"]
    project.notebook("a.ipynb", "3")
    assert project.nbbuild("-t").status == 0
    done = project.nbbuild("cache", "export", "cache.tar.gz")
    first, second = done.err.splitlines()
    assert first == "note: a.ipynb: a result is left out, since it was accepted"
    assert second.startswith("wrote cache.tar.gz: 1 record and 1 blob, ")
    done = project.nbbuild("cache", "export", "--all", "--json", "cache.tar.gz")
    assert (done.data["records"], len(done.data["staying"])) == (2, 1)

    # A forced run puts the earlier result aside, and it is not carried either.
    assert project.build("-B", "b.ipynb") == ["b"]
    done = project.nbbuild("cache", "export", "--all", "--json", "cache.tar.gz")
    assert done.data["records"] == 2
    folder = clone(project, "elsewhere")
    project.nbbuild("-C", str(folder), "cache", "import", "cache.tar.gz")
    done = project.nbbuild("-C", str(folder))
    assert done.ran == ["a"]


def test_the_command_says_what_is_wrong(project):
    project.config("[cache]\nmax_size = 10\n")
    project.write("a.ipynb", "{}")
    project.write("cache.tar.gz", b"no archive")
    done = project.nbbuild("cache", "import", "cache.tar.gz")
    assert (done.status, done.out, done.err) == (
        3,
        "",
        "error: 'cache.tar.gz' is damaged, or no exported cache; none of its results is used\n"
        "  reason: it is no file of gzip, or its bytes have changed\n\n"
        "hint: make it again with `nbbuild cache export`, or copy it again\n",
    )
    done = project.nbbuild("cache", "export", "a.ipynb")
    assert (done.status, done.err) == (
        2,
        "error: 'a.ipynb' is no exported cache, so it is not replaced\n\n"
        "hint: name another file, such as `nbbuild-cache.tar.gz`\n",
    )


class Screen(io.StringIO):
    def isatty(self):
        return True


def shown(stream, seconds):
    """Return what is shown when 0 %, 25 %, … are told at these seconds."""
    times = iter([0.0, *seconds])
    with progress("importing", stream=stream, clock=lambda: next(times)) as tell:
        for number in range(len(seconds)):
            tell(number / 4)
    return stream.getvalue()


def test_what_takes_long_shows_how_far_it_is(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    assert shown(Screen(), [0.1, 0.5, 0.9]) == ""
    assert shown(Screen(), [0.5, 1.0, 1.1, 1.3]) == (
        "\r\x1b[Kimporting: 25%\r\x1b[Kimporting: 75%\r\x1b[K"
    )
    assert shown(io.StringIO(), [0.5, 1.0, 2.0, 12.0]) == "importing: 25%\nimporting: 75%\n"
