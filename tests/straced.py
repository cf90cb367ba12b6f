"""Run programs under strace, and read what they wrote into files."""

import re
import shutil
import subprocess

_WRITE = re.compile(r"\d+ +p?writev?(?:64)?\(\d+<(/[^>]*)>, (.*)")
_MADE = re.compile(
    r"\d+ +(?:open(?:at)?|creat|mk(?:dir|nod)(?:at)?)"
    r"(\((?:AT_FDCWD(?:<[^>]*>)?, )?)\"(/[^\"]*)\".*?, (0[0-7]*)\)? += \d"
)


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


def command(log, *, made=False):
    """Return the words before a command of which all writes, and programs run, go to `log`.

    With `made`, it is what the command makes, instead.
    """
    calls = "trace=write,writev,pwrite64,pwritev,execve"
    if made:
        calls = "trace=open,openat,creat,mkdir,mkdirat,mknod,mknodat"
    return ["strace", "-f", "--seccomp-bpf", "-y", "-s", "100000000", "-e", calls, "-o", log]


def written(log):
    """Return the path and the text, as strace prints it, of each write into a file."""
    found = (_WRITE.match(line) for line in log.read_text(errors="replace").splitlines())
    return [(one[1], one[2]) for one in found if one is not None and not one[1].startswith("/dev/")]


def programs(log):
    """Return the calls that ran a program, as strace prints them: without the environment."""
    lines = log.read_text(errors="replace").splitlines()
    return [line.split("execve(", 1)[1] for line in lines if " execve(" in line]


def made(log):
    """Return the path and the mode asked for of each file and folder that was made."""
    for line in log.read_text(errors="replace").splitlines():
        found = _MADE.match(line)
        if found is not None and found[1]:
            yield found[2], int(found[3], 8)
