"""Whole builds with the real tracer but without kernels: cells run in a fork of a plain Python.

Everything but the kernel is real: command line, configuration, judging, tracing, store, tree. A
build of five notebooks takes a tenth of a second, so that thousands of edits can be tried. The same
forks, unwatched and in a copy of the sources, say what a clean build would come to.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import nbbuild.cli
from nbbuild.building import assembly, pipeline
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.disk import temporary
from nbbuild.events import CellStarted
from nbbuild.kernels.launch.memory import Room
from nbbuild.model import Failure
from nbbuild.notebook.merge import ExecutedCell, ExecutedCells
from nbbuild.quick import uptodate
from nbbuild.watching.injection import install_code, prepare, report_code
from nbbuild.watching.reading import read_report

_SERVER = r"""
import sys, os, io, json, glob, pathlib, importlib.util
sys.dont_write_bytecode = True
rest = [entry for entry in sys.path if entry and entry != os.getcwd()]

def run(request):
    os.chdir(request["folder"])
    os.environ.clear(); os.environ.update(request["environ"])
    sys.path[:] = ["", *rest]
    sys.path_importer_cache.clear()
    sys.argv = ["forked"]
    for code in request["before"]:
        exec(code, {"__name__": "nbbuild"})
    names = {"__name__": "__main__"}
    shown, failure = [], None
    for cell in request["cells"]:
        out = io.StringIO()
        kept, sys.stdout = sys.stdout, out
        try:
            exec(compile(cell, "<cell>", "exec"), names)
        except BaseException as error:
            failure = type(error).__name__
        sys.stdout = kept
        shown.append(out.getvalue())
        if failure:
            break
    for code in request["after"]:
        exec(code, {"__name__": "nbbuild"})
    return {"shown": shown, "failure": failure}

for line in sys.stdin:
    request = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        answer = b'{"shown": [], "failure": "lost"}'
        try:
            answer = json.dumps(run(request)).encode()
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        answer = file.read()
    os.waitpid(child, 0)
    sys.__stdout__.buffer.write(answer + b"\n")
    sys.__stdout__.flush()
"""


class Forks:
    """Runs cells, each notebook in a fork of its own; a context manager."""

    def __enter__(self):
        self._turn = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        return self

    def __exit__(self, *_):
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def run(self, folder, environ, cells, *, before=(), after=()):
        """Return what each cell that ran showed, and the name of the error that ended it."""
        request = {
            "folder": str(folder),
            "environ": dict(environ),
            "cells": cells,
            "before": list(before),
            "after": list(after),
        }
        with self._turn:
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            answer = json.loads(self._server.stdout.readline())
        return answer["shown"], answer["failure"]


class ForkedAttempts:
    """Executes attempts in forks. See building.attempts.Attempts."""

    forks = None

    def __init__(self, **_):
        pass

    def __call__(self, action, *, cancelled, observer):
        notebook = json.loads(action.notebook)
        kinds = [one for one in notebook["cells"] if one["cell_type"] == "code"]
        cells = ["".join(one["source"]) for one in kinds]
        observer(CellStarted(action.task, 1, len(cells)))
        with temporary.folder() as private:
            tracing = prepare(private / "watch", cache=action.cache)
            report = Path(tracing.report)
            shown, error = self.forks.run(
                action.root / action.folder,
                action.environ,
                cells,
                before=[install_code(tracing)],
                after=[report_code(tracing, report)],
            )
            observed = read_report(report)
        done = [
            ExecutedCell(
                cell,
                number,
                [{"output_type": "stream", "name": "stdout", "text": text}] if text else [],
            )
            for number, (cell, text) in enumerate(zip(cells, shown, strict=False), 1)
        ]
        failure = None
        if error is not None:
            failure = Failure("error", error, cell=len(done) - 1, execution_count=len(done))
        done += [ExecutedCell(cell) for cell in cells[len(done) :]]
        return Attempted(
            cells=ExecutedCells(tuple(done), {"kernelspec": notebook["metadata"]["kernelspec"]}),
            failure=failure,
            cancelled=cancelled.is_set(),
            cell_seconds=(0.0,) * len(shown),
            observed=observed,
            root=action.root,
        )


class NoSupply:
    """Starts nothing. See building.supply.Supply."""

    pid = 0

    def __init__(self, facts, *, slots):
        self.slots = slots
        self.loaded = {}
        self.launcher = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin(self, wanted=None):
        """Start nothing ahead."""

    def warm_up(self, warm, check):
        """Fork nothing."""

    def ahead(self):
        return self

    def take(self, wanted, check):
        """No kernel was started ahead."""

    def room(self, most):
        return Room(1 << 60, held=int)

    def parents(self, installed, *, threads):
        return ()


@contextlib.contextmanager
def forking(patch):
    """Have all builds of this process run their cells in forks; yield the forks."""
    with Forks() as forks:
        patch.setattr(ForkedAttempts, "forks", forks)
        patch.setattr(assembly, "LocalAttempts", ForkedAttempts)
        patch.setattr(pipeline, "Supply", NoSupply)
        yield forks


def build(root):
    """Build the project at `root`; return the status, the outcomes by source, and stderr."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
        for _ in range(2)
    )
    before = Path.cwd()
    os.chdir(root)
    status = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            words = ["--json", "-j1"]
            quick = uptodate.answer(words)
            if quick is not None:
                return quick, {}, ""
            nbbuild.cli.group.main(words, prog_name="nbbuild")
    except SystemExit as end:
        status = end.code or 0
    finally:
        os.chdir(before)
    text = out.buffer.getvalue().decode()
    outcomes = json.loads(text)["outcomes"] if text else []
    said = err.buffer.getvalue().decode()
    return status, {one["source"]: one for one in outcomes}, said
