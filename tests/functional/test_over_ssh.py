"""Jobs on another host over ssh, with the commands of docs/how-to/beyond-one-machine.md.

The host is a network namespace with an sshd of its own. It has the disk of this machine.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/beyond-one-machine.md"

CELL = """
import os
print(os.readlink("/proc/self/ns/net"), "by ssh" if "SSH_CONNECTION" in os.environ else "")
"""

SSHD = """
ListenAddress {address}
HostKey {folder}/key
AuthorizedKeysFile {folder}/key.pub
PidFile {folder}/pid
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""

SSH = """#!/bin/sh
exec {ssh} -F none -i {folder}/key -o HostName={address} -o User=root -o BatchMode=yes \\
  -o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=accept-new "$@"
"""


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def lacks():
    """Why there can be no such host here, "" if there can."""
    if os.name != "posix" or os.geteuid():
        return "only root can make a network namespace"
    for name in ("ip", "sshd", "ssh", "ssh-keygen"):
        if shutil.which(name) is None:
            return f"there is no {name}"
    return ""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """The namespace of a host called `host`, to which `ssh host` leads."""
    if why := lacks():
        pytest.skip(why)
    number = os.getpid()
    name = f"nbbuild{number}"
    address = f"10.{200 + number % 50}.{number // 50 % 256}.%d"
    folder = tmp_path / "ssh"
    (folder / "bin").mkdir(parents=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key"))
    where = {"folder": folder, "address": address % 2, "ssh": shutil.which("ssh")}
    (folder / "sshd.conf").write_text(SSHD.format(**where))
    (folder / "bin/ssh").write_text(SSH.format(**where))
    (folder / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it
    try:
        run("ip", "netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made: {error.stderr.strip()}")
    within = ("ip", "netns", "exec", name)
    server = None
    try:
        here, there = f"nb{number}a", f"nb{number}b"
        run("ip", "link", "add", here, "type", "veth", "peer", there, "netns", name)
        run("ip", "addr", "add", f"{address % 1}/30", "dev", here)
        run("ip", "link", "set", here, "up")
        run(*within, "ip", "addr", "add", f"{address % 2}/30", "dev", there)
        run(*within, "ip", "link", "set", there, "up")
        daemon = [*within, shutil.which("sshd"), "-D", "-f", str(folder / "sshd.conf")]
        server = subprocess.Popen(daemon, stderr=subprocess.PIPE, text=True)
        while not (folder / "pid").exists() and server.poll() is None:
            pass
        try:
            yield run("ssh", "host", "readlink", "/proc/self/ns/net").strip()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"root cannot log in by ssh here: {error.stderr.strip()}")
    finally:
        if server is not None:
            server.terminate()
            server.communicate()
        run("ip", "netns", "delete", name)  # and its end of the cable with it


def test_the_commands_of_the_how_to_execute_a_notebook_on_another_host(project, host):
    (commands,) = re.findall(r"```toml\n([^`]*ssh host[^`]*)```", PAGE.read_text(encoding="utf-8"))
    project.config(commands)
    project.notebook("a.ipynb", CELL)

    assert project.build() == ["a"]
    assert host != os.readlink("/proc/self/ns/net")
    assert project.shown("a.ipynb") == f"{host} by ssh\n"
    assert os.listdir(project.root / ".nbbuild/jobs") == []
    assert project.build("--executor", "local") == []
