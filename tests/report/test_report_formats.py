"""Each format says the same of one build, whatever names, messages and tracebacks hold."""

import json
import xml.etree.ElementTree as ET

import junitparser
import pytest
from reports import HOSTILE, TASKS, document, ran

from nbbuild.disk.shapes import Misshapen
from nbbuild.report import chrome_trace, junit, markdown
from nbbuild.report.document import decoded, encoded

# What Jenkins' junit-10.xsd allows: attributes (required ones first) and children, in order.
ALLOWED = {
    "testsuites": ([], {"name", "time", "tests", "failures", "disabled", "errors"}, ["testsuite"]),
    "testsuite": (
        ["name"],
        {"tests", "failures", "errors", "time", "timestamp", "skipped", "hostname", "id"},
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": ([], set(), ["property"]),
    "property": (["name"], {"value"}, []),
    "testcase": (
        ["name"],
        {"classname", "time", "status", "assertions"},
        ["skipped", "error", "failure", "system-out", "system-err"],
    ),
    "skipped": ([], {"message", "type"}, []),
    "error": ([], {"message", "type"}, []),
    "failure": ([], {"message", "type"}, []),
    "system-out": ([], set(), []),
}


def check(element):
    required, more, children = ALLOWED[element.tag]
    assert set(required) <= set(element.attrib) <= {*required, *more}, element.tag
    tags = [child.tag for child in element]
    assert tags == sorted(tags, key=children.index)
    for child in element:
        check(child)


def test_a_report_comes_back_from_its_json():
    whole = document()
    assert decoded(encoded(whole)) == whole
    assert whole.counts == {"fresh": 1, "restored": 1, "executed": 2, "failed": 1, "blocked": 1}
    with pytest.raises(Misshapen, match="its format is 2, and this nbbuild reads 1"):
        decoded(encoded(document(format=2)))


def test_the_critical_path_is_the_chain_that_worked_longest():
    assert document().critical_path == ("load.ipynb", "clean.ipynb")
    assert document(tasks=TASKS[3:5]).critical_path == ()


def test_junit_is_of_the_shape_that_ci_systems_read():
    text = junit.render(document(problems=("nothing was exported: no\nfacts",)))
    check(ET.fromstring(text.encode()))
    (suite,) = junitparser.JUnitXml.fromstring(text.encode())
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (7, 1, 1, 1)
    assert suite.timestamp == "2026-11-28T12:00:00"
    cases = {case.name: case for case in suite}
    assert [type(one).__name__ for one in cases["late.ipynb"].result] == ["Skipped"]
    assert cases["load.ipynb"].result == []
    (failure,) = cases[f"{HOSTILE}.ipynb"].result
    assert failure.message.startswith("cell 3 (In [2]): ValueError: </script>")
    assert "a\\x00b\\x1b[31mc\\x0bd\\u202ee\\ud800f\\uffff]]>&<" in failure.text
    (problem,) = cases["build"].result
    assert (problem.message, problem.text) == (
        "nothing was exported: no",
        "nothing was exported: no\nfacts",
    )


def test_markdown_says_what_failed_and_lets_nothing_through():
    text = markdown.render(document())
    assert text.startswith(
        "## nbbuild: book, failed\n\n"
        "1 fresh, 1 restored, 2 executed, 1 failed, 1 blocked in 4.2 s.\n"
        "Reused results had taken 10.5 s.\n"
    )
    fenced = text.split("````text\n")
    assert fenced[1].startswith("Traceback\n```\n")  # a fence longer than any in it
    outside = text.split("```text\n")[0] + fenced[1].split("````\n")[1]
    assert "<script" not in outside
    assert "<img" not in outside
    assert "Critical path: load.ipynb → clean.ipynb.\n" in text
    assert (
        "| clean.ipynb | executed (network) | 1.5 | 92.0 MB | it has not been run yet |\n" in text
    )
    assert "old.ipynb" not in text
    assert len(text.encode("utf-8", "backslashreplace")) < 10_000


def test_markdown_of_a_thousand_failures_stays_short():
    failure = TASKS[2].failure
    many = [ran(f"{n}.ipynb", 0, 1, outcome="failed", failure=failure) for n in range(1000)]
    text = markdown.render(document(tasks=tuple(many)))
    assert "… and 980 more failures.\n" in text
    assert "… and 950 more.\n" in text
    assert len(text) < 100_000


def test_a_trace_has_a_row_for_each_slot_with_the_cells_inside():
    text = chrome_trace.render(document()).encode("utf-8", "backslashreplace")
    events = json.loads(text)["traceEvents"]
    rows = {one["tid"]: one["args"]["name"] for one in events if one["name"] == "thread_name"}
    assert rows == {0: "from the store", 1: "slot 1", 2: "slot 2"}
    slices = [one for one in events if one["ph"] == "X"]
    first, *inner = [one for one in slices if one["tid"] == 1][:3]
    assert (first["name"], first["ts"], first["dur"]) == ("load.ipynb", 500_000, 2_000_000)
    assert first["args"]["critical"] is True
    for cell in inner:
        assert cell["cat"] == "cell"
        assert first["ts"] <= cell["ts"]
        assert cell["ts"] + cell["dur"] <= first["ts"] + first["dur"]
    arrows = [(one["ph"], one["tid"], one["ts"]) for one in events if one["ph"] in "sf"]
    assert arrows == [("s", 1, 2_499_999), ("f", 1, 2_500_000)]
