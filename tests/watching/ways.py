"""Ways in which a notebook asks the machine, each with one edit that changes the answer.

A way has its own folder with a notebook of one cell. `PLAIN` are those that Python's tracer sees by
itself, `OUTSIDE` those that take a look at system calls, and `SPARE` have an edit that changes
nothing that was asked for.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile


@dataclass
class Place:
    """The folder of one way; `held` is open until the end."""

    folder: Path
    held: list[Any] = field(default_factory=list)

    def write(self, path: str, content: str | bytes = "") -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def link(self, path: str, to: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            self.remove(path)
        target.symlink_to(to)

    def remove(self, path: str) -> None:
        target = self.folder / path
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()

    def make(self, path: str) -> None:
        """Make a folder, in the place of a file too."""
        if os.path.lexists(self.folder / path):
            self.remove(path)
        (self.folder / path).mkdir(parents=True)

    def allow(self, path: str, bits: int) -> None:
        (self.folder / path).chmod(bits)

    def pipe(self, path: str) -> None:
        os.mkfifo(self.folder / path)

    def data(self, path: str, value: int) -> None:
        """Make a database with one row, anew."""
        (self.folder / path).unlink(missing_ok=True)
        connection = sqlite3.connect(self.folder / path)
        connection.execute("create table t (value)")
        connection.execute("insert into t values (?)", (value,))
        connection.commit()
        connection.close()

    def logged(self, path: str, value: int) -> None:
        """Add a row that stays in the database's write-ahead log while it is held."""
        if not self.held:
            self.data(path, 1)
            connection = sqlite3.connect(self.folder / path)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma wal_autocheckpoint = 0")
            self.held.append(connection)
        self.held[0].execute("insert into t values (?)", (value,))
        self.held[0].commit()

    def zip(self, path: str, **texts: str) -> None:
        with ZipFile(self.folder / path, "w") as archive:
            for name, text in texts.items():
                archive.writestr(f"{name}.py", text)

    def table(self, path: str, value: int) -> None:
        """Write a Parquet file, in another process."""
        code = (
            "import sys, pyarrow, pyarrow.parquet\n"
            "table = pyarrow.table({'value': [int(sys.argv[2])]})\n"
            "pyarrow.parquet.write_table(table, sys.argv[1])"
        )
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-c", code, self.folder / path, str(value)], check=True)

    def compiled(self, path: str, was: str, now: str) -> None:
        """Leave bytecode of `was` that looks as if it were of what the file holds now."""
        target = self.write(path, was)
        os.utime(target, ns=(10**18, 10**18))
        code = "import py_compile, sys; py_compile.compile(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, target], check=True)
        self.write(path, now)
        os.utime(target, ns=(10**18, 10**18))


Step = Callable[[Place], object]


@dataclass
class Way:
    cell: str
    files: dict[str, str]  # "-> x" makes a link to x
    edit: Step
    before: Step | None = None

    def set_out(self, place: Place) -> None:
        for path, text in self.files.items():
            if text.startswith("-> "):
                place.link(path, text[3:])
            else:
                place.write(path, text)
        if self.before is not None:
            self.before(place)


def wrote(path: str, text: str = "") -> Step:
    return lambda place: place.write(path, text)


def made(path: str) -> Step:
    return lambda place: place.make(path)


def linked(path: str, to: str) -> Step:
    return lambda place: place.link(path, to)


def removed(path: str) -> Step:
    return lambda place: place.remove(path)


def allowed(path: str, bits: int) -> Step:
    return lambda place: place.allow(path, bits)


def stored(path: str, value: int) -> Step:
    return lambda place: place.data(path, value)


def logged(path: str, value: int) -> Step:
    return lambda place: place.logged(path, value)


def tabled(path: str, value: int) -> Step:
    return lambda place: place.table(path, value)


def in_turn(*steps: Step) -> Step:
    return lambda place: [step(place) for step in steps]


def tried(asking: str, *, imports: str = "os") -> str:
    """Return a cell that shows whether what it asks for can be had."""
    return (
        f"import {imports}\ntry:\n    {asking}\n    print('there')\n"
        "except OSError as error:\n    print(type(error).__name__)"
    )


def child(code: str, *flags: str, more: str = "") -> str:
    """Return a cell that shows what a Python child shows, of a text or a script."""
    words = ", ".join(map(repr, flags))
    asked = f"[sys.executable, {words + ', ' if words else ''}{code}]"
    return (
        "import subprocess, sys\n"
        f"done = subprocess.run({asked}, capture_output=True, text=True{more})\n"
        "print(done.stdout)"
    )


ONE = {"d/x.txt": "one"}
TWO = {"v1/x.txt": "one", "v2/x.txt": "two", "now": "-> v1"}
TURNED = linked("now", "v2")
EMPTY: dict[str, str] = {}
# Its names are put together, so that no text names them.
SCRIPT = "print(open('/'.join(['d', 'x' + '.txt'])).read())"
LISTER = "import os\ndef names(folder):\n    return sorted(os.listdir(folder))"
IN_C = (
    "import ctypes\nc = ctypes.CDLL(None)\n"
    "c.fopen.restype = c.opendir.restype = c.readdir.restype = ctypes.c_void_p\n"
)

LINKS = {
    "resolved": Way(
        "from pathlib import Path\nprint((Path('now').resolve() / 'x.txt').read_text())",
        TWO,
        TURNED,
    ),
    "resolved in two steps": Way(
        "import os\nprint(os.path.basename(os.path.realpath('newest')))",
        {**TWO, "newest": "-> now"},
        TURNED,
    ),
    "read as a link": Way("import os\nprint(os.readlink('now'))", TWO, TURNED),
    "entered": Way("import os\nos.chdir('now')\nprint(open('x.txt').read())", TWO, TURNED),
    "entered from below": Way(
        "import os\nos.chdir('now/deep')\nprint(os.path.basename(os.path.dirname(os.getcwd())))",
        {"v1/deep/x": "", "v2/deep/x": "", "now": "-> v1"},
        TURNED,
    ),
    "listed": Way(
        "import os\nprint(os.listdir('now'))", {"v1/a": "", "v2/b": "", "now": "-> v1"}, TURNED
    ),
    "opened": Way("print(open('now/x.txt').read())", TWO, TURNED),
    "globbed": Way(
        "import glob\nprint(glob.glob('now/*'))", {"v1/a": "", "v2/b": "", "now": "-> v1"}, TURNED
    ),
    "compared": Way("import os\nprint(os.path.samefile('now', 'v1'))", TWO, TURNED),
    "asked whether it is one": Way(
        "import os\nprint(os.path.islink('d/x.txt'))",
        {**ONE, "y.txt": "one"},
        linked("d/x.txt", "../y.txt"),
    ),
    "leading nowhere, asked for": Way(
        "import os\nprint(os.path.exists('to'))", {"to": "-> later"}, wrote("later")
    ),
    "leading nowhere, opened": Way(
        tried("print(open('to').read())"), {"to": "-> later"}, wrote("later", "late")
    ),
    "leading nowhere, new": Way(
        "import os\nprint(os.path.lexists('to'))", EMPTY, linked("to", "later")
    ),
    "walked through": Way(
        "import os\nprint(sorted(os.walk('d', followlinks=True)))",
        {"d/x": "", "other/y": "", "d/to": "-> ../other"},
        wrote("other/z"),
    ),
    "read in vain": Way(tried("os.readlink('to')"), EMPTY, linked("to", "later")),
}

KINDS = {
    "a file that becomes a folder": Way(
        "import os\nprint(os.path.isfile('d/x.txt'), os.path.isdir('d/x.txt'))",
        ONE,
        made("d/x.txt"),
    ),
    "a folder that becomes a file": Way(
        "from pathlib import Path\nprint(Path('d').is_dir())",
        ONE,
        in_turn(removed("d"), wrote("d")),
    ),
    "walked": Way("import os\nprint(sorted(os.walk('d')))", ONE, made("d/x.txt")),
    "walked deep": Way("import os\nprint(sorted(os.walk('d')))", {"d/e/f/x": ""}, wrote("d/e/f/y")),
    "by scandir": Way(
        "import os\nprint([entry.is_dir() for entry in os.scandir('d')])", ONE, made("d/x.txt")
    ),
    "by rglob": Way(
        "from pathlib import Path\nprint(sorted(map(str, Path('d').rglob('*.txt'))))",
        ONE,
        wrote("d/e/y.txt"),
    ),
    "by a descriptor": Way(
        "import os\nprint(sorted(os.listdir(os.open('d', os.O_RDONLY))))", ONE, wrote("d/y.txt")
    ),
    "a pipe that goes": Way(
        "import os\nprint(os.path.exists('d/p'))",
        ONE,
        removed("d/p"),
        before=lambda place: place.pipe("d/p"),
    ),
}

SIZES_AND_MODES = {
    "size": Way("import os\nprint(os.path.getsize('d/x.txt'))", ONE, wrote("d/x.txt", "longer")),
    "size by pathlib": Way(
        "from pathlib import Path\nprint(Path('d/x.txt').stat().st_size)",
        ONE,
        wrote("d/x.txt", "longer"),
    ),
    "size by scandir": Way(
        "import os\nprint([entry.stat().st_size for entry in os.scandir('d')])",
        ONE,
        wrote("d/x.txt", "longer"),
    ),
    "size by a folder's descriptor": Way(
        "import os\nprint(os.stat('x' + '.txt', dir_fd=os.open('d', os.O_RDONLY)).st_size)",
        ONE,
        wrote("d/x.txt", "longer"),
    ),
    "size of a link": Way("import os\nprint(os.lstat('now').st_size)", TWO, linked("now", "./v1")),
    "mode": Way(
        "import os\nprint(oct(os.stat('d/x.txt').st_mode))", ONE, allowed("d/x.txt", 0o600)
    ),
    "mode of a folder": Way(
        "import os\nprint(oct(os.stat('d').st_mode))", ONE, allowed("d", 0o700)
    ),
    "mode of what is read too": Way(
        "import os\nprint(oct(os.stat('d/x.txt').st_mode), open('d/x.txt').read())",
        ONE,
        allowed("d/x.txt", 0o600),
    ),
    "leave to run it": Way(
        "import os\nprint(os.access('d/x.txt', os.X_OK))", ONE, allowed("d/x.txt", 0o755)
    ),
    "looked for as a program": Way(
        "import shutil\nprint(shutil.which('x.txt', path='d'))", ONE, allowed("d/x.txt", 0o755)
    ),
}

ABSENCES = {
    "entered": Way(tried("os.chdir('new')"), EMPTY, made("new")),
    "removed": Way(tried("os.remove('new')"), EMPTY, made("new")),
    "removed as a folder": Way(tried("os.rmdir('new')"), EMPTY, wrote("new")),
    "allowed": Way(tried("os.chmod('new', 0o644)"), EMPTY, wrote("new")),
    "dated": Way(tried("os.utime('new')"), EMPTY, wrote("new")),
    "measured": Way(tried("os.statvfs('new')"), EMPTY, made("new")),
    "asked for an attribute": Way(tried("os.getxattr('new', 'user.none')"), EMPTY, wrote("new")),
    "listed": Way(tried("os.listdir('new')"), EMPTY, made("new")),
    "moved": Way(tried("os.rename('new', 'newer')"), EMPTY, wrote("new")),
    "made and taken away": Way(tried("os.mkdir('new'); os.rmdir('new')"), EMPTY, wrote("new")),
    "made by open x": Way(
        "try:\n    open('new', 'x')\n    print('made')\nexcept FileExistsError:\n    print('kept')",
        EMPTY,
        wrote("new", "kept"),
    ),
    "made as a link": Way(
        tried("os.symlink('nowhere', 'new'); os.remove('new')"), EMPTY, wrote("new")
    ),
    "by lines": Way(
        "import linecache\nprint(linecache.getline('new' + '.txt', 1))",
        EMPTY,
        wrote("new.txt", "one\n"),
    ),
    "matched": Way("import glob\nprint(glob.glob('*.new'))", EMPTY, wrote("a.new")),
    "read if there": Way(
        "import configparser\nprint(configparser.ConfigParser().read(['old.ini', 'new.ini']))",
        {"old.ini": "[x]\n"},
        wrote("new.ini", "[x]\n"),
    ),
    "as a module": Way(
        "import importlib.util\nprint(importlib.util.find_spec('newmodule'))",
        EMPTY,
        wrote("newmodule.py"),
    ),
    "as a child's folder": Way(
        tried("subprocess.run(['true'], cwd='new')", imports="subprocess"), EMPTY, made("new")
    ),
}

READERS = {
    "sqlite": Way(
        "import sqlite3\nprint(list(sqlite3.connect('a.db').execute('select * from t')))",
        EMPTY,
        stored("a.db", 2),
        before=stored("a.db", 1),
    ),
    "sqlite's log": Way(
        "import sqlite3\nprint(list(sqlite3.connect('a.db').execute('select * from t')))",
        EMPTY,
        logged("a.db", 3),
        before=logged("a.db", 2),
    ),
    "mapped": Way(
        "import mmap\nfile = open('d/x.txt', 'rb')\n"
        "print(bytes(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))",
        ONE,
        wrote("d/x.txt", "two"),
    ),
    "open to change, unchanged": Way(
        "import os\nprint(os.read(os.open('d/x.txt', os.O_RDWR), 9))", ONE, wrote("d/x.txt", "two")
    ),
    "by a thread": Way(
        "import threading\nshown = []\n"
        "t = threading.Thread(target=lambda: shown.append(open('d/' + 'x.txt').read()))\n"
        "t.start()\nt.join()\nprint(shown)",
        ONE,
        wrote("d/x.txt", "two"),
    ),
    "by a pool": Way(
        "import multiprocessing\ndef work(name):\n    return open(f'd/{name}.txt').read()\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "    print(pool.map(work, ['x']))",
        ONE,
        wrote("d/x.txt", "two"),
    ),
    "a copied folder": Way(
        "import os, shutil, tempfile\nto = tempfile.mkdtemp() + '/d'\n"
        "shutil.copytree('d', to)\nprint(sorted(os.listdir(to)))",
        ONE,
        wrote("d/y.txt"),
    ),
}

MODULES = {
    "only looked for": Way(
        "import importlib.util\nprint(importlib.util.find_spec('oldmodule') is None)",
        {"oldmodule.py": ""},
        removed("oldmodule.py"),
    ),
    "that fails, hidden": Way(
        "try:\n    import halfdone\nexcept Exception as error:\n    print(error)",
        {"halfdone.py": "1 / 0"},
        wrote("halfdone/__init__.py"),
    ),
    "through a link that leads nowhere": Way(
        "try:\n    import turned\n    print(turned.V)\nexcept ImportError as error:\n"
        "    print(error)",
        {"turned.py": "-> aside/other.py"},
        wrote("aside/other.py", "V = 1"),
    ),
    "a part that its package lacks": Way(
        "try:\n    import whole\n    print(whole.V)\nexcept ImportError as error:\n"
        "    print(error)",
        {"whole/__init__.py": "from .part import V"},
        wrote("whole/part.py", "V = 1"),
    ),
    "a part that a package without it lacks, by pkgutil": Way(
        "import pkgutil\ntry:\n    print(pkgutil.get_data('whole', 'd.txt'))\n"
        "except ImportError as error:\n    print(error)",
        {"whole/__init__.py": "from . import part", "whole/d.txt": "1"},
        wrote("whole/part.py", "V = 1"),
    ),
    "sought in vain on a path that is put back": Way(
        "import sys\nsys.path.insert(0, 'plugins')\ntry:\n    import hidden_plugin\n"
        "    print(hidden_plugin.V)\nexcept ImportError:\n    print('none')\n"
        "finally:\n    sys.path.remove('plugins')",
        {"plugins/other.py": ""},
        wrote("plugins/hidden_plugin.py", "V = 1"),
    ),
    "before it on a path that is put back": Way(
        "import sys\nsys.path[:0] = ['first', 'second']\nimport tuned\nprint(tuned.V)\n"
        "del sys.path[:2]",
        {"first/other.py": "", "second/tuned.py": "V = 1"},
        wrote("first/tuned.py", "V = 2"),
    ),
    "new, of the standard library's name": Way(
        "import sys\nsys.path.insert(0, '')\nimport tabnanny\nprint(hasattr(tabnanny, 'MINE'))",
        EMPTY,
        wrote("tabnanny.py", "MINE = 1"),
    ),
    "a package before a module": Way(
        "import m\nprint(m.V)", {"m.py": "V = 1"}, wrote("m/__init__.py", "V = 2")
    ),
    "a module before a bare folder": Way(
        "import m\nprint(hasattr(m, 'V'))", {"m/sub.py": ""}, wrote("m.py", "V = 2")
    ),
    "an optional one of a package": Way(
        "import m\nprint(m.V)",
        {"m/__init__.py": "try:\n    from .more import V\nexcept ImportError:\n    V = 0"},
        wrote("m/more.py", "V = 1"),
    ),
    "one more in a package, listed": Way(
        "import m, pkgutil\nprint([one.name for one in pkgutil.iter_modules(m.__path__)])",
        {"m/__init__.py": "", "m/a.py": ""},
        wrote("m/b.py"),
    ),
    "by its file": Way(
        "import importlib.util\n"
        "spec = importlib.util.spec_from_file_location('plug', 'plugs/plug.py')\n"
        "plug = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(plug)\n"
        "print(plug.V)",
        {"plugs/plug.py": "V = 1"},
        wrote("plugs/plug.py", "V = 2"),
    ),
    "run as a script": Way(
        "%run s.py", {"s.py": "import h\nprint(h.V)", "h.py": "V = 1"}, wrote("h.py", "V = 2")
    ),
    "with bytecode that looks new": Way(
        "import h\nprint(h.V)",
        {"h.py": "V = 1"},
        lambda place: place.compiled("h.py", "V = 1", "V = 2"),
    ),
    "its source": Way(
        "import h, inspect\nprint(inspect.getsource(h))",
        {"h.py": "V = 1"},
        wrote("h.py", "V = 1 #"),
    ),
    "a file beside it": Way(
        "import importlib.resources, m\n"
        "print(importlib.resources.files(m).joinpath('x.txt').read_text())",
        {"m/__init__.py": "", "m/x.txt": "one"},
        wrote("m/x.txt", "two"),
    ),
    "out of an archive": Way(
        "import sys\nsys.path.insert(0, 'lib.zip')\nimport zipped\nprint(zipped.V)",
        EMPTY,
        lambda place: place.zip("lib.zip", zipped="V = 2"),
        before=lambda place: place.zip("lib.zip", zipped="V = 1"),
    ),
    "in a site-packages of the project's": Way(
        "import sys\nsys.path.insert(0, 'vendor/site-packages')\nimport vendored\n"
        "print(vendored.V)",
        {"vendor/site-packages/vendored.py": "V = 1"},
        wrote("vendor/site-packages/vendored.py", "V = 2"),
    ),
    "its metadata in the project": Way(
        "import importlib.metadata, sys\nsys.path.insert(0, 'lib')\n"
        "print(importlib.metadata.version('foo'))",
        {"lib/foo-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: foo\nVersion: 1\n"},
        wrote("lib/foo-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: foo\nVersion: 2\n"),
    ),
    "an extension of IPython": Way(
        "%load_ext mine",
        {"mine.py": "def load_ipython_extension(shell): print(1)"},
        wrote("mine.py", "def load_ipython_extension(shell): print(2)"),
    ),
    **{
        f"named {name}, which lists": Way(
            f"import {name}\nprint({name}.names('d'))",
            {**ONE, f"{name}.py": LISTER},
            wrote("d/y.txt"),
        )
        for name in (
            "globs",
            "pathlib_more",
            "posix_names",
            "importlib_metadata_of_mine",
            "shutil2",
        )
    },
    **{
        f"named {name}, which asks": Way(
            f"import {name}\nprint({name}.size('d/x.txt'))",
            {**ONE, f"{name}.py": "import os\ndef size(path):\n    return os.stat(path).st_size"},
            wrote("d/x.txt", "longer"),
        )
        for name in ("inspecting", "os_paths", "linecaches")
    },
}

CHILDREN = {
    "a script": Way(child("'s.py'"), {**ONE, "s.py": SCRIPT}, wrote("d/x.txt", "two")),
    "a module": Way(child("'s'", "-m"), {**ONE, "s.py": SCRIPT}, wrote("d/x.txt", "two")),
    "in a linked folder": Way(
        child("'../s.py'", more=", cwd='now'"),
        {**TWO, "s.py": "print(open('x' + '.txt').read())"},
        TURNED,
    ),
    "a script whose import is hidden": Way(
        child("'s.py'"),
        {"s.py": "import colorsys\nprint(hasattr(colorsys, 'MINE'))"},
        wrote("colorsys.py", "MINE = 1"),
    ),
    "a script whose module changes": Way(
        child("'s.py'"), {"s.py": "import h\nprint(h.V)", "h.py": "V = 1"}, wrote("h.py", "V = 2")
    ),
    "a named file": Way("!cat d/x.txt", ONE, wrote("d/x.txt", "two")),
}

OUTSIDE_ONLY = {
    "a link walked past, to what becomes a folder": Way(
        "import os\nprint(sorted(os.walk('d')))",
        {"d/to": "-> ../other", "other": ""},
        made("other"),
    ),
    "a child alone": Way(child("'s.py'", "-I"), {**ONE, "s.py": SCRIPT}, wrote("d/x.txt", "two")),
    "a child alone, which asks in vain": Way(
        child("'s.py'", "-I"),
        {"s.py": "import os\nprint(os.path.exists('d' + '/new'))", "d/x": ""},
        wrote("d/new"),
    ),
    "a shell's computed names": Way(
        "!sh s.sh", {**ONE, "s.sh": "n=x; cat d/$n.txt"}, wrote("d/x.txt", "two")
    ),
    "a shell in a linked folder": Way("!cd now && cat x.*", TWO, TURNED),
    "a shell's loop": Way(
        "%%bash\nfor name in x; do cat d/$name.txt; done", ONE, wrote("d/x.txt", "two")
    ),
    "a shell's test": Way("!test -e d/new && echo yes || echo no", ONE, wrote("d/new")),
    "a shell's test of the mode": Way(
        "!test -x d/x.txt && echo yes || echo no", ONE, allowed("d/x.txt", 0o755)
    ),
    "a shell's redirection": Way("!n=x; wc -c < d/$n.txt", ONE, wrote("d/x.txt", "longer")),
    "a shell's pattern": Way("!cd d && echo *", ONE, wrote("d/y.txt")),
    "a shell's own settings": Way(
        "!test -f d/env && . d/env; echo $MINE", ONE, wrote("d/env", "MINE=1")
    ),
    "a script that is a program": Way(
        "!d/tool",
        {"d/tool": "#!/bin/sh\necho one"},
        wrote("d/tool", "#!/bin/sh\necho two"),
        before=allowed("d/tool", 0o755),
    ),
    "found in the search path": Way(
        "!PATH=d:$PATH tool-of-mine || echo none",
        ONE,
        in_turn(wrote("d/tool-of-mine", "#!/bin/sh\necho there"), allowed("d/tool-of-mine", 0o755)),
    ),
    "searched for words": Way("!grep -rh o d", ONE, wrote("d/x.txt", "two")),
    "listed deep": Way("!ls -R d", {"d/e/x": ""}, wrote("d/e/y")),
    "found by name": Way("!find d -name '*.txt' | sort", ONE, wrote("d/e/y.txt")),
    "a child of a child": Way(
        child("'s.py'"),
        {**ONE, "s.py": "import os\nos.system('cat d/' + 'x.txt')"},
        wrote("d/x.txt", "two"),
    ),
    "sqlite, attached": Way(
        "import sqlite3\nname = 'b'\nc = sqlite3.connect(':memory:')\n"
        "_ = c.execute(f\"attach '{name}.db' as b\")\nprint(list(c.execute('select * from b.t')))",
        EMPTY,
        stored("b.db", 2),
        before=stored("b.db", 1),
    ),
    "sqlite, attached, its log": Way(
        "import sqlite3\nname = 'b'\nc = sqlite3.connect(':memory:')\n"
        "_ = c.execute(f\"attach '{name}.db' as b\")\nprint(list(c.execute('select * from b.t')))",
        EMPTY,
        logged("b.db", 3),
        before=logged("b.db", 2),
    ),
    "opened in C": Way(
        f"{IN_C}file = c.fopen(b'd/x' + b'.txt', b'r')\ntext = ctypes.create_string_buffer(9)\n"
        "_ = c.fgets(text, 9, ctypes.c_void_p(file))\nprint(text.value)",
        ONE,
        wrote("d/x.txt", "two"),
    ),
    "opened in C in vain": Way(
        f"{IN_C}print(c.fopen(b'd/new' + b'.txt', b'r') is None)", ONE, wrote("d/new.txt")
    ),
    "listed in C": Way(
        f"{IN_C}folder = ctypes.c_void_p(c.opendir(b'./' + b'd'))\ncount = 0\n"
        "while c.readdir(folder):\n    count += 1\nprint(count)",
        ONE,
        wrote("d/y.txt"),
    ),
    "a pipe made where nothing is": Way(
        tried("os.mkfifo('new'); os.remove('new')"), EMPTY, wrote("new")
    ),
    "asked in C": Way(f"{IN_C}print(c.access(b'd/n' + b'ew', 0))", ONE, wrote("d/new")),
}
if importlib.util.find_spec("pyarrow") is not None:
    OUTSIDE_ONLY["Parquet, a file"] = Way(
        "import pyarrow.parquet\nn = 'a'\n"
        "print(pyarrow.parquet.read_table(n + '.parquet').to_pydict())",
        EMPTY,
        tabled("a.parquet", 2),
        before=tabled("a.parquet", 1),
    )
    OUTSIDE_ONLY["Parquet, a folder"] = Way(
        "import pyarrow.parquet\nprint(pyarrow.parquet.read_table('ds').to_pydict())",
        EMPTY,
        tabled("ds/a.parquet", 2),
        before=tabled("ds/a.parquet", 1),
    )
    OUTSIDE_ONLY["Parquet, one more in a folder"] = Way(
        "import pyarrow.parquet\nprint(pyarrow.parquet.read_table('ds').to_pydict())",
        EMPTY,
        tabled("ds/b.parquet", 2),
        before=tabled("ds/a.parquet", 1),
    )

SPARE = {
    "beside a module on a path of its own": Way(
        "import sys\nsys.path.insert(0, 'lib')\nimport inlib",
        {"lib/inlib.py": ""},
        wrote("lib/other.txt"),
    ),
    "mode of what was only opened": Way(
        "print(open('d/x.txt').read())", ONE, allowed("d/x.txt", 0o600)
    ),
    "mode of what was only looked for": Way(
        "import os\nprint(os.path.isfile('d/x.txt'), os.path.getsize('d/x.txt'))",
        ONE,
        allowed("d/x.txt", 0o600),
    ),
    "mode of a listed folder": Way("import os\nprint(os.listdir('d'))", ONE, allowed("d", 0o700)),
    "content of what was only measured": Way(
        "import os\nprint(os.stat('d/' + 'x.txt').st_size)", ONE, wrote("d/x.txt", "two")
    ),
    "size of what was only looked for": Way(
        "from pathlib import Path\nprint(Path('d', 'x.txt').exists())",
        ONE,
        wrote("d/x.txt", "longer"),
    ),
    "content of what was only listed": Way(
        "import os\nprint(os.listdir('d'))", ONE, wrote("d/x.txt", "longer")
    ),
    "content of what was only matched": Way(
        "import glob\nprint(glob.glob('d/*'))", ONE, wrote("d/x.txt", "longer")
    ),
    "names in a folder that was only looked for": Way(
        "import os\nprint(os.path.isdir('d'), oct(os.stat('d').st_mode))", ONE, wrote("d/y.txt")
    ),
    "names below a listed folder": Way(
        "import os\nprint(os.listdir('d'))", {"d/e/x": ""}, wrote("d/e/y")
    ),
    "a name that no pattern matches": Way(
        "from pathlib import Path\nprint(sorted(Path('d').glob('*.csv')))", ONE, wrote("d/y.txt")
    ),
    "names beside what was opened": Way("print(open('d/x.txt').read())", ONE, wrote("d/y.txt")),
    "names beside what was missing": Way(
        "import os\nprint(os.path.exists('d/new'))", ONE, wrote("d/newer")
    ),
    "names beside a module": Way(
        "import helper\nprint(helper.V)", {"helper.py": "V = 1"}, wrote("unheard_of.py")
    ),
    "names in a package": Way(
        "import m.a\nprint(m.a.V)", {"m/__init__.py": "", "m/a.py": "V = 1"}, wrote("m/b.py")
    ),
    "names beside a child's script": Way(
        child("'s.py'"), {**ONE, "s.py": SCRIPT}, wrote("unheard_of.py")
    ),
    "the version that no link leads to": Way(
        "print(open('now/x.txt').read())", TWO, wrote("v2/x.txt")
    ),
    "a folder that the run makes itself": Way(
        "import os\nos.makedirs('made', exist_ok=True)\nprint(os.path.isdir('made'))",
        EMPTY,
        removed("made"),
    ),
    "the same bytes": Way("print(open('d/x.txt').read())", ONE, wrote("d/x.txt", "one")),
}
SPARE_OUTSIDE = {
    "names beside what a shell read": Way("!cat d/x.*xt", ONE, wrote("other.txt")),
    "names beside a lonely child's script": Way(
        child("'s.py'", "-I"), {**ONE, "s.py": SCRIPT}, wrote("unheard_of.py")
    ),
    "names beside what C opened": Way(
        f"{IN_C}print(c.fopen(b'd/x' + b'.txt', b'r') is None)", ONE, wrote("d/y.txt")
    ),
    "size of what was only scanned": Way(
        "import os\nprint([entry.name for entry in os.scandir('d')])",
        ONE,
        wrote("d/x.txt", "longer"),
    ),
}

_GROUPS = {
    "link": LINKS,
    "kind": KINDS,
    "size or mode": SIZES_AND_MODES,
    "absence": ABSENCES,
    "reader": READERS,
    "module": MODULES,
    "child": CHILDREN,
}
PLAIN = {f"{group} {name}": way for group, ways in _GROUPS.items() for name, way in ways.items()}
OUTSIDE = {f"outside {name}": way for name, way in OUTSIDE_ONLY.items()}
