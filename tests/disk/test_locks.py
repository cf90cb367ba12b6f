from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from store_helpers import KEY, OTHER_KEY

from nbbuild.disk.locks import Cancelled, Held, is_held, lock, sweep
from nbbuild.errors import StoreError
from nbbuild.store import Store


def holder(path: Path) -> tuple[int, int]:
    """Start a process that holds the lock; return its id and what to close to let it go."""
    ready, tell = os.pipe()
    wait, let_go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(let_go)
        with lock(path):
            os.write(tell, b"x")
            os.read(wait, 1)
        os._exit(0)
    os.close(wait)
    os.close(tell)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    return child, let_go


def is_free(path: Path, *, shared: bool = False) -> bool:
    """Whether the lock could be had at once."""
    now = threading.Event()
    threading.Timer(0.05, now.set).start()
    try:
        with lock(path, shared=shared, cancelled=now):
            return True
    except Cancelled:
        return False


def test_an_exclusive_lock_keeps_everybody_out(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.lock"
    with lock(path):
        assert not is_free(path)
        assert not is_free(path, shared=True)
    assert is_free(path)


def test_a_shared_lock_keeps_only_exclusive_ones_out(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with lock(path, shared=True):
        assert is_free(path, shared=True)
        assert not is_free(path)


def test_a_lock_dies_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    child, let_go = holder(path)
    assert not is_free(path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert is_free(path)
    os.close(let_go)


def test_who_waits_is_told_once_for_whom(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    child, let_go = holder(path)
    told: list[str] = []

    def on_wait(who: str) -> None:
        told.append(who)
        os.close(let_go)

    with lock(path, on_wait=on_wait):
        assert told == [f"process {child}"]
    os.waitpid(child, 0)


def test_who_need_not_wait_is_told_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    with lock(tmp_path / "a.lock", on_wait=told.append):
        pass
    assert told == []


def test_waiting_can_be_called_off(store: Store) -> None:
    stop = threading.Event()
    with store.lock(KEY):
        threading.Timer(0.02, stop.set).start()
        with pytest.raises(Cancelled), store.lock(KEY, cancelled=stop):
            pytest.fail("two hold one key")
        with store.lock(OTHER_KEY):
            pass
    with store.lock(KEY):
        pass


def test_a_key_is_done_by_one_thread_at_a_time(store: Store) -> None:
    inside, worst = [0], [0]

    def story() -> None:
        for _ in range(20):
            with store.lock(KEY):
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=story) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == [1]


def test_a_key_is_done_by_one_process_at_a_time_while_files_are_swept(tmp_path: Path) -> None:
    path, counter = tmp_path / "locks" / "a.lock", tmp_path / "counter"
    counter.write_text("0")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            for _ in range(50):
                with lock(path):
                    # Not atomic on purpose: two at once would lose a count.
                    counter.write_text(str(int(counter.read_text()) + 1))
                sweep(path.parent)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    assert counter.read_text() == "200"


def test_sweeping_leaves_what_is_held(tmp_path: Path) -> None:
    with lock(tmp_path / "held.lock"), lock(tmp_path / "shared.lock", shared=True):
        with lock(tmp_path / "free.lock"):
            pass
        assert sweep(tmp_path) == 1
        assert sorted(os.listdir(tmp_path)) == ["held.lock", "shared.lock"]
    assert sweep(tmp_path) == 2


def test_a_lock_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught, lock(tmp_path / "file" / "a.lock"):
        pytest.fail("locked")
    assert str(caught.value) == (
        f"a lock file cannot be made\n  path: {tmp_path}/file/a.lock\n  reason: Not a directory\n"
        "\nhint: move away what is there, and build again"
    )


def test_what_is_no_lock_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "link.lock").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "circle.lock").symlink_to(tmp_path / "circle.lock")
    (tmp_path / "folder.lock").mkdir()
    (tmp_path / "folder.lock" / "kept").write_text("")
    os.mkfifo(tmp_path / "pipe.lock")
    for name in ("link.lock", "circle.lock", "folder.lock", "pipe.lock"):
        with lock(tmp_path / name):
            assert is_held(tmp_path / name)
            assert (tmp_path / name).is_file()
    assert not (tmp_path / "elsewhere").exists()
    assert len([*tmp_path.glob("folder.lock.bad-*/kept")]) == 1


def test_a_file_in_the_place_of_the_folder_of_locks_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("mine")
    with lock(tmp_path / "locks" / "a.lock"):
        assert is_held(tmp_path / "locks" / "a.lock")
    assert [path.read_text() for path in tmp_path.glob("locks.bad-*")] == ["mine"]


def test_a_lock_can_be_asked_for_and_looked_at_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not is_held(path)
    assert not path.exists()
    child, let_go = holder(path)
    assert is_held(path)
    with pytest.raises(Held) as caught, lock(path, wait=False):
        pass
    assert str(caught.value) == f"a.lock is held by process {child}"
    os.close(let_go)
    os.waitpid(child, 0)
    assert not is_held(path)
    with lock(path, wait=False):
        assert is_held(path)
