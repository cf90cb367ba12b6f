"""Whole builds in memory: tasks are functions, all but kernels and disk is as always."""

import threading

import pytest

from nbbuild.building.fakes import WorkerLost
from nbbuild.building.in_memory import MemoryProject, task_of
from nbbuild.events import CellStarted, Ended, Noted, Planned, Started
from nbbuild.model import OutcomeKind

EXECUTED, FRESH, FAILED, BLOCKED, CANCELLED = (
    OutcomeKind.EXECUTED,
    OutcomeKind.FRESH,
    OutcomeKind.FAILED,
    OutcomeKind.BLOCKED,
    OutcomeKind.CANCELLED,
)


def kinds(report):
    return {one.task: one.kind for one in report.outcomes}


def reads(path):
    return lambda files: files.read(path)


def writes(path, text):
    return lambda files: files.write(path, text)


def raises(error):
    def function(files):
        raise error

    return function


def project(functions, *tasks, **more):
    """A project of `tasks`; those of `functions` without one are tasks with nothing declared."""
    named = {task.name for task in tasks}
    plain = [task_of(name) for name in functions if name not in named]
    return MemoryProject(tasks=[*tasks, *plain], functions=functions, **more)


def test_a_second_build_has_nothing_to_do_and_a_change_runs_what_used_it():
    one = project({"a": reads("a.txt"), "b": reads("b.txt")}, files={"a.txt": "1", "b.txt": "1"})
    assert kinds(one.build()) == {"a": EXECUTED, "b": EXECUTED}
    assert kinds(one.build()) == {"a": FRESH, "b": FRESH}
    one.files["b.txt"] = "2"
    report = one.build()
    assert kinds(report) == {"a": FRESH, "b": EXECUTED}
    assert report.outcomes[1].reasons == ("'b.txt' changed",)
    one.files["b.txt"] = "1"
    assert kinds(one.build()) == {"a": FRESH, "b": OutcomeKind.REFRESHED}


def test_a_file_that_was_looked_for_in_vain_counts():
    def function(files):
        try:
            return files.read("extra.txt")
        except FileNotFoundError:
            return "none"

    one = project({"a": function})
    one.build()
    one.files["extra.txt"] = "1"
    assert kinds(one.build()) == {"a": EXECUTED}


def test_consumers_wait_for_producers_and_the_same_bytes_stop_there():
    makes = task_of("make", artefacts=("data.txt",), assets=("seed.txt",))
    shows = task_of("show", assets=("data.txt",))
    one = project(
        {
            "make": lambda files: files.write("data.txt", files.read("seed.txt")[0]),
            "show": reads("data.txt"),
        },
        shows,
        makes,
        files={"seed.txt": "12"},
    )
    one.build(jobs=2)
    assert one.attempts.ran == ["make", "show"]
    one.files["seed.txt"] = "13"  # data.txt comes out as it was
    assert kinds(one.build(jobs=2)) == {"make": EXECUTED, "show": FRESH}
    one.files["seed.txt"] = "2"
    assert kinds(one.build(jobs=2)) == {"make": EXECUTED, "show": EXECUTED}


def test_an_artefact_that_is_lost_or_altered_is_put_back_without_a_run():
    one = project({"make": writes("data.txt", "1")}, task_of("make", artefacts=("data.txt",)))
    one.build()
    del one.files["data.txt"]
    assert kinds(one.build()) == {"make": OutcomeKind.RESTORED}
    one.files["data.txt"] = "by hand"
    assert kinds(one.build()) == {"make": OutcomeKind.RESTORED}
    assert one.files == {"data.txt": "1"}
    assert one.attempts.ran == ["make"]


def test_an_artefact_that_was_not_written_is_a_failure():
    one = project(
        {"make": reads("in.txt")}, task_of("make", artefacts=("data.txt",)), files={"in.txt": "1"}
    )
    (outcome,) = one.build().outcomes
    assert outcome.failure.kind == "artefact"
    assert outcome.failure.message == "no file matches 'data.txt', an artefact of 'make'"
    assert one.outputs.built == {}
    assert [*one.outputs.failed] == ["make"]


def test_a_failure_blocks_what_needs_it_and_nothing_else():
    one = project(
        {
            "bad": raises(ValueError("no")),
            "next": reads("x"),
            "last": reads("x"),
            "free": reads("x"),
        },
        task_of("bad"),
        task_of("next", depends_on=("bad",)),
        task_of("last", depends_on=("next",)),
        files={"x": ""},
    )
    report = one.build(jobs=2)
    assert kinds(report) == {"bad": FAILED, "next": BLOCKED, "last": BLOCKED, "free": EXECUTED}
    told = {outcome.task: outcome for outcome in report.outcomes}
    assert told["bad"].failure.message == "ValueError: no"
    assert told["next"].reasons == ("needs bad, which failed",)
    assert report.exit_status == 1


def test_nothing_starts_after_as_many_failures_as_one_wants_to_see():
    no = raises(ValueError("no"))
    functions = {"bad": no, "worse": no, "free": reads("x"), "worst": no}

    def built(**options):
        return kinds(project(functions, files={"x": ""}).build(**options))

    first = {"bad": FAILED, "worse": CANCELLED, "free": CANCELLED, "worst": CANCELLED}
    assert built(most_failures=1) == first
    second = {"bad": FAILED, "worse": FAILED, "free": CANCELLED, "worst": CANCELLED}
    assert built(most_failures=2) == second
    assert built(most_failures=4)["free"] is EXECUTED


def test_a_known_failure_is_not_run_again_and_stops_what_needs_it():
    one = project(
        {"bad": raises(ValueError("no")), "next": reads("x"), "free": reads("x")},
        task_of("bad"),
        task_of("next", depends_on=("bad",)),
        task_of("free"),
        files={"x": ""},
    )
    assert kinds(one.build()) == {"bad": FAILED, "next": BLOCKED, "free": EXECUTED}

    report = one.build(skip_failed=True, most_failures=1)

    told = {outcome.task: outcome for outcome in report.outcomes}
    assert kinds(report) == {"bad": FAILED, "next": BLOCKED, "free": FRESH}
    assert told["bad"].failed_before
    assert told["bad"].failure.message == "ValueError: no"
    assert told["next"].reasons == ("needs 'bad', which failed last time",)
    assert report.exit_status == 1
    assert one.attempts.ran.count("bad") == 1


def test_a_failure_with_other_code_is_not_known():
    one = project({"bad": raises(ValueError("no"))}, files={})
    one.build()
    one.versions["bad"] = "2"
    one.attempts.functions["bad"] = lambda files: None

    assert kinds(one.build(skip_failed=True)) == {"bad": EXECUTED}


def test_a_failure_is_tried_again_and_says_how_often():
    tries = []

    def function(files):
        tries.append(files)
        if len(tries) < 3:
            raise OSError("flaky")
        return "well"

    one = project({"a": function})
    (outcome,) = one.build(retries=2).outcomes
    assert outcome.kind is EXECUTED
    assert outcome.notes == (
        "attempt 1 of 3 failed: OSError: flaky",
        "attempt 2 of 3 failed: OSError: flaky",
    )


def test_a_worker_that_is_lost_is_a_failure_of_its_task_alone():
    one = project({"a": raises(WorkerLost("node 7")), "b": reads("x")}, files={"x": ""})
    report = one.build()
    assert kinds(report) == {"a": FAILED, "b": EXECUTED}
    assert report.outcomes[0].failure.kind == "died"


def test_an_error_of_nbbuild_itself_stops_one_task():
    one = project({"a": reads("x"), "b": reads("x")}, files={"x": ""})
    account = one.attempts.account

    def broken(task, *rest):
        if task.name == "a":
            raise RuntimeError("a bug")
        return account(task, *rest)

    one.attempts.account = broken
    report = one.build()
    assert kinds(report) == {"a": FAILED, "b": EXECUTED}
    assert report.outcomes[0].failure.kind == "internal"
    assert report.exit_status == 3


def test_cancelling_ends_the_build():
    cancelled = threading.Event()
    one = project({"a": lambda files: cancelled.set(), "b": reads("x")}, files={"x": ""})
    report = one.build(cancelled=cancelled)
    assert kinds(report) == {"a": CANCELLED, "b": CANCELLED}
    assert report.exit_status == 130
    assert one.attempts.ran == ["a"]


def test_a_forced_run_that_fails_does_not_fall_back_on_what_it_was_to_replace():
    functions = {"a": reads("x")}
    one = project(functions, files={"x": ""})
    one.build()
    one.attempts.functions["a"] = raises(ValueError("no"))
    assert kinds(one.build(forced={"a"})) == {"a": FAILED}
    assert one.outputs.built == {}


def test_who_reads_what_another_wrote_without_an_order_fails_with_the_lines_to_add():
    one = project({"a": writes("data.txt", "1"), "b": reads("data.txt")})
    report = one.build()
    assert kinds(report) == {"a": EXECUTED, "b": FAILED}
    failure = report.outcomes[1].failure
    assert failure.kind == "order"
    assert ("a", "artefacts", "data.txt") in failure.lines
    assert ("b", "assets", "data.txt") in failure.lines


def test_the_same_bytes_written_back_are_no_change():
    one = project({"a": writes("lib.py", "x"), "b": reads("lib.py")}, files={"lib.py": "x"})
    assert kinds(one.build(jobs=2)) == {"a": EXECUTED, "b": EXECUTED}
    assert kinds(one.build(jobs=2)) == {"a": FRESH, "b": FRESH}


def test_two_that_meet_on_a_file_while_both_run_go_one_after_the_other():
    both = threading.Barrier(2)
    turns = {"a": 0, "b": 0}

    def function(name):
        def write_and_read(files):
            turns[name] += 1
            if turns[name] == 1:
                both.wait(timeout=60)  # both run at the same time, once
            files.write("towns.txt", name)
            return files.read("towns.txt")

        return write_and_read

    told = []
    one = project({"a": function("a"), "b": function("b")})
    report = one.build(jobs=2, observer=told.append)
    assert kinds(report) == {"a": EXECUTED, "b": EXECUTED}
    again = [event.task for event in told if isinstance(event, Noted)]
    assert again
    for name in again:
        other = "b" if name == "a" else "a"
        text = f"used the same file as '{other}' while both ran: it runs again by itself"
        assert Noted(name, text) in told
        assert turns[name] == 2
    for name in "ab":  # whoever came last, each shows what it wrote itself
        assert f'"{name}"'.encode() in one.outputs.built[name][0]


def test_scratch_files_are_private():
    tasks = [task_of(name, scratch=("*.tmp",)) for name in "ab"]
    one = project({"a": writes("x.tmp", "a"), "b": writes("x.tmp", "b")}, *tasks)
    assert kinds(one.build()) == {"a": EXECUTED, "b": EXECUTED}
    assert one.build().exit_status == 0


def test_an_input_that_changes_while_it_is_used_keeps_the_result_out_of_the_cache():
    def function(files):
        text = files.read("data.txt")
        one.files["data.txt"] = "edited meanwhile"
        return text

    one = project({"a": function}, task_of("a", assets=("data.txt",)), files={"data.txt": "1"})
    (outcome,) = one.build().outcomes
    assert (outcome.kind, outcome.cached) == (EXECUTED, False)
    assert outcome.notes[-1].startswith("the result is shown but not cached: ")


def test_an_observer_hears_of_each_step_in_order():
    told = []
    one = project({"a": reads("x")}, files={"x": ""})
    report = one.build(observer=told.append)
    assert told == [
        Planned(1, 1, 1),
        Started("a", 1),
        CellStarted("a", 1, 1),
        Ended(report.outcomes[0]),
    ]


@pytest.mark.parametrize("jobs", [1, 4])
def test_many_tasks_in_chains_are_done_in_their_order(jobs):
    tasks = [
        task_of(f"t{n:03}", depends_on=(f"t{n - 10:03}",) if n >= 10 else ()) for n in range(300)
    ]
    one = project({task.name: reads("x") for task in tasks}, *tasks, files={"x": ""})
    assert set(kinds(one.build(jobs=jobs)).values()) == {EXECUTED}
    place = {name: at for at, name in enumerate(one.attempts.ran)}
    assert all(place[f"t{n - 10:03}"] < place[f"t{n:03}"] for n in range(10, 300))
