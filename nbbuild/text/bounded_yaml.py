"""Load YAML whose aliases stand for no more than anybody would write.

A few lines of aliases to lists of aliases stand for more values than any memory holds. PyYAML does
not mind, since it makes each list once; whoever walks or writes what it made walks all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import yaml

MOST = 1_000_000
"""Values and characters that the aliases of a text may stand for."""


class Unloadable(ValueError):
    """A text is not YAML, or stands for too much; the reason is for a user."""


class _Bounded:
    """Weighs each document before anything is made of it: a part of one of PyYAML's loaders."""

    _aliases = 0  # met so far; hardly any text has one

    def compose_document(self) -> yaml.Node | None:
        """Return the next document. Raises ComposerError if it stands for too much."""
        node: yaml.Node | None = super().compose_document()  # type: ignore[misc]
        if node is not None and self._aliases and _added(node) > MOST:
            reason = f"its aliases stand for more than {MOST:,} values"
            raise yaml.composer.ComposerError(None, None, reason, node.start_mark)
        return node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node, and count aliases."""
        self._aliases += self.check_event(yaml.AliasEvent)  # type: ignore[attr-defined]
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[misc]
        return node


class BoundedLoader(_Bounded, yaml.SafeLoader):
    """PyYAML's safe loader, with the bound."""


class BoundedTexts(_Bounded, yaml.BaseLoader):
    """The loader that makes texts of all values, with the bound."""


def load(text: str, loader: type[BoundedLoader] | type[BoundedTexts] = BoundedLoader) -> Any:
    """Return what the YAML `text` stands for; raise Unloadable."""
    try:
        return yaml.load(text, Loader=loader)
    # PyYAML lets pass what Python says of a number, a date, a key or a depth that cannot be.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Unloadable(str(error) or type(error).__name__) from error


def _added(root: yaml.Node) -> float:
    """Return how many values and characters the aliases add; infinity for one inside itself."""
    weights: dict[int, float] = {}
    alone = 0.0

    def weigh(node: yaml.Node) -> float:
        nonlocal alone
        known = weights.get(id(node))
        if known is not None:
            return known
        weights[id(node)] = math.inf  # until it is weighed: it would hold itself
        own = 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
        alone += own
        weights[id(node)] = own + sum(map(weigh, _items(node)))
        return weights[id(node)]

    return weigh(root) - alone


def _items(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
