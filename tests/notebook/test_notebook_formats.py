"""Which files are notebooks, who reads them, and when that would read differently."""

import subprocess
import sys
import time
from pathlib import Path

import jupytext.config
import jupytext.formats
import jupytext.languages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupytext.myst import get_parser

from nbbuild.notebook import configuration, formats, suffixes
from nbbuild.notebook.fences import has_code_cell
from nbbuild.notebook.formats import is_notebook, is_text, reader_identity

MYST_HEADER = "---\nkernelspec:\n  name: python3\n---\n\n# Title\n"


def test_the_suffixes_are_those_of_jupytext() -> None:
    assert set(jupytext.formats.NOTEBOOK_EXTENSIONS) == suffixes.NOTEBOOK_SUFFIXES
    theirs = {
        suffix: suffixes.Script(said["language"], said["comment"], said.get("comment_suffix", ""))
        for suffix, said in jupytext.languages._SCRIPT_EXTENSIONS.items()
    }
    assert theirs == suffixes.SCRIPTS


def test_text_is_what_jupytext_reads() -> None:
    paths = ["a.ipynb", "b/a.md", "a.nb.py", "a.R", "a.RMD", "a.txt", "Makefile", "a.qmd", "a.cpp"]
    assert [p for p in paths if is_text(p)] == ["b/a.md", "a.nb.py", "a.R", "a.qmd", "a.cpp"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.ipynb", ""),
        ("a.md", MYST_HEADER),
        ("a.md", "\ufeff" + MYST_HEADER),
        ("a.md", MYST_HEADER.replace("\n", "\r\n")),
        ("a.md", "---\njupyter:\n  kernelspec:\n    name: ir\n---\n"),
        ("a.md", "---\njupyter: {jupytext: {formats: 'ipynb,md'}}\n---\n"),
        ("a.md", "<!--\n\n---\njupyter:\n  jupytext:\n    x: 1\n---\n\n-->\n"),
        ("a.md", "---\njupytext: [\n---\n"),  # for its reader to complain about
        ("a.md", "text\n\n```{code-cell} python\n1\n```\n"),
        ("a.md", "text\r\n\r\n~~~~{code-cell}\r\n1\r\n~~~~\r\n"),
        ("a.md", "```bash\nls\n```\n\n```{code-cell}\n1\n```\n"),
        ("a.Rmd", "---\ntitle: a: b\njupyter:\n  kernelspec:\n    name: ir\n---\n"),
        ("a.qmd", "---\ntitle: a\njupyter: python3\n---\n"),
        ("a.py", "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n# ---\n"),
        (
            "a.py",
            "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# ---\n# jupytext:\n#   a: 1\n# ---\n",
        ),
        ("a.jl", "# ---\n# jupyter:\n#   jupytext:\n#     a: 1\n# ---\n"),
        ("a.R", "#' ---\n#' jupyter:\n#'   jupytext:\n#'     a: 1\n#' ---\n"),
        ("a.cpp", "// ---\n// jupyter:\n//   kernelspec:\n//     name: xcpp\n// ---\n"),
        ("a.ml", "(* --- *)\n(* jupyter: *)\n(*   kernelspec: *)\n(*     name: o *)\n(* --- *)\n"),
        ("a.hs", "-- ---\n-- jupyter:\n--   kernelspec:\n--     name: i\n-- ---\n"),
    ],
)
def test_a_file_that_says_so_is_a_notebook(path: str, text: str) -> None:
    assert is_notebook(path, text.encode())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("README.md", "# Install\n\n```bash\nrm -rf build\n```\n\n```python\nprint(1)\n```\n"),
        ("README.md", "Write `{code-cell}`:\n\n````md\n```{code-cell}\n1\n```\n````\n"),
        ("README.md", "- like this:\n\n  ````\n  ```{code-cell}\n  ````\n"),
        ("README.md", "> ````\n> ```{code-cell}\n"),
        ("README.md", "<!--\n```{code-cell}\n```\n-->\n"),
        ("README.md", "    ```{code-cell}\n    1\n    ```\n"),
        ("page.md", "---\ntitle: the kernelspec and jupytext\n---\n"),
        ("page.md", "---\ndescription: |\n  kernelspec: no\n  jupytext: no\n---\n"),
        ("page.md", "text\n\n---\nkernelspec: x\n---\n"),
        ("page.md", "---\njupyter: python3\n---\n"),
        ("page.md", "````\n:::{code-cell}\n1\n:::\n````\n"),
        ("page.md", "::::{code-block} md\n:::{code-cell}\n1\n:::\n::::\n"),
        ("page.md", "- item\n\n  :::{code-cell}\n  1\n  :::\n"),
        ("page.md", "::{code-cell}\n1\n::\n"),
        ("page.markdown", "```{code-cell}\n1\n```\n"),  # read as plain Markdown by Jupytext
        ("tool.py", "# %%\nprint(1)\n"),
        ("tool.py", "import os\n# ---\n# jupyter:\n#   kernelspec:\n#     name: x\n# ---\n"),
        ("tool.sh", "#!/bin/sh\nrm -rf build\n"),
        ("empty.py", ""),
        ("data.txt", MYST_HEADER),
        ("page.md", "---\nkernelspec: never closed\n"),
        ("binary.md", "\udcff\udcfe\0kernelspec"),
    ],
)
def test_a_file_that_does_not_is_none(path: str, text: str) -> None:
    assert not is_notebook(path, text.encode("utf-8", "surrogateescape"))


_LINES = [
    "",
    "text",
    "```bash",
    "```",
    "````",
    "~~~",
    "```{code-cell}",
    "  ```{code-cell} ipython3",
]
_LINES += ["<!--", "-->", "<div>", "</div>", "<pre>", "# H", "````{note}", "    code", "> quoted"]


@given(st.lists(st.sampled_from(_LINES), max_size=12))
def test_code_cells_are_seen_where_the_parser_sees_them(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    depth, seen = 0, False
    for token in get_parser().parse(text):
        depth += token.nesting
        seen |= depth == 0 and token.type == "fence" and token.info.startswith("{code-cell}")
    assert has_code_cell(text) == seen


def test_a_fence_of_colons_is_a_notebook_too() -> None:
    assert is_notebook("page.md", b"# T\n\n:::{code-cell} python\n1\n:::\n")
    assert is_notebook("page.md", b"::::{note}\n:::{code-cell} python\n1\n:::\n::::\n")


@pytest.mark.parametrize(
    "text",
    [
        "lorem ipsum dolor\n\n" * 60_000 + "{code-cell}",
        "```x\n" * 200_000 + "{code-cell}",
        "> ```\n- ```\n" * 80_000 + "{code-cell}",
        " " * 1_000_000 + "{code-cell}",
        "- " * 500_000 + "{code-cell}",
        "<!-- \n" * 160_000 + "{code-cell}",
        ":::{code}\n" * 100_000 + "{code-cell}",
        ":::{note}\n" * 100_000 + "{code-cell}",
        "<a " * 300_000 + "{code-cell}",
        "---\n" + "jupyter:\n  a\n" * 70_000,
        "---\n" + "jupytext: [\n" * 80_000 + "---\n",
    ],
)
def test_a_megabyte_is_no_trouble(text: str) -> None:
    started = time.process_time()
    assert not is_notebook("page.md", text.encode())
    assert time.process_time() - started < 3  # seconds; a quadratic search takes minutes


# -- the identity of a reader ------------------------------------------------------------------


def test_the_light_modules_load_no_reader() -> None:
    code = (
        "import sys, nbbuild.notebook.formats, nbbuild.notebook.code;"
        "print(sorted({'nbformat', 'jupytext', 'markdown_it'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_identities_name_reader_version_and_configuration(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    plain = reader_identity(root, "a.md")
    assert f"jupytext {jupytext.__version__}, nbformat " in plain
    assert reader_identity(root, "a.ipynb").startswith("nbformat ")
    assert "jupytext" not in reader_identity(root, "a.ipynb")

    (root / "jupytext.toml").write_text('formats = "ipynb,md"')
    first = reader_identity(root, "sub/a.md")
    assert first.startswith(plain + ", jupytext.toml ")
    assert "jupytext.toml" in reader_identity(root, "a.ipynb")
    (root / "jupytext.toml").write_text('formats = "ipynb,py"')
    assert reader_identity(root, "sub/a.md") != first


def test_another_version_of_our_own_code_is_another_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reader_identity(tmp_path, "a.ipynb")
    monkeypatch.setattr(formats, "PARSE_VERSION", formats.PARSE_VERSION + 1)
    assert reader_identity(tmp_path, "a.ipynb") != before


def test_of_pyproject_only_the_table_of_jupytext_counts(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\nname = 'x'\n")
    nothing = reader_identity(tmp_path, "a.md")
    project.write_text("[project]\nname = 'x'\n[tool.jupytext]\nformats = 'ipynb,md'\n")
    paired = reader_identity(tmp_path, "a.md")
    project.write_text("[project]\nname = 'y'\n[tool.jupytext]\nformats = 'ipynb,md'\n")
    assert reader_identity(tmp_path, "a.md") == paired
    assert paired != nothing


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"jupytext.toml": ""},
        {"project/.jupytext": "", "jupytext.toml": ""},
        {"project/book/.jupytext.py": "", "project/jupytext.yml": ""},
        {"project/pyproject.toml": "[tool.jupytext]\n"},
        {"project/pyproject.toml": "[tool.other]\nname = 'jupytext'\n", "jupytext.json": "{}"},
        {"project/pyproject.toml": "[tool.jupytext]\n", "project/jupytext.yaml": ""},
        {"home/jupytext/jupytext.toml": ""},
        {"home/.jupytext.toml": "", "system/jupytext.toml": ""},
        {"system/jupytext/.jupytext.json": ""},
    ],
)
def test_the_configuration_is_the_one_that_jupytext_finds(
    files: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "project/book").mkdir(parents=True)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    theirs = jupytext.config.find_jupytext_configuration_file(tmp_path / "project/book/a.md")
    ours = configuration.configuration_file(tmp_path / "project/book")
    assert ours == (Path(theirs) if theirs else None)


def test_without_xdg_the_configuration_may_lie_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("USERPROFILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "me/.config/jupytext").mkdir(parents=True)
    for name in ("me/jupytext.toml", "me/.config/jupytext/jupytext.toml"):
        (tmp_path / name).touch()
        theirs = jupytext.config.find_jupytext_configuration_file(tmp_path / "a.md")
        assert theirs == str(tmp_path / name)
        assert configuration.configuration_file(tmp_path) == tmp_path / name


def test_a_ceiling_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project/book").mkdir(parents=True)
    (tmp_path / "jupytext.toml").touch()
    assert configuration.configuration_file(tmp_path / "project/book") is not None
    monkeypatch.setenv("JUPYTEXT_CEILING_DIRECTORIES", str(tmp_path / "project"))
    assert configuration.configuration_file(tmp_path / "project/book") is None
