"""Jobs of a batch system, without kernels: what they are named, asked for, found again, and lost.

The batch system is this test: `submit` notes that it was called, and answers are written here.
"""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nbbuild.building.executing import forget_settled
from nbbuild.building.executors import Begun, GivenUp, Job, Lost, NotBegun, Setup
from nbbuild.building.jobs import batch as asked
from nbbuild.building.jobs import notes
from nbbuild.building.jobs.command import CommandJobs, Commands, filled, start
from nbbuild.building.jobs.marks import note_cell
from nbbuild.building.jobs.notes import Meeting, Note, Notes
from nbbuild.disk import flock
from nbbuild.errors import ConfigError
from nbbuild.model import ActionKey, Judgement, Verdict
from nbbuild.store import MemoryStore
from nbbuild.store.remote.signing import SECRET_VARIABLE

KEY = "ab" * 32


class Batch:
    """A batch system whose jobs are what the test makes of them."""

    def __init__(self, folder):
        self.folder = folder
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self.calls = folder / "calls"
        (folder / "known").write_text("")
        self.commands = Commands(
            submit=f"sh -c 'echo submit >> {self.calls}; echo 7' submit {{order}}",
            status=f"sh -c 'cat {folder}/known'",
            cancel=f"sh -c 'echo cancel {{job}} >> {self.calls}'",
            poll=0.01,
        )
        self.command_jobs = CommandJobs(self.jobs, self.commands)

    def job(self, number=1, **more):
        """Return a job whose mark is there, as the build sees to."""
        mark = self.jobs / f"{KEY[:12]}-{number}.job"
        mark.touch()
        begun = Begun(began_ns=5, found={"left.txt": "digest"}, mark=str(mark))
        return Job(name="a.ipynb", key=KEY, order=b"what to do", begun=begun, **more)

    def said(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def known(self, text):
        (self.folder / "known").write_text(text)


@pytest.fixture
def batch(tmp_path):
    return Batch(tmp_path)


def meeting(job):
    return Meeting(Path(job.begun.mark))


def answers(job, data):
    """Play the job: claim the order, as soon as it is there, and answer."""

    def play():
        there = meeting(job)
        while not there.job():
            pass
        with there.claimed() as ours:
            assert ours
            note_cell(there.mark, 3, 7)
            there.reply(data)

    thread = threading.Thread(target=play)
    thread.start()
    return thread


def test_a_job_is_submitted_and_its_answer_comes_back(batch):
    batch.known("7 R")
    job = batch.job()
    thread = answers(job, b"what came of it")

    assert batch.command_jobs.carry_out(job, cancelled=threading.Event()) == b"what came of it"
    thread.join()
    assert batch.said() == ["submit"]


def test_an_order_is_for_nobody_else_to_read(batch):
    batch.known("7 R")
    job = batch.job()
    answers(job, b"")
    batch.command_jobs.carry_out(job, cancelled=threading.Event())

    there = meeting(job)
    assert there.order.read_bytes() == b"what to do"
    assert there.folder.stat().st_mode & 0o777 == 0o700
    assert there.order.stat().st_mode & 0o777 == 0o600


def test_a_later_build_finds_a_job_and_what_was_known_when_it_began(batch):
    batch.known("7 R")
    job = batch.job()
    answers(job, b"done")
    batch.command_jobs.carry_out(job, cancelled=threading.Event())  # and then the build is killed

    later = CommandJobs(batch.jobs, batch.commands)
    found = later.under_way(KEY)
    assert found == job.begun
    again = batch.job(resumes=True)
    assert later.carry_out(again, cancelled=threading.Event()) == b"done"
    assert batch.said() == ["submit"]

    later.settled(KEY)
    assert later.under_way(KEY) is None
    assert os.listdir(batch.jobs) == []


def test_the_next_build_forgets_a_job_whose_result_was_kept(batch):
    batch.known("7 R")
    job = batch.job()
    thread = answers(job, b"done")
    batch.command_jobs.carry_out(job, cancelled=threading.Event())  # and then the build is killed
    thread.join()

    session = SimpleNamespace(store=MemoryStore())
    later = CommandJobs(batch.jobs, batch.commands)
    run, fresh = (
        Judgement(task=job.name, verdict=verdict, key=ActionKey(KEY, ()))
        for verdict in (Verdict.RUN, Verdict.REFRESH)
    )
    forget_settled(session, [run], later)
    with session.store.lock(KEY):  # another build executes it again
        forget_settled(session, [fresh], later)
    assert later.under_way(KEY) == job.begun

    forget_settled(session, [fresh], later)
    assert os.listdir(batch.jobs) == []


def test_the_job_of_a_notebook_edited_since_is_ended_before_another_begins(batch):
    batch.known("7 R")
    job = batch.job()
    thread = answers(job, b"old")
    batch.command_jobs.carry_out(job, cancelled=threading.Event())  # and then the build is killed
    thread.join()

    later = CommandJobs(batch.jobs, batch.commands)
    assert [*later.left()] == [KEY]
    later.end_others("b.ipynb", but="")
    later.end_others(job.name, but=KEY)
    assert batch.said() == ["submit"]

    later = CommandJobs(batch.jobs, batch.commands)
    later.end_others(job.name, but="cd" * 32)
    assert batch.said() == ["submit", "cancel 7"]
    assert os.listdir(batch.jobs) == []


def test_a_build_killed_before_it_submitted_leaves_a_note_and_the_next_one_submits(batch):
    job = batch.job(resumes=True)
    meeting(job).make(job.order)
    Notes(batch.jobs).write(KEY, Note(task=job.name, begun=job.begun))

    batch.known("7 R")
    answers(job, b"done")
    assert batch.command_jobs.under_way(KEY) == job.begun
    assert batch.command_jobs.carry_out(job, cancelled=threading.Event()) == b"done"
    assert batch.said() == ["submit"]


def test_a_submit_command_at_work_is_waited_for_whoever_started_it(batch):
    """A build was killed while `sbatch` was still waiting for the scheduler."""
    job = batch.job(resumes=True)
    there = meeting(job)
    there.make(job.order)
    Notes(batch.jobs).write(KEY, Note(task=job.name, begun=job.begun))
    ready, go = (os.pipe() for _ in range(2))
    code = (
        "import fcntl, os, sys\n"
        "out = open(sys.argv[1], 'w')\n"
        "fcntl.flock(out, fcntl.LOCK_EX)\n"
        f"os.write({ready[1]}, b'.')\n"
        f"os.read({go[0]}, 1)\n"
        "out.write('9\\n')\n"
    )
    slow = subprocess.Popen(
        [sys.executable, "-c", code, str(there.submitted)], pass_fds=(ready[1], go[0])
    )
    os.read(ready[0], 1)
    batch.known("9 R")
    answers(job, b"done")
    threading.Timer(0.1, os.write, (go[1], b".")).start()

    assert batch.command_jobs.carry_out(job, cancelled=threading.Event()) == b"done"
    assert slow.wait() == 0
    assert batch.said() == []
    assert there.job() == "9"


def test_a_submit_command_that_ends_just_now_is_not_run_again(batch, monkeypatch):
    """It had printed nothing at the first look, and had ended before the second."""
    job = batch.job(resumes=True)
    there = meeting(job)
    there.make(job.order)
    there.submitted.write_text("7\n")
    look, looks = Meeting.job, [""]
    monkeypatch.setattr(Meeting, "job", lambda one: looks.pop() if looks else look(one))
    batch.known("7 R")
    answers(job, b"done")

    assert batch.command_jobs.carry_out(job, cancelled=threading.Event()) == b"done"
    assert batch.said() == []


def test_an_order_is_executed_once_however_often_it_was_submitted(batch):
    job = batch.job()
    there = meeting(job)
    there.make(job.order)
    with there.claimed() as first, there.claimed() as second:
        assert (first, second) == (True, False)
        assert there.is_at_work()
    assert not there.is_at_work()
    with there.claimed() as third:
        assert not third


def test_a_job_begins_though_its_build_is_just_looking_whether_it_has(batch, monkeypatch):
    job = batch.job()
    there = meeting(job)
    there.make(job.order)
    take, looks = flock.take, [1, 2]

    def held(descriptor):
        if looks:
            looks.pop()
            raise BlockingIOError
        take(descriptor)

    monkeypatch.setattr(notes, "_LOOK", 0)
    monkeypatch.setattr(flock, "take", held)
    with there.claimed() as ours:
        assert ours
        monkeypatch.undo()
        assert there.is_at_work()


def test_a_job_taken_for_lost_does_nothing_once_another_has_begun(batch):
    job = batch.job()
    there = meeting(job)
    there.make(job.order)
    there.mark.unlink()
    with there.claimed() as ours:
        assert not ours


def test_a_job_of_another_nbbuild_is_not_waited_for(batch):
    job = batch.job()
    meeting(job).make(job.order)
    Notes(batch.jobs).write(KEY, Note(task=job.name, begun=job.begun, version="0.0.1"))
    assert batch.command_jobs.under_way(KEY) is None


def test_a_copy_of_a_project_leaves_the_jobs_of_the_original_alone(batch):
    job = batch.job()
    meeting(job).make(job.order)
    Notes(batch.jobs).write(KEY, Note(task=job.name, begun=job.begun))
    copied = batch.folder / "copy"
    shutil.copytree(batch.jobs, copied)

    copy = CommandJobs(copied, batch.commands)
    assert copy.under_way(KEY) is None
    assert copy.left() == []
    copy.end_others(job.name, but="")
    copy.settled(KEY)
    assert batch.command_jobs.under_way(KEY) == job.begun
    assert meeting(job).order.exists()


def test_a_job_that_the_batch_system_does_not_know_is_lost(batch):
    job = batch.job()
    with pytest.raises(Lost, match=r"^the batch system has no job 7$"):
        batch.command_jobs.carry_out(job, cancelled=threading.Event())
    again = batch.job(2)
    with pytest.raises(Lost):
        batch.command_jobs.carry_out(again, cancelled=threading.Event())
    assert batch.said() == ["submit", "cancel 7", "submit"]
    assert not Path(job.begun.mark).exists()
    assert batch.command_jobs.under_way(KEY) == again.begun


def test_one_question_serves_all_jobs(tmp_path):
    calls = tmp_path / "calls"
    one = asked.Batch(
        Commands(submit="", status=f"sh -c 'echo asked >> {calls}; printf \"1\\n 2 R\\n\"'")
    )
    began = time.monotonic()
    said = [one.knows(job, since=began) for job in ("1", "2", "3", "R")]
    assert said == [True, True, False, False]
    assert calls.read_text() == "asked\n"
    assert one.knows("1", since=time.monotonic())
    assert calls.read_text() == "asked\n" * 2


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("sh -c 'echo no controller >&2; exit 1'", "'sh': no controller"),
        ("sh -c 'exit 3'", "'sh': exit status 3"),
        ("no-such-squeue --me", "'no-such-squeue' cannot be run: No such file or directory"),
    ],
)
def test_a_batch_system_out_of_reach_has_lost_no_job(batch, status, why):
    jobs = CommandJobs(batch.jobs, dataclasses.replace(batch.commands, status=status))
    job, cancelled = batch.job(), threading.Event()
    waits = []

    def begun(text):
        waits.append(text)
        cancelled.set()

    with pytest.raises(GivenUp):
        jobs.carry_out(dataclasses.replace(job, waits=begun), cancelled=cancelled)
    assert waits == [f"the batch system does not answer: {why}"]


def test_what_the_log_of_a_lost_job_says_last_is_said(batch):
    submit = "sh -c 'echo begins > log; echo out of memory >> log; echo 7' submit {order}"
    commands = dataclasses.replace(batch.commands, submit=submit)
    with pytest.raises(Lost) as lost:
        CommandJobs(batch.jobs, commands).carry_out(batch.job(), cancelled=threading.Event())
    told = "the batch system has no job 7; its log ends with: out of memory"
    assert str(lost.value) == told


def test_a_job_at_work_is_not_lost_though_the_batch_system_is_out_of_reach(batch):
    job = batch.job()
    there = meeting(job)
    seen = []

    def play():
        while not there.job():
            pass
        with there.claimed():
            while len(seen) < 5:  # asked in vain
                seen.append(1)
                asked.wait(5)
                asked.clear()
            there.reply(b"done")

    asked = threading.Event()
    batch.command_jobs._batch.knows = lambda name, since: asked.set() or False
    thread = threading.Thread(target=play)
    thread.start()
    assert batch.command_jobs.carry_out(job, cancelled=threading.Event()) == b"done"
    thread.join()


def test_why_a_job_executed_nothing_is_said_though_it_is_still_in_the_queue(batch):
    batch.known("7 R")
    job = batch.job()

    def play():
        while not meeting(job).job():
            pass
        meeting(job).refuse("the build is nbbuild 2, and this worker is nbbuild 1")

    thread = threading.Thread(target=play)
    thread.start()
    with pytest.raises(NotBegun, match=r"^the build is nbbuild 2, and this worker is nbbuild 1$"):
        batch.command_jobs.carry_out(job, cancelled=threading.Event())
    thread.join()


def test_a_build_that_is_interrupted_ends_its_jobs(batch):
    batch.known("7 PD")
    job, cancelled = batch.job(), threading.Event()
    waits = []

    def begun(why):
        waits.append(why)
        cancelled.set()

    with pytest.raises(GivenUp):
        told = Job(name=job.name, key=job.key, order=job.order, begun=job.begun, waits=begun)
        batch.command_jobs.carry_out(told, cancelled=cancelled)
    assert waits == ["waits for job 7 to begin"]
    assert batch.said() == ["submit", "cancel 7"]
    assert os.listdir(batch.jobs) == []


def test_a_job_asks_for_its_cores(batch):
    submit = f"sh -c 'echo {{cores}} {{name}} >> {batch.calls}; echo 7' submit {{order}}"
    jobs = CommandJobs(batch.jobs, Commands(submit=submit, status="true", poll=0.01))
    for number, cores in ((1, {}), (2, {"cores": 4})):
        with pytest.raises(Lost):
            jobs.carry_out(batch.job(number, **cores), cancelled=threading.Event())
    assert batch.said() == ["1 a-ipynb", "4 a-ipynb"]


@pytest.mark.parametrize(
    ("submit", "message"),
    [
        ("no-such-sbatch {command}", "'no-such-sbatch' cannot be run: No such file or directory"),
        ("sh -c 'echo no partition >&2; exit 1' {command}", "'sh': no partition"),
        ("true {command}", "'true': it printed no job's name (exit status 0)"),
    ],
)
def test_what_is_wrong_with_submitting_is_said(batch, submit, message):
    jobs = CommandJobs(batch.jobs, Commands(submit=submit, status="true"))
    with pytest.raises(NotBegun) as refused:
        jobs.carry_out(batch.job(), cancelled=threading.Event())
    assert str(refused.value) == message


def test_a_command_is_one_word_and_its_own_words_are_kept_apart():
    words = filled(
        "sbatch --wrap {command} --job-name nb-{name}", {"command": "a 'b c'", "name": "x"}
    )
    assert words == ["sbatch", "--wrap", "a 'b c'", "--job-name", "nb-x"]


def test_a_folder_may_be_called_like_a_word_that_is_filled_in():
    words = filled("run {command} {name}", {"command": "/home/{name}/{command}", "name": "x"})
    assert words == ["run", "/home/{name}/{command}", "x"]


def test_a_status_command_that_does_not_end_says_nothing_and_loses_no_job(batch, monkeypatch):
    monkeypatch.setattr(asked, "PATIENCE", 0.05)
    commands = dataclasses.replace(batch.commands, status="sh -c 'exec sleep 60' {job}")
    cancelled, waits = threading.Event(), []

    def waiting(why):
        waits.append(why)
        cancelled.set()

    with pytest.raises(GivenUp):
        CommandJobs(batch.jobs, commands).carry_out(batch.job(waits=waiting), cancelled=cancelled)
    assert waits == ["the batch system does not answer: 'sh' says nothing within 0.05 s"]


def test_the_signing_key_stays_here(batch, monkeypatch):
    monkeypatch.setenv(SECRET_VARIABLE, "secret")
    submit = f"sh -c 'echo key: ${SECRET_VARIABLE} >> {batch.calls}; echo 7' submit {{order}}"
    commands = dataclasses.replace(batch.commands, submit=submit)
    with pytest.raises(Lost):
        CommandJobs(batch.jobs, commands).carry_out(batch.job(), cancelled=threading.Event())
    assert batch.said() == ["key:"]


def test_an_interrupt_does_not_wait_for_a_submit_command_that_hangs(batch):
    held = batch.folder / "held"
    os.mkfifo(held)
    submit = f"sh -c 'echo submit >> {batch.calls}; exec cat {held}' submit {{order}}"
    commands = dataclasses.replace(batch.commands, submit=submit)
    cancelled = threading.Event()

    def interrupt():
        while not batch.said():
            pass
        cancelled.set()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(GivenUp):
        CommandJobs(batch.jobs, commands).carry_out(batch.job(), cancelled=cancelled)
    thread.join()
    held.open("wb").close()  # now it ends
    assert os.listdir(batch.jobs) == []


def test_a_configuration_without_commands_is_an_error(tmp_path):
    with pytest.raises(ConfigError) as error:
        start(Setup(root=tmp_path, options={"submit": "sbatch {command}"}))
    assert str(error.value) == (
        "the executor 'command' has no 'status'\n"
        "  in: jcache.toml, [command]\n\n"
        'hint: for SLURM: submit = "sbatch --parsable --wrap {command}", '
        'status = "squeue -h --me -o %A", cancel = "scancel {job}"'
    )
    with pytest.raises(ConfigError, match=r"^'submit' has no '\{command\}', so no job"):
        start(Setup(root=tmp_path, options={"submit": "sbatch", "status": "squeue"}))


JOB = """#!/bin/sh
folder=$(dirname "$1")
(
  # Only one process can make a file that must not exist.
  (set -C; : > "$folder/begun") 2> /dev/null || exit 0
  [ -e "$folder.job" ] || exit 0
  echo ran >> {runs}
  printf done > "$folder/draft" && mv "$folder/draft" "$folder/answer"
) > /dev/null 2>&1 < /dev/null &
echo 7
"""


@pytest.mark.parametrize("stage", ["order", "../*.json", "submitted", "begun", "answer"])
def test_a_build_killed_at_any_moment_is_followed_by_one_that_runs_the_key_once(batch, stage):
    runs, submit = batch.folder / "runs", batch.folder / "submit"
    submit.write_text(JOB.replace("{runs}", str(runs)))
    submit.chmod(0o755)
    commands = Commands(submit=f"{submit} {{order}}", status="echo 7 R", poll=0.01)

    def build(number):
        """Do what a build does of a key."""
        jobs = CommandJobs(batch.jobs, commands)
        known = jobs.under_way(KEY)
        if known is None:
            job = batch.job(number)
        else:
            job = Job(name="a", key=KEY, order=b"", begun=known, resumes=True)
        answer = jobs.carry_out(job, cancelled=threading.Event())
        jobs.settled(KEY)
        return answer

    killed = os.fork()
    if not killed:
        CommandJobs.settled = lambda *_: signal.pause()  # this one does not get further
        build(1)
        os._exit(0)
    while not [*batch.jobs.glob(f"{KEY[:12]}-1/{stage}")]:
        pass
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)

    assert build(2) == b"done"
    assert runs.read_text() == "ran\n"
    assert os.listdir(batch.jobs) == []
