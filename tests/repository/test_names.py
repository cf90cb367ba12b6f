"""The name of a class means one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "nbbuild"

STILL_DOUBLE = {
    "Beyond": {"export/mystmd_nodes.py", "watching/sandbox.py"},
    "Import": {"interpreter/imports.py", "watching/observed.py"},
    "Kernels": {"building/executing.py", "building/head_start.py"},
    "Left": {"tree/ledger.py", "watching/tracing.py"},
    "Pairs": {"building/turns.py", "session.py"},
    # The public one gives what a user may ask of the other.
    "Store": {"api.py", "store/protocol.py"},
    "_Found": {"interpreter/modules.py", "watching/tracing.py"},
    "_Named": {"cli/finding/finder.py", "watching/observed.py"},
    "_Use": {"notebook/effects.py", "watching/observed.py"},
}
"""Class → the modules that have one of this name. An entry goes as soon as it is not needed."""


def doubles():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(PACKAGE).as_posix())
    return {name: set(modules) for name, modules in places.items() if len(modules) > 1}


def test_no_two_classes_share_a_name():
    assert doubles() == STILL_DOUBLE
