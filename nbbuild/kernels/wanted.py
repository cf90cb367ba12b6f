"""The kernel that a task wants: which one, where, in which environment, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.kernels.warm.nursery import Warm


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """Seconds; 0 and None mean no limit."""

    timeout: float | None = None  # a cell
    notebook_timeout: float | None = None  # the notebook, kernel start included


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A kernel as a task wants it; no notebook can tell apart the kernels of two equal ones.

    `env` is the environment, but for what kernel.json adds; `installed` stands for what the
    interpreter has installed. With `warm` it is forked from a zygote, where that can be. If it is
    `watched`, it is seen from outside what it and its descendants ask of paths.
    """

    kernel: Kernel
    cwd: Path
    env: Mapping[str, str]
    installed: str = ""
    warm: Warm | None = None
    watched: bool = False

    def given_by(self, other: Wanted) -> bool:
        """Say whether a kernel started for `other` is what this one wants.

        It may have less in memory, since that makes no difference but in time.
        """
        return other.warm in (None, self.warm) and replace(other, warm=self.warm) == self
