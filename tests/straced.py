"""Run programs under strace, and read what they wrote into files."""

import re
import shutil
import subprocess

_WRITE = re.compile(r"\d+ +p?writev?(?:64)?\(\d+<(/[^>]*)>, (.*)")


def unavailable():
    """Return why strace cannot follow processes here, "" if it can."""
    if shutil.which("strace") is None:
        return "there is no strace"
    tried = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"strace can follow no process: {tried.stderr.strip()}" if tried.returncode else ""


def command(log):
    """Return the words before a command of which all writes, and programs run, go to `log`."""
    calls = "trace=write,writev,pwrite64,pwritev,execve"
    return ["strace", "-f", "--seccomp-bpf", "-y", "-s", "100000000", "-e", calls, "-o", log]


def written(log):
    """Return the path and the text, as strace prints it, of each write into a file."""
    found = (_WRITE.match(line) for line in log.read_text(errors="replace").splitlines())
    return [(one[1], one[2]) for one in found if one is not None and not one[1].startswith("/dev/")]


def programs(log):
    """Return the calls that ran a program, as strace prints them: without the environment."""
    lines = log.read_text(errors="replace").splitlines()
    return [line.split("execve(", 1)[1] for line in lines if " execve(" in line]
