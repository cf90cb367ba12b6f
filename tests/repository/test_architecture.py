"""The page on the architecture names what there is, and its picture shows the imports of today."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_every_path_that_the_page_names_is_there():
    named = set(re.findall(r"`((?:nbbuild|tests|docs)/[\w./]*)`", PAGE))
    assert len(named) > 40
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_folder_of_the_package_has_its_line():
    rows = set(re.findall(r"^\| `nbbuild/(\w+)/` \|", PAGE, re.MULTILINE))
    assert rows == {path.parent.name for path in (ROOT / "nbbuild").glob("*/__init__.py")}


def test_the_picture_shows_the_imports_of_today_and_none_points_up():
    spec = importlib.util.spec_from_file_location("folders", ROOT / "docs/folders.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawing = module.drawing()
    assert "#cc0000" not in drawing
    shown = (ROOT / "docs/folders.svg").read_text(encoding="utf-8")
    assert shown == drawing, "draw it again: python docs/folders.py"
