"""Make action keys: everything in them, in order, and what is left out, with the reason."""

from __future__ import annotations

import datetime
import json
import platform
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from blake3 import blake3

from nbbuild.disk.shapes import packed
from nbbuild.interpreter.environment import Probe
from nbbuild.interpreter.kernelspec import Kernel
from nbbuild.model import ActionKey, Digest, Fingerprint, Parsed, Settings, Task
from nbbuild.notebook.code import cell_digests

KEY_FORMAT = "3"
"""Raise it whenever the same inputs give another key; older records then simply miss."""

UNSET = "unset"
"""The value of an environment variable that is not set; no digest looks like this."""

EXCUSED: Mapping[str, str] = {
    "Task.name": "a renamed notebook has the same outputs",
    "Task.source": "only its folder counts, as the working folder",
    "Task.built": "where the result goes does not change it",
    "Task.paired": "the other files of a pair hold the same notebook",
    "Task.depends_on": "order only",
    "Task.scratch": "no run finds such a file; records that rest on one are judged by that",
    "Task.groups": "names for the command line",
    "Task.resources": "decides when it runs; its pools are this machine's",
    "Task.max_age": "judged against the record's age",
    "Task.cache": "judged before any record is looked for",
    "Task.push": "where a result may go does not change it",
    "Task.declared_in": "for messages",
    "Settings.timeout": "decides whether a run ends well, not its result",
    "Settings.notebook_timeout": "decides whether a run ends well, not its result",
    "Settings.retries": "decides whether a run ends well, not its result",
    "Settings.trace": "the record's trace holds the level",
    "Settings.warm": "a warm kernel gives the same result as a cold one",
    "Settings.cores": "as many as a machine has; sums may differ in their last digits, as between "
    "machines",
    "Parsed.kernel": "counts as the kernel in effect, by what it runs",
    "Parsed.timeout": "decides whether a run ends well, not its result",
    "Parsed.allow_errors": "counts as the setting in effect",
    "Parsed.formats": "names the pair",
    "Parsed.language": "counts as the kernel's language",
}
"""Fields that are in no action key. A test fails for fields neither hashed nor named here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """The values of a task's declared inputs, here and now: name → digest or version."""

    assets: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)


def action_key(
    task: Task,
    *,
    parsed: Parsed,
    settings: Settings,
    kernel: Kernel,
    probe: Probe | None,
    used: Used,
    patch: bool = False,
) -> ActionKey:
    """Return the key of `task` (DESIGN §2). `settings` are those in effect.

    With `patch`, the patch level of the kernel's Python counts, too.
    """
    parameters = [(name, typed(task.parameters[name])) for name in sorted(task.parameters)]
    fingerprints = (
        _FORMAT,
        Fingerprint("code", cell_digests(parsed, injecting=bool(task.parameters))),
        _kernel(kernel, probe, patch=patch),
        _PLATFORM,
        _settings(
            working_folder(task, settings),
            bool(settings.allow_errors),
            bool(settings.sandbox),
            task.python_path,
        ),
        Fingerprint("parameters", tuple(parameters)),
        Fingerprint("artefacts", tuple((pattern, "") for pattern in sorted(task.artefacts))),
        _sorted("assets", used.assets),
        _sorted("modules", used.modules),
        _sorted("packages", used.packages),
        _sorted("env", used.env),
        _sorted("files", used.files),
        _sorted("commands", used.commands),
    )
    # No two lists of items have the same encoding.
    return ActionKey(blake3(packed(fingerprints)).hexdigest(), fingerprints)


_FORMAT = Fingerprint("format", (("key", KEY_FORMAT),))
_PLATFORM = Fingerprint(
    "platform", (("system", platform.system()), ("machine", platform.machine()))
)


def _sorted(kind: str, items: Mapping[str, str]) -> Fingerprint:
    return Fingerprint(kind, tuple(sorted(items.items())))


def _kernel(kernel: Kernel, probe: Probe | None, *, patch: bool) -> Fingerprint:
    """What the kernel runs; neither its name nor the place of its interpreter counts."""
    interpreter = kernel.interpreter
    versions: tuple[tuple[str, str], ...] = ()
    if probe is not None:
        versions = (
            ("python", probe.version if patch else probe.minor_version),
            ("ipykernel", probe.ipykernel),
            ("ipython", probe.ipython),
        )
    leading = None if interpreter is None else len(interpreter)
    env = tuple(sorted(kernel.env.items()))
    return _kernel_items(kernel.language, kernel.argv, leading, env, versions)


@lru_cache(maxsize=256)  # a handful of kernels, for thousands of tasks
def _kernel_items(
    language: str,
    argv: tuple[str, ...],
    leading: int | None,
    env: tuple[tuple[str, str], ...],
    versions: tuple[tuple[str, str], ...],
) -> Fingerprint:
    """The first `leading` words of `argv` start Python; None: the kernel is not Python."""
    command = (
        (PurePosixPath(argv[0]).name, *argv[1:]) if leading is None else ("python", *argv[leading:])
    )
    items = (
        ("language", language),
        ("argv", json.dumps(command)),
        ("env", secret("kernel.json", json.dumps(dict(env)))),
        *versions,
    )
    return Fingerprint("kernel", items)


@lru_cache(maxsize=4096)  # one for each folder of notebooks
def _settings(
    folder: str, allow_errors: bool, sandbox: bool, python_path: tuple[str, ...]
) -> Fingerprint:
    items = (
        ("working folder", folder),
        ("allow_errors", json.dumps(allow_errors)),
        ("sandbox", json.dumps(sandbox)),
        ("python_path", json.dumps(python_path)),
    )
    return Fingerprint("settings", items)


def working_folder(task: Task, settings: Settings) -> str:
    """Return the folder that the kernel starts in, relative to the root."""
    return "." if settings.cwd == "project" else posixpath.dirname(task.source) or "."


def typed(value: Any) -> str:
    """Return a parameter's value as text that tells 1, 1.0, true and "1" apart."""
    return json.dumps(_tagged(value), sort_keys=True)


def _tagged(value: Any) -> Any:
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return {f"${type(value).__name__}": value.isoformat()}
    if isinstance(value, Mapping):
        return {key: _tagged(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tagged(item) for item in value]
    return value


def secret(name: str, value: str) -> Digest:
    """Return a digest that stands for `value` without showing it; `name` salts it."""
    return blake3(packed((name, value))).hexdigest()
