"""`nbbuild init` reads what the project's own tool is told, and executes none of it."""

import json
from pathlib import Path

import pytest
from initialised import GITIGNORE, init, lines, listed, said

from nbbuild.config.load import load


def ipynb(*, front="", kind="raw", kernel="python3", **metadata):
    """Return a notebook with these metadata; `front` is the source of its first cell."""
    cells = [{"cell_type": kind, "id": "a", "metadata": {}, "source": front}] if front else []
    code = {"cell_type": "code", "id": "b", "metadata": {}, "source": "1", "outputs": []}
    spec = {"name": kernel, "display_name": kernel}
    return json.dumps(
        {
            "cells": [*cells, {**code, "execution_count": None}],
            "metadata": {"kernelspec": spec, **metadata},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def notes(result):
    return [line.removeprefix("note: ") for line in said(result) if line.startswith("note: ")]


# -- Jupyter Book ------------------------------------------------------------------------------


def test_a_book_one_folder_down_is_found_with_its_settings(at):
    toc = "format: jb-book\nroot: intro\nchapters:\n- file: a\n- file: slow\n"
    config = "execute:\n  timeout: 99\n  exclude_patterns: ['slow*']\n"
    at("book/a.ipynb", "book/slow.ipynb", "book/draft.ipynb", "scratch.ipynb")
    at(**{"book/_toc.yml": toc, "book/_config.yml": config, "book/intro.md": "# Hello\n"})
    assert said(init()) == [
        "found 1 notebook in 'book/_toc.yml'; 1 page without code left out",
        "note: 1 notebook lies outside 'book' and is not listed: scratch.ipynb;"
        " `nbbuild add` lists more",
        "note: 1 left out by exclude_patterns of _config.yml: book/slow.ipynb",
        "wrote 'jcache.toml'",
        GITIGNORE,
        "next: nbbuild",
    ]
    assert lines() == [
        "[project]",
        'notebooks = ["book/a.ipynb"]',
        'exclude = ["**/slow*"]',
        'output = "_build/executed"',
        "[execution]",
        "timeout = 99",
    ]
    assert listed() == ["book/a.ipynb"]


def test_of_two_books_one_has_to_be_named(at):
    at("one/a.ipynb", "two/b.ipynb", "two/c.ipynb")
    at(**{"one/_toc.yml": "root: a\n", "two/_toc.yml": "root: b\n"})
    assert notes(init()) == [
        "these books are not read: 'one/_toc.yml', 'two/_toc.yml'; --toc FILE reads one of them"
    ]
    assert listed() == ["one/a.ipynb", "two/b.ipynb", "two/c.ipynb"]
    init("--force", "--toc", "two/_toc.yml")
    assert listed() == ["two/b.ipynb"]


def test_execution_switched_off_as_a_whole_is_said_and_written(at):
    at("a.ipynb", **{"_toc.yml": "root: a\n", "_config.yml": "execute: {execute_notebooks: off}\n"})
    assert notes(init()) == [
        "_config.yml has execute_notebooks off; nbbuild executes all that it builds"
    ]
    assert (
        "# _config.yml has execute_notebooks off; nbbuild executes all that is listed here.\n"
        in Path("jcache.toml").read_text()
    )
    assert listed() == ["a.ipynb"]


def test_sphinx_settings_in_config_yml_count(at):
    config = """
sphinx:
  config:
    nb_execution_timeout: 7
    nb_kernel_rgx_aliases: {"conda-.*": python3, "[": x}
"""
    at(**{"_toc.yml": "root: a\n", "_config.yml": config, "a.ipynb": ipynb(kernel="conda-env")})
    init()
    assert lines()[-2:] == ["timeout = 7", 'kernel_aliases = { "conda-env" = "python3" }']
    assert listed() == ["a.ipynb"]


# -- Sphinx ------------------------------------------------------------------------------------

CONF = '''
"""Settings of Sphinx."""
import os, sys
raise SystemExit("nobody executes this")
extensions: list[str] = ["sphinx.ext.autodoc"]
extensions += ["myst_nb"]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "drafts/*"]
exclude_patterns.append("old*")
templates_path = ["_templates"]
nb_execution_mode = "cache"
nb_execution_timeout = -1
if "CI" in os.environ:
    nb_execution_allow_errors = True
slow = ["slow/*.ipynb"]
nb_execution_excludepatterns = slow + ["*-live.md"]
nb_kernel_rgx_aliases = {"conda-env-.*": "python3", ".*": "other"}
'''


def test_a_conf_py_is_read_and_never_executed(at):
    at("docs/source/slow/b.ipynb", "docs/source/drafts/c.ipynb", "docs/source/old1/d.ipynb")
    at("docs/source/x-live.md", "docs/source/_templates/e.ipynb", "examples/f.ipynb")
    at(
        **{
            "docs/source/conf.py": CONF,
            "docs/source/a.ipynb": ipynb(kernel="conda-env-me"),
            "examples/f.ipynb": ipynb(kernel="other"),
        }
    )
    result = init()
    assert said(result)[0] == ("found 2 notebooks in '.', by the settings in 'docs/source/conf.py'")
    assert notes(result) == [
        "conf.py computes nb_execution_allow_errors, which is not carried over",
        "2 left out by nb_execution_excludepatterns of conf.py: docs/source/slow/b.ipynb,"
        " docs/source/x-live.md",
    ]
    assert lines() == [
        "[project]",
        'notebooks = ["**/*.ipynb"]',
        "exclude = [",
        '  "**/slow/*.ipynb",',
        '  "**/*-live.md",',
        '  "docs/source/_templates",',
        '  "docs/source/drafts/**",',
        '  "docs/source/old*",',
        '  "docs/source/old*/**",',
        '  "**/_build/**",',
        '  "docs/build/**",',
        "]",
        'output = "_build/executed"',
        "[execution]",
        "timeout = 0",
        'kernel_aliases = { "conda-env-me" = "python3" }',
    ]
    assert listed() == ["docs/source/a.ipynb", "examples/f.ipynb"]


def test_the_settings_of_nbsphinx_are_carried_over(at):
    conf = (
        "nbsphinx_execute = 'never'\nnbsphinx_timeout = 60\nnbsphinx_allow_errors = True\n"
        "nbsphinx_kernel_name = 'python3'\ninclude_patterns = ['guide/**']\n"
    )
    at("guide/a.ipynb", "b.ipynb", **{"conf.py": conf})
    assert notes(init()) == [
        "conf.py has nbsphinx_execute never; nbbuild executes all that it builds"
    ]
    assert lines()[1:] == [
        'notebooks = ["guide/*.ipynb"]',
        'output = "_build/executed"',
        "[execution]",
        "timeout = 60",
        "allow_errors = true",
        'kernel = "python3"',
    ]
    assert listed() == ["guide/a.ipynb"]


def test_a_table_of_contents_that_stands_for_more_than_any_memory_holds(at):
    lists = [f"  a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 12)]
    at("a.ipynb", **{"_toc.yml": "\n".join(["root: a", "x:", "  a0: &a0 [b]", *lists])})
    assert "its aliases stand for more than 1,000,000 values" in init(status=2).stderr


@pytest.mark.parametrize("conf", ["import sphinx\nproject = 'x'\n", "nb_execution_mode = (\n"])
def test_a_conf_py_of_something_else_is_passed_over(at, conf):
    at("a.ipynb", **{"docs/conf.py": conf})
    assert said(init())[0] == "found 1 notebook in '.'"


def test_a_table_of_contents_beside_a_conf_py_has_its_settings(at):
    at("a.ipynb", "b.ipynb", **{"_toc.yml": "root: a\n"})
    at(**{"conf.py": "nb_execution_mode = 'off'\nexecution_timeout = 5\n"})
    assert notes(init()) == [
        "conf.py has nb_execution_mode off; nbbuild executes all that it builds"
    ]
    assert lines()[-1] == "timeout = 5"
    assert listed() == ["a.ipynb"]


# -- Quarto ------------------------------------------------------------------------------------

QMD = "---\njupyter: python3\n---\n\n```{python}\n1\n```\n"
BARE = "---\ntitle: One\n---\n\n```{python}\n1\n```\n"

QUARTO_BOOK = """
project: {type: book, output-dir: docs, execute-dir: project}
book:
  chapters:
    - index.qmd
    - bare.qmd
    - part: part.qmd
      chapters: [two.ipynb, knit.qmd]
    - part: "A title"
      chapters: [x/c.qmd]
  appendices: [app.ipynb]
execute: {error: true}
"""


def test_a_book_of_quarto_gives_its_chapters_and_parts_in_order(at):
    at("two.ipynb", "app.ipynb", "draft.ipynb", "docs/two.ipynb")
    at(
        **{
            "_quarto.yml": QUARTO_BOOK,
            "index.qmd": "# Hello\n",
            "bare.qmd": BARE,
            "part.qmd": QMD,
            "knit.qmd": "```{r}\n1\n```\n\n```{python}\n1\n```\n",
            "x/c.qmd": QMD,
        }
    )
    assert said(init())[:2] == [
        "found 5 notebooks in '_quarto.yml'; 1 page without code left out",
        "note: 1 left out, which knitr executes: knit.qmd",
    ]
    # A page without `jupyter` in its header is a notebook where it is named in full.
    chapters = ["bare.qmd", "part.qmd", "two.ipynb", "x/c.qmd", "app.ipynb"]
    assert lines()[1:] == [
        "notebooks = [",
        *(f'  "{path}",' for path in chapters),
        "]",
        'output = "_build/executed"',
        "[execution]",
        "allow_errors = true",
        'cwd = "project"',
    ]
    assert listed() == chapters


def test_what_quarto_renders_is_what_its_list_says(at):
    render = "project:\n  type: website\n  render: ['*.ipynb', '!drafts/', '!/old.ipynb', 'x/']\n"
    at("a.ipynb", "sub/b.ipynb", "drafts/c.ipynb", "old.ipynb", "_hidden/d.ipynb", "_site/a.ipynb")
    at("e.md", "x/f.md", "sub/old.ipynb", **{"_quarto.yml": render})
    init()
    assert lines()[1:7] == [
        'notebooks = ["**/*.ipynb", "x/*.md"]',
        "exclude = [",
        '  "**/_*/**",',
        '  "**/drafts/**",',
        '  "old.ipynb",',
        '  "**/_build/**",',
    ]
    assert listed() == ["a.ipynb", "sub/b.ipynb", "sub/old.ipynb", "x/f.md"]


def test_without_a_list_quarto_renders_all_but_what_is_hidden(at):
    at("a.ipynb", "sub/_b.ipynb", "_c/d.ipynb", "out/a.ipynb")
    at(**{"_quarto.yml": "project: {output-dir: ./out/}\n", "README.qmd": QMD, "e.qmd": BARE})
    init()
    assert listed() == ["a.ipynb", "e.qmd"]


def test_a_quarto_project_or_folder_can_switch_execution_off(at):
    at("a.ipynb", "posts/b.ipynb")
    at(**{"_quarto.yml": "execute: {eval: false}\n"})
    at(**{"posts/_metadata.yml": "execute: {enabled: false}\n"})
    assert notes(init()) == [
        "_quarto.yml has execute: eval: false; nbbuild executes all that it builds",
        "1 left out by 'execute: enabled: false' of posts/_metadata.yml: posts/b.ipynb",
    ]
    assert listed() == ["a.ipynb"]


# -- mystmd, nbdev, mkdocs-jupyter -------------------------------------------------------------


def test_a_myst_yml_one_folder_down_excludes_for_its_folder(at):
    at("docs/a.ipynb", "docs/d1.ipynb", "d2.ipynb")
    at(**{"docs/myst.yml": "project:\n  exclude: ['d*.ipynb']\n  execute: {skip: true}\n"})
    assert notes(init()) == ["myst.yml has execute: skip; nbbuild executes all that it builds"]
    assert listed() == ["d2.ipynb", "docs/a.ipynb"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("settings.ini", "[DEFAULT]\nlib_name = x\nversion = 1%\nnbs_path = nbs\n"),
        ("pyproject.toml", "[tool.nbdev]\nlib_name = 'x'\nnbs_path = 'nbs'\n"),
    ],
)
def test_the_notebooks_of_nbdev_lie_where_its_settings_say(at, name, text):
    at("nbs/00_core.ipynb", "nbs/_draft.ipynb", "nbs/quiet/a.ipynb", "other/b.ipynb")
    at("_proc/00_core.ipynb")
    skipped = ipynb(kind="markdown", front="# Title\n\n> About\n\n- skip_exec: true\n")
    at(**{name: text, "nbs/quiet/.notest": "", "nbs/sub/01.ipynb": skipped})
    assert said(init())[:4] == [
        f"found 1 notebook in '{name}'",
        "note: 1 notebook lies outside 'nbs' and is not listed: other/b.ipynb;"
        " `nbbuild add` lists more",
        "note: 1 left out by .notest in nbs/quiet: nbs/quiet/a.ipynb",
        "note: 1 left out by 'skip_exec: true' in the page: nbs/sub/01.ipynb",
    ]
    assert lines()[1] == 'notebooks = ["nbs/*.ipynb"]'
    assert listed() == ["nbs/00_core.ipynb"]


def test_the_notebooks_of_mkdocs_jupyter_lie_where_its_settings_say(at):
    mkdocs = """
docs_dir: pages
plugins:
  - search
  - mkdocs-jupyter:
      ignore: ["skip*.ipynb"]
      execute_ignore: ["slow/*.ipynb"]
      kernel_name: python3
markdown_extensions:
  - pymdownx.emoji: {emoji_index: !!python/name:material.extensions.emoji.twemoji ""}
"""
    at("pages/a.ipynb", "pages/slow/b.ipynb", "pages/skip1.ipynb", "site/a/a.ipynb", "c.ipynb")
    at(**{"mkdocs.yml": mkdocs})
    assert notes(init()) == [
        "1 notebook lies outside 'pages' and is not listed: c.ipynb; `nbbuild add` lists more",
        "1 left out by execute_ignore of mkdocs.yml: pages/slow/b.ipynb",
    ]
    assert lines()[1:] == [
        'notebooks = ["pages/*.ipynb"]',
        "exclude = [",
        '  "**/slow/*.ipynb",',
        '  "pages/**/skip*.ipynb",',
        "]",
        'output = "_build/executed"',
        "[execution]",
        'kernel = "python3"',
    ]
    assert listed() == ["pages/a.ipynb"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mkdocs.yml", "plugins: [search]\n"),
        ("mkdocs.yml", "plugins: [\n"),
        ("settings.ini", "[DEFAULT]\nname = x\n"),
        ("settings.ini", "no ini\n"),
        ("pyproject.toml", "[project]\nname = 'x'\n"),
    ],
)
def test_settings_that_have_nothing_to_do_with_notebooks_are_passed_over(at, name, text):
    at("a.ipynb", **{name: text})
    assert said(init())[0] == "found 1 notebook in '.'"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("conf.py", f"nb_execution_timeout = {10**30}\nnbsphinx_kernel_name = ' '\n"),
        (
            "conf.py",
            "nb_execution_timeout = 1e999\nnb_kernel_rgx_aliases = {'.*': 'a\\nb', 1: 2}\n",
        ),
        ("conf.py", "exclude_patterns = ['/', '', '~/x', '../x', 'a\\\\b', '[', '***', 3]\n"),
        ("conf.py", "nb_execution_excludepatterns = ['/', '..', '~', '{a,b}', 'x\\ny']\n"),
        (
            "conf.py",
            "nb_x = 1\nexclude_patterns += ['x']\nexclude_patterns.pop()\nnb_y, z = 1, 2\n",
        ),
        (
            "myst.yml",
            'project: {execute: {depends_on_env: ["A=b", "", C], skip: {}}, exclude: [1]}\n',
        ),
        ("myst.yml", "- a\n"),
        ("_quarto.yml", "project: {output-dir: ../x, render: 3}\nexecute: [false]\n"),
        ("_quarto.yml", "project: {output-dir: '.', render: ['!', './', '*.ipynb']}\nbook: 1\n"),
        ("settings.ini", "[DEFAULT]\nnbs_path = /\nskip_file_glob = [!\n"),
        (
            "mkdocs.yml",
            "docs_dir: .\nplugins: {mkdocs-jupyter: {ignore: x, execute_ignore: [..]}}\n",
        ),
    ],
)
def test_what_is_written_loads_whatever_the_tool_is_told(at, name, text):
    at("a.ipynb", **{name: text})
    init()
    assert listed() == ["a.ipynb"]


@pytest.mark.parametrize("name", ["_toc.yml", "myst.yml", "_quarto.yml"])
def test_a_file_that_cannot_be_read_is_named(at, name):
    at("a.ipynb", **{f"book/{name}": "a: [b\n"})
    assert init(status=2).stderr.startswith(f"error: 'book/{name}' cannot be read\n  reason: ")
    assert not Path("jcache.toml").exists()


# -- pages that say so themselves --------------------------------------------------------------


def header(text):
    return f"---\nkernelspec:\n  name: python3\n{text}\n---\n\n```{{code-cell}}\n1\n```\n"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("p.md", header("mystnb:\n  execution_mode: 'off'"), "mystnb: execution_mode: off"),
        ("p.md", header("mystnb: {execution_mode: off}"), "mystnb: execution_mode: off"),
        ("p.md", header("skip_execution: true"), "skip_execution: true"),
        ("p.md", header("execute: {skip: true}"), "execute: skip: true"),
        (
            "p.qmd",
            "---\njupyter: python3\nexecute:\n  enabled: false\n---\n",
            "execute: enabled: false",
        ),
        ("p.qmd", "---\njupyter: python3\nexecute: {eval: false}\n---\n", "execute: eval: false"),
        ("p.qmd", "---\njupyter: python3\nexecute: false\n---\n", "execute: false"),
        (
            "p.py",
            "# ---\n# jupyter:\n#   nbsphinx: {execute: never}\n#   kernelspec: {name: python3}\n"
            "# ---\n1\n",
            "nbsphinx: execute: never",
        ),
        ("p.ipynb", ipynb(nbsphinx={"execute": "never"}), "nbsphinx: execute: never"),
        ("p.ipynb", ipynb(mystnb={"execution_mode": "off"}), "mystnb: execution_mode: off"),
        (
            "p.ipynb",
            ipynb(front="---\ntitle: x\nexecute:\n  enabled: false\n---"),
            "execute: enabled: false",
        ),
        ("p.ipynb", ipynb(front="---\nskip_exec: true\n---"), "skip_exec: true"),
    ],
)
def test_a_page_that_is_not_to_be_executed_is_excluded_with_its_own_words(at, name, text, why):
    at("a.ipynb", **{name: text})
    assert notes(init()) == [f"1 left out by '{why}' in the page: {name}"]
    assert f'exclude = ["{name}"]' in Path("jcache.toml").read_text()
    assert f"  # '{why}' in the page\n" in Path("jcache.toml").read_text()
    assert listed() == ["a.ipynb"]


def test_what_a_page_says_of_its_own_execution_becomes_its_own_entry(at):
    at(
        **{
            "[a].ipynb": ipynb(nbsphinx={"timeout": -1, "allow_errors": True}),
            "b.md": header("mystnb: {execution_timeout: 5}"),
            "c.ipynb": ipynb(front="---\nexecute: {error: true}\n---"),
            "d.ipynb": ipynb(nbsphinx={"timeout": "long"}, mystnb=[]),
        }
    )
    init()
    assert lines()[4:] == [
        "[[notebook]]",
        'path = "[[]a].ipynb"',
        "timeout = 0",
        "allow_errors = true",
        "[[notebook]]",
        'path = "b.md"',
        "timeout = 5",
        "[[notebook]]",
        'path = "c.ipynb"',
        "allow_errors = true",
    ]
    assert listed() == ["[a].ipynb", "c.ipynb", "d.ipynb", "b.md"]


@pytest.mark.parametrize(
    "text",
    [
        ipynb(nbsphinx={"execute": "auto"}, mystnb={"execution_mode": "force"}),
        ipynb(front="---\nexecute: {enabled: true}\n---"),
        ipynb(front="---\n: : [\n---"),
        ipynb(kind="markdown", front="- skip_exec: true"),
        '{"metadata": [], "cells": [1], "nbformat": 4, "nbformat_minor": 5}',
        "no JSON",
    ],
)
def test_a_page_that_says_nothing_of_the_kind_is_listed(at, text):
    at("a.ipynb", **{"p.ipynb": text})
    init()
    assert lines()[1] == 'notebooks = ["*.ipynb"]'


def test_a_page_of_the_book_with_words_of_its_own_stays_out_of_the_glob(at):
    at("c/a.ipynb", "c/b.ipynb", **{"_toc.yml": "root: c/a\nchapters:\n- file: c/b\n- file: c/z\n"})
    at(**{"c/z.ipynb": ipynb(mystnb={"execution_mode": "off"})})
    init()
    assert lines()[1:3] == ['notebooks = ["c/*.ipynb"]', 'exclude = ["c/z.ipynb"]']
    assert listed() == ["c/a.ipynb", "c/b.ipynb"]


def test_both_files_of_a_pair_are_the_page(at):
    at("a.ipynb", "p.md", **{"p.ipynb": ipynb(nbsphinx={"execute": "never"})})
    init()
    assert lines()[2] == 'exclude = ["p.ipynb", "p.md"]'
    assert listed() == ["a.ipynb"]


def test_a_build_infers_nothing_of_this(at):
    at("a.ipynb", **{"p.ipynb": ipynb(nbsphinx={"execute": "never"})})
    Path("jcache.toml").write_text('[project]\nnotebooks = ["*.ipynb"]\n')
    assert listed() == ["a.ipynb", "p.ipynb"]


def test_where_no_page_is_to_be_executed_nothing_is_written(at):
    at(**{"p.ipynb": ipynb(nbsphinx={"execute": "never"})})
    assert init(status=2).stderr == (
        "error: there are no notebooks\n"
        "  looked in: '.'\n"
        "  note: 1 left out by 'nbsphinx: execute: never' in the page: p.ipynb\n\n"
        "hint: a notebook is an .ipynb file, or a text file with a Jupytext header"
        " or a {code-cell}\n"
    )
    assert not Path("jcache.toml").exists()


def test_a_name_with_wildcards_is_excluded_literally(at):
    at("[p]/a.ipynb", "p/b.ipynb", **{"[p]/~b.ipynb": ipynb(nbsphinx={"execute": "never"})})
    at(**{"~c.ipynb": ipynb(nbsphinx={"execute": "never"})})
    init()
    assert load(Path("jcache.toml")).project.exclude[:2] == ("[[]p]/~b.ipynb", "~c.ipynb")
    assert listed() == ["[p]/a.ipynb", "p/b.ipynb"]
