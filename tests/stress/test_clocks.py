"""Clocks that are wrong or set, and times of files that say nothing: no stale result."""

import os
import shutil
import subprocess
import sys
import time
from functools import partial

import pytest
from children import answered
from notebook_sources import ipynb
from played_kernels import command, internal, six
from sizes import numbers, sizes, tried

import nbbuild.session
from nbbuild.disk.digests import Digests, digest_bytes

DAY, YEAR = 86_400, 365 * 86_400
SHIFTS = (0, 0, -DAY, YEAR)


def shifted(seconds):
    """Have all clocks of this process, for good, differ from that of the disk."""
    ns = seconds * 1_000_000_000
    now, now_ns, coarse = time.time, time.time_ns, time.clock_gettime_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + ns
    time.clock_gettime_ns = lambda which: coarse(which) + ns
    nbbuild.session.Digests = partial(Digests, clock=time.time_ns)


def edit(path, text, chance):
    """Write `text`, as long as what was there, in some way; return which."""
    before = path.stat()
    way = chance.choice(["in place", "renamed", "kept", "kept and renamed", "old", "future"])
    if "renamed" in way:
        new = path.with_name("new")
        new.write_text(text)
        new.replace(path)
    else:
        with path.open("r+") as file:
            file.write(text)
    if "kept" in way:  # as `cp -p`, `rsync -t` and some editors do
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif way in ("old", "future"):
        moment = 1_000_000_000 if way == "old" else before.st_mtime_ns // 10**9 + YEAR
        os.utime(path, (moment, moment))
    return way


@sizes(small=8, full=1_000)
def test_an_edit_of_the_same_size_is_never_missed(played, chance, size):
    root = played / "project"
    six(root, data=f"{0:06}\n")
    assert command(root).status == 0

    def trial(number):
        text = f"{chance.randrange(10**6):06}\n"
        same = (root / "data.txt").read_text() == text
        way = edit(root / "data.txt", text, chance)
        seconds = chance.choice(SHIFTS)

        def story():
            shifted(seconds)
            return command(root, "-j1")

        done = answered(story)
        made = (root / "out/a.txt").read_text()
        wanted = f"a {digest_bytes(text.encode())[:12]}\n"
        if internal(done) or done.status:
            yield f"{way}, {seconds} s: ended with {done.status}: {done.err}"
        if made != wanted:
            yield f"{way}, {seconds} s: a stale result: {made!r}, {done.err}"
        if "a" in done.ran and same:
            yield f"{way}, {seconds} s: ran without need"

    assert tried(numbers(size), trial, chance) == ""


@pytest.mark.parametrize("before", [-DAY, YEAR], ids=["day-back", "year-ahead"])
@pytest.mark.parametrize("after", [-DAY, YEAR], ids=["day-back", "year-ahead"])
def test_a_clock_that_was_set_costs_no_run_and_loses_nothing(played, clean, before, after):
    root = played / "project"
    six(root)

    def at(seconds, *words):
        def story():
            shifted(seconds)
            return command(root, *words)

        return answered(story)

    assert sorted(at(before, "-j1").ran) == ["a", "b", "c", "d", "e", "f"]
    for words in (["-j1"], ["cache", "gc"], ["-j1"], ["cache", "verify"]):
        done = at(after, *words)
        assert (done.status, done.ran) == (0, []), done.err
    assert clean.faults(root) == []
    shutil.rmtree(root / "_build")
    assert at(before, "-j1").ran == []
    assert clean.faults(root) == []


@pytest.mark.stress
@pytest.mark.skipif(shutil.which("faketime") is None, reason="Debian's faketime is not installed")
@pytest.mark.parametrize("shift", ["-1d", "+365d"])
def test_a_real_kernel_whose_clock_is_wrong(tmp_path, shift):
    (tmp_path / "jcache.toml").write_text('[project]\nnotebooks = ["a.ipynb"]\n')
    (tmp_path / "data.txt").write_text("1\n")
    (tmp_path / "a.ipynb").write_text(ipynb(["print(open('data.txt').read())"]))

    def build(*before):
        done = subprocess.run(
            [*before, sys.executable, "-m", "nbbuild"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr

    assert "1 executed in " in build("faketime", "-f", shift)
    assert "executed in " not in build()
    (tmp_path / "data.txt").write_text("2\n")
    assert "1 executed in " in build("faketime", "-f", shift)
    (tmp_path / "data.txt").write_text("3\n")
    assert "1 executed in " in build()
    assert "3\\n" in (tmp_path / "_build/executed/a.ipynb").read_text()
