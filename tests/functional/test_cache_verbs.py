"""`nbbuild cache …` on results that were added, so that no kernel runs but in two stories."""

from __future__ import annotations

import json
import os
import pty
import time
from pathlib import Path

import pytest
from notebook_sources import executed, prose

from nbbuild.disk.locks import lock


@pytest.fixture
def project(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nartefacts = ["out.txt"]\n')
    for name in ("a", "b"):
        source = f"print({name!r})"
        project.write(f"{name}.ipynb", executed(prose(f"# About {name}"), (source, f"{name}!\n")))
    project.write("out.txt", "the artefact\n")
    assert project.nbbuild("cache", "add", "a.ipynb", "b.ipynb").status == 0
    return project


def records(project, *words):
    return {one["task"]: one for one in project.nbbuild("cache", "list", "--json", *words).data}


def blob(project, digest):
    return project.root / ".nbbuild/store/v2/blobs" / digest[:2] / digest


def used(project, task, seconds_ago):
    """Make a record look as if it was used for the last time so long ago."""
    when = time.time() - seconds_ago
    one = records(project)[task]
    key = one["key"]
    place = project.root / ".nbbuild/store/v2/records" / key[:2] / key / f"{one['record']}.json"
    os.utime(place, (when, when))


def test_the_list_can_be_cut_to_the_newest_and_show_keys(project):
    project.nbbuild("cache", "add", "--overwrite", "a.ipynb")
    everything = project.nbbuild("cache", "list", "--json").data
    assert [one["task"] for one in everything] == ["a.ipynb", "b.ipynb", "a.ipynb"]
    latest = project.nbbuild("cache", "list", "-l", "--json").data
    assert latest == everything[:2]
    header, first, _ = project.nbbuild("cache", "list", "-l", "-k").out.splitlines()
    assert header.split() == ["RECORD", "TASK", "CREATED", "USED", "TOOK", "KEY"]
    assert first.split()[0] == latest[0]["record"]
    assert first.split()[-1] == latest[0]["key"]


def test_a_record_is_shown_as_the_notebook_that_it_made(project):
    one = records(project)["a.ipynb"]
    by_id = project.nbbuild("cache", "cat", one["record"][:6])
    by_name = project.nbbuild("cache", "cat", "a.ipynb")
    assert by_id.out == by_name.out == project.read("_build/executed/a.ipynb")
    assert project.nbbuild("cache", "cat", "a.ipynb", "./out.txt").out == "the artefact\n"
    done = project.nbbuild("cache", "cat", "a.ipynb", "out.tx")
    assert (done.status, done.out, done.err) == (
        2,
        "",
        f"error: the record '{one['record']}' has no artefact 'out.tx'\n"
        "  artefacts: out.txt\n\nhint: did you mean 'out.txt'?\n",
    )


def test_without_its_source_a_record_still_shows_its_cells(project):
    one = records(project)["a.ipynb"]
    project.write("a.ipynb", executed(("other", "")))
    done = project.nbbuild("cache", "cat", one["record"])
    assert [cell["outputs"][0]["text"] for cell in json.loads(done.out)["cells"]] == [["a!\n"]]
    assert done.err == "note: 'a.ipynb' now has other code: these are only the code cells\n"


def test_what_is_damaged_is_never_shown(project):
    one = records(project)["a.ipynb"]
    place = blob(project, one["artefacts"][0]["digest"])
    place.chmod(0o644)
    place.write_text("the artefacts")
    done = project.nbbuild("cache", "cat", "a.ipynb", "out.txt")
    assert (done.status, done.out, done.err) == (
        1,
        "",
        f"error: the cache no longer has 'out.txt' of the record '{one['record']}'\n\n"
        "hint: `nbbuild cache verify` finds what else is damaged\n",
    )


def test_records_are_removed_with_the_bytes_that_only_they_needed(project):
    all_of = records(project)
    done = project.nbbuild("cache", "remove", "a.ipynb", all_of["a.ipynb"]["record"])
    assert (done.status, done.out, done.err) == (
        0,
        f"{all_of['a.ipynb']['record']}  a.ipynb\n",
        "1 record removed\n",
    )
    assert records(project) == {"b.ipynb": all_of["b.ipynb"]}
    assert project.nbbuild("cache", "info", "--json").data["blobs"] == 1
    assert project.verdicts() == {"a.ipynb": "run", "b.ipynb": "fresh"}
    assert project.exists("_build/executed/a.ipynb")
    for words in (("nothing",), (), ("b.ipynb", "--all"), ("b.ipynb", "nothing")):
        assert project.nbbuild("cache", "remove", *words).status == 2
    assert project.nbbuild("cache", "remove", "--all", "--json").data == [
        all_of["b.ipynb"]["record"]
    ]
    assert records(project) == {}


def test_clearing_asks_first(project):
    done = project.nbbuild("cache", "clear")
    assert (done.status, done.err) == (
        2,
        "error: cannot ask whether to clear the cache\n\nhint: use --force to clear it\n",
    )
    for answer, left in (("n\n", 2), ("y\n", 0)):
        ours, theirs = pty.openpty()
        process = project.process("cache", "clear", stdin=theirs)
        os.write(ours, answer.encode())
        _, err = process.communicate()
        os.close(theirs)
        os.close(ours)
        folder = project.nbbuild("cache", "path").out.strip()
        assert err.startswith(f"remove 2 records from {folder}? [y/N]: ")
        assert len(records(project)) == left
    assert project.nbbuild("cache", "clear", "--force").err == (
        "0 records and 0 blobs removed: 0 bytes; 0 bytes left\n"
    )


def test_collecting_takes_what_was_not_used_for_longest(project):
    used(project, "b.ipynb", 10_000)
    one = records(project)["b.ipynb"]["record"]
    for limit in (("--max-records", "1"), ("--max-age", "1h"), ("--max-size", "2.5kB")):
        done = project.nbbuild("cache", "gc", "-n", *limit)
        assert (done.status, done.out) == (0, f"{one}  b.ipynb\n"), limit
        assert done.err.startswith("1 record and 1 blob would go: ")
    assert len(records(project)) == 2
    done = project.nbbuild("cache", "gc", "--max-age", "1h", "--json")
    assert [done.data["records"], done.data["blobs"]] == [[{"record": one, "task": "b.ipynb"}], 1]
    assert list(records(project)) == ["a.ipynb"]
    # Without a limit, that of the configuration counts.
    assert project.nbbuild("cache", "gc").err.startswith("0 records and 0 blobs removed: 0 bytes")
    for words, what in (
        (("--max-size", "much"), "'--max-size' must be a size such as \"500MB\""),
        (("--max-age", "0s"), "'--max-age' must be longer than zero"),
        (("--max-records", "-1"), "--max-records takes a whole number, 0 or more, not '-1'"),
    ):
        done = project.nbbuild("cache", "gc", *words)
        assert done.status == 2
        assert done.err.startswith(f"error: {what}")


def test_a_hit_is_a_use_though_nothing_is_to_do(project):
    for task in ("a.ipynb", "b.ipynb"):
        used(project, task, 10_000)
    assert project.build("a.ipynb") == []
    project.nbbuild("cache", "gc", "--max-records", "1")
    assert list(records(project)) == ["a.ipynb"]


def test_verifying_names_what_is_damaged_and_takes_it_away(project):
    assert project.nbbuild("cache", "verify").err == "2 records and 3 blobs read, none damaged\n"
    one = records(project)["a.ipynb"]
    digest = one["artefacts"][0]["digest"]
    place = blob(project, digest)
    place.chmod(0o644)
    place.write_text("other\n")
    done = project.nbbuild("cache", "verify")
    assert (done.status, done.out, done.err) == (
        3,
        f"removed  blob {digest}: its bytes do not match its name\n"
        f"removed  record {one['record']} (a.ipynb): some of its blobs are gone or damaged\n",
        "2 records and 3 blobs read, 2 damaged\n",
    )
    done = project.nbbuild("cache", "verify", "--json")
    assert (done.status, done.data) == (0, {"blobs": 2, "records": 1, "faults": []})
    assert project.verdicts() == {"a.ipynb": "run", "b.ipynb": "fresh"}


def test_a_build_that_ends_brings_the_cache_back_to_its_size(project):
    used(project, "a.ipynb", 10_000)
    used(project, "b.ipynb", 5_000)
    for path in (project.root / ".nbbuild/store/v2/blobs").glob("*/*"):
        os.utime(path, (1, 1))
    size = project.nbbuild("cache", "info", "--json").data["bytes"]
    project.config(
        '[cache]\nmax_size = {size}\n[[notebook]]\npath = "a.ipynb"\n'
        'artefacts = ["out.txt"]\n'.replace("{size}", str(size))
    )
    project.notebook("c.ipynb", "print('c')")
    done = project.nbbuild("c.ipynb")
    assert done.ran == ["c"]
    assert "note: the cache was over its max_size: removed " in done.err
    left = records(project)
    assert "c.ipynb" in left
    assert "a.ipynb" not in left
    assert project.nbbuild("cache", "info", "--json").data["bytes"] <= size

    # What a build itself has made stays, though it alone is too much; the user is told.
    project.config("[cache]\nmax_size = 100\n")
    project.notebook("c.ipynb", "print('other')")
    done = project.nbbuild("c.ipynb")
    assert list(records(project)) == ["c.ipynb"]
    (told,) = [line for line in done.err.splitlines() if "running builds use" in line]
    assert told.startswith("note: the cache is over its max_size, 100 bytes: running builds use ")
    assert told.endswith("; raise [cache] max_size")
    assert project.build("c.ipynb") == []


def test_a_cache_that_can_only_be_read_stays_as_it_is(project, monkeypatch):
    from nbbuild.store import DiskStore

    monkeypatch.setattr(DiskStore, "writable", False)
    for words in (("clear", "--force"), ("gc",)):
        done = project.nbbuild("cache", *words)
        assert (done.status, done.err.splitlines()[0]) == (
            3,
            "error: the cache is read-only, so nothing is removed from it",
        )
    assert project.nbbuild("cache", "gc", "-n", "--max-records", "0").status == 0
    project.config("[cache]\nmax_size = 100\n")
    assert project.nbbuild("-t").status == 0
    assert len(records(project)) == 2


def test_without_a_cache_every_verb_says_so_and_makes_none(project):
    project.config('[project]\nnotebooks = ["*.ipynb"]\n[cache]\npath = "elsewhere"\n')
    for words, status in (
        (("list",), 0),
        (("info",), 0),
        (("gc",), 0),
        (("clear", "--force"), 0),
        (("verify",), 0),
        (("remove", "--all"), 0),
        (("cat", "nothing"), 2),
    ):
        assert project.nbbuild("cache", *words).status == status, words
    assert not Path("elsewhere").exists()


def older(project, *, records):
    """Turn what the cache holds into what a nbbuild of the first format left; return its bytes."""
    ours, store = project.root / ".nbbuild/store/v2", project.root / ".nbbuild/store"
    for path in list(ours.glob("records/*/*/*.json"))[records:]:
        path.unlink()
    (ours / "VERSION").write_text("nbbuild store 1\n")
    ours.rename(store / "v1")
    return sum(path.stat().st_size for path in (store / "v1").rglob("*") if path.is_file())


def test_a_build_says_once_that_an_older_cache_is_of_no_use_and_gc_removes_it(project):
    size = older(project, records=2)
    project.notebook("c.ipynb", "print('c')")
    done = project.nbbuild("c.ipynb")
    assert done.ran == ["c"]
    assert [line for line in done.err.splitlines() if line.startswith("note")] == [
        "note: the cache holds 2 results of an older nbbuild, which this one cannot use; "
        "`nbbuild cache gc` removes them"
    ]
    assert "older" not in project.nbbuild("-B", "c.ipynb").err
    one = {"folder": "v1", "records": 2, "bytes": size, "in_use": False}
    assert project.nbbuild("cache", "info", "--json").data["earlier"] == [one]
    assert project.nbbuild("cache", "info").out.splitlines()[-1] == (
        f"v1, of an older nbbuild: 2 records, {size} bytes; `nbbuild cache gc` removes them"
    )
    assert project.nbbuild("cache", "gc", "-n", "--json").data["earlier"] == [one]
    said = project.nbbuild("cache", "gc", "-n").err.splitlines()[-1]
    assert said.startswith("2 records of an older nbbuild would go: ")
    with lock(project.root / ".nbbuild/store/v1/locks/build-0.lock"):
        assert project.nbbuild("cache", "gc", "--json").data["earlier"][0]["in_use"]
        said = project.nbbuild("cache", "gc").err.splitlines()[-1]
        assert said.startswith("2 records of an older nbbuild stay until its running builds end: ")
    said = project.nbbuild("cache", "gc").err.splitlines()[-1]
    assert said.startswith("2 records of an older nbbuild removed: ")
    assert not project.exists(".nbbuild/store/v1")
    assert "older" not in project.nbbuild("cache", "info").out + project.nbbuild("cache", "gc").err
    assert project.build("c.ipynb") == []


def test_clearing_takes_what_an_older_version_left_too(project):
    older(project, records=1)
    said = project.nbbuild("cache", "clear", "--force").err.splitlines()
    assert said[0] == "0 records and 0 blobs removed: 0 bytes; 0 bytes left"
    assert said[1].startswith("1 record of an older nbbuild removed: ")
    assert not project.exists(".nbbuild/store/v1")
