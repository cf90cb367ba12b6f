from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_helpers import files, record, task, tree_at, write

from nbbuild.disk.digests import digest_bytes
from nbbuild.model import ArtefactFile
from nbbuild.store import MemoryStore
from nbbuild.tree import ArtefactError, Refused, Restored

BAD = digest_bytes(b"bad")

HOSTILE = [
    "",
    ".",
    "..",
    "../x.txt",
    "out/../../x.txt",
    "/tmp/x.txt",
    "//x.txt",
    "out//x.txt",
    "out/./x.txt",
    "out/",
    "x\0.txt",
    ".git/config",
    ".GIT/hooks/pre-commit",
    "out/.git/config",
    ".nbbuild/state.sqlite",
    "x" * 256,
    "/".join(["x" * 200] * 30),
    "half a pair \ud800.txt",
]


def story(root: Path) -> tuple[MemoryStore, dict[str, bytes]]:
    """A store that holds the bad bytes, and everything around the project as it is now."""
    store = MemoryStore()
    store.put(b"bad")
    return store, everything(root.parent)


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_record_with_a_hostile_name_is_a_miss(root: Path, name: str) -> None:
    store, before = story(root)
    tree = tree_at(root, store)
    poisoned = record(artefacts=[ArtefactFile(name, BAD, 3)])
    for patterns in (("**/*",), ("out/*",), (name,) if name and "\0" not in name else ("x",)):
        if not patterns[0].startswith(("/", "..", "out/..")) and patterns[0].strip("./"):
            assert tree.restore(task(*patterns), poisoned) == Restored(missing=(BAD,))
            assert not tree.in_order(task(*patterns), poisoned)
    assert everything(root.parent) == before


def test_a_record_with_a_path_that_the_task_does_not_make_is_a_miss(root: Path) -> None:
    store, before = story(root)
    poisoned = record(artefacts=[ArtefactFile("src/lib.py", BAD, 3)])
    assert tree_at(root, store).restore(task("out/*"), poisoned) == Restored(missing=(BAD,))
    twice = record(artefacts=[ArtefactFile("out/x", BAD, 3), ArtefactFile("out/x", BAD, 3)])
    assert tree_at(root, store).restore(task("out/*"), twice) == Restored(missing=(BAD, BAD))
    odd = record(artefacts=[ArtefactFile("out/x", "../../x", 3)])
    assert tree_at(root, store).restore(task("out/*"), odd) == Restored(missing=("../../x",))
    assert everything(root.parent) == before


def test_newlines_and_other_oddities_are_mere_names(root: Path) -> None:
    store, _ = story(root)
    names = ["out/a\nb", "out/CON", "out/x.", "out/ ", "out/-rf", "out/ü", "out/u\u0308", "out/..."]
    made = record(artefacts=[ArtefactFile(name, BAD, 3) for name in names])
    assert tree_at(root, store).restore(task("out/"), made) == Restored(changed=True)
    assert sorted(os.listdir(root / "out")) == sorted(name[4:] for name in names)


def test_a_folder_that_links_out_of_the_project_is_not_entered(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "out").symlink_to(outside)
    store, before = story(root)
    tree = tree_at(root, store)
    one = task("out/x.txt")
    with pytest.raises(Refused) as caught:
        tree.restore(one, record(artefacts=[ArtefactFile("out/x.txt", BAD, 3)]))
    assert str(caught.value) == (
        "'out/x.txt' cannot be written or removed\n"
        "  reason: a folder above it is a symbolic link that leaves the project\n"
        "\n"
        "hint: artefacts and built notebooks lie inside the folder of jcache.toml"
    )
    assert everything(tmp_path) == before
    tree.begin(one)
    (outside / "x.txt").write_text("x")
    with pytest.raises(ArtefactError, match="a symbolic link that leaves the project"):
        tree.collect(one)
    tree.abandon(one)
    tree.begin(one)
    assert (outside / "x.txt").read_text() == "x"


def test_a_folder_that_turns_into_a_link_keeps_what_lies_behind_it(
    root: Path, tmp_path: Path
) -> None:
    store = MemoryStore()
    tree = tree_at(root, store)
    one = task("out/x.txt")
    tree.begin(one)
    write(root, out__x="made")
    tree.collect(one)
    (root / "out").rename(tmp_path / "outside")
    (root / "out").symlink_to(tmp_path / "outside")
    tree.begin(one)
    assert tree.clean(["a.ipynb"]) == []
    assert (tmp_path / "outside" / "x.txt").read_text() == "made"


def test_a_link_inside_the_project_is_fine_but_not_into_git(root: Path) -> None:
    (root / "real").mkdir()
    (root / ".git").mkdir()
    (root / "out").symlink_to("real")
    (root / "hooks").symlink_to(".git")
    store, _ = story(root)
    tree = tree_at(root, store)
    good = record(artefacts=[ArtefactFile("out/x", BAD, 3)])
    assert tree.restore(task("out/x"), good) == Restored(changed=True)
    assert (root / "real" / "x").read_bytes() == b"bad"
    with pytest.raises(Refused, match=r"a symbolic link into \.git"):
        tree.restore(task("hooks/x"), record(artefacts=[ArtefactFile("hooks/x", BAD, 3)]))
    assert list((root / ".git").iterdir()) == []


@pytest.mark.parametrize("path", ["a.ipynb", "alias/a.ipynb", "real.ipynb"])
def test_a_source_is_never_written_by_whatever_name(root: Path, path: str) -> None:
    (root / "alias").symlink_to(".")
    (root / "real.ipynb").write_text("source")
    (root / "linked.ipynb").symlink_to("real.ipynb")
    store, _ = story(root)
    tree = tree_at(root, store, sources=["a.ipynb", "linked.ipynb"])
    with pytest.raises(Refused, match="it is a source notebook"):
        tree.restore(task("**/*.ipynb"), record(artefacts=[ArtefactFile(path, BAD, 3)]))
    assert files(root)["a.ipynb"] == "source"
    assert files(root)["real.ipynb"] == "source"


def test_pipes_and_folders_in_the_ledger_stay(root: Path) -> None:
    store, _ = story(root)
    tree = tree_at(root, store)
    one = task("out/*")
    tree.restore(one, record(artefacts=[ArtefactFile("out/x", BAD, 3)]))
    (root / "out" / "x").unlink()
    os.mkfifo(root / "out" / "x")
    assert tree.begin(one) == ()
    assert (root / "out" / "x").exists()


def test_folders_that_links_lead_out_are_told_before_anything_is_written(
    root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / ".git").mkdir()
    (outside / "file.txt").write_text("")
    for name, target in {
        "_build": outside,
        "nowhere": tmp_path / "not there",
        "git": root / ".git",
        "file.txt": outside / "file.txt",
        "inside": root,
    }.items():
        (root / name).symlink_to(target)
    tree = tree_at(root, MemoryStore())
    one = task("file.txt", "nowhere/x/*.txt", "git/**/*.txt", "inside/a.txt", "new/b.txt", "*.md")
    assert tree.closed_folders([one, task("_build", name="deep/b.ipynb")]) == {
        "_build": "a symbolic link that leaves the project",
        "nowhere": "a symbolic link that leaves the project",
        "git": "a symbolic link into .git or .nbbuild",
    }
    assert list(outside.iterdir()) == [outside / "file.txt"]
