"""Have nbconvert render notebooks to HTML, in a process of its own that is started when needed."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from nbbuild.disk.locks import Cancelled
from nbbuild.errors import ConfigError, NbbuildError
from nbbuild.interpreter import installed

FORMAT = "1"
"""Raised when pages are rendered in another way, so that they are written again."""

_WORKER = "nbbuild.export.html_worker"
_PAUSE = 0.1  # seconds until it is looked whether the build was cancelled


def identity() -> str:
    """Return what names the program that renders: another one may render differently."""
    return f"html {FORMAT} nbconvert {installed.version('nbconvert')}"


def check() -> None:
    """Raise `ConfigError` if nbconvert is not installed beside nbbuild."""
    if installed.found("nbconvert") is None:
        raise ConfigError(
            '[project] render = ["html"] needs nbconvert, which is not installed beside nbbuild',
            facts=[("python", sys.executable)],
            hint='`pip install "nbbuild[html]"`',
        )


def rests_on() -> tuple[str, ...]:
    """Return the folder whose names change when another nbconvert is installed."""
    place = installed.found("nbconvert")
    return () if place is None else (place[1],)


class Renderer:
    """Renders one notebook at a time, asked from any thread; `close` ends it.

    One process is enough for a build: once it has loaded nbconvert, a page takes 20 ms.
    """

    def __init__(self, cancelled: threading.Event) -> None:
        self._cancelled = cancelled
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it

    def render(self, notebook: Path, title: str) -> bytes:
        """Return the page of a notebook. Raises `NbbuildError`, and `Cancelled`."""
        path = os.fspath(notebook)
        asked = json.dumps({"notebook": path, "title": title}).encode()
        with self._turn:
            if self._cancelled.is_set():
                raise Cancelled
            try:
                answer = json.loads(self._answer(asked + b"\n"))
            except BaseException:
                self._stop()  # else the next one to ask reads the answer to this
                raise
            if answer["notebook"] != path:
                self._stop()
                raise NbbuildError("the process that renders answered for another notebook")
        if "error" in answer:
            raise NbbuildError(str(answer["error"]))
        return str(answer["html"]).encode("utf-8", "backslashreplace")

    def close(self) -> None:
        """End the process."""
        self._stop()
        self._complaints.close()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _answer(self, line: bytes) -> bytes:
        """Return the line with which the process answers a line."""
        if self._process is None:
            self._process = self._started()
        asking, answering = self._process.stdin, self._process.stdout
        assert asking is not None and answering is not None
        parts: list[bytes] = []
        with suppress(BrokenPipeError):  # then there is no answer, either
            asking.write(line)
        while not (parts and parts[-1].endswith(b"\n")):
            while not select.select([answering], [], [], _PAUSE)[0]:
                if self._cancelled.is_set():
                    raise Cancelled
            parts.append(os.read(answering.fileno(), 1 << 20))
            if not parts[-1]:
                raise NbbuildError(self._ended(self._process.wait()))
        return b"".join(parts)

    def _ended(self, status: int) -> str:
        """Say that the process has ended, with the last line of its complaints."""
        self._complaints.seek(0)
        last = self._complaints.read().decode(errors="replace").strip().splitlines()[-1:]
        return ": ".join([f"the process that renders ended with status {status}", *last])

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            # Python looks for modules where it starts, and the project may have an `html.py`.
            cwd=os.sep,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for nbbuild, which then ends it
        )
