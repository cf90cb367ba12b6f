from __future__ import annotations

from pathlib import Path

import pytest
from store_helpers import files, matcher, record, replaced, task, tree_at, write

from nbbuild.disk.digests import Digests
from nbbuild.errors import StoreError
from nbbuild.model import Task
from nbbuild.store import MemoryStore
from nbbuild.tree import Ledgers, Refused, Tree

ONE = task(name="chapters/a.ipynb")
BUILT = "_build/chapters/a.ipynb"


@pytest.fixture
def tree(root: Path) -> Tree:
    return tree_at(root, MemoryStore())


def test_a_built_notebook_is_written_once(root: Path, tree: Tree) -> None:
    assert not tree.built_in_order(ONE, "r1")
    assert tree.write_built(ONE, b"built", "r1") == (True, ())
    assert files(root)[BUILT] == "built"
    assert tree.built_in_order(ONE, "r1")
    assert not tree.built_in_order(ONE, "r2")
    inode = (root / BUILT).stat().st_ino
    assert tree.write_built(ONE, b"built", "r2") == (False, ())
    assert (root / BUILT).stat().st_ino == inode
    assert tree.built_in_order(ONE, "r2")
    assert tree.write_built(ONE, b"other", "r2") == (True, ())
    assert files(root)[BUILT] == "other"
    assert replaced(root) == {}


def test_what_was_made_from_nothing_known_is_never_in_order(tree: Tree) -> None:
    tree.write_built(ONE, b"built", "")
    assert not tree.built_in_order(ONE, "")


def test_a_missing_or_altered_built_notebook_is_not_in_order(root: Path, tree: Tree) -> None:
    tree.write_built(ONE, b"built", "r1")
    (root / BUILT).write_text("edited")
    assert not tree.built_in_order(ONE, "r1")
    (root / BUILT).unlink()
    assert not tree.built_in_order(ONE, "r1")
    assert tree.write_built(ONE, b"built", "r1") == (True, ())


def test_a_file_that_we_did_not_write_is_kept(root: Path, tree: Tree) -> None:
    tree.write_built(ONE, b"built", "r1")
    (root / BUILT).write_text("edited")
    written, (note,) = tree.write_built(ONE, b"new", "r2")
    assert written
    assert note.startswith(f"kept your copy of '{BUILT}' in .nbbuild/replaced/")
    assert replaced(root) == {BUILT: "edited"}
    assert files(root)[BUILT] == "new"


def test_the_same_bytes_are_ours_whoever_wrote_them(root: Path, tree: Tree) -> None:
    (root / BUILT).parent.mkdir(parents=True)
    (root / BUILT).write_text("built")
    assert tree.write_built(ONE, b"built", "r1") == (False, ())
    assert tree.built_in_order(ONE, "r1")


def test_a_link_in_its_place_is_moved_not_followed(root: Path, tree: Tree) -> None:
    write(root, precious="precious")
    (root / BUILT).parent.mkdir(parents=True)
    (root / BUILT).symlink_to(root / "precious.txt")
    written, notes = tree.write_built(ONE, b"built", "r1")
    assert (written, len(notes)) == (True, 1)
    assert files(root) == {"a.ipynb": "source", BUILT: "built", "precious.txt": "precious"}


def test_a_failure_takes_the_old_built_notebook_away(root: Path, tree: Tree) -> None:
    tree.write_built(ONE, b"built", "r1")
    assert tree.remove_built(ONE) == ()
    assert files(root) == {"a.ipynb": "source"}
    assert not tree.built_in_order(ONE, "r1")
    assert tree.remove_built(ONE) == ()
    tree.write_built(ONE, b"built", "r1")
    (root / BUILT).write_text("edited")
    assert len(tree.remove_built(ONE)) == 1
    assert replaced(root) == {BUILT: "edited"}


def test_the_partial_notebook_is_kept_until_all_is_well(root: Path, tree: Tree) -> None:
    path = tree.keep_failed(ONE, b"partial")
    assert path == ".nbbuild/failed/chapters/a.ipynb.failed"
    assert (root / path).read_text() == "partial"
    assert tree.keep_failed(ONE, b"other") == path
    assert (root / path).read_text() == "other"
    tree.drop_failed(ONE)
    tree.drop_failed(ONE)
    assert list((root / ".nbbuild" / "failed").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "source", "path"),
    [
        ("a.md", "a.md", "a.ipynb"),
        ("model-uk", "chapters/model.ipynb", "chapters/model-uk.ipynb"),
        ("model-v1.5", "model.py", "model-v1.5.ipynb"),
    ],
)
def test_partial_notebooks_are_named_like_their_tasks(
    tree: Tree, name: str, source: str, path: str
) -> None:
    one = Task(name=name, source=source, built="_build/x.ipynb")
    assert tree.keep_failed(one, b"") == f".nbbuild/failed/{path}.failed"


def test_a_built_notebook_never_replaces_a_source(root: Path, tree: Tree) -> None:
    one = Task(name="a", source="a.ipynb", built="a.ipynb")
    with pytest.raises(Refused) as caught:
        tree.write_built(one, b"built", "r1")
    assert str(caught.value) == (
        "'a.ipynb' cannot be written or removed\n"
        "  reason: it is a source notebook\n"
        "\n"
        "hint: artefacts and built notebooks lie inside the folder of jcache.toml"
    )
    assert files(root) == {"a.ipynb": "source"}


def test_a_folder_in_its_place_is_an_error(root: Path, tree: Tree) -> None:
    (root / BUILT).mkdir(parents=True)
    with pytest.raises(StoreError, match=f"'{BUILT}' cannot be written"):
        tree.write_built(ONE, b"built", "r1")


def test_a_run_and_its_built_notebook_share_a_ledger(root: Path) -> None:
    store = MemoryStore()
    tree = tree_at(root, store)
    one = task("a.txt")
    for turn in ("1", "2"):
        tree.begin(one)
        write(root, a=turn)
        result = record(artefacts=tree.collect(one))
        tree.write_built(one, turn.encode(), turn)
        assert tree.in_order(one, result)
        assert tree.built_in_order(one, turn)
    # A run that begins and is given up leaves the built notebook known.
    tree.begin(one)
    tree.abandon(one)
    assert tree_at(root, store).remove_built(one) == ()
    assert replaced(root) == {}


# -- clean -------------------------------------------------------------------------------------


def built_and_collected(root: Path, tree: Tree, one: Task, **contents: str) -> None:
    tree.begin(one)
    write(root, **contents)
    tree.collect(one)
    tree.write_built(one, b"built", "r1")


def test_clean_removes_what_we_made_and_nothing_else(root: Path, tree: Tree) -> None:
    one, two = task("out/**/*.txt", name="b.ipynb"), task("c.txt", name="gone.ipynb")
    write(root, out__mine="mine")
    built_and_collected(root, tree, one, out__x__a="A", out__x__b="B")
    built_and_collected(root, tree, two, c="C")
    (root / "out" / "x" / "b.txt").write_text("edited")
    before = files(root)
    assert tree.clean(tree.known(), dry_run=True) == [
        ("_build/b.ipynb", "would be removed"),
        ("_build/gone.ipynb", "would be removed"),
        ("c.txt", "would be removed"),
        ("out/x/a.txt", "would be removed"),
        ("out/x/b.txt", "kept: altered since nbbuild wrote it"),
    ]
    assert files(root) == before
    assert tree.clean(["gone.ipynb"]) == [
        ("_build/gone.ipynb", "removed"),
        ("c.txt", "removed"),
    ]
    assert tree.clean(tree.known()) == [
        ("_build/b.ipynb", "removed"),
        ("out/x/a.txt", "removed"),
        ("out/x/b.txt", "kept: altered since nbbuild wrote it"),
    ]
    assert files(root) == {"a.ipynb": "source", "out/mine.txt": "mine", "out/x/b.txt": "edited"}
    assert not (root / "_build").exists()
    assert tree.known() == {}
    assert tree.clean(tree.known()) == []


OLD = Task(name="b", source="b.ipynb", built="old/ch/b.ipynb")
NEW = Task(name="b", source="b.ipynb", built="new/b.ipynb")


def test_a_built_notebook_leaves_no_other_where_output_was_before(root: Path, tree: Tree) -> None:
    tree.write_built(OLD, b"built", "r1")
    assert Ledgers(root / ".nbbuild").built_paths() == {"old/ch/b.ipynb"}
    assert tree.write_built(NEW, b"built", "r1") == (True, ())
    assert files(root) == {"a.ipynb": "source", "new/b.ipynb": "built"}
    assert not (root / "old").exists()
    assert Ledgers(root / ".nbbuild").built_paths() == {"new/b.ipynb"}
    # One that was altered is kept; a failure, too, leaves none behind.
    (root / "new/b.ipynb").write_text("edited")
    (note,) = tree.remove_built(OLD)
    assert note.startswith("kept your copy of 'new/b.ipynb' in .nbbuild/replaced/")
    assert files(root) == {"a.ipynb": "source"}
    assert replaced(root) == {"new/b.ipynb": "edited"}


def test_a_place_that_is_another_tasks_now_or_a_sources_is_left_alone(root: Path) -> None:
    tree = tree_at(root, MemoryStore())
    tree.write_built(OLD, b"built", "r1")
    other = Task(name="c", source="c.ipynb", built=OLD.built)
    tree.write_built(other, b"built", "r1")
    tree.write_built(NEW, b"built", "r1")
    assert tree.built_in_order(other, "r1")
    assert tree.built_in_order(NEW, "r1")
    now_a_source = tree_at(root, MemoryStore(), sources=["a.ipynb", NEW.built])
    now_a_source.write_built(Task(name="b", source=NEW.built, built="x.ipynb"), b"b", "r1")
    assert files(root) == {
        "a.ipynb": "source",
        "new/b.ipynb": "built",
        "old/ch/b.ipynb": "built",
        "x.ipynb": "b",
    }


def test_two_configurations_of_one_folder_build_to_two_places(root: Path) -> None:
    def of(by: str) -> Tree:
        ledgers = Ledgers(root / ".nbbuild", by=by)
        return Tree(root, MemoryStore(), Digests(), matcher(root), ledgers=ledgers)

    for _ in range(2):
        of("jcache.toml").write_built(OLD, b"built", "r1")
        of("fast.toml").write_built(NEW, b"built", "r1")
    assert files(root).keys() == {"a.ipynb", "old/ch/b.ipynb", "new/b.ipynb"}
    assert of("jcache.toml").clean(["b"]) == [
        ("new/b.ipynb", "removed"),
        ("old/ch/b.ipynb", "removed"),
    ]
    assert files(root) == {"a.ipynb": "source"}


def test_clean_keeps_what_a_run_left_that_did_not_finish(root: Path, tree: Tree) -> None:
    one = task("*.txt", name="b")
    write(root, mine="mine")
    tree.begin(one)
    write(root, half="half")
    tree.abandon(one)
    assert tree.clean(["b"]) == [("half.txt", "kept: left by a run that did not finish")]
    assert files(root) == {"a.ipynb": "source", "half.txt": "half", "mine.txt": "mine"}
    assert len(tree.begin(one)) == 1
    assert replaced(root) == {"half.txt": "half"}


def test_clean_leaves_a_file_to_the_task_that_has_it_now(root: Path, tree: Tree) -> None:
    built_and_collected(root, tree, task("c.txt", name="old"), c="C")
    built_and_collected(root, tree, task("c.txt", name="new"), c="C")
    assert tree.clean(["old"]) == [("_build/old", "removed")]
    assert files(root)["c.txt"] == "C"
    assert ("c.txt", "removed") in tree.clean(["new"])
