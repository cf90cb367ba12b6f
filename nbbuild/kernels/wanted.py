"""Describe the kernel that a task wants: which one, where, its environment, its time limits."""

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
    """The kernel that a task wants; if two are equal, no notebook can tell their kernels apart.

    `env` is the environment, except for what kernel.json adds; `installed` identifies what is
    installed for the interpreter. With `warm` the kernel is forked from a zygote if possible. If it
    is `watched`, the paths that it and its descendants ask for are seen from outside.
    """

    kernel: Kernel
    cwd: Path
    env: Mapping[str, str]
    installed: str = ""
    warm: Warm | None = None
    watched: bool = False

    def given_by(self, other: Wanted) -> bool:
        """Return whether a kernel that was started for `other` will do.

        It may have fewer modules loaded, since that only takes time.
        """
        return other.warm in (None, self.warm) and replace(other, warm=self.warm) == self
