"""How each tool is told to do the same work; one that is not installed is left out."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = Path(sysconfig.get_path("scripts"))


def program(name: str) -> str | None:
    """Return a program of this environment, or else one on PATH."""
    return shutil.which(name, path=str(SCRIPTS)) or shutil.which(name)


def installed(module: str) -> bool:
    """Whether a module can be imported here."""
    return importlib.util.find_spec(module) is not None


def nbbuild(*words: str) -> list[str]:
    """Return the command of nbbuild."""
    return [program("nbbuild") or "nbbuild", *words]


def jupyter_cache(cache: Path) -> list[str] | None:
    """Return jupyter-cache's own command to execute what changed, in parallel."""
    if (jcache := program("jcache")) is None:
        return None
    return [jcache, "project", "-p", str(cache), "execute", "-e", "local-parallel"]


def nbmake(paths: Sequence[Path], *, jobs: int) -> list[str] | None:
    """Return the command that executes notebooks as tests."""
    if not (installed("nbmake") and installed("xdist")):
        return None
    words = ["-q", "--nbmake", f"-n{jobs}", "-p", "no:cacheprovider", "-p", "no:cov"]
    return [sys.executable, "-m", "pytest", *words, *map(str, paths)]


def papermill(paths: Sequence[Path], out: Path, *, jobs: int) -> list[str] | None:
    """Return a loop over papermill's command, `jobs` at a time."""
    mill = program("papermill")
    if mill is None or shutil.which("xargs") is None:
        return None
    names = " ".join(str(path) for path in paths)
    each = f'{mill} --no-progress-bar "$0" {out}/$(basename "$0")'
    return ["sh", "-c", f"echo {names} | xargs -n1 -P{jobs} sh -c '{each}'"]


def plain_python(paths: Sequence[Path], *, jobs: int) -> list[str]:
    """Return a loop that runs the notebooks' code without any kernel: the floor."""
    each = (
        "import json,sys; "
        "exec(chr(10).join(''.join(c['source']) for c in json.load(open(sys.argv[1]))['cells']))"
    )
    names = " ".join(str(path) for path in paths)
    return ["sh", "-c", f'echo {names} | xargs -n1 -P{jobs} {sys.executable} -c "{each}"']


def nbclient(paths: Sequence[Path], *, jobs: int) -> list[str]:
    """Return a program that executes notebooks with stock nbclient, `jobs` at a time."""
    return [sys.executable, str(HERE / "stock.py"), str(jobs), *map(str, paths)]


def own(out: Path, *words: str) -> list[str]:
    """Return nbbuild's command, which also writes the CPU seconds of its own process to `out`."""
    return [sys.executable, str(HERE / "own.py"), str(out), *words]


# -- nothing to do -----------------------------------------------------------------------------


def doit(root: Path, paths: Sequence[Path]) -> list[str]:
    """Write a dodo.py of one file task each, and return the command."""
    names = [path.relative_to(root).as_posix() for path in paths]
    (root / "dodo.py").write_text(
        f"NAMES = {names!r}\n"
        "def task_touch():\n"
        "    for name in NAMES:\n"
        "        yield {'name': name, 'file_dep': [name], 'targets': ['done/' + name],\n"
        "               'actions': [f'mkdir -p $(dirname done/{name}) && touch done/{name}']}\n",
        encoding="utf-8",
    )
    return [program("doit") or "doit", "-v0"]


def make(root: Path, paths: Sequence[Path]) -> list[str] | None:
    """Write a Makefile of one rule each, and return the command."""
    if (tool := shutil.which("make")) is None:
        return None
    names = [path.relative_to(root).as_posix() for path in paths]
    rules = [
        f"done/{name}: {name}\n\t@mkdir -p $(dir done/{name}) && touch done/{name}"
        for name in names
    ]
    targets = " ".join(f"done/{name}" for name in names)
    (root / "Makefile").write_text("\n".join([f"all: {targets}", *rules, ""]), encoding="utf-8")
    return [tool]


def ninja(root: Path, paths: Sequence[Path]) -> list[str] | None:
    """Write a build.ninja of one edge each, and return the command."""
    if (tool := program("ninja")) is None:
        return None
    names = [path.relative_to(root).as_posix() for path in paths]
    edges = [f"build done/{name}: touch {name}" for name in names]
    rule = "rule touch\n  command = touch $out"
    (root / "build.ninja").write_text("\n".join([rule, *edges, ""]), encoding="utf-8")
    return [tool, "--quiet"]


def snakemake(root: Path, paths: Sequence[Path]) -> list[str] | None:
    """Write a Snakefile of one wildcard rule, and return the command."""
    if (tool := program("snakemake")) is None:
        return None
    names = [path.relative_to(root).as_posix() for path in paths]
    (root / "Snakefile").write_text(
        f"NAMES = {names!r}\n"
        "rule all:\n    input: ['done/' + name for name in NAMES]\n"
        "rule touch:\n    input: '{name}'\n    output: touch('done/{name}')\n",
        encoding="utf-8",
    )
    return [tool, "--quiet", "all", "--cores", "2"]
