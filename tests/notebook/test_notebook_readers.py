"""Readers of other packages: which one takes a notebook, what it may return, and how it fails."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
from reader_package import install

from nbbuild.errors import ConfigError, NotebookError
from nbbuild.notebook.code import cell_digests, parse
from nbbuild.notebook.formats import reader_identity
from nbbuild.notebook.read import read
from nbbuild.notebook.readers import Readers
from nbbuild.notebook.write import to_bytes

BOOK = Path(__file__).parents[2] / "examples/book"

LINES = """
import nbformat

def read(data, path):
    cells = [nbformat.v4.new_code_cell(line) for line in data.decode().splitlines()]
    return nbformat.v4.new_notebook(cells=cells)

def read_uri(uri):
    assert isinstance(uri, str)
    with open(uri, "rb") as file:
        return read(file.read(), uri)

def nothing(data, path):
    return None

def wrong(data, path):
    raise ValueError("line 3 is no slide\\nand more")

def leave(data, path):
    raise SystemExit

def invalid(data, path):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "odd"}]}

def old(data, path):
    cell = nbformat.v3.new_code_cell(input=data.decode())
    return nbformat.v3.new_notebook(worksheets=[nbformat.v3.new_worksheet(cells=[cell])])

def loose(data, path):
    cell = {"cell_type": "code", "source": data.decode(), "metadata": {"on": {1, 2}}}
    return {"nbformat": 4, "metadata": {}, "cells": [cell]}
"""

NAMES = ("read", "nothing", "wrong", "leave", "invalid", "old", "loose")


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """Install a distribution with a reader in each group, and some that fail."""
    groups = {
        "nbbuild.readers": {name: f"lines_reader:{name}" for name in NAMES},
        "jcache.readers": {"uri": "lines_reader:read_uri", "wrong": "lines_reader:read_uri"},
    }
    groups["nbbuild.readers"]["gone"] = "lines_reader.not_there:read"
    return install(monkeypatch, tmp_path / "site", "lines_reader", LINES, groups)


def sources(notebook):
    return [cell.source for cell in notebook.cells]


def error_of(root, path, readers):
    with pytest.raises(NotebookError) as caught:
        read(root, path, readers=readers)
    return str(caught.value)


# -- which reader ------------------------------------------------------------------------------


def test_the_last_pattern_that_matches_names_the_reader_and_else_the_suffix_does():
    readers = Readers({"**/*.md": "a", "talks/*": "b", "talks/c.md": "nbformat"})
    names = {path: readers.name(path) for path in ("x.md", "talks/a.md", "talks/c.md", "x.py")}
    assert names == {"x.md": "a", "talks/a.md": "b", "talks/c.md": "nbformat", "x.py": "jupytext"}
    assert (readers.name("x.ipynb"), readers.name("x.txt"), Readers().name("x.md")) == (
        *("nbformat", ""),
        "jupytext",
    )


def test_the_built_in_readers_take_other_suffixes(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    (tmp_path / "a.json").write_text(nbformat.writes(notebook))
    readers = Readers({"a.json": "nbformat"})
    assert sources(read(tmp_path, "a.json", readers=readers)) == ["1 + 1"]
    assert reader_identity(tmp_path, "a.json", readers).startswith("nbformat ")

    (tmp_path / "b.txt").write_text("1 + 1\n")
    assert error_of(tmp_path, "b.txt", Readers({"b.txt": "jupytext"})).startswith(
        "'b.txt' cannot be read by Jupytext\n"
    )


def test_no_entry_point_is_looked_for_unless_a_reader_is_configured(tmp_path, monkeypatch):
    def never(**_):
        raise AssertionError("scanned")

    monkeypatch.setattr("importlib.metadata.entry_points", never)
    (tmp_path / "a.py").write_text("# %%\n1 + 1\n")
    for readers in (Readers(), Readers({"**/*.py": "jupytext"})):
        assert sources(read(tmp_path, "a.py", readers=readers)) == ["1 + 1"]
        assert list(readers.problems(["a.py"])) == []
        assert reader_identity(tmp_path, "a.py", readers).startswith("jupytext ")


def test_a_name_that_nobody_has_and_a_pattern_for_nothing_are_errors(lines):
    readers = Readers({"**/*.md": "jupitext", "*.x": "uri", "*.y": "read"})
    assert [(type(one), str(one)) for one in readers.problems(["a.md", "a.y"])] == [
        (
            ConfigError,
            "there is no reader 'jupitext'\n"
            "  declared in: jcache.toml, [project] readers, '**/*.md'\n"
            "  readers: gone, invalid, jupytext, leave, loose, myst_nb_md, nbformat, nothing, "
            "old, read, uri, wrong\n\n"
            "hint: did you mean 'jupytext'?",
        ),
        (
            ConfigError,
            "no notebook of the project matches '*.x'\n"
            "  declared in: jcache.toml, [project] readers, '*.x'\n\n"
            "hint: list it in [project] notebooks, or remove that reader",
        ),
    ]


# -- what it returns ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["read", "uri"])
def test_both_groups_have_readers_whose_random_ids_are_replaced(lines, tmp_path, name):
    (tmp_path / "a.lines").write_text("x = 1\nprint(x)\n")
    readers = Readers({"*.lines": name})
    first = read(tmp_path, "a.lines", readers=readers)
    assert sources(first) == ["x = 1", "print(x)"]
    nbformat.validate(first)
    assert (first.nbformat, first.nbformat_minor) == (4, 5)
    assert to_bytes(first) == to_bytes(read(tmp_path, "a.lines", readers=readers))


def test_our_group_comes_before_the_same_name_in_the_other(lines, tmp_path):
    (tmp_path / "a.lines").write_text("1\n")
    assert "line 3 is no slide" in error_of(tmp_path, "a.lines", Readers({"a.lines": "wrong"}))


def test_old_versions_of_nbformat_and_plain_dicts_become_valid_notebooks(lines, tmp_path):
    (tmp_path / "a.lines").write_text("x = 1")
    for name in ("old", "loose"):
        notebook = read(tmp_path, "a.lines", readers=Readers({"a.lines": name}))
        nbformat.validate(notebook)
        assert sources(notebook) == ["x = 1"]


def test_a_reader_that_fails_is_named_with_the_file(lines, tmp_path):
    (tmp_path / "a.lines").write_text("x = 1")

    def said(name):
        return error_of(tmp_path, "a.lines", Readers({"a.lines": name}))

    other = "hint: fix what it names, or choose another reader in [project] readers"
    assert said("wrong") == (
        "'a.lines' cannot be read by the reader 'wrong' of lines-reader 1.0\n"
        f"  reason: ValueError: line 3 is no slide\n\n{other}"
    )
    assert said("leave") == (
        f"'a.lines' cannot be read by the reader 'leave' of lines-reader 1.0\n"
        f"  reason: SystemExit\n\n{other}"
    )
    assert said("gone") == (
        "'a.lines' cannot be read by the reader 'gone' of lines-reader 1.0\n"
        "  reason: ModuleNotFoundError: No module named 'lines_reader.not_there'; "
        f"'lines_reader' is not a package\n\n{other}"
    )
    assert said("nothing") == (
        "the reader 'nothing' of lines-reader 1.0 returned no notebook for 'a.lines'\n"
        "  gave: NoneType\n\n"
        "hint: a reader returns a notebook, such as nbformat.v4.new_notebook()"
    )
    assert said("invalid") == (
        "cell 1 of 'a.lines' is neither code, markdown nor raw\n"
        "  reader: 'invalid' of lines-reader 1.0\n"
        "  cell_type: 'odd'\n\n"
        "hint: a reader has to return a valid notebook: choose another, or fix it"
    )
    assert said("nobody") == "'a.lines' has no reader\n  there is no: 'nobody'"


# -- its identity ------------------------------------------------------------------------------


def test_another_version_or_an_edited_reader_is_another_identity(tmp_path, monkeypatch):
    site = tmp_path / "site"

    def identity(version, text=LINES):
        groups = {"nbbuild.readers": {"read": "lines_reader:read"}}
        install(monkeypatch, site, "lines_reader", text, groups, version=version)
        return reader_identity(tmp_path, "a.lines", Readers({"*.lines": "read"}))

    first = identity("1.0")
    assert first.startswith("nbbuild.readers read=lines_reader:read lines-reader 1.0 ")
    assert identity("1.0") == first
    assert identity("1.1") != first
    assert identity("1.0", LINES + "# edited\n") != first
    assert "lines_reader" not in sys.modules


def test_the_identity_of_a_reader_deep_in_a_package_holds_its_file(tmp_path):
    readers = Readers({"*.md": "myst_nb_md"})
    found = reader_identity(tmp_path, "a.md", readers)
    assert "myst_nb_md=myst_nb.core.read:myst_nb_reader_plugin myst-nb " in found
    assert len(found.split(",")[0].split()[-1]) == 16


# -- MyST-NB's own -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", sorted(path.name for path in BOOK.glob("chapters/*.md")))
def test_myst_nb_and_jupytext_find_the_same_code_in_the_book(page):
    source = f"chapters/{page}"
    readers = Readers({"**/*.md": "myst_nb_md"})
    ours, theirs = read(BOOK, source), read(BOOK, source, readers=readers)
    assert theirs.metadata.source_map
    assert parse(theirs, source).kernel == "python3"
    assert cell_digests(parse(theirs, source)) == cell_digests(parse(ours, source))
    assert [cell.load for cell in parse(theirs, source).cells] == [
        cell.load for cell in parse(ours, source).cells
    ]


def test_what_a_page_loads_counts_also_when_only_its_file_format_says_that_it_is_myst(tmp_path):
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / "a.md").write_text(
        "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n"
        '```{code-cell}\n:load: code.py\n:tags: ["raises-exception"]\n```\n'
    )
    readers = Readers({"a.md": "myst_nb_md"})
    said = parse(read(tmp_path, "a.md", readers=readers), "a.md")
    assert [(cell.load, cell.source, cell.tags) for cell in said.cells] == [
        ("code.py", "x = 1\n", ("raises-exception",))
    ]
    assert json.loads(to_bytes(read(tmp_path, "a.md", readers=readers)))["nbformat_minor"] == 5
