"""The pages for contributors name what there is, and the picture shows the imports of today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import click
import pytest

from nbbuild import cli
from nbbuild.disk import project_folder

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
DEBUGGING = (ROOT / "docs/debugging.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [ARCHITECTURE, DEBUGGING], ids=["architecture", "debugging"])
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    named = set(re.findall(r"`((?:nbbuild|tests|docs)/[\w./]*)`", page))
    assert len(named) > 30
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_folder_of_the_package_has_its_line() -> None:
    rows = set(re.findall(r"^\| `nbbuild/(\w+)/` \|", ARCHITECTURE, re.MULTILINE))
    assert rows == {path.parent.name for path in (ROOT / "nbbuild").glob("*/__init__.py")}


def test_the_picture_shows_the_imports_of_today_and_none_points_up() -> None:
    spec = importlib.util.spec_from_file_location("folders", ROOT / "docs/folders.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawing = module.drawing()
    assert "#cc0000" not in drawing
    shown = (ROOT / "docs/folders.svg").read_text(encoding="utf-8")
    assert shown == drawing, "draw it again: python docs/folders.py"


# -- debugging ---------------------------------------------------------------------------------


def test_every_command_that_the_page_on_debugging_shows_has_its_options() -> None:
    shown = re.findall(r"^\$ (?:\w+=\S+ )?(nbbuild .*)$", DEBUGGING, re.MULTILINE)
    shown += re.findall(r"`(?:NBBUILD_DEBUG=1 )?(nbbuild [^`:]*)`", DEBUGGING)
    assert len(shown) > 20
    for line in shown:
        words = line.split()[1:]
        command = cli.load(words.pop(0) if words and words[0] in cli.VERBS else "build")
        if isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        known = {name for param in command.params for name in param.opts}
        unknown = [word for word in words if word.startswith("-") and word not in known]
        assert unknown == [], line


MESSAGES = """
    is judged when what it waits for is done | waits for ' | it failed last time: |
    was watched down to its system calls | was watched in Python only | it was made with |
    not everything that it used was seen: | not all was seen: | may have read other files |
    it reads these variables, whose values do not count yet |
    its kernel was started in the ordinary way: | is imported from PYTHONPATH: |
    is not loaded beforehand: | it cannot be imported: | the kernel died | killed by |
    , out of memory? | It held | as far as it went: | to look at it: | nbbuild show --open |
    does not start: | ran longer than its limit of | raise ' |
    the process that starts kernels has ended | the process that forks kernels | was lost |
    nbbuild itself failed: | this is a bug, please report it; NBBUILD_DEBUG=1 shows the traceback |
    forced to run | is up to date | also used:
"""


def test_the_messages_that_the_page_on_debugging_quotes_are_those_of_the_code() -> None:
    files = (ROOT / "nbbuild").rglob("*.py")
    # A message may be written as several pieces, one a line.
    code = re.sub(r"\"\s+f?\"", "", "\n".join(path.read_text(encoding="utf-8") for path in files))
    for message in " ".join(MESSAGES.split()).split(" | "):
        assert message in DEBUGGING, message
        assert message in code, message


def test_the_parts_of_the_projects_own_folder_that_the_page_names_are_those_of_the_code() -> None:
    table = DEBUGGING.partition("| path | what it tells |")[2]
    named = re.findall(r"^\| `([\w.]+)/?` \|", table, re.MULTILINE)
    assert named
    drawn = project_folder.__doc__ or ""
    assert [name for name in named if not re.search(rf"^        {name}\b", drawn, re.M)] == []
