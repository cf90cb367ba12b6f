"""What a book says, whatever tool it is written for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ContentsLine:
    """A line of a table of contents: a path, with or without suffix, or a glob of such."""

    text: str  # relative to the folder of the pages
    is_glob: bool = False


@dataclass(frozen=True, slots=True)
class Never:
    """Pages that the tool never executes: a glob from the root of the project, and who says so."""

    text: str
    why: str  # as in "exclude_patterns of _config.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What a book says; `entries` is None when it has no table of contents: then all is in it."""

    named_in: Path
    pages_in: str = ""  # where its pages are, from the folder of `named_in`
    entries: tuple[ContentsLine, ...] | None = None
    exclude: tuple[str, ...] = ()  # globs in the pages' folder, for what it does not name itself
    unseen: tuple[str, ...] = ()  # the same, of what the tool always passes over
    made: tuple[str, ...] = ()  # folders that the tool writes, from the folder of `named_in`
    never: tuple[Never, ...] = ()
    bare_code: bool = False  # a .qmd with cells to execute is a notebook without saying so
    settings_in: str = ""  # the file in which the following stand
    timeout: float | None = None  # seconds a cell, 0 = no limit
    allow_errors: bool | None = None
    cwd: str = ""  # as in jcache.toml
    kernel: str = ""
    kernel_patterns: Mapping[str, str] = field(default_factory=dict)  # expression → kernel
    env: tuple[str, ...] = ()
    off: str = ""  # how it switches execution off as a whole, as in "conf.py has … off"
    notes: tuple[str, ...] = ()  # what a user should know

    @property
    def folder(self) -> Path:
        """The folder to which entries and `exclude` are relative."""
        return self.named_in.parent / self.pages_in
