"""Nothing is declared: what a notebook read, listed and looked for decides, by whatever way."""

import shutil
import sqlite3

import numpy as np
import pytest

from changes import assert_each_asks, keeping_time


def database(path, *rows):
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(row,) for row in rows])
    connection.close()


# -- reading -----------------------------------------------------------------------------------


def test_going_to_another_branch_and_back_costs_nothing(project):
    def branch(name):
        project.write("data.txt", f"data of {name}")
        project.write("tool.py", f"NAME = 'tool of {name}'\n")
        if name == "main":
            (project.root / "only-on-topic.txt").unlink(missing_ok=True)
        else:
            project.write("only-on-topic.txt", "here")

    project.config("")
    project.notebook(
        "a.ipynb",
        "import tool",
        "print(tool.NAME, open('data.txt').read(), os.path.exists('only-on-topic.txt'))",
    )
    branch("main")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "tool of main data of main False\n"
    branch("topic")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "tool of topic data of topic True\n"

    branch("main")
    assert project.build() == []
    assert project.shown("a.ipynb") == "tool of main data of main False\n"
    branch("topic")
    assert project.build() == []
    assert project.shown("a.ipynb") == "tool of topic data of topic True\n"


@pytest.mark.own_way("system calls are watched")
def test_files_count_whatever_reads_them(project):
    project.config("")
    project.write("plain.txt", "plain")
    project.write("table.csv", "x\n1\n2\n")
    project.write("script.py", "print('script', open('of-script.txt').read())\n")
    project.write("of-script.txt", "one")
    project.write("words.txt", "words")
    project.write("child.py", "import beside\nprint(beside.WORD, open('of-child.txt').read())\n")
    project.write("beside.py", "WORD = 'beside'\n")
    project.write("of-child.txt", "child")
    project.write("in-c.txt", "seen by C alone")
    project.write("never-read.txt", "0")
    np.save(project.root / "array.npy", np.arange(3))
    database(project.root / "rows.db", 1, 2)
    project.notebook(
        "a.ipynb",
        "import ctypes, sqlite3, subprocess, sys\nimport numpy as np\nimport pandas as pd",
        "print(open('plain.txt').read(), np.load('array.npy').sum())\n"
        "print(pd.read_csv('table.csv').x[1])",
        "print(sqlite3.connect('rows.db').execute('SELECT sum(n) FROM numbers').fetchone()[0])",
        "%run script.py",
        "!cat words.txt",
        "done = subprocess.run([sys.executable, 'child.py'], capture_output=True, text=True)\n"
        "print(done.stdout)",
        "name = 'in-c.txt'\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.fopen.restype = ctypes.c_void_p\n"
        "print(libc.fopen(name.encode(), b'r') is not None)",
    )
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == ("plain 3\n2\n3\nscript one\nwordsbeside child\n\nTrue\n")

    array, rows = ((project.root / name).read_bytes() for name in ("array.npy", "rows.db"))
    other = project.root.parent / "other.db"
    database(other, 3, 4)
    assert_each_asks(
        project,
        {
            "plain.txt": ("Plain", "'plain.txt' changed (In [3])"),
            "array.npy": (array[:-1] + b"\1", "'array.npy' changed (In [3])"),
            "table.csv": (None, "'table.csv' is gone (In [3])"),
            "rows.db": (other.read_bytes(), "'rows.db' changed (In [4])"),
            "script.py": ("print('another')", "'script.py' changed (In [5])"),
            "of-script.txt": ("two", "'of-script.txt' changed (In [5])"),
            "words.txt": ("more", "'words.txt' changed (In [6])"),
            "child.py": ("print('another')", "'child.py' changed (In [7])"),
            "beside.py": ("WORD = 'besides'", "'beside.py' changed (imported by In [7])"),
            "of-child.txt": ("grown", "'of-child.txt' changed (In [7])"),
            "in-c.txt": ("different", "'in-c.txt' changed (In [8])"),
            "never-read.txt": ("1", None),
            "new.txt": ("new", None),
        },
    )
    assert rows == (project.root / "rows.db").read_bytes()


def test_a_link_counts_by_what_it_leads_to(project):
    def point(link, target):
        place = project.root / link
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    project.config("")
    for folder in ("one", "two"):
        project.write(f"{folder}/data.txt", f"in {folder}")
    project.write("copy.txt", "in one")
    point("link.txt", "one/data.txt")
    point("folder", "one")
    project.notebook(
        "a.ipynb", "print(open('link.txt').read(), '+', open('folder/data.txt').read())"
    )
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "in one + in one\n"

    point("link.txt", "copy.txt")
    assert project.reasons("a.ipynb") == []
    point("folder", "two")
    assert project.reasons("a.ipynb") == ["'folder/data.txt' changed (In [2])"]
    point("folder", "one")
    point("link.txt", "two/data.txt")
    assert project.reasons("a.ipynb") == ["'link.txt' changed (In [2])"]
    point("link.txt", "nowhere.txt")
    assert project.reasons("a.ipynb") == ["'link.txt' is gone (In [2])"]


def test_an_edit_that_leaves_size_and_time_is_seen(project):
    project.config("")
    data = project.write("data.txt", "data 0")
    tool = project.write("tool.py", "NAME = 'tool 0'\n")
    project.notebook("a.ipynb", "import tool\nprint(open('data.txt').read(), tool.NAME)")
    assert project.build() == ["a"]
    for number in range(1, 10):
        keeping_time(data, f"data {number}")
        assert project.reasons("a.ipynb") == ["'data.txt' changed (In [2])"]
        keeping_time(data, "data 0")
        keeping_time(tool, f"NAME = 'tool {number}'\n")
        assert project.reasons("a.ipynb") == ["'tool.py' changed (imported by In [2])"]
        keeping_time(tool, "NAME = 'tool 0'\n")
    keeping_time(tool, "NAME = 'tool 9'\n")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "data 0 tool 9\n"


# -- what is not there, folders and patterns ---------------------------------------------------


def test_a_file_that_was_missing_counts_once_it_is_there(project):
    project.config("")
    project.write("folder/other.txt", "")
    project.notebook(
        "a.ipynb",
        "try:\n    print(open('settings.txt').read())\nexcept OSError:\n    print('defaults')",
        "import pathlib\nprint(pathlib.Path('folder/flag').exists())",
        "print(os.access('key', os.R_OK), os.path.isdir('extra'), os.path.isdir('folder'))",
    )
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "defaults\nFalse\nFalse False True\n"

    reason = "{!r}, which was missing, exists now (In [{}])".format
    assert_each_asks(
        project,
        {
            "settings.txt": ("mine", reason("settings.txt", 2)),
            "folder/flag": ("", reason("folder/flag", 3)),
            "key": ("", reason("key", 4)),
            "extra": ("a file", reason("extra", 4)),
            "folder/unasked": ("", None),
            "unasked": ("", None),
        },
    )
    (project.root / "extra").mkdir()
    assert project.reasons("a.ipynb") == [reason("extra", 4)]
    shutil.rmtree(project.root / "extra", ignore_errors=True)
    shutil.rmtree(project.root / "folder")
    assert project.reasons("a.ipynb") == ["'folder' is gone (In [4])"]


def test_folders_count_by_their_names_and_patterns_by_what_they_match(project):
    project.config("")
    for path in ("list/1.txt", "walk/in/2.txt", "glob/3.csv", "deep/in/4.csv", "path/5.csv"):
        project.write(path, "content")
    project.notebook(
        "a.ipynb",
        "import glob, pathlib\nprint(os.listdir('list'))",
        "print([names for _, _, names in os.walk('walk')])",
        "print(glob.glob('glob/*.csv'), glob.glob('deep/**/*.csv', recursive=True))",
        "print([p.name for p in pathlib.Path('path').glob('*.csv')])",
        "print([p.name for p in pathlib.Path('path').rglob('*.txt')])",
        "import os.path; print(glob.glob(os.path.abspath('glob/*.dat')))",
    )
    assert project.build() == ["a"]
    assert_each_asks(
        project,
        {
            "list/new.bin": ("", "the folder 'list' holds other names (In [2])"),
            "list/1.txt": ("its content was not asked for", None),
            "walk/in/new.txt": ("", "the folder 'walk/in' holds other names (In [3])"),
            "glob/new.csv": ("", "'glob/*.csv' matches other files (In [4])"),
            "glob/new.txt": ("", None),
            "glob/3.csv": (None, "'glob/*.csv' matches other files (In [4])"),
            "deep/in/new.csv": ("", "'deep/**/*.csv' matches other files (In [4])"),
            "deep/in/new.txt": ("", None),
            "path/new.csv": ("", "'*.csv' matches other files (In [5])"),
            "path/in/new.txt": ("", "'**/*.txt' matches other files (In [6])"),
            "glob/new.dat": ("", "'*.dat' matches other files (In [7])"),
            "path/new.dat": ("", None),
            "unlisted.txt": ("", None),
        },
    )


# -- what does not count -----------------------------------------------------------------------


def test_what_a_run_makes_itself_does_not_count(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["made/*.txt"]')
    project.write("cwd/beside.txt", "beside")
    project.notebook(
        "a.ipynb",
        "os.makedirs('made', exist_ok=True)\nprint(sorted(os.listdir('.')))",
        "with open('made/product.txt', 'w') as f: _ = f.write('product')",
        "with open('draft.txt', 'w') as f: _ = f.write('draft')",
        "print(open('made/product.txt').read(), open('draft.txt').read(), os.listdir('made'))",
        "import tempfile\n"
        "with tempfile.TemporaryDirectory() as t:\n"
        "    open(f'{t}/x', 'w').close()\n"
        "    print(os.listdir(t))",
        "if not os.path.exists('cache.txt'):\n"
        "    with open('cache.txt', 'w') as f: _ = f.write('computed')\n"
        "print(open('cache.txt').read())",
        "os.makedirs('empty', exist_ok=True)",
    )
    assert project.build() == ["a"]
    assert project.build() == []
    assert_each_asks(
        project,
        {
            "draft.txt": ("edited", None),
            "made/product.txt": (None, "its artefacts are missing or altered"),
            # Made because it was missing: gone is as good as it was, but an edit would be read.
            "cache.txt": ("edited", "'cache.txt' is not as the run left it (In [7])"),
            "new.txt": ("", "the folder '.' holds other names (In [2])"),
        },
    )
    (project.root / "cache.txt").unlink()
    (project.root / "draft.txt").unlink()
    assert project.verdicts() == {"a.ipynb": "fresh"}
    shutil.rmtree(project.root / "made")
    assert project.build() == []
    assert project.read("made/product.txt") == "product"


def test_outside_the_root_files_count_but_for_system_and_hidden_ones(project, monkeypatch):
    home = project.root.parent / "home"
    (home / ".tool").mkdir(parents=True)
    (home / ".tool/settings").write_text("hidden")
    (home / "data.txt").write_text("at home")
    monkeypatch.setenv("HOME", str(home))
    project.write("../beside.txt", "beside")
    project.config("")
    project.notebook(
        "a.ipynb",
        "print(open('../beside.txt').read(), open('../home/data.txt').read())",
        "print(open(os.path.expanduser('~/.tool/settings')).read())",
        "print(len(open('/proc/stat').read()) > 0)",
    )
    assert project.build() == ["a"]
    assert_each_asks(
        project,
        {
            "../beside.txt": ("edited", "'../beside.txt' changed (In [2])"),
            "../home/data.txt": ("edited", "'../home/data.txt' changed (In [2])"),
            "../home/.tool/settings": ("edited", None),
        },
    )


# -- changed while it ran ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "edit", "said"),
    [
        ("print(open('data.txt').read())", "data.txt", "'data.txt' changed"),
        ("import tool; print(tool.TEXT)", "tool.py", "'tool.py' changed"),
        (
            "print(len(os.listdir('folder')))",
            "folder/new",
            "the names in the folder 'folder' changed",
        ),
    ],
)
def test_an_input_edited_while_the_notebook_runs_is_shown_but_not_kept(
    project, gate, use, edit, said
):
    project.config("")
    project.write("data.txt", "TEXT = 'old'")
    project.write("tool.py", "TEXT = 'old'")
    project.write("folder/one", "")
    project.notebook("a.ipynb", use, gate.code)
    build = project.process("--json")
    gate.wait()
    project.write(edit, "TEXT = 'new'")
    gate.close()
    out, err = build.communicate(timeout=60)
    assert build.returncode == 0, err
    assert (
        f"the result is shown but not cached: {said} while it ran; it will run again" in out + err
    )
    first = project.shown("a.ipynb")

    assert project.verdicts() == {"a.ipynb": "run"}
    if edit == "data.txt":  # as the others will
        assert project.build() == ["a"]
        assert (first, project.shown("a.ipynb")) == ("TEXT = 'old'\n", "TEXT = 'new'\n")
        assert project.build() == []


# -- not watched -------------------------------------------------------------------------------


def test_with_trace_off_only_what_is_declared_counts(project):
    project.config("[execution]\ntrace = false")
    project.write("data.txt", "old")
    project.notebook("a.ipynb", "print(open('data.txt').read(), os.path.exists('flag'))")
    assert project.build() == ["a"]
    assert_each_asks(project, {"data.txt": ("new", None), "flag": ("", None)})

    # A run that nobody watched cannot answer for what a watched one would have used.
    project.config("")
    assert project.reasons("a.ipynb") == ["its last run was not watched"]
    project.write("data.txt", "new")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "new False\n"
    assert project.reasons("a.ipynb") == []
    project.config("[execution]\ntrace = false")
    assert project.build() == []


def test_an_old_product_that_is_looked_for_and_written_anew_is_no_input(project):
    project.config("")
    project.write("d.txt", "one")
    project.notebook(
        "a.ipynb",
        "d = open('d.txt').read()",
        "if os.path.exists('old.txt'):\n    os.remove('old.txt')",
        "_ = open('old.txt', 'w').write(d)",
        "import shutil\n_ = shutil.copy('d.txt', 'copy.txt')",
    )
    assert project.build() == ["a"]
    assert project.build() == []

    project.write("d.txt", "two!")
    assert project.build() == ["a"]
    assert project.build() == []


def test_a_file_that_a_notebook_reads_and_then_changes_is_told_and_never_trusted(project):
    project.config("")
    project.write("count.txt", "1")
    project.notebook(
        "a.ipynb",
        "n = int(open('count.txt').read())\n_ = open('count.txt', 'w').write(str(n + 1))",
    )
    done = project.nbbuild()
    assert (done.status, done.ran) == (0, ["a"])
    told = "it read 'count.txt' and then changed it itself while it ran; it will run again"
    assert told in done.err
    assert project.reasons("a.ipynb")[0].startswith("its last result was not cached: ")
    assert project.build() == ["a"]


def test_a_folder_of_its_own_artefacts_comes_back_with_them(project):
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nartefacts = ["figs/a.txt"]\n'
        '[[notebook]]\npath = "b.ipynb"\nartefacts = ["figs/b.txt"]'
    )
    for name in "ab":
        project.notebook(
            f"{name}.ipynb",
            "if not os.path.exists('figs'):\n    os.makedirs('figs', exist_ok=True)",
            f"_ = open('figs/{name}.txt', 'w').write('made')",
        )
    assert project.build() == ["a", "b"]
    for name in "ab":
        (project.root / f"figs/{name}.txt").unlink()
    (project.root / "figs").rmdir()
    assert project.build() == []
    assert project.exists("figs/a.txt")
    assert project.exists("figs/b.txt")


def test_folders_around_the_project_are_no_items(project):
    project.config("")
    (project.root / "data").mkdir()
    project.notebook("a.ipynb", "[os.path.isdir(p) for p in ('.', '..', '../..', 'data')]")
    assert project.build() == ["a"]
    (explanation,) = project.nbbuild("explain", "-v", "--json", "a.ipynb").data
    asked = [one for one in explanation["trace"]["items"] if one["kind"] == "stat"]
    assert [(one["name"], one["value"]) for one in asked] == [("data", "d")]


def test_texts_that_are_too_long_for_a_file_name_are_no_trouble(project):
    project.config("")
    project.notebook("a.ipynb", f"text = {'long ' * 100!r}", f"!echo {'z' * 300} | wc -c")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb").strip() == "301"
    assert project.build() == []
