"""What jupyter-cache takes for the same notebook, nbbuild does; where it sees more, it may."""

import copy
import json
from collections import Counter
from functools import partial

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_cache.cache.main import JupyterCacheBase

from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.judging.fingerprint import Used, action_key
from nbbuild.model import Settings, Task
from nbbuild.notebook.code import parse
from nbbuild.notebook.ipynb import read_ipynb

PAIRS = 400
KERNELS = ("python3", "ir", "julia-1.10")
DISPLAY_TAGS = ("hide-input", "remove-cell", "slow", "a b")
COUNTED_TAGS = ("raises-exception", "skip-execution", "parameters")

# -- mutations: each changes a notebook (as JSON) in place, if it finds something to change ------

SAME_FOR_BOTH, SET_ASIDE, DIFFERENT_FOR_BOTH, COUNTS_HERE = {}, {}, {}, {}


def mutation(group):
    def register(function):
        group[function.__name__] = function
        return function

    return register


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def runs(notebook):
    return [cell for cell in code_cells(notebook) if cell["source"].strip()]


def cell(kind, source, **more):
    code = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source, **code, **more}


@mutation(SAME_FOR_BOTH)
def prose(notebook, draw):
    """Prose comes, and what was there says something else."""
    for one in notebook["cells"]:
        if one["cell_type"] != "code":
            one["source"] += " More."
    place = draw(st.integers(0, len(notebook["cells"])))
    notebook["cells"].insert(place, cell(draw(st.sampled_from(["markdown", "raw"])), "Said."))


@mutation(SAME_FOR_BOTH)
def no_prose(notebook, draw):
    notebook["cells"] = code_cells(notebook)


@mutation(SAME_FOR_BOTH)
def outputs(notebook, draw):
    for number, one in enumerate(code_cells(notebook), start=7):
        one["execution_count"] = number
        one["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "shown"}]


@mutation(SAME_FOR_BOTH)
def ids(notebook, draw):
    notebook["nbformat_minor"] = 5
    for number, one in enumerate(notebook["cells"]):
        one["id"] = f"another-{number}"


@mutation(SAME_FOR_BOTH)
def no_ids(notebook, draw):
    notebook["nbformat_minor"] = draw(st.integers(0, 4))
    for one in notebook["cells"]:
        one.pop("id", None)


@mutation(SAME_FOR_BOTH)
def language_info(notebook, draw):
    notebook["metadata"]["language_info"] = {"name": "python", "version": "3.99"}


@mutation(SAME_FOR_BOTH)
def metadata(notebook, draw):
    notebook["metadata"].update(title="Another", authors=[{"name": "A"}], toc={"base": 1})


@mutation(SAME_FOR_BOTH)
def timeout(notebook, draw):
    notebook["metadata"].setdefault("execution", {})["timeout"] = draw(st.integers(1, 99))


@mutation(SAME_FOR_BOTH)
def order_of_keys(notebook, draw):
    for one in notebook["cells"]:
        for key in sorted(one):
            one[key] = one.pop(key)


@mutation(SAME_FOR_BOTH)
def lines(notebook, draw):
    """A source is written as a list of lines, as Jupyter does."""
    for one in notebook["cells"]:
        one["source"] = one["source"].splitlines(keepends=True)


@mutation(SET_ASIDE)
def display_name(notebook, draw):
    notebook["metadata"]["kernelspec"]["display_name"] = "Another Python"


@mutation(SET_ASIDE)
def kernel_language(notebook, draw):
    """The kernel's own kernel.json says its language."""
    notebook["metadata"]["kernelspec"]["language"] = "python"


@mutation(SET_ASIDE)
def tags(notebook, draw):
    for one in code_cells(notebook)[:1]:
        tag = draw(st.sampled_from(DISPLAY_TAGS))
        said = one["metadata"].setdefault("tags", [])
        said.remove(tag) if tag in said else said.append(tag)


@mutation(SET_ASIDE)
def order_of_tags(notebook, draw):
    for one in code_cells(notebook):
        one["metadata"].get("tags", []).reverse()


@mutation(SET_ASIDE)
def cell_metadata(notebook, draw):
    for one in code_cells(notebook)[-1:]:
        one["metadata"].update(collapsed=True, scrolled=False, jupyter={"source_hidden": True})


@mutation(SET_ASIDE)
def timing(notebook, draw):
    for one in code_cells(notebook):
        one["metadata"]["execution"] = {"iopub.execute_input": "2026-11-25T12:00:00.0Z"}


@mutation(SET_ASIDE)
def blank_cells(notebook, draw):
    place = draw(st.integers(0, len(notebook["cells"])))
    notebook["cells"].insert(place, cell("code", draw(st.sampled_from(["", " \n", "\t"]))))


@mutation(SET_ASIDE)
def no_blank_cells(notebook, draw):
    code = {id(one) for one in runs(notebook)}
    notebook["cells"] = [
        one for one in notebook["cells"] if one["cell_type"] != "code" or id(one) in code
    ]


@mutation(DIFFERENT_FOR_BOTH)
def source(notebook, draw):
    for one in runs(notebook)[-1:]:
        one["source"] += draw(st.sampled_from(["\n", " ", "  # said", "\nx += 1"]))


@mutation(DIFFERENT_FOR_BOTH)
def more_code(notebook, draw):
    place = draw(st.integers(0, len(notebook["cells"])))
    notebook["cells"].insert(place, cell("code", "print('more')"))


@mutation(DIFFERENT_FOR_BOTH)
def less_code(notebook, draw):
    for one in runs(notebook)[:1]:
        notebook["cells"] = [other for other in notebook["cells"] if other is not one]


@mutation(DIFFERENT_FOR_BOTH)
def order_of_code(notebook, draw):
    notebook["cells"].reverse()


@mutation(DIFFERENT_FOR_BOTH)
def commented_out(notebook, draw):
    """A code cell becomes prose."""
    for number, one in enumerate(notebook["cells"]):
        if one["cell_type"] == "code" and one["source"].strip():
            notebook["cells"][number] = cell("markdown", one["source"])
            return


@mutation(DIFFERENT_FOR_BOTH)
def counted_tags(notebook, draw):
    for one in runs(notebook)[:1]:
        tag = draw(st.sampled_from(COUNTED_TAGS))
        said = one["metadata"].setdefault("tags", [])
        said.remove(tag) if tag in said else said.append(tag)


@mutation(DIFFERENT_FOR_BOTH)
def kernel(notebook, draw):
    notebook["metadata"]["kernelspec"]["name"] = draw(st.sampled_from(KERNELS))


@mutation(COUNTS_HERE)
def allow_errors(notebook, draw):
    """It decides what is executed, and jupyter-cache does not look at it."""
    said = notebook["metadata"].setdefault("execution", {})
    said["allow_errors"] = draw(st.booleans())


ALL = {**SAME_FOR_BOTH, **SET_ASIDE, **DIFFERENT_FOR_BOTH, **COUNTS_HERE}


# -- notebooks ---------------------------------------------------------------------------------

SOURCES = st.sampled_from(
    ["x = 1", "print(x)\n", "1 / 0", "%matplotlib inline", "!ls", "# only a remark", "", "  ", "é"]
)
CELLS = st.builds(
    lambda kind, text, tags: cell(kind, text, metadata={"tags": tags} if tags else {}),
    st.sampled_from(["code", "code", "code", "markdown", "raw"]),
    SOURCES,
    st.lists(st.sampled_from(DISPLAY_TAGS + COUNTED_TAGS), unique=True, max_size=3),
)
NOTEBOOKS = st.builds(
    lambda cells, kernel: {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": kernel, "display_name": kernel}},
        "cells": [{**one, "id": f"cell-{number}"} for number, one in enumerate(cells)],
    },
    st.lists(CELLS, min_size=1, max_size=6),
    st.sampled_from(KERNELS),
)


# -- what both say -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jupyter_cache(tmp_path_factory):
    return JupyterCacheBase(tmp_path_factory.mktemp("jupyter_cache"))


def theirs(cache, text):
    """Return jupyter-cache's key."""
    return cache.create_hashed_notebook(nbformat.reads(text, as_version=nbformat.NO_CONVERT))[1]


def ours(text):
    """Return the action key, as far as a notebook's file has a say in it."""
    parsed = parse(read_ipynb("a.ipynb", text), "a.ipynb")
    return action_key(
        Task(name="a.ipynb", source="a.ipynb", built="out/a.ipynb"),
        parsed=parsed,
        settings=Settings(allow_errors=parsed.allow_errors, cwd="notebook"),
        kernel=Kernel(name=parsed.kernel, argv=(parsed.kernel,)),
        probe=None,
        used=Used(),
    ).digest


def changed(notebook, names, draw):
    """Return a copy of `notebook` with the mutations `names` made to it."""
    copied = copy.deepcopy(notebook)
    for name in names:
        for one in copied["cells"]:  # the last one may have written sources as lines
            one["source"] = "".join(one["source"])
        ALL[name](copied, draw)
    if copied["nbformat_minor"] == 5:
        for number, one in enumerate(copied["cells"]):
            one.setdefault("id", f"new-{number}")
    return copied


def same(key, notebooks):
    return len({key(json.dumps(notebook)) for notebook in notebooks}) == 1


def bare(notebook):
    """Return a notebook without all that DESIGN §2 sets aside and jupyter-cache counts."""
    spec = {"name": notebook["metadata"]["kernelspec"]["name"], "display_name": ""}
    cells = [{**one, "source": "".join(one["source"])} for one in code_cells(notebook)]
    kept = [
        {**one, "metadata": {"tags": sorted({*COUNTED_TAGS} & {*one["metadata"].get("tags", [])})}}
        for one in cells
        if one["source"].strip()
    ]
    return {**notebook, "metadata": {"kernelspec": spec}, "cells": kept}


def errors_allowed(notebook):
    return notebook["metadata"].get("execution", {}).get("allow_errors", False)


def test_same_there_is_same_here_and_what_differs_only_there_is_set_aside(jupyter_cache):
    tried = Counter()
    met = Counter()

    @settings(
        max_examples=PAIRS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def compare(data):
        first = data.draw(NOTEBOOKS)
        names = data.draw(st.lists(st.sampled_from(sorted(ALL)), min_size=1, max_size=3))
        pair = first, changed(first, names, data.draw)
        same_there, same_here = same(partial(theirs, jupyter_cache), pair), same(ours, pair)
        one_policy = len({errors_allowed(notebook) for notebook in pair}) == 1
        tried.update(names)
        met[same_there, same_here] += 1
        if same_there:
            assert same_here == one_policy
        # Nothing else than what is set aside may make the difference, and all of it does.
        same_bare = same(partial(theirs, jupyter_cache), map(bare, pair))
        assert same_here == (same_bare and one_policy)

    compare()
    # The generator shows what it is meant to show.
    assert sum(met.values()) >= PAIRS
    assert set(tried) == set(ALL)
    assert min(met[True, True], met[False, True], met[False, False]) > PAIRS / 10
    assert met[True, False] > 0


BASE = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "cells": [
        cell("markdown", "Title", id="a"),
        cell("code", "x = 1", id="b", metadata={"tags": ["hide-input", "slow"]}),
        cell("code", "", id="c"),
        cell("code", "print(x)", id="d"),
    ],
}
EXPECTED = (
    [(name, True, True) for name in SAME_FOR_BOTH]
    + [(name, False, True) for name in SET_ASIDE]
    + [(name, False, False) for name in DIFFERENT_FOR_BOTH]
    + [(name, True, False) for name in COUNTS_HERE]
)


@pytest.mark.parametrize(("name", "same_there", "same_here"), EXPECTED)
def test_each_change_by_itself(jupyter_cache, name, same_there, same_here):
    found = set()

    @settings(max_examples=5, derandomize=True, database=None, deadline=None)
    @given(st.data())
    def change(data):
        second = changed(BASE, [name], data.draw)
        if json.dumps(second) != json.dumps(BASE):
            pair = BASE, second
            found.add((same(partial(theirs, jupyter_cache), pair), same(ours, pair)))

    change()
    if name in COUNTS_HERE:  # `allow_errors = false` is what is there without it
        found.discard((True, True))
    assert found == {(same_there, same_here)}
