"""Find the folders from which notebooks import, for `python_path`."""

from __future__ import annotations

import json
import posixpath
import sys
from collections.abc import Iterator, Sequence

from nbbuild.cli.finding.tree import FoundTree
from nbbuild.interpreter.imports import certain_imports
from nbbuild.paths.module_folders import folders_with


def python_path(tree: FoundTree, notebooks: Sequence[str]) -> dict[str, str]:
    """Return the folders that the notebooks need on sys.path, each with a module that is there.

    Only what an .ipynb imports whatever happens counts, and only where one folder has it: what
    lies beside a notebook is found anyway, and what is installed is no folder of the project.
    """
    found: dict[str, str] = {}
    where: dict[str, list[str]] = {}
    for path in notebooks:
        for name in _imported(tree, path):
            if name not in where:
                where[name] = folders_with(tree.walker, name)
            beside = posixpath.dirname(path) or "."
            if len(where[name]) == 1 and where[name][0] != beside:
                found.setdefault(where[name][0], name)
    return dict(sorted(found.items()))


def _imported(tree: FoundTree, path: str) -> Iterator[str]:
    """Yield the top-level modules, Python's own left out, that a notebook imports."""
    if not path.endswith(".ipynb"):
        return
    try:
        cells = json.loads((tree.root / path).read_bytes())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return  # the first build says what is wrong with it
    for text in code:
        for one in certain_imports(text):
            name = one.module.partition(".")[0]
            if name not in sys.stdlib_module_names:
                yield name
