"""`nbbuild init`: the file it writes means exactly the notebooks that were found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from initialised import GITIGNORE, init, lines, listed, said

from nbbuild.config.load import load
from nbbuild.disk.digests import Digests
from nbbuild.model import Parsed
from nbbuild.paths.walk import Walker
from nbbuild.project.project import load as load_project
from nbbuild.project.readings import Readings


def sources(path):
    """Return the notebooks that nbbuild builds by the written file."""
    config = load(Path(path))
    walker = Walker(config.root, closed=[config.project.output, ".nbbuild/store"])
    readings = Readings(
        config.root,
        digests=Digests(),
        recall=lambda kind, key: None,
        remember=lambda kind, key, data: None,
        parse=lambda source: Parsed(),
    )
    project = load_project(
        config, walker=walker, readings=readings, pair=lambda source, formats: ()
    )
    assert not project.unreadable
    return [task.source for task in project.tasks]


# -- a folder ----------------------------------------------------------------------------------


def test_a_folder_of_notebooks_becomes_a_glob(at):
    at("a.ipynb", "b.ipynb")
    assert said(init()) == [
        "found 2 notebooks in '.'",
        "wrote 'jcache.toml'",
        GITIGNORE,
        "next: nbbuild",
    ]
    assert lines() == [
        "[project]",
        'notebooks = ["*.ipynb"]',
        'output = "_build/executed"',
        "[execution]",
    ]
    assert sources("jcache.toml") == ["a.ipynb", "b.ipynb"]


def test_the_whole_file_word_for_word(at):
    at("a.ipynb")
    assert init("-n").stdout == (
        """\
# What nbbuild builds, and how. Lines that begin with # show what else can be said.

[project]
notebooks = ["*.ipynb"]
# exclude = ["**/draft-*"]        # leave these out
output = "_build/executed"        # executed notebooks go here; sources are never changed
# python_path = ["src"]           # folders to import from

[execution]
# timeout = 600                   # seconds a cell; 0 = no limit
# allow_errors = false            # true: go on after an error in a cell
# jobs = "auto"                   # notebooks at once
# kernel = ""                     # a kernel for all; "" = each its own

# [environment]
# env = ["MODEL_SEED"]            # variables whose values count
# files = ["requirements.lock"]   # files on which every notebook depends

# Settings for the notebooks that match `path`; there may be many of these.
# [[notebook]]
# path = "*.ipynb"
# assets = ["data/*.csv"]         # files that it reads: when one changes, it runs again
# artefacts = ["figures/*.png"]   # files that it writes: kept in the cache
# depends_on = ["setup.ipynb"]    # notebooks that go first
"""
    )
    printed = init("-n").stdout
    init()
    assert Path("jcache.toml").read_text() == printed


def test_everything_that_is_a_comment_can_be_said(at):
    at("a.ipynb", "setup.ipynb", "requirements.lock", "src/m.py", "data/x.csv")
    init()
    text = Path("jcache.toml").read_text()
    uncommented = [
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
        for line in text.splitlines()
    ]
    Path("jcache.toml").write_text("\n".join(uncommented))
    config = load(Path("jcache.toml"))
    assert config.notebooks[0].assets == ("data/*.csv",)
    assert config.execution.settings.timeout == 600


def test_notebooks_in_several_folders_and_texts_by_their_header(at):
    at(
        "a/one.ipynb",
        "a/b/two.ipynb",
        "docs/three.md",
        "scripts/four.py",
        "_build/jupyter_execute/one.ipynb",
        "docs/_build/html/one.ipynb",
        ".hidden/x.ipynb",
        "a/.ipynb_checkpoints/one-checkpoint.ipynb",
        "venv/pyvenv.cfg",
        "venv/lib/x.ipynb",
        **{
            "README.md": "# Hello\n\n```sh\nrm -rf /\n```\n",
            "docs/plain.md": "# Prose\n",
            "scripts/module.py": "x = 1\n",
        },
    )
    assert said(init())[0] == "found 4 notebooks in '.'"
    assert lines()[:3] == [
        "[project]",
        'notebooks = ["a/**/*.ipynb", "docs/*.md", "scripts/four.py"]',
        'exclude = ["**/_build/**"]',
    ]
    assert sorted(sources("jcache.toml")) == [
        "a/b/two.ipynb",
        "a/one.ipynb",
        "docs/three.md",
        "scripts/four.py",
    ]


def test_of_two_forms_of_a_notebook_one_is_taken(at):
    at("a.ipynb", "a.md", "b.md")
    assert said(init())[:2] == [
        "found 2 notebooks in '.'",
        "note: left out 'a.md': it is built to the same file as 'a.ipynb'",
    ]
    assert lines()[1] == 'notebooks = ["a.ipynb", "b.md"]'
    assert sources("jcache.toml") == ["a.ipynb", "b.md"]


def test_names_that_look_like_patterns_mean_themselves(at):
    at("[x]/a*.ipynb", '[x]/é "q".ipynb', "[x]/other.ipynb", "[x]/a1.ipynb", "x/a1.ipynb")
    at(**{"_toc.yml": "root: '[x]/a*'\nchapters:\n- file: '[x]/é \"q\"'\n"})
    init()
    assert sources("jcache.toml") == ["[x]/a*.ipynb", '[x]/é "q".ipynb']


def test_odd_beginnings_and_digits_are_no_obstacle(at):
    at("~a/x².ipynb", "~a/x10.ipynb", "~b.md", "[c]/d.ipynb")
    init()
    assert sorted(sources("jcache.toml")) == [
        "[c]/d.ipynb",
        "~a/x10.ipynb",
        "~a/x².ipynb",
        "~b.md",
    ]
    at(**{"[c]/_toc.yml": "root: d\nchapters:\n- glob: '*'\n"})
    init("--toc", "[c]/_toc.yml", "--force")
    assert sources("jcache.toml") == ["[c]/d.ipynb"]


def test_names_that_jcache_toml_cannot_hold_are_named(at):
    at("a.ipynb", "b\\c.ipynb")
    assert said(init())[:2] == [
        "found 1 notebook in '.'",
        "note: left out 'b\\\\c.ipynb': jcache.toml cannot hold such a name",
    ]
    assert sources("jcache.toml") == ["a.ipynb"]


def test_a_folder_elsewhere_gets_its_own_file(at):
    at("book/a.ipynb")
    assert said(init("book")) == [
        "found 1 notebook in 'book'",
        "wrote 'book/jcache.toml'",
        GITIGNORE,
        "next: nbbuild -C book",
    ]
    assert sources("book/jcache.toml") == ["a.ipynb"]
    assert said(init("-C", "book", "-f", "other.toml"))[-1] == "next: nbbuild -C book -f other.toml"
    assert sources("book/other.toml") == ["a.ipynb"]


def test_a_file_above_the_notebooks_names_them_from_there(at):
    at("book/a.ipynb", "book/b.ipynb")
    init("book", "-f", "jcache.toml")
    assert sources("jcache.toml") == ["book/a.ipynb", "book/b.ipynb"]


def test_nothing_found_is_an_error_that_says_where_it_looked(at):
    at(**{"README.md": "# Hello\n"})
    assert init(status=2).stderr == (
        "error: there are no notebooks\n"
        "  looked in: '.'\n\n"
        "hint: a notebook is an .ipynb file, or a text file with a Jupytext header"
        " or a {code-cell}\n"
    )
    assert not Path("jcache.toml").exists()
    assert "there is no folder 'nowhere'" in init("nowhere", status=2).stderr


@pytest.mark.parametrize(
    "path",
    [
        "lib/python3.12/site-packages/pkg/x.ipynb",
        "usr/dist-packages/x.ipynb",
        "node_modules/pkg/x.ipynb",
        "_site/x.ipynb",
        "_freeze/x.ipynb",
        ".quarto/x.ipynb",
        "out/jupyter_execute/x.ipynb",
        "out/html/_sources/x.ipynb",
        "a.nbconvert.ipynb",
        "sub/b.nbconvert.ipynb",
    ],
)
def test_what_tools_made_or_installed_is_no_notebook_of_the_project(at, path):
    at("a.ipynb", "sub/b.ipynb", path)
    assert said(init())[0] == "found 2 notebooks in '.'"
    assert lines()[1] == 'notebooks = ["**/*.ipynb"]'
    assert listed() == sources("jcache.toml") == ["a.ipynb", "sub/b.ipynb"]


def test_a_folder_that_a_tool_marked_as_its_own_is_left_out(at):
    at("a.ipynb", "html/a.ipynb", "[env]/x.ipynb", "conda/x.ipynb")
    at(**{"html/.buildinfo": "", "[env]/CACHEDIR.TAG": "", "conda/conda-meta/history": ""})
    init()
    assert lines()[1] == 'notebooks = ["*.ipynb"]'
    assert listed() == ["a.ipynb"]


def test_a_project_that_is_a_virtual_environment_has_its_own_notebooks_only(at):
    at("a.ipynb", "b/c.ipynb", "lib/python3.12/site-packages/q/x.ipynb", "pyvenv.cfg")
    init()
    assert listed() == ["a.ipynb", "b/c.ipynb"]


def test_what_nbconvert_left_is_excluded_and_the_file_says_why(at):
    at("a.ipynb", "a.nbconvert.ipynb")
    init()
    assert (
        'exclude = ["**/*.nbconvert.ipynb"]  # what jupyter nbconvert --execute made\n'
        in Path("jcache.toml").read_text()
    )


def test_what_is_named_in_full_is_taken_wherever_it_lies(at):
    at("site-packages/a.ipynb", "b.nbconvert.ipynb", "_build/c.ipynb", "d.ipynb")
    toc = "root: site-packages/a\nchapters:\n- file: b.nbconvert\n- file: _build/c\n- file: d\n"
    at(**{"_toc.yml": toc})
    init()
    assert listed() == ["site-packages/a.ipynb", "b.nbconvert.ipynb", "_build/c.ipynb", "d.ipynb"]


# -- what is there already ---------------------------------------------------------------------


def test_a_file_that_is_there_is_never_overwritten(at):
    at("a.ipynb", **{"jcache.toml": "mine"})
    assert init(status=2).stderr == (
        "error: 'jcache.toml' already exists\n\n"
        "hint: --force replaces it and keeps a copy, -n prints what would be written\n"
    )
    assert Path("jcache.toml").read_text() == "mine"


def test_force_keeps_a_copy_and_no_copy_is_lost(at):
    at("a.ipynb", **{"jcache.toml": "first"})
    assert "kept the old one as 'jcache.toml.bak'" in said(init("--force"))
    Path("jcache.toml").write_text("second")
    assert "kept the old one as 'jcache.toml.bak.1'" in said(init("--force"))
    assert Path("jcache.toml.bak").read_text() == "first"
    assert Path("jcache.toml.bak.1").read_text() == "second"
    assert sources("jcache.toml") == ["a.ipynb"]


def test_a_dry_run_prints_the_file_and_writes_nothing(at):
    root = at("a.ipynb", **{"jcache.toml": "mine"})
    result = init("--dry-run")
    assert 'notebooks = ["*.ipynb"]\n' in result.stdout
    assert said(result) == ["found 1 notebook in '.'"]
    assert sorted(path.name for path in root.iterdir()) == ["a.ipynb", "jcache.toml"]
    assert Path("jcache.toml").read_text() == "mine"


def test_a_link_stays_a_link(at):
    at("a.ipynb", **{"shared/settings.toml": "mine"})
    Path("jcache.toml").symlink_to("shared/settings.toml")
    init("--force")
    assert Path("jcache.toml").is_symlink()
    assert Path("shared/settings.toml.bak").read_text() == "mine"
    assert "[project]" in Path("shared/settings.toml").read_text()


# -- books -------------------------------------------------------------------------------------

TOC = """
format: jb-book
root: intro
parts:
- caption: First
  chapters:
  - file: chapters/two
    sections:
    - file: chapters/one.ipynb
  - file: about
  - url: https://example.org
- caption: Second
  chapters:
  - glob: more/n*
  - file: 01
  - file: gone
"""


def test_a_jupyter_book_gives_its_notebooks_in_its_order(at):
    at("intro.md", "chapters/one.ipynb", "chapters/two.ipynb", "01.md", "draft.ipynb")
    at("more/n10.md", "more/n2.md", "more/other.md")
    at(**{"_toc.yml": TOC, "about.md": "# About\n"})
    assert said(init())[:2] == [
        "found 6 notebooks in '_toc.yml'; 1 page without code left out",
        "note: _toc.yml names 'gone', which does not exist",
    ]
    # A glob stands where the first of its notebooks did; "more" is not all in the book.
    assert lines()[1] == 'notebooks = ["*.md", "chapters/*.ipynb", "more/n2.md", "more/n10.md"]'
    assert sources("jcache.toml") == [
        "01.md",
        "intro.md",
        "chapters/one.ipynb",
        "chapters/two.ipynb",
        "more/n2.md",
        "more/n10.md",
    ]


def test_a_long_list_has_a_line_for_each(at):
    names = [f"chapter-{n}/a-rather-long-name.ipynb" for n in (2, 1, 3)]
    toc = "root: " + names[0] + "\nchapters:\n" + "".join(f"- file: {n}\n" for n in names[1:])
    at(*names, "_toc.yml", **{"_toc.yml": toc})
    init()
    assert lines()[1:6] == ["notebooks = [", *(f'  "{name}",' for name in names), "]"]
    assert sources("jcache.toml") == names


@pytest.mark.parametrize(
    "toc",
    [
        "format: jb-article\nroot: a\nsections:\n- file: b\n",
        "- file: a\n- file: b\n",
        "root: a\nsubtrees:\n- entries:\n  - file: b\n",
    ],
)
def test_every_format_of_a_toc_is_read(at, toc):
    at("a.ipynb", "b.md", "c.ipynb", **{"_toc.yml": toc})
    init()
    assert sources("jcache.toml") == ["a.ipynb", "b.md"]


def test_what_config_yml_says_is_carried_over(at):
    config = """
execute:
  execute_notebooks: off
  timeout: 45
  allow_errors: true
  exclude_patterns: ["slow/*", "*-draft.ipynb", "", "../x"]
"""
    at("a.ipynb", "b.ipynb", "c-draft.ipynb", "slow/d.ipynb")
    at(**{"_toc.yml": "root: a\nchapters:\n- glob: '**'\n", "_config.yml": config})
    assert said(init())[:4] == [
        "found 2 notebooks in '_toc.yml'",
        "note: _config.yml has execute_notebooks off; nbbuild executes all that it builds",
        "note: the pattern '**/../x' to exclude is not carried over",
        "note: 2 left out by exclude_patterns of _config.yml: c-draft.ipynb, slow/d.ipynb",
    ]
    assert lines() == [
        "[project]",
        'notebooks = ["*.ipynb"]',
        'exclude = ["**/slow/*", "**/*-draft.ipynb"]',
        'output = "_build/executed"',
        "[execution]",
        "timeout = 45",
        "allow_errors = true",
    ]
    assert sources("jcache.toml") == ["a.ipynb", "b.ipynb"]
    config = load(Path("jcache.toml")).execution.settings
    assert (config.timeout, config.allow_errors) == (45, True)


def test_no_limit_is_nought(at):
    at("a.ipynb", **{"_toc.yml": "root: a\n", "_config.yml": "execute:\n  timeout: -1\n"})
    init()
    assert load(Path("jcache.toml")).execution.settings.timeout == 0


def test_a_toc_in_another_folder(at):
    at("docs/a.ipynb", "b.ipynb", **{"docs/_toc.yml": "root: a\n"})
    init("--toc", "docs/_toc.yml")
    assert sources("jcache.toml") == ["docs/a.ipynb"]
    assert "there is no file 'x.yml'" in init("--toc", "x.yml", "--force", status=2).stderr


def test_a_toc_outside_the_project_is_an_error(at):
    at("docs/a.ipynb", "b.ipynb", **{"_toc.yml": "root: b\n"})
    stderr = init("docs", "--toc", "_toc.yml", status=2).stderr
    assert "lies outside" in stderr
    assert "hint: write jcache.toml to a folder that holds all notebooks\n" in stderr


def test_a_toc_that_is_no_yaml_is_an_error(at):
    at("a.ipynb", **{"_toc.yml": "root: [a\n"})
    assert init(status=2).stderr.startswith("error: '_toc.yml' cannot be read\n  reason: ")


def test_a_myst_toc(at):
    myst = """
version: 1
project:
  exclude: more/draft.md
  execute:
    depends_on_env: [MODEL_SEED]
  toc:
    - file: index.md
    - title: Part
      children:
        - file: a.ipynb
        - pattern: 'more/*.{md,ipynb}'
"""
    at("a.ipynb", "b.ipynb", "more/x.md", "more/y.ipynb", "more/draft.md")
    at(**{"myst.yml": myst, "index.md": "# Prose\n"})
    assert said(init())[0] == "found 3 notebooks in 'myst.yml'; 1 page without code left out"
    assert sources("jcache.toml") == ["a.ipynb", "more/x.md", "more/y.ipynb"]
    assert load(Path("jcache.toml")).environment.env == ("MODEL_SEED",)


def test_a_myst_project_without_toc_is_all_there_is_but_what_it_excludes(at):
    at("a.ipynb", "sub/b.ipynb", "drafts/c.ipynb", "_build/x.ipynb")
    at(**{"myst.yml": "version: 1\nproject:\n  exclude: [drafts]\n"})
    init()
    assert lines()[1:6] == [
        'notebooks = ["**/*.ipynb"]',
        "exclude = [",
        '  "drafts",',
        '  "**/_build/**",',
        "]",
    ]
    assert sources("jcache.toml") == ["a.ipynb", "sub/b.ipynb"]


def test_where_there_are_both_the_one_with_a_toc_counts(at):
    at("a.ipynb", "b.ipynb", **{"_toc.yml": "root: a\n", "myst.yml": "project: {}\n"})
    init()
    assert sources("jcache.toml") == ["a.ipynb"]
    at(**{"myst.yml": "project:\n  toc:\n  - file: b.ipynb\n"})
    init("--force")
    assert sources("jcache.toml") == ["b.ipynb"]


def test_a_book_of_prose_has_no_notebooks(at):
    at(**{"_toc.yml": "root: a\nchapters:\n- file: b\n", "a.md": "# A\n", "b.md": "# B\n"})
    assert init(status=2).stderr.startswith(
        "error: there are no notebooks\n  looked in: '_toc.yml'\n  it names: 2 pages without code\n"
    )


def test_the_real_command_has_the_real_statuses(at):
    at("a.ipynb")
    statuses = [
        subprocess.run(
            [sys.executable, "-m", "nbbuild", "init", *args], check=False, capture_output=True
        ).returncode
        for args in ([], [], ["--force"], ["--frce"])
    ]
    assert statuses == [0, 2, 0, 2]


def importing(*modules):
    cells = [
        {"cell_type": "code", "source": [f"import {name}\n"], "metadata": {}, "outputs": []}
        for name in modules
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


def test_folders_that_notebooks_import_from_are_found(at):
    at(
        "a.ipynb",
        **{
            "notebooks/b.ipynb": importing("os", "beside", "models.linear", "numpy", "helper"),
            "notebooks/broken.ipynb": "{",
            "notebooks/beside.py": "",
            "src/models/__init__.py": "",
            "src/models/linear.py": "import deep\n",
            "lib/helper.py": "",
            "x/twice.py": "",
            "y/twice.py": "",
            "c.ipynb": importing("twice", "linear"),
        },
    )
    init()
    assert 'python_path = ["lib", "src"]' in lines()
    assert "  # folders to import from, such as helper" in Path("jcache.toml").read_text()
