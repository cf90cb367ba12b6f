"""Run a command and write what it took: `python -I -S stub.py OUT WORD…`; small and quick itself.

A process's peak of memory begins, on Linux, with that of the process which it was forked from.
"""

import os
import sys
import time

began = time.perf_counter()
pid = os.fork()
if not pid:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - began
with open(sys.argv[1], "w") as out:  # noqa: PTH123
    out.write(f"{wall} {used.ru_utime + used.ru_stime} {used.ru_maxrss * 1024}")
sys.exit(os.waitstatus_to_exitcode(status))
