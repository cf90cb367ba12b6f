"""Watched from outside: what a process and its descendants open, in whatever language."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nbbuild.errors import KernelError
from nbbuild.kernels.launch import launcher as helper
from nbbuild.kernels.launch.process import Launcher
from nbbuild.watching import seccomp
from nbbuild.watching.observed import FileUse, Observed
from nbbuild.watching.reading import only_seen
from nbbuild.watching.seen import Seen

pytestmark = pytest.mark.skipif(bool(seccomp.unavailable()), reason=seccomp.unavailable())


class Outside(NamedTuple):
    status: int | None
    out: str
    blind: str
    missed: list[str]
    observed: Observed
    folder: Path

    @property
    def files(self) -> dict[str, FileUse]:
        lead = f"{self.folder}/"
        uses = (use for use in self.observed.files if use.path.startswith(lead))
        return {use.path.removeprefix(lead): use for use in uses}

    @property
    def uses(self) -> dict[str, tuple[str, ...]]:
        return {path: use.uses for path, use in self.files.items()}


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with Launcher() as started:
        yield started


@pytest.fixture
def watched(
    launcher: Launcher, folder: Path, environ: dict[str, str], tmp_path: Path
) -> Callable[..., Outside]:
    """Run a program to its end, watched from outside only."""

    def run(*argv: str, by: Launcher = launcher) -> Outside:
        out, private = tmp_path / "out", tmp_path / "private"
        private.mkdir(exist_ok=True)
        with out.open("w") as file:
            process = by.start(
                argv, env=environ, cwd=folder, output=file.fileno(), folder=private, watched=True
            )
            status = process.wait(60)
            process.kill()
        seen = process.seen
        assert seen is not None
        text = out.read_text(errors="replace")
        return Outside(status, text, seen.blind, list(seen.missed), only_seen(seen), folder)

    return run


@pytest.fixture
def python(watched: Callable[..., Outside]) -> Callable[[str], Outside]:
    return lambda code: watched(sys.executable, "-I", "-S", "-c", code)


def test_a_file_that_only_c_code_opens_is_seen(python):
    done = python(
        "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.fopen.restype = ctypes.c_void_p\n"
        "assert libc.fopen(b'a' + b'.txt', b'r')\nassert not libc.fopen(b'none' + b'.txt', b'r')"
    )

    assert (done.status, done.blind, done.missed) == (0, "", [])
    assert done.uses == {"a.txt": ("read",), "none.txt": ("read",)}
    assert done.files["a.txt"].first.size == 2
    assert done.files["none.txt"].first is None
    assert (done.observed.level, done.observed.partial) == ("syscalls", ())


def test_a_shell_that_reads_a_computed_name_is_seen(watched):
    done = watched("sh", "-c", "n=a; d=data; cat $n.txt; cd $d && cat ../b.txt x.csv")

    assert done.out == "a\nb\n1\n"
    assert done.uses == {
        "a.txt": ("read",),
        "data": ("enter",),
        "b.txt": ("read",),
        "data/x.csv": ("read",),
    }


def test_who_was_in_a_system_s_folder_by_a_relative_path_is_seen_afterwards(watched):
    done = watched("sh", "-c", "(cd /usr && test -e share); cat a.txt")

    assert done.out == "a\n"
    assert done.uses == {"a.txt": ("read",)}


def test_a_static_program_is_seen(watched, folder):
    if shutil.which("file") is None:
        pytest.skip("no `file` that tells a static program")
    for program, *words in (["/bin/busybox", "cat"], ["/sbin/ldconfig", "-p", "-C"]):
        kind = subprocess.run(["file", "-L", program], capture_output=True, check=False).stdout
        if b"static" in kind:
            assert watched(program, *words, "a.txt").uses == {"a.txt": ("read",)}
            return
    pytest.skip("no static program here")


def test_what_a_program_makes_moves_and_removes_is_seen(watched):
    done = watched(
        "sh",
        "-c",
        "mkdir new; echo 1 > new/one; mv new/one two; cat two; ln -s a.txt link; rm b.txt;"
        " echo 2 >> a.txt",
    )

    assert done.status == 0, done.out
    removed = done.uses["b.txt"]  # some programs look at it first
    assert done.uses == {
        "new": ("lexists", "mkdir"),
        "new/one": ("write", "read", "remove"),
        "two": ("write", "read"),
        "link": ("lexists", "write"),
        "b.txt": removed,
        "a.txt": ("append",),
    }
    assert removed[-2:] == ("lexists", "remove")
    assert {path for path, use in done.files.items() if use.made} == {"new/one", "two"}
    # These fail where something is already: that nothing was is an answer.
    asked = {
        path: use.own for path, use in done.files.items() if not use.made and use.first is None
    }
    assert asked == {"new": None, "link": None}


def test_a_file_is_looked_at_before_it_is_opened(watched):
    done = watched("sh", "-c", "wc -c < a.txt; echo longer > a.txt")

    assert done.uses == {"a.txt": ("read", "write")}
    assert done.files["a.txt"].first.size == 2


def test_a_listed_folder_is_told_with_its_names(watched, folder):
    done = watched("ls", "data")

    told = {Path(one.path).name: one.names for one in done.observed.listings}
    assert told["data"] == ("fx.csv", "fy.csv")


def test_descriptors_of_folders_and_new_calls_are_understood(python):
    openat2 = """
import ctypes, os
folder = os.open("data", os.O_PATH)
os.close(os.open("x.csv", os.O_RDONLY, dir_fd=folder))
how = (ctypes.c_uint64 * 3)(os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, 0)
ctypes.CDLL(None).syscall(437, folder, b"new.csv", how, ctypes.sizeof(how))
"""
    done = python(openat2)

    assert done.uses == {"data": ("stat",), "data/x.csv": ("read",), "data/new.csv": ("write",)}


def test_a_file_that_a_thread_opens_is_its_process_s(python):
    done = python(
        "import os, threading\n"
        "t = threading.Thread(target=lambda: open('a.txt').close())\nt.start(); t.join()\n"
        "print(os.getpid())"
    )

    assert done.files["a.txt"].pid == int(done.out)


def test_names_that_are_no_utf_8_are_kept(watched, folder):
    name = os.fsdecode(b"\xff.txt")
    (folder / name).write_text("x")

    assert watched("sh", "-c", "cat *.txt").files[name].first.size == 1


def test_five_thousand_files_are_seen_by_their_names(python, folder):
    (folder / "many").mkdir()
    for number in range(5000):
        (folder / "many" / str(number)).touch()

    done = python("for n in range(5000):\n for _ in range(2): open(f'many/{n}').close()")

    assert done.status == 0, done.out
    assert len([path for path in done.files if path.startswith("many/")]) == 5000


def test_many_processes_at_once_are_all_served(watched):
    done = watched("sh", "-c", "for i in $(seq 100); do cat a.txt > out-$i & done; wait")

    assert done.status == 0, done.out
    assert sum(path.startswith("out-") for path in done.files) == 100


def test_a_process_that_is_killed_leaves_no_descriptor(launcher, folder, environ, tmp_path):
    def descriptors() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{launcher.pid}/fd"))

    launcher.start(["true"], env=environ, cwd=folder, output=2).kill()
    before = descriptors()
    code = "import os\nprint(flush=True)\nwhile True: os.close(os.open('a.txt', 0))"
    for _ in range(5):
        told, tell = os.pipe()
        process = launcher.start(
            [sys.executable, "-c", code],
            env=environ,
            cwd=folder,
            output=tell,
            folder=tmp_path,
            watched=True,
        )
        os.close(tell)
        os.read(told, 1)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        assert process.kill() == ()
        os.close(told)
        assert process.seen is not None
        assert only_seen(process.seen).level == "syscalls"

    assert max(map(int.__sub__, descriptors(), before)) < 2  # what is just being closed


def test_a_program_that_cannot_be_run_leaves_no_descriptor(launcher, folder, environ, tmp_path):
    launcher.start(["true"], env=environ, cwd=folder, output=2).kill()
    before = len(os.listdir(f"/proc/{launcher.pid}/fd"))
    for _ in range(5):
        with contextlib.suppress(KernelError):
            launcher.start(
                ["no-such-program"],
                env=environ,
                cwd=folder,
                output=2,
                folder=tmp_path,
                watched=True,
            )

    launcher.start(["true"], env=environ, cwd=folder, output=2).kill()
    # What is just being closed may be among them.
    assert len(os.listdir(f"/proc/{launcher.pid}/fd")) < before + 2


@pytest.fixture
def broken(tmp_path, monkeypatch) -> Iterator[Launcher]:
    """A launcher whose watch fails at each call that it looks at."""
    for part in ("kernels", "watching"):
        source = Path(helper.__file__).parents[2] / part
        shutil.copytree(source, tmp_path / "broken" / part)
    server = tmp_path / "broken" / "watching" / "syscalls.py"
    text = server.read_text().replace("found = self._look(", "found = {}['no'](")
    server.write_text(text)
    monkeypatch.setattr(
        helper, "__file__", str(tmp_path / "broken" / "kernels" / "launch" / "launcher.py")
    )
    with Launcher() as started:
        yield started


def test_a_fault_in_the_watch_is_told_and_harms_nothing(watched, broken):
    done = watched("cat", "a.txt", by=broken)

    assert (done.status, done.out) == (0, "a\n")
    assert done.missed == ["a fault in nbbuild's watch over system calls: KeyError('no')"]
    assert done.observed.partial == tuple(done.missed)


def test_what_the_launcher_saw_and_cannot_be_read_is_told(tmp_path):
    for text in ("", "[]", '{"blind": "", "records": 7}'):
        (tmp_path / "seen.json").write_text(text)
        seen = Seen.read(tmp_path / "seen.json")
        assert seen.blind == "the record of its system calls was lost"
    assert Seen.read(tmp_path / "none.json").blind == seen.blind


INNER = """
import os, sys, tempfile
from pathlib import Path
from nbbuild.kernels.launch.process import Launcher
with Launcher() as launcher, tempfile.TemporaryDirectory() as private:
    where = {"env": os.environ, "cwd": Path.cwd(), "output": 1, "folder": Path(private)}
    process = launcher.start(["cat", "a.txt"], watched=True, **where)
    assert process.wait(30) == 0
    process.kill()
print(process.seen.blind)
"""


def test_a_second_watch_inside_is_refused_and_the_program_runs_all_the_same(watched):
    done = watched(sys.executable, "-c", INNER)

    assert done.out == "a\nthe filter was refused (Device or resource busy)\n"
    assert "read" in done.uses["a.txt"]


def test_where_it_cannot_be_done_the_program_runs_unwatched(
    launcher, folder, environ, tmp_path, monkeypatch
):
    monkeypatch.setattr(seccomp, "_MACHINES", {})
    machine = os.uname().machine
    assert seccomp.unavailable() == f"nbbuild does not know the system calls of {machine}"
    with (tmp_path / "out").open("w") as file:
        process = launcher.start(
            ["cat", "a.txt"],
            env=environ,
            cwd=folder,
            output=file.fileno(),
            folder=tmp_path,
            watched=True,
        )
        assert process.wait(60) == 0
        process.kill()

    assert (tmp_path / "out").read_text() == "a\n"
    assert process.seen is None
