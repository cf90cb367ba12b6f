"""Reading text notebooks through Jupytext, with what it leaves to us."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from nbbuild.errors import NotebookError
from nbbuild.notebook.code import parse
from nbbuild.notebook.read import read
from nbbuild.notebook.write import to_bytes

HEADER = """---
title: Hello
date: 2024-01-01
kernelspec:
  display_name: Python 3
  name: python3
execution:
  timeout: 5
---
"""
MYST = (
    HEADER
    + """
# Title

```{code-cell} ipython3
:tags: [parameters, hide-input]
:when: 2024-02-03

x = 1
```

```bash
rm -rf build
```

```{code-cell} ipython3
```
"""
)
SCRIPT = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

"""


def cells(source: str, text: str, root: Path = Path("nowhere")) -> list[tuple[str, str]]:
    notebook = read(root, source, text.encode())
    nbformat.validate(notebook)
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


# -- each format -------------------------------------------------------------------------------


def test_myst_markdown() -> None:
    notebook = read(Path("nowhere"), "a.md", MYST.encode())
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        ("markdown", "# Title"),
        ("code", "x = 1"),
        ("markdown", "```bash\nrm -rf build\n```"),
        ("code", ""),
    ]
    assert notebook.cells[1].metadata == {
        "tags": ["parameters", "hide-input"],
        "when": "2024-02-03",  # JSON has no dates
    }
    assert notebook.metadata["date"] == "2024-01-01"
    nbformat.validate(notebook)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("percent.py", SCRIPT + "# %% [markdown]\n# Title\n\n# %%\nx = 1\n"),
        ("hydrogen.py", SCRIPT + "# %% [markdown]\n# Title\n\n# %%\n%time x = 1\n"),
        ("light.py", SCRIPT + "# Title\n\nx = 1\n"),
        ("nomarker.jl", "# Title\n\nx = 1\n"),
        ("spin.R", "#' Title\n\nx = 1\n"),
        ("plain.R", "# Title\n\nx = 1\n"),
        ("page.Rmd", "Title\n\n```{r}\nx = 1\n```\n"),
        (
            "page.md",
            "---\njupyter:\n  jupytext:\n    a: 1\n---\n\nTitle\n\n```python\nx = 1\n```\n",
        ),
        ("page.markdown", "Title\n\n```python\nx = 1\n```\n"),
        ("page.myst", "Title\n\n```{code-cell}\nx = 1\n```\n"),
        ("code.cpp", "// Title\n\nx = 1\n"),
        ("code.hs", "-- Title\n\nx = 1\n"),
        ("code.ml", "(* Title *)\n\nx = 1\n"),
        ("code.js", "// %% [markdown]\n// Title\n\n// %%\nx = 1\n"),
    ],
)
def test_each_format_gives_prose_and_code(source: str, text: str) -> None:
    code = "%time x = 1" if "%time" in text else "x = 1"
    assert cells(source, text) == [("markdown", "Title"), ("code", code)]


def test_sphinx_gallery_scripts() -> None:
    text = f'"""\nTitle\n"""\n\nx = 1\n\n{"#" * 79}\n# Text\n\ny = 2\n\n{"#" * 79}\n# End\n'
    assert cells("gallery.py", text) == [
        ("code", "%matplotlib inline"),
        ("markdown", "Title"),
        ("code", "x = 1"),
        ("markdown", "Text"),
        ("code", "y = 2"),
        ("markdown", "End"),
    ]


def test_dos_lines_and_a_byte_order_mark_do_no_harm() -> None:
    assert cells("a.md", "\ufeff" + MYST.replace("\n", "\r\n")) == cells("a.md", MYST)


def test_an_empty_file_is_a_notebook_without_cells() -> None:
    assert cells("a.py", "") == []
    assert cells("a.md", "") == []


def test_a_page_with_a_myst_header_is_myst_even_without_code_cells() -> None:
    page = HEADER + "\n```bash\nrm -rf build\n```\n"
    assert cells("a.md", page) == [("markdown", "```bash\nrm -rf build\n```")]


def test_a_kernelspec_needs_no_display_name() -> None:
    block = "---\nkernelspec:\n  name: ir\n---\n\n```{code-cell}\n1\n```\n"
    flow = "---\nkernelspec: {name: ir}\n---\n\n```{code-cell}\n1\n```\n"
    script = "# ---\n# jupyter:\n#   kernelspec:\n#     language: R\n#     name: ir\n# ---\n\n1\n"
    ocaml = "(* --- *)\n(* jupyter: *)\n(*   kernelspec: *)\n(*     name: ir *)\n(* --- *)\n\n1\n"
    for source, text in [("a.md", block), ("a.md", flow), ("a.R", script), ("a.ml", ocaml)]:
        spec = read(Path("nowhere"), source, text.encode()).metadata["kernelspec"]
        assert (spec["name"], spec["display_name"]) == ("ir", "ir")
        assert parse(read(Path("nowhere"), source, text.encode()), source).kernel == "ir"


# -- the same each time ------------------------------------------------------------------------


def test_two_readings_are_the_same_and_an_edit_elsewhere_leaves_ids_alone() -> None:
    before = read(Path("nowhere"), "a.md", MYST.encode())
    assert before == read(Path("nowhere"), "a.md", MYST.encode())
    after = read(Path("nowhere"), "a.md", MYST.replace("# Title", "# New\n\n+++\n\n# T").encode())
    assert [c["id"] for c in after.cells][2:] == [c["id"] for c in before.cells][1:]


def test_two_processes_write_the_same_bytes() -> None:
    text = "# %% a=1 b=2 c=3 d=4 e=5\nx = 1\n"  # Jupytext gathers these keys in a set
    code = (
        "import sys; from pathlib import Path; from nbbuild.notebook import merge, read;"
        f"data = merge.to_bytes(read.read(Path('.'), 'a.py', {text.encode()!r}));"
        "import hashlib; print(hashlib.sha256(data).hexdigest())"
    )
    ours = hashlib.sha256(to_bytes(read(Path(), "a.py", text.encode()))).hexdigest()
    for seed in "12":
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == ours


def test_jupytext_prints_no_warnings(recwarn: pytest.WarningsRecorder) -> None:
    cells("a.md", "```{code-cell} python\n1\n```\n\n```{code-cell} julia\n1\n```\n")
    assert len(recwarn) == 0


# -- :load: ------------------------------------------------------------------------------------

LOADING = "```{code-cell}\n:load: ../code/x.py\n\nignored\n```\n"


def test_a_loaded_file_is_the_source_of_its_cell(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/x.py").write_bytes(b"\xef\xbb\xbfx = 1\r\ny = 2\r\n")
    assert cells("book/a.md", LOADING, tmp_path) == [("code", "x = 1\ny = 2\n")]


def test_a_missing_loaded_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotebookError) as caught:
        cells("book/a.md", LOADING, tmp_path)
    assert str(caught.value) == (
        "'code/x.py', which a cell of 'book/a.md' loads, does not exist\n\n"
        "hint: `:load:` paths are relative to the notebook's folder"
    )


def test_a_load_that_names_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotebookError) as caught:
        cells("book/a.md", "```{code-cell}\n:load: [1]\n```\n", tmp_path)
    assert str(caught.value) == (
        "'book/a.md' has a `:load:` that names no file\n"
        "  load: [1]\n\n"
        "hint: write `:load: path/to/file`, relative to the notebook"
    )


def test_load_means_nothing_in_other_formats(tmp_path: Path) -> None:
    assert cells("a.py", '# %% load="x.py"\nx = 1\n', tmp_path) == [("code", "x = 1")]


# -- configuration -----------------------------------------------------------------------------


def test_the_configuration_of_the_folder_applies(tmp_path: Path) -> None:
    text = "x = 1\n\n# prose\n"
    assert cells("book/a.py", text, tmp_path)[-1] == ("markdown", "prose")
    (tmp_path / "jupytext.toml").write_text('preferred_jupytext_formats_read = "py:percent"\n')
    assert cells("book/a.py", text, tmp_path) == [("code", "x = 1\n\n# prose")]


def test_a_wrong_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "jupytext.toml").write_text("formats = \n")
    with pytest.raises(NotebookError) as caught:
        cells("book/a.py", "", tmp_path)
    assert caught.value.what == "'book/a.py' cannot be read: its Jupytext configuration is wrong"
    assert caught.value.facts[0] == ("file", "jupytext.toml")
    assert caught.value.hint == "correct it, or move it away"


# -- what cannot be read -----------------------------------------------------------------------


def error_of(source: str, text: str) -> str:
    with pytest.raises(NotebookError) as caught:
        cells(source, text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "text", "line", "reason"),
    [
        ("a.md", "---\nkernelspec:\n  name: x: y\n---\n", 3, "mapping values are not allowed here"),
        (
            "a.py",
            "#!/bin/x\n# ---\n# jupyter:\n#   kernelspec:\n#     name: x: y\n# ---\n",
            5,
            "mapping values are not allowed here",
        ),
        ("a.py", "# ---\n# jupyter:\n# ---\n\n1\n", 2, "'jupyter' has no keys of its own"),
        ("a.md", "---\njupytext: 1\n---\n", 2, "'jupytext' has no keys of its own"),
    ],
)
def test_a_wrong_header_is_shown_by_line(source: str, text: str, line: int, reason: str) -> None:
    assert error_of(source, text) == (
        f"the header of '{source}' cannot be read\n"
        f"  line: {line}\n"
        f"  reason: {reason}\n\n"
        "hint: it is YAML: check the indentation, and quote values that hold a colon"
    )


def test_an_option_of_a_cell_is_shown_by_its_line_in_the_file() -> None:
    text = "---\nkernelspec:\n  name: x\n---\n\n```{code-cell}\n:tags: [a\n1\n```\n"
    assert error_of("a.md", text) == (
        "'a.md' cannot be read by Jupytext\n"
        "  reason: Code cell 0 at line 6 could not be read: Invalid YAML; "
        "while parsing a flow sequence\n\n"
        "hint: fix what it names, then try `jupytext --to ipynb` on the file"
    )


_LISTS = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 12))]
_TOO_MUCH = "its aliases stand for more than 1,000,000 values"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.md", "---\nkernelspec: {name: x}\n@@\n---\n"),
        ("a.md", "---\njupyter:\n  kernelspec: {name: x}\n@@\n---\n"),
        ("a.md", "---\nkernelspec: {name: x}\n---\n\n```{code-cell}\n---\n@@\n---\n1\n```\n"),
        ("a.md", "---\nkernelspec: {name: x}\n---\n\n```{raw-cell}\n---\n@@\n---\n1\n```\n"),
        ("a.py", "# ---\n# jupyter:\n#   kernelspec: {name: x}\n#@@\n# ---\n\n# %%\n1\n"),
    ],
)
@pytest.mark.parametrize(
    "lines",
    [_LISTS, ["a: &a [*a]"], [f"a: &a {'x' * 2000}", f"b: [{'*a, ' * 2000}]"]],
    ids=["multiplies", "is in itself", "long text"],
)
def test_aliases_that_stand_for_more_than_any_memory_holds(
    path: str, text: str, lines: list[str]
) -> None:
    inside = "  " if "jupyter:" in text else ""
    sign = "#   " if path == "a.py" else inside
    bomb = "\n".join(sign + line for line in lines)
    said = error_of(path, text.replace("#@@" if path == "a.py" else "@@", bomb))
    assert said.startswith("'a.md' cannot be read" if path == "a.md" else "'a.py' cannot be read")
    assert _TOO_MUCH in said


def test_aliases_that_people_write_are_read() -> None:
    cell = "```{code-cell}\n---\na: &a [b, c]\nd: *a\n---\n1\n```\n"
    notebook = read(
        Path("nowhere"), "a.md", f"---\nkernelspec: {{name: x}}\n---\n\n{cell}".encode()
    )
    assert notebook.cells[0].metadata == {"a": ["b", "c"], "d": ["b", "c"]}


@pytest.mark.parametrize(
    "text",
    [
        "---\nkernelspec: {name: [x]}\n---\n",
        "---\nkernelspec: {name: &a [*a]}\n---\n",
        f"```{{code-cell}}\n:tags: {'[' * 3000}\n1\n```\n",
        f"```{{code-cell}}\n:tags: {'1' * 5000}\n1\n```\n",
        f"---\nkernelspec: {{name: x}}\nbig: 0x{'f' * 9000}\n---\n",
    ],
)
def test_yaml_that_python_cannot_take_is_an_error_in_words(text: str) -> None:
    assert error_of("a.md", text).startswith("'a.md' cannot be read by Jupytext\n  reason: ")


def test_tags_that_are_neither_words_nor_a_list() -> None:
    text = "```{code-cell}\n:tags: 7\n1\n```\n"
    assert error_of("a.md", text) == (
        "'a.md' cannot be read by Jupytext\n"
        "  reason: 7 is not of type 'array'\n\n"
        "hint: fix what it names, then try `jupytext --to ipynb` on the file"
    )


def test_a_format_that_needs_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    said = error_of("a.qmd", "---\njupyter: python3\n---\n")
    assert said.startswith("'a.qmd' cannot be read by Jupytext\n  reason: The Quarto Markdown")
    assert said.endswith("hint: install the program that it names")


def test_a_suffix_that_nobody_reads() -> None:
    assert error_of("a.txt", "") == (
        "no reader can read 'a.txt'\n\n"
        "hint: notebooks are .ipynb files, or text that Jupytext reads: .md, .py, .Rmd, …; "
        "[project] readers names readers for others"
    )
