"""Parameters that change nothing in a notebook."""

import pytest

from nbbuild.model import CodeCell, Parsed
from nbbuild.notebook.effects import without_effect


def said(
    *cells: str | CodeCell, names: tuple[str, ...] = ("year",), language: str = "python"
) -> list[str]:
    whole = tuple(
        CodeCell(at, cell) if isinstance(cell, str) else cell for at, cell in enumerate(cells)
    )
    return list(without_effect(Parsed(cells=whole), names, source="a.ipynb", language=language))


def declaring(source: str) -> CodeCell:
    return CodeCell(0, source, ("parameters",))


def test_a_name_that_no_cell_uses() -> None:
    assert said(declaring("year = 2000"), "print(year)", names=("yaer",)) == [
        "the parameter 'yaer' has no effect: no cell of 'a.ipynb' uses it; did you mean 'year'?"
    ]
    assert said("print(1)") == ["the parameter 'year' has no effect: no cell of 'a.ipynb' uses it"]


AGAIN = (
    "the parameter 'year' has no effect: cell 2 of 'a.ipynb' sets it again; "
    "tag that cell 'parameters', and the parameter comes after it"
)


def test_a_name_that_is_set_again() -> None:
    assert said("import os", "year = 2000", "print(year)") == [AGAIN]
    assert said(declaring("size = 1"), "year = 2000", "print(year)") == [
        "the parameter 'year' has no effect: cell 2 of 'a.ipynb' sets it again; "
        "set it in the cell that is tagged 'parameters' instead"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "year: int = 2000",
        "size, year = 1, 2",
        "# the year\nyear = 2000",
        "%matplotlib inline\nyear = 2",
    ],
)
def test_every_plain_assignment_sets_it(source: str) -> None:
    assert said("import os", source, "print(year)") == [AGAIN]


@pytest.mark.parametrize(
    "source",
    [
        "print(year)",
        "year = year + 1",
        "year += 1",
        "if 'year' not in globals():\n    year = 2000",
        "try:\n    year\nexcept NameError:\n    year = 2000",
        "def f():\n    return year",
        "def f():\n    global year",
        "frame.query('x > @year')",
        "f'{year}'",
        "!echo {year}",
        "%%bash -s $year\necho",
        "files = !ls {year}",
        "%run -i helper.py",
        "exec(open('x.py').read())",
        "years[year] = 1",
        "year[0] = 1",
        "no python year",
    ],
)
def test_what_may_use_it_does(source: str) -> None:
    assert said(source, "year = 1") == []


def test_what_is_declared_or_comes_before_the_parameters_is_well() -> None:
    assert said(declaring("year = 2000")) == []
    assert said(declaring("if 1:\n    year = 2000"), "year = 1") == []
    before = CodeCell(1, "size = 1", ("parameters",))
    assert said("year = 2000", before, "print(year)") == []
    injected = CodeCell(1, "year = 1", ("injected-parameters",))
    assert said("year = 2000", injected, "print(year)") == []


def test_cells_that_are_switched_off_use_nothing() -> None:
    assert len(said(CodeCell(0, "print(year)", ("skip-execution",)))) == 1


@pytest.mark.parametrize("source", ["year <- 2000", "year = 2000", "# the year\nyear <- 2000"])
def test_other_languages_are_read_by_lines(source: str) -> None:
    assert said("library(x)", source, "print(year)", language="R") == [AGAIN]


@pytest.mark.parametrize(
    "source", ["print(year)", "if (TRUE)\n  year <- 1", "year <- year + 1", "year == 1", "eval(y)"]
)
def test_in_other_languages_too_doubt_says_nothing(source: str) -> None:
    assert said(source, "year <- 1", language="R") == []
