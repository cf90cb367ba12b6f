"""What one path's uses, in their order, say of a run: what it found, changed, and writes anew."""

import hashlib

import pytest

from nbbuild.disk.digests import Digests
from nbbuild.watching.changes import anew, found, read_first, unchanged, untouched, written_by_magic
from nbbuild.watching.observed import FileUse, Stat


def use(path, *kinds, there=True, before=None):
    first = None
    if there:
        was = path.stat()
        first = Stat("f", was.st_size, was.st_mtime_ns, was.st_ctime_ns, was.st_ino)
    written = not {"write", "append", "open", "remove"}.isdisjoint(kinds)
    return FileUse(
        path=str(path),
        uses=kinds,
        first=first,
        read=False,
        made=False,
        written=written,
        cell=1,
        pid=1,
        before=before,
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    return path


@pytest.mark.parametrize(
    ("kinds", "there", "asked"),
    [
        (("write", "read"), True, set()),
        (("exists", "write", "read"), True, {"exists"}),
        (("read", "write"), True, {"read"}),
        (("open",), True, {"open"}),
        (("append", "read"), True, {"read"}),
        (("append", "read"), False, set()),
        (("exists", "remove", "read"), True, {"exists"}),
        (("open", "read"), False, {"open"}),
    ],
)
def test_what_a_run_wrote_before_it_read_it_it_did_not_find(path, kinds, there, asked):
    one = use(path, *kinds, there=there)
    assert (found(one), read_first(one)) == (asked, bool(asked - {"exists"}))


def test_a_file_opened_for_writing_and_left_as_it_was_is_untouched(path):
    look = Digests().look(path)
    assert untouched(use(path, "open"), look)
    assert unchanged(use(path, "open"), look)


@pytest.mark.parametrize("known", ["blake2b", "blake3"])
def test_the_same_bytes_written_back_are_no_change(path, known):
    then = Digests().digest(path)
    if known == "blake2b":
        then = f"blake2b:{hashlib.blake2b(b'old').hexdigest()}"
    one = use(path, "write", before=then)
    unknown = use(path, "write")
    path.unlink()
    path.write_text("old")
    assert unchanged(one, Digests().look(path))
    assert not unchanged(unknown, Digests().look(path))  # what is not known counts as changed
    path.write_text("new")
    assert not unchanged(one, Digests().look(path))


@pytest.mark.parametrize(
    ("kinds", "there", "named", "listed", "sure"),
    [
        (("exists", "write", "read"), False, True, False, True),  # %%writefile says whether it was
        (("exists", "write", "read"), False, False, False, False),  # it may keep what it finds
        (("exists", "write"), True, False, False, True),  # it found one, and wrote it all the same
        (("write",), False, False, False, False),  # it cannot tell
        (("write",), False, False, True, True),  # but by the folder's listing
        (("read", "write"), True, True, True, False),
        (("exists", "read"), True, True, True, False),
    ],
)
def test_a_run_that_would_write_a_file_anyway_begins_without(
    path, kinds, there, named, listed, sure
):
    assert anew(use(path, *kinds, there=there), named=named, listed=listed) is sure


def test_the_magics_that_write_whole_files_are_known():
    cells = ["%%writefile a.txt\nx", " %%file 'b.txt'\nx", "%%writefile -a c.txt\nx", "print(1)"]
    assert list(written_by_magic(cells)) == ["a.txt", "b.txt"]
