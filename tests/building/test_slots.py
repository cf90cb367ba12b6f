"""How many notebooks run at once: what the user says, then make, then the machine."""

from __future__ import annotations

import os

import pytest

from nbbuild.building.scheduling.slots import most_slots, slots_of_build
from nbbuild.kernels.launch.machine import cores

JOBSERVER = {"MAKELEVEL": "1", "MAKEFLAGS": " -j6 --jobserver-auth=-2,-2"}


@pytest.mark.parametrize(
    ("jobs", "configured", "environ", "most"),
    [
        (None, "auto", {}, cores()),
        (None, 3, {}, 3),
        (5, 3, {}, 5),
        (None, "auto", {"MAKELEVEL": "1", "MAKEFLAGS": ""}, cores()),  # plain make
        (None, "auto", {"MAKELEVEL": "1", "MAKEFLAGS": " -j"}, cores()),  # without any limit
        (None, "auto", {"MAKELEVEL": "1", "MAKEFLAGS": " -j1"}, 1),
        (None, 3, {"MAKELEVEL": "1", "MAKEFLAGS": " -j1"}, 1),
        (None, "auto", JOBSERVER, 6),
        (None, 3, JOBSERVER, 3),
        (5, 3, JOBSERVER, 5),
        (None, "auto", {"MAKEFLAGS": " --jobserver-fds=3,4 -j"}, cores()),  # it does not say
        (None, "auto", {**JOBSERVER, "NBBUILD_IGNORE_MAKE": "1"}, cores()),
    ],
)
def test_who_decides(jobs, configured, environ, most):
    assert most_slots(jobs, configured, environ) == most


def test_a_jobserver_out_of_reach_leaves_one_slot_and_a_sentence():
    with slots_of_build(None, "auto", JOBSERVER) as slots:
        assert (slots.most, slots.pipe) == (1, None)
        assert slots.problem == (
            "make's jobserver cannot be reached, so one notebook runs at a time; "
            "put '+' before the recipe, as in `+nbbuild`"
        )


def test_who_says_j_takes_no_tokens():
    with slots_of_build(5, "auto", JOBSERVER) as slots:
        assert (slots.most, slots.pipe, slots.problem) == (5, None, "")


def test_the_pipe_is_opened_for_one_build(tmp_path):
    path = tmp_path / "jobs"
    os.mkfifo(path)
    environ = {"MAKEFLAGS": f" -j3 --jobserver-auth=fifo:{path}"}
    with slots_of_build(None, "auto", environ) as slots:
        assert slots.pipe is not None
        pipe = slots.pipe
        os.write(pipe.write, b"+")
        assert (slots.most, os.read(pipe.read, 2)) == (3, b"+")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe.read)
