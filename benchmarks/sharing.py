"""A remote cache: what a fresh clone takes to restore a project, and to fetch small blobs."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks import corpora, peers
from benchmarks.measure import Contender, Failed, Run, interleaved, timed
from benchmarks.results import Bar, Result, forget

NOTEBOOKS = 200
BLOBS = 10_000
MOST_SECONDS = 10.0  # to restore the notebooks, and to fetch the blobs
MOST_REQUESTS = 10
MOST_EACH = 3.0  # ms a notebook beside the network's own time
_BUCKET = "benchmarks"


def restoring(work: Path, rounds: int) -> Result:
    """Restore 200 notebooks into a fresh clone from plain HTTP: no kernel, few requests."""
    root, shared = work / "restoring", work / "restoring-remote"
    shutil.rmtree(shared, ignore_errors=True)
    corpora.project(root, [corpora.trivial(number) for number in range(NOTEBOOKS)])
    with (root / "jcache.toml").open("a") as file:
        file.write('\n[cache]\nremote = "https://unused"\nunsigned = true\n')
    push = {"NBBUILD_REMOTE": shared.as_uri(), "NBBUILD_BRANCH": "main"}
    forget(root)
    timed(peers.nbbuild(), cwd=root, env={**push, "CI": "1"})
    timed(peers.nbbuild("cache", "push"), cwd=root, env=push)
    with _served(shared) as (url, requests):
        fetch = {"NBBUILD_REMOTE": url, "NBBUILD_BRANCH": "main"}
        one = Contender(
            "from a remote", peers.nbbuild(), root, env=fetch, before=partial(forget, root)
        )
        interleaved([one], rounds=rounds)
        asked = len(requests) / len(one.runs)
    local = Contender(
        "from the cache on disk",
        peers.nbbuild(),
        root,
        env={"NBBUILD_REMOTE": "off"},
        before=lambda: shutil.rmtree(root / "_build"),
    )
    interleaved([local], rounds=rounds)
    each = (one.wall - local.wall) / NOTEBOOKS * 1000
    bars = (
        Bar("to restore 200 notebooks", one.wall, MOST_SECONDS, "s"),
        Bar("requests of one build", asked, MOST_REQUESTS, "requests"),
        Bar("beyond restoring from disk, for each notebook", each, MOST_EACH, "ms"),
    )
    return Result("200 notebooks from a remote cache", (one, local), bars)


def small_blobs(work: Path, rounds: int) -> Result:
    """Fetch 10,000 small blobs from an S3 server on loopback, in packs."""
    from nbbuild.store.remote.opening import open_objects
    from nbbuild.store.remote.pushing import Pusher, Resting
    from nbbuild.store.remote.remote import Numbers, Remote, Terms
    from nbbuild.store.shared import SharedStore

    folder = work / "small-blobs"
    shutil.rmtree(folder, ignore_errors=True)
    with _s3():

        def store(name: str) -> SharedStore:
            remote = Remote(
                lambda: open_objects(f"s3://{_BUCKET}/a", environ=os.environ, root=folder),
                Terms(heads=("main",), unsigned=True),
                Numbers(folder / name / "heads"),
            )
            return SharedStore(folder / name / "store", remote)

        source = store("source")
        record = corpora.record_of_many_blobs(source, BLOBS)
        Pusher(source.remote, "main", None, get=source.get).finish([Resting("a", record)])
        one = Contender("10,000 blobs", (), folder)
        for number in range(rounds):
            target = store(f"target{number}")
            began = time.monotonic()
            found = target.bring(target.elsewhere(record.key.digest)[0].blobs)
            one.runs.append(Run(wall=time.monotonic() - began, cpu=0.0, peak=0))
            target.close()
            if len(found) != len(set(record.blobs)):
                raise Failed(f"{len(found)} of {len(set(record.blobs))} blobs came")
        source.close()
    return Result(
        "10,000 small blobs from S3", (one,), (Bar("seconds", one.wall, MOST_SECONDS, "s"),)
    )


@contextmanager
def _served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder by plain HTTP; yield its URL, and the paths of all requests."""
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            requests.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()


@contextmanager
def _s3() -> Iterator[None]:
    """Run a server that speaks S3, with a bucket; the environment leads there."""
    import urllib3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    signed = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, Signature=0"
    urllib3.request("PUT", f"{url}/{_BUCKET}", headers={"Authorization": signed})
    try:
        # obstore reads them from the process.
        os.environ.update(AWS_ENDPOINT_URL=url, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
        yield
    finally:
        server.stop()
