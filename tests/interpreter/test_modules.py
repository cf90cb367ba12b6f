"""Declared modules: which of the project's files they bring in."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbbuild.errors import ConfigError, Problems
from nbbuild.interpreter.modules import ModuleGraph


class Project:
    """A folder of Python files, which remembers what was read and parsed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.memory: dict[tuple[str, str], bytes] = {}
        self.remembered = 0
        self.graph = self.new_graph()

    def new_graph(self) -> ModuleGraph:
        return ModuleGraph(self.root, self.read, recall=self.recall, remember=self.remember)

    def plant(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def read(self, path: str) -> str | None:
        try:
            return (self.root / path).read_text()
        except OSError:
            return None

    def recall(self, kind: str, key: str) -> bytes | None:
        return self.memory.get((kind, key))

    def remember(self, kind: str, key: str, data: bytes) -> None:
        self.remembered += 1
        self.memory[(kind, key)] = data

    def closure(
        self, *declared: str, search: tuple[str, ...] = (".",), cells: str = ""
    ) -> list[str]:
        return list(self.graph.closure(declared, search=search, cells=[cells]))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_module_brings_in_its_parents_and_all_that_it_imports(project: Project) -> None:
    project.plant(
        {
            "lib/__init__.py": "",
            "lib/model.py": "import numpy\nfrom lib.fit import fit\nimport helper",
            "lib/fit.py": "from . import base\nfrom .deep.down import x",
            "lib/base.py": "def f():\n    import lazy",
            "lib/deep/__init__.py": "from ..shared import y",
            "lib/deep/down.py": "from ... import beyond",
            "lib/shared.py": "",
            "lib/unused.py": "",
            "helper.py": "import importlib\nimportlib.import_module('spelled')",
            "lazy.py": "__import__('os')",
            "spelled.py": "",
            "unused.py": "",
        }
    )
    assert project.closure("lib.model") == [
        "helper.py",
        "lazy.py",
        "lib/__init__.py",
        "lib/base.py",
        "lib/deep/__init__.py",
        "lib/deep/down.py",
        "lib/fit.py",
        "lib/model.py",
        "lib/shared.py",
        "spelled.py",
    ]


def test_of_a_package_counts_what_the_cells_import(project: Project) -> None:
    project.plant(
        {
            "lib/__init__.py": "",
            "lib/fit.py": "",
            "lib/plot.py": "",
            "lib/sub/__init__.py": "",
            "lib/sub/deep.py": "",
            "other.py": "",
        }
    )
    assert project.closure("lib", cells="import lib") == ["lib/__init__.py"]
    assert project.closure("lib", cells="%%time\nfrom lib.fit import f\nimport other") == [
        "lib/__init__.py",
        "lib/fit.py",
    ]
    assert project.closure("lib", cells="from lib import plot, name\n!ls") == [
        "lib/__init__.py",
        "lib/plot.py",
    ]
    assert project.closure("lib.sub", cells="import lib.fit, lib.sub.deep") == [
        "lib/__init__.py",
        "lib/sub/__init__.py",
        "lib/sub/deep.py",
    ]


def test_a_package_of_which_no_cell_imports_anything_counts_whole(project: Project) -> None:
    project.plant(
        {
            "lib/__init__.py": "",
            "lib/fit.py": "import helper",
            "lib/sub/deep.py": "from . import near",
            "lib/sub/near.py": "",
            "lib/.hidden/a.py": "",
            "lib/__pycache__/b.py": "",
            "helper.py": "",
        }
    )
    assert project.closure("lib", cells="import libs") == [
        "helper.py",
        "lib/__init__.py",
        "lib/fit.py",
        "lib/sub/deep.py",
        "lib/sub/near.py",
    ]


def test_a_star_brings_in_what_all_spells_out(project: Project) -> None:
    project.plant(
        {
            "lib/__init__.py": "__all__ = ['a']",
            "lib/a.py": "",
            "lib/b.py": "",
            "user.py": "from lib import *",
        }
    )
    assert project.closure("user") == ["lib/__init__.py", "lib/a.py", "user.py"]
    assert project.closure("lib", cells="from lib import *") == ["lib/__init__.py", "lib/a.py"]


def test_folders_without_init_add_up_to_a_namespace_package(project: Project) -> None:
    project.plant(
        {
            "src/space/a.py": "import space.b",
            "more/space/b.py": "from . import c",
            "src/space/c.py": "",
            "more/space/deep/d.py": "",
        }
    )
    both = ("src", "more")
    assert project.closure("space.a", search=both) == [
        "more/space/b.py",
        "src/space/a.py",
        "src/space/c.py",
    ]
    assert project.closure("space", search=both, cells="import space.a") == [
        "more/space/b.py",
        "more/space/deep/d.py",
        "src/space/a.py",
        "src/space/c.py",
    ]


def test_the_first_folder_of_the_path_wins_and_a_package_goes_before_a_module(
    project: Project,
) -> None:
    project.plant(
        {
            "first/tools.py": "",
            "second/tools.py": "",
            "second/both/__init__.py": "",
            "second/both.py": "",
            "first/folder/x.py": "",
            "second/folder.py": "",
        }
    )
    assert project.closure("tools", search=("first", "second")) == ["first/tools.py"]
    assert project.closure("tools", search=("second", "first")) == ["second/tools.py"]
    assert project.closure("both", search=("second",)) == ["second/both/__init__.py"]
    assert project.closure("folder", search=("first", "second")) == ["second/folder.py"]


def test_the_standard_library_is_shadowed_by_modules_but_not_by_folders(project: Project) -> None:
    project.plant(
        {
            "user.py": "import random, statistics, json.tool, os.path",
            "random.py": "",
            "statistics/data.py": "",
            "json/tool.py": "",
        }
    )
    assert project.closure("user") == ["random.py", "user.py"]


def test_circles_and_broken_files_are_no_trouble(project: Project) -> None:
    project.plant(
        {
            "a.py": "import b\nimport broken",
            "b.py": "import a",
            "broken.py": "def (\nimport unknown",
            "unknown.py": "",
        }
    )
    assert project.closure("a") == ["a.py", "b.py", "broken.py"]


def test_a_path_is_a_script_with_its_own_folder_first(project: Project) -> None:
    project.plant(
        {
            "scripts/tools.py": "import near, far",
            "scripts/near.py": "",
            "near.py": "",
            "far.py": "",
            "lib/__init__.py": "",
            "lib/sub/__init__.py": "",
            "lib/sub/my-script.py": "from . import beside\nfrom .. import above",
            "lib/sub/beside.py": "",
            "lib/above.py": "",
        }
    )
    assert project.closure("scripts/tools.py") == ["far.py", "scripts/near.py", "scripts/tools.py"]
    assert project.closure("lib/sub/my-script.py") == [
        "lib/__init__.py",
        "lib/above.py",
        "lib/sub/__init__.py",
        "lib/sub/beside.py",
        "lib/sub/my-script.py",
    ]


def test_folders_outside_the_root_can_be_searched(project: Project, tmp_path: Path) -> None:
    inner = Project(tmp_path / "project")
    inner.plant({"../shared/lib/__init__.py": "from .a import x", "../shared/lib/a.py": ""})
    assert inner.closure("lib", search=("", "../shared"), cells="import lib") == [
        "../shared/lib/__init__.py",
        "../shared/lib/a.py",
    ]


def test_links_in_a_circle_end(project: Project) -> None:
    project.plant({"space/a.py": ""})
    (project.root / "space/again").symlink_to(project.root / "space")
    assert project.closure("space") == ["space/a.py"]


def test_an_edit_is_seen_at_once_and_only_new_text_is_parsed(project: Project) -> None:
    project.plant({"a.py": "import b", "b.py": "", "c.py": "", "d.py": ""})
    assert project.closure("a") == ["a.py", "b.py"]
    assert project.remembered == 2
    project.plant({"a.py": "import b, c"})
    assert project.closure("a") == ["a.py", "b.py", "c.py"]
    assert project.remembered == 3
    project.graph = project.new_graph()
    assert project.closure("a") == ["a.py", "b.py", "c.py"]
    assert project.remembered == 3
    project.memory = dict.fromkeys(project.memory, b"\xc1")
    project.graph = project.new_graph()
    assert project.closure("a") == ["a.py", "b.py", "c.py"]


def test_a_module_that_is_not_there_is_named_with_the_nearest(project: Project) -> None:
    project.plant({"mylib/__init__.py": "", "mylib/model.py": "", "data/x.csv": "", "t.py": ""})
    with pytest.raises(Problems) as caught:
        project.graph.closure(
            ["mylb", "mylib.modle", "numpy", "mylib.model.fit", "tt.py"],
            search=["chapters", "."],
            where="jcache.toml, [[notebook]] 1",
        )
    assert str(caught.value).split("\n\nerror: ") == [
        "module 'mylb' is not in the project\n"
        "  declared in: jcache.toml, [[notebook]] 1\n"
        "  looked in: chapters, .\n"
        "\n"
        "hint: did you mean 'mylib'?",
        "module 'mylib.modle' is not in the project\n"
        "  declared in: jcache.toml, [[notebook]] 1\n"
        "  looked in: mylib\n"
        "\n"
        "hint: did you mean 'mylib.model'?",
        "module 'numpy' is not in the project\n"
        "  declared in: jcache.toml, [[notebook]] 1\n"
        "  looked in: chapters, .\n"
        "\n"
        "hint: name a module of the project; installed ones belong to `packages`, "
        "and folders of modules to [project] python_path",
        "module 'mylib.model.fit' is not in the project\n"
        "  declared in: jcache.toml, [[notebook]] 1\n"
        "  looked in: mylib/model.py, which is no package\n"
        "\n"
        "hint: name a module of the project; installed ones belong to `packages`, "
        "and folders of modules to [project] python_path",
        "module 'tt.py' does not exist\n"
        "  declared in: jcache.toml, [[notebook]] 1\n"
        "\n"
        "hint: did you mean 't.py'?",
    ]


def test_one_missing_module_is_one_error(project: Project) -> None:
    with pytest.raises(ConfigError) as caught:
        project.closure("gone")
    assert str(caught.value).startswith("module 'gone' is not in the project\n  looked in: .\n")
