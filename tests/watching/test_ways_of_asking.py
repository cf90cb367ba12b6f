"""One way of asking, one edit: exactly the notebooks whose answers changed run again.

All ways of a level are built together, each in a folder of its own (ways.py).
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass

import msgspec
import pytest
from ways import OUTSIDE, PLAIN, SPARE, SPARE_OUTSIDE, Place, Way

from nbbuild.disk.locks import lock
from nbbuild.watching import seccomp

LEVELS = {
    "everything": ("", {**PLAIN, **OUTSIDE}, {**SPARE, **SPARE_OUTSIDE}),
    "python": ('[execution]\ntrace = "python"', PLAIN, SPARE),
}


def folder(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower())


@dataclass
class Asked:
    """Which ways ran (their folders) in each build, and what their notebooks showed."""

    unchanged: set[str]
    needless: set[str]
    edited: set[str]
    before: dict[str, str]
    after: dict[str, str]


class Level:
    """Builds all ways of a level when the first of them is asked for."""

    def __init__(self, name, project_class, root):
        self.settings, self.ways, self.spare = LEVELS[name]
        self.project = project_class(root, {})
        self.places = {}

    def build(self):
        return {name.partition("/")[0] for name in self.project.build()}

    def shown(self):
        return {name: self.project.shown(f"{folder(name)}/nb.ipynb") for name in self.ways}

    def run(self):
        ways: dict[str, Way] = {**self.ways, **{f"spare {n}": way for n, way in self.spare.items()}}
        self.project.config(self.settings)
        for name, way in ways.items():
            self.places[name] = Place(self.project.root / folder(name))
            self.project.notebook(f"{folder(name)}/nb.ipynb", way.cell)
            way.set_out(self.places[name])
        assert self.build() == set(map(folder, ways))
        before = self.shown()
        unchanged = self.build()
        self.touch()
        for name, way in self.spare.items():
            way.edit(self.places[f"spare {name}"])
        needless = self.build()
        for name, way in self.ways.items():
            way.edit(self.places[name])
        edited = self.build()
        return Asked(unchanged, needless, edited, before, self.shown())

    def touch(self):
        """Give each file and link a new time."""
        for place in self.places.values():
            for path in place.folder.rglob("*"):
                os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)

    def close(self):
        for place in self.places.values():
            for one in place.held:
                one.close()


@pytest.fixture(scope="module")
def levels(project_class, tmp_path_factory):
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with pytest.MonkeyPatch.context() as patch:
        made = {}
        for name in LEVELS:
            root = tmp_path_factory.mktemp(name) / "project"
            root.mkdir()
            made[name] = Level(name, project_class, root)
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.delenv("NBBUILD_CACHE", raising=False)

        def run(name):
            level = made[name]
            patch.setenv("RUN_LOG", str(level.project.log))
            patch.chdir(level.project.root)
            return level.run()

        @functools.cache
        def asked(name):
            """Return what a level came to; one process of `pytest -n 2` builds it for all."""
            told = shared / f"ways of asking {name}.json"
            with lock(told.with_suffix(".lock")):
                if not told.exists():
                    told.write_bytes(msgspec.json.encode(run(name)))
            return msgspec.json.decode(told.read_bytes(), type=Asked)

        yield asked
        for level in made.values():
            level.close()


def cases(part):
    return list(_cases(part))


def _cases(part):
    for level, (_, ways, spare) in LEVELS.items():
        blind = level == "everything" and seccomp.unavailable()
        marks = pytest.mark.skipif(bool(blind), reason=str(blind))
        for name in ways if part == "ways" else spare:
            yield pytest.param(level, name, id=f"{level}: {name}", marks=marks)


@pytest.mark.parametrize(("level", "name"), cases("ways"))
def test_a_notebook_runs_again_once_what_it_asked_is_answered_otherwise(levels, level, name):
    asked = levels(level)
    assert folder(name) not in asked.unchanged, "it ran although nothing had changed"
    assert folder(name) not in asked.needless, "it ran although only times had changed"
    assert folder(name) in asked.edited
    assert asked.after[name] != asked.before[name]  # else the case itself tells nothing


@pytest.mark.parametrize(("level", "name"), cases("spare"))
def test_what_no_notebook_asked_for_runs_none(levels, level, name):
    asked = levels(level)
    mine = folder(f"spare {name}")
    assert mine not in asked.unchanged, "it ran although nothing had changed"
    assert mine not in asked.needless
    assert mine not in asked.edited
