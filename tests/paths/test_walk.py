"""Walking: which files on the disk patterns mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbbuild.paths.patterns import Pattern, matches
from nbbuild.paths.walk import Walker


def plant(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


def test_patterns_find_files_sorted_and_once(root: Path) -> None:
    plant(root, "b.ipynb", "a.ipynb", "c/d.ipynb", "c/e/f.ipynb", "c/g.txt")
    walker = Walker(root)
    assert walker.match("*.ipynb") == ["a.ipynb", "b.ipynb"]
    assert walker.match("**/*.ipynb") == ["a.ipynb", "b.ipynb", "c/d.ipynb", "c/e/f.ipynb"]
    assert walker.match("c/*/f.*") == ["c/e/f.ipynb"]
    assert walker.match("c/") == ["c/d.ipynb", "c/e/f.ipynb", "c/g.txt"]
    assert walker.match("a.ipynb") == ["a.ipynb"]
    assert walker.match("a.ipynb/") == []
    assert walker.match("x" * 300) == []
    assert walker.match("*/") == ["c/d.ipynb", "c/e/f.ipynb", "c/g.txt"]
    assert walker.match("nowhere/*") == walker.match("nowhere") == []
    assert walker.match_all(["c/*.ipynb", "**/d.*", "a.ipynb"]) == ["a.ipynb", "c/d.ipynb"]


def test_a_wildcard_enters_no_hidden_closed_or_generated_folder(root: Path) -> None:
    plant(
        root,
        "a.py",
        ".hidden/a.py",
        "__pycache__/a.py",
        "x/.ipynb_checkpoints/a.py",
        "venv/pyvenv.cfg",
        "venv/lib/a.py",
        "conda/conda-meta/history",
        "conda/a.py",
        ".nbbuild/a.py",
        "_build/executed/a.py",
        "_build/a.py",
        "store/a.py",
    )
    walker = Walker(root, closed=["_build/executed", "store"])
    assert walker.match("**/*.py") == ["_build/a.py", "a.py"]
    assert walker.match("*/*.py") == ["_build/a.py"]
    assert walker.match("*/executed/*.py") == []
    assert walker.match(".*/*.py") == [".hidden/a.py"]


def test_a_pattern_that_names_such_a_folder_enters_it(root: Path) -> None:
    plant(
        root,
        ".hidden/a.py",
        "x/.hidden/a.py",
        "__pycache__/a.py",
        "venv/pyvenv.cfg",
        "venv/lib/a.py",
        "_build/executed/a.py",
        "_build/executed/b/a.py",
    )
    walker = Walker(root, closed=["_build/executed"])
    assert walker.match("_build/executed/**/*.py") == [
        "_build/executed/a.py",
        "_build/executed/b/a.py",
    ]
    assert walker.match("_build/executed/a.py") == ["_build/executed/a.py"]
    assert walker.match("**/.hidden/*.py") == [".hidden/a.py", "x/.hidden/a.py"]
    assert walker.match("__pycache__/*") == ["__pycache__/a.py"]
    assert walker.match("venv/**/*.py") == ["venv/lib/a.py"]


def test_a_wildcard_enters_no_installed_packages_but_a_pattern_that_names_them_does(
    root: Path,
) -> None:
    plant(root, "a.py", "lib/python3.12/site-packages/q/a.py", "lib/dist-packages/a.py")
    walker = Walker(root)
    assert walker.match("**/*.py") == ["a.py"]
    assert walker.match("lib") == []
    assert walker.match("lib/*/site-packages/**/*.py") == ["lib/python3.12/site-packages/q/a.py"]
    assert walker.match("lib/dist-packages") == ["lib/dist-packages/a.py"]


def test_a_named_folder_holds_hidden_files_but_nothing_generated(root: Path) -> None:
    plant(
        root,
        "data/.hidden",
        "data/.config/a",
        "data/a.csv",
        "data/.git/HEAD",
        "data/__pycache__/a.pyc",
        "data/x/.ipynb_checkpoints/a",
        "data/.nbbuild/a",
        "data/made/a",
        "data/env/pyvenv.cfg",
    )
    walker = Walker(root, closed=["data/made"])
    assert walker.match("data") == ["data/.config/a", "data/.hidden", "data/a.csv"]
    assert walker.match(".") == ["data/.config/a", "data/.hidden", "data/a.csv"]


def test_patterns_outside_the_root_give_paths_in_normal_form(tmp_path: Path) -> None:
    root = tmp_path / "above" / "project"
    plant(root, "a.csv", "../data/b.csv", "../data/sub/c.csv", "../.hidden/d.csv")
    walker = Walker(root)
    assert walker.match("../data/*.csv") == ["../data/b.csv"]
    assert walker.match("../data") == ["../data/b.csv", "../data/sub/c.csv"]
    assert walker.match("../**/*.csv") == ["../data/b.csv", "../data/sub/c.csv", "a.csv"]
    assert walker.match("../project/*.csv") == walker.match("../project/a.csv") == ["a.csv"]
    assert walker.match("../../*/project/*.csv") == ["a.csv"]


def test_links_are_followed_but_never_in_a_circle(root: Path, tmp_path: Path) -> None:
    plant(root, "a/x.csv", "b/y.csv", "../far/z.csv")
    (root / "a/circle").symlink_to(root / "a")
    (root / "a/to_b").symlink_to(root / "b")
    (root / "b/to_a").symlink_to(root / "a")
    (root / "b/above").symlink_to(tmp_path)
    (root / "far").symlink_to(tmp_path / "far")
    (root / "file.csv").symlink_to(tmp_path / "far/z.csv")
    (root / "dangling.csv").symlink_to(root / "gone.csv")
    (root / "self.csv").symlink_to(root / "self.csv")
    walker = Walker(root)
    assert walker.match("**/*.csv") == [
        "a/to_b/y.csv",
        "a/x.csv",
        "b/to_a/x.csv",
        "b/y.csv",
        "far/z.csv",
        "file.csv",
    ]
    assert walker.match("far") == ["far/z.csv"]
    assert walker.match("dangling.csv") == walker.match("self.csv") == []


def test_only_files_count(root: Path) -> None:
    plant(root, "a.csv")
    (root / "b.csv").mkdir()
    os.mkfifo(root / "c.csv")
    walker = Walker(root)
    assert walker.match("*.csv") == ["a.csv"]
    assert walker.match("c.csv") == walker.match("b.csv") == []


def test_a_folder_is_listed_once_until_forgotten(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(root, "a/x.csv", "a/y.txt", "b.csv")
    listed: list[str] = []
    scandir = os.scandir

    def counting(path: Any) -> Iterator[Any]:
        listed.append(os.path.relpath(path, root))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    walker = Walker(root)
    walker.match_all(["**/*.csv", "a/*.txt", "*/x.csv", "a", "b.csv"])
    assert sorted(listed) == [".", "a"]
    assert sorted(walker.listed) == ["", "a"]
    assert [entry.name for entry in walker.listed["a"]] == ["x.csv", "y.txt"]

    plant(root, "a/new.csv")
    assert walker.match("a/*.csv") == walker.match("a/x.csv") == ["a/x.csv"]
    assert walker.match("a/new.csv") == []
    walker.forget()
    assert walker.match("a/*.csv") == ["a/new.csv", "a/x.csv"]


def test_a_named_file_costs_no_listing(root: Path) -> None:
    plant(root, "a/x.csv")
    walker = Walker(root)
    assert walker.match("a/x.csv") == ["a/x.csv"]
    assert walker.listed == {}


names = st.sampled_from(["a", "b", "ab", ".a", "c.csv"])
segments = st.sampled_from(["a", "*", "?", "a*", "**", "[!a]", ".*", "*.csv", ".a"])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(names, min_size=1, max_size=3), max_size=8),
    st.lists(segments, min_size=1, max_size=3),
    st.booleans(),
)
def test_walking_finds_exactly_the_files_that_match(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[str]],
    pattern: list[str],
    folder: bool,
) -> None:
    root = tmp_path_factory.mktemp("world")
    planted = set()
    for file in files:
        path = root.joinpath(*file)
        if not path.exists() and not any(p.is_file() for p in path.parents):
            plant(root, "/".join(file))
            planted.add("/".join(file))
    parsed = Pattern.parse("/".join(pattern) + "/" * folder)
    assert Walker(root).match(parsed) == sorted(p for p in planted if matches(parsed, p))
