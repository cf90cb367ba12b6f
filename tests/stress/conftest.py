"""What the stress tests share: seeds, sizes, and projects with played kernels."""

import json
import os
import random

import pytest

pytest.register_assert_rewrite("played_kernels", "system_calls")

import system_calls  # noqa: E402
from played_kernels import KERNEL, Oracle, play, six  # noqa: E402


def seed():
    """The seed of all random choices; set NBBUILD_STRESS_SEED to repeat a run."""
    return int(os.environ.get("NBBUILD_STRESS_SEED", "1"))


@pytest.fixture
def chance(request):
    """Random choices that the seed and the name of the test decide."""
    return random.Random(f"{seed()} {request.node.name}")


@pytest.fixture(scope="module")
def playing(tmp_path_factory):
    """A folder for projects; while a module is tested, kernels are played."""
    place = tmp_path_factory.mktemp("playing")
    share = place / "jupyter" / "kernels" / "played"
    share.mkdir(parents=True)
    (share / "kernel.json").write_text(json.dumps({**KERNEL, "display_name": "played"}))
    (place / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(place / "jupyter"))
        patch.setenv("HOME", str(place / "home"))
        patch.setenv("RUN_LOG", str(place / "ran.log"))
        for name in ("NBBUILD_CACHE", "MAKEFLAGS", "MAKELEVEL", "NBBUILD_PORTABLE"):
            patch.delenv(name, raising=False)
        play(patch)
        yield place


@pytest.fixture
def played(playing, tmp_path):
    """A folder for the projects of one test."""
    return tmp_path


@pytest.fixture(scope="module")
def clean(playing):
    """The six notebooks, built once; for copies."""
    root = playing / "clean"
    six(root)
    return Oracle.of(root)


@pytest.fixture(scope="module")
def clean_after(playing):
    """The same with other data."""
    root = playing / "clean-after"
    six(root, data="other data\n")
    return Oracle.of(root)


@pytest.fixture
def needs_filter():
    """Skips the test where a process's system calls cannot be held."""
    why = system_calls.unavailable()
    if why:
        pytest.skip(why)
