from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from store_helpers import in_child, without_root_powers

from nbbuild.disk.digests import digest_bytes
from nbbuild.disk.rows import FileRow
from nbbuild.disk.state import State
from nbbuild.errors import StoreError
from nbbuild.model import Failure, Outcome, OutcomeKind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".nbbuild"


def outcome(task: str, kind: OutcomeKind = OutcomeKind.EXECUTED, seconds: float = 1.0) -> Outcome:
    return Outcome(task=task, source=task, kind=kind, seconds=seconds)


def row(number: int, *, path: str = "") -> FileRow:
    digest = digest_bytes(str(number).encode())
    return FileRow(path or f"/p/{number}", number, 2, 3, number, digest, 5, number % 2 == 0)


def test_what_is_remembered_is_there_in_the_next_build(folder: Path) -> None:
    failure = Failure("error", "boom", cell=3)
    failed = Outcome(task="b", source="b", kind=OutcomeKind.FAILED, failure=failure)
    with State(folder) as state:
        assert state.persistent
        state.remember("parsed", "a", b"1")
        state.remember("parsed", "a", b"2")
        state.remember("kernel", "a", b"3")
        state.save_outcomes([outcome("a", seconds=2.5), failed])
        state.save_files([row(1), row(2)])
    with State(folder) as state:
        assert state.recall("parsed", "a") == b"2"
        assert state.recall("kernel", "a") == b"3"
        assert state.recall("kernel", "b") is None
        assert state.outcomes() == {"a": outcome("a", seconds=2.5), "b": failed}
        assert state.outcome("b") == failed
        assert state.outcome("c") is None
        assert state.durations() == {"a": 2.5}
        assert state.load_files() == [row(1), row(2)]


def test_only_runs_that_executed_tell_a_duration(folder: Path) -> None:
    with State(folder) as state:
        state.save_outcomes([outcome("a", seconds=9)])
        state.save_outcomes([outcome("a", OutcomeKind.FRESH, 0.1)])
        assert state.durations() == {"a": 9}
        assert state.outcomes()["a"].kind is OutcomeKind.FRESH


def test_what_is_forgotten_is_gone(folder: Path) -> None:
    with State(folder) as state:
        for kind, key in (("x", "1"), ("x", "2"), ("y", "1")):
            state.remember(kind, key, b"v")
        state.forget("x", "1")
        assert (state.recall("x", "1"), state.recall("x", "2")) == (None, b"v")
        state.forget("x")
        assert (state.recall("x", "2"), state.recall("y", "1")) == (None, b"v")
        state.save_files([row(1), row(2)])
        state.save_files([row(3)], gone=["/p/1"])
        assert state.load_files() == [row(2), row(3)]


def test_odd_names_and_huge_inodes_are_kept(folder: Path) -> None:
    rows = [
        row(1, path="/p/\udcff\n'ü"),
        row(2, path="/p/\ud800")._replace(inode=(1 << 64) - 1),
    ]
    with State(folder) as state:
        state.save_files(rows)
        state.remember("k", "\udcff", b"v")
        assert sorted(state.load_files()) == sorted(rows)
        assert state.recall("k", "\udcff") == b"v"


def test_reading_makes_nothing_and_writing_makes_a_tagged_folder(folder: Path) -> None:
    with State(folder) as state:
        assert state.recall("k", "a") is None
        assert state.load_files() == []
        assert not folder.exists()
        state.remember("k", "a", b"v")
    assert (folder / ".gitignore").read_text() == "*\n"
    assert (folder / "CACHEDIR.TAG").exists()
    assert (folder / "state.sqlite").exists()


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_state_is_set_aside(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "state.sqlite").write_bytes(content)
    with State(folder) as state:
        assert state.load_files() == []
        state.remember("k", "a", b"v")
        assert state.persistent
    with State(folder) as state:
        assert state.recall("k", "a") == b"v"
    assert (folder / "state.sqlite.bad").read_bytes() == content


@pytest.mark.parametrize("pragma", ["user_version = 99", "application_id = 7"])
def test_a_file_of_another_version_is_set_aside(folder: Path, pragma: str) -> None:
    with State(folder) as state:
        state.remember("k", "a", b"old")
    with sqlite3.connect(folder / "state.sqlite") as connection:
        connection.execute(f"PRAGMA {pragma}")
    connection.close()
    with State(folder) as state:
        assert state.recall("k", "a") is None
        state.remember("k", "a", b"new")
        assert state.persistent
    with State(folder) as state:
        assert state.recall("k", "a") == b"new"


def test_damage_anywhere_in_the_file_is_no_error_and_no_other_answer(folder: Path) -> None:
    """A flipped bit in a digest, believed, would let a build show stale results."""
    files = [row(number) for number in range(200)]
    outcomes = {f"t{number}": outcome(f"t{number}") for number in range(50)}
    with State(folder) as state:
        state.save_files(files)
        state.save_outcomes(outcomes.values())
        state.remember("k", "a", b"v" * 5000)
        durations = state.durations()
    whole = (folder / "state.sqlite").read_bytes()
    chance = random.Random(4)
    for _ in range(150):
        bad = bytearray(whole)
        start = chance.randrange(len(bad))
        for at in range(start, min(len(bad), start + chance.choice([1, 1, 50, 4096]))):
            bad[at] ^= chance.choice([1 << chance.randrange(8), chance.randrange(1, 256)])
        cut = chance.choice([len(bad), chance.randrange(len(bad))])
        for path in folder.glob("state.sqlite*"):
            path.unlink()
        (folder / "state.sqlite").write_bytes(bad[:cut])
        with State(folder) as state:
            assert {*state.load_files()} <= {*files}
            assert state.outcomes().items() <= outcomes.items()
            assert state.durations().items() <= durations.items()
            assert state.recall("k", "a") in (None, b"v" * 5000)
            state.remember("k", "b", b"w")
            state.save_files([row(1)])
            state.save_outcomes([outcome("new")])
            assert state.outcome("new") == outcome("new")


def test_a_damaged_index_is_found_though_the_table_is_whole(folder: Path) -> None:
    place = folder / "state.sqlite"
    with State(folder) as state:
        state.save_outcomes(outcome(f"t{number}") for number in range(50))
    with sqlite3.connect(place) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_outcomes_1'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = place.read_bytes()
    entry = data.index(b"t7\x08", (page - 1) * size)  # the name, and the number of its row
    place.write_bytes(data[:entry] + b"t7\x70" + data[entry + 3 :])
    with State(folder) as state:
        assert state.outcome("t7") is None
        state.save_outcomes([outcome("t7")])
    with State(folder) as state:
        assert state.outcome("t7") == outcome("t7")
    assert (folder / "state.sqlite.bad").exists()


def test_the_log_of_a_foreign_file_is_set_aside_with_it(folder: Path, tmp_path: Path) -> None:
    with State(tmp_path / "other") as state:
        state.remember("k", "a", b"v")
        with sqlite3.connect(tmp_path / "other" / "state.sqlite") as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        # While it is open: closing would write the log into the file.
        shutil.copytree(tmp_path / "other", folder)
    assert (folder / "state.sqlite-wal").stat().st_size > 0
    with State(folder) as state:
        state.remember("k", "b", b"w")
        assert (state.recall("k", "a"), state.recall("k", "b")) == (None, b"w")
    assert (folder / "state.sqlite.bad").exists()


def test_a_folder_that_cannot_be_written_means_memory(folder: Path) -> None:
    with State(folder) as state:
        state.remember("k", "a", b"v")
    (folder / "state.sqlite").chmod(0o444)
    folder.chmod(0o555)
    try:
        with without_root_powers(), State(folder) as state:
            assert not state.persistent
            state.remember("k", "b", b"w")
            state.save_outcomes([outcome("a")])
            assert state.recall("k", "b") == b"w"
            assert state.outcomes() == {"a": outcome("a")}
    finally:
        folder.chmod(0o755)
    assert sorted(os.listdir(folder)) == [
        ".gitignore",
        "CACHEDIR.TAG",
        "locks",
        "state.sqlite",
    ]


def test_what_a_file_remembers_that_can_only_be_read_is_known(folder: Path) -> None:
    with State(folder) as state:
        state.remember("k", "a", b"v")
        state.save_outcomes([outcome("a")])
        state.save_files([row(1)])
    before = {path: path.read_bytes() for path in folder.glob("state.sqlite*")}
    for path in [*before, folder]:
        path.chmod(path.stat().st_mode & ~0o222)
    with without_root_powers(), State(folder) as state:
        assert state.recall("k", "a") == b"v"
        assert state.outcome("a") == outcome("a")
        assert state.load_files() == [row(1)]
        assert not state.persistent
        state.remember("k", "a", b"w")
        assert state.recall("k", "a") == b"w"
    folder.chmod(0o755)
    assert {path: path.read_bytes() for path in folder.glob("state.sqlite*")} == before


def test_no_folder_means_memory() -> None:
    with State(None) as state:
        assert not state.persistent
        state.remember("k", "a", b"v")
        assert state.recall("k", "a") == b"v"


def test_caches_are_dropped_and_outcomes_told_while_another_holds_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbbuild.disk.state.BUSY_SECONDS", 0.02)
    with State(folder) as state:
        state.remember("k", "a", b"v")
        other = sqlite3.connect(folder / "state.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        state.remember("k", "a", b"w")
        assert state.recall("k", "a") == b"v"
        with pytest.raises(StoreError) as caught:
            state.save_outcomes([outcome("a")])
        other.execute("ROLLBACK")
        other.close()
        state.save_outcomes([outcome("a")])
    assert str(caught.value) == (
        "the outcomes of this build cannot be kept\n"
        f"  path: {folder}/state.sqlite\n"
        "  reason: database is locked\n"
        "\n"
        "hint: `nbbuild show` will show an earlier build; no result is lost"
    )


def test_a_file_that_another_process_has_locked_is_read_and_waited_for_aloud(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("PATIENCE", 0.01), ("_CACHE_SECONDS", 0.02), ("BUSY_SECONDS", 60)):
        monkeypatch.setattr(f"nbbuild.disk.state.{name}", seconds)
    with State(folder) as state:
        state.remember("k", "a", b"v")
    other = sqlite3.connect(folder / "state.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    said = []
    with State(folder) as state:
        assert state.recall("k", "a") == b"v"
        state.remember("k", "a", b"w")  # nobody hears of it
        state.hear(said.append)
        state.remember("k", "a", b"w")  # nor is it waited for again
        assert said == []

        def end_wait(sentence: str) -> None:
            said.append(sentence)
            other.execute("ROLLBACK")

        state.hear(end_wait)
        state.save_outcomes([outcome("a")])
        state.remember("k", "a", b"x")
        assert state.recall("k", "a") == b"x"
        assert state.outcome("a") == outcome("a")
        assert state.persistent
    other.close()
    assert said == [f"waits for '{folder}/state.sqlite', which another process has locked"]


def test_many_processes_begin_at_once_and_lose_nothing(folder: Path) -> None:
    def story(number: int) -> None:
        with State(folder) as state:
            for turn in range(20):
                state.save_outcomes([outcome(f"{number}-{turn}")])
                state.remember("k", f"{number}-{turn}", b"v")
            assert state.persistent

    for _ in range(5):
        for path in folder.glob("state*"):
            path.unlink()
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                os._exit(in_child(lambda mine=number: story(mine)))
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
        with State(folder) as state:
            assert len(state.outcomes()) == 80
        assert not list(folder.glob("*.bad"))


def test_many_threads_share_one_state(folder: Path) -> None:
    with State(folder) as state:

        def story(number: int) -> None:
            for turn in range(30):
                state.remember("k", f"{number}-{turn}", b"v")

        threads = [threading.Thread(target=story, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(
            state.recall("k", f"{number}-{turn}") == b"v"
            for number in range(4)
            for turn in range(30)
        )


def test_ten_thousand_files_are_quick(folder: Path) -> None:
    rows = [row(number) for number in range(10_000)]
    with State(folder) as state:
        began = time.perf_counter()
        state.save_files(rows)
        saved = time.perf_counter()
        loaded = state.load_files()
        ended = time.perf_counter()
    assert len(loaded) == 10_000
    # Ten times what it takes on an idle machine; this one may be busy.
    assert (saved - began, ended - saved) < (1.0, 1.0)
