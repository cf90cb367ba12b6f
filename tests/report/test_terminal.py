"""A build told on a terminal: live lines, a bar, and the lines that last."""

import errno
import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console

from nbbuild.events import CellStarted, Ended, Noted, Planned, Started
from nbbuild.model import Failure, Outcome, OutcomeKind, Report
from nbbuild.report import observer
from nbbuild.report.plain import Plain
from nbbuild.report.terminal import QuietConsole, Terminal
from nbbuild.report.words import Options, Words
from nbbuild.text.columns import width

ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Tty(io.StringIO):
    def isatty(self):
        return True


def executed(task, seconds=1.0):
    return Outcome(task=task, source=task, kind=OutcomeKind.EXECUTED, seconds=seconds)


def terminal(clock=None, *, width=100, height=25, **words):
    # Without colours the text can be compared; `force_terminal` keeps the live part.
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=height,
        color_system=None,
        legacy_windows=False,
    )
    return Terminal(console, words=Words(Options(**words)), clock=clock or Clock()), console


def picture(tell, console):
    with console.capture() as capture:
        console.print(tell.picture())
    return [line.rstrip() for line in ESCAPES.sub("", capture.get()).splitlines()]


def test_the_picture_has_a_line_per_running_notebook_and_a_bar():
    clock = Clock()
    tell, console = terminal(clock)
    tell(Planned(total=9, run=4, jobs=2, durations={"a.ipynb": 100.0, "sub/b.ipynb": 60.0}))
    tell(Started("sub/b.ipynb", 5))
    clock.now = 30.0
    tell(Started("a.ipynb", 12))
    tell(CellStarted("a.ipynb", 3, 12))
    clock.now = 40.0
    # 20 + 90 of those that run and twice the usual 80 of those that wait, over two jobs.
    assert picture(tell, console) == [
        "  sub/b.ipynb      starting  40 s",
        "  a.ipynb      In [3] of 12  10 s",
        "━━━━╸                           0/4  about 2 min 15 s left",
    ]


def test_a_long_name_keeps_its_end_and_the_bar_stays_in_sight():
    tell, console = terminal(width=50, height=6)
    tell(Planned(total=4, run=4, jobs=4))
    for n in range(4):
        tell(Started(f"a/very/long/way/to/some/notebook-{n}.ipynb", 1))
    assert picture(tell, console) == [
        "  …ng/way/to/some/notebook-0.ipynb  starting  0 s",
        "  …ng/way/to/some/notebook-1.ipynb  starting  0 s",
        "  … and 2 more",
        "                                0/4",
    ]


def test_what_a_notebook_waits_for_is_in_the_picture_until_it_begins():
    clock = Clock()
    tell, console = terminal(clock, width=60)
    tell(Planned(total=2, run=2, jobs=2))
    tell(Noted("b.ipynb", "waits for memory: 2.0 GB of 16.0 GB are left", waits=True))
    tell(Started("a.ipynb", 3))
    clock.now = 7.0
    assert console.file.getvalue() == "", "nothing that lasts"
    assert picture(tell, console) == [
        "  a.ipynb                                     starting  7 s",
        "  b.ipynb  waits for memory: 2.0 GB of 16.0 GB are le…  7 s",
        "                                0/2",
    ]
    tell(Started("b.ipynb", 2))
    assert picture(tell, console)[1] == "  b.ipynb  starting  0 s"


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
@pytest.mark.parametrize("lines", [5, 24])
def test_two_hundred_notebooks_fit_a_terminal_of_any_size(columns, lines):
    names = ("数据/分析-{}.ipynb", "chapters/😀/plots-{}.ipynb", "a\n{}.md", "far/" * 30 + "{}.py")
    tell, console = terminal(width=columns, height=lines)
    tell(Planned(total=200, run=200, jobs=200, durations={"x": 4000.0}))
    for n in range(200):
        tell(Started(names[n % 4].format(n), 1000))
        tell(CellStarted(names[n % 4].format(n), n + 1, 1000))
    shown = picture(tell, console)
    assert len(shown) == lines - 2
    assert max(map(width, shown)) < columns
    assert shown[-2] == f"  … and {200 - (lines - 4)} more"[: columns - 1]
    assert "0/200" in shown[-1]


def test_a_terminal_made_narrower_folds_the_picture_and_all_of_it_is_erased():
    tell, console = terminal(width=100)
    tell(Planned(total=1, run=1, jobs=1))
    tell(Started("long/" * 15 + "a.ipynb", 1))
    picture(tell, console)  # a line of 97 columns, and the bar
    console.width = 40
    with console.capture() as capture:
        tell.picture()
    # The line has become three, so that two more are above those that rich knows of.
    assert capture.get() == "\r\x1b[2K" + "\x1b[1A\x1b[2K" * 2
    with console.capture() as capture:
        tell.picture()
    assert capture.get() == ""


def test_a_table_at_the_end_is_cut_to_the_terminal():
    tell, console = terminal(width=30, slowest=None)
    with console.capture() as capture:
        tell.finish(Report(outcomes=(executed("a/long/way/to/the/model.ipynb"),), seconds=1.0))
    assert capture.get().splitlines()[-3:] == [
        "slowest:",
        "    1.0 s  …to/the/model.ipynb",
        "1 executed in 1.0 s",
    ]


def test_the_bar_is_green_until_something_fails():
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system="standard")
    tell = Terminal(console, words=Words(), clock=Clock())
    tell(Planned(total=3, run=3, jobs=1))
    tell(Ended(executed("a")))
    with console.capture() as capture:
        console.print(tell.picture())
    assert "\x1b[32m━" in capture.get()
    failure = Failure("error", "NameError: x")
    tell(Ended(Outcome(task="b", source="b", kind=OutcomeKind.FAILED, failure=failure)))
    with console.capture() as capture:
        console.print(tell.picture())
    assert "\x1b[1;31m━" in capture.get()


def test_finished_notebooks_leave_a_lasting_line_and_the_end_a_summary():
    tell, console = terminal()
    failed = Outcome(
        task="b.ipynb",
        source="b.ipynb",
        kind=OutcomeKind.FAILED,
        seconds=2,
        failure=Failure("error", "NameError: [red]x[/red]", cell=0, traceback="  File [a]\n    x"),
    )
    fresh = Outcome(task="c", source="c", kind=OutcomeKind.FRESH, saved=41)
    with tell:
        tell(Planned(total=3, run=2, jobs=2))
        tell(Started("a.ipynb", 3))
        tell(Ended(executed("a.ipynb")))
        tell(Noted("b.ipynb", "slow"))
        tell(Ended(failed))
        tell(Ended(fresh))
        tell.finish(Report(outcomes=(executed("a.ipynb"), failed, fresh), seconds=14.2))
    text = ESCAPES.sub("", console.file.getvalue())
    lasting = [line.rstrip() for line in re.split(r"[\r\n]+", text)]
    wanted = [
        "executed a.ipynb in 1.0 s",
        "note: b.ipynb: slow",
        "failed b.ipynb after 2.0 s, in cell 1: NameError: [red]x[/red]",
        "      File [a]",
        "        x",
        "1 executed, 1 fresh, 1 failed in 14.2 s; 41 s saved",
    ]
    assert [line for line in lasting if line in wanted] == wanted
    assert "\x1b[?25h" in console.file.getvalue(), "the cursor is shown again"


def test_a_terminal_that_is_gone_does_not_end_the_build():
    class Gone(Tty):
        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "gone")

    console = QuietConsole(file=Gone(), force_terminal=True)
    tell = Terminal(console, words=Words())
    tell(Ended(executed("a")))
    tell.finish(Report())


@pytest.mark.parametrize(
    ("environ", "live"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "CI": "false"}, True),
        ({"TERM": "xterm", "CI": "true"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_live_lines_are_for_capable_terminals_outside_ci(environ, live):
    assert isinstance(observer(stream=Tty(), environ=environ), Plain) is not live
    assert isinstance(observer(stream=io.StringIO(), environ=environ), Plain)


NOTHING_TO_DO = """
import sys
from nbbuild.events import Planned
from nbbuild.model import Outcome, OutcomeKind, Report
from nbbuild.report import observer
fresh = Outcome(task="a", source="a", kind=OutcomeKind.FRESH)
with observer(stream=sys.stderr) as tell:
    tell(Planned(total=1, run=0, jobs=2))
    tell.finish(Report(outcomes=(fresh,)))
print("rich" in sys.modules)
"""

ONE_TO_RUN = """
import sys
from nbbuild.events import CellStarted, Ended, Planned, Started
from nbbuild.model import Outcome, OutcomeKind, Report
from nbbuild.report import observer
done = Outcome(task="a.ipynb", source="a.ipynb", kind=OutcomeKind.EXECUTED, seconds=1.0)
with observer(stream=sys.stderr) as tell:
    tell(Planned(total=1, run=1, jobs=2))
    tell(Started("a.ipynb", 7))
    tell(CellStarted("a.ipynb", 2, 7))
    tell._now._live.refresh()
    print("data")
    tell(Ended(done))
    tell.finish(Report(outcomes=(done,), seconds=1.0))
"""


def on_a_terminal(program):
    """Run `program` with a real pseudo-terminal as stderr; return its stdout and what it drew."""
    ours, theirs = pty.openpty()
    environ = {k: v for k, v in os.environ.items() if k not in ("CI", "NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # Linux says EIO when the other end is closed
            break
        if not chunk:
            break
        drawn += chunk
    os.close(ours)
    out = process.stdout.read().decode()
    process.stdout.close()
    assert process.wait() == 0, drawn
    return out, drawn.decode()


def test_nothing_to_do_on_a_real_terminal_is_one_line_without_rich():
    out, drawn = on_a_terminal(NOTHING_TO_DO)
    assert drawn == "nothing to do: 1 notebook is up to date\r\n"
    assert out == "False\n"


def test_a_build_on_a_real_terminal_draws_and_leaves_two_lines():
    out, drawn = on_a_terminal(ONE_TO_RUN)
    assert out == "data\n", "stdout is for data"
    assert "In [2] of 7" in ESCAPES.sub("", drawn)
    assert "\x1b[32mexecuted\x1b[0m" in drawn, "in colour"
    lines = re.split(r"[\r\n]+", ESCAPES.sub("", drawn))
    assert [line for line in lines if "1.0 s" in line] == [
        "executed a.ipynb in 1.0 s",
        "1 executed in 1.0 s",
    ]


def test_nothing_that_a_name_or_a_note_holds_steers_the_terminal():
    tell, console = terminal()
    tell(Planned(total=1, run=1, jobs=1))
    tell(Started("a\x1b]0;x\x07.ipynb", 1))
    assert picture(tell, console)[0] == r"  a\x1b]0;x\x07.ipynb  starting  0 s"
    with console.capture() as capture:
        tell(Noted("", "wrote \u202e\x9b2J"))
    assert capture.get() == "note: wrote \\u202e\\u009b2J\n"
