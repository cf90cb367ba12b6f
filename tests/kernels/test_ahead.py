"""A kernel that was started ahead is taken once, by a task that wants one just like it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.ahead import Ahead
from nbbuild.kernels.execute import execute
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.session import KernelSession
from nbbuild.kernels.wanted import TimeLimits, Wanted
from nbbuild.kernels.warm.nursery import Warm

pytestmark = pytest.mark.own_way("kernels are started ahead")


def never() -> None:
    """Check nothing."""


@pytest.fixture
def ahead(launcher: Launcher) -> Iterator[Ahead]:
    with Ahead(launcher, most=2) as started:
        yield started


@pytest.fixture
def wanted(python: Kernel, environ: dict[str, str], tmp_path: Path) -> Wanted:
    return Wanted(kernel=python, cwd=tmp_path, env=environ, installed="these packages")


@pytest.fixture
def used(launcher: Launcher, notebook, wanted) -> Callable[..., str]:
    """Runs a notebook that says which process it is, in what `ready` gives."""

    def run(ready: Callable[[Callable[[], None]], KernelSession | None]) -> str:
        done = execute(
            notebook("import os; os.getpid()"),
            wanted.kernel,
            launcher=launcher,
            cwd=wanted.cwd,
            env=wanted.env,
            allow_errors=False,
            limits=TimeLimits(),
            cancelled=threading.Event(),
            ready=ready,
        )
        assert done.failure is None
        return str(done.notebook.cells[0].outputs[0]["data"]["text/plain"])

    return run


def test_a_kernel_that_stands_ready_runs_one_notebook(ahead, wanted, used):
    taken: list[int] = []

    def take(check: Callable[[], None]) -> KernelSession | None:
        session = ahead.take(wanted, check)
        taken.append(session.process.pid if session is not None else 0)
        return session

    ahead.begin(wanted)
    first, second = used(take), used(take)
    assert first == str(taken[0]) != second
    assert taken[1] == 0  # the second notebook's kernel was started for it


def test_a_kernel_for_another_folder_environment_or_installation_is_not_taken(
    ahead, wanted, tmp_path
):
    ahead.begin(wanted)
    others = [
        replace(wanted, cwd=tmp_path.parent),
        replace(wanted, env={**wanted.env, "MORE": "1"}),
        replace(wanted, installed="other packages"),
    ]
    assert [ahead.take(other, never) for other in others] == [None] * 3
    session = ahead.take(wanted, never)
    assert session is not None
    session.close()


def test_a_stock_kernel_serves_a_task_that_may_have_a_warm_one_and_not_the_other_way_round(wanted):
    warm = Warm.of(wanted.kernel, wanted.env, installed="these packages")
    assert warm is not None
    assert replace(wanted, warm=warm).given_by(wanted)
    assert not wanted.given_by(replace(wanted, warm=warm))


def test_a_kernel_that_died_while_it_stood_there_is_not_given(ahead, wanted):
    ahead.begin(wanted)
    ahead.begin(wanted)
    first = ahead.take(wanted, never)
    assert first is not None
    (other,) = ahead._coming
    other.session.result().process.kill()
    assert ahead.take(wanted, never) is None
    first.close()


def test_what_cannot_be_started_is_left_to_who_wants_it(ahead, wanted):
    broken = replace(wanted, kernel=replace(wanted.kernel, argv=("no-such-program-at-all",)))
    ahead.begin(broken)
    assert ahead.take(broken, never) is None


def test_what_nobody_takes_ends_with_the_build(launcher, wanted):
    with Ahead(launcher, most=1) as ahead:
        ahead.begin(wanted)
        ahead.begin(wanted)  # one is enough
        (one,) = ahead._coming
        process = one.session.result().process
        assert process.poll() is None
    assert process.poll() is not None


def test_waiting_for_a_kernel_can_be_given_up_and_the_kernel_ends(launcher, wanted):
    class GivenUp(Exception):
        pass

    def give_up() -> None:
        raise GivenUp

    with Ahead(launcher, most=1) as ahead:
        ahead.begin(wanted)
        (one,) = ahead._coming
        with pytest.raises(GivenUp):
            ahead.take(wanted, give_up)
        session = one.session.result()
    assert session.process.poll() is not None


def test_between_builds_one_kernel_is_spared_for_who_begins_one_just_like_it(ahead, wanted):
    ahead.begin(wanted)
    ahead.begin(wanted)
    kept, ended = ahead._coming
    kept.session.result()
    ended.session.result()
    ahead.rest(wanted)
    assert ahead._spared == [kept]
    assert ended.session.result().process.poll() is not None
    ahead.begin(wanted)
    assert (ahead._coming, ahead._spared) == ([kept], [])  # none was started
    session = ahead.take(wanted, never)
    assert session is kept.session.result()
    session.close()
    ahead.rest(wanted)  # none is left, so one is started
    (new,) = ahead._spared
    process = new.session.result().process
    ahead.rest()
    assert (ahead._spared, process.poll() is not None) == ([], True)


def test_a_spared_kernel_is_not_given_in_a_folder_that_was_made_anew(ahead, wanted, tmp_path):
    there = tmp_path / "nb"
    there.mkdir()
    wants = replace(wanted, cwd=there)
    ahead.rest(wants)
    (old,) = ahead._spared
    there.rename(tmp_path / "old")
    there.mkdir()
    ahead.begin(wants)
    (new,) = ahead._coming
    assert new is not old
    assert ahead._spared == [old]
    session = ahead.take(wants, never)
    assert session is new.session.result()
    session.close()
