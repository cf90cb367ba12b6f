"""Disks that are full, failing or read-only: a build goes on uncached, or says what is wrong."""

import errno
import shutil

import pytest
import system_calls
from children import answered, small_disk
from played_kernels import command, internal, six, tree
from sizes import chosen, sizes, tried

FAILING = [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES]


class Failing:
    """Fails the change of one number, or all from it on."""

    def __init__(self, number, error, *, lasting):
        self.left = number
        self.error = error
        self.lasting = lasting
        self.what = ""

    def __call__(self, change):
        if self.error == errno.EMFILE and change.deed != "open":
            return system_calls.GO_ON
        self.left -= 1
        if self.left == 0 or (self.lasting and self.left < 0):
            self.what = self.what or f"{change.deed} {change.paths[-1]}"
            return self.error
        return system_calls.GO_ON


def torn(root, *oracles):
    """Return the built notebooks that are neither as before nor as after the build."""
    return [
        path
        for path, data in tree(root).items()
        if path.startswith("_build/") and data not in [one.files[path] for one in oracles]
    ]


def failed_build(root, at):
    """Build at `root` while `at` decides what fails; return what was said, and how it ended."""
    place = root.parent / "said"

    def story():
        said = command(root, "-j1")
        place.write_text(f"{said.status}\n{said.err}", encoding="utf-8")

    place.unlink(missing_ok=True)
    ended = system_calls.under(root, story, at, opens=True)
    if ended != system_calls.OVER:
        return None, f"the process ended with {ended}"
    status, _, err = place.read_text(encoding="utf-8").partition("\n")
    return int(status), err


def wrong_with(root, status, err, wanted, before):
    """Yield what is wrong with a build on a failing disk."""
    if status is None or internal_text(err) or status not in (0, 1, 2, 3):
        yield f"it ended with {status}: {err}"
    if status and "error:" not in err and "failed" not in err:
        yield f"it ended with {status} and did not say why: {err}"
    if torn(root, wanted, before):
        yield f"half written: {torn(root, wanted, before)}"
    if status == 0:
        faults = wanted.faults(root, also=[before])
        unsaid = "not cached" not in err
        yield from (one for one in faults if unsaid or not one.startswith("no sound record"))


def internal_text(err):
    return "Traceback" in err or "nbbuild itself failed" in err or "this is a bug" in err


def settles(root, wanted, before):
    """Yield what is wrong with the two builds after it, on a disk that is well again."""
    first = command(root, "-j1")
    if internal(first) or first.status:
        yield f"the next build ended with {first.status}: {first.err}"
    yield from wanted.faults(root, also=[before])
    second = command(root, "-j1")
    if second.ran or second.status:
        yield f"the build after it ran {second.ran}: {second.err}"


@pytest.mark.usefixtures("needs_filter")
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize("error", FAILING, ids=errno.errorcode.get)
@sizes(small=3, full=400)
def test_a_disk_that_fails_anywhere(played, clean, clean_after, chance, error, lasting, size):
    root = played / "project"

    def begin():
        shutil.copytree(clean.root, root, symlinks=True)
        (root / "data.txt").write_text("other data\n")

    begin()
    count = Failing(-1, error, lasting=False)
    failed_build(root, count)
    total = -1 - count.left
    shutil.rmtree(root)

    def trial(number):
        begin()
        at = Failing(number, error, lasting=lasting)
        status, err = failed_build(root, at)
        for one in wrong_with(root, status, err, clean_after, clean):
            yield f"{at.what}: {one}"
        for one in settles(root, clean_after, clean):
            yield f"{at.what}: {one} (it was said: {err})"
        shutil.rmtree(root)

    assert tried(chosen(range(1, total + 1), size, chance), trial) == ""


# -- a disk that is full -------------------------------------------------------------------------


@pytest.mark.parametrize("part", [".", ".nbbuild", ".nbbuild/store", "_build", "out"])
def test_a_disk_of_64_kilobytes_that_is_full(played, clean, part):
    root = played / "project"
    six(root)
    place = root / part
    place.mkdir(parents=True, exist_ok=True)

    def story():
        why = small_disk(place, 64 << 10)
        if why:
            return why
        if part == ".":
            six(root)
        said = command(root, "-j1")
        return said, tree(root)

    answer = answered(story)
    if isinstance(answer, str):
        pytest.skip(f"no small disk can be had here: {answer}")
    said, found = answer
    assert not internal(said), said.err
    if said.status == 0:
        assert found == clean.files
    else:
        assert "No space left on device" in said.err
        assert [one for one in found if found[one] != clean.files[one]] == []
