"""Play a build of the example book in which a page fails, on a terminal that can be read.

The terminal is a real pseudo-terminal with an emulator behind it. Two pages wait at gates, so that
what is on the screen does not depend on how fast anything goes.
"""

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyte

BOOK = Path(__file__).parents[2] / "examples" / "book"
COLUMNS = 80
PATIENCE = 60  # seconds until a build is given up
GATE = "open({!r}).close()"


def book(folder):
    """Copy the book into `folder`, with a wrong name on the page about mistakes."""
    made = shutil.ignore_patterns("_build", ".nbbuild", "__pycache__", "data")
    root = Path(shutil.copytree(BOOK, folder / "book", ignore=made))
    page = root / "chapters/mistakes.md"
    text = page.read_text()
    assert text.count("waits([0.0, 1.0], service=1.8, counters=1)") == 1
    page.write_text(text.replace("waits([0.0, 1.0], service=1.8, counters=1)", "waits(customers)"))
    return root


def gated(root):
    """Put a gate before the last cells of two pages; return the gates, which open for a writer."""
    gates = [root.parent / name for name in ("further.gate", "mistakes.gate")]
    for gate in gates:
        os.mkfifo(gate)
    further, mistakes = root / "chapters/further.ipynb", root / "chapters/mistakes.md"
    notebook = json.loads(further.read_text())
    cell = {"id": "gate", "metadata": {}, "execution_count": None, "outputs": []}
    cell |= {"cell_type": "code", "source": GATE.format(str(gates[0]))}
    notebook["cells"].append(cell)
    further.write_text(json.dumps(notebook))
    fence = "```{code-cell} ipython3\n"
    before, after = mistakes.read_text().rsplit(fence, 1)
    gate = f"{fence}{GATE.format(str(gates[1]))}\n```\n\n"
    mistakes.write_text(f"{before}{gate}{fence}{after}")
    return gates


class Session:
    """A build of `root` on a terminal; `screen` shows it, as far as it has been read."""

    def __init__(self, root, *words, columns=COLUMNS, lines=24):
        self.screen = pyte.Screen(columns, lines)
        self._given_up = time.monotonic() + PATIENCE
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        left_out = ("CI", "NO_COLOR", "COLUMNS", "LINES")
        environ = {name: value for name, value in os.environ.items() if name not in left_out}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nbbuild", *words],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**environ, "TERM": "xterm-256color"},
        )
        os.close(theirs)

    def lines(self):
        """Return the lines on the screen, without the empty ones below."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    def until(self, *texts):
        """Read until all `texts` are on the screen at once."""
        while not all(text in "\n".join(self.lines()) for text in texts):
            assert self._read(), f"never on the screen: {texts}\n" + "\n".join(self.lines())

    def end(self):
        """Read all that is left; return the exit status."""
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait()

    def _read(self):
        left = max(0.0, self._given_up - time.monotonic())
        ready, _, _ = select.select([self._ours], [], [], left)
        if not ready:
            self._process.kill()
            raise AssertionError("the build does not go on:\n" + "\n".join(self.lines()))
        try:
            chunk = os.read(self._ours, 4096)
        except OSError:  # Linux says EIO when the other end is closed
            return False
        # The emulator knows no dim text; grey is as good.
        self._stream.feed(chunk.replace(b"\x1b[2m", b"\x1b[90m"))
        return bool(chunk)


def played(folder):
    """Yield the session while two pages run, and again at its end, with its exit status."""
    root = book(folder)
    further, mistakes = gated(root)
    session = Session(root, "-j", "2")
    session.until("further.ipynb  In [2] of 2", "mistakes.md    In [2] of 3", "6/8")
    yield session, None
    further.write_text("")
    session.until("executed chapters/further.ipynb", "7/8")
    mistakes.write_text("")
    status = session.end()
    yield session, status
