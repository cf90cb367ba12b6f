"""Hear from the system which files change, with watchfiles."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from watchfiles._rust_notify import RustNotify

from nbbuild.errors import NbbuildError

STEP_MS = 10
"""How long it must be quiet after a change. A burst of saves is one change."""

LONGEST_MS = 300
"""How long a burst is waited for at most."""

POLLING = "WATCHFILES_FORCE_POLLING"
"""The variable that has folders looked at again and again, where the system reports no changes."""

_POLL_MS = 300
_TIMEOUT_MS = 60_000  # after which it only asks whether to stop

Heard = Callable[[Collection[str]], None]


class Listening:
    """Calls `heard` with the paths (absolute) that change in `folders`; a context manager.

    `deep`: also in the folders below them. `heard` is called from another thread. Nothing that
    changes once the context is entered is missed. Raises `NbbuildError` if the system refuses.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        heard: Heard,
        *,
        deep: bool,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._folders = [str(folder) for folder in folders]
        self._heard = heard
        self._deep = deep
        self._polling = environ.get(POLLING, "").lower() not in ("", "0", "false")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Listening:
        try:
            notify = RustNotify(self._folders, False, self._polling, _POLL_MS, self._deep, True)
        except OSError as error:
            raise NbbuildError(
                "the system cannot watch the project's files",
                facts=[
                    ("folder", ", ".join(self._folders[:3])),
                    ("reason", error.strerror or str(error)),
                ],
                hint=f"raise fs.inotify.max_user_watches, or set {POLLING}=1 to look at them again "
                "and again",
            ) from error
        self._thread = threading.Thread(
            target=self._listen, args=(notify,), name="nbbuild-watch", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _listen(self, notify: RustNotify) -> None:
        while not self._stop.is_set():
            found = notify.watch(LONGEST_MS, STEP_MS, _TIMEOUT_MS, self._stop)
            if isinstance(found, set):
                self._heard({path for _, path in found})
        notify.close()
