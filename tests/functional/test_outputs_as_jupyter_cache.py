"""The kinds of notebooks that jupyter-cache tests with give the same outputs here."""

import re

import nbformat
import pytest
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from notebook_sources import code, ipynb, prose

from nbbuild.kernels.kernel import plain

pytestmark = pytest.mark.slow

COMPLEX = [
    prose("# Title\n\n$a = b$"),
    code(
        "import matplotlib.pyplot as plt, pandas as pd, sys\n"
        "from IPython.display import HTML, Image, Latex, Markdown, SVG, clear_output, display\n"
        "pd.set_option('display.max_rows', 4)",
        metadata={"init_cell": True},
    ),
    "print('''several\nlines''')\nprint('to stderr', file=sys.stderr)\nprint('again')",
    "plt.plot([1, 4, 9])\nplt.title('squares');",
    "pd.DataFrame({'a': [r'$\\delta$', 'é'], 'b': [1.5, None]}).set_index('a')",
    "Latex('$$ a = b + c $$')",
    "display(HTML('<b>x</b>'), Markdown('*y*'), metadata={'m': 1})\n6 * 7",
    "handle = display('first', display_id='shown')\nhandle.update('second')",
    "print('gone'); clear_output(wait=True); print('left')",
    code("raise ValueError('let through')", tags=["raises-exception"]),
    code("print('never')", tags=["skip-execution"]),
    "",
    "%%html\n<i>magic</i>",
    "!echo from the shell",
]

NOTEBOOKS = {
    "complex": COMPLEX,
    "failing": ["print('before')", "raise Exception('oopsie!')", "print('after')"],
    "slow": ["print('soon', flush=True)\nimport time\ntime.sleep(60)"],
    "lenient": ["1 / 0", "print('after')"],
}
WRITES = "with open('artifact.txt', 'w') as file:\n    file.write('hi')"
METADATA = {
    "slow": {"execution": {"timeout": 1}},
    "lenient": {"execution": {"allow_errors": True}},
}
MYST = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---

# Title

```{code-cell} ipython3
:tags: [hide-input]

print("in MyST")
6 * 7
```
"""


def plain_outputs(notebook):
    """Return the outputs of each code cell, without what no two runs share."""
    return [
        [without_places(output) for output in one["outputs"]]
        for one in notebook["cells"]
        if one["cell_type"] == "code" and one["source"].strip()
    ]


def without_places(output):
    if output["output_type"] == "error":
        text = plain("\n".join(output["traceback"]))
        # A cell's file is named after the process.
        return {**output, "traceback": re.sub(r"ipykernel_\d+/\d+", "ipykernel", text)}
    return {**output}


@pytest.fixture
def theirs(tmp_path, project):
    """What jupyter-cache itself makes of the notebooks, by name: outputs, or a traceback."""

    def execute(names):
        cache = get_cache(tmp_path / "jupyter_cache")
        for name in names:
            reader = "jupytext" if name.endswith(".md") else "nbformat"
            cache.add_nb_to_project(
                str(project.root / name), read_data={"name": reader, "type": "plugin"}
            )
        result = load_executor("local-serial", cache).run_and_cache(timeout=30)
        outputs = {}
        for record in cache.list_project_records():
            name = record.uri.removeprefix(f"{project.root}/")
            try:
                _, merged = cache.merge_match_into_notebook(
                    cache.get_project_notebook(record.pk).nb
                )
            except KeyError:
                outputs[name] = record.traceback
            else:
                outputs[name] = plain_outputs(merged)
        return result, outputs

    return execute


def test_outputs_agree(project, theirs):
    for name, cells in NOTEBOOKS.items():
        project.write(f"{name}.ipynb", ipynb(list(cells), metadata=METADATA.get(name)))
    # Of nbformat 4.4, which has no ids.
    old = nbformat.reads(ipynb([WRITES, "a = 1\nprint(a)"]), as_version=4)
    old.nbformat_minor = 4
    for one in old.cells:
        del one["id"]
    project.write("old.ipynb", nbformat.writes(old, nbformat.NO_CONVERT))
    project.write("text.md", MYST)
    project.config('[project]\nnotebooks = ["*.ipynb", "*.md"]\n')
    names = [*(f"{name}.ipynb" for name in NOTEBOOKS), "old.ipynb", "text.md"]

    done = project.nbbuild("--json", "-j2")
    result, outputs = theirs(names)
    ours = {one["source"]: one for one in done.data["outcomes"]}

    failed = {name for name, one in ours.items() if one["kind"] == "failed"}
    assert failed == {"failing.ipynb", "slow.ipynb"}
    assert {uri.removeprefix(f"{project.root}/") for uri in result.excepted} == failed
    assert not result.errored
    for name in sorted(set(names) - failed):
        path = f"_build/executed/{name.rpartition('.')[0]}.ipynb"
        built = nbformat.read(project.root / path, as_version=nbformat.NO_CONVERT)
        assert plain_outputs(built) == outputs[name], name
    # Both keep why it failed; only here is the notebook kept as far as it went.
    assert "Exception: oopsie!" in plain(outputs["failing.ipynb"])
    assert ours["failing.ipynb"]["failure"]["message"] == "Exception: oopsie!"
    assert "CellTimeoutError" in outputs["slow.ipynb"]
    assert ours["slow.ipynb"]["failure"]["kind"] == "timeout"
    assert project.read("artifact.txt") == "hi"
