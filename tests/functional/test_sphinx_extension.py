"""`extensions = ["nbbuild.sphinx"]`: real runs of Sphinx show results, and execute nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from notebook_sources import LOG, code, ipynb, prose
from sphinx.errors import ExtensionError

from nbbuild.bridges import sphinx_settings
from nbbuild.bridges.sphinx_extension import Documentation
from nbbuild.errors import ConfigError

pytestmark = pytest.mark.slow

MYST = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---

# {title}

```{{code-cell}}
{log}
```

```{{code-cell}}
{code}
```
"""
PERCENT = """# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
# ---

# %% [raw] raw_mimetype="text/restructuredtext"
# Percent
# =======

# %%
{log}
print('per', 'cent')
"""
TOC = """# Book

```{toctree}
:glob:
pages/*
```
"""
RST_TOC = "Book\n====\n\n.. toctree::\n   :glob:\n\n   pages/*\n"
READS = "print('data', open('data.txt').read())"


class Docs:
    """A documentation in the folder `docs` of a project, and runs of Sphinx on it."""

    def __init__(self, project):
        self.project = project
        self.is_rst = False

    def conf(self, *extensions, **settings):
        self.is_rst = "nbsphinx" in extensions
        lines = [f"extensions = {['nbbuild.sphinx', *extensions]!r}"]
        lines += [f"{name} = {value!r}" for name, value in settings.items()]
        self.project.write("docs/conf.py", "\n".join(lines))

    def page(self, name, *cells, **more):
        log = LOG.format(name=name)
        heading = title(name) if self.is_rst else prose(f"# {name}")
        self.project.write(f"docs/pages/{name}.ipynb", ipynb([heading, log, *cells], **more))

    def myst(self, name, code):
        text = MYST.format(title=name, log=LOG.format(name=name), code=code)
        self.project.write(f"docs/pages/{name}.md", text)

    def run(self, *words):
        words = words or SPHINX
        self.project.log.write_text("")
        done = subprocess.run(
            [str(Path(sys.executable).parent / words[0]), *words[1:]],
            cwd=self.project.root,
            env={**os.environ, **self.project.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.search(r"updating environment: .*?(\d+) added, (\d+) changed", done.stdout, re.M)
        return SimpleNamespace(
            status=done.returncode,
            out=done.stdout,
            err=done.stderr,
            ran=sorted(self.project.ran()),
            read=tuple(map(int, found.groups())) if found else None,
        )

    def html(self, name):
        return self.project.read(f"docs/_build/html/pages/{name}.html")


SPHINX = ("sphinx-build", "-b", "html", "-j", "2", "docs", "docs/_build/html")


def title(name):
    """Return a cell with the heading of a page; nbsphinx needs pandoc for Markdown."""
    mark = {"raw_mimetype": "text/restructuredtext"}
    return {"cell_type": "raw", "metadata": mark, "source": f"{name}\n{'=' * len(name)}\n"}


@pytest.fixture
def docs(project):
    project.config('[project]\nnotebooks = ["docs/pages/*"]\n')
    project.write("docs/pages/data.txt", "one")
    return Docs(project)


def test_myst_nb_shows_results_and_reads_again_only_what_changed(docs):
    docs.conf("myst_nb")
    docs.project.write("docs/index.md", TOC)
    names = [f"p{number}" for number in range(6)]
    for name in names:
        docs.page(name, f"print('from', '{name}')")
    docs.page("reads", READS)
    docs.myst("text", "print('from', 'text')")

    first = docs.run()
    assert (first.status, first.err) == (0, "")
    assert first.ran == [*names, "reads", "text"]
    assert "nbbuild: 8 executed in " in first.out
    assert re.search(r"reading sources\.\.\. .* index \.\. pages/p", first.out), "not in parallel"
    for name in (*names, "text"):
        assert f"from {name}" in docs.html(name)
    assert "data one" in docs.html("reads")

    second = docs.run()
    assert (second.status, second.ran, second.read) == (0, [], (0, 0))
    assert "nbbuild: nothing to do: 8 notebooks are up to date\n" in second.out
    assert "no targets are out of date." in second.out

    # Only a result is new: no source is.
    docs.project.write("docs/pages/data.txt", "two")
    third = docs.run()
    assert (third.status, third.ran, third.read) == (0, ["reads"], (0, 1))
    assert "data two" in docs.html("reads")

    docs.page("p0", "print('edited')")
    # Not of the project: nbbuild does not execute it, and neither does Sphinx.
    docs.project.config('[project]\nnotebooks = ["docs/pages/[!s]*"]\n')
    docs.page("stranger", "print('from', 'stranger')")
    fourth = docs.run()
    assert (fourth.status, fourth.ran, fourth.read) == (0, ["p0"], (1, 2))  # and the toctree
    assert "edited" in docs.html("p0")
    assert "from stranger" not in docs.html("stranger")


def test_a_failure_is_a_warning_at_its_line_and_its_page_goes_as_far_as_it_got(docs):
    docs.conf("myst_nb")
    docs.project.write("docs/index.md", TOC)
    docs.page("good", "print('from', 'good')")
    docs.page("bad", "print('as', 'far')", "1 / 0")
    docs.myst("text", "print('so', 'far')\n1 / 0")

    done = docs.run()
    pages = docs.project.root / "docs/pages"
    why = "ZeroDivisionError: division by zero"
    lines = docs.project.read("docs/pages/bad.ipynb").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "1 / 0" in text)
    assert done.status == 0
    assert done.err.splitlines() == [
        f"{pages}/bad.ipynb:{line}: WARNING: docs/pages/bad.ipynb: cell 4 (In [3]): {why}",
        f"{pages}/text.md:19: WARNING: docs/pages/text.md: cell 3 (In [2]): {why}",
    ]
    assert done.ran == ["bad", "good", "text"]
    assert "as far" in docs.html("bad")
    assert "ZeroDivisionError" in docs.html("bad")
    assert "so far" in docs.html("text")

    strict = docs.run(*SPHINX, "-W")
    assert strict.status != 0
    assert f"docs/pages/bad.ipynb: cell 4 (In [3]): {why}" in strict.err
    assert strict.ran == ["bad", "text"]


def test_what_a_jupyter_cache_cannot_hold_is_shown_too(docs):
    docs.project.config(
        '[project]\nnotebooks = ["docs/**/*.ipynb", "docs/**/*.md"]\n\n'
        '[[notebook]]\npath = "docs/pages/fleeting.md"\ncache = false\n\n'
        '[[notebook]]\npath = "docs/pages/many.ipynb"\nmatrix = { country = ["UK", "FR"] }\n'
    )
    docs.conf("myst_nb")
    docs.project.write("docs/index.md", TOC + "\n```{toctree}\nmore/reads\n```\n")
    docs.project.write("docs/more/data.txt", "other")
    source = [prose("# Same code"), READS]
    docs.project.write("docs/more/reads.ipynb", ipynb(source))
    docs.project.write("docs/pages/reads.ipynb", ipynb(source))
    docs.myst("fleeting", "print('never', 'kept')")
    many = code("country = 'none'", tags=["parameters"])
    docs.project.write(
        "docs/pages/many.ipynb", ipynb([prose("# Many"), many, LOG.format(name="many")])
    )

    done = docs.run()

    assert (done.status, done.err) == (0, "")
    assert done.ran == ["fleeting", "many", "many"]
    assert "data one" in docs.html("reads")
    assert "data other" in docs.project.read("docs/_build/html/more/reads.html")
    assert "never kept" in docs.html("fleeting")


def test_nbsphinx_shows_results_and_executes_nothing(docs):
    docs.project.config('[project]\nnotebooks = ["docs/pages/*.ipynb", "docs/pages/*.py"]\n')
    formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
    docs.conf(
        "nbsphinx", nbsphinx_custom_formats=formats, exclude_patterns=["conf.py", "pages/draft*"]
    )
    docs.project.write("docs/index.rst", RST_TOC)
    names = [f"p{number}" for number in range(5)]
    for name in names:
        docs.page(name, f"print('from', '{name}')", metadata={"nbsphinx": {"execute": "always"}})
    docs.page("reads", READS)
    docs.page("bad", "print('as', 'far')", "1 / 0")
    docs.page("draft", "1 / 0")
    docs.project.write("docs/pages/percent.py", PERCENT.format(log=LOG.format(name="percent")))

    first = docs.run()
    assert first.status == 0
    (warning,) = first.err.splitlines()
    assert "docs/pages/bad.ipynb: cell 4 (In [3]): ZeroDivisionError" in warning
    assert first.ran == ["bad", *names, "percent", "reads"]
    for name in names:
        assert f"from {name}" in docs.html(name)
    assert "per cent" in docs.html("percent")
    assert "as far" in docs.html("bad")

    docs.page("bad", "print('as', 'far')")
    docs.project.write("docs/pages/data.txt", "two")
    second = docs.run()
    assert (second.status, second.err, second.ran) == (0, "", ["bad", "reads"])
    assert second.read == (0, 2)
    assert "data two" in docs.html("reads")


def test_never_fails_by_name_what_the_cache_lacks_and_restores_the_rest(docs):
    docs.conf("myst_nb", nbbuild_execute="never")
    docs.project.write("docs/index.md", TOC)
    docs.page("a", "print('from', 'a')")
    docs.page("b", "print('from', 'b')")

    cold = docs.run()
    assert (cold.status, cold.ran) == (2, [])
    assert cold.err == (
        "\nExtension error (nbbuild.sphinx):\n"
        "2 notebooks would have to run, and nbbuild_execute is 'never'\n"
        "  docs/pages/a.ipynb: it has not been run yet\n"
        "  docs/pages/b.ipynb: it has not been run yet\n\n"
        f"hint: run `nbbuild` in '{docs.project.root}' where notebooks are executed, "
        "and bring its cache here\n"
    )

    # Elsewhere, notebooks are executed; what travels is the cache.
    assert docs.project.build() == ["a", "b"]
    for path in docs.project.root.glob("_build/executed/docs/pages/*"):
        path.unlink()
    warm = docs.run()
    assert (warm.status, warm.err, warm.ran) == (0, "", [])
    assert "from a" in docs.html("a")


def test_jupyter_book_1(docs):
    root = docs.project.root
    docs.project.config('[project]\nnotebooks = ["docs/pages/*"]\n')
    docs.project.write(
        "docs/_config.yml",
        "title: Book\nsphinx:\n  extra_extensions: [nbbuild.sphinx]\n"
        'html: {extra_footer: ""}\nonly_build_toc_files: true\n',
    )
    docs.project.write(
        "docs/_toc.yml",
        "format: jb-book\nroot: index\nchapters:\n- file: pages/a\n- file: pages/b\n",
    )
    docs.project.write("docs/index.md", "# Book\n")
    docs.project.write("docs/pages/data.txt", "one")
    docs.page("a", READS)
    docs.myst("b", "print('from', 'b')")

    def book():
        return docs.run("jupyter-book", "build", "-W", "docs")

    first = book()
    assert (first.status, first.ran) == (0, ["a", "b"]), first.err
    assert "data one" in docs.html("a")
    assert "from b" in docs.html("b")

    docs.project.write("docs/pages/data.txt", "two")
    second = book()
    assert (second.status, second.ran, second.read) == (0, ["a"], (0, 1)), second.err
    assert "data two" in docs.html("a")
    assert not (root / "docs/_build/.jupyter_cache").exists()


def test_targets_and_the_project_can_be_named_in_conf_py(docs):
    docs.project.write("other/jcache.toml", docs.project.read("jcache.toml"))
    (docs.project.root / "jcache.toml").rename(docs.project.root / "notebooks.toml")
    docs.conf(nbbuild_project="../notebooks.toml", nbbuild_targets=["pages/a.ipynb"])
    docs.project.write("docs/index.rst", "Book\n====\n")
    docs.page("a", "1")
    docs.page("b", "1")
    done = docs.run("sphinx-build", "-b", "dummy", "docs", "docs/_build/dummy")
    assert (done.status, done.ran) == (0, ["a"]), done.err


def test_errors_of_the_configuration_stop_sphinx_with_the_whole_message(docs):
    docs.conf("myst_nb", nb_execution_mode="force")
    docs.project.write("docs/index.md", TOC)
    done = docs.run()
    assert (done.status, done.err) == (
        2,
        "\nExtension error (nbbuild.sphinx):\n"
        "nb_execution_mode is 'force', and nbbuild.sphinx needs 'cache'\n"
        "  set in: conf.py, _config.yml or on the command line\n\n"
        "hint: remove nb_execution_mode: nbbuild.sphinx sets it; "
        "or set nbbuild_execute = 'off'\n",
    )


def test_what_is_wrong_before_anything_is_built_stops_sphinx(project):
    app = SimpleNamespace(confdir=project.root, srcdir=project.root, extensions=[])

    def refused(execute):
        config = SimpleNamespace(nbbuild_execute=execute, nbbuild_project="")
        with pytest.raises(ExtensionError) as caught:
            Documentation().configure(app, config)
        return str(caught.value)

    assert refused("sometimes") == (
        "nbbuild_execute is 'sometimes'\n\nhint: one of 'auto', 'never' and 'off'"
    )
    assert refused("auto") == (
        f"there is no 'jcache.toml' in '{project.root}' or in a folder above it\n\n"
        "hint: `nbbuild init` writes one"
    )


def test_off_is_off(project):
    app = SimpleNamespace(confdir=project.root, srcdir=project.root, extensions=["myst_nb"])
    config = SimpleNamespace(nbbuild_execute="off", nb_execution_mode="force")
    documentation = Documentation()
    documentation.configure(app, config)
    documentation.build(app)
    text = ["as it was"]
    documentation.read(app, "page", text)
    assert (config.nb_execution_mode, text) == ("force", ["as it was"])


# -- settings, without Sphinx ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extension", "name", "fits", "contradicts"),
    [
        ("myst_nb", "nb_execution_mode", ["auto", "cache"], ["off", "force", "inline"]),
        ("myst_nb", "jupyter_execute_notebooks", ["--unset--", "cache"], ["off", "force"]),
        ("nbsphinx", "nbsphinx_execute", ["auto", "never"], ["always"]),
    ],
)
def test_settings_that_would_execute_contradict(extension, name, fits, contradicts):
    for value in fits:
        sphinx_settings.check(SimpleNamespace(**{name: value}), [extension])
    for value in contradicts:
        sphinx_settings.check(SimpleNamespace(**{name: value}), [])
        with pytest.raises(ConfigError, match=f"{name} is '{value}'"):
            sphinx_settings.check(SimpleNamespace(**{name: value}), [extension])


def test_a_cache_that_conf_py_names_is_used():
    assert sphinx_settings.asked_cache(SimpleNamespace(nb_execution_cache_path="")) is None
    named = SimpleNamespace(nb_execution_cache_path="/some/where", jupyter_cache="--unset--")
    assert str(sphinx_settings.asked_cache(named)) == "/some/where"


def test_a_page_without_a_result_has_no_outputs():
    old = {"output_type": "stream", "name": "stdout", "text": "old"}
    source = ipynb([code("1", outputs=[old], execution_count=3)])
    assert "old" not in sphinx_settings.text_of(None, source)
    assert '"execute": "never"' in sphinx_settings.text_of(None, source)
    with pytest.raises(ValueError, match="Notebook"):
        sphinx_settings.text_of(None, "# %%\n1\n")
