"""Read what [cache] says of a shared cache, and work out how this build deals with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nbbuild.config import values
from nbbuild.config.types import Config
from nbbuild.errors import ConfigError, NbbuildError, raise_all
from nbbuild.store.remote.credentials import BUCKETS, has_credentials
from nbbuild.store.remote.signing import SECRET_VARIABLE, PublicKey, check_public

BRANCH: Final = "{branch}"
"""In `heads`, stands for the branch that is built."""

BRANCH_VARIABLE: Final = "NBBUILD_BRANCH"
OFF_VARIABLE: Final = "NBBUILD_REMOTE"
"""Another URL for this build; "off" for none."""

_CI_BRANCHES: Final = (
    "GITHUB_HEAD_REF",  # of a pull request; else it is empty
    "GITHUB_REF_NAME",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",  # GitLab
    "CI_COMMIT_REF_NAME",
    "READTHEDOCS_GIT_IDENTIFIER",
    "BITBUCKET_BRANCH",
    "CIRCLE_BRANCH",
    "BUILD_SOURCEBRANCHNAME",  # Azure
    "CIRRUS_BRANCH",
)
_MOST_NAME: Final = 200


def url(key: str, value: object) -> str:
    """Read the URL of a remote; "" is none."""
    text = values.string(key, value).strip()
    if text and not re.match(r"[a-z][a-z0-9+.-]*://.", text):
        raise ConfigError(
            f"'{key}' {values.quoted(text)} is not a URL",
            hint='such as "s3://bucket/folder", "https://cache.example.org" or "file:///mnt/cache"',
        )
    return text


def head(key: str, value: object) -> str:
    """Read the name of a head."""
    text = values.filled(key, value)
    if len(text) > _MOST_NAME or not text.isprintable():
        raise ConfigError(
            f"'{key}' {values.quoted(text)} cannot be the name of a head",
            hint=f"at most {_MOST_NAME} printable characters",
        )
    return text


def public_keys(key: str, value: object) -> tuple[PublicKey, ...]:
    """Read keys: each is a string, or a table with the key and the heads that it may sign."""
    if not isinstance(value, list):
        values.listed(values.filled)(key, value)  # says what is wrong
    keys: list[PublicKey] = []
    errors: list[NbbuildError] = []
    for number, one in enumerate(value if isinstance(value, list) else (), 1):
        try:
            keys.append(_public_key(f"{key}[{number}]", one))
        except ConfigError as error:
            errors.append(error)
    raise_all(errors)
    return tuple(keys)


def _public_key(key: str, value: object) -> PublicKey:
    if isinstance(value, str):
        return PublicKey(check_public(value.strip()))
    if not isinstance(value, dict) or set(value) - {"key", "heads"} or "key" not in value:
        raise ConfigError(
            f"'{key}' must be a key, or a table with a key and its heads, "
            f"not {values.described(value)}",
            hint='write "ed25519:…", or { key = "ed25519:…", heads = ["pr/*"] }',
        )
    text = check_public(values.filled(f"{key}.key", value["key"]).strip())
    heads = values.listed(values.filled)(f"{key}.heads", value.get("heads", ["*"]))
    return PublicKey(text, heads)


def remote_url(config: Config, environ: Mapping[str, str]) -> str:
    """Return the URL of the remote for this build, "" for none."""
    said = environ.get(OFF_VARIABLE, "").strip()
    if said == "off":
        return ""
    return url(OFF_VARIABLE, said) if said else config.cache.remote


def check(config: Config) -> None:
    """Raise ConfigError if a remote is named, and not whom to believe."""
    cache = config.cache
    if cache.remote and not cache.public_keys and not cache.unsigned:
        raise ConfigError(
            "[cache] remote is set, but neither public_keys nor unsigned",
            hint="make keys with `nbbuild cache keygen` and name the public one in [cache] "
            "public_keys; or set unsigned = true, if you trust all who can write there",
        )


def heads(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the heads to read, in order; a branch that is unknown is left out."""
    now = branch(config.root, environ)
    named = (one.replace(BRANCH, now) for one in config.cache.heads if now or BRANCH not in one)
    return tuple(dict.fromkeys(named))


def may_push(config: Config, environ: Mapping[str, str]) -> bool:
    """Whether this build pushes its results: as `mode` says, else in CI with what it takes."""
    if config.cache.mode != "auto":
        return config.cache.mode == "readwrite"
    if environ.get("CI", "").lower() in ("", "0", "false"):
        return False
    scheme = urlsplit(remote_url(config, environ)).scheme
    known = scheme not in BUCKETS or has_credentials(scheme, environ)
    return bool(environ.get(SECRET_VARIABLE)) or (config.cache.unsigned and known)


def branch(root: Path, environ: Mapping[str, str]) -> str:
    """Return the branch that is built, as CI or git says; "" where nobody does."""
    for name in (BRANCH_VARIABLE, *_CI_BRANCHES):
        if environ.get(name):
            return environ[name][:_MOST_NAME]
    for folder in (root, *root.parents):
        git = folder / ".git"
        if git.exists():
            return _branch_of(git)
    return ""


def _branch_of(git: Path) -> str:
    """Return the branch that HEAD names; of a worktree, `.git` is a file that leads there."""
    try:
        if git.is_file():
            line = git.read_text(encoding="utf-8").strip()
            git = git.parent / line.removeprefix("gitdir: ")
        line = (git / "HEAD").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    name = line.removeprefix("ref: refs/heads/")
    return name[:_MOST_NAME] if name != line else ""
