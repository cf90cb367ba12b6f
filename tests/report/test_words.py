"""What a build says of its tasks, word for word."""

import pytest

from nbbuild.events import Noted
from nbbuild.model import Failure, Outcome, OutcomeKind, Report
from nbbuild.report.words import Options, Tone, Words, summary
from nbbuild.text.quantities import amount, duration


def outcome(task, kind, **fields):
    return Outcome(task=task, source=fields.pop("source", task), kind=kind, **fields)


def fresh(number):
    return [outcome(f"{n}.ipynb", OutcomeKind.FRESH, saved=1.0) for n in range(number)]


def said(words, event):
    return [str(line) for line in words.ended(event)]


FAILED = outcome(
    "uk",
    OutcomeKind.FAILED,
    source="model.ipynb",
    seconds=2.06,
    built=".nbbuild/failed/uk.ipynb.failed",
    failure=Failure(
        kind="error",
        message="ZeroDivisionError: division by zero",
        cell=3,
        execution_count=2,
        traceback="\n".join(f"line {n}" for n in range(1, 31)) + "\n",
        hint="divide by something",
    ),
)


@pytest.mark.parametrize(
    ("seconds", "text", "whole"),
    [
        (0.0, "0.0 s", "0 s"),
        (14.24, "14.2 s", "14 s"),
        (59.94, "59.9 s", "1 min 00 s"),
        (59.96, "1 min 00 s", "1 min 00 s"),
        (185.4, "3 min 05 s", "3 min 05 s"),
        (3599.7, "1 h 00 min", "1 h 00 min"),
        (3720, "1 h 02 min", "1 h 02 min"),
        (90061, "25 h 01 min", "25 h 01 min"),
    ],
)
def test_a_time_is_written_as_people_write_it(seconds, text, whole):
    assert (duration(seconds), duration(seconds, whole=True)) == (text, whole)


def test_the_summary_counts_each_kind_and_the_time_saved():
    outcomes = [
        *(outcome(f"x{n}", OutcomeKind.EXECUTED, saved=99.0) for n in range(3)),
        *fresh(12),
        outcome("r", OutcomeKind.RESTORED, saved=29.4),
        FAILED,
        outcome("b", OutcomeKind.BLOCKED),
    ]
    assert summary(Report(outcomes=tuple(outcomes), seconds=14.21)) == (
        "3 executed, 1 restored, 12 fresh, 1 failed, 1 blocked in 14.2 s; 41 s saved"
    )


def test_the_summary_of_nothing_saved_and_of_an_interruption():
    ran = outcome("a", OutcomeKind.EXECUTED)
    left = outcome("b", OutcomeKind.CANCELLED)
    assert summary(Report(outcomes=(ran,), seconds=1)) == "1 executed in 1.0 s"
    assert summary(Report(outcomes=(ran, left), seconds=1, interrupted=True)) == (
        "interrupted: 1 executed, 1 cancelled in 1.0 s"
    )
    assert summary(Report(interrupted=True)) == "interrupted: nothing done in 0.0 s"


def test_nothing_to_do_is_one_line():
    assert summary(Report(outcomes=tuple(fresh(12)))) == (
        "nothing to do: 12 notebooks are up to date"
    )
    assert summary(Report(outcomes=tuple(fresh(1)))) == "nothing to do: 1 notebook is up to date"
    assert summary(Report()) == "nothing to do: no notebook was asked for"


def test_each_kind_has_its_line_and_fresh_ones_are_silent():
    outcomes = [
        outcome("a", OutcomeKind.EXECUTED, seconds=12.3, reasons=("code changed",)),
        outcome("b", OutcomeKind.EXECUTED, seconds=1, cached=False, notes=("b.csv changed",)),
        outcome("c", OutcomeKind.REFRESHED),
        outcome("d", OutcomeKind.RESTORED),
        outcome("e", OutcomeKind.FRESH),
        outcome("f", OutcomeKind.BLOCKED, reasons=("'a' failed",)),
        outcome("g", OutcomeKind.CANCELLED),
    ]
    words = Words()
    assert [line for one in outcomes for line in said(words, one)] == [
        "executed a in 12.3 s",
        "executed b in 1.0 s, not cached",
        "note: b: b.csv changed",
        "blocked f: 'a' failed",
    ]
    words = Words(Options(verbose=True))
    assert [line for one in outcomes[2:5] for line in said(words, one)] == [
        "refreshed c",
        "restored d",
        "fresh e",
    ]


def test_failures_are_listed_once_more_after_other_lines():
    other = outcome("a", OutcomeKind.EXECUTED, seconds=1)
    report = Report(outcomes=(FAILED, other), seconds=3)
    words = Words()
    for one in report.outcomes:
        words.ended(one)
    assert [str(line) for line in words.closing(report)] == [
        "failed:",
        "    uk (model.ipynb), in cell 4 (In [2]): ZeroDivisionError: division by zero",
        "1 executed, 1 failed in 3.0 s",
    ]
    # A single one has just been shown.
    alone = Report(outcomes=(FAILED, outcome("b", OutcomeKind.FRESH)), seconds=3)
    words.ended(alone.outcomes[1])
    assert [str(line) for line in words.closing(alone)] == ["1 fresh, 1 failed in 3.0 s"]
    assert Words(Options(silent=True)).closing(Report()) == []


@pytest.mark.parametrize(
    ("slowest", "names"), [(0, []), (1, ["c"]), (2, ["c", "a"]), (None, ["c", "a", "b"])]
)
def test_the_slowest_are_listed_where_asked_for(slowest, names):
    took = {"a": 2.0, "b": 0.5, "c": 75.0}
    outcomes = [outcome(name, OutcomeKind.EXECUTED, seconds=s) for name, s in took.items()]
    outcomes.append(outcome("d", OutcomeKind.RESTORED))
    words = Words(Options(slowest=slowest))
    for one in outcomes:
        words.ended(one)
    *lines, _ = [str(line) for line in words.closing(Report(outcomes=tuple(outcomes)))]
    shown = {"c": "    1 min 15 s  c", "a": "         2.0 s  a", "b": "         0.5 s  b"}
    assert lines == (["slowest:", *(shown[name] for name in names)] if names else [])


def test_a_failure_shows_the_cell_and_the_end_of_the_traceback():
    lines = said(Words(), FAILED)
    assert lines == [
        "failed uk (model.ipynb) after 2.1 s, in cell 4 (In [2]): "
        "ZeroDivisionError: division by zero",
        "    … 5 lines above; all: nbbuild show uk",
        *(f"    line {n}" for n in range(6, 31)),
        "    as far as it went: .nbbuild/failed/uk.ipynb.failed",
        "    to look at it: nbbuild show --open uk",
        "    hint: divide by something",
    ]


def test_nothing_is_said_twice():
    traceback = (
        "---------------------------------------------------------------------------\n"
        "NameError                                 Traceback (most recent call last)\n"
        "Cell In[1], line 1\n----> 1 x\n\nNameError: name 'x' is not defined"
    )
    error = Failure("error", "NameError: name 'x' is not defined", 0, traceback)
    lines = said(Words(), outcome("a", OutcomeKind.FAILED, failure=error))
    assert lines == [
        "failed a after 0.0 s, in cell 1: NameError: name 'x' is not defined",
        "    Cell In[1], line 1",
        "    ----> 1 x",
        "",
        "    NameError: name 'x' is not defined",
    ]
    whole = said(Words(Options(verbose=True)), outcome("a", OutcomeKind.FAILED, failure=error))
    assert whole[1:3] == [f"    {line}" for line in traceback.splitlines()[:2]]
    late = Failure("timeout", "cell 1 (In [1]) ran longer than its limit of 2 s", 0, "", "", 1)
    lines = said(Words(), outcome("a", OutcomeKind.FAILED, failure=late))
    assert lines == ["failed a after 0.0 s: cell 1 (In [1]) ran longer than its limit of 2 s"]


def test_verbose_adds_reasons_fresh_ones_and_the_whole_traceback():
    words = Words(Options(verbose=True))
    assert said(words, outcome("e", OutcomeKind.FRESH)) == ["fresh e"]
    ran = outcome("a", OutcomeKind.EXECUTED, reasons=("code changed", "numpy 1 → 2"))
    assert said(words, ran) == [
        "executed a in 0.0 s",
        "    because code changed",
        "    because numpy 1 → 2",
    ]
    assert "    line 1" in said(words, FAILED)


def test_silent_leaves_failures_only():
    unreadable = outcome("x", OutcomeKind.BLOCKED, failure=Failure("unreadable", "no JSON"))
    words = Words(Options(silent=True, verbose=True))
    assert said(words, outcome("a", OutcomeKind.EXECUTED, notes=("n",))) == []
    assert said(words, outcome("b", OutcomeKind.BLOCKED)) == []
    assert words.noted(Noted("a", "n")) == []
    assert said(words, unreadable) == ["blocked x: no JSON"]
    assert said(words, FAILED)[0].startswith("failed uk")
    assert words.closing(Report(outcomes=(FAILED, *fresh(2)))) == []


def test_closing_tells_what_nobody_has_told():
    words = Words()
    words.ended(FAILED)
    other = outcome("z.ipynb", OutcomeKind.FAILED, failure=Failure("start", "no kernel"))
    lines = words.closing(Report(outcomes=(FAILED, other), seconds=3))
    assert [str(line) for line in lines] == [
        "failed z.ipynb after 0.0 s: no kernel",
        "failed:",
        "    uk (model.ipynb), in cell 4 (In [2]): ZeroDivisionError: division by zero",
        "    z.ipynb: no kernel",
        "2 failed in 3.0 s",
    ]
    assert lines[-1].tone is Tone.BAD


def test_a_note_is_told_once():
    words = Words()
    assert [str(line) for line in words.noted(Noted("a", "slow"))] == ["note: a: slow"]
    assert said(words, outcome("a", OutcomeKind.FRESH, notes=("slow", "new"))) == ["note: a: new"]
    assert [str(line) for line in words.noted(Noted("", "no space"))] == ["note: no space"]


def test_what_became_of_a_task_stays_one_line():
    bad = outcome("a\nexecuted b", OutcomeKind.FAILED, failure=Failure("error", "\x1b[31mE\t: x"))
    assert said(Words(), bad) == [r"failed a\nexecuted b after 0.0 s: \x1b[31mE\t: x"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1234, "1.2 kB"),
        (999_960, "1.0 MB"),
        (5_000_000_000, "5.0 GB"),
        (2_500_000_000_000, "2.5 TB"),
    ],
)
def test_bytes_are_written_as_people_write_them(size, text):
    assert amount(size) == text
