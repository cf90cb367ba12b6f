"""What one build does with the project's remote cache: fetch what it restores, push what it made.

Nothing here fails a build. What goes wrong is noted once, and the build goes on with what is here.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nbbuild.building.resting import rest_on
from nbbuild.config.remotes import may_push
from nbbuild.errors import ConfigError, NbbuildError, internal
from nbbuild.events import Moved, Noted, Observer
from nbbuild.model import Digest, Judgement, Record, Verdict
from nbbuild.session import Session
from nbbuild.store.remote.intake import may_be_looked_at
from nbbuild.store.remote.pushing import Pushed, Pusher, Resting, Stopped
from nbbuild.store.remote.remote import Remote, told
from nbbuild.store.remote.signing import SECRET_VARIABLE, Signer
from nbbuild.store.shared import SharedStore
from nbbuild.text.quantities import amount, duration, number_of

FETCHING, PUSHING = "fetching results", "pushing results"


@dataclass(slots=True)
class Sharing:
    """The remote side of one build."""

    session: Session
    store: SharedStore
    observer: Observer
    _background: _Background | None = None
    _sent_so_far: int = 0  # bytes

    @classmethod
    def of(cls, session: Session, observer: Observer) -> Sharing | None:
        """Return the remote side of a build of `session`; None if it has no remote."""
        store = session.store
        if not isinstance(store, SharedStore):
            return None
        sharing = cls(session, store, observer)
        if may_push(session.config, session.environ) and store.remote.terms.heads:
            sharing._begin_pushing()
        return sharing

    @property
    def remote(self) -> Remote:
        """The remote."""
        return self.store.remote

    def fetch(self, judgements: Iterable[Judgement]) -> None:
        """Bring all that these verdicts rest on, in few requests."""
        bring_hits(self.store, judgements, self.observer)
        self.note_problems()

    def finish(self) -> None:
        """Push what this build made, and wait for it as long as `push_wait` says."""
        if self._background is None:
            return
        wait = self.session.config.cache.push_wait
        pushed = self._background.finish(resting(self.session), wait)
        if isinstance(pushed, Pushed):
            if pushed.records:
                results = number_of(pushed.records, "result")
                text = f"pushed {results} to {self.remote.name}, {amount(pushed.size)}"
                self.observer(Noted("", text, detail=True))
        elif isinstance(pushed, NbbuildError):
            self.observer(Noted("", f"nothing was pushed: {told(pushed)}"))
        else:
            self.observer(
                Noted(
                    "",
                    f"the results could not be pushed within {duration(wait)}; "
                    "`nbbuild cache push` pushes them",
                )
            )
        self.note_problems()

    def stop(self) -> None:
        """Push no more, also if the build has failed or was interrupted."""
        if self._background is not None:
            self._background.stop()

    def note_problems(self) -> None:
        """Say what went wrong with the remote since this was asked last."""
        for text in self.remote.problems():
            self.observer(Noted("", text))

    def _begin_pushing(self) -> None:
        try:
            signer = signer_of(self.session)
        except ConfigError as error:
            self.observer(Noted("", f"nothing will be pushed: {told(error)}"))
            return
        pusher = Pusher(
            self.remote,
            self.remote.terms.heads[0],
            signer,
            get=self.store.get,
            bring=self.store.bring,
            sent=self._sent,
        )
        self._background = _Background(pusher)
        self.store.on_published = self._published

    def _published(self, record: Record) -> None:
        task = self.session.graph.tasks.get(record.task)
        if self._background is not None and may_be_looked_at(record) and task and task.push:
            self._background.add(record)

    def _sent(self, size: int) -> None:
        self._sent_so_far += size
        background = self._background
        stopped = background is None or background.pusher.stopping.is_set()
        if background is not None and background.finishing and not stopped:
            self.observer(Moved(PUSHING, self._sent_so_far, 0))


def make_whole(session: Session, judgements: Iterable[Judgement], observer: Observer) -> None:
    """Fetch what is missing in the cache here of what is in order, though nothing is to be done."""
    if isinstance(session.store, SharedStore):
        with session.store.in_use():
            bring_hits(session.store, judgements, observer)


def bring_hits(store: SharedStore, judgements: Iterable[Judgement], observer: Observer) -> None:
    """Fetch what is missing here of all hits, and show how far it is.

    What is in order needs it, too: its record is kept here from now on, and has to be whole.
    """
    hits = (Verdict.FRESH, Verdict.REFRESH)
    found = (one.record for one in judgements if one.verdict in hits)
    bring(store, [record for record in found if record is not None], observer)


def bring(store: SharedStore, records: Sequence[Record], observer: Observer) -> set[Digest]:
    """Fetch the blobs of `records` that are missing here, and show how far it is."""
    digests = [digest for one in records for digest in one.blobs]
    total = store.missing_size(digests)
    done = 0
    turn = threading.Lock()

    def came(size: int) -> None:
        nonlocal done
        with turn:
            done += size
            observer(Moved(FETCHING, done, total))

    if total:
        observer(Moved(FETCHING, 0, total))
    brought = store.bring(digests, came=came)
    if brought:
        observer(Moved(FETCHING, total, total))
    return brought


def resting(session: Session) -> list[Resting]:
    """Return what the project's tasks rest on, as far as others may look at it."""
    return [
        Resting(name, record)
        for name, record in rest_on(session).items()
        if session.graph.tasks[name].push and may_be_looked_at(record)
    ]


def signer_of(session: Session) -> Signer | None:
    """Return what signs heads; None if nothing has to be signed. Raises ConfigError."""
    text = session.environ.get(SECRET_VARIABLE, "")
    if text:
        return Signer(text)
    if session.config.cache.unsigned:
        return None
    raise ConfigError(
        f"{SECRET_VARIABLE} is not set, so the results cannot be signed",
        hint="set it to the secret key of one of [cache] public_keys",
    )


@dataclass(slots=True)
class _Background:
    """A thread that sends blobs while the build is still running."""

    pusher: Pusher
    finishing: bool = False
    _queue: queue.SimpleQueue[Record | Sequence[Resting] | None] = field(
        default_factory=queue.SimpleQueue
    )  # None: it is over
    _done: threading.Event = field(default_factory=threading.Event)
    _result: Pushed | NbbuildError | None = None
    _thread: threading.Thread | None = None

    def add(self, record: Record) -> None:
        """Send the blobs of a record when there is time."""
        self._begin()
        self._queue.put(record)

    def finish(self, resting: Sequence[Resting], wait: float) -> Pushed | NbbuildError | None:
        """Send the rest; return what came of it, None if `wait` seconds were too short."""
        self.finishing = True
        self._begin()
        self._queue.put(resting)
        if not self._done.wait(wait):
            self.pusher.stopping.set()
            return None
        return self._result

    def stop(self) -> None:
        """Have the thread end once its request has been answered, if it has not ended."""
        self.pusher.stopping.set()
        self._queue.put(None)

    def _begin(self) -> None:
        if self._thread is None:
            # A daemon: a request that hangs must not keep the process.
            self._thread = threading.Thread(target=self._work, name="pushing", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while not self._done.is_set():
            one = self._queue.get()
            if one is None:
                return
            try:
                if isinstance(one, Record):
                    if self._result is None:
                        self.pusher.add(one)
                    continue
                if self._result is None:
                    self._result = self.pusher.finish(one)
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001 - else the thread ends with a traceback
                self._result = error if isinstance(error, NbbuildError) else internal(error)
                if isinstance(one, Record):
                    continue
            self._done.set()
