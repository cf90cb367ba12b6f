"""Whatever a notebook, its name or its configuration says, no script of it runs in our pages."""

import itertools
import json
import re

import msgspec
import pytest
from reports import document

from nbbuild.judging.verdicts import Plan
from nbbuild.model import (
    ActionKey,
    Failure,
    Judgement,
    Outcome,
    OutcomeKind,
    Reason,
    Report,
    Verdict,
)
from nbbuild.report import page
from nbbuild.report.document import Document
from nbbuild.report.in_notebook import InNotebook

RUN = "window.pwned=(window.pwned||[]).concat({0})"
PAYLOADS = (
    "<script>{run}</script>",
    "</script></style></title></textarea></svg><script>{run}</script>",
    '<img src=x onerror="{run}">',
    "'\"><svg onload={run}>",
    "\" autofocus onfocus={run} x=\"' autofocus onfocus={run} x='",
    '<iframe srcdoc="<script>parent.{run}</script>"></iframe>',
    '<a href="javascript:{run}">x</a><form action="javascript:{run}"><button>x</form>',
    "javascript:{run}",
    "<math><mtext></p><style><img src=x onerror={run}></style>",
    "<!--><img src=x onerror={run}>-->",
    "<body onload={run}><details open ontoggle={run}>",
    "<meta http-equiv=refresh content='0;url=https://asked.invalid/{{0}}'>"
    "<base href=//asked.invalid>",
    "<link rel=stylesheet href=https://asked.invalid/a.css><object data=https://asked.invalid>",
    "<img src=https://asked.invalid/a.png><style>@import'https://asked.invalid/b.css'</style>",
    "<script>alert(1);confirm(2);prompt(3)</script><img src=x onerror=alert(4)>",
    "\u2028{run}\n{run}//]]>-->{run}",
    "&lt;script&gt;{run}&lt;/script&gt;&#60;img src=x onerror={run}&#62;",
    "${{{run}}}`{run}`{{{{{run}}}}}",
)


class Payloads:
    """Hands out one payload after the other; each would set a global of the page."""

    def __init__(self):
        self.count = 0
        self._next = itertools.cycle(PAYLOADS)

    def __call__(self):
        self.count += 1
        return next(self._next).format(self.count, run=RUN.format(self.count))

    def instead(self, value):
        """Return plain data with a payload in the place of each text."""
        if isinstance(value, dict):
            return {key: self.instead(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.instead(one) for one in value]
        return self() if isinstance(value, str) else value


@pytest.fixture
def faults(browser, tmp_path):
    """Open a page, try everything in it, and return what it did that no page of ours does."""

    def open_and_try(text, *, name="page.html"):
        place = tmp_path / name
        place.write_bytes(text.encode("utf-8", "backslashreplace"))
        shown = browser.page()
        shown.open(place)
        shown.run(
            "for (const e of document.querySelectorAll('details')) e.open = true;"
            "for (const e of document.querySelectorAll('a, button, th, tr, summary')) {"
            " e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})); e.focus?.();"
            " e.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true})); }"
            "for (const e of document.querySelectorAll('input')) {"
            " e.value = '<img src=x onerror=pwned=1>';"
            " e.dispatchEvent(new Event('input', {bubbles: true})); }"
        )
        shown.run("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        asked = [one["request"]["url"] for one in shown.heard("Network.requestWillBeSent")]
        return {
            "ran": shown.run("JSON.stringify(window.pwned ?? null)"),
            "dialogs": shown.heard("Page.javascriptDialogOpening"),
            "asked": [one for one in asked if not one.startswith(place.as_uri())],
            "elements": shown.run(
                "document.querySelectorAll('img, iframe, object, embed, link, base, form').length"
            ),
            "refreshes": shown.run("document.querySelectorAll('[http-equiv=refresh]').length"),
            "handlers": shown.run(
                "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
                ".filter(a => /^on/.test(a.name) || /^\\s*javascript:/i.test(a.value)"
                " && a.name == 'href').length"
            ),
        }

    return open_and_try


NONE = {"ran": "null", "dialogs": [], "asked": [], "elements": 0, "refreshes": 0, "handlers": 0}


@pytest.mark.slow
def test_the_payloads_run_where_nobody_escapes_them(faults):
    payload = Payloads()
    texts = [payload() for _ in PAYLOADS]
    found = faults("".join(one for one in texts if "alert" not in one and "refresh" not in one))
    assert len(json.loads(found["ran"])) > 5
    assert {url.split("/")[2] for url in found["asked"] if url.startswith("http")} == {
        "asked.invalid"
    }
    assert found["elements"] > 3 < found["handlers"]


def hostile_document(payload, *, turn=0):
    """A report in which every text is a payload but those that have a few values only."""
    for _ in range(turn):
        payload()
    plain = msgspec.to_builtins(document(problems=("x", "y"), targets=("x",)))
    counts = plain["counts"]
    kinds = [one["outcome"] for one in plain["tasks"]]
    hostile = payload.instead(plain)
    pairs = list(zip(plain["tasks"], hostile["tasks"], strict=True))
    renamed = {old["task"]: new["task"] for old, new in pairs}
    for kind, (old, new) in zip(kinds, pairs, strict=True):
        new["outcome"] = kind
        new["upstream"] = [renamed[name] for name in old.get("upstream", ())]
    hostile["critical_path"] = [renamed[name] for name in plain["critical_path"]]
    hostile["counts"] = counts
    return msgspec.convert(hostile, Document)


@pytest.mark.parametrize(
    "turn", [0, *(pytest.param(turn, marks=pytest.mark.stress) for turn in range(1, len(PAYLOADS)))]
)
def test_no_text_of_a_report_becomes_a_script(faults, turn):
    payload = Payloads()
    whole = hostile_document(payload, turn=turn)
    earlier = [hostile_document(payload) for _ in range(2)]
    tasks = whole.tasks
    earlier = [msgspec.structs.replace(one, tasks=tasks) for one in earlier]
    assert payload.count > 90
    text = page.render(whole, earlier)
    assert faults(text) == NONE
    # Escaping alone is enough: the policy is a second wall.
    bare, count = re.subn(r"<meta http-equiv=.Content-Security-Policy.[^>]*>", "", text)
    assert count == 1
    assert faults(bare, name="bare.html") == NONE


def test_nothing_that_is_shown_in_a_notebook_becomes_a_script(faults):
    """Without any policy: Jupyter has none."""
    payload = Payloads()

    def outcome(kind, failure=None):
        return Outcome(
            task=payload(),
            source=payload(),
            kind=kind,
            reasons=(payload(), payload()),
            notes=(payload(),),
            built=payload(),
            origin=payload(),
            failure=failure,
        )

    failure = Failure("error", payload(), 1, payload(), payload(), 2, ((payload(),) * 3,))
    outcomes = [outcome(kind) for kind in OutcomeKind for _ in range(2)]
    outcomes.append(outcome(OutcomeKind.FAILED, failure))
    report = Report(outcomes=tuple(outcomes), seconds=1.0, problems=(payload(), payload()))
    reasons = [Reason(payload(), payload(), payload(), payload()) for _ in range(9)]
    judgements = [
        Judgement(payload(), verdict, (*reasons, Reason("x", text=payload())), ActionKey("", ()))
        for verdict in Verdict
    ]
    pictures = []
    below = InNotebook(pictures.append)
    below.finish(report)
    shown = [one._repr_html_() for one in (*outcomes, report, Plan(tuple(judgements)))]
    shown += [one["text/html"] for one in pictures]
    assert payload.count > 100
    assert faults(f"<!DOCTYPE html><body>{''.join(shown)}</body>") == NONE


def test_no_script_of_a_notebook_gets_into_the_page_of_its_build(project, faults):
    """Names, outputs, tracebacks, sources and configuration, through a real build."""
    payload = Payloads()
    bad = PAYLOADS[2].format(1, run=RUN.format(1))
    names = ("<img src=x onerror=pwned=1>", "'\"><svg onload=pwned=2>", "a&lt;script&gt;")
    texts = [payload() for _ in PAYLOADS]
    shows = f"from IPython.display import HTML, Javascript, display\nfor one in {texts!r}:\n"
    shows += "    print(one); display(HTML(one), Javascript('window.pwned=9'))"
    for name in names:
        project.notebook(f"{name}.ipynb", shows)
    project.notebook(
        "fails.ipynb",
        f"# {bad}\nprint({texts!r})\nraise type({json.dumps(bad)}, (Exception,), {{}})({texts!r})",
    )
    quoted = json.dumps(bad)
    project.config(
        f'[[notebook]]\npath = "fails.ipynb"\ngroups = [{quoted}]\n'
        f"depends_on = [{json.dumps(names[0] + '.ipynb')}]\n"
        f"[notebook.parameters]\nx = {quoted}\n"
    )
    done = project.nbbuild("build", bad, *(f"{name}.ipynb" for name in names))
    assert (done.status, "3 executed, 1 failed" in done.err) == (1, True), done.err
    project.nbbuild("report", "--html", "page.html")
    text = project.read("page.html")
    assert faults(text) == NONE
    assert "pwned" in text
