"""What Jupyter shows of the nouns: tables in which everything is text."""

from nbbuild.judging.verdicts import Plan
from nbbuild.model import Failure, Judgement, Outcome, OutcomeKind, Reason, Report, Verdict
from nbbuild.text.markup import Markup, shortened, table, tag

BAD = "<img src=x onerror=alert(1)>"
FAILED = Outcome(
    task=BAD,
    source="a.ipynb",
    kind=OutcomeKind.FAILED,
    failure=Failure("error", BAD, cell=2, traceback=f"{BAD}\x1b"),
    notes=(BAD,),
)


def test_text_is_escaped_wherever_it_stands():
    assert tag("p", "<b>", Markup("<i>"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i></p>'
    assert tag("a", "x", href=Markup('"><script>')) == '<a href="&quot;&gt;&lt;script&gt;">x</a>'
    assert shortened("chapters/long-name.ipynb", 11) == "chapt…ipynb"


def test_a_table_has_a_row_for_each_task():
    fresh = Outcome(task="b", source="b", kind=OutcomeKind.FRESH, reasons=("a & b",))
    shown = Report(outcomes=(fresh,), problems=("no <export>",))._repr_html_()
    heads = ("task", "outcome", "seconds", "why")
    row = ("b", "fresh", "0.0", Markup("a &amp; b"))
    assert shown == table(heads, [row]) + "<p>no &lt;export&gt;</p>"
    plan = Plan((Judgement("b", Verdict.RUN, (Reason("first", text="it is <new>"),)),))
    assert plan._repr_html_() == table(
        ("task", "verdict", "why"), [("b", "run", Markup("it is &lt;new&gt;"))]
    )


def test_nothing_of_a_notebook_is_html():
    for shown in (FAILED._repr_html_(), Report(outcomes=(FAILED,))._repr_html_()):
        assert "<img" not in shown
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown
        assert "\x1b" not in shown
    assert "cell 3: " in FAILED._repr_html_()
