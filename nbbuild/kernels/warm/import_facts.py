"""What is known of modules that are imported before a fork: why not, or what it costs.

Zygotes find it out, and it is kept from build to build, for what is installed.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.version import __version__

_REFUSED = f"refused-{__version__}"
_COST = f"import-cost-{__version__}"


class ImportCost(msgspec.Struct, frozen=True, array_like=True):
    """What importing a module takes, once what it needs itself is imported as well."""

    seconds: float
    memory: int = 0  # bytes


_SHAPE: Shape[ImportCost] = Shape(ImportCost)


class ImportFacts:
    """Which modules cannot be loaded beforehand, and why; how long the others took.

    To find either out costs the start of a zygote. `installed` stands for what the interpreter has
    installed; where that is not known, "", nothing is kept for later builds.
    """

    def __init__(
        self,
        recall: Callable[[str, str], bytes | None] = lambda kind, key: None,
        remember: Callable[[str, str, bytes], None] = lambda kind, key, value: None,
    ) -> None:
        """`recall(kind, key)` and `remember(kind, key, value)` keep it; see session.Memo."""
        self._recall = recall
        self._remember = remember
        self._known: dict[tuple[str, str], bytes] = {}  # what was asked for already

    def refused(self, installed: str, module: str) -> str:
        """Return why `module` cannot be loaded, "" when nothing is known."""
        return self._get(_REFUSED, installed, module).decode(errors="replace")

    def refuse(self, installed: str, module: str, reason: str) -> None:
        """Keep why `module` cannot be loaded."""
        self._put(_REFUSED, installed, module, reason.encode(errors="replace"))

    def cost(self, installed: str, module: str) -> ImportCost | None:
        """Return what the import of `module` takes, None when nothing is known."""
        found = self._get(_COST, installed, module)
        try:
            return _SHAPE.unpack(found) if found else None
        except Misshapen:
            return None

    def keep_cost(self, installed: str, module: str, cost: ImportCost) -> None:
        """Keep what the import of `module` took."""
        self._put(_COST, installed, module, packed(cost))

    def _get(self, kind: str, installed: str, module: str) -> bytes:
        name = f"{installed} {module}"
        if (kind, name) not in self._known:
            self._known[kind, name] = (self._recall(kind, name) if installed else None) or b""
        return self._known[kind, name]

    def _put(self, kind: str, installed: str, module: str, value: bytes) -> None:
        name = f"{installed} {module}"
        self._known[kind, name] = value
        if installed:  # else nobody would know when it holds no more
            self._remember(kind, name, value)
