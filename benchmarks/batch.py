"""A batch system: what a job takes beyond its kernel, and what a thousand take of the build."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks import corpora, peers
from benchmarks.measure import Contender, Failed, Run, interleaved
from benchmarks.results import Bar, Result, forget
from nbbuild.building.attempts.protocol import Attempted
from nbbuild.building.jobs.notes import Meeting
from nbbuild.building.jobs.orders import Answer, decode_order, encode_answer, without_outputs

NOTEBOOKS = 10
MOST_EACH = 0.5  # seconds beyond what the same notebook takes here
WAITING = 1_000
WATCHED = 20.0  # seconds

# Jobs that begin at once, as on a cluster with nothing else to do.
_AT_ONCE = """
[command]
submit = '''sh -c 'sh -c "exec $0" >/dev/null 2>&1 & echo $!' {command}'''
status = "ps -e -o pid="
"""
_COLD = "\n[execution]\nwarm = false\n"
_IN_QUEUE = """
[execution]
trace = false
[command]
submit = "sh -c 'echo $0' {name} {order}"
status = "cat QUEUE"
"""


def overhead(work: Path, rounds: int) -> Result:
    """Ten notebooks one after the other, with cold kernels: here, and each as a job."""
    root = work / "batch-overhead"
    sources = [corpora.trivial(number) for number in range(NOTEBOOKS)]
    corpora.project(root, sources, config=_COLD + _AT_ONCE)
    here, jobs = (
        Contender(name, peers.nbbuild("-j1", "--executor", how), root, before=partial(forget, root))
        for name, how in (("here", "local"), ("as jobs", "command"))
    )
    interleaved([here, jobs], rounds=rounds)
    each = (jobs.wall - here.wall) / NOTEBOOKS
    bars = (Bar("a job, beyond the same notebook here", each, MOST_EACH, "s"),)
    return Result("notebooks as jobs of a batch system", (here, jobs), bars)


def waiting(work: Path, rounds: int) -> Result:
    """1,000 jobs at once: CPU to submit them, to wait for them, and to take their answers."""
    root = work / "batch-waiting"
    sources = [corpora.trivial(number) for number in range(WAITING)]
    config = _IN_QUEUE.replace("QUEUE", str(root / "queue"))
    paths = corpora.project(root, sources, config=config)
    plain = ("".join(c if c.isalnum() else "-" for c in str(p.relative_to(root))) for p in paths)
    (root / "queue").write_text("".join(f"{name}\n" for name in plain))
    parts = ["submitted", "waited for", "answered"]
    contenders = [Contender(name, (), root) for name in parts]
    for _ in range(rounds):
        forget(root)
        for contender, run in zip(contenders, _phases(root), strict=True):
            contender.runs.append(run)
    submitted, waited, answered = contenders
    bars = (
        Bar("to submit a job, with its process", submitted.cpu / WAITING * 1000, 50, "ms"),
        Bar("CPU while 1,000 jobs wait", waited.cpu / waited.wall * 100, 25, "%"),
        Bar("to take an answer, and keep the result", answered.cpu / WAITING * 1000, 50, "ms"),
    )
    return Result("1,000 jobs at once", tuple(contenders), bars)


def _phases(root: Path) -> Iterator[Run]:
    """Build with jobs that all wait; yield what it took until then, meanwhile, and to the end."""
    words = peers.nbbuild(f"-j{WAITING}", "--executor", "command")
    build = subprocess.Popen(
        words,
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    began = time.monotonic()
    while len(ready := _submitted(root)) < WAITING:
        if build.poll() is not None:
            raise Failed(f"the build ended with {build.returncode}")
        time.sleep(0.2)
    submitted, cpu = time.monotonic(), _cpu(build.pid)
    yield Run(submitted - began, cpu, 0)
    time.sleep(WATCHED)
    before, cpu = cpu, _cpu(build.pid)
    yield Run(time.monotonic() - submitted, cpu - before, 0)
    began = time.monotonic()
    for there in ready:
        _answer(there)
    _, status, used = os.wait4(build.pid, 0)
    if status:
        raise Failed(f"the build ended with {os.waitstatus_to_exitcode(status)}")
    yield Run(time.monotonic() - began, used.ru_utime + used.ru_stime - cpu, used.ru_maxrss * 1024)


def _submitted(root: Path) -> list[Meeting]:
    found = map(Meeting, (root / ".nbbuild/jobs").glob("*.job"))
    return [one for one in found if one.job()]


def _answer(there: Meeting) -> None:
    """Do what `nbbuild worker` does, without a kernel."""
    action = decode_order(there.order.read_bytes()).action
    done = Attempted(cells=without_outputs(action.notebook), root=action.root)
    with there.claimed():
        there.reply(encode_answer(Answer(host="here"), done))


def _cpu(pid: int) -> float:
    """Return the seconds of CPU that a process took, with the children it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
