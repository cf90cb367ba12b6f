"""Several reports as one: what is taken, on which clock, in which slots."""

import pytest
from reports import document, ran

from nbbuild.errors import UsageError
from nbbuild.report.document import Failed, Mark, TaskRun, encoded
from nbbuild.report.merging import merged, read


def report(*tasks, **more):
    return document(tasks, **{"exit_status": 0, **more})


def idle(task, outcome="fresh", **more):
    return TaskRun(task=task, source=task, outcome=outcome, **more)


def outcomes(found):
    return {one.task: one.outcome for one in found.tasks}


def test_shards_lie_beside_each_other_on_one_clock():
    first = report(ran("a", 1.0, 3.0, slot=2), began=1000.0, seconds=4.0, slots=2)
    second = report(ran("b", 0.5, 9.0, slot=1), began=1002.5, seconds=10.0, slots=4)
    both = merged([first, second])
    assert (both.began, both.seconds, both.slots) == (1000.0, 12.5, 6)
    assert [(one.task, one.slot, one.begin, one.end) for one in both.tasks] == [
        ("a", 2, 1.0, 3.0),
        ("b", 3, 3.0, 11.5),
    ]
    assert [one.begin for one in both.tasks[1].cells] == pytest.approx([3.1, 5.225])
    assert both.counts == {"executed": 2}


def test_a_task_of_several_shards_is_taken_once_and_a_failure_is_never_lost():
    failed = ran("load", 0.0, 1.0, outcome="failed", failure=Failed(kind="error", message="no"))
    one = report(ran("load", 0.0, 2.0), idle("a", "blocked"), idle("b"), idle("c", "cancelled"))
    two = report(failed, idle("a", "restored"), ran("b", 1.0, 2.0), exit_status=1)
    for order in ([one, two], [two, one]):
        both = merged(order)
        assert outcomes(both) == {
            "load": "failed",
            "a": "restored",
            "b": "executed",
            "c": "cancelled",
        }
        assert both.counts == {"restored": 1, "executed": 1, "failed": 1, "cancelled": 1}
        assert both.exit_status == 1
        assert both.tasks[0].failure.message == "no"
        assert both.tasks[0].notes == ("executed in 2 of the merged builds; this is one of them",)


def test_tasks_come_after_those_that_they_need_and_the_longest_chain_is_found_anew():
    one = report(ran("plot", 5.0, 6.0, upstream=("load",)), idle("load"))
    two = report(ran("load", 0.0, 5.0), ran("x", 0.0, 1.0))
    both = merged([one, two])
    assert [run.task for run in both.tasks] == ["load", "plot", "x"]
    assert both.critical_path == ("load", "plot")


def test_what_was_asked_for_and_what_went_wrong_is_joined():
    one = report(targets=("a", "b"), problems=("no space",), exit_status=3, python="3.11.2")
    two = report(targets=("b", "c"), problems=("no space",), interrupted=True, exit_status=130)
    both = merged([one, two])
    assert both.targets == ("a", "b", "c")
    assert both.problems == ("no space",)
    assert (both.exit_status, both.interrupted) == (130, True)
    assert merged([one, report(targets=())]).targets == ()


def test_shards_that_are_missing_or_do_not_belong_together_are_a_problem():
    def part(name, division="d", **more):
        return report(idle(name), shard=name, division=division, **more)

    assert merged([part("1/2"), part("2/2")]).problems == ()
    both = merged([part("1/3", exit_status=1), part("3/3")])
    assert both.problems == ("the report of shard 2/3 is missing",)
    assert both.exit_status == 3
    assert merged([part("1/2"), part("2/2", division="e")]).problems == (
        "the shards were not divided alike, so some notebooks may be in none: all machines "
        "have to begin with the same files and the same .nbbuild",
    )


def test_a_circle_in_a_file_from_outside_does_no_harm():
    both = merged([report(idle("a", upstream=("b",)), idle("b", upstream=("a",)))])
    assert sorted(outcomes(both)) == ["a", "b"]


def test_files_are_read_each_report_once(tmp_path):
    one = report(ran("a", 0.0, 1.0, marks=(Mark("network", "it contacted example.org"),)))
    for name in ("one.json", "copy.json"):
        (tmp_path / name).write_bytes(encoded(one))
    assert read([str(tmp_path / "one.json"), str(tmp_path / "copy.json")]) == [one]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "No such file or directory"),
        (b'{"format": 9}', "Object missing required field `id`"),
        (b"[]", "Expected `object`, got `array`"),
    ],
)
def test_a_file_that_is_no_report_is_named(tmp_path, data, reason):
    place = tmp_path / "one.json"
    if data is not None:
        place.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read([str(place)])
    assert str(caught.value) == (
        f"'{place}' is no report that can be read\n  reason: {reason}\n\n"
        "hint: `nbbuild report --json > FILE` writes one"
    )
