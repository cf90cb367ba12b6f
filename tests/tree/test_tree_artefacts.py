from __future__ import annotations

import dataclasses
import errno
import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Timer

import pytest
from store_helpers import damage, files, record, replaced, task, tree_at, write

from nbbuild.disk.digests import Digests, digest_bytes
from nbbuild.disk.durable import in_folder
from nbbuild.disk.locks import Cancelled
from nbbuild.errors import OneTaskError, StoreError
from nbbuild.model import ArtefactFile, Record, Task
from nbbuild.paths.walk import Walker
from nbbuild.store import MemoryStore, Store
from nbbuild.tree import ArtefactError, Left, Restored, Tree


def artefact(path: str, content: str, *, executable: bool = False) -> ArtefactFile:
    data = content.encode()
    return ArtefactFile(path, digest_bytes(data), len(data), executable)


def run(root: Path, store: Store, one: Task, work: Callable[[], object]) -> Record:
    """A whole run: begin, what the notebook does, collect, publish."""
    tree = tree_at(root, store)
    tree.begin(one)
    work()
    result = record(artefacts=tree.collect(one))
    store.publish(result)
    return result


def kept(path: str, note: str, *, half: bool = False) -> bool:
    """Whether `note` says that the user's `path` was kept, and where; or half a run's."""
    whose = "what an unfinished run left" if half else "your copy"
    pattern = rf"kept {whose} of '(.*)' in \.nbbuild/replaced/[-0-9]+/(.*)\.replaced"
    found = re.fullmatch(pattern, note)
    return found is not None and found.groups() == (path, path)


# -- runs --------------------------------------------------------------------------------------


def test_a_run_leaves_its_artefacts_in_the_store(root: Path, store: Store) -> None:
    one = task("out/*.txt", "log.txt")
    result = run(root, store, one, lambda: write(root, out__b="B", out__a="A", log="L", other="x"))
    assert result.artefacts == (
        artefact("log.txt", "L"),
        artefact("out/a.txt", "A"),
        artefact("out/b.txt", "B"),
    )
    assert [store.get(one.digest) for one in result.artefacts] == [b"L", b"A", b"B"]
    assert tree_at(root, store).in_order(one, result)


def test_a_file_under_two_patterns_is_one_artefact(root: Path, store: Store) -> None:
    result = run(root, store, task("*.txt", "a.*t"), lambda: write(root, a="A"))
    assert result.artefacts == (artefact("a.txt", "A"),)


def test_the_executable_bit_is_kept(root: Path, store: Store) -> None:
    def work() -> None:
        write(root, a="A")
        (root / "a.txt").chmod(0o755)

    one = task("a.txt")
    result = run(root, store, one, work)
    assert result.artefacts == (artefact("a.txt", "A", executable=True),)
    (root / "a.txt").chmod(0o644)
    tree = tree_at(root, store)
    assert not tree.in_order(one, result)
    assert tree.restore(one, result) == Restored(changed=True)
    assert (root / "a.txt").stat().st_mode & stat.S_IXUSR


def test_a_restore_to_another_file_system_needs_the_store_only_once(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = task("out/*.txt")
    result = run(root, store, one, lambda: write(root, out__a="A"))
    (root / "out/a.txt").unlink()
    rename = Path.replace

    def elsewhere(source: Path, target: Path) -> Path:
        if "staged" in source.parts and "out" in target.parts:
            damage(store, result.artefacts[0].digest, b"bad")  # just then
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", elsewhere)
    assert tree_at(root, store).restore(one, result) == Restored(changed=True)
    assert files(root)["out/a.txt"] == "A"
    assert tree_at(root, store).in_order(one, result)


def test_what_lay_there_and_was_not_written_is_no_artefact(root: Path, store: Store) -> None:
    write(root, out__mine="mine", out__touched="same")
    result = run(
        root, store, task("out/*.txt"), lambda: write(root, out__touched="same", out__new="new")
    )
    # The same bytes written again count: the run did write them.
    assert result.artefacts == (artefact("out/new.txt", "new"), artefact("out/touched.txt", "same"))


def test_a_run_that_writes_nothing_for_a_pattern_fails(root: Path, store: Store) -> None:
    write(root, old="old", out__a="1", out__b="2", out__c="3", out__d="4")
    one = task("old.txt", "new.txt", "out/*.txt", "good.txt")
    tree = tree_at(root, store)
    tree.begin(one)
    write(root, good="good")
    with pytest.raises(ArtefactError) as caught:
        tree.collect(one)
    assert str(caught.value) == (
        "'a.ipynb' wrote no file for its artefacts 'old.txt', 'new.txt', 'out/*.txt' "
        "('old.txt', 'out/a.txt', 'out/b.txt', … already existed and was not rewritten)\n"
        "  declared in: [project] notebooks\n"
        "\n"
        "hint: let the notebook write each artefact anew, or correct `artefacts`"
    )
    tree.begin(task("x"))
    with pytest.raises(ArtefactError) as caught:
        tree.collect(task("x"))
    assert caught.value.what == "'a.ipynb' wrote no file for its artefact 'x'"


def test_the_next_run_begins_without_the_artefacts_of_the_last(root: Path, store: Store) -> None:
    one = task("out/*.txt")
    run(root, store, one, lambda: write(root, out__a="A", out__b="B"))
    write(root, out__mine="mine")
    tree = tree_at(root, store)
    assert tree.begin(one) == ()
    assert files(root) == {"a.ipynb": "source", "out/mine.txt": "mine"}
    write(root, out__a="A")
    assert tree.collect(one) == (artefact("out/a.txt", "A"),)


def test_artefacts_of_patterns_given_up_go_too(root: Path, store: Store) -> None:
    run(root, store, task("a.txt", "b.txt"), lambda: write(root, a="A", b="B"))
    run(root, store, task("b.txt"), lambda: write(root, b="B"))
    assert files(root) == {"a.ipynb": "source", "b.txt": "B"}


def test_a_hand_edited_artefact_is_kept_before_the_next_run(root: Path, store: Store) -> None:
    one = task("a.txt")
    run(root, store, one, lambda: write(root, a="A"))
    write(root, a="edited by hand")
    (note,) = tree_at(root, store).begin(one)
    assert kept("a.txt", note)
    assert replaced(root) == {"a.txt": "edited by hand"}
    assert not (root / "a.txt").exists()


def test_what_a_failed_run_wrote_goes_before_the_next(root: Path, store: Store) -> None:
    write(root, out__mine="mine", out__both="before")
    one = task("out/*.txt")
    tree = tree_at(root, store)
    tree.begin(one)
    write(root, out__half="half", out__both="written over")
    tree.abandon(one)
    first, second = tree_at(root, store).begin(one)
    assert kept("out/both.txt", first, half=True)
    assert kept("out/half.txt", second, half=True)
    assert files(root) == {"a.ipynb": "source", "out/mine.txt": "mine"}
    assert replaced(root) == {"out/both.txt": "written over", "out/half.txt": "half"}


def test_what_a_killed_run_wrote_goes_although_its_patterns_changed(
    root: Path, store: Store
) -> None:
    store.put(b"half")
    tree_at(root, store).begin(task("old/*.txt"))
    write(root, old__half="half")
    assert tree_at(root, store).begin(task("new.txt")) == ()
    assert files(root) == {"a.ipynb": "source"}
    assert replaced(root) == {}


def test_a_file_that_two_builds_put_aside_is_kept_twice(root: Path, store: Store) -> None:
    one = task("a.txt")
    tree = tree_at(root, store)
    notes = []
    for content in ("first", "second"):
        tree.begin(one)
        write(root, a=content)
        tree.abandon(one)
        notes += tree.begin(one)
    notes += (tree_at(root, store).begin(one),)
    assert sorted(replaced(root).items()) == [("a.txt", "first"), ("a.txt.2", "second")]
    write(root, a="third")
    tree_at(root, store).begin(one)
    assert len(list((root / ".nbbuild" / "replaced").iterdir())) == 2


def test_without_a_begun_run_nothing_is_collected(root: Path, store: Store) -> None:
    write(root, a="mine")
    with pytest.raises(StoreError) as caught:
        tree_at(root, store).collect(task("a.txt"))
    assert str(caught.value) == (
        "no run of 'a.ipynb' has begun, so what it wrote is not known\n"
        "\n"
        "hint: build again; was '.nbbuild' removed while a build was running?"
    )


def test_a_notebook_that_removes_our_folder_still_has_its_artefacts(
    root: Path, store: Store
) -> None:
    one = task("a.txt")

    def work() -> None:
        (root / ".nbbuild").rename(root / "gone")
        write(root, a="A")

    assert run(root, store, one, work).artefacts == (artefact("a.txt", "A"),)


def test_a_damaged_ledger_counts_as_none(root: Path, store: Store) -> None:
    one = task("a.txt")
    run(root, store, one, lambda: write(root, a="A"))
    (ledger,) = (root / ".nbbuild" / "tree").iterdir()
    whole = ledger.read_bytes()
    for bad in (b"", whole[:-1], whole.replace(b"a.txt", b"b.txt"), b"\xff" * 100):
        ledger.write_bytes(bad)
        assert tree_at(root, store).known() == {}
    assert tree_at(root, store).begin(one) == ()
    assert (root / "a.txt").read_text() == "A"


def test_a_store_that_is_full_does_not_keep_a_run_from_ending(root: Path) -> None:
    class Full(MemoryStore):
        def put_file(self, path: Path) -> tuple[str, int]:
            raise StoreError("the cache cannot be written")

    one = task("a.txt")
    tree = tree_at(root, Full())
    tree.begin(one)
    write(root, a="A")
    with pytest.raises(StoreError):
        tree.collect(one)
    assert tree.collect(one, stored=False) == (artefact("a.txt", "A"),)
    assert tree.in_order(one, record(artefacts=[artefact("a.txt", "A")]))
    (note,) = tree.begin(one)
    assert kept("a.txt", note)


def test_links_are_collected_by_content_inside_the_project_only(
    root: Path, store: Store, tmp_path: Path
) -> None:
    one = task("link.txt")

    def linked(to: Path) -> Record:
        (root / "link.txt").unlink(missing_ok=True)
        return run(root, store, one, lambda: (root / "link.txt").symlink_to(to))

    write(root, real="content")
    result = linked(root / "real.txt")
    assert result.artefacts == (artefact("link.txt", "content"),)
    assert tree_at(root, store).in_order(one, result)
    write(tmp_path, secret="secret")
    with pytest.raises(ArtefactError) as caught:
        linked(tmp_path / "secret.txt")
    assert str(caught.value) == (
        "'link.txt', an artefact of 'a.ipynb', is a symbolic link that leads out of the project\n"
        "  declared in: [project] notebooks\n"
        "\n"
        "hint: write a plain file inside the project"
    )
    with pytest.raises(ArtefactError, match="wrote no file for its artefact"):
        linked(root / "nothing")
    assert (root / "real.txt").read_text() == "content"
    assert (tmp_path / "secret.txt").read_text() == "secret"


def test_a_run_that_only_points_a_link_elsewhere_has_written_it(root: Path, store: Store) -> None:
    write(root, one="1", two="2")
    (root / "link.txt").symlink_to("one.txt")

    def work() -> None:
        (root / "link.txt").unlink()
        (root / "link.txt").symlink_to("two.txt")

    assert run(root, store, task("link.txt"), work).artefacts == (artefact("link.txt", "2"),)


def test_a_pipe_is_no_artefact(root: Path, store: Store) -> None:
    with pytest.raises(ArtefactError, match="is not a regular file"):
        run(root, store, task("out*"), lambda: os.mkfifo(root / "out"))


def test_an_artefact_may_have_a_name_that_is_not_utf_8(root: Path, store: Store) -> None:
    made = run(root, store, task("out*"), lambda: (root / "out\udcff").write_text("x"))
    assert made.artefacts == (artefact("out\udcff", "x"),)
    (root / "out\udcff").unlink()
    assert tree_at(root, store).restore(task("out*"), made) == Restored(changed=True)
    assert (root / "out\udcff").read_text() == "x"


def test_a_folder_that_a_running_task_may_have_just_made_stays(root: Path, store: Store) -> None:
    one, other = task("out/a.txt"), task("out/b.txt", name="b.ipynb")
    run(root, store, one, lambda: write(root, out__a="A"))
    (root / "out" / "a.txt").unlink()
    tree = tree_at(root, store)
    tree.begin(other)
    tree.begin(one)  # its ledger says that it made `out`, which is empty
    assert (root / "out").is_dir()
    tree.abandon(other)


def test_a_folder_is_made_again_for_as_long_as_others_remove_it(root: Path) -> None:
    calls = []

    def put() -> str:
        calls.append(1)
        if len(calls) < 3:
            (root / "out").rmdir()
            raise FileNotFoundError
        return "put"

    assert in_folder(root / "out" / "a.txt", put) == "put"
    assert (root / "out").is_dir()


def test_a_folder_in_the_place_of_an_artefact_concerns_one_task(root: Path, store: Store) -> None:
    one = task("out/a.txt")
    made = run(root, store, one, lambda: write(root, out__a="A"))
    (root / "out" / "a.txt").unlink()
    (root / "out" / "a.txt" / "mine").mkdir(parents=True)
    with pytest.raises(OneTaskError, match="a folder of that name is in its place"):
        tree_at(root, store).restore(one, made)


def test_a_file_that_is_still_being_written_is_no_artefact(root: Path) -> None:
    class Slow(MemoryStore):
        def put_file(self, path: Path) -> tuple[str, int]:
            kept = super().put_file(path)
            with path.open("a") as file:
                file.write("more")
            return kept

    with pytest.raises(ArtefactError, match="is still being written, though the run has ended"):
        run(root, Slow(), task("a.txt"), lambda: write(root, a="A"))


# -- folders -----------------------------------------------------------------------------------


def test_folders_that_a_run_made_go_with_their_files(root: Path, store: Store) -> None:
    one = task("out/**/*.txt")
    (root / "out" / "mine").mkdir(parents=True)

    def work() -> None:
        write(root, out__mine__a="A", out__new__deep__b="B")

    run(root, store, one, work)
    tree_at(root, store).begin(one)
    found = sorted(p.relative_to(root).as_posix() for p in (root / "out").rglob("*"))
    assert found == ["out/mine"]


def test_folders_that_a_killed_run_made_go_too_unless_something_is_in_them(
    root: Path, store: Store
) -> None:
    store.put(b"A")
    one = task("out/*/*.txt")
    (root / "out").mkdir()
    tree_at(root, store).begin(one)
    write(root, out__x__a="A", out__y__a="A")
    (root / "out" / "y" / "notes").write_text("mine")
    tree_at(root, store).begin(one)
    assert files(root) == {"a.ipynb": "source", "out/y/notes": "mine"}
    assert not (root / "out" / "x").exists()


def test_a_pattern_of_one_plain_name_may_be_a_folder_that_the_run_made(
    root: Path, store: Store
) -> None:
    def tree() -> Tree:
        walker = Walker(root)  # knows that a name may be a folder's
        return Tree(root, store, Digests(), walker.match_all)

    one = task("out")
    for _ in range(2):
        begun = tree()
        assert begun.begin(one) == ()
        assert not (root / "out").exists()
        write(root, out__x__deep__a="A", out__b="B")
        assert len(tree().collect(one)) == 2
    tree().begin(one)
    # What stood before a run stays; what a killed run made goes.
    (root / "out" / "mine").mkdir(parents=True)
    tree().begin(one)
    write(root, out__x__a="A", out__mine__a="A")
    tree().begin(one)
    found = sorted(p.relative_to(root).as_posix() for p in (root / "out").rglob("*"))
    assert found == ["out/mine"]


def test_what_an_unfinished_run_left_is_told_from_what_a_user_changed(
    root: Path, store: Store
) -> None:
    one = task("o.txt")
    result = run(root, store, one, lambda: write(root, o="whole"))
    tree = tree_at(root, store)
    tree.begin(one)
    write(root, o="half")
    tree.abandon(one)
    (note,) = tree.restore(one, result).notes
    assert kept("o.txt", note, half=True)
    write(root, o="edited")
    (note,) = tree.restore(one, result).notes
    assert note.startswith("kept your copy of 'o.txt' in .nbbuild/replaced/")
    assert files(root)["o.txt"] == "whole"


# -- what is there -----------------------------------------------------------------------------


def test_one_look_tells_that_all_is_in_order(root: Path, store: Store) -> None:
    one = task("out/*.txt")
    result = run(root, store, one, lambda: write(root, out__a="A", out__b="B"))
    tree = tree_at(root, store)
    assert tree.in_order(one, result)
    assert tree.restore(one, result) == Restored()
    write(root, out__mine="mine")
    assert tree.in_order(one, result)
    write(root, out__a="altered")
    assert not tree.in_order(one, result)
    write(root, out__a="A")
    assert tree.in_order(one, result)
    (root / "out" / "b.txt").unlink()
    assert not tree.in_order(one, result)


def test_what_another_run_left_beyond_the_record_is_not_in_order(root: Path, store: Store) -> None:
    one = task("out/*.txt")
    first = run(root, store, one, lambda: write(root, out__a="A"))
    second = run(root, store, one, lambda: write(root, out__a="A", out__b="B"))
    tree = tree_at(root, store)
    assert tree.in_order(one, second)
    assert not tree.in_order(one, first)
    assert tree.restore(one, first) == Restored(changed=True)
    assert tree.in_order(one, first)
    assert not tree.in_order(one, second)
    assert files(root) == {"a.ipynb": "source", "out/a.txt": "A"}


def test_nothing_is_in_order_after_a_run_that_did_not_finish(root: Path, store: Store) -> None:
    one = task("a.txt")
    result = run(root, store, one, lambda: write(root, a="A"))
    tree = tree_at(root, store)
    tree.begin(one)
    write(root, a="A")
    tree.abandon(one)
    assert not tree.in_order(one, result)
    assert not tree.restore(one, result).missing
    assert tree.in_order(one, result)


def test_files_without_a_ledger_are_in_order_if_they_are_right(root: Path, store: Store) -> None:
    # A fresh clone that has the artefacts in git.
    write(root, a="A")
    one = task("a.txt")
    tree = tree_at(root, store)
    assert tree.in_order(one, record(artefacts=[artefact("a.txt", "A")]))
    assert not tree.in_order(one, record(artefacts=[artefact("a.txt", "B")]))


# -- restores ----------------------------------------------------------------------------------


def test_missing_artefacts_come_back(root: Path, store: Store) -> None:
    one = task("out/**/*.txt")
    result = run(root, store, one, lambda: write(root, out__a="A", out__deep__b="B"))
    (root / "out" / "a.txt").unlink()
    (root / "out" / "deep" / "b.txt").unlink()
    (root / "out" / "deep").rmdir()
    tree = tree_at(root, store)
    assert tree.restore(one, result) == Restored(changed=True)
    assert files(root) == {"a.ipynb": "source", "out/a.txt": "A", "out/deep/b.txt": "B"}
    assert tree.in_order(one, result)
    assert tree.restore(one, result) == Restored()
    assert list((root / ".nbbuild" / "staged").iterdir()) == []


def test_an_altered_artefact_is_kept_and_named(root: Path, store: Store) -> None:
    one = task("mid.txt")
    result = run(root, store, one, lambda: write(root, mid="made"))
    write(root, mid="edited by hand")
    restored = tree_at(root, store).restore(one, result)
    assert restored.changed
    (note,) = restored.notes
    assert kept("mid.txt", note)
    assert replaced(root) == {"mid.txt": "edited by hand"}
    assert files(root)["mid.txt"] == "made"


def test_an_older_version_that_the_store_has_is_not_kept(root: Path, store: Store) -> None:
    one = task("a.txt")
    first = run(root, store, one, lambda: write(root, a="1"))
    run(root, store, one, lambda: write(root, a="2"))
    assert tree_at(root, store).restore(one, first) == Restored(changed=True)
    assert files(root)["a.txt"] == "1"
    assert replaced(root) == {}


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_nothing_changes_if_the_store_lacks_something(root: Path, store: Store, how: str) -> None:
    one = task("out/*.txt")
    first = run(root, store, one, lambda: write(root, out__a="A1", out__b="B1"))
    run(root, store, one, lambda: write(root, out__a="A2", out__c="C2"))
    lost = digest_bytes(b"B1")
    damage(store, lost, b"" if how == "gone" else b"B?")
    before = files(root)
    tree = tree_at(root, store)
    assert tree.restore(one, first) == Restored(missing=(lost,))
    assert files(root) == before
    assert list((root / ".nbbuild" / "staged").iterdir()) == []


def test_a_restore_takes_away_what_a_failed_run_left(root: Path, store: Store) -> None:
    one = task("out/*.txt")
    result = run(root, store, one, lambda: write(root, out__a="A"))
    tree = tree_at(root, store)
    tree.begin(one)
    write(root, out__half="half")
    tree.abandon(one)
    restored = tree.restore(one, result)
    assert restored.changed
    assert kept("out/half.txt", restored.notes[0], half=True)
    assert files(root) == {"a.ipynb": "source", "out/a.txt": "A"}


def test_a_users_file_where_an_artefact_goes_is_kept(root: Path, store: Store) -> None:
    store.put(b"made")
    write(root, a="precious")
    one = task("a.txt")
    restored = tree_at(root, store).restore(one, record(artefacts=[artefact("a.txt", "made")]))
    assert kept("a.txt", restored.notes[0])
    assert replaced(root) == {"a.txt": "precious"}


def test_a_file_becomes_a_folder_and_back(root: Path, store: Store) -> None:
    one = task("out", "out/x.txt")
    store.put(b"1")
    store.put(b"2")
    as_file = record(artefacts=[artefact("out", "1")])
    as_folder = record(artefacts=[artefact("out/x.txt", "2")])
    tree = tree_at(root, store)
    for _ in range(2):
        assert tree.restore(one, as_file) == Restored(changed=True)
        assert files(root) == {"a.ipynb": "source", "out": "1"}
        assert tree.restore(one, as_folder) == Restored(changed=True)
        assert files(root) == {"a.ipynb": "source", "out/x.txt": "2"}


def test_a_users_folder_where_an_artefact_goes_is_an_error(root: Path, store: Store) -> None:
    store.put(b"1")
    write(root, **{"a": "x"})
    (root / "a.txt").unlink()
    (root / "a.txt" / "mine").mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        tree_at(root, store).restore(task("a.txt"), record(artefacts=[artefact("a.txt", "1")]))
    assert str(caught.value) == (
        "'a.txt', an artefact of 'a.ipynb', cannot be restored\n"
        "  reason: a folder of that name is in its place\n"
        "\n"
        "hint: move the folder away"
    )


# -- several tasks -----------------------------------------------------------------------------


def test_an_artefact_that_moved_to_another_task_is_left_to_it(root: Path, store: Store) -> None:
    first, second = task("a.txt", "b.txt", name="first"), task("b.txt", name="second")
    run(root, store, first, lambda: write(root, a="A", b="B1"))
    run(root, store, second, lambda: write(root, b="B2"))
    tree_at(root, store).begin(task("a.txt", name="first"))
    assert files(root) == {"a.ipynb": "source", "b.txt": "B2"}


def test_what_another_task_is_writing_now_is_left_to_it(root: Path, store: Store) -> None:
    tree_at(root, store).begin(task("*.txt", name="first"))  # and is killed
    other = tree_at(root, store)
    other.begin(task("b.txt", name="second"))
    write(root, a="half", b="B")
    tree_at(root, store).begin(task("a.txt", name="first"))
    assert files(root) == {"a.ipynb": "source", "b.txt": "B"}
    assert other.collect(task("b.txt", name="second")) == (artefact("b.txt", "B"),)


def test_outputs_are_held_and_upstreams_kept(root: Path, store: Store) -> None:
    tree = tree_at(root, store)

    def is_free(name: str, *upstream: str) -> bool:
        stop = Event()
        Timer(0.03, stop.set).start()
        try:
            with tree.outputs_lock(name, upstream, cancelled=stop):
                return True
        except Cancelled:
            return False

    with tree.outputs_lock("c", ["a", "b"]):
        assert not is_free("c")
        assert not is_free("a")
        assert is_free("d", "a", "b")
        assert not is_free("d", "c")
    assert is_free("c", "a")
    with tree.outputs_lock("loop", ["loop"]):
        pass


def test_our_folder_may_lie_on_another_file_system(root: Path, store: Store) -> None:
    elsewhere = Path("/dev/shm")
    if not os.access(elsewhere, os.W_OK) or elsewhere.stat().st_dev == root.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        (root / ".nbbuild").symlink_to(folder)
        one = task("a.txt", "b.txt")
        result = run(root, store, one, lambda: write(root, a="A", b="B"))
        tree = tree_at(root, store)
        tree.write_built(one, b"built", "r1")
        (root / one.built).write_text("edited notebook")
        write(root, a="edited")
        (root / "a.txt").chmod(0o755)
        (root / "b.txt").unlink()
        (root / "b.txt").symlink_to("nothing")
        first, second = tree.restore(one, result).notes
        assert (kept("a.txt", first), kept("b.txt", second)) == (True, True)
        assert tree.write_built(one, b"new", "r2")[0]
        assert tree.in_order(one, result)
        assert tree.built_in_order(one, "r2")
        assert replaced(root) == {one.built: "edited notebook", "a.txt": "edited"}
        (aside,) = (root / ".nbbuild" / "replaced").iterdir()
        assert (aside / "b.txt.replaced").readlink() == Path("nothing")
        assert (aside / "a.txt.replaced").stat().st_mode & stat.S_IXUSR
        assert files(root) == {"a.ipynb": "source", "a.txt": "A", "b.txt": "B", one.built: "new"}


def test_a_folder_that_a_run_leaves_empty_comes_back_with_its_artefacts(
    root: Path, store: Store
) -> None:
    tree, one = tree_at(root, store), task("out/**/*")
    write(root, out__kept__old="the user's")
    tree.begin(one)
    write(root, out__a__x="X")
    (root / "out/b/c").mkdir(parents=True)
    result = record(artefacts=tree.collect(one), folders=tree.left_empty(one))
    assert result.folders == ("out/b", "out/b/c")
    assert tree.in_order(one, result)
    (root / "out/b/c").rmdir()
    (root / "out/b").rmdir()
    assert not tree.in_order(one, result)
    assert tree.restore(one, result).changed
    assert (root / "out/b/c").is_dir()
    assert tree.in_order(one, result)
    tree.begin(one)  # the next run begins without them
    assert sorted(path.name for path in (root / "out").iterdir()) == ["kept"]


def test_a_record_with_a_folder_of_no_pattern_is_no_hit(root: Path, store: Store) -> None:
    tree, one = tree_at(root, store), task("out/**/*")
    forged = record(folders=["elsewhere"])
    assert not tree.in_order(one, forged)
    assert tree.restore(one, forged).missing == ("elsewhere",)
    assert not (root / "elsewhere").exists()


# -- what a run left undeclared ----------------------------------------------------------------


def left(path: str, content: str, **more: bool) -> Left:
    return Left(path, digest_bytes(content.encode()), **more)


def others(root: Path) -> dict[str, str]:
    """All files but the source."""
    return {path: text for path, text in files(root).items() if path != "a.ipynb"}


def after_a_run(root: Path, store: Store, one: Task, *what: Left) -> Tree:
    """A tree in which a run of `one` has left `what`, with the content of its names."""
    tree = tree_at(root, store)
    tree.begin(one)
    for each in what:
        (root / each.path).write_text(each.path)
    tree.collect(one)
    tree.leave(one, what)
    return tree


def test_scratch_and_what_is_written_anew_go_before_the_next_run(root: Path, store: Store) -> None:
    one = task()
    mine = [left("new", "new", anew=True), left("own", "own", scratch=True), left("x", "x")]
    tree = after_a_run(root, store, one, *mine)
    assert set(tree.left(one)) == {"new", "own", "x"}
    assert tree.begin(one) == ()
    assert others(root) == {"x": "x"}
    assert set(tree.left(one)) == {"x"}
    (aside,) = (root / ".nbbuild/aside").rglob("new")
    assert aside.read_text() == "new"


def test_what_somebody_changed_since_is_not_ours(root: Path, store: Store) -> None:
    one = task()
    tree = after_a_run(root, store, one, left("new", "new", anew=True))
    (root / "new").write_text("the user's")
    assert not tree.left(one)
    tree.begin(one)
    assert others(root) == {"new": "the user's"}


def test_a_forced_run_begins_without_what_the_last_one_had_looked_for(
    root: Path, store: Store
) -> None:
    one = task()
    tree = after_a_run(root, store, one, left("memo", "memo", asked=True), left("out", "out"))
    assert tree.begin(one) == ()
    (note,) = tree.begin(one, forced=True)
    assert note.startswith("kept what an earlier run left of 'memo' in .nbbuild/replaced/")
    assert others(root) == {"out": "out"}
    assert replaced(root) == {"memo": "memo"}


def test_what_is_declared_as_an_asset_stays(root: Path, store: Store) -> None:
    one = dataclasses.replace(task(), assets=("memo",))
    tree = after_a_run(root, store, one, left("memo", "memo", asked=True, anew=True))
    assert tree.begin(one, forced=True) == ()
    assert others(root) == {"memo": "memo"}


def test_what_another_task_wrote_over_goes_as_well(root: Path, store: Store) -> None:
    one, other = task(), task(name="b.ipynb")
    tree = after_a_run(root, store, one, left("new", "of a", anew=True))
    tree.begin(other)
    (root / "new").write_text("of b")
    tree.collect(other)
    tree.leave(other, [left("new", "of b", shared=True)])
    assert tree.replaceable(one, "new", digest_bytes(b"of b"))
    assert not tree.left(other)
    tree.begin(other)
    assert others(root) == {"new": "of b"}  # it was there when this one came
    tree.begin(one)
    assert others(root) == {}
