"""Bytes with their own digest in front, so that any damage to them is found."""

from __future__ import annotations

from nbbuild.disk.digests import digest_bytes


def seal(body: bytes) -> bytes:
    """Return `body` behind a first line that holds its digest."""
    return digest_bytes(body).encode() + b"\n" + body


def unseal(data: bytes) -> bytes | None:
    """Return the body of what `seal` returned, or None if anything about it is different."""
    digest, newline, body = data.partition(b"\n")
    return body if newline and digest == digest_bytes(body).encode() else None
