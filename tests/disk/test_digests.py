from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest
from store_helpers import without_root_powers

from nbbuild.disk import digests as module
from nbbuild.disk.digests import UNREADABLE, Digests, digest_bytes, now_ns
from nbbuild.disk.state import State
from nbbuild.errors import StoreError

LATER = 10_000_000_000


def later() -> int:
    """A clock that is ten seconds ahead: for it, all files are old."""
    return time.time_ns() + LATER


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the files that were read, one for each reading."""
    sizes: list[int] = []
    real = module._digest_file

    def counted(file: object, size: int) -> str:
        sizes.append(size)
        return real(file, size)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_digest_file", counted)
    return sizes


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert Digests().digest(path) == digest_bytes(b"content")
    assert digest_bytes(b"") == ("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (64 << 20) + 5])
def test_files_of_all_sizes(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(1000) * (size // 1000 + 1)
    (tmp_path / "file").write_bytes(content[:size])
    assert Digests().digest(tmp_path / "file") == digest_bytes(content[:size])


def test_what_is_no_regular_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    names = ["folder", "nothing", "loop", "dangling", "pipe", "file/inside", "x" * 300, "a\0b"]
    digests = Digests()
    assert [digests.digest(tmp_path / name) for name in names] == [None] * len(names)
    assert digests.digest(Path("/dev/null")) is None


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("one")
    (tmp_path / "two").write_text("two")
    link = tmp_path / "link"
    link.symlink_to("one")
    digests = Digests()
    assert digests.digest(link) == digest_bytes(b"one")
    link.unlink()
    link.symlink_to("two")
    assert digests.digest(link) == digest_bytes(b"two")


def test_a_file_that_may_not_be_read_is_neither_absent_nor_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("secret")
    path.chmod(0)
    with without_root_powers():
        assert Digests().digest(path) == UNREADABLE
    path.chmod(0o600)
    assert Digests().digest(path) == digest_bytes(b"secret")


def test_trouble_of_the_moment_is_never_an_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("x")

    def too_many(*args: object) -> int:
        raise OSError(24, "Too many open files", str(path))

    with monkeypatch.context() as patched, pytest.raises(StoreError) as caught:
        patched.setattr("nbbuild.disk.digests.os.open", too_many)
        Digests().digest(path)
    assert str(caught.value) == (
        f"a file cannot be read\n  path: {path}\n  reason: Too many open files"
    )


def test_one_build_reads_a_file_once(tmp_path: Path, hashed: list[int]) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    digests = Digests()
    for _ in range(5):
        digests.digest(path)
        digests.look(path)
    assert hashed == [1]
    path.write_text("xy")
    assert digests.digest(path) == digest_bytes(b"xy")
    assert hashed == [1, 2]


def test_threads_that_ask_for_one_file_read_it_once(tmp_path: Path, hashed: list[int]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)
    digests, found = Digests(), []
    gate = threading.Barrier(8)

    def story() -> None:
        gate.wait()
        found.append(digests.digest(path))

    threads = [threading.Thread(target=story) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [digest_bytes(b"x" * 3_000_000)] * 8
    assert hashed == [3_000_000]


def test_the_next_build_reads_an_old_file_not_at_all(tmp_path: Path, hashed: list[int]) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0o755)
    with State(tmp_path / ".nbbuild") as state:
        first = Digests(state, clock=later)
        first.digest(path)
        first.save()
        second = Digests(state)
        assert second.digest(path) == digest_bytes(b"x")
        assert second.fresh(path) == digest_bytes(b"x")
        look = second.look(path)
        assert look is not None
        assert look.executable
    assert hashed == [1]


@pytest.mark.parametrize("which", ["mtime", "ctime"])
def test_the_next_build_reads_a_young_file_again(
    tmp_path: Path, hashed: list[int], which: str
) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    if which == "mtime":  # in the future; ctime is old for the clock
        ahead = later() + LATER
        os.utime(path, ns=(ahead, ahead))
    else:
        os.utime(path, ns=(0, 0))
    clock = later if which == "mtime" else time.time_ns
    with State(tmp_path / ".nbbuild") as state:
        for _ in range(2):
            digests = Digests(state, clock=clock)
            digests.digest(path)
            digests.save()
    assert hashed == [1, 1]


def test_a_row_that_is_too_young_is_not_trusted_even_if_it_was_kept(
    tmp_path: Path, hashed: list[int]
) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with State(tmp_path / ".nbbuild") as state:
        first = Digests(state, clock=later)
        first.digest(path)
        first.save()
        (row,) = state.load_files()
        state.save_files([row._replace(made_ns=row.ctime_ns + 1_999_999_999)])
        Digests(state).digest(path)
        state.save_files([row._replace(made_ns=row.ctime_ns + 2_000_000_000)])
        Digests(state).digest(path)
    assert hashed == [1, 1]


def test_edits_that_keep_size_and_mtime_are_never_missed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0000")
    was = path.stat()
    with State(tmp_path / ".nbbuild") as state:
        for number in range(200):
            content = f"{number:04}".encode()
            with path.open("r+b") as file:
                file.write(content)
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
            digests = Digests(state)
            assert digests.digest(path) == digest_bytes(content)
            assert digests.fresh(path) == digest_bytes(content)
            digests.save()


def test_a_change_that_hid_in_a_tick_is_found_when_the_run_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("now!")
    digests = Digests()
    # As if the file had changed after its first use within one tick: same look, other bytes.
    digests.learn(path, digest_bytes(b"then"), path.stat(), time.time_ns())
    assert digests.digest(path) == digest_bytes(b"then")
    assert digests.fresh(path) == digest_bytes(b"now!")
    assert digests.digest(path) == digest_bytes(b"now!")


def test_fresh_trusts_what_was_old_at_first_use(tmp_path: Path, hashed: list[int]) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    digests = Digests(clock=later)
    digests.digest(path)
    digests.fresh(path)
    assert hashed == [1]


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    real, edits = module._digest_file, ["during", "after!"]

    def edited(file: object, size: int) -> str:
        digest = real(file, size)  # type: ignore[arg-type]
        if edits:
            path.write_text(edits.pop(0))
        return digest

    monkeypatch.setattr(module, "_digest_file", edited)
    assert Digests().digest(path) == digest_bytes(b"after!")


def test_what_is_forgotten_is_read_again(tmp_path: Path, hashed: list[int]) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with State(tmp_path / ".nbbuild") as state:
        digests = Digests(state, clock=later)
        digests.digest(path)
        digests.save()
        digests.forget(path)
        digests.save()
        assert state.load_files() == []
        digests.digest(path)
    assert hashed == [1, 1]


def test_changed_since_goes_by_ctime_of_file_and_link(tmp_path: Path) -> None:
    digests = Digests()
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("x")
    os.utime(path, ns=(0, 0))
    written = path.stat().st_ctime_ns
    assert digests.changed_since(path, written)
    assert not digests.changed_since(path, written + 1)
    while now_ns() <= written:
        pass  # less than a tick
    begun = now_ns()
    link.symlink_to("file")
    assert not digests.changed_since(path, begun)
    assert digests.changed_since(link, begun)
    assert digests.changed_since(tmp_path / "nothing", begun)


def test_a_change_from_now_on_is_never_before_now(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for _ in range(300):
        begun = now_ns()
        path.write_text("x")
        assert path.stat().st_ctime_ns >= begun
