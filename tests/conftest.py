"""Whole projects in a temporary folder, built with real kernels; what ran is read from a log."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import chromium
import pytest
from notebook_sources import LOG, ipynb

import nbbuild.cli
from nbbuild.interpreter.environment import Environments
from nbbuild.kernels.ways import portable


def pytest_configure():
    """Let Ctrl-C mean something: a shell that starts pytest in the background has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item):
    """Skip what the portable way does not have, where that is taken."""
    mark = item.get_closest_marker("own_way")
    if mark is not None and portable():
        pytest.skip(f"needs Linux's own way: {mark.args[0]}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A real browser, for the tests of one module."""
    if chromium.PROGRAM is None:
        pytest.skip("there is no Chromium on this machine")
    browser = chromium.Chromium(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@dataclass
class Done:
    """How a command ended, what it wrote, and which notebooks executed meanwhile, in order."""

    status: int
    out: str
    err: str
    ran: list

    @property
    def data(self):
        return json.loads(self.out)


class Project:
    """A project folder with the means to write into it and to run nbbuild in it."""

    def __init__(self, root, environ):
        self.root = Path(root)
        self.environ = environ
        self.log = self.root.parent / f"{self.root.name}.log"

    def write(self, path, content):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.write_text(content, encoding="utf-8")
        return target

    def read(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def exists(self, path):
        return (self.root / path).exists()

    def config(self, text):
        """Write jcache.toml; without a [project] table, one that takes every notebook."""
        if "[project]" not in text:
            text = f'[project]\nnotebooks = ["**/*.ipynb"]\n\n{text}'
        self.write("jcache.toml", text)

    def notebook(self, path, *cells, log=True, **more):
        """Write a notebook whose first cell logs its path without the suffix."""
        name = str(Path(path).with_suffix(""))
        self.write(path, ipynb([*([LOG.format(name=name)] if log else []), *cells], **more))

    def text(self, path, text):
        """Write a text notebook; `{log}` in it becomes the lines that log its path."""
        self.write(path, text.replace("{log}", LOG.format(name=str(Path(path).with_suffix("")))))

    def files(self):
        """Return every file but nbbuild's own, by path, with its content."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and ".nbbuild" not in path.parts and path.name != ".gitignore"
        }

    def nbbuild(self, *words):
        """Run the command in this process."""
        self.log.write_text("")
        # Real text streams over bytes: click takes a StringIO for one that it has to mend.
        out, err = (
            io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
            for _ in range(2)
        )
        status = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                nbbuild.cli.group.main(list(words), prog_name="nbbuild")
            except SystemExit as end:
                status = end.code or 0
        said, words_about = (stream.buffer.getvalue().decode() for stream in (out, err))
        return Done(status, said, words_about, self.ran())

    def ran(self):
        return self.log.read_text().split()

    def build(self, *words, status=0):
        """Build, check the exit status, and return which notebooks executed, sorted."""
        done = self.nbbuild(*words)
        assert done.status == status, done.err
        return sorted(done.ran)

    def verdicts(self, *targets):
        """Return what `status` says of each task, without running anything."""
        done = self.nbbuild("status", "--json", *targets)
        assert done.status == 0, done.err
        return {one["task"]: one["verdict"] for one in done.data}

    def reasons(self, target):
        """Return the sentences with which `explain` says why one task is out of date."""
        done = self.nbbuild("explain", "--json", target)
        assert done.status == 0, done.err
        (explanation,) = done.data
        return [reason["text"] for reason in explanation["reasons"]]

    def process(self, *words, **more):
        """Start the command as a process of its own; `more` is for Popen."""
        streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(
            [sys.executable, "-m", "nbbuild", *words],
            cwd=self.root,
            env={**os.environ, **self.environ},
            text=True,
            **{"stdin": subprocess.DEVNULL, **streams, **more},
        )

    def shown(self, path):
        """Return all output text of a built notebook."""
        notebook = json.loads(self.read(f"_build/executed/{path}"))
        texts = []
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                text = output.get("text", output.get("data", {}).get("text/plain", ""))
                texts.append("".join(text))
        return "".join(texts)

    def built(self, path):
        """Return a built notebook."""
        return json.loads(self.read(f"_build/executed/{path}"))


@pytest.fixture(scope="session")
def project_class():
    """For tests that share what takes long to build: `project_class(root, environ)`."""
    return Project


ANSWERS = {}


@pytest.fixture
def asked_once(monkeypatch):
    """Let projects share what interpreters answer; nbbuild looks whether it still holds."""
    begin = Environments.__init__

    def sharing(self, recall, remember, **more):
        def recalled(kind, key):
            known = recall(kind, key)
            if known is None and (kind, key) in ANSWERS:
                known = ANSWERS[kind, key]
                remember(kind, key, known)
            return known

        def remembered(kind, key, value):
            ANSWERS[kind, key] = value
            remember(kind, key, value)

        begin(self, recalled, remembered, **more)

    monkeypatch.setattr(Environments, "__init__", sharing)


@pytest.fixture
def project(tmp_path, monkeypatch, asked_once):
    """An empty project; the current folder is its root."""
    root = tmp_path / "project"
    root.mkdir()
    environ = {"RUN_LOG": str(tmp_path / "project.log"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    # Set on some machines, it would hide bytecode that outlives an edit.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    for name in ("NBBUILD_CACHE", "MAKEFLAGS", "MAKELEVEL"):  # make may have called the tests
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(root)
    return Project(root, environ)
