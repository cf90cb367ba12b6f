"""Where only a few ports are free, every kernel starts all the same.

A network of the test's own has so few ports that kernels which took five each, as Jupyter's do,
would meet. Ours take none. Over TCP, as the portable way takes it on Windows, a start that meets
another one is tried again.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
from notebook_sources import ipynb

PORTS = 400
OPEN = (
    "ip link set lo up && echo '40000 {last}' > /proc/sys/net/ipv4/ip_local_port_range && "
    'exec "$@"'
)
BUILD = """
import sys
import nbbuild.kernels.portable as portable
portable.UNIX_SOCKETS = {unix}
import nbbuild.cli
try:
    nbbuild.cli.group.main(["--json", "-j{jobs}"], prog_name="nbbuild")
finally:
    sys.stdout.flush()
    print(open("/proc/net/tcp").read().count("\\n") - 1, file=sys.stderr)
"""


def own_network(ports):
    """Return the words before a command that runs it in a network with so many ports."""
    user = [] if os.geteuid() == 0 else ["-r"]
    last = 40_000 + ports - 1
    return ["unshare", *user, "-n", "sh", "-c", OPEN.format(last=last), "sh"]


@pytest.fixture(scope="module")
def ported():
    if sys.platform != "linux" or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("there is no network of our own without Linux, `unshare` and `ip`")
    tried = subprocess.run([*own_network(PORTS), "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no network of our own can be made: {tried.stderr.decode().strip()}")


def built(root, count, *, ports=PORTS, warm='"auto"', unix=True, portable=False, jobs=4):
    """Build so many notebooks; return what failed, and how many connections the system knows."""
    (root / "jcache.toml").write_text(
        f'[project]\nnotebooks = ["*.ipynb"]\n[execution]\nwarm = {warm}\n'
    )
    for number in range(count):
        (root / f"{number}.ipynb").write_text(ipynb([f"print({number})"]))
    environ = {**os.environ, "NBBUILD_PORTABLE": "1" if portable else "0"}
    done = subprocess.run(
        [*own_network(ports), sys.executable, "-c", BUILD.format(unix=unix, jobs=jobs)],
        cwd=root,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "outcomes" in done.stdout, done.stdout + done.stderr
    outcomes = json.loads(done.stdout)["outcomes"]
    assert len(outcomes) == count
    failed = [(one["task"], one["failure"]) for one in outcomes if one["kind"] != "executed"]
    return failed, int(done.stderr.split()[-1])


@pytest.mark.own_way("starts kernels without ports")
@pytest.mark.parametrize(
    ("count", "warm"),
    [
        pytest.param(3, '"auto"', id="small"),
        pytest.param(200, '"auto"', id="warm", marks=pytest.mark.stress),
        pytest.param(200, "false", id="cold", marks=pytest.mark.stress),
    ],
)
def test_kernels_take_no_port(count, warm, ported, tmp_path):
    """With fewer ports than one kernel of Jupyter's takes."""
    assert built(tmp_path, count, warm=warm, ports=4) == ([], 0)


@pytest.mark.stress
@pytest.mark.parametrize("unix", [True, False], ids=["sockets", "tcp"])
def test_every_kernel_starts_the_portable_way(unix, ported, tmp_path):
    count = int(os.environ.get("NBBUILD_STRESS_SIZE", "200"))
    failed, connections = built(tmp_path, count, unix=unix, portable=True)
    print(f"{connections} connections at the end")
    assert failed == []
    assert (connections == 0) == unix
