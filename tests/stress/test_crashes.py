"""Builds that are killed at any change to the disk, or lose power there: the next one is right."""

import os
import shutil
import signal
import time

import lost_power
import pytest
import system_calls
from played_kernels import command, internal, results, six
from sizes import chosen, numbers, sizes, tried

pytestmark = pytest.mark.usefixtures("needs_filter")


@pytest.fixture
def edited(clean, clean_after):
    """What clean builds come to after an edit of the data, and before it."""
    return clean_after, clean


def fresh(root, edited):
    """A project that was never built."""
    six(root)
    return edited[1]


def changed(root, edited):
    """A project that was built, and then its data changed."""
    shutil.copytree(edited[1].root, root, symlinks=True)
    (root / "data.txt").write_text("other data\n")
    return edited[0]


def emptied(root, edited):
    """A project whose results are in the cache alone."""
    shutil.copytree(edited[1].root, root, symlinks=True)
    for name in ("_build", "out"):
        shutil.rmtree(root / name)
    return edited[1]


BEGUN = [fresh, changed, emptied]


def settles(root, wanted, others, *, lossy=False):
    """Yield what is wrong with the two builds that follow, if anything is.

    With `lossy`, blobs may be gone. Nobody notices as long as all is in its place, so a third build
    asks for all of them. And nobody puts back what a run left undeclared.
    """
    kept = results(root / ".nbbuild/store")
    done = {task.removesuffix(".ipynb") for task in kept_of(wanted, kept)}
    first = command(root, "-j1")
    yield from ended_badly(first)
    if not done.isdisjoint(first.ran):
        yield f"ran again although their results were kept: {sorted(done & {*first.ran})}"
    if lossy:
        for name in ("_build", "out"):
            shutil.rmtree(root / name)
        yield from ended_badly(command(root, "-j1"))
    yield from wanted.faults(root, also=others, but=("left.txt",) if lossy else ())
    second = command(root, "-j1")
    if second.ran or second.status:
        yield f"the build after it ran {second.ran} and ended with {second.status}: {second.err}"
    verified = command(root, "cache", "verify")
    if verified.status:
        yield f"`cache verify` said {verified.out}{verified.err}"


def ended_badly(said):
    if internal(said) or said.status:
        yield f"a build ended with {said.status}: {said.err}"


def kept_of(wanted, kept):
    """Return the tasks whose results, as a clean build would make them, are in the store."""
    return [task for task, rows in wanted.records.items() if {*rows} <= {*kept.get(task, ())}]


def changes(root, story):
    """Return what `story` changes below `root`, in order."""
    seen = []
    status = system_calls.under(root, story, lambda one: seen.append(one) or system_calls.GO_ON)
    assert status == 0
    return seen


class At:
    """Strikes at the change of one number."""

    def __init__(self, number, blow):
        self.left = number
        self.blow = blow

    def __call__(self, change):
        self.left -= 1
        return system_calls.GO_ON if self.left else self.blow


@pytest.mark.parametrize("begin", BEGUN)
@sizes(small=4, full=10_000)
def test_a_build_killed_at_any_change_is_completed_by_the_next(played, edited, chance, begin, size):
    root = played / "project"

    def build():
        command(root, "-j1")

    begin(root, edited)
    deeds = [change.deed for change in changes(root, build)]
    blows = [(number, system_calls.KILL) for number in range(1, len(deeds) + 1)]
    writes = [number for number, deed in enumerate(deeds, 1) if deed in ("write", "pwrite")]
    blows += [(number, system_calls.TEAR) for number in writes]
    shutil.rmtree(root)

    def trial(one):
        wanted = begin(root, edited)
        ended = system_calls.under(root, build, At(*one))
        if ended not in (system_calls.KILLED, system_calls.OVER):
            yield f"the build ended by itself, with {ended}"
        yield from settles(root, wanted, edited)
        shutil.rmtree(root)

    assert tried(chosen(blows, size, chance), trial, chance) == ""


@sizes(small=5, full=1_000)
def test_a_build_killed_at_any_time_is_completed_by_the_next(played, edited, chance, size):
    root = played / "project"

    def trial(number):
        wanted = chance.choice(BEGUN)(root, edited)
        kills = chance.randrange(1, 4)
        for _ in range(kills):
            child = os.fork()
            if child == 0:
                try:
                    command(root, "-j2")
                finally:
                    os._exit(0)
            time.sleep(chance.uniform(0, 0.25))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        yield from settles(root, wanted, edited)
        shutil.rmtree(root)

    assert tried(numbers(size), trial, chance) == ""


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "any-order"])
@pytest.mark.parametrize("begin", BEGUN)
@sizes(small=2, full=500)
def test_a_build_that_loses_power_is_completed_by_the_next(
    played, edited, chance, begin, journal, size
):
    root = played / "project"

    def build():
        command(root, "-j1")

    def trial(number):
        wanted = begin(root, edited)
        disk = lost_power.Disk(root)
        left = chance.randint(1, length)

        def go_on(change):
            nonlocal left
            left -= 1
            if not left:
                return system_calls.KILL
            disk.take(change)
            return system_calls.GO_ON

        system_calls.under(root, build, go_on)
        shutil.rmtree(root)
        lost_power.write(disk.lost(chance, journal=journal))
        yield from settles(root, wanted, edited, lossy=True)
        shutil.rmtree(root)

    begin(root, edited)
    length = len(changes(root, build)) + 1
    shutil.rmtree(root)
    assert tried(numbers(size), trial, chance) == ""
