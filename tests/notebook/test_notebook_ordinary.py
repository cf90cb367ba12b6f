"""Ordinary `.ipynb` files are read without nbformat, and never otherwise than with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbbuild.errors import NotebookError
from nbbuild.model import Parsed
from nbbuild.notebook import ordinary
from nbbuild.notebook.code import parse
from nbbuild.notebook.read import read


def said(notebook: Any) -> Parsed | str:
    try:
        return parse(notebook, "a.ipynb")
    except NotebookError as error:
        return str(error)


def both(folder: Path, data: bytes) -> tuple[Parsed | str | None, Parsed | str]:
    """Return what the quick reader makes of `data`, None if it leaves it, and the whole one."""
    (folder / "a.ipynb").write_bytes(data)
    quick = ordinary.read(folder / "a.ipynb")
    try:
        whole = said(read(folder, "a.ipynb"))
    except NotebookError as error:
        whole = str(error)
    return (None if quick is None else said(quick)), whole


def ipynb(*cells: Any, metadata: Any = None, **more: Any) -> bytes:
    metadata = {} if metadata is None else metadata
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [*cells]}
    return json.dumps({**notebook, **more}).encode()


def code(source: Any = "1", **more: Any) -> dict[str, Any]:
    empty = {"metadata": {}, "outputs": [], "execution_count": None}
    return {"cell_type": "code", "source": source, **empty, **more}


def markdown(**more: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": "# Title", **more}


SPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}
INFO = {"name": "python", "codemirror_mode": {"name": "ipython"}, "file_extension": ".py"}
STREAM = {"output_type": "stream", "name": "stdout", "text": ["1\n"]}
RESULT = {
    "output_type": "execute_result",
    "execution_count": 1,
    "metadata": {},
    "data": {"text/plain": ["1"], "application/json": [1, {"a": None}]},
}


def test_what_jupyter_saves_is_ordinary(tmp_path: Path) -> None:
    data = ipynb(
        markdown(id="one"),
        code(["a = 1\n", "a"], id="two", outputs=[STREAM, RESULT], execution_count=1),
        code("x", metadata={"tags": ["parameters", "hide"], "collapsed": True}),
        metadata={"kernelspec": SPEC, "language_info": INFO, "execution": {"timeout": 7}},
    )
    quick, whole = both(tmp_path, data)
    assert quick == whole
    assert isinstance(quick, Parsed) and [c.source for c in quick.cells] == ["a = 1\na", "x"]


def test_the_notebooks_of_the_examples_are_ordinary(tmp_path: Path) -> None:
    examples = Path(__file__).parents[2] / "examples"
    found = [p for p in examples.rglob("*.ipynb") if not {"_build", ".nbbuild"} & {*p.parts}]
    assert found
    for data in map(Path.read_bytes, found):
        quick, whole = both(tmp_path, data)
        assert quick == (None if b"skip-execution" in data else whole)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'\xef\xbb\xbf{"nbformat": 4}',
        ipynb(nbformat=3),
        ipynb(nbformat=4.0),
        ipynb(code("a\xff")).decode().encode("latin-1", "replace")[:-3],
        ipynb(code(), metadata={"kernelspec": {"name": "x", "display_name": 1}}),
        ipynb(code(), metadata={"kernelspec": {"display_name": "no name"}}),
        ipynb(code(), metadata={"language_info": {"name": "R", "mimetype": None}}),
        ipynb(code(metadata={"tags": "parameters hide"})),
        ipynb(code(metadata={"tags": ["a,parameters"]})),
        ipynb(code(metadata={"tags": ["parameters", "parameters"]})),
        ipynb(code(metadata={"tags": ["skip-execution"]}, outputs=[{"output_type": "none"}])),
        ipynb(code("#| eval: false", outputs=[{"output_type": "none"}])),
        ipynb(code(metadata=None)),
        ipynb(code(outputs=["none"])),
        ipynb(code(outputs=None)),
        ipynb(code(outputs=[{"output_type": "stream", "text": [1]}])),
        ipynb(code(outputs=[{**RESULT, "data": None}])),
        ipynb(code(["a", 1])),
        ipynb(markdown(attachments={"a.png": {"image/png": 1}})),
        ipynb({"cell_type": "heading", "metadata": {}, "source": "x"}),
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": []}).encode(),
        ipynb(code("'\ud800'")),
    ],
)
def test_anything_else_is_left_to_the_whole_reader(tmp_path: Path, data: bytes) -> None:
    assert both(tmp_path, data)[0] is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
SOURCES = st.sampled_from(["", " ", "a = 1", ["a\n", "b"], [], "#| eval: no\nx"]) | VALUES
TAGS = st.lists(st.sampled_from(["parameters", "raises-exception", "skip-execution", "x"])) | VALUES
OUTPUTS = st.lists(st.sampled_from([STREAM, RESULT]) | VALUES, max_size=2) | VALUES


def fields(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw objects with some of these keys, most of them right."""
    return st.fixed_dictionaries({}, optional=known)


CELLS = fields(
    cell_type=st.sampled_from(["code", "code", "code", "markdown", "raw"]) | VALUES,
    id=st.sampled_from(["one", "two"]) | VALUES,
    metadata=fields(tags=TAGS, name=VALUES, load=VALUES, eval=VALUES),
    source=SOURCES,
    outputs=OUTPUTS,
    execution_count=st.none() | VALUES,
)
METADATA = fields(
    kernelspec=st.just(SPEC) | fields(name=VALUES, display_name=VALUES, language=VALUES) | VALUES,
    language_info=st.just(INFO) | fields(name=st.just("R"), file_extension=VALUES) | VALUES,
    execution=fields(timeout=VALUES, allow_errors=VALUES) | VALUES,
    jupytext=fields(formats=st.just("ipynb,auto:percent") | VALUES) | VALUES,
    title=VALUES,
)


@given(st.lists(CELLS, max_size=3), METADATA)
def test_both_readers_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, cells: list[Any], metadata: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    quick, whole = both(folder, ipynb(*cells, metadata=metadata))
    assert quick is None or quick == whole
