"""Several machines build one project, and their reports become one."""

import json
import shutil

import pytest


@pytest.fixture
def book(project):
    readers = ("chart", "map", "plot", "table")
    entries = [f'[[notebook]]\npath = "{name}.ipynb"\nassets = ["out.txt"]\n' for name in readers]
    project.config(
        '[[notebook]]\npath = "load.ipynb"\nartefacts = ["out.txt"]\n\n' + "\n".join(entries)
    )
    project.notebook("load.ipynb", "open('out.txt', 'w').write('1')")
    for name in (*readers, "alone"):
        project.notebook(f"{name}.ipynb", "1")
    return project


def machine(book, name):
    """Return the folder of the project on another machine, as it is now."""
    return shutil.copytree(book.root, book.root.parent / name / "book")


def test_shards_build_everything_and_their_reports_become_one(book):
    folders = {number: str(machine(book, f"machine{number}")) for number in (1, 2)}
    done = {}
    for number, folder in folders.items():
        done[number] = book.nbbuild("-C", folder, "--shard", f"{number}/2", "-j1")
        report = book.nbbuild("-C", folder, "report", "--json")
        (book.root / f"{number}.json").write_text(report.out)
    assert {number: sorted(each.ran) for number, each in done.items()} == {
        1: ["alone", "chart", "load", "map"],
        2: ["load", "plot", "table"],
    }
    assert done[2].err.splitlines()[0] == (
        "note: shard 2/2 has 3 of 6 notebooks; other shards also build load.ipynb"
    )
    paths = [str(book.root / f"{number}.json") for number in (1, 2)]
    page = book.root / "all.html"
    merged = book.nbbuild("report", "--merge", *paths, "--html", str(page), "--junit", "-")
    assert (merged.status, merged.err) == (0, f"wrote {page}\n")
    assert 'tests="6"' in merged.out
    data = book.nbbuild("report", "--merge", *paths, "--json").data
    assert data["counts"] == {"executed": 6}
    assert data["slots"] == 2
    slots = {run["task"].removesuffix(".ipynb"): run["slot"] for run in data["tasks"]}
    assert slots == {"alone": 1, "chart": 1, "load": 1, "map": 1, "plot": 2, "table": 2}
    single = [json.loads((book.root / f"{number}.json").read_text()) for number in (1, 2)]
    assert data["began"] == min(each["began"] for each in single)
    assert [each["shard"] for each in single] == ["1/2", "2/2"]
    assert single[0]["division"] == single[1]["division"] != ""

    # One of them is not everything.
    data = book.nbbuild("report", "--merge", paths[1], "--json").data
    assert data["problems"] == ["the report of shard 1/2 is missing"]
    assert data["exit_status"] == 3

    # Their stores together are one, with which nothing runs.
    for folder in folders.values():
        shutil.copytree(
            f"{folder}/.nbbuild/store", book.root / ".nbbuild/store", dirs_exist_ok=True
        )
    assert book.build() == []


def test_a_shard_without_notebooks_and_one_without_work_leave_reports(book):
    assert book.build("--shard", "1/1") == [
        "alone", "chart", "load", "map", "plot", "table",
    ]  # fmt: skip
    done = book.nbbuild("--shard", "9/9", "--json")
    assert (done.status, done.data["outcomes"]) == (0, [])
    assert done.err == "nothing to do: shard 9/9 has no notebook\n"
    assert book.nbbuild("report", "--json").data["tasks"] == []
    assert book.build("--shard", "1/1") == []
    assert book.nbbuild("report", "--json").data["counts"] == {"fresh": 6}


def test_what_a_shard_finds_up_to_date_says_nothing_of_the_others(book):
    book.nbbuild()
    book.nbbuild("--shard", "2/2")
    book.nbbuild("--shard", "2/2")
    book.notebook("alone.ipynb", "2")
    assert book.build() == ["alone"]


@pytest.mark.parametrize("part", ["0/3", "4/3", "a/b", "1", "1/", "-1/3", "1/0", "1/3/5"])
def test_a_shard_that_does_not_exist(book, part):
    done = book.nbbuild("--shard", part)
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        f"error: --shard takes I/N, with I from 1 to N, not '{part}'\n\n"
        "hint: `--shard 1/3` is the first of three\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--merge",),
            "error: --merge needs the reports to merge\n\n"
            "hint: each shard writes one with `nbbuild report --json > FILE`\n",
        ),
        (
            ("plot.ipynb",),
            "error: `report` takes no target, such as 'plot.ipynb'\n\n"
            "hint: `nbbuild show TARGET` shows one task; --merge takes reports of shards\n",
        ),
        (
            ("--merge", "a.json", "--list"),
            "error: --merge takes reports from files, --build, --compare and --list those that "
            "are kept\n\nhint: leave one of them out\n",
        ),
    ],
)
def test_reports_that_cannot_be_merged(book, words, message):
    done = book.nbbuild("report", *words)
    assert (done.status, done.err) == (2, message)
