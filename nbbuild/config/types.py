"""What jcache.toml says, as frozen types; the fields are its tables and keys (DESIGN §3)."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from nbbuild.disk.project_folder import STORE
from nbbuild.model import Parameters, Resources, Settings
from nbbuild.store.remote.signing import PublicKey

DEFAULTS: Final = Settings(
    kernel="",
    timeout=600.0,
    notebook_timeout=0.0,
    allow_errors=False,
    retries=0,
    sandbox=False,
    cwd="notebook",
    trace=True,
    warm="auto",
    cores=0,
)
"""The settings where nobody says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTable:
    """`[project]`: which notebooks, and where their results go. Patterns are in normal form."""

    notebooks: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    output: str = "_build/executed"
    readers: Mapping[str, str] = field(default_factory=dict)  # pattern → name; later ones win
    scratch: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    render: tuple[str, ...] = ()  # "html": what is written beside each built notebook


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionTable:
    """`[execution]`: how notebooks are run; `settings` holds what is said, no defaults."""

    executor: str = "local"
    jobs: int | Literal["auto"] = "auto"
    kernel_aliases: Mapping[str, str] = field(default_factory=dict)
    keep_going: bool = True
    max_memory: int | float = 0.9  # bytes, or as a float a share of all memory
    resources: Resources = field(default_factory=dict)  # the pools: how many there are of each
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentTable:
    """`[environment]`: what counts for every notebook."""

    packages: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    python: Literal["minor", "patch"] = "minor"  # how much of the kernel's Python counts


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTable:
    """`[cache]`: where results are kept."""

    path: str = STORE  # absolute, or relative to the root
    max_size: int = 5_000_000_000  # bytes
    remote: str = ""  # the URL of a shared cache; "" is none
    mode: Literal["auto", "read", "readwrite"] = "auto"  # write where CI and a key are
    heads: tuple[str, ...] = ("{branch}", "main")  # read in this order; pushes go to the first
    public_keys: tuple[PublicKey, ...] = ()  # whose signatures count
    unsigned: bool = False  # whether results without a signature are taken, too
    push_wait: float = 2.0  # seconds for which a build's end may wait for its uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """`[report]`: files written after a build; "" is none."""

    junit: str = ""  # absolute, or relative to the root
    html: str = ""
    markdown: str = ""
    trace: str = ""

    @property
    def wanted(self) -> Mapping[str, str]:
        """Format → where to write it."""
        said = {
            "junit": self.junit,
            "html": self.html,
            "markdown": self.markdown,
            "trace": self.trace,
        }
        return {name: path for name, path in said.items() if path}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTable:
    """`[export]`: what each build hands over to other tools; "" and false are nothing."""

    jupyter_cache: str = ""  # absolute, or relative to the root
    doctrees: tuple[str, ...] = ()  # Sphinx's, beyond those found beside the cache
    mystmd: bool = False

    @property
    def wanted(self) -> bool:
        """Whether a build has to export anything."""
        return bool(self.jupyter_cache or self.mystmd)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyTable:
    """`[verify]`: what `nbbuild verify` sets aside."""

    ignore: tuple[str, ...] = ()  # regular expressions


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookEntry:
    """One `[[notebook]]`: settings for the notebooks that match `path`."""

    where: str  # "[[notebook]] 3", for error messages
    path: str
    name: str = ""
    assets: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    artefacts: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    parameters: Parameters = field(default_factory=dict)
    matrix: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    resources: Resources = field(default_factory=dict)
    max_age: float | None = None  # seconds
    cache: bool | None = None  # None = not said here
    push: bool | None = None  # None = not said here
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole jcache.toml; `root` is the folder it is in, with links resolved."""

    root: Path
    path: Path
    project: ProjectTable = ProjectTable()
    execution: ExecutionTable = ExecutionTable()
    environment: EnvironmentTable = EnvironmentTable()
    cache: CacheTable = CacheTable()
    report: ReportTable = ReportTable()
    export: ExportTable = ExportTable()
    verify: VerifyTable = VerifyTable()
    notebooks: tuple[NotebookEntry, ...] = ()

    @property
    def store(self) -> Path:
        """The folder of the store, absolute."""
        return self.root / self.cache.path

    @property
    def closed(self) -> tuple[Path, ...]:
        """The folders that are nbbuild's to write in, absolute: no glob enters them."""
        given = self.export.jupyter_cache
        return (
            self.root / self.project.output,
            self.store,
            *([self.root / given] if given else []),
        )

    @property
    def closed_inside(self) -> tuple[str, ...]:
        """Those of `closed` that lie in the root, relative to it."""
        relative = (os.path.relpath(folder, self.root) for folder in self.closed)
        return tuple(Path(path).as_posix() for path in relative if not path.startswith(".."))
