"""The built notebook: prose of the source, outputs of the run, the same bytes each time."""

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import from_dict

from nbbuild.notebook.merge import (
    ExecutedCell,
    ExecutedCells,
    align,
    decode,
    encode,
    executed_cells,
    merge,
)
from nbbuild.notebook.read import from_bytes
from nbbuild.notebook.write import to_bytes


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def shown(**data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def code(source: str, *outputs: Any, count: int | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"id-{abs(hash(source))}",
        "source": source,
        "metadata": metadata,
        "execution_count": count,
        "outputs": list(outputs),
    }


def prose(source: str, kind: str = "markdown") -> dict[str, Any]:
    return {"cell_type": kind, "id": f"of-{kind}", "source": source, "metadata": {}}


def book(*cells: dict[str, Any], **metadata: Any) -> Any:
    return from_dict(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)}
    )


def outputs(notebook: Any) -> list[Any]:
    return [(c.execution_count, c.outputs) for c in notebook.cells if c.cell_type == "code"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TEXT = st.text('ab"\\\n\r\x85\u2028\x0bé\ud800', max_size=8)
BUNDLE = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "image/png", "image/svg+xml", "application/json"]),
    TEXT | st.lists(TEXT, max_size=2) | JSON,
    max_size=3,
)
OUTPUTS = st.one_of(
    st.fixed_dictionaries({"output_type": st.just("stream"), "name": TEXT, "text": TEXT}),
    st.fixed_dictionaries(
        {"output_type": st.just("display_data"), "data": BUNDLE, "metadata": st.just({"a": {}})}
    ),
    st.fixed_dictionaries(
        {"output_type": st.just("error"), "ename": TEXT, "traceback": st.lists(TEXT, max_size=2)}
    ),
)


@given(st.lists(OUTPUTS, max_size=3), TEXT, JSON)
def test_the_text_of_a_notebook_is_what_nbformat_writes(made, source, metadata):
    attached = {**prose(source), "attachments": {"a.png": {"text/plain": source, "image/png": "x"}}}
    one = code(source, *made, count=3, more=metadata, trusted=True)
    notebook = book(one, attached, code(source), more=metadata, signature="x", orig_nbformat=3)
    expected = f"{nbformat.v4.writes_json(notebook)}\n".encode("utf-8", "replace")
    assert to_bytes(notebook) == expected
    assert to_bytes(book(more={})) == f"{nbformat.v4.writes_json(book(more={}))}\n".encode()


# -- merge -------------------------------------------------------------------------------------


def test_prose_and_metadata_are_the_sources_and_outputs_the_runs() -> None:
    source = book(
        prose("# New"),
        code("a", stream("stale"), count=9, tags=["hide-input"]),
        prose("raw", "raw"),
        code("  ", stream("stale"), count=9),
        code("b"),
        title="mine",
        kernelspec={"name": "python3", "display_name": "Mine"},
        language_info={"name": "python", "version": "2"},
        widgets={"stale": {}},
    )
    run = book(
        prose("# Old"),
        code("a", stream("of a"), count=1),
        code("b", shown(**{"text/plain": "of b"}), count=2),
        code(""),
        title="theirs",
        kernelspec={"name": "other", "display_name": "Other"},
        language_info={"name": "python", "version": "3"},
        widgets={"new": {}},
    )
    before = json.dumps(source)
    built = merge(source, executed_cells(run))
    assert [(c.cell_type, c.source) for c in built.cells] == [
        ("markdown", "# New"), ("code", "a"), ("raw", "raw"), ("code", "  "), ("code", "b"),
    ]  # fmt: skip
    assert outputs(built) == [
        (1, [stream("of a")]),
        (None, []),
        (2, [shown(**{"text/plain": "of b"})]),
    ]
    assert built.cells[1].metadata == {"tags": ["hide-input"]}
    assert built.metadata == {
        "title": "mine",
        "kernelspec": {"name": "python3", "display_name": "Mine"},
        "language_info": {"name": "python", "version": "3"},
        "widgets": {"new": {}},
    }
    assert json.dumps(source) == before
    nbformat.validate(built)


def test_the_runs_kernelspec_serves_where_the_source_has_none() -> None:
    spec = {"name": "python3", "display_name": "Python 3"}
    assert merge(book(), executed_cells(book(kernelspec=spec))).metadata == {"kernelspec": spec}


STATE = "application/vnd.jupyter.widget-state+json"


def test_skipped_cells_keep_what_the_source_has() -> None:
    def state(**widgets: Any) -> dict[str, Any]:
        return {STATE: {"version_major": 2, "version_minor": 0, "state": widgets}}

    skipped = code("slow", stream("kept"), count=5, tags=["skip-execution"])
    source = book(skipped, code("b"), widgets=state(old={}, both={"of": "source"}))
    run = book(code("slow"), code("b", count=1), widgets=state(new={}, both={"of": "run"}))
    built = merge(source, executed_cells(run))
    assert outputs(built) == [(5, [stream("kept")]), (1, [])]
    assert built.metadata == {"widgets": state(old={}, both={"of": "run"}, new={})}


def test_another_number_of_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the source has 1 code cells, the run had 2$"):
        merge(book(code("a"), code("")), executed_cells(book(code("a"), code("b"))))


# -- align -------------------------------------------------------------------------------------


def aligned(old: str, new: str) -> str:
    """Return the outputs that the cells of `new` get, one letter a cell."""
    run = executed_cells(book(*(code(letter, stream(letter), count=1) for letter in old)))
    result = align(book(prose("x"), *(code(letter) for letter in new)), run)
    assert [cell.source for cell in result.cells] == list(new)
    return "".join(cell.outputs[0]["text"] if cell.outputs else "." for cell in result.cells)


@pytest.mark.parametrize(
    ("old", "new", "got"),
    [
        ("abc", "abc", "abc"),
        ("abc", "aXc", "abc"),  # replaced: by position
        ("abc", "abXc", "ab.c"),  # inserted: nothing to show
        ("abc", "ac", "ac"),  # deleted
        ("abc", "aXYc", "ab.c"),
        ("abcd", "aXd", "abd"),
        ("", "ab", ".."),
        ("ab", "", ""),
    ],
)
def test_changed_code_keeps_what_can_be_kept(old: str, new: str, got: str) -> None:
    assert aligned(old, new) == got


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_what_is_aligned_can_be_merged(old: str, new: str) -> None:
    source = book(*(code(letter) for letter in new))
    run = executed_cells(book(*(code(letter, stream(letter)) for letter in old)))
    assert len(merge(source, align(source, run)).cells) == len(new)
    assert align(source, executed_cells(source)) == executed_cells(source)


# -- bytes -------------------------------------------------------------------------------------

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters()),  # halves of surrogate pairs too
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_bundles = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "image/svg+xml", "image/png"]),
    st.text(),
    max_size=2,
) | st.dictionaries(st.sampled_from(["application/json", "application/vnd.x+json"]), _json)
_outputs = st.builds(stream, st.text()) | st.builds(lambda data: shown(**data), _bundles)
_cells = st.lists(
    st.builds(
        ExecutedCell,
        source=st.text("ab\n", min_size=1).filter(str.strip),
        execution_count=st.none() | st.integers(1, 9),
        outputs=st.lists(_outputs, max_size=2),
    ),
    max_size=3,
)


@given(_cells)
def test_results_come_back_from_their_bytes(cells: list[ExecutedCell]) -> None:
    results = ExecutedCells(cells=tuple(cells), metadata={"language_info": {"name": "x"}})
    assert decode(encode(results)) == results
    assert encode(decode(encode(results))) == encode(results)
    source = book(*(code(cell.source) for cell in cells))
    assert executed_cells(merge(source, results)) == results


def test_nan_in_an_output_stays_nan() -> None:
    results = ExecutedCells((ExecutedCell("a", 1, [shown(**{"application/json": float("nan")})]),))
    value = decode(encode(results)).cells[0].outputs[0]["data"]["application/json"]
    assert value != value


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"cells": [1]}', b'{"metadata": {}}', b"[" * 100_000]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(data)


def test_the_file_is_written_as_jupyter_writes_it() -> None:
    notebook = book(
        code(
            "a\nb", stream("1\n2\n"), shown(**{"image/png": "x\ny", "text/html": "é\n<p>"}), count=1
        ),
        z=1,
        a=2,
    )
    notebook.cells[0]["id"] = "one"
    assert to_bytes(notebook).decode() == (
        '{\n "cells": [\n  {\n   "cell_type": "code",\n   "execution_count": 1,\n   "id": "one",\n'
        '   "metadata": {},\n   "outputs": [\n    {\n     "name": "stdout",\n'
        '     "output_type": "stream",\n     "text": [\n      "1\\n",\n      "2\\n"\n'
        "     ]\n    },\n"
        '    {\n     "data": {\n      "image/png": "x\\ny",\n      "text/html": [\n       "é\\n",\n'
        '       "<p>"\n      ]\n     },\n     "metadata": {},\n     "output_type": "display_data"\n'
        '    }\n   ],\n   "source": [\n    "a\\n",\n    "b"\n   ]\n  }\n ],\n'
        ' "metadata": {\n  "a": 2,\n  "z": 1\n },\n "nbformat": 4,\n "nbformat_minor": 5\n}\n'
    )


@given(_cells)
def test_a_written_notebook_is_valid_and_reads_as_it_was(cells: list[ExecutedCell]) -> None:
    source = book(*({**code(cell.source), "id": f"n{number}"} for number, cell in enumerate(cells)))
    data = to_bytes(merge(source, ExecutedCells(cells=tuple(cells))))
    assert to_bytes(merge(source, ExecutedCells(cells=tuple(cells)))) == data
    nbformat.validate(json.loads(data))
    assert to_bytes(from_bytes(data)) == data


def test_no_timestamp_gets_into_the_file() -> None:
    times = {"iopub.status.busy": "2026-01-01T00:00:00Z", "shell.execute_reply": "2026"}
    plain = to_bytes(book(code("a"), code("b", execution={"timeout": 3})))
    timed = book(code("a", execution=times), code("b", execution={"timeout": 3, **times}))
    assert to_bytes(timed) == plain
    assert timed.cells[0].metadata.execution == times
