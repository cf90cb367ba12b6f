"""Notebooks of every format: which files are notebooks, how they are read, what they become."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from notebook_sources import LOG, code, ipynb, prose

KERNEL = "kernelspec:\n  name: python3\n  display_name: Python 3\n"

MYST = f"""---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
{KERNEL}---

# MyST

```{{code-cell}} ipython3
{{log}}
print("myst")
```
"""

PERCENT = """# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [markdown]
# # Percent

# %%
{log}
print("percent")
"""

LIGHT = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: light
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# # Light

# +
{log}

print("light")
# -
"""

R_MARKDOWN = """---
jupyter:
  kernelspec:
    name: python3
    display_name: Python 3
---

# R Markdown

```{python}
{log}
print("rmd")
```
"""

MARKDOWN = """---
jupyter:
  kernelspec:
    name: python3
    display_name: Python 3
---

# Markdown

```python
{log}
print("markdown")
```
"""

README = """# How to use this

```bash
echo ran > readme-ran
```

```python
open("readme-ran", "w")
```
"""

SKIPPED_OUTPUT = {"output_type": "stream", "name": "stdout", "text": "from the source\n"}


def listed(project):
    return {one["task"]: one["paired"] for one in project.nbbuild("list", "--json").data}


def cells(project, path):
    return project.built(path)["cells"]


def test_every_format_is_executed_and_built_but_no_readme_and_no_module(project):
    project.config('[project]\nnotebooks = ["**/*.ipynb", "**/*.md", "**/*.py", "**/*.Rmd"]\n')
    project.notebook("a.ipynb", 'print("ipynb")')
    for path, text in {
        "b.md": MYST, "c.py": PERCENT, "d.py": LIGHT, "e.Rmd": R_MARKDOWN, "f.md": MARKDOWN
    }.items():  # fmt: skip
        project.text(path, text)
    project.write("README.md", README)
    project.write("tools.py", 'open("tools-ran", "w")\n')
    sources = project.files()

    assert project.build() == ["a", "b", "c", "d", "e", "f"]
    said = {name: project.shown(f"{name}.ipynb") for name in "abcdef"}
    assert said == {
        "a": "ipynb\n", "b": "myst\n", "c": "percent\n", "d": "light\n", "e": "rmd\n",
        "f": "markdown\n",
    }  # fmt: skip
    for name, title in {"b": "MyST", "c": "Percent", "d": "Light", "e": "R Markdown"}.items():
        first = cells(project, f"{name}.ipynb")[0]
        assert (first["cell_type"], "".join(first["source"])) == ("markdown", f"# {title}")
    added = set(project.files()) - set(sources)
    assert added == {f"_build/executed/{name}.ipynb" for name in "abcdef"}
    assert {path: project.files()[path] for path in sources} == sources


def test_a_jupytext_pair_is_one_task_with_the_text_as_its_source(project):
    project.config("""
        [project]
        notebooks = ["*.ipynb", "*.md"]

        [[notebook]]
        path = "pair.ipynb"
        groups = ["paired"]
    """)
    paired = {"jupytext": {"formats": "ipynb,md:myst"}}
    project.write("pair.ipynb", ipynb(["old"], metadata=paired))
    project.text("pair.md", MYST.replace("jupytext:\n", "jupytext:\n  formats: ipynb,md:myst\n"))

    assert listed(project) == {"pair.md": ["pair.ipynb"]}
    assert project.nbbuild("list", "--json", "paired").data[0]["task"] == "pair.md"
    assert project.build("pair.ipynb") == ["pair"]
    assert project.shown("pair.ipynb") == "myst\n"
    assert project.build("pair.md") == []
    assert project.build("_build/executed/pair.ipynb") == []
    # The other file of the pair holds the same notebook: an edit of it is no reason to run.
    project.write("pair.ipynb", ipynb(["older"], metadata=paired))
    assert project.build() == []


def test_the_text_of_a_pair_is_the_source_also_when_only_the_ipynb_is_listed(project):
    project.config('[[notebook]]\npath = "pair.md"\ngroups = ["paired"]\n')
    paired = {"jupytext": {"formats": "ipynb,md:myst"}}
    project.write("pair.ipynb", ipynb(["old"], metadata=paired))
    text = MYST.replace("jupytext:\n", "jupytext:\n  formats: ipynb,md:myst\n")
    project.text("pair.md", text)

    assert listed(project) == {"pair.md": ["pair.ipynb"]}
    assert project.build("pair.ipynb") == ["pair"]
    assert project.shown("pair.ipynb") == "myst\n"
    assert project.build("paired") == []
    # Whoever edits the text edits the notebook.
    project.text("pair.md", text.replace('"myst"', '"edited"'))
    assert project.build() == ["pair"]
    assert project.shown("pair.ipynb") == "edited\n"

    (project.root / "pair.md").unlink()
    project.config("")
    assert listed(project) == {"pair.ipynb": []}


def test_a_loaded_file_that_is_gone_stops_only_its_notebook(project):
    project.config('[project]\nnotebooks = ["*.md", "*.ipynb"]\n')
    project.text("n.md", MYST + "\n```{code-cell} ipython3\n:load: code.py\n```\n")
    project.write("code.py", 'print("loaded")\n')
    project.notebook("z.ipynb", "print(1)")
    assert project.build() == ["n", "z"]

    # What n.md says is remembered by now, so nobody reads it again.
    (project.root / "code.py").unlink()
    project.notebook("z.ipynb", "print(2)")
    done = project.nbbuild()
    assert (done.status, done.ran) == (2, ["z"])
    assert (
        "failed n.md after 0.0 s: 'code.py', which a cell of 'n.md' loads, does not exist\n"
        "    hint: `:load:` paths are relative to the notebook's folder\n"
    ) in done.err
    assert project.verdicts() == {"n.md": "blocked", "z.ipynb": "fresh"}

    project.write("code.py", 'print("again")\n')
    assert project.build() == ["n"]


def test_the_file_that_a_myst_cell_loads_is_code_and_prose_is_not(project):
    project.config('[project]\nnotebooks = ["book/*.md"]\n')
    project.text("book/load.md", MYST + "\n```{code-cell} ipython3\n:load: ../lib/shown.py\n```\n")
    project.write("lib/shown.py", 'print("first")\n')
    assert project.build() == ["book/load"]
    assert project.shown("book/load.ipynb") == "myst\nfirst\n"

    project.write("lib/shown.py", 'print("second")\n')
    assert project.reasons("book/load.md") == ["cell 3 (In [2]) changed"]
    assert project.build() == ["book/load"]
    assert project.shown("book/load.ipynb") == "myst\nsecond\n"

    project.write("book/load.md", project.read("book/load.md").replace("# MyST", "# Prose"))
    assert project.build() == []
    assert cells(project, "book/load.ipynb")[0]["source"] == ["# Prose"]
    assert project.shown("book/load.ipynb") == "myst\nsecond\n"


def test_skipped_cells_keep_the_outputs_of_the_source_or_of_its_pair(project):
    project.config('[project]\nnotebooks = ["*.ipynb", "*.md"]\n')
    skipped = code(
        "open('skipped-ran', 'w')",
        tags=["skip-execution"],
        outputs=[SKIPPED_OUTPUT],
        execution_count=7,
    )
    project.notebook("one.ipynb", skipped, 'print("one")')
    other = {**skipped, "source": "open('pair-ran', 'w')", "id": "kept"}
    project.write("two.ipynb", ipynb([other], metadata={"jupytext": {"formats": "ipynb,md:myst"}}))
    project.text(
        "two.md",
        MYST.replace("jupytext:\n", "jupytext:\n  formats: ipynb,md:myst\n")
        + "\n```{code-cell} ipython3\n:tags: [skip-execution]\n\nopen('pair-ran', 'w')\n```\n",
    )

    assert project.build() == ["one", "two"]
    assert project.shown("one.ipynb") == "from the source\none\n"
    assert cells(project, "one.ipynb")[1]["execution_count"] == 7
    assert project.shown("two.ipynb") == "myst\nfrom the source\n"
    assert not project.exists("skipped-ran")
    assert not project.exists("pair-ran")


def test_two_clean_builds_in_two_folders_give_the_same_bytes(project):
    cells = (
        LOG.format(name="a"),
        "import warnings, sys\nwarnings.warn('careful')",
        "print('out')\nprint('err', file=sys.stderr)",
        "from IPython.display import HTML\ndisplay(HTML('<b>x</b>'), display_id=True)\n{1, 2}",
        code("1 / 0", tags=["raises-exception"]),
        prose("The end."),
    )
    for folder in ("first", "second"):
        project.write(f"{folder}/jcache.toml", '[project]\nnotebooks = ["*.ipynb", "*.md"]\n')
        project.write(f"{folder}/a.ipynb", ipynb(cells))
        project.write(f"{folder}/b.md", MYST.replace("{log}", LOG.format(name="b")))
        assert project.build("-C", folder) == ["a", "b"]
    for name in ("a", "b"):
        first, second = (
            project.read(f"{folder}/_build/executed/{name}.ipynb") for folder in ("first", "second")
        )
        assert first.splitlines() == second.splitlines()
    # ipykernel's name for a cell's code has the kernel's process id in it, and warnings show it.
    assert "UserWarning: careful" in project.read("first/_build/executed/a.ipynb")


def test_an_old_notebook_without_ids_is_built_as_a_valid_one_with_lasting_ids(project):
    project.config("")
    old = json.loads(ipynb([LOG.format(name="old"), prose("Prose."), "print(1)", "print(1)"]))
    old["nbformat_minor"] = 4
    for cell in old["cells"]:
        del cell["id"]
    project.write("old.ipynb", json.dumps(old))

    assert project.build() == ["old"]
    first = project.built("old.ipynb")
    assert (first["nbformat"], first["nbformat_minor"]) == (4, 5)
    nbformat.validate(first)
    ids = [cell["id"] for cell in first["cells"]]
    assert len(set(ids)) == 4

    old["cells"].insert(0, {"cell_type": "markdown", "metadata": {}, "source": "New."})
    project.write("old.ipynb", json.dumps(old))
    assert project.build() == []
    assert [cell["id"] for cell in cells(project, "old.ipynb")[1:]] == ids


def test_ids_of_the_source_are_kept_and_markdown_edits_are_shown_without_running(project):
    project.config("")
    project.notebook("a.ipynb", prose("Before."), "print(1)")
    assert project.build() == ["a"]
    assert [cell["id"] for cell in cells(project, "a.ipynb")] == ["cell-0", "cell-1", "cell-2"]

    project.notebook("a.ipynb", prose("After."), "print(1)")
    assert project.verdicts() == {"a.ipynb": "refresh"}
    assert project.build() == []
    assert cells(project, "a.ipynb")[1]["source"] == ["After."]
    assert project.shown("a.ipynb") == "1\n"
    assert project.verdicts() == {"a.ipynb": "fresh"}


def test_the_kernel_is_the_notebooks_own_or_an_alias_or_what_the_configuration_says(project):
    project.config("")
    project.notebook("away.ipynb", "print(1)", kernel="conda-env-x")
    bare = json.loads(ipynb([LOG.format(name="bare"), "print(2)"]))
    bare["metadata"] = {}
    project.write("bare.ipynb", json.dumps(bare))

    done = project.nbbuild()
    assert (done.status, done.ran) == (2, [])
    assert done.err.startswith("error: there is no kernel 'conda-env-x'")
    assert not project.exists("_build")

    project.config('[[notebook]]\npath = "away.ipynb"\nkernel = "python3"\n')
    assert project.build() == ["away", "bare"]
    assert project.shown("bare.ipynb") == "2\n"
    assert project.built("bare.ipynb")["metadata"]["language_info"]["name"] == "python"
    # The same interpreter by another name is the same input.
    project.config('[execution]\nkernel_aliases = { "conda-env-x" = "python3" }\n')
    assert project.build() == []
    project.config('[execution]\nkernel = "python3"\n')
    assert project.build() == []


IMPORTED = """
import json, sys
from nbbuild.__main__ import main
sys.argv = ["nbbuild", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"doit", "jupytext", "lark", "nbclient", "nbformat", "rich"}
print(json.dumps(sorted(heavy & sys.modules.keys())))
"""


def test_what_reads_notebooks_is_loaded_without_grammars_that_nobody_asks_for(project):
    project.config('[project]\nnotebooks = ["*.ipynb"]\n')
    notebook = json.loads(ipynb("1"))
    notebook["cells"][0]["metadata"]["tags"] = "hide"  # it should be a list: no ordinary notebook
    project.write("a.ipynb", json.dumps(notebook))
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, "list"],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == ["nbformat"]


def test_what_was_parsed_is_remembered_until_its_reader_is_configured_otherwise(project):
    project.config('[project]\nnotebooks = ["*.ipynb", "*.md", "*.py"]\n')
    project.notebook("a.ipynb")
    project.text("b.md", MYST)
    # Nothing in the file names its format, so the configuration decides.
    project.text("c.py", PERCENT + "\n2 + 2\n")

    def imported():
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED],
            cwd=project.root,
            env={**os.environ, **project.environ},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout), done.stderr

    assert project.build() == ["a", "b", "c"]
    nothing = "nothing to do: 3 notebooks are up to date\n"
    assert imported() == ([], nothing)

    project.write("jupytext.toml", 'cm_config_log_level = "info"\n')
    assert project.verdicts() == {"a.ipynb": "refresh", "b.md": "refresh", "c.py": "refresh"}
    project.write("jupytext.toml", 'preferred_jupytext_formats_read = "py:light"\n')
    assert project.verdicts() == {"a.ipynb": "refresh", "b.md": "refresh", "c.py": "run"}
    (project.root / "jupytext.toml").unlink()
    assert imported() == ([], nothing)


@pytest.mark.parametrize(
    "text", [README, "---\ntitle: A page\n---\n\n# Page\n\n```python\nx\n```\n"]
)
def test_a_text_without_a_header_of_a_notebook_is_none_even_as_the_only_match(project, text):
    project.config('[project]\nnotebooks = ["*.md"]\n')
    project.write("page.md", text)
    done = project.nbbuild()
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "error: no file that matches '*.md' is a notebook\n"
        "  declared in: jcache.toml, [project] notebooks\n"
        "  matches: page.md\n"
        "\n"
        "hint: a text notebook has a header with 'kernelspec' or 'jupytext', or a {code-cell}\n"
    )


SWITCHED_OFF = """---
jupyter:
  kernelspec:
    name: python3
---

```{{python, eval={}}}
print("guarded")
```

```{{python}}
{{log}}
print("rmd")
```
"""


def test_code_that_is_switched_off_is_shown_and_not_executed(project):
    kept = {"output_type": "stream", "name": "stdout", "text": ["from long ago\n"]}
    off = code("#| label: slow\n#| eval: false\nraise SystemError", outputs=[kept])
    project.notebook("a.ipynb", off, "#| eval: true\nprint('run')")
    project.text("b.Rmd", SWITCHED_OFF.format("FALSE"))
    project.config('[project]\nnotebooks = ["*.ipynb", "*.Rmd"]\n')

    assert project.build() == ["a", "b"]
    assert project.shown("a.ipynb") == "from long ago\nrun\n"
    assert project.shown("b.ipynb") == "rmd\n"
    assert project.built("b.ipynb")["cells"][0]["source"] == ['print("guarded")']
    assert project.build() == []

    project.text("b.Rmd", SWITCHED_OFF.format("TRUE"))
    assert project.build() == ["b"]
    assert project.shown("b.ipynb") == "guarded\nrmd\n"
    project.text("b.Rmd", SWITCHED_OFF.format("FALSE"))
    assert project.build() == []
    assert project.shown("b.ipynb") == "rmd\n"


def test_a_pair_whose_ipynb_was_edited_is_said_until_the_advice_is_followed(project):
    paired = {"jupytext": {"formats": "ipynb,py:percent"}}
    text = PERCENT.replace(
        "jupyter:\n", "jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n"
    )
    project.text("my pair.py", text)
    project.write("my pair.ipynb", ipynb(["print('old')"], metadata=paired))
    project.config('[project]\nnotebooks = ["*.ipynb"]\n')

    def aged(name, seconds):
        os.utime(project.root / name, (seconds, seconds))

    note = (
        "note: my pair.py: it runs the code of 'my pair.py', but 'my pair.ipynb' is newer and has "
        "other code; to take that of 'my pair.ipynb': jupytext --sync 'my pair.ipynb'; "
        "to keep that of 'my pair.py': touch 'my pair.py'\n"
    )
    aged("my pair.ipynb", 1_000_000_000)  # before the text, as after every edit of the text
    assert "note:" not in project.nbbuild().err
    aged("my pair.py", 1_000_000_000)
    aged("my pair.ipynb", 1_000_000_001)  # a checkout gives each file a time of its own
    assert "note:" not in project.nbbuild().err
    aged("my pair.ipynb", 1_000_000_009)
    assert project.nbbuild().err == f"{note}nothing to do: 1 notebook is up to date\n"
    assert project.nbbuild("status").err == f"{note}1 fresh\n"

    before = project.read("my pair.py")
    subprocess.run(["touch", "my pair.py"], cwd=project.root, check=True)
    assert "note:" not in project.nbbuild().err
    project.write("my pair.py", before)
    aged("my pair.py", 1_000_000_000)
    sync = [sys.executable, "-m", "jupytext", "--sync", "my pair.ipynb"]
    subprocess.run(sync, cwd=project.root, check=True, capture_output=True)
    assert "note:" not in project.nbbuild().err
    assert project.shown("my pair.ipynb") == "old\n"
