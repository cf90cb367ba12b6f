"""Disks that are full, failing or read-only: a build goes on uncached, or says what is wrong."""

import errno
import json
import os
import resource
import shutil
import tempfile
from pathlib import Path

import pytest
import system_calls
from children import answered, given_away, read_only, small_disk, unprivileged
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


def shown(data):
    """Return a built notebook without what it says of the cache; what is half written fails."""
    notebook = json.loads(data)
    notebook["metadata"].pop("nbbuild", None)
    return notebook


def torn(root, *oracles):
    """Return the built notebooks that show neither what was nor what a build comes to."""
    found = []
    for path, data in tree(root).items():
        if path.startswith("_build/"):
            wanted = [shown(one.files[path]) for one in oracles]
            try:
                if shown(data) not in wanted:
                    found.append(path)
            except ValueError:
                found.append(path)
    return found


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
    if status == 0 and "not cached" in err:
        # Notebooks then say so, and there is no record.
        yield from (f"{path} is not as it should be" for path in torn(root, wanted))
    elif status == 0:
        yield from wanted.faults(root, also=[before])


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
@sizes(small=2, full=400)
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

    assert tried(chosen(range(1, total + 1), size, chance), trial, chance) == ""


class NotReadable:
    """Denies the opening of one file, the `left`-th time."""

    def __init__(self, name, left):
        self.name = name
        self.left = left

    def __call__(self, change):
        if change.deed == "open" and change.paths[-1].endswith(f"/{self.name}"):
            self.left -= 1
            if self.left == 0:
                return errno.EACCES
        return system_calls.GO_ON


@pytest.mark.usefixtures("needs_filter")
def test_an_input_that_cannot_be_read_for_a_moment_is_in_no_record(played, clean, clean_after):
    root = played / "project"
    for number in range(1, 20):
        shutil.copytree(clean.root, root, symlinks=True)
        (root / "data.txt").write_text("other data\n")
        at = NotReadable("data.txt", number)
        status, err = failed_build(root, at)
        assert list(wrong_with(root, status, err, clean_after, clean)) == []
        assert list(settles(root, clean_after, clean)) == []
        shutil.rmtree(root)
        if at.left > 0:
            break
    assert number > 2, "it was opened twice at least, to read it and to digest it"


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


# -- what may only be read, by somebody without root's powers ------------------------------------


@pytest.fixture
def public(clean):
    """A folder that anybody may enter, with what a played kernel needs."""
    with tempfile.TemporaryDirectory(prefix="nbbuild-stress-") as name:
        place = Path(name)
        place.chmod(0o755)
        shutil.copytree(clean.root.parent / "jupyter", place / "jupyter")
        (place / "home").mkdir()
        (place / "ran.log").touch()
        yield place


def as_nobody(public, root, *words):
    """Run nbbuild at `root` as a user without powers."""

    def story():
        os.environ["JUPYTER_PATH"] = str(public / "jupyter")
        os.environ["HOME"] = str(public / "home")
        os.environ["RUN_LOG"] = str(public / "ran.log")
        os.chdir(public)  # that user may not come back to where pytest runs
        unprivileged()
        return command(root, *words)

    return answered(story)


def built_by_nobody(public):
    root = public / "project"
    six(root)
    given_away(public)
    done = as_nobody(public, root, "-j1")
    assert done.status == 0, done.err
    return root


@pytest.mark.parametrize("part", [".", ".nbbuild", ".nbbuild/store", "_build", "out"])
def test_what_can_only_be_read_still_shows_its_results(public, clean, part):
    root = built_by_nobody(public)
    with read_only(root / part):
        for words in (
            ["status"],
            ["show", "a.ipynb"],
            ["explain", "b.ipynb"],
            ["cache", "list"],
            ["cache", "verify"],
            [],
        ):
            done = as_nobody(public, root, *words)
            assert not internal(done), done.err
            assert (done.status, done.ran) == (0, []), done.err
        assert clean.faults(root) == []


@pytest.mark.parametrize("part", [".", ".nbbuild", ".nbbuild/store", "_build", "out"])
def test_an_edit_where_something_can_only_be_read_is_built_or_said(
    public, clean, clean_after, part
):
    root = built_by_nobody(public)
    (root / "data.txt").write_text("other data\n")
    with read_only(root / part):
        done = as_nobody(public, root, "-j1")
    assert not internal(done), done.err
    assert torn(root, clean, clean_after) == []
    if done.status == 0:
        faults = clean_after.faults(root, also=[clean])
        assert faults == [] or ("not cached" in done.err and torn(root, clean_after) == [])
    else:
        assert "Permission denied" in done.err or "cannot be written" in done.err
    again = as_nobody(public, root, "-j1")
    assert again.status == 0, again.err
    assert clean_after.faults(root, also=[clean]) == []
    assert as_nobody(public, root, "-j1").ran == []


# -- with little of everything else ---------------------------------------------------------------


def no_home():
    os.environ.pop("HOME", None)


def no_home_that_exists():
    os.environ["HOME"] = "/nothing/here"


def few_files():
    few = 64 + len(os.listdir("/dev/fd")) - 3  # what pytest holds open is none of nbbuild's
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))


def few_bytes_in_a_file():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


@pytest.mark.parametrize("limit", [no_home, no_home_that_exists, few_files, few_bytes_in_a_file])
def test_a_build_with_little_of_something(played, clean, limit):
    root = played / "project"
    six(root)

    def story():
        limit()
        return command(root, "-j2")

    done = answered(story)
    assert done.status == 0, done.err
    assert clean.faults(root) == []
