"""Stores and state of an older, a newer and a nonsense version: all runs again, and a word."""

import shutil
import sqlite3

import pytest
from played_kernels import CELLS, command, internal

from nbbuild.disk.checksummed import seal, unseal
from nbbuild.disk.rows import FORMAT

ALL = sorted(CELLS)
FOREIGN = (
    "'{}/v2' is not what this nbbuild has written: it is set aside, and its results are not used"
)


@pytest.fixture
def root(played, clean):
    """A copy of the built project."""
    place = played / "project"
    shutil.copytree(clean.root, place, symlinks=True)
    return place


def older(store):
    (store / "v2").rename(store / "v1")
    (store / "v1/VERSION").write_text("nbbuild store 1\n")
    return (
        "the cache holds 6 results of an older nbbuild, which this one cannot use; "
        "`nbbuild cache gc` removes them"
    )


def newer(store):
    (store / "v2").rename(store / "v3")
    (store / "v3/VERSION").write_text("nbbuild store 3\n")
    return (
        "the cache also holds results of a newer nbbuild, in 'v3', which this one cannot use; "
        "they stay"
    )


def nonsense(store):
    (store / "v2/VERSION").write_bytes(b"\0nonsense")
    return FOREIGN.format(store)


def no_folder(store):
    shutil.rmtree(store / "v2")
    (store / "v2").write_text("a file")
    return FOREIGN.format(store)


@pytest.mark.parametrize("make", [older, newer, nonsense, no_folder])
def test_a_store_of_another_version_is_a_miss_and_a_word(root, clean, make):
    said = make(root / ".nbbuild/store")
    done = command(root, "-j1")
    assert not internal(done), done.err
    assert (done.status, sorted(done.ran)) == (0, ALL)
    assert f"note: {said}\n" in done.err
    assert clean.faults(root) == []
    (root / "data.txt").write_text("other data\n")
    again = command(root, "-j1")
    assert again.status == 0
    assert "nbbuild, " not in again.err


@pytest.mark.parametrize(
    "version", [FORMAT - 1, FORMAT + 1, 99_999], ids=["older", "newer", "nonsense"]
)
def test_a_state_of_another_version_is_begun_anew_and_said(root, clean, version):
    state = root / ".nbbuild/state.sqlite"
    connection = sqlite3.connect(state)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    done = command(root, "-j1")
    assert (done.status, done.ran) == (0, [])
    assert done.err.startswith(
        f"note: '{state}' was damaged or of another version of nbbuild, and is now "
        "'state.sqlite.bad': what it remembered of earlier builds is lost, and no result\n"
    )
    assert clean.faults(root) == []
    assert "note:" not in command(root, "-j1").err


@pytest.mark.parametrize("part", ["tree", "reports", "store/v2/records"])
def test_sealed_files_of_another_version_are_a_miss(root, clean, part):
    """A field that is missing or unknown, or of another type, in a file that is otherwise whole."""
    for path in (root / ".nbbuild" / part).rglob("*.json"):
        body = unseal(path.read_bytes())
        if body is not None:
            path.write_bytes(seal(body.replace(b'"task":"', b'"tusk":7,"task":{"x":"').strip()))
        else:
            path.write_text('{"format": 99}')
    shutil.rmtree(root / "_build")
    done = command(root, "-j1")
    assert not internal(done), done.err
    assert done.status == 0
    assert clean.faults(root) == []
    assert command(root, "-j1").ran == []
