"""Who wrote what another used, with no edge between: found whoever of the two comes later."""

import pytest

from nbbuild.conflicts import Conflict, Uses, failure
from nbbuild.graph import link
from nbbuild.model import ActionKey, ArtefactFile, Record, Task, Trace, TraceItem


def task(name, **more):
    return Task(name=name, source=f"{name}.ipynb", built=f"out/{name}.ipynb", **more)


def record(name, *items, wrote=(), declared=()):
    """Return the record of a run that used `items` and wrote files."""
    return Record(
        id=f"record of {name}",
        key=ActionKey("key", ()),
        trace=Trace("python", tuple(TraceItem(kind, used) for kind, used in items)),
        task=name,
        source=f"{name}.ipynb",
        cells="",
        artefacts=tuple(ArtefactFile(path, "", 0) for path in declared),
        undeclared=tuple(ArtefactFile(path, "", 0) for path in wrote),
    )


WRITER, READER = task("w"), task("r")


def met(writer, reader, *, tasks=(WRITER, READER)):
    """Return the conflicts of both orders, which are the same but for who comes later."""
    first, second = (), ()
    for records in ((writer, reader), (reader, writer)):
        graph = link(tasks, output="out")
        uses = Uses(graph)
        for one in records[:-1]:
            assert uses.settle(graph.tasks[one.task], one) == ((), ())
        found, stale = uses.settle(graph.tasks[records[-1].task], records[-1])
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
    assert uses.settle(WRITER, wrote) == ((), ())
    assert uses.settle(ordered[-1], used) == ((), ())

    backwards = [task("w", depends_on=("r",)), READER]
    uses = Uses(link(backwards, output="out"))
    assert uses.settle(READER, used) == ((), ())
    assert uses.settle(backwards[0], wrote) == ((Conflict("w", "r", "x.csv", "reads"),), (used,))


def test_what_another_declares_is_not_to_be_written():
    owner = task("r", artefacts=("x.csv",))
    assert met(
        record("w", wrote=["x.csv"]), record("r", declared=["x.csv"]), tasks=(WRITER, owner)
    ) == [Conflict("w", "r", "x.csv", "makes")]


def test_a_run_in_conflict_is_not_taken_in_and_an_earlier_one_that_holds_is():
    uses = Uses(link([WRITER, READER, task("s")], output="out"))
    uses.note("r", record("r", ("file", "x.csv")))
    assert len(uses.settle(WRITER, record("w", wrote=["x.csv"]))[0]) == 1
    assert uses.settle(task("s"), record("s", ("file", "x.csv"))) == ((), ())
    # It runs again without writing: nothing is left of the conflict.
    assert uses.settle(WRITER, record("w")) == ((), ())


def test_a_task_is_in_no_conflict_with_itself():
    both = record("w", ("file", "x.csv"), ("listing", "."), wrote=["x.csv"])
    uses = Uses(link([WRITER], output="out"))
    assert uses.settle(WRITER, both) == ((), ())
    assert uses.settle(WRITER, both) == ((), ())


def test_the_failure_names_every_conflict_and_the_lines_to_add():
    conflicts = [
        Conflict("w", "r", "data/x.csv", "lists the folder of"),
        Conflict("w", "r", "y.csv", "reads"),
    ]
    found = failure(conflicts)
    assert (found.kind, found.message, found.traceback, found.hint) == (
        "order",
        "'r' lists the folder of 'data/x.csv', which 'w' writes, "
        "and nothing puts one after the other",
        "'r' reads 'y.csv', which 'w' writes",
        "declare the order: artefacts = [\"data/x.csv\"] for 'w' and assets = [\"data\"] for 'r'",
    )
    assert failure([Conflict("w", "r", "x.csv", "reads", declared=True)]).hint == (
        "declare the order: assets = [\"x.csv\"] for 'r'"
    )
    assert failure([Conflict("w", "r", "x.csv", "makes")]).hint == (
        "let only one of them write 'x.csv'"
    )
