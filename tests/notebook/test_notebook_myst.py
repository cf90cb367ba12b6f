"""MyST as mystmd writes it: fences of colons, and tags that are no list."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbbuild.notebook.code import parse
from nbbuild.notebook.myst import as_jupytext_reads
from nbbuild.notebook.read import read

HEADER = "---\nkernelspec:\n  name: python3\n---\n\n"


def cells(text: str) -> list[tuple[str, str]]:
    notebook = read(Path("nowhere"), "page.md", (HEADER + text).encode())
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def tags(options: str) -> tuple[str, ...]:
    text = f"{HEADER}```{{code-cell}}\n{options}\n1 / 0\n```\n"
    (cell,) = parse(read(Path("nowhere"), "page.md", text.encode()), "page.md").cells
    assert cell.source == "1 / 0"
    return cell.tags


def test_fences_of_colons_are_cells_beside_the_others() -> None:
    assert cells(
        "# T\n\n:::{code-cell} python\nx = 1\n:::\n\n"
        "::::  {code-cell}\n:::\n```\n~~~~\n::::\n\n"
        "```{code-cell} python\n1\n:::{code-cell}\n:::\n```\n\n"
        ":::{code-cell} python\nlast"
    ) == [
        ("markdown", "# T"),
        ("code", "x = 1"),
        ("code", "```\n~~~~"),
        ("code", "1\n:::{code-cell}\n:::"),
        ("code", "last"),
    ]


def test_what_only_shows_a_cell_stays_as_it_is() -> None:
    text = "````md\n:::{code-cell}\n:::\n````\n\n::::{myst}\n:::{code-cell}\n1\n:::\n::::"
    assert cells(text) == [("markdown", text)]


def test_options_are_read_in_both_ways() -> None:
    text = f"{HEADER}:::{{code-cell}}\n---\ntags: raises-exception\nname: x\n---\n1 / 0\n:::\n"
    notebook = read(Path("nowhere"), "page.md", text.encode())
    assert [(c.source, dict(c.metadata)) for c in notebook.cells] == [
        ("1 / 0", {"tags": ["raises-exception"], "name": "x"})
    ]


@pytest.mark.parametrize(
    ("options", "counted"),
    [
        (":tags: raises-exception", ("raises-exception",)),
        (":tags: [raises-exception]", ("raises-exception",)),
        (":tags: hide-input, raises-exception  # as it must", ("raises-exception",)),
        (":tags: 'raises-exception parameters'", ("parameters", "raises-exception")),
        (":name: x\n:tags: raises-exception", ("raises-exception",)),
        (":tags:", ()),
        (":tags:\n:  - raises-exception", ("raises-exception",)),
        ("---\ntags: raises-exception\n---", ("raises-exception",)),
        ("---\ntags:\n- raises-exception\n---", ("raises-exception",)),
    ],
)
def test_tags_may_be_words(options: str, counted: tuple[str, ...]) -> None:
    assert tags(options) == counted


_LINES = ["", "x", ":::", "::::", ":::{code-cell}", "```{code-cell}", "```", "~~~", ":::{note}"]
_LINES += [
    ":tags: a, b",
    "---",
    "tags: a",
    "tags:",
    "- b",
    "<div>",
    "> q",
    "# H",
    "::::{code-block}",
]


@given(st.lists(st.sampled_from(_LINES), max_size=12))
def test_lines_stay_where_they_are(lines: list[str]) -> None:
    text = "\n".join(lines)
    mended = as_jupytext_reads(text)
    assert mended.count("\n") == text.count("\n")
    pairs = zip(text.split("\n"), mended.split("\n"), strict=True)
    changed = {old for old, new in pairs if old != new}
    assert changed <= {":::", "::::", ":::{code-cell}", ":tags: a, b", "tags: a", "tags:"}
