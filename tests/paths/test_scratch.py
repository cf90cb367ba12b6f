"""The scratch copy of a project: what is in it, what it tells of changes, and how it gets back."""

from __future__ import annotations

import os
import stat

import pytest

from nbbuild.paths.scratch import scratch_copy


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def project(tmp_path):
    root = tmp_path.resolve() / "home/project"
    write(root / "a.txt", "a")
    write(root / "sub/b.txt", "b")
    write(root / "out/built.ipynb")
    (root / "empty").mkdir()
    return root


@pytest.fixture
def copy(project):
    with scratch_copy(project, left_out={"out"}, told=lambda count, size: None) as scratch:
        yield scratch


def content(root):
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_it_lies_under_the_projects_own_path_and_is_gone_afterwards(project):
    with scratch_copy(project, left_out=(), told=lambda count, size: None) as scratch:
        assert str(scratch.root) == f"{scratch.above}{project}"
        (scratch.root / "sub").chmod(0o500)  # as a notebook may have left it
    assert not scratch.above.exists()


def test_files_keep_their_times_and_modes_and_are_no_links_to_the_originals(project):
    script = write(project / "run.sh")
    script.chmod(0o755)
    os.utime(script, ns=(10**18, 10**18))

    with scratch_copy(project, left_out={"out"}, told=lambda count, size: None) as scratch:
        assert content(scratch.root) == {"a.txt": "a", "run.sh": "x", "sub/b.txt": "b"}
        assert (scratch.root / "empty").is_dir()
        there = (scratch.root / "run.sh").stat()
        assert (there.st_mtime_ns, stat.S_IMODE(there.st_mode)) == (10**18, 0o755)
        assert there.st_ino != script.stat().st_ino


def test_a_project_that_holds_the_folder_for_temporary_files_is_copied_once(project, monkeypatch):
    (project / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(project / "tmp"))
    with scratch_copy(project, left_out={"out"}, told=lambda count, size: None) as scratch:
        assert content(scratch.root) == {"a.txt": "a", "sub/b.txt": "b"}


def test_links_inside_lead_to_the_copy_and_links_out_of_it_still_do(project, tmp_path):
    write(tmp_path / "far/c.txt", "c")
    links = {
        "inside": project / "sub",
        "file": tmp_path / "far/c.txt",
        "folder": tmp_path / "far",
        "nowhere": tmp_path / "gone",
    }
    for name, target in links.items():
        (project / name).symlink_to(target)

    with scratch_copy(project, left_out={"out"}, told=lambda count, size: None) as scratch:
        write(scratch.root / "inside/b.txt", "changed")
        write(scratch.root / "file", "changed")
        assert (scratch.root / "folder").resolve() == (tmp_path / "far").resolve()
        assert not (scratch.root / "nowhere").exists()
    assert (project / "sub/b.txt").read_text() == "b"
    assert (tmp_path / "far/c.txt").read_text() == "c"


def test_it_tells_what_changed_and_goes_back_to_what_it_was(copy):
    assert copy.changed() == []
    write(copy.root / "a.txt", "A")
    write(copy.root / "new/deep/c.txt")
    write(copy.root / "out/built.ipynb")
    write(copy.root / ".nbbuild/tree/x")
    (copy.root / "sub/b.txt").unlink()
    (copy.root / "sub").rmdir()
    (copy.root / "empty").rmdir()
    assert copy.changed() == ["a.txt", "new/deep/c.txt", "sub/b.txt"]

    copy.reset()

    assert copy.changed() == []
    assert content(copy.root) == {"a.txt": "a", "sub/b.txt": "b", ".nbbuild/tree/x": "x"}
    assert sorted(p.name for p in copy.root.iterdir()) == [".nbbuild", "a.txt", "empty", "sub"]


def test_files_around_the_project_are_brought_to_their_place(project, copy):
    write(project.parent / "data/d.csv", "d")
    write(project.parent / "lib/m.py", "m")
    assert copy.lacks("../data/d.csv")

    copy.add(["../data/d.csv", "out/built.ipynb", "a.txt", "gone.txt"])
    copy.link("../lib")

    assert (copy.root.parent / "data/d.csv").read_text() == "d"
    assert (copy.root.parent / "lib/m.py").read_text() == "m"
    assert (copy.root / "out/built.ipynb").read_text() == "x"
    copy.reset()
    assert (copy.root / "out/built.ipynb").read_text() == "x"


def test_pipes_and_files_that_may_not_be_read_are_left_out(project):
    os.mkfifo(project / "pipe")
    write(project / "secret").chmod(0)
    with scratch_copy(project, left_out={"out"}, told=lambda count, size: None) as scratch:
        assert not (scratch.root / "pipe").exists()
        assert scratch.unreadable == ([] if os.geteuid() == 0 else ["secret"])
