"""Execute one order that lies in a file, in a process of its own: what `nbbuild worker` does."""

from __future__ import annotations

import sys
from pathlib import Path

from nbbuild.building.jobs.notes import Meeting
from nbbuild.disk.regular import read
from nbbuild.kernels.launch.process import Launcher


def serve(order: Path) -> int:
    """Carry out the order in the file `order`, unless another process has; return the status."""
    try:
        data = read(order)
    except OSError:
        return 0  # the build does not want it any more
    there = Meeting(order.absolute().parent.with_suffix(".job"))
    if not there.mark.exists():
        return 0  # nor this one, or it is some other file
    with there.claimed() as ours, Launcher() as launcher:
        if not ours:
            return 0
        launcher.begin()
        # Only now: the process that starts kernels gets ready while this one loads the rest.
        from nbbuild.building.jobs.orders import BadOrder
        from nbbuild.building.jobs.working import Workplace

        try:
            # The kernel has ended; its launcher takes a moment more, for which nobody has to wait.
            there.reply(Workplace(launcher).carry_out(data, wanted=there.mark.exists))
        except BadOrder as error:
            there.refuse(str(error))
            sys.stderr.write(f"error: {error}\n")
            return 2
    return 0
