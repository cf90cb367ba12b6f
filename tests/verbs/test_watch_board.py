"""A watched project on a terminal: its state between builds, drawn in place."""

import io
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from nbbuild.config.types import Config
from nbbuild.errors import ConfigError
from nbbuild.events import Ended, Noted, Planned, Started
from nbbuild.model import Failure, Outcome, OutcomeKind, Report
from nbbuild.verbs.watch.board import Board
from nbbuild.verbs.watch.inbox import Due

NOON = time.mktime((2026, 11, 28, 12, 0, 0, 0, 0, -1))
SESSION = SimpleNamespace(config=Config(root=Path("/book"), path=Path("/book/jcache.toml")))
NAMES = ["a.ipynb", "b.ipynb", "c.ipynb"]


def outcome(task, kind, **more):
    return Outcome(task=task, source=task, kind=kind, seconds=0.31, **more)


FRESH = [outcome(name, OutcomeKind.FRESH) for name in NAMES]
FAILURE = Failure("error", "ZeroDivisionError: division by zero", 1, "1 / 0", execution_count=2)


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def board(stream):
    board = Board(stream, page="http://127.0.0.1:8000/x/", clock=lambda: NOON)
    yield board
    board.close()


def seen(board, width=70):
    """Return the lines that stand on the terminal."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(board.picture())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def build(board, due, *outcomes):
    """A whole build, all of whose events come."""
    board.begin(due)
    board.opened(SESSION, NAMES)
    ran = [one for one in outcomes if one.kind is not OutcomeKind.FRESH]
    board(Planned(len(outcomes), len(ran), 1))
    for one in ran:
        board(Started(one.task, 2))
        board(Ended(one))
    board.ended(Report(outcomes=tuple(outcomes), seconds=0.5))


WAITS = "watching 3 notebooks · http://127.0.0.1:8000/x/ · Ctrl-C ends"


def test_the_state_is_what_the_last_build_did_and_what_still_fails(board, stream):
    build(board, Due(), *FRESH)
    assert seen(board) == ["12:00:00  nothing to do: 3 notebooks are up to date", WAITS]
    failed = outcome("b.ipynb", OutcomeKind.FAILED, failure=FAILURE)
    build(board, Due(("b.ipynb",)), FRESH[0], failed, FRESH[2])
    row = "  failed  b.ipynb, in cell 2 (In [2]): ZeroDivisionError: division by"
    assert seen(board) == [row, "12:00:00  2 fresh, 1 failed in 0.5 s", WAITS]
    # Its traceback stays above.
    assert "    1 / 0" in stream.getvalue()
    done = outcome("a.ipynb", OutcomeKind.EXECUTED)
    build(board, Due(("a.ipynb",)), done, failed, FRESH[2])
    assert [line.split()[0] for line in seen(board)[:2]] == ["executed", "failed"]
    build(board, Due(("notes.txt",), named=False), *FRESH)
    assert seen(board) == ["12:00:00  1 executed, 1 fresh, 1 failed in 0.5 s", WAITS]


def test_what_was_saved_is_said_while_nothing_runs_yet(board):
    build(board, Due(), *FRESH)
    board.begin(Due(("a.ipynb", "b.ipynb", "c.ipynb", "d.csv", "e.csv")))
    assert seen(board)[0] == "12:00:00  changed: a.ipynb, b.ipynb, c.ipynb and 2 more"
    board.again()
    assert seen(board)[0] == "12:00:00  stopped: a file that it needs has changed"


def test_an_error_stands_until_it_is_mended(board):
    board.begin(Due())
    board.failed(ConfigError("jcache.toml is broken", hint="mend it"))
    assert seen(board)[:3] == ["error: jcache.toml is broken", "", "hint: mend it"]
    build(board, Due(("jcache.toml",)), *FRESH)
    assert seen(board)[0] == "12:00:00  nothing to do: 3 notebooks are up to date"


def test_a_note_about_the_project_is_written_once(board, stream):
    for _ in range(2):
        board.begin(Due())
        board.opened(SESSION, NAMES)
        board(Noted("", "the cache holds results"))
        board.ended(Report(outcomes=tuple(FRESH)))
    assert stream.getvalue().count("note: the cache holds results") == 1


def test_more_failures_than_lines_are_counted(board):
    board._console.height = 8
    names = [f"{number}.ipynb" for number in range(20)]
    failed = [outcome(name, OutcomeKind.FAILED, failure=FAILURE) for name in names]
    board.begin(Due())
    board.ended(Report(outcomes=tuple(failed)))
    assert [line.split()[0] for line in seen(board)] == [
        *["failed"] * 3,
        "…",
        "12:00:00",
        "watching",
    ]
    assert seen(board)[3].split(maxsplit=1)[1] == "and 17 more"
