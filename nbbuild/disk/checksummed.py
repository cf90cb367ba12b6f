"""Bytes preceded by their own digest, so that any damage to them is found."""

from __future__ import annotations

from nbbuild.disk.digests import digest_bytes


def seal(body: bytes) -> bytes:
    """Return `body` after a first line that holds its digest."""
    return digest_bytes(body).encode() + b"\n" + body


def unseal(data: bytes) -> bytes | None:
    """Return the body that was given to `seal`, or None if `data` is damaged in any way."""
    digest, newline, body = data.partition(b"\n")
    return body if newline and digest == digest_bytes(body).encode() else None
