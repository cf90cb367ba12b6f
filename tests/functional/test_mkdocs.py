"""MkDocs with mkdocs-jupyter: pages show what was built, and no kernel starts."""

import logging
import shlex

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort
from notebook_sources import code, prose

MKDOCS = """
site_name: test
plugins: [nbbuild, mkdocs-jupyter: {execute: false}]
theme: {name: mkdocs}
nav: [index.md, deep/a.ipynb, text.md]
"""
TEXT = """---
kernelspec: {name: python3, display_name: Python 3, language: python}
---

# In words

```{code-cell} ipython3
{log}
print(6 * 7)
```
"""


@pytest.fixture
def project(project):
    project.config('[project]\nnotebooks = ["docs/**/*.ipynb", "docs/text.md"]\n')
    project.write("mkdocs.yml", MKDOCS)
    project.write("docs/index.md", "# Index\n\nSee [a](deep/a.ipynb) and [text](text.md).\n")
    project.write("docs/deep/figure.svg", "<svg/>")
    picture = prose("# Title of a\n\n![](figure.svg)")
    project.notebook("docs/deep/a.ipynb", picture, code("print('made of', 3 * 7)"))
    project.text("docs/text.md", TEXT)
    return project


def pages():
    build(load_config("mkdocs.yml"))


def refused(caplog):
    """Return the error with which MkDocs ends."""
    with pytest.raises(Abort):
        pages()
    return [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR][-1]


def test_pages_come_from_built_notebooks_under_the_addresses_of_the_sources(project):
    assert project.build() == ["docs/deep/a", "docs/text"]
    project.log.write_text("")
    pages()
    assert project.ran() == []
    assert "made of 21" in project.read("site/deep/a/index.html")
    assert "Title of a" in project.read("site/deep/a/index.html")
    assert project.exists("site/deep/figure.svg")
    assert ">42\n" in project.read("site/text/index.html")
    index = project.read("site/index.html")
    assert 'href="deep/a/"' in index
    assert 'href="text/"' in index


def test_what_is_out_of_date_ends_mkdocs_by_name(project, caplog):
    project.build("docs/text.md")
    assert refused(caplog) == (
        "nbbuild: not all notebooks are up to date, and none is executed here\n"
        "  docs/deep/a.ipynb: it has not been run yet\n"
        "\n"
        f"hint: build them first: nbbuild -C {shlex.quote(str(project.root))}"
    )
    assert not project.exists("site/deep/a/index.html")


def test_without_a_project_mkdocs_ends_with_what_is_missing(project, caplog):
    (project.root / "jcache.toml").unlink()
    assert refused(caplog).startswith("nbbuild: there is no 'jcache.toml' in ")
