"""What an import would find is what Python's own path finder finds, on folders of every shape."""

import itertools
import json
import os
import random
import subprocess
import sys
import zipfile
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from pathlib import PurePosixPath

from nbbuild.interpreter.resolving import Resolver

ASK = """
import importlib, importlib.metadata, importlib.util, json, sys
answers = []
for path, names in json.load(sys.stdin):
    sys.path[:] = path
    importlib.invalidate_caches()
    for name in names:
        for loaded in [one for one in sys.modules if one[0] in "xy"]:
            del sys.modules[loaded]
        try:
            spec = importlib.util.find_spec(name)
        except ImportError:
            spec = None
        found = spec and (spec.origin or list(spec.submodule_search_locations)[0])
        answers.append(found)
json.dump(answers, sys.stdout)
"""


def by_python(*questions):
    """Return what Python answers to (path, names) each: a file, a folder (namespace), or None."""
    words = [sys.executable, "-S", "-B", "-c", ASK]
    done = subprocess.run(
        words, input=json.dumps(questions), capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout)


def make(root, *paths):
    for path in paths:
        place = root / path.removesuffix("@")
        if path.endswith("@"):  # a link that leads nowhere
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to("gone")
        elif path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("")


CASES = [
    (["one/x.py"], "x", "one/x.py"),
    (["two/x.py"], "x", "two/x.py"),
    (["one/x.py", "two/x.py"], "x", "one/x.py"),
    (["one/x.py", "one/x/__init__.py"], "x", "one/x/__init__.py"),
    (["one/x/", "two/x.py"], "x", "two/x.py"),
    (["one/x/", "two/x/y.py"], "x", "one/x"),
    (["one/x/", "two/x/y.py"], "x.y", "two/x/y.py"),
    (["one/x/__init__.py", "two/x/y.py"], "x.y", None),
    (["one/x/y/z.py"], "x.y.z", "one/x/y/z.py"),
    (["one/x.py", "one/x/y.py"], "x.y", None),
    (["one/x.txt"], "x", None),
    (["one/x.py/"], "x", None),
    (["one/x.py@"], "x", None),
    (["one/x.py@", "two/x.py"], "x", "two/x.py"),
    (["one/x/__init__.py@", "one/x.py"], "x", "one/x.py"),
    (["one/x.pyc"], "x", "one/x.pyc"),
    ([], "x", None),
]


def test_a_name_is_found_where_python_finds_it(tmp_path):
    questions, answers, found = [], [], []
    for number, (paths, name, _) in enumerate(CASES):
        root = tmp_path / str(number)
        make(root, "one/", "two/", *paths)
        path = [str(root / folder) for folder in ("one", "gone", "two")]
        questions.append((path, [name]))
        answers.append(Resolver().find(name, path))
        found.append(answers[-1] and os.path.relpath(answers[-1], root))
    assert [(paths, name, at) for (paths, name, _), at in zip(CASES, found, strict=True)] == CASES
    assert answers == by_python(*questions)


def test_it_agrees_with_python_on_folders_made_at_random(tmp_path):
    chance = random.Random(3)
    ends = (".py", "/__init__.py", "/", EXTENSION_SUFFIXES[0])
    places = itertools.product(("one", "two"), ("x", "x/y", "y", "x/y/x", "y/x"), ends)
    shapes = [f"{folder}/{inside}{end}" for folder, inside, end in places]
    names = [".".join(parts) for n in (1, 2, 3) for parts in itertools.product("xy", repeat=n)]
    suffixes = [*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES]
    questions, answers = [], []
    for number in range(200):
        root = tmp_path / str(number)
        make(root, *chance.sample(shapes, chance.randint(1, 8)))
        path = [str(root / "one"), str(root / "two")]
        resolver = Resolver(suffixes)
        questions.append((path, names))
        answers += [resolver.find(name, path) for name in names]
    assert sum(answer is not None for answer in answers) > 400
    asked = [(path[0], name) for path, names in questions for name in names]
    assert list(zip(asked, answers, strict=True)) == list(
        zip(asked, by_python(*questions), strict=True)
    )


def test_it_agrees_with_python_on_zip_files_among_the_folders(tmp_path):
    chance = random.Random(5)
    ends = (".py", "/__init__.py", "/", EXTENSION_SUFFIXES[0])
    inside = [f"{at}{end}" for at in ("x", "x/y", "y", "in/x", "in/y/x") for end in ends]
    names = [".".join(parts) for n in (1, 2, 3) for parts in itertools.product("xy", repeat=n)]
    suffixes = [*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES]
    questions, answers = [], []
    for number in range(100):
        root = tmp_path / str(number)
        make(root, "one/", *(f"one/{at}" for at in chance.sample(inside, chance.randint(0, 3))))
        with zipfile.ZipFile(root / "two.zip", "w") as archive:
            chosen = chance.sample(inside, chance.randint(1, 6))
            # Folders are listed as well, as `zip -r` does: not every Python infers them.
            above = {f"{parent}/" for at in chosen for parent in PurePosixPath(at).parents}
            for at in sorted({*chosen, *above} - {"./"}):
                archive.writestr(at, "")
        (root / "no.zip").write_text("no zip file")
        path = [str(root / entry) for entry in ("no.zip", "two.zip", "two.zip/in", "one")]
        resolver = Resolver(suffixes)
        questions.append((path, names))
        answers += [resolver.find(name, path) for name in names]
    in_zips = [answer for answer in answers if answer is not None and "two.zip" in answer]
    assert len(in_zips) > 100
    asked = [(path[0], name) for path, names in questions for name in names]
    assert list(zip(asked, answers, strict=True)) == list(
        zip(asked, by_python(*questions), strict=True)
    )


def test_the_disk_is_looked_at_once_until_told_to_forget(tmp_path):
    make(tmp_path, "one/")
    resolver = Resolver()
    path = [str(tmp_path / "one")]
    assert resolver.find("x", path) is None
    make(tmp_path, "one/x.py")
    assert resolver.find("x", path) is None
    resolver.forget()
    assert resolver.find("x", path) == os.path.join(path[0], "x.py")
