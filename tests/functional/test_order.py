"""What a run changed and in what order, told from accidents: two tasks, one file."""

import json

import pytest

WRITE = "with open({!r}, 'w') as f: _ = f.write({!r})"
MEMO = """
if os.path.exists('memo.txt'):
    answer = open('memo.txt').read()
else:
    answer = open('in.txt').read()
    with open('memo.txt', 'w') as f: _ = f.write(answer)
print(answer)
"""
RESTS = (
    "its result uses 'memo.txt', left by an earlier run of it; declare "
    'scratch = ["memo.txt"] to start each run without it, or assets = ["memo.txt"] to keep it'
)


def hints(done):
    found = {one["task"]: one["failure"] for one in done.data["outcomes"]}
    return {name: one["hint"] for name, one in found.items() if one is not None}


def notes(done):
    return {one["task"]: one["notes"] for one in done.data["outcomes"]}


def follow(project, status=0):
    """Write what `explain --suggest` says into jcache.toml, and build."""
    done = project.nbbuild("explain", "--suggest", "--write")
    assert done.status == 0, done.err
    return project.build("-j1", status=status)


# -- a write is what changed -------------------------------------------------------------------


def test_a_file_that_a_run_writes_before_it_reads_it_is_no_input_of_it(project):
    project.config("")
    cell = "%%writefile towns.txt\none\ntwo"
    project.notebook("a.ipynb", cell, "print(len(open('towns.txt').readlines()))", "k = 1")
    assert project.build() == ["a"]
    assert project.build() == []
    project.notebook("a.ipynb", cell, "print(len(open('towns.txt').readlines()))", "k = 2")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb").startswith("Writing towns.txt")  # as in a clean build
    assert project.build() == []


def test_what_the_user_put_in_the_place_of_such_a_file_stays(project):
    project.config("")
    project.notebook("a.ipynb", "%%writefile towns.txt\none", "k = 1")
    assert project.build() == ["a"]
    project.write("towns.txt", "the user's")
    project.notebook("a.ipynb", "%%writefile towns.txt\none", "k = 2")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb").startswith("Overwriting towns.txt")


def test_the_same_bytes_written_back_change_nothing(project):
    project.config("")
    project.write("lib/core.py", "def one(): return 1\n")
    again = "from pathlib import Path\np = Path('lib/core.py'); _ = p.write_text(p.read_text())"
    for name in ("a", "b"):
        project.notebook(
            f"{name}.ipynb", f"from lib.core import one\nprint(one(), {name!r})", again
        )
    assert project.build("-j1") == ["a", "b"]
    assert project.build() == []
    # Who writes it again in every run goes first, and what used the old one runs after it.
    change = "_ = p.write_text('def one(): return 2\\n')"
    project.notebook("b.ipynb", "from lib.core import one", f"{again}\n{change}", "print(one())")
    assert project.nbbuild("-j1").ran == ["b", "a"]
    assert project.shown("a.ipynb") == "2 a\n"


@pytest.mark.own_way("system calls are watched")
def test_a_database_that_two_only_read_is_written_by_nobody(project):
    import sqlite3

    base = sqlite3.connect(project.root / "base.sqlite")
    base.executescript("create table t(a); insert into t values(1);")
    base.close()
    project.config("")
    code = (
        "import sqlite3\nbase = sqlite3.connect('base.sqlite')\n"
        "print(base.execute('select * from t').fetchall()); base.close()"
    )
    for name in ("a", "b"):
        project.notebook(f"{name}.ipynb", code, f"print({name!r})")
    done = project.nbbuild("-j1", "--json")
    assert (done.status, sorted(done.ran)) == (0, ["a", "b"])
    assert notes(done) == {"a.ipynb": [], "b.ipynb": []}
    assert project.build() == []


def test_rewriting_a_name_leaves_the_listing_of_its_folder(project):
    project.config("")
    project.write("data/x.txt", "old")
    project.notebook("a.ipynb", "print(sorted(os.listdir('data')))")
    project.notebook("b.ipynb", WRITE.format("data/x.txt", "new"))
    assert project.build("-j1") == ["a", "b"]
    assert project.build() == []


def test_two_that_write_a_file_before_they_read_it_do_not_meet(project):
    project.config("")
    for name in ("a", "b"):
        text = f"%%writefile towns.txt\nof {name}"
        project.notebook(f"{name}.ipynb", text, "print(open('towns.txt').read())")
    assert project.build("-j1") == ["a", "b"]
    assert project.build() == []
    assert "of a" in project.shown("a.ipynb")
    project.notebook("a.ipynb", "%%writefile towns.txt\nof a", "k = 2")
    assert project.build() == ["a"]
    assert project.build() == []


# -- side by side ------------------------------------------------------------------------------


def test_two_that_meet_while_both_run_run_again_and_never_side_by_side(project, gate):
    project.config("")
    for name in ("a", "b"):
        text = f"%%writefile towns.txt\nof {name}"
        project.notebook(f"{name}.ipynb", text, gate.code, "print(open('towns.txt').read())")
    build = project.process("-j2", "--json")
    gate.wait()
    gate.wait()
    gate.close()
    out, err = build.communicate(timeout=60)
    assert build.returncode == 0, err
    assert {one["task"]: one["kind"] for one in json.loads(out)["outcomes"]} == {
        "a.ipynb": "executed",
        "b.ipynb": "executed",
    }
    assert " while both ran: it runs again by itself" in err
    assert "of a" in project.shown("a.ipynb")
    assert "of b" in project.shown("b.ipynb")
    assert project.build("-j2") == []
    for name in ("a", "b"):
        text = f"%%writefile towns.txt\nof {name}"
        project.notebook(f"{name}.ipynb", text, "print(open('towns.txt').read(), 2)")
    done = project.nbbuild("-j2")
    assert (done.status, sorted(done.ran)) == (0, ["a", "b"])
    assert "while both ran" not in done.err


# -- what an earlier run of the same task left -------------------------------------------------


@pytest.fixture
def resting(project):
    """A project whose result rests on what its earlier run had left."""
    project.config("")
    project.write("in.txt", "one")
    project.notebook("a.ipynb", MEMO)
    assert project.build() == ["a"]
    project.write("in.txt", "two")
    done = project.nbbuild("--json")
    assert (done.ran, notes(done)["a.ipynb"]) == (["a"], [RESTS])
    assert project.shown("a.ipynb") == "one\n"
    assert project.build() == []
    return project


def test_a_result_that_rests_on_it_says_so(resting):
    (told,) = resting.nbbuild("status", "--json").data
    assert (told["verdict"], told["marks"]) == ("fresh", [RESTS])
    assert f"note: a.ipynb: {RESTS}" in resting.nbbuild("status").err
    assert RESTS in resting.nbbuild("explain", "a.ipynb").out


def test_as_scratch_each_run_begins_without(resting):
    assert follow(resting) == ["a"]
    assert resting.shown("a.ipynb") == "two\n"
    assert resting.build() == []
    resting.write("in.txt", "three")
    assert resting.build() == ["a"]
    assert resting.shown("a.ipynb") == "three\n"
    assert follow(resting) == []  # what it reads; to declare that runs nothing again
    assert resting.nbbuild("explain", "--suggest").err == "nothing to suggest\n"


def test_as_an_asset_it_is_kept_and_nothing_runs(resting):
    resting.config('[[notebook]]\npath = "a.ipynb"\nassets = ["memo.txt"]')
    assert resting.build() == []
    assert resting.nbbuild("status", "--json").data[0]["marks"] == []
    resting.write("memo.txt", "mine")
    assert resting.build() == ["a"]
    assert resting.shown("a.ipynb") == "mine\n"


def test_a_forced_run_begins_without_and_keeps_it(resting):
    done = resting.nbbuild("-B", "--json")
    assert resting.shown("a.ipynb") == "two\n"
    (note,) = [one for one in notes(done)["a.ipynb"] if "memo.txt" in one and "kept" in one]
    assert note.startswith("kept what an earlier run left of 'memo.txt' in .nbbuild/replaced/")
    assert resting.nbbuild("status", "--json").data[0]["marks"] == []


def test_verify_begins_without(resting):
    done = resting.nbbuild("verify", "--json")
    assert done.status == 1
    assert resting.read("memo.txt") == "one"


def test_a_counter_that_never_comes_to_rest_is_told_as_well(project):
    project.config("")
    count = (
        "n = int(open('n.txt').read()) if os.path.exists('n.txt') else 0\n"
        "with open('n.txt', 'w') as f: _ = f.write(str(n + 1))\nprint(n)"
    )
    project.notebook("a.ipynb", count)
    assert project.build() == ["a"]
    project.notebook("a.ipynb", count, "k = 2")
    done = project.nbbuild("--json")
    assert (done.ran, done.data["outcomes"][0]["cached"]) == (["a"], False)
    assert "n.txt" in project.nbbuild("status", "--json").data[0]["marks"][0]
    assert follow(project) == ["a"]
    assert project.shown("a.ipynb") == "0\n"
    assert project.build() == []


def test_a_run_that_fails_over_what_it_left_says_how_to_begin_without(project):
    project.config("")
    code = (
        "import sqlite3\nc = sqlite3.connect('t.db'); _ = c.execute('create table t(a)'); c.close()"
    )
    project.notebook("a.ipynb", code)
    assert project.build() == ["a"]
    project.notebook("a.ipynb", code, "k = 2")
    done = project.nbbuild("--json")
    assert (done.status, hints(done)) == (
        1,
        {
            "a.ipynb": "it found 't.db', left by an earlier run of it; "
            'to start without it: scratch = ["t.db"]'
        },
    )
    assert follow(project) == ["a"]
    assert project.build() == []


# -- scratch -----------------------------------------------------------------------------------


def test_scratch_is_private_to_a_run(project):
    project.config('[project]\nnotebooks = ["*.ipynb"]\nscratch = ["*.tmp"]')
    for name in ("a", "b"):
        write = WRITE.format("x.tmp", name)
        project.notebook(f"{name}.ipynb", "print(os.path.exists('x.tmp'))", write)
    done = project.nbbuild("-j1", "--json")
    assert (done.status, done.ran, notes(done)) == (0, ["a", "b"], {"a.ipynb": [], "b.ipynb": []})
    assert project.build() == []
    done = project.nbbuild("explain", "--suggest", "--json")
    assert [(one["key"], one["values"]) for one in done.data] == [("env", ["RUN_LOG"])] * 2
    project.notebook("a.ipynb", "print(os.path.exists('x.tmp'), 2)", WRITE.format("x.tmp", "a"))
    assert project.build() == ["a"]
    assert project.build() == []


def test_scratch_is_in_no_listing(project):
    project.config('[[notebook]]\npath = "b.ipynb"\nscratch = ["*.tmp"]')
    project.notebook("a.ipynb", "print([one for one in os.listdir('.') if 'x.' in one])")
    project.notebook("b.ipynb", "print(len(os.listdir('.')))", WRITE.format("x.tmp", "1"))
    assert project.build("-j1") == ["a", "b"]
    assert project.build() == []
    (project.root / "x.tmp").unlink()
    assert project.build() == []


def test_a_file_that_is_read_before_it_is_made_is_an_input_whatever_its_name(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nscratch = ["*.tmp"]')
    project.write("x.tmp", "one")
    project.notebook("a.ipynb", "print(open('x.tmp').read())")
    assert project.build() == ["a"]
    project.write("x.tmp", "two")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "two\n"


# -- suggestions -------------------------------------------------------------------------------


def test_suggestions_put_a_chain_in_order_at_once(project):
    project.config("")
    project.notebook("a.ipynb", WRITE.format("one.txt", "1"))
    project.notebook("b.ipynb", "x = open('one.txt').read()", WRITE.format("two.txt", "2"))
    project.notebook("c.ipynb", "print(open('two.txt').read())")
    done = project.nbbuild("-j1", "--json")
    assert (done.status, sorted(hints(done))) == (1, ["b.ipynb", "c.ipynb"])
    assert follow(project) == ["a", "b", "c"]
    assert project.build() == []


def test_a_users_file_is_never_proposed_as_an_artefact(project):
    project.config("")
    project.write("counter.txt", "0")
    project.notebook(
        "a.ipynb", "n = int(open('counter.txt').read())", WRITE.format("counter.txt", "1")
    )
    project.notebook("b.ipynb", "print(open('counter.txt').read())")
    done = project.nbbuild("-j1", "--json")
    assert hints(done) == {"b.ipynb": "declare the order: depends_on = [\"a.ipynb\"] for 'b.ipynb'"}
    assert "artefacts" not in project.nbbuild("explain", "--suggest").out
    follow(project)
    assert project.read("counter.txt") == "1"


def test_what_git_leaves_out_is_never_proposed_as_an_artefact(project):
    project.config("")
    project.write(".gitignore", "*.log\n")
    project.notebook("a.ipynb", WRITE.format("run.log", "1"))
    done = project.nbbuild("--json")
    assert notes(done)["a.ipynb"] == []
    assert "artefacts" not in project.nbbuild("explain", "--suggest").out


def test_declaring_what_was_read_runs_nothing(project):
    project.config("")
    project.write("data.txt", "one")
    project.notebook("a.ipynb", "print(open('data.txt').read())")
    assert project.build() == ["a"]
    project.config('[[notebook]]\npath = "a.ipynb"\nassets = ["data.txt"]')
    assert project.build() == []
    assert project.verdicts() == {"a.ipynb": "fresh"}
    project.write("data.txt", "two")
    assert project.build() == ["a"]
    # Its first result is known under the new declaration, too.
    project.write("data.txt", "one")
    assert project.build() == []
    assert project.shown("a.ipynb") == "one\n"
