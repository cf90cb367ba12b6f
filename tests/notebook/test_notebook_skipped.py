"""Which code cells a run leaves alone."""

from pathlib import Path
from typing import Any

import pytest
from nbformat import from_dict

from nbbuild.notebook.code import cell_digests, parse, running
from nbbuild.notebook.read import read
from nbbuild.notebook.skipped import is_skipped, is_switched_off


@pytest.mark.parametrize(
    "source",
    [
        "#| eval: false\n1 / 0",
        "#|eval: false\n1 / 0",
        "#|eval:false\n1 / 0",
        "# | eval: False\n1 / 0",
        "#| label: fig\n#| eval: false\n#| echo: true\n1 / 0",
        "\n#| eval: no\n1 / 0",
        "#| eval: OFF\n1 / 0",
        "#| eval: false  # too slow\n1 / 0",
        '#| eval: "false"\n1 / 0',
        "#| eval=FALSE, echo=TRUE\nstop('x')",
        "#| echo=TRUE, eval = F\nstop('x')",
        "//| eval: false\nthrow 1",
        "--| eval: false\nDROP TABLE x",
        "#| eval: true\n#| eval: false\n1 / 0",
    ],
)
def test_an_option_at_the_top_of_a_cell_switches_it_off(source: str) -> None:
    assert is_switched_off(source)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "1 / 0",
        "#| eval: true\n1 / 0",
        "#| eval: yes\n1 / 0",
        "#| echo: false\n1 / 0",
        "#| evaluate: false\n1 / 0",
        "#| no-eval: false\n1 / 0",
        "#| eval: falsely\n1 / 0",
        "#| eval: !expr interactive()\n1 / 0",
        "#| eval=interactive()\n1 / 0",
        "# eval: false\n1 / 0",
        "# a comment\n#| eval: false\n1 / 0",
        "x = 1\n#| eval: false\n1 / 0",
        "'''\n#| eval: false\n'''",
        "#| eval: false\n#| eval: true\n1 / 0",
    ],
)
def test_a_cell_runs_that_says_otherwise_or_says_it_elsewhere(source: str) -> None:
    assert not is_switched_off(source)


def cell(source: str = "1", **metadata: Any) -> Any:
    return from_dict({"cell_type": "code", "source": source, "metadata": metadata, "outputs": []})


def test_the_tag_the_chunk_option_and_the_comment_say_the_same() -> None:
    assert is_skipped(cell(tags=["skip-execution"]))
    assert is_skipped(cell(eval=False))
    assert is_skipped(cell("#| eval: false"))
    assert not is_skipped(cell(tags=["other"], eval=True))
    assert not is_skipped(cell(eval=[1, 2]))  # knitr: only these expressions of the chunk


CHUNKS = """```{python, eval=FALSE}
1 / 0
```

```{python, eval=TRUE}
print(1)
```

```{python}
#| eval: false
1 / 0
```
"""


def test_chunks_of_r_markdown_are_switched_off_and_that_is_part_of_the_code() -> None:
    def parsed(text: str) -> Any:
        return parse(read(Path("nowhere"), "a.Rmd", text.encode()), "a.Rmd")

    before, after = parsed(CHUNKS), parsed(CHUNKS.replace("=FALSE", "=TRUE"))
    assert [c.tags for c in before.cells] == [("skip-execution",), (), ("skip-execution",)]
    assert (running(before), running(after)) == (1, 2)
    assert [c.source for c in before.cells] == [c.source for c in after.cells]
    pairs = zip(cell_digests(before), cell_digests(after), strict=True)
    assert [old[1] == new[1] for old, new in pairs] == [False, True, True]
