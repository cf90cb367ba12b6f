"""Fixtures of the stories about the store."""

from store_helpers import disk, store

__all__ = ["disk", "store"]
