"""Find what goes into a task's action key: its code, kernel, files, packages and variables."""

from __future__ import annotations

import posixpath
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nbbuild.config.types import DEFAULTS
from nbbuild.disk.digests import digest_lines
from nbbuild.errors import ConfigError, KernelError, NbbuildError, did_you_mean, raise_all
from nbbuild.interpreter.environment import Environments, Probe
from nbbuild.interpreter.imports import Import
from nbbuild.interpreter.installed import normalised
from nbbuild.interpreter.kernelspec import Kernel, KernelSpecs
from nbbuild.interpreter.modules import ModuleGraph
from nbbuild.judging.fingerprint import UNSET, Used, action_key, secret, working_folder
from nbbuild.model import ActionKey, Digest, Parsed, Settings, Task
from nbbuild.notebook.code import places, with_loads
from nbbuild.paths.patterns import Pattern, matches
from nbbuild.paths.walk import Walker
from nbbuild.project.graph import makes
from nbbuild.project.project import Project
from nbbuild.project.readings import FileDigests, Readings

COMMAND_SECONDS = 60.0
"""How long a command of [environment] commands may take."""

_NOTHING_SAID = Settings()
_ALL_PACKAGES = "jcache.toml, [environment] packages"


class MissingInput(NbbuildError):
    """A declared file does not exist when its reader's turn comes."""

    exit_status = 1


class Overlay:
    """Files as they will be once upstream results are put back: path → digest, or gone."""

    def __init__(self) -> None:
        self._digests: dict[str, Digest] = {}
        self._makers: list[Task] = []

    def add(self, maker: Task, files: Mapping[str, Digest]) -> None:
        """Note that `maker` will have written exactly `files` under its artefact patterns."""
        self._makers.append(maker)
        self._digests.update(files)

    def paths(self, found: Sequence[str], patterns: Sequence[Pattern]) -> list[str]:
        """Return `found` without the files about to go, and with matching files about to come."""
        kept = [p for p in found if not any(makes(maker, p) for maker in self._makers)]
        coming = [p for p in self._digests if any(matches(pattern, p) for pattern in patterns)]
        return sorted({*kept, *coming})

    def digest(self, path: str) -> Digest | None:
        """Return the digest that `path` will have, None if it is not in here."""
        return self._digests.get(path)


@dataclass(frozen=True, slots=True)
class InEffect:
    """What a task's notebook says, and how it would run now."""

    parsed: Parsed
    settings: Settings
    kernel: Kernel
    probe: Probe | None  # None: its kernel is not Python


class Inputs:
    """Looks up everything that an action key needs; reads, never writes.

    What is in effect for a task is looked up once, until `forget` or `look_again` is called.
    """

    def __init__(
        self,
        project: Project,
        *,
        readings: Readings,
        walker: Walker,
        digests: FileDigests,
        kernels: KernelSpecs,
        environments: Environments,
        modules: ModuleGraph,
        environ: Mapping[str, str],
        overrides: Settings,
        unseen: Callable[[], str] = str,
    ) -> None:
        """Look things up for `project`; `unseen` says why system calls cannot be watched, or ""."""
        self._project = project
        self._root = str(project.root)
        self._readings = readings
        self._walker = walker
        self._digests = digests
        self.kernels = kernels
        self.environments = environments
        self.modules = modules
        self._environ = environ
        self.overrides = overrides
        self._unseen = unseen
        self._in_effect: dict[str, InEffect] = {}
        self._parsed: dict[str, Parsed] = {}  # read by `check`, and not in effect yet
        self._settings: dict[tuple[Settings, Settings], Settings] = {}
        self._commands: dict[str, Digest] = {}
        self._lines: dict[Digest, Digest] = {}  # of a module → of its lines
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Look at the disk again from now on."""
        self._in_effect.clear()
        self._parsed.clear()
        self.environments.forget()

    def look_again(self, task: Task) -> None:
        """Look again at one task's notebook, and at what its kernel has."""
        self._in_effect.pop(task.name, None)
        self._parsed.pop(task.name, None)
        self.environments.forget()

    def in_effect(self, task: Task) -> InEffect:
        """Return what the notebook of `task` says, its settings, its kernel and what that has.

        May raise `NotebookError`, `KernelError`.
        """
        known = self._in_effect.get(task.name)
        if known is None:
            parsed = self._parsed.pop(task.name, None) or self.parsed(task)
            settings = self.settings(task, parsed)
            kernel, probe = self.kernel(task, parsed, settings)
            known = self._in_effect[task.name] = InEffect(parsed, settings, kernel, probe)
        return known

    def settings(self, task: Task, parsed: Parsed) -> Settings:
        """Return the settings in effect (DESIGN §3, precedence)."""
        own = _NOTHING_SAID
        if parsed.timeout is not None or parsed.allow_errors is not None:
            own = Settings(timeout=parsed.timeout, allow_errors=parsed.allow_errors)
        # Nearly all of thousands of tasks have the same settings.
        known = self._settings.get((task.settings, own))
        if known is None:
            said = self.overrides.over(task.settings).over(own)
            known = said.over(self._project.config.execution.settings).over(DEFAULTS)
            self._settings[task.settings, own] = known
        return known

    def parsed(self, task: Task) -> Parsed:
        """Return what the source says, `:load:`ed files included; may raise `NotebookError`."""
        return with_loads(self._project.root, self._readings.parsed(task.source))

    def kernel(self, task: Task, parsed: Parsed, settings: Settings) -> tuple[Kernel, Probe | None]:
        """Return the kernel in effect and what its interpreter holds; may raise `KernelError`."""
        kernel = self.kernel_of(parsed, settings)
        return kernel, self.environments.probe(kernel)

    def kernel_of(self, parsed: Parsed, settings: Settings) -> Kernel:
        """Return the kernel in effect; may raise `KernelError`."""
        return self.kernels.find(settings.kernel or parsed.kernel, language=parsed.language)

    def language(self, task: Task) -> str:
        """Return the language that parameters are written in; may raise `NotebookError`.

        The notebook's own, or else that of its kernel, or Python.
        """
        said = self.parsed(task).language
        if said:
            return said
        try:
            return self.in_effect(task).kernel.language or "python"
        except KernelError:
            return "python"

    def places(self, task: Task) -> tuple[tuple[int, int | None], ...]:
        """Return position and execution count of each code cell; may raise `NotebookError`."""
        return places(self.parsed(task), injecting=bool(task.parameters))

    def probe(self, task: Task) -> Probe | None:
        """Return what the interpreter of the kernel in effect has, None if it is not Python."""
        return self.in_effect(task).probe

    def level(self, task: Task) -> str:
        """Return how closely to watch a run of `task` (watching/levels.py)."""
        now = self.in_effect(task)
        if now.settings.trace is True and not self._unseen():
            return "syscalls"
        return "python" if now.settings.trace and now.kernel.interpreter is not None else "none"

    def key(self, task: Task, *, overlay: Overlay | None = None, fresh: bool = False) -> ActionKey:
        """Return the action key of `task` as things are now.

        With `overlay`: as they will be once upstream results are put back. With `fresh`: without
        trusting what this build has seen before. May raise `MissingInput`, `NotebookError`,
        `ConfigError` or `KernelError`.
        """
        if fresh:
            self._digests.fresh(f"{self._root}/{task.source}")
            self.look_again(task)
        now = self.in_effect(task)
        parsed, settings, kernel = now.parsed, now.settings, now.kernel
        look = self._digests.fresh if fresh else self._digests.digest
        used = Used(
            assets=self._assets(task, overlay or Overlay(), look),
            modules=self._module_files(task, parsed, settings, look),
            packages=self._packages(task, kernel, now.probe),
            env={name: self._variable(name) for name in task.env},
            files=self._files(task, look),
            commands={command: self._command(command) for command in task.commands},
        )
        return action_key(
            task,
            parsed=parsed,
            settings=settings,
            kernel=kernel,
            probe=now.probe,
            used=used,
            patch=self._project.config.environment.python == "patch",
        )

    def imports(self, text: str) -> list[Import]:
        """Return the absolute imports of the source `text`."""
        found = self.modules.imports(text).found
        return [one for one in found if one.level == 0 and one.module]

    def imported(self, text: str) -> list[str]:
        """Return the dotted names of the modules that the source `text` imports."""
        return [one.module for one in self.imports(text)]

    def check(self, task: Task) -> None:
        """Raise the errors that prevent a key, except about assets; hashes nothing."""
        parsed = self._parsed[task.name] = self.parsed(task)
        looks: list[Callable[[], object]] = [
            lambda: self._packages(task, (now := self.in_effect(task)).kernel, now.probe),
            lambda: self.module_paths(task, parsed, self.settings(task, parsed)),
            lambda: self._files(task, lambda path: None),
            *(partial(self._command, command) for command in task.commands),
        ]
        errors: list[NbbuildError] = []
        for look in looks:
            try:
                look()
            except NbbuildError as error:
                errors.append(error)
        raise_all(errors)

    def asset_paths(self, task: Task, pattern: Pattern) -> list[str]:
        """Return the files that `pattern` matches now, without those that `task` makes."""
        return [path for path in self._walker.match(pattern) if not makes(task, path)]

    def module_paths(self, task: Task, parsed: Parsed, settings: Settings) -> tuple[str, ...]:
        """Return the project files that the declared modules bring in."""
        if not task.modules:
            return ()
        search = list(dict.fromkeys((working_folder(task, settings), *task.python_path, ".")))
        cells = [cell.source for cell in parsed.cells]
        try:
            return self.modules.closure(
                task.modules, search=search, cells=cells, where=task.declared_in
            )
        except ConfigError as error:
            makers = list(self._makers(task.modules, search))
            if not makers:
                raise
            raise ConfigError(
                error.what,
                facts=[*error.facts, *makers],
                hint="modules are looked for before anything runs: keep this one in the project, "
                "or name it in `assets`",
            ) from error

    def _makers(self, modules: Sequence[str], search: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield ("made by", task) for each missing file of `modules` that some task makes."""
        names = [name.replace(".", "/") for name in modules if not name.endswith(".py")]
        paths = [posixpath.normpath(f"{at}/{name}.py") for at in search for name in names]
        paths += [name for name in modules if name.endswith(".py")]
        for path in dict.fromkeys(paths):
            if (self._project.root / path).exists():
                continue
            for maker in self._project.tasks:
                if makes(maker, path):
                    yield "made by", f"{maker.name}, as '{path}'"

    # -- one class each ------------------------------------------------------------------------

    def _assets(
        self, task: Task, overlay: Overlay, look: Callable[[str], Digest | None]
    ) -> dict[str, str]:
        found: dict[str, str] = {}
        for text in task.assets:
            pattern = Pattern.parse(text)
            paths = overlay.paths(self.asset_paths(task, pattern), [pattern])
            if not paths:
                raise MissingInput(
                    f"asset '{text}' of '{task.name}' does not exist",
                    facts=[("declared in", task.declared_in)],
                    hint="the notebook that makes it did not write it",
                )
            for path in paths:
                digest = overlay.digest(path) or look(f"{self._root}/{path}")
                if digest is not None:
                    found[path] = digest
        return found

    def _module_files(
        self,
        task: Task,
        parsed: Parsed,
        settings: Settings,
        look: Callable[[str], Digest | None],
    ) -> dict[str, str]:
        paths = self.module_paths(task, parsed, settings)
        digests = ((path, look(f"{self._root}/{path}")) for path in paths)
        return {path: self._by_lines(path, found) for path, found in digests if found is not None}

    def _by_lines(self, path: str, digest: Digest) -> Digest:
        """Return the digest of a module's lines, whatever they end with."""
        if digest not in self._lines:
            self._lines[digest] = digest_lines(f"{self._root}/{path}", digest)
        return self._lines[digest]

    def _packages(self, task: Task, kernel: Kernel, probe: Probe | None) -> dict[str, str]:
        if not task.packages:
            return {}
        if probe is None:
            common = set(task.packages) <= set(self._project.config.environment.packages)
            raise ConfigError(
                f"packages count for every notebook, but the kernel '{kernel.name}' is not Python"
                if common
                else f"'{task.name}' declares packages, but its kernel '{kernel.name}' "
                "is not Python",
                facts=[("declared in", _ALL_PACKAGES if common else task.declared_in)],
                hint="declare a lock file in [environment] files, "
                "or a command in [environment] commands",
            )
        versions = {
            normalised(name): probe.distributions.get(normalised(name)) for name in task.packages
        }
        raise_all(
            [
                ConfigError(
                    f"package '{name}' is not installed for the kernel '{kernel.name}'",
                    facts=[("declared in", self._declares_package(task, name))],
                    hint=did_you_mean(normalised(name), probe.distributions)
                    or "install it there, or remove it from `packages`",
                )
                for name in task.packages
                if versions[normalised(name)] is None
            ]
        )
        return {name: version for name, version in versions.items() if version is not None}

    def _declares_package(self, task: Task, name: str) -> str:
        """Return where the package `name` is declared, for all tasks or for `task`."""
        config = self._project.config
        if name in config.environment.packages:
            return _ALL_PACKAGES
        entries = (
            entry.where
            for entry in config.notebooks
            if name in entry.packages
            and any(matches(Pattern.parse(entry.path), p) for p in (task.source, *task.paired))
        )
        return f"jcache.toml, {next(entries)}, packages"

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        return UNSET if value is None else secret(name, value)

    def _files(self, task: Task, look: Callable[[str], Digest | None]) -> dict[str, str]:
        if not task.files:
            return {}
        matched = {text: self._walker.match(Pattern.parse(text)) for text in task.files}
        raise_all(
            [
                ConfigError(
                    f"'{text}' does not exist",
                    facts=[("declared in", "jcache.toml, [environment] files")],
                    hint="paths are relative to the folder of jcache.toml",
                )
                for text, paths in matched.items()
                if not paths
            ]
        )
        paths = dict.fromkeys(path for paths in matched.values() for path in paths)
        digests = ((path, look(f"{self._root}/{path}")) for path in paths)
        return {path: digest for path, digest in digests if digest is not None}

    def _command(self, command: str) -> Digest:
        """Return the digest of what `command` prints; each is run once a build."""
        with self._lock:
            if command not in self._commands:
                self._commands[command] = secret(command, self._output(command))
            return self._commands[command]

    def _output(self, command: str) -> str:
        where = [("declared in", "jcache.toml, [environment] commands")]
        try:
            done = subprocess.run(
                command,
                shell=True,
                cwd=self._project.root,
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(
                f"the command '{command}' took more than {COMMAND_SECONDS:.0f} s",
                facts=where,
                hint="its output is needed to judge every notebook: use a quicker one",
            ) from None
        if done.returncode != 0:
            raise ConfigError(
                f"the command '{command}' ended with status {done.returncode}",
                facts=[*where, ("it said", (done.stderr or done.stdout).strip()[-300:])],
                hint="its output counts as an input of every notebook, so it has to work",
            )
        return done.stdout
