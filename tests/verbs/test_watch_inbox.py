"""Which changes begin a build, which cancel one, and which are the build's own."""

import pytest

from nbbuild.verbs.watch.inbox import Due, Inbox
from nbbuild.verbs.watch.meanings import Meanings

PROJECT = Meanings(
    named=frozenset({"jcache.toml", "a.ipynb"}),
    closed=("_build",),
    used=frozenset({"data.csv", "made.csv"}),
    made=frozenset({"made.csv"}),
)


class Clock:
    """Says when a build ended: long after what it wrote, or long before what comes."""

    now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def inbox(tmp_path, clock):
    inbox = Inbox(tmp_path, clock=clock)
    inbox.know(PROJECT)
    return inbox


@pytest.fixture
def save(inbox, tmp_path):
    """Write files, and have the inbox hear of it."""

    def saving(*names):
        for name in names:
            (tmp_path / name).write_text("x")
        inbox.put([str(tmp_path / name) for name in names])

    return saving


def built(inbox, due=None):
    """A whole build, in which nothing happens."""
    inbox.begin(due or Due())
    inbox.end()


def test_what_was_saved_while_nothing_is_built_is_due_at_once(inbox, save):
    built(inbox)
    save("a.ipynb", "notes.txt")
    assert inbox.wait() == Due(("a.ipynb", "notes.txt"), named=True, leftover=False)
    save("notes.txt")
    assert inbox.wait() == Due(("notes.txt",), named=False, leftover=False)


@pytest.mark.parametrize("name", ["a.ipynb", "jcache.toml", "data.csv"])
def test_an_input_that_changes_cancels_the_build_and_is_due(inbox, save, name):
    cancelled = inbox.begin(Due())
    save("notes.txt")
    assert not cancelled.is_set()
    save(name)
    assert cancelled.is_set()
    inbox.end()
    assert name in inbox.wait().paths


def test_what_a_build_itself_writes_is_not_due(inbox, save, tmp_path, clock):
    clock.now = 1 << 62
    (tmp_path / "_build").mkdir()
    cancelled = inbox.begin(Due())
    save("made.csv", "_build/x", "gone.tmp")
    (tmp_path / "gone.tmp").unlink()
    inbox.end()
    assert not cancelled.is_set()
    inbox.put([str(tmp_path / "made.csv"), str(tmp_path / "_build/x")])  # heard late
    save("a.ipynb")
    assert inbox.wait().paths == ("a.ipynb",)


def test_an_unknown_file_of_a_build_that_is_heard_of_late_begins_one_more(inbox, save, clock):
    clock.now = 1 << 62
    built(inbox)
    save("log.txt")
    due = inbox.wait()
    assert due == Due(("log.txt",), named=False, leftover=True)
    built(inbox, due)
    save("log.txt")
    save("a.ipynb")
    assert inbox.wait().paths == ("a.ipynb",)


def test_an_unknown_file_of_a_build_begins_one_more_and_no_third(inbox, save):
    inbox.begin(Due())
    save("log.txt")
    inbox.end()
    due = inbox.wait()
    assert due == Due(("log.txt",), named=False, leftover=True)
    inbox.begin(due)
    save("log.txt")
    inbox.end()
    save("a.ipynb")
    assert inbox.wait() == Due(("a.ipynb",), named=True, leftover=False)


def test_another_unknown_file_begins_one_more_but_not_for_ever(inbox, save):
    due = Due()
    begun = []
    for name in ("one", "two", "three", "four", "five"):
        inbox.begin(due)
        save(name)
        inbox.end()
        if not inbox._due:
            break
        due = inbox.wait()
        begun += due.paths
    assert begun == ["one", "two", "three"]


def test_a_file_that_each_build_writes_cancels_only_one_of_them(inbox, save):
    first = inbox.begin(Due())
    save("data.csv")
    inbox.end()
    second = inbox.begin(inbox.wait())
    save("data.csv")
    assert (first.is_set(), second.is_set()) == (True, False)
    save("a.ipynb")
    assert second.is_set()
    inbox.end()
    third = inbox.begin(inbox.wait())
    save("a.ipynb")  # a notebook always counts
    assert third.is_set()


def test_an_artefact_that_somebody_changes_or_removes_is_due(inbox, save, tmp_path):
    built(inbox)
    save("made.csv")
    assert inbox.wait().paths == ("made.csv",)
    built(inbox)
    (tmp_path / "made.csv").unlink()
    inbox.put([str(tmp_path / "made.csv")])
    assert inbox.wait().paths == ("made.csv",)
