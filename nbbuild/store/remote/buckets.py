"""A remote in a bucket of S3, Google Cloud Storage or Azure, through obstore.

obstore reads credentials from the environment, under the names that each provider gives them.
Without any, requests go out unsigned: that is enough to read a public bucket, and nobody waits for
a metadata service that few machines have (`AWS_SKIP_SIGNATURE=false` asks it, `GOOGLE_…` and
`AZURE_…` likewise). Attempts are ours: obstore would go on for seconds where there is no network.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import obstore
from obstore import exceptions, store

from nbbuild.errors import RemoteError
from nbbuild.store.remote.addresses import Address, plain, unusable
from nbbuild.store.remote.credentials import has_credentials
from nbbuild.store.remote.objects import (
    Fetched,
    Listed,
    check_name,
    cut_short,
    failed,
    is_name,
    refused,
    too_large,
    unreachable,
)
from nbbuild.store.remote.patience import Deadline, Patience, Transient, persist
from nbbuild.store.remote.statuses import AGAIN, words
from nbbuild.version import __version__

if TYPE_CHECKING:
    from obstore import PutMode

T = TypeVar("T")

_SKIP = {"s3": "AWS_SKIP_SIGNATURE", "gs": "GOOGLE_SKIP_SIGNATURE", "az": "AZURE_SKIP_SIGNATURE"}
_HANDED_OVER = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"),
    "az": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_SAS_KEY"),
}

_LONGEST = timedelta(minutes=10)  # for the answer to a request that reads
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_MESSAGE = re.compile(r'message: "([^"]*)"')
_OTHER_PART = re.compile(r"Requested \d+\.\.\d+, got ")
_OF_THE_NETWORK = ("HTTP error", "HttpError", "dns error", "tcp connect")
_NOT_PARTIAL = "non-partial response"
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")


def open_bucket(
    address: Address, environ: Mapping[str, str], *, patience: Patience | None = None
) -> BucketObjects:
    """Return the remote in a bucket; raises ConfigError if the environment does not suffice."""
    plain(address)
    if address.scheme == "az" and not environ.get("AZURE_STORAGE_ACCOUNT_NAME"):
        raise unusable(
            address.shown,
            "nothing says which account the container belongs to",
            hint="set AZURE_STORAGE_ACCOUNT_NAME",
        )
    plain_http = address.scheme == "s3" and _endpoint(environ).startswith("http://")
    if plain_http and not _allows_http(environ):
        raise unusable(
            address.shown,
            "AWS_ENDPOINT_URL is not encrypted",
            hint="write https:// there, or set AWS_ALLOW_HTTP=true",
        )
    return BucketObjects(address, environ, patience or Patience())


class BucketObjects:
    """Bytes by name below one prefix of a bucket."""

    conditional = True

    def __init__(self, address: Address, environ: Mapping[str, str], patience: Patience) -> None:
        self.name = address.shown
        self._scheme = address.scheme
        self._environ = environ
        self._patience = patience
        self._reading = self._store(timeout=_LONGEST, read_timeout=_seconds(patience.between))
        self._writing: dict[float, store.ObjectStore] = {}

    def get(self, name: str, *, most: int) -> Fetched | None:
        """Return an object, None if it does not exist."""

        def ask() -> Fetched:
            answer = obstore.get(self._reading, name)
            return Fetched(self._whole(name, answer, most), _tag(answer.meta))

        return self._ask(name, ask)

    def get_range(self, name: str, start: int, size: int, *, most_whole: int) -> bytes | None:
        """Return exactly `size` bytes from `start` on, None if the object does not exist."""
        if not size:
            return b""

        def ask() -> bytes:
            wanted: Any = {"range": (start, start + size)}
            try:
                answer = obstore.get(self._reading, name, options=wanted)
            except exceptions.GenericError as error:
                if _NOT_PARTIAL not in str(error):
                    raise
                whole = self._whole(name, obstore.get(self._reading, name), most_whole)
                return whole[start : start + size]
            return self._stream(name, answer, size)

        part = self._ask(name, ask)
        if part is not None and len(part) < size:
            raise cut_short(self.name, name, arrived=len(part), expected=size)
        return part

    def exists(self, name: str) -> bool:
        """Whether there is an object of this name."""
        return self._ask(name, lambda: obstore.head(self._reading, name)) is not None

    def put_new(self, name: str, data: bytes) -> None:
        """Keep `data` unless there is an object of this name."""
        self._put(name, data, "create")

    def replace(self, name: str, data: bytes, *, tag: str | None) -> bool:
        """Keep `data` in place of what has this `tag`; return False if somebody was faster."""
        if tag is None:
            return self._put(name, data, "create")
        return self._put(name, data, cast("PutMode", json.loads(tag)) if tag else "overwrite")

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects in the folder `prefix`."""
        batches = iter(obstore.list(self._reading, prefix=prefix))
        while batch := persist(
            self._patience, lambda: self._attempt(prefix, lambda: next(batches, None))
        ):
            for one in batch:
                if is_name(one["path"]):
                    yield Listed(one["path"], one["size"], one["last_modified"].timestamp())

    def delete(self, name: str) -> None:
        """Remove an object; it need not exist."""
        self._ask(name, lambda: obstore.delete(self._reading, name))

    def close(self) -> None:
        """Do nothing: connections end with what holds them."""

    def _put(self, name: str, data: bytes, mode: PutMode) -> bool:
        """Keep `data`; return False if the condition that `mode` is does not hold."""

        seconds = self._seconds_for(len(data))

        def ask() -> bool:
            writing = self._for_writing(seconds)
            try:
                obstore.put(writing, name, data, mode=mode, use_multipart=False)
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                return False
            except exceptions.GenericError as error:
                if _is_late(str(error)) and "kind: Connect" not in str(error):
                    raise self._late(name, seconds) from error
                raise
            return True

        done = self._ask(name, ask)
        if done is None:
            raise failed(self.name, name, "the bucket does not exist")
        return done

    def _whole(self, name: str, answer: obstore.GetResult, most: int) -> bytes:
        size = answer.meta["size"]
        if size > most:
            raise too_large(self.name, name, most)
        return self._stream(name, answer, most)

    def _stream(self, name: str, answer: obstore.GetResult, most: int) -> bytes:
        deadline = Deadline(self._patience.total, slowest=self._patience.slowest)
        body = bytearray()
        start, end = answer.range
        try:
            for chunk in answer.stream(min_chunk_size=1):
                body += chunk
                deadline.moved(len(chunk))
                if len(body) > most:
                    raise too_large(self.name, name, most)
                if deadline.left() <= 0:
                    raise self._late(name, self._patience.total)
        except exceptions.BaseError as error:
            if _is_late(str(error)):
                raise
            short = cut_short(self.name, name, arrived=len(body), expected=end - start)
            raise Transient(short) from error
        return bytes(body)

    def _late(self, name: str, seconds: float) -> RemoteError:
        return failed(self.name, name, f"no whole answer within {seconds:.3g} s")

    def _ask(self, name: str, ask: Callable[[], T]) -> T | None:
        """Return what `ask` returns, None if the object does not exist; raises RemoteError."""
        check_name(self.name, name)
        return persist(self._patience, lambda: self._attempt(name, ask))

    def _attempt(self, name: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except FileNotFoundError as error:
            if any(one in str(error) for one in _NO_BUCKET):
                raise failed(self.name, name, "the bucket does not exist") from error
            return None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise refused(self.name, name, _reason(str(error))) from error
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise self._explained(str(error), name) from error

    def _explained(self, said: str, name: str) -> Exception:
        """Return what obstore says as what it means to us; there is only the text to go by."""
        status = _STATUS.search(said)
        if status is None and any(one in said for one in _OF_THE_NETWORK):
            return self._of_the_network(said, name)
        if _OTHER_PART.search(said):
            return failed(self.name, name, "it answered with another part than it was asked for")
        error = failed(self.name, name, _reason(said))
        return Transient(error) if status and int(status[1]) in AGAIN else error

    def _of_the_network(self, said: str, name: str) -> Exception:
        if "dns error" in said:
            return unreachable(self.name, "its host has no address")
        if "kind: Connect" in said or "tcp connect" in said:
            message = _MESSAGE.search(said)
            late = f"no connection within {self._patience.connect:g} s"
            return unreachable(self.name, late if message is None else message[1])
        if _is_late(said):
            seconds = self._patience.between
            return failed(self.name, name, f"nothing arrived for {seconds:g} s")
        error = failed(self.name, name, _reason(said))
        return error if "builder error" in said else Transient(error)

    def _seconds_for(self, size: int) -> float:
        """Return how long an upload may take, in steps, so that few connections are made."""
        room = 1 << max(20, size.bit_length())
        return self._patience.total + room / self._patience.slowest

    def _for_writing(self, seconds: float) -> obstore.store.ObjectStore:
        """Return the store for uploads: nothing else ends one to a server that is silent."""
        if seconds not in self._writing:
            self._writing[seconds] = self._store(timeout=_seconds(seconds))
        return self._writing[seconds]

    def _store(self, **timeouts: timedelta) -> obstore.store.ObjectStore:
        # obstore reads the process's own environment; here is what ours has beside it.
        config: dict[str, Any] = {
            key.lower(): value
            for key in _HANDED_OVER[self._scheme]
            if (value := self._environ.get(key)) and value != os.environ.get(key)
        }
        unsigned = not has_credentials(self._scheme, self._environ)
        if unsigned and not self._environ.get(_SKIP[self._scheme]):
            config["skip_signature"] = True
        try:
            # Which configuration is meant depends on the URL; types cannot tell.
            opened: obstore.store.ObjectStore = cast("Any", store.from_url)(
                self.name,
                config=config,
                retry_config={"max_retries": 0},
                client_options={
                    "allow_http": _allows_http(self._environ),
                    "connect_timeout": _seconds(self._patience.connect),
                    "user_agent": f"nbbuild/{__version__}",
                    **timeouts,
                },
            )
            return opened
        except (exceptions.BaseError, ValueError) as error:
            raise unusable(
                self.name,
                _reason(str(error)),
                hint=f"correct the URL, or the variables in the environment that begin with "
                f"{_SKIP[self._scheme].partition('_')[0]}_",
            ) from error


def _allows_http(environ: Mapping[str, str]) -> bool:
    """Whether requests may go out unencrypted: if told so, or if they stay on this machine."""
    if environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes", "on"):
        return True
    return urlsplit(_endpoint(environ)).hostname in ("127.0.0.1", "::1", "localhost")


def _endpoint(environ: Mapping[str, str]) -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((environ[name] for name in names if environ.get(name)), "")


def _is_late(said: str) -> bool:
    return "TimedOut" in said or "kind: Timeout" in said


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _tag(meta: obstore.ObjectMeta) -> str:
    """Return all that a condition can name: each provider has its own way."""
    parts = {key: meta[key] for key in ("e_tag", "version") if meta.get(key)}
    return json.dumps(parts) if parts else ""


def _reason(said: str) -> str:
    """Return the end of what obstore says, without URLs: a query can hold a signature."""
    status, code = _STATUS.search(said), _CODE.search(said)
    if status is not None:
        return words(int(status[1])) + (f" ({code[1]})" if code is not None else "")
    line = said.partition("\n")[0].rpartition(" - ")[2]
    return re.sub(r"\S+://\S+", "…", line.rpartition(" error: ")[2])
