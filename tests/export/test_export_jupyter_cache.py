"""What is written to a jupyter-cache is what MyST-NB finds there, and nothing else is."""

from __future__ import annotations

import json

import nbformat
import pytest
from jupyter_cache import get_cache
from myst_nb.core.read import myst_nb_reader_plugin
from notebook_sources import code, ipynb, prose

DEFAULT = "_build/.jupyter_cache"
TWINS = "from pathlib import Path\nprint(Path('data.txt').read_text())"

MYST = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {name: python3, display_name: Python 3}
---
# Text

```{code-cell} ipython3
:tags: [hide-input]
print("text")
```
"""


def export(project, *words, status=0):
    done = project.nbbuild("export", "jupyter-cache", *words, "--json")
    assert (done.status, done.ran) == (status, []), done.err
    return done.data


def found(project, path, where=DEFAULT):
    """Return what MyST-NB would show for a page: the texts of its outputs, None if it must run."""
    source = project.root / path
    read = myst_nb_reader_plugin if source.suffix == ".md" else nbf_reader
    try:
        _, notebook = get_cache(project.root / where).merge_match_into_notebook(read(str(source)))
    except KeyError:
        return None
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [output.text for cell in cells for output in cell.outputs]


def nbf_reader(path):
    return nbformat.read(path, 4)


@pytest.fixture
def two(project):
    """A project with a notebook and a text notebook, built."""
    project.config('[project]\nnotebooks = ["*.ipynb", "*.md"]')
    # A blank cell is never run, yet it counts for MyST-NB.
    project.write("a.ipynb", ipynb(["print('one')", "", prose("between"), "print('two')"]))
    project.write("b.md", MYST)
    project.build()
    return project


def test_pages_are_found_as_myst_nb_reads_them(two):
    done = export(two)
    assert done == {
        "exit_status": 0,
        "path": str(two.root / DEFAULT),
        "written": ["a.ipynb", "b.md"],
        "kept": [],
        "removed": [],
        "missing": [],
        "doctrees": [],
    }
    assert found(two, "a.ipynb") == ["one\n", "two\n"]
    assert found(two, "b.md") == ["text\n"]
    (record, _) = get_cache(two.root / DEFAULT).list_cache_records()
    assert record.uri == str(two.root / "a.ipynb")
    assert record.data["execution_seconds"] > 0


def test_a_second_export_writes_nothing(two):
    export(two)
    before = two.files()
    done = export(two)
    assert (done["written"], done["kept"]) == ([], ["a.ipynb", "b.md"])
    assert two.files() == before
    said = two.nbbuild("export", "jupyter-cache").err
    assert said == f"2 notebooks in {DEFAULT}, nothing changed\n"


def test_a_display_tag_gives_a_new_key_without_a_run_and_the_old_one_goes(two):
    export(two)
    two.write("b.md", MYST.replace("hide-input", "hide-output"))
    assert found(two, "b.md") is None
    assert two.verdicts() == {"a.ipynb": "fresh", "b.md": "refresh"}
    assert export(two)["written"] == ["b.md"]
    assert found(two, "b.md") == ["text\n"]
    assert len(get_cache(two.root / DEFAULT).list_cache_records()) == 2


def test_prose_changes_no_key(two):
    export(two)
    two.write("b.md", MYST.replace("# Text", "# Other text"))
    assert export(two)["written"] == []
    assert found(two, "b.md") == ["text\n"]


def test_a_page_out_of_date_has_no_result_there(project):
    project.config('[[notebook]]\npath = "a.ipynb"\nassets = ["data.txt"]')
    project.write("data.txt", "old")
    project.notebook("a.ipynb", TWINS)
    project.build()
    export(project)
    assert found(project, "a.ipynb") == ["old\n"]

    # jupyter-cache cannot see that the data changed.
    project.write("data.txt", "new")
    done = project.nbbuild("export", "jupyter-cache")
    assert (done.status, done.err) == (
        1,
        f"not exported: a.ipynb: asset 'data.txt' changed\n0 notebooks in {DEFAULT}, 1 removed\n",
    )
    assert found(project, "a.ipynb") is None

    assert project.build() == ["a"]
    assert export(project)["written"] == ["a.ipynb"]
    assert found(project, "a.ipynb") == ["new\n"]


def test_a_failed_page_has_no_result_there_whoever_made_it(project):
    project.config("")
    project.notebook("a.ipynb", "open('there.txt').close()")
    project.write("there.txt", "")
    project.build()
    export(project)
    # As Sphinx would have written it.
    cache = get_cache(project.root / DEFAULT)
    cache.cache_notebook_file(
        str(project.root / "_build/executed/a.ipynb"), check_validity=False, overwrite=True
    )
    (project.root / "there.txt").unlink()
    project.build(status=1)
    done = export(project, status=1)
    assert done["removed"] == ["a.ipynb"]
    (missing,) = done["missing"]
    assert missing["why"] == "'there.txt' is gone (In [2])"
    assert found(project, "a.ipynb") is None


def test_notebooks_that_the_key_cannot_tell_apart_are_named_and_left_out(project):
    project.config("")
    for folder, data in (("x", "X"), ("y", "Y")):
        project.write(f"{folder}/data.txt", data)
        project.notebook(f"{folder}/a.ipynb", TWINS, log=False)
    project.build()
    done = project.nbbuild("export", "jupyter-cache")
    why = (
        "has the same code but other outputs, and jupyter-cache tells notebooks apart by their "
        "code alone; change the code of one, if only by a comment"
    )
    assert (done.status, done.err) == (
        1,
        f"not exported: x/a.ipynb: 'y/a.ipynb' {why}\n"
        f"not exported: y/a.ipynb: 'x/a.ipynb' {why}\n"
        f"0 notebooks in {DEFAULT}, nothing changed\n",
    )
    assert found(project, "x/a.ipynb") is None

    project.write("y/data.txt", "X")
    project.build()
    done = export(project)
    assert done["written"] == ["x/a.ipynb", "y/a.ipynb"]  # the same outputs may be shared
    assert found(project, "x/a.ipynb") == found(project, "y/a.ipynb") == ["X\n"]

    project.write("y/data.txt", "Y")
    project.build()
    assert export(project, status=1)["removed"] == ["x/a.ipynb", "y/a.ipynb"]
    assert found(project, "x/a.ipynb") is None

    project.notebook("y/a.ipynb", TWINS + "  # of y", log=False)
    project.build()
    assert export(project)["written"] == ["x/a.ipynb", "y/a.ipynb"]
    assert (found(project, "x/a.ipynb"), found(project, "y/a.ipynb")) == (["X\n"], ["Y\n"])


def test_a_page_shows_its_notebook_as_it_stands_and_no_parameters(project):
    project.config(
        '[[notebook]]\npath = "a.ipynb"\nmatrix = { n = [1] }\n'
        '[[notebook]]\npath = "b.ipynb"\nname = "plain"\n'
        '[[notebook]]\npath = "b.ipynb"\nmatrix = { n = [3] }\n'
        '[[notebook]]\npath = "c.ipynb"\ncache = false'
    )
    for name in ("a", "b", "c"):
        cells = [code(f"n = 2  # {name}", tags=["parameters"]), "print(n)"]
        project.notebook(f"{name}.ipynb", *cells, log=False)
    project.build()
    done = project.nbbuild("export", "jupyter-cache")
    assert (done.status, done.err) == (
        0,
        "note: a.ipynb: it has parameters in each of its tasks, and the page shows it without\n"
        "note: c.ipynb: `cache = false`: no result of it is kept\n"
        f"1 notebook in {DEFAULT}, 1 written\n",
    )
    assert [found(project, f"{name}.ipynb") for name in "abc"] == [None, ["2\n"], None]

    # What Sphinx then executes itself stays, or it would execute it each time.
    cache = get_cache(project.root / DEFAULT)
    cache.cache_notebook_file(str(project.root / "c.ipynb"), check_validity=False)
    assert export(project)["removed"] == []
    assert found(project, "c.ipynb") == []


def test_aliases_of_kernels_are_found_as_well(project):
    project.config('[execution]\nkernel_aliases = { "conda-env-x" = "python3" }')
    project.notebook("a.ipynb", "print('aliased')", kernel="conda-env-x")
    project.build()
    export(project)
    assert found(project, "a.ipynb") == ["aliased\n"]
    # With nb_kernel_rgx_aliases MyST-NB asks for this instead.
    project.notebook("a.ipynb", "print('aliased')", kernel="python3")
    assert found(project, "a.ipynb") == ["aliased\n"]


def test_markdown_that_myst_nb_takes_for_prose_is_a_note(project):
    project.config('[project]\nnotebooks = ["*.md"]')
    project.write("a.md", MYST.replace("jupytext:", "other:"))
    project.build()
    done = project.nbbuild("export", "jupyter-cache")
    assert (done.status, done.err) == (
        0,
        "note: a.md: it is no notebook for MyST-NB: its header has no `jupytext` that says "
        f"`myst`\n0 notebooks in {DEFAULT}, nothing changed\n",
    )


def test_scripts_are_read_as_custom_formats_are(project):
    jupytext = pytest.importorskip("jupytext")
    project.config('[project]\nnotebooks = ["a.py"]')
    text = (
        "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n#     display_name: P\n# ---\n"
        "# %% [markdown]\n# # A script\n# %%\nprint('script')\n"
    )
    project.write("a.py", text)
    project.build()
    assert export(project)["written"] == ["a.py"]
    cache = get_cache(project.root / DEFAULT)
    _, notebook = cache.merge_match_into_notebook(jupytext.reads(text, fmt="py:percent"))
    assert notebook.cells[-1].outputs[0].text == "script\n"


def test_half_a_record_heals(two):
    export(two)
    cache = get_cache(two.root / DEFAULT)
    first, second = cache.list_cache_records()
    folder = two.root / DEFAULT / "executed"
    (folder / first.hashkey / "base.ipynb").unlink()
    (folder / second.hashkey / "base.ipynb").write_text("{}")
    assert export(two)["written"] == ["a.ipynb", "b.md"]
    assert found(two, "a.ipynb") == ["one\n", "two\n"]
    assert found(two, "b.md") == ["text\n"]


def test_a_limit_below_the_number_of_pages_is_raised(two):
    get_cache(two.root / DEFAULT).change_cache_limit(1)
    export(two)
    assert found(two, "a.ipynb") and found(two, "b.md")


def test_records_of_others_are_left_alone(two, tmp_path):
    other = tmp_path / "other.ipynb"
    other.write_text(ipynb(["'mine'"]))
    cache = get_cache(two.root / DEFAULT)
    cache.cache_notebook_file(str(other), check_validity=False)
    export(two)
    two.write("a.ipynb", ipynb(["print('changed')"]))
    two.build()
    export(two)
    assert [record.uri for record in cache.list_cache_records()] == [
        str(other),
        str(two.root / "b.md"),
        str(two.root / "a.ipynb"),
    ]


@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_is_no_jupyter_cache_is_not_written_into(two, name):
    two.write("file", "x")
    two.write("folder/notes.txt", "x")
    before = two.files()
    done = two.nbbuild("export", "jupyter-cache", name)
    assert (done.status, done.err) == (
        2,
        f"error: '{name}' is not a jupyter-cache\n  missing in it: global.db\n\n"
        "hint: name an empty folder, or one that does not exist\n",
    )
    assert two.files() == before


def test_a_damaged_database_is_an_error_that_says_what_to_do(two):
    two.write(f"{DEFAULT}/global.db", "no database " * 100)
    done = two.nbbuild("export", "jupyter-cache")
    assert done.status == 3
    assert done.err == (
        f"error: the jupyter-cache '{two.root / DEFAULT}' cannot be written\n"
        "  reason: (sqlite3.DatabaseError) file is not a database\n\n"
        "hint: if it is damaged, delete it: nbbuild writes it again without executing\n"
    )


def test_the_default_lies_beside_the_conf_py_around_all_notebooks(project):
    project.config("")
    project.write("docs/source/conf.py", "")
    project.notebook("docs/source/deep/a.ipynb", "print('a')")
    project.notebook("docs/source/b.ipynb", "print('b')")
    project.build()
    assert export(project)["path"] == str(project.root / "docs/source" / DEFAULT)
    assert export(project, "elsewhere/cache")["path"] == "elsewhere/cache"
    assert found(project, "docs/source/b.ipynb", "elsewhere/cache") == ["b\n"]


def test_a_pair_is_found_by_either_of_its_files(project):
    project.config('[project]\nnotebooks = ["a.ipynb"]')
    project.write("a.md", MYST.replace("jupytext: {", "jupytext: {formats: 'ipynb,md:myst', "))
    metadata = {"jupytext": {"formats": "ipynb,md:myst"}}
    cell = code('print("text")', tags=["hide-input", "of-the-pair"])
    project.write("a.ipynb", ipynb([prose("# Text"), cell], metadata=metadata))
    project.build()
    export(project)
    assert found(project, "a.md") == found(project, "a.ipynb") == ["text\n"]


def test_json_names_what_is_missing(project):
    project.config("")
    project.notebook("a.ipynb", "1")
    assert json.loads(project.nbbuild("export", "jupyter-cache", "--json").out)["missing"] == [
        {
            "source": "a.ipynb",
            "why": "it has not been run yet",
            "hint": "",
            "meant": False,
            "clash": False,
        }
    ]
