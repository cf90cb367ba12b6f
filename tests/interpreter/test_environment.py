"""Asking a kernel's interpreter what it has installed, and remembering the answer."""

from __future__ import annotations

import json
import sys
import threading
import time
import venv
from importlib import metadata
from pathlib import Path

import pytest

from nbbuild.errors import KernelError
from nbbuild.interpreter.environment import Environments
from nbbuild.interpreter.installed import normalised
from nbbuild.interpreter.kernelspec import Kernel


class Memory(dict):
    """What outlives an `Environments`; counts what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def recall(self, kind: str, key: str) -> bytes | None:
        return self.get((kind, key))

    def remember(self, kind: str, key: str, value: bytes) -> None:
        self.written += 1
        self[kind, key] = value


def later() -> int:
    """A clock by which all that is on disk is old."""
    return time.time_ns() + 10_000_000_000


def kernel(python: Path | str, **env: str) -> Kernel:
    argv = (str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}")
    return Kernel(name="k", argv=argv, env=env, language="python")


def install(site: Path, name: str, version: str) -> None:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path) -> Path:
    """The site-packages of a new virtual environment with a little in it."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    (folder,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (folder / "ipykernel").mkdir()
    (folder / "ipykernel" / "__init__.py").touch()
    install(folder, "ipykernel", "6.29.0")
    install(folder, "Some_Thing.x", "1.0")
    return folder


@pytest.fixture
def other(tmp_path) -> Path:
    return tmp_path / "venv" / "bin" / "python"


def test_this_interpreter_tells_what_it_has():
    memory = Memory()

    probe = Environments(memory.recall, memory.remember).probe(kernel(sys.executable))

    assert probe is not None
    assert probe.python == ".".join(map(str, sys.version_info[:3]))
    assert probe.implementation == "CPython"
    assert probe.abi == sys.abiflags
    assert probe.ipykernel == metadata.version("ipykernel")
    assert probe.ipython == metadata.version("ipython")
    assert probe.distributions["msgspec"] == metadata.version("msgspec")
    assert set(probe.distributions) == {normalised(d.name) for d in metadata.distributions()}
    assert str(Path.cwd()) not in probe.path or str(Path.cwd()) in sys.path


def test_another_interpreter_is_asked_through_its_own_command(site, other):
    memory = Memory()
    wrapped = Kernel(
        name="k",
        argv=(
            "env",
            "WRAPPED=1",
            str(other),
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ),
    )

    probe = Environments(memory.recall, memory.remember).probe(wrapped)

    assert probe is not None
    assert probe.distributions == {"ipykernel": "6.29.0", "some-thing-x": "1.0"}
    assert (probe.ipykernel, probe.ipython) == ("6.29.0", "")
    assert str(site) in probe.path


def direct(site: Path, name: str, url: str, *, more: str = "", **info: object) -> None:
    """Install a distribution from a folder, whose scripts begin with the interpreter's path."""
    install(site, name, "1.0")
    folder = site / f"{name}-1.0.dist-info"
    (folder / "direct_url.json").write_text(json.dumps({"url": url, **info}))
    lines = [
        f"../../../bin/{name},sha256={hash(str(site))},{len(str(site))}",
        f"{name}/__pycache__/a.cpython-{hash(str(site))}.pyc,,",
        f"{name}-1.0.dist-info/direct_url.json,sha256={hash(url)},{len(url)}",
        f"{name}-1.0.dist-info/METADATA,sha256=def,3",
        f"{name}-1.0.dist-info/RECORD,,",
        f"_{name}.pth,sha256={hash(url)},{len(url)}" if info else f"{name}/a.py,sha256=abc{more},3",
    ]
    (folder / "RECORD").write_text("\n".join(lines))


def test_a_direct_install_has_the_same_version_wherever_it_came_from(tmp_path, site, other):
    venv.create(tmp_path / "longer" / "venv", with_pip=False, symlinks=True)
    (second,) = (tmp_path / "longer" / "venv" / "lib").glob("python*/site-packages")
    (second / "ipykernel.py").touch()
    for folder, place in ((site, "/home/me"), (second, "/builds/group/project")):
        direct(folder, "plain", f"file://{place}/plain")
        direct(folder, "edited", f"file://{place}/edited", more=str(len(place)))
        direct(folder, "linked", f"file://{place}/linked", dir_info={"editable": True})
        direct(folder, "cloned", f"https://x/{place}", vcs_info={"vcs": "git", "commit_id": place})
    found = []
    for python in (other, tmp_path / "longer" / "venv" / "bin" / "python"):
        memory = Memory()
        probe = Environments(memory.recall, memory.remember).probe(kernel(python))
        assert probe is not None
        found.append({name: probe.distributions[name] for name in _DIRECT})
    assert all(version.startswith("1.0+") for one in found for version in one.values())
    assert [name for name in _DIRECT if found[0][name] == found[1][name]] == ["plain", "linked"]


_DIRECT = ("plain", "edited", "linked", "cloned")


def test_an_answer_is_remembered_until_something_it_rests_on_changes(site, other):
    memory = Memory()

    def ask() -> dict[str, str]:
        probe = Environments(memory.recall, memory.remember, clock=later).probe(kernel(other))
        assert probe is not None
        return dict(probe.distributions)

    first = ask()
    assert (ask(), memory.written) == (first, 1)

    install(site, "new", "2.0")
    assert ask() == {**first, "new": "2.0"}
    assert (ask(), memory.written) == ({**first, "new": "2.0"}, 2)

    (site / "link.pth").write_text("")
    ask()
    (site / "link.pth").write_text("/nowhere\n")  # the folder's own times do not change
    ask()
    assert memory.written == 4


def test_one_that_lives_on_notices_changes_too(site, other):
    memory = Memory()
    environments = Environments(memory.recall, memory.remember, clock=later)

    before = environments.probe(kernel(other))
    same = environments.probe(kernel(other))
    install(site, "new", "2.0")
    after = environments.probe(kernel(other))

    assert before is not None
    assert after is not None
    assert same == before
    assert "new" not in before.distributions
    assert after.distributions["new"] == "2.0"


def test_what_is_too_young_is_not_remembered(site, other):
    memory = Memory()

    Environments(memory.recall, memory.remember).probe(kernel(other))

    assert memory.written == 0


def test_variables_that_choose_the_path_are_told_apart(site, other, tmp_path):
    memory = Memory()
    extra = tmp_path / "extra"
    extra.mkdir()
    install(extra, "extra", "3")

    def ask(**env: str) -> dict[str, str]:
        environments = Environments(memory.recall, memory.remember, extra=env, clock=later)
        probe = environments.probe(kernel(other))
        assert probe is not None
        return dict(probe.distributions)

    assert "extra" not in ask()
    assert ask(PYTHONPATH=str(extra))["extra"] == "3"
    assert "extra" not in ask()
    assert memory.written == 2


def test_another_process_sees_without_asking_that_the_answer_would_be_the_same(site, other):
    memory = Memory()
    asked = Environments(memory.recall, memory.remember, clock=later)
    assert asked.grounds(kernel(other)) is None
    asked.probe(kernel(other))
    grounds = asked.grounds(kernel(other))
    assert grounds is not None

    nothing = Memory()
    elsewhere = Environments(nothing.recall, nothing.remember)
    assert elsewhere.would_say(kernel(other), grounds)
    assert not elsewhere.would_say(kernel(other, PYTHONPATH="/more"), grounds)
    assert not elsewhere.would_say(kernel(sys.executable), grounds)
    assert not elsewhere.would_say(Kernel(name="ir", argv=("R",)), grounds)
    assert nothing.written == 0

    install(site, "another", "1.0")
    assert not elsewhere.would_say(kernel(other), grounds)


def test_what_is_too_young_is_no_grounds(site, other):
    memory = Memory()
    environments = Environments(memory.recall, memory.remember)
    environments.probe(kernel(other))
    assert environments.grounds(kernel(other)) is None


def test_two_threads_that_ask_at_once_ask_once(site, other):
    memory = Memory()
    environments = Environments(memory.recall, memory.remember, clock=later)
    barrier = threading.Barrier(2)
    answers = []

    def ask() -> None:
        barrier.wait()
        answers.append(environments.probe(kernel(other)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers[0] == answers[1]
    assert memory.written == 1


def test_a_memory_of_another_version_is_asked_again(site, other):
    memory = Memory()
    Environments(memory.recall, memory.remember, clock=later).probe(kernel(other))
    for key in memory:
        memory[key] = b"something else"

    assert Environments(memory.recall, memory.remember, clock=later).probe(kernel(other))
    assert memory.written == 2


def test_a_kernel_that_is_no_python_has_no_probe():
    memory = Memory()

    assert (
        Environments(memory.recall, memory.remember).probe(Kernel(name="ir", argv=("R",))) is None
    )


def test_an_interpreter_without_ipykernel_is_an_error(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    python = tmp_path / "bare" / "bin" / "python"
    memory = Memory()

    with pytest.raises(KernelError) as caught:
        Environments(memory.recall, memory.remember).probe(kernel(python))

    version = ".".join(map(str, sys.version_info[:3]))
    assert str(caught.value) == (
        "the kernel 'k' cannot start: its interpreter has no ipykernel\n"
        f"  command: {python}\n"
        f"  python: {version}\n"
        "\n"
        f"hint: install it there: {python} -m pip install ipykernel"
    )


def test_an_interpreter_that_fails_is_shown(tmp_path):
    memory = Memory()
    environments = Environments(memory.recall, memory.remember)
    odd = Kernel(
        name="k", argv=("sh", "-c", "echo no licence >&2; exit 3", "sh", "-m", "ipykernel")
    )

    with pytest.raises(KernelError) as caught:
        environments.probe(odd)
    assert str(caught.value) == (
        "the interpreter of the kernel 'k' cannot be asked what it has installed\n"
        "  command: sh -c echo no licence >&2; exit 3 sh -c …\n"
        "  exit status: 3\n"
        "  stderr: no licence\n"
        "\n"
        "hint: run 'sh -c echo no licence >&2; exit 3 sh -V' by hand, or install the kernel again"
    )
    with pytest.raises(KernelError, match="No such file or directory"):
        environments.probe(kernel(tmp_path / "missing"))
