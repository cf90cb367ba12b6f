"""How far a build is, and how long it will take."""

from nbbuild.events import CellStarted, Ended, Noted, Planned, Started, WorkersStarted
from nbbuild.model import Outcome, OutcomeKind
from nbbuild.report.progress import Progress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def ended(task, kind=OutcomeKind.EXECUTED, seconds=0.0):
    return Ended(Outcome(task=task, source=task, kind=kind, seconds=seconds))


def progress(*events):
    clock = Clock()
    made = Progress(clock=clock)
    for event in events:
        made.follow(event)
    return made, clock


def test_the_time_left_is_the_work_left_over_the_jobs():
    made, clock = progress(
        Planned(total=5, run=3, jobs=2, durations={"a": 10.0, "b": 10.0, "c": 20.0}),
        Started("a", 4),
        Started("b", 4),
    )
    assert made.left() == 20.0
    clock.now += 4
    assert made.left() == 20.0, "the longest one waits, and nothing can shorten it"
    made.follow(ended("a", seconds=8.0))
    made.follow(Started("c", 4))
    clock.now += 6
    assert made.left() == 14.0
    assert (made.done, made.run) == (1, 3)
    assert made.fraction() == (10 + 9.9 + 6) / 40


def test_a_notebook_that_takes_longer_than_usual_does_not_count_below_zero():
    made, clock = progress(
        Planned(total=2, run=2, jobs=1, durations={"a": 10.0, "b": 10.0}), Started("a", 4)
    )
    clock.now += 1000
    assert made.left() == 10.0
    made.follow(ended("b", seconds=10.0))
    assert made.left() is None, "it may take another second or a day"


def test_workers_elsewhere_share_the_work_left():
    durations = dict.fromkeys("abcd", 10.0)
    made, _ = progress(Planned(total=4, run=4, jobs=1, durations=durations))
    assert made.left() == 40.0
    made.follow(WorkersStarted(jobs=4))
    assert made.left() == 10.0


def test_without_earlier_runs_the_cells_count_and_the_first_to_end_tells_the_rest():
    made, _ = progress(Planned(total=2, run=2, jobs=1), Started("a", 4), CellStarted("a", 3, 4))
    assert made.left() is None
    assert made.fraction() == 0.25
    made.follow(ended("a", seconds=6.0))
    assert made.left() == 6.0
    assert made.fraction() == 0.5


def test_new_notebooks_are_thought_to_take_as_long_as_the_others():
    made, _ = progress(Planned(total=2, run=2, jobs=1, durations={"a": 10.0}))
    assert made.left() == 20.0


def test_what_was_not_run_is_not_counted_and_waiting_ones_join():
    made, _ = progress(Planned(total=3, run=1, jobs=1), Started("a", 1))
    made.follow(ended("b", OutcomeKind.REFRESHED))
    made.follow(ended("a"))
    made.follow(Started("c", 1))
    assert (made.done, made.run) == (1, 2)
    made.follow(ended("c", OutcomeKind.FAILED))
    assert (made.done, made.run, made.fraction()) == (2, 2, 1.0)


def test_durations_of_notebooks_that_will_not_run_do_not_add_up():
    made, _ = progress(Planned(total=3, run=1, jobs=1, durations={"a": 10.0, "b": 20.0, "c": 30.0}))
    assert made.left() == 20.0
    made.follow(ended("c", OutcomeKind.FRESH))
    assert made.left() == 15.0, "it is known now that 'c' will not"


def test_nothing_planned_is_nothing_done():
    made, _ = progress()
    assert (made.fraction(), made.left(), made.rows()) == (0.0, None, [])


def test_those_that_cannot_begin_are_rows_and_count_for_nothing():
    made, clock = progress(
        Planned(total=2, run=2, jobs=2, durations={"a": 10.0, "b": 10.0}),
        Noted("a", "waits for process 7", waits=True),
        Noted("b", "half of it was seen"),
    )
    clock.now += 3
    made.follow(Noted("a", "waits for memory", waits=True))
    (row,) = made.rows()
    assert (row.where, made.elapsed(row)) == ("waits for memory", 3.0)
    assert (made.fraction(), made.left()) == (0.0, 10.0)
    made.follow(ended("a", OutcomeKind.RESTORED))
    assert made.rows() == [], "another process has built it"
    assert made.done == 0
