"""What counts as code, and what does not."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nbformat import from_dict

from nbbuild.errors import NotebookError
from nbbuild.model import CodeCell, Parsed
from nbbuild.notebook.code import cell_digests, parse, with_loads
from nbbuild.notebook.read import read


def code(source: str, *tags: str, **more: Any) -> dict[str, Any]:
    metadata = {"tags": list(tags), **more}
    return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": []}


def prose(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def book(*cells: dict[str, Any], **metadata: Any) -> Any:
    return from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells})


def digests(*cells: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return cell_digests(parse(book(*cells), "a.ipynb"))


def test_a_notebook_is_its_code_cells_that_are_not_blank() -> None:
    notebook = book(
        prose("# T"),
        code("x = 1 # !\n", "z", "skip-execution", "parameters"),
        code(" \n\t"),
        code("1/0", "raises-exception", raw="kept out"),
        kernelspec={"name": "ir", "display_name": "R", "language": "R"},
        execution={"timeout": 30, "allow_errors": True},
        jupytext={"formats": "ipynb,md:myst"},
    )
    assert parse(notebook, "a.ipynb") == Parsed(
        kernel="ir",
        language="R",
        cells=(
            CodeCell(index=1, source="x = 1 # !\n", tags=("parameters", "skip-execution")),
            CodeCell(index=3, source="1/0", tags=("raises-exception",)),
        ),
        timeout=30.0,
        allow_errors=True,
        formats="ipynb,md:myst",
    )
    assert parse(book(), "a.ipynb") == Parsed()


@pytest.mark.parametrize(
    ("source", "metadata", "language"),
    [
        ("a.ipynb", {}, ""),
        ("a.ipynb", {"kernelspec": {"name": "x", "language": "julia"}}, "julia"),
        ("a.ipynb", {"kernelspec": {"name": "x"}, "language_info": {"name": "R"}}, "R"),
        ("a.md", {"jupytext": {"main_language": "bash"}}, "bash"),
        ("a.md", {"jupytext": {"default_lexer": "ipython3"}}, "python"),
        ("a.md", {"jupytext": {"default_lexer": "julia"}}, "julia"),
        ("a.jl", {}, "julia"),
    ],
)
def test_the_language_is_said_or_that_of_the_format(
    source: str, metadata: dict[str, Any], language: str
) -> None:
    assert parse(book(**metadata), source).language == language


def test_a_text_notebook_without_kernelspec_has_a_language_and_no_kernel() -> None:
    parsed = parse(read(Path("nowhere"), "a.R", b"# %%\nx <- 1\n"), "a.R")
    assert (parsed.kernel, parsed.language) == ("", "R")


@pytest.mark.parametrize(
    ("value", "seconds"), [(30, 30.0), (1.5, 1.5), (0, 0.0), (-1, 0.0), (None, 0.0)]
)
def test_timeouts_are_those_of_nbclient(value: Any, seconds: float) -> None:
    assert parse(book(execution={"timeout": value}), "a.ipynb").timeout == seconds


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "timeout",
            "30",
            "'a.ipynb' has a metadata.execution.timeout that is not a number of seconds",
        ),
        (
            "timeout",
            True,
            "'a.ipynb' has a metadata.execution.timeout that is not a number of seconds",
        ),
        (
            "timeout",
            10**400,  # JSON holds it, and no number of seconds does
            "'a.ipynb' has a metadata.execution.timeout that is not a number of seconds",
        ),
        (
            "allow_errors",
            1,
            "'a.ipynb' has a metadata.execution.allow_errors that is not true or false",
        ),
    ],
)
def test_settings_of_a_wrong_type_are_named(key: str, value: Any, message: str) -> None:
    with pytest.raises(NotebookError) as caught:
        parse(book(execution={key: value}), "a.ipynb")
    assert str(caught.value) == (
        f"{message}\n  {key}: {value!r}\n\nhint: correct it in the notebook's metadata"
    )


def test_formats_auto_becomes_the_language() -> None:
    spec = {"name": "ir", "language": "R"}
    parsed = parse(book(kernelspec=spec, jupytext={"formats": "ipynb,x//auto:percent"}), "a.ipynb")
    assert parsed.formats == "ipynb,x//R:percent"
    assert parse(book(jupytext={"formats": "ipynb,auto"}), "a.ipynb").formats == "ipynb,auto"


# -- what changes the digests ------------------------------------------------------------------

sources = st.text("ab \n#", min_size=1, max_size=6)
cells_ = st.lists(st.tuples(sources, st.sets(st.sampled_from(["parameters", "hide"]))), max_size=4)


@given(cells_, st.data())
def test_prose_ids_outputs_other_tags_and_blank_cells_do_not_count(
    cells: list[tuple[str, set[str]]], data: st.DataObject
) -> None:
    plain = [code(source, *(tags - {"hide"})) for source, tags in cells]
    dressed = []
    for source, tags in cells:
        if data.draw(st.booleans()):
            dressed.append(data.draw(st.sampled_from([prose("text"), code(" \n"), code("")])))
        cell = code(source, "other", *tags, collapsed=True)
        cell |= {"id": data.draw(st.text("xyz")), "outputs": [{"text": "1"}], "execution_count": 3}
        dressed.append(cell)
    notebook = book(*dressed, kernelspec={"display_name": "else"}, language_info={"name": "x"})
    assert cell_digests(parse(notebook, "a.ipynb")) == digests(*plain)


@given(cells_, cells_)
def test_sources_their_order_and_counted_tags_count(
    one: list[tuple[str, set[str]]], other: list[tuple[str, set[str]]]
) -> None:
    def said(cells: list[tuple[str, set[str]]]) -> list[tuple[str, bool]]:
        return [(source, "parameters" in tags) for source, tags in cells if source.strip()]

    assume(said(one) != said(other))
    assert digests(*(code(s, *t) for s, t in one)) != digests(*(code(s, *t) for s, t in other))


def test_cells_are_numbered_without_the_blank_ones() -> None:
    (first, digest), (second, _) = digests(code("a"), code(""), code("b"))
    assert (first, second) == ("In [1]", "In [2]")
    assert len(digest) == 64


def test_a_source_cannot_pass_for_another_with_tags() -> None:
    assert digests(code("a", "parameters")) != digests(code("a10:parameters"))
    assert digests(code("a\nparameters")) != digests(code("a", "parameters"))


def test_half_a_surrogate_pair_has_a_digest() -> None:
    assert digests(code("'\ud800'")) != digests(code("'\udfff'"))


# -- loaded files ------------------------------------------------------------------------------

LOADING = b"```{code-cell}\n:load: x.py\n```\n\n```{code-cell}\nlast\n```\n"


def test_a_loaded_file_counts_as_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    loaded = tmp_path / "book/x.py"
    loaded.write_text("one\n")
    remembered = parse(read(tmp_path, "book/a.md", LOADING), "book/a.md")
    assert remembered.cells[0] == CodeCell(index=0, source="one\n", load="book/x.py")
    assert with_loads(tmp_path, remembered) == remembered

    loaded.write_text("two\n")
    now = with_loads(tmp_path, remembered)
    assert now == parse(read(tmp_path, "book/a.md", LOADING), "book/a.md")
    assert cell_digests(now)[0] != cell_digests(remembered)[0]
    assert cell_digests(now)[1] == cell_digests(remembered)[1]

    loaded.unlink()
    with pytest.raises(NotebookError, match=r"^'book/x\.py', which a cell loads, does not exist"):
        with_loads(tmp_path, remembered)


def test_a_blank_file_that_gets_text_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("\n")
    remembered = parse(read(tmp_path, "a.md", LOADING), "a.md")
    assert [cell.source for cell in with_loads(tmp_path, remembered).cells] == ["last"]
    assert [name for name, _ in cell_digests(remembered)] == ["In [1]"]

    (tmp_path / "x.py").write_text("first\n")
    assert [c.source for c in with_loads(tmp_path, remembered).cells] == ["first\n", "last"]


def test_without_loads_nothing_is_read() -> None:
    parsed = parse(book(code("x", load="gone.py")), "a.ipynb")
    assert with_loads(Path("nowhere"), parsed) is parsed
    assert parsed.cells[0].load == ""
