"""Notebooks as people have them: each in a folder of its own, with what it reads.

Beside the project lies a data folder, `outside`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from notebook_sources import ipynb
from strace_log import BEGIN, END


@dataclass(frozen=True)
class Realistic:
    """One notebook: its cells, its files by path, and what else makes them."""

    cells: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    needs: tuple[str, ...] = ()  # packages
    long: bool = False  # in the larger test only

    def write(self, folder: Path) -> None:
        """Write all of it; the notebook is named as its folder."""
        folder.mkdir(parents=True)
        for path, text in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        if self.prepare is not None:
            self.prepare(folder)
        marked = (_FIRST, *self.cells, _LAST)
        (folder / f"{folder.name}.ipynb").write_text(ipynb(list(marked)), encoding="utf-8")

    def sources(self) -> str:
        """Return all that stands in the notebook and in its own Python files."""
        texts = [text for path, text in self.files.items() if path.endswith(".py")]
        return "\n".join((*self.cells, *texts))


_FIRST = f"""import os, sys
os.path.exists({BEGIN!r})
print(*sorted({{name.partition('.')[0] for name in sys.modules}}))
del os, sys"""
"""Tells what a kernel holds before its first cell."""

_LAST = f"__import__('os').path.exists({END!r})"


def _database(folder: Path) -> None:
    for name in ("shop", "more"):
        with sqlite3.connect(folder / f"{name}.db") as base:
            base.execute("create table t (x)")
            base.execute("insert into t values (1), (2)")
        base.close()


def _links(folder: Path) -> None:
    (folder / "data").symlink_to("store/v1")
    (folder / "one.txt").symlink_to("store/v1/a.txt")
    (folder / "gone.txt").symlink_to("store/v1/nothing.txt")


def _zip(folder: Path) -> None:
    with ZipFile(folder / "mods.zip", "w") as pack:
        pack.writestr(ZipInfo("zipped.py"), "y = 1")  # the same bytes at any time


def _parquet(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"year": [2023, 2024, 2024], "value": [1.0, 2.0, 3.0]})
    pq.write_to_dataset(
        table, folder / "events", partition_cols=["year"], basename_template="p-{i}.parquet"
    )
    pq.write_table(table, folder / "single.parquet")


def _array(folder: Path) -> None:
    import numpy as np

    np.save(folder / "weights.npy", np.arange(6.0))


NOTEBOOKS: dict[str, Realistic] = {
    "frames": Realistic(
        (
            "import pandas as pd\nsales = pd.read_csv('data/sales.csv')",
            "sales.groupby('country').amount.sum()",
            "pd.read_json('data/rates.json')",
        ),
        {
            "data/sales.csv": "country,amount\nUK,1\nFR,2\nUK,3\n",
            "data/rates.json": '[{"a": 1}]',
            "data/unused.csv": "no",
        },
        needs=("pandas",),
    ),
    "parquet": Realistic(
        (
            "import pandas as pd\npd.read_parquet('events').groupby('year').value.sum()",
            "pd.read_parquet('single.parquet', columns=['value']).sum()",
            "import pyarrow.dataset as ds\nds.dataset('events', partitioning='hive').count_rows()",
        ),
        prepare=_parquet,
        needs=("pandas", "pyarrow"),
        long=True,
    ),
    "plots": Realistic(
        (
            "import matplotlib.pyplot as plt\nplt.rcParams['lines.linewidth']",
            "x = [float(n) for n in open('points.txt')]\nplt.plot(x)\nplt.title('x')",
            "plt.savefig('plot.png')",
        ),
        {"matplotlibrc": "lines.linewidth: 3\n", "points.txt": "1\n2\n3\n"},
        needs=("matplotlib",),
        long=True,
    ),
    "globs": Realistic(
        (
            "import glob, json\n[json.load(open(p)) for p in sorted(glob.glob('runs/*.json'))]",
            "sorted(glob.glob('deep/**/*.txt', recursive=True))",
            "from pathlib import Path\nsorted(Path('notes').glob('*.md'))",
            "sorted(p.name for p in Path('tree').rglob('*.csv'))",
            "sorted(p.name for p in Path('flat').iterdir())",
            "glob.glob('nowhere/*.x'), glob.glob('runs/1.json')",
        ),
        {
            "runs/1.json": "1",
            "runs/2.json": "2",
            "runs/readme.txt": "no",
            "deep/a/x.txt": "",
            "deep/b/c/y.txt": "",
            "notes/n.md": "",
            "tree/t/u.csv": "",
            "flat/f": "",
        },
    ),
    "walks": Realistic(
        (
            "import os\nsum(os.path.getsize(os.path.join(d, f))\n"
            "    for d, _, names in os.walk('data') for f in names)",
            "[(e.name, e.is_dir(), e.stat().st_size) for e in os.scandir('scan')]",
            "os.path.isdir('data'), os.path.isfile('data'), os.path.exists('nothing')",
            "os.access('tool.sh', os.X_OK), oct(os.stat('tool.sh').st_mode)",
            "import shutil\nshutil.which('nothing-of-the-kind'), os.path.getsize('tool.sh')",
        ),
        {"data/a/1": "1", "data/b/c/2": "22", "scan/f": "1", "scan/d/g": "2", "tool.sh": "#!"},
    ),
    "packages": Realistic(
        (
            "import mylib\nfrom mylib import core",
            "try:\n    from mylib import _fast\nexcept ImportError:\n    _fast = None",
            "try:\n    import settings_local\nexcept ModuleNotFoundError:\n    pass",
            "from importlib import resources\n(resources.files('mylib') / 'table.txt').read_text()",
            "import pkgutil\npkgutil.get_data('mylib', 'extra.bin')",
            "import importlib.util\nimportlib.util.find_spec('mylib.later') is not None",
            "import pathlib_helpers\nimport shared.space",
        ),
        {
            "mylib/__init__.py": "from . import base\n",
            "mylib/base.py": "try:\n    from . import accelerated\n"
            "except ImportError:\n    accelerated = None\n",
            "mylib/core.py": "def f():\n    return 1\n",
            "mylib/later.py": "",
            "mylib/unused.py": "",
            "mylib/table.txt": "t",
            "mylib/extra.bin": "e",
            "pathlib_helpers.py": "",
            "shared/space.py": "",
        },
    ),
    "magics": Realistic(
        (
            "%run script.py 3",
            "%load_ext myext",
            "%%writefile made.py\nvalue = 3",
            "import made\nmade.value",
            "%cd sub",
            "print(open('below.txt').read())\n%cd ..",
            "%pwd",
        ),
        {
            "script.py": "import aside\nprint(open('read.txt').read())\n",
            "aside.py": "",
            "read.txt": "r",
            "myext.py": "def load_ipython_extension(shell):\n    open('ext.cfg').read()\n",
            "ext.cfg": "c",
            "sub/below.txt": "b",
        },
    ),
    "shells": Realistic(
        (
            "!cat data/a.txt",
            "!grep -r needle hay",
            "%%bash\nfor f in loop/*.txt; do cat $f; done\n[ -e maybe.txt ] && cat maybe.txt\ntrue",
            "!ls -l listed",
            "!test -x tool.sh || echo no; wc -c < words.txt",
            "!sort words.txt | head -1 > first.txt; cat first.txt",
        ),
        {
            "data/a.txt": "a\n",
            "hay/one": "needle\n",
            "hay/deep/two": "straw\n",
            "loop/1.txt": "1",
            "loop/2.txt": "2",
            "loop/other.md": "",
            "listed/x": "",
            "tool.sh": "",
            "words.txt": "b\na\n",
        },
    ),
    "children": Realistic(
        (
            "import subprocess, sys\n"
            "subprocess.run([sys.executable, 'tools/job.py', 'in.txt'], check=True)",
            "subprocess.run([sys.executable, '-c', 'import beside; open(\"c.txt\").read()'])",
            "subprocess.run([sys.executable, '-m', 'module'], check=True)",
            "subprocess.check_output(['sh', 'run.sh'], cwd='tools')",
        ),
        {
            "tools/job.py": "import sys, jobhelp\nprint(open(sys.argv[1]).read())\n",
            "tools/jobhelp.py": "try:\n    import jobconfig\nexcept ImportError:\n    pass\n",
            "tools/run.sh": "cat near.txt\n",
            "tools/near.txt": "n",
            "in.txt": "i",
            "beside.py": "",
            "c.txt": "c",
            "module.py": "",
        },
    ),
    "databases": Realistic(
        (
            "import sqlite3\nbase = sqlite3.connect('shop.db')\n"
            "print(base.execute('select sum(x) from t').fetchall())",
            "base.execute(\"attach 'more.db' as more\")\n"
            "print(base.execute('select * from more.t').fetchall())\nbase.close()",
            "base = sqlite3.connect('file:more.db?mode=ro', uri=True)\n"
            "print(base.execute('select count(*) from t').fetchall())\nbase.close()",
        ),
        prepare=_database,
    ),
    "links": Realistic(
        (
            "import os\nfrom pathlib import Path\n"
            "open('data/a.txt').read(), open('one.txt').read()",
            "sorted(os.listdir('data'))",
            "str(Path('data').resolve().name), os.readlink('one.txt'), os.path.islink('data')",
            "os.path.exists('gone.txt'), os.path.lexists('gone.txt')",
            "os.chdir('data'); print(open('b.txt').read()); os.chdir('../..')",
        ),
        {"store/v1/a.txt": "a", "store/v1/b.txt": "b", "store/v2/a.txt": "2"},
        prepare=_links,
    ),
    "moves": Realistic(
        (
            "import os\nos.chdir('sub/deep')\nopen('x.txt').read() + open('../y.txt').read()",
            "os.chdir('../..')\nopen('./sub/../top.txt').read()",
            "try:\n    os.chdir('nowhere')\nexcept OSError as e:\n    print(e)",
            "handle = os.open('sub', os.O_RDONLY)\n"
            "os.close(os.open('z.txt', os.O_RDONLY, dir_fd=handle)); os.close(handle)",
        ),
        {"sub/deep/x.txt": "x", "sub/y.txt": "y", "sub/z.txt": "z", "top.txt": "t"},
    ),
    "pools": Realistic(
        (
            "import multiprocessing as mp\n"
            "def size(n):\n    return len(open(f'parts/{n}.txt').read())",
            "with mp.get_context('fork').Pool(2) as pool:\n"
            "    print(sum(pool.map(size, range(4))))",
            "from concurrent.futures import ThreadPoolExecutor\n"
            "with ThreadPoolExecutor(2) as pool:\n"
            "    print(list(pool.map(lambda n: open(f'more/{n}').read(), 'ab')))",
        ),
        {**{f"parts/{n}.txt": str(n) for n in range(5)}, "more/a": "", "more/b": ""},
    ),
    "own": Realistic(
        (
            "import os, shutil, tempfile\nopen('made.txt', 'w').write('1')\n"
            "open('made.txt').read()",
            "os.makedirs('out/deep', exist_ok=True)\n"
            "open('out/deep/r.txt', 'w').write('1')\n"
            "os.listdir('out'), os.path.getsize('made.txt')",
            "with open('lock', 'x') as f:\n    f.write('mine')\nos.remove('lock')",
            "shutil.copy('seed.txt', 'copy.txt')\nopen('copy.txt').read()",
            "with open('part.tmp', 'w') as f:\n    f.write('x')\n"
            "os.replace('part.tmp', 'whole.txt')",
            "with tempfile.TemporaryDirectory() as d:\n"
            "    open(d + '/x', 'w').write('1')\n    os.listdir(d)",
            "if not os.path.exists('cache.json'):\n    open('cache.json', 'w').write('{}')\n"
            "open('cache.json').read()",
        ),
        {"seed.txt": "s"},
    ),
    "arrays": Realistic(
        (
            "import numpy as np\nweights = np.load('weights.npy')\nweights.sum()",
            "np.load('weights.npy', mmap_mode='r')[0]",
            "np.savez('pack.npz', w=weights)\nnp.load('pack.npz')['w'].sum()",
            "np.loadtxt('table.txt').mean()\nnp.fromfile('raw.bin', dtype='u1').sum()",
        ),
        {"table.txt": "1 2\n3 4\n", "raw.bin": "abc"},
        prepare=_array,
        needs=("numpy",),
    ),
    "optional": Realistic(
        (
            "try:\n    config = open('config.toml').read()\n"
            "except FileNotFoundError:\n    config = ''",
            "from pathlib import Path\n[p for p in ('a.cfg', 'b.cfg') if Path(p).exists()]",
            "import configparser\nparser = configparser.ConfigParser()\n"
            "parser.read(['site.cfg', 'local.cfg'])",
            "import linecache\n"
            "linecache.getline('poem.txt', 1), linecache.getline('nopoem.txt', 1)",
            "import netrc, mimetypes\nmimetypes.guess_type('poem.txt')",
            "try:\n    Path('poem.txt/x').read_text()\nexcept NotADirectoryError:\n    pass",
        ),
        {"b.cfg": "", "site.cfg": "[a]\nb=1\n", "poem.txt": "line\n"},
    ),
    "outside": Realistic(
        (
            "open('../../outside/base.csv').read()",
            "import csv, os\nlist(csv.reader(open('../shared.csv')))",
            "os.listdir('../../outside/lots'), os.path.exists('../../outside/nothing')",
        ),
    ),
    "archives": Realistic(
        (
            "import zipfile, tarfile, gzip, shutil\n"
            "with zipfile.ZipFile('pack.zip', 'w') as z:\n    z.write('in/a.txt')",
            "with tarfile.open('pack.tar', 'w') as t:\n    t.add('in')",
            "with gzip.open('g.gz', 'wb') as g:\n    g.write(open('in/b/c.txt', 'rb').read())",
            "shutil.copytree('in', 'copy')\nshutil.rmtree('copy')",
            "import filecmp\nfilecmp.cmp('in/a.txt', 'in/same.txt')",
        ),
        {"in/a.txt": "a", "in/b/c.txt": "c", "in/same.txt": "a"},
    ),
    "scripts": Realistic(
        (
            "import sys\nsys.path.insert(0, 'lib')\nimport inlib",
            "import runpy\nrunpy.run_path('run.py')",
            "exec(open('exec.py').read())",
            "import importlib\nimportlib.reload(inlib)",
            "import fileinput\nlist(fileinput.input(['l1.txt', 'l2.txt']))",
            "import mmap\nwith open('l1.txt', 'rb') as f:\n"
            "    mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)[:1]",
        ),
        {
            "lib/inlib.py": "import deeper\n",
            "lib/deeper.py": "",
            "run.py": "open('runs.txt').read()\n",
            "runs.txt": "r",
            "exec.py": "x = 1\n",
            "l1.txt": "1\n",
            "l2.txt": "2\n",
        },
    ),
    "programs": Realistic(
        (
            "!find tree -name '*.c'",
            "!ls *.txt; diff -r tree/x tree/y; true",
            "!cp -r tree copied; sed -i s/a/b/ copied/x/1.c; rm -r copied",
            "%%sh\ncd tree && tar cf ../all.tar . && [ -d x ] && [ ! -d z ] && cat < x/1.c",
            "!awk 1 one.txt two.txt missing.txt; true",
            "!head -c1 one.txt | tee teed.txt > /dev/null; realpath linked; stat -c %s one.txt",
        ),
        {
            "tree/x/1.c": "a",
            "tree/y/1.c": "b",
            "tree/y/2.h": "h",
            "one.txt": "1\n",
            "two.txt": "2\n",
        },
        prepare=lambda folder: (folder / "linked").symlink_to("tree/x"),
    ),
    "pythons": Realistic(
        (
            "import subprocess, sys\n"
            "subprocess.run([sys.executable, '-I', 'alone.py'], check=True)",
            "subprocess.run([sys.executable, 'path.py'], env={'PYTHONPATH': 'lib'}, check=True)",
            "subprocess.run(['env', '-i', sys.executable, 'bare.py'], check=True)",
            "!python shell.py",
        ),
        {
            "alone.py": "open('a.txt').read()\n",
            "a.txt": "a",
            "path.py": "import inlib\n",
            "lib/inlib.py": "",
            "bare.py": "import helped\nopen('b.txt').read()\n",
            "helped.py": "",
            "b.txt": "b",
            "shell.py": "import glob, helped\nprint(glob.glob('*.txt'))\n",
        },
    ),
    "logs": Realistic(
        (
            "import logging, shelve, os, json\nlog = logging.FileHandler('run.log')\n"
            "log.emit(logging.makeLogRecord({'msg': 'x'}))\nlog.close()",
            "with shelve.open('memo') as memo:\n    memo['a'] = 1",
            "for n in range(3):\n    with open('log.txt', 'a') as f:\n        f.write(str(n))",
            "os.path.getmtime('seed.json'), os.path.samefile('seed.json', 'seed.json')",
            "for d, _, names, fd in os.fwalk('deep'):\n"
            "    [os.stat(n, dir_fd=fd).st_size for n in names]",
            "from pathlib import Path\nsorted(p for p in Path('deep').rglob('*') if p.is_file())",
            "Path('deep/a/1').stat().st_size, Path('deep').is_dir(), Path('no').is_file()",
        ),
        {"seed.json": "{}", "deep/a/1": "1", "deep/b/2": "2"},
    ),
    "spawned": Realistic(
        (
            "import multiprocessing as mp\nimport work\n"
            "with mp.get_context('spawn').Pool(2) as pool:\n"
            "    print(pool.map(work.size, ['a.txt', 'b.txt']))",
        ),
        {"work.py": "def size(n):\n    return len(open(n).read())\n", "a.txt": "a", "b.txt": "b"},
        long=True,
    ),
    "shown": Realistic(
        (
            "import helper",
            "import traceback\ntry:\n    helper.fail()\nexcept ValueError:\n"
            "    print(traceback.format_exc())",
            "import inspect\nprint(inspect.getsource(helper.fail))",
            "helper?",
        ),
        {"helper.py": "def fail():\n    'doc'\n    raise ValueError('x')\n"},
        long=True,
    ),
    "versions": Realistic(
        (
            "import os\nos.path.realpath('now/x.txt'), os.path.samefile('now', 'v1')",
            "from pathlib import Path\nPath('now').stat().st_ino, Path('now/x.txt').resolve()",
            "open('now/x.txt').read(), os.listdir('now/sub')",
            "sorted(Path('.').glob('v*/x.txt'))",
            "sorted(os.walk('now', followlinks=True))",
        ),
        {"v1/x.txt": "1", "v1/sub/y": "", "v2/x.txt": "2"},
        prepare=lambda folder: (folder / "now").symlink_to("v1"),
    ),
    "filters": Realistic(
        (
            "!tail -n1 data.csv | cut -d, -f1; md5sum data.csv",
            "!python - < stdin.py",
            "!xargs -a list.txt cat; [ data.csv -nt old.csv ] && echo newer; true",
        ),
        {
            "data.csv": "a,b\n",
            "old.csv": "",
            "stdin.py": "open('data.csv').read()\n",
            "list.txt": "data.csv old.csv\n",
        },
        long=True,
    ),
    "formats": Realistic(
        (
            "import sys\nsys.path.insert(0, 'mods.zip')\nimport zipped",
            "import gettext\ngettext.find('x', 'locale')",
            "open('bin.dat', 'rb+').read()\nopen('run.log', 'a+').close()",
        ),
        {"bin.dat": "b"},
        prepare=_zip,
        long=True,
    ),
    "caches": Realistic(
        (
            "import json, os\ntry:\n    cache = json.load(open('cache.json'))\n"
            "except FileNotFoundError:\n    cache = {}\n"
            "cache['a'] = 1\njson.dump(cache, open('cache.json', 'w'))",
            "os.makedirs('figs', exist_ok=True)\n"
            "if os.path.exists('figs/a.png'):\n    os.remove('figs/a.png')\n"
            "open('figs/a.png', 'wb').write(b'1')",
            "os.rename('figs/a.png', 'figs/b.png')\nos.symlink('b.png', 'figs/l.png')\n"
            "os.path.exists('figs/l.png')",
            "import contextlib\nwith contextlib.suppress(OSError):\n    os.unlink('none.lock')",
            "os.path.getsize('in.bin')\nos.truncate('figs/b.png', 0)",
            "import tempfile\nwith tempfile.NamedTemporaryFile(dir='.') as f:\n    f.write(b'1')",
        ),
        {"in.bin": "1"},
    ),
}


def write(root: Path, notebooks: dict[str, Realistic], settings: str) -> None:
    """Write a project with these notebooks and settings, and the data folder beside it."""
    for path, text in {
        "shared.csv": "a,b\n",
        "../outside/base.csv": "1\n",
        "../outside/lots/x": "",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for name, notebook in notebooks.items():
        notebook.write(root / name)
    (root / "jcache.toml").write_text(
        f'[project]\nnotebooks = ["*/*.ipynb"]\n[execution]\n{settings}\n'
    )
