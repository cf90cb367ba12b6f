"""Which files are paired, and the outputs that a text notebook takes from its other half."""

import json
from pathlib import Path

import pytest

from nbbuild.errors import NotebookError
from nbbuild.notebook.pairs import pair
from nbbuild.notebook.read import read


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    ("source", "formats", "others"),
    [
        ("a.ipynb", "", ()),
        ("a.ipynb", "ipynb,md:myst", ("a.md",)),
        ("a.md", "ipynb,md:myst", ("a.ipynb",)),
        ("a.py", "ipynb,py:percent,md", ("a.ipynb", "a.md")),
        ("b.py", "ipynb,py:percent", ()),  # b.ipynb does not exist
        ("notebooks/x/a.ipynb", "notebooks///ipynb,scripts///py:percent", ("scripts/x/a.py",)),
        ("scripts/x/a.py", "notebooks///ipynb,scripts///py:percent", ("notebooks/x/a.ipynb",)),
        ("a.ipynb", "ipynb,.pct.py:percent", ("a.pct.py",)),
        ("a.ipynb", "ipynb,auto:percent", ()),  # of no known language
        ("a.ipynb", "md,py", ()),  # renamed: not one of its own formats
    ],
)
def test_pairs_are_the_existing_files_of_the_formats(
    source: str, formats: str, others: tuple[str, ...], tmp_path: Path
) -> None:
    touch(tmp_path, "a.ipynb", "a.md", "a.py", "b.py", "a.pct.py")
    touch(tmp_path, "notebooks/x/a.ipynb", "scripts/x/a.py", "scripts/a.py")
    assert pair(tmp_path, source, formats) == others


def test_the_configuration_pairs_too(tmp_path: Path) -> None:
    (tmp_path / "jupytext.toml").write_text('[formats]\n"notebooks/" = "ipynb"\n"text/" = "md"\n')
    touch(tmp_path, "notebooks/sub/a.ipynb", "text/sub/a.md", "a.ipynb", "a.md")
    assert pair(tmp_path, "notebooks/sub/a.ipynb", "") == ("text/sub/a.md",)
    assert pair(tmp_path, "text/sub/a.md", "") == ("notebooks/sub/a.ipynb",)
    assert pair(tmp_path, "a.md", "") == ()
    assert pair(tmp_path, "a.md", "ipynb,md") == ("a.ipynb",)  # the notebook's word goes first


def test_formats_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotebookError) as caught:
        pair(tmp_path, "a.md", "ipynb,md:nonsense")
    assert caught.value.what == "'a.md' is paired with formats that Jupytext does not know"
    assert caught.value.facts[0] == ("formats", "ipynb,md:nonsense")


PAIRED = """---
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---

```{code-cell}
:tags: [skip-execution]
slow()
```

```{code-cell}
quick()
```
"""


def ipynb_with(source: str, tags: list[str]) -> dict[str, object]:
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": tags},
        "execution_count": 7,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": f"of {source}\n"}],
    }


def test_skipped_cells_take_the_outputs_of_the_paired_ipynb(tmp_path: Path) -> None:
    cells = [ipynb_with("quick()", []), ipynb_with("slow()", ["skip-execution"])]
    whole = {"nbformat": 4, "nbformat_minor": 4, "metadata": {"other": 1}, "cells": cells}
    (tmp_path / "a.ipynb").write_text(json.dumps(whole))
    slow, quick = read(tmp_path, "a.md", PAIRED.encode()).cells
    assert (slow.execution_count, slow.outputs[0].text) == (7, "of slow()\n")
    assert (quick.execution_count, quick.outputs) == (None, [])


def test_without_the_ipynb_there_are_no_outputs(tmp_path: Path) -> None:
    slow, _ = read(tmp_path, "a.md", PAIRED.encode()).cells
    assert slow.outputs == []


SHOWING = """# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# ![a plot](attachment:plot.png)

# %%
1

# %% [markdown]
# ![edited since](attachment:my%20map.png) ![moved](attachment:plot.png) ![](attachment:none.png)

# %% [markdown]
# No picture.
"""


def test_attachments_come_from_the_paired_ipynb(tmp_path: Path) -> None:
    def prose(source: str, **attached: str) -> dict[str, object]:
        bundles = {name: {"image/png": data} for name, data in attached.items()}
        return {
            "cell_type": "markdown",
            "source": source,
            "metadata": {},
            **({"attachments": bundles} if bundles else {}),
        }

    cells = [
        prose("![a plot](attachment:plot.png)", **{"plot.png": "cGxvdA==", "other.png": "bw=="}),
        ipynb_with("1", []),
        prose("![as it was](attachment:my%20map.png)", **{"my map.png": "bWFw"}),
        prose("No picture.", **{"lost.png": "bA=="}),
    ]
    whole = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}
    (tmp_path / "a.ipynb").write_text(json.dumps(whole))
    found = [cell.get("attachments") for cell in read(tmp_path, "a.py", SHOWING.encode()).cells]
    assert found == [
        {"plot.png": {"image/png": "cGxvdA=="}, "other.png": {"image/png": "bw=="}},
        None,
        {"my map.png": {"image/png": "bWFw"}, "plot.png": {"image/png": "cGxvdA=="}},
        None,
    ]
    (tmp_path / "a.ipynb").unlink()
    bare = read(tmp_path, "a.py", SHOWING.encode()).cells
    assert not any("attachments" in cell for cell in bare)
