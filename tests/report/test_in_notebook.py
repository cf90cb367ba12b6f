"""A build that a notebook begins shows its progress below the cell."""

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from nbbuild.events import CellStarted, Ended, Planned, Started
from nbbuild.model import Failure, Outcome, OutcomeKind, Report
from nbbuild.report.in_notebook import InNotebook

FAILED = Outcome(
    task="<b>.ipynb",
    source="<b>.ipynb",
    kind=OutcomeKind.FAILED,
    seconds=1.0,
    failure=Failure("error", "ValueError: <no>", 0, execution_count=1),
)


class Screen:
    """Keeps the pictures, and has a clock that we set."""

    def __init__(self):
        self.pictures, self.now = [], 0.0

    def __call__(self, picture):
        self.pictures.append(picture)

    @property
    def texts(self):
        return [one["text/plain"] for one in self.pictures]


def test_a_build_is_drawn_now_and_then_and_ends_with_its_sum():
    screen = Screen()
    tell = InNotebook(screen, clock=lambda: screen.now)

    tell(Planned(2, 2, 1, {"a": 4.0, "<b>.ipynb": 2.0}))
    tell(Started("a", 3))  # too soon to be drawn again
    screen.now = 1.0
    tell(CellStarted("a", 2, 3))
    screen.now = 2.0
    tell(Ended(FAILED))
    tell.finish(Report(outcomes=(FAILED,), seconds=2.0))

    assert screen.texts[:2] == [
        "0 of 2 done, about 6 s left",
        "0 of 2 done, about 5 s left\na  In [2] of 3  1 s",
    ]
    why = "failed <b>.ipynb after 1.0 s, in cell 1 (In [1]): ValueError: <no>"
    assert screen.texts[2].startswith(f"{why}\n1 of 2 done")
    assert screen.texts[3] == f"{why}\n1 failed in 2.0 s"
    assert not any("<b>" in one["text/html"] for one in screen.pictures)


def test_with_nothing_to_run_there_is_the_sum_only():
    screen = Screen()
    tell = InNotebook(screen, clock=lambda: screen.now)
    tell(Planned(1, 0, 1))
    tell.finish(Report())
    assert screen.texts == ["nothing to do: no notebook was asked for"]


def test_build_in_a_real_notebook_shows_how_it_ended(tmp_path, monkeypatch):
    (tmp_path / "jcache.toml").write_text("[project]\nnotebooks = ['*.ipynb']\n")
    nbformat.write(new_notebook(cells=[new_code_cell("1 + 1")]), tmp_path / "a.ipynb")
    calls = [
        "import nbbuild\nreport = nbbuild.build()",
        "report = await nbbuild.build_async(force=True)",
        "report = nbbuild.build(observer=lambda event: None)",
    ]
    notebook = new_notebook(cells=[new_code_cell(code) for code in calls])
    NotebookClient(notebook, resources={"metadata": {"path": tmp_path}}).execute()

    outputs = [cell.outputs for cell in notebook.cells]
    for shown in outputs[:2]:
        (one,) = shown
        assert one.output_type == "display_data"
        assert one.data["text/plain"].startswith("1 executed in ")
        assert one.data["text/html"].startswith("<div>1 executed in ")
    assert outputs[2] == []
