"""Nothing is declared: the versions of what a notebook imported decide, and of nothing else."""

import json
import shutil
import site
import subprocess
import sys

import pytest


class Site:
    """A folder of installed packages, all of them made up."""

    def __init__(self, folder):
        self.folder = folder

    def install(self, name, version, *, source=None, requires=(), direct=None, top=True):
        """Install, in place of what there was, a distribution with a module of its name."""
        for old in self.folder.glob(f"{name}-*.dist-info"):
            shutil.rmtree(old)
        info = self.folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        record = ""
        if top:
            module = self.folder / name / "__init__.py"
            module.parent.mkdir(exist_ok=True)
            module.write_text(f"__version__ = {version!r}\n" if source is None else source)
            (info / "top_level.txt").write_text(f"{name}\n")
            record = f"{name}/__init__.py,sha256={hash(module.read_text())},\n"
        (info / "RECORD").write_text(record)
        if direct is not None:
            (info / "direct_url.json").write_text(json.dumps(direct))


@pytest.fixture
def on_path(project, monkeypatch):
    """A folder on PYTHONPATH."""
    found = Site(project.root.parent / "site")
    found.folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(found.folder))
    return found


@pytest.fixture
def elsewhere(project, monkeypatch):
    """The packages of another virtual environment, with a kernel `other` that runs in it.

    It has nbbuild's own packages, too, by way of a .pth file.
    """
    root = project.root.parent / "other-env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    (folder,) = root.glob("lib/python*/site-packages")
    (folder / "base.pth").write_text(f"{site.getsitepackages()[0]}\n")
    spec = project.root.parent / "share/kernels/other/kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [str(root / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "display_name": "Other", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(project.root.parent / "share"))
    return Site(folder)


def assert_upgrades(project, packages, changes):
    """Check, for each distribution, the reasons that its version 2 gives."""
    for name, (more, reasons) in changes.items():
        packages.install(name, "2", **more)
        assert (name, project.reasons("a.ipynb")) == (name, reasons)
        packages.install(name, "1", **more)
        assert (name, project.verdicts()) == (name, {"a.ipynb": "fresh"})


USES = "import front\nprint(front.__version__, front.back.__version__)"
FRONT = {"source": "import back\n__version__ = back.__version__\n", "requires": ["back >= 1"]}


def test_an_upgrade_counts_of_what_was_imported_directly_or_through_another(project, on_path):
    project.config("")
    on_path.install("front", "1", **FRONT)
    on_path.install("back", "1")
    on_path.install("unused", "1")
    project.notebook("a.ipynb", USES, "import importlib.util\nimportlib.util.find_spec('unused')")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb").startswith("1 1\n")
    assert_upgrades(
        project,
        on_path,
        {
            "front": (FRONT, ["front 1 → 2"]),
            "back": ({}, ["back 1 → 2", "'../site/back/__init__.py' changed (In [2])"]),
            "unused": ({}, []),
        },
    )
    on_path.install("back", "2")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb").startswith("2 2\n")
    # A downgrade is a change like any other, and this one is known.
    on_path.install("back", "1")
    assert project.build() == []


def test_a_kernel_in_another_environment_counts_by_what_is_installed_there(project, elsewhere):
    project.config("")
    elsewhere.install("front", "1", **FRONT)
    elsewhere.install("back", "1")
    elsewhere.install("unused", "1")
    # No distribution holds it, and nothing in the folder of packages counts but by its version.
    (elsewhere.folder / "loose.py").write_text("")
    project.notebook(
        "a.ipynb",
        USES,
        "import sys\nprint(sys.prefix.split('/')[-1])\nimport loose",
        "try:\n    import optional\nexcept ImportError:\n    print('without')",
        kernel="other",
    )
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "1 1\nother-env\nwithout\n"
    assert_upgrades(
        project,
        elsewhere,
        {
            "front": (FRONT, ["front 1 → 2"]),
            "back": ({}, ["back 1 → 2"]),
            "unused": ({}, []),
        },
    )
    project.write("back.py", "__version__ = 'local'\n")
    assert project.reasons("a.ipynb") == ["'back.py' hides an installed module of the same name"]
    (project.root / "back.py").unlink()

    elsewhere.install("optional", "1")
    assert project.reasons("a.ipynb") == [
        "`import optional`, which found nothing, finds '<site-packages>' now (looked for by In [4])"
    ]


def test_a_direct_install_counts_by_its_content_and_an_editable_one_by_its_files(
    project, elsewhere
):
    wheel = {"url": "file:///wheels/built-1.whl", "archive_info": {}}
    place = {"url": "file:///src/placed", "dir_info": {"editable": True}}
    project.config("")
    elsewhere.install("built", "1", direct=wheel)
    elsewhere.install("placed", "1", direct=place, top=False)
    project.write("../src/placed/__init__.py", "X = 'in place'\n")
    project.write("../src/placed/unused.py", "")
    (elsewhere.folder / "placed.pth").write_text(f"{project.root.parent / 'src'}\n")
    project.notebook("a.ipynb", "import built, placed\nprint(placed.X)", kernel="other")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb") == "in place\n"

    elsewhere.install("built", "1", direct=wheel)
    elsewhere.install("placed", "2", direct=place, top=False)
    project.write("../src/placed/unused.py", "edited")
    assert project.verdicts() == {"a.ipynb": "fresh"}

    elsewhere.install("built", "1", direct=wheel, source="another = 'content'\n")
    (reason,) = project.reasons("a.ipynb")
    assert reason.startswith("built 1+") and " → 1+" in reason
    elsewhere.install("built", "1", direct=wheel)
    assert project.verdicts() == {"a.ipynb": "fresh"}

    project.write("../src/placed/__init__.py", "X = 'edited'\n")
    assert project.reasons("a.ipynb") == [
        "'../src/placed/__init__.py' changed (imported by In [2])"
    ]


def test_what_a_bare_kernel_holds_counts_only_when_it_is_named(project, on_path):
    project.config("")
    project.write("local.py", "import traitlets\n")
    on_path.install("needs", "1", source="", requires=["traitlets"])
    project.notebook("bare.ipynb", "print('bare')")
    project.notebook("cell.ipynb", "import traitlets.config")
    project.notebook("module.ipynb", "import local")
    project.notebook("package.ipynb", "import needs")
    assert project.build() == ["bare", "cell", "module", "package"]

    on_path.install("traitlets", "999", top=False)
    assert project.verdicts() == {
        "bare.ipynb": "fresh",
        "cell.ipynb": "run",
        "module.ipynb": "run",
        "package.ipynb": "run",
    }
    for name in ("cell", "module", "package"):
        (reason,) = project.reasons(f"{name}.ipynb")
        assert reason.startswith("traitlets ") and reason.endswith(" → 999")


def test_what_only_a_child_imports_counts(project, on_path):
    project.config("")
    on_path.install("front", "1", **FRONT)
    on_path.install("back", "1")
    on_path.install("unused", "1")
    project.write("script.py", "import front\nprint(front.__version__)\n")
    project.notebook("a.ipynb", "import sys\n!{sys.executable} script.py")
    assert project.build() == ["a"]
    assert project.shown("a.ipynb").strip() == "1"
    assert_upgrades(
        project,
        on_path,
        {
            "front": (FRONT, ["front 1 → 2"]),
            "back": ({}, ["back 1 → 2", "'../site/back/__init__.py' changed (In [2])"]),
            "unused": ({}, []),
        },
    )


def test_packages_that_change_under_a_run_keep_it_from_the_cache(project, on_path):
    """As `!pip install` in the notebook itself does."""
    project.config("")
    on_path.install("front", "1")
    on_path.install("unused", "1")
    upgrade = (
        "import os\nsite = os.environ['PYTHONPATH']\nfor name in {names!r}:\n"
        "    old, new = (f'{{site}}/{{name}}-{{n}}.dist-info' for n in '12')\n"
        "    if os.path.exists(old):\n"
        "        os.rename(old, new)\n"
        "        with open(f'{{new}}/METADATA', 'w') as f:\n"
        "            _ = f.write(f'Metadata-Version: 2.1\\nName: {{name}}\\nVersion: 2\\n')\n"
    )
    project.notebook("a.ipynb", "import front\nprint('done')", upgrade.format(names=["front"]))
    done = project.nbbuild("--json")
    assert (done.status, done.ran) == (0, ["a"])
    (outcome,) = done.data["outcomes"]
    assert (outcome["kind"], outcome["cached"]) == ("executed", False)
    assert (
        "the result is shown but not cached: the package 'front' changed while it ran; "
        "it will run again" in outcome["notes"]
    )
    assert project.shown("a.ipynb") == "done\n"
    assert project.build() == ["a"]
    assert project.build() == []
