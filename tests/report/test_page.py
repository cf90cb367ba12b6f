"""The HTML page of a report, in a real browser: it asks nobody, and runs no script but its own."""

import re
from html.parser import HTMLParser

import pytest
from reports import CONTROLS, HOSTILE, TASKS, document, ran

from nbbuild.report import page
from nbbuild.report.page.graph import layers

COMPLAINTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


@pytest.fixture
def opened(browser, tmp_path):
    """Open the page of a report in which everything is hostile."""

    def opening(whole):
        place = tmp_path / "report.html"
        earlier = [document(id=f"2026112{day}T120000-000ff") for day in (7, 6)]
        place.write_bytes(page.render(whole, earlier).encode("utf-8", "backslashreplace"))
        shown = browser.page()
        shown.open(place)
        return shown

    return opening


def names(shown):
    return shown.run(
        "[...document.querySelectorAll('#tasks tbody tr:not([hidden]) th')].map(e => e.textContent)"
    )


def test_hostile_names_and_tracebacks_run_nothing_and_nothing_is_asked_for(opened):
    shown = opened(document(problems=(HOSTILE,), targets=(HOSTILE,), project=HOSTILE))
    shown.run("[...document.querySelectorAll('details')].forEach(e => e.open = true)")
    assert shown.run("document.title").endswith(": failed – nbbuild")
    assert shown.run("document.querySelectorAll('script').length") == 1
    assert shown.run("document.querySelectorAll('img, iframe, link, object').length") == 0
    assert f"{HOSTILE}.ipynb" in names(shown)
    assert shown.run("document.querySelector('.failure pre').textContent").startswith("raise Value")
    assert [one["request"]["url"][:5] for one in shown.heard("Network.requestWillBeSent")] == [
        "file:"
    ]
    assert shown.heard(*COMPLAINTS) == []
    # Even what gets in somehow does not run: the policy knows one script only.
    shown.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">');"
        "const one = document.createElement('script');"
        "one.textContent = 'document.title = 2'; document.body.append(one)"
    )
    assert shown.run("document.title").endswith(": failed – nbbuild")


def test_the_table_sorts_and_tells_how_it_is_sorted(opened):
    shown = opened(document())
    assert names(shown) == [one.task for one in TASKS]
    sorted_by = "[...document.querySelectorAll('#tasks thead th')].map(e => e.ariaSort)"
    shown.click("#tasks thead th:nth-child(3) button")
    assert names(shown)[:3] == ["load.ipynb", "clean.ipynb", f"{HOSTILE}.ipynb"]
    assert shown.run(sorted_by) == ["none", "none", "descending", *["none"] * 4]
    shown.run("document.querySelector('#tasks thead th:nth-child(1) button').focus()")
    shown.press("Enter", 13)
    shown.run("document.activeElement.click()")
    assert names(shown)[0] == f"{HOSTILE}.ipynb"
    shown.run("document.activeElement.click()")
    assert names(shown)[-1] == f"{HOSTILE}.ipynb"
    assert shown.run(sorted_by)[0] == "descending"
    shown.click("#tasks thead th:nth-child(2) button")
    assert names(shown)[:2] == ["late.ipynb", f"{HOSTILE}.ipynb"]  # worst first
    assert shown.heard(*COMPLAINTS) == []


def test_the_search_finds_all_words_and_says_how_many(opened):
    shown = opened(document())
    shown.run("document.getElementById('search').focus()")
    shown.type("IPYNB executed")
    assert names(shown) == ["load.ipynb", "clean.ipynb"]
    assert shown.run("document.querySelector('[role=status]').textContent") == "2 of 6"
    assert shown.heard(*COMPLAINTS) == []


def test_links_open_what_they_lead_to(opened):
    shown = opened(document())
    state = "document.getElementById('t2').open"
    assert shown.run(state) is False
    shown.click("#tasks tbody tr:nth-child(2) a")
    shown.run("new Promise(done => requestAnimationFrame(done))")
    assert shown.run(state) is True
    assert shown.run("document.activeElement.parentElement.id") == "t2"
    broken = (
        "[...document.querySelectorAll('a')].map(e => e.getAttribute('href'))"
        ".filter(e => !document.getElementById(e.slice(1)))"
    )
    assert shown.run(broken) == []
    assert shown.run("document.getElementById('t3').open") is True  # it failed
    assert shown.heard(*COMPLAINTS) == []


def test_the_keyboard_comes_to_the_notebooks_first(opened):
    shown = opened(document())
    shown.press("Tab", 9)
    assert shown.run("document.activeElement.textContent") == "Skip to the notebooks"
    assert shown.run("document.activeElement.getBoundingClientRect().left >= 0") is True
    assert shown.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_the_page_fits_any_width(opened, width):
    shown = opened(document())
    shown.resize(width, 900)
    shown.run("[...document.querySelectorAll('details')].forEach(e => e.open = true)")
    assert shown.run("document.documentElement.scrollWidth") <= width


def test_dark_light_and_paper_have_colours_of_their_own(opened):
    shown = opened(document())
    back = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        shown.call("Emulation.setEmulatedMedia", features=[feature])
        seen[scheme] = shown.run(back)
    assert seen == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 30)"}
    shown.run("dispatchEvent(new Event('beforeprint'))")
    assert shown.run("document.querySelectorAll('details:not([open])').length") == 0
    shown.run("dispatchEvent(new Event('afterprint'))")
    assert shown.run("document.querySelectorAll('details:not([open])').length") == 5


# -- without a browser -------------------------------------------------------------------------


class Outline(HTMLParser):
    """The elements of a page that are open, and all that were."""

    def __init__(self):
        super().__init__()
        self.open, self.all = [], []

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_says_what_a_screen_reader_needs():
    text = page.render(document(), [document(id="20261127T120000-000ff")])
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    ids = [attributes["id"] for _, attributes in outline.all if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name, attributes in outline.all:
        assert "style" not in attributes
        assert not any(key.startswith("on") for key in attributes)
        if name == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden")
        if name == "th":
            assert attributes["scope"] in ("col", "row")
    assert re.search(r'aria-label="Seconds of the last 2 runs, oldest first: 2\.0, 2\.0"', text)
    assert "\x00" not in text
    assert "\u202e" not in text
    assert CONTROLS not in text


def test_the_graph_has_each_task_to_the_right_of_what_it_waits_for():
    tasks = [
        ran("a", 0, 1),
        ran("b", 0, 1),
        ran("c", 1, 2, upstream=("b",)),
        ran("d", 1, 2, upstream=("a",)),
        ran("e", 2, 3, upstream=("c", "a")),
    ]
    assert layers(tasks) == [["b", "a"], ["c", "d"], ["e"]] or layers(tasks) == [
        ["a", "b"],
        ["d", "c"],
        ["e"],
    ]


def test_a_page_of_a_thousand_notebooks_stays_small():
    many = tuple(
        ran(f"{n}.ipynb", n / 10, n / 10 + 1, upstream=(f"{n - 1}.ipynb",)) for n in range(1000)
    )
    text = page.render(document(tasks=many))
    assert len(text) < 4_000_000
    assert "The graph is too large to be drawn." in text
