"""Who wrote what another used, with no edge between: found whoever of the two comes later."""

import dataclasses

import pytest

from nbbuild.judging.conflicts import (
    Conflict,
    Settled,
    Uses,
    beside_a_writer,
    failure,
    pairs_by_rewriting,
)
from nbbuild.judging.meeting import Deeds
from nbbuild.model import ActionKey, ArtefactFile, Record, Task, Trace, TraceItem
from nbbuild.project.graph import link


def task(name, **more):
    return Task(name=name, source=f"{name}.ipynb", built=f"out/{name}.ipynb", **more)


def record(name, *items, wrote=(), declared=(), **more):
    """Return the record of a run that used `items` and changed files."""
    return Record(
        id=f"record of {name}",
        key=ActionKey("key", ()),
        trace=Trace("python", tuple(TraceItem(kind, used) for kind, used in items)),
        task=name,
        source=f"{name}.ipynb",
        cells="",
        artefacts=tuple(ArtefactFile(path, "", 0) for path in declared),
        undeclared=tuple(ArtefactFile(path, "", 0) for path in wrote),
        **more,
    )


WRITER, READER = task("w"), task("r")


def met(writer, reader, *, tasks=(WRITER, READER)):
    """Return the conflicts of both orders, which are the same but for who comes later."""
    first, second = (), ()
    for records in ((writer, reader), (reader, writer)):
        graph = link(tasks, output="out")
        uses = Uses(graph)
        for one in records[:-1]:
            assert uses.settle(graph.tasks[one.task], one) == Settled()
        found, stale, *_ = uses.settle(graph.tasks[records[-1].task], records[-1])
        used = found and records[-1] is writer and found[0].how != "makes"
        assert list(stale) == ([reader] if used else [])
        first, second = second, found
    assert first == second
    return list(first)


@pytest.mark.parametrize(
    ("kind", "name", "how"),
    [
        ("file", "data/x.csv", "reads"),
        ("absent", "data/x.csv", "looks for"),
        ("listing", "data", "lists the folder of"),
        ("glob", "data:*.csv", "looks for"),
        ("glob", "notes:../data/*", "looks for"),
        ("file", "data/y.csv", None),
        ("listing", ".", None),
        ("glob", "data:*.txt", None),
        ("folder", "data", None),
    ],
)
def test_every_kind_of_use_meets_what_was_written(kind, name, how):
    expected = [Conflict("w", "r", "data/x.csv", how)] if how else []
    assert met(record("w", wrote=["data/x.csv"]), record("r", (kind, name))) == expected


def test_a_file_in_the_root_is_in_the_listing_of_the_root():
    assert met(record("w", wrote=["x.csv"]), record("r", ("listing", "."))) == [
        Conflict("w", "r", "x.csv", "lists the folder of")
    ]


def test_declared_files_and_built_notebooks_are_written_too():
    used = record("r", ("file", "mine.csv"), ("file", "out/w.ipynb"))
    assert met(record("w", declared=["mine.csv"]), used) == [
        Conflict("w", "r", "out/w.ipynb", "reads", declared=True),
        Conflict("w", "r", "mine.csv", "reads", declared=True),
    ]


def test_a_path_of_edges_from_writer_to_reader_is_order_enough():
    wrote, used = record("w", wrote=["x.csv"]), record("r", ("file", "x.csv"))
    between = task("m", depends_on=("w",))
    ordered = [WRITER, between, task("r", depends_on=("m",))]
    uses = Uses(link(ordered, output="out"))
    assert uses.settle(WRITER, wrote) == Settled()
    assert uses.settle(ordered[-1], used) == Settled()

    backwards = [task("w", depends_on=("r",)), READER]
    uses = Uses(link(backwards, output="out"))
    assert uses.settle(READER, used) == Settled()
    found = uses.settle(backwards[0], wrote)
    assert found.conflicts == (Conflict("w", "r", "x.csv", "reads", circle=True),)
    assert found.stale == (used,)


def test_what_another_declares_is_not_to_be_written():
    owner = task("r", artefacts=("x.csv",))
    assert met(
        record("w", wrote=["x.csv"]), record("r", declared=["x.csv"]), tasks=(WRITER, owner)
    ) == [Conflict("w", "r", "x.csv", "makes")]


def test_what_a_run_in_conflict_wrote_is_told_to_later_readers_and_not_what_it_read():
    third = task("s")
    uses = Uses(link([WRITER, READER, third], output="out"))
    uses.note("r", record("r", ("file", "x.csv")))
    both = record("w", ("file", "z.csv"), wrote=["x.csv"])
    assert len(uses.settle(WRITER, both).conflicts) == 1
    assert len(uses.settle(third, record("s", ("file", "x.csv"))).conflicts) == 1
    assert uses.settle(third, record("s", wrote=["z.csv"])) == Settled()
    # It runs again without writing: nothing is left of the conflict.
    assert uses.settle(WRITER, record("w")) == Settled()


def test_a_task_is_in_no_conflict_with_itself():
    both = record("w", ("file", "x.csv"), ("listing", "."), wrote=["x.csv"])
    uses = Uses(link([WRITER], output="out"))
    assert uses.settle(WRITER, both) == Settled()
    assert uses.settle(WRITER, both) == Settled()


def test_the_failure_names_every_conflict_and_all_lines_to_add():
    conflicts = [
        Conflict("w", "r", "data/x.csv", "lists the folder of"),
        Conflict("w", "r", "y.csv", "reads"),
    ]
    found = failure(conflicts)
    assert (found.kind, found.message, found.traceback, found.hint) == (
        "order",
        "'r' lists the folder of 'data/x.csv', which 'w' writes, "
        "and no order between them is declared",
        "'r' reads 'y.csv', which 'w' writes",
        'declare the order: artefacts = ["data/x.csv", "y.csv"] for \'w\' '
        'and assets = ["data/x.csv", "y.csv"] for \'r\'',
    )
    assert found.lines == (
        ("w", "artefacts", "data/x.csv"),
        ("r", "assets", "data/x.csv"),
        ("w", "artefacts", "y.csv"),
        ("r", "assets", "y.csv"),
    )


@pytest.mark.parametrize(
    ("conflict", "hint"),
    [
        ({"declared": True}, "declare the order: assets = [\"x.csv\"] for 'r'"),
        ({"there": True}, "declare the order: depends_on = [\"w\"] for 'r'"),
        ({"how": "makes"}, "let only one of them write 'x.csv'"),
        (
            {"circle": True},
            "each waits for the other: let 'w' write another file, or do both in one notebook",
        ),
    ],
)
def test_the_lines_take_no_users_file_away_and_make_no_circle(conflict, hint):
    one = Conflict(**{"writer": "w", "reader": "r", "path": "x.csv", "how": "reads", **conflict})
    assert failure([one]).hint == hint


def test_what_version_control_leaves_out_is_no_artefact():
    one = Conflict("w", "r", "x[1].log", "reads")
    assert failure([one], ignored=lambda path: True).lines == (("r", "depends_on", "w"),)
    assert failure([one]).lines[0] == ("w", "artefacts", "x[[]1].log")


# -- a write is what changed -------------------------------------------------------------------


def test_an_old_name_rewritten_is_in_no_listing_and_read_all_the_same():
    wrote = record("w", wrote=["data/x.csv"], altered=("data/x.csv",))
    assert met(wrote, record("r", ("listing", "data"), ("glob", "data:*.csv"))) == []
    assert met(wrote, record("r", ("file", "data/x.csv"))) == [
        Conflict("w", "r", "data/x.csv", "reads", there=True)
    ]


def test_a_file_that_was_removed_is_missed_by_its_readers():
    assert met(record("w", removed=("x.csv",)), record("r", ("file", "x.csv"))) == [
        Conflict("w", "r", "x.csv", "reads")
    ]


def test_what_a_task_makes_itself_it_does_not_look_for():
    assert (
        met(record("w", wrote=["x.csv"]), record("r", ("absent", "x.csv"), wrote=["x.csv"])) == []
    )


def test_who_writes_a_file_again_in_every_run_goes_first():
    wrote = record("w", ("file", "lib.py"), rewritten=("lib.py",))
    used = record("r", ("file", "lib.py"))
    assert list(pairs_by_rewriting({"w": wrote, "r": used})) == [("w", "r")]
    both = record("r", ("file", "lib.py"), rewritten=("lib.py",))
    assert list(pairs_by_rewriting({"w": wrote, "r": both})) == []
    assert list(beside_a_writer({"w": wrote, "r": both, "s": record("s")})) == [
        ("w", "r"),
        ("r", "w"),
    ]
    # When it does change it, the readers that came before are judged once more.
    uses = Uses(link([WRITER, READER], output="out"))
    uses.note("r", used)
    changed = record("w", wrote=["lib.py"], altered=("lib.py",), rewritten=("lib.py",))
    assert uses.settle(WRITER, changed) == Settled(again=("r",))


# -- side by side ------------------------------------------------------------------------------


def settled(first, second, *, beside=True, **deeds):
    """Return what the later of two runs comes to; `deeds` are those of both."""
    uses = Uses(link([WRITER, READER], output="out"))
    both = Deeds(touched=frozenset({"x.csv"}), **deeds)
    assert uses.settle(WRITER, first, both) == Settled()
    other = dataclasses.replace(both, beside=frozenset("w" if beside else ""))
    return uses.settle(READER, second, other)


def test_two_that_wrote_one_file_while_both_ran_are_both_run_again():
    first, second = record("w", wrote=["x.csv"]), record("r", wrote=["x.csv"])
    assert settled(first, second) == Settled(spoilt=(first,), again=("w",), collided=(("w", "r"),))
    assert settled(first, second, beside=False) == Settled()


def test_scratch_of_two_that_ran_at_once_is_one_file():
    found = settled(record("w"), record("r"), scratch=("x.csv",))
    assert (found.again, found.collided) == (("w",), (("w", "r"),))
    assert settled(record("w"), record("r"), scratch=("x.csv",), beside=False) == Settled()


def test_a_reader_beside_its_writer_runs_again_and_the_writer_goes_first():
    wrote, used = record("w", wrote=["x.csv"]), record("r", ("file", "x.csv"))
    assert settled(wrote, used).collided == (("w", "r"),)
    assert settled(record("w", ("file", "x.csv")), record("r", wrote=["x.csv"])).collided == (
        ("r", "w"),
    )


def test_a_file_rewritten_beside_a_reader_who_found_it_the_same_is_no_matter():
    wrote = record("w", ("file", "x.csv"), rewritten=("x.csv",))
    used = record("r", ("file", "x.csv"))
    assert settled(wrote, used) == Settled()
    assert settled(wrote, used, sound=False).collided == (("w", "r"),)


def test_a_run_that_failed_beside_a_writer_of_what_it_touched_may_have_been_spoilt():
    uses = Uses(link([WRITER, READER], output="out"))
    uses.settle(WRITER, record("w", wrote=["x.csv"]))
    beside = frozenset({"w"})
    assert uses.met(READER, Deeds(touched=frozenset({"x.csv"}), beside=beside)) == (("w", "r"),)
    assert uses.met(READER, Deeds(touched=frozenset({"y.csv"}), beside=beside)) == ()
    assert uses.met(READER, Deeds(touched=frozenset({"x.csv"}))) == ()
