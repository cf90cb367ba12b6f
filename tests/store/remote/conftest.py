"""Fixtures of the stories about remotes."""

from remote_places import bucket, loopback, moto, place, web_server

__all__ = ["bucket", "loopback", "moto", "place", "web_server"]
