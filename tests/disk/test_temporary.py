"""Folders in the temporary folder: gone with their use, and swept when their owner was killed."""

import os
import signal
import subprocess
import sys

import pytest

from nbbuild.disk import temporary

HELD = """
import sys
from nbbuild.disk import temporary
with temporary.folder() as folder:
    (folder / "sealed").mkdir()
    (folder / "sealed" / "file").write_text("x")
    (folder / "sealed").chmod(0o500)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The temporary folder of this process and its children."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(temporary, "FALLBACK", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def owner(place):
    """Another process that holds a folder; killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def killed(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_folders_share_one_that_goes_with_the_last(place):
    with temporary.folder() as first:
        with temporary.folder() as second:
            assert first.parent == second.parent
            assert oct(first.stat().st_mode)[-3:] == oct(first.parent.stat().st_mode)[-3:] == "700"
        assert first.is_dir()
        assert not second.exists()
    assert os.listdir(place) == []


def test_what_a_killed_process_left_is_swept(place, owner):
    assert temporary.sweep() == 0
    killed(owner)
    assert len(os.listdir(place)) == 1
    assert temporary.sweep() == 1
    assert os.listdir(place) == []


def test_what_belongs_to_others_stays(place, owner):
    with temporary.folder() as ours:
        (place / "nbb-theirs").mkdir()
        (place / "nbb-theirs" / "connection.json").write_text("{}")
        (place / "nbb-marked").mkdir()
        (place / "nbb-marked" / "owner").write_text("somebody else\n")
        (place / "nbb-piped").mkdir()
        os.mkfifo(place / "nbb-piped" / "owner")
        (place / "nbb-file").write_text("")
        (place / "nbb-link").symlink_to(place / "nbb-marked")
        (place / "other").mkdir()
        os.utime(place / "nbb-theirs", (0, 0))
        there = sorted(os.listdir(place))
        assert temporary.sweep() == 0
        assert sorted(os.listdir(place)) == there
        assert ours.is_dir()


def test_a_folder_that_was_never_marked_is_swept_when_it_is_old(place):
    for name in ("nbb-empty", "nbb-begun"):
        (place / name).mkdir()
    (place / "nbb-begun" / "owner").touch()
    assert temporary.sweep() == 0  # somebody may be about to mark it
    for name in ("nbb-empty", "nbb-begun"):
        os.utime(place / name, (0, 0))
    assert temporary.sweep() == 2
    assert os.listdir(place) == []


def test_a_forked_process_has_a_folder_of_its_own(place):
    with temporary.folder() as ours:
        child = os.fork()
        if child == 0:
            with temporary.folder() as theirs:
                os._exit(0 if theirs.parent != ours.parent else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert ours.is_dir()
        assert temporary.sweep() == 1  # the child ended without tidying up
    assert os.listdir(place) == []
