"""Tokens are taken from make's jobserver one by one, and every one goes back, whoever is killed."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from played_make import TOKENS, Jobserver

from nbbuild.kernels.launch.jobserver import MakesTokens, Unreachable, reach
from nbbuild.kernels.launch.process import Launcher

PATIENCE = 20


@pytest.fixture(params=["pipe", "fifo"])
def jobserver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobserver]:
    played = Jobserver(tmp_path / "fifo" if request.param == "fifo" else None)
    yield played
    played.close()


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    with Launcher() as started:
        yield started


class Build:
    """What a build does with tokens: it wants some, and hears when there are more."""

    def __init__(self, launcher: Launcher, jobserver: Jobserver) -> None:
        self.pipe = reach(jobserver.auth)
        self.tokens = MakesTokens(self.pipe, lambda pipe: launcher.keeper((pipe.read, pipe.write)))
        self._news = threading.Semaphore(0)
        self.tokens.on_more(self._news.release)

    def __enter__(self) -> Build:
        return self

    def __exit__(self, *error: object) -> None:
        with self.pipe, self.tokens:
            pass

    def hears(self) -> None:
        """Wait until a token has come, or all have gone back."""
        assert self._news.acquire(timeout=PATIENCE), self.tokens.held

    def until(self, number: int) -> None:
        """Wait until `number` tokens are held."""
        while self.tokens.held != number:
            self.hears()
            self.tokens.want(number)  # as the scheduler does: others may have to be asked for


def test_as_many_are_taken_as_are_wanted_and_the_same_bytes_go_back(launcher, jobserver):
    with Build(launcher, jobserver) as build:
        build.tokens.want(3)
        build.until(3)
        assert jobserver.there() == len(TOKENS) - 3
        assert jobserver.waits()
        build.tokens.want(1)
        assert build.tokens.held == 1
        build.tokens.want(2)
        build.until(2)
    launcher.close()
    assert jobserver.back() == TOKENS


def test_two_builds_share_what_there_is_and_the_one_that_waits_gets_what_goes_back(
    launcher, jobserver
):
    with Launcher() as elsewhere, Build(launcher, jobserver) as one:
        one.tokens.want(len(TOKENS))
        one.until(len(TOKENS))
        with Build(elsewhere, jobserver) as other:
            other.tokens.want(1)
            assert other.tokens.held == 0
            one.tokens.want(len(TOKENS) - 1)
            other.until(1)
        elsewhere.close()
    launcher.close()
    assert jobserver.back() == TOKENS


def test_tokens_that_nobody_got_are_not_taken_after_the_end(launcher, jobserver):
    os.read(jobserver.read, 100)
    with Build(launcher, jobserver) as build:
        build.tokens.want(2)
    launcher.close()
    os.write(jobserver.write, TOKENS)
    assert jobserver.back() == TOKENS


def test_tokens_that_come_when_nobody_wants_them_any_more_go_back_while_the_build_goes_on(
    launcher, jobserver
):
    os.read(jobserver.read, 100)
    with Build(launcher, jobserver) as build:
        build.tokens.want(2)
        build.tokens.want(0)
        os.write(jobserver.write, TOKENS)
        build.hears()
        assert build.tokens.held == 0
        assert bytes(sorted(jobserver.take(len(TOKENS), PATIENCE))) == TOKENS

        # Who wants one later gets one.
        os.write(jobserver.write, TOKENS)
        build.tokens.want(1)
        build.until(1)
    launcher.close()
    assert jobserver.back() == TOKENS


def test_another_launcher_holds_the_tokens_of_one_that_was_killed(launcher, jobserver, watching):
    with Build(launcher, jobserver) as build:
        build.tokens.want(2)
        build.until(2)
        with watching(launcher.pid) as (helper,):
            os.kill(launcher.pid, signal.SIGKILL)
            assert helper.within(PATIENCE)
        build.tokens.want(4)
        build.until(4)
        assert jobserver.there() == len(TOKENS) - 4
    launcher.close()
    assert jobserver.back() == TOKENS


def test_what_a_killed_launcher_was_asked_for_can_be_asked_of_the_next(
    launcher, jobserver, watching
):
    os.read(jobserver.read, 100)
    with Build(launcher, jobserver) as build:
        build.tokens.want(2)  # there are none, so both requests stand
        with watching(launcher.pid) as (helper,):
            os.kill(launcher.pid, signal.SIGKILL)
            assert helper.within(PATIENCE)
        os.write(jobserver.write, TOKENS)
        build.until(2)
    launcher.close()
    assert jobserver.back() == TOKENS


def test_a_launcher_that_is_asked_to_end_returns_all_and_none_twice(launcher, jobserver, watching):
    with Build(launcher, jobserver) as build:
        build.tokens.want(2)
        build.until(2)
        with watching(launcher.pid) as (helper,):
            os.kill(launcher.pid, signal.SIGTERM)
            assert helper.within(PATIENCE)
        build.until(0)
        build.tokens.want(1)
        build.until(1)
        assert jobserver.there() == len(TOKENS) - 1
    launcher.close()
    assert jobserver.back() == TOKENS


def test_without_a_launcher_there_is_one_slot_and_nothing_is_lost(jobserver):
    def connect(pipe: object) -> socket.socket:
        raise OSError("no process can be started")

    with reach(jobserver.auth) as pipe, MakesTokens(pipe, connect) as tokens:
        tokens.want(2)
        tokens.want(3)
        assert tokens.held == 0
    assert jobserver.back() == TOKENS


# -- where there is no jobserver for us --------------------------------------------------------


def why(where: str) -> str:
    with pytest.raises(Unreachable) as caught:
        reach(where)
    return str(caught.value)


def test_descriptors_that_make_has_not_passed_on(tmp_path):
    played = Jobserver()
    ends = played.read, played.write
    assert why(f"{played.write},{played.read}") == ""  # the wrong way round
    os.set_inheritable(played.read, False)  # a pipe of this program's own
    assert why(played.auth) == ""
    played.close()
    assert why(f"{ends[0]},{ends[1]}") == ""
    assert why("-2,-2") == ""  # make 4.4, for a recipe without +
    file = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(file, True)
    assert why(f"{file},{file}") == ""
    os.close(file)


def test_fifos_that_cannot_be_opened(tmp_path):
    gone = tmp_path / "gone"
    assert why(f"fifo:{gone}") == f"'{gone}': No such file or directory"
    plain = tmp_path / "plain"
    plain.touch()
    assert why(f"fifo:{plain}") == f"'{plain}' is no pipe"
    assert why("gmake_semaphore_7") == "'gmake_semaphore_7' names none"
