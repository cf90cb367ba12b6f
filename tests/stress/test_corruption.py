"""Files of nbbuild's own that are damaged, gone or something else: all is noticed, and heals."""

import os
import resource
import shutil
import sqlite3
from pathlib import Path

import pytest
from children import answered
from played_kernels import command, internal, tree
from sizes import chosen, numbers, sizes, tried

from nbbuild.disk.rows import unpack
from nbbuild.disk.state import State
from nbbuild.store import DiskStore

LONGEST = 4096  # bytes of a file that are cut one by one


def own_files(root):
    """Return nbbuild's own files in a built project, root-relative."""
    folder = root / ".nbbuild"
    return sorted(str(path.relative_to(root)) for path in folder.rglob("*") if path.is_file())


def kind(path):
    """Return which files may be swapped with `path`: those in the same part of `.nbbuild`."""
    parts = Path(path).parts
    return parts[1:4] if parts[1] == "store" else parts[1:2]


# -- ways of damaging a file; each returns what it did ---------------------------------------------


def cut(path, chance):
    size = chance.randrange(min(path.stat().st_size, LONGEST) or 1)
    os.truncate(path, size)
    return f"cut to {size} bytes"


def flip(path, chance):
    data = bytearray(path.read_bytes())
    if not data:
        path.write_bytes(b"x")
        return "a byte that was not there"
    bit = chance.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    return f"bit {bit} flipped"


def empty(path, chance):
    path.write_bytes(b"")
    return "empty"


def missing(path, chance):
    path.unlink()
    return "missing"


def pipe(path, chance):
    path.unlink()
    os.mkfifo(path)
    return "a pipe"


def folder(path, chance):
    path.unlink()
    path.mkdir()
    if chance.random() < 0.5:
        (path / "inside").write_text("inside")
    return "a folder"


def link(path, chance):
    path.unlink()
    target = chance.choice(["/dev/zero", "nothing-here", path.name, "/etc/hostname"])
    path.symlink_to(target)
    return f"a link to {target}"


def swap(path, chance):
    root = next(above for above in path.parents if (above / "jcache.toml").exists())
    here = str(path.relative_to(root))
    others = [one for one in own_files(root) if kind(one) == kind(here) and one != here]
    if not others:
        return empty(path, chance)
    other = root / chance.choice(others)
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)
    return f"swapped with {other.name}"


WAYS = [cut, flip, flip, empty, missing, pipe, folder, link, swap]


def heals(root, wanted, *, whole, verify):
    """Yield what is wrong with what follows a damage."""
    in_store = verify and command(root, "cache", "verify")
    if in_store:
        if internal(in_store) or in_store.status not in (0, 3):
            yield f"`cache verify` ended with {in_store.status}: {in_store.out}{in_store.err}"
        again = command(root, "cache", "verify")
        if again.status:
            yield f"`cache verify` did not repair: {again.out}{again.err}"
    # Nothing is asked of the cache while all is in its place: only then is it.
    for stays in (True, False) if whole else (False,):
        if not stays:
            for name in ("_build", "out"):
                shutil.rmtree(root / name)
        done = command(root, "-j1")
        if internal(done) or done.status:
            yield f"the build ended with {done.status}: {done.err}"
    yield from wanted.faults(root)
    second = command(root, "-j1")
    if second.ran or second.status:
        yield f"the build after it ran {second.ran} and ended with {second.status}: {second.err}"
    # What takes the place of a blob that nobody has asked for is found by who looks for it.
    command(root, "cache", "verify")
    last = command(root, "cache", "verify")
    if last.status:
        yield f"`cache verify` still said {last.out}{last.err}"


@sizes(small=9, full=10_000)
def test_whatever_is_damaged_heals(played, clean, chance, size):
    root = played / "project"
    paths = own_files(clean.root)

    def trial(number):
        shutil.copytree(clean.root, root, symlinks=True)
        path = root / chance.choice(paths)
        path.chmod(0o644)
        way = WAYS[number % len(WAYS)]
        did = f"{path.relative_to(root)}: {way(path, chance)}"
        whole, verify = chance.random() < 0.5, chance.random() < 0.5

        def story():
            return list(heals(root, clean, whole=whole, verify=verify))

        # A pipe, or /dev/zero, must keep nobody waiting.
        risky = way in (pipe, link)
        for fault in answered(story, within=60) if risky else story():
            yield f"{did} ({whole=}, {verify=}): {fault}"
        shutil.rmtree(root)

    assert tried(numbers(size), trial, chance) == ""


@sizes(small=6, full=1_000_000)
def test_a_file_cut_at_any_byte_heals(played, clean, chance, size):
    root = played / "project"
    cuts = [
        (path, length)
        for path in own_files(clean.root)
        if "/locks/" not in path
        for length in range(min((clean.root / path).stat().st_size, LONGEST))
    ]

    def trial(one):
        path, length = one
        shutil.copytree(clean.root, root, symlinks=True)
        (root / path).chmod(0o644)
        os.truncate(root / path, length)
        yield from heals(root, clean, whole=length % 2, verify=False)
        shutil.rmtree(root)

    assert tried(chosen(cuts, size, chance), trial, chance) == ""


FOLDERS = [
    *("tree", "locks", "reports", "uptodate", "staged", "replaced", "aside", "failed", "tracer"),
    *(f"store/v2/{part}" for part in ("blobs", "records", "locks", "tmp")),
]


def plain_file(path):
    path.write_text("a file")


def loop(path):
    path.symlink_to(path.name)


@sizes(small=6, full=1_000)
def test_a_folder_of_ours_that_is_something_else_is_made_anew(played, clean, chance, size):
    root = played / "project"

    def trial(one):
        part, put = one
        shutil.copytree(clean.root, root, symlinks=True)
        place = root / ".nbbuild" / part
        if place.exists():
            shutil.rmtree(place)
        put(place)
        # What is put right, and where something of the user's is in the way.
        (root / "out/b.txt").write_text("altered")
        (root / "_build/executed/e.ipynb").write_text("altered")
        first = command(root, "-j1")
        if internal(first) or first.status:
            yield f"the build ended with {first.status}: {first.err}"
        if tree(root) != clean.files:
            yield "the tree is not that of a clean build"
        second = command(root, "-j1")
        if second.ran or second.status:
            yield f"the build after it ran {second.ran}: {second.err}"
        shutil.rmtree(root)

    ways = [(part, put) for part in FOLDERS for put in (plain_file, loop)]
    assert tried(chosen(ways, size, chance), trial, chance) == ""


@pytest.mark.parametrize("name", ["retired", "marked"])
def test_a_list_with_a_hole_of_a_terabyte_is_not_read(played, clean, name):
    root = played / "project"
    shutil.copytree(clean.root, root, symlinks=True)
    os.close(os.open(root / ".nbbuild" / name, os.O_CREAT))
    os.truncate(root / ".nbbuild" / name, 1 << 40)

    def story():
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        return [command(root, *words) for words in (["-j1"], ["invalidate", "e.ipynb"], ["-j1"])]

    said = answered(story)
    assert [(one.status, one.ran) for one in said] == [(0, []), (0, []), (0, ["e"])], said


@sizes(small=200, full=10_000)
def test_a_flipped_bit_of_the_store_is_found_by_verify(played, clean, chance, size):
    root = played / "project"
    shutil.copytree(clean.root, root, symlinks=True)
    store = root / ".nbbuild/store/v2"
    paths = [path for part in ("blobs", "records") for path in store.glob(f"{part}/**/*")]
    paths = [path for path in paths if path.is_file()]
    disk = DiskStore(store.parent)

    def trial(number):
        path = chance.choice(paths)
        good = path.read_bytes()
        path.chmod(0o644)
        did = flip(path, chance)
        faults = disk.check().faults
        if path.stem not in {one.name for one in faults}:
            yield f"{path.name}: {did}: not found"
        if path.exists():
            yield f"{path.name}: {did}: not removed"
        for back in {*paths} - {one for one in paths if one.exists()}:
            back.parent.mkdir(exist_ok=True)
            back.write_bytes(
                good if back == path else (clean.root / back.relative_to(root)).read_bytes()
            )

    assert tried(numbers(size), trial, chance) == ""


def remembered(folder, memos):
    """Return all that the state in `folder` says, as facts."""
    with State(folder) as state:
        return {
            *(("file", row) for row in state.load_files()),
            *(("outcome", repr(one)) for one in state.outcomes().values()),
            *(("outcome", repr(state.outcome(task))) for task in state.durations()),
            *(("seconds", *one) for one in state.durations().items()),
            *(("memo", *memo, state.recall(*memo)) for memo in memos),
        }


@sizes(small=30, full=10_000)
def test_a_flipped_bit_of_the_state_is_no_other_answer(played, clean, chance, size):
    """SQLite believes what it reads: a digest with another digit would be a stale result."""
    folder = played / "state"
    shutil.copytree(clean.root / ".nbbuild", folder)
    place = folder / "state.sqlite"
    connection = sqlite3.connect(place)
    connection.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
    memos = [(k, unpack(key)) for k, key in connection.execute("SELECT kind, key FROM memo")]
    connection.close()
    whole = place.read_bytes()
    known = remembered(folder, memos)
    nothing = {("outcome", "None"), *(("memo", *memo, None) for memo in memos)}

    def trial(number):
        for path in folder.glob("state.sqlite*"):
            path.unlink()
        place.write_bytes(whole)
        did = flip(place, chance)
        wrong = remembered(folder, memos) - known - nothing
        if wrong:
            yield f"{did}: {wrong}"

    assert len(known) > 20
    assert tried(numbers(size), trial, chance) == ""
