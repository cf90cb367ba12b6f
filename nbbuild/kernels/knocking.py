"""Wake a kernel that overlooked what came while it was answering.

ZeroMQ announces through a descriptor that something has come, and announces it once. ipykernel 7.0
to 7.3 waits for that to read its shell socket, but writes its replies to the same socket behind the
reader's back, and a write swallows an announcement. What came in that moment stays unread, and so
does all that follows: nothing is announced to a reader who has not read what is there already. The
kernel is idle and never answers again. 7.4 mends it (ipykernel's pull request 1529), but needs
Python 3.11.

One request at a time is safe: the next one leaves after the reply has come. But Output widgets have
messages sent to the kernel while a cell runs, and these may arrive together with its reply. So
after the next request we *knock*: we connect to the shell socket once more. A new connection is
announced whatever lies unread, and then all of it is read. No write can swallow this announcement:
while a request is unread, there is no reply to write. A kernel that has overlooked nothing takes no
notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Knocking:
    """Knows when to knock. `connect` returns a new socket, connected to the kernel's shell."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._aside = False
        self._last: Any = None  # the last connection; one that is closed at once may never be made

    def sent_aside(self) -> None:
        """Note that something was sent beside the requests."""
        self._aside = True

    def sent_request(self) -> None:
        """Knock if something was sent aside before this request."""
        if self._aside:
            self._aside = False
            if self._last is not None:
                self._last.close()
            self._last = self._connect()
