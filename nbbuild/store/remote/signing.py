"""Sign heads with ed25519 (RFC 8032), and say whose signature counts for which head.

A secret key is one word, `ed25519-secret:` and 32 bytes in base64url; so is a public one, after
`ed25519:`. The signature is over the head's name and its bytes, so that a head cannot stand in for
another one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import ModuleType
from typing import TYPE_CHECKING, Final

from nbbuild.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

SECRET_VARIABLE: Final = "NBBUILD_SIGNING_KEY"
"""The environment variable that holds the secret key."""

_SECRET, _PUBLIC = "ed25519-secret:", "ed25519:"
_SIZE: Final = 32  # bytes of a key
SIGNATURE_SIZE: Final = 64  # bytes
_CONTEXT: Final = b"nbbuild head\0"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key whose signatures count, for the heads whose names match one of `heads`."""

    text: str  # "ed25519:…"
    heads: tuple[str, ...] = ("*",)

    def covers(self, head: str) -> bool:
        """Whether it may sign the head of this name."""
        return any(fnmatchcase(head, pattern) for pattern in self.heads)


class Signer:
    """Signs with the secret key `text`. Raises ConfigError if that is none."""

    def __init__(self, text: str) -> None:
        keys = _keys()
        raw = _raw(text.strip(), _SECRET, f"{SECRET_VARIABLE} holds no secret key")
        self._key: ed25519.Ed25519PrivateKey = keys.Ed25519PrivateKey.from_private_bytes(raw)
        self.public: str = _public_text(self._key)

    def sign(self, head: str, data: bytes) -> bytes:
        """Return the signature of the head `head` whose bytes are `data`."""
        return self._key.sign(_message(head, data))


def new_keys() -> tuple[str, str]:
    """Return a new secret key and its public one."""
    key = _keys().Ed25519PrivateKey.generate()
    return _SECRET + _word(key.private_bytes_raw()), _public_text(key)


def check_public(text: str) -> str:
    """Return the public key `text`; raise ConfigError if it is none. Imports no cryptography."""
    if text.startswith(_SECRET):
        raise ConfigError(
            "a secret key stands where a public one belongs",
            hint="remove it, make new keys with `nbbuild cache keygen`, and write the public one "
            "here: whoever has read this file can sign with the secret one",
        )
    _raw(text, _PUBLIC, f"'{text[:60]}' is no public key")
    return text


def signed_by(
    head: str, data: bytes, signature: bytes, *, by: str, trusted: Iterable[PublicKey]
) -> str:
    """Return why the signature does not count, "" if it does.

    `by` is the public key that the head itself names; it counts only if it is a trusted one.
    """
    known = [key for key in trusted if key.text == by]
    if not known:
        return "it is signed with a key that [cache] public_keys does not name"
    if not any(key.covers(head) for key in known):
        return f"its key may not sign the head '{head}'"
    from cryptography.exceptions import InvalidSignature

    raw = _raw(by, _PUBLIC, "it is no public key")
    try:
        _keys().Ed25519PublicKey.from_public_bytes(raw).verify(signature, _message(head, data))
    except InvalidSignature:
        return "its signature is wrong"
    return ""


def _message(head: str, data: bytes) -> bytes:
    # The name ends with a NUL, which no name holds: no two pairs give the same message.
    return _CONTEXT + head.encode() + b"\0" + data


def _keys() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise ConfigError(
            "the results of a remote cache are signed, and cryptography is not installed",
            hint="pip install cryptography",
        ) from None
    return ed25519


def _public_text(key: ed25519.Ed25519PrivateKey) -> str:
    return _PUBLIC + _word(key.public_key().public_bytes_raw())


def _word(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _raw(text: str, prefix: str, what: str) -> bytes:
    word = text.removeprefix(prefix)
    reason = "" if text.startswith(prefix) else f"it does not begin with {prefix}"
    raw = b""
    if not reason:
        with suppress(binascii.Error, ValueError):
            raw = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
        if len(raw) != _SIZE or _word(raw) != word:
            reason = f"it is not {_SIZE} bytes in base64url"
    if reason:
        raise ConfigError(
            what, facts=[("because", reason)], hint="`nbbuild cache keygen` makes a pair"
        )
    return raw
