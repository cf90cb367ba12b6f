"""Find the folders of a project in which a module of Python lies."""

from __future__ import annotations

import posixpath

from nbbuild.paths.walk import Walker

_PACKAGE = "__init__.py"


def folders_with(walker: Walker, name: str) -> list[str]:
    """Return the folders, root-relative, that `import NAME` needs on sys.path; "." is the root.

    A folder that is itself a package is none: what is in it has another name.
    """
    if not name.isidentifier():
        return []
    modules = walker.match(f"**/{name}.py")
    packages = map(posixpath.dirname, walker.match(f"**/{name}/{_PACKAGE}"))
    found = {posixpath.dirname(path) for path in (*modules, *packages)}
    return sorted(folder or "." for folder in found if not _is_package(walker, folder))


def _is_package(walker: Walker, folder: str) -> bool:
    return any(entry.name == _PACKAGE for entry in walker.entries(folder))
