"""The name of a class means one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "nbbuild"

PUBLIC = {
    # The public one gives what a user may ask of the other.
    "Store": {"api.py", "store/protocol.py"},
}
"""Class → the modules that may share its name."""


def doubles():
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(PACKAGE).as_posix())
    return {name: set(modules) for name, modules in places.items() if len(modules) > 1}


def test_no_two_classes_share_a_name():
    assert doubles() == PUBLIC
