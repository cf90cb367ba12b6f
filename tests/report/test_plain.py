"""A build told in plain lines, for CI and files."""

import io
import threading

import pytest

from nbbuild.events import CellStarted, Ended, Noted, Planned, Started
from nbbuild.model import Outcome, OutcomeKind, Report
from nbbuild.report import observer
from nbbuild.report.plain import Plain
from nbbuild.report.words import Options, Words


def executed(task, seconds=1.0):
    return Outcome(task=task, source=task, kind=OutcomeKind.EXECUTED, seconds=seconds)


def test_a_build_has_a_line_at_the_start_and_at_the_end_of_each_notebook():
    stream = io.StringIO()
    with observer(stream=stream, environ={}) as tell:
        tell(Planned(total=3, run=2, jobs=2))
        tell(Started("a.ipynb", 3))
        tell(Started("b.ipynb", 1))
        tell(CellStarted("a.ipynb", 1, 3))
        tell(Noted("a.ipynb", "wrote out.csv undeclared"))
        tell(Ended(executed("a.ipynb")))
        tell(Ended(executed("b.ipynb", 2.5)))
        fresh = Outcome(task="c.ipynb", source="c.ipynb", kind=OutcomeKind.FRESH, saved=4)
        tell(Ended(fresh))
        tell.finish(Report(outcomes=(executed("a.ipynb"), executed("b.ipynb"), fresh), seconds=3))
    assert stream.getvalue().splitlines() == [
        "executing a.ipynb: 3 cells",
        "executing b.ipynb: 1 cell",
        "note: a.ipynb: wrote out.csv undeclared",
        "executed a.ipynb in 1.0 s",
        "executed b.ipynb in 2.5 s",
        "2 executed, 1 fresh in 3.0 s; 4 s saved",
    ]


def test_the_heartbeat_lists_what_is_running():
    now = [0.0]
    stream = io.StringIO()
    plain = Plain(stream, words=Words(), clock=lambda: now[0])
    plain.beat()
    assert stream.getvalue() == ""
    plain(Started("a.ipynb", 12))
    plain(CellStarted("a.ipynb", 3, 12))
    now[0] = 45.0
    plain(Started("b.ipynb", 4))
    plain.beat()
    assert stream.getvalue().splitlines()[2:] == [
        "running a.ipynb In [3] of 12 (45 s), b.ipynb starting (0 s)"
    ]
    plain(Planned(total=2, run=2, jobs=2, durations={"a.ipynb": 60.0, "b.ipynb": 80.0}))
    plain.beat()
    assert stream.getvalue().splitlines()[-1].endswith("; about 1 min 20 s left")
    plain.finish(Report())


def test_the_heartbeat_beats_while_something_runs_and_ends_with_the_build():
    class Listening(io.StringIO):
        def __init__(self):
            super().__init__()
            self.beaten = threading.Event()

        def write(self, text):
            if text.startswith("running a.ipynb"):
                self.beaten.set()
            return super().write(text)

    stream = Listening()
    with Plain(stream, words=Words(), heartbeat=0.01) as tell:
        tell(Planned(total=1, run=1, jobs=1))
        tell(Started("a.ipynb", 1))
        assert stream.beaten.wait(10)
    assert [t.name for t in threading.enumerate() if t.name == "heartbeat"] == []


def test_without_threads_there_is_no_heartbeat_and_a_build_all_the_same(monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    stream = io.StringIO()
    with Plain(stream, words=Words()) as tell:
        tell(Planned(1, 1, 1))
        tell(Started("a.ipynb", 2))
        tell(Ended(executed("a.ipynb")))
    assert "executed a.ipynb in 1.0 s\n" in stream.getvalue()


def test_silent_writes_nothing_of_a_good_build():
    stream = io.StringIO()
    with observer(stream=stream, options=Options(silent=True), environ={}) as tell:
        tell(Planned(total=1, run=1, jobs=1))
        tell(Started("a", 1))
        tell(Ended(executed("a")))
        tell.finish(Report(outcomes=(executed("a"),)))
    assert stream.getvalue() == ""


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
def test_a_stream_that_nobody_reads_does_not_end_the_build(error):
    class Gone(io.StringIO):
        def write(self, text):
            raise error

    with Plain(Gone(), words=Words()) as tell:
        tell(Started("a", 1))
        tell.finish(Report())


def test_lines_from_many_threads_stay_whole():
    stream = io.StringIO()
    tell = Plain(stream, words=Words())
    threads = [
        threading.Thread(target=tell, args=(Ended(executed(f"{n}.ipynb")),)) for n in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stream.getvalue().splitlines()) == sorted(
        f"executed {n}.ipynb in 1.0 s" for n in range(50)
    )


def test_nothing_that_a_name_or_a_note_holds_steers_the_terminal():
    stream = io.StringIO()
    plain = Plain(stream, words=Words())
    plain(Started("a\x1b]0;x\x07.ipynb", 1))
    plain.beat()
    plain(Noted("", "wrote \u202e\x9b2J"))
    plain.finish(Report(problems=("no \x1b[8m",)))
    assert stream.getvalue().splitlines() == [
        r"executing a\x1b]0;x\x07.ipynb: 1 cell",
        r"running a\x1b]0;x\x07.ipynb starting (0 s)",
        r"note: wrote \u202e\u009b2J",
        r"error: no \x1b[8m",
        "nothing to do: no notebook was asked for",
    ]
