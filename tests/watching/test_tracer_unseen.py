"""What code can see of itself is the same, watched or not, in every Python on this machine."""

from __future__ import annotations

import pytest

FAILING = [
    "os.stat('none')",
    "os.lstat(path='none')",
    "os.stat()",
    "os.stat('a.txt', nothing=1)",
    "os.readlink('a.txt')",
    "os.access('a.txt')",
    "os.open('none', os.O_RDONLY)",
    "os.path.getsize('none')",
    "pathlib.Path('none').stat()",
    "pathlib.Path('none').resolve(strict=True)",
    "open('none')",
    "os.listdir('none')",
    "os.environ['NOWHERE']",
    "os.environ[1]",
    "os.execve('none', ['none'], {})",
    "os.posix_spawn('none', ['none'], {})",
    "os.posix_spawn('none', ['none'])",
    "subprocess.run(['none'])",
    "subprocess.run(['cat'], env={1: 2})",
    "importlib.import_module('nowhere.sub')",
    "__import__('nowhere')",
]

CODE = """
import importlib, os, pathlib, subprocess, traceback
for failing in FAILING:
    try:
        try:
            1 / 0
        except ZeroDivisionError:
            exec(compile(failing, '<failing>', 'exec'))
    except Exception:
        print("failed")
        print(traceback.format_exc())
"""


@pytest.fixture
def alike(observe, plainly, python):
    def compare(code: str) -> str:
        seen = observe(code, python=python)
        plain = plainly(code, python)
        assert (seen.out, seen.err) == (plain.stdout, plain.stderr)
        return seen.out

    return compare


def test_tracebacks_are_the_same_line_by_line(alike):
    assert alike(f"FAILING = {FAILING!r}\n{CODE}").count("failed\n") == len(FAILING)


def test_functions_look_the_same(alike):
    alike(
        """
import inspect, os, pickle, sys
for f in (os.stat, os.lstat, os.access, os.open, os.readlink, os.execve):
    print(f, f.__name__, f.__qualname__, f.__doc__, inspect.signature(f), inspect.isbuiltin(f))
    print(f == f, hash(f) == hash(f), pickle.loads(pickle.dumps(f)) is f, callable(f))
print([os.stat in s for s in (os.supports_fd, os.supports_dir_fd, os.supports_follow_symlinks)])
class C:
    stat = os.stat
print(C().stat('a.txt').st_size, os.stat('a.txt') == os.stat(b'a.txt'))
print(sorted(dir()), sorted(globals()))
"""
    )


def test_modules_paths_and_environment_look_the_same(alike):
    assert "PYTHONPATH" not in alike(
        """
import os, sys
print(sys.path, len(sys.meta_path), len(sys.path_hooks), sorted(os.environ), type(os.environ))
print(sorted(set(sys.modules) - {'atexit'}))  # which every kernel has
"""
    )


def test_children_look_the_same_to_themselves(alike):
    alike(
        """
import subprocess, sys
code = "import os, sys; print(sys.path, sorted(sys.modules), sorted(os.environ))"
for more in ({}, {'env': {'A': 'b'}}, {'env': {'PYTHONPATH': '/x:/y'}}):
    print(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, **more))
"""
    )


def test_waiting_for_a_file_that_another_makes_never_breaks(alike):
    alike(
        """
import os, subprocess, sys, threading, time
def make():
    for i in range(300):
        open(f'f{i}', 'w').close()
thread = threading.Thread(target=make)
thread.start()
for i in range(300):
    while True:
        try:
            os.stat(f'f{i}')
            break
        except FileNotFoundError:
            pass
print('done')
"""
    )
