"""Whether each kind of trace item holds now; and which paths are a task's own."""

import os
import sys
from pathlib import Path

import pytest

from nbbuild.disk.digests import Digests, digest_bytes
from nbbuild.disk.state import State
from nbbuild.interpreter.environment import Probe
from nbbuild.model import Chunk, ChunkedItems, Task, Trace, TraceItem
from nbbuild.watching.traces import (
    SITE,
    STDLIB,
    KnownValues,
    Own,
    Traces,
    digest_matches,
    digest_names,
    glob_matches,
    joined,
    listing,
)

PROBE = Probe(
    python="3.11.0",
    implementation="CPython",
    ipykernel="7",
    ipython="9",
    distributions={"front": "1"},
    path=(),
    owners={"front": ("front",)},
    stdlib=("json",),
)


def nobody(path):
    return False


def says(root, *items, path=(".", STDLIB, SITE), probe=PROBE, own=nobody, **more):
    """Return the sentences on what does not hold."""
    traces = Traces(root, digest=Digests().digest)
    trace = Trace("python", items, path, **more)
    return [reason.text for reason in traces.broken(trace, probe=probe, own=own)]


def write(root, path, text=""):
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return digest_bytes(text.encode())


def test_a_module_holds_while_its_lines_are_the_same(tmp_path):
    item = TraceItem("file", "a.py", write(tmp_path, "a.py", "one\ntwo\n"), way="lines")
    data = TraceItem("file", "a.py", item.value)
    for text in ("one\r\ntwo\r\n", "one\rtwo\n"):
        (tmp_path / "a.py").write_bytes(text.encode())
        assert says(tmp_path, item) == []
        assert says(tmp_path, data) == ["'a.py' changed"]
        assert says(tmp_path, item, data) == ["'a.py' changed"]
    for text in ("one\r\n\ntwo\r\n", "one\ntwo"):
        (tmp_path / "a.py").write_bytes(text.encode())
        assert says(tmp_path, item) == ["'a.py' changed"]
    (tmp_path / "a.py").unlink()
    assert says(tmp_path, item) == ["'a.py' is gone"]


def test_a_listing_and_a_glob_leave_out_virtual_environments_and_version_control(tmp_path):
    write(tmp_path, "a.csv")
    listing_then = TraceItem("listing", ".", listing(tmp_path, ".", own=nobody) or "")
    globbed = TraceItem(
        "glob",
        ".:**/*.csv",
        digest_matches([str(tmp_path / "a.csv")], str(tmp_path), own=nobody),
        way="pathlib",
    )
    write(tmp_path, ".venv/pyvenv.cfg")
    write(tmp_path, ".venv/lib/python3.11/site-packages/pandas/tests/b.csv")
    write(tmp_path, ".git/info/c.csv")
    assert says(tmp_path, listing_then, globbed) == []
    write(tmp_path, "not/.venv/d.csv")
    assert says(tmp_path, listing_then, globbed) == [
        "the folder '.' holds other names",
        "'**/*.csv' matches other files",
    ]


def test_a_file_holds_while_its_bytes_are_the_same(tmp_path):
    item = TraceItem("file", "a.txt", write(tmp_path, "a.txt", "one"), "cell 2")
    assert says(tmp_path, item) == []
    write(tmp_path, "a.txt", "two")
    assert says(tmp_path, item) == ["'a.txt' changed (cell 2)"]
    (tmp_path / "a.txt").unlink()
    assert says(tmp_path, item) == ["'a.txt' is gone (cell 2)"]
    (tmp_path / "a.txt").mkdir()
    assert says(tmp_path, item) == ["'a.txt' is gone (cell 2)"]


def test_what_the_kernel_answers_is_never_read(tmp_path):
    def reads(path):
        raise AssertionError(path)

    traces = Traces(tmp_path, digest=reads)
    for kind in ("file", "absent"):
        for name in ("/proc/self/mem", "//dev/zero", "/usr/../sys/x", "../" * 40 + "proc/kmsg"):
            trace = Trace(items=(TraceItem(kind, name, "ab" * 32),))
            assert [one.item for one in traces.broken(trace, probe=None, own=nobody)] == [name]
    inside = Traces(Path("/dev/shm/book"), digest=lambda path: "ab" * 32)
    trace = Trace(items=(TraceItem("file", "../data.csv", "ab" * 32),))
    assert list(inside.broken(trace, probe=None, own=nobody)) == []


def test_an_absence_holds_until_something_is_there(tmp_path):
    item = TraceItem("absent", "a.txt")
    said = ["'a.txt', which was missing, exists now"]
    assert says(tmp_path, item) == []
    write(tmp_path, "a.txt", "")
    assert says(tmp_path, item) == said
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").mkdir()
    assert says(tmp_path, item) == said
    (tmp_path / "a.txt").rmdir()
    (tmp_path / "a.txt").symlink_to("later.txt")
    assert says(tmp_path, item) == []  # whoever follows the link still finds nothing
    itself = TraceItem("absent", "a.txt", way="exists link")
    assert says(tmp_path, itself) == said
    write(tmp_path, "later.txt")
    assert says(tmp_path, item) == said


def test_an_absence_that_the_run_ended_holds_while_absent_or_as_the_run_left_it(tmp_path):
    items = [
        TraceItem("absent", "a.txt", digest_bytes(b"left")),
        TraceItem("absent", "folder", "d", way="exists link"),
    ]
    assert says(tmp_path, *items) == []
    write(tmp_path, "a.txt", "left")
    (tmp_path / "folder").mkdir()
    assert says(tmp_path, *items) == []
    write(tmp_path, "a.txt", "edited")
    (tmp_path / "folder").rmdir()
    write(tmp_path, "folder", "a file")
    assert says(tmp_path, *items) == [
        "'a.txt' is not as the run left it",
        "'folder' is not as the run left it",
    ]


def test_what_a_path_is_holds_while_it_is_that(tmp_path):
    item = TraceItem("stat", "data", "d", "cell 2", "exists")
    (tmp_path / "data").mkdir(mode=0o700)
    assert says(tmp_path, item) == []
    (tmp_path / "data").chmod(0o755)
    assert says(tmp_path, item) == []
    (tmp_path / "data").rmdir()
    assert says(tmp_path, item) == ["'data' is gone (cell 2)"]
    write(tmp_path, "data")
    assert says(tmp_path, item) == ["'data' is a file now, not a folder (cell 2)"]


@pytest.mark.parametrize(
    ("way", "value", "longer", "bits"),
    [
        ("exists", "f", [], []),
        ("size", "f 3", ["'a.txt' has 6 bytes now, not 3"], []),
        ("stat", "f 3 600", ["'a.txt' has 6 bytes now, not 3"], ["mode"]),
    ],
)
def test_an_answer_holds_while_what_was_asked_for_is_the_same(tmp_path, way, value, longer, bits):
    item = TraceItem("stat", "a.txt", value, way=way)
    write(tmp_path, "a.txt", "one")
    (tmp_path / "a.txt").chmod(0o600)
    assert says(tmp_path, item) == []
    write(tmp_path, "a.txt", "two")
    assert says(tmp_path, item) == []  # content of the same size is no answer of stat's
    write(tmp_path, "a.txt", "longer")
    assert says(tmp_path, item) == longer
    write(tmp_path, "a.txt", "one")
    (tmp_path / "a.txt").chmod(0o644)
    said = ["'a.txt' has the mode 644 now, not 600"] if bits else []
    assert says(tmp_path, item) == said
    (tmp_path / "a.txt").unlink()
    assert says(tmp_path, item) == ["'a.txt' is gone"]


def test_a_link_holds_while_it_leads_where_it_led(tmp_path):
    item = TraceItem("stat", "latest", "l v1", way="exists link")
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
    (tmp_path / "latest").symlink_to("v1")
    assert says(tmp_path, item) == []
    (tmp_path / "latest").unlink()
    assert says(tmp_path, item) == ["'latest' is gone"]
    (tmp_path / "latest").symlink_to("v2")
    assert says(tmp_path, item) == ["the link 'latest' leads to 'v2' now, not to 'v1'"]
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    assert says(tmp_path, item) == ["'latest' is a folder now, not a link"]
    assert says(tmp_path, TraceItem("stat", "latest", "d - 755", way="stat link")) == []


def test_a_listing_holds_while_the_names_that_count_are_the_same(tmp_path):
    write(tmp_path, "data/a.txt")
    item = TraceItem("listing", "data", digest_names(["fa.txt"], "data", own=nobody))
    assert says(tmp_path, item) == []
    for name in ("__pycache__/x.pyc", ".ipynb_checkpoints/x", "a.txt", "made/x", "ours.txt"):
        write(tmp_path, f"data/{name}", "new content")
    assert says(tmp_path, item, own=lambda p: p == "data/ours.txt", made=("data/made",)) == []
    said = ["the folder 'data' holds other names"]
    assert says(tmp_path, item, own=lambda p: p == "data/ours.txt") == said
    assert says(tmp_path, item, made=("data/made",)) == said
    for name in ("a.txt", "ours.txt"):
        (tmp_path / "data" / name).unlink()
    assert says(tmp_path, item, made=("data/made",)) == said
    (tmp_path / "data" / "a.txt").mkdir()
    assert says(tmp_path, item, made=("data/made",)) == said  # the same name, of another kind
    assert says(tmp_path, TraceItem("listing", "gone", "any")) == ["the folder 'gone' is gone"]


@pytest.mark.parametrize(
    ("way", "pattern", "matched"),
    [
        ("glob", "data/*.csv", ["data/a.csv"]),
        ("glob", "**/*.csv", ["data/a.csv"]),
        ("glob recursive", "**/*.csv", ["data/a.csv", "data/in/b.csv", "top.csv"]),
        (
            "glob recursive",
            "data/**",
            ["data", "data/a.csv", "data/in", "data/in/b.csv", "data/x.txt"],
        ),
        ("glob hidden", "data/*.csv", ["data/.c.csv", "data/a.csv"]),
        ("pathlib", "data/*.csv", ["data/.c.csv", "data/a.csv"]),
        (
            "pathlib recursive",
            "**/*.csv",
            ["data/.c.csv", "data/a.csv", "data/in/b.csv", "top.csv"],
        ),
        ("pathlib", "", []),
        ("glob", "[", []),
    ],
)
def test_a_glob_matches_by_the_rules_of_the_one_that_was_used(tmp_path, way, pattern, matched):
    for path in ("data/a.csv", "data/.c.csv", "data/in/b.csv", "top.csv", "data/x.txt"):
        write(tmp_path, path)
    if way == "glob hidden" and sys.version_info < (3, 11):
        pytest.skip("glob has no include_hidden")
    found = glob_matches(tmp_path, f".:{pattern}", way)
    assert sorted(os.path.relpath(path, tmp_path) for path in found) == matched


def test_a_glob_holds_while_it_matches_the_same(tmp_path):
    write(tmp_path, "data/a.csv")
    matches = [str(tmp_path / "data/a.csv")]
    value = digest_matches(matches, str(tmp_path), own=nobody)
    item = TraceItem("glob", "data:*.csv", value, "cell 1", "glob")
    write(tmp_path, "data/a.txt")
    write(tmp_path, "data/a.csv", "edited")
    assert says(tmp_path, item) == []
    write(tmp_path, "data/b.csv")
    assert says(tmp_path, item) == ["'*.csv' matches other files (cell 1)"]
    assert says(tmp_path, item, own=lambda path: path == "data/b.csv") == []


def test_a_distribution_holds_by_its_version(tmp_path):
    assert says(tmp_path, TraceItem("distribution", "front", "1")) == []
    assert says(tmp_path, TraceItem("distribution", "front", "0.9")) == ["front 0.9 → 1"]
    assert says(tmp_path, TraceItem("distribution", "gone", "1")) == ["gone 1 → not installed"]
    assert says(tmp_path, TraceItem("distribution", "front", "1"), probe=None) == [
        "front 1 → not installed"
    ]


def test_imports_hold_while_they_find_the_same(tmp_path):
    write(tmp_path, "lib/mine.py")
    path = (".", STDLIB, "lib", SITE)
    items = [
        TraceItem("import", "mine", "lib/mine.py"),
        TraceItem("missing-import", "optional"),
        TraceItem("installed", "front json"),
    ]
    assert says(tmp_path, *items, path=path) == []
    write(tmp_path, "mine/__init__.py")
    write(tmp_path, "optional.py")
    write(tmp_path, "lib/front.py")
    # The standard library goes before lib, the installed packages after it.
    write(tmp_path, "lib/json.py")
    assert says(tmp_path, *items, path=path) == [
        "`import mine` finds 'mine/__init__.py' now",
        "`import optional`, which found nothing, finds 'optional.py' now",
        "'lib/front.py' hides an installed module of the same name",
    ]
    assert says(tmp_path, TraceItem("missing-import", "front"), path=(SITE,)) == [
        "`import front`, which found nothing, finds '<site-packages>' now"
    ]
    assert says(tmp_path, TraceItem("import", "mine", "lib/mine.py"), path=()) == [
        "`import mine` finds nothing now"
    ]


def test_an_import_of_another_moment_has_its_own_path(tmp_path):
    write(tmp_path, "lib/mine.py")
    item = TraceItem("import", "mine", "lib/mine.py", way=joined(("lib", SITE)))
    write(tmp_path, "mine.py")
    assert says(tmp_path, item, path=(".",)) == []


def test_what_a_later_version_recorded_does_not_hold(tmp_path):
    assert says(tmp_path, TraceItem("aura", "x", "blue")) == [
        "'x' cannot be judged by this version of nbbuild"
    ]


def test_a_folder_is_looked_at_once_until_told_to_forget(tmp_path):
    traces = Traces(tmp_path, digest=Digests().digest)
    trace = Trace("python", (TraceItem("missing-import", "x"),), (".",))
    assert list(traces.broken(trace, probe=PROBE, own=nobody)) == []
    write(tmp_path, "x.py")
    assert list(traces.broken(trace, probe=PROBE, own=nobody)) == []
    traces.forget()
    assert len(list(traces.broken(trace, probe=PROBE, own=nobody))) == 1


def test_what_many_records_share_is_looked_at_once_while_nothing_changes(tmp_path):
    write(tmp_path, "data.csv")
    asked = []
    traces = Traces(tmp_path, digest=lambda path: asked.append(path) or Digests().digest(path))
    (data,) = traces.renewed(
        Trace("python", (TraceItem("file", "data.csv"),)), probe=None, own=nobody
    ).items
    trace = Trace("python", (data, TraceItem("absent", "none.csv")))
    asked.clear()

    seen = KnownValues()
    for _ in range(3):
        assert list(traces.broken(trace, probe=None, own=nobody, seen=seen)) == []
    assert [os.path.basename(path) for path in asked] == ["data.csv", "none.csv"]

    write(tmp_path, "none.csv")
    assert list(traces.broken(trace, probe=None, own=nobody, seen=seen)) == []
    assert len(list(traces.broken(trace, probe=None, own=nobody))) == 1


def test_a_chunk_is_looked_at_once_and_what_broke_in_it_is_named_in_order(tmp_path):
    for number in range(4):
        write(tmp_path, f"{number}.csv")
    items = tuple(
        TraceItem("file", f"{number}.csv", digest_bytes(b""), "read") for number in range(4)
    )
    chunk = Chunk("c" * 64, items[1:3])
    asked = []
    traces = Traces(tmp_path, digest=lambda path: asked.append(path) or Digests().digest(path))

    def broken(*rest, seen):
        trace = Trace("python", ChunkedItems((chunk,), (1,), rest))
        reasons = list(traces.broken(trace, probe=None, own=nobody, seen=seen))
        names = [os.path.basename(path) for path in asked]
        asked.clear()
        return [reason.item for reason in reasons], names

    seen = KnownValues()
    assert broken(items[0], seen=seen) == ([], ["0.csv", "1.csv", "2.csv"])
    other = TraceItem("file", "3.csv", "0" * 64)
    assert broken(items[0], other, seen=seen) == (["3.csv"], ["3.csv"])

    for name in ("0.csv", "2.csv", "3.csv"):
        write(tmp_path, name, "changed")
    assert broken(items[0], seen=seen)[0] == []  # as long as nothing is to be looked at again
    seen = KnownValues()
    assert broken(items[0], items[3], seen=seen)[0] == ["0.csv", "2.csv", "3.csv"]
    assert broken(items[0], items[3], seen=seen)[0] == ["0.csv", "2.csv", "3.csv"]


@pytest.mark.parametrize("way", ["", "exists", "exists link", "stat"])
@pytest.mark.parametrize(
    "name", ["none", "none/below", "a file/below", "nul\0", "ring", "nowhere", "x" * 300]
)
def test_that_still_nothing_is_there_is_seen_quickly_and_as_before(tmp_path, name, way):
    write(tmp_path, "a file")
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "nowhere").symlink_to("none")
    trace = Trace("python", (TraceItem("absent", name, way=way),))
    digests = Digests()
    quick = Traces(tmp_path, digest=digests.digest, nothing_at=digests.nothing_at)
    plain = Traces(tmp_path, digest=Digests().digest)
    found = [list(one.broken(trace, probe=None, own=nobody)) for one in (quick, plain)]
    assert found[0] == found[1]
    assert digests.asked == {f"{tmp_path}/{name}": None}  # so the quick answer knows


def test_a_thousand_edits_that_leave_size_and_time_are_all_seen(tmp_path):
    """Each as a build of its own, which remembers digests for the next one."""
    path = tmp_path / "data.bin"
    path.write_bytes(b"%8d" % 0)
    then = path.stat().st_mtime_ns - 60_000_000_000
    os.utime(path, ns=(then, then))
    value = ""
    for number in range(1000):
        state = State(tmp_path / ".nbbuild")
        digests = Digests(state)
        traces = Traces(tmp_path, digest=digests.digest)
        trace = Trace("python", (TraceItem("file", "data.bin", value),))
        broken = list(traces.broken(trace, probe=None, own=nobody))
        assert (number, len(broken)) == (number, 1)
        value = broken[0].new
        assert value == digest_bytes(b"%8d" % number)
        digests.save()
        state.close()
        path.write_bytes(b"%8d" % (number + 1))
        os.utime(path, ns=(then, then))


def test_own_are_artefacts_the_built_notebook_and_nbbuilds_folders():
    task = Task(
        name="a",
        source="a.ipynb",
        built="_build/a.ipynb",
        artefacts=("out/fig-*.png", "deep/in/x.txt"),
    )
    own = Own(task, undeclared=["notes.txt", "drafts/one.txt"], closed=["_build", ".nbbuild"])
    files = {
        "out/fig-1.png": True,
        "out/other.png": False,
        "deep/in/x.txt": True,
        "_build/a.ipynb": True,
        "_build/b.ipynb": False,
        "notes.txt": False,
    }
    assert {path: own.file(path) for path in files} == files
    # In a listing, also what leads to something of our own, and what the run wrote undeclared.
    names = {
        "out": True,
        "out/fig-2.png": True,
        "deep": True,
        "deep/in": True,
        "deep/in/other": False,
        "out/input.csv": False,
        "deep/else": False,
        "_build": True,
        "_build/b.ipynb": True,
        ".nbbuild": True,
        "notes.txt": True,
        "drafts": True,
        "drafts/two.txt": False,
        "data": False,
    }
    assert {path: own.name(path) for path in names} == names


def test_listing_a_folder_that_cannot_be_listed(tmp_path):
    assert listing(tmp_path / "gone", "gone", own=nobody) is None
