"""Notebooks that other packages read: found, executed, and read again when they change."""

from notebook_sources import LOG
from reader_package import install

SLIDES = """
import nbformat

def read(data, path):
    text = data.decode()
    if "!!" in text:
        raise ValueError("!! is no slide")
    cells = [nbformat.v4.new_code_cell(one) for one in text.split("\\n---\\n")]
    spec = {"name": "python3", "display_name": "Python 3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
"""

GROUPS = {"nbbuild.readers": {"slides": "slides_reader:read"}}

CONFIG = '[project]\nnotebooks = ["*.slides"]\nreaders = { ".slides" = "slides" }\n'

PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
---

# A page

```{code-cell} ipython3
:load: code.py
```

```{code-cell} ipython3
%s
print(x)
```
"""


def test_a_reader_of_another_package_makes_notebooks_of_its_files(project, tmp_path, monkeypatch):
    site = install(monkeypatch, tmp_path / "site", "slides_reader", SLIDES, GROUPS)
    project.config(CONFIG)
    project.text("a.slides", "{log}\n---\nprint('from a slide')")

    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "from a slide\n"
    before = project.files()
    assert project.build() == []
    assert project.files() == before

    # A new version of the reader: read again, and since the code is the same, nothing runs.
    install(monkeypatch, site, "slides_reader", SLIDES, GROUPS, version="2.0")
    assert project.verdicts() == {"a.slides": "refresh"}
    other = SLIDES.replace("for one in text", "for one in (text + '\\n---\\nprint(2)')")
    install(monkeypatch, site, "slides_reader", other, GROUPS, version="2.1")
    assert project.reasons("a.slides") == ["cell 3 (In [3]) is new"]
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "from a slide\n2\n"

    project.write("b.slides", "!!")
    done = project.nbbuild("b.slides")
    assert (done.status, done.ran) == (2, [])
    assert "'b.slides' cannot be read by the reader 'slides' of slides-reader 2.1" in done.err
    assert "ValueError: !! is no slide" in done.err


def test_a_reader_that_is_not_installed_is_an_error_before_anything_runs(project):
    project.config(CONFIG.replace('"slides"', '"myst_nb"'))
    project.text("a.slides", "{log}")
    done = project.nbbuild()
    assert (done.status, done.ran) == (2, [])
    assert done.err.startswith(
        "error: there is no reader 'myst_nb'\n"
        "  declared in: jcache.toml, [project] readers, '**/*.slides'\n"
    )
    assert done.err.endswith("\n\nhint: did you mean 'myst_nb_md'?\n")
    assert not project.exists(".nbbuild")


def test_a_page_that_myst_nb_reads_runs_again_when_what_it_loads_changes(project):
    project.config('[project]\nnotebooks = ["*.md"]\nreaders = { ".md" = "myst_nb_md" }\n')
    project.write("page.md", PAGE % LOG.format(name="page"))
    project.write("code.py", "x = 1\n")
    assert project.build() == ["page"]
    assert project.shown("page.ipynb") == "1\n"
    assert project.build() == []

    project.write("code.py", "x = 2\n")
    assert project.reasons("page.md") == ["cell 2 (In [1]) changed"]
    assert project.build() == ["page"]
    assert project.shown("page.ipynb") == "2\n"
    project.write("page.md", project.read("page.md").replace("# A page", "# A page\n\nReworded."))
    assert project.build() == []
    assert "Reworded." in project.read("_build/executed/page.ipynb")


def test_show_names_a_reader_with_its_package(project, tmp_path, monkeypatch):
    install(monkeypatch, tmp_path / "site", "slides_reader", SLIDES, GROUPS)
    project.config(CONFIG)
    project.text("a.slides", "1")
    assert project.build() == []
    assert "\n  reader: 'slides' of slides-reader 1.0\n" in project.nbbuild("show", "a.slides").out
