"""Drive a real Chromium by its DevTools protocol, over a pipe: no port, no driver, no package."""

import fcntl
import json
import os
import shlex
import shutil
import subprocess

PATIENCE = 30  # seconds until a test that waits has failed

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """One browser without a window. Messages are JSON, each ended by a NUL."""

    def __init__(self, profile):
        there, ours = self._pipe()
        back, theirs = self._pipe()
        words = [
            PROGRAM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {shlex.join(words)} 3<&{there} 4>&{theirs}"],
            pass_fds=(there, theirs),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(theirs)
        self._out, self._in = os.fdopen(ours, "wb", 0), os.fdopen(back, "rb", 0)
        self._rest = b""
        self._number = 0
        self.events = []

    def page(self):
        """Open a page, and return it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session)

    def call(self, method, session=None, **parameters):
        """Ask for something, and return the answer."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        asked |= {"sessionId": session} if session else {}
        self._out.write(json.dumps(asked).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said
                return said["result"]
            self.events.append(said)

    def wait(self, method, session):
        """Return once an event has come."""
        while not any(
            e.get("method") == method and e.get("sessionId") == session for e in self.events
        ):
            self.events.append(self._next())

    def close(self):
        """End the browser."""
        self._out.close()
        self._process.terminate()
        self._process.wait()
        self._in.close()

    def _next(self):
        while b"\0" not in self._rest:
            more = os.read(self._in.fileno(), 1 << 16)
            assert more, "the browser has gone"
            self._rest += more
        said, _, self._rest = self._rest.partition(b"\0")
        return json.loads(said)

    @staticmethod
    def _pipe():
        """Return a pipe whose ends do not meet the descriptors 3 and 4."""
        ends = os.pipe()
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 50) for end in ends]
        for end in ends:
            os.close(end)
        return high


class Page:
    """One page, and what it complained of."""

    def __init__(self, browser, session):
        self._browser, self._session = browser, session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def open(self, path):
        self.visit(path.as_uri())

    def visit(self, url):
        self.call("Page.navigate", url=url)
        self._browser.wait("Page.loadEventFired", self._session)

    def run(self, script):
        """Return what an expression gives."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, condition):
        """Return once an expression is true; fail if it does not come to be."""
        look = f"const look = () => ({condition}) ? done(true) : setTimeout(look, 5)"
        late = f"setTimeout(() => fail(Error('it never was true')), {PATIENCE * 1000})"
        script = f"new Promise((done, fail) => {{ {look}; look(); {late}; }})"
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True)
        assert "exceptionDetails" not in found, found

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key, code=0):
        """Press and release a key, as a person would."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    def type(self, text):
        self.call("Input.insertText", text=text)

    def resize(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def heard(self, *methods):
        """Return the parameters of all events of these kinds so far."""
        self.run("0")  # what came before has arrived
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event.get("method") in methods
        ]
