"""`[project] render = ["html"]`: pages beside the built notebooks."""

from __future__ import annotations

import sys

import pytest
from notebook_sources import prose

from nbbuild.building import last_good, pipeline
from nbbuild.disk import digests
from nbbuild.disk.locks import Cancelled
from nbbuild.export import html
from nbbuild.quick import uptodate

CONFIG = '[project]\nnotebooks = ["**/*.ipynb"]\nrender = ["html"]\n'


@pytest.fixture
def book(project):
    project.config(CONFIG)
    project.notebook("nb/a.ipynb", "print(6 * 7)")
    project.notebook("b.ipynb", "print('two')")
    return project


class Quick:
    """Renders at once what a page could show; the real one takes a second to start."""

    def __init__(self, cancelled):
        pass

    def render(self, notebook, title):
        return notebook.read_bytes()

    def close(self):
        pass


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(pipeline, "Renderer", Quick)


def page(project, path):
    return project.read(f"_build/executed/{path}.html")


def pages(project):
    found = (project.root / "_build").rglob("*.html")
    return sorted(str(one.relative_to(project.root / "_build/executed")) for one in found)


def test_each_built_notebook_has_a_page_and_it_is_rendered_only_when_that_changed(book):
    done = book.nbbuild()
    assert (done.status, sorted(done.ran)) == (0, ["b", "nb/a"])
    assert "2 executed, 2 pages rendered in " in done.err
    assert pages(book) == ["b.html", "nb/a.html"]
    assert "<title>a</title>" in page(book, "nb/a") and ">42\n" in page(book, "nb/a")
    before = (book.root / "_build/executed/b.html").stat().st_mtime_ns

    assert book.nbbuild().err == "nothing to do: 2 notebooks are up to date\n"
    # Other words in one of them: nothing executes, and one page shows them.
    book.notebook("nb/a.ipynb", prose("Other words."), "print(6 * 7)")
    done = book.nbbuild()
    assert (done.ran, "1 refreshed, 1 fresh, 1 page rendered in " in done.err) == ([], True)
    assert "Other words." in page(book, "nb/a")
    assert (book.root / "_build/executed/b.html").stat().st_mtime_ns == before


def test_a_page_that_is_missing_is_out_of_date_and_its_notebook_is_not(book, quick, monkeypatch):
    # What was just written counts as old enough, so that the quick answer is written down.
    monkeypatch.setattr(digests, "SETTLED_NS", -(10**12))
    monkeypatch.setattr(last_good, "SETTLED_NS", -(10**12))
    book.build()
    book.build()
    assert (uptodate.answer([]), book.nbbuild("-q").status) == (0, 0)
    (book.root / "_build/executed/b.html").unlink()
    assert uptodate.answer([]) is None
    assert book.nbbuild("-q").status == 1
    assert book.nbbuild("-n").err == "1 page to render\n"
    done = book.nbbuild()
    assert (done.ran, pages(book)) == ([], ["b.html", "nb/a.html"])
    assert "2 fresh, 1 page rendered in " in done.err

    monkeypatch.setattr(html, "identity", lambda: "another nbconvert")
    assert "2 fresh, 2 pages rendered in " in book.nbbuild().err
    assert book.nbbuild().err == "nothing to do: 2 notebooks are up to date\n"


def test_nothing_is_rendered_of_a_failure_and_an_older_page_goes(book, quick):
    book.build()
    book.notebook("nb/a.ipynb", "1 / 0")
    done = book.nbbuild()
    assert (done.status, pages(book)) == (1, ["b.html"])
    assert "page" not in done.err


def test_no_old_page_stays_beside_a_notebook_if_the_build_stops_before_it_renders(
    book, quick, monkeypatch
):
    book.build()

    def stopped(self, notebook, title):
        raise Cancelled

    with monkeypatch.context() as now:
        now.setattr(Quick, "render", stopped)
        book.notebook("b.ipynb", "print('three')")
        assert book.build() == ["b"]
    assert ("three" in book.shown("b.ipynb"), pages(book)) == (True, ["nb/a.html"])
    assert book.build() == []
    assert (pages(book), "three" in page(book, "b")) == (["b.html", "nb/a.html"], True)


def test_an_altered_page_is_not_taken_away(book, quick):
    book.build("b.ipynb")
    book.write("_build/executed/b.html", "mine")
    book.notebook("b.ipynb", "print('three')")
    done = book.nbbuild("b.ipynb")
    assert "note: b.ipynb: kept your copy of '_build/executed/b.html' in .nbbuild/" in done.err


def test_what_nbbuild_did_not_write_is_kept(book, quick):
    book.write("_build/executed/b.html", "mine")
    done = book.nbbuild()
    (kept,) = (book.root / ".nbbuild/replaced").rglob("b.html.replaced")
    assert (kept.read_text(), "two" in page(book, "b")) == ("mine", True)
    assert "note: b.ipynb: kept your copy of '_build/executed/b.html' in .nbbuild/" in done.err


def test_pages_go_with_their_notebooks_with_the_key_and_when_all_is_cleaned(book, quick):
    book.build()
    (book.root / "b.ipynb").unlink()
    book.notebook("nb/a.ipynb", "print(42)")
    book.build()
    assert pages(book) == ["nb/a.html"]
    book.config(CONFIG.replace('render = ["html"]\n', ""))
    assert book.build() == []
    assert pages(book) == []
    book.config(CONFIG)
    assert book.build() == []
    assert book.nbbuild("clean").out == (
        "removed  _build/executed/nb/a.html\nremoved  _build/executed/nb/a.ipynb\n"
    )
    assert pages(book) == []


def test_without_nbconvert_nothing_runs(book, monkeypatch):
    monkeypatch.setattr(html.installed, "found", lambda name: None)
    done = book.nbbuild()
    assert (done.status, done.ran) == (2, [])
    first, _, *rest = done.err.splitlines()
    assert first == (
        'error: [project] render = ["html"] needs nbconvert, which is not installed beside nbbuild'
    )
    assert rest == ["", 'hint: `pip install "nbbuild[html]"`']


def test_a_page_that_cannot_be_rendered_is_a_problem_and_the_result_stays(book, monkeypatch):
    monkeypatch.setattr(html, "_WORKER", "nowhere")
    done = book.nbbuild("b.ipynb")
    assert (done.status, pages(book)) == (3, [])
    assert (
        "error: '_build/executed/b.ipynb' was not rendered to HTML: "
        "the process that renders ended with status 1: "
        f"{sys.executable}: No module named nowhere\n"
    ) in done.err
    monkeypatch.setattr(html, "_WORKER", "nbbuild.export.html_worker")
    assert book.build("b.ipynb") == []
    assert pages(book) == ["b.html"]


def test_a_page_and_what_others_write_never_take_each_others_place(book):
    book.config(
        f'{CONFIG}[report]\nhtml = "_build/executed/b.html"\n'
        '[[notebook]]\npath = "nb/a.ipynb"\nassets = ["_build/executed/*"]\n'
    )
    done = book.nbbuild()
    assert (done.status, done.ran) == (2, [])
    assert done.err == (
        "error: 'html' '_build/executed/b.html' is where the page of 'b.ipynb' goes\n"
        "  declared in: jcache.toml, [report]\n\n"
        "hint: write the report to another file\n"
    )
    book.config(
        f'{CONFIG}[report]\nhtml = "report.html"\n'
        '[[notebook]]\npath = "nb/a.ipynb"\nassets = ["_build/executed/*"]\n'
    )
    assert book.nbbuild().err == (
        "error: asset '_build/executed/*' of 'nb/a.ipynb' can match '_build/executed/b.html', "
        "the page of 'b.ipynb'\n"
        "  declared in: jcache.toml, [[notebook]] 1\n\n"
        "hint: a page is rendered after the notebooks that are ready, so none can rest on it: "
        "narrow the pattern, for example to '*.ipynb'\n"
    )
    book.config(
        f'{CONFIG}[[notebook]]\npath = "nb/a.ipynb"\nassets = ["_build/executed/*.ipynb"]\n'
    )
    assert book.nbbuild("-n").status == 0


def test_nothing_else_can_be_rendered(book):
    book.config(CONFIG.replace('["html"]', '["pdf"]'))
    done = book.nbbuild()
    assert (done.status, done.ran) == (2, [])
    assert done.err.splitlines()[0] == 'error: \'render[1]\' must be "html", not the string "pdf"'
