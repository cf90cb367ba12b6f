"""Open the remote that a URL names, loading only the library that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nbbuild.store.remote.addresses import HINT, missing, parse, unusable
from nbbuild.store.remote.credentials import BUCKETS
from nbbuild.store.remote.folder import FolderObjects
from nbbuild.store.remote.objects import Objects

_WEB = ("http", "https")


def open_objects(url: str, *, environ: Mapping[str, str], root: Path) -> Objects:
    """Return the remote at `url`, which is not asked yet; `root` is the project's folder.

    Raises ConfigError if no remote can have this URL, or its library is not installed.
    """
    address = parse(url)
    if not address.host and address.scheme != "file":
        raise unusable(address.shown, "it names no host and no bucket", hint=HINT)
    try:
        if address.scheme == "file":
            return FolderObjects.at(address, root)
        if address.scheme in BUCKETS:
            from nbbuild.store.remote.buckets import open_bucket

            return open_bucket(address, environ)
        if address.scheme in _WEB:
            from nbbuild.store.remote.web import WebObjects

            return WebObjects(address, environ)
        from nbbuild.store.remote.filesystems import open_filesystem

        return open_filesystem(url, address)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "nbbuild"):
            raise
        raise missing(address.shown, library) from error
