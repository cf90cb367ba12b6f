"""`nbbuild verify`: what runs again, what counts as the same, and what a difference means."""

import json
import signal
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """A folder for scratch copies of its own, which is empty again after each test."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def findings(done):
    return {one["task"]: one["result"] for one in done.data["findings"]}


def snapshot(project):
    """Return all that matters of a project: its files, and the records in its cache."""
    store = sorted(p.name for p in project.root.glob(".nbbuild/store/v2/[br]*/**/*"))
    ledgers = {p.name: p.read_bytes() for p in project.root.glob(".nbbuild/tree/*")}
    return project.files(), store, ledgers


def test_all_is_executed_again_and_the_project_stays_as_it_is(project):
    project.config(
        "[[notebook]]\npath = 'b.ipynb'\nassets = ['data/a.txt']\n"
        "[[notebook]]\npath = 'a.ipynb'\nartefacts = ['data/a.txt']\n"
    )
    project.notebook(
        "a.ipynb",
        "import os; os.makedirs('data', exist_ok=True)\n"
        "with open('data/a.txt', 'w') as f: _ = f.write('1')",
    )
    project.notebook(
        "b.ipynb", "open('data/a.txt').read()", "import os; print(os.getcwd(), object())"
    )
    assert project.build() == ["a", "b"]
    before = snapshot(project)

    done = project.nbbuild("verify", "--json")

    assert (done.status, done.err) == (0, done.err)
    assert findings(done) == {"a.ipynb": "same", "b.ipynb": "same"}
    assert done.ran == ["a", "b"]  # shuffled, but the graph comes first
    assert snapshot(project) == before
    assert project.build() == []


def test_a_target_alone_gets_what_it_needs_from_the_cache(project):
    project.config(
        "[[notebook]]\npath = 'b.ipynb'\nassets = ['a.txt', '_build/executed/a.ipynb']\n"
        "[[notebook]]\npath = 'a.ipynb'\nartefacts = ['a.txt']\n"
    )
    project.notebook("a.ipynb", "with open('a.txt', 'w') as f: _ = f.write('1')")
    project.notebook(
        "b.ipynb", "open('a.txt').read(), 'a.txt' in open('_build/executed/a.ipynb').read()"
    )
    project.build()

    done = project.nbbuild("verify", "b.ipynb")

    assert (done.status, done.ran, done.out) == (0, ["b"], "")
    assert done.err.splitlines()[-1].startswith("1 same in ")


def test_a_notebook_that_rolls_dice_is_not_deterministic(project):
    project.config("")
    project.notebook("dice.ipynb", "print('same')", "import secrets; print(secrets.token_hex(4))")
    project.notebook("calm.ipynb", "1 + 1")
    project.build()

    done = project.nbbuild("verify", "-j", "1")

    assert done.status == 1
    first, why, where, old, new = done.out.splitlines()
    assert [first, why, where] == [
        "not deterministic: dice.ipynb",
        "  runs under the same conditions gave different results",
        "  cell 3 (In [3]), stdout",
    ]
    assert (old[:5], new[:5], old != new) == ("    -", "    +", True)
    assert sorted(done.ran) == ["calm", "dice", "dice", "dice"]
    assert "1 same" in done.err.splitlines()[-1]
    assert "1 not deterministic" in done.err.splitlines()[-1]


def test_what_follows_from_a_notebook_that_is_not_deterministic_is_not_told_again(project):
    project.config(
        "[[notebook]]\npath = 'b.ipynb'\nassets = ['a.txt']\nartefacts = ['b.txt']\n"
        "[[notebook]]\npath = 'a.ipynb'\nartefacts = ['a.txt']\n"
    )
    project.notebook(
        "a.ipynb", "import secrets\nwith open('a.txt', 'w') as f: _ = f.write(secrets.token_hex(9))"
    )
    project.notebook(
        "b.ipynb",
        "open('a.txt').read()",
        "with open('b.txt', 'w') as f: _ = f.write(open('a.txt').read())",
    )
    project.build()

    done = project.nbbuild("verify")

    assert done.status == 1
    assert done.out.splitlines() == [
        "not deterministic: a.ipynb",
        "  runs under the same conditions gave different results",
        "  artefact differs: a.txt",
    ]


def test_patterns_to_ignore_and_what_differs_by_its_nature_make_no_difference(project):
    project.config("[verify]\nignore = ['^token .*$']\n")
    project.notebook(
        "a.ipynb",
        "import secrets, uuid, time, warnings\nprint('token', secrets.token_hex(8))",
        "print(object(), uuid.uuid4(), uuid.uuid4().hex)",
        "%time sum(range(1000))",
        "warnings.warn('w')",
        "begun = time.time()\nprint(f'done in {time.time() - begun:.9f} s')",
    )
    project.build()

    assert project.nbbuild("verify").status == 0

    project.config("[verify]\nignore = ['nothing']\n")
    assert project.build() == []  # it is no input
    assert project.nbbuild("verify").status == 1


def test_an_undeclared_variable_that_changed_is_told_from_chance(project, monkeypatch):
    project.config("")
    project.notebook("a.ipynb", "import os; print(os.environ['MOOD'])")
    monkeypatch.setenv("MOOD", "good")
    project.build()
    monkeypatch.setenv("MOOD", "bad")

    done = project.nbbuild("verify")

    assert done.status == 1
    assert done.out.splitlines() == [
        "undeclared input: a.ipynb",
        "  two new runs agree with each other, but not with the stored result: something that is "
        "not declared has changed since",
        "  cell 2 (In [2]), stdout",
        "    -good",
        "    +bad",
    ]
    assert done.ran == ["a", "a"]


def test_an_artefact_that_is_read_undeclared_is_named_with_the_line_to_add(project):
    project.config(
        "[execution]\ntrace = false\n"
        "[[notebook]]\npath = 'a.ipynb'\nartefacts = ['a.txt']\n"
        "[[notebook]]\npath = 'sub/b.ipynb'\n"
    )
    project.notebook("a.ipynb", "with open('a.txt', 'w') as f: _ = f.write('1')")
    project.notebook("sub/b.ipynb", "open('../a.txt').read()")
    project.build("a.ipynb")
    project.build("sub/b.ipynb")

    done = project.nbbuild("verify", "--json", "sub/b.ipynb")

    assert done.status == 1
    (found,) = done.data["findings"]
    assert (found["result"], found["missing"]) == ("undeclared input", "a.txt")
    assert (
        found["missing_why"] == "it is the artefact of 'a.ipynb'; declare it: assets = [\"a.txt\"]"
    )
    assert found["failure"]["message"].startswith("FileNotFoundError")
    said = project.nbbuild("verify", "sub/b.ipynb").out
    assert said.splitlines()[1] == (
        "  it looks for 'a.txt', which the copy lacks: it is the artefact of 'a.ipynb'; "
        'declare it: assets = ["a.txt"]'
    )


def test_a_file_that_another_notebook_leaves_behind_shows_as_order(project):
    # Whichever is first leaves a mark, and the second one tells of it.
    source = "import os, pathlib\nprint(os.path.exists('mark'))\npathlib.Path('mark').touch()"
    project.config("[execution]\ntrace = false\n")
    for name in ("a", "b"):
        project.notebook(f"{name}.ipynb", source + f"\n'{name}'")
        project.build(f"{name}.ipynb")
        (project.root / "mark").unlink()

    done = project.nbbuild("verify", "-j", "1", "--seed", "5", "--json")

    assert done.status == 1
    first, second = done.ran[:2]
    assert findings(done) == {f"{first}.ipynb": "same", f"{second}.ipynb": "order"}
    assert done.data["left"] == ["mark"]
    assert (done.data["seed"], project.nbbuild("verify", "-j1", "--seed", "5").ran[:2]) == (
        5,
        [first, second],
    )
    others = (project.nbbuild("verify", "-j1", "--seed", str(n)).ran[:2] for n in range(4))
    assert [second, first] in others


def test_what_is_not_up_to_date_has_to_be_built_first(project):
    project.config("")
    project.notebook("a.ipynb", "1")
    project.notebook("b.ipynb", "2")
    project.build("a.ipynb")

    done = project.nbbuild("verify")

    assert (done.status, done.ran) == (2, [])
    assert done.err == (
        "error: 'b.ipynb' is not up to date, so there is no result to compare with\n"
        "  b.ipynb: it has not been run yet\n\nhint: build first: `nbbuild`\n"
    )
    assert project.nbbuild("verify", "a.ipynb").status == 0


def test_a_task_that_is_never_cached_is_skipped_and_its_files_are_there_for_others(project):
    project.config(
        "[[notebook]]\npath = 'b.ipynb'\nassets = ['a.txt']\n"
        "[[notebook]]\npath = 'a.ipynb'\nartefacts = ['a.txt']\ncache = false\n"
    )
    project.notebook("a.ipynb", "with open('a.txt', 'w') as f: _ = f.write('1')")
    project.notebook("b.ipynb", "open('a.txt').read()")
    project.build()

    done = project.nbbuild("verify", "--json")

    assert (done.status, done.ran) == (0, ["b"])
    assert findings(done) == {"a.ipynb": "skipped", "b.ipynb": "same"}


def test_inputs_around_the_project_and_links_are_in_the_copy(project, monkeypatch):
    around = project.root.parent / "around"
    (around / "lib").mkdir(parents=True)
    (around / "data.csv").write_text("7")
    (around / "lib/helper.py").write_text("ANSWER = 42\n")
    project.config(
        "[project]\nnotebooks = ['*.ipynb']\npython_path = ['../around/lib']\n"
        "[[notebook]]\npath = 'a.ipynb'\nassets = ['../around/data.csv', 'link.csv']\n"
    )
    (project.root / "link.csv").symlink_to(around / "data.csv")
    (project.root / "inner").symlink_to(project.root / "sub", target_is_directory=True)
    project.write("sub/x.txt", "x")
    project.notebook(
        "a.ipynb",
        "import helper, os; helper.ANSWER",
        "paths = ['../around/data.csv', 'link.csv', 'inner/x.txt']\n"
        "[open(p).read() for p in paths]",
        "if 'SPOIL' in os.environ:\n    for p in paths:\n        open(p, 'w').close()",
    )
    project.build()
    monkeypatch.setenv("SPOIL", "1")

    done = project.nbbuild("verify", "--json")

    assert (done.status, findings(done)) == (0, {"a.ipynb": "same"})
    assert done.data["left"] == ["link.csv", "sub/x.txt"]
    assert ((around / "data.csv").read_text(), project.read("sub/x.txt")) == ("7", "x")


def test_the_copy_leaves_out_what_is_no_source(project, monkeypatch):
    project.config("[execution]\ntrace = false  # it lists where another notebook is built\n")
    for path in (".git/HEAD", "env/pyvenv.cfg", "env/bin/x", "__pycache__/m.pyc", "kept/.hidden/x"):
        project.write(path, "x")
    project.notebook("a.ipynb", "1")
    project.build()
    project.notebook(
        "b.ipynb",
        "import os, json\nwith open(os.environ['SEEN'], 'w') as f:\n"
        "    walk = os.walk('.')\n"
        "    json.dump(sorted(os.path.join(d, n) for d, _, names in walk for n in names), f)",
    )
    seen = project.root.parent / "seen.json"
    monkeypatch.setenv("SEEN", str(seen))
    project.build()
    project.nbbuild("verify", "b.ipynb")

    own = [path for path in json.loads(seen.read_text()) if not path.startswith("./.nbbuild")]
    assert own == ["./a.ipynb", "./b.ipynb", "./jcache.toml", "./kept/.hidden/x"]


def test_an_interrupt_leaves_no_copy_and_no_kernel(project, scratch):
    project.config("")
    alive = project.root.parent / "alive"
    project.notebook(
        "a.ipynb",
        "import os, time, pathlib\np = os.environ.get('ALIVE')\n"
        "if p:\n    pathlib.Path(p).write_text(str(os.getpid()))\n    time.sleep(60)",
    )
    project.build()
    project.environ["ALIVE"] = str(alive)

    process = project.process("verify")
    until(lambda: alive.exists() and alive.read_text())
    (copy,) = scratch.glob("nbb-*/*/**/jcache.toml")
    assert copy.parent.name == project.root.name
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted")
    assert list(scratch.iterdir()) == []
    assert not Path(f"/proc/{alive.read_text()}").exists()


def until(condition, seconds=30):
    """Wait for something that another process is about to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_bad_pattern_is_an_error_before_anything_runs(project):
    project.config("[verify]\nignore = ['(', 3]\n")
    project.notebook("a.ipynb", "1")

    done = project.nbbuild("verify")

    assert done.status == 2
    assert done.err == (
        "error: \"(\" in 'ignore[1]' is not a regular expression\n"
        "  in: jcache.toml, [verify]\n"
        "  because: missing ), unterminated subpattern at position 0\n\n"
        "hint: put a backslash before . * + ? ( ) [ ] { } ^ $ | where they mean themselves\n\n"
        "error: 'ignore[2]' must be a string, not the number 3\n"
        '  in: jcache.toml, [verify]\n\nhint: write "3"\n'
    )
