"""A project that is being watched, in a process of its own; its lines are waited for."""

import queue
import re
import signal
import threading
from contextlib import contextmanager
from functools import partial

PATIENCE = 60  # seconds until a test that waits has failed


class Watched:
    """`nbbuild watch` as it runs; times in its lines are written as T."""

    def __init__(self, project, *words):
        project.log.write_text("")
        # Whoever runs the tests in the background has them ignore Ctrl-C; programs inherit that.
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        self.process = project.process("watch", *words, start_new_session=True, preexec_fn=heard)
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, *beginnings):
        """Return the lines up to one that begins like each of `beginnings`, in this order."""
        found = []
        for beginning in beginnings:
            while not found or not found[-1].startswith(beginning):
                line = self._lines.get(timeout=PATIENCE)
                assert line is not None, found
                found.append(line)
        return found

    def first_build(self):
        """Return the lines of the first build, and that it watches."""
        return self.until("watching ")

    def build(self):
        """Return the lines of the next build, the last of which is its sum."""
        lines = self.until("changed: ")
        while not re.match(r"(\d+ \w+.* in T|nothing to do: )", lines[-1]):
            lines += self.until("")
        return lines

    def end(self, number=signal.SIGINT):
        """Interrupt it; return its exit status and its last lines."""
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        rest = []
        while not self._lines.empty():
            rest.append(self._lines.get())
        return status, [line for line in rest if line is not None]

    def _read(self):
        for line in self.process.stderr:
            told = re.sub(r"\d+(\.\d+)? s\b", "T", line.rstrip("\n"))
            self._lines.put(told.removesuffix("; T saved"))
        self._lines.put(None)


@contextmanager
def watching(project, *words):
    """Watch a project; the process is gone in the end."""
    watched = Watched(project, *words)
    try:
        yield watched
    finally:
        if watched.process.poll() is None:
            watched.process.kill()
        watched.process.communicate()
