"""What a kernel's interpreter has installed; probed once, then remembered.

The kernel's own interpreter is asked, through its own command: `conda run -n x python -m
ipykernel_launcher …` becomes `conda run -n x python -c <probe>`. That takes a good part of a
second, so the answer is remembered together with the *stamps* of everything it rests on: the
interpreter, and each folder, zip, `.pth`, `.egg-link` and `.egg-info` of its sys.path. It is used
as long as no stamp has changed. As everywhere in nbbuild (DESIGN §6), a stamp younger than 2 s when
the interpreter was asked proves nothing: the clock may not have advanced while the file changed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
from blake3 import blake3

from nbbuild.disk.digests import SETTLED_NS
from nbbuild.disk.shapes import Misshapen, Shape, packed
from nbbuild.errors import KernelError
from nbbuild.interpreter.installed import normalised
from nbbuild.interpreter.kernelspec import Kernel

PATH_VARIABLES = (
    "CONDA_PREFIX",
    "HOME",
    "PATH",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "VIRTUAL_ENV",
)
"""The variables that decide which interpreter runs and where it looks for modules."""

MEMORY = "probe"
"""The kind under which probes are remembered."""

PROBE_TIMEOUT = 120.0
"""Seconds that an interpreter may take to answer what it has."""

_FORMAT = 4
_MARKER = "nbbuild-probe:"
_LINES = 10

# Python ≥ 3.8, standard library only. The first lines come before any import but sys: the working
# folder must not provide modules.
_SOURCE = rf"""
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import email, importlib.machinery, importlib.util, json, os, platform, sysconfig
from importlib import metadata
found, owners, requires = {{}}, {{}}, {{}}
machinery = importlib.machinery
suffixes = (machinery.EXTENSION_SUFFIXES + machinery.SOURCE_SUFFIXES
            + machinery.BYTECODE_SUFFIXES)
def headers(distribution):
    # The body, a README, takes longer to parse than all else.
    text = distribution.read_text("METADATA")
    if text is None:
        return distribution.metadata
    return email.message_from_string(text.partition("\n\n")[0])
def top_levels(distribution):
    listed = (distribution.read_text("top_level.txt") or "").split()
    if listed:
        return listed
    names = set()
    for first, more in firsts(distribution):
        if more:
            names.add(first)
        else:
            names.update(first[:-len(end)] for end in suffixes if first.endswith(end))
    return sorted(name for name in names if name.isidentifier())
def firsts(distribution):
    record = distribution.read_text("RECORD")
    if record is None or '"' in record:
        return {{(file.parts[0], len(file.parts) > 1) for file in distribution.files or ()}}
    paths = (line.partition(",")[0].partition("/") for line in record.splitlines())
    return {{(first, bool(slash)) for first, slash, _ in paths}}
def version(distribution, head, origin):
    # An install from a folder, a file or a repository changes without its version changing.
    if not origin:
        return head["Version"] or ""
    import hashlib
    told = json.loads(origin)
    record = distribution.read_text("RECORD")
    if str(told.get("url", "")).startswith("file:") and record:
        # Where the folder or file lay, and what it was packed as, says nothing about its content.
        told = told.get("dir_info", {{}})
    content = json.dumps(told, sort_keys=True)
    content += lasting(record or "", told.get("editable"))
    return (head["Version"] or "") + "+" + hashlib.sha256(content.encode()).hexdigest()[:16]
def lasting(record, in_place):
    # Scripts name the interpreter, bytecode its version, and links to a folder that folder.
    lines = set()
    for line in record.splitlines():
        path = line.partition(",")[0].strip('"')
        first, _, last = path.rpartition("/")
        if path.startswith("..") and first.rpartition("/")[2] in ("bin", "Scripts"):
            line = path
        if last in ("direct_url.json", "RECORD", "INSTALLER", "REQUESTED") or last.endswith(".pyc"):
            continue
        if in_place and last not in ("METADATA", "entry_points.txt"):
            continue
        lines.add(line)
    return "\n".join(sorted(lines))
for distribution in metadata.distributions():
    head = headers(distribution)
    name = head["Name"]
    if name and name not in found:
        origin = distribution.read_text("direct_url.json")
        found[name] = version(distribution, head, origin)
        # What is installed in place is no more settled than the project itself.
        in_place = json.loads(origin or "{{}}").get("dir_info", {{}}).get("editable")
        for top in () if in_place else top_levels(distribution):
            owners.setdefault(top, []).append(name)
        needs = head.get_all("Requires-Dist")
        if not needs and distribution.read_text("requires.txt"):  # an .egg-info's
            needs = distribution.requires
        requires[name] = [need for need in needs or () if "extra ==" not in need]
site = sys.modules.get("site")
user = site.getusersitepackages() if site and site.ENABLE_USER_SITE else ""
# A build without the global lock is another Python; Windows tells so in the second way only.
abi = getattr(sys, "abiflags", "")
if sysconfig.get_config_var("Py_GIL_DISABLED") and "t" not in abi:
    abi += "t"
folders = {{sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}}
folders.update(sysconfig.get_paths().values())
folders.update(site.getsitepackages() if site and hasattr(site, "getsitepackages") else ())
folders.add(user)
print("{_MARKER}" + json.dumps({{
    "python": platform.python_version(),
    "implementation": platform.python_implementation(),
    "abi": abi,
    "ipykernel": importlib.util.find_spec("ipykernel") is not None,
    "distributions": list(found.items()),
    "owners": owners,
    "requires": requires,
    "suffixes": suffixes,
    "stdlib": sorted(getattr(sys, "stdlib_module_names", ())),
    "folders": sorted({{os.path.realpath(entry) for entry in folders if entry}}),
    "path": [os.path.abspath(entry) for entry in sys.path],
    "rests_on": [entry for entry in (sys.executable, user) if entry]
    + [os.path.join(sys.prefix, "pyvenv.cfg")],
}}), flush=True)
"""


class Probe(msgspec.Struct, frozen=True):
    """What one interpreter is and has."""

    python: str  # version, patch level included
    implementation: str  # CPython, PyPy
    ipykernel: str  # version, "" when it has no metadata
    ipython: str
    distributions: dict[str, str]  # normalised name → version; of a direct install with its content
    path: tuple[str, ...]  # sys.path, absolute, without the working folder
    owners: dict[str, tuple[str, ...]] = {}  # top-level module → distributions that hold it
    requires: dict[str, tuple[str, ...]] = {}  # distribution → those that its metadata names
    suffixes: tuple[str, ...] = ()  # of module files, in the order in which Python looks
    stdlib: tuple[str, ...] = ()  # the standard library's top-level modules
    folders: tuple[str, ...] = ()  # the interpreter's own, site-packages included; real paths
    abi: str = ""  # its ABI flags: "t" without the global lock, "d" with debugging

    @property
    def version(self) -> str:
        """The Python version with its patch level: "CPython 3.13.0t"."""
        return f"{self.implementation} {self.python}{self.abi}"

    @property
    def minor_version(self) -> str:
        """The Python version as far as outputs depend on it: "CPython 3.13t"."""
        return f"{self.implementation} {'.'.join(self.python.split('.')[:2])}{self.abi}"

    @property
    def digest(self) -> str:
        """A digest of all of this."""
        return blake3(packed(self)).hexdigest()


class _Answer(msgspec.Struct, frozen=True):
    """What the probe prints."""

    python: str
    implementation: str
    abi: str
    ipykernel: bool
    distributions: list[tuple[str, str]]
    owners: dict[str, list[str]]
    requires: dict[str, list[str]]
    suffixes: tuple[str, ...]
    stdlib: tuple[str, ...]
    folders: tuple[str, ...]
    path: tuple[str, ...]
    rests_on: tuple[str, ...]


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """How a file or folder looked; times in nanoseconds, all 0 if it was absent."""

    path: str
    mtime: int = 0
    ctime: int = 0
    inode: int = 0


class Grounds(msgspec.Struct, frozen=True, array_like=True):
    """What the answer of an interpreter rests on, for processes that were not there."""

    key: str  # identifies the command, and the variables that decide what it finds
    stamps: tuple[Stamp, ...]


class _ProbeMemory(msgspec.Struct, frozen=True, array_like=True):
    probe: Probe
    stamps: tuple[Stamp, ...]


_ANSWER: Shape[_Answer] = Shape(_Answer)
_MEMORY: Shape[_ProbeMemory] = Shape(_ProbeMemory)


class Environments:
    """Asks interpreters, each only once at a time, and remembers; thread-safe.

    `recall(kind, key)` and `remember(kind, key, value)` keep what outlives this object. `environ`
    is the environment that kernels are started in (os.environ if None); `extra` is added on top of
    it, and what kernel.json says on top of both, as when a kernel is started. `clock` gives
    nanoseconds since the epoch.
    """

    def __init__(
        self,
        recall: Callable[[str, str], bytes | None],
        remember: Callable[[str, str, bytes], None],
        *,
        environ: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._recall = recall
        self._remember = remember
        self._environ = {**(os.environ if environ is None else environ), **(extra or {})}
        self._clock = clock
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[str, _ProbeMemory] = {}
        self._unsettled = False
        self._checked: dict[int, tuple[Kernel, Probe | None]] = {}

    def forget(self) -> None:
        """Look at interpreters again from now on: something may have been installed."""
        self._checked.clear()

    def probe(self, kernel: Kernel) -> Probe | None:
        """Return what the interpreter of `kernel` has; None if it starts no IPython kernel.

        Raises:
            KernelError: the interpreter cannot be asked, or has no ipykernel.
        """
        checked = self._checked.get(id(kernel))  # kept there too, so that its id stays its own
        if checked is None:
            checked = self._checked[id(kernel)] = (kernel, self._probed(kernel))
        return checked[1]

    def grounds(self, kernel: Kernel) -> Grounds | None:
        """Return what the last answer about `kernel` rests on; None if it proves nothing later."""
        prefix = kernel.interpreter
        if prefix is None:
            return None
        key, _, _ = self._question(kernel, prefix)
        memory = self._known.get(key)
        return None if memory is None else Grounds(key, memory.stamps)

    def would_say(self, kernel: Kernel, grounds: Grounds) -> bool:
        """Whether `kernel`, were it asked here, would say what it said on these `grounds`.

        Where files have other inode numbers, on the disk of another machine, this is false.
        """
        prefix = kernel.interpreter
        if prefix is None:
            return False
        key, _, _ = self._question(kernel, prefix)
        return key == grounds.key and _holds(grounds.stamps)

    def _question(
        self, kernel: Kernel, prefix: tuple[str, ...]
    ) -> tuple[str, str, Mapping[str, str]]:
        """Return the key of a question, the program that is asked, and its environment."""
        env = kernel.environment(self._environ)
        program = shutil.which(prefix[0], path=env.get("PATH")) or prefix[0]
        return _key(kernel, (program, *prefix[1:]), env), program, env

    def _probed(self, kernel: Kernel) -> Probe | None:
        prefix = kernel.interpreter
        if prefix is None:
            return None
        key, program, env = self._question(kernel, prefix)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:  # the second to ask finds the first one's answer
            memory = self._known.get(key) or self._from_memory(key)
            if memory is None or not _holds(memory.stamps):
                memory = self._ask(kernel, prefix, env, key=key, program=program)
            return memory.probe

    @property
    def rests_on(self) -> tuple[Stamp, ...] | None:
        """The stamps that the answers so far rest on; None if one proves nothing later."""
        if self._unsettled:
            return None
        return tuple({stamp: None for one in self._known.values() for stamp in one.stamps})

    def _from_memory(self, key: str) -> _ProbeMemory | None:
        value = self._recall(MEMORY, key)
        if value is None:
            return None
        try:
            memory = _MEMORY.unpack(value)
        except Misshapen:
            return None  # written by another version
        self._known[key] = memory
        return memory

    def _ask(
        self,
        kernel: Kernel,
        prefix: tuple[str, ...],
        env: Mapping[str, str],
        *,
        key: str,
        program: str,
    ) -> _ProbeMemory:
        began = self._clock()
        answer = _run(kernel, prefix, env)
        distributions: dict[str, str] = {}
        for name, version in answer.distributions:
            distributions.setdefault(normalised(name), version)  # the first on the path wins
        probe = Probe(
            python=answer.python,
            implementation=answer.implementation,
            ipykernel=distributions.get("ipykernel", ""),
            ipython=distributions.get("ipython", ""),
            distributions=dict(sorted(distributions.items())),
            path=answer.path,
            owners={
                top: tuple(map(normalised, names)) for top, names in sorted(answer.owners.items())
            },
            requires={
                normalised(name): tuple(dict.fromkeys(map(_required, needs)))
                for name, needs in sorted(answer.requires.items())
                if needs
            },
            suffixes=answer.suffixes,
            stdlib=answer.stdlib or tuple(sorted(sys.stdlib_module_names)),
            folders=answer.folders,
            abi=answer.abi,
        )
        paths = dict.fromkeys([program, *answer.rests_on, *_rests_on(answer.path)])
        memory = _ProbeMemory(probe, tuple(_stamp(path) for path in paths))
        # Anything that changed while the interpreter looked is too young as well: there is no race.
        if all(max(s.mtime, s.ctime) <= began - SETTLED_NS for s in memory.stamps):
            self._known[key] = memory
            self._remember(MEMORY, key, packed(memory))
        else:
            self._known.pop(key, None)
            self._unsettled = True
        return memory


def _required(requirement: str) -> str:
    """Return the normalised name at the start of a requirement such as `numpy[x]>=2`."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    return normalised(found[0]) if found else ""


def _key(kernel: Kernel, prefix: tuple[str, ...], env: Mapping[str, str]) -> str:
    try:
        specification = (Path(kernel.folder) / "kernel.json").read_bytes().hex()
    except OSError:
        specification = ""  # the running interpreter's own, which is not a file
    variables = {name: env.get(name) for name in PATH_VARIABLES}
    own = dict(kernel.env)
    parts = [_FORMAT, specification, list(kernel.argv), list(prefix), own, variables]
    return blake3(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _run(kernel: Kernel, prefix: tuple[str, ...], env: Mapping[str, str]) -> _Answer:
    # One line without blanks to quote: `conda run` refuses arguments that contain line ends.
    source = f"exec(bytes.fromhex('{_SOURCE.encode().hex()}'))"
    facts = [("command", " ".join([*prefix, "-c", "…"]))]
    what = f"the interpreter of the kernel '{kernel.name}' cannot be asked what it has installed"
    hint = f"run '{' '.join([*prefix, '-V'])}' by hand, or install the kernel again"
    try:
        done = subprocess.run(
            [*prefix, "-c", source],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_TIMEOUT,
            check=False,
        )
    except (OSError, ValueError) as error:
        raise KernelError(what, facts=[*facts, ("reason", str(error))], hint=hint) from error
    except subprocess.TimeoutExpired as error:
        facts.append(("reason", f"no answer within {PROBE_TIMEOUT:g} s"))
        raise KernelError(what, facts=facts, hint=hint) from error
    line = next(
        (text for text in done.stdout.decode(errors="replace").splitlines() if _MARKER in text), ""
    )
    try:
        answer = _ANSWER.from_json(line.partition(_MARKER)[2])
    except Misshapen as error:
        facts.append(("exit status", str(done.returncode)))
        tail = done.stderr.decode(errors="replace").rstrip().splitlines()[-_LINES:]
        if tail:
            facts.append(("stderr", "\n    ".join(tail)))
        raise KernelError(what, facts=facts, hint=hint) from error
    if not answer.ipykernel:
        raise KernelError(
            f"the kernel '{kernel.name}' cannot start: its interpreter has no ipykernel",
            facts=[("command", " ".join(prefix)), ("python", answer.python)],
            hint=f"install it there: {shlex.join(prefix)} -m pip install ipykernel",
        )
    return answer


def _rests_on(path: tuple[str, ...]) -> Iterator[str]:
    """Yield the paths that decide which distributions are on a sys.path."""
    for entry in path:
        yield entry
        try:
            names = sorted(item.name for item in Path(entry).iterdir())
        except OSError:
            continue  # absent, or a zip
        for name in names:
            if name.endswith((".pth", ".egg-link")):
                yield str(Path(entry, name))
            elif name.endswith(".egg-info"):
                yield str(Path(entry, name))
                yield str(Path(entry, name, "PKG-INFO"))  # rewritten in place


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116, asked again for each task
    except (OSError, ValueError):
        return Stamp(path)
    return Stamp(path, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _holds(stamps: tuple[Stamp, ...]) -> bool:
    return all(_stamp(stamp.path) == stamp for stamp in stamps)
