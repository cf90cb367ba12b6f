"""docs/coming-from-jupyter-cache.md: nothing of jupyter-cache is missing, and all of it is true."""

import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from jupyter_cache import base, readers
from jupyter_cache.base import JupyterCacheAbstract
from jupyter_cache.cache.main import JupyterCacheBase
from jupyter_cache.executors import base as executors
from jupyter_cache_command import jcache
from notebook_sources import ipynb

import nbbuild
import nbbuild.cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/coming-from-jupyter-cache.md").read_text()
CONFIG = (ROOT / "docs/reference/config.md").read_text()


def section(title):
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title):
    """Return the rows of a section's table, each as a list of its cells."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


TABLES = [title for title in re.findall(r"^## (.+)$", PAGE, re.MULTILINE) if rows(title)]


# -- nothing is missing ------------------------------------------------------------------------


def walked(command, path):
    """Yield (command, "") for each command below, and (command, option) for each option."""
    yield path, ""
    for option in command.params:
        if isinstance(option, click.Option):
            for name in (*option.opts, *option.secondary_opts):
                yield path, name
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from walked(inner, f"{path} {name}")


def test_every_command_and_option_of_jupyter_cache_is_in_the_table():
    told = []
    for first, _ in rows("Commands and options"):
        words, *more = quoted(first)
        command = " ".join(word for word in words.split() if not word.startswith("-"))
        options = [*(word for word in words.split() if word.startswith("-")), *more]
        told += [(command, option) for option in options or [""]]
    there = set(walked(jcache, "jcache"))
    assert ("jcache cache list", "--hashkeys") in there
    # click gives each command --help; once is enough.
    assert set(told) == {*there, ("jcache", "--help"), ("jcache", "-h")}
    assert len(told) == len(set(told))


def public(*classes):
    return {name for one in classes for name in dir(one) if not name.startswith("_")}


def test_every_method_and_class_of_its_api_is_in_the_table():
    told = {name for first, _ in rows("Python API") for name in quoted(first)}
    errors_and_bundles = {
        name
        for module in (base, readers, executors)
        for name, one in vars(module).items()
        if isinstance(one, type) and one.__module__ == module.__name__
    }
    # Abstract bases of what is listed.
    errors_and_bundles -= {"JupyterCacheAbstract", "JupyterExecutorAbstract", "NbArtifactsAbstract"}
    functions = {"get_cache", "load_executor", "list_executors", "list_readers", "run_and_cache"}
    expected = public(JupyterCacheAbstract, JupyterCacheBase) | errors_and_bundles | functions
    assert expected <= told, sorted(expected - told)


def test_every_reader_and_executor_is_in_the_table():
    told = {first for first, _ in rows("Readers and executors")}
    told |= {f"executor `{name}`" for name in ("nbbuild", "nbbuild-temp")}  # ours, in one row
    for group, kind in (("jcache.readers", "reader"), ("jcache.executors", "executor")):
        assert f"entry points `{group}`" in told
        for point in entry_points(group=group):
            assert f"{kind} `{point.name}`" in told


def test_all_fifteen_known_defects_have_a_story():
    stories = (ROOT / "tests/functional/test_jupyter_cache_defects.py").read_text()
    numbers = [int(first.partition(".")[0]) for first, _ in rows("What is known to go wrong there")]
    assert numbers == list(range(1, 16))
    assert [int(one) for one in re.findall(r"^def test_(\d+)_", stories, re.MULTILINE)] == numbers


@pytest.mark.parametrize("title", TABLES)
def test_no_row_is_empty(title):
    for row in rows(title):
        assert len(row) == 2, row
        assert all(row), row


# -- nothing is made up ------------------------------------------------------------------------


def check_command(words):
    """Fail for a verb or an option of `nbbuild …` that there is not."""
    command, group = nbbuild.cli.load("build"), None
    words = words[1:]
    if words and words[0] in nbbuild.cli.VERBS:
        command, words = nbbuild.cli.load(words[0]), words[1:]
        if isinstance(command, click.Group) and words and not words[0].startswith("-"):
            group = command
            assert words[0] in group.commands, words
            command, words = group.commands[words[0]], words[1:]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    for word in words:
        if word.startswith("-") and word != "--":
            assert word in known | {"--help", "--version"}, f"{command.name}: {word}"


def check_setting(text):
    """Fail for a key of jcache.toml that the reference does not have."""
    table, key = re.fullmatch(r"\[+(\w+)\]+ (\w+)", text).groups()
    part = CONFIG.lower().partition(f"\n## {table}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("|")]
    assert any(f"`{key}`" in cell for cell in cells), text


def check_name(text):
    """Fail for a name of the Python API that there is not."""
    names = re.sub(r"\(.*?\)|\[.*?\]", "", text).split(".")[1:]
    one = getattr(nbbuild, names[0])
    if len(names) > 1 and names[0] != "__version__":
        returned = nbbuild.Judgement if "[" in text else nbbuild.Plan
        one = {"load": nbbuild.Session, "plan": returned}.get(names[0], one)
        assert hasattr(one, names[1]), text


def test_every_command_setting_and_name_on_the_page_exists():
    checked = 0
    for _, second in (row for title in TABLES for row in rows(title)):
        for text in quoted(second):
            if re.match(r"nbbuild( |$)", text):
                check_command(shlex.split(text))
            elif re.match(r"\[+\w+\]+ ", text):
                check_setting(text)
            elif re.match(r"nbbuild\.\w+", text) and not text.startswith(
                ("nbbuild.readers", "nbbuild.executors")
            ):
                check_name(text)
            else:
                continue
            checked += 1
    assert checked > 100


# -- the tutorial ------------------------------------------------------------------------------

MYST = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
---

```{code-cell}
print("text")
```
"""


@pytest.mark.slow
def test_the_lines_of_the_tutorial_work(project):
    project.write("basic.ipynb", ipynb(["a = 1\nprint(a)"]))
    project.write("basic_failing.ipynb", ipynb(["raise Exception('oopsie!')"]))
    project.write("complex_outputs.ipynb", ipynb(["{'a': 1}"]))
    project.write("text.md", MYST)
    project.write("other.md", MYST)
    project.write("data.txt", "1")
    blocks = re.findall(r"```sh\n(.*?)```", section("The tutorial, step by step"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) > 25
    for line in lines:
        command, _, remark = line.partition("#")
        status = int(remark.rpartition(" ")[2]) if "exit status" in remark else 0
        words = shlex.split(command)[1:]
        if "RECORD" in words:
            record = project.nbbuild("cache", "list", "--json").data[0]["record"]
            words[words.index("RECORD")] = record
        done = project.nbbuild(*words)
        assert done.status == status, f"{line}\n{done.err}"
        if words[-1:] == ["final_notebook.ipynb"]:
            assert "text" in project.read("final_notebook.ipynb")
