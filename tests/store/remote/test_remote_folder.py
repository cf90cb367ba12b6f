"""A remote in a folder that others write into too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbbuild.errors import RemoteError, RemoteRefused
from nbbuild.store.remote.folder import FolderObjects

NAME, HEAD = "cas/0a", "ac/01"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "remote"


@pytest.fixture
def remote(folder: Path) -> FolderObjects:
    return FolderObjects(folder.as_uri(), folder)


def fails(remote, reason, ask):
    with pytest.raises(RemoteError) as error:
        ask()
    assert str(error.value) == (
        f"the remote cache has failed\n  remote: {remote.name}\n  object: {NAME}\n"
        f"  reason: {reason}"
    )


def test_nothing_is_made_by_reading(remote, folder):
    assert remote.get(NAME, most=10) is None
    assert list(remote.list("cas/")) == []
    remote.delete(NAME)
    assert not folder.exists()


def test_objects_are_files_and_no_draft_is_left(remote, folder):
    remote.put_new(NAME, b"data")
    remote.replace(HEAD, b"head", tag=None)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {NAME, HEAD, "locks/heads"}
    assert (folder / NAME).read_bytes() == b"data"


def test_what_is_there_stays_as_it_is(remote, folder):
    remote.put_new(NAME, b"data")
    before = (folder / NAME).stat()
    remote.put_new(NAME, b"data")
    after = (folder / NAME).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_only_objects_are_listed(remote, folder):
    remote.put_new(NAME, b"data")
    (folder / "cas/README").write_text("not ours")
    (folder / "cas/0b").mkdir()
    (folder / "cas/0c").symlink_to(folder / NAME)
    assert [one.name for one in remote.list("cas/")] == [NAME]


def test_no_link_is_followed_out_of_it(remote, folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (folder / "cas").mkdir(parents=True)
    (folder / NAME).symlink_to(tmp_path / "secret")
    fails(remote, "Too many levels of symbolic links", lambda: remote.get(NAME, most=10))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_nobody_waits_at_a_pipe(remote, folder):
    (folder / "cas").mkdir(parents=True)
    os.mkfifo(folder / NAME)
    fails(remote, "it is not a regular file", lambda: remote.get(NAME, most=10))


def test_a_file_in_place_of_its_folder(remote, folder):
    folder.write_text("not a folder")
    fails(remote, "Not a directory", lambda: remote.get(NAME, most=10))
    fails(remote, "Not a directory", lambda: remote.put_new(NAME, b""))


def test_a_folder_that_is_closed_to_us(remote, monkeypatch):
    def denied(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("nbbuild.disk.regular.opened", denied)
    with pytest.raises(RemoteRefused) as error:
        remote.get(NAME, most=10)
    assert str(error.value) == (
        f"the remote cache refuses access\n  remote: {remote.name}\n  object: {NAME}\n"
        "  reason: Permission denied\n\n"
        "hint: check the credentials in the environment, and what they allow"
    )
