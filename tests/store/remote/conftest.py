"""Fixtures of the stories about remotes."""

from remote_places import place

__all__ = ["place"]
