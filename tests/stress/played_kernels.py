"""Whole builds on a real disk with kernels that are only played: a build takes milliseconds.

Everything else is the real thing: command line, configuration, judging, locks, store, state, tree.
A cell holds lines of a small language, and a played kernel executes them in the build's own
process, and reports what it used as the real tracer would:

    read PATH           takes in a file's text
    write PATH WORD     writes WORD, and all that was read, into a file
    show WORD           prints WORD, and all that was read
    wait                waits for RUN_GATE to vanish

What ran is read from the log named by RUN_LOG, as with real kernels.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nbbuild.cli
from nbbuild.building import assembly, pipeline
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.disk.digests import digest_bytes
from nbbuild.events import CellStarted
from nbbuild.kernels.launch.memory import Room
from nbbuild.model import Failure
from nbbuild.notebook.merge import ExecutedCell, ExecutedCells
from nbbuild.quick import uptodate
from nbbuild.store import DiskStore
from nbbuild.watching.observed import FileUse, Observed, Stat

KERNEL = {"argv": ["played-kernel", "{connection_file}"], "language": "played"}


class PlayedAttempts:
    """Executes attempts in this process; takes the place of building.local.LocalAttempts."""

    def __init__(self, **_: object) -> None:
        pass

    def __call__(self, action: Any, *, cancelled: Any, observer: Any) -> Attempted:
        note_run(action.task)
        folder = action.root / action.folder
        notebook = json.loads(action.notebook)
        sources = ["".join(one["source"]) for one in notebook["cells"] if _is_code(one)]
        used = _Used(folder)
        done: list[ExecutedCell] = []
        failure, number = None, 0
        for number, source in enumerate(sources, 1):
            observer(CellStarted(action.task, number, len(sources)))
            shown: list[str] = []
            try:
                for line in source.splitlines():
                    used.do(line, number, shown)
            except OSError as error:
                text = f"{type(error).__name__}: {error.strerror}"
                failure = Failure("error", text, cell=number - 1, execution_count=number)
            text = "".join(f"{one}\n" for one in shown)
            outputs = [{"output_type": "stream", "name": "stdout", "text": text}] if text else []
            done.append(ExecutedCell(source, number, outputs))
            if failure is not None:
                break
        done += [ExecutedCell(source) for source in sources[len(done) :]]
        return Attempted(
            cells=ExecutedCells(tuple(done), {"kernelspec": notebook["metadata"]["kernelspec"]}),
            failure=failure,
            cancelled=cancelled.is_set(),
            cell_seconds=(0.0,) * number,
            observed=Observed(files=tuple(used.files.values()), level="syscalls"),
            root=action.root,
        )


class PlayedSupply:
    """Supplies nothing: played kernels are no processes. See building.supply.Supply."""

    def __init__(self, facts: object, *, slots: int) -> None:
        self.slots = slots
        self.loaded: dict[str, object] = {}
        self.launcher = self
        self.pid = None

    def __enter__(self) -> PlayedSupply:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, wanted: object = None) -> None:
        """Start nothing, neither a launcher nor a kernel ahead."""

    def warm_up(self, warm: object, check: object) -> None:
        """Fork nothing."""

    def ahead(self) -> PlayedSupply:
        return self

    def take(self, wanted: object, check: object) -> None:
        """No kernel was started ahead."""

    def room(self, most: object) -> Room:
        return Room(1 << 60, held=int)

    def parents(self, installed: str, *, threads: int) -> tuple[()]:
        return ()


def note_run(task: str) -> None:
    """Append a task to the log, in one write."""
    line = f"{os.getpid()} {task}\n".encode()
    log = os.open(os.environ["RUN_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(log, line)
    finally:
        os.close(log)


class _Used:
    """What a run has used so far, and what it has read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, FileUse] = {}
        self._texts = ""

    def do(self, line: str, cell: int, shown: list[str]) -> None:
        word, _, rest = line.partition(" ")
        if word == "read":
            path = str(self.folder / rest)
            self._note(path, cell, written=False)
            self._texts += Path(path).read_text()
        elif word == "write":
            name, _, text = rest.partition(" ")
            path = str(self.folder / name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._note(path, cell, written=True)
            Path(path).write_text(f"{text} {digest_bytes(self._texts.encode())[:12]}\n")
        elif word == "show":
            shown.append(f"{rest} {digest_bytes(self._texts.encode())[:12]}")
        elif word == "wait":
            while os.path.exists(os.environ["RUN_GATE"]):
                time.sleep(0.01)
        else:
            raise OSError(0, f"{word!r} means nothing")

    def _note(self, path: str, cell: int, *, written: bool) -> None:
        before = self.files.get(path)
        if before is not None and before.written >= written:
            return
        look = _stat(path)
        digest = None
        if written and look is not None:
            digest = digest_bytes(Path(path).read_bytes())
        self.files[path] = FileUse(
            path=path,
            uses=((*before.uses,) if before else ()) + (("write",) if written else ("read",)),
            first=before.first if before else look,
            before=digest,
            read=not written or before is not None,
            made=written and before is None and look is None,
            written=written,
            cell=cell,
            pid=1,
        )


def _stat(path: str) -> Stat | None:
    try:
        now = os.stat(path)
    except OSError:
        return None
    return Stat(
        "f", now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_mode & 0o7777
    )


def _is_code(cell: dict[str, Any]) -> bool:
    return cell["cell_type"] == "code" and bool("".join(cell["source"]).strip())


def play(patch: pytest.MonkeyPatch) -> None:
    """Have all builds of this process, and of those forked from it, use played kernels."""
    patch.setattr(assembly, "LocalAttempts", PlayedAttempts)
    patch.setattr(pipeline, "Supply", PlayedSupply)


# -- projects ----------------------------------------------------------------------------------

SIX = """
[project]
notebooks = ["*.ipynb"]

[[notebook]]
path = "a.ipynb"
artefacts = ["out/a.txt", "out/more/*.txt"]

[[notebook]]
path = "b.ipynb"
assets = ["out/a.txt"]
artefacts = ["out/b.txt"]

[[notebook]]
path = "c.ipynb"
assets = ["out/a.txt", "out/b.txt"]
"""

CELLS = {
    "a": ["read data.txt", "write out/a.txt a\nwrite out/more/1.txt one\nshow a"],
    "b": ["read out/a.txt\nread data.txt", "write out/b.txt b", "show b"],
    "c": ["read out/a.txt\nread out/b.txt\nshow c"],
    "d": ["show d\nread data.txt\nwrite left.txt d"],
    "e": ["show e"],
    "f": ["read other.txt\nshow f"],
}


def played_ipynb(cells: list[str]) -> str:
    """Return the text of a notebook for a played kernel."""
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {
                "kernelspec": {"name": "played", "display_name": "played", "language": "played"}
            },
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell-{number}",
                    "metadata": {},
                    "source": source,
                    "execution_count": None,
                    "outputs": [],
                }
                for number, source in enumerate(cells)
            ],
        },
        indent=1,
    )


def six(root: Path, *, data: str = "data\n") -> None:
    """Write a project of six notebooks: three in a chain, one that leaves a file, two alone."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "jcache.toml").write_text(SIX)
    (root / "data.txt").write_text(data)
    (root / "other.txt").write_text("other\n")
    for name, cells in CELLS.items():
        (root / f"{name}.ipynb").write_text(played_ipynb(cells))


@dataclass
class Said:
    """How a command ended, what it wrote, and which tasks ran meanwhile, in order."""

    status: int
    out: str
    err: str
    ran: list[str]


def command(root: Path, *words: str) -> Said:
    """Run nbbuild in this process as its console script would, in `root`."""
    log = Path(os.environ["RUN_LOG"])
    before = log.stat().st_size if log.exists() else 0
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
        for _ in range(2)
    )
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(root):
        try:
            quick = uptodate.answer(list(words))
            if quick is None:
                nbbuild.cli.group.main(list(words), prog_name="nbbuild")
            status = quick or 0
        except SystemExit as end:
            status = end.code or 0
        except BaseException:  # noqa: BLE001 - whatever the command lets through is a defect
            traceback.print_exc(file=err)
            status = 70
    said, about = (stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]
    ran: list[str] = []
    if log.exists():
        with log.open() as file:
            file.seek(before)
            ran = [line.split()[1].removesuffix(".ipynb") for line in file]
    assert isinstance(status, int)
    return Said(status, said, about, ran)


# -- the oracle --------------------------------------------------------------------------------


def tree(root: Path) -> dict[str, bytes]:
    """Return every file of the tree but nbbuild's own, by path, with its content."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".nbbuild" not in path.parts and path.name != ".gitignore"
    }


def results(store: Path) -> dict[str, tuple[object, ...]]:
    """Return what the store holds for each task: key, cells, artefacts, trace, if all is there."""
    found: dict[str, set[tuple[object, ...]]] = {}
    disk = DiskStore(store)
    for one in disk.all_records():
        whole = all(disk.get(digest) is not None for digest in one.blobs)
        items = tuple((item.kind, item.name, item.value) for item in one.trace.items)
        found.setdefault(one.task, set()).add(
            (one.key.digest, whole, one.cells, one.artefacts, items)
        )
    return {task: tuple(sorted(rows, key=repr)) for task, rows in found.items()}


@dataclass
class Oracle:
    """What a build of a project without any cache comes to."""

    root: Path  # where it was built
    files: dict[str, bytes]
    records: dict[str, tuple[object, ...]]

    @classmethod
    def of(cls, root: Path) -> Oracle:
        """Build the project at `root`, which holds only sources, and take down what it came to."""
        said = command(root, "-j1")
        assert (said.status, sorted(said.ran)) == (0, sorted(CELLS)), said.err
        return cls(root, tree(root), results(root / ".nbbuild/store"))

    def faults(
        self,
        root: Path,
        *,
        store: Path | None = None,
        also: Iterable[Oracle] = (),
        but: Collection[str] = (),
    ) -> list[str]:
        """Return how a built project differs from the clean build.

        Its store may have results of other builds, too: those that `also` came to.
        """
        faults = []
        found = tree(root)
        for path in sorted({*found, *self.files}.difference(but)):
            if found.get(path) != self.files.get(path):
                kind = (
                    "missing" if path not in found else "wrong" if path in self.files else "extra"
                )
                faults.append(f"{path} is {kind}")
        have = results(store or root / ".nbbuild/store")
        for task, rows in self.records.items():
            if not {*rows} <= {*have.get(task, ())}:
                faults.append(f"no sound record for {task}")
            known = {*rows}.union(*(one.records[task] for one in also))
            if not {*have.get(task, ())} <= known:
                faults.append(f"a record for {task} that no clean build makes")
        return faults


def internal(said: Said) -> bool:
    """Whether a command ended by a defect of nbbuild rather than with an error for its user."""
    text = said.err + said.out
    return said.status not in (0, 1, 2, 3, 130) or bool(
        re.search(r"Traceback|internal error|this is a bug", text)
    )


if sys.version_info < (3, 11):  # contextlib.chdir

    @contextlib.contextmanager
    def _chdir(path):  # type: ignore[no-untyped-def]
        before = os.getcwd()
        os.chdir(path)
        try:
            yield
        finally:
            os.chdir(before)

    contextlib.chdir = _chdir  # type: ignore[attr-defined,misc,assignment]
