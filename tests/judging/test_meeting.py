"""Which runs can have met: the quick answer leaves out none that a look at each pair finds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nbbuild.judging.conflicts import _met, _writes_over
from nbbuild.judging.meeting import NO_DEEDS, Nearness, facts_of
from nbbuild.model import ActionKey, ArtefactFile, Record, Task, Trace, TraceItem

PATHS = st.sampled_from(["a.txt", "b.txt", "data/a.txt", "data/b.txt"])
ITEMS = st.one_of(
    st.builds(TraceItem, st.sampled_from(["file", "absent"]), PATHS),
    st.builds(TraceItem, st.just("listing"), st.sampled_from([".", "data"])),
    st.builds(TraceItem, st.just("glob"), st.sampled_from([".:*.txt", "data:a*"])),
)


@st.composite
def facts(draw, name):
    """What some run of the task `name` did."""
    files = [ArtefactFile(path, "d", 1) for path in draw(st.sets(PATHS, max_size=2))]
    task = Task(
        name=name,
        source=f"{name}.ipynb",
        built=f"built/{name}",
        artefacts=tuple(draw(st.sets(PATHS))),
    )
    record = Record(
        id=name,
        key=ActionKey("k", ()),
        trace=Trace(items=tuple(draw(st.lists(ITEMS, max_size=3)))),
        task=name,
        source=task.source,
        cells="c",
        undeclared=tuple(files),
        altered=tuple(file.path for file in files if draw(st.booleans())),
        removed=tuple(draw(st.sets(PATHS, max_size=1))),
    )
    return facts_of(task, record, NO_DEEDS)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_nobody_who_met_is_left_out(data):
    near, known = Nearness(), {}
    for name in "abcdab":  # some run twice: then their last run counts
        known[name] = data.draw(facts(name))
        near.add(known[name])
    ours = data.draw(facts("d"))
    met = {
        name
        for name, theirs in known.items()
        if name != "d"
        and any(
            (
                *_met(theirs, ours),
                *_met(ours, theirs),
                *_writes_over(theirs, ours.task),
                *_writes_over(ours, theirs.task),
            )
        )
    }
    assert met <= set(near.of(ours))


def test_those_that_have_nothing_in_common_are_not_looked_at():
    near = Nearness()
    for name in ("a", "b"):
        task = Task(name=name, source=f"{name}.ipynb", built=f"built/{name}.ipynb")
        item = TraceItem("file", f"{name}.txt", "d")
        record = Record(name, ActionKey("k", ()), Trace(items=(item,)), name, task.source, "c")
        near.add(facts_of(task, record, NO_DEEDS))
        assert near.of(facts_of(task, record, NO_DEEDS)) == []
