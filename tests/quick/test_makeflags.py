"""What make asks for is read from MAKEFLAGS as every version of make writes it."""

from __future__ import annotations

import pytest

from nbbuild.quick.make import Asked, asked, outside


def under_make(flags: str) -> Asked:
    return asked({"MAKELEVEL": "1", "MAKEFLAGS": flags})


@pytest.mark.parametrize(
    ("flags", "options", "jobs", "jobserver"),
    [
        ("", (), None, ""),
        ("w", (), None, ""),
        ("ks", ("keep_going", "silent"), None, ""),
        ("kns -j8 --jobserver-auth=3,4", ("dry_run", "keep_going", "silent"), 8, "3,4"),
        (" -j4 --jobserver-auth=fifo:/tmp/GMfifo7", (), 4, "fifo:/tmp/GMfifo7"),
        (r" -j4 --jobserver-auth=fifo:/my\ tmp/$$x", (), 4, "fifo:/my tmp/$x"),
        (" --jobserver-fds=3,4 -j", (), None, "3,4"),  # make 3.81
        (" --jobserver-auth=3,4 --jobserver-auth=5,6 -j2", (), 2, "5,6"),  # the last one counts
        (" --keep-going --always-make", ("always_run", "keep_going"), None, ""),
        ("B -- n=1 --dry-run", ("always_run",), None, ""),  # variables of make follow
        (" -- n=1", (), None, ""),
        ("-k", (), None, ""),  # a user's own, which make has not read
        ("nq", ("question",), None, ""),  # one that does nothing is enough
        ("nt", ("dry_run",), None, ""),
        ("Bt", ("accept",), None, ""),
        ("Bq", ("question", "always_run"), None, ""),
    ],
)
def test_options_jobs_and_jobserver(flags, options, jobs, jobserver):
    assert under_make(flags) == Asked(options, jobs, jobserver)


def test_outside_a_make_only_a_jobserver_counts():
    assert asked({"MAKEFLAGS": "n -j1"}) == Asked()
    assert asked({"MAKEFLAGS": "n -j6 --jobserver-auth=3,4"}) == Asked((), 6, "3,4")
    assert asked({}) == Asked()


def test_make_can_be_ignored():
    environ = {"MAKELEVEL": "1", "MAKEFLAGS": "n -j6 --jobserver-auth=3,4"}
    assert asked({**environ, "NBBUILD_IGNORE_MAKE": "1"}) == Asked()
    assert asked({**environ, "NBBUILD_IGNORE_MAKE": "0"}) == asked(environ)


def test_kernels_see_nothing_of_make():
    environ = {"MAKELEVEL": "1", "MAKEFLAGS": "n", "MFLAGS": "-n", "MAKE": "make", "CC": "gcc"}
    assert outside(environ) == {"MAKE": "make", "CC": "gcc"}
