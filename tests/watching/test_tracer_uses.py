"""What a process uses is seen, with its stat at first use, whatever way Python takes to it."""

from __future__ import annotations

import os

import pytest


def test_reads_of_every_kind_are_seen_by_every_python(observe, python):
    seen = observe(
        """
import io, os, pathlib, mmap, runpy, linecache, shutil
open('a.txt').read()
io.open_code(os.path.abspath('b.txt')).read()
os.close(os.open('data/x.csv', os.O_RDONLY))
pathlib.Path('data', 'y.csv').read_text()
""",
        python=python,
    )
    assert seen.err == ""
    assert seen.read == {"a.txt", "b.txt", "data/x.csv", "data/y.csv"}
    assert seen.observed.partial == ()
    found = os.stat(seen.folder / "a.txt")
    first = seen.files["a.txt"].first
    assert first is not None
    assert (first.type, first.size, first.mtime_ns, first.ctime_ns, first.inode) == (
        "f",
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import runpy; runpy.run_path('used.py')",
        "exec(open('used.py').read())",
        "import importlib; importlib.import_module('us' + 'ed')",
        "__import__('used')",
        "import shutil; shutil.copyfile('used.py', 'copy.py')",
        "import linecache; linecache.getline('used.py', 1)",
        "import os; os.stat('used.py')",
        "import os; os.path.exists('used.py')",
        "import os; os.access('used.py', os.R_OK)",
        "import os; os.path.realpath('used.py')",
        "import pathlib; pathlib.Path('used.py').is_file()",
        "import pathlib; pathlib.Path('used.py').resolve()",
        "import pkgutil, sys; pkgutil.get_data('package', '../used.py')",
        "import ctypes\ntry: ctypes.CDLL('./used.py')\nexcept OSError: pass",
        "import mmap\nwith open('used.py') as f: mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)",
        "import os; os.chdir('data'); open('../used.py')",
        "import os; os.open('used.py', 0, dir_fd=os.open('.', 0))",
        "import os, sys; open(b'used.py')",
    ],
)
def test_a_file_is_used_whatever_the_way(observe, folder, code):
    (folder / "used.py").write_text("1\n")
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("")
    seen = observe(f"import sys; sys.path.insert(0, '')\n{code}")
    assert seen.err == ""
    assert "used.py" in seen.read
    in_c = "what C code read through ctypes was not seen"
    assert seen.observed.partial == ((in_c,) if "ctypes" in code else ())


def test_sqlite_databases_are_read_and_perhaps_written(observe, folder):
    seen = observe(
        """
import sqlite3
sqlite3.connect('new.db').execute('create table t (a)')
sqlite3.connect('file:a%20b.db?mode=ro', uri=True)
sqlite3.connect(':memory:')
"""
    )
    assert seen.files["new.db"].uses == ("read", "open")
    beside = {f"{name}{end}" for name in ("new.db", "a b.db") for end in ("-wal", "-journal")}
    assert seen.absent == {"new.db", "a b.db", *beside}


def test_what_is_looked_for_in_vain_is_told_until_it_is_there(observe, python):
    seen = observe(
        """
import os, pathlib
try: open('none.txt')
except OSError: pass
print(os.path.exists('gone'), pathlib.Path('lost').is_dir(), os.path.exists('a.txt/x'))
os.path.exists('late'), os.path.exists('late')
os.system('echo late > late')
open('late')
""",
        python=python,
    )
    assert seen.out == "False False False\n"
    assert seen.absent == {"none.txt", "gone", "lost", "late", "a.txt/x"}
    assert seen.files["late"].uses == ("exists", "write", "read")


def test_what_the_run_made_before_it_read_it_is_marked(observe, python):
    seen = observe(
        """
import os
open('made.txt', 'w').write('1'); open('made.txt').read()
open('a.txt', 'a').write('1')
open('b.txt', 'r+').write('1')
os.mkdir('new'); os.listdir('new')
open('temporary', 'w').close(); os.replace('temporary', 'data/x.csv'); open('data/x.csv')
os.remove('data/y.csv')
""",
        python=python,
    )
    assert seen.made == {"made.txt", "temporary", "data/x.csv"}
    # To make a folder asks whether there is none.
    assert seen.absent == {"new"}
    assert seen.files["new"].uses[:2] == ("lexists", "mkdir")
    # Appending keeps what was there; of what is removed it counts that it was there.
    assert seen.read == {"a.txt", "b.txt", "data/y.csv"}
    assert seen.files["data/y.csv"].uses == ("lexists", "remove")
    assert {path for path, use in seen.files.items() if use.written} == {
        "made.txt",
        "a.txt",
        "b.txt",
        "new",
        "temporary",
        "data/x.csv",
        "data/y.csv",
    }


def test_listings_and_globs_are_kept_apart(observe, python):
    seen = observe(
        """
import os, glob, pathlib
os.listdir('data')
list(pathlib.Path('.').iterdir())
glob.glob('data/*.csv'), glob.glob('**/*.txt', recursive=True)
list(os.walk('sub'))
""",
        python=python,
    )
    base = f"{seen.folder}"
    listed = {one.path: one.names for one in seen.observed.listings}
    assert listed == {
        f"{base}/data": ("fx.csv", "fy.csv"),
        base: ("ddata", "fa.txt", "fb.txt"),
    }
    globs = [(one.way, one.base, one.pattern, one.matches) for one in seen.observed.globs]
    assert globs == [
        ("glob", base, "data/*.csv", (f"{base}/data/x.csv", f"{base}/data/y.csv")),
        ("glob", base, "**/*.txt", (f"{base}/a.txt", f"{base}/b.txt")),
    ]
    assert "sub" in seen.absent


def test_globs_of_pathlib_are_no_listings(observe):
    seen = observe("import pathlib; list(pathlib.Path('data').rglob('x*'))")
    (one,) = seen.observed.globs
    assert (one.way, one.base, one.pattern) == ("pathlib", f"{seen.folder}/data", "**/x*")
    assert one.matches == (f"{seen.folder}/data/x.csv",)
    assert seen.observed.listings == ()


def test_imports_tell_origin_importer_and_what_was_missing(observe, folder, python):
    (folder / "mylib" / "deep").mkdir(parents=True)
    (folder / "mylib" / "__init__.py").write_text("from . import fit\n")
    (folder / "mylib" / "fit.py").write_text(
        "try:\n    import optional_speedup\nexcept ImportError:\n    pass\nimport mylib.deep\n"
    )
    seen = observe(
        "import sys; sys.path.insert(0, 'nowhere'); sys.path.insert(0, '')\nimport mylib",
        python=python,
    )
    told = {one.name: one for one in seen.observed.imports}
    assert told["mylib"].origin == f"{folder}/mylib/__init__.py"
    assert told["mylib"].locations == (f"{folder}/mylib",)
    assert (told["mylib"].importer, told["mylib.fit"].importer) == ("__main__", "mylib")
    assert told["mylib.deep"].kind == "namespace"
    assert told["mylib"].path[:2] == (str(folder), "nowhere")
    assert [(one.name, one.importer) for one in seen.observed.missing] == [
        ("optional_speedup", "mylib.fit")
    ]
    assert seen.read == {"mylib/__init__.py", "mylib/fit.py"}
    assert seen.observed.listings == ()
    modules = {one.name: one for one in seen.observed.modules}
    assert modules["mylib"].kind == "source" and "mylib" not in seen.observed.base
    assert "os" in seen.observed.base and "os" not in modules
    assert seen.observed.partial == ()


def test_a_module_that_is_blocked_is_no_fault(observe):
    seen = observe(
        "import sys\nsys.modules['blocked'] = None\ntry: import blocked\nexcept ImportError: pass"
    )
    assert seen.observed.partial == ()
    assert [one.kind for one in seen.observed.modules if one.name == "blocked"] == ["unknown"]


def test_modules_out_of_a_zip_are_seen(observe, folder):
    import zipfile

    with zipfile.ZipFile(folder / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", "")
    seen = observe("import sys; sys.path.insert(0, 'lib.zip'); import zipped")
    (one,) = [one for one in seen.observed.imports if one.name == "zipped"]
    assert one.kind == "zip"
    assert "lib.zip" in seen.read


def test_variables_are_told_with_their_reader_and_never_their_value(observe, folder, python):
    (folder / "settings.py").write_text("import os\nSIZE = os.getenv('MODEL_SIZE', 'S')\n")
    seen = observe(
        """
import os, sys
sys.path.insert(0, '')
import settings
os.environ.get('MODEL_SEED'), 'MODEL_SEED' in os.environ
os.environ['MINE'] = 'mine'
dict(os.environ)
os.environ.copy()
print(type(os.environ).__name__, os.environ['MINE'])
""",
        python=python,
        MODEL_SEED="s3cret",
    )
    assert seen.out == "_Environ mine\n"
    told = [(one.deed, one.name, one.reader) for one in seen.observed.variables]
    assert told == [
        ("read", "MODEL_SIZE", "settings"),
        ("read", "MODEL_SEED", "__main__"),
        ("set", "MINE", "__main__"),
        ("read", "*", "__main__"),
        ("read", "MINE", "__main__"),
    ]
    assert "s3cret" not in repr(seen.observed)


def test_hosts_are_told_but_not_local_sockets(observe):
    seen = observe(
        """
import socket
try: socket.getaddrinfo('nowhere.invalid', 443)
except OSError: pass
try: socket.create_connection(('127.0.0.1', 1))
except OSError: pass
try: socket.socket(socket.AF_UNIX).connect('none')
except OSError: pass
"""
    )
    assert [(one.name, one.port) for one in seen.observed.hosts] == [
        ("nowhere.invalid", 443),
        ("127.0.0.1", 1),
    ]


def test_threads_are_watched_too(observe):
    seen = observe(
        """
import threading, os
def work(n):
    for i in range(50):
        os.path.exists(f'{n}-{i}')
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    )
    assert len(seen.absent) == 400
    assert seen.observed.partial == ()


def test_odd_paths_do_no_harm(observe):
    seen = observe(
        r"""
import os
for odd in ('', 'nul\0', b'\xff', 'x' * 300, 7.5, None, 'sub/../a.txt', './/a.txt', 'a.txt/'):
    for use in (open, os.stat, os.listdir, os.path.exists, os.readlink):
        try: use(odd)
        except (OSError, ValueError, TypeError): pass
"""
    )
    assert seen.status == 0
    assert seen.observed.partial == ()
    assert "\udcff" in seen.absent
    assert "a.txt" in seen.read
