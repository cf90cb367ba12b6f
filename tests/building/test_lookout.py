"""One thread looks for news of all jobs, and ends when there are none."""

import threading

import pytest

from nbbuild.building.jobs.lookout import Lookout
from nbbuild.building.jobs.marks import note_cell
from nbbuild.building.jobs.notes import Meeting


@pytest.fixture
def jobs(tmp_path):
    """Two jobs that were submitted."""
    made = [Meeting(tmp_path / f"{name}.job") for name in "ab"]
    for one in made:
        one.make(b"order")
        one.mark.touch()
    return made


def looking():
    return [one for one in threading.enumerate() if one.name == "nbbuild-lookout"]


def test_each_step_of_a_job_is_news_and_nobody_else_hears_of_it(jobs):
    one, other = jobs
    lookout, cancelled = Lookout(), threading.Event()
    with lookout.watching(one, cancelled) as news, lookout.watching(other, cancelled) as others:
        for event in (news, others):
            event.wait()  # what is there already is news, once
            event.clear()
        with one.claimed():
            news.wait()
            news.clear()
            note_cell(one.mark, 1, 2)
            news.wait()
            news.clear()
            one.reply(b"done")
            news.wait()
        assert not others.is_set()
        assert len(looking()) == 1
        cancelled.set()
        others.wait()
    for thread in looking():
        thread.join()
    with lookout.watching(one, threading.Event()) as news:
        news.wait()
