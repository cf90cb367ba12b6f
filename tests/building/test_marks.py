"""The file that stands for an attempt elsewhere, seen from a worker; and what is sent to one."""

import errno
import os

import pytest

from nbbuild.building.jobs import working
from nbbuild.building.jobs.elsewhere import _content, _sent
from nbbuild.building.jobs.marks import is_there
from nbbuild.disk.digests import digest_bytes
from nbbuild.errors import OneTaskError
from nbbuild.model import ArtefactFile


def test_a_mark_is_there_gone_or_out_of_reach(tmp_path, monkeypatch):
    mark = tmp_path / "a.job"
    assert not is_there(mark)
    mark.touch()
    assert is_there(mark)
    assert not is_there(mark / "b.job"), "a file in the place of its folder"

    def opened(path, flags):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", opened)
    number = errno.ESTALE
    assert not is_there(mark)
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        is_there(mark)


def test_a_worker_that_cannot_look_for_its_mark_goes_on_until_it_can():
    answers = iter([OSError(errno.EIO, "out of reach"), True, False])

    def wanted():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with working._watched(wanted) as cancelled:
        assert cancelled.wait(30)
    assert list(answers) == []


def test_an_input_that_changes_or_goes_while_it_is_sent_fails_its_task(tmp_path):
    (tmp_path / "data.csv").write_text("1")
    one = ArtefactFile("data.csv", digest_bytes(b"1"), 1)
    assert _content(tmp_path, one) == b"1"

    (tmp_path / "data.csv").write_text("2")
    with pytest.raises(OneTaskError) as changed:
        _content(tmp_path, one)
    assert str(changed.value) == (
        "'data.csv' changed while it was sent to a worker\n\nhint: build again"
    )
    (tmp_path / "data.csv").unlink()
    with pytest.raises(OneTaskError, match=r"^'data.csv' cannot be sent to a worker\n"):
        _content(tmp_path, one)
    with pytest.raises(OneTaskError, match="No such file"), _sent("x", tmp_path / "x"):
        (tmp_path / "x").stat()
