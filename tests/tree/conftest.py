"""Fixtures of the stories about the tree."""

from store_helpers import root, store

__all__ = ["root", "store"]
