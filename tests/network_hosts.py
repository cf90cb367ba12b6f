"""Hosts of a private network on this machine: each has a network, a name and mounts of its own.

The first host, `base`, has the bridge that all others hang on. Every namespace belongs to a process
that reads from a pipe of the test's: they end with the test, however that ends, and nothing of the
machine's own network is touched.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import threading

_CLONE_NEWNET = 0x40000000
_NETWORK = "10.213.47.{}"
_PATIENCE = 60  # seconds that anything may take
_SPACES = ("--net", "--mount", "--uts")


def missing():
    """Return why this machine cannot have such hosts; "" if it can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    lacks = [name for name in ("unshare", "nsenter", "ip", "mount") if shutil.which(name) is None]
    if lacks:
        return f"needs {', '.join(lacks)}"
    tried = subprocess.run(
        [
            "unshare",
            *_SPACES,
            "ip",
            "link",
            "add",
            "tried",
            "type",
            "veth",
            "peer",
            "name",
            "other",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"no network namespaces: {tried.stderr.strip()}" if tried.returncode else ""


class Host:
    """One host; what is started there sees `address` as its own."""

    def __init__(self, name, number, hidden=()):
        self.name, self.address = name, _NETWORK.format(number)
        script = 'hostname "$1" && ip link set lo up && shift && for one in "$@"; do '
        script += 'mount -t tmpfs none "$one" || exit; done; echo up; exec cat'
        self._process = subprocess.Popen(
            ["unshare", *_SPACES, "sh", "-c", script, "sh", name, *map(str, hidden)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout.readline() == b"up\n"
        self.pid = self._process.pid
        self.network = os.stat(f"/proc/{self.pid}/ns/net").st_ino

    def inside(self, *command):
        """Return the command that runs another one on this host."""
        return ["nsenter", *_SPACES, f"--target={self.pid}", *command]

    def run(self, *command):
        """Run a command on this host, to its end."""
        subprocess.run(self.inside(*command), check=True, timeout=_PATIENCE)

    def start(self, *command, folder="/", **more):
        """Start a command in a folder of this host."""
        return subprocess.Popen(self.inside("env", f"--chdir={folder}", *command), **more)

    def listen(self):
        """Return a socket that listens on this host, for the test to use."""
        made = []

        def make():  # a thread can be in another network than its process
            with open(f"/proc/{self.pid}/ns/net") as space:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(space.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.create_server((self.address, 0)))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def close(self):
        """Leave the host; it is gone with the last of its processes."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class Network:
    """A bridge, and hosts that hang on it."""

    def __init__(self):
        self.base = Host("base", 1)
        self.hosts = []
        self.base.run("ip", "link", "add", "bridge", "type", "bridge")
        self.base.run("ip", "address", "add", f"{self.base.address}/24", "dev", "bridge")
        self.base.run("ip", "link", "set", "bridge", "up")

    def add(self, name, hidden=()):
        """Add a host on which the folders `hidden` are empty."""
        host = Host(name, len(self.hosts) + 2, hidden)
        self.hosts.append(host)
        peer = ["peer", "name", "eth0", "netns", str(host.pid)]
        self.base.run("ip", "link", "add", name, "type", "veth", *peer)
        self.base.run("ip", "link", "set", name, "master", "bridge", "up")
        host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        return host

    def silence(self, host):
        """Take the cable of a host away: nobody hears from it, and no connection is closed."""
        self.base.run("ip", "link", "set", host.name, "down")

    def close(self):
        for host in (*self.hosts, self.base):
            host.close()
