"""A recorder takes down a build as its events come, by a clock that the test turns."""

from nbbuild.events import CellStarted, Ended, Planned, Started, WorkersStarted
from nbbuild.model import Outcome, OutcomeKind
from nbbuild.report.recording import Course, Recorder


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def ended(task):
    return Ended(Outcome(task=task, source=task, kind=OutcomeKind.EXECUTED))


def recorded(*events):
    """Return the recorder to which the events came, a second apart."""
    clock = Clock()
    passed = []
    recorder = Recorder(passed.append, clock=clock)
    for event in events:
        clock.now += 1
        recorder(event)
    assert passed == list(events)
    return recorder


def test_each_notebook_takes_the_first_free_slot():
    recorder = recorded(
        Planned(total=3, run=3, jobs=2),
        Started("a", 1),
        Started("b", 1),
        CellStarted("b", 1, 1),
        ended("a"),
        Started("c", 1),
        ended("c"),
        ended("b"),
    )
    assert recorder.slots == 2
    assert recorder.courses == {
        "a": Course(slot=1, begin=2.0, end=5.0),
        "b": Course(slot=2, begin=3.0, end=8.0, cells=[4.0]),
        "c": Course(slot=1, begin=6.0, end=7.0),
    }


def test_another_attempt_keeps_its_slot_and_begins_its_cells_anew():
    recorder = recorded(
        Started("a", 2),
        CellStarted("a", 1, 2),
        CellStarted("a", 2, 2),
        CellStarted("a", 1, 2),  # a retry
        CellStarted("a", 2, 2),
        ended("a"),
    )
    assert recorder.courses["a"] == Course(slot=1, begin=1.0, end=6.0, cells=[4.0, 5.0])
    again = recorded(Started("a", 1), CellStarted("a", 1, 1), Started("a", 1), ended("a"))
    assert again.courses["a"] == Course(slot=1, begin=3.0, end=4.0)


def test_the_slots_of_workers_elsewhere_count_once_they_are_there():
    assert recorded(Planned(total=3, run=3, jobs=2), WorkersStarted(100)).slots == 100


def test_what_is_put_back_has_no_slot():
    assert recorded(ended("a")).courses["a"] == Course(end=1.0)
