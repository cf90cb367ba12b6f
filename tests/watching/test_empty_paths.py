"""An fstat by an empty path need not be looked at, and any other path with its flag is."""

from __future__ import annotations

import ctypes
import os
import select
import socket
from pathlib import Path

import pytest

from nbbuild.watching import filtering, looking, seccomp
from nbbuild.watching.syscalls import Watcher

pytestmark = pytest.mark.skipif(
    bool(seccomp.unavailable()) or os.uname().machine != "x86_64",
    reason="needs seccomp notifications, and a C library that makes fstat with fstatat",
)


def watched(child, *, cwd: Path, known: set[int]) -> Watcher:
    """Run `child` in a forked process under a filter; return who watched it to its end."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        program = seccomp.passing(known) + seccomp.program()
        filtering.install({"number": seccomp.number(), "program": program.hex()}, theirs)
        try:
            child()
            os._exit(0)
        finally:
            os._exit(1)
    theirs.close()
    _, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
    ours.close()
    watcher = Watcher(
        descriptors[0],
        seccomp=seccomp,
        looking=looking,
        private="/p/",
        cwd=str(cwd),
        bound=False,
        forked=pid,
        empty=set(),
    )
    poller = select.poll()
    poller.register(watcher.listener, select.POLLIN)
    while watcher.serve():
        poller.poll()
    watcher.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return watcher


def test_where_an_empty_path_lies_is_learnt_and_then_not_asked_about(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None)
    found = ctypes.create_string_buffer(512)
    known, unknown = ctypes.create_string_buffer(b""), ctypes.create_string_buffer(b"")
    named = ctypes.create_string_buffer(os.fsencode(tmp_path / "data.txt"))
    asked = [known, unknown, named]

    def child() -> None:
        for path in asked:
            assert libc.syscall(seccomp.FSTATAT, 0, path, found, seccomp.EMPTY_PATH) == 0

    (tmp_path / "data.txt").write_text("1")
    watcher = watched(child, cwd=tmp_path, known={ctypes.addressof(known)})

    assert ctypes.addressof(unknown) in watcher._empty_paths
    assert ctypes.addressof(known) not in watcher._empty_paths
    assert [(kind, path) for _, (kind, _, path, *_) in watcher.told["records"]] == [
        ("stat", str(tmp_path / "data.txt"))
    ]


def test_a_path_that_is_not_empty_is_seen_with_another_flag(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None)
    found = ctypes.create_string_buffer(512)
    path = ctypes.create_string_buffer(os.fsencode(tmp_path / "data.txt"))
    (tmp_path / "data.txt").write_text("1")

    watcher = watched(
        lambda: libc.syscall(seccomp.FSTATAT, -100, path, found, 0),
        cwd=tmp_path,
        known={ctypes.addressof(path)},
    )

    assert [record[2] for _, record in watcher.told["records"]] == [str(tmp_path / "data.txt")]
