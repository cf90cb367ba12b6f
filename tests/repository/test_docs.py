"""The documentation knows every key and option, and its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from nbbuild import cli
from nbbuild.config import load as config
from nbbuild.config import types
from nbbuild.config.keys import readers
from nbbuild.config.values import memory, size

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("changes/*.md"), *ROOT.glob("docs/**/*.md")]
    if path.is_file()
)
CONFIG = (ROOT / "docs/reference/config.md").read_text(encoding="utf-8")
COMMAND = (ROOT / "docs/reference/command.md").read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    """Return what stands below the heading `title`, down to the next of its level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section '{title}'"
    return found[1]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables in `text`, without their headings."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `"):
            yield cells


def quoted(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


# -- jcache.toml -------------------------------------------------------------------------------

TABLES = {
    "project": types.ProjectTable(),
    "execution": types.ExecutionTable(),
    "environment": types.EnvironmentTable(),
    "cache": types.CacheTable(),
    "report": types.ReportTable(),
    "export": types.ExportTable(),
    "verify": types.VerifyTable(),
    "notebook": types.NotebookEntry(where="", path=""),
}


def test_every_table_has_a_section() -> None:
    assert set(TABLES) == set(readers(ROOT))


@pytest.mark.parametrize("table", TABLES)
def test_every_key_is_documented_in_its_table_and_no_other_is(table: str) -> None:
    documented = [key for row in rows(section(CONFIG, table.title())) for key in quoted(row[0])]
    assert sorted(documented) == sorted(readers(ROOT)[table])


def plain(value: Any) -> Any:
    """Return a default as TOML would give it."""
    if isinstance(value, tuple):
        return list(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def default_of(table: str, key: str) -> Any:
    holder: Any = TABLES[table]
    if key not in {field.name for field in fields(holder)}:
        holder = types.DEFAULTS
    return plain(getattr(holder, key))


@pytest.mark.parametrize("table", [name for name in TABLES if name != "notebook"])
def test_documented_defaults_are_the_defaults(table: str) -> None:
    for row in rows(section(CONFIG, table.title())):
        (key,) = quoted(row[0])
        said = tomllib.loads(f"value = {row[2].strip('`')}")["value"]
        if key in ("max_size", "max_memory"):
            said = {"max_size": size, "max_memory": memory}[key](key, said)
        assert (key, said) == (key, default_of(table, key))


def toml_blocks() -> list[Any]:
    return [
        pytest.param(text, id=f"{path.relative_to(ROOT)}-{number}")
        for path in PAGES
        for number, text in enumerate(
            re.findall(r"^```toml\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL), 1
        )
    ]


@pytest.mark.parametrize("text", toml_blocks())
def test_every_jcache_toml_in_the_pages_is_valid(text: str) -> None:
    config.read(tomllib.loads(text), ROOT / "jcache.toml")


# -- the command -------------------------------------------------------------------------------

COMMON = {"-C", "--directory", "-f", "--file", "-h", "--help", "--version"}


def options(command: click.Command) -> set[str]:
    """Return all options of a verb, and of its own verbs."""
    found = {
        name
        for param in command.params
        if isinstance(param, click.Option)
        for name in [*param.opts, *param.secondary_opts]
    }
    if isinstance(command, click.Group):
        found = found.union(*(options(one) for one in command.commands.values()))
    return found


def documented_options(text: str) -> set[str]:
    return {name.split()[0] for row in rows(text) for name in quoted(row[0]) if name[0] == "-"}


def test_common_options_are_documented() -> None:
    assert documented_options(section(COMMAND, "Options of every verb")) == COMMON


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_option_of_a_verb_is_documented_and_no_other_is(verb: str) -> None:
    assert documented_options(section(COMMAND, verb)) == options(cli.load(verb)) - COMMON


def test_every_verb_inside_a_verb_is_documented() -> None:
    for verb in cli.VERBS:
        command = cli.load(verb)
        inner = command.commands if isinstance(command, click.Group) else {}
        text = " ".join(section(COMMAND, verb).split())
        for name in inner:
            assert f"`nbbuild {verb} {name}" in text


def test_every_variable_that_the_code_reads_is_documented() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "nbbuild").rglob("*.py"))
    # click's own, for shells; and the marker that a build's kernels carry.
    inner = {"_NBBUILD_COMPLETE", "NBBUILD_KERNEL"}
    read = set(re.findall(r"\"(_?NBBUILD_[A-Z_]+)\"", code)) - inner
    documented = {
        name for row in rows(section(COMMAND, "Environment variables")) for name in quoted(row[0])
    }
    assert documented == read


# -- links -------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        assert linked.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(linked), f"{page.name} links to {target}"


# -- decisions ---------------------------------------------------------------------------------


def test_every_decision_has_a_title_a_date_and_a_line_in_the_list() -> None:
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text()
    pages = sorted(folder.glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        title, empty, date, *_ = page.read_text().splitlines()
        number = page.name[:4]
        assert title.startswith(f"# {number}: ")
        assert (empty, re.fullmatch(r"Date: \d{4}-\d\d-\d\d", date) is not None) == ("", True)
        assert f"| [{number}]({page.name}) | {title.removeprefix(f'# {number}: ')} |" in listed


def test_news_fragments_are_named_by_issue_and_kind() -> None:
    for page in (ROOT / "changes").iterdir():
        if page.name != "README.md":
            assert re.fullmatch(r"\d+(\.[a-z-]+)?\.(added|changed|fixed|removed)\.md", page.name), (
                page.name
            )
            assert not page.read_text().startswith("#")


# -- the man page ------------------------------------------------------------------------------


def man() -> Any:
    spec = importlib.util.spec_from_file_location("man", ROOT / "docs/man.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_man_page_is_what_the_command_says() -> None:
    module = man()
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python docs/man.py"
    for title in ("Exit status", "Environment variables"):
        assert list(module.rows(title)), f"the page has no row of '{title}'"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_reads_the_man_page_without_a_warning() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rLL=78n", man().PAGE],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "nbbuild - make for notebooks" in done.stdout
