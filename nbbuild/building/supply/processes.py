"""The processes that the kernels of a build come from: a launcher, and kernels started ahead."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from nbbuild.building.supply.parents import Parent
from nbbuild.kernels.launch.memory import Room
from nbbuild.kernels.launch.process import Launcher
from nbbuild.kernels.warm.import_facts import ImportFacts

if TYPE_CHECKING:
    from nbbuild.kernels.ahead import Ahead


class Supply:
    """What a build starts kernels with; a context manager, which ends all of them."""

    def __init__(self, facts: ImportFacts, *, slots: int) -> None:
        """`slots` is how many kernels are started ahead at most."""
        self.launcher = Launcher(facts)
        self.slots = slots
        self.loaded: dict[tuple[str, int], Parent] = {}
        """Packages that a process has in memory already.

        By what is installed (`Probe.digest`), and by the limit of its thread pools (0: none), which
        is part of its environment.
        """
        self._lock = threading.Lock()
        self._ahead: Ahead | None = None

    def __enter__(self) -> Supply:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all kernels, and what starts them."""
        if self._ahead is not None:
            self._ahead.close()
        self.launcher.close()

    def ahead(self) -> Ahead:
        """Return the kernels that are started ahead; the code for that is imported on demand."""
        from nbbuild.kernels.ahead import Ahead

        with self._lock:
            if self._ahead is None:
                self._ahead = Ahead(self.launcher, most=self.slots)
            return self._ahead

    def room(self, most: int | float) -> Room:
        """Return what lets kernels start as long as they hold less than `most`; see `Room`."""

        def held() -> int:
            from nbbuild.kernels.launch.usage import held_below

            return held_below(self.launcher.pid)

        return Room(most, held=held)

    def parents(self, installed: str, *, threads: int) -> Sequence[Parent]:
        """Return what is in memory already and can be forked, for pools of so many `threads`."""
        found = self.loaded.get((installed, threads))
        return (found,) if found is not None else ()
