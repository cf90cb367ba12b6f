"""The oracle: traces hold all that strace saw of realistic notebooks, and nothing else."""

from __future__ import annotations

import importlib.util

import pytest
import straced
from accounting import Account
from realistic_notebooks import NOTEBOOKS
from strace_log import BEGIN, END, events
from two_builds import both

from nbbuild.watching import seccomp

BLIND = straced.unavailable() or seccomp.unavailable()


def _names(*, long: bool) -> list[str]:
    there = {
        package: importlib.util.find_spec(package) is not None
        for notebook in NOTEBOOKS.values()
        for package in notebook.needs
    }
    return [
        name
        for name, notebook in NOTEBOOKS.items()
        if all(there[package] for package in notebook.needs) and (long or not notebook.long)
    ]


def complaints(folder, names, **how) -> list[str]:
    sides = both(folder, names, **how)
    found = []
    for name in names:
        assert sides.traces[name]["level"] == "syscalls"
        account = Account(
            name,
            root=sides.root,
            before=sides.before,
            seen=sides.seen[name],
            trace=sides.traces[name],
            sources=NOTEBOOKS[name].sources(),
            base=sides.base[name],
        )
        found += [f"{name}: {one}" for one in (*account.missing(), *account.needless())]
    return list(dict.fromkeys(found))


@pytest.mark.slow
@pytest.mark.skipif(bool(BLIND), reason=BLIND)
def test_a_trace_tells_of_all_that_strace_saw_and_of_nothing_else(tmp_path):
    assert complaints(tmp_path, _names(long=False)) == []


@pytest.mark.stress
@pytest.mark.skipif(bool(BLIND), reason=BLIND)
@pytest.mark.parametrize("warm", ['"kernel"', '"auto"', "false"])
def test_so_it_does_with_every_kind_of_kernel_and_large_packages(tmp_path, warm):
    assert complaints(tmp_path, _names(long=True), settings=f"warm = {warm}") == []


# -- the oracle itself -------------------------------------------------------------------------

LOG = f"""\
10 chdir("/p/nb") = 0
10 openat(AT_FDCWD</p/nb>, "early.cfg", O_RDONLY) = -1 ENOENT (No such file or directory)
10 newfstatat(AT_FDCWD</p/nb>, "{BEGIN}", 0x1, 0) = -1 ENOENT (No such file or directory)
10 openat(AT_FDCWD</p/nb>, "a.txt", O_RDONLY|O_CLOEXEC) = 3</p/nb/a.txt>
10 vfork( <unfinished ...>
11 openat(AT_FDCWD</p/nb>, "../gr\\303\\274n", O_RDONLY <unfinished ...>
10 openat(AT_FDCWD</p/nb>, "sub", O_RDONLY|O_DIRECTORY) = 3</p/nb/sub>
10 getdents64(3</p/nb/sub>, 0x1 /* 3 entries */, 32768) = 72
11 <... openat resumed>) = -1 ENOENT (No such file or directory)
10 <... vfork resumed>) = 11
11 chdir("sub") = 0
11 readlink("link", "x", 4095) = 1
11 newfstatat(3</p/nb/sub>, "", 0x1, AT_EMPTY_PATH) = 0
10 +++ exited with 0 +++
10 newfstatat(AT_FDCWD</p/nb>, "{END}", 0x1, 0) = -1 ENOENT (No such file or directory)
10 openat(AT_FDCWD</p/nb>, "late.txt", O_RDONLY) = 3</p/nb/late.txt>
12 openat(AT_FDCWD</p/nb>, "somebody else's", O_RDONLY) = 3</p/nb/x>
"""


def test_a_log_tells_who_asked_for_what_and_how_it_ended():
    seen = events(LOG.splitlines(), {"/p/nb": "nb"})["nb"]

    assert [(one.process, one.deed, one.path, one.error, one.started) for one in seen] == [
        (10, "open", "/p/nb/early.cfg", "ENOENT", False),
        (10, "open", "/p/nb/a.txt", "", True),
        (11, "open", "/p/grün", "ENOENT", True),
        (10, "open", "/p/nb/sub", "", True),
        (10, "list", "/p/nb/sub", "", True),
        (11, "enter", "/p/nb/sub", "", True),
        (11, "lstat", "/p/nb/sub/link", "", True),
    ]


def item(kind, name, value="", way=""):
    return {"kind": kind, "name": name, "value": value, "way": way, "via": ""}


@pytest.fixture
def told(tmp_path):
    """`told(*items)` returns what the oracle says of a trace with these, for the log above."""
    root = tmp_path / "p"
    (root / "nb" / "sub").mkdir(parents=True)
    (root / "nb" / "a.txt").write_text("a")
    (root / "nb" / "sub" / "link").symlink_to("x")
    before = {
        str(root / "nb" / "a.txt"): "f",
        str(root / "nb" / "sub"): "d",
        str(root / "nb" / "sub" / "link"): "l x",
    }
    log = LOG.replace("/p/nb", f"{root}/nb").splitlines()
    seen = events(log, {f"{root}/nb": "nb"})["nb"]

    def say(*items):
        account = Account(
            "nb", root=root, before=before, seen=seen, trace={"items": items}, sources=""
        )
        return [*account.missing(), *account.needless()]

    return say


DIGEST_OF_A = "17762fddd969a453925d65717ac3eea21320b66b54342fde15128d6caf21215f"
RIGHT = (
    item("file", "nb/a.txt", DIGEST_OF_A),
    item("absent", "grün"),
    item("listing", "nb/sub", "0"),
    item("stat", "nb/sub", "d", "exists"),
    item("stat", "nb/sub/link", "l x", "exists link"),
)


def test_it_accepts_a_trace_that_tells_all(told):
    assert told(*RIGHT) == []


@pytest.mark.parametrize(
    ("lost", "sentence"),
    [
        ("nb/a.txt", "no file item tells of: open nb/a.txt"),
        ("grün", "no absent item tells of: open grün (ENOENT)"),
        ("nb/sub/link", "no lstat item tells of: lstat nb/sub/link"),
    ],
)
def test_it_misses_what_a_trace_lacks(told, lost, sentence):
    assert told(*(one for one in RIGHT if one["name"] != lost)) == [sentence]


def test_it_misses_a_listing_and_a_folder_that_was_entered(told):
    kept = [one for one in RIGHT if one["name"] != "nb/sub"]
    assert told(*kept) == [
        "no listing item tells of: list nb/sub",
        "no stat item tells of: enter nb/sub",
    ]


def test_it_tells_a_digest_that_is_not_the_files(told):
    wrong = item("file", "nb/a.txt", "0" * 64)
    assert told(wrong, *RIGHT[1:]) == ["no file item tells of: open nb/a.txt"]


@pytest.mark.parametrize(
    "more",
    [
        item("file", "nb/b.txt", DIGEST_OF_A),
        item("absent", "nb/early.cfg"),  # as it starts, a kernel looks for its parts
        item("listing", "nb", "0"),
        item("stat", "nb/late.txt", "f", "exists"),
        item("glob", "nb/other:*.txt", "0", "glob"),
        item("missing-import", "nothing"),
        item("distribution", "blake3", "1"),
    ],
    ids=lambda one: one["kind"],
)
def test_it_knows_what_nobody_asked_for(told, more):
    (sentence,) = told(*RIGHT, more)
    assert sentence == f"nothing asks for: {more['kind']} {more['name']} {more['way']}".rstrip()
