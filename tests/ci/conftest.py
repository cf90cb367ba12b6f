"""A small project that CI builds, each time from a fresh checkout."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MADE = shutil.ignore_patterns("_build", ".nbbuild", "__pycache__", "made.txt")


@pytest.fixture
def book(project):
    """Two notebooks, of which one needs the other, and a third by itself; not in the root."""
    project.write(
        "book/jcache.toml",
        '[project]\nnotebooks = ["*.ipynb"]\n\n'
        '[[notebook]]\npath = "first.ipynb"\nartefacts = ["made.txt"]\n'
        '[[notebook]]\npath = "second.ipynb"\nassets = ["made.txt"]\n',
    )
    project.notebook("book/first.ipynb", "open('made.txt', 'w').write('made')")
    project.notebook("book/second.ipynb", "print(open('made.txt').read())")
    project.notebook("book/alone.ipynb", "1")
    return project


@pytest.fixture
def environ(project) -> dict[str, str]:
    """The variables of a machine of CI, with `nbbuild` on the PATH."""
    tools = str(Path(sys.executable).parent)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(project.root.parent), **project.environ}


@pytest.fixture
def checkout(book) -> Callable[[str], Path]:
    """Return a fresh checkout of the repository in a folder of another name."""

    def made(name: str) -> Path:
        book.log.write_text("")
        return shutil.copytree(book.root, book.root.parent / name / "checkout", ignore=MADE)

    return made
