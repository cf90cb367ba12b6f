"""The doctrees of changed pages go, and no other file does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbbuild.export import doctrees


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "project"


def doctree(path: Path, source: Path) -> Path:
    """Write what Sphinx would: a pickle of a document, which names its source in full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x80\x04\x8c" + os.fsencode(source) + b"\x94.")
    return path


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "environment.pickle").write_bytes(b"")
    return path


def test_folders_of_doctrees_are_found_where_sphinx_puts_them(root: Path) -> None:
    beside = folder(root / "_build/.doctrees")  # Jupyter Book 1
    inside = folder(root / "_build/html/.doctrees")  # sphinx-build
    named = folder(root / "far/away/in/some/folder")  # sphinx-build -d
    folder(root / "_build/.hidden/.doctrees")
    folder(root / "_build/node_modules/doctrees")
    (root / "_build/html/chapters").mkdir()
    around = root / "_build"
    assert doctrees.folders(around) == [beside, inside]
    assert doctrees.folders(around, [named, inside, root]) == [beside, inside, named]
    assert doctrees.folders(root / "nothing") == []


def test_only_the_doctree_that_names_the_source_goes(root: Path) -> None:
    trees = folder(root / "docs/_build/doctrees")
    page = doctree(trees / "chapters/a.doctree", root / "docs/chapters/a.md")
    # Called as the page might be, but of another page.
    top = doctree(trees / "a.doctree", root / "docs/a.md")
    other = doctree(trees / "chapters/b.doctree", root / "docs/chapters/b.md")
    sources = ["docs/chapters/a.md", "docs/chapters/never-read.md"]
    assert doctrees.forget([trees], root, sources) == [page]
    assert (page.exists(), top.exists(), other.exists()) == (False, True, True)
    assert doctrees.forget([trees], root, sources) == []


def test_a_page_whose_name_has_dots_is_found(root: Path) -> None:
    trees = folder(root / "_build/.doctrees")
    page = doctree(trees / "v1.2.doctree", root / "v1.2.ipynb")
    assert doctrees.forget([trees], root, ["v1.2.ipynb"]) == [page]
