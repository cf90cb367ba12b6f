"""The examples are in order as files: clean sources, and tables that name what is there."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from nbbuild.config import load as config

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICKSTART, BOOK = EXAMPLES / "quickstart", EXAMPLES / "book"
NOTEBOOKS = sorted(
    path
    for path in EXAMPLES.rglob("*.ipynb")
    if not {"_build", ".nbbuild"} & set(path.relative_to(EXAMPLES).parts)
)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_sources_hold_no_outputs_but_those_of_skipped_cells(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        skipped = "skip-execution" in cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code" and not skipped:
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.parametrize("project", [QUICKSTART, BOOK], ids=lambda path: path.name)
def test_configurations_are_valid_and_name_sources_that_exist(project: Path) -> None:
    loaded = config.load(project / "jcache.toml")
    assert loaded.project.output == "_build/executed"
    for entry in loaded.notebooks:
        assert (project / entry.path).is_file()


def test_the_invented_readings_cover_one_year_of_three_towns() -> None:
    with (QUICKSTART / "data/temperatures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    months = [f"2025-{month:02d}" for month in range(1, 13)]
    assert [(row["town"], row["month"]) for row in rows] == [
        (town, month) for town in ("Eastmere", "Holtvale", "Sandry") for month in months
    ]
    assert "invented" in (QUICKSTART / "README.md").read_text()


def test_both_tables_of_contents_of_the_book_name_its_chapters() -> None:
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text())
    myst = yaml.safe_load((BOOK / "myst.yml").read_text())
    pages = [toc["root"], *(chapter["file"] for chapter in toc["chapters"])]
    files = [entry["file"] for entry in myst["project"]["toc"]]
    assert [file.rpartition(".")[0] for file in files] == pages
    assert all((BOOK / file).is_file() for file in files)
    assert set(files) == {"intro.md"} | {
        f"chapters/{path.name}" for path in (BOOK / "chapters").iterdir() if path.is_file()
    }
