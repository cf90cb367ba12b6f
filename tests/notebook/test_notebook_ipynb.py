"""Reading `.ipynb` files: old and broken ones, and the ids of their cells."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbbuild.errors import NotebookError
from nbbuild.notebook.read import from_bytes, read

ROOT = Path("nowhere")


def code(source: Any, **more: Any) -> dict[str, Any]:
    empty = {"metadata": {}, "outputs": [], "execution_count": None}
    return {"cell_type": "code", "source": source, **empty, **more}


def ipynb(*cells: Any, minor: int = 5, **metadata: Any) -> bytes:
    notebook = {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": list(cells)}
    return json.dumps(notebook).encode()


def error_of(data: bytes) -> str:
    with pytest.raises(NotebookError) as caught:
        read(ROOT, "book/a.ipynb", data)
    return str(caught.value)


def ids(data: bytes) -> list[str]:
    return [cell["id"] for cell in read(ROOT, "a.ipynb", data).cells]


# -- what can be read --------------------------------------------------------------------------


def test_a_notebook_of_today_is_read_as_it_is() -> None:
    notebook = read(ROOT, "a.ipynb", ipynb(code(["a = 1\n", "b = 2"], id="one"), x=1))
    assert notebook.cells[0].source == "a = 1\nb = 2"
    assert notebook.cells[0]["id"] == "one"
    assert notebook.metadata == {"x": 1}
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4, 5, 6])
def test_every_minor_becomes_the_same(minor: int) -> None:
    notebook = read(ROOT, "a.ipynb", ipynb(code("1"), code("2"), minor=minor))
    assert notebook == read(ROOT, "a.ipynb", ipynb(code("1"), code("2")))
    nbformat.validate(notebook)


def test_version_3_is_converted() -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "old"},
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 2, "source": "Title", "metadata": {}},
                    {
                        "cell_type": "code",
                        "language": "python",
                        "input": "print(1)",
                        "prompt_number": 4,
                        "collapsed": False,
                        "metadata": {},
                        "outputs": [{"output_type": "stream", "stream": "stdout", "text": "1\n"}],
                    },
                ]
            }
        ],
    }
    data = json.dumps(old).encode()
    notebook = read(ROOT, "a.ipynb", data)
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        ("markdown", "## Title"),
        ("code", "print(1)"),
    ]
    assert notebook.cells[1].outputs[0].text == "1\n"
    assert notebook.metadata == {}
    assert notebook == read(ROOT, "a.ipynb", data)  # random ids do not get through
    nbformat.validate(notebook)


def test_a_byte_order_mark_and_dos_lines_do_no_harm() -> None:
    data = ipynb(code("1"))
    assert read(ROOT, "a.ipynb", b"\xef\xbb\xbf" + data.replace(b",", b",\r\n")) == read(
        ROOT, "a.ipynb", data
    )


def test_what_a_cell_lacks_is_filled_in_and_what_it_cannot_have_is_dropped() -> None:
    sloppy = [
        {"cell_type": "code", "source": "1", "prompt_number": 3},
        {"cell_type": "markdown", "source": "x", "outputs": [], "metadata": None},
        code("2", metadata={"tags": ["a", "a"], "collapsed": "yes", "mine": 1}),
        code("3", outputs=[{"output_type": "nonsense"}]),
    ]
    spec, info = {"name": "ir"}, {"version": "1"}
    notebook = read(ROOT, "a.ipynb", ipynb(*sloppy, kernelspec=spec, language_info=info))
    nbformat.validate(notebook)
    assert sorted(notebook.cells[0]) == [
        "cell_type", "execution_count", "id", "metadata", "outputs", "source",
    ]  # fmt: skip
    assert notebook.cells[2].metadata == {"tags": ["a"], "mine": 1}
    assert notebook.cells[3].outputs == []
    assert notebook.metadata == {"kernelspec": {"name": "ir", "display_name": "ir"}}


def test_null_is_what_some_programs_write_for_nothing() -> None:
    empty = code("1", outputs=None)
    notebook = read(ROOT, "a.ipynb", ipynb(empty, code(None), code("2", metadata=None)))
    assert [(c.source, c.outputs) for c in notebook.cells] == [("1", []), ("", []), ("2", [])]


def test_reading_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(ROOT, "a.ipynb", ipynb(code("1"), code("2", id="x"), code("3", id="x")))
        read(ROOT, "a.ipynb", ipynb(code("1"), minor=2))
    assert caplog.records == []


def test_notebooks_travel_as_bytes() -> None:
    assert from_bytes(ipynb(code("1", id="x"))).cells[0]["id"] == "x"


# -- ids ---------------------------------------------------------------------------------------


def test_valid_ids_stay_and_the_others_follow_from_the_cells() -> None:
    cells = [code("1", id="a"), code("2", id="a"), code("3", id="no id!"), code("4"), code("4")]
    first = ids(ipynb(*cells))
    assert first[0] == "a"
    assert len(set(first)) == 5
    assert ids(ipynb(*cells)) == first
    # An edit elsewhere leaves them alone.
    assert ids(ipynb(code("0"), *cells))[1:] == first


@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.sampled_from(["x", "y", "-", ""]))))
def test_ids_are_unique_and_the_same_each_time(cells: list[tuple[str, str | None]]) -> None:
    data = ipynb(*(code(source, **({} if id is None else {"id": id})) for source, id in cells))
    assert ids(data) == ids(data)
    assert len(set(ids(data))) == len(cells)


# -- what cannot be read -----------------------------------------------------------------------


def test_an_empty_file() -> None:
    assert error_of(b" \n") == (
        "'book/a.ipynb' is empty\n\n"
        "hint: a notebook without cells still holds JSON: create it in Jupyter, or remove it"
    )


def test_broken_json_is_shown_by_line_and_column() -> None:
    assert error_of(b'{\n "cells": [}\n') == (
        "'book/a.ipynb' is not valid JSON\n"
        "  line: 2, column 12\n"
        "  reason: Expecting value\n\n"
        "hint: restore it from version control, or fix that line"
    )


def test_a_number_that_python_does_not_read() -> None:
    assert error_of(b'{"nbformat": 4, "cells": [], "metadata": {"x": ' + b"9" * 5000 + b"}}") == (
        "'book/a.ipynb' holds a number with too many digits\n\n"
        "hint: no program needs it: put it into a text, or remove it"
    )


def test_a_merge_conflict_is_named() -> None:
    assert error_of(b'{\n<<<<<<< HEAD\n "cells": []\n=======\n}\n').endswith(
        "hint: it holds the marks of a merge conflict: resolve it first"
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[]", "its JSON is a list, not an object"),
        (b'{"a": 1}', "it has no 'nbformat' number"),
        (b'{"nbformat": "4"}', "it has no 'nbformat' number"),
        (b'{"nbformat": 4, "cells": {}}', "it has no list of 'cells'"),
        (b'{"nbformat": 4, "cells": [1]}', "it has no list of 'cells'"),
        (b'{"nbformat": 4, "cells": [], "metadata": 1}', "its 'metadata' is not an object"),
    ],
)
def test_other_json_is_no_notebook(data: bytes, reason: str) -> None:
    assert error_of(data) == (
        "'book/a.ipynb' is not a notebook\n"
        f"  reason: {reason}\n\n"
        "hint: leave it out with [project] exclude, or rename it"
    )


def test_a_format_of_the_future() -> None:
    assert error_of(b'{"nbformat": 5, "nbformat_minor": 1, "cells": []}') == (
        "'book/a.ipynb' is in a notebook format that is not known here\n"
        "  nbformat: 5.1\n"
        "  known: up to 4\n\n"
        "hint: upgrade nbformat and nbbuild, or save the notebook as nbformat 4"
    )


def test_a_cell_of_no_known_kind() -> None:
    assert error_of(ipynb(code("1"), {"cell_type": "sql", "source": ""})) == (
        "cell 2 of 'book/a.ipynb' is neither code, markdown nor raw\n"
        "  cell_type: 'sql'\n\n"
        "hint: open it in Jupyter and save it again"
    )


@pytest.mark.parametrize(
    "data", [ipynb({"cell_type": []}), b'{"nbformat": 1, "cells": [{"cell_type": null}]}']
)
def test_cells_that_even_nbformat_trips_over(data: bytes) -> None:
    assert error_of(data).endswith("\n\nhint: open it in Jupyter and save it again")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (code("1", outputs=[3]), "'int' object has no attribute 'get'"),
        (code(["1", 2]), "sequence item 1: expected str instance, int found"),
    ],
)
def test_a_malformed_cell_is_named(cell: Any, reason: str) -> None:
    assert error_of(ipynb(code("1"), cell)) == (
        "'book/a.ipynb' is not a valid notebook\n"
        "  where: cell 2\n"
        f"  reason: {reason}\n\n"
        "hint: open it in Jupyter and save it again"
    )


def test_an_invalid_source() -> None:
    assert error_of(ipynb(code("1"), code(3))) == (
        "'book/a.ipynb' is not a valid notebook\n"
        "  where: cell 2, source\n"
        "  reason: 3 is not valid under any of the given schemas\n\n"
        "hint: open it in Jupyter and save it again"
    )


def test_the_outputs_of_a_skipped_cell_must_be_valid() -> None:
    skipped = code("1", metadata={"tags": ["skip-execution"]}, outputs=[{"output_type": "x"}])
    assert error_of(ipynb(skipped)).startswith("'book/a.ipynb' is not a valid notebook\n")


def test_bytes_that_are_no_text() -> None:
    assert error_of(b'{\n"\xff') == (
        "'book/a.ipynb' is not UTF-8 text\n  line: 2\n  byte: 0xff at 3\n\nhint: save it in UTF-8"
    )


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match=r"^'a\.ipynb' does not exist$"):
        read(tmp_path, "a.ipynb")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cells", "cell_type", "source", "metadata", "outputs", "tags", "id"]),
            inner | st.sampled_from(["code", "markdown", "stream"]),
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from([1, 2, 3, 4]), _JSON, _JSON, _JSON)
def test_whatever_json_there_is_the_answer_is_a_notebook_or_our_error(
    major: int, metadata: Any, cells: Any, worksheets: Any
) -> None:
    whole = {"nbformat": major, "metadata": metadata, "cells": cells, "worksheets": worksheets}
    try:
        notebook = read(ROOT, "a.ipynb", json.dumps(whole).encode())
    except NotebookError:
        return
    nbformat.validate(notebook)
