"""What tasks that the project no longer has leave behind: put away, or inherited."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from store_helpers import files, killed_at, matcher, record, replaced, task, write

from nbbuild.disk.digests import Digests
from nbbuild.model import Record, Task
from nbbuild.store import DiskStore, MemoryStore, Store
from nbbuild.tree import Ledgers, Tree


def tree_of(root: Path, store: Store, *present: Task, by: str = "") -> Tree:
    sources = [task.source for task in present]
    return Tree(
        root,
        store,
        Digests(),
        matcher(root),
        sources=sources,
        present=present,
        ledgers=Ledgers(root / ".nbbuild", by=by),
    )


def run(tree: Tree, one: Task, store: Store, work: Callable[[], object]) -> Record:
    tree.begin(one)
    work()
    result = record(artefacts=tree.collect(one))
    store.publish(result)
    tree.write_built(one, one.name.encode(), "r1")
    return result


def below(root: Path) -> list[str]:
    return sorted(files(root).keys() - {"a.ipynb"})


UK = task("data/UK.txt", name="UK")
FR = task("data/fr/FR.txt", name="FR")


def test_what_a_gone_task_made_is_put_away_and_the_rest_stays(root: Path, store: Store) -> None:
    both = tree_of(root, store, UK, FR)
    run(both, UK, store, lambda: write(root, data__UK="uk"))
    run(both, FR, store, lambda: write(root, data__fr__FR="fr"))
    write(root, data__mine="mine")
    assert both.gone_files() == frozenset()
    assert both.put_away_gone() == ()

    one = tree_of(root, store, UK)
    assert one.gone_files() == {"data/fr/FR.txt", "_build/FR"}
    assert one.put_away_gone() == ()
    assert below(root) == ["_build/UK", "data/UK.txt", "data/mine.txt"]
    assert not (root / "data" / "fr").exists()
    assert one.known().keys() == {"UK"}
    assert one.gone_files() == frozenset()
    assert replaced(root) == {}


def test_what_is_not_as_it_was_made_is_kept_and_named(root: Path, store: Store) -> None:
    tree = tree_of(root, store, UK, FR)
    run(tree, UK, store, lambda: write(root, data__UK="uk"))
    tree.begin(FR)
    write(root, data__fr__FR="half")
    tree.abandon(FR)
    write(root, data__UK="edited")
    (root / "_build/UK").write_text("edited, too")

    told = tree_of(root, store).put_away_gone()
    assert [(name, re.sub(r"[-\d]{17}", "now", note)) for name, note in told] == [
        (
            "FR",
            "kept what an unfinished run left of 'data/fr/FR.txt' "
            "in .nbbuild/replaced/now/data/fr/FR.txt.replaced",
        ),
        ("UK", "kept your copy of 'data/UK.txt' in .nbbuild/replaced/now/data/UK.txt.replaced"),
        ("UK", "kept your copy of '_build/UK' in .nbbuild/replaced/now/_build/UK.replaced"),
    ]
    assert below(root) == []
    assert replaced(root) == {
        "_build/UK": "edited, too",
        "data/UK.txt": "edited",
        "data/fr/FR.txt": "half",
    }


def shards(name: str) -> Task:
    return task("f/f-*.txt", name=name)


def write_shards(root: Path, *numbers: int) -> None:
    for number in numbers:
        write(root, **{f"f__f-{number}": str(number)})


def test_the_heir_of_a_gone_task_takes_its_files_over_without_a_run(
    root: Path, store: Store
) -> None:
    a, b = shards("a"), shards("b")
    result = run(tree_of(root, store, a), a, store, lambda: write_shards(root, 0, 1))
    tree = tree_of(root, store, b)
    assert tree.gone_files() == {"_build/a"}
    tree.put_away_gone()
    assert below(root) == ["f/f-0.txt", "f/f-1.txt"]
    assert tree.in_order(b, result)
    assert not tree.restore(b, result).changed
    # The folder that the first made goes with the files of the second, and nothing is left of it.
    tree_of(root, store, b).put_away_gone()
    assert tree.known().keys() == {"b"}
    tree_of(root, store, b).begin(b)
    assert not (root / "f").exists()


def test_the_heir_takes_away_what_it_does_not_make_itself(root: Path, store: Store) -> None:
    a, b = shards("a"), shards("b")
    fewer = run(tree_of(root, store, a), a, store, lambda: write_shards(root, 0))
    run(tree_of(root, store, a), a, store, lambda: write_shards(root, 0, 1))
    tree = tree_of(root, store, b)
    tree.put_away_gone()
    assert not tree.in_order(b, fewer)
    assert tree.restore(b, fewer).changed
    assert below(root) == ["f/f-0.txt"]
    assert tree.in_order(b, fewer)

    # From now on, what comes there is the user's.
    write_shards(root, 1)
    assert tree.in_order(b, fewer)
    again = tree_of(root, store, b)
    again.put_away_gone()
    assert again.in_order(b, fewer)
    again.begin(b)
    assert below(root) == ["f/f-1.txt"]
    assert replaced(root) == {}


def test_a_run_of_the_heir_begins_without_the_files_of_the_gone_task(
    root: Path, store: Store
) -> None:
    a, b = shards("a"), shards("b")
    run(tree_of(root, store, a), a, store, lambda: write_shards(root, 0, 1))
    tree = tree_of(root, store, b)
    tree.put_away_gone()
    result = run(tree, b, store, lambda: write_shards(root, 0))
    assert [one.path for one in result.artefacts] == ["f/f-0.txt"]
    assert below(root) == ["_build/b", "f/f-0.txt"]
    assert tree.in_order(b, result)


def test_what_is_now_a_source_or_built_by_another_stays(root: Path, store: Store) -> None:
    renamed = Task(name="b", source="b.ipynb", built="_build/a")
    old = task("made.txt", "other.txt", name="a")
    run(tree_of(root, store, old), old, store, lambda: write(root, made="m", other="o"))
    source = Task(name="made", source="made.txt", built="_build/made")
    tree_of(root, store, old, renamed).write_built(renamed, b"a", "r1")
    tree = tree_of(root, store, renamed, source)
    assert tree.put_away_gone() == ()
    assert below(root) == ["_build/a", "made.txt"]
    assert tree.built_in_order(renamed, "r1")


def test_only_the_configuration_that_built_a_task_can_tell_that_it_is_gone(
    root: Path, store: Store
) -> None:
    run(tree_of(root, store, UK, by="fast.toml"), UK, store, lambda: write(root, data__UK="uk"))
    main = tree_of(root, store, FR, by="jcache.toml")
    assert main.gone_files() == frozenset()
    main.put_away_gone()
    assert below(root) == ["_build/UK", "data/UK.txt"]
    assert tree_of(root, store, by="fast.toml").gone_files() == {"_build/UK", "data/UK.txt"}


def test_nobody_is_gone_who_was_not_asked_for(root: Path) -> None:
    store = MemoryStore()
    run(tree_of(root, store, UK), UK, store, lambda: write(root, data__UK="uk"))
    tree = Tree(root, store, Digests(), matcher(root))
    assert tree.put_away_gone() == ()
    assert below(root) == ["_build/UK", "data/UK.txt"]


def test_putting_away_can_be_killed_anywhere(tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    a, b = task("f/f-*.txt", "g/*.txt", name="a"), shards("b")
    store = DiskStore(before / "store")

    def work() -> None:
        write_shards(before, 0, 1)
        write(before, g__1="G", g__2="H")

    run(tree_of(before, store, a), a, store, work)
    write(before, g__2="edited")

    def story(root: Path) -> None:
        tree = tree_of(root, DiskStore(root / "store"), b)
        tree.put_away_gone()
        tree.begin(b)

    steps: Sequence[int] = range(1, 200)
    for step in steps:
        root = tmp_path / f"killed-{step}"
        shutil.copytree(before, root)
        if not killed_at(step, lambda here=root: story(here)):  # type: ignore[misc]
            break
        story(root)
        assert files(root) == {}, step
        assert replaced(root) == {"g/2.txt": "edited"}, step
        assert not (root / "f").exists(), step
        assert not (root / "g").exists(), step
    assert step > 10
