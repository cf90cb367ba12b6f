"""Run nbbuild's command, and write the CPU seconds of its own process and of its children.

`python own.py OUT WORD…`; OUT gets "own children", so that kernels can be told apart.
"""

from __future__ import annotations

import atexit
import resource
import sys
from pathlib import Path

from nbbuild.__main__ import main


def _write(out: Path) -> None:
    def seconds(who: int) -> float:
        used = resource.getrusage(who)
        return used.ru_utime + used.ru_stime

    own, children = seconds(resource.RUSAGE_SELF), seconds(resource.RUSAGE_CHILDREN)
    out.write_text(f"{own} {children}", encoding="utf-8")


if __name__ == "__main__":
    atexit.register(_write, Path(sys.argv[1]))
    sys.argv = ["nbbuild", *sys.argv[2:]]
    main()
