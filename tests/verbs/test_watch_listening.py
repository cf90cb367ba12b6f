"""Changes of files, as the system tells them."""

import queue

import pytest

from nbbuild.errors import NbbuildError
from nbbuild.verbs.watch import listening
from nbbuild.verbs.watch.listening import POLLING, Listening

PATIENCE = 60  # seconds until a test that waits has failed


@pytest.mark.parametrize("environ", [{}, {POLLING: "1"}], ids=["told", "looked at"])
def test_what_changes_below_a_folder_is_heard_and_a_burst_is_one_change(tmp_path, environ):
    heard = queue.SimpleQueue()
    (tmp_path / "deep").mkdir()
    with Listening([tmp_path], heard.put, deep=True, environ=environ):
        for name in ("one", "two", "three"):
            (tmp_path / "deep" / name).write_text("x")
        wanted = {str(tmp_path / "deep" / name) for name in ("one", "two", "three")}
        found = set()
        while not wanted <= found:
            found |= heard.get(timeout=PATIENCE)


def test_beside_a_folder_that_is_not_watched_deeply_nothing_is_heard(tmp_path):
    heard = queue.SimpleQueue()
    (tmp_path / "deep").mkdir()
    with Listening([tmp_path], heard.put, deep=False, environ={}):
        (tmp_path / "deep/one").write_text("x")
        (tmp_path / "two").write_text("x")
        found = set()
        while str(tmp_path / "two") not in found:
            found |= heard.get(timeout=PATIENCE)
    assert str(tmp_path / "deep/one") not in found


def test_a_system_that_watches_no_more_files_says_what_to_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(listening, "RustNotify", refuse)
    with pytest.raises(NbbuildError) as error, Listening([tmp_path], print, deep=True):
        pass
    assert str(error.value) == (
        "the system cannot watch the project's files\n"
        f"  folder: {tmp_path}\n  reason: OS file watch limit reached\n\n"
        "hint: raise fs.inotify.max_user_watches, "
        "or set WATCHFILES_FORCE_POLLING=1 to look at them again and again"
    )
