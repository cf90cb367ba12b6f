"""What watching costs: the same notebooks with `trace = false`, "python" and true, in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path

from benchmarks import corpora, peers
from benchmarks.measure import Failed

WAYS = {"false": "false", "python": '"python"', "true": "true"}

_IMPORTS = "import numpy as np, pandas as pd"
_SOME_WORK = (
    "rng = np.random.default_rng(1)\n"
    "for _ in range({n}):\n    a = rng.random((400, 400)); b = (a @ a.T).sum()\nround(b)"
)
_PLOT = "import matplotlib.pyplot as plt"
_READ_CSV = "df = pd.concat(pd.read_csv(f'data/{i}.csv') for i in range(20)); len(df)"

REALISTIC: dict[str, list[str]] = {
    "pandas": [_IMPORTS, _READ_CSV, "df.groupby('k').v.agg(['mean', 'std'])", "work"],
    "plots": [
        _IMPORTS,
        _PLOT,
        _READ_CSV,
        "df.v.plot()",
        "df.v.hist()",
        "df.plot.scatter('k', 'v')",
    ],
    "parquet": [
        _IMPORTS,
        _READ_CSV,
        "df.to_parquet('out-NAME/all.parquet')",
        "back = pd.read_parquet('out-NAME/all.parquet'); len(back)",
        "pd.read_parquet('data/set').v.sum().round(3)",
        "work",
    ],
    "small-files": [
        "from pathlib import Path\nimport json",
        "texts = [p.read_text() for p in sorted(Path('many').glob('*.json'))]; len(texts)",
        "sum(json.loads(t)['v'] for t in texts)",
        "import time\nt = time.monotonic() + 1\nwhile time.monotonic() < t: sum(range(1000))",
    ],
    "walk": [
        "import os\nn = sum(len(f) for _, _, f in os.walk('many'))\nn",
        "total = sum(os.path.getsize(e.path) for e in os.scandir('many'))\ntotal > 0",
        "import time\nt = time.monotonic() + 1\nwhile time.monotonic() < t: sum(range(1000))",
    ],
    "shell": [
        "!cat data/1.csv | wc -l",
        "!for i in 1 2 3 4 5; do grep -c 1 data/$i.csv; done",
        "!ls -l data | head -3",
        "import time\nt = time.monotonic() + 1\nwhile time.monotonic() < t: sum(range(1000))",
    ],
    "child-python": [
        "import subprocess, sys",
        "code = 'import json, csv; print(len(list(csv.reader(open(\"data/1.csv\")))))'",
        "subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout",
        "import time\nt = time.monotonic() + 1\nwhile time.monotonic() < t: sum(range(1000))",
    ],
    "sqlite": [
        _IMPORTS,
        "import sqlite3\ncon = sqlite3.connect('out-NAME/a.db')",
        "pd.DataFrame({'a': range(2000)}).to_sql('t', con, if_exists='replace')",
        "pd.read_sql('select sum(a) s from t', con).s[0]",
        "con.close()",
        "work",
    ],
    "module": [
        "import helper",
        "helper.table(300)",
        _IMPORTS,
        "work",
    ],
    "arrays": [
        _IMPORTS,
        "np.save('out-NAME/x.npy', np.arange(1e6))",
        "np.load('out-NAME/x.npy').sum()",
        "work",
    ],
}
"""Ten notebooks of about a second: name → cells; "work" is most of a second of arithmetic."""

EXTREME: dict[str, list[str]] = {
    "import pandas": ["import pandas"],
    "5,000 opens in C": [
        "import ctypes\nlibc = ctypes.CDLL(None)",
        "for i in range(5000):\n    libc.close(libc.open(b'data/%d.csv' % (i % 20), 0))",
    ],
    "pandas in a child": [
        "import subprocess, sys",
        "subprocess.run([sys.executable, '-c', 'import pandas'], check=True).returncode",
    ],
    "pandas in a python -I": [
        "import subprocess, sys",
        "subprocess.run([sys.executable, '-I', '-c', 'import pandas'], check=True).returncode",
    ],
    "nothing": ["1"],
}
"""What costs most for what it does, and least."""


def make(root: Path, notebooks: dict[str, list[str]], *, way: str, warm: str) -> None:
    """Write a project of `notebooks`, watched in one way."""
    (root / "many").mkdir(parents=True, exist_ok=True)
    (root / "data/set").mkdir(parents=True, exist_ok=True)
    for number in range(300):
        (root / f"many/{number}.json").write_text(json.dumps({"v": number}))
    for number in range(20):
        rows = "\n".join(f"{n % 7},{n * number}" for n in range(500))
        (root / f"data/{number}.csv").write_text(f"k,v\n{rows}\n")
    frame = "import pandas as pd\nfor i in range(8): pd.DataFrame({'v': range(i, 99)})"
    write = f"{frame}.to_parquet(f'data/set/{{i}}.parquet')"
    subprocess.run([peers.program("python") or "python", "-c", write], cwd=root, check=True)
    (root / "helper.py").write_text("def table(n): return sum(i * i for i in range(n))\n")
    for title, sources in notebooks.items():
        name = title.replace(" ", "-")
        (root / f"out-{name}").mkdir(exist_ok=True)
        cells = [_SOME_WORK.format(n=450) if cell == "work" else cell for cell in sources]
        cells = [cell.replace("out-NAME", f"out-{name}") for cell in cells]
        (root / f"{name}.ipynb").write_text(corpora.notebook(cells))
    (root / "jcache.toml").write_text(
        f'[project]\nnotebooks = ["*.ipynb"]\n\n[execution]\ntrace = {way}\nwarm = {warm}\n'
    )


def seconds(root: Path) -> dict[str, float]:
    """Build all once, one after the other; return the seconds of each notebook."""
    done = subprocess.run(
        peers.nbbuild("-B", "-j1", "--json"), cwd=root, capture_output=True, text=True, check=False
    )
    outcomes = json.loads(done.stdout)["outcomes"]
    failed = [one for one in outcomes if one["kind"] != "executed"]
    if failed:
        raise Failed(f"{failed[0]['task']}: {failed[0]['failure']}")
    return {one["task"]: one["seconds"] for one in outcomes}


def measure(
    work: Path, rounds: int, notebooks: dict[str, list[str]], *, warm: str = '"kernel"'
) -> dict[str, dict[str, list[float]]]:
    """Return notebook → way → the seconds of each round."""
    taken: dict[str, dict[str, list[float]]] = {}
    roots = {way: work / f"watching-{way}" for way in WAYS}
    for way, root in roots.items():
        make(root, notebooks, way=WAYS[way], warm=warm)
    for number in range(rounds + 1):
        for way, root in roots.items():
            for task, took in seconds(root).items():
                if number:  # the first round warms up
                    taken.setdefault(task, {}).setdefault(way, []).append(took)
    return taken


def ratios(taken: dict[str, dict[str, list[float]]], way: str) -> dict[str, float]:
    """Return notebook → the median of its seconds watched in `way` to those unwatched, by round."""
    return {
        task: statistics.median(
            watched / plain for watched, plain in zip(ways[way], ways["false"], strict=True)
        )
        for task, ways in taken.items()
    }


def table(taken: dict[str, dict[str, list[float]]]) -> str:
    """Return the medians as a Markdown table."""
    lines = ['| notebook | unwatched | "python" | true |', "|---|---|---|---|"]
    python, whole = ratios(taken, "python"), ratios(taken, "true")
    for task, ways in taken.items():
        lines.append(
            f"| {task} | {statistics.median(ways['false']):.2f} s | {python[task] - 1:+.1%} "
            f"| {whole[task] - 1:+.1%} |"
        )
    lines.append(
        f"| median | | {statistics.median(python.values()) - 1:+.1%} "
        f"| {statistics.median(whole.values()) - 1:+.1%} |"
    )
    return "\n".join(lines)
