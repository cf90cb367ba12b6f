"""Every module can be imported where there is nothing of POSIX, as on Windows."""

import json
import subprocess
import sys

WINDOWS = """
import ctypes, importlib, json, os, pkgutil, select, signal, socket, sys, types
import nbbuild

names = sorted(
    one.name for one in pkgutil.walk_packages(nbbuild.__path__, "nbbuild.")
    if one.name != "nbbuild.__main__"
)
for name in names:  # with all that they need of others
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "nbbuild"]:
    del sys.modules[name]

for name in ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
MISSING = {
    os: "O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_TMPFILE chown fork forkpty "
        "geteuid getgid getpgid getuid killpg mkfifo pidfd_open pread pwrite register_at_fork "
        "sched_getaffinity setsid uname wait4 WNOHANG",
    select: "EPOLLIN POLLERR POLLHUP POLLIN epoll poll",
    signal: "SIGALRM SIGCHLD SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 alarm pthread_sigmask "
        "setitimer",
    socket: "AF_UNIX SCM_RIGHTS",
}
for module, words in MISSING.items():
    for word in words.split():
        if hasattr(module, word):
            delattr(module, word)
library = ctypes.CDLL
def CDLL(name, *more, **options):
    if name is None:
        raise TypeError("argument of type 'NoneType' is not iterable")
    return library(name, *more, **options)
ctypes.CDLL = CDLL
os.O_BINARY, os.O_NOINHERIT = 0x8000, 0x80
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.modules["nt"] = os
sys.platform = "win32"

"""

IMPORTS = (
    WINDOWS
    + """
failed = {}
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = repr(error)
print(json.dumps([len(names), failed]))
"""
)


def test_every_module_can_be_imported_without_posix():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    count, failed = json.loads(done.stdout)
    assert failed == {}
    assert count > 100


FILES = (
    WINDOWS
    + """
from pathlib import Path
os.O_BINARY = os.O_NOINHERIT = 0  # these bits mean something else here
locks = sys.modules["msvcrt"]
locks.LK_NBLCK, locks.LK_UNLCK, locks.locking = 1, 0, lambda descriptor, mode, length: None

from nbbuild.disk import digests, durable, regular, temporary
from nbbuild.kernels import ways
with temporary.folder() as folder:
    durable.write(folder / "a", b"some bytes")
    durable.sync_folder(folder)
    print(json.dumps([ways.portable(), regular.read(folder / "a").decode(), folder.exists()]))
print(json.dumps(folder.exists()))
"""
)


def test_files_are_written_and_read_without_posix_and_notebooks_take_the_portable_way():
    done = subprocess.run(
        [sys.executable, "-c", FILES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['[true, "some bytes", true]', "false"]
