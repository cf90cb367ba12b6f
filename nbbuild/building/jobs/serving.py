"""Execute one order that lies in a file, in a process of its own: what `nbbuild worker` does."""

from __future__ import annotations

import sys
from pathlib import Path

from nbbuild.building.jobs.notes import Meeting
from nbbuild.building.jobs.orders import BadOrder
from nbbuild.building.jobs.working import Workplace
from nbbuild.disk.regular import read
from nbbuild.text.printable import printed


def serve(order: Path) -> int:
    """Carry out the order in the file `order`, unless another process has; return the status."""
    there = Meeting(order.absolute().parent.with_suffix(".job"))
    try:
        data = read(order)
    except OSError:
        return 0  # the build wants it no more
    with there.claimed() as ours:
        if not ours:
            return 0
        workplace = Workplace()
        try:
            # The kernel has ended; its launcher takes a moment more, for which nobody has to wait.
            there.reply(workplace.carry_out(data, wanted=there.mark.exists))
        except BadOrder as error:
            there.refuse(str(error))
            sys.stderr.write(f"error: {printed(str(error))}\n")
            return 2
        finally:
            workplace.close()
    return 0
