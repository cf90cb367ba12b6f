"""Projects of notebooks that use files in every way, and random edits of them."""

import json
import os
import shutil
from pathlib import Path

from notebook_sources import ipynb, prose

TEXTS = ("data/a.csv", "data/b.csv", "data/sub/c.csv", "notes.txt", "maybe.txt", "data/maybe.csv")
MODULES = ("helper.py", "tools/__init__.py", "tools/units.py", "extra.py")
VARIABLES = ("FUZZ_A", "FUZZ_B")
NEUTRAL = ("touch", "prose", "unrelated", "nothing", "artefact")

EDITS = (
    *("text",) * 4,
    *("same size", "remove", "module", "cell") * 2,
    *("touch", "prose", "unrelated", "nothing", "variable", "artefact"),
    *("swap", "folder", "back", "extra", "rename"),
)

_OPTIONAL = """
try:
    import extra
    print(extra.value)
except ImportError:
    print('none')
"""
_READ = "print(open({path!r}).read())"
READERS = (
    lambda chance: _READ.format(path=chance.choice(TEXTS[:4])),
    lambda chance: (
        f"import os\nprint(os.path.exists({chance.choice(TEXTS)!r}), "
        f"os.path.isdir({chance.choice(TEXTS)!r}))"
    ),
    lambda chance: (
        f"try:\n    print(open({chance.choice(TEXTS)!r}).read())\n"
        "except OSError as error:\n    print(type(error).__name__)"
    ),
    lambda chance: "import glob\nprint(sorted(glob.glob('data/*.csv')))",
    lambda chance: "import glob\nprint(sorted(glob.glob('data/**/*.csv', recursive=True)))",
    lambda chance: "import os\nprint(sorted(os.listdir('data')))",
    lambda chance: "import pathlib\nprint(sorted(map(str, pathlib.Path('data').glob('[a-c]*'))))",
    lambda chance: f"import os\nprint(os.path.getsize({chance.choice(TEXTS[:4])!r}))",
    lambda chance: f"import os\nprint(os.environ.get({chance.choice(VARIABLES)!r}))",
    lambda chance: "import helper\nprint(helper.value)",
    lambda chance: "from tools.units import value\nprint(value)",
    lambda chance: (
        "try:\n    import extra\n    print(extra.value)\nexcept ImportError:\n    print('none')"
    ),
    lambda chance: "import importlib.util\nprint(importlib.util.find_spec('extra') is not None)",
    lambda chance: (
        "import os\nprint([os.path.relpath(os.path.join(folder, name)) "
        "for folder, folders, names in sorted(os.walk('data')) for name in sorted(names)])"
    ),
)


class RandomProject:
    """A project at `root`, written by `chance`."""

    def __init__(self, root, chance):
        self.root, self.chance = Path(root), chance
        self.count = 0
        self.notebooks = {}  # name → cells
        self.environ = dict.fromkeys(VARIABLES[:1], "1")
        for path in TEXTS[:4]:
            self._write(path, self._text())
        for path in MODULES[:3]:
            self._write(path, self._module())
        for name in ("a", "b", "c"):
            self.notebooks[f"{name}.ipynb"] = [self._reader() for _ in range(3)]
        self.notebooks["maker.ipynb"] = [self._reader(), self._maker()]
        self.notebooks["taker.ipynb"] = ["print(open('out/made.txt').read())", self._reader()]
        for name in self.notebooks:
            self._write_notebook(name)
        self.configure()

    @property
    def order(self):
        return sorted(self.notebooks, key=lambda name: (name == "taker.ipynb", name))

    def configure(self):
        self._write(
            "jcache.toml",
            '[project]\nnotebooks = ["*.ipynb"]\n'
            f"[environment]\nenv = {json.dumps(list(VARIABLES))}\n"
            '[[notebook]]\npath = "maker.ipynb"\nartefacts = ["out/*.txt"]\n'
            '[[notebook]]\npath = "taker.ipynb"\nassets = ["out/made.txt"]\n',
        )

    def clean_copy(self, target):
        """Copy the sources, and nothing that a build has made, to `target`."""
        shutil.rmtree(target, ignore_errors=True)
        left_out = shutil.ignore_patterns(".nbbuild", "_build", "out")
        shutil.copytree(self.root, target, symlinks=True, ignore=left_out)

    def edit(self):
        """Make one random edit; return what it was."""
        kind = self.chance.choice(EDITS)
        return f"{kind} {getattr(self, '_' + kind.replace(' ', '_') + '_edit')()}"

    def _text_edit(self):
        path = self.chance.choice(TEXTS)
        self._write(path, self._text())
        return path

    def _same_size_edit(self):
        path = self._there(TEXTS)
        if path is None:
            return ""
        place = self.root / path
        look = place.stat()
        text = place.read_text()
        place.write_text("".join(chr(48 + (ord(c) - 47) % 10) if c.isdigit() else c for c in text))
        if self.chance.random() < 0.5:
            os.utime(place, ns=(look.st_atime_ns, look.st_mtime_ns))
        return path

    def _touch_edit(self):
        path = self._there((*TEXTS, *MODULES))
        if path is not None:
            os.utime(self.root / path)
        return path or ""

    def _prose_edit(self):
        name = self.chance.choice(self.order)
        self._write_notebook(name, about=self._text())
        return name

    def _unrelated_edit(self):
        self._write("README.md", self._text())
        return ""

    def _nothing_edit(self):
        return ""

    def _remove_edit(self):
        path = self._there((*TEXTS, "extra.py"))
        if path is not None:
            (self.root / path).unlink()
        return path or ""

    def _module_edit(self):
        path = self.chance.choice(MODULES[:3])
        self._write(path, self._module())
        return path

    def _extra_edit(self):
        """A module comes, becomes a package, or goes."""
        package = self.root / "extra"
        if package.exists():
            shutil.rmtree(package)
            return "package gone"
        if self.chance.random() < 0.5:
            self._write("extra/__init__.py", self._module())
            return "package"
        self._write("extra.py", self._module())
        return "module"

    def _cell_edit(self):
        name = self.chance.choice(self.order)
        cells = self.notebooks[name]
        if name == "maker.ipynb" and self.chance.random() < 0.5:
            cells[-1] = self._maker()
        elif name == "taker.ipynb":
            cells[-1] = self._reader()
        else:
            cells[0] = self._reader()
        self._write_notebook(name)
        return name

    def _variable_edit(self):
        name = self.chance.choice(VARIABLES)
        if self.chance.random() < 0.3:
            self.environ.pop(name, None)
        else:
            self.environ[name] = str(self.chance.randrange(5))
        return name

    def _artefact_edit(self):
        place = self.root / "out/made.txt"
        if place.exists():
            if self.chance.random() < 0.5:
                place.unlink()
            else:
                place.write_text("by hand")
        return ""

    def _swap_edit(self):
        one, other = self._there(TEXTS), self._there(TEXTS)
        if one is not None and one != other:
            first, second = (self.root / one).read_text(), (self.root / other).read_text()
            self._write(one, second)
            self._write(other, first)
        return f"{one} {other}"

    def _rename_edit(self):
        one, other = self._there(TEXTS), self.chance.choice(TEXTS)
        if one is not None and not (self.root / other).is_dir():
            (self.root / one).replace(self.root / other)
        return f"{one} {other}"

    def _folder_edit(self):
        """A file becomes a folder, or one that did is gone."""
        place = self.root / self.chance.choice(TEXTS[4:])
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
            place.mkdir()
        return place.name

    def _back_edit(self):
        """Write what a file may have had before."""
        path = self.chance.choice(TEXTS)
        self._write(path, "text 1 10\n")
        return path

    def _there(self, paths):
        there = [path for path in paths if (self.root / path).is_file()]
        return self.chance.choice(there) if there else None

    def _text(self):
        self.count += 1
        return f"text {self.chance.randrange(8)} {self.chance.randrange(10, 100)}\n"

    def _module(self):
        return f"value = {self.chance.randrange(1000)}\n"

    def _reader(self):
        return self.chance.choice(READERS)(self.chance)

    def _maker(self):
        source = self.chance.choice(TEXTS[:4])
        number = self.chance.randrange(10)
        return (
            "import os\nos.makedirs('out', exist_ok=True)\n"
            f"with open('out/made.txt', 'w') as file:\n"
            f"    _ = file.write(open({source!r}).read() + '{number}')"
        )

    def _write(self, path, text):
        place = self.root / path
        if place.is_dir():
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def _write_notebook(self, name, about="about"):
        self._write(name, ipynb([prose(about), *self.notebooks[name]]))
