"""What Python source and notebook cells import."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbbuild.interpreter.imports import Import, Imports, imports_of_cell, imports_of_file


def found(text: str) -> set[str]:
    return {
        "." * one.level + one.module + (f": {', '.join(one.names)}" if one.names else "")
        for one in imports_of_file(text).found
    }


def in_cell(text: str) -> set[str]:
    return {one.module for one in imports_of_cell(text).found}


def test_imports_are_found_wherever_they_are() -> None:
    assert found("""
import a, b.c as d
from e.f import g, h as i
from . import j
from ..k import *
def function():
    import l
    try:
        from m import n
    except ImportError:
        pass
if True:
    import o
""") == {"a", "b.c", "e.f: g, h", ".: j", "..k: *", "l", "m: n", "o"}


def test_imports_by_a_spelled_name_are_found() -> None:
    assert found("""
importlib.import_module("a.b")
import_module(name="c")
import_module("..d", package=__package__)
__import__("e")
import_module(unknown)
other("f")
""") == {"a.b", "c", "..d", "e"}


def test_what_all_spells_out_is_exported() -> None:
    text = '__all__ = ["a", b]\n__all__ += ("c",)\nother = ["d"]'
    assert imports_of_file(text).exported == ("a", "c")


@pytest.mark.parametrize("text", ["def (", "a\0b", "(" * 5000, "\ufffdimport a", "x = '"])
def test_what_is_no_python_imports_nothing(text: str) -> None:
    assert imports_of_file(text) == Imports()


def test_a_byte_order_mark_and_doubtful_escapes_do_no_harm() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found('\ufeffimport a\nx = "\\d"') == {"a"}


@pytest.mark.parametrize(
    "cell",
    [
        "%matplotlib inline\nimport a",
        "!pip install x\nimport a",
        "%%time\nimport a",
        "files = !ls\nimport a",
        "x, y = %sql select\nimport a",
        "if True:\n    %time f()\n    import a",
        "%time import a",
        "  %timeit -n1 x\nimport a",
        "f?\n?f\nf??\nimport a",
        "!ls \\\n  -l\nimport a",
        "this is no python at all\nimport a",
        "import a; x = await f()",
        "print((1\n  % 2))\nimport a",
    ],
)
def test_magics_do_not_hide_imports(cell: str) -> None:
    assert in_cell(cell) == {"a"}


def test_a_broken_cell_is_searched_for_lines_that_look_like_imports() -> None:
    cell = "x = = 1\nfrom a.b import (c,\n  d as e, # why\n)\nimport f as g, h\nfrom .i import *"
    assert imports_of_cell(cell).found == (
        Import(0, "a.b", ("c", "d")),
        Import(0, "f"),
        Import(0, "h"),
        Import(1, "i", ("*",)),
    )


@settings(deadline=None)
@given(st.text("import fromabc.*(),\n%!?'\"#=\\", max_size=60))
def test_no_cell_raises(cell: str) -> None:
    imports_of_cell(cell)
    imports_of_file(cell)
