"""The command from end to end: every verb, every option, data on stdout and words on stderr."""

import json
import os
import re
import shutil
import subprocess
import sys

from notebook_sources import code, ipynb, prose

CHAIN = """[environment]
env = ["SEED"]

[[notebook]]
path = "prepare.ipynb"
assets = ["data.csv"]
artefacts = ["mid.txt"]
groups = ["slow"]

[[notebook]]
path = "report.ipynb"
assets = ["mid.txt"]
"""

COPY = "text = open('data.csv').read()\nopen('mid.txt', 'w').write(text)"


def chain(project):
    """Two notebooks: one makes mid.txt of data.csv, the other shows it."""
    project.config(CHAIN)
    project.write("data.csv", "1\n")
    project.notebook("prepare.ipynb", prose("# Prepare"), COPY)
    project.notebook("report.ipynb", "print(open('mid.txt').read())")


def without_times(text):
    return re.sub(r"\d+(\.\d+)? s\b", "N s", text)


# -- build -------------------------------------------------------------------------------------


def test_a_dry_run_and_a_question_run_nothing_and_write_nothing(project):
    chain(project)
    before = project.files()
    done = project.nbbuild("-n")
    assert (done.status, done.ran) == (0, [])
    assert done.err == "1 to run, 1 to run if what they wait for changes\n"
    assert done.out == (
        "run   prepare.ipynb  it has not been run yet\n"
        "wait  report.ipynb   waits for 'prepare.ipynb'\n"
    )
    as_data = project.nbbuild("--dry-run", "--json", "prepare.ipynb").data
    assert [(one["task"], one["verdict"], one["record"]) for one in as_data] == [
        ("prepare.ipynb", "run", None)
    ]
    done = project.nbbuild("-q")
    assert (done.status, done.out, done.err) == (1, "", "")
    assert project.files() == before
    assert not project.exists(".nbbuild")


def test_a_build_tells_as_much_as_it_is_asked_to(project):
    chain(project)
    done = project.nbbuild("-j1", "--executor", "serial")
    assert (done.status, done.ran, done.out) == (0, ["prepare", "report"], "")
    assert without_times(done.err) == (
        "executing prepare.ipynb: 2 cells\n"
        "executed prepare.ipynb in N s\n"
        "executing report.ipynb: 2 cells\n"
        "executed report.ipynb in N s\n"
        "2 executed in N s\n"
    )
    done = project.nbbuild()
    assert (done.status, done.ran) == (0, [])
    assert (done.out, done.err) == ("", "nothing to do: 2 notebooks are up to date\n")
    assert project.nbbuild("-q").status == 0
    assert project.nbbuild("-s").err == ""
    done = project.nbbuild("-v")
    assert done.err == (
        "fresh prepare.ipynb\nfresh report.ipynb\nnothing to do: 2 notebooks are up to date\n"
    )

    done = project.nbbuild("-B", "-s", "--executor", "local", "prepare.ipynb")
    assert (done.status, done.ran, done.err) == (0, ["prepare"], "")
    # It wrote the same bytes again: nothing else has to run.
    done = project.nbbuild("--json", "-v")
    assert (done.status, done.ran) == (0, [])
    assert (done.data["exit_status"], done.data["interrupted"]) == (0, False)
    assert done.data["counts"] == {"fresh": 2}
    assert [one["task"] for one in done.data["outcomes"]] == ["prepare.ipynb", "report.ipynb"]


def test_after_a_failure_others_go_on_unless_it_is_to_fail_fast(project):
    project.config('[[notebook]]\npath = "c.ipynb"\ndepends_on = ["a.ipynb"]\n')
    project.notebook("a.ipynb", "print('so far')", "1 / 0")
    project.notebook("b.ipynb")
    project.notebook("c.ipynb")

    fast = project.nbbuild("-x", "-j1", "--json")
    assert (fast.status, fast.ran) == (1, ["a"])
    assert {one["task"]: one["kind"] for one in fast.data["outcomes"]} == {
        "a.ipynb": "failed",
        "b.ipynb": "cancelled",
        "c.ipynb": "cancelled",
    }
    done = project.nbbuild("-k", "-j1", "--json")
    assert (done.status, done.ran) == (1, ["a", "b"])
    assert done.data["counts"] == {"failed": 1, "executed": 1, "blocked": 1}
    (failure,) = (one["failure"] for one in done.data["outcomes"] if one["failure"])
    assert (failure["kind"], failure["cell"]) == ("error", 2)
    assert failure["message"] == "ZeroDivisionError: division by zero"
    assert not project.exists("_build/executed/a.ipynb")

    done = project.nbbuild("-k", "-x")
    assert (done.status, done.ran) == (2, [])
    assert done.err == (
        "error: -k and -x contradict each other: one goes on after a failure, "
        "the other does not\n\n"
        "hint: leave one of them out\n"
    )


def test_what_is_there_can_be_accepted_as_up_to_date(project):
    chain(project)
    assert project.build() == ["prepare", "report"]
    project.notebook("prepare.ipynb", prose("# Prepare"), "# only a comment\n" + COPY)
    assert project.nbbuild("-q").status == 1

    done = project.nbbuild("-t")
    assert (done.status, done.ran) == (0, [])
    assert without_times(done.err) == (
        "note: prepare.ipynb: accepted as it is\n1 refreshed, 1 fresh in N s\n"
    )
    assert project.nbbuild("-q").status == 0
    built = project.built("prepare.ipynb")
    assert "".join(built["cells"][2]["source"]).startswith("# only a comment\n")
    assert project.nbbuild("-t", "-B").status == 2
    accepted = project.nbbuild("cache", "list", "--json").data[0]
    assert (accepted["task"], accepted["accepted"]) == ("prepare.ipynb", True)


def test_what_was_altered_by_hand_can_be_accepted_and_what_is_gone_comes_back(project):
    chain(project)
    assert project.build() == ["prepare", "report"]
    project.write("mid.txt", "by hand\n")
    done = project.nbbuild("-t")
    assert (done.status, done.ran) == (0, [])
    assert "note: prepare.ipynb: accepted as it is\n" in done.err
    assert project.read("mid.txt") == "by hand\n"
    assert not project.exists(".nbbuild/replaced")
    # What reads it was accepted on top of it.
    assert project.verdicts() == {"prepare.ipynb": "fresh", "report.ipynb": "fresh"}
    assert project.shown("report.ipynb") == "1\n\n"

    # It is the result now: it comes back from the cache.
    (project.root / "mid.txt").unlink()
    done = project.nbbuild("-t", "--json")
    assert [one["kind"] for one in done.data["outcomes"]] == ["restored", "fresh"]
    assert project.read("mid.txt") == "by hand\n"
    assert project.build("-B") == ["prepare", "report"]
    assert project.read("mid.txt") == "1\n"


def test_what_a_broken_run_left_is_not_accepted_for_a_result(project):
    chain(project)
    assert project.build() == ["prepare", "report"]
    good = project.read("prepare.ipynb")
    project.notebook("prepare.ipynb", "open('mid.txt', 'w').write('half')\n1 / 0")
    assert project.build(status=1) == ["prepare"]
    project.write("mid.txt", "half")
    project.write("prepare.ipynb", good)
    assert project.nbbuild("-t").status == 0
    assert project.read("mid.txt") == "1\n"


def test_a_glob_of_artefacts_is_a_target(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["data/*.txt"]\n')
    project.notebook("a.ipynb", "import os; os.mkdir('data'); open('data/x.txt', 'w').write('x')")
    project.notebook("b.ipynb")
    assert project.build("data/x*") == ["a"]
    assert project.build("data/*.txt") == []
    assert project.nbbuild("*.txt").status == 2


def test_list_tells_the_seconds_of_the_whole_last_run(project):
    project.config("")
    project.notebook("a.ipynb")
    project.notebook("b.ipynb", "1 / 0")
    (unbuilt, _) = project.nbbuild("list", "--json").data
    assert (unbuilt["last"], unbuilt["seconds"]) == (None, None)
    assert project.build(status=1) == ["a", "b"]
    a, b = project.nbbuild("list", "--json").data
    shown = project.nbbuild("show", "a.ipynb", "--json").data
    assert a["seconds"] == shown["record"]["seconds"] > sum(shown["record"]["cell_seconds"])
    assert (b["last"], b["seconds"] > 0) == ("failed", True)
    (record,) = project.nbbuild("cache", "list", "--json").data
    assert record["seconds"] == a["seconds"]
    took = [line.split()[-2:] for line in project.nbbuild("list").out.splitlines()[1:]]
    assert took[0] == project.nbbuild("cache", "list").out.split()[-2:]


def test_folder_and_file_can_be_named_and_folders_and_groups_are_targets(project):
    project.write("docs/other.toml", '[project]\nnotebooks = ["**/*.ipynb"]\n')
    for path in ("top", "part/one", "part/two"):
        project.write(f"docs/{path}.ipynb", ipynb([]))
    status = project.nbbuild("-C", "docs", "-f", "other.toml", "status", "--json", "part")
    assert [one["task"] for one in status.data] == ["part/one.ipynb", "part/two.ipynb"]
    status = project.nbbuild("status", "--json", "-f", "docs/other.toml", "*.ipynb")
    assert [one["task"] for one in status.data] == ["top.ipynb"]
    done = project.nbbuild("-n")
    assert done.status == 2
    assert done.err == (
        f"error: there is no 'jcache.toml' in '{project.root}' or in a folder above it\n\n"
        "hint: `nbbuild init` writes one\n"
    )


# -- saying why --------------------------------------------------------------------------------


def test_explain_names_the_class_the_item_and_both_values(project, monkeypatch):
    chain(project)
    done = project.nbbuild("explain", "report.ipynb")
    assert done.out == (
        "report.ipynb may run: it is judged when what it waits for is done\n"
        "  waits for 'prepare.ipynb'\n"
        "  it has not been run yet\n"
        "  prepare.ipynb will run\n"
        "    it has not been run yet\n"
    )
    assert project.build() == ["prepare", "report"]
    assert project.nbbuild("explain", "prepare.ipynb").out == "prepare.ipynb is up to date\n"

    project.write("data.csv", "2\n")
    monkeypatch.setenv("SEED", "very secret")
    project.notebook("prepare.ipynb", prose("# Other"), COPY.replace("'w'", "'w+'"), "1")
    done = project.nbbuild("explain", "prepare.ipynb")
    lines = re.sub(r"\b[0-9a-f]{12}\b", "DIGEST", done.out).splitlines()
    assert lines == [
        "prepare.ipynb will run",
        "  cell 3 (In [2]) changed: DIGEST → DIGEST",
        "    @@ -1,2 +1,2 @@",
        "     text = open('data.csv').read()",
        "    -open('mid.txt', 'w').write(text)",
        "    +open('mid.txt', 'w+').write(text)",
        "  cell 4 (In [3]) is new",
        "    @@ -0,0 +1 @@",
        "    +1",
        "  asset 'data.csv' changed: DIGEST → DIGEST",
        "  environment variable 'SEED' changed",
    ]

    done = project.nbbuild("explain", "--json", "report.ipynb")
    (waiting,) = done.data
    assert waiting["verdict"] == "wait"
    (because,) = waiting["because"]
    told = {one["item"]: one for one in because["reasons"]}
    assert list(told) == ["cell 3 (In [2])", "cell 4 (In [3])", "data.csv", "SEED"]
    assert (told["SEED"]["kind"], told["SEED"]["old"], told["SEED"]["new"]) == ("env", "", "")
    assert len(told["data.csv"]["old"]) == len(told["data.csv"]["new"]) == 64
    assert told["cell 4 (In [3])"]["diff"] == ["@@ -0,0 +1 @@", "+1"]
    assert project.build("prepare.ipynb") == ["prepare"]
    kept = [path for path in (project.root / ".nbbuild").rglob("*") if path.is_file()]
    assert [path for path in kept if b"very secret" in path.read_bytes()] == []


def test_status_lists_what_is_out_of_date_and_with_v_all_there_is(project):
    chain(project)
    assert project.build("prepare.ipynb") == ["prepare"]
    done = project.nbbuild("status")
    assert (done.status, done.err) == (0, "1 fresh, 1 run\n")
    assert done.out == "run  report.ipynb  it has not been run yet\n"
    assert project.nbbuild("status", "-v").out == (
        "fresh  prepare.ipynb\nrun    report.ipynb   it has not been run yet\n"
    )
    (reason,) = project.nbbuild("status", "--json", "report.ipynb").data[1]["reasons"]
    assert reason == {
        "kind": "first",
        "item": "",
        "old": "",
        "new": "",
        "text": "it has not been run yet",
        "position": None,
        "execution_count": None,
    }
    last = {one["task"]: one["last"] for one in project.nbbuild("list", "--json").data}
    assert last == {"prepare.ipynb": "executed", "report.ipynb": None}
    lines = [line.split() for line in project.nbbuild("list").out.splitlines()]
    assert lines[0] == ["TASK", "NOTEBOOK", "GROUPS", "LAST", "TOOK"]
    assert lines[1][:3] == ["prepare.ipynb", "slow", "executed"]
    assert lines[2] == ["report.ipynb"]


def test_the_graph_in_all_its_formats(project):
    project.config("""
        [[notebook]]
        path = "a.ipynb"
        artefacts = ["a/*.txt"]

        [[notebook]]
        path = "[bc].ipynb"
        assets = ["a/1.txt"]

        [[notebook]]
        path = "d.ipynb"
        depends_on = ["b.ipynb", "c.ipynb"]
    """)
    for name in ("a", "b", "c", "d", 'odd "&" name'):
        project.notebook(f"{name}.ipynb")
    assert project.nbbuild("graph").out == (
        'a.ipynb\n├─ b.ipynb\n│  └─ d.ipynb\n└─ c.ipynb\n   └─ d.ipynb\nodd "&" name.ipynb\n'
    )
    assert project.nbbuild("graph", "b.ipynb").out == "a.ipynb\n└─ b.ipynb\n"
    assert project.nbbuild("graph", "--format", "mermaid").out == (
        "flowchart TD\n"
        '    t0["a.ipynb"]\n'
        '    t1["b.ipynb"]\n'
        '    t2["c.ipynb"]\n'
        '    t3["d.ipynb"]\n'
        '    t4["odd &quot;&amp;&quot; name.ipynb"]\n'
        "    t0 --> t1\n"
        "    t0 --> t2\n"
        "    t1 --> t3\n"
        "    t2 --> t3\n"
    )
    assert project.nbbuild("graph", "--format", "dot").out == (
        "digraph nbbuild {\n"
        '  "a.ipynb";\n'
        '  "b.ipynb";\n'
        '  "c.ipynb";\n'
        '  "d.ipynb";\n'
        '  "odd \\"&\\" name.ipynb";\n'
        '  "a.ipynb" -> "b.ipynb";\n'
        '  "a.ipynb" -> "c.ipynb";\n'
        '  "b.ipynb" -> "d.ipynb";\n'
        '  "c.ipynb" -> "d.ipynb";\n'
        "}\n"
    )
    data = project.nbbuild("graph", "--json", "b.ipynb").data
    assert data == project.nbbuild("graph", "--format", "json", "b.ipynb").data
    assert [(one["task"], one["upstream"]) for one in data["tasks"]] == [
        ("a.ipynb", []),
        ("b.ipynb", ["a.ipynb"]),
    ]
    why = "it reads 'a/1.txt', which 'a/*.txt' can match"
    assert data["edges"] == [{"from": "a.ipynb", "to": "b.ipynb", "why": why}]


# -- results -----------------------------------------------------------------------------------


def test_show_tells_of_the_last_run_and_of_a_failure_with_its_traceback(project):
    chain(project)
    project.notebook("report.ipynb", "print('so far')\nraise ValueError('no such luck')")
    done = project.nbbuild("show", "report.ipynb")
    assert (done.status, done.out) == (1, "")
    assert done.err == "report.ipynb has not been built here yet\n"
    assert json.loads(project.nbbuild("show", "report.ipynb", "--json").out) is None

    assert project.build(status=1) == ["prepare", "report"]
    lines = project.nbbuild("show", "prepare.ipynb").out.splitlines()
    assert lines[0].startswith("prepare.ipynb: executed, ")
    assert lines[1] == "  built notebook: _build/executed/prepare.ipynb"
    assert "  artefact: mid.txt (2 bytes)" in lines
    data = project.nbbuild("show", "prepare.ipynb", "--json").data
    assert len(data["outcome"]["cell_seconds"]) == 2
    places = [(one["position"], one["execution_count"]) for one in data["cells"]]
    assert places == [(1, 1), (3, 2)]
    assert [one["artefacts"] for one in data["records"]] == [["mid.txt"]]
    assert data["record"]["id"] == data["records"][0]["id"]

    text = project.nbbuild("show", "report.ipynb").out
    assert "  built notebook: .nbbuild/failed/report.ipynb.failed\n" in text
    assert "\n  failed: cell 2 (In [2]): ValueError: no such luck\n" in text
    assert "----> 2 raise ValueError('no such luck')" in text
    partial = json.loads(project.read(".nbbuild/failed/report.ipynb.failed"))
    assert partial["cells"][1]["outputs"][0]["text"] == ["so far\n"]
    # Another build that has nothing to do with it does not change what is shown.
    assert project.build("prepare.ipynb") == []
    assert project.nbbuild("show", "report.ipynb").out == text


def test_merge_and_the_cache_give_a_result_without_running(project):
    project.config('[project]\nnotebooks = ["*.ipynb"]\n')
    project.notebook("a.ipynb", "print(1)")
    for out in ("-", "out.ipynb"):
        done = project.nbbuild("merge", "a.ipynb", out)
        assert (done.status, done.out) == (1, "")
        assert done.err == (
            "error: the cache has no result for 'a.ipynb' as it is now\n\n"
            "hint: `nbbuild a.ipynb` makes one; `nbbuild explain a.ipynb` says why not\n"
        )
    project.notebook("my own.ipynb", "print(2)")
    assert project.nbbuild("merge", "my own.ipynb", "-").err.endswith(
        "hint: `nbbuild 'my own.ipynb'` makes one; `nbbuild explain 'my own.ipynb'` says why not\n"
    )
    (project.root / "my own.ipynb").unlink()
    assert project.build() == ["a"]
    built = project.read("_build/executed/a.ipynb")
    done = project.nbbuild("merge", "a.ipynb", "-")
    assert (done.status, done.ran, done.out, done.err) == (0, [], built, "")
    done = project.nbbuild("merge", "a.ipynb", "out/merged.ipynb")
    assert (done.status, done.out, done.err) == (0, "", "wrote out/merged.ipynb\n")
    assert project.read("out/merged.ipynb") == built

    source = project.read("a.ipynb")
    assert project.nbbuild("merge", "--force", "a.ipynb", "./a.ipynb").status == 2
    assert project.read("a.ipynb") == source
    assert project.nbbuild("merge", "a.ipynb", "out/merged.ipynb").status == 2
    project.write("out/merged.ipynb", "mine")
    assert project.nbbuild("merge", "--force", "a.ipynb", "out/merged.ipynb").status == 0
    assert project.read("out/merged.ipynb") == built
    done = project.nbbuild("merge", "a.ipynb", "out.md")
    assert (done.status, project.exists("out.md")) == (2, False)
    assert done.err == (
        "error: 'out.md' is not an .ipynb file, the only format that holds outputs\n\n"
        "hint: write 'out.ipynb', and convert that with Jupytext or nbconvert\n"
    )

    (record,) = project.nbbuild("cache", "list", "--json").data
    assert (record["task"], record["source"], record["artefacts"]) == ("a.ipynb", "a.ipynb", [])
    header, line = project.nbbuild("cache", "list").out.splitlines()
    assert header.split() == ["RECORD", "TASK", "CREATED", "USED", "TOOK"]
    assert line.startswith(f"{record['record']}  a.ipynb  ")
    info = project.nbbuild("cache", "info", "--json").data
    store = project.root / ".nbbuild" / "store" / "v2"
    assert project.nbbuild("cache", "path").out == f"{store}\n"
    elsewhere = project.root.parent / "elsewhere" / "v2"
    project.config('[project]\nnotebooks = ["*.ipynb"]\n[cache]\npath = "../elsewhere"\n')
    assert project.nbbuild("cache", "path").out == f"{elsewhere}\n"
    assert project.nbbuild("cache", "info", "--json").data["path"] == str(elsewhere)
    project.config('[project]\nnotebooks = ["*.ipynb"]\n')
    assert (info["path"], info["records"], info["blobs"]) == (str(store), 1, 1)
    assert project.nbbuild("cache", "info").out.splitlines()[1:3] == ["records: 1", "blobs: 1"]
    one = project.nbbuild("cache", "info", record["record"][:8], "--json").data
    assert one["inputs"]["settings"]["working folder"] == "."
    text = project.nbbuild("cache", "info", record["record"]).out
    assert "\n  settings:\n    working folder: .\n" in text
    done = project.nbbuild("cache", "info", "nothing")
    assert (done.status, done.err.splitlines()[0]) == (2, "error: there is no record 'nothing'")


def test_clean_removes_what_was_built_and_invalidate_makes_it_run_again(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["out/*.txt"]\n')
    project.notebook(
        "a.ipynb", "import os\nos.makedirs('out', exist_ok=True)", "open('out/a.txt', 'w')"
    )
    sources = project.files()
    assert project.build() == ["a"]
    built = project.files()

    listed = [("_build/executed/a.ipynb", "would be removed"), ("out/a.txt", "would be removed")]
    assert [tuple(one.values()) for one in project.nbbuild("clean", "-n", "--json").data] == listed
    assert project.files() == built
    done = project.nbbuild("clean")
    assert done.out == "removed  _build/executed/a.ipynb\nremoved  out/a.txt\n"
    assert project.files() == sources
    done = project.nbbuild("clean", "a.ipynb")
    assert (done.out, done.err) == ("", "nothing to remove\n")
    assert project.build() == []
    assert project.files() == built
    project.write("out/a.txt", "by hand")
    done = project.nbbuild("clean")
    assert done.out == (
        "removed  _build/executed/a.ipynb\nkept: altered since nbbuild wrote it  out/a.txt\n"
    )

    done = project.nbbuild("invalidate", "a.ipynb")
    assert (done.status, done.err) == (0, "1 notebook will run in the next build\n")
    assert project.reasons("a.ipynb") == ["forced to run"]
    assert project.build() == ["a"]
    assert project.build() == []
    assert project.nbbuild("invalidate", "--all", "--json").data == ["a.ipynb"]
    assert project.verdicts() == {"a.ipynb": "run"}
    assert project.nbbuild("invalidate").status == 2


def test_init_writes_a_file_that_builds(project):
    project.notebook("one.ipynb")
    project.notebook("deep/er/two.ipynb")
    project.write("README.md", "```bash\nfalse\n```\n")
    done = project.nbbuild("init")
    assert (done.status, done.out) == (0, "")
    assert done.err == (
        "found 2 notebooks in '.'\nwrote 'jcache.toml'\n"
        "git ignores what nbbuild makes: '.nbbuild' and '_build/executed' have a .gitignore\n"
        "next: nbbuild\n"
    )
    assert project.build() == ["deep/er/two", "one"]
    assert project.nbbuild("init").status == 2


# -- odd circumstances -------------------------------------------------------------------------


def test_odd_names_of_folders_and_notebooks(project):
    names = ["a [1]", "x=1", "100%", "ünï cödé", "-n", "status"]
    project.write(
        "my wörk/jcache.toml",
        '[project]\nnotebooks = ["**/*.ipynb"]\n\n'
        '[[notebook]]\npath = "a [[]1].ipynb"\nartefacts = ["é [[]1].txt"]\n\n'
        '[[notebook]]\npath = "x=1.ipynb"\nassets = ["é [[]1].txt"]\n',
    )
    for name in names:
        project.notebook(f"my wörk/{name}.ipynb", log=False)
    project.notebook("my wörk/a [1].ipynb", "open('é [1].txt', 'w').write('made')", log=False)
    project.notebook("my wörk/x=1.ipynb", "print(open('é [1].txt').read())", log=False)
    built = project.root / "my wörk" / "_build" / "executed"

    done = project.nbbuild("-C", "my wörk", "--json", "--", "-n.ipynb", "x=1.ipynb")
    assert done.status == 0
    kinds = {one["task"]: one["kind"] for one in done.data["outcomes"]}
    assert kinds == dict.fromkeys(("-n.ipynb", "a [1].ipynb", "x=1.ipynb"), "executed")
    assert {path.name for path in built.iterdir()} - {".gitignore"} == set(kinds)
    assert "made\\n" in (built / "x=1.ipynb").read_text()
    # The others are just like "-n.ipynb", whose result is theirs, too.
    done = project.nbbuild("-C", "my wörk", "status", "--json")
    assert {one["task"]: one["verdict"] for one in done.data} == {
        f"{name}.ipynb": "fresh" if f"{name}.ipynb" in kinds else "refresh" for name in names
    }


def test_variables_choose_the_cache_and_the_jobs(project, monkeypatch):
    project.config("")
    project.notebook("a.ipynb")
    monkeypatch.setenv("NBBUILD_JOBS", "many")
    done = project.nbbuild()
    assert (done.status, done.ran) == (2, [])
    assert done.err == (
        'error: \'NBBUILD_JOBS\' must be a whole number from 1, or "auto", not the string "many"\n'
        "  in: the environment\n"
    )

    elsewhere = project.root.parent / "else where"
    monkeypatch.setenv("NBBUILD_JOBS", "1")
    monkeypatch.setenv("NBBUILD_CACHE", str(elsewhere))
    assert project.build() == ["a"]
    assert project.nbbuild("cache", "path").out == f"{elsewhere / 'v2'}\n"
    assert not project.exists(".nbbuild/store")


def test_exit_statuses(project):
    project.config("")
    project.notebook("c.ipynb")
    project.notebook("a.ipynb", code("1 / 0"))
    project.write("b.ipynb", "{ not json")
    assert project.nbbuild("status").status == 0
    assert project.nbbuild("-q").status == 1
    assert project.nbbuild("a.ipynb", "-s").status == 1
    done = project.nbbuild("b.ipynb", "-s")
    assert (done.status, done.err.splitlines()[0]) == (
        2,
        "failed b.ipynb after 0.0 s: 'b.ipynb' is not valid JSON",
    )
    done = project.nbbuild("aa.ipynb")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "error: there is no notebook, task, artefact or group 'aa.ipynb'\n"
        f"  project: {project.root / 'jcache.toml'}\n"
        "\n"
        "hint: did you mean 'a.ipynb'?\n"
    )
    assert project.nbbuild("--executor", "locl", "a.ipynb").err.endswith(
        "hint: did you mean 'local'?\n"
    )
    assert project.nbbuild("--jbos").status == 2

    # A file stands where nbbuild's own folder has to be.
    shutil.rmtree(project.root / ".nbbuild")
    project.write(".nbbuild", "")
    done = project.nbbuild("-s", "c.ipynb")
    assert (done.status, done.ran) == (3, [])
    assert done.err == (
        "error: '.nbbuild' is not a folder\n"
        f"  path: {project.root / '.nbbuild'}\n"
        "\n"
        "hint: move it away: nbbuild keeps its own files there\n"
    )


def test_a_reader_that_goes_away_ends_a_verb_quietly(project):
    project.config("")
    for number in range(300):
        project.write(f"{number:03}-{'long' * 40}.ipynb", ipynb([]))
    shell = subprocess.run(
        [
            "bash",
            "-c",
            f"'{sys.executable}' -m nbbuild list --json | head -n 1; echo ${{PIPESTATUS[0]}}",
        ],
        cwd=project.root,
        # Unbuffered, Python itself takes a write that was cut short for a whole one.
        env={**os.environ, **project.environ, "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.split() == ["[", "141"]
    assert shell.stderr == ""


def test_names_that_would_steer_a_terminal_are_written_out(project):
    project.config("")
    project.notebook("a\x1b]0;x\x07\n\u202e.ipynb", log=False)
    shown = r"a\x1b]0;x\x07\n\u202e.ipynb"
    for words in (["status"], ["list"], ["-n"]):
        assert shown in project.nbbuild(*words).out
    for words in (["explain", "a*"], ["graph"]):
        assert r"a\x1b]0;x\x07" in project.nbbuild(*words).out
    for words in (["status", "--json"], ["list", "--json"], ["graph", "--format", "dot"]):
        done = project.nbbuild(*words)
        assert r"a\u001b]0;x\u0007\n\u202e.ipynb" in done.out
    for words in (["show", "a\x1b]"], ["--executor", "\x9b2J"], ["\x1b]"]):
        done = project.nbbuild(*words)
        assert done.status == 2
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.err)
