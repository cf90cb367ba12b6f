"""What others may have put into a shared cache, or into the `.nbbuild` of a clone, hurts nobody.

Each bomb is a miss, or an error in words: no command looks at much, holds much or writes outside.
"""

import json
import os
import resource
import shutil
import sqlite3

import msgspec
import pytest
from children import answered
from played_kernels import command, internal

from nbbuild.disk import rows
from nbbuild.disk.checksummed import seal, unseal
from nbbuild.disk.digests import digest_bytes

VICTIM = digest_bytes(b"victim")
MOST_NAMES = 1_000_000  # that the commands together may list: a few times the bound of a trace
MOST_MEMORY = 1 << 30  # bytes


def record_of(root, task):
    for place in (root / ".nbbuild/store/v2/records").rglob("*.json"):
        record = json.loads(unseal(place.read_bytes()))
        if record["task"] == task:
            return place, record
    raise LookupError(task)


def record(task="a.ipynb", **fields):
    def make(root):
        place, found = record_of(root, task)
        found.update(fields)
        place.write_bytes(seal(json.dumps(found).encode()))

    return make


def trace(*items, **fields):
    """A record with these items first, each a kind, a name and perhaps a way."""

    def make(root):
        place, found = record_of(root, "a.ipynb")
        new = [
            {"kind": kind, "name": name, "value": "x", "way": "".join(way)}
            for kind, name, *way in items
        ]
        found["trace"].update(fields, items=[*new, *found["trace"]["items"]])
        place.write_bytes(seal(json.dumps(found).encode()))

    return make


def field_as(name, text):
    """A record in which a field has this JSON."""

    def make(root):
        place, found = record_of(root, "a.ipynb")
        body = json.dumps({**found, name: "@@"}).replace('"@@"', text)
        place.write_bytes(seal(body.encode()))

    return make


def also(path):
    """A record with one more artefact."""

    def make(root):
        place, found = record_of(root, "a.ipynb")
        found["artefacts"].append({**found["artefacts"][0], "path": path})
        place.write_bytes(seal(json.dumps(found).encode()))

    return make


def ledger(of, **fields):
    def make(root):
        for place in (root / ".nbbuild/tree").glob("*.json"):
            found = json.loads(unseal(place.read_bytes()))
            if found["task"] == of:
                place.write_bytes(seal(json.dumps({**found, **fields}).encode()))

    return make


def outcome(**fields):
    def make(root):
        state = sqlite3.connect(root / ".nbbuild/state.sqlite")
        query = "SELECT value FROM outcomes WHERE task = ?"
        (value,) = state.execute(query, (b"a.ipynb",)).fetchone()
        found = json.dumps({**msgspec.msgpack.decode(value), **fields}).encode()
        summed = (found, rows.row_sum((b"a.ipynb",), found), b"a.ipynb")
        state.execute("UPDATE outcomes SET value = ?, sum = ? WHERE task = ?", summed)
        state.commit()
        state.close()

    return make


def report(**fields):
    def make(root):
        place = next((root / ".nbbuild/reports").glob("*.json"))
        place.write_text(json.dumps({**json.loads(place.read_text()), **fields}))

    return make


def schema(text):
    def make(root):
        state = sqlite3.connect(root / ".nbbuild/state.sqlite")
        state.executescript(text)
        state.close()

    return make


def huge(pattern):
    """A file of a terabyte, all of it a hole."""

    def make(root):
        place = next(root.glob(pattern))
        place.chmod(0o600)
        os.truncate(place, 1 << 40)

    return make


def huge_blob(of):
    def make(root):
        digest = of(record_of(root, "a.ipynb")[1])
        huge(f".nbbuild/store/v2/blobs/*/{digest}")(root)
        for made in ("_build", "out"):
            shutil.rmtree(root / made)

    return make


def cells(data):
    def make(root):
        digest = digest_bytes(data)
        place = root / ".nbbuild/store/v2/blobs" / digest[:2] / digest
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
        record(cells=digest)(root)
        shutil.rmtree(root / "_build")

    return make


_DEEP = "[" * 200_000 + "]" * 200_000
_ALL = "glob recursive hidden"
_ENDLESS = (
    "DROP TABLE outcomes; CREATE VIEW outcomes(task, value) AS WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, i FROM n;"
)
_FAILURE = {"kind": "error", "message": "x"}

BOMBS = {
    "glob of the disk": trace(("glob", "/:**", _ALL)),
    "glob of the disk, by its pattern": trace(("glob", ".:/**", _ALL)),
    "glob of the disk, from below": trace(("glob", "../" * 40 + ":*/*/*/*/*", "glob")),
    "glob of processes": trace(("glob", "/proc:**", _ALL)),
    "glob of programs": trace(("glob", "/usr:**/*.zzz", _ALL)),
    "glob that multiplies": trace(("glob", ".:" + "**/" * 30 + "*", _ALL)),
    "glob that multiplies, of pathlib": trace(("glob", ".:" + "**/" * 30 + "*", "pathlib")),
    "glob that is long": trace(("glob", ".:" + "[a" * 200_000, "glob")),
    "globs without end": trace(*(("glob", f"/usr:*/*{n}", "glob") for n in range(20_000))),
    "imports": trace(
        *(("import", f"m{n}.a.b.c") for n in range(20_000)), path=[f"x{n}" for n in range(20_000)]
    ),
    "modules": trace(
        ("installed", " ".join(f"m{n}" for n in range(99_999)), "\0".join(map(str, range(9_999))))
    ),
    "folder that is long": trace(("import", "m"), path=["a/" * 100_000]),
    "device": trace(("file", "/dev/zero"), ("file", "../" * 40 + "dev/zero")),
    "file that is long": trace(("file", "a/" * 100_000)),
    "size": record(artefacts=[{"path": "out/a.txt", "digest": VICTIM, "size": 10**30}]),
    "seconds": record(seconds=1e308),
    "time": record(created=1e308),
    "time before all": record(created=-1e308),
    "time of 300 digits": record(created=10**300),
    "time of 5,000 digits": field_as("created", "1" * 5_000),
    "no number": field_as("created", "NaN"),
    "cells' seconds": record(cell_seconds=[1e308] * 100_000),
    "folders": record(folders=[f"out/more/{n}" for n in range(100_000)]),
    "artefact above": also("../victim.txt"),
    "artefact above, from inside": also("out/more/../../../victim.txt"),
    "artefact elsewhere": also("/tmp/nbbuild-victim.txt"),
    "artefact with a NUL": also("out/more/\0.txt"),
    "folder above": record(folders=["../evil"]),
    "undeclared above": record(
        "d.ipynb", undeclared=[{"path": "../victim.txt", "digest": VICTIM, "size": 6}]
    ),
    "removed above": record("d.ipynb", removed=["../victim.txt", "/etc/passwd", "\0"]),
    "deep": field_as("more", _DEEP),
    "deep in a field": field_as("trace", _DEEP),
    "cells above": record(cells="../../../victim.txt"),
    "deep cells": cells(_DEEP.encode()),
    "odd cells": cells(b'{"cells":[{"source":"x","outputs":[{"output_type":7}]}]}'),
    "huge record": huge(".nbbuild/store/v2/records/*/*/*.json"),
    "huge cells": huge_blob(lambda record: record["cells"]),
    "huge artefact": huge_blob(lambda record: record["artefacts"][0]["digest"]),
    "huge VERSION": huge(".nbbuild/store/v2/VERSION"),
    "huge ledger": huge(".nbbuild/tree/*.json"),
    "ledger of a built notebook above": ledger("a.ipynb", built=[["../victim.txt", VICTIM]]),
    "ledger of an artefact above": ledger("a.ipynb", made=[["../victim.txt", VICTIM]]),
    "ledger of a leftover above": ledger("d.ipynb", left=[["../victim.txt", VICTIM, True]]),
    "ledger of folders above": ledger("a.ipynb", folders=["..", "../empty"], finished=False),
    "ledger of the disk": ledger("a.ipynb", patterns=["/**"], finished=False, before=[]),
    "ledger of all above": ledger("a.ipynb", patterns=["../**"], finished=False, before=[]),
    "ledger of a time": ledger("a.ipynb", when_ns=10**30, finished=False),
    "outcome of a time": outcome(when=1e308, seconds=1e308, saved=-1e308),
    "outcome of a cell": outcome(kind="failed", failure={**_FAILURE, "cell": 10**18}),
    "outcome of no cell": outcome(kind="failed", failure={**_FAILURE, "cell": -5}),
    "outcome above": outcome(kind="failed", failure=_FAILURE, built="../../../etc/passwd"),
    "report of a time": report(began=1e308),
    "report of slots": report(slots=10**30),
    "view without end": schema(_ENDLESS),
}

COMMANDS = (
    *(("status", "-v"), ("explain", "a.ipynb", "-v"), ("show",), ("show", "a.ipynb"), ("report",)),
    *(("report", "--junit", "r.xml"), ("cache", "list"), ("-j1",), ("-j1",)),
    *(("cache", "verify"), ("clean",)),
)


LONG = ("glob of programs", "globs without end")  # as far as the bound


class Listed:
    """Counts the names that this process lists."""

    def __init__(self):
        self.names = 0
        self._scandir, self._listdir = os.scandir, os.listdir

    def scandir(self, *place):
        return _Counted(self, self._scandir(*place))

    def listdir(self, *place):
        found = self._listdir(*place)
        self.names += len(found)
        return found


class _Counted:
    def __init__(self, listed, found):
        self._listed, self._found = listed, found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._found.close()

    def __iter__(self):
        return self

    def __next__(self):
        self._listed.names += 1
        return next(self._found)

    def close(self):
        self._found.close()


def story(root, commands):
    """What went wrong in a project with a bomb, in a process of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    listed, wrong = Listed(), []
    os.scandir, os.listdir = listed.scandir, listed.listdir
    for words in commands:
        said = command(root, *words)
        if internal(said) or "\x1b" in said.out + said.err:
            wrong.append(f"{words}: {said.out}{said.err}")
        if words == ("-j1",) and said.status:
            wrong.append(f"{words}: status {said.status}: {said.err}")
    if listed.names > MOST_NAMES:
        wrong.append(f"{listed.names} names were listed")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    if memory > MOST_MEMORY:
        wrong.append(f"{memory >> 20} MB were held")
    return wrong


def outside(box):
    """Everything beside the project."""
    return {
        path.name: path.read_bytes() if path.is_file() else sorted(os.listdir(path))
        for path in box.iterdir()
        if path.name != "project"
    }


A_FEW = (
    *("glob of the disk", "glob that multiplies", "imports", "time", "artefact above"),
    *("huge record", "ledger of all above", "view without end"),
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=() if one in A_FEW else pytest.mark.stress) for one in BOMBS],
)
def test_a_bomb_is_a_miss_and_hurts_nobody(name, clean, played):
    root = played / "project"
    shutil.copytree(clean.root, root, symlinks=True)
    (played / "victim.txt").write_text("victim")
    (played / "empty").mkdir()
    BOMBS[name](root)
    before = outside(played)
    commands = COMMANDS
    if name in LONG or name.startswith("huge "):  # `cache verify` reads whatever there is
        commands = [words for words in COMMANDS if words[0] == "-j1"]
    assert answered(lambda: story(root, commands), within=60) == []
    assert outside(played) == before


def test_why_a_record_is_not_used_is_said(clean, played):
    root = played / "project"
    shutil.copytree(clean.root, root, symlinks=True)
    trace(("glob", "/:**", _ALL), ("glob", ".:" + "x" * 5_000 + "*", "glob"))(root)
    said = command(root, "explain", "a.ipynb")
    assert "'**' in '/' would look at too much to be judged" in said.out
    place, _ = record_of(root, "b.ipynb")
    record("b.ipynb", created=1e308)(root)
    said = command(root, "cache", "verify")
    assert place.stem in said.out
    assert "it is not the record that was written" in said.out
