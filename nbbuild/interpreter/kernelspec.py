"""Which kernels are installed: a name or a language → what to start.

jupyter_client knows, but importing it takes a third of the time of a build with little to do. So a
kernel.json is read here if it is in the first place where jupyter_client looks and all of it is
plain. Everything else, especially mistakes, is left to jupyter_client, which is imported only then.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any, Protocol

from jupyter_core.paths import jupyter_path

from nbbuild.errors import KernelError, did_you_mean

IPYKERNEL = ("ipykernel_launcher", "ipykernel")
"""The modules that start an IPython kernel by `python -m`."""

_AFTER_M = {(module,) for module in IPYKERNEL}
_JOINED = {f"-m{module}" for module in IPYKERNEL}

LOCAL_PROVISIONER = "local-provisioner"

_PLAIN: Mapping[str, type] = {
    "argv": list,
    "env": dict,
    "language": str,
    "display_name": str,
    "interrupt_mode": str,
    "metadata": dict,
    "name": str,
    "mimetype": str,
    "kernel_protocol_version": str,
}
"""The keys and types that a kernel.json may have to be read here."""


_UNUSED = frozenset({"name", "mimetype", "kernel_protocol_version"})


class _Spec(Protocol):
    """What a kernel.json says, as jupyter_client's KernelSpec has it."""

    argv: list[Any]
    env: dict[str, Any]
    language: str
    display_name: str
    interrupt_mode: str
    metadata: dict[str, Any]
    resource_dir: str


@dataclass(frozen=True, slots=True)
class _PlainSpec:
    """A kernel.json that was read here."""

    argv: list[Any]
    resource_dir: str
    env: dict[str, Any] = field(default_factory=dict)
    language: str = ""
    display_name: str = ""
    interrupt_mode: str = "signal"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What one kernel.json says, ready to start on this machine; can be pickled.

    `argv` still holds `{connection_file}`; an unqualified `python` is the running interpreter, as
    in jupyter_client.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # may name variables: "${HOME}/lib"
    language: str = ""
    display_name: str = ""
    interrupt_mode: str = "signal"  # signal | message
    folder: str = ""  # where kernel.json and its resources are

    @property
    def interpreter(self) -> tuple[str, ...] | None:
        """The part of `argv` that starts Python, or None if it starts no IPython kernel.

        `conda run -n x python -m ipykernel_launcher -f …` → `conda run -n x python`.
        """
        for index, word in enumerate(self.argv):
            if word in _JOINED or (word == "-m" and self.argv[index + 1 : index + 2] in _AFTER_M):
                return self.argv[:index]
        return None

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return `base` with the kernel's own variables on top, as Jupyter combines them."""
        own = {name: Template(value).safe_substitute(base) for name, value in self.env.items()}
        combined = {**base, **own}
        # jupyter_client drops it too: on macOS it overrides the interpreter that argv names.
        combined.pop("PYTHONEXECUTABLE", None)
        return combined


class KernelSpecs:
    """Finds kernels, and remembers for as long as it lives what it found; thread-safe.

    `aliases` are `[execution] kernel_aliases`: a name that notebooks use → an installed kernel.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None) -> None:
        self._aliases = dict(aliases or {})
        self._found: dict[tuple[str, str], Kernel] = {}
        self._lock = threading.Lock()

    def find(self, name: str, *, language: str = "") -> Kernel:
        """Return the kernel called `name`; if that is "", one for `language` (if "", Python).

        Python's is the one called "python3", which is the running interpreter's ipykernel if none
        is installed under that name.

        Raises:
            KernelError: there is none, or its kernel.json makes no sense.
        """
        with self._lock:
            key = (name, "" if name else language.lower())
            if key not in self._found:
                self._found[key] = self._find(name, language)
            return self._found[key]

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The folders in which kernels are looked for, and the files of those found so far."""
        found = {kernel.folder for kernel in self._found.values()}
        return (*self._folders, *(f"{folder}/kernel.json" for folder in found))

    @cached_property
    def _folders(self) -> Sequence[str]:
        """The folders that jupyter_client looks in, in order."""
        return (*jupyter_path("kernels"), os.path.join(_ipython_folder(), "kernels"))  # noqa: PTH118

    @cached_property
    def _manager(self) -> Any:
        from jupyter_client.kernelspec import KernelSpecManager

        return KernelSpecManager()

    def _find(self, name: str, language: str) -> Kernel:
        if name or language.lower() in ("", "python"):
            wanted = name or "python3"
            return self._read(self._aliases.get(wanted, wanted), asked=wanted, language=language)
        installed = sorted(self._manager.find_kernel_specs())
        for candidate in installed:
            try:
                kernel = self._read(candidate, asked=candidate, language=language)
            except KernelError:
                continue  # another broken kernel is no reason to stop
            if kernel.language.lower() == language.lower():
                return kernel
        raise KernelError(
            f"there is no kernel for the language '{language}'",
            facts=[("available kernels", ", ".join(installed) or "none")],
            hint="install one, or name a kernel in jcache.toml: [execution] kernel",
        )

    def _read(self, name: str, *, asked: str, language: str) -> Kernel:
        spec = _plain_spec(name, self._folders)
        return _kernel(name, spec or self._spec(name, asked=asked, language=language))

    def _spec(self, name: str, *, asked: str, language: str) -> _Spec:
        """Return what jupyter_client finds under `name`; raise a KernelError that says why not.

        It finds Python's kernel even if none is installed. `language` is the notebook's.
        """
        from jupyter_client.kernelspec import NoSuchKernel
        from traitlets import TraitError

        try:
            spec: _Spec = self._manager.get_kernel_spec(name)
        except NoSuchKernel as error:
            # Also raised if a kernel's provisioner is not installed.
            if name.lower() in self._manager.find_kernel_specs():
                raise _foreign(name) from error
            raise self._unknown(name, asked=asked, language=language) from error
        except (OSError, ValueError, TypeError, AttributeError, TraitError) as error:
            folder = self._manager.find_kernel_specs().get(name.lower(), "")
            raise KernelError(
                f"the kernel '{name}' cannot be read",
                facts=[("file", str(Path(folder) / "kernel.json")), ("reason", str(error))],
                hint="fix the file, or install the kernel again",
            ) from error
        return spec

    def _unknown(self, name: str, *, asked: str, language: str) -> KernelError:
        installed = sorted(self._manager.find_kernel_specs())
        facts = [("available kernels", ", ".join(installed) or "none")]
        if asked != name:
            facts.insert(0, ("alias", f"[execution] kernel_aliases: '{asked}' = '{name}'"))
        language = language.lower() or _language_of(name)
        if language in ("", "python"):
            fitting, near = "python3", installed
        else:
            # A kernel of another language would not run one cell.
            near = [one for one in installed if self._speaks(one, language)]
            fitting = next(iter(near), "")
        ways = [did_you_mean(name, near)]
        if fitting:
            alias = f"{_toml(asked)} = {_toml(fitting)}"
            ways.append(
                "use another kernel for it in jcache.toml: "
                f"[execution] kernel_aliases = {{ {alias} }}; or"
            )
        ways.append(_install(name, language))
        return KernelError(
            f"there is no kernel '{name}'", facts=facts, hint=" ".join(way for way in ways if way)
        )

    def _speaks(self, name: str, language: str) -> bool:
        try:
            kernel = self._read(name, asked=name, language=language)
        except KernelError:
            return False
        return kernel.language.lower() == language


def _language_of(name: str) -> str:
    """Return the language of kernels usually called `name`; "" for Python's and others."""
    names = {"r": r"x?ir?\d*", "julia": r"julia.*", "bash": r"bash"}
    found = (one for one, usual in names.items() if re.fullmatch(usual, name.lower()))
    return next(found, "")


def _install(name: str, language: str) -> str:
    """Return how to install a kernel that a notebook in `language` can refer to as `name`."""
    match language:
        case "" | "python" if _NAME.fullmatch(name):
            command = shlex.join([*_INSTALL, name])
            return f"install it: run '{command}' with the Python that it should use"
        case "" | "python":
            # Whatever program saved this name, no kernel can be installed under it.
            other = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or "other"
            return (
                f"install one as {_toml(other)}, which can stand in for it as well: run "
                f"'{shlex.join([*_INSTALL, other])}' with the Python that it should use"
            )
        case "r":
            call = f"IRkernel::installspec(name = {_toml(name)})"
            return f'install it: run install.packages("IRkernel") and {call} in R'
        case "julia":
            return (
                'install it: run import Pkg; Pkg.add("IJulia") in Julia, which installs a kernel '
                "of its version"
            )
        case "bash":
            return (
                "install it: run 'python -m pip install bash_kernel' and "
                "'python -m bash_kernel.install'"
            )
        case _:
            return f"install a kernel for the language '{language}' under this name"


_NAME = re.compile(r"[a-z0-9._-]+", re.I)
"""The names that jupyter_client accepts for a kernel."""

_INSTALL = ("python", "-m", "ipykernel", "install", "--user", "--name")


def _toml(text: str) -> str:
    """Return `text` as a string of TOML."""
    return json.dumps(text, ensure_ascii=False)


def _plain_spec(name: str, folders: Sequence[str]) -> _PlainSpec | None:
    """Return the spec called `name` if reading it does not take jupyter_client."""
    folder = _spec_folder(name.lower(), folders)
    if folder is None or "JUPYTER_DEFAULT_PROVISIONER_NAME" in os.environ:
        return None
    try:
        said = json.loads(Path(folder, "kernel.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(said, dict) or "argv" not in said:
        return None
    plain = all(isinstance(value, _PLAIN.get(key, ())) for key, value in said.items())
    if not plain or said.get("interrupt_mode", "signal") not in ("signal", "message"):
        return None
    if "kernel_provisioner" in said.get("metadata", {}):
        return None
    used = {key: value for key, value in said.items() if key not in _UNUSED}
    return _PlainSpec(**used, resource_dir=folder)


def _spec_folder(name: str, folders: Sequence[str]) -> str | None:
    """Return the first of the folders called `name`, in lower case, that has a kernel.json."""
    for folder in folders:
        try:
            found = os.listdir(folder)  # noqa: PTH208
        except OSError:
            continue
        for one in found:
            path = os.path.join(folder, one)  # noqa: PTH118
            if one.lower() == name and os.path.isfile(os.path.join(path, "kernel.json")):  # noqa: PTH113, PTH118
                return path
    return None


def _ipython_folder() -> str:
    """Return IPython's folder, where old kernels are.

    jupyter_client finds those in a folder that IPython itself calls outdated.
    """
    chosen = os.environ.get("IPYTHONDIR")
    if chosen is None:
        home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111 - `Path.home` may raise
        chosen = os.path.join(home, ".ipython")  # noqa: PTH118
    return os.path.normpath(os.path.expanduser(chosen))  # noqa: PTH111


def _kernel(name: str, spec: _Spec | _PlainSpec) -> Kernel:
    """Return `spec` as a Kernel, its words prepared as jupyter_client prepares them.

    Raises:
        KernelError: it has no command, or does not start as a process on this machine.
    """
    where = ("file", str(Path(spec.resource_dir) / "kernel.json"))
    provisioner = spec.metadata.get("kernel_provisioner")
    if provisioner and provisioner.get("provisioner_name") != LOCAL_PROVISIONER:
        raise _foreign(name)
    if not spec.argv or not all(isinstance(word, str) and word for word in spec.argv):
        raise KernelError(
            f"the kernel '{name}' has no command",
            facts=[where, ("reason", "argv must be a list of words")],
            hint="fix the file, or install the kernel again",
        )
    version, prefix = sys.version_info, sys.prefix
    python = {"python", f"python{version.major}", f"python{version.major}.{version.minor}"}
    first = sys.executable if spec.argv[0] in python else spec.argv[0]
    argv = [
        str(Path(word).expanduser()) if word.startswith("~/") else word.replace("{prefix}", prefix)
        for word in (first, *spec.argv[1:])
    ]
    return Kernel(
        name=name,
        argv=tuple(argv),
        env={key: str(value) for key, value in spec.env.items()},
        language=spec.language,
        display_name=spec.display_name,
        interrupt_mode=spec.interrupt_mode,
        folder=spec.resource_dir,
    )


def _foreign(name: str) -> KernelError:
    return KernelError(
        f"the kernel '{name}' is not started as a process of this machine",
        facts=[("reason", "its kernel.json names a kernel_provisioner")],
        hint="choose another kernel in jcache.toml: [execution] kernel or kernel_aliases",
    )
