"""Find what a dotted name would import, as Python's path finder does, without importing it.

A `Resolver` looks at each folder on the disk only once, so that many questions cost few listings.
An entry of the path may also be a zip file, or a folder in one. Packages' own finders are not
followed: what only they can find is not found.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Sequence

DEFAULT_SUFFIXES = (".so", ".py", ".pyc")
"""The endings of module files, in the order in which Python looks."""


class Resolver:
    """Resolves names in folders, as the disk is now; call `forget` to look again."""

    def __init__(self, suffixes: Sequence[str] = ()) -> None:
        self._suffixes = tuple(suffixes) or DEFAULT_SUFFIXES
        self._names: dict[str, frozenset[str]] = {}
        self._no_files: set[str] = set()  # fitting names: folders, and links that lead nowhere
        self._archives: dict[str, frozenset[str]] = {}  # zip file → the files in it

    def find(self, name: str, path: Sequence[str]) -> str | None:
        """Return what importing `name` would run; None if it is not found.

        `path` holds absolute folders, as sys.path does. The answer is a file, or a folder for a
        namespace package (its first portion).
        """
        folders: Sequence[str] = path
        found: str | None = None
        for part in name.split("."):
            found = None
            portions: list[str] = []
            for folder in folders:
                found = self._in(folder, part)
                if found is not None:
                    break
                inside = os.path.join(folder, part)  # noqa: PTH118
                if part in self._listing(folder) and self._is_folder(inside):
                    portions.append(inside)
            if found is not None:
                is_package = os.path.basename(found).startswith("__init__.")  # noqa: PTH119
                folders = [os.path.dirname(found)] if is_package else []  # noqa: PTH120
            elif portions:
                found, folders = portions[0], portions
            else:
                return None
        return found

    @property
    def listed(self) -> Collection[str]:
        """The folders looked into so far, including missing ones, and names that were no files."""
        return self._names.keys() | self._no_files

    def forget(self) -> None:
        """Look at the disk again from now on."""
        self._names.clear()
        self._no_files.clear()
        self._archives.clear()

    def _in(self, folder: str, name: str) -> str | None:
        """Return the package or module `name` in one folder."""
        names = self._listing(folder)
        if name in names:
            inside = os.path.join(folder, name)  # noqa: PTH118
            package = self._listing(inside)
            for suffix in self._suffixes:
                if f"__init__{suffix}" in package:
                    found = os.path.join(inside, f"__init__{suffix}")  # noqa: PTH118
                    if self._is_file(found):
                        return found
        for suffix in self._suffixes:
            if f"{name}{suffix}" in names:
                found = os.path.join(folder, f"{name}{suffix}")  # noqa: PTH118
                if self._is_file(found):
                    return found
        return None

    def _is_file(self, path: str) -> bool:
        """Whether a path with a fitting name is a file; Python asks that too."""
        if os.path.isfile(path) or self._is_archived(path):  # noqa: PTH113
            return True
        self._no_files.add(path)
        return False

    def _is_folder(self, path: str) -> bool:
        if os.path.isdir(path):  # noqa: PTH112
            return True
        archive, inside = _in_archive(path)
        return bool(archive) and f"{inside}/" in self._files_of(archive)

    def _listing(self, folder: str) -> frozenset[str]:
        names = self._names.get(folder)
        if names is None:
            try:
                names = frozenset(os.listdir(folder or "."))  # noqa: PTH208
            except NotADirectoryError:
                names = self._archived(folder)
            except OSError:
                names = frozenset()
            self._names[folder] = names
        return names

    # Zip files, from which Python imports source and bytecode (zipimport).

    def _archived(self, folder: str) -> frozenset[str]:
        """Return the names in a folder that is a zip file, or is inside one."""
        archive, inside = _in_archive(folder)
        if not archive:
            return frozenset()
        start = f"{inside}/" if inside else ""
        files = self._files_of(archive)
        return frozenset(
            file[len(start) :].partition("/")[0] for file in files if file.startswith(start)
        )

    def _is_archived(self, path: str) -> bool:
        if not path.endswith((".py", ".pyc")):
            return False
        archive, inside = _in_archive(path)
        return bool(archive) and inside in self._files_of(archive)

    def _files_of(self, archive: str) -> frozenset[str]:
        """Return a zip file's files, and its folders with a slash; none if it is no zip file."""
        files = self._archives.get(archive)
        if files is None:
            from zipfile import BadZipFile, ZipFile

            try:
                with ZipFile(archive) as opened:
                    files = frozenset(opened.namelist())
            except (OSError, BadZipFile, ValueError, NotImplementedError):
                files = frozenset()
            self._archives[archive] = files
        return files


def _in_archive(path: str) -> tuple[str, str]:
    """Return the file that `path` leads through, and the rest of the path; "" and "" if none."""
    archive, rest = path, ""
    while not os.path.isfile(archive):  # noqa: PTH113
        above, name = os.path.split(archive)
        if above == archive or not above:
            return "", ""
        archive, rest = above, posixpath.join(name, rest) if rest else name
    return archive, rest
