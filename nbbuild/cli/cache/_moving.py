"""Show how far bytes have got on their way from a remote cache, or to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from nbbuild.events import Event, Moved, Observer


@contextmanager
def moving() -> Iterator[Observer]:
    """Yield an observer that draws a bar on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda event: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from nbbuild.report.terminal import console_on

    columns = (TextColumn("{task.description}"), BarColumn(30), DownloadColumn())
    with Progress(*columns, console=console_on(sys.stderr), transient=True) as drawn:
        bar = drawn.add_task("asking the remote cache", total=None)

        def tell(event: Event) -> None:
            if isinstance(event, Moved):
                drawn.update(
                    bar,
                    description=event.what,
                    completed=event.done,
                    total=event.total or None,
                )

        yield tell
