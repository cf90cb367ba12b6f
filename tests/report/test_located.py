"""The line of a file at which a cell failed, in every format of notebooks."""

import jupytext
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from nbbuild.model import Failure
from nbbuild.report.located import line_of, shown_from

CELLS = [
    new_markdown_cell("# A title"),
    new_code_cell("x = 1\nx"),
    new_markdown_cell('Prose with "source": [ in it.'),
    new_code_cell("x = 1\n1 / 0", outputs=[new_output("stream", text='"source": [\n')]),
    new_code_cell("boom"),
]


def failed(cell, said="", number=1):
    return Failure("error", "no", cell=cell, traceback=said, execution_count=number)


def lines_of(text, cells, *failures):
    lines = text.splitlines()
    return [lines[line_of(text, new_notebook(cells=cells), one) - 1].strip() for one in failures]


@pytest.mark.parametrize("form", ["ipynb", "py:percent", "md:myst", "Rmd"])
def test_the_line_is_that_of_the_cell_and_of_the_statement(form):
    notebook = new_notebook(cells=CELLS)
    text = nbformat.writes(notebook) if form == "ipynb" else jupytext.writes(notebook, form)
    found = lines_of(
        text,
        CELLS,
        failed(1),
        failed(3, "Cell In[1], line 9, in f()\nCell In[2], line 2\n----> 1 / 0", 2),
        failed(4, "Input In [3], in <cell line: 1>()", 3),
    )
    assert [one.removesuffix(",").strip('"').replace("\\n", "") for one in found] == [
        "x = 1",
        "1 / 0",
        "boom",
    ]
    second = line_of(text, notebook, failed(3))
    assert second > line_of(text, notebook, failed(1))


def test_a_source_in_one_line_of_json_is_found_too():
    notebook = new_notebook(cells=[new_code_cell("1 / 0\n2")])
    text = nbformat.writes(notebook, indent=None, split_lines=False)
    for below in (1, 2):
        line = line_of(text, notebook, failed(0, f"Cell In[1], line {below}"))
        assert text.splitlines()[line - 1].strip() == '"source": "1 / 0\\n2"'


@pytest.mark.parametrize("text", ["", "{", '{"cells": [', '{"cells": [{}', "# nothing of the kind"])
def test_what_cannot_be_found_is_the_first_line(text):
    assert line_of(text, new_notebook(cells=CELLS), failed(4)) == 1


def test_a_failure_in_no_cell_is_at_the_first_line():
    assert line_of("a\nb", new_notebook(cells=CELLS), failed(None)) == 1
    assert line_of("a\nb", new_notebook(cells=[]), failed(7)) == 1


def test_paths_are_named_from_the_workspace(tmp_path, monkeypatch):
    place = tmp_path / "book" / "a b.ipynb"
    monkeypatch.chdir(tmp_path)
    assert shown_from(place, {}) == "book/a b.ipynb"
    assert shown_from(place, {"GITHUB_WORKSPACE": str(tmp_path / "book")}) == "a b.ipynb"
