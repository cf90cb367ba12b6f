"""The process that renders pages answers one notebook after another, and never for another one."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbbuild.disk.locks import Cancelled
from nbbuild.errors import NbbuildError
from nbbuild.export import html

SLOW = """
import json, pathlib, sys
for line in sys.stdin:
    asked = json.loads(line)
    pathlib.Path({begun!r}).write_text("asked")  # a pipe: waits for who reads it
    pathlib.Path({go!r}).read_text()
    print(json.dumps({{"notebook": asked["notebook"], "html": asked["title"]}}), flush=True)
"""

MIXED_UP = """
import sys
for line in sys.stdin:
    print('{"notebook": "/another.ipynb", "html": ""}', flush=True)
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Have another program render."""

    def use(program: str) -> None:
        (tmp_path / "fake_worker.py").write_text(program)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(html, "_WORKER", "fake_worker")

    return use


class Turn:
    """A lock that says when somebody has come to wait for it."""

    def __init__(self):
        self._lock, self._count = threading.Lock(), threading.Semaphore(0)

    def came(self):
        assert self._count.acquire(timeout=30)

    def __enter__(self):
        self._count.release()
        self._lock.acquire()

    def __exit__(self, *how):
        self._lock.release()


def test_nobody_gets_the_answer_to_a_request_that_was_cancelled(tmp_path, worker):
    begun, go = tmp_path / "begun", tmp_path / "go"
    os.mkfifo(begun)
    os.mkfifo(go)
    worker(SLOW.format(begun=str(begun), go=str(go)))
    cancelled = threading.Event()
    renderer = html.Renderer(cancelled)
    turn = renderer._turn = Turn()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(renderer.render, Path("/a.ipynb"), "a")
        turn.came()
        assert begun.read_text() == "asked"
        second = threads.submit(renderer.render, Path("/b.ipynb"), "b")
        turn.came()
        cancelled.set()
        assert isinstance(first.exception(), Cancelled)
        assert isinstance(second.exception(), Cancelled)

    # Whoever asks next has a new process, which knows nothing of the request.
    cancelled.clear()
    with ThreadPoolExecutor(1) as threads:
        third = threads.submit(renderer.render, Path("/b.ipynb"), "b")
        assert begun.read_text() == "asked"
        go.write_text("")
        assert third.result() == b"b"
    renderer.close()


def test_an_answer_for_another_notebook_is_an_error(worker):
    worker(MIXED_UP)
    renderer = html.Renderer(threading.Event())
    with pytest.raises(NbbuildError) as caught:
        renderer.render(Path("/a.ipynb"), "a")
    assert str(caught.value) == "the process that renders answered for another notebook"
    renderer.close()
