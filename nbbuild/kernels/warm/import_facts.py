"""What is known of modules that are imported before a fork: why one cannot be, or what it costs.

Zygotes find this out. It is kept from build to build, for the packages as they are installed.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.version import __version__

_REFUSED = f"refused-{__version__}"
_COST = f"import-cost-{__version__}"


class ImportCost(msgspec.Struct, frozen=True, array_like=True):
    """What importing a module takes once the modules it needs are imported."""

    seconds: float
    memory: int = 0  # bytes


_SHAPE: Shape[ImportCost] = Shape(ImportCost)


class ImportFacts:
    """Which modules cannot be loaded beforehand, and why; what loading the others costs.

    Finding out either costs the start of a zygote. `installed` stands for what the interpreter has
    installed. If that is not known, it is "", and nothing is kept for later builds.
    """

    def __init__(
        self,
        recall: Callable[[str, str], bytes | None] = lambda kind, key: None,
        remember: Callable[[str, str, bytes], None] = lambda kind, key, value: None,
    ) -> None:
        """`recall(kind, key)` and `remember(kind, key, value)` store facts; see session.Memo."""
        self._recall = recall
        self._remember = remember
        self._known: dict[tuple[str, str], bytes] = {}  # what was looked up already

    def refused(self, installed: str, module: str) -> str:
        """Return why `module` cannot be loaded, or "" if nothing is known."""
        return self._get(_REFUSED, installed, module).decode(errors="replace")

    def refuse(self, installed: str, module: str, reason: str) -> None:
        """Remember why `module` cannot be loaded."""
        self._put(_REFUSED, installed, module, reason.encode(errors="replace"))

    def cost(self, installed: str, module: str) -> ImportCost | None:
        """Return what importing `module` costs, or None if nothing is known."""
        found = self._get(_COST, installed, module)
        try:
            return _SHAPE.unpack(found) if found else None
        except Misshapen:
            return None

    def keep_cost(self, installed: str, module: str, cost: ImportCost) -> None:
        """Remember what importing `module` cost."""
        self._put(_COST, installed, module, packed(cost))

    def _get(self, kind: str, installed: str, module: str) -> bytes:
        name = f"{installed} {module}"
        if (kind, name) not in self._known:
            self._known[kind, name] = (self._recall(kind, name) if installed else None) or b""
        return self._known[kind, name]

    def _put(self, kind: str, installed: str, module: str, value: bytes) -> None:
        name = f"{installed} {module}"
        self._known[kind, name] = value
        if installed:  # else nobody could tell when it is out of date
            self._remember(kind, name, value)
