"""Fixtures of the stories about locks: they are told of those of every store."""

from store_helpers import store

__all__ = ["store"]
