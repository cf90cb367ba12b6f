"""One build of two notebooks, one of which does something terrible, and how nbbuild bears it.

Each combination of a deed, a signal for nbbuild and a way to start kernels is one run. A run says
how long it took until the death of a kernel was reported, and until no process was left.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import psutil
from notebook_sources import ipynb

PATIENCE = 60  # seconds until a run that waits has failed
LEFT = 2.0  # seconds after which nothing may be left
KILLED = "the kernel died in cell 2 (In [2]): the process that starts kernels was killed"
LIMIT = "ran longer than its limit of 2 s"

_ALWAYS = """
import contextlib, os, signal, socket, subprocess, sys, threading, time
with contextlib.suppress(OSError):  # run again, it finds nobody there
    gate = socket.create_connection(("127.0.0.1", {port}))
    gate.sendall(f"{name} {{os.getpid()}} {{time.monotonic()}}\\n".encode())
"""
_NEIGHBOUR = """
with contextlib.suppress(OSError, NameError):
    gate.settimeout(60)
    gate.recv(1)
print("unharmed")
"""
_SWALLOW = """
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass
"""
_DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["sleep", "{token}"], {{}})
    os._exit(0)
"""
_MEMORY = """
import resource
most = 1 << 32
resource.setrlimit(resource.RLIMIT_AS, (most, most))
held = bytearray(most)
"""

# name → what the notebook does, and what is said of it when nbbuild is left alone; "": it is well
DEEDS = {
    "exit": ("os._exit(3)", "the kernel died in cell 2 (In [2]): exit status 3"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV (signal 11)"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL (signal 9)"),
    "stop kernel": ("os.kill(os.getpid(), signal.SIGSTOP)", LIMIT),
    "stop zygote": ("time.sleep(0.5)", ""),
    "stop launcher": ("time.sleep(0.5)", ""),
    "memory": (_MEMORY, "MemoryError"),
    "regex": ("import re; re.match(r'(a+)+$', 'a' * 60 + 'b')", LIMIT),
    "swallow": (_SWALLOW, LIMIT),
    "setsid": ("subprocess.Popen(['sleep', '{token}'], start_new_session=True)", ""),
    "daemon": (_DAEMON, ""),
    "thread": ("threading.Thread(target=threading.Event().wait).start()", ""),
    "held stdout": ("subprocess.Popen(['sh', '-c', 'sleep {token}; true'])", ""),
    "closed": ("os.closerange(3, 1024)", None),  # whatever it is: it ends, and is no success
    "kill parent": ("os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)", KILLED),
}
DEADLY = ("exit", "segfault", "kill")
SIGNALS = {
    "nothing": None,
    "SIGINT": 130,
    "SIGTERM": 130,
    "SIGHUP": 130,
    "SIGQUIT": -signal.SIGQUIT,
    "SIGKILL": -signal.SIGKILL,
}
WAYS = ("warm", "cold")


@dataclass(frozen=True)
class Combination:
    """What one run is about."""

    deed: str
    signal: str
    way: str
    round: int = 0

    @property
    def name(self):
        return f"{self.deed}, {self.signal}, {self.way}, {self.round}"


def combinations(rounds):
    """Return all that can be combined, each `rounds` times."""
    return [
        Combination(deed, number, way, turn)
        for turn in range(rounds)
        for deed in DEEDS
        for number in SIGNALS
        for way in WAYS
        if not (deed == "stop zygote" and way == "cold")
    ]


@dataclass
class Seen:
    """What came of a run."""

    status: int | None = None
    reported: float | None = None  # seconds from a death to its line
    left: float = 0.0  # seconds until nothing was left
    lines: list = field(default_factory=list)
    complaints: list = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)


class Gate:
    """Where the notebooks say that they have come; holds the neighbour."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(PATIENCE)
        self.port = self.server.getsockname()[1]
        self.came = {}
        self._open = []

    def wait(self, names):
        """Return once all `names` have come; what each said is in `came`: its id, the time."""
        while not {*names} <= self.came.keys():
            connection = self.server.accept()[0]
            self._open.append(connection)
            name, pid, when = connection.makefile().readline().split()
            self.came[name] = (int(pid), float(when))

    def close(self):
        for one in (self.server, *self._open):
            one.close()


def run(combination, folder):
    """Run one combination in `folder`, which is empty; return what was seen."""
    token = f"98765.{os.getpid()}{time.monotonic_ns() % 10**9}"
    gate = Gate()
    deed, said = DEEDS[combination.deed]
    warm = '"auto"' if combination.way == "warm" else "false"
    (folder / "jcache.toml").write_text(
        f'[project]\nnotebooks = ["*.ipynb"]\n[execution]\njobs = 2\nwarm = {warm}\n'
        '[[notebook]]\npath = "victim.ipynb"\ntimeout = 2\n'
    )
    for name, cell in (("victim", deed.format(token=token)), ("neighbour", _NEIGHBOUR)):
        text = ipynb([_ALWAYS.format(port=gate.port, name=name), cell, "print('end')"])
        (folder / f"{name}.ipynb").write_text(text)
    seen = Seen()
    build = subprocess.Popen(
        [sys.executable, "-m", "nbbuild", "--log-format", "plain"],
        cwd=folder,
        env={**os.environ, "STRESS_TOKEN": token, "PYTHONFAULTHANDLER": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hear_all,  # noqa: PLW1509 - no thread of ours runs yet
    )
    reading = threading.Thread(target=_read, args=(build, seen))
    reading.start()
    try:
        gate.wait(("victim", "neighbour"))
        if combination.deed.startswith("stop ") and combination.deed != "stop kernel":
            _stop(combination.deed.split()[1], token, briefly=combination.signal == "nothing")
        if combination.deed == "kill parent":
            gate.close()  # they run one after the other now, the neighbour perhaps first
        if combination.signal == "nothing":
            _await_line(seen, "victim.ipynb")
            gate.close()
        else:
            build.send_signal(getattr(signal, combination.signal))
        seen.status = build.wait(PATIENCE)
    except (subprocess.TimeoutExpired, TimeoutError) as error:
        seen.complaints.append(f"it hangs: {error!r}")
        build.send_signal(signal.SIGABRT)  # Python writes what each thread does
        build.wait()
    ended = time.monotonic()
    while (there := processes(token)) and time.monotonic() < ended + LEFT:
        psutil.wait_procs(there, timeout=0.02)
    seen.left = round(time.monotonic() - ended, 3)
    if there := processes(token):
        seen.complaints.append(f"left after {LEFT} s: {[_described(one) for one in there]}")
        for one in there:
            one.kill()
    gate.close()
    reading.join(PATIENCE)
    died = gate.came.get("victim", (0, 0.0))[1]
    _judge(combination, said, seen, died)
    return seen


def _judge(combination, said, seen, died):
    lines = [line for _, line in seen.lines]
    text = "".join(lines)
    if "Traceback (most recent call last)" in text or "itself failed" in text:
        seen.complaints.append(f"nbbuild failed:\n{text}")
    if combination.signal != "nothing":
        if seen.status != SIGNALS[combination.signal]:
            seen.complaints.append(f"status {seen.status}:\n{text}")
        return
    failed = [when for when, line in seen.lines if line.startswith("failed victim.ipynb")]
    if combination.deed in DEADLY and failed:
        seen.reported = round(failed[0] - died, 3)
    if seen.status != (0 if said == "" else 1):
        seen.complaints.append(f"status {seen.status}:\n{text}")
    if said and said not in text:
        seen.complaints.append(f"not said: {said}\n{text}")
    if not any(line.startswith("executed neighbour.ipynb") for line in lines):
        seen.complaints.append(f"the neighbour is harmed:\n{text}")


def _hear_all():
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def _read(build, seen):
    for line in build.stderr:
        with seen.news:
            seen.lines.append((time.monotonic(), line))
            seen.news.notify()
    build.stderr.close()


def _await_line(seen, word):
    """Return once the outcome of a notebook was written."""
    begin = (f"failed {word}", f"executed {word}")
    with seen.news:
        if not seen.news.wait_for(
            lambda: any(line.startswith(begin) for _, line in seen.lines), PATIENCE
        ):
            raise TimeoutError(f"no outcome of {word}: {seen.lines}")


def _stop(what, token, *, briefly):
    for process in processes(token):
        if f"{what}.py" in " ".join(process.cmdline()):
            process.suspend()
            if briefly:
                threading.Timer(0.3, process.resume).start()


def processes(token):
    """Return the processes of one run: by what they inherited, or by their arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if token in " ".join(process.cmdline()) or (
                process.environ().get("STRESS_TOKEN") == token
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _described(process):
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return f"{process.pid}"


class Done:
    """What was seen of combinations before, in a JSON file; a long run can go on where it was."""

    def __init__(self, path):
        self._path = path
        self.known = json.loads(path.read_text()) if path.exists() else {}

    def add(self, combination, seen):
        self.known[combination.name] = {
            "status": seen.status,
            "reported": seen.reported,
            "left": seen.left,
            "complaints": seen.complaints,
        }
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self.known, indent=1))
        draft.replace(self._path)
