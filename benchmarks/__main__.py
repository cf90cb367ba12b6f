"""Measure: `python -m benchmarks [NAME…]`; see docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from benchmarks.measure import Failed
from benchmarks.results import Result
from benchmarks.works import WORKS


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--rounds", default=5, show_default=True, help="Runs of each, interleaved.")
@click.option("--work", type=click.Path(path_type=Path), help="Keep the corpora here, and reuse.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures to a file.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the medians to a file.")
def main(
    names: tuple[str, ...], rounds: int, work: Path | None, out: Path | None, picture: Path | None
) -> None:
    """Measure nbbuild and its installed peers on the same work, in turn."""
    unknown = sorted(set(names) - WORKS.keys())
    if unknown:
        raise click.UsageError(f"no such work: {', '.join(unknown)}; there are {', '.join(WORKS)}")
    work = work or Path(tempfile.mkdtemp(prefix="nbbuild-benchmarks-"))
    print(machine())
    results = []
    for name in names or WORKS:
        print(f"\n## {name}: {WORKS[name].__doc__}", flush=True)
        try:
            result = WORKS[name](work.absolute(), rounds)
        except Failed as error:
            print(f"failed: {error}")
            continue
        results.append(result)
        print(table(result), flush=True)
    if out:
        out.write_text(json.dumps([plain(one) for one in results], indent=1), encoding="utf-8")
    if picture:
        draw(results, picture)
    sys.exit(len(results) < len(names or WORKS))


def machine() -> str:
    """Say what this is measured on."""
    python, system = platform.python_version(), f"{platform.system()} {platform.release()}"
    packages = sum(1 for _ in metadata.distributions())
    return (
        f"{os.cpu_count()} cores, {system}, {platform.machine()}, Python {python}, "
        f"{packages} packages installed"
    )


def table(result: Result) -> str:
    """Return the medians and the bars as Markdown tables."""
    first = result.contenders[0]
    lines = [
        "",
        "| | wall (min-max) | ratio | CPU | peak memory |",
        "|---|---|---|---|---|",
    ]
    for one in result.contenders:
        low, high = min(run.wall for run in one.runs), max(run.wall for run in one.runs)
        lines.append(
            f"| {one.name} | {one.wall:.3f} s ({low:.3f}-{high:.3f}) | {one.wall / first.wall:.2f} "
            f"| {one.cpu:.2f} s | {one.peak / 1e6:.0f} MB |"
        )
    lines += ["", "| bar | figure | limit | |", "|---|---|---|---|"]
    lines += [
        f"| {bar.what} | {bar.value:.4g} {bar.unit} | {bar.limit:.3g} | "
        f"{'met' if bar.met else 'not met'} |"
        for bar in result.bars
    ]
    return "\n".join(lines)


def plain(result: Result) -> dict[str, Any]:
    """Return a result as JSON takes it."""
    return {
        "work": result.work,
        "contenders": [
            {"name": one.name, "wall": one.wall, "cpu": one.cpu, "peak": one.peak}
            for one in result.contenders
        ],
        "bars": [
            {"what": bar.what, "value": bar.value, "limit": bar.limit, "met": bar.met}
            for bar in result.bars
        ],
    }


def draw(results: list[Result], out: Path) -> None:
    """Draw the medians of each work as bars."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        len(results), 1, figsize=(8, 0.6 + 0.9 * sum(2 for _ in results)), squeeze=False
    )
    for axis, result in zip(axes[:, 0], results, strict=True):
        names = [one.name for one in reversed(result.contenders)]
        walls = [one.wall for one in reversed(result.contenders)]
        colours = ["#1f6feb" if name.startswith("nbbuild") else "#b0b7c3" for name in names]
        bars = axis.barh(names, walls, color=colours)
        axis.bar_label(bars, [f"{wall:.2f} s" for wall in walls], padding=3)
        axis.set_title(result.work, loc="left", fontsize=10)
        axis.margins(x=0.12)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
