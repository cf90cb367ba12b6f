"""Nothing from outside controls a terminal, hides, or is obeyed by the runner that reads a log."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import xml.etree.ElementTree as ET
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from hostile_texts import ESCAPES, IN_NAMES, TEXTS, every, obeyed, raw, texts

from nbbuild.disk.checksummed import seal, unseal

ALL = every()
SHOWS = f"""
import os, sys
all = {ALL!r}
print(all); print(all, file=sys.stderr)
os.write(2, all.encode()); os.system("printf '\\\\033]0;child\\\\007' >&2")
from IPython.display import display
display({{"text/plain": all, "text/html": all, "text/markdown": all}}, raw=True)
"""
FAILS = f"""
class {{name}}(Exception): pass
{{name}}.__name__ = {{name}}.__qualname__ = {ALL!r}
def deep():
    # {ESCAPES[3]!r}
    raise {{name}}({ALL!r})
deep()
"""


def quoted(text):
    """A TOML string of `text`."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@pytest.fixture(scope="module")
def built(tmp_path_factory, project_class):
    """A project in which names, outputs, errors, values and records are hostile, built once."""
    folder = tmp_path_factory.mktemp("hostile")
    root = folder / "pro\x1b]0;ject\x07"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("RUN_LOG", str(folder / "ran.log"))
        project = project_class(root, {"RUN_LOG": str(folder / "ran.log")})
        text = texts()
        for number, name in enumerate(IN_NAMES):
            if number % 4 == 0:
                project.notebook(f"{number}{name}.ipynb", "1", log=False)
        project.notebook("shows.ipynb", SHOWS, log=False)
        project.notebook("fails.ipynb", FAILS.replace("{name}", "Bad"), log=False)
        project.notebook("dies.ipynb", SHOWS, "os._exit(7)", log=False)
        project.notebook("writes.ipynb", "open('o\\x1b]0;x\\x07.txt', 'w').close()", log=False)
        project.write("broken\x1b[2J.ipynb", f'{{"nbformat": 4, "cells": {json.dumps(ALL)}}}')
        parameters = "".join(f"p{number} = {quoted(text())}\n" for number in range(len(TEXTS)))
        project.config(
            f'[[notebook]]\npath = "shows.ipynb"\ngroups = [{quoted(text())}]\n'
            f"[notebook.parameters]\n{parameters}"
            '[[notebook]]\npath = "writes.ipynb"\nartefacts = ["o*.txt"]\n'
            f'packages = ["pytest"]\n'
        )
        said = project.nbbuild("-v", "-j2")
        yield project, said


def check(said, *, ours=False, colours=False):
    assert raw(said.out, colours=colours) == [], said.out
    assert raw(said.err) == [], said.err
    if os.environ.get("GITHUB_ACTIONS"):
        assert obeyed(said.out) == []
        assert obeyed(said.err, ours=ours) == []
    assert "itself failed" not in said.err, said.err


WORDS = (
    *(("status", "-v"), ("status", "--json"), ("list",), ("list", "--json"), ("explain",)),
    *(("explain", "-v", "shows.ipynb"), ("show",), ("show", "fails.ipynb"), ("report",)),
    *(("show", "--json", "fails.ipynb"), ("show", "dies.ipynb"), ("show", "--history", "fails")),
    *(("report", "--json"), ("report", "--list"), ("report", "--markdown", "-"), ("graph",)),
    *(("report", "--junit", "-"), ("report", "--trace", "-"), ("graph", "--format", "dot")),
    *(("cache", "list"), ("cache", "info"), ("cache", "verify"), ("diff",), ("clean", "-n")),
    *(("export", "make"), ("-n",), ("-n", "-v"), ("--log-format", "github", "-k")),
    *(("suggest",), ("verify", "writes.ipynb"), ("invalidate", "shows.ipynb")),
)


def test_a_build_prints_nothing_raw(built):
    _, said = built
    assert said.status == 2, said.err  # one is unreadable
    assert "\\x1b]0;title\\x07" in said.err
    check(said)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_no_verb_prints_anything_raw(built, words, monkeypatch):
    """On a runner, which obeys lines, too."""
    project, _ = built
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("RUN_LOG", str(project.log))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    said = project.nbbuild(*words)
    check(said, ours="github" in words)
    if "--json" in words:
        json.loads(said.out)
    if "--junit" in words:
        ET.fromstring(said.out.encode())


WRONG = (
    *(("[project]\nnotebooks = [{}]\n", ("status",)), ("[project]\noutput = {}\n", ("status",))),
    *(("[{}]\n", ("status",)), ("[project]\n{} = 1\n", ("status",)), ("{}", ("status",))),
    ("[environment]\nenv = [{}]\n", ("status",)),
    ("[environment]\nfiles = [{}]\n", ("status",)),
    ("[environment]\ncommands = [{}]\n", ("status",)),
    ("[execution]\nkernel = {}\n", ("-j1", "a.ipynb")),
    ("[execution]\nexecutor = {}\n", ("-j1", "a.ipynb")),
    ("[execution]\nmax_memory = {}\n", ("status",)),
    ("[cache]\npath = {}\n", ("status",)),
    ("[cache]\nremote = {}\n", ("cache", "pull")),
    ("[cache]\npublic_keys = [{}]\n", ("status",)),
    ('[[notebook]]\npath = "a.ipynb"\npackages = [{}]\n', ("status", "-v")),
    ('[[notebook]]\npath = "a.ipynb"\nassets = [{}]\n', ("status",)),
    ('[[notebook]]\npath = "a.ipynb"\nmodules = [{}]\n', ("status", "-v")),
    ('[[notebook]]\npath = "a.ipynb"\ndepends_on = [{}]\n', ("status",)),
    ('[[notebook]]\npath = "a.ipynb"\nartefacts = [{}]\n', ("explain", "a.ipynb")),
    ("[[notebook]]\npath = {}\n", ("status",)),
    ("", ("status", "{}")),
    ("", ("explain", "{}")),
    ("", ("{}",)),
    ("", ("-C", "{}")),
    ("", ("-f", "{}", "status")),
    ("", ("--{}",)),
    ("", ("-j", "{}")),
    ("", ("cache", "cat", "{}")),
    ("", ("cache", "import", "{}")),
    ("", ("report", "{}")),
    ("", ("worker", "{}")),
    ("", ("add", "{}")),
    ("", ("completion", "{}")),
)


@pytest.mark.parametrize(("config", "words"), WRONG, ids=[f"{c}{w}" for c, w in WRONG])
def test_no_error_prints_anything_raw(project, config, words, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    project.notebook("a.ipynb", "1")
    for text in (every(), "\n::error::pwned"):
        text = text.replace("\0", "")  # noqa: PLW2901
        lead = "" if "[project]" in config else '[project]\nnotebooks = ["*.ipynb"]\n'
        bare = config.startswith(("{}", "[{}"))
        project.write("jcache.toml", lead + config.replace("{}", text if bare else quoted(text)))
        said = project.nbbuild(*(word.replace("{}", text) for word in words))
        check(said)


def test_a_terminal_gets_no_sequence_but_our_own(built):
    """As a person sees it: live lines while it builds, and colours in a traceback."""
    project, _ = built
    for words in (["-B", "shows.ipynb", "fails.ipynb"], ["show", "fails.ipynb"]):
        text = on_a_terminal(project, words)
        for pattern in (r"\x1b\][^\x1b]*", r"\x1b[P_^Xc(]", r"\x1b\[[23]J", r"\x1b\[6n"):
            assert re.findall(pattern, text) == [], (words, pattern)
        assert raw(re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\r", "", text)) == [], words


def on_a_terminal(project, words):
    ours, theirs = pty.openpty()
    environ = {**os.environ, **project.environ, "TERM": "xterm-256color", "CI": ""}
    child = subprocess.Popen(
        [sys.executable, "-m", "nbbuild", *words],
        cwd=project.root,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    found = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            more = os.read(ours, 1 << 16)
        except OSError:
            break
        if not more:
            break
        found += more
    child.wait()
    os.close(ours)
    return found.decode()


class Answers(BaseHTTPRequestHandler):
    """A remote cache that answers with whatever may hurt."""

    def do_GET(self):
        self.send_response_only(418, ESCAPES[0] + ESCAPES[3] + ESCAPES[9])
        self.send_header("Content-Type", ESCAPES[3])
        self.end_headers()
        self.wfile.write(ALL.encode())

    do_PUT = do_HEAD = do_POST = do_GET

    def log_message(self, *_):
        pass


def test_what_a_remote_answers_is_printed_clean(project, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    project.notebook("a.ipynb", "1")
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        project.config(
            f'[cache]\nremote = "http://127.0.0.1:{server.server_port}/"\nunsigned = true\n'
        )
        for words in (("-j1",), ("cache", "pull"), ("cache", "push")):
            check(project.nbbuild(*words))
        server.shutdown()


def test_the_texts_are_seen_where_nobody_cleans_them():
    assert len(raw(every())) > 60
    assert len(obeyed(every())) == 5


def test_notebooks_that_a_report_locates_are_no_commands(built, monkeypatch):
    project, _ = built
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    said = project.nbbuild("-B", "--log-format", "github", "fails.ipynb", "-j1")
    lines = [line for line in said.err.split("\n") if line.startswith("::")]
    assert [line.partition(" ")[0] for line in lines] == ["::group::why", "::endgroup::", "::error"]
    assert obeyed(said.err, ours=True) == []


def test_ipynb_is_no_terminal(built):
    """What is kept is kept as it is: a built notebook holds what the notebook showed."""
    project, _ = built
    assert ESCAPES[3] in project.shown("shows.ipynb")


def test_what_a_record_names_is_printed_clean(built, monkeypatch):
    project, _ = built
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for place in (project.root / ".nbbuild/store/v2/records").rglob("*.json"):
        record = json.loads(unseal(place.read_bytes()))
        record["trace"]["items"] = [
            {"kind": kind, "name": ALL, "value": ALL, "via": ALL}
            for kind in ("distribution", "file", "absent", "stat", "listing", "import", "glob", "?")
        ]
        record["trace"].update(hosts=[ALL], partial=[ALL], variables=[ALL], exempt=ALL, level=ALL)
        record.update(removed=[ALL], altered=[ALL], nbbuild=ALL, python=ALL, preloads=[ALL])
        place.write_bytes(seal(json.dumps(record).encode()))
    for words in (("explain",), ("status", "-v"), ("show", "shows.ipynb"), ("cache", "list")):
        said = project.nbbuild(*words)
        check(said)
    explained = project.nbbuild("explain", "shows.ipynb").out
    assert "\\x1b]0;title\\x07" in explained
