"""Kill a build before each single change that it makes to the disk; the next must get it right."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from store_helpers import fails_at, files, killed_at, record, replaced, task, tree_at, write

from nbbuild.disk.digests import digest_bytes
from nbbuild.judging.retired import Retired
from nbbuild.model import ArtefactFile, Record
from nbbuild.store import DiskStore
from nbbuild.tree import ArtefactError, Tree

ONE = task("out/**/*.txt")


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A project in which a run has ended, a user has edited, and another run was killed.

    Beside a file of the user's that matches the patterns all the time.
    """
    root = tmp_path / "before"
    write(root, out__mine="mine")
    (root / "a.ipynb").write_text("source")
    tree = tree_at(root, DiskStore(root / "store"))
    tree.begin(ONE)
    write(root, out__a="A1", out__deep__b="B1", out__c="C1")
    tree.collect(ONE)
    tree.write_built(ONE, b"built 1", "r1")
    write(root, out__a="edited")
    return root


def each(
    before: Path,
    tmp_path: Path,
    story: Callable[[Path], object],
    blow: Callable[[int, Callable[[], object]], bool] = killed_at,
) -> list[Path]:
    """Return the project as each blow to `story` leaves it, and as its end does."""
    left = []
    for step in range(1, 400):
        root = tmp_path / f"{len(list(tmp_path.iterdir()))}-{step}"
        # A copy has other inodes and times than the ledger of an unfinished run has noted; so
        # the stories begin from a finished one.
        shutil.copytree(before, root, symlinks=True)
        left.append(root)
        if not blow(step, lambda here=root: story(here)):
            return left
    raise AssertionError("the story never ended")


def nothing_lost(root: Path) -> bool:
    """Whether the user's bytes are somewhere in the project."""
    kept = [*files(root).values(), *replaced(root).values()]
    return "mine" in kept and "edited" in kept


def at(root: Path) -> Tree:
    return tree_at(root, DiskStore(root / "store"))


def runs(root: Path) -> None:
    tree = at(root)
    tree.begin(ONE)
    write(root, out__a="A2", out__new__d="D2")
    result = record(artefacts=tree.collect(ONE))
    DiskStore(root / "store").publish(result)
    tree.write_built(ONE, b"built 2", "r2")


def test_a_run_killed_anywhere(before: Path, tmp_path: Path) -> None:
    projects = each(before, tmp_path, runs)
    assert len(projects) > 30
    for root in projects:
        assert nothing_lost(root), root
        runs(root)
        assert nothing_lost(root), root
        assert files(root) == {
            "_build/a.ipynb": "built 2",
            "a.ipynb": "source",
            "out/a.txt": "A2",
            "out/mine.txt": "mine",
            "out/new/d.txt": "D2",
        }, root
        # What our runs made was never taken for the user's, but for the halves of killed runs.
        assert set(replaced(root).values()) <= {"edited", "A2", "D2"}, root
        tree = at(root)
        (result,) = DiskStore(root / "store").records(record().key.digest)
        assert tree.in_order(ONE, result), root
        assert tree.built_in_order(ONE, "r2"), root
        assert not (root / "out" / "deep").exists(), root


def artefact(path: str, content: str) -> ArtefactFile:
    return ArtefactFile(path, digest_bytes(content.encode()), len(content))


def other_branch(root: Path) -> Record:
    store = DiskStore(root / "store")
    for content in (b"A0", b"E0"):
        store.put(content)
    return record("r0", artefacts=[artefact("out/a.txt", "A0"), artefact("out/x/e.txt", "E0")])


def restores(root: Path) -> None:
    restored = at(root).restore(ONE, other_branch(root))
    assert not restored.missing


def test_a_restore_killed_anywhere_and_done_again(before: Path, tmp_path: Path) -> None:
    other_branch(before)
    projects = each(before, tmp_path, restores)
    assert len(projects) > 15
    for root in projects:
        assert nothing_lost(root), root
        restores(root)
        assert files(root) == {
            "_build/a.ipynb": "built 1",
            "a.ipynb": "source",
            "out/a.txt": "A0",
            "out/mine.txt": "mine",
            "out/x/e.txt": "E0",
        }, root
        assert replaced(root) == {"out/a.txt": "edited"}, root
        assert at(root).in_order(ONE, other_branch(root)), root


def test_a_restore_killed_anywhere_and_then_a_run(before: Path, tmp_path: Path) -> None:
    other_branch(before)
    for root in each(before, tmp_path, restores):
        runs(root)
        assert nothing_lost(root), root
        assert files(root) == {
            "_build/a.ipynb": "built 2",
            "a.ipynb": "source",
            "out/a.txt": "A2",
            "out/mine.txt": "mine",
            "out/new/d.txt": "D2",
        }, root
        assert replaced(root) == {"out/a.txt": "edited"}, root


def test_a_failure_killed_anywhere(before: Path, tmp_path: Path) -> None:
    def fails(root: Path) -> None:
        tree = at(root)
        tree.begin(ONE)
        write(root, out__half="half")
        tree.abandon(ONE)
        tree.remove_built(ONE)
        tree.keep_failed(ONE, b"partial")

    for root in each(before, tmp_path, fails):
        fails(root)
        runs(root)
        at(root).drop_failed(ONE)
        assert nothing_lost(root), root
        assert "out/half.txt" not in files(root), root
        assert files(root)["_build/a.ipynb"] == "built 2", root
        assert set(replaced(root).values()) <= {"edited", "half"}, root


def test_a_clean_killed_anywhere(before: Path, tmp_path: Path) -> None:
    def cleans(root: Path) -> None:
        at(root).clean(["a.ipynb"])

    for root in each(before, tmp_path, cleans):
        cleans(root)
        assert files(root) == {
            "a.ipynb": "source",
            "out/a.txt": "edited",
            "out/mine.txt": "mine",
        }, root


def test_a_put_and_a_publish_killed_anywhere(tmp_path: Path) -> None:
    def keeps(root: Path) -> None:
        store = DiskStore(root / "store")
        digest = store.put(b"cells")
        assert store.get(digest) == b"cells"
        store.put_file(root / "file")
        store.publish(record())

    before = tmp_path / "empty"
    before.mkdir()
    (before / "file").write_text("content")
    for root in each(before, tmp_path, keeps):
        store = DiskStore(root / "store")
        for found in store.records(record().key.digest):
            assert found == record()
            assert store.get(found.cells) == b"cells"
            assert store.get(digest_bytes(b"content")) == b"content"
        keeps(root)
        assert store.records(record().key.digest) == [record()]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_fails_anywhere_is_told_and_got_over(
    before: Path, tmp_path: Path, number: int
) -> None:
    def story(root: Path) -> None:
        tree, store = at(root), DiskStore(root / "store")
        tree.begin(ONE)
        with suppress(OSError):  # the notebook's own trouble
            write(root, out__a="A2", out__new__d="D2")
        with suppress(ArtefactError):
            store.publish(record(artefacts=tree.collect(ONE)))
        tree.write_built(ONE, b"built 2", "r2")
        tree.restore(ONE, other_branch(root))
        tree.remove_built(ONE)
        tree.keep_failed(ONE, b"partial")
        tree.drop_failed(ONE)
        with tree.outputs_lock("a.ipynb", ["b.ipynb"]):
            Retired(root / ".nbbuild").retire(["r1"])
        tree.clean(["a.ipynb"])

    for root in each(before, tmp_path, story, lambda n, told: fails_at(n, told, number)):
        assert nothing_lost(root), root
        runs(root)
        assert nothing_lost(root), root
        assert files(root)["out/a.txt"] == "A2", root
        assert files(root)["out/new/d.txt"] == "D2", root
        assert files(root)["_build/a.ipynb"] == "built 2", root
