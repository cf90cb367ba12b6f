"""Make the notebooks that are measured: trivial ones, plots, many cells, much output."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from blake3 import blake3

from nbbuild.disk.shapes import packed
from nbbuild.model import ActionKey, ArtefactFile, Fingerprint, Record, Trace
from nbbuild.store import Store

CONFIG = '[project]\nnotebooks = ["nb/**/*.ipynb"]\n'

PLOT = (
    "import numpy as np, pandas as pd",
    "import matplotlib.pyplot as plt",
    "frame = pd.DataFrame({{'x': np.linspace(0, {n} + 6, 200)}})\nframe['y'] = np.sin(frame.x)",
    "frame.plot(x='x', y='y')\nplt.title('{n}')",
    "frame.describe()",
)


def notebook(cells: Sequence[str], *, executed: bool = False) -> str:
    """Return a notebook of code cells; an `executed` one has an output in each."""
    shown = [{"output_type": "stream", "name": "stdout", "text": "1\n"}]
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {
                "kernelspec": {
                    "name": "python3",
                    "display_name": "Python 3 (ipykernel)",
                    "language": "python",
                }
            },
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"cell-{number}",
                    "metadata": {},
                    "source": source,
                    "execution_count": number + 1 if executed else None,
                    "outputs": shown if executed else [],
                }
                for number, source in enumerate(cells)
            ],
        },
        indent=1,
    )


def trivial(number: int) -> list[str]:
    """Return the cells of a notebook that does next to nothing."""
    return [f"value = {number}", "print(value)"]


def plotting(number: int, *, version: int = 1) -> list[str]:
    """Return the cells of a notebook with numpy, pandas, matplotlib and a plot."""
    return [*(cell.format(n=number) for cell in PLOT), f"version = {version}"]


def many_cells(number: int, cells: int = 60) -> list[str]:
    """Return many small cells that print."""
    return [f"print({number}, {cell}, sum(range({cell})))" for cell in range(cells)]


_PAGE = """\
---
kernelspec:
  name: python3
  display_name: Python 3
---

# Chapter {n}

Some words on what follows, as a book has them.

```{{code-cell}} ipython3
{imports}
```

```{{code-cell}} ipython3
frame = pd.DataFrame({{'x': np.linspace(0, {n} + 6, 400)}})
frame['y'] = np.sin(frame.x) * {n}
frame.head(10)
```

And a few more.

```{{code-cell}} ipython3
{more}
```

```{{code-cell}} ipython3
frame.describe()
```
"""


def book(root: Path) -> list[Path]:
    """Write a book of 30 MyST pages: tables on all, plots on 20, a helper for 10, two slow."""
    paths = []
    for n in range(30):
        imports = ["import numpy as np", "import pandas as pd"]
        more = ["frame.groupby(frame.x.round()).y.mean()"]
        if n % 3 != 2:
            imports.append("import matplotlib.pyplot as plt")
            more.append("frame.plot(x='x', y='y')\nplt.title('chapter')\nplt.show()")
        if n % 3 == 0:
            imports.append("from helper import scaled")
            more.append(f"scaled(frame, {n}).y.max()")
        if n in (7, 19):
            more.append("total = sum(i * i for i in range(20_000_000))")
        path = root / "nb" / f"chapter{n:02}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        page = _PAGE.format(n=n, imports="\n".join(imports), more="\n".join(more))
        path.write_text(page, encoding="utf-8")
        paths.append(path)
    helper = "def scaled(frame, factor):\n    return frame.assign(y=frame.y * factor)\n"
    (root / "nb/helper.py").write_text(helper, encoding="utf-8")
    (root / "jcache.toml").write_text(CONFIG.replace("ipynb", "md"), encoding="utf-8")
    return paths


def project(root: Path, sources: Sequence[Sequence[str]], *, config: str = "") -> list[Path]:
    """Write a project of one notebook for each of `sources`, a hundred to a folder."""
    paths = []
    for number, cells in enumerate(sources):
        path = root / "nb" / f"s{number // 100:03}" / f"n{number:05}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(notebook(cells), encoding="utf-8")
        paths.append(path)
    (root / "jcache.toml").write_text(CONFIG + config, encoding="utf-8")
    return paths


def built(root: Path, paths: Sequence[Path]) -> None:
    """Write built notebooks as if `paths` had been executed, for `nbbuild -t` to accept."""
    for path in paths:
        cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]
        target = root / "_build/executed" / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(notebook(cells, executed=True), encoding="utf-8")


def record_of_many_blobs(store: Store, count: int) -> Record:
    """Put `count` small artefacts into a store; return the record that names them."""
    code = Fingerprint("code", (("In [1]", "ab" * 32),))
    key = ActionKey(blake3(packed((code,))).hexdigest(), (code,))
    artefacts = []
    for number in range(count):
        data = os.urandom(400) + b"%d" % number
        artefacts.append(ArtefactFile(f"out/{number}", store.put(data), len(data)))
    return Record(
        id="a-record",
        key=key,
        trace=Trace(),
        task="a",
        source="a",
        cells=store.put(b"cells"),
        artefacts=tuple(artefacts),
    )
