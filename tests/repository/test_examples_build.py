"""The examples build, in order, and a second build runs nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nbbuild
from nbbuild import OutcomeKind

EXAMPLES = Path(__file__).parents[2] / "examples"
MADE = {"quickstart": ("build", "figures"), "book": ("data",)}


@pytest.fixture
def copied(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The example that the test names, in a folder of its own."""
    name = request.param
    made = shutil.ignore_patterns("_build", ".nbbuild", "__pycache__", *MADE[name])
    return Path(shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=made))


def build(project: Path) -> dict[str, list[str]]:
    """Build `project`; return what became of its tasks, outcome → names."""
    with nbbuild.open_session(project) as session:
        report = nbbuild.build(session, jobs=2)
    became: dict[str, list[str]] = {}
    for outcome in report.outcomes:
        assert outcome.failure is None, outcome.failure
        became.setdefault(outcome.kind.value, []).append(outcome.task)
    return {kind: sorted(names) for kind, names in became.items()}


def shown(project: Path, name: str) -> str:
    """Return the text of all outputs of a built notebook."""
    notebook = json.loads((project / "_build/executed" / name).read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    texts = [output.get("text", output.get("evalue", "")) for output in outputs]
    return "".join("".join(text) for text in texts)


@pytest.mark.slow
@pytest.mark.parametrize("copied", ["quickstart"], indirect=True)
def test_the_quickstart_tells_its_story(copied: Path) -> None:
    tasks = ["notebooks/check.py", "notebooks/prepare.ipynb", "notebooks/report.md"]
    assert build(copied) == {OutcomeKind.EXECUTED.value: tasks}
    assert shown(copied, "notebooks/check.ipynb").endswith("missing: [('Holtvale', '2025-11')]\n")
    assert "Sandry: summer, 20.5 °C\n" in shown(copied, "notebooks/report.ipynb")
    assert (copied / "figures/seasons.png").read_bytes().startswith(b"\x89PNG")
    assert build(copied) == {"fresh": tasks}

    (copied / "figures/seasons.png").unlink()
    assert build(copied) == {"fresh": tasks[:2], "restored": tasks[2:]}

    report = copied / "notebooks/report.md"
    report.write_text(report.read_text().replace("One line for each town", "A line a town"))
    assert build(copied) == {"fresh": tasks[:2], "refreshed": tasks[2:]}

    words = [sys.executable, "-m", "pytest", "--nbbuild", "-q", "-rP"]
    tested = subprocess.run(words, cwd=copied, capture_output=True, text=True, check=False)
    assert tested.stdout.splitlines()[-1].startswith("3 passed in "), tested.stdout


@pytest.mark.parametrize("copied", ["book"], indirect=True)
def test_the_book_is_built_chapter_by_chapter(copied: Path) -> None:
    tasks = [
        "chapters/arrivals.ipynb",
        "chapters/comparison.md",
        "chapters/further.ipynb",
        "chapters/mistakes.md",
        "chapters/one-counter.md",
        "several",
        "several-counters-3",
        "several-counters-4",
    ]
    assert build(copied) == {"executed": tasks}
    assert shown(copied, "chapters/one-counter.ipynb") == "mean wait 4.34 min, longest 13.21 min\n"
    assert shown(copied, "chapters/several-counters-3.ipynb").startswith("3 counters: mean wait")
    bars = shown(copied, "chapters/comparison.ipynb").splitlines()
    assert [bar[:10] for bar in bars] == [f"{number} counters" for number in (1, 2, 3, 4)]
    assert shown(copied, "chapters/mistakes.ipynb") == "a desk needs at least one counter"
    # The long cell is skipped and keeps what the source holds; the short one runs.
    assert shown(copied, "chapters/further.ipynb") == "6.21 ± 3.73 min\n6.38 ± 3.45 min\n"
    assert build(copied) == {"fresh": tasks}
