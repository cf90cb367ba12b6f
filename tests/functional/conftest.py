"""What several functional tests need: a way to hold a notebook while it runs."""

import socket

import pytest

pytest.register_assert_rewrite("changes")

PATIENCE = 60  # seconds until a test that waits has failed

GATE = """
import contextlib, socket
with contextlib.suppress(OSError), socket.create_connection({place!r}) as gate:
    gate.recv(1)
"""


class Gate:
    """Holds each notebook that comes to it until it is closed; open ever after."""

    def __init__(self, server=None):
        self._server = server or socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(PATIENCE)
        self.code = GATE.format(place=self._server.getsockname())
        self._held = []

    def wait(self):
        """Return once a notebook has come."""
        self._held.append(self._server.accept()[0])

    def close(self):
        for one in (self._server, *self._held):
            one.close()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.close()
