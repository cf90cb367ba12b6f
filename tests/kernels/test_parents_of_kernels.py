"""A process with packages in memory is forked from one that has fewer, and kernels from either."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from nbbuild.interpreter.imports import Import
from nbbuild.kernels.launch.launcher import process_table
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.warm.nursery import Warm
from nbbuild.watching.injection import zygote_code


def imports(*modules):
    return tuple(Import(0, module) for module in modules)


@pytest.fixture
def launcher():
    with Launcher() as started:
        yield started


@pytest.fixture
def bare(python, environ):
    """What has ipykernel in memory."""
    warm = Warm.of(python, environ, installed="as it is")
    assert warm is not None
    return warm


def parent(stem, *modules):
    """What has `modules` in memory, the first of them by its stem."""
    return replace(stem, modules=imports(*modules), watch=zygote_code(), stem=stem)


def zygote(launcher, warm):
    found, lacks = launcher._nursery.zygote(warm, lambda: None)
    assert found is not None, lacks
    return found, lacks


def run_in(launcher, warm, tmp_path, code):
    """Run `code` in a process that is forked for a kernel; return what it writes to answer.json."""
    cwd = tmp_path / "work"
    cwd.mkdir(exist_ok=True)
    (cwd / "ask.py").write_text(code)
    with (tmp_path / "log").open("wb") as log:
        process = launcher.start(
            [*warm.interpreter, "-m", "ask"],
            env=dict(warm.env),
            cwd=cwd,
            output=log.fileno(),
            warm=warm,
        )
        assert process.wait(30) == 0, (tmp_path / "log").read_text()
        process.kill()
    return process, json.loads((cwd / "answer.json").read_text())


ASK = """
import json, os, sys
loaded = [name for name in ("json.tool", "mailbox", "wave") if name in sys.modules]
answer = [loaded, os.getcwd(), os.environ["NBBUILD_KERNEL"], os.getppid()]
json.dump(answer, open("answer.json", "w"))
"""


def test_each_has_what_its_stem_has_and_no_more_is_loaded_anew(launcher, bare, tmp_path):
    first = parent(bare, "mailbox")
    second = parent(first, "mailbox", "wave")
    began = zygote(launcher, bare)[0]._process.pid
    one, two = (zygote(launcher, warm)[0] for warm in (first, second))
    assert len({began, one._process.pid, two._process.pid}) == 3
    table = process_table()
    # Forked, and not started: each goes on with the memory that it began with.
    commands = {Path(f"/proc/{z._process.pid}/cmdline").read_bytes() for z in (one, two)}
    assert commands == {Path(f"/proc/{began}/cmdline").read_bytes()}
    assert {table[z._process.pid].parent for z in (one, two)} == {launcher.pid}
    for warm, loaded in ((bare, []), (first, ["mailbox"]), (second, ["mailbox", "wave"])):
        process, answer = run_in(launcher, warm, tmp_path, ASK)
        assert process.shortfall == ""
        assert process.preloads == warm.preloads
        assert answer == [loaded, str(tmp_path / "work"), process._id, launcher.pid]
    assert 0 < one.seconds < two.seconds


def test_what_was_begun_before_it_is_known_what_is_installed_is_used_then(launcher, bare):
    early = zygote(launcher, replace(bare, installed=""))[0]
    assert zygote(launcher, bare)[0] is early
    assert zygote(launcher, replace(bare, installed=""))[0] is early
    assert zygote(launcher, replace(bare, installed="something else"))[0] is not early


def test_what_a_stem_cannot_load_is_left_out_of_what_is_forked_from_it(launcher, bare, tmp_path):
    first = parent(bare, "no_such_module", "mailbox")
    second = parent(first, "no_such_module", "mailbox", "wave")
    found, lacks = zygote(launcher, second)
    assert found.warm.preloads == ("mailbox", "wave")
    assert lacks == (
        "'no_such_module' is not loaded beforehand: it cannot be imported: "
        "ModuleNotFoundError(\"No module named 'no_such_module'\")"
    )
    assert run_in(launcher, second, tmp_path, ASK)[1][0] == ["mailbox", "wave"]


def test_one_whose_stem_is_killed_is_started_by_itself(launcher, bare, tmp_path):
    stem = zygote(launcher, parent(bare, "mailbox"))[0]
    os.kill(stem._process.pid, 9)
    process, answer = run_in(
        launcher, parent(parent(bare, "mailbox"), "mailbox", "wave"), tmp_path, ASK
    )
    assert answer[0] == ["mailbox", "wave"]
    assert process.shortfall == ""


def test_kernels_live_on_when_what_they_were_forked_from_is_gone(launcher, bare, tmp_path):
    warm = parent(bare, "mailbox")
    zygote(launcher, warm)
    os.kill(zygote(launcher, bare)[0]._process.pid, 9)
    assert run_in(launcher, warm, tmp_path, ASK)[1][0] == ["mailbox"]
