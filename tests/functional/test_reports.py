"""What a build writes down of itself, and `nbbuild report`."""

import errno
import json
import stat
import threading

import nbbuild
from nbbuild.events import CellStarted

CHAIN = """[report]
junit = "out/tests.xml"
markdown = "out/summary.md"
trace = "out/trace.json"

[[notebook]]
path = "first.ipynb"
artefacts = ["mid.txt"]

[[notebook]]
path = "then.ipynb"
assets = ["mid.txt"]
"""


def kept(project):
    """Return the reports that are kept, oldest first."""
    return sorted((project.root / ".nbbuild/reports").glob("*.json"))


def test_each_build_that_does_something_leaves_a_report(project):
    project.config(CHAIN)
    project.notebook("first.ipynb", "open('mid.txt', 'w').write('1')")
    project.notebook("then.ipynb", "open('mid.txt').read()", "value = 0\n1 / value")
    assert project.build("-j2", status=1) == ["first", "then"]
    (place,) = kept(project)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    report = json.loads(place.read_bytes())
    assert (report["format"], report["id"], report["slots"]) == (1, place.stem, 2)
    assert (report["exit_status"], report["counts"]) == (1, {"executed": 1, "failed": 1})
    first, then = report["tasks"]
    assert 0 < first["begin"] < first["end"] <= then["begin"] < then["end"] < report["seconds"]
    assert (first["slot"], then["slot"], then["upstream"]) == (1, 1, ["first.ipynb"])
    assert report["critical_path"] == ["first.ipynb", "then.ipynb"]
    assert [(one["execution_count"], one["position"]) for one in then["cells"]] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]
    offsets = [then["begin"], *(one["begin"] for one in then["cells"]), then["end"]]
    assert offsets == sorted(offsets)
    failure = then["failure"]
    assert (failure["position"], failure["source"]) == (3, "value = 0\n1 / value")
    assert "ZeroDivisionError" in failure["traceback"]

    # The files that [report] names say the same.
    assert '<failure type="error" message="cell 3 (In [3]): Zero' in project.read("out/tests.xml")
    assert "## nbbuild: " in project.read("out/summary.md")
    assert json.loads(project.read("out/trace.json"))["otherData"]["report"] == place.stem

    # A build with nothing to do would leave the failure: so it writes once more, then no more.
    project.notebook("then.ipynb", "open('mid.txt').read()")
    assert project.build() == ["then"]
    assert len(kept(project)) == 2
    before = project.files()
    assert project.build() == []
    assert project.build() == []
    assert len(kept(project)) == 2
    assert project.files() == before
    (project.root / "out/tests.xml").unlink()
    assert project.build() == []
    assert 'failures="0"' in project.read("out/tests.xml")


def test_peak_memory_and_marks_are_in_it(project):
    project.config("")
    project.notebook("a.ipynb", "import time\nheld = bytearray(60_000_000)\ntime.time()")
    project.build()
    project.build("-B")
    first, again = (json.loads(place.read_bytes())["tasks"][0] for place in kept(project))
    assert first["marks"] == []
    assert first["peak_memory"] is None or first["peak_memory"] > 60_000_000
    assert again["marks"] == [
        {
            "kind": "determinism",
            "text": "an earlier run with the same code and inputs gave other results",
        }
    ]


def test_the_report_of_any_build_can_be_had_in_any_format(project):
    project.config("")
    done = project.nbbuild("report")
    assert (done.status, done.err) == (
        2,
        "error: there is no report of a build yet\n\n"
        "hint: each build that has something to do writes one\n",
    )
    assert project.nbbuild("report", "--list").err == "there is no report of a build yet\n"
    project.notebook("a.ipynb")
    project.build()
    project.notebook("b.ipynb", "1 / 0")
    project.build(status=1)
    ids = [one["id"] for one in project.nbbuild("report", "--list", "--json").data]
    assert ids == sorted((place.stem for place in kept(project)), reverse=True)
    listed = project.nbbuild("report", "--list").out.splitlines()
    assert [line.split()[0] for line in listed] == ["BUILD", *ids]
    assert "1 failed" in listed[1]
    assert project.nbbuild("report", "--json").data["id"] == ids[0]
    assert "all well" in project.nbbuild("report", "--build", ids[1]).out
    target = project.root / "tests.xml"
    done = project.nbbuild("report", "--junit", str(target), "--trace", "-")
    assert done.err == f"wrote {target}\n"
    assert json.loads(done.out)["otherData"]["report"] == ids[0]
    assert 'tests="2" failures="1"' in target.read_text()
    done = project.nbbuild("report", "--build", "nothing")
    assert (done.status, done.err) == (
        2,
        "error: there is no report 'nothing'\n\nhint: `nbbuild report --list` shows their ids\n",
    )
    kept(project)[-1].write_text("{")
    done = project.nbbuild("report")
    assert done.status == 3
    assert f"error: the report '{ids[0]}' cannot be read\n" in done.err
    assert [one["id"] for one in project.nbbuild("report", "--list", "--json").data] == ids[1:]


def test_no_build_fails_for_its_report(project, monkeypatch):
    def full(self, document):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nbbuild.report.kept.ReportFolder.add", full)
    project.config(
        '[project]\nnotebooks = ["*.ipynb", "b.md"]\n\n'
        '[report]\njunit = "a.ipynb/tests.xml"\nmarkdown = "b.md"\ntrace = "t.json"'
    )
    project.notebook("a.ipynb")
    head = "---\njupyter:\n  kernelspec: {name: python3, display_name: P, language: python}\n---\n"
    project.write("b.md", f"{head}\n```python\n1\n```\n")
    done = project.nbbuild()
    assert [line for line in done.err.splitlines() if line.startswith("note: ")] == [
        "note: the report of this build was not kept: No space left on device",
        "note: the junit report was not written to 'a.ipynb/tests.xml': File exists",
        "note: the markdown report was not written: 'b.md' is a notebook",
    ]
    assert (done.status, project.exists("t.json")) == (0, True)


def test_a_step_on_github_gets_a_summary_of_each_build(project, monkeypatch):
    summary = project.root.parent / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    project.config("")
    project.notebook("a.ipynb")
    project.build()
    project.build()
    assert [line for line in summary.read_text().splitlines() if line.startswith("#")] == [
        f"## nbbuild: {project.root.name}, all well",
        f"## nbbuild: {project.root.name}, all well",
    ]


def test_only_the_last_reports_are_kept(project, monkeypatch):
    monkeypatch.setattr("nbbuild.report.kept.MOST", 2)
    project.config("")
    project.notebook("a.ipynb")
    for _ in range(3):
        project.build("-B")
    assert len(kept(project)) == 2


def test_two_builds_are_compared_and_a_notebook_has_a_history(project):
    project.config("")
    project.notebook("a.ipynb")
    assert project.nbbuild("show", "--history", "a.ipynb").status == 1
    project.build()
    project.notebook("a.ipynb", "1 / 0")
    project.notebook("b.ipynb")
    project.build(status=1)
    new, old = (one["id"] for one in project.nbbuild("report", "--list", "--json").data)
    done = project.nbbuild("report", "--compare", old, new, "--json")
    changed = {one["task"]: (one["outcome_before"], one["outcome_after"]) for one in done.data}
    assert changed == {"a.ipynb": ("executed", "failed"), "b.ipynb": ("absent", "executed")}
    shown = project.nbbuild("report", "--compare", old, new).out
    assert shown.startswith("TASK     OUTCOME")
    assert "executed → failed" in shown
    same = project.nbbuild("report", "--compare", new, "last")
    assert same.err == "the two builds had the same outcomes and took the same time\n"
    history = project.nbbuild("show", "--history", "a.ipynb").out.splitlines()
    assert [line.split()[0] for line in history] == ["BUILD", new, old]
    assert history[1].endswith("ZeroDivisionError: division by zero")
    data = project.nbbuild("show", "--history", "b.ipynb", "--json").data
    assert [one["build"] for one in data] == [new]


def test_an_interrupted_build_leaves_a_report_too(project):
    project.config("")
    project.notebook("a.ipynb", "import time; time.sleep(600)")
    project.notebook("b.ipynb")
    cancelled = threading.Event()

    def tell(event):
        if isinstance(event, CellStarted) and event.number == 2:
            cancelled.set()

    assert nbbuild.build(project.root, jobs=1, observer=tell, cancelled=cancelled).interrupted
    (place,) = kept(project)
    report = json.loads(place.read_bytes())
    assert (report["interrupted"], report["exit_status"]) == (True, 130)
    first, second = report["tasks"]
    assert (first["outcome"], second["outcome"]) == ("cancelled", "cancelled")
    assert [one["execution_count"] for one in first["cells"]] == [1, 2]
    assert (second["begin"], second["cells"]) == (None, [])
    project.nbbuild("report", "--html", str(project.root / "report.html"))
    assert ">interrupted</span>" in project.read("report.html")
