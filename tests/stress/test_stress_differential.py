"""After any edit, a build shows what a build without a cache would show, and runs little more."""

import json
import os
import random
import shutil
from collections import Counter

import pytest
from forked_kernels import build, forking, real_kernels
from random_projects import NEUTRAL, VARIABLES, RandomProject

from nbbuild.store import DiskStore

_EDITS_EACH = 40  # of one project
REAL = int(os.environ.get("NBBUILD_STRESS_REAL", "20"))
"""One build in so many has real kernels; 0: none has."""


def shown(root, project):
    """Return what each built notebook shows, None where there is none; and the artefact."""
    found = {}
    for name in project.order:
        place = root / "_build/executed" / name
        found[name] = None
        if place.exists():
            cells = [c for c in json.loads(place.read_text())["cells"] if c["cell_type"] == "code"]
            texts = ["".join(out["text"]) for cell in cells for out in cell["outputs"]]
            found[name] = "".join("".join(text) for text in texts)
    made = root / "out/made.txt"
    found["out/made.txt"] = made.read_text() if made.exists() else None
    return found


def clean(forks, project, folder):
    """Return what a build without a cache comes to; None for what fails or lacks its input."""
    project.clean_copy(folder)
    found = {}
    for name in project.order:
        texts, failure = forks.run(
            folder, {**os.environ, **project.environ}, project.notebooks[name]
        )
        found[name] = None if failure else "".join(texts)
        if name == "maker.ipynb" and failure:
            shutil.rmtree(folder / "out", ignore_errors=True)
    made = folder / "out/made.txt"
    found["out/made.txt"] = made.read_text() if made.exists() else None
    return found


def levels(root, outcomes, ran):
    """Return how closely each of `ran` was watched."""
    kept = {outcomes[name]["record"] for name in ran}
    store = DiskStore(root / ".nbbuild/store")
    return [one.trace.level for one in store.all_records() if one.id in kept]


class Tally:
    def __init__(self):
        self.edits = self.builds = self.executed = self.same = self.failed = 0
        self.real = self.in_kernels = 0
        self.levels = Counter()  # of what ran in kernels: how closely it was watched
        self.wrong, self.needless = [], []

    def __str__(self):
        return (
            f"{self.edits} edits, {self.builds} builds, {self.real} with real kernels: "
            f"{self.executed} executed ({self.in_kernels} in kernels: {dict(self.levels)}), "
            f"of which {self.same} came to the same as before; {self.failed} failed; "
            f"{len(self.wrong)} wrong, {len(self.needless)} needless"
        )


def differ(folder, forks, patch, *, edits, seed):
    """Edit and build random projects; hold each build against a clean one."""
    tally, number = Tally(), 0
    while tally.edits < edits:
        number += 1
        chance, kernels = random.Random(f"{seed} {number}"), random.Random(f"real {seed} {number}")
        root = folder / f"p{number}"
        root.mkdir()
        project, before = RandomProject(root, chance), {}
        for step in range(min(_EDITS_EACH, edits - tally.edits) + 1):
            done = [project.edit() for _ in range(chance.choice((1, 1, 1, 2, 4)))] if step else []
            for name in VARIABLES:
                patch.delenv(name, raising=False)
            for name, value in project.environ.items():
                patch.setenv(name, value)
            real = REAL > 0 and kernels.randrange(REAL) == 0
            with real_kernels(wanted=real):
                status, outcomes, said = build(root)
            tally.edits += len(done)
            tally.builds += 1
            want, have = clean(forks, project, folder / "clean"), shown(root, project)
            where = f"seed {seed}, project {number}, step {step}, {done}{', real' * real}"
            if status not in (0, 1) or "itself failed" in said:
                tally.wrong.append(f"{where}: status {status}\n{said}")
            for name in [*project.order, "out/made.txt"]:
                kind = outcomes.get("maker.ipynb" if "/" in name else name, {}).get("kind")
                # What could not be built may stay as it was, and is said to be so.
                due = None if kind in ("failed", "blocked") else have[name]
                if due != want[name]:
                    tally.wrong.append(
                        f"{where}: {name} ({kind}): {have[name]!r}, not {want[name]!r}"
                    )
            ran = [name for name, one in outcomes.items() if one["kind"] == "executed"]
            tally.executed += len(ran)
            tally.real += real
            tally.in_kernels += len(ran) * real
            if real:
                tally.levels.update(levels(root, outcomes, ran))
            tally.failed += sum(one["kind"] == "failed" for one in outcomes.values())
            same = [name for name in ran if before.get(name) == have[name]]
            tally.same += len(same)
            if done and same and all(one.startswith(NEUTRAL) for one in done):
                reasons = {name: outcomes[name]["reasons"] for name in same}
                tally.needless.append(f"{where}: {reasons}")
            before = have
        shutil.rmtree(root)
    return tally


@pytest.fixture
def forks(monkeypatch, tmp_path):
    monkeypatch.delenv("NBBUILD_CACHE", raising=False)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    with forking(monkeypatch) as made:
        yield made


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(40, id="small"),
        pytest.param(
            int(os.environ.get("NBBUILD_STRESS_EDITS", "10000")),
            id="full",
            marks=pytest.mark.stress,
        ),
    ],
)
def test_no_build_differs_from_a_clean_one(edits, forks, tmp_path, monkeypatch):
    """NBBUILD_STRESS_EDITS, _SEED and _REAL choose how many, which, and how many in kernels."""
    seed = int(os.environ.get("NBBUILD_STRESS_SEED", "1"))
    tally = differ(tmp_path, forks, monkeypatch, edits=edits, seed=seed)
    print(tally)
    assert tally.wrong == []
    assert tally.needless == []
