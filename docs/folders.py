"""Draw which folder of nbbuild imports which: `python docs/folders.py` writes docs/folders.svg.

The rows are the layers of the import contract in pyproject.toml, so that every arrow points down.
`python docs/folders.py REVISION FILE` draws an earlier state of the repository to FILE.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
ROW, BOX, GAP, HEIGHT, LEAST = 74, 108, 26, 30, 760


def layers(root: Path = ROOT) -> list[list[str]]:
    """Return the folders and modules right below nbbuild, row by row, from the top."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    rows = contracts["tool"]["importlinter"]["contracts"][0]["layers"]
    return [row.split(" | ") for row in rows]


def imports(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Yield (importer, imported), as the parts right below nbbuild."""
    package = root / "nbbuild"
    for path in package.rglob("*.py"):
        importer = path.relative_to(package).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            words = node.module.split(".")
            if words[0] != "nbbuild":
                continue
            found = words[1:2] or [alias.name for alias in node.names]
            yield from ((importer, one) for one in found if one != importer)


def drawing(root: Path = ROOT) -> str:
    """Return the picture as SVG."""
    rows = layers(root)
    width = max(LEAST, *(len(row) * (BOX + GAP) + GAP for row in rows))
    places: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        left = (width - len(row) * BOX - (len(row) - 1) * GAP) / 2
        for place, name in enumerate(row):
            places[name] = (left + place * (BOX + GAP), 20.0 + number * ROW)
    height = 20 + len(rows) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for importer, imported in sorted(set(imports(root))):
        if importer in places and imported in places:
            lines.append(_arrow(places[importer], places[imported]))
    for name, (x, y) in places.items():
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{BOX}" height="{HEIGHT}" rx="5" '
            'fill="#eef3fb" stroke="#35618e"/>'
        )
        lines.append(
            f'<text x="{x + BOX / 2:g}" y="{y + HEIGHT / 2 + 5:g}" '
            f'text-anchor="middle">{name}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    x1, y1, x2 = x1 + BOX / 2, y1 + HEIGHT, x2 + BOX / 2
    colour = "#b9c4d0" if y2 > y1 else "#cc0000"  # no arrow points up
    bend = (y1 + y2) / 2
    return (
        f'<path d="M{x1:g} {y1:g} C{x1:g} {bend:g} {x2:g} {bend:g} {x2:g} {y2:g}" '
        f'fill="none" stroke="{colour}"/>'
    )


def drawing_of(revision: str) -> str:
    """Return the picture of an earlier state, which git knows as `revision`."""
    archive = subprocess.run(
        ["git", "archive", revision, "nbbuild", "pyproject.toml"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder)
        return drawing(Path(folder))


if __name__ == "__main__":
    if sys.argv[1:]:
        Path(sys.argv[2]).write_text(drawing_of(sys.argv[1]), encoding="utf-8")
    else:
        (ROOT / "docs/folders.svg").write_text(drawing(), encoding="utf-8")
