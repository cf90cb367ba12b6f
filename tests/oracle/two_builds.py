"""Build one project twice: under strace with nothing watched, and watched as it is by default."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realistic_notebooks import NOTEBOOKS, Realistic, write
from strace_log import CALLS, Event, events

import nbbuild.cli


@dataclass(frozen=True)
class Sides:
    """What strace saw, and what the traces say, by notebook."""

    root: Path  # of the project that was built under strace
    before: dict[str, str]  # path → what lay there: a file's text, "d", or "l target"
    seen: dict[str, list[Event]]
    traces: dict[str, dict[str, Any]]
    base: dict[str, set[str]]  # the top-level modules that each kernel began with


def both(folder: Path, names: Sequence[str], *, settings: str = "") -> Sides:
    """Write the notebooks `names` into two projects and build both; `settings` of the second."""
    notebooks = {name: NOTEBOOKS[name] for name in names}
    straced = _base(folder / "straced", notebooks, settings="trace = false")
    watched = _base(folder / "watched", notebooks, settings=settings)
    before = snapshot(straced)
    log = folder / "strace.log"
    trace, filtering = CALLS
    strace = ["strace", "-f", filtering, "-y", "-s", "200", "-e", f"trace={trace}", "-o", str(log)]
    runs = [
        _start(straced, *strace, *_NBBUILD),
        _start(watched, *_NBBUILD),
    ]
    for run in runs:
        told = run.communicate()[0]
        assert run.returncode == 0, told
    traces = {name: _trace(watched / "project", f"{name}/{name}.ipynb") for name in notebooks}
    root = straced / "project"
    with log.open(encoding="latin-1") as lines:
        seen = events(lines, {str(root / name): name for name in notebooks})
    built = {name: root / f"_build/executed/{name}/{name}.ipynb" for name in notebooks}
    base = {name: _first_output(path) for name, path in built.items()}
    return Sides(root, before, seen, traces, base)


def _first_output(path: Path) -> set[str]:
    cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    return {word for output in cell["outputs"] for word in "".join(output["text"]).split()}


def _trace(project: Path, target: str) -> dict[str, Any]:
    """Return the trace of a notebook that has been built."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        words = ["-C", str(project), "explain", "--json", "-v", target]
        nbbuild.cli.group.main(words, prog_name="nbbuild")
    (explanation,) = json.loads(out.buffer.getvalue())
    assert explanation["verdict"] == "fresh", explanation
    return explanation["trace"]


_NBBUILD = (sys.executable, "-m", "nbbuild")


def _base(base: Path, notebooks: dict[str, Realistic], *, settings: str) -> Path:
    """Make a place that holds the project, a data folder, a home and a folder for temporaries."""
    for name in ("project", "outside", "home", "temporary"):
        (base / name).mkdir(parents=True)
    write(base / "project", notebooks, settings)
    return base


def _start(base: Path, *command: str) -> subprocess.Popen[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("NBBUILD")}
    for name in ("PYTHONDONTWRITEBYTECODE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "IPYTHONDIR"):
        environ.pop(name, None)
    environ |= {
        "HOME": str(base / "home"),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "TMPDIR": str(base / "temporary"),
        "MPLCONFIGDIR": str(base / "home/.plots"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return subprocess.Popen(
        command,
        cwd=base / "project",
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def snapshot(base: Path) -> dict[str, str]:
    """Return what lies in the project and the data folder, links as such."""
    found: dict[str, str] = {}
    for top in (base / "project", base / "outside"):
        for folder, folders, files in os.walk(top):
            for name in [*folders, *files]:
                path = Path(folder, name)
                if path.is_symlink():
                    found[str(path)] = f"l {os.readlink(path)}"
                else:
                    found[str(path)] = "d" if path.is_dir() else "f"
            found[folder] = "d"
    return found
