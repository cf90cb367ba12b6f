"""By default, builds know of files that only C code, shells or other kernels read."""

from __future__ import annotations

import json
import sys

import pytest

from nbbuild.watching import seccomp

pytestmark = pytest.mark.skipif(bool(seccomp.unavailable()), reason=seccomp.unavailable())

IN_C = """
import ctypes
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
opened = libc.fopen("-".join(["da", "ta.bin"]).encode(), b"r")
"""
IN_A_SHELL = "!x=da; cat $x-ta.bin > /dev/null"

# argv does not tell that this is Python, so nothing is run in it silently.
FOREIGN = "from ipykernel.kernelapp import launch_new_instance\nlaunch_new_instance()"


@pytest.fixture
def syscalls(project):
    project.config("")
    project.write("da-ta.bin", "1")
    return project


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """The name of a kernel that is not known to be Python."""
    folder = tmp_path / "jupyter" / "kernels" / "foreign"
    folder.mkdir(parents=True)
    script = folder / "kernel"
    script.write_text(f"#!{sys.executable}\n{FOREIGN}")
    script.chmod(0o755)
    spec = {"argv": [str(script), "-f", "{connection_file}"], "language": "python"}
    (folder / "kernel.json").write_text(json.dumps({**spec, "display_name": "Foreign"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return "foreign"


def trace(project, target):
    done = project.nbbuild("explain", "--json", "-v", target)
    assert done.status == 0, done.err
    return done.data[0]["trace"]


@pytest.mark.parametrize("cell", [IN_C, IN_A_SHELL], ids=["C", "shell"])
def test_a_notebook_runs_again_when_what_only_c_code_opened_changes(syscalls, cell):
    syscalls.notebook("a.ipynb", cell)
    assert syscalls.build() == ["a"]
    assert syscalls.build() == []

    syscalls.write("da-ta.bin", "2")
    assert syscalls.reasons("a.ipynb") == ["'da-ta.bin' changed (In [2])"]
    assert syscalls.build() == ["a"]
    syscalls.write("other.bin", "2")
    assert syscalls.build() == []


def test_watched_in_python_only_it_does_not(syscalls):
    syscalls.config('[execution]\ntrace = "python"')
    syscalls.notebook("a.ipynb", IN_C)
    assert syscalls.build() == ["a"]

    syscalls.write("da-ta.bin", "2")
    assert syscalls.build() == []


def test_a_file_that_c_code_missed_and_that_appears_counts(syscalls):
    (syscalls.root / "da-ta.bin").unlink()
    syscalls.notebook("a.ipynb", IN_C)
    assert syscalls.build() == ["a"]
    assert syscalls.build() == []

    syscalls.write("da-ta.bin", "2")
    assert syscalls.build() == ["a"]


def test_a_record_seen_in_python_only_is_no_hit_and_the_other_way_round_it_is(syscalls):
    syscalls.config('[execution]\ntrace = "python"')
    syscalls.notebook("a.ipynb", "1 + 1")
    assert syscalls.build() == ["a"]

    syscalls.config("")
    assert syscalls.reasons("a.ipynb") == ["its last run was watched in Python only"]
    assert syscalls.build() == ["a"]
    for less in ('"syscalls"', '"python"', "false"):  # the first is another name for true
        syscalls.config(f"[execution]\ntrace = {less}")
        assert syscalls.build() == []


def test_it_is_seen_whole_and_holds_nothing_of_python_s_own(syscalls):
    syscalls.write("mylib/__init__.py", "from . import fit")
    syscalls.write("mylib/fit.py", "x = 1")
    syscalls.notebook("a.ipynb", "import mylib, json, sqlite3", IN_A_SHELL, log=False)
    assert syscalls.nbbuild().status == 0

    told = trace(syscalls, "a.ipynb")
    assert (told["level"], told["partial"]) == ("syscalls", [])
    files = {item["name"] for item in told["items"] if item["kind"] == "file"}
    assert files == {"mylib/__init__.py", "mylib/fit.py", "da-ta.bin"}
    assert {item["name"] for item in told["items"] if item["kind"] == "listing"} == set()
    shown = syscalls.nbbuild("explain", "-v", "a.ipynb").out.splitlines()
    assert shown[:2] == [
        "a.ipynb is up to date",
        "  its last run was watched down to its system calls, and used:",
    ]


def test_a_kernel_of_another_language_is_watched(syscalls, foreign):
    syscalls.config('[execution]\nkernel = "foreign"')
    syscalls.notebook("a.ipynb", "_ = open('-'.join(['da', 'ta.bin'])).read()")
    assert syscalls.build() == ["a"]
    assert syscalls.build() == []
    assert trace(syscalls, "a.ipynb")["level"] == "syscalls"

    syscalls.write("da-ta.bin", "2")
    assert syscalls.reasons("a.ipynb") == ["'da-ta.bin' changed (In [2])"]
    assert syscalls.build() == ["a"]


def test_where_it_cannot_be_done_python_is_watched_and_its_records_are_hits_there(
    syscalls, monkeypatch
):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(seccomp, "_MACHINES", {})
        syscalls.notebook("a.ipynb", IN_C, "import subprocess; _ = subprocess.run(['true'])")
        assert syscalls.build() == ["a"]

        told = trace(syscalls, "a.ipynb")
        assert (told["level"], told["partial"]) == (
            "python",
            [
                "what C code read through ctypes was not seen",
                "the program true may have read other files",
            ],
        )
        assert syscalls.build() == []
    # On a machine that lets see more it is a hit, too, and marked: its run had the best it could.
    assert syscalls.build() == []
    assert syscalls.nbbuild("status").err.splitlines()[0] == (
        "note: a.ipynb: its last run was watched in Python only: its machine allowed no more"
    )
