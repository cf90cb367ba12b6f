"""The page of a watched project: who gets it, and what a notebook can do in it."""

import http.client
import json
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from notebook_sources import code, ipynb, prose

from nbbuild.errors import ConfigError, UsageError
from nbbuild.events import CellStarted, Ended, Planned, Started
from nbbuild.model import Failure, Outcome, OutcomeKind, Report
from nbbuild.verbs.watch import rendering
from nbbuild.verbs.watch.inbox import Due
from nbbuild.verbs.watch.server import Server
from nbbuild.verbs.watch.site import Site

HOSTILE = "<script>parent.hacked = 1; document.title = 1</script><img src=x onerror='hacked = 1'>"
COMPLAINTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
FRAME = "document.getElementById('notebook').contentDocument"


@pytest.fixture
def site(tmp_path):
    """A project with two tasks of which one was built."""
    site = Site("book")
    site.begin(Due())
    site.opened(SimpleNamespace(root=tmp_path), ["a.ipynb", "b.ipynb"])
    return site


@pytest.fixture
def built(site, tmp_path):
    """Build `a.ipynb`, with outputs."""

    def building(*outputs, text=HOSTILE):
        cells = [prose(HOSTILE), code(text, execution_count=1, outputs=list(outputs))]
        (tmp_path / "a.built").write_text(ipynb(cells))
        done = Outcome(task="a.ipynb", source="a.ipynb", kind=OutcomeKind.EXECUTED, built="a.built")
        site(Ended(done))
        site.ended(Report(outcomes=(done,), seconds=0.2))

    return building


@pytest.fixture
def server(site):
    with Server(site) as server:
        yield server


@pytest.fixture
def ask(server):
    """Send a request; return the status, the headers and the body."""
    whole = urlsplit(server.url)

    def asking(path, *, host=whole.netloc, method="GET", token=whole.path):
        connection = http.client.HTTPConnection(whole.netloc, timeout=30)
        connection.putrequest(method, f"{token}{path}", skip_host=True)
        if host is not None:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read().decode()
        connection.close()
        return found

    return asking


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def test_only_who_knows_the_token_and_asks_for_this_server_gets_anything(ask, server):
    port = urlsplit(server.url).port
    assert server.url.startswith(f"http://127.0.0.1:{port}/")
    assert len(urlsplit(server.url).path) == 34
    assert ask("")[0] == 200
    assert ask("", host=f"localhost:{port}")[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"0.0.0.0:{port}", None):
        status, _, body = ask("", host=host)
        assert (status, body) == (421, "this server has another name\n")
    for token in ("/", "/x/", "/" + "A" * 32 + "/"):
        status, _, body = ask("", token=token)
        assert (status, body) == (404, "there is nothing here\n")
        assert ask("events", token=token)[0] == 404
    assert ask("", method="POST")[0] == 501


def test_every_answer_lets_nothing_load_from_elsewhere(ask, built):
    built()
    for path in ("", "report", "notebook/a.ipynb", "nothing"):
        _, headers, _ = ask(path)
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "*" not in headers["Content-Security-Policy"]
        assert "http" not in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers
    policy = ask("notebook/a.ipynb")[1]["Content-Security-Policy"]
    assert "script" not in policy
    assert policy.startswith("sandbox allow-same-origin; default-src 'none'; ")


def test_only_notebooks_of_the_project_are_read(ask, built, tmp_path):
    built()
    (tmp_path / "secret").write_text("x")
    assert ask("notebook/a.ipynb")[0] == 200
    for path in ("notebook/secret", "notebook/../secret", "notebook/%2e%2e/secret", "notebook/"):
        assert ask(path)[0] == 404
    assert ask("report")[2].endswith("<p>there is no report of a build yet.</p></body></html>\n")


def test_a_port_that_is_taken_is_told(server, site):
    port = urlsplit(server.url).port
    with pytest.raises(UsageError) as error:
        Server(site, port)
    assert str(error.value).startswith(f"the page cannot be served on port {port}: Address already")
    assert error.value.hint == "`--serve` without a number takes a port that is free"


def test_the_state_follows_the_builds(site, built):
    def state(version=-1):
        version, said = site.after(version, patience=30)
        return version, json.loads(said)

    version, said = state()
    assert [one["task"] for one in said["tasks"]] == ["a.ipynb", "b.ipynb"]
    site(Planned(2, 1, 1))
    site(Started("a.ipynb", 3))
    site(CellStarted("a.ipynb", 2, 3))
    version, said = state(version)
    assert (said["building"], said["said"]) == (True, "1 of 2 to run")
    assert said["tasks"][0] == {
        "task": "a.ipynb",
        "state": "running",
        "where": "In [2] of 3",
        "stamp": "",
    }
    built()
    version, said = state(version)
    assert (said["building"], said["said"], said["report"]) == (False, "1 executed in 0.2 s", 1)
    assert (said["tasks"][0]["state"], said["tasks"][0]["where"]) == ("executed", "")
    assert said["tasks"][0]["stamp"].isdigit()
    assert site.after(version, patience=0) == (version, None)
    failure = Failure("error", "ValueError: no")
    done = Outcome(task="b.ipynb", source="b.ipynb", kind=OutcomeKind.FAILED, failure=failure)
    site.ended(Report(outcomes=(done,)))
    assert state(version)[1]["tasks"][1]["where"] == "ValueError: no"
    site.failed(ConfigError("jcache.toml is broken", hint="mend it"))
    assert state()[1]["error"] == "jcache.toml is broken\n\nhint: mend it"


def test_sources_texts_and_images_are_shown_and_nothing_else():
    png = {"output_type": "display_data", "data": {"image/png": "QUJD\n", "text/plain": "no"}}
    svg = {"output_type": "display_data", "data": {"image/svg+xml": ["<svg>", "</svg>"]}}
    wrong = {
        "output_type": "display_data",
        "data": {"image/png": 'A" onload="x', "text/plain": "t"},
    }
    html = {"output_type": "execute_result", "data": {"text/html": HOSTILE, "text/plain": "<t>"}}
    error = {"output_type": "error", "traceback": ["\x1b[31mValueError\x1b[0m: no"]}
    cells = [
        code("1 < 2", execution_count=7, outputs=[stream("<b>"), png, svg, wrong, html, error])
    ]
    made = rendering.plain(ipynb(cells).encode(), "<a>")
    body = made[made.index("<main>") : made.index("</main>")]
    assert body == (
        '<main><section><p class="count">In [7]</p><pre class="source">1 &lt; 2</pre>'
        '<pre class="stdout">&lt;b&gt;</pre><img src="data:image/png;base64,QUJD" alt="output">'
        '<img src="data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=" alt="output">'
        '<pre class="result">t</pre><pre class="result">&lt;t&gt;</pre>'
        '<pre class="error">ValueError: no</pre></section>'
    )
    with pytest.raises(ValueError, match="this is no notebook"):
        rendering.plain(b'{"cells": [1]}', "x")


@pytest.mark.parametrize("way", ["plain", "any HTML"])
def test_a_hostile_notebook_runs_nothing_asks_nobody_and_is_shown_anew(
    browser, server, site, built, monkeypatch, way
):
    made = f"<body>{HOSTILE}<iframe src='//x.example'></iframe><p id=text>" + "{}" + "<br>" * 500
    if way == "plain":
        monkeypatch.setattr(rendering, "_converted", lambda data, title: None)
    else:
        monkeypatch.setattr(
            rendering, "_converted", lambda data, title: made.replace("{}", data.decode())
        )
    built(stream("first" + "\n" * 500))
    shown = browser.page()
    shown.visit(server.url)
    shown.until(f"{FRAME}?.body?.textContent.includes('first')")
    assert shown.run("document.getElementById('said').textContent") == "1 executed in 0.2 s"
    buttons = (
        "[...document.querySelectorAll('#tasks button')].map((e) => [e.textContent, e.disabled])"
    )
    assert shown.run(buttons) == [["a.ipynb", False], ["b.ipynb", True]]
    shown.run("document.getElementById('notebook').contentWindow.scrollTo(0, 300)")
    built(stream("second" + "\n" * 500))
    shown.until(
        f"{FRAME}?.readyState === 'complete' && {FRAME}.body.textContent.includes('second')"
    )
    shown.until("document.getElementById('notebook').contentWindow.scrollY === 300")
    # Nothing ran, in the frame or outside.
    assert shown.run("[window.hacked, document.title]") == [None, "book – nbbuild watch"]
    assert shown.run(f"[{FRAME}.defaultView.hacked, {FRAME}.title === '1']") == [None, False]
    asked = {one["request"]["url"] for one in shown.heard("Network.requestWillBeSent")}
    assert all(url.startswith((server.url, "data:")) for url in asked), asked
    if way == "plain":
        assert shown.heard(*COMPLAINTS) == []


def test_what_a_reader_chose_stays_and_an_error_is_said(browser, server, site, built, monkeypatch):
    monkeypatch.setattr(rendering, "_converted", lambda data, title: None)
    built(stream("first"))
    shown = browser.page()
    shown.visit(server.url)
    shown.until(f"{FRAME}?.body?.textContent.includes('first')")
    shown.click("#tasks button")
    assert shown.run("document.querySelector('#tasks button').ariaPressed") == "true"
    site.begin(Due(("jcache.toml",)))
    site.failed(ConfigError("jcache.toml is broken"))
    shown.until("!document.getElementById('error').hidden")
    assert shown.run("document.getElementById('error').textContent") == "jcache.toml is broken"
    site.close()
    shown.until("document.getElementById('said').className === 'gone'")
